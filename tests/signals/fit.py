"""Fit the reader's weights on the corpus beside this file, and say how it does on authors it has not seen.

    python tests/signals/fit.py              write signals/data/reader.npz (about ten minutes)
    python tests/signals/fit.py --held-out   leave a fifth of the authors out in turn, print scores only (fifteen)

1. ``load``        corpus → notes scanned, rules met, each clause with the marks it is at least half of
2. ``strangers``   fits that have not seen an author read him: event or not; which kind if one
3. ``fit``         the same by all notes; the clauses around, by 2; sign and certainty of marked events
4. ``write``       to integers of eight bits with one scale a column

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

from signals.extract import ruled
from signals.features import BEARING_COLUMNS, CERTAINTIES, COLUMNS, SIGNS, Array, Features, features, names
from signals.lexicon import lexicon
from signals.model import Weights, fading, in_context
from signals.note import Note, note_from_text
from signals.sentences import Scan, scan

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WEIGHTS = HERE.parents[1] / "signals" / "data" / "reader.npz"
FOLDS = 5
NETWORKS = 2
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
        code / "features.py",
        code / "model.py",
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
    n = seen.told.shape[0]
    joined = seen.joined.astype(np.float32)
    down = sparse.diags_array(joined, offsets=-1, shape=(n, n))
    up = sparse.diags_array(joined, offsets=1, shape=(n, n))
    own, before, after = (seen.runs[i * n : (i + 1) * n] for i in range(3))
    table = sparse.hstack(
        [own + down @ before + up @ after, seen.told, down @ seen.told, up @ seen.told]
    ).tocsr()
    table.eliminate_zeros()  # of neighbours in other sentences
    return table


@dataclass(frozen=True, slots=True, eq=False)
class Clauses:
    """Every clause of some notes, as the fits want them."""

    sees: Any  # sparse, a row a clause
    runs: Any  # of ``sees`` its own runs
    says: list[list[int]]  # the kinds it states
    read: Array  # the note it is of
    weight: Array  # of a passage less, since nearly all of them state an event
    near: Array  # (n, K) how much is told of each kind around it, itself counted most

    def of(self, reads: Array) -> Clauses:
        at = np.flatnonzero(np.isin(self.read, reads))
        return Clauses(
            _indexed(self.sees[at]),
            self.runs[at],
            [self.says[i] for i in at.tolist()],
            self.read[at],
            self.weight[at],
            self.near[at],
        )


def _clauses(reads: list[Read], known: tuple[str, ...]) -> Clauses:
    says = [[[known.index(kind) for kind in s if kind in known] for s in read.said] for read in reads]
    return Clauses(
        _indexed(sparse.vstack([rows(read.seen) for read in reads]).tocsr()),
        sparse.vstack([read.seen.runs[: len(read.said)] for read in reads]).tocsr(),
        [s for read in says for s in read],
        np.repeat(np.arange(len(reads)), [len(read.said) for read in reads]),
        np.concatenate([np.full(len(r.said), 1.0 if r.author.startswith("notes") else 0.5) for r in reads]),
        np.concatenate([_near(read, len(known)) for read in says]),
    )


def _near(says: list[list[int]], kinds: int) -> Array:
    """What is told of around each clause of one note: fading on both sides, itself as four such."""
    told = np.zeros((len(says), kinds), np.float32)
    for i, s in enumerate(says):
        told[i, s] = 1.0
    return 2 * told + fading(told) + fading(told[::-1])[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class ByItself:
    """What a fit makes of a clause's own words; see ``Weights``."""

    words: Array  # (columns, 1 + K)
    bias: Array
    near: Array  # (COLUMNS, K)

    def read(self, clauses: Clauses) -> Array:
        """(n, 1 + 2K), as ``Weights.by_itself`` has it."""
        near = (clauses.runs @ self.near) / np.sqrt(clauses.runs.sum(axis=1))[:, None]
        return np.concatenate([clauses.sees @ self.words + self.bias, near], axis=1, dtype=np.float32)


def _by_itself(clauses: Clauses) -> ByItself:
    """Whether there is an event, which kind it is, and what is told of around such words.

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
    share = (clauses.near.sum(axis=0) + 1) / (clauses.near.sum() + clauses.near.shape[1])
    count = clauses.runs.T @ clauses.near
    near = np.log((count + SMOOTHED * share) / (count.sum(axis=1, keepdims=True) + SMOOTHED) / share)
    return ByItself(
        np.concatenate([event.coef_.T, kind.coef_.T * rare[:, None]], axis=1).astype(np.float32),
        np.concatenate([event.intercept_, kind.intercept_]).astype(np.float32),
        near.astype(np.float32),
    )


def _stated(says: list[list[int]], nothing: tuple[int, ...] = ()) -> tuple[Array, Array]:
    """Clause and kind of every event; of a clause without one ``nothing``."""
    stated = np.array([(i, k) for i, s in enumerate(says) for k in s or nothing])
    return stated[:, 0], stated[:, 1]


def strangers(reads: list[Read], clauses: Clauses) -> tuple[list[ByItself], Array]:
    """Leave a fifth of the authors out in turn: each fit by itself, and what it says of the clauses left out.

    What the clauses around say can only be weighed by how a fit reads notes it has not seen.
    """
    fold = folds(reads)
    fits = Parallel(n_jobs=-1, max_nbytes=None)(  # else the fits find their arrays read-only
        delayed(_by_itself)(clauses.of(np.flatnonzero(fold != f))) for f in range(FOLDS)
    )
    scores = np.empty((len(clauses.says), 1 + 2 * clauses.near.shape[1]), np.float32)
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


def _context(
    reads: list[Read], clauses: Clauses, scores: Array, taught: Array
) -> tuple[Array, Array, Array, Array]:
    """Networks of each clause and those around it, for notes ``taught``: ``hidden``, its bias, ``out``, its bias."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    of = clauses.of(taught)
    at = np.flatnonzero(np.isin(clauses.read, taught))
    mine = [scores[at[of.read == i]] for i in taught.tolist()]
    around = np.concatenate(
        [in_context(s, reads[i].seen.joined) for s, i in zip(mine, taught.tolist(), strict=True) if len(s)]
    )
    mean, scale = around.mean(axis=0), around.std(axis=0) + 1e-3
    row, which = _stated(of.says, nothing=(-1,))
    nets = [
        MLPClassifier((128,), alpha=0.4, batch_size=512, max_iter=10, random_state=seed).fit(
            ((around - mean) / scale)[row], which + 1, sample_weight=of.weight[row]
        )
        for seed in range(NETWORKS)
    ]
    # as one network: the layers side by side, their answers' mean
    hidden = np.concatenate([net.coefs_[0] for net in nets], axis=1)
    hidden_bias = np.concatenate([net.intercepts_[0] for net in nets])
    answers = 1 + scores.shape[1] // 2
    out = np.zeros((hidden_bias.size, answers))
    out_bias = np.full(answers, -30.0)  # of kinds that none of these notes state
    out[:, nets[0].classes_] = np.concatenate([net.coefs_[1] for net in nets]) / NETWORKS
    out_bias[nets[0].classes_] = np.mean([net.intercepts_[1] for net in nets], axis=0)
    found = (hidden / scale[:, None], hidden_bias - mean / scale @ hidden, out, out_bias)
    return tuple(array.astype(np.float32) for array in found)  # type: ignore[return-value]


def fit(reads: list[Read]) -> Weights:
    """The weights of some notes."""
    known = kinds_of(reads)
    clauses = _clauses(reads, known)
    _, scores = strangers(reads, clauses)
    return _weights(
        reads, known, _by_itself(clauses), _context(reads, clauses, scores, np.arange(len(reads)))
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
        words[:COLUMNS],
        by_itself.near,
        words[COLUMNS:].reshape(3, m, -1).transpose(1, 0, 2).reshape(m, -1),
        by_itself.bias,
        *context,
        says[:BEARING_COLUMNS],
        says[BEARING_COLUMNS:-k],
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
            rows.append(sparse.hstack([*read.seen.bearing(events, len(known)), kinds]))
    return _indexed(sparse.vstack(rows).tocsr()), bearing


def _indexed(matrix: Any) -> Any:
    """With the 32-bit indices that liblinear wants."""
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def write(fitted: Weights, path: Path = WEIGHTS) -> None:
    """Save: eight bits a weight of the runs, sixteen the rest."""
    held = {}
    for name, runs in (("runs", fitted.runs), ("near_runs", fitted.near), ("says_runs", fitted.says_runs)):
        scale = np.abs(runs).max(axis=0) / 127
        held |= {name: np.round(runs / scale).astype(np.int8), name.replace("runs", "scale"): scale}
    np.savez_compressed(
        path,
        kinds=np.array(fitted.kinds),
        names=np.array(names()),
        told=fitted.told.astype(np.float16),
        bias=fitted.bias,
        hidden=fitted.hidden,
        hidden_bias=fitted.hidden_bias,
        out=fitted.out,
        out_bias=fitted.out_bias,
        says_told=fitted.says_told.reshape(-1, len(names()), 7).astype(np.float16),
        says_kind=fitted.says_kind,
        digest=np.array(digest()),
        **held,
    )


def held_out(reads: list[Read]) -> None:
    """A fifth of the authors at a time: score the extractor with weights fitted on all the others."""
    from signals import reader
    from signals.extract import extract

    known = kinds_of(reads)
    clauses = _clauses(reads, known)
    fits, scores = strangers(reads, clauses)
    fold = folds(reads)
    every = []
    for f in range(FOLDS):
        taught = np.flatnonzero(fold != f)
        context = _context(reads, clauses, scores, taught)
        fitted = _weights([reads[i] for i in taught], known, fits[f], context)
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
