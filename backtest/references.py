"""What the price limits of a bar are counted from: the previous close, ex-adjusted.

1. ``references``         by the corporate action where the factor agrees, else by the factor
2. ``doubtful_formulas``  where the rule book is not sure of the formula
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from data_cache.limits import panel
from data_cache.rule_table import match

__all__ = ["doubtful_formulas", "references"]

Array = np.ndarray[Any, np.dtype[Any]]

_FACTOR_ROUNDING = 5e-5  # half a unit of a factor's fourth decimal, the fewest a vendor gives


def references(
    bars: pl.DataFrame, factor: Array, actions: pl.DataFrame | None, basis: str
) -> tuple[Array, Array]:
    """What each bar's limits are counted from, in yuan, and whether two sources differ on it.

    The previous close, ex-adjusted; NaN on the first bar. An ex-reference price is (previous close - cash) / (1 +
    new shares), half-up to the fen, where the action is known and the factor says the same within its rounding;
    else the previous close by the step of the factor, to the fen. The plan is nominal: where repurchased shares get
    nothing the exchange publishes less cash a share, and rights are in no plan; the factor has both. A factor
    without a step on the ex-date is late, and the plan all there is. Adjusted prices take the previous close.

    Args:
        bars: symbol, date, close; by symbol and date.
        factor: (bars,) of each bar.
        actions: CorporateActions, or None.
        basis: of the bars.
    """
    same = bars["symbol"] == bars["symbol"].shift(1)
    previous = bars["close"].shift(1).to_numpy()
    before = np.roll(factor, 1)
    step = before / factor
    reference = np.where(same.fill_null(value=False).to_numpy(), previous, np.nan)
    undisputed = np.zeros(bars.height, dtype=bool)
    if basis != "raw":
        return reference, undisputed
    moved = np.where(step == 1.0, reference, np.floor(reference * step * 100 + 0.5 + 1e-6) / 100)
    if actions is None or not actions.height:
        return moved, undisputed
    ex = (
        actions.sort("ex_date")
        .join_asof(
            bars.select("symbol", "date", bar="date").sort("date"),
            left_on="ex_date",
            right_on="date",
            by="symbol",
            strategy="forward",
            check_sortedness=False,
        )
        .group_by("symbol", pl.col("bar").alias("date"))
        .agg(pl.len(), pl.col("cash").sum(), new=(pl.col("bonus") + pl.col("transfer")).sum())
        .filter(pl.col("len") == 1)  # two in one suspension: the factor knows their order
    )
    told = bars.select("symbol", "date").join(ex, on=["symbol", "date"], how="left", maintain_order="left")
    cash, new = told["cash"].to_numpy(), told["new"].to_numpy()
    exact = np.floor((reference - cash) / (1 + new) * 100 + 0.5 + 1e-6) / 100
    near = 0.005 + 1e-9 + reference * _FACTOR_ROUNDING * (1 / before + 1 / factor)  # a factor may know no fen
    differs = np.abs(exact - reference * step) > near  # false where either is NaN
    return np.where((exact > 0) & (~differs | (step == 1.0)), exact, moved), differs


def doubtful_formulas(bars: pl.DataFrame) -> pl.Series:
    """Whether the reference of a bar was counted by an ex-reference formula that the rule book marks."""
    doubtful = np.zeros(bars.height, dtype=bool)
    previous = pl.col("close").shift(1).over("symbol")
    ex = bars.select((pl.col("reference") != previous).fill_null(value=False)).to_series().arg_true()
    found = match(panel(bars[ex]), ("ex_reference_price_formula",))
    marked = [row is None or row.doubtful for (row,) in found.rows]
    doubtful[ex.to_numpy()] = np.array(marked, dtype=bool)[found.index]
    return pl.Series(doubtful)
