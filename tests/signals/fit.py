"""Fit the reader's weights on the corpus beside this file, and say how it does on authors it has not seen.

    python tests/signals/fit.py              write signals/data/reader.npz (about twelve minutes)
    python tests/signals/fit.py --held-out   leave a fifth of the authors out in turn, print scores only (eighteen)

1. ``load``        corpus → notes scanned, rules met, each clause with the marks it is at least half of
2. ``strangers``   fits that have not seen an author read him: event or not; which kind if one; whether it begins there
3. ``fit``         the same by all notes; the clauses around, and where one statement ends, by 2; sign and certainty
4. ``write``       tables in eight bits a weight with one scale a column, networks as they are

A passage is a note of one or two sentences. Whatever a reader would have to look up is in corpus/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from joblib import Parallel, delayed
from marks import Mark, read_notes, score, total
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from signals.extraction import ruled
from signals.features import BEARING_COLUMNS, CERTAINTIES, COLUMNS, SIGNS, Features, features, names
from signals.lexicon import lexicon
from signals.loops import Array
from signals.model import Weights, in_context, log_shares, side_by_side
from signals.note import Note, note_from_text
from signals.sentences import Scan, scan
from signals.sums import Table

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WEIGHTS = HERE.parents[1] / "signals" / "data" / "reader.npz"
FOLDS = 5
RATES = ((1e-3, 8), (3e-4, 3), (1e-4, 2))  # of a network's steps, and in how many rounds
HALVED = 4.0  # clauses
SMOOTHED = 200  # tellings near a run that say as much as all others
ENOUGH = 50  # marks of a kind to learn it from
KNOWN_AT = "2025-11-07"  # the notes have no dates; none of the features is about time


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    author: str
    note: Note
    marks: list[Mark]
    found: Scan
    seen: Features
    said: list[dict[str, int]]  # of each clause: kind -> the mark it is part of


def digest() -> str:
    """Of all the weights are fitted on and by."""
    told = hashlib.sha256()
    code = HERE.parents[1] / "signals"
    for path in (
        *sorted(CORPUS.glob("*.jsonl")),
        Path(__file__),
        *(code / name for name in ("features.py", "model.py", "loops.py", "loops_compiled.py")),
    ):
        told.update(path.read_bytes())
    return told.hexdigest()


def load(paths: Iterable[Path]) -> list[Read]:
    """The notes and passages of some files of the corpus."""
    out = []
    for path in paths:
        for name, text, marks in read_notes(path):
            out.append(_read(path.stem, note_from_text(text, name=name, known_at=KNOWN_AT), marks))
    return out


def _read(author: str, note: Note, marks: list[Mark]) -> Read:
    found = scan(note.text, lexicon(), note.body)
    seen = features(found, ruled(found, note.published_at.year)[0])
    spans = [found.squeezed.original(c.start, c.end) for c in found.clauses]
    said: list[dict[str, int]] = [{} for _ in spans]
    for number, mark in enumerate(marks):
        shared = [min(end, mark.end) - max(start, mark.start) for start, end in spans]
        inside = [i for i, (start, end) in enumerate(spans) if shared[i] > 0 and 2 * shared[i] >= end - start]
        for i in inside or [int(np.argmax(shared))]:
            said[i][mark.kind] = number
    return Read(author, note, marks, found, seen, said)


def rows(seen: Features) -> Any:
    """Everything each clause sees, as one sparse matrix: runs, then classes here, before and behind."""
    n = seen.joined.size + 1
    joined = seen.joined.astype(np.float32)
    down = sparse.diags_array(joined, offsets=-1, shape=(n, n))
    up = sparse.diags_array(joined, offsets=1, shape=(n, n))
    told = seen.told.matrix()
    runs = seen.runs.matrix() + down @ seen.before.matrix() + up @ seen.after.matrix()
    table = sparse.hstack([runs, told, down @ told, up @ told]).tocsr()
    table.eliminate_zeros()  # of neighbours in other sentences
    return table


@dataclass(frozen=True, slots=True, eq=False)
class Clauses:
    """Every clause of some notes, as the fits want them."""

    sees: Any  # sparse, a row a clause
    runs: Any  # of ``sees`` its own runs
    says: list[list[int]]  # the kinds it states
    read: Array  # the note it is of
    anew: list[
        dict[int, bool]
    ]  # of the kinds it and the clause before it in its sentence state: as two marks?
    weight: Array  # of a passage less, since nearly all of them state an event
    near: Array  # (n, K) how much is told of each kind around it, itself counted most

    def of(self, reads: Array) -> Clauses:
        at = np.flatnonzero(np.isin(self.read, reads))
        return Clauses(
            _indexed(self.sees[at]),
            self.runs[at],
            [self.says[i] for i in at.tolist()],
            self.read[at],
            [self.anew[i] for i in at.tolist()],
            self.weight[at],
            self.near[at],
        )


def _clauses(reads: list[Read], known: tuple[str, ...]) -> Clauses:
    says = [[[known.index(kind) for kind in s if kind in known] for s in read.said] for read in reads]
    return Clauses(
        _indexed(sparse.vstack([rows(read.seen) for read in reads]).tocsr()),
        sparse.vstack([read.seen.runs.matrix() for read in reads]).tocsr(),
        [s for read in says for s in read],
        np.repeat(np.arange(len(reads)), [len(read.said) for read in reads]),
        [anew for read in reads for anew in _anew(read, known)],
        np.concatenate([np.full(len(r.said), 1.0 if r.author.startswith("notes") else 0.5) for r in reads]),
        np.concatenate([_near(read, len(known)) for read in says]),
    )


def _anew(read: Read, known: tuple[str, ...]) -> list[dict[int, bool]]:
    """Of each clause the kinds that the one before it in its sentence states too, and whether that is another mark."""
    pairs = zip(read.said, read.said[1:], read.seen.joined.tolist(), strict=False)
    return [
        {},
        *(
            {known.index(kind): s[kind] != before[kind] for kind in s if kind in known and kind in before}
            if joined
            else {}
            for before, s, joined in pairs
        ),
    ][: len(read.said)]


def _near(says: list[list[int]], kinds: int) -> Array:
    """What is told of around each clause of one note: fading on both sides, itself as four such."""
    told = np.zeros((len(says), kinds), np.float32)
    for i, s in enumerate(says):
        told[i, s] = 1.0
    return 2 * told + _fading(told) + _fading(told[::-1])[::-1]


def _fading(told: Array) -> Array:
    """Of each row the sum of it and those before, each with the weight of the one behind it times 0.5 ** (1 / HALVED).

    The sums of 1, 2, 4, ... rows, until what is left out weighs less than a 250th.
    """
    total = told.copy()
    rows = 1
    while rows < 8 * HALVED:
        total[rows:] += 0.5 ** (rows / HALVED) * total[:-rows]
        rows *= 2
    return total


@dataclass(frozen=True, slots=True, eq=False)
class ByItself:
    """What a fit makes of a clause's own words; see ``Weights``."""

    words: Array  # (columns, 2 + K)
    bias: Array
    near: Array  # (COLUMNS, K)

    def read(self, clauses: Clauses) -> Array:
        """(n, 2 + 2K), as ``Weights.by_itself`` has it."""
        total = clauses.sees @ self.words + self.bias
        total[:, 1:-1] = log_shares(total[:, 1:-1])
        near = (clauses.runs @ self.near) / np.sqrt(clauses.runs.sum(axis=1))[:, None]
        return np.concatenate([total, near], axis=1, dtype=np.float32)


def _by_itself(clauses: Clauses) -> ByItself:
    """Whether there is an event, which kind it is, whether it begins a statement, and what is told around such words.

    What is rare says more of the kind: each column is weighed by the logarithm of how seldom it is (idf).
    """
    warnings.simplefilter("ignore", ConvergenceWarning)  # more rounds learn the corpus by heart
    event = LogisticRegression(C=0.05, solver="liblinear", intercept_scaling=10).fit(
        clauses.sees, np.array([bool(s) for s in clauses.says]), sample_weight=clauses.weight
    )
    at, which = _stated(clauses.says)
    seen_in = np.bincount(clauses.sees.indices, minlength=clauses.sees.shape[1])
    rare = np.log(len(clauses.says) / (1 + seen_in)) / 8
    kind = LogisticRegression(C=0.5, max_iter=60).fit(
        _indexed((clauses.sees[at] @ sparse.diags_array(rare)).tocsr()), which
    )
    at, _, begins = _pairs(clauses.anew)
    begin = LogisticRegression(C=0.1, solver="liblinear", intercept_scaling=10).fit(
        _indexed(clauses.sees[at]), begins, sample_weight=clauses.weight[at]
    )
    share = (clauses.near.sum(axis=0) + 1) / (clauses.near.sum() + clauses.near.shape[1])
    count = clauses.runs.T @ clauses.near
    near = np.log((count + SMOOTHED * share) / (count.sum(axis=1, keepdims=True) + SMOOTHED) / share)
    return ByItself(
        np.concatenate([event.coef_.T, kind.coef_.T * rare[:, None], begin.coef_.T], axis=1).astype(
            np.float32
        ),
        np.concatenate([event.intercept_, kind.intercept_, begin.intercept_]).astype(np.float32),
        near.astype(np.float32),
    )


def _stated(says: list[list[int]], nothing: tuple[int, ...] = ()) -> tuple[Array, Array]:
    """Clause and kind of every event; of a clause without one ``nothing``."""
    stated = np.array([(i, k) for i, s in enumerate(says) for k in s or nothing])
    return stated[:, 0], stated[:, 1]


def _pairs(anew: list[dict[int, bool]]) -> tuple[Array, Array, Array]:
    """Of every clause that states a kind after one that does: the clause, the kind, and whether it is another mark."""
    pairs = np.array([(i, k, new) for i, said in enumerate(anew) for k, new in said.items()], np.int64)
    return tuple(pairs.reshape(-1, 3).T)  # type: ignore[return-value]


def strangers(reads: list[Read], clauses: Clauses) -> tuple[list[ByItself], Array]:
    """Leave a fifth of the authors out in turn: each fit by itself, and what it says of the clauses left out.

    What the clauses around say can only be weighed by how a fit reads notes it has not seen.
    """
    fold = folds(reads)
    fits = Parallel(n_jobs=-1, max_nbytes=None)(  # else the fits find their arrays read-only
        delayed(_by_itself)(clauses.of(np.flatnonzero(fold != f))) for f in range(FOLDS)
    )
    scores = np.empty((len(clauses.says), 2 + 2 * clauses.near.shape[1]), np.float32)
    for f, fitted in enumerate(fits):
        left = np.flatnonzero(fold[clauses.read] == f)
        scores[left] = fitted.read(clauses.of(np.flatnonzero(fold == f)))
    return fits, scores


def folds(reads: list[Read]) -> Array:
    """The fold of each note: all of an author in one, but single notes where there are too few authors."""
    authors = sorted({read.author for read in reads})
    if len(authors) < FOLDS:
        return np.arange(len(reads)) % FOLDS
    return np.array([authors.index(read.author) % FOLDS for read in reads])


def _network(
    seen: Array, says: Array, weight: Array, *, answers: int, hidden: int, alpha: float
) -> tuple[Array, Array, Array, Array]:
    """A network with one hidden layer that tells what is said from what is seen: both layers, each with its bias.

    ``says`` are numbers of the ``answers``; where there are but two, one column is the log odds of the second. Its
    steps are small at the end: else the last few notes it saw are heard above all others.
    """
    warnings.simplefilter("ignore", ConvergenceWarning)
    mean, scale = seen.mean(axis=0), seen.std(axis=0) + 1e-3
    seen = (seen - mean) / scale
    net = MLPClassifier(
        (hidden,), alpha=alpha, batch_size=min(512, len(seen)), random_state=0, warm_start=True
    )
    for rate, rounds in RATES:
        net.set_params(learning_rate_init=rate, max_iter=rounds).fit(seen, says, sample_weight=weight)
    (first, last), (first_bias, last_bias) = net.coefs_, net.intercepts_
    out, out_bias = np.zeros((hidden, answers)), np.full(answers, -30.0)  # of what none of these notes say
    columns = net.classes_ if answers > 1 else [0]
    out[:, columns], out_bias[columns] = last, last_bias
    layers = (first / scale[:, None], first_bias - mean / scale @ first, out, out_bias)
    return tuple(layer.astype(np.float32) for layer in layers)  # type: ignore[return-value]


def _context(
    reads: list[Read], clauses: Clauses, scores: Array, taught: Array
) -> tuple[Array, Array, Array, Array]:
    """The network of each clause and those around it, for notes ``taught``; see ``Weights.hidden``."""
    of = clauses.of(taught)
    at = np.flatnonzero(np.isin(clauses.read, taught))
    mine = [scores[at[of.read == i]] for i in taught.tolist()]
    around = np.concatenate(
        [in_context(s, reads[i].seen.joined) for s, i in zip(mine, taught.tolist(), strict=True) if len(s)]
    )
    row, which = _stated(of.says, nothing=(-1,))
    return _network(
        around[row], which + 1, of.weight[row], answers=scores.shape[1] // 2, hidden=256, alpha=0.4
    )


def _apart(
    reads: list[Read], clauses: Clauses, scores: Array, taught: Array
) -> tuple[Array, Array, Array, Array]:
    """The network of two clauses that state one kind, for notes ``taught``; see ``Weights.apart``."""
    first = np.searchsorted(clauses.read, np.arange(len(reads) + 1)).tolist()
    numbers, news, weights = [], [], []
    for i in taught.tolist():
        of = slice(first[i], first[i + 1])
        at, kind, new = _pairs(clauses.anew[of])
        numbers.append(side_by_side(scores[of], reads[i].seen, at - 1, kind))
        news.append(new)
        weights.append(clauses.weight[of][at])
    seen, says, weight = (np.concatenate(parts) for parts in (numbers, news, weights))
    return _network(seen, says, weight, answers=1, hidden=16, alpha=0.1)


def fit(reads: list[Read]) -> Weights:
    """The weights of some notes."""
    known = kinds_of(reads)
    clauses = _clauses(reads, known)
    _, scores = strangers(reads, clauses)
    every = np.arange(len(reads))
    return _weights(
        reads,
        known,
        _by_itself(clauses),
        _context(reads, clauses, scores, every),
        _apart(reads, clauses, scores, every),
    )


def kinds_of(reads: list[Read]) -> tuple[str, ...]:
    """The kinds with marks enough to learn them from."""
    count = Counter(mark.kind for read in reads for mark in read.marks)
    return tuple(sorted(kind for kind, n in count.items() if n >= ENOUGH))


def _weights(
    reads: list[Read],
    known: tuple[str, ...],
    by_itself: ByItself,
    context: tuple[Array, Array, Array, Array],
    apart: tuple[Array, Array, Array, Array],
) -> Weights:
    events, said_of = _events(reads, known)
    sign, certain = (
        LogisticRegression(C=0.05, max_iter=100).fit(events, np.array([order.index(b[i]) for b in said_of]))
        for i, order in enumerate((SIGNS, CERTAINTIES))
    )
    m, k = len(names()), len(known)
    words = by_itself.words
    says = np.concatenate([sign.coef_, certain.coef_]).T.astype(np.float32)
    return Weights(
        known,
        Table.of(np.concatenate([words[:COLUMNS], by_itself.near], axis=1)),
        Table.of(words[COLUMNS:].reshape(3, m, -1).transpose(1, 0, 2).reshape(m, -1)),
        by_itself.bias,
        *context,
        apart,
        Table.of(says[:BEARING_COLUMNS]),
        Table.of(says[BEARING_COLUMNS:-k]),
        says[-k:] + np.concatenate([sign.intercept_, certain.intercept_]).astype(np.float32),
    )


def _events(reads: list[Read], known: tuple[str, ...]) -> tuple[Any, list[tuple[int, str]]]:
    """Of every mark what ``Features.bearing`` sees of it, and its kind; and its sign and certainty."""
    rows, bearing = [], []
    for read in reads:
        events = []
        for number, mark in enumerate(read.marks):
            at = [i for i, s in enumerate(read.said) if s.get(mark.kind) == number]
            if at and mark.kind in known:
                events.append((known.index(mark.kind), mark.kind, min(at), max(at)))
                bearing.append((mark.polarity, mark.certainty))
        if events:
            kinds = np.eye(len(known), dtype=np.float32)[[number for number, *_ in events]]
            seen = [ones.matrix() for ones in read.seen.bearing(events, len(known))]
            rows.append(sparse.hstack([*seen, kinds]))
    return _indexed(sparse.vstack(rows).tocsr()), bearing


def _indexed(matrix: Any) -> Any:
    """With the 32-bit indices that liblinear wants."""
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def write(fitted: Weights, path: Path = WEIGHTS) -> None:
    """Save all of it, and what it was fitted on."""
    held = {}
    for name in ("runs", "told", "says_runs", "says_told"):
        table = getattr(fitted, name)
        held |= {name: table.values, f"{name}_scale": table.scale}
    for name, array in zip(("hidden", "hidden_bias", "out", "out_bias"), fitted.apart, strict=True):
        held[f"apart_{name}"] = array
    np.savez_compressed(
        path,
        kinds=np.array(fitted.kinds),
        names=np.array(names()),
        bias=fitted.bias,
        hidden=fitted.hidden,
        hidden_bias=fitted.hidden_bias,
        out=fitted.out,
        out_bias=fitted.out_bias,
        says_kind=fitted.says_kind,
        digest=np.array(digest()),
        **held,
    )


def held_out(reads: list[Read]) -> None:
    """A fifth of the authors at a time: score the extractor with weights fitted on all the others."""
    from signals import reader
    from signals.extraction import extract

    known = kinds_of(reads)
    clauses = _clauses(reads, known)
    fits, scores = strangers(reads, clauses)
    fold = folds(reads)
    every = []
    for f in range(FOLDS):
        taught = np.flatnonzero(fold != f)
        networks = [learn(reads, clauses, scores, taught) for learn in (_context, _apart)]
        fitted = _weights([reads[i] for i in taught], known, fits[f], *networks)
        left = [reads[i] for i in np.flatnonzero(fold == f) if reads[i].author.startswith("notes")]
        with patch.object(reader, "weights", return_value=fitted):
            for author in sorted({r.author for r in left}):
                found = [score(r.marks, extract(r.note)) for r in left if r.author == author]
                every += found
                print(author, total(found), sep=": ", flush=True)
    print("all", total(every), sep=": ")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--held-out", action="store_true", help="leave authors out in turn and score")
    chosen = parser.parse_args()
    reads = load(sorted(CORPUS.glob("*.jsonl")))
    print(f"{len(reads):,} notes and passages, {sum(len(r.marks) for r in reads):,} marks", file=sys.stderr)
    if chosen.held_out:
        held_out(reads)
        return
    write(fit(reads))
    print(f"written: {WEIGHTS} ({WEIGHTS.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
