"""The exchange's session, compiled: books in, fills and refusals out. The only module that imports numba.

One pass over the sessions; on each:

1. ``_credit``: corporate actions pay the holders of the eve (explicit accounting only);
2. orders of the standing book: sells first, then buys from the cash that is then there;
3. the close: the account is valued at the marks;
4. a new book, if one was decided on this close, cancels what is pending and sizes the next orders.

Money is integer fen, prices integer micro-yuan, quantities integer micro-shares (a whole share is 10**6), rates
integer hundred-millionths, so every fee is exact to the fen. Floats are the size of an order (weight x value /
price) and the adjusted units of a position. docs/execution.md states each rule with a worked example;
tests/backtest/ledger.py restates them in plain Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

__all__ = [
    "FILL",
    "LOST",
    "PAID",
    "RATES",
    "REASONS",
    "bill",
    "check_targets",
    "in_lots",
    "rounded",
    "simulate",
]

REASONS = (
    "limit_up", "limit_down", "suspended", "not_listed", "delisted", "t_plus_1", "lot", "cash", "volume_cap",
)  # fmt: skip
"""Reason codes by number. ``t_plus_1`` cannot occur: a session fills at one moment, and sells come first."""
LIMIT_UP, LIMIT_DOWN, SUSPENDED, NOT_LISTED, DELISTED, T_PLUS_1, LOT, CASH, VOLUME_CAP = range(len(REASONS))

FILL = (
    "decision", "date", "column", "side", "shares", "price", "notional", "commission", "stamp_duty",
    "transfer_fee",
)  # fmt: skip
"""Columns of the fills array: side 0 buys, 1 sells; micro-shares, micro-yuan, then fen."""
LOST = ("decision", "date", "column", "side", "wanted", "filled", "lost", "reason")
"""Columns of the refusals array, micro-shares; wanted -1: the order could not even be sized."""
PAID = ("date", "column", "shares", "cash", "new_shares", "tax")
"""Columns of the dividends array: whole shares held (or sold), fen, whole shares received, fen withheld."""
RATES = ("lot", "step", "stamp_duty_buy", "stamp_duty_sell", "transfer", "par", "par_floor")
"""Last axis of the dated tables: shares, shares, then hundred-millionths, and fen."""

BUY, SELL = 0, 1
LOT_SIZE, LOT_STEP, STAMP, TRANSFER, PAR, PAR_FLOOR = 0, 1, 2, 4, 5, 6  # STAMP + side
MICRO = 1_000_000
RATE = 100_000_000
WIDTH = len(FILL)  # every record array is this wide, so that one `_put` is compiled
NEXT, BOUGHT, SHARES, ACCRUED = (
    0,
    1,
    2,
    3,
)  # columns of a lot; ACCRUED + 0, 1, 2: tax if sold soon, later, late

_F = TypeVar("_F", bound=Callable[..., Any])
_jit = cast(
    "Callable[[_F], _F]", njit(cache=True, nogil=True, error_model="numpy")
)  # no divisor here is ever zero


def _signed(*arguments: str) -> Callable[[_F], _F]:
    """Compile for these arguments only: once, not again for every literal or array layout it is called with."""
    compiled = njit(f"({', '.join(arguments)})", cache=True, nogil=True, error_model="numpy")
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
    """Write row ``n``, for which ``_room`` was made."""
    rows[n, 0], rows[n, 1], rows[n, 2], rows[n, 3], rows[n, 4] = a, b, c, d, e
    rows[n, 5], rows[n, 6], rows[n, 7], rows[n, 8], rows[n, 9] = f, g, h, i, j


@_signed("i8[:,::1]", "i8")
def _room(rows: Any, n: int) -> Any:
    """The array, longer where it cannot hold ``n`` rows.

    Asked for once a session, not at every row: an array that is handed back costs two atomic counts.
    """
    if n <= rows.shape[0]:
        return rows
    longer = np.empty((2 * n, WIDTH), np.int64)
    for row in range(rows.shape[0]):  # plain loops: array expressions cost seconds of compilation
        for column in range(WIDTH):
            longer[row, column] = rows[row, column]
    return longer


@_signed("f8[::1]", "i8")
def _longer(values: Any, n: int) -> Any:
    """The same of a vector."""
    if n <= values.size:
        return values
    longer = np.empty(2 * n, np.float64)
    for i in range(values.size):
        longer[i] = values[i]
    return longer


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


@_signed("i8[::1]", "i8[::1]", "f8[::1]")
def check_targets(dates: Any, columns: Any, weights: Any) -> tuple[int, int]:
    """The first fault of target rows: (code, row); 0 none, 1 not sorted, 2 weight, 3 duplicate, 4 sum."""
    total = 0.0
    for i in range(dates.size):
        if i > 0 and dates[i] == dates[i - 1]:
            if columns[i] < columns[i - 1]:
                return 1, i
            if columns[i] == columns[i - 1]:
                return 3, i
        else:
            if i > 0 and dates[i] < dates[i - 1]:
                return 1, i
            total = 0.0
        if not 0.0 <= weights[i] <= 1.0 + 1e-9:
            return 2, i
        total += weights[i]
        if total > 1.0 + 1e-9:
            return 4, i
    return 0, -1


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


@_signed(
    *["f8[:,::1]"] * 8, "f8", "i8[::1]", "i8[::1]", "i8[::1]", "i8[:,:,::1]",
    "i8[::1]", "i8[::1]", "f8[::1]",
    "i8", "UniTuple(i8, 3)", "f8", "i8", "i8",
    "b1", "i8[:,::1]", "i8[::1]", "i8[::1]",
)  # fmt: skip
def simulate(
    base: Any, buy_probe: Any, sell_probe: Any, volume: Any, factor: Any, mark: Any, limit_up: Any,
    limit_down: Any, tolerance: float, listed: Any, delisted: Any, board: Any, rates: Any,
    book_date: Any, book_column: Any, book_weight: Any,
    cash: int, terms: Any, impact: float, volume_cap: int, buy_retry: int,
    explicit: bool, actions: Any, one_month: Any, one_year: Any,
) -> tuple[Any, Any, Any, Any, Any, Any, Any]:  # fmt: skip
    """Simulate; every choice is explained in docs/execution.md.

    Args:
        base: fill price before slippage, yuan, sessions x symbols; NaN where nothing trades.
        buy_probe: the price that at limit-up refuses a buy; same shape.
        sell_probe: the price that at limit-down refuses a sell.
        volume: shares.
        factor: shares in one adjusted unit are this number; hfq.
        mark: value of one adjusted unit at the close, yuan; carried over suspensions, NaN before the first bar.
        limit_up: yuan, NaN where there is none.
        limit_down: yuan, NaN where there is none.
        tolerance: fraction of the limit within which a price counts as at the limit.
        listed: first session of each symbol.
        delisted: session from which each symbol is gone; the number of sessions if never.
        board: index of each symbol into the second axis of ``rates``.
        rates: sessions x boards x RATES, int64.
        book_date: session of each target row, ascending.
        book_column: symbol of each target row, ascending within a session.
        book_weight: weight of each target row.
        cash: fen.
        terms: commission (hundred-millionths), its floor (fen), slippage (millionths).
        impact: price move, as a fraction, of an order as large as the session's volume.
        volume_cap: millionths of the session's volume one order may take.
        buy_retry: sessions a refused buy is tried again.
        explicit: dividends in cash and whole shares instead of adjusted units.
        actions: rows by session: session, column, cash (micro-yuan a share), new shares (1e-8 a share),
            taxable (micro-yuan a share), tax in percent when sold soon, later, late.
        one_month: last session up to one month after each session.
        one_year: last session up to one year after each session.

    Returns:
        fills (FILL), adjusted units of each fill, refusals (LOST), dividends (PAID), cash (fen) and value
        (yuan) after each close, and the last position (adjusted units, or shares if explicit).
    """
    n_sessions, n_columns = base.shape
    fills, n_fills = np.empty((1024, WIDTH), np.int64), 0
    units_of = np.empty(1024, np.float64)
    lost, n_lost = np.empty((1024, WIDTH), np.int64), 0
    paid, n_paid = np.empty((64, WIDTH), np.int64), 0
    cash_at, value_at = np.empty(n_sessions, np.int64), np.empty(n_sessions, np.float64)

    position = np.zeros(n_columns, np.float64)
    holding, n_held = np.empty(n_columns, np.int64), 0  # the columns held, compact
    place = np.full(n_columns, -1, np.int64)  # where each of them is in `holding`

    lots, n_lots = np.empty((64, WIDTH), np.int64), 0  # explicit: a linked list of purchases per column
    oldest, newest = np.full(n_columns, -1, np.int64), np.full(n_columns, -1, np.int64)

    # the standing book's orders, in adjusted units; an infinite sell is all there is
    sell_column, sell_units, n_sells = np.empty(n_columns, np.int64), np.empty(n_columns, np.float64), 0
    buy_column, buy_units, n_buys = np.empty(n_columns, np.int64), np.empty(n_columns, np.float64), 0
    buy_weight, no_weight = np.empty(n_columns, np.float64), np.zeros(n_columns, np.float64)
    in_book = np.full(n_columns, -1, np.int64)
    decision, tries, row, next_action = -1, 0, 0, 0
    small = np.empty(n_sessions, np.float64)  # a size below this is rounded to no lot on any board
    for t in range(n_sessions):
        small[t] = min([rates[t, g, LOT_SIZE] for g in range(rates.shape[1])]) - 1.0 / MICRO

    for t in range(n_sessions):
        fills = _room(fills, n_fills + n_sells + n_buys)
        units_of = _longer(units_of, n_fills + n_sells + n_buys)
        lost = _room(lost, n_lost + n_sells + 2 * n_buys)  # a buy can be cut for two reasons
        if explicit:
            lots = _room(lots, n_lots + (actions.shape[0] - next_action) + n_buys)
            paid = _room(paid, n_paid + (actions.shape[0] - next_action) + n_sells)

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

    return fills[:n_fills], units_of[:n_fills], lost[:n_lost], paid[:n_paid], cash_at, value_at, position
