"""How rows enter the store: one transaction that keeps what is new, revises what changed, quarantines the rest.

1. ``shape`` brings a frame to the table's columns and types.
2. ``screen`` parts the rows that keep the schema's named rules from those that break one.
3. ``judge`` compares each kept row with the stored one: new, same, revised, confirmed or disagreeing.
4. ``Transaction.record`` ends the rows that are replaced, records the new ones and lists the quarantined.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import polars as pl

from data_cache.calendar import require_within
from data_cache.database import query
from data_cache.errors import UsageError
from data_cache.tables import Table, apply, between, encode, next_put

__all__ = ["CONFIRMED", "DISAGREES", "NEW", "REVISED", "SAME", "SAME_SOURCE", "Transaction", "Written", "judge",
           "screen", "shape"]  # fmt: skip

NEW, SAME, REVISED, CONFIRMED, DISAGREES = range(5)
SAME_SOURCE, OTHER_SOURCE = 1e-9, 1e-4  # relative differences of numbers that count as none
_RULES = {"primary_key": "duplicate", "min_exclusive": "positive"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a put did, in rows.

    Args:
        inserted: stored under a key that had no row.
        revised: stored in place of a different row, which is kept as a revision; for events and notes also
            those withdrawn because their text changed.
        unchanged: equal to what is stored (or the copy of another row of the same frame).
        rejected: quarantined; ``Store.rejected`` names the rule each one breaks.
        suspended: bars without volume, recorded as suspensions.
        confirmed: final rows that took the place of provisional ones.
    """

    inserted: int = 0
    revised: int = 0
    unchanged: int = 0
    rejected: int = 0
    suspended: int = 0
    confirmed: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(
            self.inserted + other.inserted,
            self.revised + other.revised,
            self.unchanged + other.unchanged,
            self.rejected + other.rejected,
            self.suspended + other.suspended,
            self.confirmed + other.confirmed,
        )


def shape(table: Table, frame: pl.DataFrame, *, optional: Sequence[str] = ()) -> pl.DataFrame:
    """The frame in the schema's columns and types; nullable columns it lacks are null, others are dropped.

    Raises:
        UsageError: when a column is missing or holds values of another type.
    """
    schema = table.declared()
    wanted = pl.Schema(schema)
    nullable = {name for name, column in schema.columns().items() if column.nullable} | set(optional)
    if missing := [name for name in wanted if name not in frame.columns and name not in nullable]:
        raise UsageError(
            f"{table.name}: missing column(s) {', '.join(missing)}; needs {', '.join(wanted)}; "
            f"received {', '.join(frame.columns)}"
        )
    if all(frame.schema.get(name) == dtype for name, dtype in wanted.items()):
        return frame.select(list(wanted))
    try:
        return frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in wanted.items()
        )
    except pl.exceptions.PolarsError as error:
        raise UsageError(f"{table.name}: {str(error).splitlines()[0]}; nothing was stored") from error


def screen(table: Table, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that keep the schema's rules, and the others with the first rule each breaks in ``rule``.

    Copies of one row count once; different rows under one key are all rejected, as ``duplicate``.
    """
    schema = table.declared()
    good, failure = schema.filter(frame.unique(maintain_order=True))
    if not len(failure):
        return pl.DataFrame(good), frame.clear().with_columns(rule=pl.lit(None, dtype=pl.String))
    details = failure.details()
    rules = [name for name in details.columns if name not in frame.columns]
    rule = pl.coalesce(
        pl.when(pl.col(name) == "invalid").then(pl.lit(_RULES.get(name.partition("|")[2] or name, name)))
        for name in rules
    )
    return pl.DataFrame(good), details.select(*frame.columns, rule=rule)


def judge(table: Table, new: pl.DataFrame, stored: pl.DataFrame, source: str) -> pl.Series:
    """Compare encoded rows with the stored ones under the same keys.

    Args:
        table: which table.
        new: rows to put, encoded.
        stored: current rows with their ``_source`` and ``_provisional``; may hold other keys too.
        source: of the new rows.

    Returns:
        One verdict per new row: NEW, SAME, REVISED, CONFIRMED or DISAGREES.
    """
    keys = list(table.key)
    values = [name for name in new.columns if name not in keys and name not in table.unversioned]
    both = new.join(stored, on=keys, how="left", suffix="_stored", maintain_order="left")
    floats = [name for name in values if new.schema[name] == pl.Float64]

    def equal(relative: float) -> pl.Expr:
        return pl.all_horizontal(
            pl.lit(value=True),
            *(_near(name, relative) for name in floats),
            *(pl.col(name).eq_missing(pl.col(f"{name}_stored")) for name in values if name not in floats),
        )

    other = (pl.col("_source") != source) if table.witnessed else pl.lit(value=False)
    return both.select(
        pl.when(pl.col("_source").is_null())
        .then(NEW)
        .when(equal(SAME_SOURCE))
        .then(SAME)
        .when(~other)
        .then(REVISED)
        .when(equal(OTHER_SOURCE))
        .then(SAME)
        .otherwise(DISAGREES)
        .cast(pl.Int8)
        .alias("verdict")
    )["verdict"]


def _near(name: str, relative: float) -> pl.Expr:
    value, stored = pl.col(name), pl.col(f"{name}_stored")
    return ((value - stored).abs() <= relative * stored.abs()).fill_null(value.is_null() & stored.is_null())


@dataclass(slots=True)
class Transaction:
    """The puts of one transaction; a put is numbered only when it changes something.

    Args:
        connection: open for writing, in a transaction.
        source: of every row.
        recorded_at: the store's clock.
        fetched_at: when the source gave the rows.
    """

    connection: duckdb.DuckDBPyConnection
    source: str
    recorded_at: dt.datetime
    fetched_at: dt.datetime
    _numbers: dict[tuple[str, bool], int] = field(default_factory=dict)

    def number(self, table: str, *, provisional: bool = False) -> int:
        """The number of this transaction's put on a table."""
        key = (table, provisional)
        if key not in self._numbers:
            self._numbers[key] = next_put(
                self.connection,
                table,
                self.source,
                recorded_at=self.recorded_at,
                fetched_at=self.fetched_at,
                provisional=provisional,
            )
        return self._numbers[key]

    def calendar(self) -> pl.Series:
        """The sessions known now, sorted."""
        return query(self.connection, "SELECT date FROM calendar ORDER BY date")["date"]

    def stored(self, table: Table, keys: pl.DataFrame) -> pl.DataFrame:
        """Current rows that may share a key with these (encoded): their values, put, source, provisional."""
        bounds = [name for name in table.key if name in ("symbol", table.date)]
        condition = " AND ".join(["true", *(f"t.{between(name, keys[name])}" for name in bounds)])
        found = query(
            self.connection,
            f"SELECT t.*, p.source AS _source, p.provisional AS _provisional FROM {table.name} t JOIN puts p "
            f"USING (put) WHERE {condition}",
        )
        return found.with_columns(  # DuckDB gives every instant in UTC; they compare only in one zone
            pl.col(name).dt.convert_time_zone(dtype.time_zone)
            for name, dtype in table.columns().items()
            if isinstance(dtype, pl.Datetime) and dtype.time_zone
        )

    def record(
        self,
        table: Table,
        rows: pl.DataFrame,
        verdict: pl.Series,
        *,
        constants: dict[str, str] | None = None,
        provisional: bool = False,
    ) -> Written:
        """Store rows by their verdicts; disagreeing ones are the caller's to quarantine."""
        counts = [int((verdict == value).sum()) for value in range(5)]
        if counts[NEW] + counts[REVISED] + counts[CONFIRMED]:
            replaced = rows.filter((verdict == REVISED) | (verdict == CONFIRMED))
            kept = (
                rows
                if counts[NEW] == rows.height
                else rows.filter((verdict != SAME) & (verdict != DISAGREES))
            )
            apply(
                self.connection,
                table,
                self.number(table.name, provisional=provisional),
                new=kept,
                ended=replaced,
                constants=constants,
            )
        return Written(
            inserted=counts[NEW], revised=counts[REVISED], unchanged=counts[SAME], confirmed=counts[CONFIRMED]
        )

    def quarantine(self, table: Table, rows: pl.DataFrame) -> Written:
        """List rejected rows (plain symbols, with ``rule``); one that is already listed is not listed twice."""
        if rows.is_empty():
            return Written()
        values = [name for name in rows.columns if name != "rule"]
        listed = rows.select(
            pl.lit(table.name).alias("table"),
            (pl.col("symbol") if "symbol" in values else pl.lit(None, dtype=pl.String)).alias("symbol"),
            (pl.col(table.date) if table.date else pl.lit(None, dtype=pl.Date)).alias("date"),
            "rule",
            pl.struct(values).struct.json_encode().alias("row"),
            pl.lit(self.source).alias("source"),
        ).unique(maintain_order=True)
        self.connection.register("_rejected", listed)
        fresh = query(
            self.connection,
            "SELECT r.* FROM _rejected r ANTI JOIN rejected o "
            'ON r."table" = o."table" AND r.rule = o.rule AND r."row" = o."row" AND r.source = o.source',
        )
        self.connection.unregister("_rejected")
        if fresh.height:
            number = self.number("rejected")
            self.connection.register("_fresh", fresh)
            self.connection.execute(f"INSERT INTO rejected SELECT *, {number} FROM _fresh")
            self.connection.unregister("_fresh")
        return Written(rejected=rows.height)

    def put(self, table: Table, frame: pl.DataFrame) -> Written:
        """Shape, screen, judge and record the rows of a table that has no rules beyond its schema's."""
        shaped = shape(table, frame)
        good, bad = screen(table, shaped)
        if table.sessions and good.height:
            calendar = self.calendar()
            require_within(calendar, good["date"].max())  # type: ignore[arg-type]  # a date: the column has rows
            kept = good["date"].is_in(calendar.implode())
            bad = pl.concat([bad, good.filter(~kept).with_columns(rule=pl.lit("on_calendar"))])
            good = good.filter(kept)
        rows = good.with_columns(encode(good["symbol"])) if "symbol" in good.columns else good
        verdict = judge(table, rows, self.stored(table, rows), self.source)
        disputed = good.filter(verdict == DISAGREES).with_columns(rule=pl.lit("cross_source"))
        return (
            self.record(table, rows, verdict)
            + self.quarantine(table, pl.concat([bad, disputed]))
            + Written(unchanged=frame.height - good.height - bad.height)
        )
