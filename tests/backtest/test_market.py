"""A market is refused before anything runs when a row of it cannot be true; what it derives is derived rightly."""

from __future__ import annotations

import datetime as dt
import math
from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backtest.market import Market, from_frames
from data_cache.errors import IntegrityError, NoData, UsageError

DAYS = [dt.date(2024, 1, day) for day in (8, 9, 10, 11, 12, 15, 16, 17, 18, 19, 22, 23, 24, 25, 26)]
CALENDAR = pl.Series("date", DAYS)


def bars(closes: list[float | None], symbol: str = "600000.SH", days: list[dt.date] = DAYS) -> pl.DataFrame:
    rows = [
        (symbol, day, *[close] * 4, 100_000)
        for day, close in zip(days, closes, strict=False)
        if close is not None
    ]
    return pl.DataFrame(
        rows, ["symbol", "date", "open", "high", "low", "close", "volume"], orient="row"
    ).with_columns(pl.col("open", "high", "low", "close").cast(pl.Float64))


def named(frame: pl.DataFrame, since: dt.date = DAYS[0]) -> pl.DataFrame:
    """An ordinary name of every symbol of the bars."""
    symbols = frame["symbol"].unique()
    return pl.DataFrame({"symbol": symbols}).with_columns(valid_from=pl.lit(since), name=pl.lit("测试"))


def column(market: Market, name: str, symbol: str = "600000.SH") -> list[float | None]:
    values = getattr(market, name)[:, market.symbols.index(symbol)]
    return [None if np.isnan(v) else round(float(v), 6) for v in values]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf"), None])
def test_an_impossible_price_is_named_with_its_row(price: float | None) -> None:
    frame = bars([10.0, 10.0, 10.0]).with_columns(
        close=pl.Series([10.0, price, 10.0], dtype=pl.Float64, strict=False)
    )
    with pytest.raises(IntegrityError, match=r"symbol 600000\.SH, date 2024-01-09.*positive prices"):
        from_frames(frame, CALENDAR)


def test_a_bar_without_volume_is_named() -> None:
    frame = bars([10.0, 10.0]).with_columns(volume=pl.Series([0, 5]))
    with pytest.raises(IntegrityError, match=r"2024-01-08.*positive volume"):
        from_frames(frame, CALENDAR)


def test_a_date_missing_in_one_symbol_is_named_unless_it_was_suspended() -> None:
    both = pl.concat([bars([10.0, None, 10.0]), bars([5.0, 5.0, 5.0], "000001.SZ")])
    with pytest.raises(IntegrityError, match=r"600000\.SH has no bar on 2024-01-09"):
        from_frames(both, CALENDAR)
    known = pl.DataFrame({"symbol": ["600000.SH"], "date": [dt.date(2024, 1, 9)]})
    assert from_frames(both, CALENDAR, suspensions=known, names=named(both)).caveats == ()
    lenient = from_frames(both, CALENDAR, gaps="suspended")
    assert "1 symbol-sessions" in lenient.caveats[0]
    assert "600000.SH on 2024-01-09" in lenient.caveats[0]


def test_bars_that_stop_early_or_begin_after_the_listing_are_gaps_too() -> None:
    listed = dt.date(2024, 1, 9)
    short = pl.concat([bars([10.0, 10.0, 10.0, 10.0]), bars([None, None, 5.0], "000001.SZ")])
    told = from_frames(short, CALENDAR, gaps="suspended")
    assert (
        "1 symbol-sessions" in told.caveats[0]
    )  # the 11th; without a record, it was listed at its first bar
    assert "000001.SZ on 2024-01-11" in told.caveats[0]
    schema = {"symbol": pl.String, "listed": pl.Date, "delisted": pl.Date}
    record = pl.DataFrame([("000001.SZ", listed, None)], schema, orient="row")
    with pytest.raises(IntegrityError, match=r"000001\.SZ has no bar on 2024-01-09.*2 such"):
        from_frames(short, CALENDAR, instruments=record)
    gone = record.with_columns(listed=dt.date(2024, 1, 10), delisted=dt.date(2024, 1, 11))
    assert from_frames(short, CALENDAR, instruments=gone, names=named(short)).caveats == ()


def test_two_bars_of_one_day_and_a_bar_on_a_holiday_are_named() -> None:
    with pytest.raises(IntegrityError, match=r"two bars .* 2024-01-08"):
        from_frames(pl.concat([bars([10.0]), bars([11.0])]), CALENDAR)
    with pytest.raises(IntegrityError, match=r"2024-01-09.* on no session"):
        from_frames(bars([10.0, 10.0]), CALENDAR.filter(CALENDAR.dt.day() != 9))


def test_missing_columns_and_empty_ranges_say_so() -> None:
    with pytest.raises(UsageError, match="close"):
        from_frames(bars([10.0]).drop("close"), CALENDAR)
    with pytest.raises(NoData):
        from_frames(bars([10.0]).clear(), CALENDAR)
    with pytest.raises(NoData, match="2025-01-01"):
        from_frames(bars([10.0]), CALENDAR, start=dt.date(2025, 1, 1), end=dt.date(2025, 2, 1))


def test_limits_follow_the_previous_close_and_begin_before_the_start() -> None:
    market = from_frames(bars([10.0, 10.05, 9.99]), CALENDAR, start=dt.date(2024, 1, 9))
    assert column(market, "limit_up") == [11.0, 11.06]  # 11.055 half-up
    assert column(market, "limit_down") == [9.0, 9.05]  # 9.045 half-up


def ex_date(close: float, cash: float, new: float, *factor: float) -> Market:
    """Two sessions in 2017, the second an ex-date; one factor, or the one before it and the one from it on."""
    days = [dt.date(2017, 5, 24), dt.date(2017, 5, 25)]
    action = pl.DataFrame(
        {"symbol": ["600000.SH"], "ex_date": [days[1]], "cash": [cash], "bonus": [0.0], "transfer": [new]}
    )
    rows = pl.DataFrame(
        {"symbol": "600000.SH", "date": days[-len(factor) :], "factor": [float(f) for f in factor]}
    )
    frame = bars([close, close], days=days)
    return from_frames(frame, pl.Series(days), factors=rows, corporate_actions=action)


def test_on_an_ex_date_the_published_formula_beats_a_rounded_factor() -> None:
    """600000 on 2017-05-25: (15.47 - 0.20) / 1.3 = 11.746 -> 11.75, limit 12.93; the raw close would give 17.02."""
    assert column(ex_date(15.47, 0.2, 0.3, 1.3170), "limit_up")[1] == 12.93
    # (17.95 - 0.25) / 1.3 = 13.6154 -> 13.62; by a factor of four decimals 13.6150 -> 13.61, and 14.97
    market = ex_date(17.95, 0.25, 0.3, 1.3184)
    assert column(market, "limit_up")[1] == 14.98
    assert not market.doubtful.any()


@pytest.mark.parametrize(
    ("factor", "limit"),
    [
        (15.47 / 11.80, 12.98),  # repurchased shares got nothing: the exchange published less cash a share
        (1.5, 11.34),  # rights in the same ex-date
    ],
)
def test_a_factor_that_tells_of_more_than_the_plan_decides_in_doubt(factor: float, limit: float) -> None:
    market = ex_date(15.47, 0.2, 0.3, factor)
    assert column(market, "limit_up")[1] == limit
    assert market.doubtful.tolist() == [[False], [True]]


def test_a_plan_decides_in_doubt_while_the_factor_is_late() -> None:
    market = ex_date(15.47, 0.2, 0.3, 1.0)
    assert column(market, "limit_up")[1] == 12.93
    assert market.doubtful.tolist() == [[False], [True]]


@given(
    fen=st.integers(200, 200_000),
    share=st.fractions(0, Fraction(1, 20)),
    new=st.integers(0, 15),
    before=st.integers(10_000, 300_000),
    published=st.booleans(),
    digits=st.sampled_from([4, 6, 15]),
)
def test_a_plain_dividend_takes_the_plan_by_whichever_factor(
    fen: int, share: Fraction, new: int, before: int, published: bool, digits: int
) -> None:
    """A vendor steps its factor by the formula or by the published price, and rounds it to four decimals or more."""
    cash = int(fen * share)
    exact = Fraction(fen - cash) / (1 + Fraction(new, 10))
    reference = math.floor(exact + Fraction(1, 2))
    assume((cash or new) and reference != fen)
    now = round(float(Fraction(before, 10_000) * fen / (reference if published else exact)), digits)
    market = ex_date(fen / 100, cash / 100, new / 10, before / 10_000, now)
    assume(now != before / 10_000)  # a dividend too small for the factor's decimals
    assert column(market, "limit_up")[1] == math.floor(Fraction(reference * 11, 10) + Fraction(1, 2)) / 100
    assert not market.doubtful.any()


def test_the_mark_is_carried_over_a_suspension_and_adjusted() -> None:
    factors = pl.DataFrame({"symbol": ["600000.SH"], "date": [dt.date(2024, 1, 10)], "factor": [2.0]})
    market = from_frames(bars([10.0, None, None, 5.5]), CALENDAR, factors=factors, gaps="suspended")
    assert column(market, "mark") == [10.0, 10.0, 10.0, 11.0]
    assert column(market, "close") == [10.0, None, None, 5.5]
    assert column(market, "limit_up") == [None, None, None, 5.5]


def test_st_names_narrow_the_limit_from_the_day_of_the_name() -> None:
    names = pl.DataFrame(
        {
            "symbol": ["600000.SH", "600000.SH"],
            "valid_from": [dt.date(2020, 1, 1), dt.date(2024, 1, 10)],
            "name": ["浦发银行", "*ST浦发"],
        }
    )
    market = from_frames(bars([10.0, 10.0, 10.0]), CALENDAR, names=names)
    assert column(market, "limit_up") == [None, 11.0, 10.5]


def test_bars_before_any_known_name_are_told_with_their_symbols_and_dates() -> None:
    """Shanghai's names are known from the day a refresh first saw them: ST before it would have been 5 %."""
    both = pl.concat([bars([10.0, 10.0, 10.0, 10.0]), bars([5.0] * 4, "000001.SZ")])
    names = pl.concat([named(both).filter(pl.col("symbol") == "000001.SZ"), named(bars([10.0]), DAYS[3])])
    (told,) = from_frames(both, CALENDAR, names=names).caveats
    assert told.startswith("1 of 2 symbols have bars before their first known short name (3 bars)")
    assert told.endswith("the first: 600000.SH from 2024-01-08 to 2024-01-10.")
    (told,) = from_frames(both, CALENDAR, names=names, start=DAYS[2]).caveats
    assert "(1 bars)" in told
    assert from_frames(both, CALENDAR, names=names, start=DAYS[3]).caveats == ()
    (told,) = from_frames(both, CALENDAR).caveats
    assert told.startswith("2 of 2 symbols have bars before their first known short name (8 bars)")


def test_a_late_first_bar_taken_as_a_listing_is_told() -> None:
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 3, 1), eager=True)
    days = days.filter(days.dt.weekday() < 6).to_list()
    old = bars([10.0] * len(days), days=days)
    young = bars([5.0] * (len(days) - 12), "600010.SH", days[12:])
    both = pl.concat([old, young])
    asked = {"calendar": pl.Series("date", days), "names": named(both, days[0])}
    market = from_frames(both, **asked)
    (told,) = market.caveats
    assert told.startswith("1 of 2 symbols have no listing date")
    assert told.endswith(f"the first: 600010.SH on {days[12]}.")
    assert column(market, "limit_up", "600010.SH")[12:18] == [None] * 5 + [5.5]  # what it is told of
    assert len(from_frames(both, start=days[14], **asked).caveats) == 1  # some free sessions are left
    assert from_frames(both, start=days[23], **asked).caveats == ()
    listed = pl.DataFrame({"symbol": ["600010.SH"], "listed": [days[12]], "delisted": [None]})
    known = listed.with_columns(pl.col("delisted").cast(pl.Date))
    assert from_frames(both, instruments=known, **asked).caveats == ()


def test_a_new_listing_is_free_for_five_sessions_and_not_tradable_before() -> None:
    listed = pl.DataFrame(
        {"symbol": ["300999.SZ"], "listed": [dt.date(2024, 1, 9)], "delisted": [dt.date(2024, 1, 19)]}
    )
    closes = [None, 10.0, 12.0, 15.0, 11.0, 10.0, 10.0, 10.5, 10.5]
    market = from_frames(bars(closes, "300999.SZ"), CALENDAR, instruments=listed, start=DAYS[0])
    assert column(market, "limit_up", "300999.SZ")[:9] == [None] * 6 + [12.0, 12.0, 12.6]
    assert (market.listed[0], market.delisted[0]) == (1, 9)


def test_adjusted_imports_get_the_ratio_without_the_tick_and_no_factor() -> None:
    market = from_frames(bars([2.556149, 2.8], "002837.SZ"), CALENDAR, basis="qfq")
    assert column(market, "limit_up", "002837.SZ")[1] == pytest.approx(2.556149 * 1.1, abs=1e-6)
    assert (market.factor == 1.0).all()


def test_rates_change_on_their_days() -> None:
    days = [dt.date(2023, 8, 25), dt.date(2023, 8, 28)]
    market = from_frames(
        pl.concat([bars([10.0, 10.0], days=days), bars([50.0, 50.0], "688111.SH", days)]), pl.Series(days)
    )
    main, star = (market.rates[:, market.group[market.symbols.index(s)]] for s in ("600000.SH", "688111.SH"))
    assert main[:, 3].tolist() == [100_000, 50_000]  # stamp duty 0.1 % -> 0.05 %, in 1e-8
    assert main[:, :2].tolist() == [[100, 100]] * 2
    assert star[:, :2].tolist() == [[200, 1]] * 2


def test_a_beijing_code_is_not_listed_before_the_board_was() -> None:
    days = [dt.date(2021, 11, 11), dt.date(2021, 11, 12), dt.date(2021, 11, 15), dt.date(2021, 11, 16)]
    market = from_frames(bars([10.0, 10.0, 10.0, 10.0], "920808.BJ", days), pl.Series(days))
    assert market.listed.tolist() == [2]
    days = [dt.date(2020, 1, day) for day in range(6, 24)]
    both = pl.concat([bars([5.0] * 18, days=days), bars([5.0] * 5, "920808.BJ", days[13:])])
    market = from_frames(both, pl.Series(days), names=named(both, days[0]))
    assert (market.listed.tolist(), market.caveats) == ([0, 18], ())
