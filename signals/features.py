"""What the reader sees of each clause: runs of one to three characters, the word classes, the rules met there.

Runs are columns among 2**17, found by hashing, so that there is no vocabulary to keep. A name or an amount counts
as one character that says only what it is (a supplier, a percentage), so that what is learnt of one company holds
for the next. Of the clauses before and after it in its sentence a clause sees the pairs of characters, and the
classes and rules; each as a feature of its own.

How an event bears, and how sure it is, is read from the runs of its own clauses, each seen twice: as itself, and
as said of that kind of event (a margin that falls is bad news, a price of copper that falls is not).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from signals.lexicon import kinds, lexicon
from signals.loops import BEARING_BITS, BITS, SPREAD, Array, loop
from signals.match import Candidate
from signals.sentences import Clause, Scan
from signals.sums import Ones

__all__ = [
    "BEARING_COLUMNS",
    "CERTAINTIES",
    "COLUMNS",
    "SIGNS",
    "Features",
    "features",
    "names",
    "runs",
]

SIGNS = (-1, 0, 1)
CERTAINTIES = ("fact", "forecast", "opinion", "conditional")
COLUMNS, BEARING_COLUMNS = 1 << BITS, 1 << BEARING_BITS


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Features:
    """What is seen of n clauses.

    Args:
        runs: n x COLUMNS, the runs of each clause.
        before: n x COLUMNS, the pairs of each clause as the clause behind it sees them.
        after: n x COLUMNS, the same as the clause in front of it does.
        told: n x ``names``, the classes and rules of each clause.
        joined: (n - 1,) whether a clause and the next are of one sentence.
        hashed: of ``runs``, as they are before they become columns.
        where: of ``runs``, start and end in the squeezed text.
    """

    runs: Ones
    before: Ones
    after: Ones
    told: Ones
    joined: Array
    hashed: Array
    where: Array

    def bearing(self, events: Sequence[tuple[int, str, int, int]], kinds: int) -> tuple[Ones, Ones]:
        """What is seen of events, each the number of its kind among K ``kinds``, its name, its first and last clause.

        Returns:
            events x BEARING_COLUMNS: the runs of its clauses, each as one of any event and as one of an event of its
            kind. And events x (1 + K)M: the ``names`` its clauses have, in the first M columns as in any event, in the
            M of its kind as in one of that kind.
        """
        which = np.array([(number, lo, hi) for number, _, lo, hi in events], np.int32)
        salts = np.array([_of_kind(kind) for _, kind, _, _ in events], np.uint64)
        lo, hi = which[:, 1], which[:, 2] + 1
        runs, told = (
            Ones(
                np.empty(2 * int((ones.first[hi] - ones.first[lo]).sum()), np.int32),
                _first(len(events)),
                width,
            )
            for ones, width in ((self.runs, BEARING_COLUMNS), (self.told, (1 + kinds) * self.told.width))
        )
        loop("bearing")(
            events=which,
            salts=salts,
            hashed=self.hashed,
            first=self.runs.first,
            told=self.told.columns,
            told_first=self.told.first,
            names=self.told.width,
            columns=runs.columns,
            ends=runs.first,
            told_columns=told.columns,
            told_ends=told.first,
        )
        return runs, told


def features(found: Scan, ruled: Iterable[Candidate] = ()) -> Features:
    """The features of every clause; ``ruled`` are the rules met, with what they say of sign and certainty."""
    sentences = np.array([clause.sentence for clause in found.clauses])
    runs, before, after, hashed, where = _runs(found, found.clauses)
    return Features(runs, before, after, _told(found, ruled), sentences[:-1] == sentences[1:], hashed, where)


@cache
def names() -> tuple[str, ...]:
    """The columns of ``Features.told``: every word class, what rules of each kind said, and whether it is asked."""
    return (*sorted(lexicon().bits), *_ruled_names(), "asked")


@cache
def _ruled_names() -> tuple[str, ...]:
    of_kind = [f"rule {row['kind']}" for row in kinds()]
    return (*of_kind, *(f"rule says {sign:+d}" for sign in SIGNS), *(f"rule says {c}" for c in CERTAINTIES))


def runs(found: Scan, clause: Clause) -> Iterator[tuple[int, int, int]]:
    """Column, start and end (squeezed text) of each run of characters in one clause."""
    own, _, _, _, where = _runs(found, [clause])
    for column, (start, end) in zip(own.columns.tolist(), where.tolist(), strict=True):
        yield column, start, end


def _first(rows: int) -> Array:
    return np.zeros(rows + 1, np.int32)


def _runs(found: Scan, clauses: list[Clause]) -> tuple[Ones, Ones, Ones, Array, Array]:
    """Of some clauses all of ``Features`` that is made of characters, a name or an amount being one of them."""
    start = np.array([clause.start for clause in clauses], np.int32)
    end = np.array([clause.end for clause in clauses], np.int32)
    most = int((end - start).sum()) + len(clauses)  # of what is read, with the edge that opens each clause
    hashed, where = np.empty(3 * most, np.uint64), np.empty((3 * most, 2), np.int32)
    columns, before, after = (np.empty(size, np.int32) for size in (3 * most, most, most))
    first, pair_first = _first(len(clauses)), _first(len(clauses))
    loop("runs")(
        text=found.squeezed.codes,
        start=start,
        end=end,
        signs=np.array(_signs(clauses), np.int32),
        spelt=np.empty((int((end - start).max()) + 2, 3), np.int32),
        hashed=hashed,
        columns=columns,
        where=where,
        first=first,
        before=before,
        after=after,
        pair_first=pair_first,
    )
    n, pairs = first[-1], pair_first[-1]
    return (
        Ones(columns[:n], first, COLUMNS),
        Ones(before[:pairs], pair_first, COLUMNS),
        Ones(after[:pairs], pair_first, COLUMNS),
        hashed[:n],
        where[:n],
    )


def _signs(clauses: Iterable[Clause]) -> list[int]:
    """Start, end and stand-in of each name and amount of some clauses, in order; of two that overlap, the first."""
    signs: list[int] = []
    for clause in clauses:
        if not clause.hits and not clause.quantities:  # sparing the rest two lists
            continue
        found = [(h.start, h.end, _sign(h.entity.mask)) for h in clause.hits if h.entity]
        if clause.quantities:
            found += [(q.start, q.end, _stand_in(q.cls)) for q in clause.quantities]
            found.sort()
        at = clause.start
        for sign in found:
            if sign[0] >= at:
                signs += sign
                at = sign[1]
    return signs


@cache
def _sign(mask: int) -> int:
    """Of the first class of an entity."""
    return _stand_in(lexicon().names(mask & -mask)[0])


@cache
def _stand_in(name: str) -> int:
    """A character of a private plane for a class."""
    return 0xF0000 + zlib.crc32(name.encode()) % 0xFFFD


@cache
def _of_kind(kind: str) -> np.uint64:
    """What makes a run in an event of a kind another than the run itself."""
    return np.uint64((zlib.crc32(kind.encode()) + 1) * int(SPREAD) % 2**64)


@cache
def _column_of_bit() -> Array:
    """The column in ``names`` of each class, by its bit."""
    bits = lexicon().bits
    columns = np.zeros(max(bits.values()) + 1, np.int32)
    for column, name in enumerate(sorted(bits)):
        columns[bits[name]] = column
    return columns


def _told(found: Scan, ruled: Iterable[Candidate]) -> Ones:
    clauses, column_of = found.clauses, _column_of_bit()
    width = (column_of.size + 7) // 8
    masks = np.frombuffer(b"".join([clause.mask.to_bytes(width, "little") for clause in clauses]), np.uint8)
    more = np.zeros((len(clauses), len(names()) - column_of.size), np.bool_)
    said = [
        (i, column)
        for c in ruled
        for column in _ruled_columns(c.rule.kind, c.polarity, c.certainty)
        for i in range(c.lo, c.hi + 1)
    ]
    said += [(i, -1) for first, stop, _, asks in found.sentences if asks for i in range(first, stop)]
    if said:
        more[tuple(zip(*said, strict=True))] = True
    size = int(np.bitwise_count(masks).sum()) + np.count_nonzero(more)
    told = Ones(np.empty(size, np.int32), _first(len(clauses)), len(names()))
    loop("told")(
        masks=masks.reshape(-1, width), column_of=column_of, more=more, columns=told.columns, first=told.first
    )
    return told


@cache
def _ruled_columns(kind: str, sign: int, certainty: str) -> list[int]:
    """The columns behind the classes' of what a rule says."""
    said = (f"rule {kind}", f"rule says {sign:+d}", f"rule says {certainty}")
    return [_ruled_names().index(name) for name in said]
