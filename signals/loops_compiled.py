"""The loops of ``signals.loops``, for numba; they allocate nothing, and only ``data_cache.machine_code`` calls them.

Numba compiles each on its own: what two of them share is written into both, ``_add`` and ``_column``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from data_cache.machine_code import ALONE
from signals.loops import AFTER, ARGUMENTS, BEARING_BITS, BEFORE, BITS, ROLL, SPREAD

__all__ = ["ENTRIES"]

_F = TypeVar("_F", bound=Callable[..., Any])
_njit: Any = njit  # its types do not know all of ALONE
_EDGE = ord("\n")
_AHEAD = 24  # rows
_DATA = 4  # of what numba passes an array as: no owner (two words), its size, its items' size, the data
_MIX = np.uint64(29)
_OWN = np.uint64(0)
_SHIFT, _BEARING_SHIFT = np.uint64(64 - BITS), np.uint64(64 - BEARING_BITS)


def _inlined(function: _F) -> _F:
    return cast("_F", _njit(inline="always", **ALONE)(function))


def _compiled(function: _F) -> _F:
    return cast("_F", _njit(f"({', '.join(ARGUMENTS[function.__name__].values())})", **ALONE)(function))


def _prefetch(typing: Any, table: Any, place: Any) -> Any:
    """Ask the processor for a place of a table read soon: little of it is near, and a sum waits for each row."""
    del typing

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        del signature
        array, at = values
        where = builder.gep(builder.extract_value(array, _DATA), [at])
        four = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [where.type, four, four, four])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [where.type], kind)
        read, keep, no_code = (ir.Constant(four, told) for told in (0, 3, 1))
        builder.call(fetch, [where, read, keep, no_code])
        return context.get_dummy_value()

    return types.void(table, place), code


_fetch: Any = intrinsic(_prefetch)


@_inlined
def _add(table: Any, rows: Any, lo: int, hi: int, sums: Any, i: int, left: int, right: int) -> None:
    """Add ``rows[lo:hi]`` of the table to row ``i`` of the sums, in the columns from ``left`` to before ``right``."""
    for at in range(lo, hi):
        if at + _AHEAD < rows.size:
            soon = table.shape[1] * np.int64(rows[at + _AHEAD])
            _fetch(table, soon + left)
            _fetch(table, soon + right - 1)
        row = rows[at]
        for j in range(left, right):
            sums[i, j] += np.float32(table[row, j])


@_inlined
def _column(hashed: Any, salt: Any, shift: Any) -> Any:
    """A run's column among 2 ** (64 - shift); a salt makes the same run another feature."""
    mixed = hashed ^ salt
    return np.int32(((mixed ^ (mixed >> _MIX)) * ROLL) >> shift)


@_compiled
def add_rows(rows: Any, first: Any, table: Any, scale: Any, sums: Any) -> int:
    """Make each row of ``sums`` that of the rows of the table it is made of, times the scale; as wide as it is."""
    for i in range(first.size - 1):
        sums[i] = 0.0
        _add(table, rows, first[i], first[i + 1], sums, i, 0, sums.shape[1])
        for j in range(sums.shape[1]):
            sums[i, j] *= scale[j]
    return 0


@_compiled
def runs(
    text: Any,
    start: Any,
    end: Any,
    signs: Any,
    spelt: Any,
    hashed: Any,
    columns: Any,
    where: Any,
    first: Any,
    before: Any,
    after: Any,
    pair_first: Any,
) -> int:
    """Spell each clause between two edges, then hash what begins at each of its places but the last."""
    sign = run = pair = 0
    for i in range(start.size):
        first[i], pair_first[i] = run, pair
        spelt[0, 0], spelt[0, 1], spelt[0, 2] = _EDGE, start[i], start[i]
        size, at = 1, start[i]
        while at < end[i]:
            if sign < signs.size and signs[sign] == at:
                spelt[size, 0], spelt[size, 1], spelt[size, 2] = signs[sign + 2], at, signs[sign + 1]
                sign += 3
            else:
                spelt[size, 0], spelt[size, 1], spelt[size, 2] = text[at], at, at + 1
            at = spelt[size, 2]
            size += 1
        spelt[size, 0], spelt[size, 1], spelt[size, 2] = _EDGE, end[i], end[i]
        for k in range(size):
            one = np.uint64(spelt[k, 0]) * SPREAD
            two = (one * ROLL) ^ (np.uint64(spelt[k + 1, 0]) * SPREAD)
            if k > 0:
                hashed[run], where[run, 0], where[run, 1] = one, spelt[k, 1], spelt[k, 2]
                run += 1
            hashed[run], where[run, 0], where[run, 1] = two, spelt[k, 1], spelt[k + 1, 2]
            run += 1
            if k + 1 < size:
                three = (two * ROLL) ^ (np.uint64(spelt[k + 2, 0]) * SPREAD)
                hashed[run], where[run, 0], where[run, 1] = three, spelt[k, 1], spelt[k + 2, 2]
                run += 1
                if k > 0:
                    before[pair] = _column(two, BEFORE, _SHIFT)
                    after[pair] = _column(two, AFTER, _SHIFT)
                    pair += 1
    first[start.size], pair_first[start.size] = run, pair
    for at in range(run):
        columns[at] = _column(hashed[at], _OWN, _SHIFT)
    return 0


@_compiled
def told(masks: Any, column_of: Any, more: Any, columns: Any, first: Any) -> int:
    """The bits that are set, then what more there is."""
    size = 0
    for i in range(len(masks)):
        first[i] = size
        for byte in range(masks.shape[1]):
            held = masks[i, byte]
            for bit in range(8):
                if held >> bit & 1:
                    columns[size] = column_of[8 * byte + bit]
                    size += 1
        for j in range(more.shape[1]):
            if more[i, j]:
                columns[size] = column_of.size + j
                size += 1
    first[len(masks)] = size
    return 0


@_compiled
def by_itself(
    runs: Any,
    first: Any,
    before: Any,
    after: Any,
    pair_first: Any,
    told: Any,
    told_first: Any,
    joined: Any,
    table: Any,
    scale: Any,
    told_table: Any,
    told_scale: Any,
    bias: Any,
    row: Any,
    total: Any,
) -> int:
    """Whole numbers first, of runs and of what is told; each with its scale then."""
    n, width, whole = len(total), bias.size, total.shape[1]
    for i in range(n):
        for j in range(whole):
            total[i, j] = 0.0
        for j in range(3 * width):
            row[0, j] = 0.0
        _add(table, runs, first[i], first[i + 1], total, i, 0, whole)
        _add(told_table, told, told_first[i], told_first[i + 1], row, 0, 0, width)
        if i > 0 and joined[i - 1]:
            _add(table, before, pair_first[i - 1], pair_first[i], total, i, 0, width)
            _add(told_table, told, told_first[i - 1], told_first[i], row, 0, width, 2 * width)
        if i < n - 1 and joined[i]:
            _add(table, after, pair_first[i + 1], pair_first[i + 2], total, i, 0, width)
            _add(told_table, told, told_first[i + 1], told_first[i + 2], row, 0, 2 * width, 3 * width)
        for j in range(width):
            total[i, j] *= scale[j]
            for part in range(j, 3 * width, width):
                total[i, j] += row[0, part] * told_scale[part]
            total[i, j] += bias[j]
        root = np.float32(np.sqrt(np.float64(first[i + 1] - first[i])))
        for j in range(width, whole):
            total[i, j] *= scale[j] / root
    return 0


@_compiled
def in_context(by_itself: Any, said: Any, joined: Any, keep: Any, floor: Any, size: Any, seen: Any) -> int:
    """Column by column as ``signals.model.in_context`` lists them: sentences, then forwards, then backwards."""
    n, s = said.shape
    k = s - 1
    rest, before, behind, ago, ahead, just = s, 2 * s, 3 * s, 4 * s, 5 * s, 6 * s
    soon, near, place = just + k, just + 2 * k, just + 3 * k
    begin = 0
    for i in range(n):
        seen[i, 0] = by_itself[i, 0]
        for j in range(k):
            seen[i, 1 + j] = max(by_itself[i, 1 + j], floor)
            seen[i, near + j] = by_itself[i, s + 1 + j]
        seen[i, place] = begin == i
        seen[i, place + 1] = i == n - 1 or not joined[i]
        seen[i, place + 2] = size
        seen[i, place + 3] = 1 / np.float32(1 + i)
        seen[i, place + 4] = np.float32(i) / np.float32(n)
        if i < n - 1 and joined[i]:
            continue
        whole = seen[begin, rest:before]
        whole[:] = 0.0
        for clause in range(begin, i + 1):
            for j in range(s):
                whole[j] += said[clause, j]
        for clause in range(i, begin - 1, -1):
            for j in range(s):
                seen[clause, rest + j] = whole[j] - said[clause, j]
        begin = i + 1
    for j in range(s):
        seen[0, before + j] = seen[n - 1, behind + j] = 0.0
        seen[0, ago + j] = seen[n - 1, ahead + j] = 0.0
    for j in range(k):
        seen[0, just + j] = seen[n - 1, soon + j] = 0.0
    for i in range(1, n):
        for j in range(s):
            seen[i, before + j] = said[i - 1, j]
            seen[i, ago + j] = said[i - 1, j] + keep[0] * seen[i - 1, ago + j]
        for j in range(k):
            seen[i, just + j] = seen[i - 1, near + j] + keep[1] * seen[i - 1, just + j]
    for i in range(n - 2, -1, -1):
        for j in range(s):
            seen[i, behind + j] = said[i + 1, j]
            seen[i, ahead + j] = said[i + 1, j] + keep[0] * seen[i + 1, ahead + j]
        for j in range(k):
            seen[i, soon + j] = seen[i + 1, near + j] + keep[1] * seen[i + 1, soon + j]
    return 0


@_compiled
def bearing(
    events: Any,
    salts: Any,
    hashed: Any,
    first: Any,
    told: Any,
    told_first: Any,
    names: Any,
    columns: Any,
    ends: Any,
    told_columns: Any,
    told_ends: Any,
) -> int:
    """Every run of an event's clauses and every name twice: as of any event, and as of one of its kind."""
    run = name = 0
    for event in range(len(events)):
        kind, lo, hi = events[event]
        for at in range(first[lo], first[hi + 1]):
            columns[run] = _column(hashed[at], _OWN, _BEARING_SHIFT)
            columns[run + 1] = _column(hashed[at], salts[event], _BEARING_SHIFT)
            run += 2
        for at in range(told_first[lo], told_first[hi + 1]):
            told_columns[name] = told[at]
            told_columns[name + 1] = (1 + kind) * names + told[at]
            name += 2
        ends[event + 1], told_ends[event + 1] = run, name
    return 0


ENTRIES: dict[str, Any] = {
    "add_rows": add_rows,
    "runs": runs,
    "told": told,
    "by_itself": by_itself,
    "in_context": in_context,
    "bearing": bearing,
}
