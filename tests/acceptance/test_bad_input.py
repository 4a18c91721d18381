"""Whatever is wrong: one clear error with the remedy, the right exit code, no traceback, nothing lost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from backtest import compare, run
from backtest.cli import main
from data_cache import Store
from data_cache.errors import NoData, UsageError
from strategies import LeaderSatellites, Momentum

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


# ------------------------------------------------------- the same from a notebook

SPAN: Any = {"start": "2024-02-01", "end": "2024-03-29"}


@dataclass(frozen=True)
class Mine:
    """Whatever a test makes of it."""

    column: str = "weight"
    value: Any = 0.01
    kinds: Any = ()

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        book = panel.filter("active").select("date", "symbol", weight=0.01)
        return book.with_columns(pl.lit(self.value).alias(self.column))


class Plain:
    kinds = ()

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        return panel


@dataclass(frozen=True)
class NoKinds:
    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        return panel


@dataclass(frozen=True)
class Undeclared:
    kinds: ClassVar[tuple[str, ...]] = ("rack_delay",)

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        return panel.select("date", "symbol", weight="score_rack_ramp")


@dataclass(frozen=True)
class Mistyped:
    kinds: ClassVar[tuple[str, ...]] = ()

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        return panel.select("date", "symbol", weight="clse")


@pytest.mark.parametrize(
    ("strategy", "options", "says"),
    [
        ("asic-drfit", {}, "did you mean 'asic-drift'"),
        (Momentum, {}, r"Momentum is a class; give one of it, Momentum\(\)"),
        (None, {}, "NoneType is no strategy"),
        (Plain(), {}, r"Plain is no dataclass; write @dataclass\(frozen=True\)"),
        (NoKinds(), {}, "NoKinds.kinds is None; needs a tuple"),
        (Mine(kinds="rack_ramp"), {}, "Mine.kinds is 'rack_ramp'; needs a tuple"),
        (
            Undeclared(),
            {},
            r"reads score_rack_ramp without declaring it; write kinds = \('rack_delay', 'rack_ramp'\)",
        ),
        (Mine("weight", "a"), {}, "Mine.targets gives weight as String; needs Float64"),
        (Mine("date", "2024-02-01"), {}, "Mine.targets gives date as String; needs Date"),
        (Mine("date", None), {}, "it needs a date and a symbol"),
        (Momentum(), {"start": 20240201}, "start is 20240201; needs a date"),
        (Momentum(), {"cash": "1e6"}, "cash is '1e6'; needs a positive number"),
        (
            Momentum(),
            {"execution": {"price": "close"}},
            r"execution is {'price': 'close'}; needs an Execution",
        ),
        (LeaderSatellites(leader="600519.SH"), {}, "LeaderSatellites: leader is 600519.SH, not among the"),
    ],
)
def test_a_mistake_in_a_notebook_gets_the_remedy(
    strategy: Any, options: dict[str, Any], says: str, sample_db: Path
) -> None:
    store = Store.open(sample_db)
    with pytest.raises(UsageError, match=says):
        run(strategy, store, **{**SPAN, **options})
    with pytest.raises(UsageError, match=says):
        compare([strategy], store, **{**SPAN, **options})


def test_one_range_is_a_list_of_one_and_a_note_has_one(sample_db: Path) -> None:
    store = Store.open(sample_db)
    given = f"{store.notes()['note_id'][0]}=2024-02-01,2024-03-01"
    with pytest.raises(UsageError, match="--known-at-range is 'x=1'"):
        compare([Momentum()], store, known_at_range="x=1", **SPAN)
    with pytest.raises(UsageError, match="gives two ranges of"):
        compare([Momentum()], store, known_at_range=[given, given], **SPAN)


def test_a_column_that_is_simply_mistyped_keeps_the_word_of_polars(sample_db: Path) -> None:
    """The message lists every column there is: those another strategy declares are not what is missing."""
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="clse"):
        compare([Mistyped(), "asic-drift"], Store.open(sample_db), **SPAN)


def test_a_store_that_is_not_open_is_asked_for(sample_db: Path) -> None:
    with pytest.raises(UsageError, match=r"store is '.*'; needs an open one, e.g. Store.open"):
        run(Momentum(), str(sample_db))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Store is no strategy"):
        run(Store.open(sample_db), Momentum())  # type: ignore[arg-type]


def test_a_name_is_a_strategy_and_one_alone_is_a_list_of_one(sample_db: Path) -> None:
    store = Store.open(sample_db)
    assert run("momentum", store, **SPAN).card == run(Momentum(), store, **SPAN).card
    for given in (Momentum(), "momentum", [Momentum()], ["momentum"]):
        assert compare(given, store, benchmark=None, **SPAN).table["strategy"].to_list() == ["momentum"]


@pytest.mark.parametrize("index", ["000905.SH", "none"])
def test_a_benchmark_that_is_not_there_says_how_to_do_without_in_either_tongue(
    index: str, sample_db: Path
) -> None:
    with pytest.raises(NoData, match=f"benchmark {index}: .*--benchmark none, in Python benchmark=None"):
        compare([Momentum()], Store.open(sample_db), benchmark=index, **SPAN)
