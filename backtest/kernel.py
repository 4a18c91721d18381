"""What goes into the compiled session and what comes out: arrays, their columns, and the codes in them.

``simulate`` and ``check_targets`` allocate everything and call the machine code of ``backtest.session``, which
allocates nothing. Importing this module imports no numba; calling it does once a machine, to compile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest.machine_code import entry

__all__ = ["FILL", "LOST", "PAID", "RATES", "REASONS", "check_targets", "simulate"]

Array = np.ndarray[Any, np.dtype[Any]]

REASONS = (
    "limit_up", "limit_down", "suspended", "not_listed", "delisted", "t_plus_1", "lot", "cash", "volume_cap",
)  # fmt: skip
"""Reason codes by number. ``t_plus_1`` cannot occur: a session fills at one moment, and sells come first."""
LIMIT_UP, LIMIT_DOWN, SUSPENDED, NOT_LISTED, DELISTED, T_PLUS_1, LOT, CASH, VOLUME_CAP = range(len(REASONS))

FILL = (
    "decision", "date", "column", "side", "shares", "price", "notional", "commission", "stamp_duty",
    "transfer_fee",
)  # fmt: skip
"""Columns of the fills array: side 0 buys, 1 sells; micro-shares, micro-yuan, then fen."""
LOST = ("decision", "date", "column", "side", "wanted", "filled", "lost", "reason")
"""Columns of the refusals array, micro-shares; wanted -1: the order could not even be sized."""
PAID = ("date", "column", "shares", "cash", "new_shares", "tax")
"""Columns of the dividends array: whole shares held (or sold), fen, whole shares received, fen withheld."""
RATES = ("lot", "step", "stamp_duty_buy", "stamp_duty_sell", "transfer", "par", "par_floor")
"""Last axis of the dated tables: shares, shares, then hundred-millionths, and fen."""
LOT_SIZE, LOT_STEP, STAMP, TRANSFER, PAR, PAR_FLOOR = 0, 1, 2, 4, 5, 6  # STAMP + side

_WIDTH = len(FILL)  # every record array is this wide, so that one writer of rows is compiled
_ROOM = 16_384  # rows at first; where they run out it starts again with four times as many
_PRICES = "f8[:,::1]"
_RECORDS = "i8[:,::1]"
_COLUMN, _WEIGHT = "i8[::1]", "f8[::1]"
SIMULATE = {
    **dict.fromkeys(
        ("base", "buy_probe", "sell_probe", "volume", "factor", "mark", "limit_up", "limit_down"), _PRICES
    ),
    "tolerance": "f8",
    **dict.fromkeys(("listed", "delisted", "board"), _COLUMN),
    "rates": "i8[:,:,::1]",
    "book_date": _COLUMN,
    "book_column": _COLUMN,
    "book_weight": _WEIGHT,
    "cash": "i8",
    "terms": "UniTuple(i8, 3)",
    "impact": "f8",
    "volume_cap": "i8",
    "buy_retry": "i8",
    "explicit": "i8",
    "actions": _RECORDS,
    "one_month": _COLUMN,
    "one_year": _COLUMN,
    # written to
    **dict.fromkeys(("fills", "lost", "paid", "lots"), _RECORDS),
    "units_of": _WEIGHT,
    "cash_at": _COLUMN,
    "value_at": _WEIGHT,
    "counts": _COLUMN,
    "whole": _RECORDS,
    "real": _PRICES,
    "small": _WEIGHT,
}
"""Arguments of ``session.simulate`` in their order, as numba writes their types."""
CHECK_TARGETS = {"dates": _COLUMN, "columns": _COLUMN, "weights": _WEIGHT, "row": _COLUMN}
"""Arguments of ``session.check_targets``."""


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
        rates: sessions x boards x RATES, int64.
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
        fills (FILL), adjusted units of each fill, refusals (LOST), dividends (PAID), cash (fen) and value
        (yuan) after each close.
    """
    given = locals() | {"explicit": int(explicit)}
    n_sessions, n_columns = base.shape
    cash_at, value_at = np.empty(n_sessions, np.int64), np.empty(n_sessions, np.float64)
    counts = np.zeros(3, np.int64)
    room = max(_ROOM, book_date.size // 4)  # most rows of most books are held, not traded
    while True:
        fills, lost = np.empty((room, _WIDTH), np.int64), np.empty((room, _WIDTH), np.int64)
        paid, lots = (np.empty((explicit * (room + len(actions)), _WIDTH), np.int64) for _ in range(2))
        units = np.empty(room, np.float64)
        short = entry("simulate", SIMULATE)(
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
    code = entry("check_targets", CHECK_TARGETS)(dates=dates, columns=columns, weights=weights, row=row)
    return code, int(row[0])
