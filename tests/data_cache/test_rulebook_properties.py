"""The book's answers recomputed by another road: the csv module, Decimal, and one row at a time."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_cache.limits import limits
from data_cache.rulebook import STATUSES, rule

RULES = Path(__file__).parents[2] / "data_cache" / "data" / "rules.csv"
FEN = Decimal("0.01")
BOARD = {
    "600000.SH": "sse_main",
    "605001.SH": "sse_main",
    "000001.SZ": "szse_main",
    "002837.SZ": "szse_main",
    "300750.SZ": "chinext",
    "302132.SZ": "chinext",
    "688001.SH": "star",
    "920808.BJ": "bse",
}
BEGINS = {"chinext": dt.date(2009, 10, 30), "star": dt.date(2019, 7, 22), "bse": dt.date(2021, 11, 15)}
with RULES.open(encoding="utf-8") as _file:
    ROWS = list(csv.DictReader(_file))


def held(name: str, board: str, statuses: tuple[str, ...], day: dt.date) -> str | None:
    for status in statuses:
        for row in ROWS:
            until = row["valid_to"] or "9999-12-31"
            mine = (row["rule"], row["board"], row["status"]) == (name, board, status)
            if mine and row["valid_from"] <= day.isoformat() <= until:
                return row["value"]
    return None


def weekdays_back(day: dt.date, count: int) -> dt.date:
    while day.weekday() > 4:
        day -= dt.timedelta(days=1)
    for _ in range(count):
        day -= dt.timedelta(days=3 if day.weekday() == 0 else 1)
    return day


def expected(
    symbol: str, day: dt.date, reference: Decimal, status: str, listed_days: int | None
) -> tuple[Decimal | None, Decimal | None]:
    """Limit up and down, from the rules as a person reads them."""
    board = BOARD[symbol]
    up = Decimal(held("price_limit_up_ratio", board, (status, "normal"), day) or "nan")
    down = -Decimal(held("price_limit_down_ratio", board, (status, "normal"), day) or "nan")
    nth = listed_days or (1 if status in ("new_listing", "relisting") else 1_000)
    if nth <= 5 and status not in ("st", "s_share"):
        began = weekdays_back(day, nth - 1)
        kept = "delisting_period" if status == "delisting_period" else "new_listing"
        name = {
            "delisting_period": "no_limit_days_delisting_period",
            "relisting": "no_limit_first_day_relisting",
        }.get(status, "no_limit_days_after_listing")
        free = held(name, board, (kept,), began)
        if free is not None and nth <= int(free):
            return None, None
        if free == "0" and kept == "new_listing" and nth == 1:
            up = Decimal(held("first_day_limit_up", board, (kept,), began) or up)
            down = Decimal(held("first_day_limit_down", board, (kept,), began) or down)
    inward = board == "bse"
    high = (reference * (1 + up)).quantize(FEN, ROUND_DOWN if inward else ROUND_HALF_UP)
    low = (reference * (1 + down)).quantize(FEN, ROUND_CEILING if inward else ROUND_HALF_UP)
    return max(high, reference + FEN), max(min(low, reference - FEN), FEN)


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, dt.date, int, str, int | None]:
    symbol = draw(st.sampled_from(sorted(BOARD)))
    first = BEGINS.get(BOARD[symbol], dt.date(2005, 1, 1))
    near = [
        dt.date(2013, 12, 13),
        dt.date(2020, 8, 24),
        dt.date(2020, 12, 31),
        dt.date(2023, 4, 10),
        dt.date(2026, 7, 6),
    ]
    close = st.sampled_from(near).flatmap(
        lambda d: st.integers(-7, 7).map(lambda n: d + dt.timedelta(days=n))
    )
    day = max(first, draw(st.one_of(st.dates(first, dt.date(2026, 12, 31)), close)))
    fen = draw(st.one_of(st.integers(1, 60), st.integers(1, 300_000)))
    return symbol, day, fen, draw(st.sampled_from(STATUSES)), draw(st.one_of(st.none(), st.integers(1, 7)))


def panel(asked: list[tuple[str, dt.date, int, str, int | None]]) -> pl.DataFrame:
    names = ("symbol", "date", "reference", "status", "listed_days")
    rows = [(s, d, fen / 100, status, n) for s, d, fen, status, n in asked]
    types = (pl.String, pl.Date, pl.Float64, pl.String, pl.Int64)
    return pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")


@given(st.lists(questions(), min_size=1, max_size=40))
def test_limits_are_what_decimal_arithmetic_gives(
    asked: list[tuple[str, dt.date, int, str, int | None]],
) -> None:
    told = limits(panel(asked))
    for (symbol, day, fen, status, nth), up, down in zip(
        asked, told["limit_up"], told["limit_down"], strict=True
    ):
        want = expected(symbol, day, Decimal(fen) / 100, status, nth)
        assert (up, down) == tuple(None if price is None else float(price) for price in want), (
            symbol,
            day,
            fen,
            status,
            nth,
        )


@settings(max_examples=20)  # a question at a time is slow
@given(st.lists(questions(), min_size=1, max_size=15))
def test_a_panel_answers_as_one_question_at_a_time(
    asked: list[tuple[str, dt.date, int, str, int | None]],
) -> None:
    told = limits(panel(asked))
    for (symbol, day, fen, status, nth), row in zip(asked, told.iter_rows(named=True), strict=True):
        one = rule(symbol, day, prev_close=fen / 100, status=status, listed_days=nth)
        assert (one.board, one.limit_up, one.limit_down) == (row["board"], row["limit_up"], row["limit_down"])
        assert one.doubtful >= row["doubtful"]  # the answer also covers the fees


@given(st.lists(questions(), min_size=1, max_size=40))
def test_a_limit_leaves_room_for_one_tick_and_no_price_below_one(
    asked: list[tuple[str, dt.date, int, str, int | None]],
) -> None:
    told = limits(panel(asked)).drop_nulls("limit_up")
    fen = (told["reference"] * 100).round().cast(pl.Int64)
    up, down = ((told[name] * 100).round().cast(pl.Int64) for name in ("limit_up", "limit_down"))
    assert (up >= fen + 1).all()
    assert ((down <= fen - 1) | (down == 1)).all()
    assert (down >= 1).all()
    assert (told["limit_up"].is_null() == told["limit_down"].is_null()).all()


@given(st.lists(questions(), min_size=1, max_size=40), st.randoms())
def test_the_order_of_rows_and_other_columns_do_not_matter(
    asked: list[tuple[str, dt.date, int, str, int | None]], random: object
) -> None:
    frame = panel(asked).with_row_index("position").with_columns(status=pl.col("status").cast(pl.Categorical))
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=len(asked))
    again = limits(shuffled).sort("position")
    assert again.equals(limits(frame))
    assert again.columns[: len(frame.columns)] == frame.columns


@pytest.mark.parametrize("ratio", ["0.05", "0.10"])
def test_every_half_cent_up_to_a_hundred_yuan_rounds_up(ratio: str) -> None:
    # a float product falls on either side of the half cent; the exchange's does not
    status = {"0.05": "st", "0.10": "normal"}[ratio]
    fen = [n for n in range(5, 10_000) if (n * (100 + int(Decimal(ratio) * 100))) % 100 == 50]
    told = limits(panel([("600000.SH", dt.date(2021, 1, 4), n, status, None) for n in fen]))
    for n, up in zip(fen, told["limit_up"], strict=True):
        exact = Decimal(n) / 100 * (1 + Decimal(ratio))
        assert Decimal(str(up)) == max(exact + Decimal("0.005"), Decimal(n + 1) / 100)
    assert len(fen) > 400
