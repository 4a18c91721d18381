"""Numbers as people say them."""

from __future__ import annotations

import datetime as dt

import pytest

from signals.event_time import occurred_on
from signals.normalise import fold, squeeze
from signals.quantities import find_quantities


def read(text: str) -> list[tuple[str, float | None, float | None]]:
    return [(q.unit, q.low, q.high) for q in find_quantities(squeeze(text).text)]


@pytest.mark.parametrize(
    ("text", "unit", "low", "high"),
    [
        ("一一一百四十千瓦", "kW", 140, 140),
        ("一个柜子 30 多千瓦", "kW", 30, None),
        ("大概是 800 瓦", "W", 800, 800),
        ("一百二十到一百三十千瓦", "kW", 120, 130),
        ("两兆瓦", "kW", 2000, 2000),
        ("40%~50%", "fraction", 0.4, 0.5),
        ("10% 到 20%", "fraction", 0.1, 0.2),
        ("百分 到 30% 这个", "fraction", None, 0.3),
        ("百分之三四十", "fraction", 0.3, 0.4),
        ("二十几个点", "fraction", 0.2, 0.29),
        ("三成", "fraction", 0.3, 0.3),
        ("30%以上", "fraction", 0.3, None),
        ("不到15%以下", "fraction", None, 0.15),
        ("几百几百亿人民币", "CNY", 2e10, 9e10),
        ("25亿英镑", "GBP", 2.5e9, 2.5e9),
        ("10-20亿元", "CNY", 1e9, 2e9),
        ("1万亿美元", "USD", 1e12, 1e12),
        ("573 亿美元", "USD", 5.73e10, 5.73e10),
        ("千亿", "CNY", 1e11, 1e11),
        ("超过了100万度", "kWh", 1e6, 1e6),
        ("2.5万个", "count", 25_000, 25_000),
        ("十五万只", "count", 150_000, 150_000),
        ("25 个基点", "bp", 25, 25),
        ("800V", "V", 800, 800),
        ("1,234台", "count", 1234, 1234),
        ("２０％", "fraction", 0.2, 0.2),
    ],
)
def test_amount(text: str, unit: str, low: float | None, high: float | None) -> None:
    assert read(text) == [(unit, low, high)]


def test_a_bare_pair_of_digits_is_a_range() -> None:
    assert read("国外大概三四十还要往上") == [("", 30.0, 40.0)]


@pytest.mark.parametrize("text", ["一个公司", "第三", "两种方案", "没有数字"])
def test_counting_words_are_no_amounts(text: str) -> None:
    assert read(text) == []


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("去年的推迟", "2024-01-01"),
        ("明年", "2026-01-01"),
        ("去年三季度", "2024-07-01"),
        ("上周", "2025-08-18"),
        ("昨天", "2025-08-30"),
        ("上个月", "2025-07-01"),
        ("2024年3月18日", "2024-03-18"),
        ("2026年下半年", "2026-07-01"),
        ("三季度净利润", "2025-07-01"),
        ("12月出货", "2025-12-01"),
        ("3月出货", "2025-03-01"),
        ("十月份", "2025-10-01"),
        ("今年年底", "2025-12-01"),
    ],
)
def test_time_is_resolved_against_the_note(text: str, day: str) -> None:
    told = dt.date(2025, 8, 31)
    assert dt.date.fromisoformat(day) == (occurred_on(fold(text), told))


def test_what_is_not_dated_stays_null() -> None:
    assert occurred_on("整机柜推迟", dt.date(2025, 8, 31)) is None


def test_a_bare_month_is_the_nearest_one() -> None:
    assert occurred_on("11月发布", dt.date(2025, 1, 10)) == dt.date(2024, 11, 1)
    assert occurred_on("2月发布", dt.date(2025, 12, 10)) == dt.date(2026, 2, 1)
