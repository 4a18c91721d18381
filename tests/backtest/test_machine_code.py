"""The kernel's machine code: kept, read back, made again when it is broken, and given only what it was made for."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest

from backtest import kernel, records
from backtest.execution import Execution, simulate
from backtest.market import from_frames
from data_cache import machine_code

ROOT = Path(__file__).resolve().parents[2]
CHECK = (
    "import json, sys, numpy as np\n"
    "from backtest import kernel\n"
    "one = np.zeros(1, np.int64)\n"
    "told = kernel.check_targets(one, one, np.full(1, 2.0))\n"
    "print(json.dumps([told, 'numba' in sys.modules]))\n"
)


def run(code: str) -> list[object]:
    """A new process in an environment that writes no bytecode."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return list(json.loads(done.stdout))


def test_a_second_process_compiles_nothing_and_needs_no_numba() -> None:
    run(CHECK)
    assert run(CHECK) == [[2, 0], False]


def test_code_that_is_cut_off_or_changed_is_never_run(tmp_path: Path) -> None:
    whole = bytes(range(256)) * 4
    path = tmp_path / "folder" / "session.o"
    assert machine_code._read(path) is None
    machine_code._write(path, whole)
    assert machine_code._read(path) == whole
    held = path.read_bytes()
    for broken in (held[:-1], held[:40], b"", held[:-1] + b"\x00"):
        path.write_bytes(broken)
        assert machine_code._read(path) is None


def test_where_nothing_can_be_written_it_still_runs_and_leaves_no_scrap(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    machine_code._write(blocked / "session.o", b"code")
    taken = tmp_path / "session.o"
    taken.mkdir()  # it cannot be replaced by a file
    machine_code._write(taken, b"code")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "session.o"]


def test_the_file_is_another_one_for_other_sources_libraries_and_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = machine_code._path(records)
    assert machine_code._path(records) == now
    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "version", lambda name: f"{name} of tomorrow")
        assert machine_code._path(records) != now
    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "_features", lambda: "another processor")
        assert machine_code._path(records) != now
    monkeypatch.setattr(records, "SOURCE", "backtest.kernel")
    assert machine_code._path(records).name.split(".")[1] != now.name.split(".")[1]


def test_code_that_calls_what_a_later_process_would_not_find_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calls_sine.py").write_text(
        "import numpy as np\n"
        "from numba import njit\n"
        "from data_cache.machine_code import ALONE\n"
        "@njit('(f8[::1],)', **ALONE)\n"
        "def wave(x):\n"
        "    x[0] = np.sin(x[0])\n"
        "    return 0\n"
        "ENTRIES = {'wave': wave}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    terms = ModuleType("terms")
    terms.SOURCE, terms.ARGUMENTS, terms.__file__ = "calls_sine", {"wave": {"x": "f8[::1]"}}, __file__  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="sin"):
        machine_code.entry(terms, "wave")


@pytest.mark.parametrize(
    "wrong",
    [
        {"dates": np.zeros(2, np.int32)},
        {"dates": np.zeros(4, np.int64)[::2]},
        {"dates": np.zeros((2, 1), np.int64)},
        {"weights": np.zeros(2, np.int64)},
        {"dates": [0, 1]},
        {"more": np.zeros(2, np.int64)},
    ],
)
def test_an_array_of_another_type_or_layout_is_refused(wrong: dict[str, object]) -> None:
    zeros = np.zeros(2, np.int64)
    right = {"dates": zeros, "columns": zeros, "weights": np.zeros(2), "row": np.zeros(1, np.int64)}
    call = machine_code.entry(records, "check_targets")
    assert call(**right) == 3
    with pytest.raises(TypeError):
        call(**(right | wrong))
    with pytest.raises(TypeError):
        call(dates=zeros)


def test_orders_that_outrun_the_room_made_for_them_are_all_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One book, filled a lot a session for longer than there are rows at first."""
    monkeypatch.setattr(kernel, "_ROOM", 16)
    first = dt.date(2010, 1, 4)
    days = [first + dt.timedelta(days=i) for i in range(400)]
    frame = pl.DataFrame(
        {
            "symbol": "000001.SZ",
            "date": days,
            "open": 10.0,
            "high": 10.0,
            "low": 10.0,
            "close": 10.0,
            "volume": 1000,
        }
    )
    market = from_frames(frame, pl.Series("date", days))
    book = pl.DataFrame({"date": days[:1], "symbol": ["000001.SZ"], "weight": [1.0]})
    result = simulate(market, book, cash=10_000_000, rules=Execution(volume_cap=0.1, buy_retry=5000))
    assert result.fills.height == len(days) - 1
    assert result.fills["shares"].unique().to_list() == [100.0]
    assert result.rejections.height == len(days) - 1
    assert result.positions["shares"].to_list() == [100.0 * i for i in range(1, len(days))]


def test_threads_share_the_code() -> None:
    """The call lets go of the interpreter: what one thread writes no other may see."""
    told: dict[int, tuple[int, int]] = {}

    def work(n: int) -> None:
        dates = np.arange(n, dtype=np.int64)
        weights = np.full(n, 0.5)
        weights[n - 1] = 2.0
        for _ in range(50):
            told[n] = kernel.check_targets(dates, np.zeros(n, np.int64), weights)
            assert told[n] == (2, n - 1)

    threads = [threading.Thread(target=work, args=(n,)) for n in (10, 1000, 50_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {n: (2, n - 1) for n in (10, 1000, 50_000)}
