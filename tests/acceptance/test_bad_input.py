"""Whatever is wrong: one clear error with the remedy, the right exit code, no traceback, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backtest.cli import main
from data_cache import Store

HOLD = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["compare", "asic-drfit"], 2, ["asic-drfit", "asic-drift"]),
        (["backtest", "momentun"], 2, ["momentun", "momentum"]),
        (["backtest", "momentum", "-p", "lokback=3"], 2, ["lokback"]),
        (["backtest", "momentum", "-p", "lookback"], 2, ["name=value"]),
        (["backtest", "momentum", "--start", "03/01/2023"], 2, ["03/01/2023", "2023-01-03"]),
        (["backtest", "momentum", "--start", "2024-01-05", "--end", "2023-01-05"], 2, ["after"]),
        (["backtest", "momentum", "--start", "1999-01-05", "--end", "1999-12-05"], 2, ["1999"]),
        (["backtest", "momentum", "--start", "2030-01-01"], 2, ["no bars from 2030-01-01;", "to 2025-12-31"]),
        (["backtest", "momentum", "--end", "1999-12-05"], 2, ["no bars to 1999-12-05;", "from 2021-01-04"]),
        (["backtest", "momentum", "--cash", "-5"], 2, ["cash"]),
        (["backtest", "momentum", "--universe", "liquid_coolin"], 2, ["liquid_cooling"]),
        (["compare", "momentum", "--benchmark", "000301.SH"], 2, ["000301.SH", "000300.SH"]),
        (["compare", "momentum", "--known-at-range", "x=1"], 2, ["NOTE="]),
        (["compar"], 2, ["compare"]),
    ],
)  # fmt: skip
def test_a_wrong_word_gets_the_remedy(
    argv: list[str], code: int, words: list[str], sample_db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = [] if argv == ["compar"] else ["--db", str(sample_db)]
    assert main([*argv, *db]) == code
    said = capsys.readouterr()
    assert said.out == ""
    flat = " ".join(said.err.split())
    assert "Traceback" not in flat
    for word in words:
        assert word in flat


def test_no_store_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ["status"],
        ["compare"],
        ["events", "--explain", "002837.SZ", "2025-01-02"],
        ["backtest", "momentum"],
    ):
        assert main([*argv, "--db", str(tmp_path / "none.duckdb")]) == 2
        assert "ashare" in capsys.readouterr().err
    assert not (tmp_path / "none.duckdb").exists()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.duckdb"
    path.write_bytes(b"this is not a database" * 100)
    assert main(["status", "--db", str(path)]) == 74
    assert str(path.name) in capsys.readouterr().err
    assert path.read_bytes() == b"this is not a database" * 100


def test_a_store_another_process_writes_to_is_busy(
    sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "held.duckdb"
    copy.write_bytes(sample_db.read_bytes())
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, copy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert main(["compare", "buy-and-hold", "--db", str(copy)]) == 75
        assert f"process {holder.pid} holds" in " ".join(capsys.readouterr().err.split())
    finally:
        holder.communicate("")
    assert Store.open(copy).snapshot_id() == Store.open(sample_db).snapshot_id()


def test_a_report_that_cannot_be_written_loses_nothing(
    sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "report.html"
    assert main(["compare", "buy-and-hold", "--db", str(sample_db), "--out", str(out)]) == 74
    assert "--out" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_place_that_cannot_be_written_is_refused_by_every_command(
    sample_db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    file, missing = tmp_path / "file", tmp_path / "missing" / "page.html"
    note = Store.open(sample_db).notes()["note_id"][0]
    for argv, place in (
        (["compare", "buy-and-hold", "--parquet"], file),
        (["compare", "buy-and-hold", "--parquet"], file / "frames"),
        (["compare", "buy-and-hold", "--out"], missing),
        (["events", "--note", note, "--html"], missing),
    ):
        assert main([*argv, str(place), "--db", str(sample_db)]) == 74
        said = " ".join(capsys.readouterr().err.split())
        assert f"cannot write {place}" in said
        assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["file"], "no folder is made for a page"
