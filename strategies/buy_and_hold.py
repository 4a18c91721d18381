"""An opponent without ideas: the whole basket, bought once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import emit, equal_weights, first_session_of, prepare, require

__all__ = ["BuyAndHold"]


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """Holding every company of the theme in equal parts earns what the theme earns, for next to no cost.

    From: no note; this is what any idea about the theme has to beat. The basket was chosen with hindsight,
    and nothing shows that more than this line.

    Refuted if: it loses to the index over a stretch in which the theme's own orders grew.

    Equal parts on the first evening, then left to drift. Once a year, on the first session, newly listed
    companies join and the parts are made equal again.

    Args:
        min_history: sessions a company must have been listed; 1 to 250.
    """

    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require(self, min_history=(1, 250))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        book = prepare(panel, min_history=self.min_history).with_columns(
            weight=equal_weights(pl.col("eligible"))
        )
        yearly = first_session_of("1y")
        return emit(book, due=yearly, refresh=yearly)
