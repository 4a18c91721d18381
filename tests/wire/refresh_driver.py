"""Run the command `ashare` in a process of its own, its vendors on this machine and its clock standing still.

``python refresh_driver.py PORT MOMENT COMMAND...``; the kill and lock tests start it.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import loopback

import backtest.cli.refresh
from backtest.cli import main

if __name__ == "__main__":
    port, moment, *command = sys.argv[1:]
    backtest.cli.refresh._now = lambda: dt.datetime.fromisoformat(moment)
    with loopback.redirected(int(port)):
        sys.exit(main(command))
