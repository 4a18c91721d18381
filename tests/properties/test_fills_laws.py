"""Laws no market may break, whatever the orders."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import execution, market_of, targets_of, terms, worlds

from backtest.execution import Simulation, simulate


def run(world: Any, rules: Any, **changes: Any) -> Simulation:
    rules = dataclasses.replace(execution(rules), **changes)
    return simulate(market_of(world), targets_of(world), cash=world.cash / 100, rules=rules)


@settings(max_examples=40)
@given(worlds(), terms())
def test_cash_is_what_came_in_less_what_went_out_and_never_negative(world: Any, rules: Any) -> None:
    result = run(world, rules)
    signed = pl.when(pl.col("side") == "sell").then(pl.col("notional")).otherwise(-pl.col("notional"))
    flows = result.fills.group_by("date").agg(
        (signed - pl.col("commission") - pl.col("stamp_duty") - pl.col("transfer_fee")).sum().alias("flow")
    )
    cash = result.equity.join(flows, on="date", how="left").with_columns(
        expected=world.cash / 100 + pl.col("flow").fill_null(0).cum_sum()
    )
    np.testing.assert_allclose(cash["cash"], cash["expected"], atol=1e-6)
    assert cash["cash"].min() >= 0  # type: ignore[operator]


@settings(max_examples=40)
@given(worlds(), terms())
def test_shares_are_never_negative_nor_sold_on_the_day_they_were_bought(world: Any, rules: Any) -> None:
    result = run(world, rules)
    fills = result.fills.with_columns(units=pl.Series(result.units))
    held = fills.select(
        "symbol", pl.when(pl.col("side") == "buy").then(1).otherwise(-1) * pl.col("units")
    ).select(pl.col("literal").cum_sum().over("symbol"))
    assert held.to_series().fill_null(0).min() is None or (held.to_series() > -1e-9).all()
    both = fills.group_by("date", "symbol").agg(pl.col("side").n_unique())
    assert (both["side"] == 1).all()


@settings(max_examples=40)
@given(worlds(), terms(), st.randoms())
def test_the_order_of_target_rows_changes_nothing(world: Any, rules: Any, random: Any) -> None:
    market, targets = market_of(world), targets_of(world)
    order = list(range(targets.height))
    random.shuffle(order)
    first = simulate(market, targets, cash=world.cash / 100, rules=execution(rules))
    second = simulate(market, targets[order], cash=world.cash / 100, rules=execution(rules))
    assert first.fills.equals(second.fills)
    assert first.rejections.equals(second.rejections)


@settings(max_examples=40)
@given(worlds(), terms())
def test_dearer_costs_never_help_the_same_fills(world: Any, rules: Any) -> None:
    cheap = run(world, rules, commission=0.0, commission_floor=0.0)
    dear = run(world, rules, commission=0.003, commission_floor=5.0)
    shared = ["date", "symbol", "side", "shares", "price"]
    if cheap.fills.select(shared).equals(dear.fills.select(shared)):
        assert (dear.equity["value"] <= cheap.equity["value"] + 1e-6).all()
    # one first buy, alone: the same money never buys more when it costs more
    if cheap.fills.height and dear.fills.height:
        a, b = cheap.fills.row(0, named=True), dear.fills.row(0, named=True)
        if (a["date"], a["symbol"]) == (b["date"], b["symbol"]):
            assert b["shares"] <= a["shares"]


@settings(max_examples=40)
@given(worlds(), terms(), st.integers(1, 8))
def test_the_future_changes_no_past_fill(world: Any, rules: Any, cut: int) -> None:
    """Everything after a session is torn off; what happened up to it stays as it was."""
    cut = min(cut, len(world.days) - 2)
    day: dt.date = world.days[cut]
    short = dataclasses.replace(
        world,
        days=world.days[: cut + 1],
        stocks=[
            dataclasses.replace(
                stock,
                bars={t: bar for t, bar in stock.bars.items() if t <= cut},
                factors=stock.factors[: cut + 1],
                listed=min(stock.listed, cut),
                gone=min(stock.gone, cut + 1),
            )
            for stock in world.stocks
            if min(stock.bars) <= cut
        ],
        books={t: book for t, book in world.books.items() if t <= cut},
    )
    if not short.stocks:
        return
    alive = {stock.symbol for stock in short.stocks}
    if any(set(book) - alive for book in short.books.values()):
        return  # the book names a stock the short market has never heard of
    whole, part = run(world, rules), run(short, rules)
    assert whole.fills.filter(pl.col("date") <= day).equals(part.fills)
    assert whole.rejections.filter(pl.col("date") <= day).equals(part.rejections)
    assert whole.equity.filter(pl.col("date") <= day).equals(part.equity)
