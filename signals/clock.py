"""When an event becomes tradable: from the moment it was knowable to a session.

1. ``known_at_from`` reads a moment from text: ISO 8601 with its zone, or a bare date, which counts as after
   that day's close (15:00 in Shanghai).
2. ``decision_dates`` gives the decision date: the last session whose 09:15 is not after the moment. 09:15 is
   when the opening auction starts to take orders, so news of 09:14 can still move the orders of that morning
   and news of 09:15 cannot.
3. ``decided_by`` keeps the events a date's decision may know, and nothing of its future.
4. ``first_fill`` gives the session after it, at whose open the first order can trade.

Surprising, so said here: news of 08:00 on Tuesday belongs to Monday's decision date, because Monday's is the
last decision before the open of Tuesday, the first at which it can trade. News of Tuesday 10:00 belongs to
Tuesday's decision and trades at Wednesday's open: nobody is assumed to trade within a session.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl

from data_cache.calendar import AUCTION, FIRST_AUCTION, FIRST_SESSION
from data_cache.errors import UsageError

__all__ = [
    "AUCTION",
    "CLOSE",
    "SHANGHAI",
    "decided_by",
    "decision_date",
    "decision_dates",
    "first_fill",
    "known_at_from",
]

SHANGHAI = ZoneInfo("Asia/Shanghai")
CLOSE = dt.time(15, 0)
"""Where a date without a time is put: the close, when that day can no longer be traded."""


def known_at_from(text: str) -> dt.datetime:
    """Read the moment something became knowable.

    Args:
        text: ISO 8601 with a zone (``2025-08-31T15:00+08:00``, ``2022-03-16T14:00:00-04:00``,
            ``2025-09-01T01:00Z``), or a date alone (``2023-03-26``), taken as 15:00 in Shanghai that day.

    Returns:
        The moment, in Asia/Shanghai.

    Raises:
        UsageError: when it is neither, has a time but no zone, or lies before the exchange's first session.

    >>> known_at_from("2022-03-16T14:00:00-04:00").isoformat()
    '2022-03-17T02:00:00+08:00'
    >>> known_at_from("2023-03-26").isoformat()
    '2023-03-26T15:00:00+08:00'
    """
    moment = _moment(text)
    if moment < FIRST_AUCTION:
        raise UsageError(
            f"known_at is {text!r}, before the exchange's first session {FIRST_SESSION}, so that no session could "
            "trade it; check the year"
        )
    return moment


def _moment(text: str) -> dt.datetime:
    raw = text.strip()
    try:
        return dt.datetime.combine(dt.date.fromisoformat(raw), CLOSE, SHANGHAI)
    except ValueError:
        pass
    try:
        moment = dt.datetime.fromisoformat(raw)
        if moment.tzinfo is not None:
            return moment.astimezone(SHANGHAI)
    except (ValueError, OverflowError):  # overflow: year 1 or 9999 with an offset
        raise UsageError(
            f"known_at is {text!r}; needs a date (2025-08-31, taken as after that day's close) "
            f"or a moment with its zone (2025-08-31T15:00+08:00)"
        ) from None
    raise UsageError(f"known_at is {text!r}, a time without a zone; add one, for China {raw}+08:00")


def decision_dates(known_at: pl.Series, calendar: pl.Series) -> pl.Series:
    """The decision date of each moment: the last session whose 09:15 is not after it.

    Args:
        known_at: moments, Datetime with any time zone; null stays null.
        calendar: every session, Date, in any order.

    Returns:
        Dates, named ``decision_date``, in the order of ``known_at``.

    Raises:
        UsageError: when a moment has no zone, or lies before the calendar's first 09:15 or beyond its last
            date, where the sessions are not known.
    """
    if not isinstance(known_at.dtype, pl.Datetime) or known_at.dtype.time_zone is None:
        raise UsageError(f"known_at is {known_at.dtype}; needs Datetime with a time zone")
    sessions = calendar.drop_nulls().unique().sort().rename("decision_date")
    if known_at.null_count() == known_at.len():
        return pl.Series("decision_date", [None] * known_at.len(), dtype=pl.Date)
    if sessions.is_empty():
        raise UsageError("the calendar holds no session; fill it with `ashare refresh`")
    local = known_at.to_frame("at").with_columns(pl.col("at").dt.convert_time_zone("Asia/Shanghai"))
    # a moment before 09:15 can still trade that morning: it counts with the day before
    days = local.select(
        pl.when(pl.col("at").dt.time() < AUCTION)
        .then(pl.col("at").dt.date().dt.offset_by("-1d"))
        .otherwise(pl.col("at").dt.date())
    ).to_series()
    _refuse_outside(local.to_series(), days, sessions)
    found = pl.DataFrame({"day": days}).select(
        pl.when(pl.col("day").is_not_null()).then(
            pl.lit(sessions).search_sorted(pl.col("day").fill_null(sessions[0]), side="right") - 1
        )
    )
    return sessions.gather(found.to_series())


def decided_by(events: pl.DataFrame, calendar: pl.Series, end: dt.date) -> pl.DataFrame:
    """The events whose decision date is ``end`` or earlier, with their ``decision_date``.

    News of the weekend after ``end``, or before 09:15 of the next session, still belongs to it; where the
    calendar stops at ``end`` that cannot be known and they are left out.

    Args:
        events: any frame with ``known_at``, Datetime with a time zone, no nulls.
        calendar: sessions, reaching back to the first event.
        end: a date.

    Raises:
        UsageError: as ``decision_dates``.
    """
    sessions = calendar.drop_nulls().unique().sort()
    local = pl.col("known_at").dt.convert_time_zone("Asia/Shanghai")
    following = sessions.filter(sessions > end)
    if following.len():
        kept = events.filter(local < dt.datetime.combine(following.item(0), AUCTION, SHANGHAI))
    else:
        kept = events.filter(local.dt.offset_by("-9h15m").dt.date() <= sessions.max())
    return kept.with_columns(decision_dates(kept["known_at"], sessions))


def decision_date(known_at: dt.datetime, calendar: pl.Series) -> dt.date:
    """``decision_dates`` of one moment."""
    if known_at.tzinfo is None:
        raise UsageError(f"known_at is {known_at.isoformat()} without a zone; add one, for China +08:00")
    moment = pl.Series([known_at.astimezone(SHANGHAI)], dtype=pl.Datetime("us", "Asia/Shanghai"))
    date: dt.date = decision_dates(moment, calendar).item()
    return date


def first_fill(decision: dt.date, calendar: pl.Series) -> dt.date:
    """The session at whose open an order decided on ``decision`` can first trade: the next one.

    Raises:
        UsageError: when the calendar ends on or before ``decision``.
    """
    after = calendar.filter(calendar > decision).min()
    if not isinstance(after, dt.date):
        raise UsageError(
            f"no session after {decision}: the calendar ends {calendar.max()!r}; run `ashare refresh`"
        )
    return after


def _refuse_outside(at: pl.Series, days: pl.Series, sessions: pl.Series) -> None:
    early, late = at.filter(days < sessions[0]), at.filter(days > sessions[-1])
    if early.len():
        raise UsageError(
            f"known_at {early.sort().item(0).isoformat()} lies before the calendar's first session "
            f"{sessions[0]}; give a calendar that reaches back to it, or leave the event out"
        )
    if late.len():
        raise UsageError(
            f"known_at {late.sort().item(-1).isoformat()} lies beyond the calendar's last session "
            f"{sessions[-1]}; extend the calendar with `ashare refresh`, or leave the event out"
        )
