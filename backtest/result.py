"""One strategy over one stretch of stored history.

1. ``load``      the inputs every strategy shares: market, panel, universe, snapshot (once per comparison)
2. ``targets``   the strategy's own polars, then checked (``_checked_targets``)
3. ``simulate``  the exchange's rules, in ``backtest.execution``
4. ``Backtest``  fills, rejections, equity, the vectorbt portfolio when asked for, and the run card
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from backtest import card as _card
from data_cache.calendar import as_day
from data_cache.database import reading
from data_cache.errors import AshareError, NoData, UnknownSymbol, UsageError
from data_cache.store import Store
from data_cache.symbols import Symbol
from data_cache.universe import load_universe
from signals.novelty import first_told

if TYPE_CHECKING:
    import vectorbt as vbt

    from backtest.execution import Execution, Simulation
    from backtest.market import Market
    from strategies import Strategy

__all__ = ["Backtest", "Inputs", "load", "run"]

HINDSIGHT = (
    "The universe was chosen with hindsight: these companies are in it because liquid cooling became a theme. "
    "No return on this page is evidence that one would have picked them."
)

_ORDER = ["decision_date", "symbol", "side"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What every strategy of one comparison shares; frames and arrays are read-only by convention.

    ``panel`` starts a warm-up before ``start``; targets are only taken from ``start`` on. ``events`` are all
    stored ones; each strategy reads the kinds it names.
    """

    market: Market
    panel: pl.DataFrame
    universe: pl.DataFrame
    events: pl.DataFrame
    calendar: pl.Series
    snapshot: str
    sample: bool
    basis: str
    universe_name: str
    missing_symbols: tuple[str, ...]
    start: dt.date
    end: dt.date

    def __repr__(self) -> str:
        """One line: the frames and arrays would fill a notebook."""
        return (
            f"Inputs({'SAMPLE, ' if self.sample else ''}universe {self.universe_name}, {self.universe.height} symbols, "
            f"{self.start} to {self.end}, {self.basis}, snapshot {self.snapshot})"
        )


@dataclasses.dataclass(frozen=True, eq=False)  # no slots: ``portfolio`` is cached on the instance
class Backtest:
    """What would have happened, and everything needed to say why."""

    strategy: Strategy
    targets: pl.DataFrame
    simulation: Simulation
    inputs: Inputs
    card: _card.RunCard

    def __repr__(self) -> str:
        """One line: the frames and arrays would fill a notebook."""
        card, value = self.card, self.simulation.value
        return (
            f"Backtest({'SAMPLE, ' if card.sample else ''}{self.strategy!r}, {card.start} to {card.end}, total return "
            f"{value[-1] / value[0] - 1:+.1%}, {self.fills.height} fills, {self.rejections.height} refusals, "
            f"snapshot {card.snapshot})"
        )

    @property
    def fills(self) -> pl.DataFrame:
        """What traded: yuan, shares; see docs/execution.md for the columns."""
        return self.simulation.fills

    @property
    def rejections(self) -> pl.DataFrame:
        """What did not, with the reason and the shares lost, one row a session: ``refusals`` counts orders."""
        return self.simulation.rejections

    @property
    def refusals(self) -> pl.DataFrame:
        """The rejections by reason: reason, side, orders, sessions, lost (shares never traded).

        An order is a symbol and side of one book; tried again it is refused again, on a row of each session. It
        counts once a reason, as do the sessions it met it on; what it lost is what was left of it at its last
        refusal, under that one's reason, and nothing where it was filled afterwards.
        """
        filled = self.fills.group_by(_ORDER).agg(pl.col("date").max().alias("filled_on"))
        last = (pl.col("date") == pl.col("date").max().over(_ORDER)) & (
            pl.col("filled_on").is_null() | (pl.col("filled_on") <= pl.col("date"))
        )
        return (
            self.rejections.join(filled, on=_ORDER, how="left")
            .with_columns(last=last)
            .group_by("reason", "side")
            .agg(
                pl.struct(_ORDER).n_unique().alias("orders"),
                pl.len().alias("sessions"),
                pl.col("lost").filter("last").sum(),
            )
            .sort("orders", "reason", "side", descending=[True, False, False])
        )

    @property
    def refused(self) -> int:
        """Orders refused or cut at least once."""
        return self.rejections.n_unique(_ORDER)

    @property
    def equity(self) -> pl.DataFrame:
        """date, cash, value: the account after each close, yuan."""
        return self.simulation.equity

    @functools.cached_property
    def portfolio(self) -> vbt.Portfolio:
        """The same account as a ``vectorbt.Portfolio``, built from the fills; imports vectorbt when asked.

        The benchmark of its statistics is the universe in equal parts, chosen with hindsight: see ``Account``.
        """
        from backtest.accounts import portfolio

        return portfolio(self.simulation, self.inputs.market)


def run(
    strategy: Strategy | str,
    store: Store,
    *,
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    cash: float = 1_000_000.0,
    execution: Execution | None = None,
    universe: str | None = None,
    engine: str = "kernel",
    verify: bool = False,
    gaps: Literal["suspended", "raise"] = "suspended",
) -> Backtest:
    """Backtest one strategy under the exchange's rules.

    Args:
        strategy: a frozen dataclass with ``targets(panel)``, or a name of ``strategies.ALL``.
        store: an open store.
        start: first decision date, ISO or date; default the first stored bar.
        end: last session, inclusive; default the last stored bar.
        cash: yuan to begin with.
        execution: price, costs and limits of the fills; default next open, 2.5 bp commission, 5 bp slippage.
        universe: name of a table in data_cache/universes; default ``liquid_cooling``, or ``sample`` on a
            sample store.
        engine: ``"kernel"`` (numba) or ``"vectorbt"`` (the same rules inside vectorbt's own simulation).
        verify: run the other engine too and raise when a fill or a cent differs.
        gaps: sessions without a bar that no recorded suspension explains are taken as suspensions and counted
            in the caveats, or, under ``"raise"``, refused by name, as is a symbol without any bar.

    Raises:
        IntegrityError: a gap under ``gaps="raise"``, or a bar no exchange could have printed.
        NoData: the range or the universe has no bars.
        UnknownSymbol: a symbol among the strategy's parameters that has no bars in the universe.
        UsageError: dates reversed, cash not positive, a strategy or targets that break their contract.
    """
    from strategies.catalogue import as_strategy

    chosen = as_strategy(strategy)
    inputs = load(store, [chosen], start=start, end=end, universe=universe, gaps=gaps)
    return run_on(chosen, inputs, cash=cash, execution=execution, engine=engine, verify=verify)


def load(
    store: Store,
    strategies: Sequence[Strategy],
    *,
    start: str | dt.date | None = None,
    end: str | dt.date | None = None,
    universe: str | None = None,
    events: pl.DataFrame | None = None,
    gaps: Literal["suspended", "raise"] = "suspended",
) -> Inputs:
    """Read once what all ``strategies`` need: one market, one panel with the union of their event kinds.

    ``events`` stands in for the stored ones (``backtest.sensitivity`` moves their dates); of either the first telling
    counts (``signals.novelty``).
    """
    from backtest import market as _market
    from strategies import build_panel

    if not isinstance(store, Store):
        raise UsageError(f"store is {store!r}; needs an open one, e.g. Store.open('ashare.duckdb')")
    # one connection: it is one state of the store that is read, and opening a file a dozen times takes longer
    with reading(store.path):
        name = universe or ("sample" if store.is_sample else "liquid_cooling")
        table = load_universe(name)
        stored = set(store.symbols())
        held = [s for s in table["symbol"] if s in stored]
        if not held:
            raise NoData(
                f"the store {store.path} has bars of none of the {table.height} symbols of universe {name!r}; "
                "fill it with `ashare refresh` or `ashare import FILE`"
            )
        missing = tuple(s for s in table["symbol"] if s not in stored)
        if missing and gaps == "raise":
            raise NoData(
                f"the store has no bars of {missing[0]} ({len(missing)} such symbols of universe {name!r}); "
                "import them, or leave them out with gaps 'suspended'"
            )
        _require_held(strategies, held, name)
        bars = store.bars(held)
        days = bars["date"].sort()
        first, last = days[0], days[-1]
        begin = first if start is None else as_day("start", start)
        stop = last if end is None else as_day("end", end)
        if start is not None and end is not None and begin > stop:
            raise UsageError(f"start {begin} is after end {stop}; give them in order")
        if begin > last or stop < first:
            asked = [f"from {begin}"] * (start is not None) + [f"to {stop}"] * (end is not None)
            raise NoData(f"no bars {' '.join(asked)}; universe {name!r} is stored from {first} to {last}")
        begin, stop = max(begin, first), min(stop, last)
        kinds = sorted({kind for s in strategies for kind in s.kinds})
        known = first_told(store.events() if events is None else events)
        return Inputs(
            market=_market.load(store, held, begin, stop, gaps=gaps, bars=bars),
            panel=build_panel(
                store,
                start=begin,
                end=stop,
                kinds=kinds,
                universe=name,
                symbols=held,
                events=known,
                bars=bars,
            ).collect(),
            universe=table.filter(pl.col("symbol").is_in(held)),
            events=known,
            calendar=store.calendar(),
            snapshot=store.snapshot_id(),
            sample=store.is_sample,
            basis=bars["basis"][0],
            universe_name=name,
            missing_symbols=missing,
            start=begin,
            end=stop,
        )


def _require_held(strategies: Sequence[Strategy], held: Sequence[str], universe: str) -> None:
    """A symbol among a strategy's parameters is one it can trade: else it runs as if it were not named."""
    for strategy in strategies:
        for field, value in _card.parameters(strategy).items():
            if isinstance(value, Symbol) and value not in held:
                raise UnknownSymbol(
                    f"{type(strategy).__name__}: {field} is {value}, not among the {len(held)} companies of universe "
                    f"{universe!r} with bars; give one that is, e.g. {held[0]}"
                )


def run_on(
    strategy: Strategy,
    inputs: Inputs,
    *,
    cash: float = 1_000_000.0,
    execution: Execution | None = None,
    engine: str = "kernel",
    verify: bool = False,
) -> Backtest:
    """``run`` on inputs already loaded."""
    from backtest.execution import DEFAULT, Execution

    if engine not in ("kernel", "vectorbt"):
        raise UsageError(f"engine is {engine!r}; needs 'kernel' or 'vectorbt'")
    rules = DEFAULT if execution is None else execution
    if not isinstance(rules, Execution):
        raise UsageError(f"execution is {rules!r}; needs an Execution, e.g. Execution(price='close')")
    targets = _checked_targets(strategy, inputs)
    simulation = _engine(engine)(inputs.market, targets, cash=cash, rules=rules)
    if verify:
        other = "vectorbt" if engine == "kernel" else "kernel"
        _same(simulation, _engine(other)(inputs.market, targets, cash=cash, rules=rules), strategy)
    card = _card.RunCard(
        strategy=type(strategy).__name__,
        parameters=_card.parameters(strategy),
        snapshot=inputs.snapshot,
        sample=inputs.sample,
        basis=inputs.basis,
        universe=inputs.universe_name,
        universe_hash=_card.frame_hash(inputs.universe),
        symbols=tuple(inputs.universe["symbol"]),
        missing_symbols=inputs.missing_symbols,
        start=inputs.start,
        end=inputs.end,
        cash=cash,
        execution=dataclasses.asdict(rules),
        engine=engine,
        rules_hash=_card.rules_hash(),
        code_hash=_card.code_hash(),
        version=_card.version(),
        libraries=_card.library_versions(),
        caveats=_caveats(inputs, simulation),
    )
    return Backtest(strategy=strategy, targets=targets, simulation=simulation, inputs=inputs, card=card)


def _engine(name: str) -> Any:
    if name == "vectorbt":
        from backtest.accounts import simulate_in_vectorbt

        return simulate_in_vectorbt
    from backtest.execution import simulate

    return simulate


def _checked_targets(strategy: Strategy, inputs: Inputs) -> pl.DataFrame:
    """The strategy's book from ``start`` on; a strategy that returns another shape is told which."""
    name = type(strategy).__name__
    try:
        frame = strategy.targets(inputs.panel.lazy())
        if not isinstance(frame, pl.LazyFrame):
            raise UsageError(f"{name}.targets returned {type(frame).__name__}; needs a polars LazyFrame")
        got = frame.collect()
    except pl.exceptions.ColumnNotFoundError as error:
        # the first name in the message is the one that is missing
        absent = re.search(r"\b(score|new)_(\w+)", str(error))
        if absent is None or absent[0] in inputs.panel.columns:
            raise
        kinds = (*strategy.kinds, absent[2])
        raise UsageError(f"{name} reads {absent[0]} without declaring it; write kinds = {kinds}") from error
    if missing := {"date", "symbol", "weight"} - set(got.columns):
        raise UsageError(f"{name}.targets lacks the columns {sorted(missing)}")
    date, symbol, weight = (got.schema[column] for column in ("date", "symbol", "weight"))
    for column, dtype, fits, need in (
        ("date", date, date in (pl.Date, pl.Datetime), "Date"),
        ("symbol", symbol, symbol in (pl.String, pl.Categorical, pl.Enum), "String"),
        ("weight", weight, weight.is_numeric() or weight == pl.Boolean, "Float64"),
    ):
        if not fits and dtype != pl.Null:
            raise UsageError(f"{name}.targets gives {column} as {dtype}; needs {need}")
    return (
        got.select("date", "symbol", pl.col("weight").cast(pl.Float64))
        .filter(
            pl.col("date").is_null() | pl.col("date").is_between(inputs.start, inputs.end)
        )  # null is refused
        .sort("date", "symbol")
    )


def _caveats(inputs: Inputs, simulation: Simulation) -> tuple[str, ...]:
    notes = []
    if inputs.sample:
        notes.append("SAMPLE: a synthetic market and invented notes. Nothing here happened.")
    notes.append(HINDSIGHT)
    if inputs.basis != "raw":
        notes.append(
            f"Prices are {inputs.basis} (adjusted) alone: limit prices are computed from adjusted closes without "
            "the exchange's tick, and lots are counted in adjusted shares, so fills are close to but not exactly "
            "the exchange's."
        )
    if inputs.missing_symbols:
        notes.append(f"Not in the store, so not in the test: {', '.join(inputs.missing_symbols)}.")
    notes.extend(inputs.market.caveats)
    notes.extend(simulation.caveats)
    notes.extend(_doubts(simulation))
    return tuple(notes)


def _doubts(simulation: Simulation) -> list[str]:
    """One sentence on the fills and refusals that rest on a doubtful rule or ex-reference, if there are any."""
    doubtful = simulation.doubtful
    if doubtful.is_empty():
        return []
    orders = doubtful.unique(["date", "symbol", "side", "outcome"])["outcome"]
    n_fills, n_refusals = (orders == "fill").sum(), (orders == "rejection").sum()
    whats = [f"{n:,} for the {what}" for what, n in doubtful.group_by("what").len().sort("what").rows()]
    first = doubtful.row(0, named=True)
    return [
        f"{n_fills:,} of {simulation.fills.height:,} fills and {n_refusals:,} of {simulation.rejections.height:,} "
        f"refusals rest on rows of the rule book that are marked doubtful, or on an ex-date of which dividend and "
        f"factor differ ({', '.join(whats)}); the first: {first['symbol']} on {first['date']}. docs/rules.md says "
        "which rows."
    ]


def _same(a: Simulation, b: Simulation, strategy: Strategy) -> None:
    """The two engines must agree fill by fill and to the cent."""
    left, right = a.fills, b.fills
    if left.height != right.height:
        raise AshareError(
            f"{type(strategy).__name__}: the engines disagree, {left.height} fills against {right.height}"
        )
    key = ["date", "symbol", "side"]
    joined = left.join(right, on=key, how="full", suffix="_other")
    money = dict.fromkeys(("notional", "commission", "stamp_duty", "transfer_fee"), 0.005)
    wrong = joined.filter(
        pl.any_horizontal(
            ((pl.col(name) - pl.col(f"{name}_other")).abs() > most).fill_null(value=True)
            for name, most in {"shares": 5e-7, "price": 5e-7, **money}.items()
        )
    )
    last = abs(float(a.equity["value"][-1]) - float(b.equity["value"][-1]))
    if wrong.height or last > 0.005:
        example = wrong.head(1).to_dicts()
        raise AshareError(
            f"{type(strategy).__name__}: the engines disagree on {wrong.height} fills, final value by {last:.4f} "
            f"yuan; first: {example}"
        )
    order = ["date", "symbol", "side", "reason"]
    if not a.rejections.sort(order).equals(b.rejections.sort(order)):
        raise AshareError(
            f"{type(strategy).__name__}: the engines refuse other orders, {a.rejections.height} against "
            f"{b.rejections.height} refusals"
        )
