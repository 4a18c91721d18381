"""The sample market: prices that never were, on sessions that were, under the rules of their dates.

1. ``generate``      sessions, symbols, and what the rule book allows on each (limits as ratios);
2. ``_returns``      log returns: a market, a segment and a company part, and the pushes of the sample notes;
3. ``_path``         session by session in whole fen: ex-rights reference, limits, open, close, high, low;
4. ``_corporate``    the dividends and share issues of the path as actions and backward factors;
5. volumes and amounts from the size of the day's move.

A push reaches prices only at sessions that open after its note was published: partly as that first open's
gap, which nobody who reads the note can trade, the rest as a drift over the sessions from there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from data_cache.limits import decide, panel

__all__ = ["PUSHES", "Market", "Push", "generate"]

Array = np.ndarray[Any, np.dtype[Any]]

START, END = dt.date(2021, 1, 4), dt.date(2025, 12, 31)
OPEN_CALL = dt.time(9, 15)
INDEX = "000300.SH"
LISTED_LATE = ("688991.SH", dt.date(2022, 8, 15))
UNDER_ST = ("605992.SH", dt.date(2023, 5, 5), dt.date(2024, 6, 3))
SHARE_ISSUES = {("003990.SZ", 2023): 5, ("301992.SZ", 2024): 3}
"""New shares per ten on the ex-date of that year: a transfer from reserves and a bonus."""
BONUS = {("301992.SZ", 2024)}
SUSPENDED = (
    ("301991.SZ", dt.date(2022, 6, 6), 10, "重大资产重组"),
    ("605992.SH", dt.date(2023, 5, 4), 1, "实施风险警示"),
    ("605992.SH", dt.date(2024, 5, 31), 1, "撤销风险警示"),
    ("605991.SH", dt.date(2023, 11, 6), 5, "重大事项"),
    ("003993.SZ", dt.date(2024, 8, 19), 22, "重大资产重组"),
)
"""Symbol, first session, sessions, reason."""


@dataclass(frozen=True, slots=True)
class Push:
    """What one sample note does to prices.

    Args:
        note: stem of the note's file.
        known_at: when it is published, Shanghai time; equals the note's front matter (a test holds it).
        segments: links it moves; empty for the whole market.
        gap: log return at the first open after it.
        drift: log return over the sessions after it, in all.
        sessions: how many sessions the drift takes.
    """

    note: str
    known_at: dt.datetime
    segments: tuple[str, ...]
    gap: float
    drift: float
    sessions: int


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


_CHAIN = ("full_chain", "cold_plate", "cdu", "connector", "manifold_piping")
PUSHES = (  # Shanghai time
    Push("rates_and_plans_essay", _at("2022-10-04 21:00"), (), -0.010, -0.03, 20),
    Push("asic_channel_call", _at("2023-06-14 10:40"), _CHAIN, 0.012, 0.08, 30),
    Push("rack_delay_flash", _at("2024-03-12 08:05"), _CHAIN, -0.030, -0.10, 25),
    Push("parts_value_meeting", _at("2024-05-29 20:30"), ("connector", "full_chain"), 0.010, 0.06, 25),
    Push("rack_ramp_call", _at("2024-11-20 16:40"), _CHAIN, 0.020, 0.10, 30),
    Push("picks_and_risks", _at("2025-07-06 19:00"), ("full_chain", "cdu"), 0.008, 0.05, 25),
)


@dataclass(frozen=True, slots=True, eq=False)  # eq: frames do not compare to one truth value
class Market:
    """Frames in the store's schemas."""

    bars: pl.DataFrame
    factors: pl.DataFrame
    corporate_actions: pl.DataFrame
    suspensions: pl.DataFrame
    instruments: pl.DataFrame
    name_history: pl.DataFrame
    index_bars: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)  # eq: arrays do not compare to one truth value
class _Path:
    """Prices in fen, (session, symbol); what each share got on a session, cash in fen per share."""

    open: Array
    high: Array
    low: Array
    close: Array
    cash: Array
    issued: Array  # new shares per ten
    growth: Array  # of the backward factor


def generate(sessions: pl.Series, companies: pl.DataFrame, seed: int) -> Market:
    """Make the market.

    Args:
        sessions: the exchange's calendar; its part between START and END is used.
        companies: symbol, name, segment, exposure.
        seed: the same seed gives the same market to the fen.
    """
    rng = np.random.default_rng(seed)
    days = sessions.filter(sessions.is_between(START, END))
    symbols = companies["symbol"].to_list()
    trading = np.ones((len(days), len(symbols)), dtype=bool)
    first = {LISTED_LATE[0]: int(days.search_sorted(LISTED_LATE[1]))}
    for symbol, at in first.items():
        trading[:at, symbols.index(symbol)] = False
    halts = []
    for symbol, day, count, reason in SUSPENDED:
        at = int(days.search_sorted(day))
        trading[at : at + count, symbols.index(symbol)] = False
        halts.append(
            pl.DataFrame({"date": days[at : at + count]}).select(
                symbol=pl.lit(symbol), date="date", reason=pl.lit(reason)
            )
        )
    up, down, free = _ratios(days, symbols, first)
    market, gaps, moves = _returns(days, companies, rng)
    path = _path(rng, days, symbols, trading, first, gaps, moves, up, down, free)
    bars = _bars(rng, days, symbols, trading, path)
    actions, factors = _corporate(days, symbols, first, path)
    board = dict(
        zip(
            symbols,
            decide(panel(pl.DataFrame({"symbol": symbols, "date": [END] * len(symbols)}))).board,
            strict=True,
        )
    )
    st_from, st_to = UNDER_ST[1:]
    names = [
        {"symbol": s, "valid_from": LISTED_LATE[1] if s in first else days[0], "name": n}
        for s, n in companies.select("symbol", "name").iter_rows()
    ]
    plain = companies.filter(pl.col("symbol") == UNDER_ST[0])["name"].item()
    names += [
        {"symbol": UNDER_ST[0], "valid_from": st_from, "name": f"ST{plain}"},
        {"symbol": UNDER_ST[0], "valid_from": st_to, "name": plain},
    ]
    return Market(
        bars=bars,
        factors=factors,
        corporate_actions=actions,
        suspensions=pl.concat(halts).sort("symbol", "date"),
        instruments=companies.select(
            "symbol",
            "name",
            pl.col("symbol").replace_strict(board, return_dtype=pl.String).alias("board"),
            # the others were listed before the sample begins, on no date it knows
            pl.when(pl.col("symbol") == LISTED_LATE[0]).then(pl.lit(LISTED_LATE[1])).alias("listed"),
            pl.lit(None, dtype=pl.Date).alias("delisted"),
        ),
        name_history=pl.DataFrame(names).sort("symbol", "valid_from"),
        index_bars=_index(rng, days, market),
    )


def _ratios(days: pl.Series, symbols: list[str], first: dict[str, int]) -> tuple[Array, Array, Array]:
    """The rule book's limits as ratios x 10,000 and its sessions without limit, (session, symbol)."""
    shape = (len(days), len(symbols))
    grid = pl.DataFrame({"date": days}).join(
        pl.DataFrame({"symbol": symbols}), how="cross", maintain_order="left_right"
    )
    st = (pl.col("symbol") == UNDER_ST[0]) & pl.col("date").is_between(
        UNDER_ST[1], UNDER_ST[2], closed="left"
    )
    since = np.full(shape, 0)
    for symbol, at in first.items():
        since[:, symbols.index(symbol)] = np.arange(len(days)) - at + 1
    asked = grid.with_columns(
        status=pl.when(st).then(pl.lit("st")).otherwise(pl.lit("normal")),
        listed_days=pl.Series(since.ravel()),
    ).with_columns(pl.when(pl.col("listed_days") > 0).then("listed_days").alias("listed_days"))
    said = decide(panel(asked))
    return said.up.reshape(shape), said.down.reshape(shape), said.unlimited.reshape(shape)


def _returns(
    days: pl.Series, companies: pl.DataFrame, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """The market's log returns, and every company's overnight and daytime ones, (session, symbol)."""
    count, width = len(days), companies.height
    segments, position = np.unique(companies["segment"].to_numpy(), return_inverse=True)
    market = rng.normal(0.0, 0.010, count)
    market += 0.0001 - market.mean()  # a dull market: what a strategy shows is not the luck of a seed
    chain = rng.normal(0.0, 0.009, (count, len(segments)))
    chain = (chain - chain.mean())[:, position]
    own = rng.standard_t(5, (count, width)) * 0.014 - 0.00015  # the last: half the variance
    beta = rng.uniform(0.8, 1.3, width)
    total = market[:, None] * beta + chain + own
    night = rng.normal(0.0, 0.006, (count, width)) + 0.2 * total
    day = total - night
    at_open = pl.Series(days).dt.combine(OPEN_CALL)
    for push in PUSHES:
        at = int(at_open.search_sorted(push.known_at, side="right"))
        moved = (
            companies["segment"].is_in(push.segments).to_numpy()
            if push.segments
            else np.ones(width, dtype=bool)
        )
        weight = moved * (0.5 + 0.5 * companies["exposure"].to_numpy())
        night[at] += push.gap * weight
        fade = 0.5 ** (np.arange(push.sessions) / (push.sessions / 3))
        ahead = slice(at, min(at + push.sessions, count))
        day[ahead] += (push.drift * fade / fade.sum())[: ahead.stop - at, None] * weight
    return market, night, day


def _path(
    rng: np.random.Generator,
    days: pl.Series,
    symbols: list[str],
    trading: Array,
    first: dict[str, int],
    night: Array,
    day: Array,
    up: Array,
    down: Array,
    free: Array,
) -> _Path:
    """Walk the sessions once; everything is whole fen, so a limit is exact."""
    count, width = trading.shape
    wick = np.abs(rng.normal(0.0, 0.007, (2, count, width)))
    locked = _locked(rng, days, symbols, trading, free)
    yields, issues = _schedule(rng, days, symbols, trading)
    pop = rng.uniform(0.3, 0.7)
    for symbol, at in first.items():
        night[at, symbols.index(symbol)] = pop  # a first open far above the issue price; no limit holds it
    prices = np.zeros((4, count, width), dtype=np.int64)
    cash = np.zeros((count, width), dtype=np.int64)
    growth = np.ones((count, width))
    last = rng.integers(900, 6000, width)
    for t in range(count):
        cash[t] = np.rint(last * yields[t]).astype(np.int64)
        tens = last * 10 - cash[t] * 10
        shares = 10 + issues[t]
        growth[t] = last * shares / tens
        reference = (2 * tens + shares) // (2 * shares)  # half-up to the fen
        high_limit = np.maximum((reference * (10_000 + up[t]) + 5_000) // 10_000, reference + 1)
        low_limit = np.maximum(
            np.minimum((reference * (10_000 - down[t]) + 5_000) // 10_000, reference - 1), 1
        )
        high_limit = np.where(free[t], reference * 5, high_limit)
        low_limit = np.where(free[t], np.maximum(reference // 5, 1), low_limit)
        opened = np.clip(np.rint(reference * np.exp(night[t])).astype(np.int64), low_limit, high_limit)
        closed = np.clip(np.rint(opened * np.exp(day[t])).astype(np.int64), low_limit, high_limit)
        top = np.rint(np.maximum(opened, closed) * np.exp(wick[0, t])).astype(np.int64)
        bottom = np.rint(np.minimum(opened, closed) * np.exp(-wick[1, t])).astype(np.int64)
        today = np.stack([opened, np.minimum(top, high_limit), np.maximum(bottom, low_limit), closed])
        today = np.where(locked[t] > 0, high_limit, np.where(locked[t] < 0, low_limit, today))
        prices[:, t] = today
        last = np.where(trading[t], today[3], last)
    opened, highest, lowest, closed = prices
    return _Path(opened, highest, lowest, closed, cash, issues, growth)


def _locked(
    rng: np.random.Generator, days: pl.Series, symbols: list[str], trading: Array, free: Array
) -> Array:
    """+1 on sessions at one price, the upper limit; -1 at the lower one: by chance, and after bad news."""
    locked = np.zeros(trading.shape, dtype=np.int64)
    for t, j in zip(rng.integers(20, len(days), 16), rng.integers(0, len(symbols), 16), strict=True):
        locked[t, j] = rng.choice([1, -1])
    delay = next(push for push in PUSHES if push.note == "rack_delay_flash")
    at = int(days.dt.combine(OPEN_CALL).search_sorted(delay.known_at, side="right"))
    locked[at, [symbols.index(s) for s in ("301990.SZ", "301991.SZ", "605991.SH")]] = -1
    locked[:, symbols.index(UNDER_ST[0])] = 0
    st = int(days.search_sorted(UNDER_ST[1]))
    locked[st : st + 3, symbols.index(UNDER_ST[0])] = -1  # a company newly under ST opens at its narrow limit
    return np.where(trading & ~free, locked, 0)


def _schedule(
    rng: np.random.Generator, days: pl.Series, symbols: list[str], trading: Array
) -> tuple[Array, Array]:
    """Dividend yields and new shares per ten by ex-date: most companies once a year, from May to July."""
    yields = np.zeros(trading.shape)
    issues = np.zeros(trading.shape, dtype=np.int64)
    for j, symbol in enumerate(symbols):
        pays = rng.random() < 0.8
        for year in range(START.year, END.year + 1):
            share = rng.uniform(0.004, 0.015)
            at = int(days.search_sorted(dt.date(year, 5, 15))) + int(rng.integers(0, 45))
            while not trading[at, j] and at < len(days) - 1:
                at += 1
            issue = SHARE_ISSUES.get((symbol, year), 0)
            if (pays or issue) and trading[:at, j].any():
                yields[at, j], issues[at, j] = share, issue
    return yields, issues


def _bars(
    rng: np.random.Generator, days: pl.Series, symbols: list[str], trading: Array, path: _Path
) -> pl.DataFrame:
    count, width = trading.shape
    size = rng.lognormal(np.log(6e6), 0.6, width)
    move = np.abs(np.log(path.close / path.open)) + np.log(path.high / path.low)
    one_price = path.high == path.low
    volume = size * np.exp(rng.normal(0.0, 0.35, (count, width)) + 8 * move) * np.where(one_price, 0.05, 1.0)
    shares = np.maximum(np.rint(volume / 100), 1).astype(np.int64) * 100
    average = path.low + (path.high - path.low) * rng.uniform(0.3, 0.7, (count, width))
    kept = trading.ravel()
    frame = pl.DataFrame(
        {
            "symbol": pl.Series(np.tile(np.arange(width), count)),
            "date": pl.Series(np.repeat(days.to_numpy(), width)),
            **{name: getattr(path, name).ravel() / 100 for name in ("open", "high", "low", "close")},
            "volume": shares.ravel(),
            "amount": np.rint(shares * average).ravel() / 100,
        }
    )
    codes = dict(enumerate(symbols))
    return (
        frame.filter(pl.Series(kept))
        .with_columns(
            pl.col("symbol").replace_strict(codes, return_dtype=pl.String), pl.col("date").cast(pl.Date)
        )
        .sort("symbol", "date")
    )


def _corporate(
    days: pl.Series, symbols: list[str], first: dict[str, int], path: _Path
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Actions per share, and the factor at the first session and on each ex-date."""
    actions, factors = [], []
    for j, symbol in enumerate(symbols):
        factor = 1.0
        factors.append({"symbol": symbol, "date": days[first.get(symbol, 0)], "factor": factor})
        for t in np.flatnonzero(path.growth[:, j] != 1.0).tolist():
            factor *= float(path.growth[t, j])
            issued = float(path.issued[t, j]) / 10
            bonus = (symbol, days[t].year) in BONUS
            factors.append({"symbol": symbol, "date": days[t], "factor": factor})
            actions.append(
                {
                    "symbol": symbol,
                    "ex_date": days[t],
                    "cash": float(path.cash[t, j]) / 100,
                    "bonus": issued if bonus else 0.0,
                    "transfer": 0.0 if bonus else issued,
                    "record_date": days[t - 1],
                    "announced_on": days[t - 5],
                }
            )
    return pl.DataFrame(actions), pl.DataFrame(factors)


def _index(rng: np.random.Generator, days: pl.Series, market: Array) -> pl.DataFrame:
    """The benchmark: the market part alone, under the code of the CSI 300 so that the usual flags work."""
    close = 5000 * np.exp(np.cumsum(market))
    opened = np.r_[5000.0, close[:-1]] * np.exp(rng.normal(0.0, 0.003, len(days)))
    wick = np.abs(rng.normal(0.0, 0.004, (2, len(days))))
    high = np.maximum(opened, close) * np.exp(wick[0])
    low = np.minimum(opened, close) * np.exp(-wick[1])
    points = {"open": opened, "high": high, "low": low, "close": close}
    frame = pl.DataFrame({"date": days, **points}).with_columns(pl.col(points).round(2))
    return frame.select(
        pl.lit(INDEX).alias("symbol"),
        "date",
        *points,
        pl.Series("volume", np.rint(rng.lognormal(np.log(1.5e10), 0.25, len(days)))).cast(pl.Int64),
    )
