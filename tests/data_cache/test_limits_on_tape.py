"""No traded price lies outside our limits, except on days listed and explained in unusual_days.csv."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from benchmarks.rules import SLACK, basket_raw, closes_on, outside, rules_raw, st_days, unusual
from data_cache.limits import limits

pytestmark = pytest.mark.realdata


def days(bars: pl.DataFrame) -> set[tuple[str, str]]:
    return {(symbol, str(date)) for symbol, date in bars.select("symbol", "date").iter_rows()}


@pytest.fixture(scope="module")
def by_name(shared: Path) -> pl.DataFrame:
    return rules_raw(shared, told=False)


@pytest.fixture(scope="module")
def told(shared: Path) -> pl.DataFrame:
    return rules_raw(shared, told=True)


def test_every_price_outside_the_limits_of_the_name_is_explained(by_name: pl.DataFrame) -> None:
    assert (by_name.height, by_name["symbol"].n_unique()) == (230_094, 136)
    assert by_name["board"].null_count() == 0
    assert days(outside(by_name)) == days(unusual("rules_raw"))
    assert len(unusual("rules_raw")) == 5


def test_told_what_the_days_were_one_price_is_left_outside_and_it_is_marked(told: pl.DataFrame) -> None:
    left = outside(told)
    assert days(left) == {("300362.SZ", "2014-01-21")}
    assert left["doubtful"].all()


def test_days_without_a_limit_are_first_days_and_nothing_else(told: pl.DataFrame) -> None:
    free = told.filter(pl.col("limit_up").is_null())
    assert free["listed_days"].is_between(1, 5).all()
    early = free.filter(pl.col("listed_days") > 1)
    assert set(early["board"]) == {"chinext", "star"}
    chinext = early.filter(pl.col("board") == "chinext")["date"].to_list()
    assert min(chinext) > dt.date(2020, 8, 24)
    assert min(early["date"].to_list()) > dt.date(2019, 7, 22)
    assert free.height == 111


def test_closes_on_a_limit_are_recognised(told: pl.DataFrame) -> None:
    assert closes_on(told, "limit_up") == 5_444
    assert closes_on(told, "limit_down") == 3_453


def test_a_day_of_one_price_far_from_the_reference_is_on_a_limit(told: pl.DataFrame) -> None:
    # the tape's own sign of a locked day, without our table
    flat = told.filter(
        pl.col("high") == pl.col("low"), (pl.col("close") / pl.col("reference") - 1).abs() > 0.045
    ).drop_nulls("limit_up")
    on_limit = pl.any_horizontal(
        (pl.col("close") - pl.col(name)).abs() < SLACK for name in ("limit_up", "limit_down")
    )
    assert flat.height == 1_425
    assert flat.filter(~on_limit).height == 0


def test_nothing_piles_up_one_fen_from_the_limit_as_it_would_under_a_wrong_rounding(
    told: pl.DataFrame,
) -> None:
    for name, inside in (("limit_up", -1), ("limit_down", 1)):
        fen = ((told["close"] - told[name]) * 100).round().cast(pl.Int64)
        assert (fen == 0).sum() > 8 * (fen == inside).sum()


@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        (pl.when(pl.col("status") == "st").then(pl.lit("normal")).otherwise("status"), 0),
        (pl.when(pl.col("status") == "normal").then(pl.lit("st")).otherwise("status"), 5_000),
    ],
)
def test_the_tape_can_tell_a_wrong_rule(told: pl.DataFrame, wrong: pl.Expr, least: int) -> None:
    asked = told.drop("board", "limit_up", "limit_down", "doubtful").with_columns(status=wrong)
    again = limits(asked)
    assert outside(again).height >= least
    closes = closes_on(again, "limit_up") + closes_on(again, "limit_down")
    assert closes < closes_on(told, "limit_up") + closes_on(told, "limit_down") - 1_000


def test_rounding_floats_would_put_traded_prices_outside(told: pl.DataFrame) -> None:
    plain = told.filter(
        pl.col("board") != "bse", pl.col("status") == "normal", pl.col("listed_days").is_null()
    )
    ratio = (pl.col("limit_up") / pl.col("reference") - 1).round(1)
    floats = plain.with_columns(
        wrong=pl.Series([round(r * f, 2) for r, f in plain.select("reference", 1 + ratio).iter_rows()])
    )
    assert floats.filter(pl.col("close") > pl.col("wrong") + SLACK).height == 48


def test_the_baskets_own_tape_to_2026_leaves_only_ex_dates_and_second_sessions(shared: Path) -> None:
    plain = basket_raw(shared, told=False)
    assert plain.height > 24_900
    assert days(outside(plain)) == days(unusual("basket_raw"))
    told = outside(basket_raw(shared, told=True))
    assert days(told) == days(unusual("basket_raw").filter(pl.col("status").is_null()))
    ex = (
        outside(plain)
        .join(unusual("basket_raw"), on=["symbol", "date"])
        .filter(pl.col("reason").str.contains("ex-date"))
    )
    assert (ex["low"] < ex["limit_down"]).all()  # an unadjusted reference is too high, never too low
    known = {("002837.SZ", d) for d in ("2020-05-29", "2022-05-31", "2023-05-19", "2024-05-27", "2025-05-30")}
    assert known | {("300145.SZ", "2018-07-10")} <= days(ex)


def test_days_marked_st_to_2025_keep_to_five_per_cent(shared: Path) -> None:
    bars = st_days(shared)
    assert bars.height > 2_100
    assert set(bars["board"]) == {
        "sse_main",
        "szse_main",
    }  # no ChiNext or STAR name is both marked and priced
    assert days(outside(bars)) == days(unusual("st_days"))
    assert outside(bars, slack=0.011).height == 0
    assert closes_on(bars, "limit_up") + closes_on(bars, "limit_down") > 400
