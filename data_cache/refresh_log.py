"""What a refresh asked for and when, so that the next asks only for what is owed: two tables in the store.

``refresh_checks``: one row per thing asked for (``bars`` of a symbol, ``names`` of an exchange, ...), with
the time of the last full answer and the earliest date it was asked from. Written after the answer itself is
stored: a kill between the two costs one repeated question, never a row.
``refresh_runs``: one row per run, with its summary as JSON.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from data_cache.database import reading, writing
from data_cache.tables import REFRESH_LOG

__all__ = ["Check", "checks", "record", "record_run", "runs"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing's last full answer.

    Args:
        checked_at: when (aware).
        since: the earliest date ever asked from; None where there is none.
        sha256: of the vendor's answers, in the order they came, blank between.
    """

    checked_at: dt.datetime
    since: dt.date | None
    sha256: str


def checks(path: Path) -> dict[tuple[str, str], Check]:
    """Every check by (what, who); empty before the first refresh."""
    with reading(path) as connection:
        try:
            rows = connection.execute(
                "SELECT what, who, epoch_us(checked_at), since, sha256 FROM refresh_checks"
            ).fetchall()
        except duckdb.CatalogException:
            return {}
    return {(what, who): Check(_aware(at), since, sha256) for what, who, at, since, sha256 in rows}


def record(path: Path, answered: Mapping[tuple[str, str], Check]) -> None:
    """Note that these were answered in full."""
    with writing(path) as connection:
        connection.execute(REFRESH_LOG)
        connection.executemany(
            "INSERT INTO refresh_checks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET checked_at = "
            "greatest(checked_at, excluded.checked_at), since = least(since, excluded.since), sha256 = excluded.sha256",
            [(what, who, c.checked_at, c.since, c.sha256) for (what, who), c in answered.items()],
        )


def record_run(
    path: Path, started_at: dt.datetime, finished_at: dt.datetime, code: int, summary: Mapping[str, Any]
) -> None:
    """Keep one run's summary."""
    with writing(path) as connection:
        connection.execute(REFRESH_LOG)
        connection.execute(
            "INSERT INTO refresh_runs VALUES (?, ?, ?, ?)",
            [started_at, finished_at, code, json.dumps(summary, ensure_ascii=False)],
        )


def runs(path: Path) -> list[dict[str, Any]]:
    """Every run, oldest first: started_at, finished_at, code and its summary."""
    with reading(path) as connection:
        try:
            rows = connection.execute(
                "SELECT epoch_us(started_at), epoch_us(finished_at), code, summary FROM refresh_runs "
                "ORDER BY started_at"
            ).fetchall()
        except duckdb.CatalogException:
            return []
    return [
        {"started_at": _aware(a), "finished_at": _aware(b), "code": code, "summary": json.loads(text)}
        for a, b, code, text in rows
    ]


def _aware(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(microseconds / 1e6, dt.UTC)
