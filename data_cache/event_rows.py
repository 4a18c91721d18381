"""A file of events under the columns of ``schemas.Events``; notes and timelines are read elsewhere."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl

from data_cache import cells
from data_cache.rawtable import PLACE, RawTable
from data_cache.schemas import Events

__all__ = ["read_events"]


def read_events(raw: RawTable, source: str) -> pl.DataFrame:
    """Rows under the columns of ``schemas.Events``; lists in a text file are separated by spaces."""
    has = set(raw.headings)
    schema = {name: column.dtype for name, column in Events.columns().items()}
    now = dt.datetime.now(dt.UTC)
    absent: dict[str, pl.Expr] = {
        "source": pl.lit(source), "extractor": pl.lit("import"), "ingested_at": pl.lit(now),
        "symbols": pl.lit([], dtype=pl.List(pl.String)), "segments": pl.lit([], dtype=pl.List(pl.String)),
        "magnitudes": pl.lit([], dtype=schema["magnitudes"]),
    }  # fmt: skip
    data: dict[str, pl.Series] = {PLACE: raw.frame.get_column(PLACE)}
    for column, dtype in schema.items():
        if column not in has:
            continue
        cell = raw.frame.get_column(column)
        if cell.dtype == dtype:
            data[column] = cell
        elif column == "magnitudes":
            data[column] = _magnitudes(raw, dtype)
        elif column in ("symbols", "segments"):
            data[column] = cells.texts(raw, column).fill_null("").str.extract_all(r"[^\s,;|]+")
        elif column in ("known_at", "ingested_at"):
            data[column] = cells.instants(raw, column)
        elif column == "occurred_on":
            data[column] = cells.dates(raw, column, required=False)
        elif dtype.is_numeric():
            data[column] = cells.numbers(raw, column).cast(dtype, strict=False)
        else:
            data[column] = cells.texts(raw, column)
    raw.refuse(data["event_id"].is_null(), "event_id", "an event's name")
    frame = pl.DataFrame(data)
    return frame.select(
        (pl.col(c) if c in data else absent.get(c, pl.lit(None))).cast(dtype).alias(c)
        for c, dtype in schema.items()
    )


def _magnitudes(raw: RawTable, dtype: pl.DataType) -> pl.Series:
    """JSON lists of {quantity, unit, low, high}."""
    values: list[object] = []
    bad: list[bool] = []
    for text in cells.texts(raw, "magnitudes"):
        try:
            value = json.loads(text) if text is not None else []
            pl.Series([value], dtype=dtype)
            values.append(value)
            bad.append(False)
        except (ValueError, TypeError, pl.exceptions.PolarsError):
            values.append([])
            bad.append(True)
    raw.refuse(pl.Series(bad), "magnitudes", "a JSON list of {quantity, unit, low, high}")
    return pl.Series(values, dtype=dtype)
