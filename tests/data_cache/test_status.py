"""What the store says it lacks, against gaps made by hand and counted by hand."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from backtest.cli import main
from backtest.cli import store as command
from data_cache.gaps import coverage, gaps, last_session
from data_cache.store import Store

SH = dt.timezone(dt.timedelta(hours=8))
EVENING = dt.datetime(2024, 1, 19, 18, tzinfo=SH)  # a Friday
DAYS = [dt.date(2024, 1, d) for d in (2, 3, 4, 5, 8, 9, 10, 11, 12, 15, 16, 17, 18, 19)]


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Store.create(tmp_path_factory.mktemp("empty") / "s.duckdb").path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return Store.open(shutil.copy(empty, tmp_path / "s.duckdb"))


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_now", lambda: EVENING)


def put(store: Store, days: list[dt.date], symbol: str = "002837.SZ", basis: str = "qfq") -> None:
    rows = len(days)
    price = [10.0 + i / 100 for i in range(rows)]
    store.put_bars(
        pl.DataFrame(
            {"symbol": [symbol] * rows, "date": days, "open": price, "high": price, "low": price, "close": price,
             "volume": [20_000 + i for i in range(rows)]}
        ),
        source="x",
        basis=basis,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "session"),
    [
        (dt.datetime(2024, 1, 19, 15, 29, tzinfo=SH), DAYS[-2]),
        (dt.datetime(2024, 1, 19, 15, 30, tzinfo=SH), DAYS[-1]),
        (dt.datetime(2024, 1, 19, 7, 30, tzinfo=dt.UTC), DAYS[-1]),
        (dt.datetime(2024, 1, 21, 23, tzinfo=SH), DAYS[-1]),  # Sunday
        (dt.datetime(2024, 1, 22, 9, tzinfo=SH), DAYS[-1]),  # Monday morning
        (dt.datetime(2030, 1, 1, tzinfo=SH), dt.date(2026, 12, 31)),  # beyond the calendar
    ],
)
def test_the_last_closed_session(store: Store, now: dt.datetime, session: dt.date) -> None:
    assert last_session(store, now) == session


def test_a_whole_series_has_no_gap(store: Store) -> None:
    put(store, DAYS)
    assert coverage(store, until=DAYS[-1])["missing"].to_list() == [0]
    assert gaps(store, until=DAYS[-1]).is_empty()


def test_gaps_are_runs_of_sessions_without_bar_or_suspension(store: Store) -> None:
    put(store, [d for d in DAYS if d not in (DAYS[3], DAYS[4], DAYS[7], DAYS[9], DAYS[13])])
    idle = pl.DataFrame({"symbol": ["002837.SZ"] * 2, "date": [DAYS[9], DAYS[0]], "reason": ["停牌", "停牌"]})
    store.put_suspensions(idle, source="x")  # the second is contradicted by a bar and changes nothing
    assert gaps(store, until=DAYS[-1]).rows() == [
        ("002837.SZ", "qfq", DAYS[3], DAYS[4], 2),  # over a weekend: one run
        ("002837.SZ", "qfq", DAYS[7], DAYS[7], 1),
        ("002837.SZ", "qfq", DAYS[13], DAYS[13], 1),
    ]
    (row,) = coverage(store, until=DAYS[-1]).to_dicts()
    assert (row["bars"], row["suspended"], row["missing"]) == (9, 1, 4)
    assert gaps(store, until=DAYS[12], since=DAYS[4])["sessions"].to_list() == [1, 1]


def test_a_series_is_expected_from_listing_to_delisting(store: Store) -> None:
    for symbol in ("300308.SZ", "600519.SH"):
        put(store, DAYS[4:8], symbol)
    listed = pl.DataFrame(
        {
            "symbol": ["300308.SZ"],
            "name": ["退市"],
            "board": ["chinext"],
            "listed": [DAYS[2]],
            "delisted": [DAYS[10]],
        }
    )
    store.put_instruments(listed, source="x")
    assert gaps(store, until=DAYS[-1]).rows() == [
        ("300308.SZ", "qfq", DAYS[2], DAYS[3], 2),
        ("300308.SZ", "qfq", DAYS[8], DAYS[9], 2),
        ("600519.SH", "qfq", DAYS[8], DAYS[13], 6),
    ]
    assert coverage(store, until=DAYS[-1])["missing"].to_list() == [4, 6]


def test_each_basis_has_its_own_gaps(store: Store) -> None:
    put(store, DAYS)
    put(store, DAYS[1:3] + DAYS[5:], basis="hfq")
    assert coverage(store, until=DAYS[-1]).select("basis", "missing").rows() == [("hfq", 2), ("qfq", 0)]


@pytest.mark.usefixtures("evening")
@pytest.mark.parametrize(
    ("days", "age", "code"),
    [
        (DAYS, "0d", 0),
        (DAYS[:-1], "1d", 0),
        (DAYS[:-1], "0d", 3),
        (DAYS[:-2], "1d", 3),
        (DAYS[:-2], "2", 0),
        (DAYS[:3] + DAYS[4:], "1d", 3),  # fresh, but with a hole
        ([], "1d", 3),
        (DAYS[:-2], None, 0),  # a look is no alarm
    ],
)
def test_the_exit_code_a_monitor_reads(store: Store, days: list[dt.date], age: str | None, code: int) -> None:
    if days:
        put(store, days)
    argv = ["status", "--db", str(store.path), "--json"]
    assert main(argv if age is None else [*argv, "--max-age", age]) == code


@pytest.mark.usefixtures("evening")
def test_an_old_hole_can_be_left_out(store: Store) -> None:
    put(store, DAYS[:3] + DAYS[4:])
    argv = ["status", "--db", str(store.path), "--json", "--max-age", "1d"]
    assert main(argv) == 3
    assert main([*argv, "--since", str(DAYS[4])]) == 0


@pytest.mark.usefixtures("evening")
def test_the_document_says_what_is_there(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    put(store, DAYS[:-1])
    put(store, DAYS[:2])
    wrong = pl.DataFrame(
        {"symbol": ["002837.SZ"], "date": [DAYS[-1]], "open": [1.0], "high": [0.5], "low": [0.4], "close": [0.4],
         "volume": [5]}
    )  # fmt: skip
    store.put_bars(wrong, source="bad", basis="qfq")
    assert main(["status", "--db", str(store.path), "--json", "--rejected"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["basis"] == "qfq"
    assert told["sample"] is False
    assert told["snapshot"] == store.snapshot_id()
    assert (told["newest_bar"], told["last_session"], told["behind"]) == ("2024-01-18", "2024-01-19", 1)
    assert (told["counts"]["bars"], told["counts"]["revisions"], told["counts"]["rejected"]) == (13, 0, 1)
    assert told["symbols"][0]["sources"] == ["x"]
    assert told["gaps"] == [
        {"symbol": "002837.SZ", "basis": "qfq", "start": "2024-01-19", "end": "2024-01-19", "sessions": 1}
    ]
    assert [(r["rule"], r["source"]) for r in told["rejected"]] == [("high_is_highest", "bad")]
    assert main(["status", "--db", str(store.path), "--rejected"]) == 0
    out = capsys.readouterr().out
    assert "high_is_highest" in out
    assert "SAMPLE" not in out


def test_a_sample_store_says_so_and_is_not_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store.create(tmp_path / "s.duckdb", sample=True)
    put(store, DAYS)
    assert main(["status", "--db", str(store.path), "--max-age", "0d"]) == 0
    assert "SAMPLE" in capsys.readouterr().out


def test_a_wrong_age_and_a_missing_store_are_usage_errors(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--db", str(store.path), "--max-age", "soon"]) == 2
    assert main(["status", "--db", str(tmp_path / "none")]) == 2
    assert "ashare refresh" in capsys.readouterr().err


def test_status_starts_without_what_it_does_not_use(store: Store) -> None:
    put(store, DAYS)
    code = (
        "import sys\nfrom backtest.cli import main\n"
        f"main(['status', '--db', {str(store.path)!r}, '--json'])\n"
        "heavy = {'pandas', 'akshare', 'exchange_calendars', 'vectorbt', 'numba', 'dataframely', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert json.loads(done.stdout)["counts"]["bars"] == len(DAYS)
