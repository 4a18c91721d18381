"""Nothing decided at t moves when what comes after t is cut off, changed or reordered.

Three doors are checked: the panel as built from bars and events, every strategy on any panel, and the audit that
looks for such movement itself (it must find a strategy that peeks).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.audit import audit
from data_cache.errors import NoData, UsageError
from data_cache.schemas import Events
from signals.clock import SHANGHAI
from strategies import ALL, make, panel_from_frames

SESSIONS = [d for n in range(260) if (d := dt.date(2023, 11, 1) + dt.timedelta(n)).weekday() < 5]
CALENDAR = pl.Series(SESSIONS)
SYMBOLS = ["002837.SZ", "301018.SZ", "300602.SZ", "603019.SH", "920808.BJ"]
UNIVERSE = pl.DataFrame(
    {
        "symbol": SYMBOLS,
        "name": list("甲乙丙丁戊"),
        "segment": ["full_chain", "cdu", "cold_plate", "server_switch", "cdu"],
        "exposure": [1.0, 0.8, 0.6, 0.4, 1.0],
    }
)
KINDS = sorted({kind for cls in ALL.values() for kind in cls.kinds})
# small spans, so that every state is reached within a few months
PARAMETERS = {
    "asic-drift": {"hold": "7", "min_exposure": "0.3"},
    "rack-delay-exit": {"wait": "9"},
    "leader-satellites": {"satellites": "2"},
    "value-chain": {"tilt": "0.7"},
    "macro-overlay": {"sensitivity": "2", "floor": "0"},
    "buy-and-hold": {},
    "momentum": {"lookback": "10", "skip": "2", "top": "2"},
}


def bars(seed: int) -> pl.DataFrame:
    """Random walks with gaps; some names listed late, one that stops trading."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, symbol in enumerate(SYMBOLS):
        first = 0 if number < 2 else int(rng.integers(0, 60))
        last = len(SESSIONS) if number != 3 else int(rng.integers(90, len(SESSIONS)))
        close = 10 * np.exp(np.cumsum(rng.normal(0, 0.03, len(SESSIONS))))
        traded = rng.random(len(SESSIONS)) > 0.05
        rows += [
            (symbol, SESSIONS[i], c, c * 1.01, c * 0.99, c, 1000, None)
            for i, c in enumerate(close.tolist())
            if first <= i < last and (traded[i] or i == first)
        ]
    schema = {"symbol": pl.String, "date": pl.Date} | dict.fromkeys(
        ("open", "high", "low", "close"), pl.Float64
    )
    return pl.DataFrame(rows, schema=schema | {"volume": pl.Int64, "amount": pl.Float64}, orient="row")


def events(seed: int, count: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        day = SESSIONS[0] + dt.timedelta(int(rng.integers(1, 255)))
        clock = dt.time(int(rng.integers(0, 24)), int(rng.integers(0, 60)))
        kind = str(rng.choice(KINDS))
        named = [str(rng.choice(SYMBOLS))] if rng.random() < 0.3 else []
        links = (
            [str(rng.choice(["cdu", "cold_plate"]))] if kind == "value_share" or rng.random() < 0.3 else []
        )
        low = float(rng.uniform(0.05, 0.4))
        told = {"quantity": "share", "unit": "fraction", "low": low, "high": None if low < 0.1 else low + 0.1}
        rows.append(
            {
                "event_id": f"e{number}", "kind": kind, "subject": None, "polarity": int(rng.choice([-1, 1])),
                "strength": 0.5, "certainty": str(rng.choice(["fact", "forecast", "opinion", "conditional"])),
                "occurred_on": None, "known_at": dt.datetime.combine(day, clock, SHANGHAI), "symbols": named,
                "segments": links, "magnitudes": [told] if kind == "value_share" else [], "source": "test",
                "title": None, "span_start": None, "span_end": None, "extractor": "test",
                "ingested_at": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=Events.create_empty().schema)


def panel(
    prices: pl.DataFrame, told: pl.DataFrame, *, end: dt.date = SESSIONS[170], start: int = 30
) -> pl.DataFrame:
    return panel_from_frames(
        prices, None, CALENDAR, told, UNIVERSE, kinds=KINDS, start=SESSIONS[start], end=end, warmup=30
    ).collect()


def targets(name: str, table: pl.DataFrame) -> pl.DataFrame:
    return make(name, PARAMETERS[name]).targets(table.lazy()).collect()


def test_every_strategy_is_covered() -> None:
    assert PARAMETERS.keys() == ALL.keys()


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), cut=st.integers(31, 169))
def test_the_panel_of_a_date_does_not_know_what_follows(seed: int, count: int, cut: int) -> None:
    prices, told = bars(seed), events(seed, count)
    full = panel(prices, told)
    until = full.filter(pl.col("date") <= SESSIONS[cut])
    # the same inputs with their future removed
    next_auction = dt.datetime.combine(SESSIONS[cut + 1], dt.time(9, 15), SHANGHAI)
    known = told.filter(pl.col("known_at") < next_auction)
    assert panel(prices.filter(pl.col("date") <= SESSIONS[cut]), known, end=SESSIONS[cut]).equals(until)
    # and with another future in its place
    other = pl.concat(
        [
            prices.filter(pl.col("date") <= SESSIONS[cut]),
            bars(seed + 1).filter(pl.col("date") > SESSIONS[cut]),
        ]
    )
    invented = (
        events(seed + 1, 30).filter(pl.col("known_at") >= next_auction).with_columns(pl.col("event_id") + "x")
    )
    assert panel(other, pl.concat([known, invented])).filter(pl.col("date") <= SESSIONS[cut]).equals(until)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 40),
    cut=st.integers(0, 169),
    start=st.integers(0, 60),
)
def test_targets_are_sound_and_do_not_know_what_follows(
    name: str, seed: int, count: int, cut: int, start: int
) -> None:
    table = panel(bars(seed), events(seed, count), start=start)
    full = targets(name, table)
    until = pl.col("date") <= SESSIONS[cut]
    assert targets(name, table.filter(until)).equals(full.filter(until))
    assert targets(name, table.sample(fraction=1, shuffle=True, seed=seed % 1000)).equals(full)

    assert full.schema == {"date": pl.Date, "symbol": pl.String, "weight": pl.Float64}
    assert full["weight"].is_between(0, 1).all()
    assert full["weight"].null_count() == 0
    assert (full.group_by("date").agg(pl.col("weight").sum())["weight"] <= 1).all()
    assert not full.select("date", "symbol").is_duplicated().any()
    assert (full["date"] >= SESSIONS[start]).all()
    assert full.join(table, on=["date", "symbol"], how="anti").height == 0


@pytest.mark.parametrize("name", ALL)
def test_the_same_rows_in_forty_orders_give_the_same_targets_to_the_last_bit(name: str) -> None:
    # joins and groups give rows in any order they like, some of the time: one shuffle shows it one time in twenty
    table = panel(bars(138), events(138, 18), start=46)
    full = targets(name, table)
    for seed in range(40):
        assert targets(name, table.sample(fraction=1, shuffle=True, seed=seed)).equals(full)


@pytest.mark.parametrize("name", ALL)
def test_no_events_and_null_scores_are_borne(name: str) -> None:
    table = panel(bars(1), events(1, 0))
    signals = [c for c in table.columns if c.startswith(("score_", "new_"))]
    nulls = table.with_columns(pl.lit(None, pl.Float64).alias(c) for c in signals)
    assert targets(name, nulls).equals(targets(name, table))


@dataclass(frozen=True)
class Peeks:
    """Buys today what rises tomorrow."""

    kinds: ClassVar[tuple[str, ...]] = ()

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        tomorrow = pl.col("close").shift(-1).over("symbol", order_by="date")
        return panel.filter(tomorrow > pl.col("close")).select("date", "symbol", weight=pl.lit(0.1))


@dataclass(frozen=True)
class KnowsTheMean(Peeks):
    """Weighs by the mean over the whole panel: subtler, and as wrong."""

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        mean = pl.col("close").mean().over("symbol")
        return panel.select("date", "symbol", weight=0.01 * pl.col("close") / mean)


@dataclass(frozen=True)
class PeeksSeldom(Peeks):
    """Buys today what leaps tomorrow: no more than a few books in the whole panel."""

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        tomorrow = pl.col("close").shift(-1).over("symbol", order_by="date")
        leaps = panel.filter("active").filter(tomorrow > pl.col("close") * 1.08)
        return leaps.select("date", "symbol", weight=pl.lit(0.1))


@dataclass(frozen=True)
class LastOfTheMonth(Peeks):
    """Trades on the last row of each month: no later row moves its books, but any cut makes one too many."""

    def targets(self, panel: pl.LazyFrame) -> pl.LazyFrame:
        last = pl.col("date") == pl.col("date").max().over(pl.col("date").dt.truncate("1mo"))
        return panel.filter("active").filter(last).select("date", "symbol", weight=pl.lit(0.1))


@pytest.mark.parametrize("cheat", [Peeks(), KnowsTheMean()])
def test_the_audit_finds_one_that_looks_ahead(cheat: Any) -> None:
    table = panel(bars(5), events(5, 10))
    done = audit(cheat, table.lazy(), cuts=6)
    found = done.violations
    assert found.columns == ["cut", "date", "symbol", "weight_full", "weight_cut"]
    assert done.cuts["cut"].n_unique() == 6
    # at every one of them; who peeks one session ahead shows it where there is a book to be moved
    shown = done.cuts if isinstance(cheat, KnowsTheMean) else done.cuts.filter("emits")
    assert found["cut"].unique().sort().to_list() == shown["cut"].to_list()
    assert (found["date"] <= found["cut"]).all()


def test_the_audit_cuts_where_targets_are_and_not_in_the_history_before_them() -> None:
    table = panel(bars(5), events(5, 10), start=165)  # six active sessions after thirty of history
    found = audit(Peeks(), table.lazy(), cuts=1000)
    assert found.cuts.rows() == [
        (date, True, Peeks().targets(table.lazy()).collect().filter(pl.col("date") <= date).height)
        for date in SESSIONS[165:170]
    ]
    assert found.violations["cut"].unique().sort().to_list() == SESSIONS[165:170]


def test_the_audit_finds_what_seldom_peeks_and_what_trades_for_being_last() -> None:
    table = panel(bars(5), events(5, 10))
    seldom = PeeksSeldom().targets(table.lazy()).collect()["date"].unique().sort().to_list()
    assert 0 < len(seldom) <= 6
    found = audit(PeeksSeldom(), table.lazy(), cuts=12)
    assert found.cuts.filter("emits")["cut"].to_list() == seldom
    assert found.violations["cut"].unique().sort().to_list() == seldom
    # more books than half the cuts leave room for: the other half still falls between them
    found = audit(LastOfTheMonth(), table.lazy(), cuts=6)
    assert found.cuts["emits"].sum() == 3
    assert (
        found.violations["cut"].unique().sort().to_list()
        == found.cuts.filter(~pl.col("emits"))["cut"].to_list()
    )


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.integers(1, 200), start=st.integers(0, 150))
def test_every_cut_of_an_audit_can_test_something(seed: int, cuts: int, start: int) -> None:
    table = panel(bars(seed), events(seed, 0), start=start)
    made = audit(Peeks(), table.lazy(), cuts=cuts).cuts
    books = Peeks().targets(table.filter("active").lazy()).collect()["date"]
    can = [date for date in SESSIONS[start:170] if date >= books.min()]
    assert made.height == min(cuts, len(can))
    assert made["cut"].is_unique().all()
    assert set(made["cut"]) <= set(can)
    assert (made["targets"] > 0).all()
    assert made["emits"].to_list() == made["cut"].is_in(books.implode()).to_list()


@pytest.mark.parametrize("name", ALL)
def test_the_audit_passes_ours(name: str) -> None:
    table = panel(bars(5), events(5, 40))
    assert targets(name, table).height > 0
    found = audit(make(name, PARAMETERS[name]), table.lazy())
    assert found.cuts.height == 40
    assert found.violations.height == 0


def test_the_audit_refuses_what_it_cannot_do() -> None:
    table = panel(bars(5), events(5, 0))
    with pytest.raises(UsageError, match="cuts is 0; needs at least 1"):
        audit(make("momentum"), table.lazy(), cuts=0)
    with pytest.raises(NoData, match="needs two"):
        audit(make("momentum"), table.filter(pl.col("date") == SESSIONS[40]).lazy())
    # all it decides stands on the last session, which cannot be cut away; or there is nothing at all
    with pytest.raises(NoData, match=f"BuyAndHold emits no target on an active date before {SESSIONS[170]}"):
        audit(make("buy-and-hold"), panel(bars(5), events(5, 0), start=170).lazy())
    with pytest.raises(NoData, match="RackDelayExit emits no target"):
        audit(make("rack-delay-exit"), table.with_columns(active=pl.lit(value=False)).lazy())
