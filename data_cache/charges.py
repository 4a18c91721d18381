"""What an order costs and which sizes it may have: dated rates and lots, and the arithmetic to the fen.

1. ``fees``: stamp duty, transfer fee and the bounds of the commission in force on each row's date.
2. ``lots``: smallest buy, steps, order maxima and the daily cap on buying ST shares.
3. ``fee_fen``, ``commission_fen``, ``transfer_fee_fen``: one fee of one order, rounded half-up to the fen.
4. ``round_buy``, ``round_sell``: the largest allowed size not above the wanted one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import polars as pl

from data_cache.errors import UsageError
from data_cache.limits import panel, refuse_outside
from data_cache.rule_table import PREFIX, Row, match

__all__ = [
    "DEFAULT_COMMISSION",
    "FEE_RULES",
    "LOT_RULES",
    "RATE_SCALE",
    "commission_fen",
    "fee_fen",
    "fees",
    "lots",
    "round_buy",
    "round_sell",
    "transfer_fee_fen",
]

RATE_SCALE = 100_000_000
"""Every rate of the book is a whole number of 1e-8: ``round(rate * RATE_SCALE)`` is exact."""
DEFAULT_COMMISSION = 0.00025
"""All-in broker commission, fraction of notional; the user's to choose, below the book's cap."""

FEE_RULES = (
    PREFIX,
    "stamp_duty_buy_rate",
    "stamp_duty_sell_rate",
    "transfer_fee_rate",
    "transfer_fee_par_rate",
    "face_value",
    "commission_cap",
    "commission_floor",
)
LOT_RULES = (
    PREFIX,
    "lot_size_buy",
    "lot_step",
    "odd_lot_sell",
    "order_max_limit",
    "order_max_market",
    "st_daily_buy_cap",
)


def fees(frame: pl.DataFrame, *, outside: Literal["null", "raise"] = "null") -> pl.DataFrame:
    """Add the dated rates to a panel.

    Args:
        frame: columns ``symbol`` and ``date``.
        outside: ``null`` leaves the rates of a row the book does not cover null, ``raise`` refuses.

    Returns:
        The frame, its order kept, plus ``stamp_duty_buy``, ``stamp_duty_sell`` (fractions of notional);
        ``transfer_fee`` (fraction, each side), ``transfer_fee_basis`` (``amount``, or ``face_value``: shares
        x ``face_value`` yuan, Shanghai before 2015-08-01), ``transfer_fee_min`` (yuan an order),
        ``transfer_fee_inside_commission`` (Shenzhen before 2015-08-01: an all-in commission already holds
        it), ``face_value`` (yuan a share); ``commission_cap`` (fraction), ``commission_floor`` (yuan an
        order); ``doubtful``, or-ed with one already there. ``board`` too, where the frame has none.

    Raises:
        UsageError: a missing column, or a row outside the book under ``raise``.
    """
    return _dated(frame, FEE_RULES, _fee_values, FEE_SCHEMA, outside)


def lots(frame: pl.DataFrame, *, outside: Literal["null", "raise"] = "null") -> pl.DataFrame:
    """Add the sizes an order may have to a panel.

    Args:
        frame: columns ``symbol`` and ``date``, optionally ``status`` (for the daily cap on ST shares).
        outside: as for ``fees``.

    Returns:
        The frame plus ``buy_lot`` (smallest buy, shares), ``buy_step`` (above it), ``sell_lot`` (a balance
        below it goes in one order), ``sell_step``, ``order_max`` and ``order_max_market`` (shares an order;
        null: not in the book), ``st_daily_buy_cap`` (shares an account a day; null: none); ``doubtful``, of lots
        and steps, or-ed with one already there.

    Raises:
        UsageError: a missing column, or a row outside the book under ``raise``.
    """
    return _dated(frame, LOT_RULES, _lot_values, LOT_SCHEMA, outside)


FEE_SCHEMA: dict[str, type[pl.DataType]] = {
    "stamp_duty_buy": pl.Float64,
    "stamp_duty_sell": pl.Float64,
    "transfer_fee": pl.Float64,
    "transfer_fee_basis": pl.String,
    "transfer_fee_min": pl.Float64,
    "transfer_fee_inside_commission": pl.Boolean,
    "face_value": pl.Float64,
    "commission_cap": pl.Float64,
    "commission_floor": pl.Float64,
    "doubtful": pl.Boolean,
}
LOT_SCHEMA: dict[str, type[pl.DataType]] = {
    "buy_lot": pl.Int64,
    "buy_step": pl.Int64,
    "sell_lot": pl.Int64,
    "sell_step": pl.Int64,
    "order_max": pl.Int64,
    "order_max_market": pl.Int64,
    "st_daily_buy_cap": pl.Int64,
    "doubtful": pl.Boolean,
}

Values = dict[str, float | int | str | bool | None]


def _dated(
    frame: pl.DataFrame,
    rules: tuple[str, ...],
    values: Callable[[tuple[Row | None, ...]], Values | None],
    schema: dict[str, type[pl.DataType]],
    outside: str,
) -> pl.DataFrame:
    asked = panel(frame)
    found = match(asked, rules)
    answers = [values(rows) for rows in found.rows]
    if outside == "raise":
        refuse_outside(asked, np.array([answer is None for answer in answers])[found.index])
    boards = pl.Series(
        "board",
        [a and rows[0] and rows[0].board for a, rows in zip(answers, found.rows, strict=True)],
        dtype=pl.String,
    )
    empty: Values = {**dict.fromkeys(schema), "doubtful": True}
    table = pl.DataFrame([answer or empty for answer in answers], schema=schema)
    if "board" not in frame.columns:
        table = table.insert_column(0, boards)
    told = table[found.index]
    if "doubtful" in frame.columns:
        told = told.with_columns(pl.col("doubtful") | frame.get_column("doubtful"))
    return frame.with_columns(told.get_columns())


def _fee_values(rows: tuple[Row | None, ...]) -> Values | None:
    prefix, buy, sell, on_amount, on_face, face, cap, floor = rows
    transfer = on_amount or on_face
    if not (prefix and buy and sell and transfer and cap and floor):
        return None
    return {
        "stamp_duty_buy": float(buy.value),
        "stamp_duty_sell": float(sell.value),
        "transfer_fee": float(transfer.value),
        "transfer_fee_basis": "amount" if on_amount else "face_value",
        "transfer_fee_min": 1.0 if transfer.unit.endswith("_min_1_yuan") else 0.0,
        "transfer_fee_inside_commission": "inside broker commission" in (transfer.remark or ""),
        "face_value": float(face.value) if face else 1.0,
        "commission_cap": float(cap.value),
        "commission_floor": float(floor.value),
        "doubtful": any(row.doubtful for row in (prefix, buy, sell, transfer, cap, floor)),
    }


def _lot_values(rows: tuple[Row | None, ...]) -> Values | None:
    prefix, lot, step, odd, most, most_market, cap = rows
    if not (prefix and lot and step and odd):
        return None
    return {
        "buy_lot": int(lot.value),
        "buy_step": int(step.value),
        "sell_lot": int(lot.value),
        "sell_step": int(step.value),
        "order_max": int(most.value) if most else None,
        "order_max_market": int(most_market.value) if most_market else None,
        "st_daily_buy_cap": int(cap.value) if cap else None,
        "doubtful": any(row.doubtful for row in (prefix, lot, step, odd)),
    }


def fee_fen(base: int, rate: float) -> int:
    """A rate on a base in fen, rounded half-up to the fen.

    >>> fee_fen(10_000_000, 0.0000255)  # 100,000.00 yuan at 0.00255 %
    255
    """
    return (base * round(rate * RATE_SCALE) + RATE_SCALE // 2) // RATE_SCALE


def commission_fen(
    notional: int, *, rate: float = DEFAULT_COMMISSION, cap: float = 0.003, floor: float = 5.0
) -> int:
    """The broker's commission on one order in fen: the rate, not above the cap, not below the floor.

    Args:
        notional: the order's filled amount in fen; 0 costs nothing.
        rate: fraction of notional, all-in.
        cap: the book's ``commission_cap``, fraction.
        floor: the book's ``commission_floor``, yuan an order, once across partial fills.

    Raises:
        UsageError: a negative rate.

    >>> commission_fen(1_000_000), commission_fen(10_000_000)
    (500, 2500)
    """
    if rate < 0:
        raise UsageError(
            f"commission rate is {rate}; needs a fraction of at least 0, e.g. {DEFAULT_COMMISSION}"
        )
    if notional == 0:
        return 0
    return max(round(floor * 100), fee_fen(notional, min(rate, cap)))


def transfer_fee_fen(
    notional: int,
    shares: int,
    *,
    rate: float,
    basis: str = "amount",
    least: float = 0.0,
    face_value: float = 1.0,
) -> int:
    """The transfer fee of one side of one order in fen.

    Args:
        notional: filled amount in fen.
        shares: filled shares.
        rate: ``transfer_fee``.
        basis: ``transfer_fee_basis``.
        least: ``transfer_fee_min``, yuan.
        face_value: yuan a share.

    >>> transfer_fee_fen(10_000_000, 500, rate=0.001, basis="face_value", least=1.0)
    100
    """
    if shares == 0:
        return 0
    base = notional if basis == "amount" else shares * round(face_value * 100)
    return max(round(least * 100), fee_fen(base, rate))


def round_buy(wanted: int, *, lot: int, step: int) -> int:
    """The largest buy not above ``wanted``: 0, or the lot and whole steps beyond it.

    >>> [round_buy(n, lot=200, step=1) for n in (199, 200, 201)], round_buy(250, lot=100, step=100)
    ([0, 200, 201], 200)
    """
    return 0 if wanted < lot else lot + (wanted - lot) // step * step


def round_sell(wanted: int, held: int, *, lot: int, step: int) -> int:
    """The largest sale not above ``wanted``: everything, or whole steps from the lot on.

    Where the step is the lot (Shanghai and Shenzhen main boards, ChiNext) an odd remainder may go along only
    whole; where it is 1 (STAR, Beijing) any size from the lot on may. A balance below the lot goes at once.

    >>> round_sell(150, 250, lot=100, step=100), round_sell(160, 250, lot=100, step=100)
    (150, 150)
    >>> round_sell(30, 30, lot=100, step=100), round_sell(20, 30, lot=100, step=100)
    (30, 0)
    """
    wanted = min(wanted, held)
    if wanted == held:
        return held
    plain = 0 if wanted < lot else lot + (wanted - lot) // step * step
    odd = held % step
    with_odd = odd + (wanted - odd) // step * step if 0 < odd <= wanted else 0
    return max(plain, with_odd)
