"""Companies, their names and their suspensions from the exchanges and Eastmoney, through akshare."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import polars as pl

from data_cache.akshare_source import Kinds, ask, frame, with_symbols
from data_cache.vendors import Absent, Drift

__all__ = ["EXCHANGES", "delisted", "listed", "name_changes", "suspensions"]

EXCHANGES = {"SH": "sse", "SZ": "szse", "BJ": "bse"}
"""The exchanges' suffixes, and the names the store records as sources."""
_LISTED = {
    "SH": ("stock_info_sh_name_code", ("主板A股", "科创板"), ("证券代码", "证券简称", "上市日期")),
    "SZ": ("stock_info_sz_name_code", ("A股列表",), ("A股代码", "A股简称", "A股上市日期")),
    "BJ": ("stock_info_bj_name_code", (None,), ("证券代码", "证券简称", "上市日期")),
}
_DELISTED = {
    "SH": ("stock_info_sh_delist", ("全部",), ("公司代码", "公司简称", "上市日期", "暂停上市日期")),
    "SZ": ("stock_info_sz_delist", ("终止上市公司",), ("证券代码", "证券简称", "上市日期", "终止上市日期")),
}


def listed(exchange: str) -> pl.DataFrame:
    """Today's A-shares of ``SH``, ``SZ`` or ``BJ``: symbol, name, listed; sorted by symbol."""
    return _companies(exchange, *_LISTED[exchange])


def delisted(exchange: str) -> pl.DataFrame:
    """A-shares that left ``SH`` or ``SZ``: symbol, name, listed, delisted; ``BJ`` publishes none."""
    return _companies(exchange, *_DELISTED[exchange])


def _companies(
    exchange: str, function: str, lists: tuple[str | None, ...], theirs: tuple[str, ...]
) -> pl.DataFrame:
    who = EXCHANGES[exchange]
    names = dict(zip(("code", "name", "listed", "delisted"), theirs, strict=False))
    kinds: Kinds = {"code": pl.String, "name": pl.String, "listed": pl.Date, "delisted": pl.Date}
    parts = []
    for which in lists:
        part = frame(who, ask(who, function, *([which] if which else [])), names, kinds)
        if part.is_empty():
            raise Drift(f"{who}: an empty list of companies ({which or function})")
        parts.append(part)
    columns = [name for name in names if name != "code"]
    return with_symbols(pl.concat(parts), exchange).select("symbol", *columns).unique("symbol").sort("symbol")


def name_changes() -> pl.DataFrame:
    """Shenzhen's dated changes of short names: symbol, date, before, after; sorted."""
    names = {"date": "变更日期", "code": "证券代码", "before": "变更前简称", "after": "变更后简称"}
    kinds: Kinds = {"code": pl.String, "before": pl.String, "after": pl.String}
    rows = frame("szse", ask("szse", "stock_info_sz_change_name", "简称变更"), names, kinds)
    return (
        with_symbols(rows.drop_nulls(), "SZ")
        .select("symbol", "date", "before", "after")
        .sort("symbol", "date", maintain_order=True)
    )


def suspensions(day: dt.date, sessions: Iterable[dt.date]) -> pl.DataFrame:
    """Full sessions without trading, as Eastmoney tells them on one day.

    Args:
        day: the day asked about; a spell still running on it is told from its first session up to ``day``.
        sessions: the trading calendar.

    Returns:
        ``schemas.Suspensions``, sorted. Halts within a session are left out.
    """
    names = {
        "date": "停牌时间",
        "code": "代码",
        "until": "停牌截止时间",
        "span": "停牌期限",
        "reason": "停牌原因",
    }
    kinds: Kinds = {"code": pl.String, "until": pl.Date, "span": pl.String, "reason": pl.String}
    try:
        table = ask("eastmoney", "stock_tfp_em", f"{day:%Y%m%d}")
    except Absent:
        return pl.DataFrame(schema={"symbol": pl.String, "date": pl.Date, "reason": pl.String})
    within_a_session = pl.col("span").fill_null("").str.contains("盘中", literal=True)
    spells = with_symbols(frame("eastmoney", table, names, kinds), None).filter(~within_a_session)
    days = pl.DataFrame({"session": [s for s in sessions if s <= day]}, schema={"session": pl.Date})
    return (
        spells.join_where(days, pl.col("session") >= pl.col("date"))
        .filter(pl.col("session") <= pl.col("until").fill_null(day))
        .select("symbol", pl.col("session").alias("date"), "reason")
        .unique(["symbol", "date"], keep="first", maintain_order=True)
        .sort("symbol", "date")
    )
