"""Hold the chain, and stand aside while its racks are late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import emit, equal_weights, prepare, require

__all__ = ["RackDelayExit"]


@dataclass(frozen=True, slots=True)
class RackDelayExit:
    """A delay of racks or chips stops the chain's growth until shipments ramp; prices take weeks to see it.

    From: the call note, answer 7: the main risk is that chips and racks ship later than planned, a rack
    delay and a chip delay of the year before did slow the sector, and shipments are the signal to follow.

    Refuted if: the basket earns as much while the strategy stands aside as while it is in.

    The basket in equal parts, sold on the evening of news of a delay and bought back on news that racks
    ramp, or ``wait`` sessions after the latest delay. When both are told for the same evening the delay
    counts.

    Args:
        wait: sessions after the latest delay at which it comes back without other news; 1 to 250.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    wait: int = 60
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = ("rack_delay", "chip_delay", "rack_ramp")

    def __post_init__(self) -> None:
        require(self, wait=(1, 250), min_history=(1, 250))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        evening = pl.int_range(pl.len())
        delayed = (pl.col("new_rack_delay") < 0).any() | (pl.col("new_chip_delay") < 0).any()
        aside = (
            panel.group_by("date")
            .agg(delay=delayed.fill_null(value=False), ramp=(pl.col("new_rack_ramp") > 0).any())
            .sort("date")
            .with_columns(
                now=evening,
                delay=pl.when("delay").then(evening).forward_fill(),
                ramp=pl.when("ramp").then(evening).forward_fill(),
            )
            .select(
                "date",
                aside=(pl.col("now") - pl.col("delay") < self.wait).fill_null(value=False)
                & (pl.col("ramp").is_null() | (pl.col("ramp") <= pl.col("delay"))),
            )
        )
        book = (
            prepare(panel, min_history=self.min_history)
            .join(aside, on="date", how="left")
            .with_columns(weight=equal_weights(pl.col("eligible") & ~pl.col("aside")))
        )
        return emit(book)
