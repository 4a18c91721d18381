"""Every ordering of known_at against a session: which decision it belongs to, and where it can first trade."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_cache.errors import UsageError
from signals.clock import (
    SHANGHAI,
    decided_by,
    decision_date,
    decision_dates,
    first_fill,
    known_at_from,
)

# around National Day 2025: Friday 26 September to Tuesday 14 October, closed 1 to 8 October
SESSIONS = [
    dt.date(2025, 9, 26), dt.date(2025, 9, 29), dt.date(2025, 9, 30), dt.date(2025, 10, 9), dt.date(2025, 10, 10),
    dt.date(2025, 10, 13), dt.date(2025, 10, 14),
]  # fmt: skip
CALENDAR = pl.Series(SESSIONS)
MOMENT = pl.Datetime("us", "Asia/Shanghai")


@pytest.mark.parametrize(
    ("known_at", "decision", "fill"),
    [
        pytest.param(
            "2025-09-29T08:00+08:00", "2025-09-26", "2025-09-29", id="before 09:15, trades that morning"
        ),
        pytest.param(
            "2025-09-29T09:14:59.999999+08:00", "2025-09-26", "2025-09-29", id="a microsecond before"
        ),
        pytest.param("2025-09-29T09:15+08:00", "2025-09-29", "2025-09-30", id="exactly 09:15"),
        pytest.param("2025-09-29T10:30+08:00", "2025-09-29", "2025-09-30", id="in session"),
        pytest.param("2025-09-29T12:00+08:00", "2025-09-29", "2025-09-30", id="lunch"),
        pytest.param("2025-09-29T15:00+08:00", "2025-09-29", "2025-09-30", id="at the close"),
        pytest.param("2025-09-29T23:59+08:00", "2025-09-29", "2025-09-30", id="evening"),
        pytest.param("2025-09-30T00:00+08:00", "2025-09-29", "2025-09-30", id="midnight"),
        pytest.param("2025-09-29", "2025-09-29", "2025-09-30", id="a date alone"),
        pytest.param("2025-09-27T10:00+08:00", "2025-09-26", "2025-09-29", id="Saturday"),
        pytest.param("2025-09-28", "2025-09-26", "2025-09-29", id="Sunday, date alone"),
        pytest.param("2025-09-30T15:01+08:00", "2025-09-30", "2025-10-09", id="eve of the holiday"),
        pytest.param("2025-10-04T11:00+08:00", "2025-09-30", "2025-10-09", id="in the holiday"),
        pytest.param(
            "2025-10-09T09:14+08:00", "2025-09-30", "2025-10-09", id="first morning after the holiday"
        ),
        pytest.param(
            "2025-10-09T09:15+08:00", "2025-10-09", "2025-10-10", id="first auction after the holiday"
        ),
        pytest.param("2025-09-29T01:15Z", "2025-09-29", "2025-09-30", id="09:15 written in UTC"),
        pytest.param("2025-09-28T20:30-04:00", "2025-09-26", "2025-09-29", id="New York, Sunday evening"),
        pytest.param("2025-09-28T21:15-04:00", "2025-09-29", "2025-09-30", id="New York, 09:15 in Shanghai"),
    ],
)
def test_every_ordering(known_at: str, decision: str, fill: str) -> None:
    moment = known_at_from(known_at)
    decided = decision_date(moment, CALENDAR)
    assert decided == dt.date.fromisoformat(decision)
    assert first_fill(decided, CALENDAR) == dt.date.fromisoformat(fill)
    assert decision_dates(pl.Series([moment], dtype=MOMENT), CALENDAR).to_list() == [decided]


@pytest.mark.parametrize(
    ("day", "clock", "decision"),
    [
        # 20:20 in New York is 08:20 in Shanghai in summer, 09:20 in winter: the same clock, another decision
        (dt.date(2025, 3, 10), dt.time(20, 20), dt.date(2025, 3, 10)),
        (dt.date(2025, 3, 6), dt.time(20, 20), dt.date(2025, 3, 7)),
    ],
)
def test_the_same_american_hour_falls_on_either_side_of_the_auction(
    day: dt.date, clock: dt.time, decision: dt.date
) -> None:
    week = pl.Series([dt.date(2025, 3, d) for d in (5, 6, 7, 10, 11)])
    assert decision_date(dt.datetime.combine(day, clock, ZoneInfo("America/New_York")), week) == decision


def test_a_series_in_another_zone_gives_the_same_dates() -> None:
    moments = [dt.datetime.combine(d, dt.time(9, m), SHANGHAI) for d in SESSIONS[1:] for m in (14, 15)]
    here = pl.Series(moments, dtype=MOMENT)
    there = here.dt.convert_time_zone("America/New_York")
    assert decision_dates(there, CALENDAR).to_list() == decision_dates(here, CALENDAR).to_list()


@given(
    st.lists(
        st.datetimes(
            dt.datetime.fromisoformat("2025-09-26T09:15"), dt.datetime.fromisoformat("2025-10-14T23:00")
        ),
        max_size=12,
    )
)
def test_agrees_with_the_rule_in_plain_python(naive: list[dt.datetime]) -> None:
    moments = [n.replace(tzinfo=SHANGHAI) for n in naive]
    expected = [
        max(s for s in SESSIONS if dt.datetime.combine(s, dt.time(9, 15), SHANGHAI) <= m) for m in moments
    ]
    assert decision_dates(pl.Series(moments, dtype=MOMENT), CALENDAR).to_list() == expected


def test_null_stays_null_and_order_is_kept() -> None:
    at = pl.Series([known_at_from("2025-10-10"), None, known_at_from("2025-09-29")], dtype=MOMENT)
    shuffled = CALENDAR.sample(fraction=1, shuffle=True, seed=1)
    assert decision_dates(at, shuffled).to_list() == [dt.date(2025, 10, 10), None, dt.date(2025, 9, 29)]
    assert decision_dates(at.clear(), CALENDAR).len() == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2025-09-26T09:14+08:00", "before the calendar's first session 2025-09-26"),
        ("2025-10-15T09:15+08:00", "beyond the calendar's last session 2025-10-14"),
        ("2030-01-01", "beyond the calendar's last session 2025-10-14"),
    ],
)
def test_a_moment_outside_the_calendar_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        decision_date(known_at_from(text), CALENDAR)


def test_the_last_morning_of_the_calendar_is_still_inside() -> None:
    assert decision_date(known_at_from("2025-10-15T09:14+08:00"), CALENDAR) == dt.date(2025, 10, 14)


def test_no_fill_after_the_calendar_ends() -> None:
    with pytest.raises(UsageError, match="no session after 2025-10-14"):
        first_fill(dt.date(2025, 10, 14), CALENDAR)


def test_a_series_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="needs Datetime with a time zone"):
        decision_dates(pl.Series([dt.datetime.fromisoformat("2025-09-29")]), CALENDAR)
    with pytest.raises(UsageError, match=r"\+08:00"):
        decision_date(dt.datetime.fromisoformat("2025-09-29"), CALENDAR)


def test_an_empty_calendar_is_refused() -> None:
    with pytest.raises(UsageError, match="holds no session"):
        decision_date(known_at_from("2025-09-29"), CALENDAR.clear())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2025-08-31T15:00", r"without a zone; add one, for China 2025-08-31T15:00\+08:00"),
        ("yesterday", "needs a date"),
        ("2025-13-01", "needs a date"),
        ("", "needs a date"),
        ("0001-01-01T00:00+14:00", "needs a date"),
        ("0001-01-01", "before the exchange's first session 1990-12-19"),
        ("1990-12-18", "check the year"),
        ("1990-12-19T01:14Z", "check the year"),
    ],
)
def test_an_unclear_known_at_is_refused_with_the_remedy(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        known_at_from(text)


def test_known_at_is_read_into_shanghai_time() -> None:
    assert known_at_from(" 2025-08-31 ") == dt.datetime(2025, 8, 31, 15, tzinfo=SHANGHAI)
    assert known_at_from("2022-03-16T14:00:00-04:00").isoformat() == "2022-03-17T02:00:00+08:00"
    assert known_at_from("1990-12-19T01:15Z").isoformat() == "1990-12-19T09:15:00+08:00"


@pytest.mark.parametrize(
    ("end", "ids"),
    [
        # Friday's decision may know the weekend and Monday 09:14, and nothing of Monday 09:15
        (dt.date(2025, 9, 26), ["friday", "sunday", "monday 09:14"]),
        (dt.date(2025, 9, 28), ["friday", "sunday", "monday 09:14"]),
        (dt.date(2025, 9, 29), ["friday", "sunday", "monday 09:14", "monday 09:15"]),
        # at the calendar's end the next session is not known: the evening's own news is, the next day's is not
        (dt.date(2025, 10, 14), ["friday", "sunday", "monday 09:14", "monday 09:15", "last"]),
    ],
)
def test_decided_by_keeps_what_that_evening_may_know(end: dt.date, ids: list[str]) -> None:
    events = pl.DataFrame(
        {
            "event_id": ["friday", "sunday", "monday 09:14", "monday 09:15", "last", "far"],
            "known_at": [
                known_at_from(t)
                for t in (
                    "2025-09-26", "2025-09-28T12:00+08:00", "2025-09-29T09:14+08:00", "2025-09-29T09:15+08:00",
                    "2025-10-14T20:00+08:00", "2031-01-01",
                )
            ],
        },
        schema={"event_id": pl.String, "known_at": MOMENT},
    )  # fmt: skip
    assert decided_by(events, CALENDAR, end)["event_id"].to_list() == ids
