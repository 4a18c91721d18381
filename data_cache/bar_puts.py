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

import polars as pl

from data_cache.calendar import SHANGHAI_CLOSE, require_within
from data_cache.database import query
from data_cache.integrity import (
    Known,
    amount_in_range,
    board_limit,
    line_up,
    on_calendar,
    sound,
    stale_flat,
)
from data_cache.puts import DISAGREES, NEW, SAME, Transaction, Written, screen, shape
from data_cache.tables import TABLES, between, decode, encode
from data_cache.witness import judge_bars, level_breaks

__all__ = ["put_bars"]

_BARS = TABLES["bars"]
_BLOCK = 400_000  # rows checked at once; more costs memory, fewer time
_FEW = 1000  # symbols named one by one in a query
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
    if not _in_line(rows):
        rows = rows.sort("symbol", "date", maintain_order=True)
    again = (pl.col("symbol") == pl.col("symbol").shift()) & (pl.col("date") == pl.col("date").shift())
    if rows.select(again.any()).item():
        given = rows.height
        rows = rows.unique(maintain_order=True)
        done += Written(unchanged=given - rows.height)
        clash = rows.select(pl.struct("symbol", "date").is_duplicated()).to_series()
        done += _reject(transaction, rows.filter(clash), "duplicate")
        rows = rows.filter(~clash)
    return done, rows


def _in_line(rows: pl.DataFrame) -> bool:
    """Whether the rows of each symbol stand together with dates that do not fall; the order of symbols is free."""
    runs = rows["symbol"].rle().struct.field("value")
    falls = (pl.col("symbol") == pl.col("symbol").shift()) & (pl.col("date") < pl.col("date").shift())
    return runs.n_unique() == len(runs) and not rows.select(falls.any()).item()


def _blocks(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Slices of about ``_BLOCK`` rows that part no symbol."""
    if 0 < rows.height <= _BLOCK:
        yield rows
        return
    start = end = 0
    for length in rows["symbol"].rle().struct.field("len"):
        end += length
        if end - start >= _BLOCK:
            yield rows.slice(start, end - start)
            start = end
    if end > start:
        yield rows.slice(start, end - start)


def _put_block(
    transaction: Transaction,
    rows: pl.DataFrame,
    calendar: pl.Series,
    basis: str,
    provisional: bool | None,
) -> Written:
    done, given = Written(), rows
    verdict = pl.repeat(NEW, rows.height, dtype=pl.Int8, eager=True)  # until compared with what is stored

    def keep(kept: pl.Series, rule: str) -> None:
        nonlocal rows, verdict, done
        if not kept.all():
            done += _reject(transaction, rows.filter(~kept), rule)
            rows, verdict = rows.filter(kept), verdict.filter(kept)

    keep(on_calendar(rows, calendar), "on_calendar")
    if basis == "raw" and rows["amount"].null_count() < rows.height:
        keep(amount_in_range(rows), "amount_in_range")
    if rows.is_empty():
        return done
    tips = _tips(transaction, rows, basis)
    stored = _stored(transaction, rows, tips, basis)
    if stored.height:
        rows = rows.sort("symbol", "date")  # as the line that joins them with the stored bars is
    keep(stale_flat(line_up(rows, stored)), "stale_flat")
    verdict = judge_bars(rows, stored, transaction.source, adjusted=basis != "raw")
    keep(verdict != DISAGREES, "cross_source")
    if basis == "raw":
        known = _known(transaction, rows, calendar)
        keep(~_moved(given, rows, stored), "level")
        # A row that is refused is no reference, the stored bar that stays is: so the rows after it are judged again.
        while not (kept := board_limit(line_up(rows, stored), known)).all():
            after = ~kept.shift(fill_value=True) & (rows["symbol"] == rows["symbol"].shift())
            keep(kept | after, "board_limit")
            keep(~_moved(given, rows, stored), "level")
    elif stored.height:
        keep(~_apart(transaction, given, rows, verdict, stored), "cross_source_level")
    today = _provisional(rows, transaction.fetched_at, provisional)
    for flag in (False, True):
        part = today == flag
        if part.any():
            done += transaction.record(
                _BARS,
                rows if part.all() else rows.filter(part),
                verdict if part.all() else verdict.filter(part),
                constants={"basis": basis},
                provisional=flag,
            )
    if done.inserted + done.revised + done.confirmed:
        _move_tips(transaction, rows, verdict, tips, basis)
    return done


def _moved(given: pl.DataFrame, rows: pl.DataFrame, stored: pl.DataFrame) -> pl.Series:
    """Which rows belong to a symbol of which one was refused and which lies on another level than the stored bars."""
    refused = given.join(rows, on=["symbol", "date"], how="anti")
    both = given.join(refused, on="symbol", how="semi").join(
        stored.filter(~pl.col("_provisional")).select("symbol", "date", "close"),
        on=["symbol", "date"],
        suffix="_stored",
    )
    return rows["symbol"].is_in(level_breaks(both, "close").implode())


def _apart(
    transaction: Transaction,
    given: pl.DataFrame,
    rows: pl.DataFrame,
    verdict: pl.Series,
    stored: pl.DataFrame,
) -> pl.Series:
    """Which rows of adjusted prices are new dates of series that another source began on another level."""
    fresh = rows.filter(verdict == NEW)["symbol"].unique()
    begun = stored.filter(pl.col("symbol").is_in(fresh.implode()))
    others = (
        begun.group_by("symbol")
        .agg(mine=(pl.col("_source") == transaction.source).any())
        .filter(~pl.col("mine"))
    )
    both = given.join(others, on="symbol", how="semi").join(
        stored.select("symbol", "date", "close"), on=["symbol", "date"], how="left", suffix="_stored"
    )
    return (verdict == NEW) & rows["symbol"].is_in(level_breaks(both, "close").implode())


def _provisional(rows: pl.DataFrame, fetched_at: dt.datetime, provisional: bool | None) -> pl.Series:
    local = fetched_at.astimezone(ZoneInfo("Asia/Shanghai"))
    if provisional is None and local.time() < SHANGHAI_CLOSE:
        return rows["date"] == local.date()
    return pl.repeat(bool(provisional), rows.height, dtype=pl.Boolean, eager=True)


def _reject(transaction: Transaction, rows: pl.DataFrame, rule: str) -> Written:
    plain = rows.select(*_BARS.declared().column_names()).with_columns(decode(rows["symbol"]))
    return transaction.quarantine(_BARS, plain.with_columns(rule=pl.lit(rule)))


def _tips(transaction: Transaction, rows: pl.DataFrame, basis: str) -> pl.DataFrame:
    """The last stored bar of each symbol, its source, and ``_before``: the number of bars before it."""
    return query(
        transaction.connection,
        "SELECT symbol, date, open, high, low, close, volume, NULL::DOUBLE AS amount, source AS _source, "
        "false AS _provisional, before AS _before FROM bar_tips WHERE "
        f"basis = '{basis}' AND {between('symbol', rows['symbol'])}",
    )


def _stored(transaction: Transaction, rows: pl.DataFrame, tips: pl.DataFrame, basis: str) -> pl.DataFrame:
    """The stored bars that rows may meet or follow.

    Of a symbol whose rows all lie after its last bar, that bar; of others, those of the rows' dates and the last
    ones before; of a symbol without bars, none.
    """
    starts = rows.group_by("symbol").agg(first=pl.col("date").min())
    met = tips.join(starts, on="symbol")
    after = met.filter(pl.col("first") > pl.col("date")).select(tips.columns)
    meets = met.filter(pl.col("first") <= pl.col("date"))
    if meets.is_empty():
        return after
    first, last = meets["first"].min(), rows["date"].max()
    assert isinstance(first, dt.date)
    assert isinstance(last, dt.date)
    select = (
        "SELECT t.* EXCLUDE (basis, put), p.source AS _source, p.provisional AS _provisional, 0::BIGINT AS _before "
        f"FROM bars t JOIN puts p USING (put) WHERE t.basis = '{basis}' AND "
    )
    connection = transaction.connection
    near = query(
        connection,
        f"{select} {_among(meets['symbol'])} AND t.date BETWEEN DATE '{first - _LOOK_BACK}' AND DATE '{last}'",
    )
    near = near.join(meets, on="symbol", how="semi")
    preceded = near.join(starts, on="symbol").filter(pl.col("date") < pl.col("first"))["symbol"].unique()
    rare = meets.filter(~pl.col("symbol").is_in(preceded.implode()))["symbol"]
    if 0 < rare.len() <= _FEW:  # did not trade for weeks before; or the rows reach back to its first bar
        before = query(
            connection,
            f"{select} {_among(rare)} AND t.date < DATE '{first - _LOOK_BACK}' "
            "QUALIFY row_number() OVER (PARTITION BY t.symbol ORDER BY t.date DESC) <= 5",
        )
        near = pl.concat([near, before])
    return pl.concat([after, near.select(after.columns)])


def _among(symbols: pl.Series) -> str:
    if len(symbols) <= _FEW:
        return f"t.symbol IN ({', '.join(map(str, symbols))})"
    return f"t.{between('symbol', symbols)}"


def _move_tips(
    transaction: Transaction, rows: pl.DataFrame, verdict: pl.Series, tips: pl.DataFrame, basis: str
) -> None:
    """Keep ``bar_tips``: the last bar of each symbol, so that a day's rows need not search the whole table."""
    values = ["date", "open", "high", "low", "close", "volume"]
    stored = rows.with_columns(new=verdict == NEW).filter((verdict != SAME) & (verdict != DISAGREES))
    moved = (
        stored.group_by("symbol")
        .agg(pl.col(values).last(), added=pl.col("new").sum().cast(pl.Int64))
        .join(tips.select("symbol", *values, "_before", "_source"), on="symbol", how="left", suffix="_tip")
    )
    behind = (pl.col("date") < pl.col("date_tip")).fill_null(value=False)  # the last bar stays the last
    moved = moved.select(
        "symbol",
        pl.lit(basis).alias("basis"),
        *(pl.when(behind).then(f"{name}_tip").otherwise(name).alias(name) for name in values),
        before=pl.col("_before").fill_null(-1) + pl.col("added"),
        source=pl.when(behind).then("_source").otherwise(pl.lit(transaction.source)),
    )
    connection = transaction.connection
    connection.register("_moved", moved)
    connection.execute(
        "DELETE FROM bar_tips t USING _moved m WHERE t.symbol = m.symbol AND t.basis = m.basis"
    )
    connection.execute("INSERT INTO bar_tips SELECT * FROM _moved")
    connection.unregister("_moved")


def _known(transaction: Transaction, rows: pl.DataFrame, calendar: pl.Series) -> Known:
    span = between("symbol", rows["symbol"])
    connection = transaction.connection
    return Known(
        calendar=calendar,
        factors=query(connection, f"SELECT symbol, date, factor FROM factors WHERE {span}"),
        factors_seen=query(
            connection,
            "SELECT symbol, (fetched_at AT TIME ZONE 'Asia/Shanghai')::DATE AS \"until\" FROM factors_seen "
            f"WHERE {span}",
        ),
        names=query(connection, f"SELECT symbol, valid_from, name FROM name_history WHERE {span}"),
        listed=query(
            connection, f"SELECT symbol, listed FROM instruments WHERE listed IS NOT NULL AND {span}"
        ),
    )
