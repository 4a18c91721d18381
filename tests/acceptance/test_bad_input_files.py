"""`ashare import` of what people really have: one clear error, the right exit code, and nothing else changed."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from backtest.cli import main
from data_cache.store import Store

GOOD = """symbol,date,open,high,low,close,volume,amount
002837.SZ,2024-01-02,25.10,25.60,24.90,25.30,1200000,30300000
002837.SZ,2024-01-03,25.30,25.90,25.00,25.80,1500000,38250000
"""
HTML = "<!DOCTYPE html><html><body>请登录</body></html>"


def contents(db: Path) -> dict[str, list[object]]:
    """Every row of every table, read past the Store."""
    with duckdb.connect(str(db), read_only=True) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        return {n: sorted(connection.execute(f'SELECT * FROM "{n}"').fetchall(), key=repr) for n in names}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    (folder / "good.csv").write_text(GOOD)
    path = folder / "store" / "a.duckdb"
    assert main(["import", str(folder / "good.csv"), "--db", str(path), "--quiet"]) == 0
    return path


@pytest.fixture
def db(imported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(imported, tmp_path / "a.duckdb"))


def truncated(folder: Path) -> Path:
    path = folder / "cut.parquet"
    pl.read_csv(GOOD.encode()).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    return path


EVENTS = "event_id,kind,polarity,strength,certainty,known_at\n"


def text(name: str, content: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def parquet(**row: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pl.DataFrame([row]).write_parquet(folder / "a.parquet")
        return folder / "a.parquet"

    return make


def folder_without_export(folder: Path) -> Path:
    path = folder / "exports"
    path.mkdir()
    (path / "daily.csv").write_text(GOOD)
    return path


CASES: dict[str, tuple[Callable[[Path], Path], int, list[str]]] = {
    "bad date": (text("a.csv", GOOD.replace("2024-01-03", "2024-02-30")), 5, ["a.csv", "line 3", "2024-02-30"]),
    "text price": (text("a.csv", GOOD.replace("25.80", "停牌")), 5, ["a.csv", "line 3", "'close'", "停牌"]),
    "null symbol": (text("a.csv", GOOD.replace("002837.SZ,2024-01-03", ",2024-01-03")), 5, ["line 3", "'symbol'"]),
    "ragged": (text("a.csv", GOOD + "002837.SZ,2024-01-04,25\n"), 5, ["line 4", "3 fields", "8"]),
    "no volume": (
        text("a.csv", GOOD.replace("volume", "turn")), 2, ["'volume'", "--map volume=", "turn", "found"],
    ),
    "unknown headings": (text("a.csv", "a,b\n1,2\n"), 2, ["found: a, b", "--map"]),
    "unknown symbol": (text("a.csv", GOOD.replace("002837.SZ", "999999")), 2, ["999999", "line 2"]),
    "not parquet": (text("a.parquet", GOOD), 2, ["not a Parquet file", "a.parquet"]),
    "truncated parquet": (truncated, 2, ["cut.parquet", "cut short"]),
    "html": (text("a.csv", HTML), 2, ["web page", "a.csv"]),
    "html as parquet": (text("a.parquet", HTML), 2, ["web page", "not a Parquet"]),
    "excel": (text("a.csv", b"PK\x03\x04" + b"\x00" * 30), 2, ["Excel", "CSV"]),
    "empty": (text("a.csv", ""), 2, ["empty"]),
    "headings only": (text("a.csv", GOOD.splitlines()[0] + "\n"), 2, ["no rows"]),
    "cut gzip": (text("a.csv.gz", gzip.compress(GOOD.encode())[:-9]), 2, ["gzip", "cut short"]),
    "not text": (text("a.csv", b"\xff\xfe\xff\xff,\xff\n"), 2, ["UTF-8", "GBK"]),
    "absent": (lambda folder: folder / "none.csv", 2, ["none.csv", "does not exist"]),
    "folder": (folder_without_export, 2, ["no export", "ashare export"]),
    "ambiguous units": (
        text("a.csv", GOOD.replace("1200000", "170000").replace("1500000", "210000")), 2, ["--volume-unit"],
    ),
    "adjusted, unsaid": (text("a.csv", GOOD.replace("25.80", "25.81234")), 2, ["--basis qfq", "--basis hfq"]),
    "beyond the calendar": (text("a.csv", GOOD.replace("2024-01-03", "2199-01-03")), 2, ["2199-01-03", "calendar"]),
    "timeline": (text("a.csv", "event_id,kind\nx,rack_delay\n"), 2, ["a.csv", "known_at"]),
    "events": (
        text("a.csv", "event_id,kind,polarity,strength,certainty,known_at\nx,risk,0,0,fact,soon\n"), 5,
        ["line 2", "'known_at'", "soon"],
    ),
    "events of an unknown kind": (
        text("a.csv", EVENTS + "x,rack_dealy,0,0,fact,2025-08-31\n"), 2, ["a.csv", "event x", "'rack_delay'"],
    ),
    "events of an unknown segment": (
        parquet(
            event_id="x", kind="risk", polarity=0, strength=0.0, certainty="fact", segments=["coldplate"],
            known_at=dt.datetime(2025, 8, 31, 7, tzinfo=dt.UTC),
        ),
        2, ["event x", "'coldplate'", "'cold_plate'"],
    ),
    "events without a zone": (
        text("a.csv", EVENTS + "x,risk,0,0,fact,2025-08-31 15:00\n"), 5,
        ["line 2", "'known_at'", "2025-08-31 15:00", "with its zone"],
    ),
    "events without a zone, as Parquet": (
        parquet(
            event_id="x", kind="risk", polarity=0, strength=0.0, certainty="fact",
            known_at=dt.datetime(2025, 8, 31, 7),  # noqa: DTZ001 - what is refused
        ),
        5, ["row 1", "'known_at'", "with its zone"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_whole(
    case: str, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, code, words = CASES[case]
    before = contents(db)
    second = tmp_path / "second.csv"  # a good file named first is not stored either: all are read before
    second.write_text(GOOD.replace("002837.SZ", "300499.SZ"))
    bad = make(tmp_path)
    capsys.readouterr()
    argv = [str(bad)] if bad.is_dir() else [str(second), str(bad)]
    assert main(["import", *argv, "--db", str(db)]) == code
    said = capsys.readouterr()
    flat = " ".join(said.err.split())
    assert said.out == ""
    assert flat.startswith("error:")
    assert "Traceback" not in flat
    for word in words:
        assert word in flat
    assert contents(db) == before


def test_a_bad_file_makes_no_store(tmp_path: Path) -> None:
    bad = text("a.csv", HTML)(tmp_path)
    assert main(["import", str(bad), "--db", str(tmp_path / "new" / "b.duckdb")]) == 2
    assert not (tmp_path / "new").exists()


def test_no_file_and_a_wrong_flag_say_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = text("a.csv", GOOD)(tmp_path)
    assert main(["import", "--db", str(tmp_path / "b.duckdb")]) == 2
    assert "ashare import" in capsys.readouterr().err
    assert main(["import", str(good), "--basis", "forward", "--db", str(tmp_path / "b.duckdb")]) == 2
    assert "qfq" in capsys.readouterr().err
    assert main(["import", str(good), "--map", "datum=date", "--db", str(tmp_path / "b.duckdb")]) == 2
    assert "'datum'" in capsys.readouterr().err


def test_broken_rows_are_quarantined_and_the_good_ones_stored(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        "300499.SZ,2024-01-02,10.00,10.20,9.90,10.10,1000,10050",  # good
        "300499.SZ,2024-01-03,10.00,10.05,9.90,10.10,1000,10000",  # close above high
        "300499.SZ,2024-01-06,10.00,10.20,9.90,10.10,1000,10050",  # a Saturday
        "300499.SZ,2024-01-04,10.10,10.10,10.10,10.10,0,0",  # a suspended day filled in
        "300499.SZ,2024-01-05,None,None,None,None,1000,None",  # prices not known
    ]
    path = text("b.csv", GOOD.splitlines()[0] + "\n" + "\n".join(rows) + "\n")(tmp_path)
    capsys.readouterr()
    assert main(["import", str(path), "--db", str(db), "--json"]) == 3
    (entry,) = json.loads(capsys.readouterr().out)["files"]
    assert {k: entry[k] for k in ("rows", "inserted", "suspended", "rejected")} == {
        "rows": 5, "inserted": 1, "suspended": 1, "rejected": 3,
    }  # fmt: skip
    rules = {rule["rule"]: rule for rule in entry["rules"]}
    assert rules["high_is_highest"]["first"] == "300499.SZ 2024-01-03"
    assert rules["on_calendar"]["count"] == 1
    store = Store.open(db)
    assert store.bars(["300499.SZ"], basis="raw")["date"].dt.to_string().to_list() == ["2024-01-02"]
    assert store.suspensions()["date"].dt.to_string().to_list() == ["2024-01-04"]
    assert main(["import", str(path), "--db", str(db)]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "3 rows break a rule" in said
    assert "high_is_highest 1 (first: 300499.SZ 2024-01-03)" in said


def test_the_table_for_a_person(db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = text("vendor_b.csv", GOOD.replace("25.80", "25.70"))(tmp_path)
    capsys.readouterr()
    assert main(["import", str(path), "--source", "good", "--db", str(db)]) == 0
    said = capsys.readouterr()
    row = next(line for line in said.out.splitlines() if "vendor_b" in line)
    cells = [cell.strip() for cell in row.split("│")[1:-1]]
    assert cells == [
        "vendor_b.csv", "bars", "2", "1", "2024-01-02", "2024-01-03", "raw", "good", "0", "1", "1", "0", "0",
    ]  # fmt: skip
    assert "volume in shares, amount in yuan (detected)" in said.err
    assert "basis raw" in said.err


def test_an_export_comes_back_as_an_equal_store(db: Path, tmp_path: Path) -> None:
    from data_cache.export import export

    export(Store.open(db), tmp_path / "out")
    again = tmp_path / "again.duckdb"
    assert main(["import", str(tmp_path / "out"), "--db", str(again)]) == 0
    assert contents(again) == contents(db)
    good = text("a.csv", GOOD)(tmp_path)
    assert main(["import", str(tmp_path / "out"), str(good), "--db", str(tmp_path / "c.duckdb")]) == 2


@pytest.mark.realdata
def test_the_real_baskets(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = shared / "data"
    db = tmp_path / "real.duckdb"
    files = [str(data / "basket_qfq_b.parquet"), str(data / "indices.parquet")]
    assert main(["import", *files, "--db", str(db), "--json"]) == 3
    bars, indices = json.loads(capsys.readouterr().out)["files"]
    raw = pl.read_parquet(data / "basket_qfq_b.parquet")
    idle = raw.filter(pl.col("volume") == 0)
    odd = raw.filter(
        pl.col("volume") > 0,
        (pl.col("high") < pl.max_horizontal("open", "low", "close"))
        | (pl.col("low") > pl.min_horizontal("open", "high", "close")),
    )
    ordering = {
        r["rule"]: r["count"] for r in bars["rules"] if r["rule"] in ("high_is_highest", "low_is_lowest")
    }
    assert (bars["rows"], bars["suspended"], sum(ordering.values())) == (raw.height, idle.height, odd.height)
    assert bars["inserted"] == raw.height - idle.height - bars["rejected"]
    assert bars["rejected"] < raw.height / 1000
    assert bars["basis"] == "qfq"
    kept = Store.open(db).bars(basis="qfq").select("symbol", "date", "close", "volume")
    gone = pl.concat([idle.select("symbol", "date"), Store.open(db).rejected().select("symbol", "date")])
    wanted = raw.join(gone, on=["symbol", "date"], how="anti").sort("symbol", "date")
    assert kept.equals(wanted.select(kept.columns))
    assert kept.join(odd, on=["symbol", "date"], how="semi").is_empty()
    points = pl.read_parquet(data / "indices.parquet").sort("symbol", "date")
    assert indices["inserted"] == points.height
    assert Store.open(db).index_bars().select(points.columns).equals(points)


def test_events_of_ones_own_and_a_timeline(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (
        "event_id,kind,polarity,strength,certainty,known_at\nx,risk,-1,0.25,fact,2024-05-06T00:20:00+08:00\n"
    )
    dated = "event_id,kind,polarity,known_at,symbols\ny,rack_delay,-1,2024-05-06,002837.SZ\n"
    files = [str(text("own.csv", whole)(tmp_path)), str(text("dated.csv", dated)(tmp_path))]
    assert main(["import", *files, "--db", str(db), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["files"]
    assert [(e["kind"], e["inserted"], e["start"]) for e in entries] == [("events", 1, "2024-05-06")] * 2
    stored = Store.open(db).events()
    assert stored.select("event_id", "source", "strength").rows()[0] == ("x", "own", 0.25)
    assert stored["symbols"].to_list() == [[], ["002837.SZ"]]


@pytest.mark.realdata
def test_the_compiled_timeline_as_it_is(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared / "facts" / "event_timeline.csv"
    assert main(["import", str(path), "--db", str(tmp_path / "t.duckdb"), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["files"]
    compiled = pl.read_csv(path, infer_schema=False)
    assert (entry["kind"], entry["inserted"], entry["rejected"]) == ("events", compiled.height, 0)
    stored = Store.open(tmp_path / "t.duckdb").events()
    both = stored.join(compiled, on="event_id")
    assert both.height == compiled.height
    assert (both["polarity"].cast(pl.String) == both["polarity_for_liquid_cooling"]).all()
    assert (both["known_at"].dt.date().dt.to_string() >= both["first_public_at"].str.head(10)).all()


def test_an_event_older_than_the_exchange_is_quarantined_by_its_name(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    days = ["0205-08-31", "1990-12-19T09:14+08:00", "1990-12-19T09:15+08:00", "2025-08-31"]
    path.write_text(EVENTS + "".join(f"e{i},risk,0,0,fact,{day}\n" for i, day in enumerate(days)))
    assert main(["import", str(path), "--db", str(db), "--json"]) == 3
    (entry,) = json.loads(capsys.readouterr().out)["files"]
    assert entry["rules"] == [{"rule": "known_within_calendar", "count": 2, "first": "e0"}]
    assert Store.open(db).events()["event_id"].to_list() == ["e2", "e3"]
    day = ["events", "--explain", "002837.SZ", "2025-09-01", "--db", str(db)]
    assert main(day) == 0, "what is stored can be read"
