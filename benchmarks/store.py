"""The store at the size of the whole market, as ratios to the barest way of doing the same in the same run.

    python -m benchmarks.store [--symbols 5000] [--sessions 2500] [--repeat 3]

1. bulk load: ``Store.put_bars`` of one frame, every rule checked / ``INSERT INTO t SELECT * FROM frame`` in DuckDB;
2. daily refresh: one more session of every symbol / that load;
3. whole OHLC panel: four dense sessions x symbols arrays from the store, and from its cache / memcpy of them;
4. peak memory of a process that makes the frame and loads it.

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


def load(folder: Path, symbols: int, sessions: int) -> dict[str, float]:
    """Bare insert, then ours, of one frame; then one more session."""
    import duckdb

    from data_cache import Store

    calendar = Store.create(folder / "calendar.duckdb").calendar().head(-30)
    frame = bars(symbols, sessions + 1, calendar)
    last = frame["date"].max()
    daily, bulk = frame.filter(pl.col("date") == last), frame.filter(pl.col("date") != last)
    del frame
    (folder / "bare.duckdb").unlink(missing_ok=True)
    (folder / "store.duckdb").unlink(missing_ok=True)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    connection = duckdb.connect(str(folder / "bare.duckdb"))
    connection.execute(
        "CREATE TABLE t (symbol VARCHAR, date DATE, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, "
        "volume BIGINT, amount DOUBLE)"
    )
    connection.execute("INSERT INTO t SELECT * FROM bulk")
    connection.close()
    bare = time.perf_counter() - began
    store = Store.create(folder / "store.duckdb")
    began = time.perf_counter()
    written = store.put_bars(bulk, source="bench")
    ours = time.perf_counter() - began
    assert written.inserted == bulk.height, written
    began = time.perf_counter()
    written = store.put_bars(daily, source="bench")
    day = time.perf_counter() - began
    assert written.inserted == symbols, written
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"rows": bulk.height, "bare": bare, "ours": ours, "day": day, "peak": peak / 2**20, "base": base / 2**20}


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
    parser.add_argument("--step", choices=["load", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps({"load": load, "read": read}[given.step](given.folder, given.symbols, given.sessions)))
        return
    with tempfile.TemporaryDirectory() as folder:

        def step(name: str) -> list[dict[str, Any]]:
            argv = [sys.executable, "-m", "benchmarks.store", "--step", name, "--folder", folder,
                    "--symbols", str(given.symbols), "--sessions", str(given.sessions)]  # fmt: skip
            return [
                json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
                for _ in range(given.repeat)
            ]

        loads, reads = step("load"), step("read")
    bulk = statistics.median(run["ours"] / run["bare"] for run in loads)
    print(f"{loads[0]['rows']:,} bars of {given.symbols:,} symbols; medians of {given.repeat}")
    rates = [statistics.median(run["rows"] / run[name] for run in loads) for name in ("bare", "ours")]
    lines = [
        ("bulk load / bare INSERT", bulk, GOALS["bulk"], f"{rates[1]:,.0f} rows/s; bare {rates[0]:,.0f}"),
        ("one more session / bulk load", statistics.median(run["day"] / run["ours"] for run in loads),
         GOALS["daily"], f"{statistics.median(run['day'] for run in loads) * 1000:.0f} ms"),
        ("whole OHLC panel / memcpy", statistics.median(run["built"] / run["memcpy"] for run in reads),
         GOALS["panel"], f"{statistics.median(run['built'] for run in reads):.2f} s"),
        ("cached OHLC panel / memcpy", statistics.median(run["cached"] / run["memcpy"] for run in reads),
         GOALS["cached"], f"{statistics.median(run['cached'] for run in reads) * 1000:.0f} ms"),
        ("peak memory, GiB", max(run["peak"] for run in loads), GOALS["GiB"],
         f"the frame itself and its making: {max(run['base'] for run in loads):.2f}"),
    ]  # fmt: skip
    for name, value, goal, remark in lines:
        print(f"{name:30} {value:8.4f}   goal {goal:<6} {'met' if value <= goal else 'MISSED':7} {remark}")


if __name__ == "__main__":
    main()
