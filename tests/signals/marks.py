"""How extracted events compare with a reader's marks: same kind and overlapping span is a match.

    python tests/signals/marks.py

Each event can satisfy one mark and each mark one event, the pair with most overlap first. A second event on
the same words counts as wrong; ``loose_precision`` forgives it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

HERE = Path(__file__).parent
REAL = {
    "liquid_cooling_call": ("liquid_cooling_call.txt", "2025-08-31T15:00+08:00"),
    "tech_war_essay": ("tech_war_essay_2023-03-26.txt", "2023-03-26"),
}
"""The two notes of ../shared: file, and when each became knowable. annotations/ holds their marks: the ones the
tables were widened by, and those of a second reader, made afterwards without sight of anything else."""
HELD_OUT = {which: HERE / f"held_out_{which}.jsonl" for which in ("plain", "hints", "thin")}
"""Notes that nothing was fitted to, neither tables nor weights: of fourteen hands that speak plainly, and of twelve
that were asked to speak in every way but the first to come to mind. And eight that mostly explain, ask and joke,
marked from the definitions in kinds.csv alone, by one who knew nothing of how the others are marked. Each note holds a
second reader's marks too, made afterwards from the text alone: how far the two agree is what can be hoped for."""


@dataclass(frozen=True)
class Mark:
    start: int
    end: int
    kind: str
    polarity: int
    certainty: str


@dataclass(frozen=True)
class Score:
    """Of one note or several: every mark, every event, and which mark each event satisfies."""

    marks: list[Mark]
    events: list[dict[str, Any]]
    pairs: dict[int, int]  # mark -> event
    touched: set[int]  # events that overlap any mark of their kind

    @property
    def recall(self) -> float:
        return len(self.pairs) / len(self.marks)

    @property
    def precision(self) -> float:
        return len(self.pairs) / max(1, len(self.events))

    @property
    def loose_precision(self) -> float:
        return len(self.touched) / max(1, len(self.events))

    def polarity(self, only: int | None = None) -> float:
        right = [
            self.marks[i].polarity == self.events[j]["polarity"]
            for i, j in self.pairs.items()
            if only is None or self.marks[i].polarity == only
        ]
        return sum(right) / len(right) if right else float("nan")

    def told(self, sign: int) -> float:
        """The share of all marks of a sign that are found, and with that sign."""
        right = sum(
            self.marks[i].polarity == self.events[j]["polarity"] == sign for i, j in self.pairs.items()
        )
        return right / sum(m.polarity == sign for m in self.marks)

    @property
    def certainty(self) -> float:
        right = [self.marks[i].certainty == self.events[j]["certainty"] for i, j in self.pairs.items()]
        return sum(right) / len(right)

    def __add__(self, other: Score) -> Score:
        m, e = len(self.marks), len(self.events)
        return Score(
            [*self.marks, *other.marks],
            [*self.events, *other.events],
            self.pairs | {i + m: j + e for i, j in other.pairs.items()},
            self.touched | {j + e for j in other.touched},
        )

    def __str__(self) -> str:
        return (
            f"{len(self.marks)} marks, {len(self.events)} events: recall {self.recall:.1%}, "
            f"precision {self.precision:.1%} ({self.loose_precision:.1%} with seconds on the same words), "
            f"polarity {self.polarity():.1%} (-1: {self.polarity(-1):.0%}, 0: {self.polarity(0):.0%}), "
            f"certainty {self.certainty:.1%}"
        )


def read_marks(path: Path) -> list[Mark]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Mark(int(r["start"]), int(r["end"]), r["kind"], int(r["polarity"]), r["certainty"])
            for r in csv.DictReader(stream)
        ]


def read_notes(path: Path, reader: str = "marks") -> Iterator[tuple[str, str, list[Mark]]]:
    """Name, text and marks of each note of a file of the corpus; of a held-out one those of the ``second`` reader."""
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        yield row.get("note", "passage"), row["text"], [Mark(*mark) for mark in row[reader]]


def as_events(marks: list[Mark]) -> pl.DataFrame:
    """One reader's marks, to be scored by another's."""
    columns = {"start": "span_start", "end": "span_end"}
    return pl.DataFrame([asdict(mark) for mark in marks]).rename(columns)


def score(marks: list[Mark], events: pl.DataFrame) -> Score:
    rows = events.to_dicts()
    overlaps = sorted(
        (-(min(m.end, e["span_end"]) - max(m.start, e["span_start"])), i, j)
        for i, m in enumerate(marks)
        for j, e in enumerate(rows)
        if m.kind == e["kind"] and m.start < e["span_end"] and e["span_start"] < m.end
    )
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for _, i, j in overlaps:
        if i not in pairs and j not in used:
            pairs[i] = j
            used.add(j)
    return Score(marks, rows, pairs, {j for _, _, j in overlaps})


def total(scores: list[Score]) -> Score:
    """Several notes as one."""
    return sum(scores[1:], scores[0])


def held_out(which: str, reader: str = "marks") -> Iterator[tuple[str, Score]]:
    """The score of every held-out note, ``plain``, ``hints`` or ``thin``, by the marks of one of its two readers."""
    from signals.extraction import extract
    from signals.note import note_from_text

    for name, text, marks in read_notes(HELD_OUT[which], reader):
        yield name, score(marks, extract(note_from_text(text, name=name, known_at="2025-11-07")))


def between_readers(which: str) -> Iterator[tuple[str, Score]]:
    """How the second reader of every held-out note does by the marks of the first."""
    first, second = (read_notes(HELD_OUT[which], reader) for reader in ("marks", "second"))
    for (name, _, marks), (_, _, others) in zip(first, second, strict=True):
        yield name, score(marks, as_events(others))


def main() -> None:
    """Print every score."""
    from signals.extraction import extract
    from signals.note import read_note

    real = HERE.parents[2] / "shared" / "notes"
    for name, (file, known_at) in REAL.items() if real.is_dir() else ():
        events = extract(read_note(real / file, known_at=known_at))
        for reader in (name, f"{name}.second"):
            print(reader, score(read_marks(HERE / "annotations" / f"{reader}.csv"), events), sep=": ")
    for which in HELD_OUT:
        scores = dict(held_out(which))
        for name, found in scores.items():
            print(name, found, sep=": ")
        print(f"held out, {which}, all", total(list(scores.values())), sep=": ")
        for what, by in (
            ("by the second reader's marks", dict(held_out(which, "second"))),
            ("the second reader by the first's", dict(between_readers(which))),
        ):
            print(f"held out, {which}, {what}", total(list(by.values())), sep=": ")


if __name__ == "__main__":
    main()
