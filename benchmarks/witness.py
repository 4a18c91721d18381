"""Another engine given our simulation's orders: what ``rqalpha_check`` and ``backtrader_check`` have in common.

The other engine has an environment of its own. This is imported there too, so until it simulates it needs numpy alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]


def witness(
    name: str,
    told: str | None,
    replay: Callable[[Path], None],
    report: Callable[[Any, float, dict[str, Any]], None],
) -> None:
    """Ask the command line for the other engine's interpreter, simulate here, replay there, report both."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, help=f"interpreter of an environment with {name}")
    parser.add_argument("--size", choices=["S", "M"], default="S")
    parser.add_argument("--replay", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.replay:
        replay(arguments.replay)
        return
    if not arguments.python:
        parser.error(f"--python is needed: an interpreter that can import {name}")
    there = [arguments.python.absolute(), "-m", f"benchmarks.{name}_check", "--replay"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        result, seconds = ours(arguments.size, folder)
        subprocess.run([*there, folder], check=True, cwd=ROOT)
        answer = json.loads((folder / "answer.json").read_text())
    report(result, seconds, answer)


def ours(size: str, folder: Path) -> tuple[Any, float]:
    """Our simulation, the median seconds of five, and its world and orders written for the other to read."""
    from backtest.execution import Execution, simulate
    from benchmarks.fills import HOLD, SIZES, market, targets

    n, t, events = SIZES[size]
    m = market(n, t)
    frame, _ = targets(m, events)
    rules = Execution(volume_cap=1.0)
    cash = 10_000.0 * HOLD * events
    spent = []
    for _ in range(6):
        began = time.perf_counter()
        result = simulate(m, frame, cash=cash, rules=rules)
        _ = result.fills, result.equity
        spent.append(time.perf_counter() - began)
    seconds = statistics.median(spent[1:])
    filled, lost = result.raw_fills, result.raw_lost
    refused = lost[np.isin(lost[:, 7], (0, 1, 2))]  # limit_up, limit_down, suspended: orders the market saw
    orders = np.concatenate([filled[:, 1:5], refused[:, [1, 2, 3, 4]]])
    order = np.lexsort((1 - orders[:, 2], orders[:, 0]))  # sells first
    np.savez(
        folder / "world.npz",
        dates=m.dates.astype("datetime64[D]").astype(str),
        open=m.open, high=m.high, low=m.low, close=m.close, volume=m.volume, up=m.limit_up, down=m.limit_down,
        orders=orders[order], fills=filled, cash=cash,
    )  # fmt: skip
    return result, seconds
