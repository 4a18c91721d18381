"""``ashare refresh`` as cron and a person meet it: one JSON line, a log, exit codes, no traceback."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
from loopback import Vendors
from vendor_wire import FIRST, LAST, days, small_market

import backtest.cli.refresh
from backtest.cli import main
from data_cache.store import Store


@pytest.fixture
def vendors(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """Vendors on this machine, and the clock at Friday evening."""
    monkeypatch.setattr(
        backtest.cli.refresh, "_now", lambda: dt.datetime.fromisoformat(f"{LAST}T20:00:00+08:00")
    )
    served = Vendors(small_market())
    with loopback.redirected(served.port):
        yield served
    served.close()


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    symbols = ["--symbols", "SZ002837,000063", "--start", str(FIRST), "--gap", "0"]
    return ["refresh", "--db", str(tmp_path / "a.duckdb"), *symbols]


def test_one_json_line_and_nothing_else_on_stdout(
    vendors: Vendors, argv: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "refresh.log"
    assert main([*argv, "--json", "--log", str(log)]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert out.count("\n") == 1
    assert (document["code"], document["sources"], document["through"]) == (0, {"eastmoney": 2}, str(LAST))
    assert document["rows"]["inserted"] == 2 * len(days())
    text = log.read_text(encoding="utf-8")
    assert "002837.SZ: 39 bars from eastmoney, sha256 " in text
    assert "\x1b" not in err
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["through"] is None


def test_a_failure_is_said_once_with_its_code_and_remedy(
    vendors: Vendors, argv: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    vendors.fault = lambda host, url: (403, b"no")
    assert main([*argv, "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["code"] == 4
    assert "error:" in err
    assert "HTTP 403" in err
    assert "wait some hours" in err
    assert "Traceback" not in err
    assert Store.open(tmp_path / "a.duckdb").symbols() == []


def test_quiet_says_nothing_when_all_is_well(
    vendors: Vendors, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*argv, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_rest_of_a_partial_run_is_named(
    vendors: Vendors, argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    vendors.fault = lambda host, url: (429, b"") if "hfq.js" in url and "000063" in url else None
    assert main(argv) == 3
    err = capsys.readouterr().err
    assert "factors 000063.SZ" in err
    assert "run the same command again" in err


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (["--symbols", "nonsense"], "is not an A-share symbol"),
        (["--symbols", " , "], "names none"),
        (["--universe", "liquid_coolin"], "did you mean 'liquid_cooling'"),
        (["--universe", "liquid_cooling", "--market"], "give one of them"),
        (["--market", "--providers", "emm"], "did you mean 'em'"),
        (["--market", "--end", "2035-01-01"], "calendar ends on"),
        (["--market", "--start", "yesterday"], "--start"),
        (["--market", "--timeout", "-1"], "--timeout needs more than 0"),
        (["--market", "--timeout", "nan"], "--timeout needs more than 0"),
        (["--market", "--gap", "-1"], "--gap needs 0 or more"),
        (["--market", "--start", "2024-06-03", "--end", "2024-05-31"], "an earlier --start"),
        (["--market", "--start", "2024-06-29"], "an earlier --start"),
        (["--market", "--log", "no/such/folder/x.log"], "--log"),
    ],
)
def test_a_wrong_request_is_refused_with_the_remedy_and_nothing_stored(
    wrong: list[str], word: str, vendors: Vendors, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vendors.fault = lambda host, url: (403, b"no")
    gap = [] if "--gap" in wrong else ["--gap", "0"]
    assert main(["refresh", "--db", str(tmp_path / "a.duckdb"), *gap, *wrong]) == 2
    err = capsys.readouterr().err
    assert word in " ".join(err.split())
    assert "Traceback" not in err
    if word != "calendar ends on":  # a newer calendar is asked for first
        assert vendors.calls == []


def test_the_default_is_the_liquid_cooling_list(vendors: Vendors) -> None:
    from data_cache.universe import load_universe

    assert backtest.cli.refresh._wanted(None, None, market=False) == load_universe()["symbol"].to_list()
    assert backtest.cli.refresh._wanted(None, None, market=True) is None
