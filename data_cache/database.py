"""One DuckDB file, opened for as short a time as a call needs, and its failures in the user's words.

While one process holds the file for writing, DuckDB refuses every other one; so reads open it read-only per
call, writes open it for the one transaction, and both try again for ``PATIENCE`` seconds before they say that
the store is busy. A process killed in a transaction loses that transaction and nothing else (write-ahead log).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from data_cache.errors import AshareError, NoData, StorageError, StoreBusy

__all__ = ["PATIENCE", "query", "reading", "scalar", "writing"]

PATIENCE = 3.0
"""Seconds to wait for another process's short read or write before StoreBusy."""

# DuckDB also refuses, within one process, a reader beside a writer; threads take turns instead.
_TURN = threading.RLock()
_OUTER: dict[Path, duckdb.DuckDBPyConnection] = {}  # connections under way, for those nested in them
_ENGINES: dict[int, duckdb.DuckDBPyConnection] = {}  # by process


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection, closed on leaving; within another one of the same path, or ``writing``, that one.

    Raises:
        NoData: when there is no such file.
        StoreBusy: when another process is writing for longer than ``PATIENCE``.
        StorageError: when the file is damaged, no DuckDB database, or may not be read.
    """
    if not path.exists():
        raise NoData(
            f"no store at {path}; fill one with `ashare demo` (sample market), `ashare import FILE...` (your own "
            "data) or `ashare refresh` (akshare), or name another with --db or ASHARE_DB"
        )
    with _TURN:
        if path in _OUTER:
            yield _OUTER[path]
            return
        with _open(path, read_only=True) as connection:
            _OUTER[path] = connection
            try:
                yield connection
            finally:
                del _OUTER[path]


@contextmanager
def writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """One transaction: committed on leaving, rolled back when an exception leaves it.

    Within another one of the same path it joins that one, so that several puts become one transaction:
    ``with writing(store.path): store.put_factors(...); store.put_bars(...)``.

    Raises:
        StoreBusy: when another process holds the file for longer than ``PATIENCE``.
        StorageError: when the disk is full, the folder is not ours to write, or the file is damaged.
    """
    with _TURN:
        if path in _OUTER:
            yield _OUTER[path]
            return
        with _open(path, read_only=False) as connection:
            connection.begin()
            _OUTER[path] = connection
            try:
                yield connection
                connection.commit()
            except BaseException:
                with suppress(duckdb.Error):  # the first error is the one to report
                    connection.rollback()
                raise
            finally:
                del _OUTER[path]


def query(connection: duckdb.DuckDBPyConnection, sql: str) -> pl.DataFrame:
    """What a statement answers, as a frame."""
    return pl.DataFrame(connection.sql(sql).pl())


def scalar(connection: duckdb.DuckDBPyConnection, sql: str, **parameters: object) -> Any:
    """The one value a statement answers; None where it answers no row."""
    done = connection.execute(sql, parameters) if parameters else connection.execute(sql)
    rows = done.fetchall()  # to the end: DuckDB refuses other work while a result is half read
    return rows[0][0] if rows else None


@contextmanager
def _open(path: Path, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
    with _translated(path):
        engine = _engine()
        _attach(engine, path, read_only=read_only)
        connection = engine.cursor()
        try:
            connection.execute("USE store")
            yield connection
        finally:
            connection.close()  # with whatever it left half read or uncommitted
            try:
                engine.execute("DETACH store")
            except duckdb.Error:
                del _ENGINES[os.getpid()]  # the file goes with the engine that would not let go of it
                with suppress(duckdb.Error):
                    engine.close()


def _engine() -> duckdb.DuckDBPyConnection:
    """DuckDB without a file, one per process: to start it takes ten times as long as to attach a file."""
    pid = os.getpid()  # a fork has no threads of its parent's
    if pid not in _ENGINES:
        _ENGINES[pid] = duckdb.connect(":memory:")
        _ENGINES[pid].execute("SET GLOBAL TimeZone = 'UTC'")
    return _ENGINES[pid]


def _attach(engine: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    file = str(path).replace("'", "''")
    attach = f"ATTACH '{file}' AS store (TYPE duckdb, READ_{'ONLY' if read_only else 'WRITE'})"
    deadline = time.monotonic() + PATIENCE
    pause = 0.005
    while True:
        try:
            engine.execute(attach)
        except duckdb.Error as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


def _is_busy(error: Exception) -> bool:
    return "Could not set lock" in str(error) or "file handle conflict" in str(error)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except AshareError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}; nothing stored was changed") from error
    except duckdb.Error as error:
        known = _explain(path, error)
        if known is None:
            raise  # a mistake of ours: keep its traceback
        raise known from error


def _explain(path: Path, error: duckdb.Error) -> AshareError | None:
    text = str(error)
    if "Could not set lock" in text:
        holder = re.search(r"PID (\d+)", text)
        who = f"process {holder[1]}" if holder else "another process"
        return StoreBusy(f"{who} holds {path}; let it finish or close its connection, then run this again")
    if "file handle conflict" in text:
        return StoreBusy(
            f"this process itself holds {path} open; close your own duckdb connection to it first"
        )
    if "not a valid DuckDB database" in text:
        return StorageError(
            f"{path} is not a DuckDB database, so it was left alone; name another file with --db or ASHARE_DB"
        )
    if re.search(r"No space left|not enough space|Could not write|disk is full|File too large", text, re.I):
        return StorageError(f"the disk is full or cannot be written: {path}; free space and run this again; "
                            "what was stored before stays")  # fmt: skip
    if re.search(r"Permission denied|Read-only file system|read-only mode|Is a directory|Not a directory"
                 r"|No such file or directory", text, re.I):  # fmt: skip
        return StorageError(f"{path} cannot be opened: {_first_line(text)}; make it yours to write or name another "
                            "file with --db or ASHARE_DB")  # fmt: skip
    if "Corrupt database" in text or isinstance(  # a block's checksum is a bare duckdb.Error
        error,
        (duckdb.IOException, duckdb.FatalException, duckdb.InternalException, duckdb.SerializationException),
    ):
        return StorageError(
            f"{path} is damaged ({_first_line(text)}); move it away and restore your last export with "
            "`ashare import DIR`, or fill a new store with `ashare refresh`"
        )
    return None


def _first_line(text: str) -> str:
    return text.splitlines()[0][:200]
