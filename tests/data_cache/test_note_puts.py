"""Notes and events in the store: what a source said before gives way, and the past keeps it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from data_cache.store import Store, Written

SH = dt.timezone(dt.timedelta(hours=8))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "s.duckdb")


def event(event_id: str, source: str, *, strength: float = 0.5, known: int = 1) -> dict:
    return {
        "event_id": event_id, "kind": "rack_delay", "subject": None, "polarity": -1, "strength": strength,
        "certainty": "fact", "occurred_on": None, "known_at": dt.datetime(2024, 1, known, 15, tzinfo=SH),
        "symbols": ["002837.SZ"], "segments": [],
        "magnitudes": [{"quantity": "power", "unit": "kW", "low": 120.0, "high": None}], "source": source,
        "title": None, "span_start": 0, "span_end": 4, "extractor": "t",
        "ingested_at": dt.datetime.now(dt.UTC),
    }  # fmt: skip


def events(*rows: dict) -> pl.DataFrame:
    from data_cache.schemas import Events

    return pl.DataFrame(list(rows), schema=pl.Schema(Events))


def note(note_id: str, text: str, path: str | None = "calls/a.txt") -> dict:
    import hashlib

    return {
        "note_id": note_id, "sha256": hashlib.sha256(text.encode()).hexdigest(), "path": path, "title": None,
        "source": None, "speaker": None, "published_at": dt.datetime(2024, 1, 1, 15, tzinfo=SH), "text": text,
        "ingested_at": dt.datetime.now(dt.UTC),
    }  # fmt: skip


def test_events_come_back_sorted_and_whole(store: Store) -> None:
    given_rows = [event("b", "timeline", known=3), event("a", "timeline", known=2)]
    assert store.put_events(events(*given_rows)) == Written(inserted=2)
    out = store.events()
    assert out.to_dicts() == [given_rows[1], given_rows[0]]
    assert store.events(kinds=["other"]).is_empty()
    assert store.events(sources=["timeline"]).height == 2


def test_an_event_read_again_is_unchanged_whenever_it_was_ingested(store: Store) -> None:
    store.put_events(events(event("a", "timeline")))
    assert store.put_events(events(event("a", "timeline"))) == Written(unchanged=1)
    assert store.put_events(events(event("b", "timeline"))) == Written(inserted=1)  # a is not withdrawn
    assert store.put_events(events(event("a", "timeline", strength=0.9))) == Written(revised=1)
    assert store.events().height == 2


def test_a_changed_note_withdraws_its_old_events_but_the_past_keeps_them(store: Store) -> None:
    store.put_note(note("a-11111111", "old"))
    store.put_events(events(event("e1", "a-11111111"), event("e2", "a-11111111")))
    store.put_events(events(event("t", "timeline")))
    snapshot = store.snapshot_id()
    done = store.put_note(note("a-22222222", "new"))
    assert (done.inserted, done.revised) == (1, 1)
    assert store.notes()["note_id"].to_list() == ["a-22222222"]
    assert store.events()["event_id"].to_list() == ["t"]
    then = Store.open(store.path, as_of=snapshot)
    assert sorted(then.events()["event_id"]) == ["e1", "e2", "t"]
    assert then.notes()["text"].to_list() == ["old"]


def test_a_note_read_anew_replaces_its_events(store: Store) -> None:
    store.put_note(note("a-11111111", "text"))
    store.put_events(events(event("e1", "a-11111111"), event("e2", "a-11111111")))
    assert store.put_note(note("a-11111111", "text")) == Written(unchanged=1)
    done = store.put_events(events(event("e2", "a-11111111"), event("e3", "a-11111111")))
    assert done == Written(inserted=1, unchanged=1, revised=1)
    assert sorted(store.events()["event_id"]) == ["e2", "e3"]
    assert store.put_events(events(), sources=["a-11111111"]).revised == 2
    assert store.events().is_empty()


def test_an_event_no_session_could_trade_is_quarantined(store: Store) -> None:
    early = event("a", "x") | {"known_at": dt.datetime(205, 8, 31, 15, tzinfo=SH)}
    assert store.put_events(events(early, event("b", "x"))) == Written(inserted=1, rejected=1)
    assert store.events()["event_id"].to_list() == ["b"]
    assert store.rejected()["rule"].to_list() == ["known_within_calendar"]


def test_a_reading_that_is_refused_replaces_nothing(store: Store) -> None:
    store.put_note(note("a-11111111", "good"))
    store.put_events(events(event("e1", "a-11111111")))
    store.put_note(note("a-22222222", "bad") | {"sha256": "no digest"})
    assert store.notes()["text"].to_list() == ["good"]
    assert store.events()["event_id"].to_list() == ["e1"]


def test_another_note_of_another_file_stays(store: Store) -> None:
    store.put_note(note("a-11111111", "one", "a.txt"))
    store.put_note(note("b-22222222", "two", "b.txt"))
    store.put_note(note("a-33333333", "three", "old/a.txt"))
    store.put_note(note("a-44444444", "four"))  # read from no file
    assert store.notes().height == 4
    store.put_note(note("a-55555555", "five", str(Path("a.txt").absolute())))  # the first again, changed
    assert sorted(store.notes()["text"]) == ["five", "four", "three", "two"]
