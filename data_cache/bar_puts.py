"""How daily bars enter the store.

1. ``_sort_out``: shape the frame; part suspensions (no volume) and rows that break the schema from the rest;
   encode and sort; drop copies, reject what contradicts itself (``duplicate``).
2. Per block of symbols, so that memory stays bounded: the rules of ``data_cache.integrity``, in their order.
3. ``data_cache.witness`` compares with what is stored, and the block is recorded in the put's transaction; today's
   rows before 15:30 in Shanghai apart, as provisional.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from data_cache.calendar import SHANGHAI_CLOSE, require_within
from data_cache.integrity import (
    Known,
    amount_in_range,
    board_limit,
    on_calendar,
    sound,
    stale_flat,
    with_previous,
)
from data_cache.puts import DISAGREES, NEW, Transaction, Written, screen, shape
from data_cache.tables import TABLES, decode, encode
from data_cache.witness import judge_bars, level_breaks

__all__ = ["put_bars"]

_BARS = TABLES["bars"]
_BLOCK = 1_000_000  # rows checked at once
_LOOK_BACK = dt.timedelta(days=30)  # finds the bar before, but for symbols that did not trade for weeks


def put_bars(
    transaction: Transaction, frame: pl.DataFrame, *, basis: str, provisional: bool | None
) -> Written:
    """Check bars and record them in the transaction; see ``Store.put_bars``."""
    rows = shape(_BARS, frame)
    if rows.is_empty():
        return Written()
    calendar = transaction.calendar()
    last = rows["date"].max()
    if isinstance(last, dt.date):
        require_within(calendar, last)
    done, rows = _sort_out(transaction, rows, calendar)
    for block in _blocks(rows):
        done += _put_block(transaction, block, calendar, basis, provisional)
    return done


def _sort_out(
    transaction: Transaction, rows: pl.DataFrame, calendar: pl.Series
) -> tuple[Written, pl.DataFrame]:
    """Write what is no bar; return the bars encoded, sorted and unique."""
    done = Written()
    good = sound(rows)
    if not good.all():
        rest = rows.filter(~good)
        idle = (rest["volume"] == 0).fill_null(value=False) & rest["date"].is_in(calendar.implode())
        suspended = rest.filter(idle).select("symbol", "date", reason=pl.lit(None, dtype=pl.String))
        if suspended.height:
            written = transaction.put(TABLES["suspensions"], suspended.unique(maintain_order=True))
            done += Written(suspended=written.inserted, rejected=written.rejected)
            done += Written(unchanged=suspended.height - written.inserted - written.rejected)
        _, bad = screen(_BARS, rest.filter(~idle))
        done += transaction.quarantine(_BARS, bad)
        done += Written(unchanged=int((~idle).sum()) - bad.height)
        rows = rows.filter(good)
    rows = rows.with_columns(encode(rows["symbol"]))
    key = rows["symbol"].to_numpy().astype(np.int64) << 32 | rows["date"].to_physical().to_numpy()
    if not (np.diff(key) > 0).all():
        given = rows.height
        rows = rows.unique(maintain_order=True).sort("symbol", "date")
        done += Written(unchanged=given - rows.height)
        clash = rows.select(pl.struct("symbol", "date").is_duplicated()).to_series()
        done += _reject(transaction, rows.filter(clash), "duplicate")
        rows = rows.filter(~clash)
    return done, rows


def _blocks(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Slices of about ``_BLOCK`` rows that part no symbol."""
    ends = (
        (rows["symbol"].rle_id().diff(null_behavior="ignore") != 0).arg_true().to_list()
        if rows.height > _BLOCK
        else []
    )
    start = 0
    for end in [*ends, rows.height]:
        if end - start >= _BLOCK or end == rows.height:
            yield rows.slice(start, end - start)
            start = end


def _put_block(
    transaction: Transaction,
    rows: pl.DataFrame,
    calendar: pl.Series,
    basis: str,
    provisional: bool | None,
) -> Written:
    done = Written()
    if rows.is_empty():
        return done

    def keep(rows: pl.DataFrame, kept: pl.Series, rule: str) -> pl.DataFrame:
        nonlocal done
        if kept.all():
            return rows
        done += _reject(transaction, rows.filter(~kept), rule)
        return rows.filter(kept)

    rows = keep(rows, on_calendar(rows, calendar), "on_calendar")
    if basis == "raw" and rows["amount"].null_count() < rows.height:
        rows = keep(rows, amount_in_range(rows), "amount_in_range")
    if rows.is_empty():
        return done
    stored = _stored(transaction, rows, basis)
    columns = rows.columns
    before = with_previous(rows, stored)
    rows = keep(before, stale_flat(before), "stale_flat")
    if basis == "raw":
        if rows.height < before.height:
            rows = with_previous(rows.select(columns), stored)
        rows = keep(rows, board_limit(rows, _known(transaction, rows, calendar)), "board_limit")
    rows = rows.select(columns)
    verdict = judge_bars(rows, stored, transaction.source, adjusted=basis != "raw")
    done += _reject(transaction, rows.filter(verdict == DISAGREES), "cross_source")
    if basis != "raw" and stored.height:
        rows, verdict, broken = _part_levels(transaction, rows, verdict, stored, basis)
        done += _reject(transaction, broken, "cross_source_level")
    today = _provisional(rows, transaction.fetched_at, provisional)
    for flag in (False, True):
        if (today == flag).any():
            done += transaction.record(
                _BARS,
                rows if (today == flag).all() else rows.filter(today == flag),
                verdict if (today == flag).all() else verdict.filter(today == flag),
                constants={"basis": basis},
                provisional=flag,
            )
    return done


def _part_levels(
    transaction: Transaction, rows: pl.DataFrame, verdict: pl.Series, stored: pl.DataFrame, basis: str
) -> tuple[pl.DataFrame, pl.Series, pl.DataFrame]:
    """Take out new dates of series that another source began on another level."""
    fresh = rows.filter(verdict == NEW)["symbol"].unique()
    begun = stored.filter(pl.col("symbol").is_in(fresh.implode()))
    others = (
        begun.group_by("symbol")
        .agg(mine=(pl.col("_source") == transaction.source).any())
        .filter(~pl.col("mine"))
    )
    if others.is_empty():
        return rows, verdict, rows.clear()
    both = rows.join(others, on="symbol", how="semi").join(
        stored.select("symbol", "date", "close"), on=["symbol", "date"], how="left", suffix="_stored"
    )
    broken = (verdict == NEW) & rows["symbol"].is_in(level_breaks(both, "close").implode())
    return rows.filter(~broken), verdict.filter(~broken), rows.filter(broken)


def _provisional(rows: pl.DataFrame, fetched_at: dt.datetime, provisional: bool | None) -> pl.Series:
    local = fetched_at.astimezone(ZoneInfo("Asia/Shanghai"))
    if provisional is None and local.time() < SHANGHAI_CLOSE:
        return rows["date"] == local.date()
    return pl.repeat(bool(provisional), rows.height, dtype=pl.Boolean, eager=True)


def _reject(transaction: Transaction, rows: pl.DataFrame, rule: str) -> Written:
    plain = rows.select(*_BARS.declared().column_names()).with_columns(decode(rows["symbol"]))
    return transaction.quarantine(_BARS, plain.with_columns(rule=pl.lit(rule)))


def _stored(transaction: Transaction, rows: pl.DataFrame, basis: str) -> pl.DataFrame:
    """Stored bars that rows may meet: those of their dates and the last before them, of their symbols."""
    first, last = rows["date"].min(), rows["date"].max()
    assert isinstance(first, dt.date)
    span = f"t.symbol BETWEEN {rows['symbol'].min()} AND {rows['symbol'].max()} AND t.basis = '{basis}'"
    select = (
        "SELECT t.* EXCLUDE (basis), p.source AS _source, p.provisional AS _provisional "
        f"FROM bars t JOIN puts p USING (put) WHERE {span}"
    )
    near = transaction.connection.sql(
        f"{select} AND t.date BETWEEN DATE '{first - _LOOK_BACK}' AND DATE '{last}'"
    ).pl()
    starts = rows.group_by("symbol").agg(first=pl.col("date").min())
    found = near.join(starts, on="symbol").filter(pl.col("date") < pl.col("first"))
    unmet = starts.join(found, on="symbol", how="anti")["symbol"]
    if unmet.len() and unmet.len() <= 100:
        further = transaction.connection.sql(
            f"{select} AND t.date < DATE '{first - _LOOK_BACK}' AND t.symbol IN ({', '.join(map(str, unmet))}) "
            "QUALIFY row_number() OVER (PARTITION BY t.symbol ORDER BY t.date DESC) <= 5"
        ).pl()
        near = pl.concat([near, further])
    return near.join(starts, on="symbol", how="semi")


def _known(transaction: Transaction, rows: pl.DataFrame, calendar: pl.Series) -> Known:
    span = f"symbol BETWEEN {rows['symbol'].min()} AND {rows['symbol'].max()}"
    query = transaction.connection.sql
    return Known(
        calendar=calendar,
        factors=query(f"SELECT symbol, date, factor FROM factors WHERE {span}").pl(),
        factors_seen=query(
            "SELECT symbol, (fetched_at AT TIME ZONE 'Asia/Shanghai')::DATE AS \"until\" FROM factors_seen "
            f"WHERE {span}"
        ).pl(),
        names=query(f"SELECT symbol, valid_from, name FROM name_history WHERE {span}").pl(),
        listed=query(f"SELECT symbol, listed FROM instruments WHERE listed IS NOT NULL AND {span}").pl(),
    )
