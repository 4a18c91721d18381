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
from typing import Any

import numpy as np

from signals.lexicon import kinds, lexicon
from signals.loops import Array
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
_BITS, _BEARING_BITS = 17, 18
COLUMNS, BEARING_COLUMNS = 1 << _BITS, 1 << _BEARING_BITS
_EDGE = np.uint64(ord("\n"))
"""Between clauses; a run may begin or end there, so that first and last words are known as such."""
_SPREAD, _ROLL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # odd, without pattern
_OWN, _BEFORE, _AFTER = np.uint64(0), np.uint64(0x1F83D9ABFB41BD6B), np.uint64(0x5BE0CD19137E2179)


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Features:
    """What is seen of n clauses.

    Args:
        runs: n x COLUMNS, the runs of each clause.
        shared: 2n x COLUMNS: the pairs of each clause as the clause behind sees them; then as the one in front does.
        told: n x ``names``, the classes and rules of each clause.
        joined: (n - 1,) whether a clause and the next are of one sentence.
        hashed: of ``runs``, as they are before they become columns.
    """

    runs: Ones
    shared: Ones
    told: Ones
    joined: Array
    hashed: Array

    def bearing(self, events: Sequence[tuple[int, str, int, int]], kinds: int) -> tuple[Ones, Ones]:
        """What is seen of events, each the number of its kind among K ``kinds``, its name, its first and last clause.

        Returns:
            events x BEARING_COLUMNS: the runs of its clauses, each as one of any event and as one of an event of its
            kind. And events x (1 + K)M: the ``names`` its clauses have, in the first M columns as in any event, in the
            M of its kind as in one of that kind.
        """
        number, lo, hi = (np.array([event[i] for event in events]) for i in (0, 2, 3))
        at, sizes = _ranges(self.runs.first[lo], self.runs.first[hi + 1])
        salts = np.repeat(np.array([_of_kind(kind) for _, kind, _, _ in events], np.uint64), sizes)
        hashed = self.hashed[at]
        any_event, its_kind = (_columns(hashed, salt, _BEARING_BITS) for salt in (_OWN, salts))
        at, told = _ranges(self.told.first[lo], self.told.first[hi + 1])
        name, m = self.told.columns[at], self.told.width
        return (
            _twice(any_event, its_kind, sizes, BEARING_COLUMNS),
            _twice(name, name + np.repeat((1 + number) * m, told), told, (1 + kinds) * m),
        )


def _ranges(start: Array, stop: Array) -> tuple[Array, Array]:
    """The whole numbers of several ranges, one after the other, and how many each has."""
    sizes = stop - start
    ends = np.cumsum(sizes)
    return np.arange(ends[-1]) + np.repeat(start - ends + sizes, sizes), sizes


def _twice(one: Array, other: Array, sizes: Array, width: int) -> Ones:
    """Rows of ones: in each so many of both columns as ``sizes`` says."""
    both = np.stack([one, other], axis=1).ravel().astype(np.int32)
    return Ones(both, np.append(0, 2 * np.cumsum(sizes)).astype(np.int32), width)


def features(found: Scan, ruled: Iterable[Candidate] = ()) -> Features:
    """The features of every clause; ``ruled`` are the rules met, with what they say of sign and certainty."""
    codes = _spelt(found, found.clauses)
    edge = codes == _EDGE
    starts = np.flatnonzero(edge)  # an edge belongs to the clause it opens; the last opens none
    hashed = _hashes(codes)
    whole = _whole_runs(edge)
    pair = ~edge & np.append(~edge[1:], False)
    own, shared = hashed[whole], hashed[pair, 1]
    kept, passed = (
        np.append(0, np.cumsum(valid, dtype=np.int32))[starts]
        for valid in (np.count_nonzero(whole, axis=1), pair)
    )
    sentences = np.array([clause.sentence for clause in found.clauses])
    return Features(
        Ones(_columns(own, _OWN), kept.astype(np.int32), COLUMNS),
        Ones(
            np.concatenate([_columns(shared, _BEFORE), _columns(shared, _AFTER)]),
            np.concatenate([passed[:-1], shared.size + passed]).astype(np.int32),
            COLUMNS,
        ),
        _told(found, ruled),
        sentences[:-1] == sentences[1:],
        own,
    )


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
    places: list[tuple[int, int] | None] = [None]  # where each of the codes stood
    at = clause.start
    for start, end, _ in _signs([clause]):
        places += [*((k, k + 1) for k in range(at, start)), (start, end)]
        at = end
    places += [*((k, k + 1) for k in range(at, clause.end)), None]
    codes = _spelt(found, [clause])
    columns = _columns(_hashes(codes), _OWN)
    for k, n in zip(*np.nonzero(_whole_runs(codes == _EDGE)), strict=True):
        inside = [place for place in places[k : k + n + 1] if place is not None]
        yield int(columns[k, n]), inside[0][0], inside[-1][1]


def _spelt(found: Scan, clauses: list[Clause]) -> Array:
    """The characters of clauses, names and amounts as one each, with one edge between clauses and around them."""
    text = found.squeezed.text.encode("utf-32-le", "surrogatepass")
    codes = np.full(len(text) // 4 + 2, _EDGE)  # the first and the last for edges where no text is
    codes[1:-1] = np.frombuffer(text, np.uint32)
    # +1 where something begins, -1 behind its end: summed, how many of them a place is within
    shown = np.zeros(codes.size, np.int8)
    first = np.array([clause.start for clause in clauses])
    stop = np.array([clause.end + 1 for clause in clauses])
    codes[first] = codes[stop] = _EDGE
    shown[first] += 1  # with the edge that opens it
    shown[stop] -= 1
    if signs := _signs(clauses):
        start, end, sign = np.array(signs).T
        codes[start + 1] = sign
        shown[start + 2] -= 1
        shown[end + 1] += 1
    kept = np.cumsum(shown, dtype=np.int8) > 0
    kept[stop[-1]] = True
    return codes[kept]


def _signs(clauses: Iterable[Clause]) -> list[tuple[int, int, int]]:
    """Start, end and stand-in of each name and amount of some clauses, in order; of two that overlap, the first."""
    signs: list[tuple[int, int, int]] = []
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
                signs.append(sign)
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


def _hashes(codes: Array) -> Array:
    """Of the runs of one, two and three codes that begin at each place; nonsense where the text ends first."""
    spread = codes * _SPREAD
    hashed = np.zeros((codes.size, 3), np.uint64)
    hashed[:, 0] = spread
    hashed[:-1, 1] = (spread[:-1] * _ROLL) ^ spread[1:]
    hashed[:-2, 2] = (hashed[:-2, 1] * _ROLL) ^ spread[2:]
    return hashed


def _whole_runs(edge: Array) -> Array:
    """Which of those runs are within one clause: more than edges, and no edge in the middle."""
    valid = np.zeros((edge.size, 3), np.bool_)
    valid[:, 0] = ~edge
    valid[:-1, 1] = ~(edge[:-1] & edge[1:])
    valid[:-2, 2] = ~edge[1:-1]
    return valid


def _columns(hashed: Array, salt: Any, bits: int = _BITS) -> Array:
    mixed = hashed ^ salt
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _ROLL
    return np.asarray((mixed >> np.uint64(64 - bits)).astype(np.int32))


@cache
def _of_kind(kind: str) -> np.uint64:
    """What makes a run in an event of a kind another than the run itself."""
    return np.uint64((zlib.crc32(kind.encode()) + 1) * int(_SPREAD) % 2**64)


@cache
def _column_of_bit() -> Array:
    """The column in ``names`` of each class, by its bit."""
    bits = lexicon().bits
    columns = np.zeros(max(bits.values()) + 1, np.int64)
    for column, name in enumerate(sorted(bits)):
        columns[bits[name]] = column
    return columns


def _told(found: Scan, ruled: Iterable[Candidate]) -> Ones:
    clauses = found.clauses
    of_bit = _column_of_bit()
    width = (of_bit.size + 7) // 8
    raw = np.frombuffer(b"".join([clause.mask.to_bytes(width, "little") for clause in clauses]), np.uint8)
    some = np.flatnonzero(raw)  # few bytes have any bit set
    byte, bit = np.nonzero(np.unpackbits(raw[some, None], axis=1, bitorder="little"))
    clause, byte = np.divmod(some[byte], width)
    m = len(names())
    told = np.zeros(len(clauses) * m, np.bool_)
    told[clause * m + of_bit[8 * byte + bit]] = True
    told[
        [
            i * m + column
            for c in ruled
            for column in _ruled_columns(c.rule.kind, c.polarity, c.certainty)
            for i in range(c.lo, c.hi + 1)
        ]
    ] = True
    for first, stop, _, asks in found.sentences:
        if asks:
            told[first * m + m - 1 : stop * m : m] = True
    at = np.flatnonzero(told)
    first_of = np.searchsorted(at, np.arange(0, told.size + 1, m))
    return Ones((at % m).astype(np.int32), first_of.astype(np.int32), m)


@cache
def _ruled_columns(kind: str, sign: int, certainty: str) -> list[int]:
    said = (f"rule {kind}", f"rule says {sign:+d}", f"rule says {certainty}")
    return [names().index(name) for name in said]
