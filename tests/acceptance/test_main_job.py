"""The whole road, as its users walk it: the command line, Python, and the real prices and notes."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.cli import app, main

ROOT = Path(__file__).resolve().parents[2]


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:  # type: ignore[type-arg]
    capsys.readouterr()
    code = main([*argv, "--json"])
    out = capsys.readouterr().out
    assert code in (0, 3), out
    return json.loads(out)


def test_the_six_lines_of_python(sample_db: Path, tmp_path: Path) -> None:
    # The README's own snippet, run as it stands but for the store's place and dates.
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = re.search(r"```python\n(from data_cache.*?)```", text, re.S)
    assert snippet, "the README lost its Python example"
    code = (
        snippet[1]
        .replace('"ashare.duckdb"', repr(str(sample_db)))
        .replace('"report.html"', repr(str(tmp_path / "report.html")))
    )
    scope: dict[str, object] = {}
    exec(code, scope)
    result = scope["result"]
    assert result.fills.height > 0  # type: ignore[attr-defined]
    assert (tmp_path / "report.html").stat().st_size > 1_000_000


def test_the_tutorials_own_strategy(sample_db: Path, tmp_path: Path) -> None:
    readme, tutorial = (
        re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)
        for name in ("README.md", "docs/tutorial.md")
    )
    assert tutorial[0] == readme[1], "the README and the tutorial show the same strategy"
    code = "\n".join(tutorial).replace('"ashare.duckdb"', repr(str(sample_db)))
    code = code.replace('"report.html"', repr(str(tmp_path / "report.html")))
    scope: dict[str, object] = {"__name__": __name__}  # dataclasses look their module up
    code = code.replace('universe="liquid_cooling"', 'universe="sample"')
    exec(compile(code, "tutorial", "exec", dont_inherit=True), scope)
    assert (tmp_path / "report.html").exists()


def test_a_comparison_adds_up(sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, frames = tmp_path / "report.html", tmp_path / "frames"
    got = _json(capsys, "compare", "--db", str(sample_db), "--out", str(page), "--parquet", str(frames))
    assert got["sample"] is True
    table = pl.DataFrame(got["table"])
    own = table.filter(pl.col("strategy") != "000300.SH")
    assert own.height == 7
    equity = pl.read_parquet(frames / "equity.parquet")
    fills = pl.read_parquet(frames / "fills.parquet")
    last = equity.group_by("strategy").agg(pl.col("value").sort_by("date").last())
    joined = own.join(last, on="strategy")
    assert joined["final_value"].to_list() == pytest.approx(joined["value"].to_list(), abs=0.005)
    paid = fills.group_by("strategy").agg(
        pl.sum_horizontal("commission", "stamp_duty", "transfer_fee").sum().alias("paid")
    )
    both = own.join(paid, on="strategy")
    # 5 bp of each fill's open, but for what a price limit held back
    slipped = fills.group_by("strategy").agg(
        pl.col("slippage").sum(), (pl.col("notional") * 5e-4).sum().alias("most")
    )
    slipped = own.join(slipped, on="strategy")
    assert slipped["slippage"].to_list() == pytest.approx(slipped["slippage_right"].to_list(), abs=0.005)
    assert slipped["slippage"].to_list() == pytest.approx(slipped["most"].to_list(), rel=0.01)
    best = own.sort("final_value", descending=True).row(0, named=True)
    told = f"after ¥{best['costs']:,.0f} of fees and ¥{best['slippage']:,.0f} of slippage"
    assert told in page.read_text(encoding="utf-8")
    assert both["costs"].to_list() == pytest.approx(both["paid"].to_list(), abs=0.005)
    lost = pl.read_parquet(frames / "rejections.parquet")
    orders = lost.unique(["strategy", "decision_date", "symbol", "side"]).group_by("strategy").len("orders")
    assert orders["orders"].sum() < lost.height, "some order is refused on several sessions"
    counted = own.join(orders, on="strategy")
    assert counted["refused"].to_list() == counted["orders"].to_list()
    # cash is what came in, less what went out: the ledger of the fills alone gives every account's cash
    flow = fills.with_columns(
        pl.when(pl.col("side") == "sell").then(pl.col("notional")).otherwise(-pl.col("notional"))
        .sub(pl.sum_horizontal("commission", "stamp_duty", "transfer_fee")).alias("flow")
    ).group_by("strategy").agg(pl.col("flow").sum())  # fmt: skip
    cash = equity.group_by("strategy").agg(pl.col("cash").sort_by("date").last()).join(flow, on="strategy")
    assert cash["cash"].to_list() == pytest.approx((1_000_000 + cash["flow"]).to_list(), abs=0.005)


def test_a_note_known_at_another_date_is_told_wherever_the_comparison_is(
    sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from data_cache import Store

    events = Store.open(sample_db).events().filter(pl.col("kind") == "asic_adoption").sort("known_at")
    note, stored = events.select("source", "known_at").row(0)
    page, frames = tmp_path / "report.html", tmp_path / "frames"
    asked = ["compare", "asic-drift", "--db", str(sample_db), "--out", str(page), "--parquet", str(frames)]
    # the first date is the stored one: a moment comes once
    got = _json(capsys, *asked, "--known-at-range", f"{note}={stored.isoformat()},2025-12-01")
    rows = got["known_at_sensitivity"]
    assert [(row["note"], row["as_stored"]) for row in rows] == [(note, True), (note, False)]
    assert rows[0]["total_return"] == got["table"][0]["total_return"]
    assert rows[1]["total_return"] != rows[0]["total_return"]
    assert rows[1]["moved"] == pytest.approx(rows[1]["total_return"] - rows[0]["total_return"])
    kept = pl.read_parquet(frames / "known_at_sensitivity.parquet")
    assert kept["total_return"].to_list() == [row["total_return"] for row in rows]
    text = page.read_text(encoding="utf-8")
    assert 'href="#known-at"' in text
    table = text.split('id="known-at"')[1].split("</table>")[0]
    for row in rows:
        assert f">{row['total_return'] * 100:,.1f} %<" in table
    assert table.count("as stored</td>") == 1
    # unasked it is neither on the page nor left behind in the folder
    assert _json(capsys, *asked)["known_at_sensitivity"] == []
    assert pl.read_parquet(frames / "known_at_sensitivity.parquet").is_empty()
    assert "known-at" not in page.read_text(encoding="utf-8")


def test_every_page_made_from_the_sample_says_so(
    sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main(["compare", "buy-and-hold", "momentum", "--db", str(sample_db), "--out", str(page)]) == 0
    assert "SAMPLE" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").count("SAMPLE") >= 3
    assert main(["backtest", "buy-and-hold", "--db", str(sample_db)]) == 0
    assert "SAMPLE" in capsys.readouterr().out
    for argv in (
        ["status"],
        ["events"],
        ["audit", "momentum"],
        ["events", "--explain", "003990.SZ", "2025-06-03"],
    ):
        assert main([*argv, "--db", str(sample_db)]) in (0, 3)
        assert "SAMPLE" in capsys.readouterr().out, argv


def test_one_strategy_alone_has_no_chance_of_overfitting_to_tell(
    sample_db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "buy-and-hold", "--db", str(sample_db)]) == 0
    assert "overfitted: n/a; it takes two strategies" in " ".join(capsys.readouterr().err.split())


def test_an_audit_says_how_much_it_tested_and_fails_where_it_could_test_nothing(
    sample_db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = ["audit", "buy-and-hold", "--db", str(sample_db), "--end", "2025-09-05"]
    asked = [*audit, "--start", "2025-08-18"]
    assert main([*asked, "--cuts", "100000"]) == 0
    assert "at any of 14 cuts from 2025-08-18 to 2025-09-04, 1 of them" in capsys.readouterr().out
    got = _json(capsys, *asked)
    assert [cut["emits"] for cut in got["cuts"]] == [True] + [False] * 13
    assert got["violations"] == []
    assert main([*audit, "--start", "2025-09-05"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no cut would test anything; ask for a longer stretch" in " ".join(said.err.split())


def test_vectorbt_keeps_the_same_accounts(sample_db: Path) -> None:
    from backtest import run
    from data_cache import Store
    from strategies import AsicAdoptionDrift

    result = run(AsicAdoptionDrift(), Store.open(sample_db))
    assert result.fills.height > 0
    portfolio = result.portfolio
    assert float(portfolio.final_value()) == pytest.approx(float(result.equity["value"][-1]), abs=0.005)
    # what its benchmark is said to be: equal parts of the universe, each from its first bar on
    mark = result.inputs.market.mark
    ends = [column[~np.isnan(column)][[0, -1]] for column in mark.T]
    held = np.mean([last / first for first, last in ends]) - 1
    assert portfolio.stats()["Benchmark Return [%]"] == pytest.approx(held * 100)
    assert len(portfolio.trades.records) > 0


@pytest.mark.realdata
def test_the_real_run(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = str(tmp_path / "real.duckdb")
    call = shared / "notes" / "liquid_cooling_call.txt"
    essay = shared / "notes" / "tech_war_essay_2023-03-26.txt"
    got = _json(capsys, "import", str(shared / "data" / "basket_qfq_b.parquet"), "--db", db)
    assert got
    _json(capsys, "import", str(shared / "data" / "indices.parquet"), "--db", db)
    _json(capsys, "import", str(shared / "facts" / "event_timeline.csv"), "--db", db)
    _json(capsys, "extract", str(call), "--known-at", "2025-08-31T15:00+08:00", "--db", db)
    _json(capsys, "extract", str(essay), "--known-at", "2023-03-26", "--db", db)
    events = pl.DataFrame(_json(capsys, "events", "--db", db)["events"], infer_schema_length=None)
    assert set(events.filter(pl.col("source") != "event_timeline")["kind"]) >= {
        "rack_delay", "chip_delay", "asic_adoption", "rack_adoption", "penetration_view", "supplier_certification",
        "value_share", "risk", "recommendation", "rate_hike", "bank_failure", "national_tech_plan", "decoupling",
        "chip_demand",
    }  # fmt: skip
    assert events.filter(pl.col("source") == "event_timeline").height == 120
    got = _json(
        capsys,
        "compare",
        "--db",
        db,
        "--start",
        "2021-01-04",
        "--end",
        "2026-03-18",
        "--benchmark",
        "000300.SH",
    )
    table = pl.DataFrame(got["table"], infer_schema_length=None)
    assert table.height == 8
    assert got["basis"] == "qfq"
    index = pl.read_parquet(shared / "data" / "indices.parquet").filter(
        (pl.col("symbol") == "000300.SH")
        & pl.col("date").is_between(pl.date(2021, 1, 4), pl.date(2026, 3, 18))
    ).sort("date")["close"]  # fmt: skip
    kept = table.filter(pl.col("strategy") == "000300.SH")["total_return"][0]
    assert kept == pytest.approx(index[-1] / index[0] - 1)


def test_the_command_starts_as_installed() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "ashare", "--help"], capture_output=True, text=True, check=True
    )
    for command in (
        "demo",
        "refresh",
        "import",
        "status",
        "extract",
        "events",
        "strategies",
        "backtest",
        "compare",
    ):
        assert command in done.stdout


def test_the_list_of_commands_says_what_each_is_for() -> None:
    """In a process of its own: the commands are imported late, and one that was has its line anyway."""
    code = "import sys; from backtest.cli import main; main(['--help']); print('polars' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "300"},
    )
    commands = app.resolved_commands()
    told = [name for name in commands if not name.startswith("-")]
    assert len(told) == 12
    for name in told:
        first = (inspect.getdoc(commands[name].default_command) or "").splitlines()[0]
        assert f" {name} " in done.stdout
        assert first.replace("`", "") in done.stdout
    assert done.stdout.endswith("False\n"), "a list of commands needs no data library"
