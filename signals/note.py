"""A note: one text, who wrote it, and the moment it became knowable.

1. ``read_note`` reads the file (``signals/documents.py``), then its front matter if it has one.
2. The moment is ``known_at``, else the front matter's ``published_at``; without either the note is refused,
   because an event at an unknown moment cannot be traded. A date in the file's name or text is only suggested
   (``signals/dating.py``): it may be when the file was saved, or what the text is about.

Front matter is the lines between two ``---`` at the very top: ``title``, ``source``, ``speaker``,
``published_at``. It stays in ``text``, so that offsets are those of the file; ``body`` is where the note begins.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from data_cache.errors import UndatedNote, UsageError
from signals.clock import CLOSE, SHANGHAI, known_at_from

__all__ = ["Note", "find_notes", "note_from_text", "read_note"]

_FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z_]+)[ \t]*[:：][ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Note:
    """One text as it was read.

    Attributes:
        text: the untouched text; every span counts characters from its beginning.
        sha256: of the file's bytes (of the text in UTF-8 where there is no file).
        note_id: the file's stem, and the first 8 digits of ``sha256``.
        published_at: when it became knowable, in Asia/Shanghai.
        body: where the note itself begins, after any front matter.
    """

    note_id: str
    sha256: str
    path: str | None
    title: str | None
    source: str | None
    speaker: str | None
    published_at: dt.datetime
    text: str
    body: int = 0


def read_note(
    path: str | Path,
    *,
    known_at: str | dt.date | dt.datetime | None = None,
    title: str | None = None,
    source: str | None = None,
    speaker: str | None = None,
) -> Note:
    """Read a note from a .txt, .md, .docx or .pdf file.

    Args:
        path: the file.
        known_at: when it became knowable: a moment with its zone, or a date, which counts as after that day's
            close (15:00 in Shanghai). Wins over the front matter, as do the others.
        title: what it is called.
        source: where it comes from.
        speaker: who wrote or said it.

    Raises:
        UndatedNote: neither ``known_at`` nor a ``published_at`` in the front matter.
        UsageError: the file cannot be read, or holds no text; or the moment is unclear, lies in the future or
            before the exchange's first session.
    """
    path = Path(path)
    raw = read_bytes(path)
    from signals.documents import read_document

    text = read_document(path, raw)
    return note_from_text(
        text,
        name=path.stem,
        path=str(path),
        sha256=hashlib.sha256(raw).hexdigest(),
        known_at=known_at,
        title=title,
        source=source,
        speaker=speaker,
    )


def read_bytes(path: Path) -> bytes:
    """The file's bytes; UsageError where there are none to be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None


def note_from_text(
    text: str,
    *,
    name: str = "note",
    path: str | None = None,
    sha256: str | None = None,
    known_at: str | dt.date | dt.datetime | None = None,
    title: str | None = None,
    source: str | None = None,
    speaker: str | None = None,
) -> Note:
    """A note from a text that is already in hand; see ``read_note``."""
    if not text.strip():
        raise UsageError(f"{path or name} is empty; a note needs text")
    front = _FRONT.match(text)
    fields = {k.lower(): v.strip("\"'") for k, v in _FIELD.findall(front[1])} if front else {}
    body = front.end() if front else 0
    if not text[body:].strip():
        raise UsageError(f"{path or name} holds front matter and no text after it")
    digest = sha256 or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    given = known_at if known_at is not None else fields.get("published_at") or fields.get("known_at")
    if given is None or given == "":
        from signals.dating import implied_dates

        raise UndatedNote(
            f"{path or name} does not say when it became knowable, so its events cannot be traded; give "
            "--known-at 2025-08-31T15:00+08:00 (or a date: after that day's close), or begin the file with "
            f"the lines ---, published_at: 2025-08-31, ---{implied_dates(text, path)}"
        )
    return Note(
        note_id=f"{name}-{digest[:8]}",
        sha256=digest,
        path=path,
        title=title or fields.get("title") or None,
        source=source or fields.get("source") or None,
        speaker=speaker or fields.get("speaker") or None,
        published_at=_moment(given, path or name),
        text=text,
        body=body,
    )


def _moment(given: str | dt.date | dt.datetime, name: str) -> dt.datetime:
    try:
        moment = known_at_from(given if isinstance(given, str) else given.isoformat())
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    now = dt.datetime.now(SHANGHAI)
    if moment > max(
        now, dt.datetime.combine(now.date(), CLOSE, SHANGHAI)
    ):  # a bare date of today is its close
        raise UsageError(
            f"{name}: known_at is {str(given)!r}, which lies in the future; a note that can be read is knowable "
            "already: check the date"
        )
    return moment


def find_notes(paths: Iterable[str | Path]) -> list[Path]:
    """The notes among some paths: files as they are given, folders searched with all below them, sorted.

    Raises:
        UsageError: a path does not exist, or a folder holds no note.
    """
    from signals.documents import SUFFIXES

    found: dict[Path, None] = {}
    for given in map(Path, paths):
        if given.is_dir():
            inside = [p for p in sorted(given.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
            inside = [
                p for p in inside if not any(part.startswith(".") for part in p.relative_to(given).parts)
            ]
            if not inside:
                raise UsageError(f"{given} holds no note; notes end in {', '.join(SUFFIXES)}")
            found |= dict.fromkeys(inside)
        elif given.is_file():
            found[given] = None
        else:
            raise UsageError(f"there is no {given}; give a note or a folder of notes")
    return list(found)
