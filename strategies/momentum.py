"""An opponent that reads no notes: what rose keeps rising."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import INVESTED, emit, first_session_of, prepare, require

__all__ = ["Momentum"]


@dataclass(frozen=True, slots=True)
class Momentum:
    """Within the basket, the companies that rose most over the last months go on rising for another.

    From: no note. An event strategy that only buys what has already run is this one in disguise, so it must
    do better than this. The form is that of Jegadeesh and Titman (1993) with a short skip against reversal.

    Refuted if: the chosen companies do not beat the rest of the basket over the month that follows.

    On the first session of each month the ``top`` companies by return from ``lookback + skip`` to ``skip``
    sessions ago are held in equal parts.

    Args:
        lookback: sessions over which the return is measured; 5 to 240.
        skip: latest sessions left out of it; 0 to 60. The two together stay within 245.
        top: companies held; 1 to 100.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    lookback: int = 60
    skip: int = 5
    top: int = 5
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        require(
            self,
            lookback=(5, 240),
            top=(1, 100),
            min_history=(1, 250),
        )
        require(self, skip=(0, min(60, 245 - self.lookback)))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        late, early = (
            pl.col("close").shift(n).over("symbol") for n in (self.skip, self.skip + self.lookback)
        )
        ranked = (
            prepare(panel, min_history=self.min_history)
            .with_columns(rise=pl.when("eligible").then(late / early - 1))
            # "ordinal" gives ties to the row that comes first: the lower symbol
            .with_columns(rank=(-pl.col("rise")).rank("ordinal").over("date"))
            .with_columns(weight=pl.when(pl.col("rank") <= self.top).then(INVESTED / self.top))
        )
        monthly = first_session_of("1mo")
        return emit(ranked, due=monthly, refresh=monthly)
