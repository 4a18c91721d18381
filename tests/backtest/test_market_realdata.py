"""Limits guessed from adjusted prices, beside those computed from the prices as traded."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction
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


@pytest.mark.realdata
@pytest.mark.parametrize("digits", [4, 6])
def test_real_plain_dividends_take_the_plan_whatever_decimals_the_factor_has(
    shared: Path, digits: int
) -> None:
    """The real ex-dates the basket's raw bars and vendor B's show, with the plan in whole fen and tenths of a share.

    No plans are stored: one that explains the vendor's step to a hundredth of a fen is taken as the announced one.
    """
    raw = pl.read_parquet(shared / "data" / "basket_raw.parquet").filter(pl.col("volume") > 0)
    qfq = pl.read_parquet(shared / "data" / "basket_qfq_b.parquet").filter(pl.col("volume") > 0)

    def at(name: str, n: int) -> pl.Expr:
        return pl.col(name).shift(n).over("symbol")

    days = (
        raw.sort("symbol", "date")
        .with_columns(before=at("close", 1), away=(pl.col("date") - at("date", 1)).dt.total_days())
        .join(qfq.select("symbol", "date", adjusted="close"), on=["symbol", "date"], maintain_order="left")
        .with_columns(held=pl.col("close") / pl.col("adjusted"))
        .with_columns(
            step=at("held", 1) / pl.col("held"),
            # the vendor's errors move a single day
            noise=pl.max_horizontal(*((at("held", n) / at("held", n + 1) - 1).abs() for n in (-2, -1, 1, 2))),
        )
        .filter((pl.col("step") - 1).abs() > 2e-4, pl.col("noise") < 1e-5, pl.col("away").is_between(1, 11))
    )
    plans, factors, expected = [], [], {}
    level = dict.fromkeys(days["symbol"], 1.0)
    for symbol, date, close, step in days.select("symbol", "date", "before", "step").iter_rows():
        level[symbol] = round(level[symbol] * step, digits)
        factors.append((symbol, date, level[symbol]))
        for tenths in range(16):
            cash = round((close - close / step * (1 + tenths / 10)) * 100)
            exact = Fraction(round(close * 100) - cash) / (1 + Fraction(tenths, 10))
            if 0 <= cash <= 4 * close and abs(float(exact) - close / step * 100) < 0.01:
                plans.append((symbol, date, cash / 100, 0.0, tenths / 10))
                wide = symbol.startswith("30") and date >= dt.date(2020, 8, 24)
                reference = math.floor(exact + Fraction(1, 2))
                limit = math.floor(reference * Fraction(12 if wide else 11, 10) + Fraction(1, 2))
                expected[symbol, date] = limit / 100
                break
    assert len(expected) == 50
    market = from_frames(
        raw,
        raw["date"].unique().sort(),
        factors=pl.DataFrame(factors, ["symbol", "date", "factor"], orient="row"),
        corporate_actions=pl.DataFrame(
            plans, ["symbol", "ex_date", "cash", "bonus", "transfer"], orient="row"
        ),
        gaps="suspended",
    )
    for (symbol, date), limit in expected.items():
        t, j = int(np.searchsorted(market.dates, np.datetime64(date))), market.symbols.index(symbol)
        assert market.limit_up[t, j] == pytest.approx(limit, abs=1e-9), (symbol, date)
        assert not market.doubtful[t, j], (symbol, date)
