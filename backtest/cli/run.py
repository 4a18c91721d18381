"""``ashare backtest`` one strategy, ``ashare compare`` several, ``ashare audit`` one for look-ahead."""

from __future__ import annotations

import dataclasses
import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backtest.cli.common import Common, progress_console, say, show_json, show_table
from data_cache.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

    from backtest.execution import Execution
    from strategies import Strategy

__all__ = ["audit", "backtest", "compare", "readable"]


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """What is tested, and with how much.

    Args:
        start: First decision date, e.g. 2023-01-03; default the first stored bar.
        end: Last session; default the last stored bar.
        cash: Yuan to begin with.
        universe: A table of data_cache/universes; default liquid_cooling (sample on a sample store).
        gaps: A session without a bar that no recorded suspension explains: taken as a suspension and counted in
            the caveats, or refused by name (raise), as is a symbol without any bar.
    """

    start: str | None = None
    end: str | None = None
    cash: float = 1_000_000.0
    universe: str | None = None
    gaps: Literal["suspended", "raise"] = "suspended"


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, slots=True)
class Trading:
    """How orders are filled.

    Args:
        price: Fill at the next session's open, close, or VWAP proxy (amount / volume).
        slippage_bps: Basis points against you on every fill, never beyond the day's price limit.
        commission: Fraction of notional; the floor of 5 yuan an order applies.
        volume_cap: Largest share of a session's volume one order may take.
    """

    price: Literal["open", "close", "vwap"] = "open"
    slippage_bps: float = 5.0
    commission: float = 0.00025
    volume_cap: float = 0.1

    def execution(self) -> Execution:
        """The same as the library's ``Execution``."""
        from backtest.execution import Execution

        return Execution(
            price=self.price,
            slippage_bps=self.slippage_bps,
            commission=self.commission,
            volume_cap=self.volume_cap,
        )


def backtest(
    strategy: str,
    *,
    param: Annotated[list[str] | None, Parameter(name=["--param", "-p"], negative="")] = None,
    span: Span = Span(),
    trading: Trading = Trading(),
    engine: Literal["kernel", "vectorbt"] = "kernel",
    verify: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008
) -> int:
    """Run one strategy and print what was kept, paid and refused.

    Example: `ashare backtest asic-drift -p hold=20 --start 2023-01-03 --verify`

    Args:
        strategy: A name from `ashare strategies`.
        param: One parameter as name=value; may be repeated.
        engine: The numba kernel, or the same rules inside vectorbt's own simulation (slow to compile).
        verify: Run both engines and fail when a fill or a cent differs.
    """
    from backtest.result import run
    from data_cache.store import Store
    from strategies import make

    chosen = make(strategy, _pairs(param or []))
    store = Store.open(common.path)
    with _status(common, f"running {strategy}"):
        result = run(
            chosen,
            store,
            start=span.start,
            end=span.end,
            cash=span.cash,
            universe=span.universe,
            gaps=span.gaps,
            execution=trading.execution(),
            engine=engine,
            verify=verify,
        )
    values = result.equity["value"]
    figures = {
        "strategy": strategy,
        "start": result.card.start,
        "end": result.card.end,
        "cash": result.card.cash,
        "final_value": float(values[-1]),
        "total_return": float(values[-1] / values[0] - 1),
        "fills": result.fills.height,
        "costs": float(
            result.fills.select("commission", "stamp_duty", "transfer_fee").sum().sum_horizontal()[0]
        ),
        "slippage": float(result.fills["slippage"].sum()),
        "refused": result.refused,
    }
    if common.json:
        show_json(
            {
                "sample": result.card.sample,
                "summary": figures,
                "fills": result.fills,
                "rejections": result.rejections,
                "equity": result.equity,
                "verified": verify,
                "card": result.card.as_dict(),
            }
        )
        return 0
    import polars as pl

    title = f"{'SAMPLE ' if result.card.sample else ''}{strategy} {result.card.start} to {result.card.end}"
    show_table(pl.DataFrame([figures]).drop("strategy", "start", "end"), title=title)
    if result.rejections.height:
        show_table(result.refusals, title="orders refused or cut, on how many sessions, shares never traded")
    show_table(result.fills.tail(10).drop("decision_date"), title="last fills")
    for caveat in result.card.caveats:
        say(common, f"[dim]· {caveat}[/]")
    if verify:
        say(common, "verified: the kernel and vectorbt's own simulation agree fill by fill and to the cent")
    return 0


def compare(
    strategies: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    *,
    benchmark: str = "000300.SH",
    out: Path | None = None,
    parquet: Path | None = None,
    known_at_range: Annotated[list[str] | None, Parameter(negative="")] = None,
    span: Span = Span(),
    trading: Trading = Trading(),
    verify: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008
) -> int:
    """Put strategies side by side: a table here, a page with --out, frames with --parquet.

    Example: `ashare compare asic-drift rack-delay-exit buy-and-hold --out report.html`

    Args:
        strategies: Names from `ashare strategies`, with parameters as asic-drift:hold=10,top=3; default all.
        benchmark: A stored index, or none.
        out: Write one self-contained HTML page.
        parquet: Write table, equity, fills, rejections, attribution, events and the like as Parquet into this folder.
        known_at_range: NOTE=FIRST,LAST for a note whose date is only known as a range: shows how the results
            move when it became knowable on the first date, as stored, and on the last, here and on the page. May
            be repeated.
        verify: Check every strategy against vectorbt's own simulation.
    """
    from backtest.comparison import compare as side_by_side
    from data_cache.store import Store

    chosen = _chosen(strategies)
    store = Store.open(common.path)
    with _status(common, "comparing") as status:
        tell = status.update if status is not None else None
        comparison = side_by_side(
            chosen,
            store,
            start=span.start,
            end=span.end,
            benchmark=None if benchmark.lower() == "none" else benchmark,
            cash=span.cash,
            execution=trading.execution(),
            universe=span.universe,
            known_at_range=known_at_range or (),
            verify=verify,
            gaps=span.gaps,
            progress=tell,
        )
        if out is not None:
            if tell:
                tell("drawing the page")
            comparison.to_html(out)
        if parquet is not None:
            comparison.to_parquet(parquet)
    if common.json:
        show_json(comparison.to_dict())
        return 0
    label = "SAMPLE " if comparison.inputs.sample else ""
    title = f"{label}{comparison.inputs.start} to {comparison.inputs.end}, {comparison.inputs.basis} prices"
    show_table(readable(comparison.table), title=title)
    if comparison.known_at_sensitivity.height:
        show_table(
            comparison.known_at_sensitivity, title=f"{label}total return by the date the note became knowable"
        )
    chance = comparison.overfitting
    told = "n/a; it takes two strategies and 21 sessions" if math.isnan(chance) else f"{chance:.0%}"
    say(common, f"chance that the best row is overfitted: {told}")
    for caveat in comparison.caveats:
        say(common, f"[dim]· {caveat}[/]")
    for written in (out, parquet):
        if written is not None:
            say(common, f"written: [bold]{written}[/]")
    return 0


def readable(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of ``Comparison.table`` a terminal has room for, fractions as percent."""
    import polars as pl

    percent = ("total_return", "annual_return", "deflated_sharpe", "max_drawdown")
    plain = ("sharpe", "turnover", "fills", "costs", "slippage", "refused")
    return table.select(
        "strategy",
        pl.col("final_value").round(0).cast(pl.Int64).alias("kept"),
        *((pl.col(name) * 100).round(1).alias(f"{name} %") for name in percent),
        *plain,
    )


def audit(
    strategy: str,
    *,
    param: Annotated[list[str] | None, Parameter(name=["--param", "-p"], negative="")] = None,
    cuts: int = 40,
    span: Span = Span(),
    common: Common = Common(),  # noqa: B008
) -> int:
    """Re-run a strategy on a truncated panel and fail it (exit 5) if an earlier target changes.

    Where no date can be cut that has a target before it, nothing is tested and it fails too (exit 2).

    Args:
        strategy: A name from `ashare strategies`.
        param: One parameter as name=value; may be repeated.
        cuts: How many dates to truncate at, spread evenly: half of them dates with a new book, half others.
    """
    from backtest.audit import audit as look_ahead
    from backtest.result import load
    from data_cache.store import Store
    from strategies import make

    chosen = make(strategy, _pairs(param or []))
    with _status(common, f"auditing {strategy}"):
        inputs = load(
            Store.open(common.path),
            [chosen],
            start=span.start,
            end=span.end,
            universe=span.universe,
            gaps=span.gaps,
        )
        found = look_ahead(chosen, inputs.panel.lazy(), cuts=cuts)
    if common.json:
        show_json(
            {
                "sample": inputs.sample,
                "strategy": strategy,
                "cuts": found.cuts,
                "violations": found.violations,
            }
        )
        return 5 if found.violations.height else 0
    label = "SAMPLE " if inputs.sample else ""
    made, first, last = found.cuts.height, found.cuts.row(0, named=True), found.cuts.row(-1, named=True)
    if found.violations.height:
        title = f"{label}targets that change when the future is cut off ({made:,} cuts)"
        show_table(found.violations, title=title, limit=20)
    else:
        print(
            f"{label}{strategy}: no earlier target changes at any of {made:,} cuts from {first['cut']} to "
            f"{last['cut']}, {found.cuts['emits'].sum():,} of them on dates with a new book; {first['targets']:,} "
            f"targets stood by the first, {last['targets']:,} by the last"
        )
    return 5 if found.violations.height else 0


def _chosen(names: tuple[str, ...]) -> list[Strategy]:
    """``asic-drift:hold=10,top=3`` → a strategy with those parameters; nothing → all, as they come."""
    from strategies import ALL, make

    if not names:
        return [make(name, {}) for name in ALL]
    out = []
    for text in names:
        name, _, tail = text.partition(":")
        out.append(make(name, _pairs(tail.split(",") if tail else [])))
    return out


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"parameter {text!r} has no value; write it as name=value, e.g. hold=20")
        pairs[name.strip()] = value.strip()
    return pairs


def _status(common: Common, text: str) -> AbstractContextManager[Any]:
    """A spinner on a terminal; nothing under --quiet or cron."""
    console = progress_console(common)
    return console.status(text) if console.is_terminal and not common.quiet else nullcontext()
