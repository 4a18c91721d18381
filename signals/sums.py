"""Sums of rows of a table of weights: what the reader does most, so the table is of bytes and the loop is compiled.

A sum of bytes is a whole number, which a float holds exactly up to 2**24: it is the same on every machine and in
whatever order it is made.

1. ``Ones``    which rows go into each sum: a sparse matrix of ones
2. ``Table``   weights as bytes, with one scale a column

The loop is ``add_rows`` of ``signals.loops_compiled``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from signals.loops import Array, loop

__all__ = ["Ones", "Table"]

_MOST = 127


@dataclass(frozen=True, slots=True, eq=False)
class Ones:
    """A sparse matrix of ones, n x ``width``.

    Args:
        columns: (m,) int32, where the ones are, row by row; one that comes twice counts twice.
        first: (n + 1,) int32, where those of each row begin, and where they end.
        width: how many columns there are.
    """

    columns: Array
    first: Array
    width: int

    def matrix(self) -> Any:
        """The same as scipy has it, a ``csr_array`` of float32."""
        from scipy.sparse import csr_array

        ones = np.ones(self.columns.size, np.float32)
        return csr_array((ones, self.columns, self.first), shape=(self.first.size - 1, self.width))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Weights of eight bits a piece: ``values`` (rows, columns) int8, times ``scale`` (columns,) float32."""

    values: Array
    scale: Array

    @classmethod
    def of(cls, weights: Array) -> Table:
        """The nearest such table; a column's largest weight is 127 times its scale."""
        scale = np.abs(weights).max(axis=0).astype(np.float32) / _MOST
        values = np.round(weights / np.where(scale > 0, scale, 1)).astype(np.int8, order="C")
        return cls(values, scale)

    def sums(self, of: Ones) -> Array:
        """(n, columns) float32: the sums of the rows that each row ``of`` ones names.

        Raises:
            ValueError: the ones are not as wide as the table is high; the loop itself does not look.
        """
        self.fits(of)
        sums = np.empty((of.first.size - 1, self.scale.size), np.float32)
        loop("add_rows")(rows=of.columns, first=of.first, table=self.values, scale=self.scale, sums=sums)
        return sums

    def fits(self, of: Ones) -> None:
        """Raises ValueError where the ones are not as wide as the table is high, which no loop looks at."""
        if of.width != len(self.values):
            raise ValueError(f"ones of {of.width:,} columns on a table of {len(self.values):,} rows")

    def row(self, row: int) -> Array:
        """(columns,) float32: one row's weights."""
        return np.asarray(self.values[row] * self.scale)
