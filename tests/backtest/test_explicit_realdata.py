"""Explicit and total-return accounting reconciled on the real ex-dates of 002837.SZ.

The unadjusted bars come without corporate actions, so each is derived from the announced step of the adjustment
factor (the ratio qfq/raw of ../shared/data/README.md) and the last close before it: most of the step is new shares,
taken as the round number of tenths of a share that leaves a cash dividend between 0 and 3 % of the price, in whole
fen a share; those are the kinds of numbers a Chinese company announces.
"""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.execution import Execution, simulate
from backtest.market import Market, from_frames

RATIOS = {  # qfq / raw from each date on
    dt.date(2019, 1, 2): 0.2221,
    dt.date(2019, 5, 17): 0.2245,
    dt.date(2020, 5, 29): 0.3383,
    dt.date(2021, 5, 27): 0.3415,
    dt.date(2022, 5, 31): 0.4472,
    dt.date(2023, 5, 19): 0.5841,
    dt.date(2024, 5, 27): 0.7645,
    dt.date(2025, 5, 30): 1.0,
}
START, END = dt.date(2019, 1, 2), dt.date(2026, 3, 18)


def actions(bars: pl.DataFrame) -> pl.DataFrame:
    rows = []
    days = sorted(RATIOS)
    for before, day in itertools.pairwise(days):
        close = bars.filter(pl.col("date") < day)["close"][-1]
        step = RATIOS[day] / RATIOS[before]
        fits = []
        for tenths in range(11):
            cash = round(close - close / step * (1 + tenths / 10), 2)
            if 0 <= cash <= 0.03 * close:
                fits.append((cash, tenths / 10))
        assert fits, (day, step, close)
        cash, transfer = fits[0]
        rows.append(("002837.SZ", day, cash, 0.0, transfer))
    return pl.DataFrame(rows, ["symbol", "ex_date", "cash", "bonus", "transfer"], orient="row")


@pytest.fixture(scope="module")
def raw(shared: Path) -> pl.DataFrame:
    bars = pl.read_parquet(shared / "data" / "basket_raw.parquet")
    return bars.filter(pl.col("symbol") == "002837.SZ", pl.col("date").is_between(START, END)).sort("date")


def market_of(bars: pl.DataFrame, told: pl.DataFrame) -> Market:
    """Factors by the exact formula from the same actions: the step is close / ex-reference, unrounded."""
    factor, rows = 1.0, []
    for action in told.iter_rows(named=True):
        close = bars.filter(pl.col("date") < action["ex_date"])["close"][-1]
        factor *= close * (1 + action["bonus"] + action["transfer"]) / (close - action["cash"])
        rows.append((action["symbol"], action["ex_date"], factor))
    factors = pl.DataFrame(rows, ["symbol", "date", "factor"], orient="row")
    return from_frames(bars, bars["date"], factors=factors, corporate_actions=told)


@pytest.mark.realdata
def test_the_derived_actions_explain_the_announced_factors(raw: pl.DataFrame) -> None:
    """Seven ex-dates; the product of the steps is the ratio of the README, and the new shares are the known ones."""
    told = actions(raw)
    assert told["transfer"].to_list() == [0.0, 0.5, 0.0, 0.3, 0.3, 0.3, 0.3]
    market = market_of(raw, told)
    assert market.factor[-1, 0] == pytest.approx(1.0 / 0.2221, rel=2e-3)


@pytest.mark.realdata
@pytest.mark.parametrize("commission", [0.0, 0.00025])
def test_the_two_accountings_agree_but_for_tax_idle_cash_and_fractions(
    raw: pl.DataFrame, commission: float
) -> None:
    """Buy in 2019 and hold through all seven ex-dates: held over a year, so no tax at all.

    The explicit account keeps its dividends in cash; grown with the stock from each ex-date (what total return
    assumes) they close the gap, up to whole shares and the published reference's fen.
    """
    told = actions(raw)
    market = market_of(raw, told)
    days = market.dates
    target = pl.DataFrame({"date": [days[0].item()], "symbol": ["002837.SZ"], "weight": [0.9]})
    terms = {"volume_cap": 1.0, "commission": commission}
    total = simulate(market, target, rules=Execution(**terms))  # type: ignore[arg-type]
    explicit = simulate(market, target, rules=Execution(accounting="explicit", **terms))  # type: ignore[arg-type]
    assert explicit.fills.equals(total.fills)
    assert explicit.dividends.height == 7
    assert explicit.dividends["tax"].sum() == 0
    grown = 0.0
    for row in explicit.dividends.iter_rows(named=True):
        t = int(np.searchsorted(days, np.datetime64(row["date"])))
        # reinvested at the theoretical ex-price, which is the eve's close by the step of the factor
        bought = market.mark[t - 1, 0]
        grown += row["cash"] * market.mark[-1, 0] / bought - row["cash"]
    gap = total.equity["value"][-1] - (explicit.equity["value"][-1] + grown)
    last = raw["close"][-1]
    assert abs(gap) < 7 * last * 7  # at most a share lost to rounding at each ex-date, grown since
    assert abs(gap) / total.equity["value"][-1] < 1e-4
    assert total.equity["value"][-1] > 10 * explicit.dividends["cash"].sum()  # the test is about something


@pytest.mark.realdata
def test_the_tax_of_a_short_holding_is_what_separates_them(raw: pl.DataFrame) -> None:
    """Bought three weeks before the ex-date of 2024-05-27 and sold the week after: a fifth of the cash is tax."""
    told = actions(raw)
    market = market_of(raw, told)
    day = dt.date(2024, 5, 27)
    t = int(np.searchsorted(market.dates, np.datetime64(day)))
    books = pl.DataFrame(
        {"date": market.dates[[t - 15, t + 3]], "symbol": ["002837.SZ"] * 2, "weight": [0.9, 0.0]}
    )
    result = simulate(market, books, rules=Execution(accounting="explicit", volume_cap=1.0))
    paid, withheld = result.dividends.rows(named=True)
    assert withheld["tax"] == pytest.approx(paid["cash"] * 0.2, abs=0.005)
    later = books.with_columns(date=pl.Series(market.dates[[t - 15, t + 30]]))
    result = simulate(market, later, rules=Execution(accounting="explicit", volume_cap=1.0))
    assert result.dividends["tax"].sum() == pytest.approx(paid["cash"] * 0.1, abs=0.005)
