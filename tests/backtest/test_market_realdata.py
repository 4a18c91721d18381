"""Limits guessed from adjusted prices, beside those computed from the prices as traded."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.market import TOLERANCE, Market, from_frames

START, END = dt.date(2018, 1, 2), dt.date(2025, 5, 23)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("vendor", "days", "locked", "falsely"), [("a", 20_511, 93, 13), ("b", 24_449, 110, 15)]
)
def test_no_locked_open_is_missed_on_adjusted_prices(
    shared: Path, vendor: str, days: int, locked: int, falsely: int
) -> None:
    raw = pl.read_parquet(shared / "data" / "basket_raw.parquet").filter(pl.col("volume") > 0)
    qfq = pl.read_parquet(shared / "data" / f"basket_qfq_{vendor}.parquet").filter(
        pl.col("volume") > 0,
        pl.col("high") >= pl.max_horizontal("open", "close", "low"),
        pl.col("low") <= pl.min_horizontal("open", "close"),
        pl.col("symbol").is_in(raw["symbol"].unique().implode()),
    )
    sessions = pl.concat([raw["date"], qfq["date"]]).unique().sort()
    true = from_frames(raw, sessions, gaps="suspended", start=START, end=END)
    guess = from_frames(qfq, sessions, basis="qfq", gaps="suspended", start=START, end=END)
    assert (true.dates == guess.dates).all()
    common = [s for s in true.symbols if s in guess.symbols]

    def take(market: Market, field: str) -> np.ndarray:
        values: np.ndarray = getattr(market, field)[:, [market.symbols.index(s) for s in common]]
        return values

    judged = ~np.isnan(take(true, "open")) & ~np.isnan(take(guess, "open"))
    judged &= ~np.isnan(take(true, "limit_up")) & ~np.isnan(take(guess, "limit_up"))
    ratio = take(true, "close") / take(guess, "close")  # an ex-date or a hole in the raw bars moves it
    judged[0] = False
    judged[1:] &= np.abs(ratio[1:] / ratio[:-1] - 1) < 0.004
    near = TOLERANCE["qfq"]
    was = (take(true, "open") >= take(true, "limit_up") - 1e-6) | (
        take(true, "open") <= take(true, "limit_down") + 1e-6
    )
    said = (take(guess, "open") >= take(guess, "limit_up") * (1 - near)) | (
        take(guess, "open") <= take(guess, "limit_down") * (1 + near)
    )
    assert int(judged.sum()) == days
    assert int((judged & was).sum()) == locked
    assert int((judged & was & ~said).sum()) == 0
    assert int((judged & said & ~was).sum()) == falsely
