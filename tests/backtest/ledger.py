"""The independent witness: docs/execution.md restated in plain Python, one order at a time, with fractions.

Knows nothing of the product: it takes a ``World`` of plain values and its own table of the exchange's rules. Slow
and obvious on purpose.
"""

from __future__ import annotations

import bisect
import datetime as dt
import math
from dataclasses import dataclass, field
from fractions import Fraction

F = Fraction


@dataclass(frozen=True)
class Bar:
    """Prices in fen, volume in whole shares, factor as it is stored."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    average: int  # micro-yuan: amount / volume


@dataclass(frozen=True)
class Stock:
    symbol: str
    bars: dict[int, Bar]  # by session
    factors: list[Fraction]  # one a session: shares a share of the first day has become
    listed: int  # session; 0: long ago
    gone: int  # first session without it
    st: bool = False
    # explicit accounting: session -> yuan, bonus and transfer shares per share
    actions: dict[int, tuple[Fraction, Fraction, Fraction]] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    days: list[dt.date]
    stocks: list[Stock]
    books: dict[int, dict[str, float]]  # session -> symbol -> weight
    cash: int  # fen


@dataclass(frozen=True)
class Terms:
    price: str
    commission: Fraction
    floor: int  # fen
    slippage: Fraction  # fraction of the price
    impact: float
    cap: Fraction
    retry: int
    explicit: bool = False


@dataclass
class Order:
    book: int
    symbol: str
    buy: bool
    units: Fraction | None  # adjusted; None: a sell of everything, or a buy that has no size
    weight: float = 0.0
    tried: int = 0


@dataclass
class Lot:
    day: int
    shares: int
    taxes: list[list[Fraction]]  # per dividend received on these shares: tax if sold soon, later, late


def half_up(x: Fraction) -> int:
    return math.floor(x + F(1, 2))


# ------------------------------------------------------------------ the exchange's rules, from its own notices


def board(symbol: str) -> str:
    return {"60": "main", "00": "main", "30": "chinext", "68": "star", "92": "bse"}[symbol[:2]]


def band(symbol: str, day: dt.date, *, st: bool) -> Fraction:
    where = board(symbol)
    if where == "bse":
        return F(30, 100)
    if where == "star" or (where == "chinext" and day >= dt.date(2020, 8, 24)):
        return F(20, 100)
    return F(5, 100) if st and day < dt.date(2026, 7, 6) else F(10, 100)


def free_days(symbol: str, listed: dt.date) -> int:
    """Sessions without a limit after a listing."""
    where = board(symbol)
    if where == "bse":
        return 1
    if where == "star":
        return 5
    since = dt.date(2020, 8, 24) if where == "chinext" else dt.date(2023, 4, 10)
    if listed >= since:
        return 5
    return 1 if listed < dt.date(2013, 12, 13) else 0


def lot_and_step(symbol: str) -> tuple[int, int]:
    return {"main": (100, 100), "chinext": (100, 100), "star": (200, 1), "bse": (100, 1)}[board(symbol)]


def duty(day: dt.date, *, buy: bool) -> Fraction:
    if day < dt.date(2008, 4, 24):
        return F(3, 1000)  # the tests begin after 2007-05-30
    if day < dt.date(2008, 9, 19):
        return F(1, 1000)
    if buy:
        return F(0)
    return F(1, 1000) if day < dt.date(2023, 8, 28) else F(5, 10000)


def transfer(symbol: str, day: dt.date, shares: int, notional: int) -> int:
    if day < dt.date(2015, 8, 1):
        if symbol.endswith("SZ"):
            return 0  # inside the commission
        if day < dt.date(2012, 6, 1):
            return max(half_up(F(shares, 1000) * 100), 100)
        return half_up(F(shares * 100) * (F(75, 100000) if day < dt.date(2012, 9, 1) else F(6, 10000)))
    if day < dt.date(2022, 4, 29):
        return half_up(notional * (F(25, 1000000) if board(symbol) == "bse" else F(2, 100000)))
    return half_up(notional * F(1, 100000))


def in_lots(shares: Fraction, symbol: str) -> int:
    lot, step = lot_and_step(symbol)
    whole = math.floor(shares)
    return 0 if whole < lot else lot + (whole - lot) // step * step


def limits(stock: Stock, days: list[dt.date], t: int) -> tuple[int, int] | None:
    """Limit-up and limit-down in fen, or None."""
    if stock.listed > 0 and t - stock.listed < free_days(stock.symbol, days[stock.listed]):
        return None
    before = [s for s in stock.bars if s < t]
    if not before:
        return None
    last = max(before)
    reference = stock.bars[last].close
    if stock.factors[last] != stock.factors[t]:
        reference = half_up(reference * stock.factors[last] / stock.factors[t])
        between = [stock.actions[s] for s in stock.actions if last < s <= t]
        if len(between) == 1:
            cash, bonus, moved = between[0]
            reference = half_up((stock.bars[last].close - cash * 100) / (1 + bonus + moved))
    r = band(stock.symbol, days[t], st=stock.st)
    up, down = reference * (1 + r), reference * (1 - r)
    if board(stock.symbol) == "bse":
        up_fen, down_fen = math.floor(up), math.ceil(down)
    else:
        up_fen, down_fen = half_up(up), half_up(down)
    return max(up_fen, reference + 1), max(min(down_fen, reference - 1), 1)


# ------------------------------------------------------------------------------------------------ the account


def months_later(day: dt.date, months: int) -> dt.date:
    number = day.year * 12 + day.month - 1 + months
    for length in (day.day, 30, 29, 28):
        try:
            return dt.date(number // 12, number % 12 + 1, length)
        except ValueError:
            continue
    raise AssertionError


class Ledger:
    """Runs a world; afterwards ``fills``, ``refusals``, ``dividends`` and ``equity`` hold plain tuples."""

    def __init__(self, world: World, terms: Terms) -> None:
        self.world, self.terms = world, terms
        self.stocks = {stock.symbol: stock for stock in world.stocks}
        self.cash = world.cash
        self.units: dict[str, Fraction] = {}  # adjusted units, or whole shares if explicit
        self.lots: dict[str, list[Lot]] = {}
        self.orders: list[Order] = []
        self.fills: list[tuple[object, ...]] = []
        self.refusals: list[tuple[object, ...]] = []
        self.dividends: list[tuple[object, ...]] = []
        self.equity: list[tuple[int, Fraction]] = []
        for t in range(len(world.days)):
            if terms.explicit:
                self.pay(t)
            self.trade(t)
            self.equity.append((self.cash, self.value(t)))
            if t in world.books:
                self.decide(t)

    def unit(self, symbol: str, t: int) -> Fraction:
        """Shares in one unit of the position."""
        return F(1) if self.terms.explicit else self.stocks[symbol].factors[t]

    def mark(self, symbol: str, t: int) -> Fraction | None:
        """What a share of today is worth at the last close, yuan."""
        stock = self.stocks[symbol]
        before = [s for s in stock.bars if s <= t]
        if not before:
            return None
        return F(stock.bars[max(before)].close, 100) * stock.factors[max(before)] / stock.factors[t]

    def value(self, t: int) -> Fraction:
        held = F(0)
        for symbol, units in self.units.items():
            mark = self.mark(symbol, t)
            assert mark is not None
            held += units * self.unit(symbol, t) * mark
        return F(self.cash, 100) + held

    def pay(self, t: int) -> None:
        for symbol in sorted(self.units):
            action = self.stocks[symbol].actions.get(t)
            if action is None:
                continue
            cash, bonus, moved = action
            shares = int(self.units[symbol])
            paid = half_up(shares * cash * 100)
            fresh = math.floor(shares * (bonus + moved))
            self.cash += paid
            late = F(5, 100) if self.world.days[t] < dt.date(2015, 9, 8) else F(0)
            for lot in self.lots[symbol]:
                taxable = lot.shares * (cash + bonus) * 100  # fen; a bonus share counts one yuan
                lot.taxes.append([taxable * F(20, 100), taxable * F(10, 100), taxable * late])
            if fresh:
                self.units[symbol] += fresh
                self.lots[symbol].append(Lot(t, fresh, []))
            self.dividends.append((t, symbol, shares, paid, fresh, 0))

    def decide(self, t: int) -> None:
        book = self.world.books[t]
        value = self.value(t)
        sells, buys = [], []
        for symbol in sorted({*book, *self.units}):
            weight = book.get(symbol, 0.0)
            factor = self.stocks[symbol].factors[t]
            have = self.units.get(symbol, F(0)) * self.unit(symbol, t) / factor
            if weight == 0:
                if have:
                    sells.append(Order(t, symbol, buy=False, units=None))
                continue
            mark = self.mark(symbol, t)
            if mark is None:
                buys.append(Order(t, symbol, buy=True, units=None, weight=weight))
                continue
            change = F(weight) * value / mark / factor - have
            # closer than a billionth of a share is no change
            if change > F(1, 10**9):
                buys.append(Order(t, symbol, buy=True, units=change, weight=weight))
            elif change < -F(1, 10**9):
                sells.append(Order(t, symbol, buy=False, units=-change))
        buys.sort(key=lambda order: -order.weight)
        self.orders = sells + buys

    def trade(self, t: int) -> None:
        left = []
        for order in self.orders:
            if self.attempt(order, t):
                order.tried += 1
                if not order.buy or order.tried <= self.terms.retry:
                    left.append(order)
        self.orders = left

    def attempt(self, order: Order, t: int) -> bool:
        """Trade one order as far as it goes; True when something of it stays to be tried again."""
        symbol, stock, day = order.symbol, self.stocks[order.symbol], self.world.days[t]
        factor = stock.factors[t]
        held = F(half_up(self.units.get(symbol, F(0)) * self.unit(symbol, t) * 10**6), 10**6)
        wanted: Fraction | None
        if order.units is None:
            wanted = None if order.buy else held
        else:
            exact = F(half_up(order.units * factor * 10**6), 10**6)
            wanted = F(in_lots(exact if order.buy else min(exact, held), symbol))
            if wanted == 0:
                if order.buy and held == 0:
                    self.refuse(order, t, exact, F(0), exact, "lot")
                return False
        bar = stock.bars.get(t)
        band = limits(stock, self.world.days, t) if bar else None
        reason = None
        if t >= stock.gone:
            reason = "delisted"
        elif order.buy and (wanted is None or t < stock.listed):
            reason = "not_listed"
        elif bar is None:
            reason = "suspended"
        elif band and order.buy and self.probe(bar, "low") >= band[0]:
            reason = "limit_up"
        elif band and not order.buy and self.probe(bar, "high") <= band[1]:
            reason = "limit_down"
        if reason:
            self.refuse(order, t, wanted, F(0), wanted, reason)
            return wanted is not None and reason != "delisted"
        assert bar is not None
        assert wanted is not None
        room = math.floor(bar.volume * self.terms.cap)
        allowed = wanted if wanted <= room else F(in_lots(F(room), symbol))
        filled = allowed
        if order.buy:
            lot, step = lot_and_step(symbol)
            sizes = range(lot, int(allowed) + 1, step)  # dearer as they grow
            affordable = bisect.bisect_right(
                sizes, self.cash, key=lambda n: self.cost(order, stock, bar, band, day, F(n))
            )
            filled = F(sizes[affordable - 1]) if affordable else F(0)
        tax = self.tax(symbol, filled, t) if self.terms.explicit and not order.buy else 0
        if not order.buy and filled and self.cash - self.cost(order, stock, bar, band, day, filled) - tax < 0:
            self.refuse(order, t, wanted, F(0), wanted, "cash")
            return True
        if allowed < wanted:
            self.refuse(order, t, wanted, filled, wanted - allowed, "volume_cap")
        if filled < allowed:
            self.refuse(order, t, wanted, filled, allowed - filled, "cash")
        if filled:
            price, notional, fees, slippage = self.bill(order, stock, bar, band, day, filled)
            self.cash += (-notional if order.buy else notional) - sum(fees) - tax
            self.move(order, t, filled, held, tax)
            self.fills.append(
                (
                    order.book,
                    t,
                    symbol,
                    "buy" if order.buy else "sell",
                    filled,
                    price,
                    notional,
                    *fees,
                    slippage,
                )
            )
            if order.units is not None:
                order.units -= filled / factor
        return filled < wanted

    def probe(self, bar: Bar, extreme: str) -> int:
        """The price that tells whether the limit was locked at the moment of the fill, fen."""
        return {"open": bar.open, "close": bar.close}.get(self.terms.price, getattr(bar, extreme))

    def bill(
        self,
        order: Order,
        stock: Stock,
        bar: Bar,
        band: tuple[int, int] | None,
        day: dt.date,
        shares: Fraction,
    ) -> tuple[int, int, tuple[int, int, int], int]:
        """Price (micro-yuan), notional, the three fees and the part of the notional that is slippage (fen)."""
        base = {"open": bar.open * 10_000, "close": bar.close * 10_000}.get(self.terms.price, bar.average)
        against = self.terms.slippage
        if self.terms.impact:
            share = float(shares) / bar.volume
            against += F(math.floor(self.terms.impact * 1e6 * math.sqrt(share) + 0.5), 10**6)
        if order.buy:
            price = half_up(base * (1 + against))
            price = min(price, band[0] * 10_000) if band else price
        else:
            price = max(half_up(base * max(1 - against, F(0))), 1)
            price = max(price, band[1] * 10_000) if band else price
        notional = half_up(shares * price / 10_000)
        fees = (
            max(half_up(notional * self.terms.commission), self.terms.floor),
            half_up(notional * duty(day, buy=order.buy)),
            transfer(stock.symbol, day, math.floor(shares), notional),
        )
        unmoved = half_up(shares * base / 10_000)
        return price, notional, fees, notional - unmoved if order.buy else unmoved - notional

    def cost(
        self, order: Order, stock: Stock, bar: Bar, band: tuple[int, int] | None, day: dt.date, n: Fraction
    ) -> int:
        """What the order takes from the cash, fen; negative for a sell that is worth its fees."""
        _, notional, fees, _ = self.bill(order, stock, bar, band, day, n)
        return (notional if order.buy else -notional) + sum(fees)

    def move(self, order: Order, t: int, filled: Fraction, held: Fraction, tax: int) -> None:
        symbol = order.symbol
        units = filled / self.unit(symbol, t)
        if order.buy:
            self.units[symbol] = self.units.get(symbol, F(0)) + units
            if self.terms.explicit:
                self.lots.setdefault(symbol, []).append(Lot(t, int(filled), []))
            return
        if filled == held:
            del self.units[symbol]
        else:
            self.units[symbol] -= units
        if self.terms.explicit:
            self.take(symbol, int(filled))
            if tax:
                self.dividends.append((t, symbol, int(filled), 0, 0, tax))

    def tax(self, symbol: str, shares: Fraction, t: int) -> int:
        """Fen, each lot's rounded on its own, oldest first."""
        left, total, today = int(shares), 0, self.world.days[t]
        for lot in self.lots.get(symbol, []):
            taken = min(left, lot.shares)
            left -= taken
            bought = self.world.days[lot.day]
            age = 0 if today <= months_later(bought, 1) else 1 if today <= months_later(bought, 12) else 2
            total += half_up(sum((taxes[age] for taxes in lot.taxes), F(0)) * taken / lot.shares)
        return total

    def take(self, symbol: str, left: int) -> None:
        lots = self.lots[symbol]
        while left:
            lot = lots[0]
            taken = min(left, lot.shares)
            lot.taxes = [[tax * (lot.shares - taken) / lot.shares for tax in taxes] for taxes in lot.taxes]
            lot.shares -= taken
            left -= taken
            if lot.shares == 0:
                lots.pop(0)

    def refuse(
        self,
        order: Order,
        t: int,
        wanted: Fraction | None,
        filled: Fraction,
        lost: Fraction | None,
        reason: str,
    ) -> None:
        side = "buy" if order.buy else "sell"
        self.refusals.append((order.book, t, order.symbol, side, wanted, filled, lost, reason))
