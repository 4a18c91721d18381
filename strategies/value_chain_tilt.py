"""Spread the money over the links of the chain as the rack spreads its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import INVESTED, emit, equal_weights, first_session_of, prepare, require

__all__ = ["ValueChainTilt"]


@dataclass(frozen=True, slots=True)
class ValueChainTilt:
    """Revenue follows the parts list: hold more of the links that take more of a rack's cooling value.

    From: the call note, answer 4, which gives each link's share of the cooling value of one rack (plates
    most, then distribution units, connectors, piping) and names the companies in each.

    Refuted if: over the quarters after the shares were told, companies of the larger links do no better
    than those of the smaller, or than the plain basket.

    Each link's share is split over the companies that make it, by exposure; a full-chain company takes part
    in every link and has those alone that nobody else in the basket makes. ``tilt`` of the book is placed
    so, the rest in equal parts over the basket; before any share is known, all of it. Reset each quarter.

    Args:
        tilt: part of the book placed by value share, fraction; 0 (the basket) to 1.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    tilt: float = 1.0
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = ("value_share",)

    def __post_init__(self) -> None:
        require(self, tilt=(0, 1), min_history=(1, 250))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        companies = prepare(panel, min_history=self.min_history)
        raw = _split(companies.filter("eligible", pl.col("value_share") > 0, pl.col("exposure") > 0))
        placed = self.tilt * INVESTED * pl.col("raw").fill_null(0.0) / pl.col("total")
        book = (
            # a sum of the same numbers in another order differs in its last bit
            companies.join(raw, on=["date", "symbol"], how="left", maintain_order="left")
            .with_columns(total=pl.col("raw").sum().over("date"), equal=equal_weights(pl.col("eligible")))
            .with_columns(
                weight=pl.when(pl.col("total") > 0)
                .then(placed + (1 - self.tilt) * pl.col("equal"))
                .otherwise("equal")
            )
        )
        return emit(book, refresh=first_session_of("1q"))


def _split(makers: pl.LazyFrame) -> pl.LazyFrame:
    """date, symbol, raw: what each company makes of the rack's cooling value, a fraction.

    Args:
        makers: date, symbol, segment, exposure, value_share; all positive.
    """
    whole = pl.col("segment") == "full_chain"
    makers = makers.sort("date", "symbol")
    chains = makers.filter(whole).group_by("date", maintain_order=True).agg(chains=pl.col("exposure").sum())
    # what one unit of exposure makes of a link, full-chain companies taking part in it
    links = (
        makers.filter(~whole)
        .group_by("date", "segment", maintain_order=True)
        .agg(share=pl.col("value_share").first(), makers=pl.col("exposure").sum())
        .join(chains, on="date", how="left")
        .with_columns(rate=pl.col("share") / (pl.col("makers") + pl.col("chains").fill_null(0.0)))
        .sort("date", "segment")
    )
    dates = links.group_by("date", maintain_order=True).agg(
        rates=pl.col("rate").sum(), shared=pl.col("share").sum()
    )
    alone = (pl.col("value_share") - pl.col("shared").fill_null(0.0)).clip(lower_bound=0.0)
    return (
        makers.join(links.select("date", "segment", "rate"), on=["date", "segment"], how="left")
        .join(dates, on="date", how="left")
        .join(chains, on="date", how="left")
        .select(
            "date",
            "symbol",
            raw=pl.col("exposure")
            * pl.when(whole)
            .then(pl.col("rates").fill_null(0.0) + alone / pl.col("chains"))
            .otherwise("rate"),
        )
    )
