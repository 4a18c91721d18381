"""The steps of a refresh that concern one symbol: its bars, factors and dividends.

1. ``_window``: everything wanted at first, later the last ten sessions and from the first one that is missing on.
2. ``_bars``: from the first provider that has any; one provider serves the symbol in a run.
3. ``_table``: factors from Sina, dividends from Eastmoney; either may fail alone.
4. ``_ex_dates``: do both tell the same ex-dates? Factors that lack a recent one are late: they are not stored,
   and stay owed, because the store would then judge the day's fall as a loss.
5. Stored in one transaction, factors first: a day's fall is judged by the factors known.
6. ``_missing``: sessions that have neither a bar nor a suspension even then.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from functools import partial

import polars as pl

from data_cache import akshare_bars, exdates
from data_cache.akshare_bars import PROVIDERS, Fetched
from data_cache.refresh_run import AGAIN, Run
from data_cache.symbols import Symbol
from data_cache.vendors import Absent, VendorError

__all__ = ["symbol"]

_log = logging.getLogger("data_cache.refresh")
_Answered = dict[tuple[str, str], str]
"""What was answered, and the hashes of the answers."""


def symbol(run: Run, name: Symbol) -> None:
    """Ask for what is due of one symbol, and store it."""
    if (span := run.span(name)) is None:  # not listed yet, or gone before the range
        with run.transaction():
            run.checked({(what, name): "" for what in ("bars", "factors", "actions")}, run.start)
        return
    low, high = span
    listed, _ = run.life.get(name, (None, None))
    store, answered = run.store, _Answered()
    held = store.bars([name], basis="raw")
    first = low
    low, old = _window(run, name, held["date"], low, high)
    bars = _bars(run, name, low, high, held["date"], answered) if run.due("bars", name) else None
    question = partial(akshare_bars.factors, name, listed=listed, until=run.end)
    factors = _table(run, "factors", name, "sina", question, answered)
    actions = _table(
        run, "actions", name, "eastmoney data", partial(akshare_bars.corporate_actions, name), answered
    )
    if factors is not None or actions is not None:
        known = held if bars is None else pl.concat([bars[1].frame, held.select(bars[1].frame.columns)])
        told = exdates.compare(
            known.unique(["symbol", "date"], keep="first"),
            store.factors([name]) if factors is None else factors,
            store.corporate_actions([name]) if actions is None else actions,
        )
        if _ex_dates(run, name, told, low) and factors is not None:
            factors = None
            del answered["factors", name]
    with run.transaction():
        if factors is not None:
            run.put(store.put_factors, factors, "sina")
        if actions is not None and actions.height:
            run.put(store.put_corporate_actions, actions, "eastmoney")
        if bars is not None:
            _put_bars(run, *bars)
            if old:
                answered["missing", name] = ""
            if holes := _missing(run, name, store.bars([name], basis="raw")["date"], first, high):
                run.holes[name] = holes
            if run.closed in holes:
                del answered["bars", name]  # owed until a suspension explains it
        if answered:
            run.checked(answered, run.start)


def _put_bars(run: Run, who: str, fetched: Fetched) -> None:
    written = run.put(run.store.put_bars, fetched.frame, who)
    for count in ("inserted", "revised", "confirmed", "unchanged", "suspended"):
        run.report.rows[count] = run.report.rows.get(count, 0) + getattr(written, count)
    run.report.made_up += fetched.made_up


def _window(run: Run, name: Symbol, held: pl.Series, low: dt.date, high: dt.date) -> tuple[dt.date, bool]:
    """The first date to ask from, and whether it is that of a session missing for longer than is asked anyhow.

    The last stored bar is always among what is asked: it shows whether the answer lies on the stored level.
    """
    check = run.checks.get(("bars", name))
    if check is None or check.since is None or run.start < check.since or held.is_empty():
        return low, False
    again = [s for s in run.sessions if s <= high][-AGAIN:][0]
    last: dt.date = held[-1]
    recent = max(low, min(again, last))
    old = [s for s in _missing(run, name, held, low, high) if s < recent]
    return (old[0], True) if old and run.due("missing", name) else (recent, False)


def _bars(
    run: Run, name: Symbol, low: dt.date, high: dt.date, held: pl.Series, answered: _Answered
) -> tuple[str, Fetched] | None:
    words: list[str] = []
    only_absent = True
    for provider in run.providers:
        who = PROVIDERS[provider]
        question = partial(akshare_bars.bars, provider, name, low, high, run.is_session)
        try:
            fetched, sha256 = run.ask(who, "bars", question)
        except VendorError as error:
            words.append(str(error))
            run.report.answered |= isinstance(error, Absent)
            only_absent &= isinstance(error, Absent)
            continue
        run.report.answered = True
        if fetched.frame.is_empty():
            words.append(f"{who}: no bars from {low} to {high}")
            continue
        _log.info("%s: %d bars from %s, sha256 %s", name, fetched.frame.height, who, sha256)
        run.report.sources[who] = run.report.sources.get(who, 0) + 1
        answered["bars", name] = sha256
        return who, fetched
    unknown = "no provider knows it: " if only_absent and held.is_empty() else ""
    run.report.not_got[name] = unknown + "; ".join(words)
    return None


def _table(
    run: Run, what: str, name: Symbol, who: str, question: Callable[[], pl.DataFrame], answered: _Answered
) -> pl.DataFrame | None:
    """Another table's rows; None where they are not due or were not got, which is noted."""
    if not run.due(what, name):
        return None
    try:
        found, answered[what, name] = run.ask(who, what, question)
    except VendorError as error:
        run.report.tables[f"{what} {name}"] = str(error)
        return None
    return found


def _ex_dates(run: Run, name: Symbol, told: exdates.ExDates, low: dt.date) -> bool:
    """Report what does not agree from ``low`` on; True where a recent distribution has no factor yet."""
    late = False
    for day in told.missing.filter(pl.col("date") >= low)["date"]:
        text = f"the distribution on {day} has no adjustment factor"
        if day >= run.recent():
            run.report.tables[f"factors {name}"] = text
            late = True
        else:
            run.report.doubts.append(f"{name}: {text}")
    for _, day, step, expected in told.doubtful.filter(pl.col("date") >= low).iter_rows():
        other = f"dividends give {expected:.5f}" if expected else "no dividend is known (a rights issue?)"
        run.report.doubts.append(f"{name}: the factor steps by {step:.5f} on {day}; {other}")
    return late


def _missing(run: Run, name: Symbol, held: pl.Series, low: dt.date, high: dt.date) -> list[dt.date]:
    """Closed sessions of the range with neither a bar nor a known suspension, from the symbol's first one on."""
    listed, _ = run.life.get(name, (None, None))
    if listed is None and held.is_empty():
        return []
    begun = listed or held[0]
    have = {*held, *run.store.suspensions([name])["date"]}
    return [s for s in run.sessions if max(low, begun) <= s <= min(high, run.closed) and s not in have]
