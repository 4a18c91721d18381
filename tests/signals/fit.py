"""Fit the reader's weights on the corpus beside this file, and say how it does on authors it has not seen.

    python tests/signals/fit.py              write signals/data/reader.npz (about a minute)
    python tests/signals/fit.py --held-out   leave a fifth of the authors out in turn, print scores, write nothing

1. ``load``        corpus → notes scanned, rules met, each clause with the marks it is at least half of
2. ``fit``         event or not; which kind if one; sign and certainty of marked events
3. ``write``       to integers of eight bits with one scale a column

A passage is a note of one or two sentences. Whatever a reader would have to look up is in corpus/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from marks import Mark, read_notes, score, total
from scipy import sparse

from signals.extract import ruled
from signals.features import CERTAINTIES, SIGNS, Features, features, names
from signals.lexicon import lexicon
from signals.note import Note, note_from_text
from signals.reader import Weights
from signals.sentences import Scan, scan

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WEIGHTS = HERE.parents[1] / "signals" / "data" / "reader.npz"
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
    for path in (
        *sorted(CORPUS.glob("*.jsonl")),
        Path(__file__),
        HERE.parents[1] / "signals" / "features.py",
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
    n = len(seen.told)
    joined = seen.joined.astype(np.float32)
    down = sparse.diags_array(joined, offsets=-1, shape=(n, n))
    up = sparse.diags_array(joined, offsets=1, shape=(n, n))
    told = seen.named
    return sparse.hstack(
        [seen.own + down @ seen.before + up @ seen.after, told, down @ told, up @ told]
    ).tocsr()


def fit(reads: list[Read]) -> Weights:
    """The weights of some notes."""
    from sklearn.linear_model import LogisticRegression

    count = Counter(mark.kind for read in reads for mark in read.marks)
    known = tuple(sorted(kind for kind, n in count.items() if n >= ENOUGH))
    table = [rows(read.seen) for read in reads]
    clauses = _indexed(sparse.vstack(table).tocsr())
    said = [[kind for kind in s if kind in known] for read in reads for s in read.said]
    event = LogisticRegression(C=0.05, solver="liblinear", intercept_scaling=10).fit(
        clauses, np.array([bool(s) for s in said])
    )
    which = [(i, known.index(kind)) for i, s in enumerate(said) for kind in s]
    kind = LogisticRegression(C=0.5, max_iter=60).fit(
        _indexed(clauses[np.array([i for i, _ in which])]), np.array([k for _, k in which])
    )
    spans, bearing = _events(reads, table, known)
    sign, certain = (
        LogisticRegression(C=0.1, max_iter=100).fit(spans, np.array([order.index(b[i]) for b in bearing]))
        for i, order in enumerate((SIGNS, CERTAINTIES))
    )
    m, k, columns = len(names()), len(known), reads[0].seen.own.shape[1]
    heads = np.concatenate([sign.coef_, certain.coef_]).T.astype(np.float32)
    all_ = np.concatenate([event.coef_.T, kind.coef_.T, heads[: columns + 3 * m]], axis=1).astype(np.float32)
    of_kind = heads[columns + 3 * m :]
    return Weights(
        known,
        all_[:columns],
        all_[columns:].reshape(3, m, -1),
        np.concatenate([event.intercept_, kind.intercept_]).astype(np.float32),
        of_kind[:k] + np.concatenate([sign.intercept_, certain.intercept_]).astype(np.float32),
        of_kind[k:].reshape(k, m, -1),
    )


def _events(reads: list[Read], table: list[Any], known: tuple[str, ...]) -> tuple[Any, list[tuple[int, str]]]:
    """Of every mark: the sum of its clauses, its kind, its kind with each class in it; and sign and certainty."""
    k = len(known)
    spans, bearing = [], []
    for read, clauses in zip(reads, table, strict=True):
        for number, mark in enumerate(read.marks):
            at = [i for i, s in enumerate(read.said) if s.get(mark.kind) == number]
            if not at or mark.kind not in known:
                continue
            of_kind = np.zeros(k, np.float32)
            of_kind[known.index(mark.kind)] = 1.0
            told = np.kron(of_kind, read.seen.told[at].max(axis=0))
            summed = sparse.csr_array(clauses[at].sum(axis=0).reshape(1, -1))
            spans.append(sparse.hstack([summed, sparse.csr_array(np.concatenate([of_kind, told])[None])]))
            bearing.append((mark.polarity, mark.certainty))
    return _indexed(sparse.vstack(spans).tocsr()), bearing


def _indexed(matrix: Any) -> Any:
    """With the 32-bit indices that liblinear wants."""
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return matrix


def write(fitted: Weights, path: Path = WEIGHTS) -> None:
    """Save: eight bits a weight of the runs, sixteen the rest."""
    scale = np.abs(fitted.runs).max(axis=0) / 127
    np.savez_compressed(
        path,
        kinds=np.array(fitted.kinds),
        names=np.array(names()),
        runs=np.round(fitted.runs / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        told=fitted.told.astype(np.float16),
        bias=fitted.bias,
        of_kind=fitted.of_kind,
        of_kind_told=fitted.of_kind_told.astype(np.float16),
        digest=np.array(digest()),
    )


def held_out(reads: list[Read]) -> None:
    """A fifth of the authors at a time: score the extractor with weights fitted on all the others."""
    from signals import reader
    from signals.extract import extract

    authors = sorted({r.author for r in reads if r.author.startswith("notes")})
    every = []
    for fold in range(5):
        fitted = fit([r for r in reads if r.author not in authors[fold::5]])
        with patch.object(reader, "weights", return_value=fitted):
            for author in authors[fold::5]:
                scores = [score(r.marks, extract(r.note)) for r in reads if r.author == author]
                every += scores
                print(author, total(scores), sep=": ", flush=True)
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
