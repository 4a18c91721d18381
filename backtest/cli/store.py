"""``ashare status`` and ``ashare export``: what the store holds, what it lacks, and a copy of it as Parquet."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backtest.cli.common import Common, say, show_json, show_table

if TYPE_CHECKING:
    import polars as pl

    from data_cache.store import Store

__all__ = ["export", "status"]


def status(
    *,
    max_age: str | None = None,
    since: dt.date | None = None,
    rejected: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """What the store holds and what it lacks: coverage, gaps, staleness, revisions, quarantine.

    A gap is a session from a symbol's listing (else its first bar) to the last closed one that has neither a bar
    nor a suspension. Exit code 0; with --max-age 3 where the store is too old or has gaps.

    Args:
        max_age: For a monitor: how many closed sessions the newest bar may be behind, e.g. 1d; exit 3 beyond it,
            or where older sessions are missing.
        since: Count no gap before this date, e.g. one that no vendor can fill.
        rejected: List the quarantined rows, each with the rule it breaks.
        common: Options of every command.
    """
    from data_cache.store import Store

    store = Store.open(common.path)
    document = describe(store, now=_now(), allowed=_sessions(max_age), since=since)
    if rejected:
        document["rejected"] = store.rejected()
    if common.json:
        show_json(document)
    else:
        _show(document)
    return 3 if max_age is not None and (document["stale"] or document["gaps"].height) else 0


def describe(
    store: Store, *, now: dt.datetime, allowed: int | None = None, since: dt.date | None = None
) -> dict[str, Any]:
    """Everything ``ashare status`` tells, as one document.

    Args:
        store: any.
        now: aware; decides which session is the last closed one.
        allowed: sessions the store may be behind; gaps are then counted up to that many sessions back.
        since: no gap before it counts.
    """
    from data_cache.errors import AshareError
    from data_cache.gaps import coverage, gaps, last_session

    until = last_session(store, now)
    calendar = store.calendar()
    closed = calendar.filter(calendar <= until) if until else calendar.clear()
    judged = closed[max(0, len(closed) - 1 - (allowed or 0))] if len(closed) else dt.date.min
    symbols = coverage(store, until=judged, since=since)
    newest = symbols["last"].max()
    behind = None if newest is None else int((closed > newest).sum())
    try:
        basis = store.basis()
    except AshareError:
        basis = None
    return {
        "path": str(store.path),
        "sample": store.is_sample,
        "snapshot": store.snapshot_id(),
        "basis": basis,
        "calendar_end": calendar.max(),
        "last_session": until,
        "newest_bar": newest,
        "behind": behind,
        "stale": allowed is not None and (behind is None or behind > allowed),
        "counts": store.counts(),
        "symbols": symbols,
        "gaps": gaps(store, until=judged, since=since),
    }


def export(directory: Path, *, common: Common = Common()) -> int:  # noqa: B008 - frozen
    """Write the whole store, its history included, as Parquet by year; `ashare import DIR` restores an equal one.

    polars, DuckDB and pandas read it as it is, e.g. `pl.read_parquet("backup/bars")`. Column `put` leads to
    source and times in `puts`. An earlier export in DIR is replaced once the new one is whole.

    Args:
        directory: New, empty, or an earlier export.
        common: Options of every command.
    """
    from data_cache.export import export as write
    from data_cache.store import Store

    store = Store.open(common.path)
    rows = write(store, directory)
    if common.json:
        show_json(
            {
                "directory": str(directory),
                "sample": store.is_sample,
                "snapshot": store.snapshot_id(),
                "rows": rows,
            }
        )
    else:
        mark = "SAMPLE " if store.is_sample else ""
        say(common, f"{mark}store of {sum(rows.values()):,} rows written to {directory}")
    return 0


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _sessions(text: str | None) -> int | None:
    from data_cache.errors import UsageError

    if text is None:
        return None
    if found := re.fullmatch(r"(\d+)d?", text.strip()):
        return int(found[1])
    raise UsageError(f"--max-age is {text!r}; needs a number of sessions, e.g. 1d")


def _show(document: dict[str, Any]) -> None:
    import polars as pl

    counts = document["counts"]
    gaps: pl.DataFrame = document["gaps"]
    symbols: pl.DataFrame = document["symbols"]
    facts = {
        "store": document["path"] + (" (SAMPLE market, generated)" if document["sample"] else ""),
        "snapshot": document["snapshot"],
        "price basis of a run": document["basis"] or "none covers every symbol",
        "newest bar": _or_none(document["newest_bar"]),
        "last closed session": _or_none(document["last_session"]),
        "sessions behind": _or_none(document["behind"]) + (" (stale)" if document["stale"] else ""),
        "calendar ends": _or_none(document["calendar_end"]),
        "missing sessions": f"{gaps['sessions'].sum():,} in {gaps.height:,} gaps",
        **{name.replace("_", " "): f"{value:,}" for name, value in counts.items()},
    }
    title = "SAMPLE store" if document["sample"] else "store"
    show_table(pl.DataFrame({title: list(facts), "": list(facts.values())}))
    if symbols.height:
        worst = symbols.sort("missing", "symbol", descending=[True, False])
        show_table(worst, title=f"{symbols.height:,} series of bars, most missing first", limit=60)
    if gaps.height:
        show_table(gaps.sort("end", descending=True), title="gaps, latest first", limit=30)
    if "rejected" in document:
        show_table(document["rejected"].drop("at"), title="quarantined rows, never used", limit=200)


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)
