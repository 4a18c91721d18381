"""A reviewer's corrections win, answer for themselves, and never silently stop to count."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest

from data_cache.errors import UnknownName, UsageError
from signals.annotated_html import annotated_html
from signals.extraction import extract
from signals.note import Note, read_note
from signals.review import review_path

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TEXT = "去年 NVL72 机柜推迟了。英维克已经打入英伟达的供应链。液冷的渗透率非常低。<b>风冷</b>还在。"


@pytest.fixture
def note(tmp_path: Path) -> Note:
    path = tmp_path / "call.txt"
    path.write_text(TEXT, encoding="utf-8")
    return read_note(path, known_at="2025-08-31", title="一次<会议>")


def write(note: Note, *rows: dict[str, str]) -> None:
    columns = sorted({"event_id", "action", "who", "when", *(k for row in rows for k in row)})
    with review_path(note).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({"who": "LI", "when": "2025-09-01", **row} for row in rows)


def ids(note: Note) -> dict[str, str]:
    return dict(extract(note).select("kind", "event_id").iter_rows())


def test_the_file_lies_beside_the_note(note: Note) -> None:
    assert review_path(note) == Path(f"{note.path}.review.csv")


def test_a_rejected_event_is_gone_and_an_edited_one_changed(note: Note) -> None:
    known = ids(note)
    write(
        note,
        {"event_id": known["rack_delay"], "action": "reject"},
        {"event_id": known["supplier_win"], "action": "edit", "polarity": "0", "certainty": "opinion"},
        {"event_id": known["penetration_view"], "action": "accept"},
    )
    rows = {r["kind"]: r for r in extract(note, ingested_at=NOW).to_dicts()}
    assert set(rows) == {"supplier_win", "penetration_view"}
    assert (rows["supplier_win"]["polarity"], rows["supplier_win"]["certainty"]) == (0, "opinion")
    assert rows["supplier_win"]["symbols"] == ["002837.SZ"]
    assert rows["supplier_win"]["extractor"].endswith("edited by LI 2025-09-01")
    assert rows["penetration_view"]["extractor"].endswith("accepted by LI 2025-09-01")


def test_an_edit_can_change_kind_span_and_reach(note: Note) -> None:
    start = TEXT.index("英维克")
    write(
        note,
        {
            "event_id": ids(note)["supplier_win"],
            "action": "edit",
            "kind": "supplier_certification",
            "start": str(start),
            "end": str(start + 3),
            "symbols": "SZ301018",
            "segments": "cdu connector",
        },
    )
    row = next(r for r in extract(note).to_dicts() if r["kind"] == "supplier_certification")
    assert TEXT[row["span_start"] : row["span_end"]] == "英维克"
    assert (row["symbols"], row["segments"]) == (["301018.SZ"], ["cdu", "connector"])


def test_a_missed_event_can_be_added(note: Note) -> None:
    start = TEXT.index("风冷")
    write(
        note, {"action": "add", "kind": "risk", "polarity": "-1", "start": str(start), "end": str(start + 2)}
    )
    row = next(r for r in extract(note).to_dicts() if r["kind"] == "risk")
    assert row["extractor"] == "review added by LI 2025-09-01"
    assert TEXT[row["span_start"] : row["span_end"]] == "风冷"
    assert row["source"] == note.note_id


def test_of_two_corrections_the_later_wins(note: Note) -> None:
    known = ids(note)["rack_delay"]
    write(
        note,
        {"event_id": known, "action": "reject"},
        {"event_id": known, "action": "edit", "polarity": "0", "when": "2025-09-02"},
    )
    row = next(r for r in extract(note).to_dicts() if r["kind"] == "rack_delay")
    assert row["polarity"] == 0
    assert row["extractor"].endswith("2025-09-02")


def test_a_correction_of_an_event_that_is_gone_is_an_error(note: Note) -> None:
    write(note, {"event_id": "0" * 16, "action": "reject"})
    with pytest.raises(UsageError, match="was the note changed"):
        extract(note)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"event_id": "x", "action": "rejcet"}, "did you mean 'reject'"),
        ({"event_id": "", "action": "reject"}, "needs the event_id"),
        ({"event_id": "x", "action": "accept", "who": ""}, "who and when"),
        ({"event_id": "x", "action": "accept", "when": "soon"}, "when is 'soon'"),
        ({"event_id": "x", "action": "edit", "polarity": "2"}, "polarity is '2'"),
        ({"event_id": "x", "action": "edit", "kind": "rack_dealy"}, "did you mean 'rack_delay'"),
        ({"event_id": "x", "action": "edit", "certainty": "sure"}, "unknown certainty"),
        ({"event_id": "x", "action": "edit", "start": "-4"}, "needs a character offset"),
        ({"event_id": "x", "action": "edit", "start": "²"}, "start is '²'; needs a character offset"),
        ({"event_id": "x", "action": "edit", "end": "9" * 5000}, "needs a character offset"),
        ({"event_id": "x", "action": "edit", "segments": "cdu coldplates"}, "did you mean 'cold_plate'"),
        ({"event_id": "x", "action": "edit", "symbols": "ENVC"}, "is not an A-share symbol"),
        ({"action": "add", "kind": "risk"}, "add needs polarity, start, end"),
    ],
)
def test_a_bad_row_is_named(note: Note, row: dict[str, str], says: str) -> None:
    write(note, row)
    with pytest.raises(UsageError, match="row 1") as caught:
        extract(note)
    assert says in str(caught.value)
    assert not isinstance(caught.value, UnknownName)


def test_a_span_outside_the_note_is_refused(note: Note) -> None:
    write(note, {"event_id": ids(note)["rack_delay"], "action": "edit", "end": "99999"})
    with pytest.raises(UsageError, match="not inside the note"):
        extract(note)


def test_a_missing_or_unknown_column_is_refused(note: Note) -> None:
    review_path(note).write_text("event_id,action,who\n", encoding="utf-8")
    with pytest.raises(UsageError, match="lacks the column when"):
        extract(note)
    review_path(note).write_text("event_id,action,who,when,polarty\n", encoding="utf-8")
    with pytest.raises(UsageError, match="polarty"):
        extract(note)


def test_the_page_holds_the_whole_text_its_marks_and_why(note: Note) -> None:
    page = annotated_html(note, extract(note))
    assert "http" not in page.replace("http-equiv", "")  # nothing is fetched
    assert "一次&lt;会议&gt;" in page
    assert "&lt;b&gt;风冷&lt;/b&gt;" in page
    body = page[page.index('<div class="text">') :]
    import re

    text = re.sub(r"<sup>.*?</sup>|<[^>]+>", "", body[: body.index("</div>")])
    assert text.replace("&lt;", "<").replace("&gt;", ">").strip() == TEXT
    assert '<mark class="minus"' in page
    assert '<mark class="plus"' in page
    assert "rack-slips" in page
    assert "推迟" in page[page.index("<aside>") :]
