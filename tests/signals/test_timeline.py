"""The shipped events are tradable when their own notes say, and a user's table is read or refused whole."""

from __future__ import annotations

import csv
import datetime as dt
import re
from importlib.resources import files
from pathlib import Path

import polars as pl
import pytest

from data_cache.calendar import xshg_sessions
from data_cache.errors import UsageError
from data_cache.schemas import Events
from signals.clock import decision_dates, first_fill, known_at_from
from signals.public_timeline import read_timeline, timeline
from signals.scoring import weights

SHIPPED = files("signals").joinpath("data", "timeline.csv")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(SHIPPED.read_text(encoding="utf-8").splitlines()))


def test_every_event_first_trades_when_its_note_says(rows: list[dict[str, str]]) -> None:
    calendar = xshg_sessions()
    events = timeline()
    decided = dict(zip(events["event_id"], decision_dates(events["known_at"], calendar), strict=True))
    wrong = {}
    for row in rows:
        said = re.search(
            r"first usable session (\d{4}-\d\d-\d\d)|use (\d{4}-\d\d-\d\d) as first",
            row["knowable_session_note"],
        )
        assert said, row["event_id"]
        fill = first_fill(decided[row["event_id"]], calendar)
        if fill != dt.date.fromisoformat(said[1] or said[2]):
            wrong[row["event_id"]] = fill
    assert not wrong
    assert len(rows) == events.height == 120


def test_nothing_is_known_before_it_happened(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert known_at_from(row["known_at"]).date() >= dt.date.fromisoformat(row["occurred_on"]), row[
            "event_id"
        ]


def test_no_judgement_of_hindsight_ships(rows: list[dict[str, str]]) -> None:
    assert "strength" not in rows[0]
    told_by_price = re.compile(
        r"\bshares? (rose|fell|slid|gained|dropped)|\brall(y|ied)\b|sell-?off|rebound", re.I
    )
    assert [r["event_id"] for r in rows if told_by_price.search(r["title"])] == []


def test_strength_is_the_weight_of_the_kind() -> None:
    table = dict(weights().select("kind", "weight").iter_rows())
    events = timeline()
    assert events["strength"].to_list() == [table[k] for k in events["kind"]]
    assert set(events["source"]) == {"timeline"}
    assert events["known_at"].is_sorted()
    Events.validate(events)


def test_the_kinds_are_those_of_the_one_table() -> None:
    kinds = pl.read_csv(files("signals").joinpath("data", "kinds.csv").read_bytes())["kind"]
    assert set(weights()["kind"]) == set(kinds)
    assert set(timeline()["kind"]) <= set(kinds)


def test_a_users_table_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(
        "event_id,kind,polarity,known_at,symbols,segments,subject,remark\n"
        "b,rack_delay,-1,2025-01-08T10:00+08:00,,cdu;cold_plate,a rack,x\n"
        "a,supplier_win,+1,2025-01-07,SZ002837; 301018,,,\n",
        encoding="utf-8",
    )
    events = read_timeline(file)
    assert events["event_id"].to_list() == ["a", "b"]
    assert events["symbols"].to_list() == [["002837.SZ", "301018.SZ"], []]
    assert events["segments"].to_list() == [[], ["cdu", "cold_plate"]]
    assert events["polarity"].to_list() == [1, -1]
    assert events["certainty"].to_list() == ["fact", "fact"]
    assert events["source"].unique().to_list() == ["mine"]
    assert events["known_at"][0].isoformat() == "2025-01-07T15:00:00+08:00"


def test_the_headings_it_was_compiled_with_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "raw.csv"
    file.write_text(
        "event_id,event_type,polarity_for_liquid_cooling,first_public_at,affected_symbols,strength\n"
        "a,cooling_tech_shift,-1,2025-01-07T16:00-05:00,002837.SZ,0.9\n",
        encoding="utf-8",
    )
    (row,) = read_timeline(file).to_dicts()
    assert (row["kind"], row["polarity"], row["symbols"]) == ("tech_shift", -1, ["002837.SZ"])
    assert row["known_at"].isoformat() == "2025-01-08T05:00:00+08:00"
    assert row["strength"] == dict(weights().select("kind", "weight").iter_rows())["tech_shift"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("event_id,kind,known_at\na,earnings,2025-01-07\n", "lacks the column polarity"),
        ("kind\nearnings\n", "lacks the columns event_id, polarity, known_at"),
        (
            "event_id,kind,polarity,known_at\na,earning,1,2025-01-07\n",
            r"event 1 \(a\).*did you mean 'earnings'",
        ),
        ("event_id,kind,polarity,known_at\na,earnings,2,2025-01-07\n", "polarity is '2'; needs -1, 0 or 1"),
        ("event_id,kind,polarity,known_at\na,earnings,1,2025-01-07T10:00\n", "without a zone"),
        ("event_id,kind,polarity,known_at\na,earnings,1,\n", "known_at is ''"),
        ("event_id,kind,polarity,known_at\n,earnings,1,2025-01-07\n", "event_id is empty"),
        (
            "event_id,kind,polarity,known_at\na,earnings,1,2025-01-07\na,earnings,1,2025-01-07\n",
            "more than once",
        ),
        ("event_id,kind,polarity,known_at,symbols\na,earnings,1,2025-01-07,28\n", "not an A-share symbol"),
        ("event_id,kind,polarity,known_at,segments\na,earnings,1,2025-01-07,cud\n", "did you mean 'cdu'"),
        ("event_id,kind,polarity,known_at,certainty\na,earnings,1,2025-01-07,fat\n", "did you mean 'fact'"),
        (
            "event_id,kind,polarity,known_at,occurred_on\na,earnings,1,2025-01-07,May\n",
            "occurred_on is 'May'",
        ),
        ("", "is not a CSV"),
    ],
)
def test_a_bad_table_is_refused_with_the_place_and_the_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=says):
        read_timeline(file)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_bytes("event_id,kind,polarity,known_at\n甲,earnings,1,2025-01-07\n".encode("gbk"))
    with pytest.raises(UsageError, match="not a CSV of events in UTF-8"):
        read_timeline(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        read_timeline(tmp_path / "none.csv")
