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
    return _series(store, until, since).drop("code", "lower", "upper", "broken")


def gaps(store: Store, *, until: dt.date, since: dt.date | None = None) -> pl.DataFrame:
    """The runs of sessions that are missing; arguments as of ``coverage``.

    Returns:
        symbol, basis, start, end (sessions, inclusive), sessions (their number), ordered.
    """
    lacking = _series(store, until, since).filter(pl.col("missing") > 0)
    if lacking.is_empty():
        return lacking.select(
            "symbol", "basis", start="first", end="last", sessions=pl.col("missing").cast(pl.Int64)
        )
    calendar = pl.DataFrame({"date": store.calendar()}).with_row_index("session")
    broken = lacking.filter("broken")
    bars, idle = (rows_at(TABLES[name], store.put) for name in ("bars", "suspensions"))
    with reading(store.path) as connection:
        connection.register("_broken", broken.select("code", "basis"))
        have = query(
            connection,
            f"SELECT symbol AS code, b.basis::VARCHAR AS basis, date FROM {bars} b "
            "JOIN _broken s ON s.code = b.symbol AND s.basis = b.basis",
        )
        suspended = query(connection, f"SELECT symbol AS code, date FROM {idle}")
    # Only a series with holes between its bars needs them looked at; the others lack a head or a tail.
    expected = lacking.select(
        "code", "symbol", "basis", "first", "last", "lower", "upper", "broken"
    ).join_where(calendar, pl.col("date") >= pl.col("lower"), pl.col("date") <= pl.col("upper"))
    missing = (
        expected.filter(pl.col("broken") | ~pl.col("date").is_between("first", "last"))
        .join(have, on=["code", "basis", "date"], how="anti")
        .join(suspended, on=["code", "date"], how="anti")
        .sort("symbol", "basis", "date")
    )
    begins = (pl.col("session").diff() != 1) | (pl.struct("symbol", "basis").rle_id().diff() != 0)
    return (
        missing.group_by(begins.fill_null(value=True).cum_sum().alias("run"), maintain_order=True)
        .agg(
            pl.col("symbol", "basis").first(),
            start=pl.col("date").first(),
            end=pl.col("date").last(),
            sessions=pl.len().cast(pl.Int64),
        )
        .drop("run")
    )


def _series(store: Store, until: dt.date, since: dt.date | None) -> pl.DataFrame:
    """Coverage with each series' stored integer, its expected range and whether it is broken between its bars."""
    at = {name: rows_at(TABLES[name], store.put) for name in ("bars", "suspensions", "instruments")}
    low = since or dt.date(1900, 1, 1)
    with reading(store.path) as connection:
        found = query(
            connection,
            f"""
            WITH by_put AS (
                SELECT symbol, basis, put, min(date) AS first, max(date) AS last, count(*) AS bars
                FROM {at["bars"]} GROUP BY ALL
            ), held AS (
                SELECT symbol, basis, min(first) AS first, max(last) AS last, sum(bars)::BIGINT AS bars,
                    list_sort(list(DISTINCT source)) AS sources
                FROM by_put JOIN puts USING (put) GROUP BY ALL
            ), span AS (
                SELECT h.*, i.name, greatest(coalesce(i.listed, h.first), DATE '{low}') AS lower,
                    least(coalesce(i.delisted - 1, DATE '{until}'), DATE '{until}') AS upper
                FROM held h LEFT JOIN {at["instruments"]} i USING (symbol)
            ), cut AS (  -- series of which some bars lie outside the expected range
                SELECT s.symbol, s.basis, count(*) AS inside
                FROM span s JOIN {at["bars"]} b ON b.symbol = s.symbol AND b.basis = s.basis
                    AND b.date BETWEEN s.lower AND s.upper
                WHERE s.lower > s.first OR s.upper < s.last GROUP BY ALL
            ), idle AS (
                SELECT s.symbol, s.basis, count(*) FILTER (u.date BETWEEN s.lower AND s.upper) AS idle,
                    count(*) FILTER (u.date BETWEEN s.first AND s.last) AS idle_between
                FROM span s JOIN {at["suspensions"]} u ON u.symbol = s.symbol
                ANTI JOIN {at["bars"]} b ON b.symbol = s.symbol AND b.basis = s.basis AND b.date = u.date
                GROUP BY ALL
            )
            SELECT symbol AS code, name, basis::VARCHAR AS basis, sources, first, last, bars,
                coalesce(idle, 0) AS suspended, lower, upper, coalesce(idle_between, 0) AS between_bars,
                CASE WHEN lower > first OR upper < last THEN coalesce(inside, 0) ELSE bars END AS inside
            FROM span LEFT JOIN cut USING (symbol, basis) LEFT JOIN idle USING (symbol, basis)
            ORDER BY symbol, basis::VARCHAR
            """,
        )
    calendar = store.calendar()

    def sessions(start: str, end: str) -> pl.Series:
        until_end = calendar.search_sorted(found[end], "right").cast(pl.Int64)
        return (until_end - calendar.search_sorted(found[start]).cast(pl.Int64)).clip(0)

    # Bars and suspensions lie on sessions only (on_calendar), so counting them is counting sessions.
    return found.select(
        decode(found["code"]).alias("symbol"),
        pl.col("name", "basis", "sources", "first", "last", "bars", "suspended"),
        missing=sessions("lower", "upper") - found["inside"] - found["suspended"],
        broken=sessions("first", "last") > found["bars"] + found["between_bars"],
        code="code",
        lower="lower",
        upper="upper",
    )
