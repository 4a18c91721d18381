"""Prices, factors, dividends and the calendar from akshare, in our columns and units.

What is mended on the way, because akshare 1.19 passes it on as it comes:

1. Volume: Eastmoney counts lots of 100, Sina shares, and akshare multiplies Tencent's by 100 except for some
   prefixes (``sz000`` among them, wrongly). The unit is therefore told from the data (``_in_shares``).
2. Sina's share counts are joined into the bars and filled forward, which makes bars on days that had none;
   then every bar equal to an earlier one is dropped. Asking for the whole history and slicing it here leaves
   only copies off the calendar, which are dropped, and loses only bars without volume.
3. Tencent is asked once per year up to now, unless the dates are written with dashes.
4. Factors come as text, newest first, down to a row dated 1900-01-01.
5. Dividends are per ten shares.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from data_cache.akshare_source import Kinds, ask, frame, prefixed
from data_cache.calendar import FIRST_SESSION
from data_cache.symbols import Symbol
from data_cache.vendors import Absent, Drift

__all__ = [
    "INDICES",
    "PROVIDERS",
    "Fetched",
    "bars",
    "calendar",
    "corporate_actions",
    "factors",
    "index_bars",
]

PROVIDERS = {"em": "eastmoney", "tx": "tencent", "sina": "sina"}
"""Who serves raw bars: the short name a command takes, and the name the store records."""
INDICES = ("000300.SH", "000905.SH", "000852.SH", "399006.SZ")

_PRICES: Kinds = dict.fromkeys(("open", "high", "low", "close"), pl.Float64)
_BARS: Kinds = {**_PRICES, "volume": pl.Float64, "amount": pl.Float64}
_ENGLISH = {name: name for name in ("date", *_BARS)}
_CHINESE = dict(zip(_ENGLISH, ("日期", "开盘", "最高", "最低", "收盘", "成交量", "成交额"), strict=True))
_SCALES = (1.0, 100.0, 0.01)
_SLACK = 0.02  # odd lots, and cents on a price of one yuan
_MOST = 0.8  # of the bars must agree on a unit, and be ordered: below it, columns have moved


@dataclass(frozen=True, slots=True, eq=False)  # eq: it holds a frame
class Fetched:
    """Raw bars of one symbol from one vendor.

    Args:
        frame: the columns of ``schemas.Bars``, sorted by date; amount null where the vendor has none. Bars
            without volume are in it: the store records them as suspensions.
        made_up: bars left out because Sina has them on days that are no sessions.
        scale: what akshare's volume was multiplied by.
    """

    frame: pl.DataFrame
    made_up: int
    scale: float


def bars(
    provider: str, symbol: Symbol, start: dt.date, end: dt.date, sessions: Collection[dt.date]
) -> Fetched:
    """Raw daily bars.

    Args:
        provider: a key of ``PROVIDERS``.
        symbol: whose.
        start: first date, inclusive.
        end: last date, inclusive.
        sessions: the trading calendar.

    Raises:
        VendorError: see ``data_cache.vendors``; Absent where the vendor does not know the symbol.
    """
    who = PROVIDERS[provider]
    if provider == "em":
        table = ask(who, "stock_zh_a_hist", symbol.code, "daily", f"{start:%Y%m%d}", f"{end:%Y%m%d}", "")
    elif provider == "tx":
        table = ask(who, "stock_zh_a_hist_tx", prefixed(symbol), str(start), str(end), "")
    else:
        table = ask(who, "stock_zh_a_daily", prefixed(symbol), "19900101", f"{end:%Y%m%d}", "")
    rows = frame(who, table, _CHINESE if provider == "em" else _ENGLISH, _BARS)
    _require_order(who, rows)
    rows, scale = _in_shares(who, rows, usual=100.0 if provider == "em" else 1.0)
    asked = rows.filter(pl.col("date").is_between(start, end))
    kept = asked.filter(pl.col("date").is_in(list(sessions))) if provider == "sina" else asked
    named = kept.select(
        pl.lit(str(symbol)).alias("symbol"), "date", *_PRICES,
        pl.col("volume").round().cast(pl.Int64),
        pl.when(pl.col("amount") > 0).then(pl.col("amount").round(2)),
    )  # fmt: skip
    return Fetched(named.sort("date"), made_up=asked.height - kept.height, scale=scale)


def factors(symbol: Symbol, *, listed: dt.date | None, until: dt.date) -> pl.DataFrame:
    """Sina's backward-adjustment factors, scaled to 1.0 at listing.

    Args:
        symbol: whose.
        listed: listing date, for the first row; the exchanges' first session where unknown.
        until: later ex-dates are left out: an announced one may still move.

    Returns:
        ``schemas.Factors``, sorted by date.
    """
    table = ask("sina", "stock_zh_a_daily", prefixed(symbol), adjust="hfq-factor")
    rows = frame("sina", table, {"date": "date", "factor": "hfq_factor"}, {"factor": pl.Float64}).sort("date")
    if not (rows["factor"] > 0).fill_null(value=False).all() or rows["date"].null_count():
        raise Drift("sina: a row of adjustment factors has no date or no positive factor")
    base = rows["factor"][0] if rows["date"][0] < FIRST_SESSION else 1.0
    first = pl.DataFrame({"date": [listed or FIRST_SESSION], "factor": [1.0]})
    later = rows.filter((pl.col("date") > first["date"][0]) & (pl.col("date") <= until))
    return pl.concat([first, later.with_columns(pl.col("factor") / base)]).select(
        pl.lit(str(symbol)).alias("symbol"), "date", "factor"
    )


def corporate_actions(symbol: Symbol) -> pl.DataFrame:
    """Eastmoney's dividends, bonus and transfer shares with an ex-date, per share; empty where none.

    Returns:
        ``schemas.CorporateActions``; two payments of one day are one row.
    """
    names = {
        "date": "除权除息日",
        "cash": "现金分红-现金分红比例",
        "bonus": "送转股份-送股比例",
        "transfer": "送转股份-转股比例",
        "record_date": "股权登记日",
        "announced_on": "最新公告日期",
    }
    amounts = dict.fromkeys(("cash", "bonus", "transfer"), pl.Float64)
    kinds: Kinds = {**amounts, "record_date": pl.Date, "announced_on": pl.Date}
    try:
        table = ask("eastmoney", "stock_fhps_detail_em", symbol.code)
    except Absent:
        rows = pl.DataFrame(schema={"date": pl.Date, **kinds})
    else:
        rows = frame("eastmoney", table, names, kinds)
    return (
        rows.filter(pl.col("date").is_not_null())
        .group_by(pl.col("date").alias("ex_date"))
        .agg(pl.col(*amounts).fill_null(0.0).sum() / 10, pl.col("record_date", "announced_on").max())
        .filter(pl.sum_horizontal(*amounts) > 0)
        .select(pl.lit(str(symbol)).alias("symbol"), "ex_date", *kinds)
        .sort("ex_date")
    )


def index_bars(provider: str, symbol: Symbol, start: dt.date, end: dt.date) -> pl.DataFrame:
    """Daily bars of an index from ``em`` or ``sina`` (``schemas.IndexBars``; volume in shares), sorted."""
    who = PROVIDERS[provider]
    if provider == "em":
        span = (f"{start:%Y%m%d}", f"{end:%Y%m%d}")
        table = ask(who, "stock_zh_index_daily_em", prefixed(symbol), *span)
    else:
        table = ask(who, "stock_zh_index_daily", prefixed(symbol))
    wanted: Kinds = {**_PRICES, "volume": pl.Float64}
    rows = frame(who, table, {name: name for name in ("date", *wanted)}, wanted)
    _require_order(who, rows)
    lot = 100 if provider == "em" else 1
    volume = (pl.col("volume") * lot).round().cast(pl.Int64)
    return (
        rows.filter(pl.col("date").is_between(start, end))
        .select(pl.lit(str(symbol)).alias("symbol"), "date", *_PRICES, volume)
        .sort("date")
    )


def calendar() -> pl.Series:
    """Sina's trading sessions, sorted, to the end of the last year it has."""
    days = frame("sina", ask("sina", "tool_trade_date_hist_sina"), {"date": "trade_date"}, {})["date"]
    if days.is_empty() or days.null_count():
        raise Drift("sina: the trading calendar holds no dates")
    return days.unique().sort()


def _require_order(who: str, rows: pl.DataFrame) -> None:
    """A few bad rows are the store's to quarantine; many mean that columns have changed places."""
    low, high = pl.min_horizontal("open", "close"), pl.max_horizontal("open", "close")
    ordered = (pl.col("low") <= low) & (pl.col("high") >= high) & pl.col("date").is_not_null()
    if rows.height and rows.select(ordered.fill_null(value=False).mean()).item() < _MOST:
        raise Drift(
            f"{who}: most bars break low <= open, close <= high; its columns have changed places or meaning"
        )


def _in_shares(who: str, rows: pl.DataFrame, *, usual: float) -> tuple[pl.DataFrame, float]:
    """Volume in shares: the scale under which amount / volume lies inside [low, high] on most days."""
    known = rows.filter((pl.col("volume") > 0) & (pl.col("amount") > 0))
    scale = usual
    if known.height:
        price = pl.col("amount") / pl.col("volume")
        low, high = pl.col("low") * (1 - _SLACK), pl.col("high") * (1 + _SLACK)
        fits = {s: known.select((price / s).is_between(low, high).mean()).item() or 0.0 for s in _SCALES}
        scale = max(fits, key=lambda s: fits[s])
        if fits[scale] < _MOST:
            raise Drift(
                f"{who}: amount / volume lies outside [low, high] on most days: other units, or adjusted prices"
            )
    return rows.with_columns(pl.col("volume") * scale), scale
