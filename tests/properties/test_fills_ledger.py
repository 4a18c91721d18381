"""The kernel against the plain ledger: fill by fill, fee by fee, refusal by refusal, over generated markets."""

from __future__ import annotations

import os
from typing import Any

import ledger
import numpy as np
from hypothesis import given, note, settings
from worlds import execution, market_of, targets_of, terms, worlds

from backtest.execution import Simulation, simulate

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"


def compare(world: Any, rules: Any) -> Simulation:
    market = market_of(world)
    book = ledger.Ledger(world, rules)
    ours = simulate(market, targets_of(world), cash=world.cash / 100, rules=execution(rules))
    days = {day: t for t, day in enumerate(world.days)}
    fills = [
        (
            days[f[0]],
            days[f[1]],
            f[2],
            f[3],
            round(f[4] * 10**6),
            round(f[5] * 10**6),
            *(round(m * 100) for m in f[6:]),
        )
        for f in ours.fills.rows()
    ]
    expected = [(*f[:4], round(f[4] * 10**6), *f[5:]) for f in book.fills]
    note(f"ledger: {expected}")
    note(f"kernel: {fills}")
    assert fills == expected
    refusals = [
        (days[r[0]], days[r[1]], *r[2:4], *(x if x is None else round(x * 10**6) for x in r[4:7]), r[7])
        for r in ours.rejections.rows()
    ]
    assert refusals == [
        (*r[:4], *(x if x is None else round(x * 10**6) for x in r[4:7]), r[7]) for r in book.refusals
    ]
    paid = [(days[p[0]], *p[1:3], round(p[3] * 100), p[4], round(p[5] * 100)) for p in ours.dividends.rows()]
    assert sorted(paid) == sorted(book.dividends)
    assert [round(c * 100) for c in ours.equity["cash"]] == [cash for cash, _ in book.equity]
    value = np.array([float(v) for _, v in book.equity])
    np.testing.assert_allclose(ours.equity["value"].to_numpy(), value, rtol=1e-12, atol=1e-6)
    return ours


@settings(max_examples=10_000 if NIGHTLY else 240)
@given(worlds(), terms())
def test_total_return_equals_the_ledger(world: Any, rules: Any) -> None:
    compare(world, rules)


@settings(max_examples=2_000 if NIGHTLY else 60)
@given(worlds(explicit=True, sessions=40), terms(explicit=True))
def test_explicit_accounting_equals_the_ledger(world: Any, rules: Any) -> None:
    compare(world, rules)
