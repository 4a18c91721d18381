"""From a fill back to the events that stood behind it, and from an event to its sentence.

A fill is decided on its decision date; the events behind it are those of the kinds the strategy reads that
still pushed that symbol on that date. ``fresh`` marks the ones that became knowable on that very decision date:
most often the reason for the trade, where the older ones are its background.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from backtest.result import Backtest

__all__ = ["attribute", "events_behind", "quotes"]


def attribute(result: Backtest, contributions: pl.DataFrame) -> pl.DataFrame:
    """Every fill with every event behind it.

    Args:
        result: one backtest.
        contributions: ``signals.contributions`` over its universe and dates.

    Returns:
        fill (row number in ``result.fills``), decision_date, date, symbol, side, notional, event_id, kind,
        score, fresh; the strongest first within a fill. A fill with no event behind it has no row.
    """
    kinds = list(result.strategy.kinds)
    pushes = contributions.filter(pl.col("kind").is_in(kinds) & (pl.col("score") != 0)).select(
        pl.col("date").alias("decision_date"), "symbol", "kind", "event_id", "score", "fresh"
    )
    return (
        result.fills.with_row_index("fill")
        .select("fill", "decision_date", "date", "symbol", "side", "notional")
        .join(pushes, on=["decision_date", "symbol"], how="inner")
        .sort(
            "fill", pl.col("fresh"), pl.col("score").abs(), "event_id", descending=[False, True, True, False]
        )
    )


def events_behind(attributed: Iterable[tuple[str, pl.DataFrame]], events: pl.DataFrame) -> pl.DataFrame:
    """The events that stood behind at least one fill of any strategy.

    Args:
        attributed: (strategy label, frame of ``attribute``) pairs.
        events: all stored events.

    Returns:
        Event columns, plus per event: strategies (their labels), fills (how many it stood behind) and
        notional (yuan of those fills), in the order they became knowable.
    """
    parts = [frame.with_columns(pl.lit(label).alias("strategy")) for label, frame in attributed]
    if not parts or not sum(p.height for p in parts):
        return events.clear().with_columns(
            pl.lit(None, pl.List(pl.String)).alias("strategies"),
            pl.lit(None, pl.UInt32).alias("fills"),
            pl.lit(None, pl.Float64).alias("notional"),
        )
    moved = (
        pl.concat(parts)
        .group_by("event_id")
        .agg(
            pl.col("strategy").unique().sort().alias("strategies"),
            pl.len().cast(pl.UInt32).alias("fills"),
            pl.col("notional").sum(),
        )
    )
    return events.join(moved, on="event_id", how="inner").sort("known_at", "event_id")


def quotes(events: pl.DataFrame, notes: pl.DataFrame) -> pl.DataFrame:
    """The words behind each event: a note's own span, or the timeline's title.

    Returns:
        event_id, note_title (null for a timeline event), quote (null where neither span nor title is known).
    """
    texts = {row["note_id"]: (row["title"], row["text"]) for row in notes.iter_rows(named=True)}
    rows = []
    for event in events.select("event_id", "source", "title", "span_start", "span_end").iter_rows(named=True):
        title, text = texts.get(event["source"], (None, None))
        span = (
            text[event["span_start"] : event["span_end"]]
            if text and event["span_start"] is not None
            else None
        )
        rows.append(
            {
                "event_id": event["event_id"],
                "note_title": title or (event["source"] if text else None),
                "quote": span or event["title"],
            }
        )
    return pl.DataFrame(
        rows, schema={"event_id": pl.String, "note_title": pl.String, "quote": pl.String}, orient="row"
    )
