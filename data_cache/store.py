"""The store: one DuckDB file that keeps what was true and when it was recorded.

A read opens the file read-only for that call; a write opens it for its one transaction. Nothing is overwritten:
see ``data_cache.tables`` for how history is kept, ``data_cache.puts`` for how rows enter.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl

from data_cache import panel
from data_cache.bar_puts import put_bars
from data_cache.calendar import as_day, xshg_sessions
from data_cache.database import query, reading, scalar, writing
from data_cache.errors import NoData, StorageError, UnknownName, UnknownSymbol, UsageError
from data_cache.note_puts import NoteLike, put_events, put_note, withdraw_notes
from data_cache.panel import FIELDS, Panel
from data_cache.puts import Transaction, Written
from data_cache.symbols import parse_all
from data_cache.tables import TABLES, VERSION, Table, create, decode, encode, rows_at
from data_cache.witness import put_factors

__all__ = ["Panel", "Store", "Written"]

SHANGHAI = ZoneInfo("Asia/Shanghai")
Day = dt.date | str | None


@dataclass(frozen=True, slots=True)
class Store:
    """One store; make it with ``Store.create`` or ``Store.open``.

    Args:
        path: its file.
        is_sample: whether it holds the generated sample market; every result from it says SAMPLE.
        as_of: what was given to ``open``: reads see what was recorded by then, and writes are refused.
    """

    path: Path
    is_sample: bool
    as_of: dt.datetime | str | None = None
    store_id: str = ""
    put: int | None = None

    # ------------------------------------------------------------------ open

    @classmethod
    def create(cls, path: str | PathLike[str], *, sample: bool = False) -> Store:
        """Open the store at ``path``, making it (and its folder) with the XSHG calendar where there is none.

        Raises:
            UsageError: when the file is a sample store and a real one is wanted, or the reverse.
            StorageError: when the folder cannot be written or the file is not a store.
        """
        file = Path(path)
        if not file.exists() or _is_empty(file):
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(
                    f"cannot make the folder {file.parent}: {error.strerror}; name another file with --db or ASHARE_DB"
                ) from error
            _fill(file, sample=sample)
        store = cls.open(file)
        if store.is_sample != sample:
            kind, other = (
                ("the sample market", "real data") if store.is_sample else ("real data", "the sample market")
            )
            raise UsageError(f"{file} holds {kind}; keep {other} in another file: give --db or ASHARE_DB")
        return store

    @classmethod
    def open(cls, path: str | PathLike[str], *, as_of: dt.datetime | str | None = None) -> Store:
        """Open an existing store.

        Args:
            path: its file.
            as_of: None for what is known now; a snapshot id; or a moment: an aware datetime or ISO text with a
                zone. A date alone means the end of that day in Shanghai. What counts is when this store recorded
                a row, not when its source says it fetched it.

        Raises:
            NoData: when there is no such file; says how to fill one.
            UsageError: when ``as_of`` is neither a moment nor a snapshot of this store.
            StorageError: when the file is not a store, or one of a newer program.
        """
        file = Path(path)
        with reading(file) as connection:
            try:
                meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
            except duckdb.CatalogException as error:
                raise StorageError(
                    f"{file} is a DuckDB database but not a store of this program; it was left alone; name another "
                    "file with --db or ASHARE_DB"
                ) from error
            if meta["version"] != str(VERSION):
                raise StorageError(
                    f"{file} has format {meta['version']} and this program reads format {VERSION}; use the program "
                    "that wrote it to `ashare export DIR`, then `ashare import DIR` into a new file"
                )
            put = None if as_of is None else _resolve(connection, as_of, meta["store_id"])
        return cls(file, meta["sample"] == "1", as_of, meta["store_id"], put)

    def snapshot_id(self) -> str:
        """The name of what is known now (or was, under ``as_of``); it stays the same while nothing changes."""
        put = self.put
        if put is None:
            with reading(self.path) as connection:
                put = scalar(connection, "SELECT coalesce(max(put), 0) FROM puts")
        return f"{self.store_id}-{put}"

    # ----------------------------------------------------------------- reads

    def bars(
        self,
        symbols: Collection[str] | None = None,
        start: Day = None,
        end: Day = None,
        basis: str | None = None,
    ) -> pl.DataFrame:
        """Daily bars, sorted by symbol and date.

        Args:
            symbols: None for all.
            start: first date, inclusive.
            end: last date, inclusive.
            basis: ``raw``, ``qfq`` or ``hfq``, of which what the store has not gives no rows; None for the one
                ``basis(symbols)`` picks.

        Returns:
            The columns of ``Bars`` (yuan, shares, yuan), ``basis`` and ``source``.

        Raises:
            UnknownSymbol: without a basis, when the store has no bars of one under any.
            NoData: without a basis, when no one basis covers them.
            UsageError: a date that is none, or ``start`` after ``end``.
        """
        if basis is None:
            basis = self.basis(symbols)
        return self._read(
            TABLES["bars"],
            symbols,
            start,
            end,
            columns="t.* EXCLUDE (basis, put), t.basis::VARCHAR AS basis, p.source",
            condition=f"t.basis = '{_basis(basis)}'",
        )

    def factors(self, symbols: Collection[str] | None = None) -> pl.DataFrame:
        """Backward adjustment factors, one row at listing and at each ex-date."""
        return self._read(TABLES["factors"], symbols)

    def corporate_actions(self, symbols: Collection[str] | None = None) -> pl.DataFrame:
        """Dividends, bonus and transfer shares, per share, by ex-date."""
        return self._read(TABLES["corporate_actions"], symbols)

    def instruments(self, symbols: Collection[str] | None = None) -> pl.DataFrame:
        """Every stock known, delisted ones included."""
        return self._read(TABLES["instruments"], symbols)

    def name_history(self, symbols: Collection[str] | None = None) -> pl.DataFrame:
        """Short names by the date each became valid."""
        return self._read(TABLES["name_history"], symbols)

    def suspensions(
        self, symbols: Collection[str] | None = None, start: Day = None, end: Day = None
    ) -> pl.DataFrame:
        """Full sessions without trading."""
        return self._read(TABLES["suspensions"], symbols, start, end)

    def index_bars(
        self, symbols: Collection[str] | None = None, start: Day = None, end: Day = None
    ) -> pl.DataFrame:
        """Daily bars of indices, in index points.

        Raises:
            UnknownSymbol: when the store has no bar of one of ``symbols``; names those it has.
        """
        found = self._read(TABLES["index_bars"], symbols, start, end)
        if symbols is not None and (strangers := set(parse_all(symbols)) - set(found["symbol"])):
            # none in the range, or none at all?
            have = sorted(set(self._read(TABLES["index_bars"])["symbol"]))
            if unknown := sorted(strangers - set(have)):
                raise UnknownSymbol(
                    f"no bars of index {_some(unknown)} in {self.path}; it has {', '.join(have) or 'none'}; fetch the "
                    "indices with `ashare refresh`, or import a file that has them"
                )
        return found

    def notes(self) -> pl.DataFrame:
        """Every note in its latest reading."""
        return self._read(TABLES["notes"])

    def calendar(self) -> pl.Series:
        """Trading sessions, sorted."""
        return self._read(TABLES["calendar"])["date"]

    def events(
        self, *, sources: Collection[str] | None = None, kinds: Collection[str] | None = None
    ) -> pl.DataFrame:
        """Events that are not superseded, sorted by ``known_at``.

        Args:
            sources: None for all; one text alone is one source.
            kinds: None for all; one text alone is one kind.
        """
        found = self._read(TABLES["events"])
        for column, wanted in (("source", sources), ("kind", kinds)):
            if wanted is not None:
                names = [wanted] if isinstance(wanted, str) else list(wanted)
                found = found.filter(pl.col(column).is_in(names))
        return found.sort("known_at", "event_id")

    def rejected(self) -> pl.DataFrame:
        """The quarantine: table, symbol, date, rule, row (JSON), source, at (when it was listed)."""
        limit = "" if self.put is None else f"WHERE r.put <= {self.put}"
        with reading(self.path) as connection:
            return query(
                connection,
                'SELECT r."table", r.symbol, r.date, r.rule, r."row", r.source, p.recorded_at AS at '
                f'FROM rejected r JOIN puts p USING (put) {limit} ORDER BY r."table", symbol, date, rule, "row"',
            )

    def revisions(self, table: str = "bars") -> pl.DataFrame:
        """Rows that were replaced or withdrawn.

        Returns:
            The old row, ``put``/``until`` (the puts that recorded and ended it) and of both the source and the
            times. A provisional bar that was confirmed is not among them.
        """
        described = TABLES[table]
        limit = "" if self.put is None else f'AND t."until" <= {self.put}'
        return self._read_sql(
            f"SELECT t.*, a.source AS old_source, a.recorded_at, a.fetched_at, b.source AS new_source, "
            f"b.recorded_at AS superseded_at, b.fetched_at AS superseded_fetched_at FROM {described.past} t "
            f'JOIN puts a ON a.put = t.put JOIN puts b ON b.put = t."until" WHERE NOT a.provisional {limit} '
            f'ORDER BY {", ".join(described.key)}, t."until"'
        )

    def counts(self) -> dict[str, int]:
        """Rows of each table but the calendar, then ``revisions`` of bars and ``rejected`` rows."""
        limit = "" if self.put is None else f'AND t."until" <= {self.put}'
        parts = {name: f"{rows_at(table, self.put)}" for name, table in TABLES.items() if name != "calendar"}
        parts["revisions"] = (
            f"(SELECT 1 FROM bar_revisions t JOIN puts p USING (put) WHERE NOT p.provisional {limit})"
        )
        parts["rejected"] = "rejected" if self.put is None else f"(FROM rejected WHERE put <= {self.put})"
        with reading(self.path) as connection:
            return {name: scalar(connection, f"SELECT count(*) FROM {part}") for name, part in parts.items()}

    def panel(
        self,
        fields: Sequence[str] = FIELDS,
        symbols: Sequence[str] | None = None,
        start: Day = None,
        end: Day = None,
        *,
        basis: str | None = None,
    ) -> Panel:
        """Bars as dense read-only arrays, sessions x symbols, NaN where there is no bar.

        A whole-market request (``symbols`` None) on a large store is kept as ``.npy`` files in a folder beside
        the store, so that the next one maps them; deleting that folder costs only time.

        Args:
            fields: of open, high, low, close, volume, amount.
            symbols: columns, in this order; None for every symbol with bars, sorted.
            start: first session, inclusive; at the earliest the store's first bar of the basis.
            end: last session, inclusive; at the latest its last bar.
            basis: as in ``bars``.

        Raises:
            UnknownName: a field that is none.
        """
        for name in fields:
            if name not in FIELDS:
                raise UnknownName("field", name, FIELDS)
        first, last = _span(start, end)
        return panel.load(
            self.path,
            store_id=self.store_id,
            put=self.put,
            basis=self.basis(symbols) if basis is None else _basis(basis),
            fields=fields,
            codes=None
            if symbols is None
            else encode(pl.Series(parse_all(symbols), dtype=pl.String)).to_numpy(),
            start=None if first is None else np.datetime64(first),
            end=None if last is None else np.datetime64(last),
        )

    def symbols(self, basis: str | None = None) -> list[str]:
        """Symbols with bars under one basis (or any), sorted."""
        condition = "true" if basis is None else f"basis = '{_basis(basis)}'"
        found = self._read_sql(
            f"SELECT DISTINCT symbol FROM {rows_at(TABLES['bars'], self.put)} WHERE {condition} ORDER BY symbol"
        )
        return found["symbol"].to_list()

    def basis(self, symbols: Collection[str] | None = None) -> str:
        """The one price basis a run over these symbols uses.

        ``raw`` where every one has raw bars and factors, so that adjusted prices follow from what was traded;
        else ``hfq``, else ``qfq``, where that covers them all.

        Args:
            symbols: None for every symbol with bars.

        Raises:
            UnknownSymbol: when the store has no bars of one under any basis.
            NoData: when the store has no bars, or no one basis covers them all; names those that stand out.
        """
        table = rows_at(TABLES["bars"], self.put)
        with reading(self.path) as connection:
            pairs = query(connection, f"SELECT DISTINCT symbol, basis::VARCHAR AS basis FROM {table}")
            factored = query(
                connection, f"SELECT DISTINCT symbol FROM {rows_at(TABLES['factors'], self.put)}"
            )
        have = {basis: set(decode(found["symbol"])) for (basis,), found in pairs.group_by("basis")}
        known = set[str]().union(*have.values())
        if not known:
            raise NoData(f"{self.path} has no bars; fill it with `ashare refresh` or `ashare import FILE...`")
        wanted = known if symbols is None else set(parse_all(symbols))
        if strangers := sorted(wanted - known):
            raise UnknownSymbol(
                f"no bars of {_some(strangers)} in {self.path}; fetch them with {_refresh(self.path, strangers)} or "
                "import a file that has them"
            )
        have["raw"] = have.get("raw", set()) & set(decode(factored["symbol"]))
        for basis in ("raw", "hfq", "qfq"):
            if wanted <= have.get(basis, set()):
                return basis
        best = max(("raw", "hfq", "qfq"), key=lambda basis: len(wanted & have.get(basis, set())))
        lacking = sorted(wanted - have.get(best, set()))
        what = "raw bars with factors" if best == "raw" else f"{best} bars"
        raise NoData(
            f"no one price basis covers these symbols: {_some(lacking)} lack {what}; run "
            f"{_refresh(self.path, lacking)}, import what is missing, or leave them out"
        )

    def _read(
        self,
        table: Table,
        symbols: Collection[str] | None = None,
        start: Day = None,
        end: Day = None,
        *,
        columns: str = "t.* EXCLUDE (put)",
        condition: str = "true",
    ) -> pl.DataFrame:
        if symbols is not None:
            codes = encode(pl.Series("symbol", parse_all(symbols), dtype=pl.String)).to_list()
            condition += f" AND t.symbol IN ({', '.join(map(str, codes))})" if codes else " AND false"
        first, last = _span(start, end)
        if first is not None:
            condition += f" AND t.{table.date} >= DATE '{first}'"
        if last is not None:
            condition += f" AND t.{table.date} <= DATE '{last}'"
        found = self._read_sql(
            f"SELECT {columns} FROM {rows_at(table, self.put)} t JOIN puts p USING (put) WHERE {condition}",
            sort=[name for name in table.key if name != "basis"],
        )
        return found.with_columns(
            pl.col(name).dt.convert_time_zone("Asia/Shanghai")
            for name in ("known_at", "published_at")
            if name in found.columns
        )

    def _read_sql(self, sql: str, *, sort: Sequence[str] = ()) -> pl.DataFrame:
        with reading(self.path) as connection:
            found = query(connection, sql)
        if sort:
            found = found.sort(sort)
        return found.with_columns(decode(found["symbol"])) if "symbol" in found.columns else found

    # ---------------------------------------------------------------- writes

    def put_bars(
        self,
        frame: pl.DataFrame,
        *,
        source: str,
        basis: str = "raw",
        fetched_at: dt.datetime | None = None,
        provisional: bool | None = None,
    ) -> Written:
        """Store daily bars.

        A row equal to the stored one (see ``data_cache.witness`` for how near is equal) changes nothing; a
        different one from the same source revises it; a different one from another source is quarantined as
        ``cross_source``. A row without volume is recorded as a suspension. A row that breaks a rule is
        quarantined under the rule's name.

        Args:
            frame: the columns of ``Bars``; ``amount`` may be missing.
            source: who says so, e.g. ``eastmoney`` or a file's vendor.
            basis: how the prices are adjusted.
            fetched_at: when the source gave them, aware; now where None.
            provisional: whether the rows may still change without being revised; None: those of the day of
                ``fetched_at`` in Shanghai where it is before 15:30 there.

        Raises:
            UsageError: a column is missing or of another type, or the store was opened ``as_of``.
            NoData: a row lies beyond the calendar's end.
        """
        with self._write(source, fetched_at) as (transaction, _):
            return put_bars(transaction, frame, basis=_basis(basis), provisional=provisional)

    def put_factors(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store adjustment factors; a symbol's factors come from one source, another is its witness.

        Put them before the bars of the same day: a fall can be judged against the board's limit only where the
        store knows that the day is not ex.
        """
        with self._write(source, fetched_at) as (transaction, _):
            return put_factors(transaction, frame)

    def put_corporate_actions(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store dividends and share distributions."""
        return self._put_table("corporate_actions", frame, source, fetched_at)

    def put_instruments(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store names, boards, listing and delisting dates; the latest word holds, whoever says it."""
        return self._put_table("instruments", frame, source, fetched_at)

    def put_name_history(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store short names by date."""
        return self._put_table("name_history", frame, source, fetched_at)

    def put_suspensions(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store full sessions without trading."""
        return self._put_table("suspensions", frame, source, fetched_at)

    def put_index_bars(
        self, frame: pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Store bars of indices; ``volume`` may be missing."""
        return self._put_table("index_bars", frame, source, fetched_at)

    def put_calendar(
        self, dates: pl.Series | pl.DataFrame, *, source: str, fetched_at: dt.datetime | None = None
    ) -> Written:
        """Add trading sessions, e.g. those beyond the stored calendar's end."""
        frame = dates if isinstance(dates, pl.DataFrame) else pl.DataFrame({"date": dates})
        return self._put_table("calendar", frame, source, fetched_at)

    def put_events(self, frame: pl.DataFrame, *, sources: Collection[str] | None = None) -> Written:
        """Store events.

        Args:
            frame: the columns of ``Events``; an event stored under the same id with the same content is unchanged.
            sources: those whose complete set of events this is: their other live events are withdrawn (kept as
                revisions). None: those sources of the frame that are notes.
        """
        with self._write("extract", None) as (transaction, _):
            return put_events(transaction, frame, sources)

    def put_note(self, note: NoteLike | Mapping[str, object] | pl.DataFrame) -> Written:
        """Store a note.

        An earlier reading of the same file (the same path, kept whole; of notes without one the same id before its
        hash) whose content differs is withdrawn together with its events.
        """
        with self._write("read_note", None) as (transaction, _):
            return put_note(transaction, note)

    def withdraw_notes(self, note_ids: Collection[str]) -> Written:
        """Withdraw notes and their events; both stay readable as of before."""
        with self._write("withdraw_note", None) as (transaction, _):
            return withdraw_notes(transaction, note_ids)

    def _put_table(
        self, name: str, frame: pl.DataFrame, source: str, fetched_at: dt.datetime | None
    ) -> Written:
        with self._write(source, fetched_at) as (transaction, _):
            return transaction.put(TABLES[name], frame)

    @contextmanager
    def _write(
        self, source: str, fetched_at: dt.datetime | None
    ) -> Iterator[tuple[Transaction, duckdb.DuckDBPyConnection]]:
        if self.as_of is not None:
            raise UsageError(
                f"{self.path} was opened as of {self.as_of} and is read-only; open it without as_of"
            )
        now = _now()
        fetched = now if fetched_at is None else fetched_at
        if fetched.tzinfo is None:
            raise UsageError(f"fetched_at is {fetched} without a time zone; give an aware datetime")
        with writing(self.path) as connection:
            yield Transaction(connection, source, now, fetched), connection


def _is_empty(path: Path) -> bool:
    """Whether the file is a database without any table: its making was cut short."""
    with reading(path) as connection:
        return int(scalar(connection, "SELECT count(*) FROM duckdb_tables()")) == 0


def _fill(path: Path, *, sample: bool) -> None:
    """Make the tables and the calendar in one transaction, unless another process was faster."""
    with writing(path) as connection:
        if scalar(connection, "SELECT count(*) FROM duckdb_tables()"):
            return
        create(connection)
        meta = {"version": str(VERSION), "store_id": secrets.token_hex(4), "sample": str(int(sample))}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
        now = _now()
        seed = Transaction(connection, "exchange_calendars", now, now)
        seed.put(TABLES["calendar"], pl.DataFrame({"date": xshg_sessions()}))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _resolve(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime | str, store_id: str) -> int:
    """The last put known at a moment or named by a snapshot id."""
    if isinstance(as_of, str) and (named := re.fullmatch(r"([0-9a-f]{8})-(\d+)", as_of.strip())):
        last = scalar(connection, "SELECT coalesce(max(put), 0) FROM puts")
        if named[1] != store_id or int(named[2]) > last:
            raise UsageError(
                f"snapshot {as_of} is not of this store (its snapshots run from {store_id}-0 to {store_id}-{last}); "
                "open the store the result came from, or an import of its export"
            )
        return int(named[2])
    moment = _moment(as_of) if isinstance(as_of, str) else as_of
    if moment.tzinfo is None:
        raise UsageError(f"as_of is {as_of} without a time zone; write e.g. 2025-09-01T18:00+08:00")
    known = scalar(connection, "SELECT coalesce(max(put), 0) FROM puts WHERE recorded_at <= $at", at=moment)
    return int(known)


def _moment(text: str) -> dt.datetime:
    try:
        if len(text.strip()) == len("2025-09-01"):
            return dt.datetime.combine(dt.date.fromisoformat(text.strip()), dt.time.max, SHANGHAI)
        return dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"as_of is {text!r}; needs a snapshot id (see `ashare status`), a date, or a time with its zone, "
            "e.g. 2025-09-01T18:00+08:00"
        ) from None


def _basis(basis: str) -> str:
    if basis not in ("raw", "qfq", "hfq"):
        raise UnknownName("price basis", basis, ("raw", "qfq", "hfq"))
    return basis


def _span(start: Day, end: Day) -> tuple[dt.date | None, dt.date | None]:
    """First and last date, in order."""
    first = None if start is None else as_day("start", start)
    last = None if end is None else as_day("end", end)
    if first is not None and last is not None and first > last:
        raise UsageError(f"start {first} is after end {last}; give them in order")
    return first, last


def _refresh(path: Path, symbols: Sequence[str]) -> str:
    """The command that fetches these, to be copied; of a whole market the first fifty."""
    return f"`ashare refresh --db {shlex.quote(str(path))} --symbols {','.join(symbols[:50])}`"


def _some(symbols: Sequence[str]) -> str:
    shown = ", ".join(symbols[:10])
    return shown if len(symbols) <= 10 else f"{shown} and {len(symbols) - 10} more"
