"""SIGKILL at any instant loses nothing that was stored, and the next run finishes the work."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import refresh_driver
from loopback import Fault, Vendors
from vendor_wire import FIRST, LAST, days, small_market

from data_cache.store import Store

EVENING = f"{LAST}T20:00:00+08:00"
SYMBOLS = ["002837.SZ", "000063.SZ", "603019.SH", "920808.BJ"]
KILLS = 3


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    served = Vendors(small_market())
    yield served
    served.close()


def start(vendors: Vendors, db: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        refresh_driver.__file__,
        str(vendors.port),
        EVENING,
        "refresh",
        "--db",
        str(db),
    ]
    command += ["--symbols", ",".join(SYMBOLS), "--start", str(FIRST), "--gap", "0", "--json", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_at_random_points_it_loses_nothing_and_the_next_run_finishes(
    vendors: Vendors, tmp_path: Path
) -> None:
    """The kill falls while the n-th request of the run is answered, so it lies between, in and before writes."""
    db = tmp_path / "a.duckdb"
    dice = random.Random(7)
    stored: dict[str, list[tuple[object, ...]]] = {}
    killed = 0
    for n in range(KILLS):
        fatal = len(vendors.calls) + dice.randint(2, 12) if n else len(vendors.calls) + 14
        due = threading.Event()

        def count(host: str, url: str, fatal: int = fatal, due: threading.Event = due) -> Fault:
            if len(vendors.calls) == fatal:
                due.set()
            return None

        vendors.fault = count
        process = start(vendors, db)
        while process.poll() is None and not due.wait(0.02):
            pass
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
        store = Store.open(db)
        for symbol, rows in stored.items():
            assert store.bars([symbol], basis="raw").rows() == rows, "stored before the kill, and still there"
        for symbol in store.symbols():
            stored[symbol] = store.bars([symbol], basis="raw").rows()
            assert len(stored[symbol]) == len(days()), "a symbol is stored whole or not at all"
            assert store.factors([symbol]).height, "and never without its factors"
    assert killed >= 2, "or this test proves nothing"
    vendors.fault = lambda host, url: None
    out, err = (last := start(vendors, db)).communicate()
    assert last.returncode == 0, err
    assert json.loads(out)["code"] == 0
    store = Store.open(db)
    truth = {f"{c}": [(*r[:6], float(r[6])) for r in rows] for c, rows in vendors.market.bars.items()}
    assert {s[:6]: store.bars([s]).drop("symbol", "basis", "source").rows() for s in store.symbols()} == truth


def test_a_second_run_is_refused_at_once_with_75(vendors: Vendors, tmp_path: Path) -> None:
    asked, released = threading.Event(), threading.Event()

    def holds(host: str, url: str) -> Fault:
        asked.set()
        released.wait(300)
        return None

    vendors.fault = holds
    db = tmp_path / "a.duckdb"
    first = start(vendors, db)
    assert asked.wait(300)
    second = start(vendors, db)
    out, err = second.communicate()
    released.set()
    assert second.returncode == 75
    assert out == ""
    assert "another refresh" in err
    assert "Traceback" not in err
    first.communicate()
    assert first.returncode == 0


def test_ctrl_c_keeps_what_was_stored_and_says_where_it_stands(vendors: Vendors, tmp_path: Path) -> None:
    third = threading.Event()

    def third_symbol(host: str, url: str) -> Fault:
        if "1.603019" in url:
            third.set()
            return "hang"
        return None

    vendors.fault = third_symbol
    process = start(vendors, tmp_path / "a.duckdb")
    assert third.wait(300)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert "what was stored stays" in err
    assert (json.loads(out)["got"], json.loads(out)["code"]) == (2, 130)
    assert Store.open(tmp_path / "a.duckdb").symbols() == sorted(SYMBOLS[:2])
