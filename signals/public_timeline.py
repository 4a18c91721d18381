"""Dated events from a table: the public events that ship with the product, or a user's own CSV.

The shipped ``data/timeline.csv`` holds events of 2021 to 2026, each with when it became public and, in
``knowable_session_note``, how that was established. Where only a day is known the moment is the latest it may
have been: after the close in Shanghai for Chinese news, 09:00 the next morning for American news of that day.
``symbols`` names a company only where the event is about it; everything else reaches companies through
segments or the basket.

What to know before trusting it: the list was compiled afterwards, so which events are in it, and now and then
their polarity, is known with hindsight. How strong each one proved to be is not in it at all: ``strength`` is
the weight of its kind in ``data/weights.csv``.
"""

from __future__ import annotations

import datetime as dt
import io
from importlib.resources import files
from pathlib import Path

import polars as pl

from data_cache.errors import AshareError, UnknownName, UsageError
from data_cache.schemas import CERTAINTIES, Events
from data_cache.symbols import Symbol
from data_cache.universe import SEGMENTS
from signals.clock import known_at_from
from signals.scoring import weights

__all__ = ["COLUMNS", "read_timeline", "timeline"]

COLUMNS = ("event_id", "kind", "polarity", "known_at")
"""What a timeline's CSV must have. ``subject``, ``certainty`` (default fact), ``occurred_on``, ``symbols``
and ``segments`` (several joined by ``;``) and ``title`` may follow; further columns are for the reader."""


_COMPILED = {
    "event_type": "kind",
    "first_public_at": "known_at",
    "polarity_for_liquid_cooling": "polarity",
    "affected_symbols": "symbols",
    "summary": "title",
}


def timeline() -> pl.DataFrame:
    """The shipped public events, as Events, sorted by ``known_at``; ``source`` is ``timeline``."""
    return _read(files("signals").joinpath("data", "timeline.csv").read_bytes(), "timeline.csv", "timeline")


def read_timeline(path: str | Path) -> pl.DataFrame:
    """Read a CSV of dated events.

    Args:
        path: a CSV file in UTF-8 with the columns of ``COLUMNS``.

    Returns:
        Events, sorted by ``known_at``; ``source`` is the file's stem, ``strength`` the weight of the kind.

    Raises:
        UsageError: the file cannot be read, lacks a column, repeats an event, or a cell is not what its
            column needs; names the event.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    return _read(raw, path.name, path.stem)


def _read(raw: bytes, name: str, source: str) -> pl.DataFrame:
    try:
        table = pl.read_csv(io.BytesIO(raw), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"{name} is not a CSV of events in UTF-8: {reason}") from None
    table = _as_compiled(table)
    if missing := [c for c in COLUMNS if c not in table.columns]:
        raise UsageError(f"{name} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    now = dt.datetime.now(dt.UTC)
    rows = []
    for line, cells in enumerate(table.iter_rows(named=True), start=2):
        try:
            rows.append(_event({k: (v or "").strip() for k, v in cells.items()}, source, now))
        except AshareError as error:
            raise UsageError(f"{name}, event {line - 1} ({cells['event_id']}): {error}") from None
    events = pl.DataFrame(rows, schema=Events.create_empty().schema).sort("known_at", "event_id")
    if repeated := events.filter(pl.col("event_id").is_duplicated())["event_id"].to_list():
        raise UsageError(f"{name} holds the event_id {repeated[0]!r} more than once; give each event its own")
    return Events.validate(events)


def _as_compiled(table: pl.DataFrame) -> pl.DataFrame:
    """A table under the headings its compiler gave it (``_COMPILED``), under ours; its kinds are types there."""
    if "event_type" not in table.columns:
        return table
    from signals.lexicon import kinds

    types = {row["timeline_type"]: row["kind"] for row in kinds() if row["timeline_type"]}
    ours = {theirs: name for theirs, name in _COMPILED.items() if name not in table.columns}
    return table.with_columns(pl.col("event_type").replace(types)).rename(ours, strict=False)


def _event(row: dict[str, str], source: str, now: dt.datetime) -> dict[str, object]:
    strength = dict(weights().select("kind", "weight").iter_rows())
    if row["kind"] not in strength:
        raise UnknownName("event kind", row["kind"], strength)
    certainty = row.get("certainty") or "fact"
    if certainty not in CERTAINTIES:
        raise UnknownName("certainty", certainty, CERTAINTIES)
    if row["polarity"] not in ("-1", "0", "1", "+1"):
        raise UsageError(f"polarity is {row['polarity']!r}; needs -1, 0 or 1")
    if not row["event_id"]:
        raise UsageError("event_id is empty; give each event its own")
    segments = _split(row.get("segments"))
    for segment in segments:
        if segment not in SEGMENTS:
            raise UnknownName("segment", segment, SEGMENTS)
    return {
        "event_id": row["event_id"],
        "kind": row["kind"],
        "subject": row.get("subject") or None,
        "polarity": int(row["polarity"]),
        "strength": strength[row["kind"]],
        "certainty": certainty,
        "occurred_on": _date(row["occurred_on"]) if row.get("occurred_on") else None,
        "known_at": known_at_from(row["known_at"]),
        "symbols": [str(Symbol.parse(s)) for s in _split(row.get("symbols"))],
        "segments": segments,
        "magnitudes": [],
        "source": source,
        "title": row.get("title") or None,
        "span_start": None,
        "span_end": None,
        "extractor": "timeline",
        "ingested_at": now,
    }


def _split(cell: str | None) -> list[str]:
    return [part.strip() for part in (cell or "").split(";") if part.strip()]


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"occurred_on is {text!r}; needs a date as 2023-03-26") from None
