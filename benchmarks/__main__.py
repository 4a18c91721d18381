"""``python -m benchmarks``: every benchmark in turn, at the sizes the README quotes."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("startup", "fills", "rules", "store", "extract")

for name in NAMES:
    print(f"\n== python -m benchmarks.{name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
