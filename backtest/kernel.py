"""The compiled session as Python calls it: here everything is allocated, ``backtest.session`` allocates nothing.

Importing this module imports no numba; calling it does so once a machine, to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest import records
from backtest.records import WIDTH
from data_cache.machine_code import entry

__all__ = ["check_targets", "simulate"]

Array = np.ndarray[Any, np.dtype[Any]]

_ROOM = 16_384  # rows at first; where they run out it starts again with four times as many


def simulate(
    *,
    base: Array,
    buy_probe: Array,
    sell_probe: Array,
    volume: Array,
    factor: Array,
    mark: Array,
    limit_up: Array,
    limit_down: Array,
    tolerance: float,
    listed: Array,
    delisted: Array,
    board: Array,
    rates: Array,
    book_date: Array,
    book_column: Array,
    book_weight: Array,
    cash: int,
    terms: tuple[int, int, int],
    impact: float,
    volume_cap: int,
    buy_retry: int,
    explicit: bool,
    actions: Array,
    one_month: Array,
    one_year: Array,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Trade sorted books through the sessions; every choice is explained in docs/execution.md.

    Args:
        base: fill price before slippage, yuan, sessions x symbols; NaN where nothing trades.
        buy_probe: the price that at limit-up refuses a buy; same shape.
        sell_probe: the price that at limit-down refuses a sell.
        volume: shares.
        factor: shares in one adjusted unit are this number; hfq.
        mark: value of one adjusted unit at the close, yuan; carried over suspensions, NaN before the first bar.
        limit_up: yuan, NaN where there is none.
        limit_down: yuan, NaN where there is none.
        tolerance: fraction of the limit within which a price counts as at the limit.
        listed: first session of each symbol.
        delisted: session from which each symbol is gone; the number of sessions if never.
        board: index of each symbol into the second axis of ``rates``.
        rates: sessions x boards x ``records.RATES``, int64.
        book_date: session of each target row, ascending.
        book_column: symbol of each target row, ascending within a session.
        book_weight: weight of each target row.
        cash: fen.
        terms: commission (hundred-millionths), its floor (fen), slippage (millionths).
        impact: price move, as a fraction, of an order as large as the session's volume.
        volume_cap: millionths of the session's volume one order may take.
        buy_retry: sessions a refused buy is tried again.
        explicit: dividends in cash and whole shares instead of adjusted units.
        actions: rows by session: session, column, cash (micro-yuan a share), new shares (1e-8 a share),
            taxable (micro-yuan a share), tax in percent when sold soon, later, late.
        one_month: last session up to one month after each session.
        one_year: last session up to one year after each session.

    Returns:
        fills (``records.FILL``), adjusted units of each fill, refusals (LOST), dividends (PAID), cash (fen) and value
        (yuan) after each close.
    """
    given = locals() | {"explicit": int(explicit)}
    n_sessions, n_columns = base.shape
    cash_at, value_at = np.empty(n_sessions, np.int64), np.empty(n_sessions, np.float64)
    counts = np.zeros(3, np.int64)
    room = max(_ROOM, book_date.size // 4)  # most rows of most books are held, not traded
    while True:
        fills, lost = np.empty((room, WIDTH), np.int64), np.empty((room, WIDTH), np.int64)
        paid, lots = (np.empty((explicit * (room + len(actions)), WIDTH), np.int64) for _ in range(2))
        units = np.empty(room, np.float64)
        short = entry(records, "simulate")(
            **given, fills=fills, lost=lost, paid=paid, lots=lots, units_of=units, cash_at=cash_at,
            value_at=value_at, counts=counts, whole=np.empty((7, n_columns), np.int64),
            real=np.empty((5, n_columns), np.float64), small=np.empty(n_sessions, np.float64),
        )  # fmt: skip
        if not short:
            n_fills, n_lost, n_paid = counts.tolist()
            return (
                fills[:n_fills].copy(), units[:n_fills].copy(), lost[:n_lost].copy(), paid[:n_paid].copy(),
                cash_at, value_at,
            )  # fmt: skip
        room *= 4


def check_targets(dates: Array, columns: Array, weights: Array) -> tuple[int, int]:
    """The first fault of target rows: (code, row); 0 none, 1 not sorted, 2 weight, 3 duplicate, 4 sum."""
    row = np.full(1, -1, np.int64)
    code = entry(records, "check_targets")(dates=dates, columns=columns, weights=weights, row=row)
    return code, int(row[0])
