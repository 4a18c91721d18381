"""What a bar must satisfy to be stored, rule by rule, each one vectorised over a frame of any size.

A row is quarantined under the first of these it breaks:

1. the named rules of the schema ``Bars``: prices positive and ordered, volume positive (``sound`` says in one
   pass which rows keep them all; only the others pay for the names);
2. ``duplicate``: different rows under one key, none to be trusted (``data_cache.bar_puts``);
3. ``on_calendar``: the date is no trading session (``on_calendar``);
4. ``amount_in_range``: as traded, amount / volume lies within [low, high] (``amount_in_range``);
5. ``stale_flat``: the row repeats the one before (``stale_flat``);
6. ``cross_source``, ``cross_source_level``: another source disagrees (``data_cache.witness``);
7. ``board_limit``: as traded, no price lies outside the limits of board, date and status (``board_limit``), judged
   by the bar that will be in the store before it: a new one that is kept, else the stored one;
8. ``level``: as traded, another row of the symbol was refused, and on most of the dates that are stored the closes
   lie 0.2 % or more off: the vendor tells another series now, and the prices would jump where the two meet.

Below, ``rows`` are encoded bars, those of a symbol together and by date; ``line`` is rows together with the stored
bars they follow, as ``line_up`` makes it. Each function says of every row whether it keeps its rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data_cache.tables import decode

__all__ = ["Known", "amount_in_range", "board_limit", "line_up", "on_calendar", "sound", "stale_flat"]

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


def line_up(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Rows and the stored bars around them in one line; where there are stored bars, sorted.

    Args:
        rows: encoded, unique; those of a symbol together and by date, and wholly sorted where there are stored bars.
        stored: encoded bars of the same symbols and basis, with ``_before``: how many bars of the symbol come
            before each at least; those under a key of ``rows`` are ignored.

    Returns:
        The columns of rows, ``mine`` (whether a row is one of rows) and ``_before``.
    """
    line = rows.with_columns(mine=pl.lit(value=True), _before=pl.lit(0, dtype=pl.Int64))
    if stored.is_empty():
        return line
    others = stored.join(rows, on=["symbol", "date"], how="anti").with_columns(mine=pl.lit(value=False))
    return pl.concat([line, others.select(line.columns)]).sort("symbol", "date")


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

    def within(slack: pl.Expr | int) -> pl.Expr:
        least = (pl.col("low") - _HALF_TICK) * (pl.col("volume") - slack) - 1
        most = (pl.col("high") + _HALF_TICK) * (pl.col("volume") + slack) + 1
        return ((pl.col("amount") >= least) & (pl.col("amount") <= most)).fill_null(value=True)

    kept = rows.select(kept=within(0))["kept"]
    if kept.all():
        return kept
    return rows.select(kept=within(pl.when(pl.col("volume") % _LOT == 0).then(_LOT).otherwise(0)))["kept"]


def stale_flat(line: pl.DataFrame) -> pl.Series:
    """Whether each row of mine differs from the bar before it in some price or the volume.

    A vendor that has nothing new may repeat the last bar. One-price days of under 10,000 shares are let through.
    """
    same = [(pl.col(name) == pl.col(name).shift()) for name in ("volume", "symbol")]
    if not line.select(pl.all_horizontal(same).any()).item():  # two days' volumes are hardly ever equal
        return pl.repeat(value=True, n=int(line["mine"].sum()), dtype=pl.Boolean, eager=True)
    same += [(pl.col(name) == pl.col(name).shift()) for name in ("open", "high", "low", "close")]
    quiet = (pl.col("high") == pl.col("low")) & (pl.col("volume") < _TINY)
    kept = line.select("mine", kept=(~pl.all_horizontal(same) | quiet).fill_null(value=True))
    return kept.filter("mine")["kept"]


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


def board_limit(line: pl.DataFrame, known: Known) -> pl.Series:
    """Whether every price of each row of mine lies within the limits of its board, date and status.

    The reference is the close of the session before, times factor before / factor of the day where factors are
    known to that day. Where they are not, the date may be ex, which only lowers the reference, so the lower limit
    is not judged. A row is let through where its reference or its age is not known: no bar on the session
    before, or fewer than five earlier bars and no listing date; and where the rule book is in doubt. A symbol
    without dated names counts as normal, which is the wider limit.
    """
    from data_cache.rulebook import limits, status_expr

    kept = np.ones(line.height, bool)
    mine = line["mine"].to_numpy()
    near = _near_limits(line, known)
    if near.is_empty():
        return pl.Series(kept[mine])
    near = near.with_columns(
        _session(known.calendar, near["date"]).alias("session"),
        _session(known.calendar, near["date_previous"]).alias("session_previous"),
    ).filter(pl.col("session") - pl.col("session_previous") == 1)
    starts = line.with_row_index("start").group_by("symbol").agg(pl.col("start", "_before").first())
    near = near.join(starts, on="symbol", how="left", maintain_order="left").join(
        known.listed, on="symbol", how="left", maintain_order="left"
    )
    aged = pl.col("row").cast(pl.Int64) - pl.col("start").cast(pl.Int64) + pl.col("_before") >= _AGED
    near = near.with_columns(
        listed_days=pl.when(pl.col("listed") <= pl.col("date")).then(
            pl.col("session") - _session(known.calendar, near["listed"]) + 1
        )
    ).filter(aged | pl.col("listed_days").is_not_null())
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
    return pl.Series(kept[mine])


def _near_limits(line: pl.DataFrame, known: Known) -> pl.DataFrame:
    """The few rows of mine that may lie beyond a limit, with their place and the bar before."""
    from data_cache.rulebook import status_expr

    special = known.names.filter(status_expr(pl.col("name")) != "normal")["symbol"].unique()
    ratio: pl.Expr | float = 0.10  # the narrowest there is for a normal name, 5 % for the others
    if len(special):
        ratio = pl.when(pl.col("symbol").is_in(special.implode())).then(0.05).otherwise(0.10)
    before = pl.col("close").shift()
    near = line.select(
        (pl.col("symbol") == pl.col("symbol").shift())
        & (
            (pl.col("high") > before * (1 + ratio) + _HALF_TICK)
            | (pl.col("low") < before * (1 - ratio) - _HALF_TICK)
        )
    ).to_series()
    places = near.arg_true()
    if known.factors.height:  # on an ex-date the limits move, so nearness to the old close says nothing
        ex = line.with_row_index("row").join(known.factors, on=["symbol", "date"], how="semi")["row"]
        places = pl.concat([places, ex]).unique().sort()
    places = places.filter(places > 0)
    previous = line[places - 1]
    return (
        line[places]
        .with_columns(
            row=places,
            date_previous=previous["date"],
            close_previous=previous["close"],
            symbol_previous=previous["symbol"],
        )
        .filter("mine", pl.col("symbol") == pl.col("symbol_previous"))
        .drop("_before")
    )


def _session(calendar: pl.Series, dates: pl.Series) -> pl.Series:
    """The position of each date's session in the calendar (of the next one where it is none); null for null."""
    found = calendar.search_sorted(dates.fill_null(calendar[0])).cast(pl.Int64)
    return found.set(dates.is_null(), None)


def _asof(rows: pl.DataFrame, facts: pl.DataFrame, dated: str, name: str, *, on: str) -> pl.DataFrame:
    """Add the latest fact of each row's symbol by the date ``on``."""
    known = facts.select("symbol", pl.col(dated).alias(on), pl.col(facts.columns[-1]).alias(name)).sort(on)
    joined = rows.sort(on).join_asof(known, on=on, by="symbol", check_sortedness=False)
    return joined.sort("row")
