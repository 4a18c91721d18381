"""The last step of a refresh: which missing bars does a suspension explain, and which does nothing?

One question to Eastmoney about a day answers for whole spells and every symbol. So the newest unexplained day is
asked about, what it explains is stored and crossed off, and so on, at most ``_QUESTIONS`` times a run. A spell that
ended before the last ten sessions is asked about once, so that the next run comes to the older ones.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from functools import partial
from itertools import groupby

import polars as pl

from data_cache import akshare_lists
from data_cache.refresh_run import Run
from data_cache.symbols import Symbol
from data_cache.vendors import VendorError

__all__ = ["explain"]

_QUESTIONS = 20


def explain(run: Run) -> None:
    """Ask about the holes, and report those that stay; a symbol without one for the last session is done."""
    waiting = [s for s, days in run.holes.items() if run.closed in days]
    asked: set[dt.date] = set()
    while len(asked) < _QUESTIONS and (day := _newest(run, asked)):
        asked.add(day)
        question = partial(akshare_lists.suspensions, day, run.sessions)
        try:
            found, _ = run.ask("eastmoney data", "suspensions", question)
        except VendorError as error:
            run.report.tables["suspensions"] = str(error)
            break
        holes = pl.DataFrame(
            [(str(s), d) for s, days in run.holes.items() for d in days],
            schema={"symbol": pl.String, "date": pl.Date},
            orient="row",
        )
        rows = found.join(holes, on=["symbol", "date"], how="semi")
        with run.transaction():
            run.put(run.store.put_suspensions, rows, "eastmoney")
            run.checked({("suspensions", f"{s} {d}"): "" for s, d in _ends(run) if d == day})
        _cross_off(run, rows)
    if settled := [s for s in waiting if run.closed not in run.holes[s]]:
        with run.transaction():
            run.checked({("bars", str(s)): "" for s in settled}, run.start)
    run.report.gaps |= {s: _spans(days, run.sessions) for s, days in run.holes.items() if days}


def _cross_off(run: Run, suspensions: pl.DataFrame) -> None:
    known = set(suspensions.select("symbol", "date").iter_rows())
    run.holes = {s: [d for d in days if (s, d) not in known] for s, days in run.holes.items()}


def _newest(run: Run, asked: set[dt.date]) -> dt.date | None:
    known = set() if run.force else run.checks.keys()
    due = {d for s, d in _ends(run) if d >= run.recent() or ("suspensions", f"{s} {d}") not in known}
    return max(due - asked, default=None)


def _ends(run: Run) -> list[tuple[Symbol, dt.date]]:
    """The last day of each spell of holes."""
    return [(s, spell[-1]) for s, days in run.holes.items() for spell in _spells(days, run.sessions)]


def _spells(days: list[dt.date], sessions: list[dt.date]) -> list[list[dt.date]]:
    """Sessions in a row as one list each."""
    numbered = enumerate(sorted(days))
    return [
        [d for _, d in group]
        for _, group in groupby(numbered, key=lambda p: bisect_left(sessions, p[1]) - p[0])
    ]


def _spans(days: list[dt.date], sessions: list[dt.date]) -> str:
    spells = _spells(days, sessions)
    shown = [str(s[0]) if len(s) == 1 else f"{s[0]} to {s[-1]} ({len(s)} sessions)" for s in spells[-3:]]
    earlier = f"{len(spells) - 3} earlier spans, then " if len(spells) > 3 else ""
    return earlier + ", ".join(shown)
