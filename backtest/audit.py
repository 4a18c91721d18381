"""Does a strategy look ahead? Cut the future off and see whether an earlier target moves.

1. The targets of the whole panel.
2. ``_places``: the dates to cut at, all of them active and none before the first target.
3. At each, the targets of the panel that ends there.
4. Every target up to a cut that differs from the first is a violation: something later decided it.

The strategy is what is tested. The panel's rows are cut, not built anew: that a row of ``strategies.build_panel`` knows
nothing later than its date is held by tests/properties/test_point_in_time.py, and of a panel made otherwise by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from data_cache.errors import NoData, UsageError

if TYPE_CHECKING:
    from strategies import Strategy

__all__ = ["Audit", "audit"]

_SCHEMA = {
    "cut": pl.Date, "date": pl.Date, "symbol": pl.String, "weight_full": pl.Float64, "weight_cut": pl.Float64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What was tested and what was found.

    Attributes:
        cuts: cut, emits (whether the whole panel has a book on that date), targets (its rows up to it, at least
            1); one row a cut made, by date.
        violations: cut, date, symbol, weight_full, weight_cut (null where the row is missing), one row each; empty
            where no target up to a cut depends on anything later than it.
    """

    cuts: pl.DataFrame
    violations: pl.DataFrame


def audit(strategy: Strategy, panel: pl.LazyFrame, *, cuts: int = 40) -> Audit:
    """Compare a strategy's targets on the panel with those on the panel cut short.

    Args:
        strategy: what to audit.
        panel: its panel; see docs/design.md.
        cuts: dates to cut at, at least 1; fewer are made where there are fewer. A cut costs one run of the strategy.

    Raises:
        UsageError: ``cuts`` is below 1.
        NoData: the panel has fewer than two sessions, or no target stands before its last one: no cut would test
            anything.
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
    active = whole.filter("active")["date"].unique().sort()
    places = _places(full, active.filter(active < sessions[-1]), cuts)
    if places.is_empty():
        raise NoData(
            f"{type(strategy).__name__} emits no target on an active date before {sessions[-1]}, the panel's last, so "
            "no cut would test anything; ask for a longer stretch"
        )
    found = [_differences(full, strategy, whole, cut) for cut in places["cut"]]
    violations = pl.concat(found).select(pl.col(n).cast(t) for n, t in _SCHEMA.items())
    return Audit(cuts=places, violations=violations.sort("cut", "date", "symbol"))


def _places(full: pl.DataFrame, active: pl.Series, cuts: int) -> pl.DataFrame:
    """``Audit.cuts``: half on dates with a book, half on others, spread evenly; the one makes up for the other.

    What peeks one session ahead is seen where it emits, and only by a cut on that very date; what emits for being
    last (of a month, of the panel) is seen on a date on which the whole panel has no book.
    """
    books = full.filter(pl.col("date").is_in(active.implode()))["date"].unique().sort()
    if books.is_empty():
        return pl.DataFrame(schema={"cut": pl.Date, "emits": pl.Boolean, "targets": pl.Int64})
    others = active.filter((active > books[0]) & ~active.is_in(books.implode()))
    on_books = min(books.len(), max((cuts + 1) // 2, cuts - others.len()))
    parts = [(books, on_books, True), (others, min(others.len(), cuts - on_books), False)]
    return (
        pl.concat(
            pl.DataFrame(
                {"cut": dates.gather([(2 * i + 1) * dates.len() // (2 * n) for i in range(n)])}
            ).with_columns(emits=pl.lit(emits))
            for dates, n, emits in parts
        )
        .sort("cut")
        .with_columns(
            targets=pl.lit(full["date"].sort()).search_sorted(pl.col("cut"), side="right").cast(pl.Int64)
        )
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
