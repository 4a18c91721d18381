"""Other vendors' exports as the store's tables.

1. ``rawtable.read_raw``   the bytes as cells, each with its line;
2. ``headings.recognise``  the vendor's headings as our columns;
3. ``_kind``               the columns decide what the file holds; symbols split index bars from bars;
4. ``cells``               text as dates, numbers, symbols: one unreadable cell refuses the whole file;
5. ``units``               lots, thousands and the basis of prices, told from the figures or refused.

Rows that can be read but break a rule of their table pass through here: the store quarantines them by rule.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from data_cache import cells
from data_cache.errors import UnknownSymbol, UsageError
from data_cache.event_rows import read_events
from data_cache.headings import Headings, parse_map, recognise
from data_cache.rawtable import PLACE, RawTable, read_raw
from data_cache.schemas import BASES
from data_cache.units import (
    AMOUNT_UNITS,
    PRICES,
    VOLUME_UNITS,
    basis_in_name,
    detect_units,
    on_tick_grid,
)

__all__ = ["KINDS", "Table", "read_table"]

KINDS = {
    "bars": (("symbol", "date", *PRICES, "volume"), ("amount",)),
    "index_bars": (("symbol", "date", *PRICES), ("volume",)),
    "factors": (("symbol", "date", "factor"), ()),
    "corporate_actions": (
        ("symbol", "ex_date"),
        ("cash", "bonus", "transfer", "record_date", "announced_on"),
    ),
    "name_history": (("symbol", "valid_from", "name"), ()),
    "instruments": (("symbol",), ("name", "board", "listed", "delisted")),
    "suspensions": (("symbol", "date"), ("suspended", "reason")),
    "events": (("event_id", "kind", "polarity", "strength", "certainty", "known_at"), ()),
}
"""Each kind of table: the columns a file must have for it, and those it may have."""


_MOST_SHARES = 1e15  # beyond any exchange's day, and what a volume in lots may be scaled by still fits


@dataclass(frozen=True, slots=True, eq=False)  # eq: frames do not compare to one truth value
class Table:
    """One table read from a file, ready for the store's ``put_`` of its kind.

    Args:
        path: The file.
        kind: A key of ``KINDS``.
        frame: Its rows under our names and units.
        source: Who they come from.
        basis: ``raw``, ``qfq`` or ``hfq`` for bars; None for other kinds.
        remarks: What was decided about the file and why, a sentence each.
    """

    path: Path
    kind: str
    frame: pl.DataFrame
    source: str
    basis: str | None
    remarks: tuple[str, ...]


def read_table(
    path: Path | str,
    *,
    columns: str | None = None,
    symbol: str | None = None,
    basis: str | None = None,
    volume_unit: str | None = None,
    amount_unit: str | None = None,
    source: str | None = None,
) -> tuple[Table, ...]:
    """Read one Parquet or CSV file; nothing is stored.

    Args:
        path: The file; CSV may be ``.gz``, in UTF-8 or GBK.
        columns: Headings we do not know by ourselves, ``date=交易日,close=收盘价``.
        symbol: Whose rows these are, for a file with no symbol column (or a symbol in its name).
        basis: How the prices are adjusted; told from the file's name or figures where absent.
        volume_unit: ``shares`` or ``lots``; detected where there is an amount, else shares.
        amount_unit: ``yuan``, ``thousand`` or ``10k``; detected where absent.
        source: Default the file's stem.

    Returns:
        One table, or several where the file holds several kinds (stocks and indices, prices and factors).

    Raises:
        UsageError: not a table, a column missing, or units or basis ambiguous.
        UnknownSymbol: a symbol that names nothing.
        IntegrityError: a cell that cannot be read; names file, line, column and value.
    """
    for name, given, known in (
        ("basis", basis, BASES),
        ("volume-unit", volume_unit, VOLUME_UNITS),
        ("amount-unit", amount_unit, AMOUNT_UNITS),
    ):
        if given is not None and given not in known:
            raise UsageError(f"--{name} is {given!r}; needs one of {', '.join(known)}")
    raw = read_raw(path)
    headings = recognise(raw, parse_map(columns))
    stem = _stem(raw.path)
    source = source or stem
    kind = _kind(raw, headings)
    if kind == "events":
        return (Table(raw.path, kind, read_events(raw, source), source, None, ()),)
    frame, remarks = _cells(raw, headings, kind, symbol)
    if kind not in ("bars", "index_bars"):
        frame = _finish(kind, frame, raw)
        return (Table(raw.path, kind, frame, source, None, tuple(remarks)),)
    return tuple(_price_tables(raw, headings, frame, source, basis, volume_unit, amount_unit, remarks))


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".gz", ".csv", ".txt", ".tsv", ".parquet", ".pq"):
        name = name.removesuffix(suffix)
    return name


def _kind(raw: RawTable, headings: Headings) -> str:
    """What the file holds, by its columns; prices first, since they travel with everything else."""
    has = set(headings.of)
    if {"known_at", "event_id"} <= set(raw.headings):
        kind = "events"
    elif len(has & set(PRICES)) >= 2:
        kind = "bars" if "volume" in has else "index_bars"
    elif "factor" in has:
        kind = "factors"
    elif "ex_date" in has:
        kind = "corporate_actions"
    elif "valid_from" in has:
        kind = "name_history"
    elif has & {"listed", "delisted", "board"}:
        kind = "instruments"
    elif "date" in has and (
        has & {"suspended", "reason"} or set(raw.headings) == {headings.of.get("symbol"), headings.of["date"]}
    ):
        kind = "suspensions"
    else:
        raise UsageError(
            f"{raw.path.name}: cannot tell what it holds from its columns; found: {', '.join(raw.headings)}. "
            "Bars need symbol, date, open, high, low, close, volume; factors need symbol, date, factor. "
            "Name yours with --map, e.g. --map date=交易日,close=收盘价"
        )
    present = set(raw.headings) if kind == "events" else has | {"symbol"}  # the symbol may be told otherwise
    for column in KINDS[kind][0]:
        if column not in present:
            raise UsageError(
                f"{raw.path.name} holds {kind.replace('_', ' ')} and has no column for {column!r}; found: "
                f"{', '.join(raw.headings)}. Name it with --map {column}=HEADING"
            )
    return kind


def _cells(
    raw: RawTable, headings: Headings, kind: str, symbol: str | None
) -> tuple[pl.DataFrame, list[str]]:
    """Every column the kind knows, as typed values beside each row's place."""
    remarks: list[str] = []
    beside = ("factor", "name", "basis") if kind in ("bars", "index_bars") else ()
    wanted = [c for c in (*KINDS[kind][0], *KINDS[kind][1], *beside) if c in headings.of]
    used = {headings.of[c] for c in wanted}
    if unused := [h for h in raw.headings if h not in used]:
        remarks.append(f"columns not used: {', '.join(unused)}")
    data: dict[str, pl.Series] = {PLACE: raw.frame.get_column(PLACE)}
    if symbol is not None or "symbol" not in headings.of:
        known = cells.known_symbol(symbol) if symbol is not None else _symbol_in_name(raw)
        data["symbol"] = pl.Series([known], dtype=pl.String).new_from_index(0, raw.frame.height)
        remarks.append(f"all rows taken as {known}")
    readers: dict[str, Callable[[RawTable, str], pl.Series]] = {
        "symbol": cells.symbols, "date": cells.dates, "ex_date": cells.dates, "valid_from": cells.dates,
        "suspended": cells.flags, "name": cells.texts, "board": cells.texts, "reason": cells.texts,
        "basis": cells.texts,
    }  # fmt: skip
    for column in wanted:
        heading = headings.of[column]
        if column in data:
            continue
        if column in ("record_date", "announced_on", "listed", "delisted"):
            data[column] = cells.dates(raw, heading, required=False)
        else:
            data[column] = readers.get(column, cells.numbers)(raw, heading)
    if "volume" in data:
        raw.refuse(data["volume"].abs() > _MOST_SHARES, headings.of["volume"], "a day's volume")
    return pl.DataFrame(data), remarks


def _symbol_in_name(raw: RawTable) -> str:
    """The one symbol a file's name holds, as in ``002837.SZ_daily.csv`` or ``sh600519.csv``."""
    stem = _stem(raw.path)
    found = set()
    for word in (stem, *stem.replace("-", "_").replace(" ", "_").split("_")):
        try:
            found.add(cells.known_symbol(word))
        except UnknownSymbol:
            continue
    if len(found) == 1:
        return found.pop()
    raise UsageError(
        f"{raw.path.name} has no column for 'symbol' and none in its name; found: {', '.join(raw.headings)}. "
        "Say whose rows they are with --symbol 002837.SZ, or name the column with --map symbol=HEADING"
    )


def _price_tables(
    raw: RawTable,
    headings: Headings,
    frame: pl.DataFrame,
    source: str,
    basis: str | None,
    volume_unit: str | None,
    amount_unit: str | None,
    remarks: list[str],
) -> Iterator[Table]:
    """Bars by basis, index bars, and the factors and daily names a file carries beside its prices."""
    indices = frame.filter(cells.is_index(pl.col("symbol")))
    stocks = frame.filter(~cells.is_index(pl.col("symbol")))
    if stocks.height and "volume" not in frame.columns:
        raise UsageError(
            f"{raw.path.name} has no column for 'volume', which bars of {stocks['symbol'][0]} need; found: "
            f"{', '.join(raw.headings)}. Name it with --map volume=HEADING; an index is written 000300.SH or "
            "399006.SZ"
        )
    volume_unit = volume_unit or headings.units.get("volume")
    amount_unit = amount_unit or headings.units.get("amount")
    if "basis" in stocks.columns and basis is None:
        raw.refuse(~frame["basis"].is_in(BASES), headings.of["basis"], f"one of {', '.join(BASES)}")
        parts = [
            (str(key[0]), part, "its own column")
            for key, part in stocks.group_by("basis", maintain_order=True)
        ]
    elif stocks.height:
        decided, why = (basis, "--basis") if basis else _basis(raw, stocks)
        parts = [(decided, stocks, why)]
    else:
        parts = []
    for decided, part, why in parts:
        try:
            bars, said = _in_our_units(part, decided, volume_unit, amount_unit)
        except UsageError as error:
            raise UsageError(f"{raw.path.name}: {error}") from None
        told = (f"basis {decided}: {why}", *said, *remarks)
        yield Table(raw.path, "bars", bars, source, decided, told)
    if indices.height:
        scale = VOLUME_UNITS[volume_unit or "shares"]
        volume = pl.col("volume") * scale if "volume" in indices.columns else pl.lit(None, dtype=pl.Float64)
        bars = indices.select("symbol", "date", *PRICES, volume.round().cast(pl.Int64).alias("volume"))
        yield Table(raw.path, "index_bars", bars, source, None, tuple(remarks))
    if "factor" in stocks.columns and stocks.height:
        yield Table(raw.path, "factors", _finish("factors", stocks, raw), source, None, ())
    if "name" in stocks.columns and stocks.height:
        days = stocks.select("symbol", "name", valid_from="date").drop_nulls()
        yield Table(raw.path, "name_history", _finish("name_history", days, raw), source, None, ())


def _basis(raw: RawTable, bars: pl.DataFrame) -> tuple[str, str]:
    """How the prices are adjusted, and what says so."""
    if named := basis_in_name(_stem(raw.path)):
        return named, "the file's name says so"
    if not on_tick_grid(bars.drop_nulls(PRICES)):
        raise UsageError(
            f"{raw.path.name}: prices are not whole fen, so they are adjusted, and nothing says how; give "
            "--basis qfq (today's price is the traded one) or --basis hfq (the first day's is)"
        )
    sure = "amount" in bars.columns and bars["amount"].null_count() < bars.height
    doubt = "" if sure else "; no amount confirms it, use --basis if they are adjusted"
    return "raw", f"every price is a whole number of fen{doubt}"


def _in_our_units(
    bars: pl.DataFrame, basis: str, volume_unit: str | None, amount_unit: str | None
) -> tuple[pl.DataFrame, list[str]]:
    """Shares and yuan, and as-traded prices free of 32-bit dust."""
    if "amount" not in bars.columns:
        bars = bars.with_columns(amount=pl.lit(None, dtype=pl.Float64))
    found = detect_units(bars, basis=basis, volume_unit=volume_unit, amount_unit=amount_unit)
    shares, yuan = VOLUME_UNITS[found[0]], AMOUNT_UNITS[found[1]]
    known = bars["amount"].null_count() < bars.height
    how = (
        "told"
        if volume_unit and amount_unit
        else "detected"
        if known
        else "told"
        if volume_unit
        else "assumed"
    )
    said = [f"volume in {found[0]}" + (f", amount in {found[1]}" if known else ", no amount") + f" ({how})"]
    volume = pl.col("volume") * shares
    parts = bars.select(((volume - volume.round()).abs() > 1e-6).sum()).item()
    if parts:
        said.append(f"{parts:,} volumes are no whole number of shares; rounded")
    exact = [pl.col(PRICES).round(2)] if basis == "raw" and on_tick_grid(bars.drop_nulls(PRICES)) else []
    return bars.with_columns(
        volume.round().cast(pl.Int64).alias("volume"), pl.col("amount") * yuan, *exact
    ).select("symbol", "date", *PRICES, "volume", "amount"), said


def _finish(kind: str, frame: pl.DataFrame, raw: RawTable) -> pl.DataFrame:
    """The columns of a kind that is not prices, with what its file leaves out."""
    if kind == "factors":
        frame = frame.select("symbol", "date", "factor").sort("symbol", "date")
        ends = frame.group_by("symbol", maintain_order=True).agg(
            pl.col("factor").first().alias("first"), pl.col("factor").last().alias("last")
        )
        forward = ends.filter((pl.col("last") == 1) & (pl.col("first") != 1))
        if forward.height:
            raise UsageError(
                f"{raw.path.name}: the factor of {forward['symbol'][0]} ends at 1 and begins at "
                f"{forward['first'][0]:.6g}: a forward (qfq) factor; export "
                "the backward (hfq) one, 1.0 at listing"
            )
        held = pl.col("factor").shift(1).over("symbol")
        return frame.filter(held.is_null() | pl.col("factor").is_null() | (pl.col("factor") != held))
    if kind == "corporate_actions":
        missing = [pl.lit(0.0).alias(c) for c in ("cash", "bonus", "transfer") if c not in frame.columns]
        days = [
            pl.lit(None, dtype=pl.Date).alias(c)
            for c in ("record_date", "announced_on")
            if c not in frame.columns
        ]
        frame = frame.with_columns(*missing, *days).with_columns(
            pl.col("cash", "bonus", "transfer").fill_null(0.0)
        )
        return frame.select("symbol", *KINDS[kind][0][1:], *KINDS[kind][1])
    if kind == "instruments":
        from data_cache.rulebook import board

        frame = frame.with_columns(
            pl.lit(None, dtype=dtype).alias(c)
            for c, dtype in (
                ("name", pl.String),
                ("board", pl.String),
                ("listed", pl.Date),
                ("delisted", pl.Date),
            )
            if c not in frame.columns
        )
        boards = {s: board(s, dt.date.today()) for s in frame["symbol"].unique()}  # noqa: DTZ011 - the latest rule
        frame = frame.with_columns(pl.coalesce("board", pl.col("symbol").replace_strict(boards)))
        return frame.select("symbol", "name", "board", "listed", "delisted")
    if kind == "suspensions":
        if "suspended" in frame.columns:
            frame = frame.filter(pl.col("suspended"))
        reason = pl.col("reason") if "reason" in frame.columns else pl.lit(None, dtype=pl.String)
        return frame.select("symbol", "date", reason.alias("reason"))
    frame = frame.select("symbol", "valid_from", "name").sort("symbol", "valid_from")
    before = pl.col("name").shift(1).over("symbol")
    return frame.filter(before.is_null() | pl.col("name").is_null() | (pl.col("name") != before))
