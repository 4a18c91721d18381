"""Puts within one ``writing`` are one transaction."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_cache.database import writing
from data_cache.store import Store

NAMES = pl.DataFrame({"symbol": ["002837.SZ"], "valid_from": [dt.date(2024, 1, 2)], "name": ["英维克"]})
HALTS = pl.DataFrame({"symbol": ["002837.SZ"], "date": [dt.date(2024, 1, 2)], "reason": [None]})


def test_puts_within_are_seen_within_and_stored_together(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "a.duckdb")
    with writing(store.path):
        store.put_name_history(NAMES, source="szse")
        assert store.name_history().height == 1
        store.put_suspensions(HALTS, source="szse")
    assert (store.name_history().height, store.suspensions().height) == (1, 1)


def test_a_failure_within_takes_everything_back(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "a.duckdb")
    with pytest.raises(ZeroDivisionError), writing(store.path):  # noqa: PT012 - the put before it is the point
        store.put_name_history(NAMES, source="szse")
        raise ZeroDivisionError
    assert store.name_history().is_empty()
    store.put_name_history(NAMES, source="szse")
    assert store.name_history().height == 1, "and the store can be written again"
