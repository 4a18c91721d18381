"""The extractor against readers' marks: the goals on the two real notes, floors on five of our own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import polars as pl
import pytest

from signals.extract import extract
from signals.note import Note, read_note

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("marks", HERE / "marks.py")
assert _spec
assert _spec.loader
marks = importlib.util.module_from_spec(_spec)
sys.modules["marks"] = marks
_spec.loader.exec_module(marks)


def scored(name: str, note: Note):
    return marks.score(marks.read_marks(HERE / "annotations" / f"{name}.csv"), extract(note))


@pytest.mark.realdata
@pytest.mark.parametrize("name", marks.REAL)
def test_the_goals_hold_on_each_real_note(name: str, shared: Path) -> None:
    file, known_at = marks.REAL[name]
    result = scored(name, read_note(shared / "notes" / file, known_at=known_at))
    assert result.recall >= 0.80, result
    assert result.precision >= 0.75, result
    assert result.polarity() >= 0.90, result
    assert result.polarity(-1) >= 0.70, result


@pytest.mark.parametrize("name", marks.NOTES)
def test_notes_of_other_links_and_styles_stay_above_the_goals(name: str) -> None:
    # These were marked before the extractor saw them; its tables were widened after, so this is a floor that
    # keeps what was learnt, not a measure of how it does on the next note.
    result = scored(name, read_note(HERE / "notes" / f"{name}.txt", known_at=marks.NOTES[name]))
    assert result.recall >= 0.80, result
    assert result.precision >= 0.75, result


def test_always_plus_one_would_not_reach_the_polarity_goal() -> None:
    rows = [m for name in marks.NOTES for m in marks.read_marks(HERE / "annotations" / f"{name}.csv")]
    assert sum(m.polarity == 1 for m in rows) / len(rows) < 0.7


def test_scoring_pairs_each_event_with_one_mark() -> None:
    given = [marks.Mark(0, 10, "risk", -1, "fact"), marks.Mark(20, 30, "risk", -1, "fact")]
    events = pl.DataFrame(
        {
            "kind": ["risk", "risk", "capex_guidance", "risk"],
            "span_start": [0, 5, 20, 29],
            "span_end": [9, 12, 30, 40],
            "polarity": [-1, -1, 1, 1],
            "certainty": ["fact"] * 4,
        }
    )
    result = marks.score(given, events)
    assert result.pairs == {0: 0, 1: 3}
    assert result.recall == 1.0
    assert result.precision == 0.5
    assert result.loose_precision == 0.75
    assert result.polarity() == 0.5


@pytest.mark.parametrize("path", sorted((HERE / "annotations").glob("*.csv")), ids=lambda p: p.stem)
def test_annotations_hold_no_text_and_known_kinds(path: Path) -> None:
    from signals.lexicon import kinds

    frame = pl.read_csv(path)
    assert frame.columns == ["start", "end", "kind", "polarity", "certainty"]
    assert set(frame["kind"]) <= {k["kind"] for k in kinds()}
    assert (frame["end"] > frame["start"]).all()
