"""vectorbt's accounts agree with the kernel's, and its own simulation gives the same fills."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from backtest.execution import Execution, Simulation, simulate
from backtest.market import Market, from_frames
from data_cache.errors import NoData, UsageError

STEPS = {"600000.SH": (30, 1.031), "000001.SZ": (45, 2.0)}


@pytest.fixture(scope="module")
def market() -> Market:
    """Four boards, eighty sessions, two ex-dates, a suspension, gaps through limits."""
    rng = random.Random(5)
    days = [d for i in range(112) if (d := dt.date(2023, 7, 3) + dt.timedelta(days=i)).weekday() < 5]
    rows = []
    for symbol, price in (("000001.SZ", 20.0), ("300750.SZ", 8.0), ("600000.SH", 10.0), ("688111.SH", 30.0)):
        close = price
        for t, day in enumerate(days):
            if symbol == "300750.SZ" and 20 <= t < 24:
                continue
            if STEPS.get(symbol, (-1, 0))[0] == t:
                close /= STEPS[symbol][1]
            band = 0.1 if symbol[:1] in "06" and symbol[:2] != "68" else 0.2
            # now and then a session that opens on its limit
            opens = close * (1 + rng.choice([band, -band, *[rng.uniform(-0.03, 0.03)] * 12]))
            opens = int(opens * 100 + 0.5) / 100
            close = int(opens * (1 + rng.uniform(-0.02, 0.02)) * 100 + 0.5) / 100
            rows.append((symbol, day, opens, max(opens, close), min(opens, close), close, 40_000))
    frame = pl.DataFrame(rows, ["symbol", "date", "open", "high", "low", "close", "volume"], orient="row")
    factors = pl.DataFrame(
        [(s, days[t], step) for s, (t, step) in STEPS.items()], ["symbol", "date", "factor"], orient="row"
    )
    return from_frames(frame, pl.Series("date", days), factors=factors, gaps="suspended")


@pytest.fixture(scope="module")
def targets(market: Market) -> pl.DataFrame:
    rng = random.Random(6)
    rows = []
    for date in market.dates[:-1:3]:
        weights = [rng.random() * rng.choice([0, 1, 1]) for _ in market.symbols]
        total = max(sum(weights), 1.0)
        rows += [(date.item(), s, w / total) for s, w in zip(market.symbols, weights, strict=True)]
    return pl.DataFrame(rows, ["date", "symbol", "weight"], orient="row")


TERMS = [
    Execution(volume_cap=1.0),
    Execution(slippage_bps=7.5, impact=0.02, volume_cap=0.05, buy_retry=2),
    Execution(price="close", volume_cap=1.0, commission=0.0),
    Execution(price="vwap", slippage_bps=5.0),
]


@pytest.mark.parametrize("rules", TERMS, ids=["plain", "frictions", "close", "vwap"])
def test_the_portfolio_is_the_kernels_account_to_the_cent(
    market: Market, targets: pl.DataFrame, rules: Execution
) -> None:
    from backtest.accounts import portfolio

    result = simulate(market, targets, cash=400_000, rules=rules)
    account = portfolio(result, market)
    assert abs(account.final_value() - result.equity["value"][-1]) < 0.005
    assert account.cash().to_numpy().ravel() == pytest.approx(result.equity["cash"].to_numpy(), abs=0.001)
    assert account.value().to_numpy().ravel() == pytest.approx(result.equity["value"].to_numpy(), abs=0.001)
    assert account.orders.count().sum() == result.fills.height
    fees = result.fills.select(pl.sum_horizontal("commission", "stamp_duty", "transfer_fee").sum()).item()
    assert account.orders.fees.sum() == pytest.approx(fees, abs=0.001)


def test_statistics_trades_and_plot_work_without_a_warning(market: Market, targets: pl.DataFrame) -> None:
    import vectorbt

    from backtest.accounts import portfolio

    account = portfolio(simulate(market, targets, cash=400_000, rules=TERMS[0]))
    assert isinstance(account, vectorbt.Portfolio)
    stats = account.stats()
    assert stats["Start Value"] == 400_000
    assert stats["End Value"] == pytest.approx(account.final_value())
    assert account.trades.count().sum() > 10
    assert len(account.plot().data) >= 3


@pytest.mark.parametrize("rules", TERMS, ids=["plain", "frictions", "close", "vwap"])
def test_vectorbts_own_simulation_gives_the_same_fills(
    market: Market, targets: pl.DataFrame, rules: Execution
) -> None:
    from backtest.accounts import simulate_in_vectorbt

    ours = simulate(market, targets, cash=400_000, rules=rules)
    theirs = simulate_in_vectorbt(market, targets, cash=400_000, rules=rules)
    assert ours.fills.height > 20
    reasons = set(ours.rejections["reason"])
    assert reasons & {"limit_up", "limit_down"}
    assert_same(ours, theirs)


def assert_same(ours: Simulation, theirs: Simulation) -> None:
    order: Any = ["date", "symbol", "reason"]
    assert_frame_equal(ours.fills, theirs.fills, check_exact=True)
    assert_frame_equal(ours.rejections.sort(order), theirs.rejections.sort(order), check_exact=True)
    assert_frame_equal(ours.equity, theirs.equity, check_exact=False, rel_tol=0, abs_tol=0.001)


@pytest.fixture(scope="module")
def half_told(market: Market) -> Market:
    """The same market with the action of one of its two ex-dates."""
    day = market.dates[STEPS["000001.SZ"][0]].item()
    told = {"symbol": ["000001.SZ"], "ex_date": [day], "cash": [0.0], "bonus": [0.0], "transfer": [1.0]}
    return dataclasses.replace(market, actions=pl.DataFrame(told))


def test_explicit_accounting_has_no_portfolio_and_says_what_has(
    half_told: Market, targets: pl.DataFrame
) -> None:
    from backtest.accounts import portfolio, simulate_in_vectorbt

    rules = Execution(accounting="explicit")
    result = simulate(half_told, targets, rules=rules)
    with pytest.raises(UsageError, match="total_return"):
        portfolio(result)
    with pytest.raises(UsageError, match="total_return"):
        simulate_in_vectorbt(half_told, targets, rules=rules)


def test_explicit_accounting_tells_the_ex_dates_no_action_explains(
    half_told: Market, targets: pl.DataFrame
) -> None:
    result = simulate(half_told, targets, rules=Execution(accounting="explicit"))
    (said,) = result.caveats
    day = half_told.dates[STEPS["600000.SH"][0]]
    assert said.startswith("1 ex-dates move the factor")
    assert f"600000.SH {day}" in said
    assert simulate(half_told, targets).caveats == ()


def test_explicit_accounting_without_any_action_is_refused(market: Market, targets: pl.DataFrame) -> None:
    with pytest.raises(NoData, match=r"there are none, though 2 ex-dates .* accounting='total_return'"):
        simulate(market, targets, rules=Execution(accounting="explicit"))
