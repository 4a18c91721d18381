"""An export is the whole store: read as it is by three tools, restored to an equal one, never half there."""

from __future__ import annotations

import datetime as dt
import errno
import json
import resource
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from backtest.cli import main
from data_cache import refresh_log
from data_cache.errors import StorageError, UsageError
from data_cache.export import export, is_export, restore
from data_cache.store import Store
from data_cache.tables import TABLES

DAYS = [dt.date(2023, 12, 28), dt.date(2023, 12, 29), dt.date(2024, 1, 2)]


def bars(close: float) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": ["002837.SZ"] * 3, "date": DAYS, "open": [close] * 3, "high": [close] * 3, "low": [close] * 3,
         "close": [close] * 3, "volume": [20_001, 20_002, 20_003]}
    )  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[str]]:
    """A store with something in every corner: revisions, withdrawn events, quarantine; and its snapshots."""
    store = Store.create(tmp_path_factory.mktemp("full") / "s.duckdb")
    snapshots = []
    store.put_bars(bars(10.0), source="x")
    store.put_bars(bars(11.0), source="x", basis="qfq")
    snapshots.append(store.snapshot_id())
    store.put_bars(bars(10.0).with_columns(pl.col("close", "high") + 0.5), source="x")
    store.put_bars(bars(12.0), source="y")
    sunday = bars(10.0).with_columns(date=pl.lit(dt.date(2023, 12, 31))).head(1)
    store.put_bars(sunday, source="x")
    snapshots.append(store.snapshot_id())
    factors = pl.DataFrame({"symbol": ["002837.SZ"], "date": [DAYS[0]], "factor": [1.0]})
    store.put_factors(factors, source="x")
    for text, note_id in (("旧", "a-11111111"), ("新", "a-22222222")):
        store.put_note(
            {"note_id": note_id, "sha256": ("1" if text == "旧" else "2") * 64, "path": "a.txt", "text": text,
             "published_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC)}
        )  # fmt: skip
    from data_cache.schemas import Events

    event = {
        "event_id": "e", "kind": "rack_delay", "subject": None, "polarity": -1, "strength": 0.5, "certainty": "fact",
        "occurred_on": DAYS[0], "known_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), "symbols": ["002837.SZ"],
        "segments": ["冷板"], "magnitudes": [{"quantity": "power", "unit": "kW", "low": None, "high": 132.0}],
        "source": "timeline", "title": None, "span_start": None, "span_end": None, "extractor": "t",
        "ingested_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    }  # fmt: skip
    store.put_events(pl.DataFrame([event], schema=pl.Schema(Events)))
    snapshots.append(store.snapshot_id())
    evening = dt.datetime(2024, 1, 2, 12, 0, 0, 123456, tzinfo=dt.UTC)
    check = refresh_log.Check(evening, DAYS[0], "ab12 cd34")
    refresh_log.record(store.path, {("bars", "002837.SZ"): check})
    refresh_log.record_run(store.path, evening, evening + dt.timedelta(seconds=5), 3, {"not_got": ["日历"]})
    return store, snapshots


def answers(store: Store) -> list[pl.DataFrame]:
    """Everything a store can be asked."""
    frames = [store.bars(basis=b) for b in ("raw", "qfq", "hfq")]
    frames += [store.revisions(name) for name in TABLES]
    frames += [store.calendar().to_frame(), store.rejected(), store.events(), store.notes(), store.factors()]
    return [*frames, store.suspensions(), store.index_bars(), store.instruments(), store.name_history()]


def set_of(path: Path, name: str) -> list[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"').fetchall()))


def test_a_restored_store_answers_everything_the_same(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, snapshots = full
    rows = export(store, tmp_path / "out")
    assert restore(tmp_path / "out", tmp_path / "back.duckdb") == rows
    back = Store.open(tmp_path / "back.duckdb")
    assert not list(tmp_path.glob("*.wal"))
    assert (back.snapshot_id(), back.is_sample) == (store.snapshot_id(), False)
    assert refresh_log.checks(back.path) == refresh_log.checks(store.path) != {}
    assert refresh_log.runs(back.path) == refresh_log.runs(store.path) != []
    for name in [*rows, "meta"]:  # and row by row, whatever asks for it
        one, other = (set_of(s.path, name) for s in (store, back))
        assert one == other, name
    for snapshot in [None, *snapshots]:
        one, other = (Store.open(s.path, as_of=snapshot) for s in (store, back))
        for a, b in zip(answers(one), answers(other), strict=True):
            assert a.equals(b), snapshot
    # It goes on from where it was: the same next put has the same effect on both.
    assert back.put_bars(bars(10.0), source="x").revised == 3


def test_polars_duckdb_and_pandas_read_it_as_it_is(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    export(store, tmp_path)
    assert sorted(p.name for p in (tmp_path / "bars").iterdir()) == ["year=2023", "year=2024"]
    expected = sorted(store.bars(basis="raw").select("symbol", "date", "close").rows())
    by_polars = pl.read_parquet(tmp_path / "bars").filter(pl.col("basis") == "raw")
    assert sorted(by_polars.select("symbol", "date", "close").rows()) == expected
    sql = f"SELECT symbol, date, close FROM '{tmp_path}/bars/*/*.parquet' WHERE basis = 'raw'"
    assert sorted(duckdb.sql(sql).fetchall()) == expected
    by_pandas = pd.read_parquet(tmp_path / "bars").query("basis == 'raw'")
    found = zip(
        by_pandas["symbol"], pd.to_datetime(by_pandas["date"]).dt.date, by_pandas["close"], strict=True
    )
    assert sorted(found) == expected
    for name in ("events", "notes", "puts"):
        assert (
            len(pd.read_parquet(tmp_path / name)) == pl.read_parquet(tmp_path / name).height == 1
            or name == "puts"
        )


def test_a_sample_store_stays_one(tmp_path: Path) -> None:
    export(Store.create(tmp_path / "s.duckdb", sample=True), tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "back.duckdb")
    assert Store.open(tmp_path / "back.duckdb").is_sample


def test_an_export_replaces_an_export_and_nothing_else(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    out = tmp_path / "out"
    export(store, out)
    (out / "bars" / "left-over.parquet").write_text("")
    export(store, out)
    assert not (out / "bars" / "left-over.parquet").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="no export"):
        export(store, mine)
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_an_export_that_cannot_take_its_place_leaves_the_earlier_one(
    full: tuple[Store, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = full
    out = tmp_path / "out"
    rows = export(store, out)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="No space left"):
        export(store, out)
    monkeypatch.undo()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert restore(out, tmp_path / "back.duckdb") == rows


def test_a_full_disk_is_named_by_the_exports_folder(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    out = tmp_path / "out"
    export(store, out)
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))  # no file may grow beyond it, as on a full disk
    try:
        with pytest.raises(StorageError) as caught:
            export(store, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert str(out) in str(caught.value)
    assert str(store.path) not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert is_export(out)


def test_an_incomplete_export_makes_no_store(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    out, back = tmp_path / "out", tmp_path / "back.duckdb"
    export(store, out)
    shutil.rmtree(out / "bars" / "year=2024")
    with pytest.raises(StorageError, match="incomplete"):
        restore(out, back)
    shutil.rmtree(out / "bars")
    with pytest.raises(StorageError):
        restore(out, back)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    with pytest.raises(UsageError, match="is no export"):
        restore(tmp_path, back)


def test_a_damaged_or_strange_manifest_makes_no_store(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    out, back = tmp_path / "out", tmp_path / "back.duckdb"
    export(store, out)
    manifest = out / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole[: len(whole) // 2])
    with pytest.raises(StorageError, match="damaged"):
        restore(out, back)
    manifest.write_text(whole.replace('"refresh_runs"', '"refresh_wishes"'))
    with pytest.raises(UsageError, match="'refresh_wishes' that this program does not know"):
        restore(out, back)
    for strange in ("[]", "{}", '{"version": "1", "rows": null}'):
        manifest.write_text(strange)
        with pytest.raises(StorageError, match="does not say which rows"):
            restore(out, back)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_a_store_of_before_the_log_was_made_with_it_is_exported_and_refreshed(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "s.duckdb")
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("DROP TABLE refresh_checks; DROP TABLE refresh_runs")
    assert "refresh_runs" not in export(store, tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "back.duckdb")
    assert refresh_log.checks(store.path) == refresh_log.checks(tmp_path / "back.duckdb") == {}
    moment = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    refresh_log.record_run(store.path, moment, moment, 0, {})
    assert len(refresh_log.runs(store.path)) == 1


def test_a_store_that_is_there_is_not_overwritten(full: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, _ = full
    export(store, tmp_path / "out")
    before = store.path.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        restore(tmp_path / "out", store.path)
    assert store.path.read_bytes() == before


def test_the_commands_go_round(
    full: tuple[Store, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, _ = full
    out, back = tmp_path / "out", tmp_path / "back.duckdb"
    assert main(["export", str(out), "--db", str(store.path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["bars"] == 6
    assert told["snapshot"] == store.snapshot_id()
    assert main(["import", str(out), "--db", str(back)]) == 0
    assert Store.open(back).snapshot_id() == store.snapshot_id()
    assert main(["export", str(out), "--db", str(tmp_path / "none.duckdb")]) == 2
