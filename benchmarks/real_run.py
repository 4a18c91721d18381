"""The main job on real prices and the two source notes, in an empty store: every command timed, the table printed.

    python -m benchmarks.real_run [--shared ../shared] [--out report.html]

Needs the folder of real data beside the checkout and says so where it is absent. Wall seconds and peak memory are
each command's own, as the operating system accounts for a finished process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASHARE = str(Path(sys.executable).parent / "ashare")


def run(argv: list[str], *, show: bool = False) -> tuple[float, float, int]:
    """Wall seconds, peak MiB and exit code of one command."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [ASHARE, *argv], env=env, stdout=None if show else subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - began, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Print the comparison's table, then one line a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path(__file__).resolve().parents[2] / "shared")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    shared: Path = options.shared
    if not shared.is_dir():
        sys.exit(f"no real data at {shared.name}/ beside the checkout; give --shared")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASHARE_DB"] = str(Path(folder) / "ashare.duckdb")
        report = str(options.out or Path(folder) / "report.html")
        span = ["--start", "2021-01-04", "--end", "2026-03-18"]
        steps = [
            ["import", str(shared / "data" / "basket_qfq_b.parquet")],
            ["import", str(shared / "data" / "indices.parquet")],
            ["import", "timeline"],
            [
                "extract",
                str(shared / "notes" / "liquid_cooling_call.txt"),
                "--known-at",
                "2025-08-31T15:00+08:00",
            ],
            ["extract", str(shared / "notes" / "tech_war_essay_2023-03-26.txt"), "--known-at", "2023-03-26"],
            ["compare", *span, "--benchmark", "000300.SH", "--out", report],
            ["strategies"],
            ["strategies"],
            ["status"],
            ["status"],
        ]
        done = [(argv, *run(argv, show=argv[0] == "compare")) for argv in steps]
        print(f"\n{'command':44} {'seconds':>8} {'peak MiB':>9} {'exit':>5}")
        for argv, seconds, peak, code in done:
            words = " ".join(Path(a).name if "/" in a else a for a in argv[:2])
            print(f"ashare {words:37} {seconds:8.2f} {peak:9,.0f} {code:5}")
        main_job = done[:6]
        print(
            f"{'the whole, to the page':44} {sum(d[1] for d in main_job):8.2f} {max(d[2] for d in main_job):9,.0f}"
        )


if __name__ == "__main__":
    main()
