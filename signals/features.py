"""What the reader sees of each clause: runs of one to three characters, the word classes, the rules met there.

Runs are columns among 2**17, found by hashing, so that there is no vocabulary to keep. A name or an amount counts
as one character that says only what it is (a supplier, a percentage), so that what is learnt of one company holds
for the next. Of the clauses before and after it in its sentence a clause sees the runs of two and three, and the
classes and rules; each as a feature of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from signals.lexicon import kinds, lexicon
from signals.match import Candidate
from signals.sentences import Clause, Scan

__all__ = ["CERTAINTIES", "COLUMNS", "SIGNS", "Array", "Features", "features", "names", "runs"]

Array = np.ndarray[Any, np.dtype[Any]]

SIGNS = (-1, 0, 1)
CERTAINTIES = ("fact", "forecast", "opinion", "conditional")
_BITS = 17
COLUMNS = 1 << _BITS
_EDGE = "\n"  # between clauses; a run may begin or end there, so that first and last words are known as such
_SPREAD, _ROLL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)  # odd, without pattern
_OWN, _BEFORE, _AFTER = np.uint64(0), np.uint64(0x1F83D9ABFB41BD6B), np.uint64(0x5BE0CD19137E2179)


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Features:
    """What is seen of n clauses.

    Args:
        own: n x COLUMNS, the runs of each clause.
        before, after: n x COLUMNS, its runs as the clause behind it and the clause in front of it see them.
        told: n x ``names``, the classes and rules of each clause, 0 or 1; ``named``: the same, sparse.
        joined: (n - 1,) whether a clause and the next are of one sentence.
    """

    own: csr_array
    before: csr_array
    after: csr_array
    told: Array
    named: csr_array
    joined: Array


def features(found: Scan, ruled: Iterable[Candidate] = ()) -> Features:
    """The features of every clause; ``ruled`` are the rules met, with what they say of sign and certainty."""
    clauses = found.clauses
    codes = _codes(_spelt(found, clauses))
    edge = codes == ord(_EDGE)
    starts = np.flatnonzero(edge)  # an edge belongs to the clause it opens; the last opens none
    hashed = _hashes(codes)
    valid = _whole_runs(edge)
    inner = valid.copy()
    inner[:, 0] = False
    for n in (1, 2):  # runs of two and three that touch no edge
        inner[:, n] &= ~edge & ~np.append(edge[n:], [True] * n)
    sentences = np.array([clause.sentence for clause in clauses], np.int64)
    told = _told(found, ruled)
    return Features(
        _sparse(hashed, valid, starts, _OWN),
        _sparse(hashed, inner, starts, _BEFORE),
        _sparse(hashed, inner, starts, _AFTER),
        told,
        csr_array(told),
        sentences[:-1] == sentences[1:],
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
    codes = _codes(_spelt(found, [clause]))
    places: list[tuple[int, int] | None] = [None]  # where each of the codes stood
    at = clause.start
    for start, end, _ in _signs(clause):
        if start >= at:
            places += [*((k, k + 1) for k in range(at, start)), (start, end)]
            at = end
    places += [*((k, k + 1) for k in range(at, clause.end)), None]
    columns = _columns(_hashes(codes), _OWN)
    for k, n in zip(*np.nonzero(_whole_runs(codes == ord(_EDGE))), strict=True):
        inside = [place for place in places[k : k + n + 1] if place is not None]
        yield int(columns[k, n]), inside[0][0], inside[-1][1]


def _spelt(found: Scan, clauses: Iterable[Clause]) -> str:
    """Clauses with names and amounts as one character each, and edges around them."""
    text = found.squeezed.text
    parts = [_EDGE]
    for clause in clauses:
        at = clause.start
        if clause.hits or clause.quantities:  # sparing the rest two lists
            for start, end, sign in _signs(clause):
                if start >= at:
                    parts += (text[at:start], sign)
                    at = end
        parts += (text[at : clause.end], _EDGE)
    return "".join(parts)


def _signs(clause: Clause) -> list[tuple[int, int, str]]:
    """Start, end and stand-in of each name and amount of a clause, in order."""
    found = [(h.start, h.end, _sign(h.entity.mask & -h.entity.mask)) for h in clause.hits if h.entity]
    if clause.quantities:
        found += [(q.start, q.end, _stand_in(q.cls)) for q in clause.quantities]
        found.sort()
    return found


@cache
def _sign(bit: int) -> str:
    return _stand_in(lexicon().names(bit)[0])


@cache
def _stand_in(name: str) -> str:
    """A character of a private plane for a class."""
    return chr(0xF0000 + zlib.crc32(name.encode()) % 0xFFFD)


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)


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


def _columns(hashed: Array, salt: np.uint64) -> Array:
    mixed = hashed ^ salt
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _ROLL
    return (mixed >> np.uint64(64 - _BITS)).astype(np.int32)


def _sparse(hashed: Array, valid: Array, starts: Array, salt: np.uint64) -> csr_array:
    """Clauses x COLUMNS with a 1 for each valid run."""
    kept = np.append(0, np.cumsum(valid.sum(axis=1)))
    columns = _columns(hashed[valid], salt)
    ones = np.ones(columns.size, np.float32)
    return csr_array((ones, columns, kept[starts].astype(np.int32)), shape=(starts.size - 1, COLUMNS))


@cache
def _order() -> Array:
    """The bit of each class in ``names``."""
    bits = lexicon().bits
    return np.array([bits[name] for name in sorted(bits)])


def _told(found: Scan, ruled: Iterable[Candidate]) -> Array:
    clauses, known = found.clauses, len(_order())
    width = (known + 7) // 8
    raw = b"".join(clause.mask.to_bytes(width, "little") for clause in clauses)
    bits = np.unpackbits(np.frombuffer(raw, np.uint8).reshape(-1, width), axis=1, bitorder="little")
    told = np.zeros((len(clauses), len(names())), np.float32)
    told[:, :known] = bits[:, _order()]
    for c in ruled:
        for said in (f"rule {c.rule.kind}", f"rule says {c.polarity:+d}", f"rule says {c.certainty}"):
            told[c.lo : c.hi + 1, _column(said)] = 1.0
    for first, stop, _, asks in found.sentences:
        told[first:stop, -1] = asks
    return told


@cache
def _column(name: str) -> int:
    return names().index(name)
