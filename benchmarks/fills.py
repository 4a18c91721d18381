"""Targets in to fills and equity out, as a ratio to the least numba loop that trades the same books.

    python -m benchmarks.fills [--sizes S M L] [--runs 5]

S is 30 stocks x 1,000 sessions, M 500 x 2,500, L 5,000 x 2,500: seeded bars with limits, suspensions and gaps. A
share of the stocks has an event each session; each is held 20 sessions in an equal slot, so the book is emitted
every session and most of it is unchanged.

* ``bare``: numba over arrays made beforehand: sells then buys at the next open, whole lots, no buy at limit-up, no
  sell at limit-down or without a bar, 2.5 bp with a floor of 5 yuan, stamp duty, transfer fee, equity. No reasons, no
  checks, one board, one set of rates, float money rounded to the fen.
* ``simulate``: the product, from a frame of date, symbol, weight to the frames of fills and equity, checks included.
* ``portfolio``: the same and a ``vectorbt.Portfolio`` of it; ``+ final_value``: and its value.

Medians of runs that take turns. The bare loop's fills must equal the product's, or the ratio says nothing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import polars as pl
from numba import njit

from backtest.execution import Execution, simulate
from backtest.market import Market
from data_cache.charges import RATE_SCALE

SIZES = {
    "S": (30, 1_000, 1),
    "M": (500, 2_500, 5),
    "L": (5_000, 2_500, 50),
}  # stocks, sessions, events a session
HOLD = 20
DUTY, TRANSFER, COMMISSION, FLOOR = 0.0005, 0.00001, 0.00025, 5.0


def market(n: int, t: int) -> Market:
    """Seeded random walks on the tick, 0.5 % of sessions suspended, 1 % opening on a limit."""
    rng = np.random.default_rng(20240108)
    close = np.empty((t, n))
    opens, up, down = np.empty((t, n)), np.empty((t, n)), np.empty((t, n))
    last = np.round(rng.uniform(5, 60, n), 2)
    for i in range(t):
        up[i], down[i] = np.floor(last * 110 + 0.5) / 100, np.floor(last * 90 + 0.5) / 100
        opens[i] = np.clip(np.round(last * (1 + rng.normal(0, 0.01, n)), 2), down[i], up[i])
        kind = rng.random(n)
        opens[i] = np.where(kind < 0.005, up[i], np.where(kind > 0.995, down[i], opens[i]))
        close[i] = np.clip(np.round(opens[i] * (1 + rng.normal(0.0003, 0.018, n)), 2), down[i], up[i])
        last = np.maximum(close[i], 2.0)
        close[i] = last
    gone = rng.random((t, n)) < 0.005
    gone[0] = False
    mark = close.copy()
    for i in range(1, t):
        mark[i] = np.where(gone[i], mark[i - 1], mark[i])
    for field in (opens, up, down):
        field[gone] = np.nan
    prices = np.where(gone, np.nan, close)
    rates = np.zeros((t, 1, 7), np.int64)
    rates[:] = [100, 100, 0, round(DUTY * RATE_SCALE), round(TRANSFER * RATE_SCALE), 0, 0]
    return Market(
        dates=np.datetime64("2010-01-04") + np.arange(t),
        symbols=tuple(f"{i:06d}.SZ" for i in range(n)),
        basis="raw",
        open=opens,
        high=np.maximum(opens, prices),
        low=np.minimum(opens, prices),
        close=prices,
        volume=np.where(gone, np.nan, 1e9),
        amount=np.full((t, n), np.nan),
        factor=np.ones((t, n)),
        mark=mark,
        limit_up=up,
        limit_down=down,
        doubtful=np.zeros((t, n), bool),
        doubtful_rates=np.zeros((t, 1, 2), bool),
        listed=np.zeros(n, np.int64),
        delisted=np.full(n, t),
        group=np.zeros(n, np.int64),
        rates=rates,
        actions=pl.DataFrame(),
    )


def targets(m: Market, events: int) -> tuple[pl.DataFrame, tuple[Any, Any, Any]]:
    """The books as the frame a strategy returns and as the arrays the bare loop takes."""
    rng = np.random.default_rng(7)
    t, n = m.shape
    until = np.full(n, -1)
    rows, columns = [], []
    for i in range(t - 1):
        until[rng.choice(n, events, replace=False)] = i + HOLD
        held = np.flatnonzero(until > i)
        rows.append(np.full(held.size, i))
        columns.append(held)
    at, column = np.concatenate(rows), np.concatenate(columns)
    weight = np.full(at.size, 1 / (HOLD * events))
    symbols = pl.Series(m.symbols, dtype=pl.String).gather(column)
    return pl.DataFrame({"date": m.dates[at], "symbol": symbols, "weight": weight}), (at, column, weight)


@njit(cache=True)
def bare(opens: Any, mark: Any, up: Any, down: Any, at: Any, column: Any, weight: Any, cash: float) -> Any:
    """The same books with nothing but the trading in it; returns fills, and equity by session."""
    t, n = opens.shape
    shares, want = np.zeros(n), np.zeros(n)
    book, place, in_book = np.empty(n, np.int64), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    size, row = 0, 0
    sell, buy = np.empty(n, np.int64), np.empty(n, np.int64)
    n_sell, n_buy = 0, 0
    fills, count = np.empty((4 * at.size // 5 + 1000, 4)), 0
    equity = np.empty(t)
    for i in range(t):
        kept = 0
        for k in range(n_sell):
            j = sell[k]
            price = opens[i, j]
            if np.isnan(price) or price <= down[i, j] + 1e-9:
                sell[kept] = j
                kept += 1
                continue
            worth = np.round(want[j] * price, 2)
            cash += worth - max(np.round(worth * COMMISSION + 1e-9, 2), FLOOR)
            cash -= np.round(worth * DUTY + 1e-9, 2) + np.round(worth * TRANSFER + 1e-9, 2)
            shares[j] -= want[j]
            fills[count, 0], fills[count, 1], fills[count, 2], fills[count, 3] = i, j, -want[j], price
            count += 1
            if shares[j] == 0:
                size -= 1
                book[place[j]] = book[size]
                place[book[size]] = place[j]
        n_sell = kept
        for k in range(n_buy):
            j = buy[k]
            price = opens[i, j]
            if np.isnan(price) or price >= up[i, j] - 1e-9:
                continue
            lots = want[j]
            while lots > 0:
                worth = np.round(lots * price, 2)
                cost = worth + max(np.round(worth * COMMISSION + 1e-9, 2), FLOOR)
                cost += np.round(worth * TRANSFER + 1e-9, 2)
                if cost <= cash + 1e-6:
                    break
                lots -= 100
            if lots <= 0:
                continue
            cash -= cost
            if shares[j] == 0:
                book[size], place[j] = j, size
                size += 1
            shares[j] += lots
            fills[count, 0], fills[count, 1], fills[count, 2], fills[count, 3] = i, j, lots, price
            count += 1
        n_buy = 0
        value = cash
        for k in range(size):
            value += shares[book[k]] * mark[i, book[k]]
        equity[i] = value
        if row < at.size and at[row] == i:
            n_sell = 0
            while row < at.size and at[row] == i:
                j = column[row]
                in_book[j] = i
                change = weight[row] * value / mark[i, j] - shares[j]
                lots = np.floor(abs(change) / 100 + 1e-8) * 100
                if lots > 0:
                    want[j] = lots
                    if change > 0:
                        buy[n_buy] = j
                        n_buy += 1
                    else:
                        sell[n_sell] = j
                        n_sell += 1
                row += 1
            for k in range(size):
                if in_book[book[k]] != i:
                    want[book[k]] = shares[book[k]]
                    sell[n_sell] = book[k]
                    n_sell += 1
    return fills[:count], equity


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["S", "M", "L"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--no-vectorbt", action="store_true")
    arguments = parser.parse_args()
    rules = Execution(volume_cap=1.0)
    print(f"{'size':4} {'targets':>10} {'fills':>8}  {'way':24} {'seconds':>9} {'x bare':>7}")
    for name in arguments.sizes:
        n, t, events = SIZES[name]
        m = market(n, t)
        frame, arrays = targets(m, events)
        cash = 10_000.0 * HOLD * events

        def loop(m: Market = m, arrays: Any = arrays, cash: float = cash) -> Any:
            return bare(m.open, m.mark, m.limit_up, m.limit_down, *arrays, cash)

        def ours(m: Market = m, frame: pl.DataFrame = frame, cash: float = cash) -> Any:
            result = simulate(m, frame, cash=cash, rules=rules)
            return result, result.fills, result.equity

        ways = {"bare": loop, "simulate": ours}
        if not arguments.no_vectorbt:
            from backtest.accounts import portfolio

            ways["portfolio"] = lambda ours=ours: portfolio(ours()[0])
            ways["portfolio + final_value"] = lambda ours=ours: portfolio(ours()[0]).final_value()
        fills, equity = ways["bare"]()
        _, theirs, _ = ways["simulate"]()
        same(fills, equity, ours()[0])
        spent: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.runs):
            for way, call in ways.items():
                began = time.perf_counter()
                call()
                spent[way].append(time.perf_counter() - began)
        base = statistics.median(spent["bare"])
        for way, seconds in spent.items():
            median = statistics.median(seconds)
            print(
                f"{name:4} {frame.height:10,} {theirs.height:8,}  {way:24} {median:9.4f} {median / base:7.1f}",
                flush=True,
            )


def same(fills: Any, equity: Any, result: Any) -> None:
    """The bare loop must have made the same trades: session, symbol, shares, price, and the same equity."""
    rows = result.raw_fills
    mine = np.column_stack(
        [rows[:, 1], rows[:, 2], np.where(rows[:, 3] == 0, 1, -1) * rows[:, 4] / 1e6, rows[:, 5] / 1e6]
    )
    key = np.lexsort((mine[:, 1], mine[:, 0]))
    other = fills[np.lexsort((fills[:, 1], fills[:, 0]))]
    if mine.shape != other.shape or not np.allclose(mine[key], other, rtol=0, atol=1e-6):
        raise SystemExit(f"the bare loop traded otherwise: {len(other)} fills against {len(mine)}")
    if not np.allclose(equity, result.value, rtol=0, atol=0.01):
        raise SystemExit(f"equity differs by {np.abs(equity - result.value).max():.4f} yuan")


if __name__ == "__main__":
    main()
