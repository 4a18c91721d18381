"""Generated markets for the property tests: around the dates on which a rule changed, full of awkward days."""

from __future__ import annotations

import datetime as dt
import random
from fractions import Fraction
from typing import Any

import ledger
import polars as pl
from hypothesis import strategies as st

from backtest.execution import Execution
from backtest.market import Market, from_frames

BOUNDARIES = [
    dt.date(*parts)
    for parts in (
        (2008, 4, 24), (2008, 9, 19), (2012, 6, 1), (2012, 9, 3), (2013, 12, 13), (2015, 8, 3), (2019, 7, 22),
        (2020, 8, 24), (2021, 11, 15), (2022, 4, 29), (2023, 4, 10), (2023, 8, 28), (2025, 10, 9), (2026, 7, 6),
    )
]  # fmt: skip
BORN = {
    "688111.SH": dt.date(2019, 7, 22),
    "920808.BJ": dt.date(2021, 11, 15),
    "300750.SZ": dt.date(2009, 10, 30),
}
F = Fraction
SYMBOLS = ["000001.SZ", "300750.SZ", "600000.SH", "688111.SH", "920808.BJ"]


def weekdays(start: dt.date, count: int) -> list[dt.date]:
    days = (start + dt.timedelta(days=i) for i in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


@st.composite
def worlds(draw: st.DrawFn, *, explicit: bool = False, sessions: int = 10) -> Any:
    """A ``ledger.World``: two to four stocks over some sessions around a date on which a rule changed."""
    boundary = draw(st.sampled_from([day for day in BOUNDARIES if not explicit or day.year >= 2015]))
    rng = draw(
        st.randoms(use_true_random=True)
    )  # a world is thousands of choices: hypothesis draws only the seed
    n = rng.randint(4, sessions)
    days = weekdays(boundary - dt.timedelta(days=rng.randint(0, n)), n)
    possible = [s for s in SYMBOLS if BORN.get(s, days[0]) <= days[0]]
    symbols = sorted(rng.sample(possible, rng.randint(1, min(4, len(possible)))))
    stocks = [_stock(rng, symbol, days, explicit) for symbol in symbols]
    books = {}
    for t in sorted(rng.sample(range(n - 1), rng.randint(1, min(6, n - 1)))):
        chosen = rng.sample(symbols, rng.randint(1, len(symbols)))
        parts = [rng.choice([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.9, 1.0]) for _ in chosen]
        scale = max(1.0, sum(parts))
        books[t] = {s: w / scale for s, w in zip(chosen, parts, strict=True)}
    cash = rng.choice([199_999, 5_000_000, 10_000_000, 123_456_78, 10**9])
    return ledger.World(days, stocks, books, cash)


def _stock(rng: random.Random, symbol: str, days: list[dt.date], explicit: bool) -> Any:
    n = len(days)
    listed = rng.choice([0, 0, 0, 0, 0, 0, 1, min(3, n - 1)])
    gone = rng.choice([n] * 6 + [max(n - 3, listed + 1)])
    at_risk = ledger.board(symbol) == "main" and not listed and rng.random() < 0.5
    price = rng.choice([7, 15, 100, 333, 1000, 1995, 25_000]) * rng.randint(1, 3)
    factors, bars, actions = [F(1)] * n, {}, {}
    stock = ledger.Stock(symbol, bars, factors, listed, gone, at_risk, actions)
    factor = F(1)
    for t in range(listed, n):
        kind = rng.choice(["plain"] * 6 + ["split", "dividend", "odd", "suspended"])
        if bars and t > 0 and kind in ("split", "dividend", "odd"):
            close = bars[max(bars)].close
            if explicit and max(bars) < max(actions, default=0):
                pass  # a second action in one suspension: the generator would have to track what the first left
            elif explicit:
                cash = F(min(close // 20, 500), 100) if kind != "split" else F(0)
                bonus, moved = {"split": (F(0), F(1)), "odd": (F(1, 10), F(3, 10)), "dividend": (F(0), F(0))}[
                    kind
                ]
                new = (F(close, 100) - cash) / (1 + bonus + moved)
                if ledger.half_up(new * 100) >= 2 and (cash or bonus or moved):
                    actions[t] = (cash, bonus, moved)
                    factor = F(float(factor * F(close, 100) / new))
            else:
                # no round steps: a position of exactly half a millionth of a share is rounded by float noise
                step = {"split": 2.0, "dividend": rng.uniform(1.001, 1.06), "odd": rng.uniform(1.2, 1.7)}[
                    kind
                ]
                factor = F(float(factor) * step)
        factors[t] = factor
        if t >= gone or (kind == "suspended" and bars):
            continue
        band = ledger.limits(stock, days, t)
        if band is None:
            low, high = max(price * 7 // 10, 1), price * 14 // 10 + 1
        else:
            high, low = band
        opens = rng.choice([low, high, None, None, None, None])
        opens = rng.randint(low, high) if opens is None else opens
        close = rng.choice([low, high, opens, None, None, None])
        close = rng.randint(low, high) if close is None else close
        top, bottom = max(opens, close), min(opens, close)
        if top != bottom or rng.random() < 0.5:
            top, bottom = rng.randint(top, high), rng.randint(low, bottom)
        volume = rng.choice([100, 12_345, 1_000_000, 20_000_000, 200_000_000])
        bars[t] = ledger.Bar(opens, top, bottom, close, volume, rng.randint(bottom, top) * 10_000)
        price = close
    return stock


@st.composite
def terms(draw: st.DrawFn, *, explicit: bool = False) -> Any:
    return ledger.Terms(
        price=draw(st.sampled_from(["open", "open", "close", "vwap"])),
        commission=draw(st.sampled_from([F(25, 100_000), F(0), F(3, 1000), F(854, 10**7)])),
        floor=draw(st.sampled_from([500, 0])),
        slippage=draw(st.sampled_from([F(0), F(5, 10_000), F(333, 10**6), F(5, 100)])),
        impact=draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
        cap=draw(st.sampled_from([F(1), F(1, 10), F(7, 100)])),
        retry=draw(st.sampled_from([0, 0, 2])),
        explicit=explicit,
    )


def execution(terms: Any) -> Execution:
    return Execution(
        price=terms.price,
        commission=float(terms.commission),
        commission_floor=terms.floor / 100,
        slippage_bps=float(terms.slippage * 10_000),
        impact=terms.impact,
        volume_cap=float(terms.cap),
        buy_retry=terms.retry,
        accounting="explicit" if terms.explicit else "total_return",
    )


def market_of(world: Any) -> Market:
    """The same world as frames, through the product's door."""
    days, bars, factors, suspended, names, instruments, actions = world.days, [], [], [], [], [], []
    for stock in world.stocks:
        for t, bar in sorted(stock.bars.items()):
            amount = bar.average / 1e6 * bar.volume
            prices = (bar.open / 100, bar.high / 100, bar.low / 100, bar.close / 100)
            bars.append((stock.symbol, days[t], *prices, bar.volume, amount))
        suspended += [(stock.symbol, days[t]) for t in range(len(days)) if t not in stock.bars]
        for t, factor in enumerate(stock.factors):
            if t == 0 or factor != stock.factors[t - 1]:
                factors.append((stock.symbol, days[t], float(factor)))
        names.append((stock.symbol, dt.date(2000, 1, 1), "*ST测试" if stock.st else "测试"))
        listed = days[stock.listed] if stock.listed else dt.date(2000, 1, 1)
        gone = days[stock.gone] if stock.gone < len(days) else None
        instruments.append((stock.symbol, listed, gone))
        for t, (cash, bonus, moved) in stock.actions.items():
            actions.append((stock.symbol, days[t], float(cash), float(bonus), float(moved)))
    price = ["open", "high", "low", "close"]
    dates = {"listed": pl.Date, "delisted": pl.Date}
    money = dict.fromkeys(("cash", "bonus", "transfer"), pl.Float64)
    return from_frames(
        pl.DataFrame(bars, ["symbol", "date", *price, "volume", "amount"], orient="row"),
        pl.Series("date", days),
        factors=pl.DataFrame(factors, ["symbol", "date", "factor"], orient="row"),
        names=pl.DataFrame(names, ["symbol", "valid_from", "name"], orient="row"),
        instruments=pl.DataFrame(instruments, {"symbol": pl.String, **dates}, orient="row"),
        suspensions=pl.DataFrame(suspended, {"symbol": pl.String, "date": pl.Date}, orient="row"),
        corporate_actions=pl.DataFrame(
            actions, {"symbol": pl.String, "ex_date": pl.Date, **money}, orient="row"
        ),
        start=days[0],
        end=days[-1],
    )


def targets_of(world: Any) -> pl.DataFrame:
    """The books as a frame, in no order."""
    rows = [
        (world.days[t], symbol, weight) for t, book in world.books.items() for symbol, weight in book.items()
    ]
    return pl.DataFrame(rows, {"date": pl.Date, "symbol": pl.String, "weight": pl.Float64}, orient="row")
