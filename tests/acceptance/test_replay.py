"""A result's snapshot id opens the data it was made from, whatever the store has learnt since."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from backtest import run
from data_cache import Store
from strategies import Momentum


def test_a_run_cards_snapshot_replays_to_the_cent_after_later_revisions(
    sample_db: Path, tmp_path: Path
) -> None:
    path = tmp_path / "replay.duckdb"
    shutil.copy(sample_db, path)
    store = Store.open(path)
    first = run(Momentum(), store)

    bars = store.bars()
    source = bars["source"][0]
    restated = bars.sort("date", "symbol").tail(600).drop("basis", "source")
    restated = restated.with_columns(pl.col("volume") + 100, (pl.col("close") + pl.col("low")).round(2) / 2)
    restated = restated.with_columns(pl.col("close").round(2)).select(
        "symbol", "date", "open", "high", "low", "close", "volume", "amount"
    )
    written = store.put_bars(restated, source=source)
    assert written.revised > 300

    now = run(Momentum(), Store.open(path))
    assert now.equity["value"][-1] != first.equity["value"][-1], "the revisions matter"
    again = run(Momentum(), Store.open(path, as_of=first.card.snapshot))
    assert again.equity.equals(first.equity)
    assert again.fills.equals(first.fills)
    assert again.card.card_id == first.card.card_id
