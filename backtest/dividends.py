"""Corporate actions of the explicit account: what a share receives on its ex-date, and the tax on it.

1. ``action_rows``: cash, new shares and the taxable amount of each ex-date, with the tax rates of that date.
2. ``holding_periods``: up to which session a purchase counts as held a month, a year.
3. ``unexplained``: the ex-dates the factor knows and the actions do not explain.

The tax is charged when shares are sold, first in first out, on every dividend they received: at most one month
held 20 %, at most one year 10 %, longer 0 (5 % before 2015-09-08). Bonus shares from profit are taxed at their
face value of one yuan, shares from reserves are not. Rule: dividend_tax_individual in the rule book.
"""

from __future__ import annotations

import calendar
import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from data_cache.errors import NoData, UsageError
from data_cache.rule_table import deciding

if TYPE_CHECKING:
    from backtest.market import Market

__all__ = ["action_rows", "holding_periods", "unexplained"]

Array = np.ndarray[Any, np.dtype[Any]]

MICRO = 1_000_000
FACE_VALUE = 1.0  # yuan; the few exceptions never paid bonus shares


def action_rows(market: Market) -> Array:
    """One row per action inside the market, by session.

    Returns:
        int64: session, column, cash (micro-yuan a share), new shares (1e-8 a share), taxable (micro-yuan a
        share), tax in percent when sold within a month, within a year, later.

    Raises:
        UsageError: prices that are not as traded, or an ex-date the rule book has no dividend tax for.
    """
    if market.basis != "raw":
        raise UsageError(
            f"explicit accounting needs prices as traded; these are {market.basis}. Import raw bars, factors and "
            "corporate actions, or use accounting='total_return'"
        )
    column = {symbol: j for j, symbol in enumerate(market.symbols)}
    rows = []
    for action in market.actions.sort("ex_date", "symbol").iter_rows(named=True):
        t = int(np.searchsorted(market.dates, np.datetime64(action["ex_date"])))
        # the first session of the market is before any position
        if not 0 < t < market.shape[0]:
            continue
        soon, later, late = _rates(action["symbol"], action["ex_date"])
        rows.append(
            (
                t,
                column[action["symbol"]],
                round(action["cash"] * MICRO),
                round((action["bonus"] + action["transfer"]) * 1e8),
                round((action["cash"] + action["bonus"] * FACE_VALUE) * MICRO),
                soon,
                later,
                late,
            )
        )
    return np.array(rows, dtype=np.int64).reshape(-1, 8)


def _rates(symbol: str, day: dt.date) -> tuple[int, int, int]:
    """Percent: held up to a month, up to a year, longer."""
    row = deciding("dividend_tax_individual", symbol, "normal", day)
    if row is None:
        raise UsageError(
            f"the rule book has no dividend tax for {symbol} on {day}; explicit accounting begins 2013-01-01, "
            "use accounting='total_return' before"
        )
    soon, later, late = (round(float(part) * 100) for part in row.value.split("/"))
    return soon, later, late


def holding_periods(dates: Array) -> tuple[Array, Array]:
    """The last session on which shares bought on each session count as held a month, a year.

    Bought on 10 January, they are held one month through 9 February: sold on 10 February they still pay the
    higher rate, on 11 February no longer.
    """
    days = dates.astype("datetime64[D]").tolist()
    month = np.array([_months_later(day, 1) for day in days], dtype="datetime64[D]")
    year = np.array([_months_later(day, 12) for day in days], dtype="datetime64[D]")
    return tuple(np.searchsorted(dates, end, side="right").astype(np.int64) - 1 for end in (month, year))  # type: ignore[return-value]


def _months_later(day: dt.date, months: int) -> dt.date:
    """The same day of a later month, or that month's last."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def unexplained(market: Market, actions: Array) -> tuple[str, ...]:
    """One sentence on the ex-dates that move the factor by more than their cash and new shares explain, if any.

    Rights are not taken up, and an action that is missing is not paid: the account keeps its shares and loses what
    the step of the factor was worth.

    Args:
        market: where it trades.
        actions: its ``action_rows``.

    Raises:
        NoData: the market has no corporate action at all, so that nothing explains any of them.
    """
    rows = {(row[0], row[1]): row for row in actions.tolist()}
    # close x factor over factor is the last close, adjusted to the session
    before = market.mark[:-1] / market.factor[:-1]
    steps = market.factor[1:] / market.factor[:-1]
    found = []
    for t, j in zip(*np.nonzero(steps != 1.0), strict=True):
        close = before[t, j]
        if np.isnan(close):
            continue
        cash, fresh = rows[t + 1, j][2:4] if (t + 1, j) in rows else (0, 0)
        expected = close * (1 + fresh / 1e8) / max(close - cash / MICRO, 0.01)
        # the published reference is whole fen
        if abs(steps[t, j] / expected - 1) > 0.001 + 0.006 / close:
            found.append(f"{market.symbols[j]} {market.dates[t + 1]}")
    if not found:
        return ()
    shown = f"{', '.join(found[:5])}{'' if len(found) <= 5 else ', ...'}"
    if market.actions.is_empty():
        raise NoData(
            f"explicit accounting pays the corporate actions, and there are none, though {len(found)} ex-dates move "
            f"the factors ({shown}); import them or run `ashare refresh`, or use accounting='total_return'"
        )
    return (
        f"{len(found)} ex-dates move the factor by more than their cash and new shares explain (a rights issue, or "
        f"an action that is missing) and are ignored in explicit accounting: {shown}.",
    )
