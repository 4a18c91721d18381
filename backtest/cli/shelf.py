"""Which notes the store holds, by their text and by the file they were read from.

A note is one text: copies of a file are one note, a moved file stays the note it was, and a file whose text has changed
lets go of what it said before. So that the store does not depend on what was read first, of several files with one text
the one that was known first is the note, then the one whose id comes first.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_cache.store import Store
    from signals.note import Note

__all__ = ["Shelf"]


class Shelf:
    """The stored notes of one run, kept up with what the run stores."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = {row["note_id"]: row for row in store.notes().iter_rows(named=True)}
        self._by_text: dict[str, set[str]] = {}
        self._by_file: dict[str, set[str]] = {}
        for row in self._rows.values():
            self._index(row)

    def settle(self, note: Note) -> tuple[Note, dict[str, Any] | None, bool]:
        """A note just read as the store knows it.

        Returns:
            The note, under the id its text is stored by; the stored row of that text, or None where the file is to be
            read anew, having none or having moved; and whether it is a copy of the one that row was read from. What
            the store has of the same text a second time, and what a copy's file said before, is withdrawn.
        """
        here = _whole(note.path)
        rows = [self._rows[i] for i in sorted(self._by_text.get(note.sha256, ()))]
        mine = [row for row in rows if _whole(row["path"]) == here]
        others = [row for row in rows if row not in mine and _holds(row["path"], note.sha256)]
        standing = sorted(mine + others, key=lambda row: (row["published_at"], row["note_id"])) or rows[:1]
        if not standing:
            return note, None, False
        kept = standing[0]
        gone = {row["note_id"] for row in rows} - {kept["note_id"]}
        if kept in others:
            self._withdraw(gone | self._by_file.get(here, set()) - {kept["note_id"]})
            return note, kept, True
        self._withdraw(gone)
        return dataclasses.replace(note, note_id=kept["note_id"]), kept if kept in mine else None, False

    def put(self, note: Note) -> None:
        """Store a note; what its file said before is withdrawn."""
        self._store.put_note(note)
        here = _whole(note.path)
        for other in self._by_file.get(here, set()) - {note.note_id}:
            self._forget(other)
        self._forget(note.note_id)
        kept = ("note_id", "sha256", "title", "source", "speaker", "published_at")
        self._rows[note.note_id] = {"path": here, **{name: getattr(note, name) for name in kept}}
        self._index(self._rows[note.note_id])

    def _index(self, row: dict[str, Any]) -> None:
        self._by_text.setdefault(row["sha256"], set()).add(row["note_id"])
        self._by_file.setdefault(_whole(row["path"]), set()).add(row["note_id"])

    def _withdraw(self, names: set[str]) -> None:
        if names:
            self._store.withdraw_notes(names)
        for name in names:
            self._forget(name)

    def _forget(self, name: str) -> None:
        if row := self._rows.pop(name, None):
            self._by_text[row["sha256"]].discard(name)
            self._by_file[_whole(row["path"])].discard(name)


def _whole(path: str | None) -> str:
    return "" if path is None else str(Path(path).resolve())


def _holds(path: str | None, sha256: str) -> bool:
    """Whether a file is there and still what was read of it."""
    try:
        return path is not None and hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256
    except OSError:
        return False
