"""Targets to fills: the terms of trading, the checks before anything runs, and the result.

1. ``Execution``: the price, the costs and the limits, as a frozen value.
2. ``_books``: target weights become integer rows; the first that breaks its contract is named.
3. ``kernel.simulate``: the sessions.
4. ``Simulation``: what came out, as frames.

docs/execution.md says what an order meets, rule by rule.
"""

from __future__ import annotations

import functools
import math
import numbers
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from backtest.market import TOLERANCE, Market
from data_cache.errors import UsageError
from strategies.book import require

__all__ = ["DEFAULT", "Execution", "Simulation", "simulate"]

Array = np.ndarray[Any, np.dtype[Any]]

MICRO = 1_000_000
MOST_CASH = 1e10  # yuan; beyond it a fee could overflow 64 bits


@dataclass(frozen=True, slots=True)
class Execution:
    """How orders trade and what they cost.

    Args:
        price: the moment of the session that fills: ``open``, ``close``, or ``vwap`` (amount / volume; for bars
            without an amount or adjusted ones (high + low + close) / 3).
        commission: all-in broker rate, fraction of notional, at most the legal 0.003.
        commission_floor: yuan an order.
        slippage_bps: basis points against every order; never beyond the day's limit price.
        impact: fraction of the price an order as large as the day's volume would move it; an order of share s
            moves it by impact x sqrt(s). 0 is none.
        volume_cap: share of the session's volume one order may take.
        buy_retry: sessions a buy that was refused or cut is tried again; 0 cancels it.
        accounting: ``total_return`` reinvests dividends through the factor; ``explicit`` pays them in cash, less
            the tax of the holding period, and gives new shares whole.
    """

    price: Literal["open", "close", "vwap"] = "open"
    commission: float = 0.00025
    commission_floor: float = 5.0
    slippage_bps: float = 0.0
    impact: float = 0.0
    volume_cap: float = 0.1
    buy_retry: int = 0
    accounting: Literal["total_return", "explicit"] = "total_return"

    def __post_init__(self) -> None:
        require(
            self,
            commission=(0, 0.003),
            commission_floor=(0, 1000),
            slippage_bps=(0, 1000),
            impact=(0, 10),
            volume_cap=(1e-6, 1),
            buy_retry=(0, 10_000),
        )


DEFAULT = Execution(slippage_bps=5.0)
"""What ``run`` and ``compare`` assume unless told otherwise: next open, 2.5 bp commission, 5 bp slippage."""


@dataclass(frozen=True, eq=False)  # no slots: frames are built once, when asked for
class Simulation:
    """What traded, what did not, and what the account was worth.

    Args:
        market: what it ran on.
        rules: the terms.
        cash: yuan to begin with.
        raw_fills: int64 rows of ``records.FILL``.
        units: adjusted units of each fill (shares / factor of its date).
        raw_lost: int64 rows of ``records.LOST``.
        raw_paid: int64 rows of ``records.PAID``.
        cash_fen: (T,) after each close.
        value: (T,) yuan after each close.
        caveats: what explicit accounting left out, in a sentence.
    """

    market: Market
    rules: Execution
    cash: float
    raw_fills: Array
    units: Array
    raw_lost: Array
    raw_paid: Array
    cash_fen: Array
    value: Array
    caveats: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: the arrays would fill a notebook."""
        return (
            f"Simulation({self.market!r}, {len(self.raw_fills)} fills, {len(self.raw_lost)} refusals, "
            f"value {self.value[-1]:,.2f})"
        )

    @functools.cached_property
    def fills(self) -> pl.DataFrame:
        """decision_date, date, symbol, side, shares, price, notional, commission, stamp_duty, transfer_fee, slippage.

        In the order they traded; shares as traded, price in yuan with the slippage in it, money in yuan to the
        fen. ``slippage`` is what slippage and impact moved the notional against the order: it is inside the
        notional, the three fees come on top of it.
        """
        rows = self.raw_fills
        return pl.DataFrame(
            {
                **self._keys(rows, 0, 1, 2),
                "side": _sides(rows[:, 3]),
                "shares": rows[:, 4] / MICRO,
                "price": rows[:, 5] / MICRO,
                "notional": rows[:, 6] / 100,
                "commission": rows[:, 7] / 100,
                "stamp_duty": rows[:, 8] / 100,
                "transfer_fee": rows[:, 9] / 100,
                "slippage": self._slippage() / 100,
            }
        )

    def _slippage(self) -> Array:
        """Fen of each fill: its notional against that of the price before slippage and impact, as the kernel rounds."""
        rows, shares = self.raw_fills, self.raw_fills[:, 4]
        base = np.floor(prices(self.market, self.rules)[0][rows[:, 1], rows[:, 2]] * MICRO + 0.5).astype(
            np.int64
        )
        whole, part = shares // MICRO, shares % MICRO
        unmoved = (whole * base + part * base // MICRO + 5_000) // 10_000
        return np.where(rows[:, 3] == 0, rows[:, 6] - unmoved, unmoved - rows[:, 6])

    @functools.cached_property
    def rejections(self) -> pl.DataFrame:
        """decision_date, date, symbol, side, wanted, filled, lost (shares), reason.

        One row a session and reason; an order tried again next session may be refused again. ``wanted`` and
        ``lost`` are null where the order could not be sized: no price was known on the decision date.
        """
        from backtest.records import REASONS

        rows = self.raw_lost
        unsized = pl.Series(rows[:, 4] < 0)
        return pl.DataFrame(
            {
                **self._keys(rows, 0, 1, 2),
                "side": _sides(rows[:, 3]),
                "wanted": pl.Series(rows[:, 4] / MICRO).set(unsized, None),
                "filled": rows[:, 5] / MICRO,
                "lost": pl.Series(rows[:, 6] / MICRO).set(unsized, None),
                "reason": pl.Series(REASONS, dtype=pl.String).gather(rows[:, 7]),
            }
        )

    @functools.cached_property
    def equity(self) -> pl.DataFrame:
        """date, cash, value: yuan after each close."""
        return pl.DataFrame({"date": self.market.dates, "cash": self.cash_fen / 100, "value": self.value})

    @functools.cached_property
    def dividends(self) -> pl.DataFrame:
        """date, symbol, shares, cash, new_shares, tax: what explicit accounting paid, and the tax withheld at sales."""
        rows = self.raw_paid
        keys = self._keys(rows, 0, 0, 1)
        return pl.DataFrame(
            {
                "date": keys["date"],
                "symbol": keys["symbol"],
                "shares": rows[:, 2],
                "cash": rows[:, 3] / 100,
                "new_shares": rows[:, 4],
                "tax": rows[:, 5] / 100,
            }
        )

    @functools.cached_property
    def doubtful(self) -> pl.DataFrame:
        """date, symbol, side, outcome, what: fills and refusals that rest on a marked row of the rule book.

        ``outcome`` is ``fill`` or ``rejection``; ``what`` is the ``limit`` the order met, the ``lot`` it was
        rounded to or the ``fee`` it paid; one row each. Of a refusal only what refused it counts.
        """
        from backtest.records import REASONS

        limit = np.isin(REASONS, ("limit_up", "limit_down"))
        lot, fee = (np.array([reason == name for reason in REASONS]) for name in ("lot", "cash"))
        fills, lost = self.raw_fills, self.raw_lost
        everything = np.ones(len(fills), dtype=bool)
        reason = lost[:, 7]
        frames = [
            self._doubted("fill", fills, everything, everything, everything),
            self._doubted("rejection", lost, limit[reason], lot[reason], fee[reason]),
        ]
        return pl.concat(frames).sort("date", "symbol", "side", "outcome", "what")

    def _doubted(self, outcome: str, rows: Array, *rests_on: Array) -> pl.DataFrame:
        """The rows whose limit, lot or fee is in doubt, among those that rest on it."""
        market, at, column = self.market, rows[:, 1], rows[:, 2]
        of_rates = market.doubtful_rates[at, market.group[column]]
        marked = (market.doubtful[at, column], of_rates[:, 0], of_rates[:, 1])
        frames = []
        for what, doubt, rests in zip(("limit", "lot", "fee"), marked, rests_on, strict=True):
            some = rows[doubt & rests]
            keys = self._keys(some, 0, 1, 2)
            told = {"date": keys["date"], "symbol": keys["symbol"], "side": _sides(some[:, 3])}
            frames.append(pl.DataFrame(told).with_columns(outcome=pl.lit(outcome), what=pl.lit(what)))
        return pl.concat(frames)

    @functools.cached_property
    def positions(self) -> pl.DataFrame:
        """date, symbol, shares, value: what was held after each close, in shares as traded and yuan."""
        market, explicit = self.market, self.rules.accounting == "explicit"
        n_sessions = market.shape[0]
        changes = np.zeros((n_sessions, market.shape[1]))
        rows = self.raw_fills
        signed = np.where(rows[:, 3] == 0, 1.0, -1.0) * (rows[:, 4] / MICRO if explicit else self.units)
        np.add.at(changes, (rows[:, 1], rows[:, 2]), signed)
        np.add.at(changes, (self.raw_paid[:, 0], self.raw_paid[:, 1]), self.raw_paid[:, 4])
        held = np.cumsum(changes, axis=0)
        shares = held if explicit else held * market.factor
        at, column = np.nonzero(shares > 0.5 / MICRO)
        shares = shares[at, column]
        return pl.DataFrame(
            {
                "date": market.dates[at],
                "symbol": _names(market, column),
                "shares": np.round(shares, 6),
                "value": shares / market.factor[at, column] * market.mark[at, column],
            }
        )

    def _keys(self, rows: Array, decision: int, date: int, column: int) -> dict[str, Any]:
        dates = self.market.dates
        return {
            "decision_date": dates[rows[:, decision]],
            "date": dates[rows[:, date]],
            "symbol": _names(self.market, rows[:, column]),
        }


def _names(market: Market, columns: Array) -> pl.Series:
    return pl.Series(market.symbols, dtype=pl.String).gather(columns)


def _sides(codes: Array) -> pl.Series:
    return pl.Series(["buy", "sell"], dtype=pl.String).gather(codes)


def simulate(
    market: Market, targets: pl.DataFrame, *, cash: float = 1_000_000.0, rules: Execution | None = None
) -> Simulation:
    """Trade a strategy's target weights under the exchange's rules.

    Args:
        market: where it trades.
        targets: date, symbol, weight; the rows of a date are the whole book wanted after that close, to be
            traded from the next session on. Any order.
        cash: yuan to begin with, to the fen.
        rules: the terms; default ``Execution()``.

    Raises:
        UsageError: a target row that breaks its contract, named; cash that is not positive; explicit accounting
            of prices that are not as traded.
        NoData: explicit accounting of a market with ex-dates and without a corporate action.
    """
    from backtest import kernel

    rules = rules or Execution()
    dates, columns, weights = books(market, targets)
    base, buy_probe, sell_probe = prices(market, rules)
    actions, one_month, one_year, left_out = corporate_actions(market, rules)
    fills, units, lost, paid, cash_fen, value = kernel.simulate(
        base=base,
        buy_probe=buy_probe,
        sell_probe=sell_probe,
        volume=market.volume,
        factor=market.factor,
        mark=market.mark,
        limit_up=market.limit_up,
        limit_down=market.limit_down,
        tolerance=TOLERANCE[market.basis],
        listed=market.listed,
        delisted=market.delisted,
        board=market.group,
        rates=market.rates,
        book_date=dates,
        book_column=columns,
        book_weight=weights,
        cash=fen(cash),
        terms=terms(rules),
        impact=rules.impact,
        volume_cap=round(rules.volume_cap * MICRO),
        buy_retry=rules.buy_retry,
        explicit=rules.accounting == "explicit",
        actions=actions,
        one_month=one_month,
        one_year=one_year,
    )
    return Simulation(
        market=market,
        rules=rules,
        cash=fen(cash) / 100,
        raw_fills=fills,
        units=units,
        raw_lost=lost,
        raw_paid=paid,
        cash_fen=cash_fen,
        value=value,
        caveats=left_out,
    )


def fen(cash: float) -> int:
    """Yuan to whole fen."""
    if not isinstance(cash, numbers.Real) or not 0 < cash <= MOST_CASH:
        raise UsageError(f"cash is {cash!r}; needs a positive number of yuan up to {MOST_CASH:,.0f}")
    return math.floor(cash * 100 + 0.5)


def terms(rules: Execution) -> tuple[int, int, int]:
    """Commission (1e-8), its floor (fen) and slippage (1e-6) as the kernel counts them."""
    return round(rules.commission * 1e8), round(rules.commission_floor * 100), round(rules.slippage_bps * 100)


def prices(market: Market, rules: Execution) -> tuple[Array, Array, Array]:
    """The price that fills, and the two that tell whether the limit refuses a buy or a sell at that moment."""
    if rules.price == "open":
        return market.open, market.open, market.open
    if rules.price == "close":
        return market.close, market.close, market.close
    typical = (market.high + market.low + market.close) / 3
    traded = market.amount / market.volume
    usable = (market.basis == "raw") & ~np.isnan(traded)
    average = np.clip(np.where(usable, traded, typical), market.low, market.high)
    # over a whole session a limit refuses only who finds it locked from the first trade to the last
    return average, market.low, market.high


def corporate_actions(market: Market, rules: Execution) -> tuple[Array, Array, Array, tuple[str, ...]]:
    """Action rows as ``kernel.simulate`` takes them, how long each purchase is taxed at which rate, and caveats."""
    if rules.accounting == "total_return":
        none = np.empty(0, dtype=np.int64)
        return np.empty((0, 8), dtype=np.int64), none, none, ()
    from backtest.dividends import action_rows, holding_periods, unexplained

    actions = action_rows(market)
    return actions, *holding_periods(market.dates), unexplained(market, actions)


def books(market: Market, targets: pl.DataFrame) -> tuple[Array, Array, Array]:
    """Targets as session, column and weight, sorted; checked before anything runs.

    Raises:
        UsageError: a missing column, a date that is no session of the market, a symbol without bars, a weight
            that is null, negative or above 1, a symbol twice in one book, a book of more than 1. Names the row.
    """
    from backtest.kernel import check_targets

    if missing := {"date", "symbol", "weight"} - set(targets.columns):
        raise UsageError(f"targets lack the columns {sorted(missing)}; need date, symbol, weight")
    if targets["date"].null_count() or targets["symbol"].null_count():
        row = int((targets["date"].is_null() | targets["symbol"].is_null()).arg_max() or 0)
        raise _bad_target(targets, row, "it needs a date and a symbol")
    at = _sessions(market, targets["date"].cast(pl.Date).to_physical().to_numpy())
    if (at < 0).any():
        row = int(np.argmax(at < 0))
        raise _bad_target(
            targets, row, f"its date is no session of the market ({market.dates[0]} to {market.dates[-1]})"
        )
    # text to a column number by polars' own dictionary, null where there is none
    column = targets["symbol"].cast(pl.String).cast(pl.Enum(market.symbols), strict=False).to_physical()
    if column.null_count():
        raise _bad_target(
            targets, int(column.is_null().arg_max() or 0), "the market has no bars of this symbol"
        )
    columns = column.cast(pl.Int64).to_numpy(writable=True)
    weights = targets["weight"].cast(pl.Float64).fill_null(math.nan).to_numpy(writable=True)
    order = None
    code, row = check_targets(at, columns, weights)
    if code == 1:  # a strategy may return its rows in any order
        order = np.lexsort((columns, at))
        at, columns, weights = at[order], columns[order], weights[order]
        code, row = check_targets(at, columns, weights)
    if code:
        what = ("a weight needs 0 to 1", "its symbol is twice in the book of that date",
                "with it the weights of that date exceed 1")[code - 2]  # fmt: skip
        raise _bad_target(targets, row if order is None else int(order[row]), what)
    return at, columns, weights


def _sessions(market: Market, days: Array) -> Array:
    """The session of each day (days since 1970), -1 where it is none; looked up once a run of equal days."""
    if not days.size:
        return np.empty(0, dtype=np.int64)
    starts = np.flatnonzero(np.concatenate(([True], days[1:] != days[:-1])))
    known = market.dates.astype("datetime64[D]").astype(np.int64)
    at = np.minimum(np.searchsorted(known, days[starts]), len(known) - 1)
    at[known[at] != days[starts]] = -1
    return np.repeat(at, np.diff(np.append(starts, days.size)))


def _bad_target(targets: pl.DataFrame, row: int, why: str) -> UsageError:
    date, symbol, weight = targets.select("date", "symbol", "weight").row(row)
    return UsageError(f"target row {row} ({date}, {symbol}, weight {weight}): {why}; correct the strategy")
