"""The rule book on real tape, and how fast it answers a whole market.

    python -m benchmarks.rules [--rows 12500000]

1. ``rules_raw``: 136 stocks, 2012 to January 2022, with the name of the day and the ex-adjusted previous close.
2. ``basket_raw``: unadjusted bars without names; the reference is the close of the session before.
3. ``st_days``: days marked ST, 2023 to 2025, on adjusted bars (a fen of slack is unavoidable there).
4. ``panel``: seconds for limits, fees and lots of 5,000 symbols x 2,500 sessions, as a ratio to one pass that
   multiplies and rounds the same column.

A traded price outside the limits is explained by a row of tests/data_cache/unusual_days.csv or is a fault.
"""

from __future__ import annotations

import argparse
import datetime as dt
import time
from pathlib import Path

import numpy as np
import polars as pl

from data_cache.rulebook import fees, limits, lots, status_expr

ROOT = Path(__file__).resolve().parents[1]
UNUSUAL = ROOT / "tests" / "data_cache" / "unusual_days.csv"
SLACK = 1e-6  # yuan; far below a fen, above the error of a float


def unusual(tape: str) -> pl.DataFrame:
    """The days on which a price of this tape lies outside the ordinary limits, and why."""
    days = pl.read_csv(UNUSUAL, schema_overrides={"date": pl.Date, "listed_days": pl.Int64})
    return days.filter(pl.col("tape") == tape).drop("tape")


def rules_raw(shared: Path, *, told: bool) -> pl.DataFrame:
    """The tape with limits, by the name of the day alone or, ``told``, with the unusual days' statuses too.

    A listing's sessions are counted where the tape begins with an N name, a delisting period's from the first
    session under its name.
    """
    bars = pl.read_parquet(shared / "data" / "rules_raw.parquet").sort("symbol", "date")
    first = pl.col("name").first().over("symbol").str.starts_with("N")
    bars = bars.rename({"prev_close": "reference"}).with_columns(
        status=status_expr(pl.col("name")), nth=pl.int_range(1, pl.len() + 1).over("symbol")
    )
    period = pl.int_range(1, pl.len() + 1).over("symbol", "status")
    bars = bars.with_columns(
        listed_days=pl.when(pl.col("status") == "delisting_period")
        .then(period)
        .when(first | pl.col("symbol").is_in(["300965.SZ"] if told else []))
        .then("nth")
    )
    if told:
        bars = bars.update(unusual("rules_raw").drop("reason"), on=["symbol", "date"])
    return limits(bars)


def basket_raw(shared: Path, *, told: bool) -> pl.DataFrame:
    """Unadjusted bars; the close of the session before is the reference, so an ex-date falls out of the limits."""
    bars = pl.read_parquet(shared / "data" / "basket_raw.parquet").sort("symbol", "date")
    sessions = pl.read_parquet(shared / "data" / "indices.parquet")["date"].unique().sort()
    bars = bars.with_columns(session=sessions.search_sorted(bars["date"]).cast(pl.Int64))
    bars = bars.with_columns(
        reference=pl.col("close").shift(1).over("symbol"), gap=pl.col("session").diff().over("symbol")
    ).filter(pl.col("gap") <= 20)  # the folder has holes of years in some symbols
    bars = bars.with_columns(status=pl.lit("normal"), listed_days=pl.lit(None, dtype=pl.Int64))
    if told:
        bars = bars.update(unusual("basket_raw").drop("reason"), on=["symbol", "date"])
    return limits(bars)


def st_days(shared: Path) -> pl.DataFrame:
    """Days marked ST on adjusted bars."""
    days = (
        pl.read_parquet(shared / "data" / "st_suspensions.parquet").filter("is_st").select("symbol", "date")
    )
    bars = pl.read_parquet(shared / "data" / "market_qfq.parquet").sort("symbol", "date")
    bars = bars.with_columns(reference=pl.col("close").shift(1).over("symbol"), status=pl.lit("st"))
    return limits(bars.join(days, on=["symbol", "date"]).filter(pl.col("volume") > 0))


def outside(bars: pl.DataFrame, slack: float = SLACK) -> pl.DataFrame:
    """The rows with a traded price beyond a limit."""
    high, low = (
        pl.max_horizontal("open", "high", "low", "close"),
        pl.min_horizontal("open", "high", "low", "close"),
    )
    return bars.filter((high > pl.col("limit_up") + slack) | (low < pl.col("limit_down") - slack))


def closes_on(bars: pl.DataFrame, limit: str) -> int:
    """How many closes sit exactly on ``limit_up`` or ``limit_down``."""
    return bars.filter((pl.col("close") - pl.col(limit)).abs() < SLACK).height


def show_tape(shared: Path) -> None:
    """Print the counts."""
    print(f"{'tape':28} {'stock-days':>10} {'outside':>8} {'on limit-up':>12} {'on limit-down':>14}")
    tapes = {
        "rules_raw, by name": rules_raw(shared, told=False),
        "rules_raw, told": rules_raw(shared, told=True),
        "basket_raw, by close": basket_raw(shared, told=False),
        "basket_raw, told": basket_raw(shared, told=True),
        "ST days, adjusted": st_days(shared),
    }
    for name, bars in tapes.items():
        up, down = (closes_on(bars, limit) for limit in ("limit_up", "limit_down"))
        print(f"{name:28} {bars.height:10,} {outside(bars).height:8} {up:12,} {down:14,}")
    reasons = pl.concat(
        unusual(t).with_columns(tape=pl.lit(t)) for t in ("rules_raw", "basket_raw", "st_days")
    )
    print("\noutside, by reason")
    short = (
        pl.col("reason")
        .str.split(":")
        .list.first()
        .str.split(" of ")
        .list.first()
        .str.split(" after")
        .list.first()
    )
    for tape, reason, count in reasons.group_by("tape", short, maintain_order=True).len().iter_rows():
        print(f"{tape:12} {count:4}  {reason}")


def show_speed(rows: int) -> None:
    """Print the seconds of a panel, as ratios to one pass over one column."""
    prefixes = (("600", "SH"), ("000", "SZ"), ("300", "SZ"), ("688", "SH"), ("920", "BJ"))
    codes = pl.Series([f"{prefix}{n:03d}.{exchange}" for prefix, exchange in prefixes for n in range(1000)])
    span = pl.date_range(dt.date(2016, 1, 4), dt.date(2026, 12, 31), eager=True)
    days = span.filter(span.dt.weekday() <= 5).head(max(1, rows // len(codes)))
    panel = pl.DataFrame(
        {
            "symbol": codes.gather(np.repeat(np.arange(len(codes)), len(days))),
            "date": days.gather(np.tile(np.arange(len(days)), len(codes))),
            "reference": np.random.default_rng(0).integers(100, 20_000, len(codes) * len(days)) / 100,
            "listed_days": np.tile(np.arange(1, len(days) + 1), len(codes)),
        }
    ).with_columns(status=pl.lit("normal"))
    began = time.perf_counter()
    panel.select((pl.col("reference") * 1.1).round(2))
    bare = time.perf_counter() - began
    print(f"\n{panel.height:,} rows; one column multiplied and rounded: {bare:.3f} s")
    for answer in (limits, fees, lots):
        began = time.perf_counter()
        answer(panel)
        took = time.perf_counter() - began
        print(f"{answer.__name__:8} {took:6.2f} s {took / bare:8.1f} x")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=12_500_000)
    rows = parser.parse_args().rows
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        show_tape(shared)
    else:
        print("the tape needs the real data in shared/ beside the checkout; only the speed is measured")
    show_speed(rows)


if __name__ == "__main__":
    main()
