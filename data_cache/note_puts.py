"""How events and notes enter the store: what their source said before gives way, and stays readable as of then.

1. ``put_events``      and with them withdraw what a source no longer says
2. ``put_note``        and withdraw what its file said before
3. ``withdraw_notes``  with their events
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from data_cache.database import query
from data_cache.puts import Transaction, Written
from data_cache.tables import TABLES, Table, apply

__all__ = ["NoteLike", "put_events", "put_note", "withdraw_notes"]


class NoteLike(Protocol):
    """What ``put_note`` needs to know of a note; the columns of the schema ``Notes``."""

    @property
    def note_id(self) -> str: ...  # noqa: D102 - a column of Notes
    @property
    def sha256(self) -> str: ...  # noqa: D102 - a column of Notes
    @property
    def path(self) -> str | None: ...  # noqa: D102 - a column of Notes
    @property
    def title(self) -> str | None: ...  # noqa: D102 - a column of Notes
    @property
    def source(self) -> str | None: ...  # noqa: D102 - a column of Notes
    @property
    def speaker(self) -> str | None: ...  # noqa: D102 - a column of Notes
    @property
    def published_at(self) -> dt.datetime: ...  # noqa: D102 - a column of Notes
    @property
    def text(self) -> str: ...  # noqa: D102 - a column of Notes


def put_events(transaction: Transaction, frame: pl.DataFrame, sources: Collection[str] | None) -> Written:
    """See ``Store.put_events``."""
    table, connection = TABLES["events"], transaction.connection
    done = transaction.put(table, frame)
    if sources is None:
        notes = set(query(connection, "SELECT note_id FROM notes")["note_id"])
        sources = [s for s in frame["source"].unique().to_list() if s in notes]
    live = query(connection, "SELECT event_id, source FROM events")
    gone = live.filter(
        pl.col("source").is_in(list(sources)), ~pl.col("event_id").is_in(frame["event_id"].to_list())
    )
    return done + _withdraw(transaction, table, gone)


def put_note(transaction: Transaction, note: NoteLike | Mapping[str, object] | pl.DataFrame) -> Written:
    """See ``Store.put_note``."""
    frame = _note_frame(note)
    done = transaction.put(TABLES["notes"], frame)
    live = query(transaction.connection, "SELECT note_id, path, sha256 FROM notes")
    row = frame.row(0, named=True)
    if (row["note_id"], row["sha256"]) not in set(live.select("note_id", "sha256").iter_rows()):
        return done  # it was refused, so it replaces nothing
    earlier = [
        old["note_id"]
        for old in live.iter_rows(named=True)
        if old["sha256"] != row["sha256"] and _same_file(old, row)
    ]
    return done + withdraw_notes(transaction, earlier)


def withdraw_notes(transaction: Transaction, note_ids: Collection[str]) -> Written:
    """See ``Store.withdraw_notes``; how many notes it were, their events not counted."""
    gone = pl.DataFrame({"note_id": list(note_ids)}, schema={"note_id": pl.String})
    events = query(transaction.connection, "SELECT event_id, source FROM events")
    _withdraw(transaction, TABLES["events"], events.filter(pl.col("source").is_in(gone["note_id"].to_list())))
    return _withdraw(transaction, TABLES["notes"], gone)


def _withdraw(transaction: Transaction, table: Table, keys: pl.DataFrame) -> Written:
    if keys.height:
        apply(transaction.connection, table, transaction.number(table.name), ended=keys)
    return Written(revised=keys.height)


def _note_frame(note: NoteLike | Mapping[str, object] | pl.DataFrame) -> pl.DataFrame:
    if isinstance(note, pl.DataFrame):
        return note
    columns = TABLES["notes"].columns()
    get = note.get if isinstance(note, Mapping) else lambda name: getattr(note, name, None)
    row = {name: get(name) for name in columns}
    row["ingested_at"] = row["ingested_at"] or dt.datetime.now(dt.UTC)
    if row["path"] is not None:
        row["path"] = str(Path(str(row["path"])).resolve())
    return pl.DataFrame([row], schema=columns)


def _same_file(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two stored notes were read from one file, or, of notes without one, by one name."""
    one_name = old["note_id"].rpartition("-")[0] == new["note_id"].rpartition("-")[0]
    if old["path"] is None or new["path"] is None:
        return one_name and old["path"] is new["path"]
    was, now = Path(old["path"]), Path(new["path"])
    # a store of long ago kept paths as they were given, wherever the reader stood
    return was == now or (one_name and not was.is_absolute() and was.name == now.name)
