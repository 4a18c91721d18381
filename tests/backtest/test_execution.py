"""Bad targets and terms are refused by name before anything runs; what comes out has the promised shape."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from backtest.execution import Execution, simulate
from backtest.market import Market, from_frames
from data_cache.errors import UsageError

DAYS = [dt.date(2024, 1, day) for day in (8, 9, 10, 11, 12)]


@pytest.fixture
def market() -> Market:
    rows = [(s, day, 10.0, 10.0, 10.0, 10.0, 1_000_000) for s in ("000001.SZ", "600000.SH") for day in DAYS]
    frame = pl.DataFrame(rows, ["symbol", "date", "open", "high", "low", "close", "volume"], orient="row")
    return from_frames(frame, pl.Series("date", DAYS))


def targets(*rows: tuple[dt.date, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, {"date": pl.Date, "symbol": pl.String, "weight": pl.Float64}, orient="row")


GOOD = (DAYS[0], "000001.SZ", 0.5)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([GOOD, (DAYS[0], "600000.SH", -0.1)], r"row 1 \(2024-01-08, 600000\.SH, weight -0\.1\).*0 to 1"),
        ([GOOD, (DAYS[1], "600000.SH", float("nan"))], r"row 1 .*0 to 1"),
        ([GOOD, (DAYS[1], "600000.SH", None)], r"row 1 .*0 to 1"),
        ([GOOD, (DAYS[0], "600000.SH", 0.6)], r"row 1 .*exceed 1"),
        ([GOOD, GOOD], r"row 1 .*twice"),
        ([GOOD, (DAYS[1], "300750.SZ", 0.1)], r"row 1 .*no bars of this symbol"),
        ([GOOD, (dt.date(2024, 1, 13), "000001.SZ", 0.1)], r"row 1 .*no session of the market"),
        ([(dt.date(2023, 1, 13), "000001.SZ", 0.1)], r"row 0 .*no session of the market"),
        # the row is the one of the frame as given, whatever its order
        ([(DAYS[1], "600000.SH", 2.0), GOOD], r"row 0 .*0 to 1"),
    ],
)
def test_a_bad_target_is_named(
    market: Market, rows: list[tuple[dt.date, str, float | None]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        simulate(market, targets(*rows))


def test_missing_columns_are_named(market: Market) -> None:
    with pytest.raises(UsageError, match="weight"):
        simulate(market, targets(GOOD).drop("weight"))


@pytest.mark.parametrize("cash", [0.0, -5.0, float("nan"), 1e12])
def test_cash_must_be_money(market: Market, cash: float) -> None:
    with pytest.raises(UsageError, match="cash"):
        simulate(market, targets(GOOD), cash=cash)


@pytest.mark.parametrize(
    "terms",
    [
        {"commission": -0.1},
        {"commission": 0.01},
        {"slippage_bps": float("nan")},
        {"volume_cap": 0.0},
        {"buy_retry": -1},
        {"price": "high"},
        {"accounting": "cash"},
    ],
)
def test_impossible_terms_are_refused(terms: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(terms))):
        Execution(**terms)  # type: ignore[arg-type]


def test_weights_that_sum_to_one_by_rounding_are_accepted(market: Market) -> None:
    rows = [(DAYS[0], "000001.SZ", 1 / 3 + 1e-10), (DAYS[0], "600000.SH", 2 / 3)]
    assert simulate(market, targets(*rows)).fills.height == 2


def test_no_targets_is_an_account_that_keeps_its_cash(market: Market) -> None:
    result = simulate(market, targets())
    assert result.fills.is_empty()
    assert result.rejections.is_empty()
    assert result.equity["value"].to_list() == [1_000_000.0] * 5
    assert result.positions.is_empty()


def test_positions_tell_what_is_held_each_day(market: Market) -> None:
    result = simulate(market, targets(GOOD, (DAYS[2], "600000.SH", 0.5)), cash=100_000)
    held = result.positions.group_by("date", maintain_order=True).agg("symbol", "shares")
    assert held.rows() == [
        (DAYS[1], ["000001.SZ"], [5000.0]),
        (DAYS[2], ["000001.SZ"], [5000.0]),
        (DAYS[3], ["600000.SH"], [4900.0]),
        (DAYS[4], ["600000.SH"], [4900.0]),
    ]
    worth = (
        result.positions.group_by("date")
        .agg(pl.col("value").sum())
        .join(result.equity, on="date", suffix="_all")
    )
    assert (worth["value"] + worth["cash"] - worth["value_all"]).abs().max() == pytest.approx(0, abs=1e-6)


def scaled(basis: str, scale: float, volume_scale: float, amount: float | None = 9.7e6) -> Market:
    """One world by prices as traded, or adjusted; a vendor may adjust the volume too."""
    rows = [
        (GOOD[1], day, *(price * scale for price in (9.6, 9.8, 9.5, 9.8)), round(1e6 / volume_scale), amount)
        for day in DAYS
    ]
    names = ["symbol", "date", "open", "high", "low", "close", "volume", "amount"]
    return from_frames(pl.DataFrame(rows, names, orient="row"), pl.Series("date", DAYS), basis=basis)


@pytest.mark.parametrize("rules", [Execution(volume_cap=0.1), Execution(volume_cap=1.0, impact=0.1)])
@pytest.mark.parametrize(("basis", "scale"), [("qfq", 0.22), ("hfq", 4.5)])
@pytest.mark.parametrize("volume_adjusted", [False, True])
def test_an_order_is_held_to_its_part_of_the_days_money_by_any_basis(
    basis: str, scale: float, volume_adjusted: bool, rules: Execution
) -> None:
    """What was paid out later scales the prices of today's export: it must not decide what filled then."""
    book = targets((DAYS[0], GOOD[1], 1.0))
    (true,) = simulate(scaled("raw", 1.0, 1.0), book, cash=2e6, rules=rules).fills.to_dicts()
    market = scaled(basis, scale, scale if volume_adjusted else 1.0)
    (fill,) = simulate(market, book, cash=2e6, rules=rules).fills.to_dicts()
    assert fill["notional"] == pytest.approx(true["notional"], rel=0.005)  # a lot of 100 adjusted shares
    assert fill["price"] / scale == pytest.approx(true["price"], rel=1e-4)
    assert not any("volume" in caveat for caveat in market.caveats)


@pytest.mark.parametrize("amount", [None, 0.0])
def test_an_adjusted_volume_without_an_amount_is_told(amount: float | None) -> None:
    market = scaled("qfq", 0.22, 1.0, amount)
    (told,) = (caveat for caveat in market.caveats if "volume" in caveat)
    assert told.startswith("5 of 5 bars have no amount: there the volume cap")
    assert (market.volume == 1e6).all()
    assert not any("volume" in caveat for caveat in scaled("raw", 1.0, 1.0, None).caveats)


def test_the_heaviest_buy_comes_first_when_cash_is_short() -> None:
    days = DAYS[:2]
    rows = [
        (s, day, price, price, price, price, 10_000_000)
        for s in ("000001.SZ", "600000.SH")
        for day, price in zip(days, (10.0, 10.9), strict=True)
    ]
    frame = pl.DataFrame(rows, ["symbol", "date", "open", "high", "low", "close", "volume"], orient="row")
    market = from_frames(frame, pl.Series("date", days))
    book = targets((days[0], "000001.SZ", 0.4), (days[0], "600000.SH", 0.6))
    result = simulate(market, book, cash=100_000)
    assert result.fills["symbol"].to_list() == ["600000.SH", "000001.SZ"]
    assert result.rejections.select("symbol", "lost", "reason").rows() == [("000001.SZ", 900.0, "cash")]
