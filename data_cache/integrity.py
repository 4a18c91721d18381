"""What a bar must satisfy to be stored, rule by rule, each one vectorised over a frame of any size.

A row is quarantined under the first of these it breaks:

1. the named rules of the schema ``Bars``: prices positive and ordered, volume positive (``sound`` says in one
   pass which rows keep them all; only the others pay for the names);
2. ``duplicate``: different rows under one key, none to be trusted (``data_cache.bar_puts``);
3. ``on_calendar``: the date is no trading session (``on_calendar``);
4. ``amount_in_range``: as traded, amount / volume lies within [low, high] (``amount_in_range``);
5. ``stale_flat``: the row repeats the one before (``stale_flat``);
6. ``board_limit``: as traded, no price lies outside the limits of board, date and status (``board_limit``);
7. ``cross_source``, ``cross_source_level``: another source disagrees (``data_cache.witness``).

Below, ``rows`` are encoded bars sorted by symbol and date, and ``_previous`` columns hold the bar before, whether
it is stored or comes in the same put; they are null where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data_cache.tables import decode

__all__ = ["Known", "amount_in_range", "board_limit", "on_calendar", "sound", "stale_flat", "with_previous"]

_HALF_TICK = 0.005  # yuan; prices are quoted to the fen
_LOT = 100  # shares; vendors that count in lots round the volume by up to one
_TINY = 10_000  # shares; a one-price day of less may truly repeat itself (negotiated trades in Beijing)
_AGED = 5  # sessions after a listing that may go without limits, on any board and date


def sound(rows: pl.DataFrame) -> pl.Series:
    """Whether each row keeps every rule of ``Bars`` but uniqueness.

    One expression for the schema's twenty (a test holds them equal): an infinite or missing price fails one of
    the comparisons, because polars orders NaN above infinity.
    """
    from data_cache.schemas import SYMBOL

    low, high = pl.col("low"), pl.col("high")
    kept = rows.select(
        kept=(low > 0)
        & (low <= pl.col("open"))
        & (low <= pl.col("close"))
        & (low <= high)
        & (pl.col("open") <= high)
        & (pl.col("close") <= high)
        & (high < float("inf"))
        & (pl.col("volume") > 0)
        & pl.col("date").is_not_null()
        & (pl.col("amount").is_null() | ((pl.col("amount") > 0) & (pl.col("amount") < float("inf"))))
    )["kept"].fill_null(value=False)
    runs = rows["symbol"].rle().struct.unnest()
    named = runs["value"].str.contains(SYMBOL).fill_null(value=False)
    if not named.all():
        kept &= pl.Series(np.repeat(named.to_numpy(), runs["len"].to_numpy()))
    return kept


def with_previous(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The rows with the bar before each, and ``aged``: whether five bars of the symbol come before.

    Args:
        rows: encoded, sorted, unique.
        stored: encoded bars of the same symbols and basis; those under a key of ``rows`` are ignored.
    """
    columns = ["symbol", "date", "open", "high", "low", "close", "volume"]
    both = rows.select(columns, mine=True)
    others = stored.select(columns, mine=False).join(rows, on=["symbol", "date"], how="anti")
    if others.height:
        both = pl.concat([both, others]).sort("symbol", "date")
    same = pl.col("symbol") == pl.col("symbol").shift()
    before = both.select(
        "mine",
        *(pl.when(same).then(pl.col(name).shift()).alias(f"{name}_previous") for name in columns[1:]),
        aged=(pl.col("symbol") == pl.col("symbol").shift(_AGED)).fill_null(value=False),
    )
    if others.height:
        before = before.filter("mine")
    return rows.hstack(before.drop("mine"))


def on_calendar(rows: pl.DataFrame, calendar: pl.Series) -> pl.Series:
    """Whether each row's date is a session."""
    days = rows["date"].to_physical().to_numpy()
    sessions = calendar.to_physical().to_numpy()
    first = min(int(days.min()), int(sessions[0]))
    known = np.zeros(max(int(days.max()), int(sessions[-1])) - first + 1, bool)
    known[sessions - first] = True
    return pl.Series(known[days - first])


def amount_in_range(rows: pl.DataFrame) -> pl.Series:
    """Whether the average price paid, amount / volume, lies between the day's low and high, to half a tick.

    A volume in whole hundreds may have been rounded to lots, so it may be off by up to one lot; the amount by
    one yuan. True where there is no amount. Holds for prices as traded only.
    """
    slack = pl.when(pl.col("volume") % _LOT == 0).then(_LOT).otherwise(0)
    return rows.select(
        kept=(
            (pl.col("amount") >= (pl.col("low") - _HALF_TICK) * (pl.col("volume") - slack) - 1)
            & (pl.col("amount") <= (pl.col("high") + _HALF_TICK) * (pl.col("volume") + slack) + 1)
        ).fill_null(value=True)
    )["kept"]


def stale_flat(rows: pl.DataFrame) -> pl.Series:
    """Whether each row differs from the bar before it in some price or the volume.

    A vendor that has nothing new may repeat the last bar. One-price days of under 10,000 shares are let through.
    """
    repeats = pl.all_horizontal(
        pl.col(name) == pl.col(f"{name}_previous") for name in ("volume", "open", "high", "low", "close")
    )
    quiet = (pl.col("high") == pl.col("low")) & (pl.col("volume") < _TINY)
    return rows.select(kept=(~repeats | quiet).fill_null(value=True))["kept"]


@dataclass(frozen=True, slots=True, eq=False)  # holds frames
class Known:
    """What the store knows that bears on limits; symbols encoded.

    Args:
        calendar: sessions, sorted.
        factors: symbol, date, factor.
        factors_seen: symbol and ``until``, the Shanghai date up to which a source was asked for its factors.
        names: symbol, valid_from, name.
        listed: symbol, listed; of those whose listing date is known.
    """

    calendar: pl.Series
    factors: pl.DataFrame
    factors_seen: pl.DataFrame
    names: pl.DataFrame
    listed: pl.DataFrame


def board_limit(rows: pl.DataFrame, known: Known) -> pl.Series:
    """Whether every price lies within the limits of the row's board, date and status.

    The reference is the close of the session before, times factor before / factor of the day where factors are
    known to that day. Where they are not, the date may be ex, which only lowers the reference, so the lower limit
    is not judged. A row is let through where its reference or its age is not known: no bar on the session
    before, or fewer than five earlier bars and no listing date; and where the rule book is in doubt. A symbol
    without dated names counts as normal, which is the wider limit.
    """
    from data_cache.rulebook import limits, status_expr

    kept = np.ones(rows.height, bool)
    special = known.names.filter(status_expr(pl.col("name")) != "normal")["symbol"].unique()
    ratio = pl.when(pl.col("symbol").is_in(special.implode())).then(0.05).otherwise(0.10)
    indexed = rows.with_row_index("row")
    close = pl.col("close_previous")
    near = indexed.filter(
        (pl.col("high") > close * (1 + ratio) + _HALF_TICK)
        | (pl.col("low") < close * (1 - ratio) - _HALF_TICK)
    )
    if known.factors.height:  # on an ex-date the limits move, so nearness to the old close says nothing
        ex = indexed.join(known.factors, on=["symbol", "date"], how="semi")
        near = pl.concat([near, ex]).unique("row").sort("row")
    near = near.with_columns(
        _session(known.calendar, near["date"]).alias("session"),
        _session(known.calendar, near["date_previous"]).alias("session_previous"),
    ).filter(pl.col("session") - pl.col("session_previous") == 1)
    if near.is_empty():
        return pl.Series(kept)
    near = near.join(known.listed, on="symbol", how="left", maintain_order="left")
    near = near.with_columns(
        listed_days=pl.when(pl.col("listed") <= pl.col("date")).then(
            pl.col("session") - _session(known.calendar, near["listed"]) + 1
        )
    ).filter(pl.col("aged") | pl.col("listed_days").is_not_null())
    near = _asof(near, known.factors, "date", "factor", on="date")
    near = _asof(near, known.factors, "date", "factor_previous", on="date_previous")
    near = _asof(near, known.names, "valid_from", "name", on="date")
    near = near.join(known.factors_seen, on="symbol", how="left", maintain_order="left").with_columns(
        covered=(pl.col("date") <= pl.col("until")).fill_null(value=False),
        status=status_expr(pl.col("name")),
    )
    # Factors that start on the very day do not say what the reference was; no factors at all say it is the close.
    unclear = pl.col("covered") & pl.col("factor").is_not_null() & pl.col("factor_previous").is_null()
    scale = pl.when("covered").then(pl.col("factor_previous") / pl.col("factor")).fill_null(1.0)
    judged = limits(
        near.filter(~unclear).select(
            "row", "high", "low", "date", "status", "listed_days", "covered",
            symbol=pl.col("symbol").map_batches(decode, return_dtype=pl.String),
            ex=scale != 1.0,
            reference=(pl.col("close_previous") * scale).round(2).clip(0.01),
        )
    )  # fmt: skip
    slack = _HALF_TICK + pl.when("ex").then(0.01).otherwise(0.0)  # a factor gives the ex-reference to a tick
    beyond = judged.filter(
        ~pl.col("doubtful"),
        (pl.col("high") > pl.col("limit_up") + slack)
        | (pl.col("covered") & (pl.col("low") < pl.col("limit_down") - slack)),
    )
    kept[beyond["row"].to_numpy()] = False
    return pl.Series(kept)


def _session(calendar: pl.Series, dates: pl.Series) -> pl.Series:
    """The position of each date's session in the calendar (of the next one where it is none); null for null."""
    found = calendar.search_sorted(dates.fill_null(calendar[0])).cast(pl.Int64)
    return found.set(dates.is_null(), None)


def _asof(rows: pl.DataFrame, facts: pl.DataFrame, dated: str, name: str, *, on: str) -> pl.DataFrame:
    """Add the latest fact of each row's symbol by the date ``on``."""
    known = facts.select("symbol", pl.col(dated).alias(on), pl.col(facts.columns[-1]).alias(name)).sort(on)
    joined = rows.sort(on).join_asof(known, on=on, by="symbol", check_sortedness=False)
    return joined.sort("row")
