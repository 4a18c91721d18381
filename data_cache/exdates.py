"""Do the adjustment factors and the dividends tell the same ex-dates? Two vendors, one check.

1. Each step of a symbol's factors should have a dividend or share distribution on that date, or be a rights
   issue, which the dividend table does not hold: said as a doubt.
2. Each distribution within the bars should have a step. A missing one makes the fall of the price look like a
   loss: said as missing.
3. Where both exist and the close before is known, the step should be close / ((close - cash) / (1 + bonus +
   transfer)), the exchange's reference price formula (SSE Trading Rules 4.3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

__all__ = ["ExDates", "compare"]

_TOLERANCE = 0.005  # reference prices are rounded to a fen; on a share of 2 yuan that is a quarter of this


@dataclass(frozen=True, slots=True, eq=False)  # eq: it holds frames
class ExDates:
    """What does not agree.

    Args:
        missing: distributions without a step of the factor: symbol, date.
        doubtful: steps without a distribution, or of another size: symbol, date, step, expected (or null).
    """

    missing: pl.DataFrame
    doubtful: pl.DataFrame


def compare(bars: pl.DataFrame, factors: pl.DataFrame, actions: pl.DataFrame) -> ExDates:
    """Compare one or more symbols.

    Args:
        bars: raw bars; only ex-dates after a symbol's first bar and up to its last are judged.
        factors: ``schemas.Factors``.
        actions: ``schemas.CorporateActions``.
    """
    bars = bars.select("symbol", "date", "close").sort("symbol", "date")
    span = bars.group_by("symbol").agg(first=pl.col("date").min(), last=pl.col("date").max())
    before = bars.select("symbol", pl.col("date").alias("closed_on"), pl.col("close").alias("before"))
    steps = (
        factors.sort("symbol", "date")
        .with_columns(step=pl.col("factor") / pl.col("factor").shift(1).over("symbol"))
        .filter(pl.col("step").is_not_null() & ((pl.col("step") - 1).abs() > 1e-6))
        .select("symbol", "date", "step")
    )
    told = actions.select(
        "symbol", pl.col("ex_date").alias("date"), "cash", grown=1 + pl.col("bonus") + pl.col("transfer")
    )
    both = (
        steps.join(told, on=["symbol", "date"], how="full", coalesce=True)
        .join(span, on="symbol")
        .filter((pl.col("date") > pl.col("first")) & (pl.col("date") <= pl.col("last")))
        .sort("symbol", "date")
        .with_columns(yesterday=pl.col("date").dt.offset_by("-1d"))
        .join_asof(before, left_on="yesterday", right_on="closed_on", by="symbol", check_sortedness=False)
        .with_columns(expected=pl.col("before") * pl.col("grown") / (pl.col("before") - pl.col("cash")))
    )
    off = (pl.col("step") / pl.col("expected") - 1).abs() > _TOLERANCE
    return ExDates(
        missing=both.filter(pl.col("step").is_null()).select("symbol", "date"),
        doubtful=both.filter(pl.col("step").is_not_null() & off.fill_null(value=True)).select(
            "symbol", "date", "step", "expected"
        ),
    )
