"""When a second source speaks of a bar or factor that is already stored: agreement, news or disagreement.

Two values of the same source are equal to a relative 1e-9; anything more is a revision. Between sources:

* as traded: prices equal to half a tick (0.005 yuan), volume to a lot or 1 %, amount to 1 %;
* adjusted: two vendors' levels differ by a constant after each dividend, so the shape is compared: the day's
  return against the bar before last or the one before that (one bad day then does not condemn the next), and
  open, high and low over close; to what rounding to the fen can do to them plus 0.0001. Volumes are not
  compared, because some vendors adjust them too;
* a further date of an adjusted series, or of factors, is taken from another source only where its level agrees
  with the stored one on the dates both have (median within 0.2 %); else the series would jump where the sources
  meet. Such rows are quarantined as ``cross_source_level``.
"""

from __future__ import annotations

import polars as pl

from data_cache.database import query
from data_cache.puts import (
    CONFIRMED,
    DISAGREES,
    NEW,
    REVISED,
    SAME,
    SAME_SOURCE,
    Transaction,
    Written,
    judge,
    screen,
    shape,
)
from data_cache.tables import TABLES, encode

__all__ = ["LEVEL", "judge_bars", "level_breaks", "put_factors"]

LEVEL = 0.002
_FEN = 0.005
_SHAPE = 1e-4
_PRICES = ("open", "high", "low", "close")


def judge_bars(new: pl.DataFrame, stored: pl.DataFrame, source: str, *, adjusted: bool) -> pl.Series:
    """Compare encoded bars of one basis with the stored ones; as ``puts.judge``, with the tolerances above.

    Args:
        new: sorted by symbol and date, unique.
        stored: current rows of the basis with ``_source`` and ``_provisional``.
        source: of the new rows.
        adjusted: whether the basis is.
    """
    if stored.is_empty():
        return pl.repeat(NEW, new.height, dtype=pl.Int8, eager=True)
    both = new.join(stored, on=["symbol", "date"], how="left", suffix="_stored", maintain_order="left")
    exact = pl.all_horizontal(
        *(_near(name, SAME_SOURCE) for name in _PRICES),
        pl.col("volume") == pl.col("volume_stored"),
        _near("amount", SAME_SOURCE).fill_null(
            pl.col("amount").is_null() & pl.col("amount_stored").is_null()
        ),
    )
    agrees = _shape_agrees() if adjusted else _tape_agrees()
    other = pl.col("_source") != source
    return both.select(
        pl.when(pl.col("_source").is_null())
        .then(NEW)
        .when(exact)
        .then(pl.when("_provisional").then(CONFIRMED).otherwise(SAME))
        .when("_provisional")
        .then(CONFIRMED)
        .when(~other)
        .then(REVISED)
        .when(agrees)
        .then(SAME)
        .otherwise(DISAGREES)
        .cast(pl.Int8)
        .alias("verdict")
    )["verdict"]


def level_breaks(both: pl.DataFrame, value: str) -> pl.Series:
    """Symbols whose level in one source is not that of the other.

    Args:
        both: symbol, the value and ``{value}_stored`` (null where not stored), of symbols that another source
            has stored.
        value: ``close`` or ``factor``.

    Returns:
        Encoded symbols; one without a common date is among them, since nothing shows that it agrees.
    """
    off = (pl.col(value) / pl.col(f"{value}_stored") - 1).abs().median()
    return both.group_by("symbol").agg(off=off).filter(pl.col("off").fill_null(1.0) > LEVEL)["symbol"]


def put_factors(transaction: Transaction, frame: pl.DataFrame) -> Written:
    """Store adjustment factors, and that their symbols' source was asked; see ``Store.put_factors``."""
    table, connection = TABLES["factors"], transaction.connection
    good, bad = screen(table, shape(table, frame))
    rows = good.with_columns(encode(good["symbol"]))
    asked = rows.select("symbol").unique()
    codes = ", ".join(map(str, asked["symbol"])) or "NULL"
    stored = query(
        connection,
        "SELECT t.*, p.source AS _source, p.provisional AS _provisional FROM factors t JOIN puts p USING (put) "
        f"WHERE t.symbol IN ({codes})",
    )
    verdict = judge(table, rows, stored, transaction.source)
    begun = stored.group_by("symbol").agg(mine=(pl.col("_source") == transaction.source).any())
    both = rows.join(begun.filter(~pl.col("mine")), on="symbol", how="semi").join(
        stored.select("symbol", "date", "factor"), on=["symbol", "date"], how="left", suffix="_stored"
    )
    broken = (verdict == NEW) & rows["symbol"].is_in(level_breaks(both, "factor").implode())
    rejected = [
        bad,
        good.filter(verdict == DISAGREES).with_columns(rule=pl.lit("cross_source")),
        good.filter(broken).with_columns(rule=pl.lit("cross_source_level")),
    ]
    connection.execute(f"DELETE FROM factors_seen WHERE symbol IN ({codes})")
    seen = asked.with_columns(fetched_at=pl.lit(transaction.fetched_at))
    connection.register("_seen", seen)
    connection.execute("INSERT INTO factors_seen SELECT * FROM _seen")
    connection.unregister("_seen")
    done = transaction.record(table, rows.filter(~broken), verdict.filter(~broken))
    done += transaction.quarantine(table, pl.concat(rejected))
    return done + Written(unchanged=frame.height - good.height - bad.height)


def _near(name: str, relative: float) -> pl.Expr:
    stored = pl.col(f"{name}_stored")
    return (pl.col(name) - stored).abs() <= relative * stored


def _tape_agrees() -> pl.Expr:
    return pl.all_horizontal(
        *((pl.col(name) - pl.col(f"{name}_stored")).abs() < _FEN for name in _PRICES),
        ((pl.col("volume") - pl.col("volume_stored")).abs() <= 100) | _near("volume", 0.01),
        _near("amount", 0.01).fill_null(value=True),
    )


def _shape_agrees() -> pl.Expr:
    ratio = pl.col("close") / pl.col("close_stored")
    blur = _FEN / pl.col("close") + _FEN / pl.col("close_stored")  # what rounding may do to one level ratio

    def steady(back: int) -> pl.Expr:
        # Over rows of one stored source (null where none), so "before" is the last date both have.
        before, blur_before = ratio.shift(back), blur.shift(back)
        return (ratio / before - 1).abs() <= blur + blur_before + _SHAPE

    alone = ratio.shift(1).is_null()
    returns = alone | steady(1).fill_null(value=False) | steady(2).fill_null(value=False)
    shape = pl.all_horizontal(
        (pl.col(name) / pl.col("close") / (pl.col(f"{name}_stored") / pl.col("close_stored")) - 1).abs()
        <= 2 * blur + _SHAPE
        for name in ("open", "high", "low")
    )
    return (returns & shape).over("symbol", "_source")
