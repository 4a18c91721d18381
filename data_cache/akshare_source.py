"""Asking akshare, and taking its tables over: the one module that imports it.

``akshare_bars`` (prices, factors, dividends, calendar) and ``akshare_lists`` (companies, names, suspensions)
say what to ask. Ask inside ``with vendors.Transport()``; every failure is a ``vendors.VendorError``.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from data_cache.errors import UnknownSymbol
from data_cache.symbols import Symbol
from data_cache.vendors import Absent, Drift, VendorError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Kinds", "ask", "frame", "prefixed", "with_symbols"]

Kinds = Mapping[str, type[pl.DataType]]


def ask(who: str, name: str, *args: Any, **kwargs: Any) -> pd.DataFrame:
    """Call one function of akshare's.

    Args:
        who: the vendor behind it, for the message.
        name: the function's name.
        args: passed on.
        kwargs: passed on.

    Raises:
        VendorError: what the transport named, or Drift for whatever akshare's parsing raises: it reads an
            answer by position and by name, so any exception of it means that the answer is another one.
    """
    import akshare

    function = getattr(akshare, name)
    if hasattr(function, "cache_clear"):
        function.cache_clear()  # akshare keeps the first answer of a process for good
    try:
        table: pd.DataFrame = function(*args, **kwargs)
    except VendorError as error:
        raise type(error)(f"{who}: {error}") from error
    except Exception as error:
        if "not available" in str(error):  # its own words for an empty table of factors
            raise Absent(f"{who}: has none for {args[0]}") from error
        raise Drift(
            f"{who}: the answer has another shape than akshare knows, or is cut short: {name} fails on it "
            f"with {type(error).__name__}: {str(error)[:120]}"
        ) from error
    return table


def frame(who: str, table: pd.DataFrame, names: Mapping[str, str], kinds: Kinds) -> pl.DataFrame:
    """Take columns over by name.

    Args:
        who: the vendor, for the message.
        table: as akshare gives it; one without columns is an empty answer and stays empty.
        names: our column: theirs. Ours named ``date`` is a date.
        kinds: the types of the other columns: Float64, Date or String.

    Returns:
        Our columns; NaN, dashes and what cannot be read are null; full-width letters and blanks in names are
        made plain.

    Raises:
        Drift: a column is missing.
    """
    kinds = {"date": pl.Date, **kinds}
    if not len(table.columns):
        return pl.DataFrame(schema={name: kinds[name] for name in names})
    if missing := [theirs for theirs in names.values() if theirs not in table.columns]:
        raise Drift(f"{who}: columns {missing} are missing; it has {list(map(str, table.columns))}")
    columns = {
        ours: pl.Series([_value(v, kinds[ours]) for v in table[theirs]], dtype=kinds[ours])
        for ours, theirs in names.items()
    }
    return pl.DataFrame(columns)


def _value(value: Any, kind: type[pl.DataType]) -> Any:
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if kind is pl.String:
        return unicodedata.normalize("NFKC", str(value)).replace(" ", "") or None
    if kind is pl.Date:
        if isinstance(value, dt.datetime):
            return value.date()
        if isinstance(value, dt.date):
            return value
    try:
        return dt.date.fromisoformat(str(value)[:10]) if kind is pl.Date else float(value)
    except ValueError:
        return None


def with_symbols(rows: pl.DataFrame, exchange: str | None) -> pl.DataFrame:
    """Add ``symbol`` from ``code``; codes that are no A-share of this exchange (B-shares) are dropped."""
    known: dict[str, str] = {}
    for code in rows["code"].drop_nulls().unique():
        try:
            symbol = Symbol.parse(code.zfill(6))
        except UnknownSymbol:
            continue
        if exchange in (None, symbol.exchange):
            known[code] = str(symbol)
    return rows.filter(pl.col("code").is_in(list(known))).with_columns(
        pl.col("code").replace_strict(known, return_dtype=pl.String).alias("symbol")
    )


def prefixed(symbol: Symbol) -> str:
    """Sina's and Tencent's spelling: ``sz002837``."""
    return f"{symbol.exchange.lower()}{symbol.code}"
