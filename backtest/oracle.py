"""The rules once more, order by order in plain Python: what vectorbt's own simulation asks for its next order.

Shares no code with the kernel: fees and lots come from the rule book's scalar functions, cash and positions from
vectorbt. On each session ``order`` hands out the standing book's sells, then its buys, until there are none;
``close`` values the account and, where a book was decided, sizes the next orders. Total-return accounting only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest.market import TOLERANCE
from data_cache.charges import RATE_SCALE, commission_fen, fee_fen, round_buy

if TYPE_CHECKING:
    from backtest.execution import Execution
    from backtest.market import Market

__all__ = ["Oracle"]

Array = np.ndarray[Any, np.dtype[Any]]

MICRO = 1_000_000
REASONS = {
    "limit_up": 0, "limit_down": 1, "suspended": 2, "not_listed": 3, "delisted": 4, "t_plus_1": 5, "lot": 6,
    "cash": 7, "volume_cap": 8,
}  # fmt: skip


@dataclass(slots=True)
class _Wish:
    """An order of the standing book: adjusted units still wanted; None of a sell is all there is."""

    column: int
    side: int
    units: float | None


@dataclass(slots=True)
class _Bill:
    shares: int  # micro-shares
    price: int  # micro-yuan
    notional: int  # fen
    commission: int
    stamp_duty: int
    transfer_fee: int

    @property
    def fees(self) -> int:
        return self.commission + self.stamp_duty + self.transfer_fee


@dataclass(slots=True, eq=False)  # holds arrays
class Oracle:
    """The orders of a run, one at a time.

    Args:
        market: where it trades.
        books: session, column, weight of each target row, sorted.
        rules: the terms.
        prices: the price that fills, and those that tell whether a buy or a sell is refused.
    """

    market: Market
    books: tuple[Array, Array, Array]
    rules: Execution
    prices: tuple[Array, Array, Array]
    fills: list[tuple[int, ...]] = field(default_factory=list)
    lost: list[tuple[int, ...]] = field(default_factory=list)
    _book: int = -1
    _wishes: list[_Wish] = field(default_factory=list)
    _queue: list[_Wish] = field(default_factory=list)
    _session: int = -1

    def order(self, t: int, cash: float, position: Array) -> tuple[int, int, float, int, int] | None:
        """The next order of session ``t``: column, side, adjusted units, notional and fees in fen."""
        if t != self._session:
            self._session, self._queue, self._wishes = t, self._wishes, []
        while self._queue:
            wish = self._queue.pop(0)
            found = self._try(wish, t, round(cash * 100), float(position[wish.column]))
            if found is not None:
                units, bill = found
                self.fills.append(
                    (
                        self._book,
                        t,
                        wish.column,
                        wish.side,
                        bill.shares,
                        bill.price,
                        bill.notional,
                        bill.commission,
                        bill.stamp_duty,
                        bill.transfer_fee,
                    )
                )
                return wish.column, wish.side, units, bill.notional, bill.fees
        return None

    def close(self, t: int, cash: float, position: Array) -> None:
        """The end of session ``t``: stale buys lapse, and a book decided now replaces every wish."""
        if t - self._book > self.rules.buy_retry:
            self._wishes = [wish for wish in self._wishes if wish.side == 1]
        dates, columns, weights = self.books
        first, last = np.searchsorted(dates, [t, t + 1])
        if first == last:
            return
        mark = self.market.mark[t]
        held = np.flatnonzero(position)
        value = cash + math.fsum(position[held] * mark[held])
        self._book = t
        wanted = dict(zip(columns[first:last].tolist(), weights[first:last].tolist(), strict=True))
        sells, buys = [], []
        for j in sorted({*wanted, *held.tolist()}):
            weight = wanted.get(j, 0.0)
            if weight == 0.0:
                if position[j] > 0:
                    sells.append(_Wish(j, 1, None))
                continue
            change = weight * value / mark[j] - position[j]
            if change < 0:
                sells.append(_Wish(j, 1, -change))
            elif change != 0:
                buys.append(_Wish(j, 0, change))
        buys.sort(key=lambda wish: -wanted[wish.column])
        self._wishes = sells + buys

    def _try(self, wish: _Wish, t: int, cash: int, position: float) -> tuple[float, _Bill] | None:
        j, factor = wish.column, float(self.market.factor[t, wish.column])
        lot, step = (int(n) for n in self.market.rates[t, self.market.group[j], :2])
        held = math.floor(position * factor * MICRO + 0.5)
        if wish.side == 1:
            wanted = held if wish.units is None else min(math.floor(wish.units * factor * MICRO + 0.5), held)
            if wish.units is not None:
                wanted = round_buy(wanted // MICRO, lot=lot, step=step) * MICRO
            if wanted == 0:
                return None
        else:
            if math.isnan(wish.units or 0.0):
                self._lose(wish, t, -1, 0, 0, "delisted" if t >= self.market.delisted[j] else "not_listed")
                return None
            size = math.floor((wish.units or 0.0) * factor * MICRO + 0.5)
            wanted = round_buy(size // MICRO, lot=lot, step=step) * MICRO
            if wanted == 0:
                if position == 0.0:
                    self._lose(wish, t, size, 0, size, "lot")
                return None
        if reason := self._refusal(wish, t):
            self._lose(wish, t, wanted, 0, wanted, reason)
            if reason != "delisted":
                self._wishes.append(wish)
            return None
        cap = int(self.market.volume[t, j]) * round(self.rules.volume_cap * MICRO) // MICRO
        allowed = wanted if wanted <= cap * MICRO else round_buy(cap, lot=lot, step=step) * MICRO
        bill = self._bill(wish, t, allowed) if allowed else None
        if bill and wish.side == 0:
            bill = self._affordable(wish, t, bill, cash, lot, step)
        if bill and wish.side == 1 and cash + bill.notional - bill.fees < 0:
            bill = None
            self._lose(wish, t, wanted, 0, wanted, "cash")
        else:
            filled = bill.shares if bill else 0
            if allowed < wanted:
                self._lose(wish, t, wanted, filled, wanted - allowed, "volume_cap")
            if filled < allowed:
                self._lose(wish, t, wanted, filled, allowed - filled, "cash")
        filled = bill.shares if bill else 0
        if filled < wanted:
            rest = None if wish.units is None else wish.units - filled / MICRO / factor
            self._wishes.append(_Wish(j, wish.side, rest))
        if bill is None:
            return None
        units = position if wish.side == 1 and filled == held else filled / MICRO / factor
        return units, bill

    def _refusal(self, wish: _Wish, t: int) -> str | None:
        market, j = self.market, wish.column
        base, buy_probe, sell_probe = self.prices
        tolerance = TOLERANCE[market.basis]
        if t >= market.delisted[j]:
            return "delisted"
        if wish.side == 0 and t < market.listed[j]:
            return "not_listed"
        if math.isnan(base[t, j]):
            return "suspended"
        if wish.side == 0 and buy_probe[t, j] >= market.limit_up[t, j] * (1 - tolerance):
            return "limit_up"
        if wish.side == 1 and sell_probe[t, j] <= market.limit_down[t, j] * (1 + tolerance):
            return "limit_down"
        return None

    def _affordable(self, wish: _Wish, t: int, bill: _Bill, cash: int, lot: int, step: int) -> _Bill | None:
        """The largest bill the cash pays: a guess by proportion, then lot by lot."""
        if bill.notional + bill.fees <= cash:
            return bill
        most = bill.shares // MICRO
        n = round_buy(min(most, most * cash // bill.notional + 2 * step), lot=lot, step=step)
        while n >= lot:
            bill = self._bill(wish, t, n * MICRO)
            if bill.notional + bill.fees <= cash:
                return bill
            n -= step
        return None

    def _bill(self, wish: _Wish, t: int, shares: int) -> _Bill:
        market, rules, j = self.market, self.rules, wish.column
        moved = round(rules.slippage_bps * 100)
        if rules.impact:
            share = shares / MICRO / float(market.volume[t, j])
            moved += math.floor(rules.impact * MICRO * math.sqrt(share) + 0.5)
        base = math.floor(float(self.prices[0][t, j]) * MICRO + 0.5)
        limit = float((market.limit_up, market.limit_down)[wish.side][t, j])
        if wish.side == 0:
            price = (base * (MICRO + moved) + MICRO // 2) // MICRO
            price = price if math.isnan(limit) else min(price, math.floor(limit * MICRO + 0.5))
        else:
            price = max((base * max(MICRO - moved, 0) + MICRO // 2) // MICRO, 1)
            price = price if math.isnan(limit) else max(price, math.floor(limit * MICRO + 0.5))
        notional = (shares * price + 5 * 10**9) // 10**10  # Python's integers do not overflow
        _, _, stamp_buy, stamp_sell, transfer, par, par_floor = (
            int(n) for n in market.rates[t, market.group[j]]
        )
        moved_fee = fee_fen(notional, transfer / RATE_SCALE)
        if par:
            moved_fee += max(fee_fen(shares // MICRO * 100, par / RATE_SCALE), par_floor)
        return _Bill(
            shares=shares,
            price=price,
            notional=notional,
            commission=commission_fen(notional, rate=rules.commission, floor=rules.commission_floor),
            stamp_duty=fee_fen(notional, (stamp_buy, stamp_sell)[wish.side] / RATE_SCALE),
            transfer_fee=moved_fee,
        )

    def _lose(self, wish: _Wish, t: int, wanted: int, filled: int, lost: int, reason: str) -> None:
        self.lost.append((self._book, t, wish.column, wish.side, wanted, filled, lost, REASONS[reason]))
