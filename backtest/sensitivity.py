"""How results move when a note's own date is only known as a range.

The note's events are made knowable at the first date, at the stored one and at the last; everything else stays.
A conclusion that holds at one of them only is a conclusion about the date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from backtest.comparison import label
from backtest.result import load, run_on
from data_cache.errors import UnknownName, UsageError
from signals.clock import known_at_from

if TYPE_CHECKING:
    from backtest.execution import Execution
    from data_cache.store import Store
    from strategies import Strategy

__all__ = ["SCHEMA", "known_at_sensitivity"]

SCHEMA: dict[str, Any] = {
    "note": pl.String, "known_at": pl.Datetime("us", "Asia/Shanghai"), "as_stored": pl.Boolean, "strategy": pl.String,
    "total_return": pl.Float64, "fills": pl.Int64, "moved": pl.Float64,
}  # fmt: skip


def known_at_sensitivity(
    strategies: Sequence[Strategy],
    store: Store,
    ranges: Sequence[str],
    *,
    cash: float = 1_000_000.0,
    execution: Execution | None = None,
    progress: Callable[[str], None] | None = None,
    **where: Any,
) -> pl.DataFrame:
    """Total return of each strategy with each note knowable at either end of its range.

    Args:
        strategies: as in ``compare``.
        store: an open store.
        ranges: ``NOTE=FIRST,LAST`` each: a note's id (or the start of one) and two dates or moments, read by
            ``signals.clock.known_at_from``.
        cash: yuan to begin with.
        execution: the same for all.
        progress: told what is being done.
        where: ``start``, ``end``, ``universe`` as in ``compare``.

    Returns:
        note, known_at, as_stored (whether that is its stored moment), strategy, total_return (fraction), fills, moved
        (total return less that as stored).

    Raises:
        UsageError: a range that cannot be read, or whose ends are reversed.
        UnknownName: no stored note of that id.
    """
    tell = progress or (lambda _: None)
    where = {k: v for k, v in where.items() if k in ("start", "end", "universe")}
    events = store.events()
    sources = sorted(set(events["source"]))
    rows: list[dict[str, Any]] = []
    read = [_range(text, sources) for text in ranges]
    for i, (note, first, last) in enumerate(read):
        if note in [other for other, _, _ in read[:i]]:
            raise UsageError(f"--known-at-range gives two ranges of {note}; give one")
        stored: dt.datetime = events.filter(pl.col("source") == note)["known_at"].to_list()[0]
        for known_at in sorted({first, stored, last}):
            tell(f"{note} knowable at {known_at:%Y-%m-%d %H:%M}")
            moved = events.with_columns(
                pl.when(pl.col("source") == note)
                .then(pl.lit(known_at))
                .otherwise(pl.col("known_at"))
                .alias("known_at")
            ).cast({"known_at": events.schema["known_at"]})
            inputs = load(store, strategies, events=moved, **where)
            for name, strategy in zip(label(strategies), strategies, strict=True):
                result = run_on(strategy, inputs, cash=cash, execution=execution)
                values = result.equity["value"]
                rows.append(
                    {
                        "note": note,
                        "known_at": known_at,
                        "as_stored": known_at == stored,
                        "strategy": name,
                        "total_return": float(values[-1] / values[0] - 1),
                        "fills": result.fills.height,
                    }
                )
    frame = pl.DataFrame(rows)
    base = frame.filter("as_stored").select("note", "strategy", pl.col("total_return").alias("base"))
    return (
        frame.join(base, on=["note", "strategy"], how="left", maintain_order="left")
        .with_columns((pl.col("total_return") - pl.col("base")).alias("moved"))
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        .sort("note", "strategy", "known_at")
    )


def _range(text: str, sources: list[str]) -> tuple[str, dt.datetime, dt.datetime]:
    name, equals, dates = text.partition("=")
    ends = [d for d in dates.split(",") if d]
    if not equals or len(ends) != 2:
        raise UsageError(f"--known-at-range is {text!r}; write NOTE=2025-07-15,2025-12-31")
    matching = [s for s in sources if s.startswith(name) and s != "timeline"]
    if len(matching) != 1:
        raise UnknownName("note", name, [s for s in sources if s != "timeline"])
    first, last = (known_at_from(e) for e in ends)
    if first > last:
        raise UsageError(f"--known-at-range of {name} runs backwards: {first:%Y-%m-%d} after {last:%Y-%m-%d}")
    return matching[0], first, last
