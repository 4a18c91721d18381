"""Cells of a file as numbers, dates, instants and symbols; one that cannot be read refuses the file, named.

Every function takes a ``RawTable`` and one of its headings and gives a series as long as the table. Null is
"not known": an empty cell, ``None``, ``-``, ``NaN`` and their like.
"""

from __future__ import annotations

import polars as pl

from data_cache.errors import UnknownSymbol, UsageError
from data_cache.rawtable import PLACE, RawTable
from data_cache.symbols import Symbol

__all__ = ["dates", "flags", "instants", "is_index", "known_symbol", "numbers", "symbols", "texts"]

_NULLS = [
    "",
    "None",
    "none",
    "null",
    "NULL",
    "NaN",
    "nan",
    "NA",
    "N/A",
    "#N/A",
    "<NA>",
    "NaT",
    "-",
    "--",
    "—",
]
_GROUPED = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"  # 1,234,567.89
_COMPACT = r"^(\d{4})(\d{2})(\d{2})(?:\.0)?$"
_SEPARATED = r"^(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$"
_INDEX = r"^(000\d{3}\.SH|399\d{3}\.SZ|899\d{3}\.BJ)$"


def is_index(symbol: pl.Expr) -> pl.Expr:
    """Whether a symbol is an index: 000xxx in Shanghai, 399xxx in Shenzhen, 899xxx in Beijing.

    Reference: the exchanges' code tables; 000300.SH is the CSI 300, 000300 in Shenzhen would be a stock.
    """
    return symbol.str.contains(_INDEX)


def texts(raw: RawTable, heading: str) -> pl.Series:
    """The cells as trimmed text.

    Raises:
        UsageError: a Parquet column of a type that is no text, number or time, e.g. a list.
    """
    cells = raw.frame.get_column(heading)
    if cells.dtype.is_nested() or cells.dtype in (pl.Binary, pl.Duration, pl.Object):
        raise UsageError(
            f"{raw.path.name}: column {heading!r} holds {cells.dtype} cells; export it as text or numbers"
        )
    text = cells if cells.dtype == pl.String else cells.cast(pl.String, strict=False)
    text = text.str.strip_chars()
    return text.set(text.is_in(_NULLS), None)


def numbers(raw: RawTable, heading: str) -> pl.Series:
    """The cells as floats; ``1,234.5`` is read, ``12%``, ``3万`` and infinity are refused."""
    cells = raw.frame.get_column(heading)
    if cells.dtype.is_numeric():
        value = cells.cast(pl.Float64).fill_nan(None)
        raw.refuse(value.is_infinite(), heading, "a finite number")
        return value
    text = texts(raw, heading)
    plain = pl.select(
        pl.when(text.str.contains(_GROUPED)).then(text.str.replace_all(",", "", literal=True)).otherwise(text)
    ).to_series()
    value = plain.cast(pl.Float64, strict=False)
    raw.refuse(text.is_not_null() & ~value.is_finite().fill_null(value=False), heading, "a number")
    return value


def dates(raw: RawTable, heading: str, *, required: bool = True) -> pl.Series:
    """The cells as dates: ``2024-01-02``, ``20240102``, ``2024/1/2``, ``2024年1月2日``; a time is dropped."""
    cells = raw.frame.get_column(heading)
    if cells.dtype == pl.Date:
        value = cells
    elif isinstance(cells.dtype, pl.Datetime):
        zoned = cells.dt.convert_time_zone("Asia/Shanghai") if cells.dtype.time_zone else cells
        value = zoned.dt.date()
    else:
        text = texts(raw, heading)
        value = _date_of(text)
        raw.refuse(text.is_not_null() & value.is_null(), heading, "a date such as 2024-01-02 or 20240102")
    if required:
        raw.refuse(value.is_null(), heading, "a date such as 2024-01-02 or 20240102")
    return value


def _date_of(text: pl.Series) -> pl.Series:
    compact = text.str.extract_groups(_COMPACT)
    separated = text.str.extract_groups(_SEPARATED)
    parts = pl.DataFrame({"compact": compact, "separated": separated})
    spelt = [
        pl.concat_str(
            pl.col(form).struct.field("1"),
            pl.col(form).struct.field("2").str.zfill(2),
            pl.col(form).struct.field("3").str.zfill(2),
        )
        for form in ("compact", "separated")
    ]
    return parts.select(pl.coalesce(spelt).str.to_date("%Y%m%d", strict=False)).to_series()


def instants(raw: RawTable, heading: str) -> pl.Series:
    """The cells as Shanghai instants: ISO 8601 with a zone, or a date alone, which means its 15:00 in Shanghai.

    A date without a time counts as after that day's close, so that no one trades on it before it was known. A
    time without a zone is refused: taken as Shanghai's, one of UTC would be known eight hours early.
    """
    cells = raw.frame.get_column(heading)
    target = pl.Datetime("us", "Asia/Shanghai")
    if isinstance(cells.dtype, pl.Datetime):
        value = (
            cells.dt.convert_time_zone("Asia/Shanghai").cast(target)
            if cells.dtype.time_zone
            else pl.Series([None] * len(cells), dtype=target)
        )
    else:
        text = texts(raw, heading)
        day = _date_of(text.set(text.str.contains(":"), None))
        frame = pl.DataFrame({"text": text, "day": day})
        zoned = pl.col("text").str.replace(r"Z$", "+00:00").str.replace("T", " ")
        forms = [
            zoned.str.to_datetime(form, time_unit="us", time_zone="Asia/Shanghai", strict=False)
            for form in ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z")
        ]
        close = (pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=15)).dt.replace_time_zone(
            "Asia/Shanghai"
        )
        value = frame.select(pl.coalesce(*forms, close)).to_series()
    raw.refuse(
        value.is_null(), heading, "an instant with its zone such as 2024-01-02T08:30:00+08:00, or a date"
    )
    return value


def flags(raw: RawTable, heading: str) -> pl.Series:
    """The cells as truth values: true/false, 1/0, 是/否, yes/no, tushare's S (suspended) / R (resumed)."""
    cells = raw.frame.get_column(heading)
    if cells.dtype == pl.Boolean:
        return cells
    text = texts(raw, heading).str.to_lowercase()
    words = {"true": True, "1": True, "1.0": True, "是": True, "yes": True, "s": True} | {
        "false": False, "0": False, "0.0": False, "否": False, "no": False, "r": False,
    }  # fmt: skip
    value = text.replace_strict(words, default=None, return_dtype=pl.Boolean)
    raw.refuse(text.is_not_null() & value.is_null(), heading, "true or false")
    return value


def symbols(raw: RawTable, heading: str) -> pl.Series:
    """The cells as ``002837.SZ``; an integer column's lost leading zeros are put back.

    Raises:
        UnknownSymbol: a text that is no A-share stock and no index; names the first place it stands in.
        IntegrityError: an empty cell.
    """
    cells = raw.frame.get_column(heading)
    text = texts(raw, heading)
    if cells.dtype.is_integer():
        text = text.str.zfill(6)
    raw.refuse(text.is_null(), heading, "a symbol such as 002837.SZ")
    parsed: dict[str, str] = {}
    for spelling in text.unique(maintain_order=True):
        try:
            parsed[spelling] = known_symbol(spelling)
        except UnknownSymbol as error:
            place = raw.frame.get_column(PLACE).filter(text == spelling)[0]
            raise UnknownSymbol(
                f"{raw.path.name}, {raw.place} {place}, column {heading!r}: {error}; nothing was stored"
            ) from None
    return text.replace_strict(parsed, return_dtype=pl.String)


def known_symbol(text: str) -> str:
    """``Symbol.parse``, and the code must belong to its exchange: ``600519.SZ`` names nothing.

    Raises:
        UnknownSymbol: it is neither an A-share stock nor an index.
    """
    symbol = Symbol.parse(text)
    if not pl.select(is_index(pl.lit(str(symbol)))).item():
        try:
            home = Symbol.parse(symbol.code)
        except UnknownSymbol:
            home = None
        if home != symbol:
            raise UnknownSymbol(
                f"{text!r} names no A-share stock or index: {symbol.exchange} has no stock {symbol.code}"
                + (f"; did you mean {home}?" if home else "")
            )
    return str(symbol)
