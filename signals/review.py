"""A reviewer's corrections, in ``NOTE.review.csv`` beside the note; they win over the extractor.

One row a correction: ``event_id``, ``action``, ``who``, ``when`` (an ISO date or moment), and for ``edit`` and
``add`` the values to set: ``kind``, ``polarity``, ``certainty``, ``subject``, ``symbols`` and ``segments``
(separated by blanks), ``start``, ``end``; ``why`` is for people. Empty cells leave the value as it is.

* ``accept`` keeps an event and says somebody looked at it;
* ``reject`` removes it;
* ``edit`` changes the cells given;
* ``add`` makes an event the extractor missed: needs kind, polarity, start and end, and no event_id.

The event's ``extractor`` then names who and when: ``reader:7 accepted by LI 2025-09-01``. Of two rows for one
event the later wins. A row whose event is no longer there (the note was changed, so its ids are new) is an
error, because a correction that silently stops to count is worse than none.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from data_cache.errors import AshareError, UnknownName, UsageError
from data_cache.schemas import CERTAINTIES
from data_cache.symbols import Symbol
from data_cache.universe import SEGMENTS
from signals.lexicon import kinds

if TYPE_CHECKING:
    from signals.note import Note

__all__ = ["ACTIONS", "apply_review", "has_review", "read_review", "review_path"]

ACTIONS = ("accept", "reject", "edit", "add")
_COLUMNS = frozenset({
    "event_id", "action", "who", "when", "kind", "polarity", "certainty", "subject", "symbols", "segments",
    "start", "end", "why",
})  # fmt: skip


def review_path(note: Note) -> Path:
    """Where a note's corrections are: ``call.txt`` has ``call.txt.review.csv``."""
    return Path(f"{note.path}.review.csv")


def has_review(note: Note) -> bool:
    """Whether somebody corrected this note."""
    return note.path is not None and review_path(note).is_file()


def read_review(path: Path) -> list[dict[str, str]]:
    """The rows of a file of corrections, checked.

    Raises:
        UsageError: it cannot be read, lacks a column, or a row is not what its action needs; names the row.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    reader = csv.DictReader(io.StringIO(text))
    headings = set(reader.fieldnames or ())
    if missing := {"event_id", "action", "who", "when"} - headings:
        raise UsageError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(sorted(missing))}")
    if unknown := headings - _COLUMNS:
        raise UsageError(f"{path} has the column {min(unknown)!r}; known: {', '.join(sorted(_COLUMNS))}")
    rows = []
    for number, raw in enumerate(reader, start=1):
        row = {k: (v or "").strip() for k, v in raw.items() if k}
        if not any(row.values()):
            continue
        try:
            _check(row)
        except AshareError as error:
            raise UsageError(f"{path}, row {number}: {error}") from None
        rows.append(row)
    return rows


def _check(row: dict[str, str]) -> None:
    if row["action"] not in ACTIONS:
        raise UnknownName("action", row["action"], ACTIONS)
    if not row["who"] or not row["when"]:
        raise UsageError("who and when must be given; a correction answers for itself")
    try:
        dt.datetime.fromisoformat(row["when"])
    except ValueError:
        raise UsageError(f"when is {row['when']!r}; needs a date or moment as 2025-09-01") from None
    if row["action"] == "add":
        if lacking := [k for k in ("kind", "polarity", "start", "end") if not row.get(k)]:
            raise UsageError(f"add needs {', '.join(lacking)}")
    elif not row["event_id"]:
        raise UsageError(f"{row['action']} needs the event_id")
    known = [k["kind"] for k in kinds()]
    if row.get("kind") and row["kind"] not in known:
        raise UnknownName("event kind", row["kind"], known)
    if row.get("certainty") and row["certainty"] not in CERTAINTIES:
        raise UnknownName("certainty", row["certainty"], CERTAINTIES)
    if row.get("polarity") and row["polarity"] not in ("-1", "0", "1", "+1"):
        raise UsageError(f"polarity is {row['polarity']!r}; needs -1, 0 or 1")
    for bound in ("start", "end"):
        if row.get(bound) and not re.fullmatch(r"[0-9]{1,9}", row[bound]):
            raise UsageError(f"{bound} is {row[bound]!r}; needs a character offset")
    for symbol in (row.get("symbols") or "").split():
        Symbol.parse(symbol)
    for segment in (row.get("segments") or "").split():
        if segment not in SEGMENTS:
            raise UnknownName("segment", segment, SEGMENTS)


def apply_review(
    events: pl.DataFrame, note: Note, review: list[dict[str, str]], now: dt.datetime
) -> pl.DataFrame:
    """Events with one note's corrections made.

    Raises:
        UsageError: a correction names an event this note does not have, or a span outside its text.
    """
    rows = {row["event_id"]: row for row in events.iter_rows(named=True)}
    for correction in review:
        if correction["action"] == "add":
            row = _added(note, correction, now)
        else:
            row = rows.get(correction["event_id"], {})
            if row.get("source") != note.note_id:
                raise UsageError(
                    f"{review_path(note)} corrects {correction['event_id']}, which {note.note_id} does not have; was "
                    f"the note changed? `ashare events --note {note.note_id}` lists its events"
                )
        rejected = correction["action"] == "reject"
        rows[row["event_id"]] = {**row, "rejected": True} if rejected else _edited(row, correction, note)
    kept = [
        {k: v for k, v in row.items() if k != "rejected"} for row in rows.values() if not row.get("rejected")
    ]
    return pl.DataFrame(kept, schema=events.schema)


def _edited(row: dict[str, Any], correction: dict[str, str], note: Note) -> dict[str, Any]:
    new = {k: v for k, v in row.items() if k != "rejected"}
    if correction["action"] != "accept":
        for column in ("kind", "certainty", "subject"):
            new[column] = correction.get(column) or new[column]
        if correction.get("kind"):
            new["strength"] = _strength(correction["kind"])
        if correction.get("polarity"):
            new["polarity"] = int(correction["polarity"])
        if correction.get("symbols"):
            new["symbols"] = [str(Symbol.parse(s)) for s in correction["symbols"].split()]
        if correction.get("segments"):
            new["segments"] = correction["segments"].split()
        new["span_start"] = int(correction.get("start") or new["span_start"])
        new["span_end"] = int(correction.get("end") or new["span_end"])
        if not 0 <= new["span_start"] < new["span_end"] <= len(note.text):
            raise UsageError(
                f"{review_path(note)}: the span {new['span_start']} to {new['span_end']} is not inside the note's "
                f"{len(note.text)} characters"
            )
    done = {"accept": "accepted", "edit": "edited", "add": "added"}[correction["action"]]
    base = str(new["extractor"]).partition(" ")[0]
    new["extractor"] = f"{base} {done} by {correction['who']} {correction['when']}"
    return new


def _added(note: Note, correction: dict[str, str], now: dt.datetime) -> dict[str, Any]:
    kind, start, end = correction["kind"], int(correction["start"]), int(correction["end"])
    return {
        "event_id": hashlib.sha256(f"{note.sha256}:{kind}:{start}:{end}:added".encode()).hexdigest()[:16],
        "kind": kind,
        "subject": None,
        "polarity": int(correction["polarity"]),
        "strength": _strength(kind),
        "certainty": correction.get("certainty") or "fact",
        "occurred_on": None,
        "known_at": note.published_at,
        "symbols": [],
        "segments": [],
        "magnitudes": [],
        "source": note.note_id,
        "title": kind.replace("_", " "),
        "span_start": start,
        "span_end": end,
        "extractor": "review",
        "ingested_at": now,
    }


def _strength(kind: str) -> float:
    from signals.scoring import weights

    return float(dict(weights().select("kind", "weight").iter_rows()).get(kind, 0.0))
