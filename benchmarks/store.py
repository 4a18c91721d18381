"""The store at the size of the whole market, as ratios to the barest way of doing the same in the same run.

    python -m benchmarks.store [--symbols 5000] [--sessions 2500] [--repeat 3]

1. bulk load: ``Store.put_bars`` of one frame, every rule checked / ``INSERT INTO t SELECT * FROM frame`` in DuckDB;
2. daily refresh: one more session of every symbol / that load;
3. whole OHLC panel: four dense sessions x symbols arrays from the store, and from its cache / memcpy of them;
4. peak memory of a process that reads the frame from Parquet and loads it.

Each step runs in its own process, so that peak memory is its own and nothing is warm that would not be.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

GOALS = {"bulk": 1.5, "daily": 0.005, "panel": 18.0, "cached": 2.0, "GiB": 2.0}


def bars(symbols: int, sessions: int, calendar: pl.Series) -> pl.DataFrame:
    """Seeded raw bars that break no rule: prices in fen, moves within 9 %, amount inside the day's range."""
    rng = np.random.default_rng(7)
    move = np.clip(rng.normal(0, 0.02, (symbols, sessions)), -0.08, 0.08)
    close = np.round(20 * np.exp(np.clip(np.cumsum(move, axis=1), -2, 2)), 2)
    before = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    open_ = np.round(before + (close - before) * rng.random(close.shape), 2)
    high, low = np.maximum(open_, close), np.minimum(open_, close)
    volume = rng.integers(10_000, 50_000_000, close.shape)
    codes = [f"{600000 + i}.SH" if i < 3000 else f"{i - 3000 + 1:06d}.SZ" for i in range(symbols)]
    days = calendar.tail(sessions)
    return pl.DataFrame(
        {
            "symbol": pl.Series(np.repeat(np.arange(symbols), sessions)).replace_strict(
                np.arange(symbols), codes, return_dtype=pl.String
            ),
            "date": pl.concat([days] * symbols),
            "open": open_.ravel(),
            "high": high.ravel(),
            "low": low.ravel(),
            "close": close.ravel(),
            "volume": volume.ravel(),
            "amount": ((high + low) / 2 * volume).ravel(),
        }
    )


def make(folder: Path, symbols: int, sessions: int) -> dict[str, float]:
    """The frames as files, so that making them is in nobody's time or memory."""
    from data_cache import Store

    calendar = Store.create(folder / "calendar.duckdb").calendar().head(-30)
    frame = bars(symbols, sessions + 1, calendar)
    last = frame["date"].max()
    frame.filter(pl.col("date") != last).write_parquet(folder / "bulk.parquet")
    frame.filter(pl.col("date") == last).write_parquet(folder / "day.parquet")
    return {}


def bare(folder: Path, _symbols: int, _sessions: int) -> dict[str, float]:
    """The frame into a plain DuckDB table, without keys or checks."""
    import duckdb

    bulk = pl.read_parquet(folder / "bulk.parquet")
    (folder / "bare.duckdb").unlink(missing_ok=True)
    began = time.perf_counter()
    connection = duckdb.connect(str(folder / "bare.duckdb"))
    connection.execute(
        "CREATE TABLE t (symbol VARCHAR, date DATE, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, "
        "volume BIGINT, amount DOUBLE)"
    )
    connection.execute("INSERT INTO t SELECT * FROM bulk")
    connection.close()
    return {"rows": bulk.height, "bare": time.perf_counter() - began}


def load(folder: Path, symbols: int, _sessions: int) -> dict[str, float]:
    """The same frame into a store, every rule checked; then one more session."""
    from data_cache import Store

    bulk, day = (pl.read_parquet(folder / f"{name}.parquet") for name in ("bulk", "day"))
    frame = _peak()
    (folder / "store.duckdb").unlink(missing_ok=True)
    store = Store.create(folder / "store.duckdb")
    began = time.perf_counter()
    written = store.put_bars(bulk, source="bench")
    ours = time.perf_counter() - began
    assert written.inserted == bulk.height, written
    began = time.perf_counter()
    written = store.put_bars(day, source="bench")
    daily = time.perf_counter() - began
    assert written.inserted == symbols, written
    return {"ours": ours, "day": daily, "peak": _peak(), "frame": frame}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def read(folder: Path, _symbols: int, _sessions: int) -> dict[str, float]:
    """The whole panel from the store, from the cache, and memcpy."""
    import shutil

    from data_cache import Store

    store = Store.open(folder / "store.duckdb")
    fields = ["open", "high", "low", "close"]
    shutil.rmtree(folder / "store.duckdb.panels", ignore_errors=True)
    began = time.perf_counter()
    panel = store.panel(fields, basis="raw")
    built = time.perf_counter() - began
    sums = [float(np.nansum(panel[name])) for name in fields]
    copies = [np.ones_like(panel[name]) for name in fields]
    targets = [np.ones_like(panel[name]) for name in fields]
    memcpy = []
    for _ in range(5):
        began = time.perf_counter()
        for target, source in zip(targets, copies, strict=True):
            np.copyto(target, source)
        memcpy.append(time.perf_counter() - began)
    cached = []
    for _ in range(5):
        began = time.perf_counter()
        again = store.panel(fields, basis="raw")
        for target, name in zip(targets, fields, strict=True):
            np.copyto(target, again[name])  # every byte is read, so mapping is not counted as reading
        cached.append(time.perf_counter() - began)
    assert sums == [float(np.nansum(target)) for target in targets]
    return {"built": built, "memcpy": statistics.median(memcpy), "cached": statistics.median(cached)}


def main() -> None:
    """Run the steps and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=5000)
    parser.add_argument("--sessions", type=int, default=2500)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--step", choices=["make", "bare", "load", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        steps = {"make": make, "bare": bare, "load": load, "read": read}
        print(json.dumps(steps[given.step](given.folder, given.symbols, given.sessions)))
        return
    with tempfile.TemporaryDirectory() as folder:

        def step(name: str) -> dict[str, Any]:
            argv = [sys.executable, "-m", "benchmarks.store", "--step", name, "--folder", folder,
                    "--symbols", str(given.symbols), "--sessions", str(given.sessions)]  # fmt: skip
            done = subprocess.run(argv, check=True, capture_output=True, text=True)
            return dict(json.loads(done.stdout))

        step("make")
        runs = [step("bare") | step("load") | step("read") for _ in range(given.repeat)]

    def median(value: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(value(run) for run in runs)

    print(f"{runs[0]['rows']:,} bars of {given.symbols:,} symbols; medians of {given.repeat}")
    rates = [median(lambda run, name=name: run["rows"] / run[name]) for name in ("bare", "ours")]
    lines = [
        ("bulk load / bare INSERT", median(lambda run: run["ours"] / run["bare"]), GOALS["bulk"],
         f"{rates[1]:,.0f} rows/s; bare {rates[0]:,.0f}"),
        ("one more session / bulk load", median(lambda run: run["day"] / run["ours"]), GOALS["daily"],
         f"{median(lambda run: run['day']) * 1000:.0f} ms"),
        ("whole OHLC panel / memcpy", median(lambda run: run["built"] / run["memcpy"]), GOALS["panel"],
         f"{median(lambda run: run['built']):.2f} s"),
        ("cached OHLC panel / memcpy", median(lambda run: run["cached"] / run["memcpy"]), GOALS["cached"],
         f"{median(lambda run: run['cached']) * 1000:.0f} ms"),
        ("peak memory of the load, GiB", max(run["peak"] for run in runs), GOALS["GiB"],
         f"the frame alone {max(run['frame'] for run in runs):.2f}"),
    ]  # fmt: skip
    for name, value, goal, remark in lines:
        print(f"{name:30} {value:8.4f}   goal {goal:<6} {'met' if value <= goal else 'MISSED':7} {remark}")


if __name__ == "__main__":
    main()
