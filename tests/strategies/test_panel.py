"""The panel from frames and from a store: carried closes, factors, value shares, scores, and where it ends."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_cache.errors import NoData, UnknownName, UnknownSymbol, UsageError
from data_cache.schemas import Events
from data_cache.store import Store
from signals.clock import SHANGHAI
from strategies import build_panel, panel_from_frames

SESSIONS = [dt.date(2024, 3, d) for d in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15)]
CALENDAR = pl.Series([dt.date(2024, 3, 1), *SESSIONS, dt.date(2024, 3, 18)])
UNIVERSE = pl.DataFrame(
    {
        "symbol": ["002837.SZ", "301018.SZ", "300602.SZ"],
        "name": ["甲", "乙", "丙"],
        "segment": ["full_chain", "cdu", "cold_plate"],
        "exposure": [1.0, 0.8, 0.6],
        "why": ["", "", ""],
    }
)


def bars(symbol: str, sessions: list[int], start: float = 10.0) -> list[dict[str, Any]]:
    return [
        {"symbol": symbol, "date": SESSIONS[i], "open": start + i, "high": start + i + 1, "low": start + i - 1,
         "close": start + i + 0.5, "volume": 100 + i, "amount": (100.0 + i) * (start + i)}
        for i in sessions
    ]  # fmt: skip


BARS = pl.DataFrame(bars("002837.SZ", list(range(10))) + bars("301018.SZ", [2, 3, 6, 7]))


def event(name: str, at: str, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": name, "kind": "supplier_win", "subject": None, "polarity": 1, "strength": 0.9,
        "certainty": "fact", "occurred_on": None,
        "known_at": dt.datetime.fromisoformat(at).replace(tzinfo=SHANGHAI),
        "symbols": [], "segments": [], "magnitudes": [], "source": "test", "title": None, "span_start": None,
        "span_end": None, "extractor": "test", "ingested_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC), **fields,
    }  # fmt: skip


def share(
    name: str, at: str, segments: list[str], low: float | None, high: float | None, **other: Any
) -> Any:
    magnitude = {"quantity": "share", "unit": "fraction", "low": low, "high": high, **other}
    return event(name, at, kind="value_share", segments=segments, magnitudes=[magnitude])


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=Events.create_empty().schema)


def panel(events: pl.DataFrame | None = None, **given: Any) -> pl.DataFrame:
    settings: dict[str, Any] = {
        "kinds": ["supplier_win"], "start": SESSIONS[3], "end": SESSIONS[-1], "warmup": 3, **given,
    }  # fmt: skip
    factors = settings.pop("factors", None)
    return panel_from_frames(
        settings.pop("bars", BARS),
        factors,
        CALENDAR,
        frame() if events is None else events,
        UNIVERSE,
        **settings,
    ).collect()


def column(table: pl.DataFrame, symbol: str, name: str) -> dict[int, Any]:
    rows = table.filter(pl.col("symbol") == symbol)
    return {SESSIONS.index(d): v for d, v in zip(rows["date"], rows[name], strict=True)}


def test_columns_are_those_of_the_contract_in_order_of_date_and_symbol() -> None:
    got = panel()
    assert got.columns == [
        "date", "symbol", "open", "high", "low", "close", "volume", "amount", "traded", "name", "segment",
        "exposure", "active", "value_share", "score_supplier_win", "new_supplier_win",
    ]  # fmt: skip
    assert got.select("date", "symbol").equals(got.select("date", "symbol").sort("date", "symbol"))
    assert not got.select("date", "symbol").is_duplicated().any()


def test_rows_begin_at_the_first_bar_and_a_symbol_without_bars_has_none() -> None:
    got = panel()
    assert list(column(got, "002837.SZ", "traded")) == list(range(10))
    assert list(column(got, "301018.SZ", "traded")) == list(range(2, 10))
    assert column(got, "300602.SZ", "traded") == {}


def test_the_close_is_carried_and_nothing_else() -> None:
    got = panel()
    assert column(got, "301018.SZ", "close") == {
        2: 12.5, 3: 13.5, 4: 13.5, 5: 13.5, 6: 16.5, 7: 17.5, 8: 17.5, 9: 17.5,
    }  # fmt: skip
    assert column(got, "301018.SZ", "traded") == {i: i in (2, 3, 6, 7) for i in range(2, 10)}
    suspended = got.filter(~pl.col("traded"))
    assert suspended.height == 4
    for name in ("open", "high", "low", "volume", "amount"):
        assert suspended[name].null_count() == 4


def test_a_close_is_carried_into_the_window_from_before_it() -> None:
    got = panel(start=SESSIONS[5], warmup=0)
    assert column(got, "301018.SZ", "close")[5] == 13.5


def test_active_begins_at_start_after_the_warm_up() -> None:
    assert column(panel(), "002837.SZ", "active") == {i: i >= 3 for i in range(10)}
    assert list(column(panel(warmup=1), "002837.SZ", "active")) == list(range(2, 10))
    # a start that is no session: the warm-up is counted back from the next one
    weekend = panel(start=dt.date(2024, 3, 9), warmup=2)
    assert column(weekend, "002837.SZ", "active") == {i: i >= 5 for i in range(3, 10)}


def test_factors_hold_from_their_date_on() -> None:
    factors = pl.DataFrame(
        {"symbol": ["002837.SZ", "002837.SZ"], "date": [SESSIONS[2], SESSIONS[6]], "factor": [2.0, 3.0]}
    )
    got = panel(factors=factors)
    raw = {i: 10.5 + i for i in range(10)}
    factor = {i: 1.0 if i < 2 else 2.0 if i < 6 else 3.0 for i in range(10)}
    assert column(got, "002837.SZ", "close") == {i: raw[i] * factor[i] for i in range(10)}
    assert column(got, "002837.SZ", "low")[7] == pytest.approx(16.0 * 3)
    assert column(got, "301018.SZ", "close")[4] == 13.5  # no factors: as it is


def test_scores_and_news_stand_on_their_decision_date() -> None:
    events = frame(
        event("a", "2024-03-08T10:00", symbols=["002837.SZ"]),  # session 4
        event("b", "2024-03-11T08:00", segments=["cdu"]),  # before 09:15 of session 5: decision of session 4
        event("c", "2024-03-11T16:00", kind="earnings"),  # not asked for
    )
    got = panel(events)
    assert column(got, "002837.SZ", "new_supplier_win") == {i: 1.8 if i == 4 else 0.0 for i in range(10)}
    assert column(got, "301018.SZ", "new_supplier_win")[4] == pytest.approx(0.9 * 0.8)
    fading = column(got, "002837.SZ", "score_supplier_win")
    assert [fading[3], fading[4]] == [0.0, pytest.approx(1.8)]
    assert fading[6] == pytest.approx(1.8 * 0.5 ** (2 / 20))
    assert "score_earnings" not in got.columns


def test_value_shares_are_what_was_told_by_then() -> None:
    events = frame(
        share("plates", "2024-03-05T16:00", ["cold_plate"], 0.4, 0.5),  # session 1
        share("units", "2024-03-07T09:15", ["cdu"], None, 0.2),  # session 3
        share("units again", "2024-03-12T15:00", ["cdu"], 0.3, 0.3),  # session 6
        share("both", "2024-03-12T15:30", ["cdu", "connector"], 0.4, 0.4),  # session 6: 0.2 each
        share("margin", "2024-03-05T16:00", ["cdu"], 0.9, 0.9, quantity="gross_margin"),
        share("watts", "2024-03-05T16:00", ["cdu"], 0.9, 0.9, unit="kW"),
        share("percent by mistake", "2024-03-05T16:00", ["cdu"], 40, 50),
        share("lost", "2024-03-05T16:00", ["cdu"], None, None),
        share("nowhere", "2024-03-05T16:00", [], 0.9, 0.9),
    )
    got = panel(events)
    units = {2: None, 3: 0.2, 4: 0.2, 5: 0.2, 6: 0.25, 7: 0.25, 8: 0.25, 9: 0.25}
    assert column(got, "301018.SZ", "value_share") == pytest.approx(units)
    chain = {0: None, 1: 0.45, 2: 0.45} | dict.fromkeys((3, 4, 5), 0.65)
    chain |= dict.fromkeys((6, 7, 8, 9), 0.45 + 0.25 + 0.2)
    assert column(got, "002837.SZ", "value_share") == pytest.approx(chain)


def test_shares_above_the_whole_are_cut_to_it() -> None:
    events = frame(
        share("a", "2024-03-05", ["cdu"], 0.8, 0.8), share("b", "2024-03-05", ["cold_plate"], 0.7, 0.7)
    )
    assert column(panel(events), "002837.SZ", "value_share")[5] == 1.0


def test_what_comes_after_the_end_is_not_looked_at() -> None:
    events = frame(event("far", "2031-01-01T10:00"), share("far too", "2031-01-01T10:00", ["cdu"], 0.5, 0.5))
    assert panel(events, end=SESSIONS[6]).equals(panel(end=SESSIONS[6]))
    later = BARS.with_columns(
        pl.when(pl.col("date") > SESSIONS[6]).then(pl.col("close") * 7).otherwise("close").alias("close")
    )
    assert panel(bars=later, end=SESSIONS[6]).equals(panel(end=SESSIONS[6]))


def test_row_order_of_the_inputs_is_irrelevant() -> None:
    mixed = BARS.sample(fraction=1, shuffle=True, seed=3)
    assert panel(bars=mixed).equals(panel())


def test_mistakes_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'supplier_win'"):
        panel(kinds=["suplier_win"])
    with pytest.raises(UsageError, match="is after end"):
        panel(start=SESSIONS[5], end=SESSIONS[4])
    with pytest.raises(UsageError, match="start is 'soon'"):
        panel(start="soon")


def test_symbols_that_are_not_in_the_universe_are_refused_by_name(sample_db: Path) -> None:
    store = Store.open(sample_db)
    asked: dict[str, Any] = {"start": "2024-02-01", "end": "2024-02-29", "universe": "sample"}
    one = build_panel(store, symbols="003990", kinds=(), **asked).collect()
    assert one["symbol"].unique().to_list() == ["003990.SZ"]
    with pytest.raises(
        UnknownSymbol, match=r"600519\.SH is not among the \d+ companies of universe 'sample'"
    ):
        build_panel(store, symbols=["003990.SZ", "600519.SH"], kinds=(), **asked)
    with pytest.raises(UsageError, match=r"kinds is 'rack_ramp'; needs a tuple: \('rack_ramp',\)"):
        build_panel(store, kinds="rack_ramp", **asked)


def test_a_stretch_without_sessions_is_an_empty_panel_with_all_columns() -> None:
    empty = panel(start=dt.date(2024, 3, 9), end=dt.date(2024, 3, 10), warmup=0)
    assert empty.height == 0
    assert set(empty.columns) == set(panel().columns)


def test_build_panel_reads_the_same_from_a_store(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "a.duckdb")
    with pytest.raises(NoData, match="no bars"):
        build_panel(store, start=SESSIONS[3], end=SESSIONS[-1], kinds=[])
    factors = pl.DataFrame(
        {"symbol": ["002837.SZ", "301018.SZ"], "date": [SESSIONS[0], SESSIONS[2]], "factor": [1.0, 1.0]}
    )
    store.put_bars(BARS, source="test")
    store.put_factors(factors, source="test")
    store.put_events(frame(event("a", "2024-03-08T10:00", symbols=["002837.SZ"])))
    got = build_panel(
        store,
        start="2024-03-07",
        end="2024-03-15",
        kinds=["supplier_win"],
        symbols=["002837.SZ", "301018.SZ"],
    ).collect()
    assert set(got["symbol"]) == {"002837.SZ", "301018.SZ"}
    assert column(got, "301018.SZ", "close")[9] == 17.5
    assert column(got, "002837.SZ", "new_supplier_win")[4] == pytest.approx(0.9)
    assert got.filter("active")["date"].min() == SESSIONS[3]
