"""Whole-process start-up: each command's second start as a ratio to ``import polars, duckdb, numba``.

    python -m benchmarks.startup [--runs 5]

The commands run on a sample store made for the purpose. Bytecode is written (PYTHONDONTWRITEBYTECODE is dropped),
each command is warmed up once, and the runs alternate with the bare import so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASHARE = str(Path(sys.executable).parent / "ashare")
BARE = [sys.executable, "-c", "import polars, duckdb, numba"]


def seconds(argv: list[str], env: dict[str, str]) -> float:
    """Wall seconds of one run, its output thrown away."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    took = time.perf_counter() - began
    if done.returncode not in (0, 3):  # 3: status of a store that ends in the past
        raise SystemExit(f"{argv} ended with {done.returncode}")
    return took


def main() -> None:
    """Print one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [ASHARE, "demo", "--out", folder, "--quiet"], env=env, check=True, stdout=subprocess.DEVNULL
        )
        env["ASHARE_DB"] = str(Path(folder) / "sample.duckdb")
        print(f"{'command':34} {'seconds':>8} {'ratio to bare import':>21}")
        for argv in (
            ["strategies"],
            ["status"],
            ["events", "--kind", "rack_delay"],
            ["rule", "300999.SZ", "2020-08-24", "--prev-close", "3.33"],
            ["backtest", "asic-drift"],
        ):
            seconds([ASHARE, *argv], env)
            pairs = [(seconds([ASHARE, *argv], env), seconds(BARE, env)) for _ in range(runs)]
            ratio = statistics.median(a / b for a, b in pairs)
            print(
                f"ashare {' '.join(argv[:2]):27} {statistics.median(a for a, _ in pairs):8.2f} {ratio:21.2f}"
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"peak memory of the largest process: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
