"""vectorbt keeps the accounts. The only module that imports vectorbt.

``portfolio`` hands the kernel's fills to ``vectorbt.Portfolio`` as order records, in adjusted units, so that its
statistics, trades and plots are of total return. ``simulate_in_vectorbt`` is the other way round: vectorbt's own
simulation asks for each order (``backtest.oracle``), and its records are read back as a ``Simulation``.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest.execution import Execution, Simulation, books, fen, prices
from backtest.oracle import Oracle
from backtest.statistics import SESSIONS_PER_YEAR
from data_cache.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from backtest.market import Market


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what vectorbt 1.2 causes: it is older than the pandas, plotly and numba beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


with _quiet():
    import pandas as pd
    import vectorbt as vbt
    from vectorbt.portfolio import nb
    from vectorbt.portfolio.enums import Direction, log_dt, order_dt

__all__ = ["Account", "portfolio", "simulate_in_vectorbt"]

MICRO = 1_000_000
vbt.settings.returns["year_freq"] = (
    f"{SESSIONS_PER_YEAR} days"  # a row is a session; vectorbt's year has 365 rows
)


class Account(vbt.Portfolio):  # type: ignore[misc]  # vectorbt ships no types
    """A ``vectorbt.Portfolio`` whose statistics and default plot do not warn: its columns share one account.

    Their benchmark is vectorbt's own and no index: the cash in equal parts in every symbol of the universe, each from
    its first bar on, held without a fee. ``Comparison.table`` has the index.
    """

    @property
    def plots_defaults(self) -> dict[str, Any]:
        """vectorbt's, with the subplots that can draw a group."""
        return {**super().plots_defaults, "subplots": ["cum_returns", "underwater", "cash"]}

    def stats(self, *args: Any, **kwargs: Any) -> Any:
        """See ``vectorbt.Portfolio.stats``."""
        with _quiet():
            return super().stats(*args, **kwargs)

    def plots(self, *args: Any, **kwargs: Any) -> Any:
        """See ``vectorbt.Portfolio.plot``."""
        with _quiet():
            return super().plots(*args, **kwargs)

    plot = plots


def portfolio(simulation: Simulation, market: Market | None = None) -> Account:
    """The account as a ``vectorbt.Portfolio``: one group of columns that share the cash.

    Sizes are adjusted units, prices what one unit cost to the fen, ``close`` the adjusted close carried over
    sessions without trading; its final value is the kernel's to the cent.

    Args:
        simulation: total-return accounting.
        market: what it ran on; default its own.

    Raises:
        UsageError: explicit accounting, which pays dividends outside of orders.
    """
    if simulation.rules.accounting != "total_return":
        raise UsageError(
            "vectorbt knows cash only through orders, so dividends paid in cash cannot be shown to it; "
            "use accounting='total_return' for a portfolio"
        )
    market = market or simulation.market
    rows, units = simulation.raw_fills, simulation.units
    order = np.argsort(rows[:, 2], kind="stable")  # by column, then as they traded
    rows, units = rows[order], units[order]
    records = np.empty(len(rows), dtype=order_dt)
    records["id"] = np.arange(len(rows))
    records["col"] = rows[:, 2]
    records["idx"] = rows[:, 1]
    records["size"] = units
    records["price"] = rows[:, 6] / 100 / units  # notional is whole fen, price x size alone is not
    records["fees"] = rows[:, 7:10].sum(axis=1) / 100
    records["side"] = rows[:, 3]
    with _quiet():
        wrapper = _wrapper(market)
        return Account(
            wrapper,
            wrapper.wrap(market.mark, group_by=False),
            records,
            np.empty(0, dtype=log_dt),
            np.array([simulation.cash]),
            cash_sharing=True,
        )


def simulate_in_vectorbt(
    market: Market, targets: pl.DataFrame, *, cash: float = 1_000_000.0, rules: Execution | None = None
) -> Simulation:
    """The same simulation inside ``vectorbt.Portfolio.from_order_func``: a witness, slower by far.

    vectorbt holds the cash and the positions and checks every order against them; ``backtest.oracle`` decides
    the orders in plain Python. Nothing is compiled (``use_numba=False``).

    Args:
        market: as for ``execution.simulate``, and so are the others.
        targets: date, symbol, weight.
        cash: yuan.
        rules: the terms.

    Raises:
        UsageError: as ``execution.simulate``; explicit accounting.
    """
    rules = rules or Execution()
    if rules.accounting != "total_return":
        raise UsageError("engine 'vectorbt' knows no cash dividends; use accounting='total_return'")
    oracle = Oracle(market, books(market, targets), rules, prices(market, rules))
    with _quiet():
        account = vbt.Portfolio.from_order_func(
            _wrapper(market).wrap(market.mark, group_by=False),
            lambda c: _next_order(oracle, c),
            flexible=True,
            init_cash=fen(cash) / 100,
            cash_sharing=True,
            group_by=np.zeros(len(market.symbols), dtype=np.int64),
            post_segment_func_nb=lambda c: oracle.close(c.i, c.last_cash[0], c.last_position),
            use_numba=False,
            freq="D",
        )
        held_cash = account.cash().to_numpy().ravel()
        value = account.value().to_numpy().ravel()
    records = account.order_records[np.argsort(account.order_records["id"], kind="stable")]
    fills = np.array(oracle.fills, dtype=np.int64).reshape(-1, 10)
    # what vectorbt recorded is the truth; the decision and the split of the fees are only the oracle's to know
    fills[:, 1], fills[:, 2], fills[:, 3] = records["idx"], records["col"], records["side"]
    fills[:, 4] = np.round(records["size"] * market.factor[fills[:, 1], fills[:, 2]] * MICRO)
    fills[:, 6] = np.round(records["size"] * records["price"] * 100)
    return Simulation(
        market=market,
        rules=rules,
        cash=fen(cash) / 100,
        raw_fills=fills,
        units=records["size"],
        raw_lost=np.array(oracle.lost, dtype=np.int64).reshape(-1, 8),
        raw_paid=np.empty((0, 6), dtype=np.int64),
        cash_fen=np.round(held_cash * 100).astype(np.int64),
        value=value,
    )


def _next_order(oracle: Oracle, c: Any) -> tuple[int, Any]:
    order = oracle.order(c.i, c.last_cash[0], c.last_position)
    if order is None:
        return -1, nb.order_nothing_nb()
    column, side, units, notional, fees = order
    return column, nb.order_nb(
        size=units if side == 0 else -units,
        price=notional / 100 / units,
        fixed_fees=fees / 100,
        direction=Direction.LongOnly,
        allow_partial=False,
        raise_reject=True,  # vectorbt must find every order affordable as it stands
    )


def _wrapper(market: Market) -> Any:
    return vbt.ArrayWrapper(
        index=pd.DatetimeIndex(market.dates.astype("datetime64[ns]"), name="date"),
        columns=pd.Index(market.symbols, name="symbol"),
        ndim=2,
        freq="D",
        group_by=np.zeros(len(market.symbols), dtype=np.int64),
    )
