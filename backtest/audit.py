"""Does a strategy look ahead? Cut the future off and see whether an earlier target moves.

1. The targets of the whole panel.
2. For each of ``cuts`` dates, spread evenly over the panel: the targets of the panel that ends there.
3. Every target up to a cut that differs from the first is a violation: something later decided it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from data_cache.errors import NoData, UsageError

if TYPE_CHECKING:
    from strategies import Strategy

__all__ = ["audit"]

_SCHEMA = {
    "cut": pl.Date, "date": pl.Date, "symbol": pl.String, "weight_full": pl.Float64, "weight_cut": pl.Float64,
}  # fmt: skip


def audit(strategy: Strategy, panel: pl.LazyFrame, *, cuts: int = 12) -> pl.DataFrame:
    """Compare a strategy's targets on the panel with those on the panel cut short.

    Args:
        strategy: what to audit.
        panel: its panel; see docs/design.md.
        cuts: dates to cut at, spread evenly, the last session left out; at least 1.

    Returns:
        One row a violation: cut, date, symbol, weight_full, weight_cut (null where the row is missing). Empty
        where no target up to a cut depends on anything later than it.

    Raises:
        UsageError: ``cuts`` is below 1.
        NoData: the panel has fewer than two sessions.
    """
    if cuts < 1:
        raise UsageError(f"cuts is {cuts}; needs at least 1")
    whole = panel.collect()
    sessions = whole["date"].unique().sort()
    if sessions.len() < 2:
        raise NoData(
            f"the panel has {sessions.len()} session(s); an audit needs two, ask for a longer stretch"
        )
    full = _targets(strategy, whole)
    places = sorted({(i + 1) * (sessions.len() - 1) // (cuts + 1) for i in range(cuts)})
    found = [_differences(full, strategy, whole, cut) for cut in sessions.gather(places)]
    return (
        pl.concat(found).select(pl.col(n).cast(t) for n, t in _SCHEMA.items()).sort("cut", "date", "symbol")
    )


def _targets(strategy: Strategy, panel: pl.DataFrame) -> pl.DataFrame:
    return strategy.targets(panel.lazy()).select("date", "symbol", "weight").collect()


def _differences(full: pl.DataFrame, strategy: Strategy, whole: pl.DataFrame, cut: object) -> pl.DataFrame:
    until = pl.col("date") <= pl.lit(cut)
    left, right = pl.col("weight_full"), pl.col("weight_cut")
    return (
        full.filter(until)
        .rename({"weight": "weight_full"})
        .join(
            _targets(strategy, whole.filter(until)).rename({"weight": "weight_cut"}),
            on=["date", "symbol"],
            how="full",
            coalesce=True,
        )
        # a row of the one without a row of the other is a difference: one trades that evening, one does not
        .filter(left.is_null() | right.is_null() | ((left - right).abs() > 1e-9))
        .select(pl.lit(cut).alias("cut"), "date", "symbol", "weight_full", "weight_cut")
    )
