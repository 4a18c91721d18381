"""What happened, and what it implies: notes become events, events become scores."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from signals.clock import decision_dates, known_at_from
    from signals.extraction import explain, extract
    from signals.note import Note, find_notes, note_from_text, read_note
    from signals.novelty import first_told
    from signals.public_timeline import read_timeline, timeline
    from signals.scoring import contributions, scores, weights

__all__ = [
    "Note",
    "contributions",
    "decision_dates",
    "explain",
    "extract",
    "find_notes",
    "first_told",
    "known_at_from",
    "note_from_text",
    "read_note",
    "read_timeline",
    "scores",
    "timeline",
    "weights",
]

_HOMES = {
    "clock": ("decision_dates", "known_at_from"),
    "extraction": ("explain", "extract"),
    "note": ("Note", "find_notes", "note_from_text", "read_note"),
    "novelty": ("first_told",),
    "scoring": ("contributions", "scores", "weights"),
    "public_timeline": ("read_timeline", "timeline"),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first asked for."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"signals.{module}"), name)
    raise AttributeError(f"module 'signals' has no attribute {name!r}")
