"""The loops of the reader that are compiled: what goes into them, and Python's way to call them.

``signals.loops_compiled`` has the loops, ``data_cache.machine_code`` keeps what numba made of them. Importing this
module imports no numba.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from data_cache.machine_code import entry

__all__ = [
    "AFTER",
    "ARGUMENTS",
    "BEARING_BITS",
    "BEFORE",
    "BITS",
    "ROLL",
    "SOURCE",
    "SPREAD",
    "Array",
    "loop",
]

Array = np.ndarray[Any, np.dtype[Any]]

SPREAD, ROLL = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
"""What hashes are made with: odd, without pattern."""
BEFORE, AFTER = np.uint64(0x1F83D9ABFB41BD6B), np.uint64(0x5BE0CD19137E2179)
"""What makes a pair in the clause before, or in the one behind, another than the pair itself."""
BITS, BEARING_BITS = 17, 18
"""Of a hash those that are its column."""

SOURCE = "signals.loops_compiled"
_WHOLE, _PAIRS, _HASHES = "i4[::1]", "i4[:,::1]", "u8[::1]"
_FLOATS, _TABLE, _FLAGS = "f4[:,::1]", "i1[:,::1]", "b1[::1]"
_ROW = "f4[::1]"
ARGUMENTS = {
    "add_rows": {
        "rows": _WHOLE,  # of row i of the sums, rows[first[i] : first[i + 1]] of the table
        "first": _WHOLE,
        "table": _TABLE,
        "scale": _ROW,  # of its columns
        "sums": _FLOATS,  # written to
    },
    "runs": {
        "text": "u4[::1]",
        "start": _WHOLE,  # of each clause
        "end": _WHOLE,
        "signs": _WHOLE,  # start, end and stand-in of one after the other, in their order, none within another
        # written to
        "spelt": _PAIRS,  # room for one clause with two edges: what is read, start, end
        "hashed": _HASHES,
        "columns": _WHOLE,
        "where": _PAIRS,  # start, end
        "first": _WHOLE,
        "before": _WHOLE,
        "after": _WHOLE,
        "pair_first": _WHOLE,
    },
    "told": {
        "masks": "u1[:,::1]",  # of each clause its bits, the lowest first
        "column_of": _WHOLE,  # of each bit
        "more": "b1[:,::1]",  # what comes after them, a column each
        # written to
        "columns": _WHOLE,
        "first": _WHOLE,
    },
    "by_itself": {
        "runs": _WHOLE,
        "first": _WHOLE,
        "before": _WHOLE,
        "after": _WHOLE,
        "pair_first": _WHOLE,
        "told": _WHOLE,
        "told_first": _WHOLE,
        "joined": _FLAGS,
        "table": _TABLE,
        "scale": _ROW,
        "told_table": _TABLE,
        "told_scale": _ROW,
        "bias": _ROW,
        # written to
        "row": _FLOATS,
        "total": _FLOATS,
    },
    "in_context": {
        "by_itself": _FLOATS,
        "said": _FLOATS,
        "joined": _FLAGS,
        "keep": _ROW,
        "floor": "f8",
        "size": "f8",
        "seen": _FLOATS,  # written to
    },
    "bearing": {
        "events": _PAIRS,  # the number of its kind, first and last clause
        "salts": _HASHES,  # of each its kind's
        "hashed": _HASHES,
        "first": _WHOLE,
        "told": _WHOLE,
        "told_first": _WHOLE,
        "names": "i8",
        # written to
        "columns": _WHOLE,
        "ends": _WHOLE,
        "told_columns": _WHOLE,
        "told_ends": _WHOLE,
    },
}
"""Of each loop its arguments in their order, as numba writes their types."""


def loop(name: str) -> Callable[..., int]:
    """One of the loops, called by keyword; it checks the types of what it is given, and nothing else."""
    return entry(sys.modules[__name__], name)
