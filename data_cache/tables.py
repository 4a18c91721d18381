"""The store's tables, each described once, and the one mechanism that keeps and reads their history.

1. Each write that changes anything is one *put*: a number, its table, source and times (table ``puts``).
2. A table's current rows carry the number of the put that recorded them; a row that is replaced or withdrawn
   moves to the table's revisions with the number of the put that ended it (``apply``).
3. What was known after put N is then the current rows with put <= N together with the revisions recorded by N
   and ended after it (``rows_at``). A snapshot id names N, so it needs no copy.

Symbols are stored as integers, ``code * 4 + exchange``: nothing to look up, and their order is that of the text.
"""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from data_cache.database import scalar

if TYPE_CHECKING:
    import dataframely as dy
    import duckdb

__all__ = [
    "REFRESH_LOG",
    "SYMBOL_CODE",
    "SYMBOL_TEXT",
    "TABLES",
    "VERSION",
    "Table",
    "apply",
    "create",
    "decode",
    "encode",
    "next_put",
    "rows_at",
]

VERSION = 1
_EXCHANGES = ("BJ", "SH", "SZ")


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Args:
        name: of the table of current rows.
        schema: the class in ``data_cache.schemas`` that declares its columns and rules.
        key: the columns that name a row.
        past: the table its replaced and withdrawn rows move to.
        date: the column a range of dates selects on, where it has one.
        unversioned: columns whose change alone is no news.
        sessions: whether its dates must be trading sessions.
        witnessed: whether another source's different value is a disagreement (quarantined) rather than news.
    """

    name: str
    schema: str
    key: tuple[str, ...]
    past: str
    date: str | None = None
    unversioned: tuple[str, ...] = ()
    sessions: bool = False
    witnessed: bool = False

    def declared(self) -> type[dy.Schema]:
        """The schema; imported here because a read does not need it and its import is not free."""
        from data_cache import schemas

        return getattr(schemas, self.schema)  # type: ignore[no-any-return]

    def columns(self) -> dict[str, pl.DataType]:
        """The stored columns in order, ``put`` excepted."""
        columns = dict(pl.Schema(self.declared()))
        if "basis" in self.key:
            columns["basis"] = pl.Enum(["raw", "qfq", "hfq"])
        return columns


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("bars", "Bars", ("symbol", "date", "basis"), "bar_revisions", "date", sessions=True,
              witnessed=True),
        Table("factors", "Factors", ("symbol", "date"), "factor_revisions", "date", witnessed=True),
        Table("corporate_actions", "CorporateActions", ("symbol", "ex_date"), "corporate_action_revisions",
              "ex_date", witnessed=True),
        Table("instruments", "Instruments", ("symbol",), "instrument_revisions"),
        Table("name_history", "NameHistory", ("symbol", "valid_from"), "name_history_revisions", "valid_from"),
        Table("suspensions", "Suspensions", ("symbol", "date"), "suspension_revisions", "date",
              unversioned=("reason",), sessions=True),
        Table("index_bars", "IndexBars", ("symbol", "date"), "index_bar_revisions", "date",
              sessions=True, witnessed=True),
        Table("calendar", "Calendar", ("date",), "calendar_revisions", "date"),
        Table("events", "Events", ("event_id",), "event_revisions", unversioned=("ingested_at",)),
        Table("notes", "Notes", ("note_id",), "note_revisions", unversioned=("ingested_at",)),
    )
}  # fmt: skip

SYMBOL_TEXT = "printf('%06d', symbol // 4) || ['.BJ', '.SH', '.SZ'][symbol % 4 + 1]"
"""The stored integer ``symbol`` as text, in SQL; what ``decode`` does to a series."""
SYMBOL_CODE = "left(symbol, 6)::INTEGER * 4 + list_position(['BJ', 'SH', 'SZ'], right(symbol, 2)) - 1"
"""And back; what ``encode`` does."""

_FIXED = """
CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);
CREATE TABLE puts (put INTEGER NOT NULL, "table" VARCHAR NOT NULL, source VARCHAR NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL, fetched_at TIMESTAMPTZ NOT NULL, provisional BOOLEAN NOT NULL);
CREATE TABLE rejected ("table" VARCHAR NOT NULL, symbol VARCHAR, date DATE, rule VARCHAR NOT NULL,
    "row" VARCHAR NOT NULL, source VARCHAR NOT NULL, put INTEGER NOT NULL);
CREATE TABLE factors_seen (symbol INTEGER NOT NULL, fetched_at TIMESTAMPTZ NOT NULL);
CREATE TABLE bar_tips (symbol INTEGER NOT NULL, basis ENUM('raw', 'qfq', 'hfq') NOT NULL, date DATE NOT NULL,
    open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume BIGINT, before BIGINT NOT NULL,
    source VARCHAR NOT NULL);
"""

REFRESH_LOG = """
CREATE TABLE IF NOT EXISTS refresh_checks (
    what VARCHAR NOT NULL, who VARCHAR NOT NULL, checked_at TIMESTAMPTZ NOT NULL, since DATE,
    sha256 VARCHAR NOT NULL, PRIMARY KEY (what, who));
CREATE TABLE IF NOT EXISTS refresh_runs (
    started_at TIMESTAMPTZ NOT NULL, finished_at TIMESTAMPTZ NOT NULL, code INTEGER NOT NULL,
    summary VARCHAR NOT NULL);
"""
"""The tables of ``data_cache.refresh_log``; a store of before they were made with the others gets them there."""


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Create every table in an empty database."""
    connection.execute(_FIXED + REFRESH_LOG)
    for table in TABLES.values():
        columns = ", ".join(
            f'"{name}" {"INTEGER" if name == "symbol" else _sql_type(dtype)}'
            for name, dtype in table.columns().items()
        )
        connection.execute(f"CREATE TABLE {table.name} ({columns}, put INTEGER NOT NULL)")
        connection.execute(
            f'CREATE TABLE {table.past} ({columns}, put INTEGER NOT NULL, "until" INTEGER NOT NULL)'
        )


def _sql_type(dtype: Any) -> str:
    if isinstance(dtype, pl.List):
        return f"{_sql_type(dtype.inner)}[]"
    if isinstance(dtype, pl.Struct):
        return f"STRUCT({', '.join(f'{f.name} {_sql_type(f.dtype)}' for f in dtype.fields)})"
    if isinstance(dtype, pl.Enum):
        return f"ENUM({', '.join(repr(c) for c in dtype.categories)})"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMPTZ"
    return {
        pl.String: "VARCHAR",
        pl.Date: "DATE",
        pl.Float64: "DOUBLE",
        pl.Int64: "BIGINT",
        pl.Int8: "TINYINT",
    }[type(dtype)]


def rows_at(table: Table, put: int | None) -> str:
    """A SQL table expression: the rows known after ``put``, or the current ones where it is None."""
    if put is None:
        return table.name
    return (
        f"(SELECT * FROM {table.name} WHERE put <= {put} UNION ALL "
        f'SELECT * EXCLUDE ("until") FROM {table.past} WHERE put <= {put} AND "until" > {put})'
    )


def next_put(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    source: str,
    *,
    recorded_at: dt.datetime,
    fetched_at: dt.datetime,
    provisional: bool = False,
) -> int:
    """Number a new put; its recorded time never runs backwards, whatever the machine's clock does."""
    number = scalar(
        connection,
        "INSERT INTO puts SELECT coalesce(max(put), 0) + 1, $t, $s, greatest(max(recorded_at), $r), $f, $p "
        "FROM puts RETURNING put",
        t=table,
        s=source,
        r=recorded_at,
        f=fetched_at,
        p=provisional,
    )
    return int(number)


def apply(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    put: int,
    *,
    new: pl.DataFrame | None = None,
    ended: pl.DataFrame | None = None,
    constants: dict[str, str] | None = None,
) -> None:
    """End some rows and record others.

    Args:
        connection: within a transaction.
        table: which table.
        put: the number both are recorded under.
        new: rows to record, encoded, with the table's columns less ``constants``.
        ended: keys of current rows that are replaced or withdrawn, encoded, less ``constants``.
        constants: columns that hold one value in the whole put.
    """
    constants = constants or {}
    if ended is not None and ended.height:
        fixed = "".join(f" AND t.{name} = '{value}'" for name, value in constants.items())
        keys = [name for name in table.key if name not in constants]
        match = " AND ".join(f"t.{name} = e.{name}" for name in keys) + fixed
        low_high = _bounds(ended, keys)
        connection.register("_ended", ended.select(keys))
        connection.execute(
            f"INSERT INTO {table.past} SELECT t.*, {put} FROM {table.name} t, _ended e WHERE {match}{low_high}"
        )
        connection.execute(f"DELETE FROM {table.name} t USING _ended e WHERE {match}{low_high}")
        connection.unregister("_ended")
    if new is not None and new.height:
        columns = ", ".join(
            f"'{constants[name]}' AS {name}" if name in constants else f'"{name}"' for name in table.columns()
        )
        connection.register("_new", new)
        connection.execute(f"INSERT INTO {table.name} SELECT {columns}, {put} FROM _new")
        connection.unregister("_new")


def _bounds(keys: pl.DataFrame, names: list[str]) -> str:
    """The range of the keys as plain conditions, so that DuckDB skips row groups outside it."""
    return "".join(f" AND t.{between(name, keys[name])}" for name in names if name in ("symbol", "date"))


def between(column: str, values: pl.Series) -> str:
    """A SQL condition: the column lies within the range of some integers or dates; false where there are none."""
    low, high = values.min(), values.max()
    if isinstance(low, dt.date):
        return f"{column} BETWEEN DATE '{low}' AND DATE '{high!s}'"
    return f"{column} BETWEEN {low!s} AND {high!s}" if low is not None else f"{column} IS NULL AND false"


def encode(symbols: pl.Series) -> pl.Series:
    """Symbols as stored integers; every one must match ``CODE.EXCHANGE``.

    >>> encode(pl.Series(["000001.SH", "000001.SZ", "920808.BJ"])).to_list()
    [5, 6, 3683232]
    """
    runs = symbols.rle().struct.unnest()
    codes = runs["value"].str.head(6).cast(pl.Int32) * 4 + runs["value"].str.tail(2).replace_strict(
        list(_EXCHANGES), [0, 1, 2], return_dtype=pl.Int32
    )
    whole = pl.Series(symbols.name, np.repeat(codes.to_numpy(), runs["len"].to_numpy()), dtype=pl.Int32)
    if symbols.n_chunks() == 1:
        return whole
    # In the chunks of the frame it joins: else each block is copied on its way to DuckDB, which keeps every copy
    # until the transaction ends.
    starts = np.cumsum([0, *symbols.chunk_lengths()])
    return pl.concat([whole.slice(a, b - a) for a, b in itertools.pairwise(starts)], rechunk=False)


def decode(codes: pl.Series) -> pl.Series:
    """Stored integers as symbols.

    >>> decode(pl.Series([5, 6, 3683232])).to_list()
    ['000001.SH', '000001.SZ', '920808.BJ']
    """
    runs = codes.rle().struct.unnest()
    texts = pl.Series([f"{code >> 2:06d}.{_EXCHANGES[code & 3]}" for code in runs["value"]], dtype=pl.String)
    if len(texts) == len(codes):
        return texts.alias(codes.name)
    index = pl.Series(np.repeat(np.arange(len(texts), dtype=np.uint32), runs["len"].to_numpy()))
    return texts.gather(index).alias(codes.name)
