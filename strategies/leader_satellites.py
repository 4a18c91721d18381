"""The note's own advice: the leader heavy, the livelier names by what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from data_cache.symbols import Symbol
from strategies.book import INVESTED, emit, first_session_of, prepare, require

__all__ = ["LeaderSatellites"]


@dataclass(frozen=True, slots=True)
class LeaderSatellites:
    """The company that makes every link wins most surely; around it, those with fresh good news move most.

    From: the call note, answer 6: keep to the leader, the one supplier in every link of the chain, and
    watch the elastic companies for a change at the margin.

    Refuted if: the leader does no better than the basket, or the satellites chosen by news do no better than
    those without any.

    The leader takes ``leader_weight``. The ``satellites`` companies with the highest sum of decayed scores
    above ``min_score`` share the rest, each an equal part; parts without a company stay in cash. Looked at
    on the first session of each week; traded only when the book changes.

    Args:
        leader: symbol of the leader, in the universe, such as 002837.SZ; none for the full-chain company of the
            highest exposure (where there is none, the company of the highest exposure).
        leader_weight: part of the account in the leader, fraction; 0 to 0.98.
        satellites: companies around it; 1 to 100.
        min_score: score a satellite must exceed; 0 to 10.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    leader: str | None = None
    leader_weight: float = 0.5
    satellites: int = 4
    min_score: float = 0.0
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = (
        "supplier_win", "supplier_certification", "supplier_share", "capacity_or_shipment", "earnings",
        "asic_adoption", "rack_adoption",
    )  # fmt: skip

    def __post_init__(self) -> None:
        require(
            self,
            leader_weight=(0, INVESTED),
            satellites=(1, 100),
            min_score=(0, 10),
            min_history=(1, 250),
        )
        if self.leader is not None:  # one spelling inside; a frozen dataclass has no other door
            object.__setattr__(self, "leader", Symbol.parse(self.leader))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        score = pl.sum_horizontal(pl.col(f"score_{kind}").fill_null(0.0) for kind in self.kinds)
        if self.leader is None:
            # full chain first, then exposure; the panel is sorted by symbol, so ties go to the lower one
            height = pl.col("exposure") + 10.0 * (pl.col("segment") == "full_chain")
            leads = pl.when("eligible").then(-height).rank("ordinal").over("date") == 1
        else:
            leads = (pl.col("symbol") == self.leader) & pl.col("eligible")
        chosen = pl.col("eligible") & ~pl.col("leads") & (pl.col("score") > self.min_score)
        book = (
            prepare(panel, min_history=self.min_history)
            .with_columns(leads=leads.fill_null(value=False), score=score)
            .with_columns(candidate=pl.when(chosen).then("score"))
            # "ordinal" gives ties to the row that comes first: the more exposed, then the lower symbol
            .sort(pl.col("exposure"), "symbol", "date", descending=[True, False, False])
            .with_columns(rank=(-pl.col("candidate")).rank("ordinal").over("date"))
        )
        part = (INVESTED - self.leader_weight) / self.satellites
        near = pl.col("candidate").is_not_null() & (pl.col("rank") <= self.satellites)
        return emit(
            book.with_columns(
                weight=pl.when("leads").then(self.leader_weight).when(near).then(part).otherwise(0.0)
            ),
            due=first_session_of("1w"),
        )
