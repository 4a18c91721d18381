"""What rests on a doubtful row of the rule book is counted, named, and told in the result."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from backtest.execution import simulate
from backtest.market import Market, from_frames
from backtest.result import _doubts
from data_cache.charges import lots


def weekdays(start: dt.date, count: int) -> list[dt.date]:
    days = (start + dt.timedelta(days=i) for i in range(2 * count + 3))
    return [day for day in days if day.weekday() < 5][:count]


def market(symbol: str, days: list[dt.date], prices: list[float], **more: pl.DataFrame) -> Market:
    rows = [(symbol, day, p, p, p, p, 1_000_000) for day, p in zip(days, prices, strict=True)]
    frame = pl.DataFrame(rows, ["symbol", "date", "open", "high", "low", "close", "volume"], orient="row")
    return from_frames(frame, pl.Series("date", days), **more)


def book(symbol: str, *rows: tuple[dt.date, float]) -> pl.DataFrame:
    told = [(day, symbol, weight) for day, weight in rows]
    return pl.DataFrame(told, ["date", "symbol", "weight"], orient="row")


def test_settled_rules_leave_no_mark() -> None:
    days = weekdays(dt.date(2024, 1, 8), 4)
    m = market("600000.SH", days, [10.0, 10.1, 11.11, 11.11])
    result = simulate(m, book("600000.SH", (days[0], 0.5), (days[1], 1.0), (days[2], 0.0)))
    assert result.rejections["reason"].to_list() == ["limit_up"]
    assert result.fills.height == 2
    assert result.doubtful.is_empty()
    assert _doubts(result) == []


def test_the_fee_of_a_doubtful_row_marks_every_fill_that_paid_it() -> None:
    """Shanghai's transfer fee on face value, to 2015-07-31, is no document we read."""
    days = weekdays(dt.date(2015, 7, 30), 4)  # Thursday, Friday, then Monday, Tuesday
    m = market("600000.SH", days, [10.0] * 4)
    result = simulate(m, book("600000.SH", (days[0], 0.5), (days[1], 0.0)))
    assert result.fills["date"].to_list() == days[1:3]
    assert result.doubtful.rows() == [(days[1], "600000.SH", "buy", "fill", "fee")]
    elsewhere = market("000001.SZ", days, [10.0] * 4)
    assert simulate(elsewhere, book("000001.SZ", (days[0], 0.5))).doubtful.is_empty()


def test_the_limit_of_a_doubtful_row_marks_what_it_refused_and_what_it_let_through() -> None:
    """Before 2007-01-08 the book has no row of its own for S shares: the ordinary limit is taken, in doubt."""
    days = weekdays(dt.date(2006, 12, 18), 4)
    names = pl.DataFrame({"symbol": ["000001.SZ"], "valid_from": [dt.date(2006, 10, 9)], "name": ["S深发展"]})
    m = market("000001.SZ", days, [10.0, 11.0, 11.1, 11.1], names=names)
    result = simulate(m, book("000001.SZ", (days[0], 0.5), (days[1], 0.5)))
    assert result.rejections["reason"].to_list() == ["limit_up"]
    assert result.doubtful.rows() == [
        (days[1], "000001.SZ", "buy", "rejection", "limit"),
        (days[2], "000001.SZ", "buy", "fill", "limit"),
    ]
    (told,) = _doubts(result)
    assert told.startswith("1 of 1 fills and 1 of 1 refusals rest on rows")
    assert "(2 for the limit); the first: 000001.SZ on 2006-12-19." in told


@pytest.mark.parametrize(("symbol", "marked"), [("920808.BJ", True), ("000001.SZ", False)])
def test_a_limit_counted_by_beijings_ex_formula_is_marked_on_that_day_alone(
    symbol: str, marked: bool
) -> None:
    days = weekdays(dt.date(2024, 6, 3), 4)
    action = pl.DataFrame(
        {"symbol": [symbol], "ex_date": [days[1]], "cash": [1.0], "bonus": [0.0], "transfer": [0.0]}
    )
    factor = pl.DataFrame({"symbol": [symbol], "date": [days[1]], "factor": [10 / 9]})
    m = market(symbol, days, [10.0, 9.0, 9.0, 9.0], corporate_actions=action, factors=factor)
    result = simulate(m, book(symbol, (days[0], 0.5), (days[1], 0.0)))
    assert result.fills.height == 2
    expected = [(days[1], symbol, "buy", "fill", "limit")] if marked else []
    assert result.doubtful.rows() == expected


def test_a_differential_dividend_locks_at_the_limit_of_the_published_price() -> None:
    """10.00, plan 1.00, published 9.03 as repurchased shares get nothing: a day at 8.13 is limit-down, not above it."""
    symbol, days = "600000.SH", weekdays(dt.date(2024, 6, 3), 5)
    action = pl.DataFrame(
        {"symbol": [symbol], "ex_date": [days[2]], "cash": [1.0], "bonus": [0.0], "transfer": [0.0]}
    )
    factor = pl.DataFrame({"symbol": [symbol], "date": [days[2]], "factor": [10 / 9.03]})
    m = market(symbol, days, [10.0, 10.0, 8.13, 8.2, 8.2], corporate_actions=action, factors=factor)
    result = simulate(m, book(symbol, (days[0], 0.5), (days[1], 0.0)))
    assert result.rejections.select("date", "reason").rows() == [(days[2], "limit_down")]
    assert result.doubtful.rows() == [(days[2], symbol, "sell", "rejection", "limit")]
    (told,) = _doubts(result)
    assert "ex-date" in told


def test_a_code_the_book_is_unsure_of_puts_its_lots_in_doubt_too() -> None:
    """88 is Beijing's by knowledge alone: what its orders are rounded to depends on that."""
    day = dt.date(2023, 1, 3)
    asked = pl.DataFrame({"symbol": ["880001.BJ", "830001.BJ", "600000.SH"], "date": [day] * 3})
    assert lots(asked)["doubtful"].to_list() == [True, False, False]
    days = weekdays(day, 3)
    m = market("880001.BJ", days, [10.0] * 3)
    result = simulate(m, book("880001.BJ", (days[0], 0.00001)))
    assert result.rejections["reason"].to_list() == ["lot"]
    assert result.doubtful.rows() == [(days[1], "880001.BJ", "buy", "rejection", "lot")]
