"""What goes into the compiled session and comes out: the columns of its arrays, its codes, its arguments' types.

Read by what compiles (``backtest.session``), keeps and calls (``data_cache.machine_code``, ``backtest.kernel``) and
shows (``backtest.execution``).
"""

from __future__ import annotations

__all__ = ["ARGUMENTS", "FILL", "LOST", "PAID", "RATES", "REASONS", "SOURCE", "WIDTH"]

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

WIDTH = len(FILL)  # every record array is this wide, so that one writer of rows is compiled

SOURCE = "backtest.session"
_PRICES = "f8[:,::1]"
_RECORDS = "i8[:,::1]"
_COLUMN, _WEIGHT = "i8[::1]", "f8[::1]"
ARGUMENTS = {
    "simulate": {
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
    },
    "check_targets": {"dates": _COLUMN, "columns": _COLUMN, "weights": _WEIGHT, "row": _COLUMN},
}
"""Of each compiled function its arguments in their order, as numba writes their types; ``backtest.kernel`` says what
they mean."""
