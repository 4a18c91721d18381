"""Sums of rows: the compiled loop against scipy, and what eight bits keep of a weight."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.sums import Ones, Table


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 12), st.integers(1, 40))
def test_the_sums_are_the_product_with_the_matrix_of_ones(seed: int, height: int, n: int, width: int) -> None:
    random = np.random.default_rng(seed)
    table = Table(
        random.integers(-128, 128, (height, width), np.int8), random.random(width).astype(np.float32)
    )
    first = np.append(0, np.cumsum(random.integers(0, 6, n))).astype(np.int32)
    ones = Ones(random.integers(0, height, first[-1]).astype(np.int32), first, height)
    product = ones.matrix() @ (table.values.astype(np.float64) * table.scale)
    assert np.allclose(table.sums(ones), product, atol=1e-3)


@given(st.integers(0, 2**32 - 1))
def test_a_weight_is_kept_to_a_254th_of_its_columns_largest(seed: int) -> None:
    random = np.random.default_rng(seed)
    weights = random.normal(0, 10.0 ** random.integers(-3, 3, 5), (20, 5))
    weights[:, 0] = 0
    table = Table.of(np.asfortranarray(weights))
    off = np.abs(np.stack([table.row(i) for i in range(20)]) - weights)
    assert (off <= np.abs(weights).max(axis=0) / 254 * 1.0001).all()
    assert table.sums(Ones(np.arange(20, dtype=np.int32), np.array([0, 20], np.int32), 20)).shape == (1, 5)


def test_a_second_process_adds_without_numba() -> None:
    """What LLVM makes of the loops calls the C library, which it must find there too."""
    code = (
        "import sys, numpy as np\n"
        "from signals.sums import Ones, Table\n"
        "table = Table(np.full((3, 70), 2, np.int8), np.ones(70, np.float32))\n"
        "ones = Ones(np.array([0, 2], np.int32), np.array([0, 0, 2], np.int32), 3)\n"
        "print(table.sums(ones)[:, 0].tolist(), 'numba' in sys.modules)\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0.0, 4.0] False\n"


def test_rows_of_another_type_or_of_another_table_are_refused() -> None:
    table = Table(np.zeros((2, 1), np.int8), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="3 columns on a table of 2 rows"):
        table.sums(Ones(np.array([2], np.int32), np.array([0, 1], np.int32), 3))
    with pytest.raises(TypeError, match="rows needs"):
        table.sums(Ones(np.zeros(1, np.int64), np.array([0, 1], np.int32), 2))
