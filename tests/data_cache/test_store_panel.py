"""Dense panels, against a pivot of the same bars; from the store, from the cache, and as of the past."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_cache import panel
from data_cache.errors import UnknownName
from data_cache.export import export, restore
from data_cache.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store.create(tmp_path_factory.mktemp("panel") / "s.duckdb")
    days = made.calendar().tail(80).head(60)
    rng = np.random.default_rng(3)
    frames = []
    for i, symbol in enumerate(["688256.SH", "002837.SZ", "920808.BJ", "300308.SZ"]):
        keep = days.filter(pl.Series(rng.random(60) > 0.2 * i))
        price = np.round(10 + rng.random(len(keep)), 2)
        frames.append(
            pl.DataFrame(
                {"symbol": [symbol] * len(keep), "date": keep, "open": price, "high": price + 0.5, "low": price - 0.5,
                 "close": price + 0.1, "volume": rng.integers(20_000, 10**9, len(keep))}
            )
        )  # fmt: skip
    made.put_bars(pl.concat(frames), source="x", basis="hfq")
    return made


def pivoted(store: Store, field: str, dates: np.ndarray, symbols: tuple[str, ...]) -> np.ndarray:
    wide = store.bars(basis="hfq").pivot(on="symbol", index="date", values=field)
    grid = pl.DataFrame({"date": pl.Series(dates)}).join(wide, on="date", how="left", maintain_order="left")
    return grid.select(pl.col(symbols).cast(pl.Float64).fill_null(float("nan"))).to_numpy()


def test_many_symbols_of_more_are_read_without_naming_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ["920808.BJ", "300308.SZ"]
    named = store.panel(["close"], wanted, basis="hfq")
    monkeypatch.setattr(panel, "_NAMED", 1)
    np.testing.assert_array_equal(store.panel(["close"], wanted, basis="hfq")["close"], named["close"])
    np.testing.assert_array_equal(named["close"], pivoted(store, "close", named.dates, named.symbols))


@pytest.mark.parametrize("batch", [1, 2048, 10**6])
def test_bars_are_placed_alike_in_batches_of_any_size(
    store: Store, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(panel, "_BATCH", batch)
    got = store.panel(["close"], basis="hfq")
    np.testing.assert_array_equal(got["close"], pivoted(store, "close", got.dates, got.symbols))


@pytest.mark.parametrize("cached", [False, True])
def test_a_panel_is_the_pivot_of_the_bars(
    store: Store, monkeypatch: pytest.MonkeyPatch, *, cached: bool
) -> None:
    monkeypatch.setattr(panel, "_CACHED_ROWS", 1 if cached else 10**9)
    for _ in range(2):  # the second is read from the files, where they are kept
        got = store.panel()
        assert got.symbols == ("002837.SZ", "300308.SZ", "688256.SH", "920808.BJ")
        assert got.basis == "hfq"
        calendar = store.calendar()
        bars = store.bars(basis="hfq")
        assert (
            got.dates.tolist()
            == calendar.filter(calendar.is_between(bars["date"].min(), bars["date"].max())).to_list()
        )
        for field in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(got[field], pivoted(store, field, got.dates, got.symbols))
        assert np.isnan(got["amount"]).all()
        first, last = got.dates[10].item(), got.dates[20].item()
        some = store.panel(["close"], ["SZ300308", "600519.SH", "002837.SZ"], first, last, basis="hfq")
        assert some.symbols == ("300308.SZ", "600519.SH", "002837.SZ")
        np.testing.assert_array_equal(some.dates, got.dates[10:21])
        np.testing.assert_array_equal(some["close"][:, [0, 2]], got["close"][10:21][:, [1, 0]])
        assert np.isnan(some["close"][:, 1]).all()
        with pytest.raises(ValueError, match="read-only"):
            got["close"][0, 0] = 1.0


def test_a_kept_panel_never_outlives_its_bars(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(panel, "_CACHED_ROWS", 1)
    copy = Store.open(shutil.copy(store.path, tmp_path / "s.duckdb"))
    before = copy.panel(["close"])
    snapshot = copy.snapshot_id()
    row = copy.bars(basis="hfq").head(1).drop("basis", "source")
    copy.put_bars(row.with_columns(pl.col("close") + 0.2), source="x", basis="hfq")
    after = copy.panel(["close"])
    assert after["close"][0, 0] == pytest.approx(before["close"][0, 0] + 0.2)
    then = Store.open(copy.path, as_of=snapshot).panel(["close"])
    np.testing.assert_array_equal(then["close"], before["close"])
    assert len(list(copy.path.with_name("s.duckdb.panels").iterdir())) == 1


def test_a_restored_store_does_not_take_over_the_panels_of_the_one_before(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(panel, "_CACHED_ROWS", 1)
    export(store, tmp_path / "out")
    day = store.bars(basis="hfq").head(1).drop("basis", "source")
    for rise in (0.2, 0.3):  # the same number of puts, with another one last
        path = tmp_path / "s.duckdb"
        path.unlink(missing_ok=True)
        restore(tmp_path / "out", path)
        again = Store.open(path)
        again.put_bars(day.with_columns(pl.col("close") + rise), source="x", basis="hfq")
        np.testing.assert_array_equal(
            again.panel(["close"])["close"][0, 0], again.bars(basis="hfq")["close"][0]
        )


@pytest.mark.parametrize("lost", ["symbols.npy", "dates.npy", "close.npy"])
@pytest.mark.parametrize("left", [None, b"", b"\x93NUMPY\x01\x00"])
def test_kept_files_that_are_not_whole_are_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lost: str, left: bytes | None
) -> None:
    monkeypatch.setattr(panel, "_CACHED_ROWS", 1)
    copy = Store.open(shutil.copy(store.path, tmp_path / "s.duckdb"))
    whole = copy.panel(["close"])
    (folder,) = copy.path.with_name("s.duckdb.panels").iterdir()
    (folder / lost).unlink()
    if left is not None:
        (folder / lost).write_bytes(left)
    again = copy.panel(["close"])
    assert again.symbols == whole.symbols
    np.testing.assert_array_equal(again.dates, whole.dates)
    np.testing.assert_array_equal(again["close"], pivoted(copy, "close", whole.dates, whole.symbols))
    assert len(np.load(folder / lost))


def test_no_bars_make_an_empty_panel_and_a_wrong_field_is_named(store: Store) -> None:
    none = store.panel(["close"], basis="raw")
    assert none["close"].shape == (0, 0)
    with pytest.raises(UnknownName, match="did you mean 'close'"):
        store.panel(["closing"])
