"""One refresh under way: its clock, what is due, and the only ways it asks a vendor and stores an answer."""

from __future__ import annotations

import datetime as dt
import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl
import stamina

from data_cache import refresh_log
from data_cache.akshare_lists import EXCHANGES
from data_cache.calendar import FIRST_SESSION, SHANGHAI_CLOSE, last_closed_session
from data_cache.database import reading, writing
from data_cache.errors import StoreBusy
from data_cache.puts import Written
from data_cache.refresh_log import Check
from data_cache.refresh_report import Report
from data_cache.store import Store
from data_cache.symbols import Symbol
from data_cache.vendors import Absent, Blocked, Drift, Transport, Unreachable, Unresolved, VendorError

__all__ = ["AGAIN", "SHANGHAI", "Breaker", "Run"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
AGAIN = 10
"""Sessions asked for again each time, to notice restatements."""
_OPEN = dt.time(9, 30)
_EVERY_EVENING = 100  # symbols; with more, each one's dividends are asked for once in _DAYS, to call less
_DAYS = dt.timedelta(days=5)  # and so is, of any number, a bar that was missing the evening after too

_log = logging.getLogger("data_cache.refresh")
T = TypeVar("T")


@dataclass(slots=True)
class Breaker:
    """When to stop asking in this run.

    Args:
        failures: so far; the second ends it.
        ended: why it was given up; None while it is asked.
    """

    failures: int = 0
    ended: str | None = None

    def failed(self, error: VendorError) -> None:
        """Count one failure; a block ends it at once."""
        self.failures += 1
        if isinstance(error, Blocked) or self.failures >= 2:
            self.ended = str(error)


class Run:
    """The state every step reads and adds to.

    Args:
        store: to fill.
        symbols: whose; None for every company known to the store.
        start: first date wanted.
        end: last date wanted, not after today.
        providers: keys of ``PROVIDERS``, first choice first.
        now: aware.
        force: everything is due.
        patience: seconds to wait for a process that holds the database.
        wire: the transport in use.

    Attributes:
        sessions: the trading calendar.
        closed: the last session whose bars are final.
        in_session: whether today's bars may still change.
        life: listing date and first date without trading of each symbol, where known.
        holes: closed sessions wanted that have neither a bar nor a known suspension, by symbol asked for.
        report: what is said in the end.
    """

    def __init__(
        self,
        store: Store,
        symbols: Sequence[str] | None,
        *,
        start: dt.date,
        end: dt.date,
        providers: Sequence[str],
        now: dt.datetime,
        force: bool,
        patience: float,
        wire: Transport,
    ) -> None:
        self.store, self.start, self.end, self.providers = store, start, end, providers
        self.now, self.force, self.patience, self.wire = now, force, patience, wire
        self.today = now.astimezone(SHANGHAI).date()
        self.market = symbols is None
        self.symbols = [Symbol.parse(s) for s in dict.fromkeys(symbols or ())]
        self.breakers: dict[str, Breaker] = defaultdict(Breaker)
        self.life: dict[str, tuple[dt.date | None, dt.date | None]] = {}
        self.holes: dict[Symbol, list[dt.date]] = {}
        self.report = Report(started_at=now, finished_at=now, symbols=0)
        with reading(store.path):  # the file is opened once for all three
            self.checks = refresh_log.checks(store.path)
            self.read_calendar()
            self.read_companies()

    # ------------------------------------------------------- what it knows

    def read_calendar(self) -> None:
        """Take the store's calendar over."""
        self.sessions: list[dt.date] = self.store.calendar().to_list()
        self.is_session = set(self.sessions)

    def read_clock(self) -> None:
        """Place ``now`` in the calendar, which must reach it."""
        local = self.now.astimezone(SHANGHAI)
        self.closed = last_closed_session(pl.Series(self.sessions), self.now) or FIRST_SESSION
        self.closed_at = dt.datetime.combine(self.closed, SHANGHAI_CLOSE, SHANGHAI)
        self.in_session = local.date() in self.is_session and _OPEN <= local.time() < SHANGHAI_CLOSE
        self.report.provisional = self.in_session and self.end == self.today

    def read_companies(self) -> None:
        """Take listing dates over from the store and, for the whole market, the symbols."""
        rows = self.store.instruments(None if self.market else self.symbols)
        if self.market:
            self.symbols = [Symbol(s) for s in rows["symbol"]]
        dates = rows.select("symbol", "listed", "delisted").iter_rows()
        self.life = {symbol: (listed, left) for symbol, listed, left in dates}
        self.report.symbols = len(self.symbols)

    def span(self, name: Symbol) -> tuple[dt.date, dt.date] | None:
        """First and last date wanted of a symbol; None where it was not listed on any session of them."""
        listed, left = self.life.get(name, (None, None))
        low = max(self.start, listed or self.start)
        high = self.end if left is None else min(self.end, left - dt.timedelta(days=1))
        first = bisect_left(self.sessions, low)
        return (low, high) if first < len(self.sessions) and self.sessions[first] <= high else None

    def exchanges(self) -> list[str]:
        """The exchanges whose lists are wanted."""
        return [e for e in EXCHANGES if self.market or any(s.exchange == e for s in self.symbols)]

    def recent(self) -> dt.date:
        """The first of the sessions that are asked for each time."""
        return [s for s in self.sessions if s <= self.closed][-AGAIN:][0]

    # ------------------------------------------------------------- what is due

    def due(self, what: str, who: str) -> bool:
        """Whether a thing was not asked for since the last session closed."""
        check = self.checks.get((what, who))
        if check is None or self.force:
            return True
        if what == "bars" and (check.since is None or self.start < check.since):
            return True
        _, left = self.life.get(who, (None, None))
        if left is not None and check.checked_at.astimezone(SHANGHAI).date() >= left:
            return False  # it trades no more, and was asked for after its last session
        if what == "bars" and self.in_session:
            return True
        if what == "missing" or (what == "actions" and len(self.symbols) > _EVERY_EVENING):
            return self.now - check.checked_at > _DAYS
        return check.checked_at < self.closed_at

    # ------------------------------------------------------- asking, storing

    def ask(self, who: str, what: str, question: Callable[[], T]) -> tuple[T, str]:
        """One question to one vendor.

        Broken connections and blocks count against the vendor, answers of another shape (in a row) against this
        kind of question alone, "I have none" against nobody.

        Args:
            who: the vendor.
            what: the kind of question.
            question: asks it.

        Returns:
            Its answer, and the hashes of what came over the wire.

        Raises:
            VendorError: also, without asking, where the vendor was given up.
        """
        vendor, kind = self.breakers[who], self.breakers[f"{who} {what}"]
        if vendor.ended or kind.ended:
            raise Unreachable(f"{who}: given up for this run")
        before = len(self.wire.payloads)
        try:
            answer = question()
        except VendorError as error:
            self.report.resolved |= not isinstance(error, Unresolved)
            if isinstance(error, Drift):
                kind.failed(error)
            elif not isinstance(error, Absent):
                vendor.failed(error)
            _log.warning("%s: %s", type(error).__name__, error)
            raise
        self.report.resolved = True
        kind.failures = 0
        return answer, " ".join(p.sha256 for p in self.wire.payloads[before:])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is put within is stored together or not at all; waits for a process that holds the database."""
        with ExitStack() as stack:
            for attempt in stamina.retry_context(
                on=StoreBusy, attempts=None, timeout=self.patience, wait_initial=1.0, wait_max=10.0
            ):
                with attempt:
                    stack.enter_context(writing(self.store.path))
            yield

    def put(self, write: Callable[..., Written], rows: pl.DataFrame | pl.Series, source: str) -> Written:
        """Store an answer, within ``transaction``; its rejected rows are counted."""
        written = write(rows, source=source, fetched_at=self.now)
        self.report.rows["rejected"] = self.report.rows.get("rejected", 0) + written.rejected
        return written

    def checked(self, answered: dict[tuple[str, str], str], since: dt.date | None = None) -> None:
        """Note what was answered in full, with its hashes, within ``transaction``.

        Args:
            answered: (what, who): hashes.
            since: for what has dates, the first one asked for; such an answer holds for the close of ``end``.
        """
        at = self.now
        if since is not None and self.end < self.closed:
            at = dt.datetime.combine(self.end, SHANGHAI_CLOSE, SHANGHAI)
        done = {key: Check(at, since, sha256) for key, sha256 in answered.items()}
        refresh_log.record(self.store.path, done)
        self.checks |= {
            k: c for k, c in done.items() if k not in self.checks or self.checks[k].checked_at <= at
        }
