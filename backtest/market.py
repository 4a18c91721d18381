"""The dense arrays a simulation reads: what traded, between which limits, in which lots, at which fees.

1. ``load`` reads the store; ``from_frames`` takes frames. Both end in one frozen ``Market``.
2. ``_check_bars``, ``_gaps``: every bar is a positive price on a session, and a session without a bar is explained.
3. ``_Grid``: one array of sessions x symbols per field, scattered by integer codes; for adjusted imports the volume
   is told in shares of their prices first, see ``_adjusted_volume``.
4. ``backtest.references``: what the price limits are counted from: the previous close, ex-adjusted.
5. ``_limits``: the rule book's limit prices; for adjusted imports its ratios alone, see ``TOLERANCE``.
6. ``_rates``: lots and fees of each session, by group of symbols the rule book can tell apart.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from backtest.references import doubtful_formulas, references
from data_cache.charges import RATE_SCALE, fees, lots
from data_cache.errors import IntegrityError, NoData, UsageError
from data_cache.limits import decide, limits, panel
from data_cache.rule_table import group_of
from data_cache.rulebook import status_expr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_cache.store import Store

__all__ = ["TOLERANCE", "Market", "from_frames", "load"]

Array = np.ndarray[Any, np.dtype[Any]]

FIELDS = ("open", "high", "low", "close", "volume", "amount")
TOLERANCE = {"raw": 1e-6, "qfq": 2e-3, "hfq": 2e-3}
"""How near its limit a price counts as at it, as a fraction, by basis.

As traded, prices and limits are whole fen and the tolerance only absorbs binary fractions. Adjusted prices hide
the tick: limit and price each carry a rounding of half a tick of the price as traded, and the vendor's own."""
LATE = 10  # sessions: a symbol that begins later than that was listed then, and no board frees a listing for longer
MOST = 1_000_000.0  # yuan a share, adjusted or not: beyond it integers of micro-yuan could overflow


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Market:
    """Everything a simulation may look up, T sessions x N symbols; arrays are read-only by convention.

    Args:
        dates: (T,) datetime64[D], every session between the first and the last, ascending.
        symbols: N symbols, ascending.
        basis: ``raw``, ``qfq`` or ``hfq``; the prices are the traded ones only under ``raw``.
        open, high, low, close: (T, N) yuan; NaN where the symbol did not trade.
        volume: (T, N) shares, under qfq and hfq of the adjusted price where the amount is known; NaN where it did
            not trade.
        amount: (T, N) yuan; NaN where it did not trade or is not known.
        factor: (T, N) hfq factor; 1 throughout under qfq and hfq.
        mark: (T, N) close x factor, carried over sessions without trading; NaN before the first bar.
        limit_up, limit_down: (T, N) yuan; NaN where there is no limit or no bar.
        doubtful: (T, N) whether a marked row of the rule book decided the limits, or an ex-date on which factor
            and corporate action disagree.
        doubtful_rates: (T, G, 2) whether one decided the lots, the fees.
        listed, delisted: (N,) first session of the symbol, first session it is gone (T: never).
        group: (N,) index into the second axis of ``rates``.
        rates: (T, G, 7) int64: lot, step (shares), stamp duty buy, sell, transfer fee (1e-8), transfer fee on
            face value (1e-8) and its floor (fen).
        actions: symbol, ex_date, cash, bonus, transfer per share; for explicit accounting.
        caveats: what a reader of any result must know, in sentences.
    """

    dates: Array
    symbols: tuple[str, ...]
    basis: str
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    amount: Array
    factor: Array
    mark: Array
    limit_up: Array
    limit_down: Array
    doubtful: Array
    doubtful_rates: Array
    listed: Array
    delisted: Array
    group: Array
    rates: Array
    actions: pl.DataFrame
    caveats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Give every array the one layout and type the kernel is compiled for."""
        kinds = {
            "doubtful": bool,
            "doubtful_rates": bool,
            "listed": np.int64,
            "delisted": np.int64,
            "group": np.int64,
            "rates": np.int64,
        }
        for name in (*FIELDS, "factor", "mark", "limit_up", "limit_down", *kinds):
            value = np.require(getattr(self, name), kinds.get(name, np.float64), ["C", "W"])
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """One line: the arrays would fill a notebook."""
        sessions, symbols = self.shape
        return f"Market({sessions} sessions x {symbols} symbols, {self.dates[0]} to {self.dates[-1]}, {self.basis})"

    @property
    def shape(self) -> tuple[int, int]:
        """Sessions, symbols."""
        return self.close.shape[0], self.close.shape[1]


def load(
    store: Store,
    symbols: Sequence[str] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    *,
    gaps: Literal["raise", "suspended"] = "suspended",
    bars: pl.DataFrame | None = None,
) -> Market:
    """Read a market from the store.

    Args:
        store: an open store.
        symbols: None for all it has.
        start: first session, inclusive; earlier bars are read for the marks and references it begins with.
        end: last session, inclusive.
        gaps: a session without a bar and without a record of suspension is refused, or taken as a suspension
            and told in the caveats.
        bars: ``store.bars`` of these symbols, where they are in hand already.

    Raises:
        NoData: no bars in the range.
        IntegrityError: a bar no exchange could have printed, or a gap under ``raise``.
    """
    if bars is None:
        bars = store.bars(symbols, None, end)
    basis = bars["basis"][0] if bars.height else "raw"
    return from_frames(
        bars,
        store.calendar(),
        basis=basis,
        factors=store.factors(symbols) if basis == "raw" else None,
        names=store.name_history(symbols),
        instruments=store.instruments(symbols),
        suspensions=store.suspensions(symbols),
        corporate_actions=store.corporate_actions(symbols),
        start=start,
        end=end,
        gaps=gaps,
    )


def from_frames(
    bars: pl.DataFrame,
    calendar: pl.Series | None = None,
    *,
    basis: str = "raw",
    factors: pl.DataFrame | None = None,
    names: pl.DataFrame | None = None,
    instruments: pl.DataFrame | None = None,
    suspensions: pl.DataFrame | None = None,
    corporate_actions: pl.DataFrame | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    gaps: Literal["raise", "suspended"] = "raise",
) -> Market:
    """Build a market from the frames of ``data_cache.schemas``; columns beyond those are ignored.

    Args:
        bars: Bars, in any order; may begin before ``start``.
        calendar: sessions; None takes the dates of the bars.
        basis: of the bars.
        factors: Factors; None is no adjustment.
        names: NameHistory; a symbol is taken as neither ST nor in a delisting period before its first name, which
            the caveats tell.
        instruments: Instruments; a symbol without a ``listed`` date is listed at its first bar, which the caveats
            tell where it frees sessions of the range; without a ``delisted`` date never gone.
        suspensions: Suspensions.
        corporate_actions: CorporateActions.
        start: first session, inclusive; None the first bar.
        end: last session, inclusive; None the last bar.
        gaps: see ``load``.

    Raises:
        UsageError: bars that lack a column, ``gaps`` neither of its two words.
        NoData: as ``load``.
        IntegrityError: as ``load``.
    """
    if gaps not in ("raise", "suspended"):
        raise UsageError(f"gaps is {gaps!r}; needs 'raise' or 'suspended'")
    bars = _check_bars(bars, calendar)
    stop = end or _day(bars["date"].max())
    begin = start or _day(bars["date"].min())
    sessions = bars["date"].unique().sort() if calendar is None else calendar.unique().sort()
    dates = sessions.filter((sessions >= min(begin, _day(bars["date"].min()))) & (sessions <= stop))
    first = int((dates < begin).sum())
    bars = bars.filter(pl.col("date") <= stop)
    if not len(dates) or first >= len(dates) or not bars.height:
        raise NoData(f"no bars between {begin} and {stop}; import or refresh that range first")
    symbols = bars["symbol"].unique().sort()
    bars = bars.with_columns(
        row=dates.search_sorted(bars["date"]).cast(pl.Int64),
        column=symbols.search_sorted(bars["symbol"]).cast(pl.Int64),
    )
    grid = _Grid(dates, symbols, bars["row"].to_numpy(), bars["column"].to_numpy())
    unscaled: tuple[str, ...] = ()
    if basis != "raw":
        bars, unscaled = _adjusted_volume(bars, first, basis)
    traded = {name: grid.scatter(bars[name]) for name in FIELDS}
    factor = _factors(grid, factors)
    mark = grid.carry(traded["close"] * factor)
    group, rates, covered, doubtful_rates = _rates(grid)
    listed, delisted, known, recorded = _spells(grid, instruments, covered)
    status = _statuses(bars, names)
    caveats = (
        *unscaled,
        *_gaps(grid, suspensions, listed, delisted, first, gaps),
        *_unnamed(bars, status, first),
        *_unlisted(grid, known & ~recorded, listed, first),
    )
    reference, disputed = references(bars, factor[grid.row, grid.column], corporate_actions, basis)
    bars = bars.with_columns(
        reference=pl.Series(reference, nan_to_null=True), status=status.fill_null("normal")
    )
    bars = bars.with_columns(
        listed_days=_listed_days(grid, bars, listed, known, names),
        doubtful=doubtful_formulas(bars) | pl.Series(disputed),
    )
    up, down, doubtful = _limits(bars, basis)
    kept = slice(first, None)
    return Market(
        dates=dates.to_numpy()[kept],
        symbols=tuple(symbols),
        basis=basis,
        **{name: traded[name][kept] for name in FIELDS},
        factor=factor[kept],
        mark=mark[kept],
        limit_up=grid.scatter(up)[kept],
        limit_down=grid.scatter(down)[kept],
        doubtful=grid.scatter(doubtful, fill=False)[kept],
        doubtful_rates=doubtful_rates[kept],
        listed=np.maximum(listed - first, 0),
        delisted=np.maximum(delisted - first, 0),
        group=group,
        rates=rates[kept],
        actions=_actions(corporate_actions, symbols),
        caveats=caveats,
    )


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class _Grid:
    """Where each bar lies among sessions x symbols."""

    dates: pl.Series
    symbols: pl.Series
    row: Array
    column: Array

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.dates), len(self.symbols)

    def scatter(self, values: pl.Series, fill: float = np.nan) -> Array:
        """One array of sessions x symbols; ``fill`` where there is no bar."""
        dense = np.full(self.shape, fill, dtype=bool if fill is False else float)
        dense[self.row, self.column] = values.fill_null(fill).to_numpy()
        return dense

    def carry(self, dense: Array) -> Array:
        """Each column's last known value, downwards."""
        at = np.where(np.isnan(dense), -1, np.arange(dense.shape[0])[:, None])
        at = np.maximum.accumulate(at, axis=0)
        return np.where(at < 0, np.nan, np.take_along_axis(dense, np.maximum(at, 0), axis=0))


def _check_bars(bars: pl.DataFrame, calendar: pl.Series | None) -> pl.DataFrame:
    needed = ("symbol", "date", "open", "high", "low", "close", "volume")
    if missing := [name for name in needed if name not in bars.columns]:
        raise UsageError(f"bars lack the columns {missing}; need {list(needed)}")
    if not bars.height:
        raise NoData("there are no bars of these symbols; import or refresh them first")
    if "amount" not in bars.columns:
        bars = bars.with_columns(amount=pl.lit(None, pl.Float64))
    bars = bars.select(*needed, "amount").sort("symbol", "date")
    prices = ("open", "high", "low", "close")
    bad = pl.any_horizontal(
        *((pl.col(name).is_null() | ~((pl.col(name) > 0) & (pl.col(name) < MOST))) for name in prices),
        pl.col("volume").is_null() | (pl.col("volume") <= 0),
    )
    if (found := bars.filter(bad)).height:
        raise IntegrityError(
            f"bar {_told(found)}: needs positive prices below {MOST:,.0f} yuan and a positive volume "
            f"({found.height} such rows); a session without trading has no bar"
        )
    twice = bars.filter(pl.struct("symbol", "date").is_duplicated())
    if twice.height:
        raise IntegrityError(f"two bars of one symbol and date: {_told(twice)}; keep one")
    if calendar is not None and (off := bars.filter(~pl.col("date").is_in(calendar.implode()))).height:
        raise IntegrityError(
            f"bar {_told(off)} is on no session of the calendar ({off.height} such rows); correct its date"
        )
    return bars


def _told(rows: pl.DataFrame) -> str:
    return ", ".join(f"{name} {value}" for name, value in rows.row(0, named=True).items())


def _day(value: object) -> dt.date:
    if not isinstance(value, dt.date):
        raise UsageError(f"dates of bars are {type(value).__name__}; need dates")
    return value


def _adjusted_volume(bars: pl.DataFrame, first: int, basis: str) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The volume in shares of the adjusted price, and a caveat on the bars from row ``first`` where it is not known.

    Yuan traded are the same by any basis: at the day's typical price they tell how many adjusted shares that was,
    whether the vendor adjusts its volume or not. An order is then held to a part of the day's money, which does not
    depend on dividends paid later.
    """
    typical = pl.mean_horizontal("high", "low", "close")
    amount = pl.when(pl.col("amount") > 0).then(pl.col("amount").fill_nan(None))
    blank = bars.select(kept=pl.col("row") >= first, blank=amount.is_null())
    bars = bars.with_columns(volume=(amount / typical).fill_null(pl.col("volume")))
    count = blank.filter("kept", "blank").height
    if not count:
        return bars, ()
    return bars, (
        f"{count:,} of {blank['kept'].sum():,} bars have no amount: there the volume cap and the impact set shares of "
        f"{basis} prices against the volume as the source has it. If that is in shares as traded, an order is held to "
        "more or less than its part of the day, by a factor that depends on dividends paid after it.",
    )


def _factors(grid: _Grid, factors: pl.DataFrame | None) -> Array:
    """Each symbol's factor on each session: the last row up to it, 1.0 before the first."""
    dense = np.full(grid.shape, np.nan)
    dense[0] = 1.0
    if factors is not None and factors.height:
        rows = factors.filter(pl.col("symbol").is_in(grid.symbols.implode())).sort("date")
        at = grid.dates.search_sorted(
            rows["date"]
        ).to_numpy()  # an ex-date that is no session counts on the next
        inside = at < grid.shape[0]
        column = grid.symbols.search_sorted(rows["symbol"]).to_numpy()
        dense[at[inside], column[inside]] = rows["factor"].to_numpy()[inside]
    return grid.carry(dense)


def _rates(grid: _Grid) -> tuple[Array, Array, Array, Array]:
    """Group of each symbol; by session and group: the rates, whether the book covers it, whether it is in doubt."""
    names = [group_of(symbol) for symbol in grid.symbols]
    groups = sorted(set(names))
    member = dict(zip(names, grid.symbols, strict=True))
    asked = pl.DataFrame({"date": grid.dates}).join(
        pl.DataFrame({"symbol": [member[name] for name in groups]}), how="cross"
    )
    of_lots, of_fees = lots(asked), fees(asked)
    told = of_fees.with_columns(of_lots.get_columns())
    doubtful = np.stack([of_lots["doubtful"].to_numpy(), of_fees["doubtful"].to_numpy()], axis=1)
    face = pl.col("transfer_fee_basis") == "face_value"
    scaled = pl.col("transfer_fee") * RATE_SCALE
    table = told.select(
        "buy_lot",
        "buy_step",
        pl.col("stamp_duty_buy") * RATE_SCALE,
        pl.col("stamp_duty_sell") * RATE_SCALE,
        # Shenzhen before 2015-08: an all-in commission already holds it
        pl.when(face | pl.col("transfer_fee_inside_commission")).then(0).otherwise(scaled),
        par=pl.when(face).then(scaled * pl.col("face_value")).otherwise(0),
        par_floor=pl.when(face).then(pl.col("transfer_fee_min") * 100).otherwise(0),
    )
    covered = ~pl.Series(table.select(pl.any_horizontal(pl.all().is_null())).to_series())
    values = table.fill_null(1).to_numpy().astype(float)
    shape = (grid.shape[0], len(groups))
    index = {name: i for i, name in enumerate(groups)}
    return (
        np.array([index[name] for name in names], dtype=np.int64),
        np.floor(values + 0.5).astype(np.int64).reshape(*shape, -1),
        covered.to_numpy().reshape(shape),
        doubtful.reshape(*shape, -1),
    )


def _spells(
    grid: _Grid, instruments: pl.DataFrame | None, covered: Array
) -> tuple[Array, Array, Array, Array]:
    """First and past-last session of each symbol, whether the first is taken as its listing, and is on record."""
    n_sessions, n_symbols = grid.shape
    first = np.full(n_symbols, n_sessions, dtype=np.int64)
    np.minimum.at(first, grid.column, grid.row)
    listed, gone = first.copy(), np.full(n_symbols, n_sessions, dtype=np.int64)
    # without a record, a symbol that appears well after the others was listed then
    known, recorded = first > LATE, np.zeros(n_symbols, dtype=bool)
    if instruments is not None and instruments.height:
        rows = pl.DataFrame({"symbol": grid.symbols}).join(
            instruments, on="symbol", how="left", maintain_order="left"
        )
        for name, out in (("listed", listed), ("delisted", gone)):
            has = rows[name].is_not_null().to_numpy()
            out[has] = grid.dates.search_sorted(rows[name].drop_nulls()).to_numpy()
            if name == "listed":
                before = (rows[name] < grid.dates[0]).fill_null(value=False).to_numpy()
                known, recorded = np.where(has, ~before, known), has
    names = [group_of(symbol) for symbol in grid.symbols]
    index = {name: i for i, name in enumerate(sorted(set(names)))}
    for j, name in enumerate(names):
        inside = np.flatnonzero(covered[:, index[name]])
        begins, ends = (int(inside[0]), int(inside[-1]) + 1) if inside.size else (n_sessions, n_sessions)
        listed[j] = max(listed[j], begins)
        gone[j] = min(gone[j], ends)
    return listed, gone, known, recorded


def _gaps(
    grid: _Grid, suspensions: pl.DataFrame | None, listed: Array, delisted: Array, first: int, gaps: str
) -> tuple[str, ...]:
    """Sessions without a bar or a suspension, from a symbol's listing to its delisting or the last bar of all.

    A symbol without a record of its listing is listed at its first bar.
    """
    n_sessions = int(grid.row.max()) + 1
    blank = np.ones(grid.shape, dtype=bool)
    blank[grid.row, grid.column] = False
    at = np.arange(grid.shape[0])[:, None]
    blank &= (at >= np.maximum(listed, first)) & (at < np.minimum(n_sessions, delisted))
    if suspensions is not None and suspensions.height:
        rows = suspensions.filter(
            pl.col("symbol").is_in(grid.symbols.implode()), pl.col("date").is_in(grid.dates.implode())
        )
        blank[
            grid.dates.search_sorted(rows["date"]).to_numpy(),
            grid.symbols.search_sorted(rows["symbol"]).to_numpy(),
        ] = False
    if not blank.any():
        return ()
    column, row = (int(found[0]) for found in np.nonzero(blank.T))
    count = int(blank.sum())
    where = (
        f"{grid.symbols[column]} has no bar on {grid.dates[row]}, a session, and no suspension is recorded"
    )
    if gaps == "raise":
        raise IntegrityError(
            f"{where} ({count} such symbol-sessions); import the missing bars, or the suspensions, listing "
            "or delisting that explain them"
        )
    return (
        f"{count:,} symbol-sessions without a bar or a recorded suspension were taken as suspensions; "
        f"the first: {grid.symbols[column]} on {grid.dates[row]}.",
    )


def _unnamed(bars: pl.DataFrame, status: pl.Series, first: int) -> tuple[str, ...]:
    """A caveat on the bars from row ``first`` that no short name is known for, and so whether the symbol was ST."""
    kept = bars.select("symbol", "date", blank=status.is_null()).filter(bars["row"] >= first)
    blank = kept.filter("blank")
    if blank.is_empty():
        return ()
    of_first = blank.filter(pl.col("symbol") == blank["symbol"][0])
    return (
        f"{blank['symbol'].n_unique():,} of {kept['symbol'].n_unique():,} symbols have bars before their first known "
        f"short name ({blank.height:,} bars) and were taken there as neither ST nor in a delisting period, with the "
        f"limits of a normal name; the first: {of_first['symbol'][0]} from {of_first['date'][0]} to "
        f"{of_first['date'][-1]}.",
    )


def _unlisted(grid: _Grid, assumed: Array, listed: Array, first: int) -> tuple[str, ...]:
    """A caveat on the symbols ``assumed`` to be listed at a first bar that may free sessions from row ``first``."""
    # past the last session: on a board the rule book does not know yet, so not tradable at all
    found = np.flatnonzero(assumed & (listed >= first - LATE) & (listed < len(grid.dates)))
    if not found.size:
        return ()
    return (
        f"{found.size:,} of {len(grid.symbols):,} symbols have no listing date and bars that begin later than the "
        "others': they were taken as listed on their first bar, without limits where a new listing has none; the "
        f"first: {grid.symbols[int(found[0])]} on {grid.dates[int(listed[found[0]])]}.",
    )


def _statuses(bars: pl.DataFrame, names: pl.DataFrame | None) -> pl.Series:
    """The status of each bar by the short name of the day; null where none is known."""
    if names is None or not names.height:
        return pl.Series("status", [None], dtype=pl.String).new_from_index(0, bars.height)
    told = bars.select("symbol", "date").join_asof(
        _name_rows(names), left_on="date", right_on="valid_from", by="symbol", check_sortedness=False
    )
    return told["status"]


def _name_rows(names: pl.DataFrame) -> pl.DataFrame:
    """Name history with its status and the day that status began, sorted by date."""
    return (
        names.sort("symbol", "valid_from")
        .with_columns(status=status_expr(pl.col("name")))
        .with_columns(spell=pl.col("status").rle_id().over("symbol"))
        .with_columns(since=pl.col("valid_from").first().over("symbol", "spell"))
        .select("symbol", "valid_from", "status", "since")
        .sort("valid_from")
    )


def _listed_days(
    grid: _Grid, bars: pl.DataFrame, listed: Array, known: Array, names: pl.DataFrame | None
) -> pl.Series:
    """1 on the first session of a listing, relisting or delisting period; null where that is not known."""
    age = np.where(known[grid.column], grid.row - listed[grid.column] + 1, 0)
    days = pl.Series("listed_days", age).replace(0, None)
    days = days.set(days < 1, None)
    if names is None or not names.height:
        return days
    since = bars.select("symbol", "date").join_asof(
        _name_rows(names), left_on="date", right_on="valid_from", by="symbol", check_sortedness=False
    )["since"]
    began = grid.dates.search_sorted(since.fill_null(grid.dates[0])).cast(pl.Int64)
    special = bars["status"].is_in(["delisting_period", "relisting"])
    return (pl.Series(grid.row) - began + 1).zip_with(special, days)


def _limits(bars: pl.DataFrame, basis: str) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Limit prices and whether a doubtful rule decided them; adjusted bases take the ratio, unrounded."""
    if basis == "raw":
        told = limits(bars)
        return told["limit_up"], told["limit_down"], told["doubtful"]
    said = decide(panel(bars, "reference"))
    none = pl.Series(said.unlimited) | said.board.is_null()
    up, down = (
        bars["reference"] * pl.Series(1 + sign * ratio / 10_000)
        for sign, ratio in ((1, said.up), (-1, said.down))
    )
    return up.set(none, None), down.set(none, None), pl.Series(said.doubtful)


def _actions(actions: pl.DataFrame | None, symbols: pl.Series) -> pl.DataFrame:
    columns = ("symbol", "ex_date", "cash", "bonus", "transfer")
    if actions is None:
        return pl.DataFrame(
            schema=dict(zip(columns, (pl.String, pl.Date, pl.Float64, pl.Float64, pl.Float64), strict=True))
        )
    return actions.select(columns).filter(pl.col("symbol").is_in(symbols.implode()))
