"""What an earlier note has told already: the first telling counts, within a note and across notes.

``drop_told`` compares new events with those of other notes known before them. A repetition has the same kind,
subject, sign, certainty, reach and amounts as an event known at most ``MEMORY`` before; one without a subject,
a symbol or an amount says too little to be called the same and is kept. Within one note it is
``signals.merge.fold_repeats`` that folds.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

__all__ = ["MEMORY", "drop_told"]

MEMORY = dt.timedelta(days=30)
"""How long a telling is remembered; said again later it is news that it still holds."""


def drop_told(events: pl.DataFrame, known: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Events that no other source has told in the ``MEMORY`` before them.

    Args:
        events: Events of one or more notes.
        known: Events stored already, of any source; those of the same source are not compared.

    Returns:
        The new ones, in their order, and how many were dropped.
    """
    if events.is_empty() or known.is_empty():
        return events, 0
    told: dict[tuple[object, ...], list[tuple[dt.datetime, str]]] = {}
    for row in known.iter_rows(named=True):
        if (key := _key(row)) is not None:
            told.setdefault(key, []).append((row["known_at"], row["source"]))
    keep = []
    for row in events.iter_rows(named=True):
        key = _key(row)
        before = told.get(key, []) if key is not None else []
        keep.append(
            not any(
                source != row["source"] and dt.timedelta(0) <= row["known_at"] - at <= MEMORY
                for at, source in before
            )
        )
    kept = events.filter(pl.Series(keep, dtype=pl.Boolean))
    return kept, events.height - kept.height


def _key(row: dict[str, Any]) -> tuple[object, ...] | None:
    if not (row["subject"] or row["symbols"] or row["magnitudes"]):
        return None
    amounts = tuple((m["quantity"], m["unit"], m["low"], m["high"]) for m in row["magnitudes"])
    reach = (tuple(row["symbols"]), tuple(row["segments"]))
    return (row["kind"], row["subject"], row["polarity"], row["certainty"], reach, amounts)
