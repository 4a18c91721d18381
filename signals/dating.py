"""What a note's content implies about when it was written: a hint for the person who must give its date.

Not before the last day it names or the last product it knows; not after its file was last written. The date in
a file's name is suggested and no more: it may be the day of saving.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from importlib.resources import files
from pathlib import Path

__all__ = ["implied_dates"]

_DAY = re.compile(r"(?<!\d)(20\d\d)\s*[-./年]\s*(\d{1,2})\s*[-./月]\s*(\d{1,2})(?!\d)")


def implied_dates(text: str, path: str | None = None) -> str:
    """A sentence to end the refusal of an undated note with; empty where nothing can be said."""
    earliest: dt.date | None = None
    why = ""
    for day in _days(text):
        if earliest is None or day > earliest:
            earliest, why = day, f"the text names {day}"
    table = (files("signals") / "data" / "first_public.csv").read_text("utf-8")
    for row in csv.DictReader(io.StringIO(table)):
        since = dt.date.fromisoformat(row["since"])
        if (earliest is None or since > earliest) and _mentions(text, row["surface"]):
            earliest, why = since, f"it mentions {row['surface']} ({row['what']})"
    said = []
    if earliest:
        said.append(f"its content implies {earliest} or later: {why}")
    if path and (file := Path(path)).is_file():
        written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC).date()
        if earliest is None or written >= earliest:
            said.append(f"the file was last written on {written}")
        if named := next(iter(_days(file.name)), None):
            said.append(f"its name says {named}, which may be right: check it")
    return f". A hint: {'; '.join(said)}" if said else ""


def _mentions(text: str, surface: str) -> bool:
    """Whether the name stands there as itself: GB300 does not mention B300."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(surface)}(?![0-9])", text, re.IGNORECASE) is not None


def _days(text: str) -> list[dt.date]:
    found = []
    for year, month, day in _DAY.findall(text):
        try:
            found.append(dt.date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return [d for d in found if d <= dt.datetime.now(dt.UTC).date()]
