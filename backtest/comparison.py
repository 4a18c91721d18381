"""Strategies side by side over one stretch of one snapshot, with the honest figures beside the flattering ones.

Every strategy gets the same market, panel, cash and execution. The table says what was kept after costs; the
deflated Sharpe ratio and the probability of overfitting say how much of the best row may be luck among the
strategies tried.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from backtest import statistics as st
from backtest.attribution import attribute, events_behind, quotes
from backtest.result import Backtest, Inputs, load, run_on
from backtest.whole import unwritable, write_whole
from data_cache.errors import NoData, UnknownSymbol, UsageError
from signals.scoring import contributions

if TYPE_CHECKING:
    from backtest.execution import Execution
    from data_cache.store import Store
    from strategies import Strategy

__all__ = ["Comparison", "compare"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The answer, as frames; ``to_html`` is the page a person reads.

    Attributes:
        results: label → backtest, in the order asked for.
        table: one row a strategy, and the benchmark last; see ``_row`` for the columns and units.
        benchmark: date, close (index points) and value (as if the cash had followed the index) on the sessions from
            its first bar to its last; empty if none.
        attribution: label → fills with the events behind them.
        events: the events behind any fill, with their quotes.
        overfitting: probability that the best strategy here is overfitted (CSCV); NaN with one strategy.
        known_at_sensitivity: the returns with notes knowable at either end of a range; see
            ``sensitivity.known_at_sensitivity``; empty where none was asked for.
    """

    results: dict[str, Backtest]
    inputs: Inputs
    table: pl.DataFrame
    benchmark_symbol: str | None
    benchmark: pl.DataFrame
    attribution: dict[str, pl.DataFrame]
    events: pl.DataFrame
    overfitting: float
    known_at_sensitivity: pl.DataFrame
    created_at: dt.datetime

    def __repr__(self) -> str:
        """One line: the frames and arrays would fill a notebook."""
        told = self.table.select("strategy", "total_return").iter_rows()
        label = "SAMPLE, " if self.inputs.sample else ""
        returns = ", ".join(f"{name} {total:+.1%}" for name, total in told)
        span = f"{self.inputs.start} to {self.inputs.end}"
        return f"Comparison({label}{span}, total returns: {returns}; snapshot {self.inputs.snapshot})"

    @property
    def caveats(self) -> tuple[str, ...]:
        """The cards' sentences, each once, and the benchmark's own.

        One that is not on every card begins with the labels it is of.
        """
        owners: dict[str, list[str]] = {}
        for name, result in self.results.items():
            for caveat in result.card.caveats:
                owners.setdefault(caveat, []).append(name)
        told = [
            caveat if len(names) == len(self.results) else f"{', '.join(names)}: {caveat}"
            for caveat, names in owners.items()
        ]
        days, whole = self.benchmark["date"], self.inputs.market.dates
        if len(days) and not _covers(self.benchmark, len(whole)):
            told.append(
                f"{self.benchmark_symbol} has bars from {days[0]} to {days[-1]} alone, the strategies run from "
                f"{whole[0]} to {whole[-1]}: its figures are of its own sessions, and no return over it is told."
            )
        return tuple(told)

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page, readable without a network; returns its path.

        Raises:
            StorageError: its folder is missing, or the place cannot be written; an earlier page stays.
        """
        from backtest.report.page import render

        page = Path(path)
        write_whole({page: render(self).encode()})
        return page

    def to_parquet(self, folder: str | Path) -> Path:
        """Write ``frames``, each as a Parquet file of its name; returns the folder.

        Raises:
            StorageError: the folder cannot be made or written; files of an earlier comparison stay.
        """
        target = Path(folder)
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(target, error) from error
        write_whole({target / f"{name}.parquet": _parquet(frame) for name, frame in self.frames().items()})
        return target

    def frames(self) -> dict[str, pl.DataFrame]:
        """Every frame of the comparison by name, strategies stacked under a ``strategy`` column."""
        return {
            "table": self.table,
            "benchmark": self.benchmark,
            "equity": self._stacked(lambda r: r.equity),
            "fills": self._stacked(lambda r: r.fills),
            "rejections": self._stacked(lambda r: r.rejections),
            "attribution": pl.concat([_labelled(k, f) for k, f in self.attribution.items()]),
            "events": self.events,
            "known_at_sensitivity": self.known_at_sensitivity,
        }

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain values: table, caveats, cards, refusals by reason, the events behind trades."""
        return {
            "sample": self.inputs.sample,
            "start": self.inputs.start,
            "end": self.inputs.end,
            "benchmark": self.benchmark_symbol,
            "basis": self.inputs.basis,
            "snapshot": self.inputs.snapshot,
            "table": self.table,
            "overfitting": self.overfitting,
            "caveats": list(self.caveats),
            "known_at_sensitivity": self.known_at_sensitivity,
            "rejections": {label: result.refusals for label, result in self.results.items()},
            "events": self.events,
            "cards": {label: result.card.as_dict() for label, result in self.results.items()},
        }

    def _stacked(self, pick: Callable[[Backtest], pl.DataFrame]) -> pl.DataFrame:
        return pl.concat([_labelled(label, pick(result)) for label, result in self.results.items()])


def compare(
    strategies: Sequence[Strategy | str] | Strategy | str,
    store: Store,
    *,
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    benchmark: str | None = "000300.SH",
    cash: float = 1_000_000.0,
    execution: Execution | None = None,
    universe: str | None = None,
    known_at_range: str | Sequence[str] = (),
    verify: bool = False,
    gaps: Literal["suspended", "raise"] = "suspended",
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Backtest each strategy on the same inputs and put them side by side.

    Args:
        strategies: one at least, each as ``run`` takes it; two of one class are told apart by their parameters.
        store: an open store.
        start: first decision date; default the first stored bar of the universe.
        end: last session; default the last stored bar.
        benchmark: an index in the store, or None.
        cash: yuan each strategy begins with.
        execution: the same for all.
        universe: see ``backtest.run``.
        known_at_range: ``NOTE=FIRST,LAST`` for each note whose date is only known as a range; every strategy runs
            again with it knowable at either end.
        verify: check every strategy against vectorbt's own simulation.
        gaps: see ``backtest.run``.
        progress: told, in a few words, what is being done.

    Raises:
        UsageError: no strategy given, or a range that cannot be read; else as ``run``.
        NoData: nothing stored in the range, or the benchmark is not stored.
        UnknownName: a range of a note that is not stored.
    """
    from backtest.sensitivity import SCHEMA, known_at_sensitivity
    from strategies.catalogue import as_strategy

    if isinstance(known_at_range, str):
        known_at_range = [known_at_range]

    alone = isinstance(strategies, str) or not isinstance(strategies, Iterable)
    asked: Any = [strategies] if alone else strategies
    chosen = [as_strategy(each) for each in asked]
    if not chosen:
        raise UsageError("no strategy given; `ashare strategies` lists them")
    tell = progress or (lambda _: None)
    tell("reading prices and events")
    inputs = load(store, chosen, start=start, end=end, universe=universe, gaps=gaps)
    labels = label(chosen)
    results: dict[str, Backtest] = {}
    for name, strategy in zip(labels, chosen, strict=True):
        tell(f"running {name}")
        results[name] = run_on(strategy, inputs, cash=cash, execution=execution, verify=verify)
    tell("tracing trades to events")
    index = _benchmark(store, benchmark, inputs, cash)
    pushes = contributions(
        inputs.events, inputs.calendar, inputs.universe, start=inputs.start, end=inputs.end
    )
    traced = {name: attribute(result, pushes) for name, result in results.items()}
    behind = events_behind(traced.items(), inputs.events)
    behind = behind.join(quotes(behind, store.notes()), on="event_id", how="left", maintain_order="left")
    moved = pl.DataFrame(schema=SCHEMA)
    if known_at_range:
        moved = known_at_sensitivity(
            chosen, store, known_at_range, cash=cash, execution=execution, progress=progress,
            start=start, end=end, universe=universe,
        )  # fmt: skip
    daily = [st.returns(r.equity["value"].to_numpy()) for r in results.values()]
    rows = [_row(name, result, daily, index) for name, result in results.items()]
    if benchmark is not None:
        rows.append(_index_row(benchmark, index))
    return Comparison(
        results=results,
        inputs=inputs,
        table=pl.DataFrame(rows, infer_schema_length=None),
        benchmark_symbol=benchmark,
        benchmark=index,
        attribution=traced,
        events=behind,
        overfitting=st.probability_of_overfitting(daily),
        known_at_sensitivity=moved,
        created_at=dt.datetime.now(dt.UTC),
    )


def label(strategies: Sequence[Strategy]) -> list[str]:
    """A name for each: its command-line name, with the parameters that differ where a class comes twice.

    >>> from strategies import Momentum
    >>> label([Momentum(), Momentum(top=3)])
    ['momentum', 'momentum(top=3)']
    """
    from strategies import ALL

    names = {cls: name for name, cls in ALL.items()}
    out = []
    for strategy in strategies:
        name = names.get(type(strategy), type(strategy).__name__)
        changed = [
            f"{f.name}={getattr(strategy, f.name)}"
            for f in dataclasses.fields(strategy)  # type: ignore[arg-type]
            if f.default is not dataclasses.MISSING and getattr(strategy, f.name) != f.default
        ]
        out.append(f"{name}({', '.join(changed)})" if changed else name)
    for i, name in enumerate(out):
        if (seen := out[:i].count(name)) > 0:
            out[i] = f"{name} #{seen + 1}"
    return out


def _row(name: str, result: Backtest, trials: list[Any], index: pl.DataFrame) -> dict[str, Any]:
    """One strategy's figures: returns and shares are fractions, money is yuan.

    ``costs`` is the fees, paid on top; ``slippage`` is inside the prices. ``refused`` counts orders. ``excess_return``
    is null where the index is not there from the first session to the last.
    """
    values = result.equity["value"].to_numpy()
    r = st.returns(values)
    fills = result.fills
    costs = {c: float(fills[c].sum()) for c in ("commission", "stamp_duty", "transfer_fee")}
    years = max(len(values) - 1, 1) / st.SESSIONS_PER_YEAR
    traded = float(fills["notional"].sum())
    total = float(values[-1] / values[0] - 1)
    covered = _covers(index, len(values))
    market_total = float(index["value"][-1] / index["value"][0] - 1) if covered else None
    return {
        "strategy": name,
        "final_value": float(values[-1]),
        "total_return": total,
        "annual_return": st.annual_return(values),
        "volatility": st.annual_volatility(r),
        "sharpe": st.sharpe(r),
        "deflated_sharpe": st.deflated_sharpe(r, trials),
        "max_drawdown": st.max_drawdown(values),
        "excess_return": total - market_total if market_total is not None else None,
        "invested": float((1 - result.equity["cash"] / result.equity["value"]).mean() or 0.0),  # type: ignore[arg-type]
        "turnover": traded / 2 / float(values.mean()) / years,
        "fills": fills.height,
        "costs": sum(costs.values()),
        **costs,
        "slippage": float(fills["slippage"].sum()),
        "refused": result.refused,
    }


def _index_row(symbol: str, index: pl.DataFrame) -> dict[str, Any]:
    values = index["value"].to_numpy()
    r = st.returns(values)
    return {
        "strategy": symbol,
        "final_value": float(values[-1]),
        "total_return": float(values[-1] / values[0] - 1),
        "annual_return": st.annual_return(values),
        "volatility": st.annual_volatility(r),
        "sharpe": st.sharpe(r),
        "max_drawdown": st.max_drawdown(values),
    }


def _benchmark(store: Store, symbol: str | None, inputs: Inputs, cash: float) -> pl.DataFrame:
    """The index on the same sessions from its first bar to its last, scaled to the same cash; gaps are carried over."""
    if symbol is None:
        return pl.DataFrame(schema={"date": pl.Date, "close": pl.Float64, "value": pl.Float64})
    without = "or compare without one: --benchmark none, in Python benchmark=None"
    try:
        bars = store.index_bars([symbol], start=inputs.start, end=inputs.end)
    except UnknownSymbol as error:
        raise NoData(f"benchmark {symbol}: {error}; {without}") from error
    if bars.is_empty():
        raise NoData(
            f"benchmark {symbol} has no bars between {inputs.start} and {inputs.end}; import or refresh it, {without}"
        )
    sessions = inputs.calendar.filter(inputs.calendar.is_between(inputs.start, inputs.end)).to_frame("date")
    return (
        sessions.join(bars.select("date", "close"), on="date", how="left")
        .sort("date")
        .with_columns(pl.col("close").forward_fill())
        .drop_nulls("close")  # sessions before the index's own first bar
        .filter(pl.col("date") <= bars["date"].max())
        .with_columns((pl.col("close") / pl.col("close").first() * cash).alias("value"))
    )


def _covers(index: pl.DataFrame, sessions: int) -> bool:
    """Whether the index spans all the sessions of the strategies; not so if there is none."""
    return index.height == sessions


def _labelled(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.lit(name).alias("strategy"), pl.all())


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
