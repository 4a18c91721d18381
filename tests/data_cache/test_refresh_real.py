"""Eight years of real bars of one company, told by three vendors: stored whole, nothing refused, all agree."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import loopback
import polars as pl
import pytest
from loopback import Vendors
from vendor_wire import small_market

from data_cache.refresh import refresh
from data_cache.store import Store
from data_cache.vendors import Transport

YWK = "002837.SZ"
RATIOS = {  # qfq / raw from each ex-date on; the known answer of this stock
    "2018-01-02": 0.2221, "2019-05-17": 0.2245, "2020-05-29": 0.3383, "2021-05-27": 0.3415, "2022-05-31": 0.4472,
    "2023-05-19": 0.5841, "2024-05-27": 0.7645, "2025-05-30": 1.0,
}  # fmt: skip


@pytest.mark.realdata
def test_real_history_passes_every_rule_and_every_vendor_tells_the_same(shared: Path, tmp_path: Path) -> None:
    real = pl.read_parquet(shared / "data" / "basket_raw.parquet").filter(symbol=YWK).sort("date")
    market = small_market()
    market.bars = {
        "002837": [
            (
                r["date"],
                r["open"],
                r["high"],
                r["low"],
                r["close"],
                r["volume"] // 100 * 100,
                int(r["amount"]),
            )
            for r in real.filter(pl.col("volume") > 0).iter_rows(named=True)
        ]
    }
    truth = market.bars["002837"]
    market.through, market.changes, market.actions = truth[-1][0], [], {}
    market.factors = {"002837": [(day, ratio / 0.2221) for day, ratio in list(RATIOS.items())[1:]]}
    store = Store.create(tmp_path / "a.duckdb")
    now = dt.datetime.fromisoformat(f"{truth[-1][0]}T20:00:00+08:00")
    vendors = Vendors(market)
    with loopback.redirected(vendors.port):
        for days_earlier, provider in enumerate(
            ("em", "tx", "sina")
        ):  # an earlier start asks for all of it again
            report = refresh(
                store, [YWK], start=truth[0][0] - dt.timedelta(days=days_earlier), now=now, providers=[provider],
                transport=Transport(gap=0, jitter=0, attempts=1),
            )  # fmt: skip
            assert report.rows["inserted" if provider == "em" else "unchanged"] == len(truth), provider
            assert report.rows["rejected"] == 0
            if provider == "em":
                assert [text.split(" on ")[1][:10] for text in report.doubts] == list(RATIOS)[1:]
    vendors.close()
    assert store.bars([YWK]).drop("symbol", "basis", "source").rows() == [
        (*r[:6], float(r[6])) for r in truth
    ]
    assert store.rejected().is_empty()
    assert store.factors([YWK])["date"].to_list()[1:] == [dt.date.fromisoformat(d) for d in list(RATIOS)[1:]]
