from __future__ import annotations

import csv
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from data_cache.errors import UnknownName
from data_cache.symbols import Symbol
from data_cache.universe import SEGMENTS, load_universe, universes


def test_the_list_reads_as_its_file_says() -> None:
    frame = load_universe("liquid_cooling")
    with files("data_cache").joinpath("universes", "liquid_cooling.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    assert frame["symbol"].to_list() == [r["symbol"] for r in rows]
    assert frame["exposure"].to_list() == [float(r["exposure"]) for r in rows]
    assert frame.columns == ["symbol", "name", "segment", "exposure", "why"]


def test_every_row_is_a_symbol_once_with_a_known_segment_and_a_reason() -> None:
    for name in universes():
        frame = load_universe(name)
        assert frame["symbol"].is_unique().all()
        assert [Symbol.parse(s) for s in frame["symbol"]] == frame["symbol"].to_list()
        assert set(frame["segment"]) <= set(SEGMENTS)
        assert frame["exposure"].is_between(0, 1).all()
        assert sum(frame.null_count().row(0)) == 0


def test_those_who_sell_cooling_carry_more_of_the_thesis_than_those_who_buy_it() -> None:
    frame = load_universe()
    sells = frame.filter(pl.col("segment").is_in(["full_chain", "cold_plate", "cdu"]))["exposure"].mean()
    buys = frame.filter(pl.col("segment").is_in(["datacenter", "optical_module", "chip"]))["exposure"].mean()
    assert isinstance(sells, float)
    assert isinstance(buys, float)
    assert sells > 3 * buys


def test_a_mistyped_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"liquid_coolin'; did you mean 'liquid_cooling'"):
        load_universe("liquid_coolin")


@pytest.mark.realdata
def test_the_list_is_the_real_basket(shared: Path) -> None:
    basket = pl.read_parquet(shared / "data" / "basket_qfq_b.parquet")["symbol"].unique()
    assert set(basket) == set(load_universe()["symbol"])
