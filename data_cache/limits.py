"""Limit-up and limit-down prices over a whole panel, exact to the fen.

1. ``rule_table.match``: the ratios, rounding and tick in force on each row's own date.
2. ``_young``: rows in the first sessions of a listing, relisting or delisting period. Their rules are keyed
   on the day it began; some have no limit, some a band on the issue price (``_verdict``).
3. ``_price``: reference x (1 ± ratio) in integers, half-up (Beijing: inward), at least one tick from the
   reference, never below one tick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from data_cache.errors import UsageError
from data_cache.rule_table import PREFIX, Row, match

__all__ = ["Decision", "decide", "limits", "panel", "refuse_outside"]

Array = np.ndarray[Any, np.dtype[Any]]

_DATED = (
    PREFIX,
    "tick",
    "limit_price_rounding",
    "limit_price_min_tick_move",
    "price_limit_up_ratio",
    "price_limit_down_ratio",
)
_STARTED = (
    "no_limit_days_after_listing",
    "no_limit_days_delisting_period",
    "no_limit_first_day_relisting",
    "first_day_limit_up",
    "first_day_limit_down",
)
_SCALE = 10_000  # ratios become integers: 0.10 is 1000
_YOUNG = 5  # the most sessions any row of the book frees from limits; a test holds it to the table


class Verdict(NamedTuple):
    """What the first sessions' rules say: no limit, a band of their own, or neither."""

    unlimited: bool
    band: tuple[int, int] | None  # up, down x 10,000, of the issue price
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, eq=False)  # holds arrays
class Decision:
    """What the book says of each row of a panel before any price: arrays of one element a row.

    Args:
        board: the board; null outside the book.
        up: ratio above the reference x 10,000.
        down: ratio below the reference x 10,000.
        inward: whether both prices round towards the reference.
        tick: price step in fen.
        unlimited: no limit this session.
        doubtful: a deciding row is marked so.
        floor_doubtful: the row that sets the least move of one tick is marked so.
        dated: the rows of the book that follow the session's date.
        verdicts: by position, what the rules of first sessions said.
    """

    board: pl.Series
    up: Array
    down: Array
    inward: Array
    tick: Array
    unlimited: Array
    doubtful: Array
    floor_doubtful: Array
    dated: Callable[[int], tuple[Row | None, ...]]
    verdicts: Mapping[int, Verdict]

    def rows(self, position: int) -> tuple[Row, ...]:
        """The rows of the book that decided one row of the panel."""
        verdict = self.verdicts.get(position)
        prefix, *dated = self.dated(position)
        if verdict is None:
            kept: tuple[Row | None, ...] = (prefix, *dated)
        elif verdict.unlimited:
            kept = (prefix, *verdict.rows)
        elif verdict.band:
            kept = (prefix, *verdict.rows, *dated[:3])
        else:
            kept = (prefix, *dated, *verdict.rows)
        return tuple(row for row in kept if row is not None)


def limits(frame: pl.DataFrame, *, outside: Literal["null", "raise"] = "null") -> pl.DataFrame:
    """Add board, limit_up, limit_down and doubtful to a panel.

    Args:
        frame: columns ``symbol``; ``date``; ``reference``, yuan as traded: the previous close, the published
            ex-reference price on an ex-date, the issue price on a listing's first day (null stays null);
            optionally ``status`` (absent: ``normal``) and ``listed_days``, 1 on the first session of the
            listing, of the relisting or, where the status is ``delisting_period``, of that period; null is
            long ago, except under ``new_listing`` and ``relisting``, where it is taken as the first session.
        outside: what to do with a row the book does not cover (a Beijing code before 2021-11-15, an index):
            ``null`` leaves board and limits null and marks it doubtful, ``raise`` refuses.

    Returns:
        The frame, its order kept, plus ``board``; ``limit_up``, ``limit_down`` in yuan, null where there is
        no limit or no reference; ``doubtful``, whether a row of the book that decided is marked so (or-ed
        with a ``doubtful`` the frame already has).

    Raises:
        UsageError: a missing column; a reference that is NaN, zero or negative; a row outside the book under
            ``raise``. Names the first such row.
        UnknownName: a status that does not exist.
    """
    asked = panel(frame, "reference")
    said = decide(asked)
    out = said.board.is_null().to_numpy()
    if outside == "raise":
        refuse_outside(asked, out)
    fen = _fen(asked)
    up, up_moved = _price(fen, _SCALE + said.up, said, up=True)
    down, down_moved = _price(fen, _SCALE - said.down, said, up=False)
    none = pl.Series(said.unlimited | out | (fen == 0))
    doubtful = pl.Series(said.doubtful | ((up_moved | down_moved) & ~said.unlimited & said.floor_doubtful))
    return frame.with_columns(
        board=said.board,
        limit_up=pl.Series(up / 100).set(none, None),
        limit_down=pl.Series(down / 100).set(none, None),
        doubtful=frame.get_column("doubtful") | doubtful if "doubtful" in frame.columns else doubtful,
    )


def decide(asked: pl.DataFrame) -> Decision:
    """Look every row of a panel up in the book.

    Args:
        asked: columns ``symbol``, ``date``, ``status`` and ``listed_days``, as ``panel`` gives them.
    """
    found = match(asked, _DATED)
    at = found.index
    boards = pl.Series(
        [row.board if (row := rows[0]) and None not in rows else None for rows in found.rows], dtype=pl.String
    )

    def column(rule: str, value: Callable[[Row], int | bool]) -> Array:
        place = _DATED.index(rule)
        regime = [int(value(row)) if (row := rows[place]) else 0 for rows in found.rows]
        return np.array(regime, dtype=np.int64).take(at)

    marked = [_ratio_doubtful(*of) for of in zip(found.rows, found.statuses, strict=True)]
    said = Decision(
        board=boards.gather(at),
        up=column("price_limit_up_ratio", _ratio),
        down=column("price_limit_down_ratio", _ratio),
        inward=column("limit_price_rounding", lambda row: row.value.startswith("INWARD")).astype(bool),
        tick=column("tick", lambda row: round(float(row.value) * 100)).clip(1),
        unlimited=np.zeros(asked.height, dtype=bool),
        doubtful=np.array(marked, dtype=bool).take(at),
        floor_doubtful=column("limit_price_min_tick_move", lambda row: row.doubtful).astype(bool),
        dated=lambda position: found.rows[int(at[position])],
        verdicts=_young(asked),
    )
    for position, verdict in said.verdicts.items():
        if verdict.band:
            said.up[position], said.down[position] = verdict.band
        said.unlimited[position] = verdict.unlimited
        doubt = any(row.doubtful for row in verdict.rows)
        said.doubtful[position] = doubt or (
            said.doubtful[position] and not (verdict.unlimited or verdict.band)
        )
    return said


def panel(frame: pl.DataFrame, *more: str) -> pl.DataFrame:
    """The columns the book is asked by, checked: symbol, date, status (nulls: normal), listed_days, and more.

    Raises:
        UsageError: a missing column, or a null symbol or date.
    """
    needed = ("symbol", "date", *more)
    if missing := [name for name in needed if name not in frame.columns]:
        raise UsageError(f"the rule book needs the columns {list(needed)}; missing {missing}")
    if nulls := [name for name in ("symbol", "date") if frame.get_column(name).null_count()]:
        raise UsageError(f"the rule book needs a symbol and a date on every row; nulls in {nulls}")
    status = pl.col("status") if "status" in frame.columns else pl.lit(None, dtype=pl.String)
    days = pl.col("listed_days") if "listed_days" in frame.columns else pl.lit(None)
    return frame.select(
        "symbol",
        pl.col("date").cast(pl.Date),
        *more,
        status=status.cast(pl.String).fill_null("normal"),
        listed_days=days.cast(pl.Int64),
    )


def refuse_outside(asked: pl.DataFrame, out: Array) -> None:
    """Raise a UsageError that names the first row outside the book, if there is one."""
    if out.any():
        bad = asked.row(int(np.argmax(out)), named=True)
        raise UsageError(
            f"{bad['symbol']} on {bad['date']} is outside the rule book ({int(out.sum())} such rows); "
            "ask for A-shares on dates the book covers, see docs/rules.md"
        )


def _ratio(row: Row) -> int:
    return round(abs(float(row.value)) * _SCALE)


def _ratio_doubtful(rows: tuple[Row | None, ...], status: str) -> bool:
    """A marked row decided, none did, or the status had no row of its own yet and fell back on ``normal``."""
    prefix, tick, rounding, _, up, down = rows
    deciding = (prefix, tick, rounding, up, down)
    if any(row is None or row.doubtful for row in deciding):
        return True
    return status in ("st", "s_share", "delisting_period") and bool(up and up.status == "normal")


def _young(asked: pl.DataFrame) -> dict[int, Verdict]:
    """By position, the verdict on each row in the first sessions of a listing or delisting period.

    The day it began is counted back in weekdays: a holiday in between shifts it by days, which could matter
    only within five sessions after a change of rule, and no such five sessions hold a holiday (tested).
    """
    fresh = pl.col("status").is_in(["new_listing", "relisting"])
    rows = (
        asked.lazy()
        .select(
            "symbol",
            "date",
            "status",
            pl.when(fresh).then(pl.col("listed_days").fill_null(1)).otherwise("listed_days").alias("day"),
        )
        .with_row_index("position")
        .filter(pl.col("day") <= _YOUNG, ~pl.col("status").is_in(["st", "s_share"]))
        .collect()
    )
    if (low := rows.filter(pl.col("day") < 1)).height:
        bad = low.row(0, named=True)
        raise UsageError(
            f"listed_days is {bad['day']} for {bad['symbol']} on {bad['date']}; the first day is 1"
        )
    back = 1 - rows.get_column("day").to_numpy()
    began = np.busday_offset(
        rows.get_column("date").to_numpy().astype("datetime64[D]"), back, roll="backward"
    )
    found = match(
        rows.with_columns(
            date=pl.Series(began).cast(pl.Date),
            status=pl.col("status").replace({"normal": "new_listing", "relisting": "new_listing"}),
        ),
        _STARTED,
    )
    keys = zip(found.index.tolist(), rows.get_column("status"), rows.get_column("day"), strict=True)
    known: dict[tuple[int, str, int], Verdict] = {}
    verdicts = {}
    for position, key in zip(rows.get_column("position").to_list(), keys, strict=True):
        if key not in known:
            known[key] = _verdict(found.rows[key[0]], key[1], key[2])
        verdicts[position] = known[key]
    return verdicts


def _verdict(rows: tuple[Row | None, ...], status: str, day: int) -> Verdict:
    listing, period, relisting, band_up, band_down = rows
    free = {"delisting_period": period, "relisting": relisting}.get(status, listing)
    days = int(free.value) if free else 0
    if free and day <= days:
        return Verdict(unlimited=True, band=None, rows=(free,))
    if status in ("normal", "new_listing") and free and days == 0 and day == 1 and band_up and band_down:
        return Verdict(
            unlimited=False, band=(_ratio(band_up), _ratio(band_down)), rows=(free, band_up, band_down)
        )
    return Verdict(unlimited=False, band=None, rows=(free,) if free and day <= max(days, 1) else ())


def _fen(asked: pl.DataFrame) -> Array:
    """The reference in whole fen, half-up; 0 where it is null."""
    reference = asked.get_column("reference").cast(pl.Float64)
    bad = (~reference.is_finite() | (reference <= 0)).fill_null(value=False)
    if bad.any():
        row = asked.row(int(bad.arg_max() or 0), named=True)
        raise UsageError(
            f"reference is {row['reference']} for {row['symbol']} on {row['date']}; "
            "needs a positive price in yuan, or null where it is not known"
        )
    fen: Array = np.floor(reference.fill_null(0.0).to_numpy() * 100 + 0.5 + 1e-6).astype(np.int64)
    return fen


def _price(fen: Array, factor: Array, said: Decision, *, up: bool) -> tuple[Array, Array]:
    """The limit in fen, and where the least move of one tick set it."""
    unit = _SCALE * said.tick
    towards = np.where(said.inward, 0 if up else unit - 1, unit // 2)  # floor, ceiling, or half-up
    price = (fen * factor + towards) // unit * said.tick
    least = fen + said.tick if up else fen - said.tick
    moved = price < least if up else price > least
    price = np.where(moved, least, price)
    return (price if up else np.maximum(price, said.tick)), moved
