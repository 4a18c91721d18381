"""A note as one self-contained page with its events marked in place, each explained.

1. ``_pieces`` cuts the text at every span's ends; a piece knows which events cover it, so spans may overlap.
2. The template writes the pieces with their marks, and beside them a card for each event: kind, sign,
   certainty, amounts, the rule and the words that made it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from signals.note import Note

__all__ = ["annotated_html"]


def annotated_html(note: Note, events: pl.DataFrame, explained: pl.DataFrame | None = None) -> str:
    """The page.

    Args:
        note: the note; its text is quoted whole.
        events: its events (corrections made); those of other sources are left out.
        explained: from ``signals.explain``; default computed. An event it does not hold came from a reviewer
            or another extractor.
    """
    from importlib.resources import files

    import jinja2

    if explained is None:
        from signals.extraction import explain

        explained = explain(note)
    why = {row["event_id"]: row for row in explained.iter_rows(named=True)}
    mine = events.filter(pl.col("source") == note.note_id).sort("span_start", "span_end", "kind")
    cards = [
        {
            **row,
            "number": number,
            "sign": {1: "plus", 0: "zero", -1: "minus"}[row["polarity"]],
            "quote": note.text[row["span_start"] : row["span_end"]],
            "amounts": [_amount(m) for m in row["magnitudes"]],
            "why": why.get(row["event_id"]),
        }
        for number, row in enumerate(mine.iter_rows(named=True), start=1)
        if row["span_start"] is not None
    ]
    template = (files("signals") / "templates" / "note.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(note=note, cards=cards, pieces=_pieces(note.text, cards))


def _pieces(text: str, cards: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cuts = sorted({0, len(text), *(c["span_start"] for c in cards), *(c["span_end"] for c in cards)})
    starting: dict[int, list[dict[str, Any]]] = {}
    for card in cards:
        starting.setdefault(card["span_start"], []).append(card)
    pieces: list[dict[str, Any]] = []
    open_: list[dict[str, Any]] = []
    for start, end in pairwise(cuts):
        open_ = [c for c in open_ if c["span_end"] > start] + starting.get(start, [])
        signs = {c["sign"] for c in open_}
        pieces.append(
            {
                "text": text[start:end],
                "begins": starting.get(start, []),
                "sign": (signs.pop() if len(signs) == 1 else "several") if open_ else None,
                "tip": "; ".join(f"{c['number']} {c['kind']}" for c in open_),
            }
        )
    return pieces


def _amount(m: dict[str, Any]) -> str:
    low, high = m["low"], m["high"]
    if low == high:
        said = f"{low:g}"
    else:
        said = f"{'?' if low is None else f'{low:g}'} to {'?' if high is None else f'{high:g}'}"
    return f"{m['quantity']} {said} {m['unit']}".strip()
