"""The exchange's session, compiled: books in, fills and refusals out.

One pass over the sessions; on each:

1. ``_credit``: corporate actions pay the holders of the eve (explicit accounting only);
2. orders of the standing book: sells first, then buys from the cash that is then there;
3. the close: the account is valued at the marks;
4. a new book, if one was decided on this close, cancels what is pending and sizes the next orders.

Money is integer fen, prices integer micro-yuan, quantities integer micro-shares (a whole share is 10**6), rates
integer hundred-millionths, so every fee is exact to the fen. Floats are the size of an order (weight x value /
price) and the adjusted units of a position. docs/execution.md states each rule with a worked example;
tests/backtest/ledger.py restates them in plain Python.

Nothing here is called from Python: ``backtest.kernel`` says what goes in and allocates all that comes out, and
``data_cache.machine_code`` keeps what numba makes of ``ENTRIES``, so that later processes need no numba. Without an
allocation there is nothing to count, and the code stands alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from backtest.records import (
    ARGUMENTS,
    CASH,
    DELISTED,
    LIMIT_DOWN,
    LIMIT_UP,
    LOT,
    LOT_SIZE,
    LOT_STEP,
    NOT_LISTED,
    PAR,
    PAR_FLOOR,
    STAMP,
    SUSPENDED,
    TRANSFER,
    VOLUME_CAP,
)
from data_cache.machine_code import ALONE

__all__ = ["ENTRIES"]

BUY, SELL = 0, 1
MICRO = 1_000_000
RATE = 100_000_000
NEXT, BOUGHT, SHARES, ACCRUED = range(4)  # columns of a lot; ACCRUED + 0, 1, 2: tax if sold soon, later, late

_F = TypeVar("_F", bound=Callable[..., Any])
_njit = cast("Any", njit)  # its types do not know all of ALONE
_jit = cast("Callable[[_F], _F]", _njit(error_model="numpy", **ALONE))  # no divisor here is ever zero


def _signed(*arguments: str) -> Callable[[_F], _F]:
    """Compile for these arguments only: once, not again for every literal it is called with."""
    compiled = _njit(f"({', '.join(arguments)})", error_model="numpy", **ALONE)
    return cast("Callable[[_F], _F]", compiled)


@_jit
def rounded(x: float) -> int:
    """Half-up to an integer."""
    return int(np.floor(x + 0.5))


@_jit
def in_lots(shares: int, rates: Any) -> int:
    """The largest order of at most ``shares`` micro-shares the board accepts; 0 below one lot."""
    whole, lot, step = shares // MICRO, rates[LOT_SIZE], rates[LOT_STEP]
    return (lot + (whole - lot) // step * step) * MICRO if whole >= lot else 0


@_jit
def _of(amount: int, rate: int) -> int:
    """``rate`` hundred-millionths of ``amount`` fen, half-up."""
    return (amount * rate + RATE // 2) // RATE


@_signed("i8", "i8", "i8", "f8", "f8", "UniTuple(i8, 7)", "UniTuple(i8, 3)", "f8")
def bill(
    side: int, base: int, shares: int, volume: float, limit: float, rates: Any, terms: Any, impact: float
) -> tuple[int, int, int, int, int]:
    """What one order trades at and costs: price (micro-yuan), notional, commission, stamp duty, transfer (fen).

    The price moves against the order by slippage and square-root impact, never beyond the limit (NaN: none).
    """
    commission, floor, slippage = terms
    moved = slippage
    if impact > 0.0:
        moved += rounded(impact * MICRO * np.sqrt(shares / MICRO / volume))
    if side == BUY:
        price = (base * (MICRO + moved) + MICRO // 2) // MICRO
        if not np.isnan(limit):
            price = min(price, rounded(limit * MICRO))
    else:
        price = max((base * max(MICRO - moved, 0) + MICRO // 2) // MICRO, 1)
        if not np.isnan(limit):
            price = max(price, rounded(limit * MICRO))
    # micro-shares x micro-yuan in two parts, so that nothing overflows
    whole, part = shares // MICRO, shares % MICRO
    notional = (whole * price + part * price // MICRO + 5_000) // 10_000
    transfer = _of(notional, rates[TRANSFER])
    if rates[PAR] > 0:  # until 2015 Shanghai charged the face value, one yuan a share
        transfer += max(_of(whole * 100, rates[PAR]), rates[PAR_FLOOR])
    return (
        price,
        notional,
        max(_of(notional, commission), floor),
        _of(notional, rates[STAMP + side]),
        transfer,
    )


@_signed("i8[:,::1]", *["i8"] * 11)
def _put(
    rows: Any, n: int, a: int, b: int, c: int, d: int, e: int, f: int, g: int, h: int, i: int, j: int,
) -> None:  # fmt: skip
    """Write row ``n``, for which there is room."""
    rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3], rows[n, 4] = a, b, c, d, e
    rows[n, 5], rows[n, 6], rows[n, 7], rows[n, 8], rows[n, 9] = f, g, h, i, j


@_signed("i8[:,:,::1]", "i8", "i8")
def _rate(rates: Any, t: int, group: int) -> tuple[int, int, int, int, int, int, int]:
    """The rates of a session and group as a tuple: a view of the array would be counted at every order."""
    return (
        rates[t, group, 0],
        rates[t, group, 1],
        rates[t, group, 2],
        rates[t, group, 3],
        rates[t, group, 4],
        rates[t, group, 5],
        rates[t, group, 6],
    )


@_jit
def _sort(columns: Any, units: Any, weights: Any, n: int) -> None:
    """Sort the first ``n`` orders in place, the heaviest first, equals by column (Shell's sort)."""
    gap = n // 2
    while gap > 0:
        for i in range(gap, n):
            column, unit, weight, k = columns[i], units[i], weights[i], i
            while k >= gap and (
                weights[k - gap] < weight or (weights[k - gap] == weight and columns[k - gap] > column)
            ):
                columns[k], units[k], weights[k] = columns[k - gap], units[k - gap], weights[k - gap]
                k -= gap
            columns[k], units[k], weights[k] = column, unit, weight
        gap //= 2


@_jit
def _affordable(
    cash: int, base: int, most: int, volume: float, limit: float, rates: Any, terms: Any, impact: float
) -> int:
    """The largest buy of at most ``most`` micro-shares that ``cash`` pays with its costs; 0 if not one lot."""
    low, high = -1, (most // MICRO - rates[LOT_SIZE]) // rates[LOT_STEP]  # steps above one lot; -1 is nothing
    while low < high:  # costs only grow with size
        probe = low + (high - low + 1) // 2
        shares = (rates[LOT_SIZE] + probe * rates[LOT_STEP]) * MICRO
        _, notional, fee, duty, transfer = bill(BUY, base, shares, volume, limit, rates, terms, impact)
        if notional + fee + duty + transfer <= cash:
            low = probe
        else:
            high = probe - 1
    return (rates[LOT_SIZE] + low * rates[LOT_STEP]) * MICRO if low >= 0 else 0


@_signed(*ARGUMENTS["check_targets"].values())
def check_targets(dates: Any, columns: Any, weights: Any, row: Any) -> int:
    """The first fault of target rows and its row; see ``kernel.check_targets``."""
    total = 0.0
    for i in range(dates.size):
        row[0] = i
        if i > 0 and dates[i] == dates[i - 1]:
            if columns[i] < columns[i - 1]:
                return 1
            if columns[i] == columns[i - 1]:
                return 3
        else:
            if i > 0 and dates[i] < dates[i - 1]:
                return 1
            total = 0.0
        if not 0.0 <= weights[i] <= 1.0 + 1e-9:
            return 2
        total += weights[i]
        if total > 1.0 + 1e-9:
            return 4
    row[0] = -1
    return 0


@_jit
def _credit(shares: int, action: Any, first_lot: int, lots: Any) -> tuple[int, int]:
    """Cash (fen) and whole new shares for ``shares``; accrues the dividend tax of each lot at its three rates."""
    k = first_lot
    while k >= 0:
        for i in range(3):
            lots[k, ACCRUED + i] += lots[k, SHARES] * action[4] * action[5 + i]
        k = lots[k, NEXT]
    return (shares * action[2] + 5_000) // 10_000, shares * action[3] // 100_000_000


@_signed("i8", "i8", "i8", "i8[:,::1]", "i8[::1]", "i8[::1]", "b1")
def _tax(shares: int, t: int, first_lot: int, lots: Any, one_month: Any, one_year: Any, use: bool) -> int:
    """Dividend tax (fen) of selling ``shares``, oldest lots first; with ``use`` the lots are used up as well."""
    tax, k = 0, first_lot
    while shares > 0:
        has = lots[k, SHARES]
        taken = min(shares, has)
        when = (
            ACCRUED
            if t <= one_month[lots[k, BOUGHT]]
            else ACCRUED + 1
            if t <= one_year[lots[k, BOUGHT]]
            else ACCRUED + 2
        )
        for i in range(ACCRUED, ACCRUED + 3):
            # a part of a lot carries its part of what accrued; in two steps, so that nothing overflows
            part = lots[k, i] // has * taken + lots[k, i] % has * taken // has
            if i == when:
                tax += (part + MICRO // 2) // MICRO  # accrued in micro-yuan x percent
            if use:
                lots[k, i] -= part
        if use:
            lots[k, SHARES] -= taken
        shares -= taken
        k = lots[k, NEXT]
    return tax


@_signed(*ARGUMENTS["simulate"].values())
def simulate(
    base: Any, buy_probe: Any, sell_probe: Any, volume: Any, factor: Any, mark: Any, limit_up: Any,
    limit_down: Any, tolerance: float, listed: Any, delisted: Any, board: Any, rates: Any,
    book_date: Any, book_column: Any, book_weight: Any,
    cash: int, terms: Any, impact: float, volume_cap: int, buy_retry: int,
    explicit: int, actions: Any, one_month: Any, one_year: Any,
    fills: Any, lost: Any, paid: Any, lots: Any, units_of: Any, cash_at: Any, value_at: Any, counts: Any,
    whole: Any, real: Any, small: Any,
) -> int:  # fmt: skip
    """Simulate; ``kernel.simulate`` says what the arguments mean, and what is written into the last eleven.

    ``units_of``: adjusted units of each fill. ``lots``: under explicit accounting a linked list of purchases a
    column. ``counts``: how many fills, refusals and dividends there are. ``whole``, ``real`` and ``small`` are
    room to work in: 7 and 5 rows of columns, and a number a session.

    Returns:
        1 where ``fills``, ``lost``, ``paid`` or ``lots`` has too few rows, else 0.
    """
    n_sessions, n_columns = base.shape
    n_fills, n_lost, n_paid, n_lots = 0, 0, 0, 0

    position = real[0]
    holding, n_held = whole[0], 0  # the columns held, compact
    place = whole[1]  # where each of them is in `holding`
    oldest, newest = whole[2], whole[3]

    # the standing book's orders, in adjusted units; an infinite sell is all there is
    sell_column, sell_units, n_sells = whole[4], real[1], 0
    buy_column, buy_units, n_buys = whole[5], real[2], 0
    buy_weight, no_weight = real[3], real[4]
    in_book = whole[6]
    for j in range(n_columns):
        position[j], no_weight[j] = 0.0, 0.0
        place[j], oldest[j], newest[j], in_book[j] = -1, -1, -1, -1
    decision, tries, row, next_action = -1, 0, 0, 0
    for t in range(n_sessions):  # a size below this is rounded to no lot on any board
        least = rates[t, 0, LOT_SIZE]
        for g in range(1, rates.shape[1]):
            least = min(least, rates[t, g, LOT_SIZE])
        small[t] = least - 1.0 / MICRO

    for t in range(n_sessions):
        # a buy can be cut for two reasons
        if n_fills + n_sells + n_buys > fills.shape[0] or n_lost + n_sells + 2 * n_buys > lost.shape[0]:
            return 1
        if explicit:
            to_come = actions.shape[0] - next_action
            if n_lots + to_come + n_buys > lots.shape[0] or n_paid + to_come + n_sells > paid.shape[0]:
                return 1

        # 1. corporate actions
        while next_action < actions.shape[0] and actions[next_action, 0] == t:
            j = actions[next_action, 1]
            shares = int(position[j])
            if shares > 0:
                credit, fresh = _credit(shares, actions[next_action], oldest[j], lots)
                cash += credit
                position[j] += fresh
                _put(paid, n_paid, t, j, shares, credit, fresh, 0, 0, 0, 0, 0)
                n_paid += 1
                if fresh > 0:
                    _put(lots, n_lots, -1, t, fresh, 0, 0, 0, 0, 0, 0, 0)
                    lots[newest[j], NEXT] = n_lots
                    newest[j] = n_lots
                    n_lots += 1
            next_action += 1

        # 2. orders: sells
        kept = 0
        for i in range(n_sells):
            j, units = sell_column[i], sell_units[i]
            f, rate = factor[t, j], _rate(rates, t, board[j])
            unit = 1.0 if explicit else f  # shares in one unit of `position`
            held = rounded(position[j] * unit * MICRO)
            everything = np.isinf(units)
            wanted = held if everything else in_lots(min(rounded(units * f * MICRO), held), rate)
            if wanted == 0:
                continue
            reason, filled = -1, 0
            price, notional, fee, duty, transfer, tax = 0, 0, 0, 0, 0, 0
            if t >= delisted[j]:
                reason = DELISTED
            elif np.isnan(base[t, j]):
                reason = SUSPENDED
            elif sell_probe[t, j] <= limit_down[t, j] * (1.0 + tolerance):
                reason = LIMIT_DOWN
            else:
                filled = wanted
                capped = int(volume[t, j]) * volume_cap // MICRO * MICRO
                if wanted > capped:
                    reason, filled = VOLUME_CAP, in_lots(capped, rate)
            if filled > 0:
                price, notional, fee, duty, transfer = bill(
                    SELL,
                    rounded(base[t, j] * MICRO),
                    filled,
                    volume[t, j],
                    limit_down[t, j],
                    rate,
                    terms,
                    impact,
                )
                if explicit:
                    tax = _tax(filled // MICRO, t, oldest[j], lots, one_month, one_year, False)
                if cash + notional - fee - duty - transfer - tax < 0:
                    reason, filled = CASH, 0  # worth less than its costs, and no cash to pay them
            if reason >= 0:
                _put(lost, n_lost, decision, t, j, SELL, wanted, filled, wanted - filled, reason, 0, 0)
                n_lost += 1
            if filled > 0:
                cash += notional - fee - duty - transfer - tax
                sold = position[j] if filled == held else filled / MICRO / unit
                _put(fills, n_fills, decision, t, j, SELL, filled, price, notional, fee, duty, transfer)
                units_of[n_fills] = sold
                n_fills += 1
                if explicit:
                    _tax(filled // MICRO, t, oldest[j], lots, one_month, one_year, True)
                    while oldest[j] >= 0 and lots[oldest[j], SHARES] == 0:
                        oldest[j] = lots[oldest[j], NEXT]
                    if tax > 0:
                        _put(paid, n_paid, t, j, filled // MICRO, 0, 0, tax, 0, 0, 0, 0)
                        n_paid += 1
                position[j] -= sold
                if filled == held:
                    position[j] = 0.0
                    n_held -= 1
                    holding[place[j]] = holding[n_held]
                    place[holding[n_held]] = place[j]
            if filled < wanted and reason != DELISTED:  # an order until done or until the next book
                sell_column[kept], sell_units[kept] = j, units - filled / MICRO / f
                kept += 1
        n_sells = kept

        #    then buys, the heaviest first
        kept = 0
        for i in range(n_buys):
            j, units = buy_column[i], buy_units[i]
            f, rate = factor[t, j], _rate(rates, t, board[j])
            size = -1 if np.isnan(units) else rounded(units * f * MICRO)
            wanted = -1 if size < 0 else in_lots(size, rate)
            if wanted == 0:
                if position[j] == 0.0:  # the book names a symbol it cannot have one lot of
                    _put(lost, n_lost, decision, t, j, BUY, size, 0, size, LOT, 0, 0)
                    n_lost += 1
                continue
            reason = -1
            if t >= delisted[j]:
                reason = DELISTED
            elif wanted < 0 or t < listed[j]:
                reason = NOT_LISTED
            elif np.isnan(base[t, j]):
                reason = SUSPENDED
            elif buy_probe[t, j] >= limit_up[t, j] * (1.0 - tolerance):
                reason = LIMIT_UP
            if reason >= 0:
                _put(lost, n_lost, decision, t, j, BUY, wanted, 0, max(wanted, 0), reason, 0, 0)
                n_lost += 1
                if wanted > 0 and reason != DELISTED:
                    buy_column[kept], buy_units[kept] = j, units
                    kept += 1
                continue
            start, limit, traded = rounded(base[t, j] * MICRO), limit_up[t, j], volume[t, j]
            capped = int(traded) * volume_cap // MICRO * MICRO
            allowed = in_lots(min(wanted, capped), rate)
            filled = allowed
            price, notional, fee, duty, transfer = bill(
                BUY, start, filled, traded, limit, rate, terms, impact
            )
            if filled > 0 and notional + fee + duty + transfer > cash:
                filled = _affordable(cash, start, filled, traded, limit, rate, terms, impact)
                price, notional, fee, duty, transfer = bill(
                    BUY, start, filled, traded, limit, rate, terms, impact
                )
            if allowed < wanted:
                _put(lost, n_lost, decision, t, j, BUY, wanted, filled, wanted - allowed, VOLUME_CAP, 0, 0)
                n_lost += 1
            if filled < allowed:
                _put(lost, n_lost, decision, t, j, BUY, wanted, filled, allowed - filled, CASH, 0, 0)
                n_lost += 1
            if filled > 0:
                cash -= notional + fee + duty + transfer
                bought = filled / MICRO / (1.0 if explicit else f)
                _put(fills, n_fills, decision, t, j, BUY, filled, price, notional, fee, duty, transfer)
                units_of[n_fills] = bought
                n_fills += 1
                if position[j] == 0.0:
                    holding[n_held], place[j] = j, n_held
                    n_held += 1
                position[j] += bought
                if explicit:
                    _put(lots, n_lots, -1, t, filled // MICRO, 0, 0, 0, 0, 0, 0, 0)
                    if oldest[j] < 0:
                        oldest[j] = n_lots
                    else:
                        lots[newest[j], NEXT] = n_lots
                    newest[j] = n_lots
                    n_lots += 1
            if filled < wanted:
                buy_column[kept], buy_units[kept] = j, units - filled / MICRO / f
                kept += 1
        n_buys = kept if tries < buy_retry else 0
        tries += 1

        # 3. the close
        worth = 0.0
        for i in range(n_held):
            j = holding[i]
            worth += position[j] * mark[t, j] / (factor[t, j] if explicit else 1.0)
        cash_at[t] = cash
        value_at[t] = cash / 100.0 + worth

        # 4. a new book
        if row < book_date.size and book_date[row] == t:
            decision, tries, n_sells, n_buys = t, 0, 0, 0
            heaviest_first = True
            while row < book_date.size and book_date[row] == t:
                j, weight = book_column[row], book_weight[row]
                row += 1
                in_book[j] = t
                have = position[j] / (factor[t, j] if explicit else 1.0)
                change = weight * value_at[t] / mark[t, j] - have if weight > 0.0 else -np.inf
                if have > 0.0 and t + 1 < n_sessions and np.abs(change) * factor[t + 1, j] < small[t + 1]:
                    continue  # less than a lot of what is held is no order; most of an unchanged book is that
                if change > 0.0 or np.isnan(change):  # NaN before the first bar: refused as not listed
                    heaviest_first = heaviest_first and (n_buys == 0 or weight <= buy_weight[n_buys - 1])
                    buy_column[n_buys], buy_units[n_buys], buy_weight[n_buys] = j, change, weight
                    n_buys += 1
                elif change < 0.0 and have > 0.0:
                    sell_column[n_sells], sell_units[n_sells] = j, -change
                    n_sells += 1
            for i in range(n_held):
                if in_book[holding[i]] != t:
                    sell_column[n_sells], sell_units[n_sells] = holding[i], np.inf
                    n_sells += 1
            if not heaviest_first:
                _sort(buy_column, buy_units, buy_weight, n_buys)
            _sort(sell_column, sell_units, no_weight, n_sells)

    counts[0], counts[1], counts[2] = n_fills, n_lost, n_paid
    return 0


ENTRIES: dict[str, Any] = {"simulate": simulate, "check_targets": check_targets}
"""What ``data_cache.machine_code`` keeps: dispatchers of one signature each."""
