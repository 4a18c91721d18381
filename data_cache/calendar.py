"""Trading sessions of the mainland exchanges: where they start from, and the refusal to run past their end."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

import polars as pl

from data_cache.errors import NoData, UsageError

__all__ = [
    "AUCTION",
    "FIRST_AUCTION",
    "FIRST_SESSION",
    "SHANGHAI_CLOSE",
    "as_day",
    "last_closed_session",
    "require_within",
    "xshg_sessions",
]

FIRST_SESSION = dt.date(1990, 12, 19)
"""The Shanghai exchange's first."""
AUCTION = dt.time(9, 15)
"""Orders for the opening auction are taken from here on (SSE and SZSE trading rules)."""
FIRST_AUCTION = dt.datetime.combine(FIRST_SESSION, AUCTION, ZoneInfo("Asia/Shanghai"))
"""Whatever was known earlier could not be traded on."""
SHANGHAI_CLOSE = dt.time(15, 30)
"""From here on a day's bar counts as final: the after-hours fixed-price session has ended."""


@functools.cache
def xshg_sessions() -> pl.Series:
    """Every session of the Shanghai exchange from its first day to the end of the holidays known so far.

    Shanghai, Shenzhen and Beijing keep the same sessions from 1991 on. Source: the package exchange_calendars,
    which knows the holidays of a year once the State Council has published them.
    """
    import warnings

    import exchange_calendars

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it still calls what pandas 3.1 deprecates; not the user's business
        calendar = exchange_calendars.get_calendar("XSHG", start=str(FIRST_SESSION))
    return pl.Series("date", calendar.sessions.values.astype("datetime64[D]"))


def as_day(what: str, given: dt.date | str) -> dt.date:
    """A date from what a caller gave for ``what``: a date, a moment (its date) or text.

    Raises:
        UsageError: when it is none of these.
    """
    if isinstance(given, dt.datetime):
        return given.date()
    if isinstance(given, dt.date):
        return given
    try:
        return dt.date.fromisoformat(given)
    except (TypeError, ValueError):
        raise UsageError(f"{what} is {given!r}; needs a date as 2023-01-03") from None


def require_within(calendar: pl.Series, date: dt.date) -> None:
    """Refuse a date the calendar does not reach.

    Args:
        calendar: sessions, sorted.
        date: any date.

    Raises:
        NoData: when the date lies after the calendar's last session; whether the exchange opens then is unknown.
    """
    if calendar.is_empty():
        raise NoData("the store has no trading calendar; `ashare refresh` fetches one")
    end = calendar[-1]
    if date > end:
        raise NoData(
            f"the trading calendar ends on {end} and {date} lies beyond it; extend it with `ashare refresh` (it "
            "fetches the exchange's calendar) or Store.put_calendar, or end the range earlier"
        )


def last_closed_session(calendar: pl.Series, now: dt.datetime) -> dt.date | None:
    """The last session whose bar is final at ``now`` (aware); None before the first.

    Raises:
        NoData: when ``now`` lies beyond the calendar's end.
    """
    local = now.astimezone(ZoneInfo("Asia/Shanghai"))
    require_within(calendar, local.date())
    day = local.date() if local.time() >= SHANGHAI_CLOSE else local.date() - dt.timedelta(days=1)
    return calendar.filter(calendar <= day).max()  # type: ignore[return-value]  # polars types max() as any scalar
