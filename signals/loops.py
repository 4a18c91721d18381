"""The loops of the reader that are compiled: what goes into them, and Python's way to call them.

``signals.loops_compiled`` has the loops, ``data_cache.machine_code`` keeps what numba made of them. Importing this
module imports no numba.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from data_cache.machine_code import entry

__all__ = ["ARGUMENTS", "SOURCE", "Array", "add_rows", "around"]

Array = np.ndarray[Any, np.dtype[Any]]

SOURCE = "signals.loops_compiled"
_FLOATS = "f4[:,::1]"
ARGUMENTS = {
    "add_rows": {
        "rows": "i4[::1]",
        "first": "i4[::1]",
        "table": "i1[:,::1]",
        "scale": "f4[::1]",
        "sums": _FLOATS,  # written to
    },
    "around": {
        "said": _FLOATS,
        "near": _FLOATS,
        "joined": "b1[::1]",
        "keep": "f4[::1]",
        "seen": _FLOATS,  # written to
    },
}
"""Of each loop its arguments in their order, as numba writes their types."""


def add_rows(rows: Array, first: Array, table: Array, scale: Array, columns: int) -> Array:
    """(n, ``columns``) float32: of ``rows[first[i] : first[i + 1]]`` of the table the sum, times the scale."""
    sums = np.empty((first.size - 1, columns), np.float32)
    entry(sys.modules[__name__], "add_rows")(rows=rows, first=first, table=table, scale=scale, sums=sums)
    return sums


def around(said: Array, near: Array, joined: Array, keep: tuple[float, float]) -> Array:
    """What is said around each of n clauses.

    Args:
        said: (n, S) float32, of each clause.
        near: (n, K) float32, of each clause.
        joined: (n - 1,) whether a clause and the next are of one sentence.
        keep: the share of itself that a sum keeps from clause to clause: of both, and of ``near`` once more.

    Returns:
        (n, 5S + 4K) float32: ``said`` summed over the rest of the sentence, in the clause before, in the one behind;
        ``said`` and ``near`` summed over all before, then over all behind, the nearest counted whole; ``near`` summed
        likewise with what it keeps, over all before and over all behind.
    """
    seen = np.empty((len(said), 5 * said.shape[1] + 4 * near.shape[1]), np.float32)
    entry(sys.modules[__name__], "around")(
        said=said, near=near, joined=joined, keep=np.array(keep, np.float32), seen=seen
    )
    return seen
