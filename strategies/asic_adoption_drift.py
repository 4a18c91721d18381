"""Buy the chain when the makers of their own chips turn to liquid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import INVESTED, emit, prepare, require

__all__ = ["AsicAdoptionDrift"]


@dataclass(frozen=True, slots=True)
class AsicAdoptionDrift:
    """When a cloud company's own chip goes to liquid cooling, its suppliers drift up for weeks, not a day.

    From: the call note, answer 2 (adoption by the makers of their own chips runs ahead of what the industry
    expected, Meta first, then Google, Amazon and Microsoft) and answer 6 (the leader is placed to enter them
    first). If each adoption surprises, prices that followed the last one have not yet followed the next.

    Refuted if: from the first open after such news, the exposed companies earn no more over ``hold`` sessions
    than the basket does, or all of their gain comes before that open.

    After news of adoption, or of a supplier's win where ``wins``, the companies it reaches with at least
    ``min_exposure`` are held for ``hold`` sessions, each in proportion to its exposure and none above
    ``max_weight``; news inside the stretch extends it. The rest is cash.

    Args:
        hold: sessions held from the first fill on; 1 to 250.
        min_exposure: part of the theme a company must carry, fraction; 0 to 1.
        max_weight: most of the account in one company, fraction; above 0 to 1.
        wins: whether a supplier's win counts beside adoption.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    hold: int = 20
    min_exposure: float = 0.5
    max_weight: float = 0.25
    wins: bool = True
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = ("asic_adoption", "supplier_win")

    def __post_init__(self) -> None:
        require(
            self,
            hold=(1, 250),
            min_exposure=(0, 1),
            max_weight=(0.001, 1),
            min_history=(1, 250),
        )

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        news = pl.col("new_asic_adoption").fill_null(0.0) > 0
        if self.wins:
            news |= pl.col("new_supplier_win").fill_null(0.0) > 0
        # decided on day 0, bought at the open of day 1, wanted until the evening of day hold - 1, sold at the
        # open of day hold + 1: held for `hold` sessions
        recent = news.cast(pl.Int32).rolling_sum(self.hold, min_samples=1).over("symbol") > 0
        held = pl.col("recent") & pl.col("eligible") & (pl.col("exposure") >= self.min_exposure)
        total = pl.col("part").sum().over("date")
        book = (
            prepare(panel, min_history=self.min_history)
            .with_columns(recent=recent)
            .with_columns(part=pl.when(held).then("exposure").otherwise(0.0))
            .with_columns(
                weight=pl.when(pl.col("part") > 0).then(
                    (INVESTED * pl.col("part") / total).clip(upper_bound=self.max_weight)
                )
            )
        )
        return emit(book)
