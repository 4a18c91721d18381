"""The evening refresh: ask the vendors for what the store is owed, and say exactly what was not got.

1. Plan (``Run.due``): a thing is due where it was not asked for since the last session closed.
2. Calendar, companies and names (``refresh_lists``).
3. Each symbol: bars from the first provider that answers, factors, dividends (``refresh_symbol``).
4. Indices (``refresh_lists``), and the suspensions that explain missing bars (``refresh_gaps``).
5. One record of the run (``refresh_log``).

A vendor is given up for the run after one block or two broken connections, one kind of question to it after
two answers in a row of another shape. Optional tables fail alone. Each symbol is one transaction, and the
database is open only inside it, so a kill loses what was being asked and nothing that was stored; the next run
asks for what is still owed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import polars as pl

from data_cache import refresh_gaps, refresh_lists, refresh_log, refresh_symbol
from data_cache.akshare_bars import INDICES, PROVIDERS
from data_cache.calendar import require_within
from data_cache.errors import NoData, StoreBusy, UnknownName, UsageError
from data_cache.refresh_report import Report
from data_cache.refresh_run import SHANGHAI, Run
from data_cache.store import Store
from data_cache.vendors import Transport

__all__ = ["START", "Interrupted", "Report", "refresh"]

START = dt.date(2015, 1, 5)
"""The first session asked for where nobody says otherwise."""
_OF_A_SYMBOL = ("bars", "factors", "actions")


class Interrupted(KeyboardInterrupt):
    """A person stopped the run; what was stored stays. ``report`` says where it stands."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def refresh(
    store: Store,
    symbols: Sequence[str] | None = None,
    *,
    start: dt.date = START,
    end: dt.date | None = None,
    providers: Sequence[str] = tuple(PROVIDERS),
    now: dt.datetime | None = None,
    force: bool = False,
    transport: Transport | None = None,
    patience: float = 60.0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Ask for everything the store is owed and store it.

    Args:
        store: opened for now, not ``as_of``.
        symbols: whose; None for every company the exchanges list, delisted ones included.
        start: first date wanted. Asking from an earlier one than before fetches what lies between.
        end: last date wanted; today where None.
        providers: keys of ``PROVIDERS``, first choice first; one of them serves a symbol in a run.
        now: aware; the machine's clock where None.
        force: ask even for what was asked since the last close.
        transport: gaps and time-outs; ``Transport()`` where None.
        patience: seconds to wait for a process that holds the database.
        progress: called with symbols done, symbols due and the one at hand.

    Returns:
        What was done; its ``code`` is the command's exit code. At once, without a request, where nothing is due.

    Raises:
        UsageError: ``start`` lies after the last date wanted.
        StoreBusy: another refresh holds the lock (at once), or a process the database (after ``patience``).
        NoData: the range or today lies beyond the calendar's end and no newer calendar could be had.
        UnknownName: a provider mistyped.
        Interrupted: on Ctrl-C, after recording the run.
    """
    for name in providers:
        if name not in PROVIDERS:
            raise UnknownName("provider", name, PROVIDERS)
    now = now or dt.datetime.now(SHANGHAI)
    today = now.astimezone(SHANGHAI).date()
    last = min(end or today, today)
    if start > last:
        raise UsageError(
            f"the first date wanted is {start} and the last {last}; give an earlier --start or a later --end, not "
            f"after today ({today} in Shanghai)"
        )
    with _lock(store.path), transport or Transport() as wire:
        run = Run(
            store, symbols, start=start, end=last, providers=providers, now=now,
            force=force, patience=patience, wire=wire,
        )  # fmt: skip
        furthest = max(end or today, today)
        if furthest > run.sessions[-1]:
            refresh_lists.calendar(run)  # whether today is a session comes before everything else
        require_within(pl.Series(run.sessions), furthest)
        run.read_clock()
        if not _anything_due(run):
            return run.report
        run.report.through = max((s for s in run.sessions if s <= run.end), default=None)
        try:
            _steps(run, progress or (lambda *_: None))
        except KeyboardInterrupt:
            run.report.interrupted = True
        _finish(run)
    if run.report.interrupted:
        raise Interrupted(run.report)
    return run.report


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One refresh of a store at a time; a killed one's lock goes with it."""
    lock = filelock.FileLock(path.with_name(path.name + ".refresh.lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise StoreBusy(
            f"another refresh of {path} is running; let it finish. Nothing was done here"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _anything_due(run: Run) -> bool:
    return (
        not run.symbols
        or run.due("calendar", "")
        or any(run.due("companies", e) for e in run.exchanges())
        or ("SZ" in run.exchanges() and run.due("names", "SZ"))
        or any(run.due(what, s) for s in run.symbols for what in _OF_A_SYMBOL)
        or any(run.due("index", i) for i in INDICES)
    )


def _steps(run: Run, progress: Callable[[int, int, str], None]) -> None:
    if run.due("calendar", ""):
        refresh_lists.calendar(run)
    if lists := [e for e in run.exchanges() if run.due("companies", e)]:
        for exchange in lists:
            refresh_lists.companies(run, exchange)
        run.read_companies()
    if "SZ" in run.exchanges() and run.due("names", "SZ"):
        refresh_lists.names(run)
    if not run.symbols:
        raise NoData(f"no company is known: the exchanges' lists were not got: {run.report.tables}")
    due = [s for s in run.symbols if any(run.due(what, s) for what in _OF_A_SYMBOL)]
    run.report.due = sum(run.due("bars", s) and run.span(s) is not None for s in due)
    for done, symbol in enumerate(due):
        progress(done, len(due), symbol)
        refresh_symbol.symbol(run, symbol)
    progress(len(due), len(due), "")
    refresh_lists.indices(run)
    refresh_gaps.explain(run)


def _finish(run: Run) -> None:
    report = run.report
    report.finished_at = max(dt.datetime.now(SHANGHAI), run.now)
    report.requests = len(run.wire.payloads)
    report.ended = {who: b.ended for who, b in run.breakers.items() if b.ended}
    with run.transaction():
        refresh_log.record_run(run.store.path, run.now, report.finished_at, report.code, report.document())
