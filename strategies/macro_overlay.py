"""Let the weather of rates, banks and borders set how much of the basket is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from strategies.book import emit, equal_weights, prepare, require

__all__ = ["MacroOverlay"]


@dataclass(frozen=True, slots=True)
class MacroOverlay:
    """Rate rises, failing banks, export controls and tariffs weigh on the theme; technology plans lift it.

    From: the essay of March 2023, which ties fast rate rises, the failure of a bank of technology firms,
    pressure to decouple and control of chips to a scattering of technology resources, and sees states
    answer with plans.

    Refuted if: the basket does no worse in the sessions the overlay holds little of it than in those it holds
    much.

    The basket in equal parts, times a gross exposure of ``neutral`` plus ``sensitivity`` times the sum of
    the decayed macro scores (per unit of a company's exposure), rounded to ``step`` and kept between
    ``floor`` and ``ceiling``.

    Args:
        neutral: gross exposure with no macro news, fraction; 0 to 1.
        sensitivity: change of gross exposure per unit of score; 0 to 5.
        floor: least gross exposure, fraction; 0 to 1.
        ceiling: most, fraction; ``floor`` to 1.
        step: gross exposure moves in multiples of this, so that decay alone does not trade daily; 0.01 to 1.
        min_history: sessions a company must have been listed; 1 to 250.
    """

    neutral: float = 0.75
    sensitivity: float = 0.5
    floor: float = 0.25
    ceiling: float = 1.0
    step: float = 0.25
    min_history: int = 20

    kinds: ClassVar[tuple[str, ...]] = (
        "rate_hike", "rate_cut", "bank_failure", "export_control", "decoupling", "tariff", "national_tech_plan",
    )  # fmt: skip

    def __post_init__(self) -> None:
        require(
            self,
            neutral=(0, 1),
            sensitivity=(0, 5),
            floor=(0, 1),
            step=(0.01, 1),
            min_history=(1, 250),
        )
        require(self, ceiling=(self.floor, 1))

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        """The book; see docs/design.md."""
        score = pl.sum_horizontal(pl.col(f"score_{kind}").fill_null(0.0) for kind in self.kinds)
        wanted = self.neutral + self.sensitivity * pl.col("regime")
        book = (
            prepare(panel, min_history=self.min_history)
            .with_columns(score=score)
            .with_columns(
                regime=(pl.col("score").sum() / pl.col("exposure").sum()).over("date").fill_nan(0.0)
            )
            .with_columns(gross=((wanted / self.step).round() * self.step).clip(self.floor, self.ceiling))
            .with_columns(weight=equal_weights(pl.col("eligible")) * pl.col("gross"))
        )
        return emit(book)
