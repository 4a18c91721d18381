"""The whole store as Parquet, and back.

``export`` writes one folder a table (``bars/year=2024/*.parquet`` where it has dates, one file where it has none)
that polars, DuckDB and pandas read as they are, and ``manifest.json`` with the number of rows in each. Revisions,
puts, the quarantine and the log of refreshes are in it, so ``restore`` gives a store that answers every question the
same, snapshots included, and whose next refresh goes on from the last. Both work in a temporary place and move it in
with one rename: a half-written export or store never carries the real name.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from data_cache.database import reading, scalar, writing
from data_cache.errors import StorageError, UsageError
from data_cache.tables import SYMBOL_CODE, SYMBOL_TEXT, VERSION, create

if TYPE_CHECKING:
    from data_cache.store import Store

__all__ = ["export", "is_export", "restore"]

_MANIFEST = "manifest.json"


def is_export(directory: Path) -> bool:
    """Whether a folder holds an export."""
    return (directory / _MANIFEST).is_file()


def export(store: Store, directory: Path) -> dict[str, int]:
    """Write the store with its history to ``directory``; an earlier export there is replaced.

    Returns:
        Rows by table.

    Raises:
        UsageError: when the folder holds something else, or the store was opened as of a past moment.
        StorageError: when the disk is full or the folder cannot be written; an earlier export stays.
    """
    if store.as_of is not None:
        raise UsageError("an export holds the whole history; open the store without as_of")
    if directory.exists() and not is_export(directory) and (directory.is_file() or any(directory.iterdir())):
        raise UsageError(f"{directory} holds something that is no export; name a new or empty folder")
    building = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    replaced = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    try:
        building.mkdir(parents=True)
        with reading(store.path) as connection:
            try:
                rows = {name: _write(connection, name, building) for name in _tables(connection)}
            except (OSError, duckdb.IOException) as error:
                if building.name not in str(error):
                    raise  # it is the store that fails us
                raise StorageError(
                    f"cannot write the export to {directory}: the disk is full or cannot be written; free space "
                    "there or name another folder"
                ) from error
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
        manifest = {"format": "ashare-signals store", **meta, "snapshot": store.snapshot_id(), "rows": rows}
        (building / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        if directory.exists():
            directory.rename(replaced)
        building.rename(directory)
    except OSError as error:
        raise StorageError(f"cannot write the export to {directory}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if directory.exists():
            shutil.rmtree(replaced, ignore_errors=True)
        elif replaced.exists():  # the new one did not take its place
            replaced.rename(directory)
    return rows


def restore(directory: Path, path: Path) -> dict[str, int]:
    """Make a store at ``path`` that equals the one exported to ``directory``.

    Returns:
        Rows by table.

    Raises:
        UsageError: when the folder is no export of this format, or there already is a file at ``path``.
        StorageError: when the export is incomplete or damaged; no store is made.
    """
    if not is_export(directory):
        raise UsageError(
            f"{directory} is no export: it has no {_MANIFEST}; make one with `ashare export DIR`"
        )
    if path.exists():
        raise UsageError(
            f"{path} exists; an export is restored into a new file: name one with --db or ASHARE_DB"
        )
    manifest = _manifest(directory)
    if manifest.get("version") != str(VERSION):
        raise UsageError(
            f"{directory} has format {manifest.get('version')} and this program reads format {VERSION}; "
            "restore it with the program that wrote it"
        )
    building = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with writing(building) as connection:
            create(connection)
            meta = [(key, manifest[key]) for key in ("version", "store_id", "sample")]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta)
            for name, wanted in manifest["rows"].items():
                _read(connection, name, directory)
                found = scalar(connection, f'SELECT count(*) FROM "{name}"')
                if found != wanted:
                    raise StorageError(
                        f"{directory / name} has {found:,} rows and its manifest says {wanted:,}; the export is "
                        "incomplete: make it again, or use another copy"
                    )
        building.rename(path)
    except OSError as error:
        raise StorageError(f"cannot restore to {path}: {error.strerror or error}") from error
    finally:
        for file in (building, building.with_name(f"{building.name}.wal")):
            file.unlink(missing_ok=True)
    return {name: int(rows) for name, rows in manifest["rows"].items()}


def _manifest(directory: Path) -> dict[str, Any]:
    try:
        held = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
    except ValueError as error:
        damage = str(error)
    else:
        if isinstance(held, dict) and isinstance(held.get("rows"), dict):
            return held
        damage = "it does not say which rows there are"
    raise StorageError(
        f"{directory / _MANIFEST} is damaged ({damage}); make the export again, or use another copy"
    )


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    names = connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_name").fetchall()
    return [name for (name,) in names if name != "meta"]


def _columns(connection: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $name ORDER BY column_index",
        {"name": name},
    ).fetchall()
    return dict(found)


def _write(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> int:
    columns = _columns(connection, name)
    chosen = ", ".join(_out(column, kind) for column, kind in columns.items())
    target = folder / name
    target.mkdir()
    if "date" in columns and name not in ("rejected", "bar_tips"):
        select = f'SELECT {chosen}, year(date) AS "year" FROM "{name}"'
        connection.execute(
            f"COPY ({select}) TO '{_quoted(target)}' (FORMAT parquet, PARTITION_BY (\"year\"))"
        )
    if not any(target.iterdir()):  # no dates to part by, or no rows: one file still carries the columns
        file = target / f"{name}.parquet"
        connection.execute(f"COPY (SELECT {chosen} FROM \"{name}\") TO '{_quoted(file)}' (FORMAT parquet)")
    return int(scalar(connection, f'SELECT count(*) FROM "{name}"'))


def _read(connection: duckdb.DuckDBPyConnection, name: str, folder: Path) -> None:
    columns = _columns(connection, name)
    if not columns:
        raise UsageError(
            f"{folder} holds a table {name!r} that this program does not know; restore it with the program that "
            "wrote it"
        )
    chosen = ", ".join(
        f"{SYMBOL_CODE} AS symbol" if column == "symbol" and kind == "INTEGER" else f'"{column}"'
        for column, kind in columns.items()
    )
    files = f"read_parquet('{_quoted(folder / name)}/**/*.parquet', hive_partitioning = false)"
    order = "ORDER BY symbol, date" if {"symbol", "date"} <= columns.keys() else ""
    connection.execute(f'INSERT INTO "{name}" SELECT {chosen} FROM {files} {order}')


def _out(column: str, kind: str) -> str:
    if column == "symbol" and kind == "INTEGER":
        return f"{SYMBOL_TEXT} AS symbol"
    return f'"{column}"::VARCHAR AS "{column}"' if kind.startswith("ENUM") else f'"{column}"'


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
