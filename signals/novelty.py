"""What an earlier source has told already: the first telling counts, within a note and across notes.

The store keeps every telling; ``first_told`` leaves out the repetitions when events are read, so that what counts does
not depend on which note was read first, and a telling that is corrected or withdrawn gives way to the next. Within one
note it is ``signals.merge.fold_repeats`` that folds.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

__all__ = ["MEMORY", "first_told"]

MEMORY = dt.timedelta(days=30)
"""How long a telling is remembered; said again later it is news that it still holds."""
_SAME = ("kind", "subject", "polarity", "certainty", "symbols", "segments", "magnitudes")


def first_told(events: pl.DataFrame) -> pl.DataFrame:
    """Events that no other source told in the ``MEMORY`` before them.

    A repetition has the same kind, subject, sign, certainty, reach and amounts as an event that counts and was known at
    most ``MEMORY`` before it; of two known at once the one of the source that comes first by name counts. One without
    a subject, a symbol or an amount says too little to be called the same and is kept. What comes later changes
    nothing of what is kept before.

    Args:
        events: Events of any sources, in any order.

    Returns:
        Those that count, in their order.
    """
    says = pl.col("subject").is_not_null() | (
        pl.col("symbols").list.len() + pl.col("magnitudes").list.len() > 0
    )
    same = pl.struct(_SAME).hash()
    told = events.with_row_index("row").filter(says).with_columns(same=same)
    told = told.filter(pl.col("source").n_unique().over("same") > 1).sort("known_at", "source", "row")
    counts: dict[str, list[tuple[dt.datetime, str]]] = {}
    repeated = []
    for row in told.iter_rows(named=True):
        before = counts.setdefault(_key(row), [])
        if any(source != row["source"] and row["known_at"] - at <= MEMORY for at, source in before):
            repeated.append(row["row"])
        else:
            before.append((row["known_at"], row["source"]))
    return events.filter(~pl.int_range(pl.len()).is_in(repeated)) if repeated else events


def _key(row: dict[str, Any]) -> str:
    return repr([row[name] for name in _SAME])
