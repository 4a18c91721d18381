"""``ashare demo``: the main job, offline, on the sample market and the sample notes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from backtest.cli.common import Common, progress_console, say, show_json, show_table

if TYPE_CHECKING:
    from data_cache.store import Store

__all__ = ["demo"]


def demo(
    *,
    out: Path = Path("build/demo"),
    fresh: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Notes → events → signals → strategies → fills → a page, on a SAMPLE market; nothing of yours is touched.

    Args:
        out: Folder for the sample store and report.html; your own store is never used.
        fresh: Make the sample market again even if it is there.
    """
    from backtest.cli.run import readable
    from backtest.comparison import compare
    from data_cache import sample
    from data_cache.store import Store
    from signals.extraction import extract
    from signals.note import read_note
    from strategies import ALL

    console = progress_console(common)
    began = time.perf_counter()

    def step(text: str) -> None:
        console.print(f"[dim]{time.perf_counter() - began:6.1f} s[/]  {text}")

    path = out / "sample.duckdb"
    store = None if fresh else _existing(path)
    if store is not None:
        step(f"the SAMPLE market is there: {path}")
    else:
        path.unlink(missing_ok=True)
        step("making the SAMPLE market (seeded, on the real Shanghai calendar)")
        store = Store.create(path, sample=True)
        sample.fill(store)
    step("reading the SAMPLE notes and extracting their events")
    for note_path in sample.notes():
        note = read_note(note_path)
        store.put_note(note)
        store.put_events(extract(note))
    step(f"{store.events().height} events; {len(ALL)} strategies under the exchange's rules")
    step("(the first run on a machine compiles the fill kernel: some seconds, once)")
    comparison = compare([cls() for cls in ALL.values()], store, progress=step)
    step("drawing the page")
    report = comparison.to_html(out / "report.html")
    if common.json:
        show_json(comparison.to_dict() | {"report": str(report.resolve())})
        return 0
    show_table(readable(comparison.table), title="SAMPLE: a synthetic market; nothing here happened")
    say(common, f"done in {time.perf_counter() - began:.1f} s. Open the page: [bold]{report.resolve()}[/]")
    return 0


def _existing(path: Path) -> Store | None:
    """The sample store of an earlier demo; None where there is none, or another version's: it is generated again."""
    from data_cache.errors import NoData, StorageError
    from data_cache.store import Store

    try:
        return Store.open(path)
    except (NoData, StorageError):
        return None
