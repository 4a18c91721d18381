"""Buy-and-hold and momentum on panels small enough to work by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from strategies import BuyAndHold, Momentum
from strategies.book import ABSENT, INVESTED

Books = Callable[..., dict[int, dict[str, float]]]


def test_buy_and_hold_buys_once_and_lets_it_drift(make_panel: Any, books: Books) -> None:
    panel = make_panel({"A": {"close": [10 + i for i in range(30)]}, "B": {}}, active_from=7)
    assert books(BuyAndHold().targets(panel)) == {7: {"A": INVESTED / 2, "B": INVESTED / 2}}


def test_a_new_listing_joins_at_the_yearly_reset(
    make_panel: Any, books: Books, weekdays: list[dt.date]
) -> None:
    new_year = next(i for i, d in enumerate(weekdays) if d.year == 2025)
    panel = make_panel({"A": {}, "B": {"first": 40}}, n=new_year + 5)
    third = INVESTED / 2
    assert books(BuyAndHold().targets(panel)) == {0: {"A": INVESTED}, new_year: {"A": third, "B": third}}


def test_a_listing_too_young_at_the_reset_waits_a_year(
    make_panel: Any, books: Books, weekdays: list[dt.date]
) -> None:
    new_year = next(i for i, d in enumerate(weekdays) if d.year == 2025)
    panel = make_panel({"A": {}, "B": {"first": new_year - 18}}, n=new_year + 30)
    assert books(BuyAndHold(min_history=20).targets(panel))[new_year] == {"A": INVESTED}
    # its 19th session is the first of the year: enough where 19 are asked for
    assert books(BuyAndHold(min_history=19).targets(panel))[new_year] == {
        "A": INVESTED / 2,
        "B": INVESTED / 2,
    }


def test_a_name_long_out_of_trading_is_not_bought(make_panel: Any, books: Books) -> None:
    gaps = range(3, 3 + ABSENT)
    panel = make_panel({"A": {}, "B": {"gaps": gaps}}, active_from=2 + ABSENT)
    assert books(BuyAndHold().targets(panel)) == {2 + ABSENT: {"A": INVESTED}}
    panel = make_panel({"A": {}, "B": {"gaps": gaps}}, active_from=1 + ABSENT)
    assert books(BuyAndHold().targets(panel)) == {1 + ABSENT: {"A": INVESTED / 2, "B": INVESTED / 2}}


def test_momentum_ranks_by_the_return_before_the_skip(
    make_panel: Any, books: Books, weekdays: list[dt.date]
) -> None:
    # months begin at sessions 0 and 23 (1 February 2024); at 23 the return runs from session 23-5-10=8 to 18
    february = next(i for i, d in enumerate(weekdays) if d.month == 2)
    assert february == 23
    closes = {s: [10.0] * 30 for s in "ABCD"}
    closes["A"][18] = 12.0  # +20 %
    closes["B"][8], closes["B"][18] = 5.0, 11.0  # +120 %
    closes["C"][19:] = [100.0] * 11  # rose inside the skip: not seen
    closes["D"][7] = 1.0  # rose before the look-back: not seen
    panel = make_panel({s: {"close": c} for s, c in closes.items()})
    got = books(Momentum(lookback=10, skip=5, top=2, min_history=1).targets(panel))
    assert got == {23: {"A": INVESTED / 2, "B": INVESTED / 2}}


def test_momentum_breaks_ties_by_symbol_and_leaves_missing_names_in_cash(
    make_panel: Any, books: Books
) -> None:
    panel = make_panel({"B": {}, "A": {}, "C": {}}, active_from=23)
    assert books(Momentum(lookback=10, top=2).targets(panel))[23] == {"A": INVESTED / 2, "B": INVESTED / 2}
    assert books(Momentum(lookback=10, top=4).targets(panel))[23] == dict.fromkeys("ABC", INVESTED / 4)


def test_momentum_resets_weights_each_month_and_sells_what_falls_out(
    make_panel: Any, books: Books, weekdays: list[dt.date]
) -> None:
    months = [i for i, d in enumerate(weekdays[:80]) if i and d.month != weekdays[i - 1].month]
    falling = [100.0 - i for i in range(80)]
    rising = [10.0] * 40 + [10.0 + i for i in range(40)]
    panel = make_panel({"A": {}, "B": {"close": rising}, "C": {"close": falling}}, n=80)
    got = books(Momentum(lookback=10, skip=0, top=1).targets(panel))
    assert got == {
        months[0]: {"A": INVESTED},
        months[1]: {"A": 0.0, "B": INVESTED},  # session 44: B has begun to rise
        months[2]: {"B": INVESTED},
    }


@pytest.mark.parametrize("strategy", [BuyAndHold(), Momentum()])
def test_an_empty_panel_gives_no_targets(make_panel: Any, books: Books, strategy: Any) -> None:
    assert books(strategy.targets(make_panel({"A": {}}).filter(False))) == {}
