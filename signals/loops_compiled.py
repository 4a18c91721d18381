"""The loops of ``signals.loops``, for numba; they allocate nothing, and only ``data_cache.machine_code`` calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from data_cache.machine_code import ALONE
from signals.loops import ARGUMENTS

__all__ = ["ENTRIES"]

_F = TypeVar("_F", bound=Callable[..., Any])
_njit = cast("Any", njit)  # its types do not know all of ALONE


def _compiled(function: _F) -> _F:
    return cast("_F", _njit(f"({', '.join(ARGUMENTS[function.__name__].values())})", **ALONE)(function))


@_compiled
def add_rows(rows: Any, first: Any, table: Any, scale: Any, sums: Any) -> int:
    """Make each row of ``sums`` that of the rows of the table it is made of, times the scale; as wide as it is."""
    for i in range(first.size - 1):
        for j in range(sums.shape[1]):
            sums[i, j] = 0.0
        for at in range(first[i], first[i + 1]):
            row = rows[at]
            for j in range(sums.shape[1]):
                sums[i, j] += np.float32(table[row, j])
        for j in range(sums.shape[1]):
            sums[i, j] *= scale[j]
    return 0


@_compiled
def around(said: Any, near: Any, joined: Any, keep: Any, seen: Any) -> int:
    """Sentence by sentence, then once forwards and once backwards."""
    n, s = said.shape
    k = near.shape[1]
    begin = 0
    for i in range(n):
        if i < n - 1 and joined[i]:
            continue
        for j in range(s):
            whole = np.float32(0.0)
            for clause in range(begin, i + 1):
                whole += said[clause, j]
            for clause in range(begin, i + 1):
                seen[clause, j] = whole - said[clause, j]
        begin = i + 1
    before, behind, ago, ahead = s, 2 * s, 3 * s, 4 * s + k
    just, soon = 5 * s + 2 * k, 5 * s + 3 * k
    for j in range(seen.shape[1]):
        if before <= j < behind or ago <= j < ahead or just <= j < soon:
            seen[0, j] = 0.0
        elif j >= s:
            seen[n - 1, j] = 0.0
    for i in range(1, n):
        for j in range(s):
            seen[i, before + j] = said[i - 1, j]
            seen[i, ago + j] = said[i - 1, j] + keep[0] * seen[i - 1, ago + j]
        for j in range(k):
            seen[i, ago + s + j] = near[i - 1, j] + keep[0] * seen[i - 1, ago + s + j]
            seen[i, just + j] = near[i - 1, j] + keep[1] * seen[i - 1, just + j]
    for i in range(n - 2, -1, -1):
        for j in range(s):
            seen[i, behind + j] = said[i + 1, j]
            seen[i, ahead + j] = said[i + 1, j] + keep[0] * seen[i + 1, ahead + j]
        for j in range(k):
            seen[i, ahead + s + j] = near[i + 1, j] + keep[0] * seen[i + 1, ahead + s + j]
            seen[i, soon + j] = near[i + 1, j] + keep[1] * seen[i + 1, soon + j]
    return 0


ENTRIES: dict[str, Any] = {"add_rows": add_rows, "around": around}
