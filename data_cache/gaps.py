"""What the store does not know: sessions without a bar and without a suspension, per symbol and basis.

A symbol is expected on every session from its listing (where the listing date is not known, from its first bar)
to the last closed session, or to the day before its delisting. The generated sample market ends where it ends.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl

from data_cache.calendar import last_closed_session
from data_cache.database import query, reading
from data_cache.errors import NoData
from data_cache.tables import TABLES, decode, rows_at

if TYPE_CHECKING:
    from data_cache.store import Store

__all__ = ["coverage", "gaps", "last_session"]


def last_session(store: Store, now: dt.datetime) -> dt.date | None:
    """The last session the store is expected to cover at ``now`` (aware); None where nothing is expected.

    Past the calendar's end this is the calendar's last session.
    """
    if store.is_sample:
        with reading(store.path) as connection:
            rows = connection.execute(
                f"SELECT max(date) FROM {rows_at(TABLES['bars'], store.put)}"
            ).fetchall()
        return rows[0][0]  # type: ignore[no-any-return]
    calendar = store.calendar()
    try:
        return last_closed_session(calendar, now)
    except NoData:
        return None if calendar.is_empty() else calendar[-1]


def coverage(store: Store, *, until: dt.date, since: dt.date | None = None) -> pl.DataFrame:
    """One row per symbol and basis.

    Args:
        store: any.
        until: the last session that is expected, inclusive.
        since: sessions before it are not counted as missing.

    Returns:
        symbol, name, basis, sources, first, last (bars), bars, suspended and missing (sessions in the expected
        range), ordered by symbol and basis.
    """
    at = {
        name: rows_at(TABLES[name], store.put) for name in ("bars", "suspensions", "instruments", "calendar")
    }
    low = since or dt.date(1900, 1, 1)
    with reading(store.path) as connection:
        found = query(
            connection,
            f"""
            WITH held AS (
                SELECT symbol, basis, min(date) AS first, max(date) AS last, count(*) AS bars,
                    list_sort(list(DISTINCT p.source)) AS sources
                FROM {at["bars"]} b JOIN puts p USING (put) GROUP BY ALL
            ), span AS (
                SELECT h.*, i.name, greatest(coalesce(i.listed, h.first), DATE '{low}') AS lower,
                    least(coalesce(i.delisted - 1, DATE '{until}'), DATE '{until}') AS upper
                FROM held h LEFT JOIN {at["instruments"]} i USING (symbol)
            ), inside AS (
                SELECT s.symbol, s.basis, count(*) AS inside FROM span s JOIN {at["bars"]} b
                    ON b.symbol = s.symbol AND b.basis = s.basis AND b.date BETWEEN s.lower AND s.upper
                GROUP BY ALL
            ), idle AS (
                SELECT s.symbol, s.basis, count(*) AS idle FROM span s JOIN {at["suspensions"]} u
                    ON u.symbol = s.symbol AND u.date BETWEEN s.lower AND s.upper
                ANTI JOIN {at["bars"]} b ON b.symbol = s.symbol AND b.basis = s.basis AND b.date = u.date
                GROUP BY ALL
            )
            SELECT symbol, name, basis::VARCHAR AS basis, sources, first, last, bars,
                coalesce(idle, 0) AS suspended, coalesce(inside, 0) AS inside, lower, upper
            FROM span LEFT JOIN inside USING (symbol, basis) LEFT JOIN idle USING (symbol, basis)
            ORDER BY symbol, basis
            """,
        )
    calendar = store.calendar()
    sessions = calendar.search_sorted(found["upper"], "right").cast(pl.Int64) - calendar.search_sorted(
        found["lower"]
    ).cast(pl.Int64)
    # Bars and suspensions lie on sessions only (on_calendar), so counting them is counting sessions.
    missing = sessions.clip(0) - found["inside"] - found["suspended"]
    return found.with_columns(decode(found["symbol"]), missing=missing).drop("inside", "lower", "upper")


def gaps(store: Store, *, until: dt.date, since: dt.date | None = None) -> pl.DataFrame:
    """The runs of sessions that are missing.

    Returns:
        symbol, basis, start, end (sessions, inclusive), sessions (their number), ordered.
    """
    lacking = coverage(store, until=until, since=since).filter(pl.col("missing") > 0)
    instruments = store.instruments(lacking["symbol"].unique().to_list()).select(
        "symbol", "listed", "delisted"
    )
    calendar = pl.DataFrame({"date": store.calendar()}).with_row_index("session")
    idle = store.suspensions(lacking["symbol"].unique().to_list()).select("symbol", "date")
    parts = []
    for (basis,), few in lacking.group_by("basis", maintain_order=True):
        have = store.bars(few["symbol"], end=until, basis=str(basis)).select("symbol", "date")
        expected = (
            few.join(instruments, on="symbol", how="left", maintain_order="left")
            .select(
                "symbol",
                lower=pl.max_horizontal(pl.coalesce("listed", "first"), pl.lit(since, dtype=pl.Date)),
                upper=pl.min_horizontal(pl.col("delisted").dt.offset_by("-1d"), pl.lit(until)),
            )
            .join_where(calendar, pl.col("date") >= pl.col("lower"), pl.col("date") <= pl.col("upper"))
        )
        missing = expected.join(pl.concat([have, idle]), on=["symbol", "date"], how="anti").sort(
            "symbol", "date"
        )
        run = ((pl.col("session").diff() != 1) | (pl.col("symbol") != pl.col("symbol").shift())).fill_null(
            value=True
        )
        parts.append(
            missing.with_columns(run=run.cum_sum())
            .group_by("run", maintain_order=True)
            .agg(
                pl.col("symbol").first(),
                pl.lit(str(basis)).first().alias("basis"),
                start=pl.col("date").first(),
                end=pl.col("date").last(),
                sessions=pl.len().cast(pl.Int64),
            )
            .drop("run")
        )
    empty = pl.DataFrame(
        schema={
            "symbol": pl.String,
            "basis": pl.String,
            "start": pl.Date,
            "end": pl.Date,
            "sessions": pl.Int64,
        }
    )
    return pl.concat([empty, *parts]).sort("symbol", "basis", "start")
