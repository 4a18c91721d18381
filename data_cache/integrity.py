"""What a bar must satisfy to be stored, rule by rule, in one vectorised pass over a frame of any size.

A row is quarantined under the first of these it breaks:

1. the named rules of the schema ``Bars`` (prices positive and ordered, volume positive, ...);
2. ``duplicate``: two different rows under one key, neither to be trusted;
3. ``on_calendar``: the date is no trading session.

Rows without volume are no errors: vendors fill suspended sessions so. They are recorded as suspensions.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import polars as pl

from data_cache.calendar import SHANGHAI_CLOSE, require_within
from data_cache.puts import DISAGREES, Transaction, Written, judge, screen, shape
from data_cache.tables import TABLES, encode

__all__ = ["put_bars"]

_BARS = TABLES["bars"]


def put_bars(
    transaction: Transaction, frame: pl.DataFrame, *, basis: str, provisional: bool | None
) -> Written:
    """Check bars and record them in the transaction; see ``Store.put_bars``."""
    rows = shape(_BARS, frame)
    calendar = transaction.connection.sql("SELECT date FROM calendar ORDER BY date").pl()["date"]
    if rows.height:
        require_within(calendar, rows["date"].max())  # type: ignore[arg-type]
    idle = pl.col("volume") == 0
    on_calendar = pl.col("date").is_in(calendar.implode())
    suspended = rows.filter(idle & on_calendar).select("symbol", "date", reason=pl.lit(None, dtype=pl.String))
    good, bad = screen(_BARS, rows.filter((~idle | ~on_calendar).fill_null(value=True)))
    off = good.filter(~on_calendar).with_columns(rule=pl.lit("on_calendar"))
    good = good.filter(on_calendar)
    done = transaction.quarantine(_BARS, pl.concat([bad, off]))
    done += Written(unchanged=rows.height - suspended.height - good.height - bad.height - off.height)
    if suspended.height:
        written = transaction.put(TABLES["suspensions"], suspended.unique(maintain_order=True))
        done += Written(suspended=written.inserted, unchanged=suspended.height - written.inserted)
    for part, is_provisional in _parts(good, transaction.fetched_at, provisional):
        encoded = part.with_columns(encode(part["symbol"]))
        stored = transaction.stored(_BARS, encoded, condition=f"t.basis = '{basis}'")
        verdict = judge(_BARS, encoded, stored, transaction.source)
        done += transaction.record(
            _BARS, encoded, verdict, constants={"basis": basis}, provisional=is_provisional
        )
        disputed = part.filter(verdict == DISAGREES).with_columns(rule=pl.lit("cross_source"))
        done += transaction.quarantine(_BARS, disputed)
    return done


def _parts(
    rows: pl.DataFrame, fetched_at: dt.datetime, provisional: bool | None
) -> list[tuple[pl.DataFrame, bool]]:
    """The final rows and the provisional ones, each with its flag; empty parts left out."""
    local = fetched_at.astimezone(ZoneInfo("Asia/Shanghai"))
    if provisional is None and local.time() < SHANGHAI_CLOSE:
        today = rows["date"] == local.date()
        parts = [(rows.filter(~today), False), (rows.filter(today), True)]
    else:
        parts = [(rows, bool(provisional))]
    return [(part, flag) for part, flag in parts if part.height]
