"""Each rule by its name: what breaks it, what comes near and does not, and what real tape says of it."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_cache.integrity import sound
from data_cache.schemas import Bars
from data_cache.store import Store, Written

DAYS = [dt.date(2024, 1, d) for d in (2, 3, 4, 5, 8, 9, 10, 11, 12, 15)]
SYMBOL = "002837.SZ"


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Store.create(tmp_path_factory.mktemp("empty") / "s.duckdb").path


@pytest.fixture
def store(tmp_path: Path, empty: Path) -> Store:
    return Store.open(shutil.copy(empty, tmp_path / "s.duckdb"))


def bars(closes: list[float], *, days: list[dt.date] = DAYS, symbol: str = SYMBOL) -> pl.DataFrame:
    """One-price days at these closes; amounts to match."""
    rows = len(closes)
    volume = [20_011 + 7 * i for i in range(rows)]
    return pl.DataFrame(
        {
            "symbol": [symbol] * rows, "date": days[:rows], "open": closes, "high": closes, "low": closes,
            "close": closes, "volume": volume, "amount": [c * v for c, v in zip(closes, volume, strict=True)],
        }
    )  # fmt: skip


def with_(frame: pl.DataFrame, row: int, **values: Any) -> pl.DataFrame:
    """The frame with some cells of one row changed."""
    rows = frame.to_dicts()
    rows[row] |= values
    return pl.DataFrame(rows, schema=frame.schema)


def rules(store: Store) -> list[str]:
    return sorted(store.rejected()["rule"])


FLAT = [10.0, 10.1, 10.2, 10.1, 10.0, 10.1, 10.2, 10.3, 10.2, 10.1]

# ------------------------------------------------------------------------ schema

PRICE = st.one_of(
    st.none(), st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 10.0, 10.5]), st.floats(0.01, 20)
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "symbol": st.sampled_from([SYMBOL, "600519.SH", "SZ002837", "", None]),
                "date": st.one_of(st.none(), st.just(DAYS[0])),
                "open": PRICE, "high": PRICE, "low": PRICE, "close": PRICE,
                "volume": st.sampled_from([None, -1, 0, 1, 100]),
                "amount": PRICE,
            }
        ),
        min_size=1,
        max_size=8,
    )
)  # fmt: skip
def test_the_quick_answer_is_the_schemas(rows: list[dict[str, Any]]) -> None:
    frame = pl.DataFrame(rows, schema=pl.Schema(Bars))
    one_by_one = [Bars.filter(frame[i]).result.height == 1 for i in range(frame.height)]
    assert sound(frame).to_list() == one_by_one


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        ({"high": 9.0}, "high_is_highest"),
        ({"low": 11.0, "high": 11.0}, "low_is_lowest"),
        ({"open": -1.0, "low": -1.0}, "positive"),
        ({"volume": -5}, "positive"),
        ({"amount": 0.0}, "positive"),
        ({"close": None}, "close|nullability"),
        ({"close": float("nan")}, "close|nan"),
        ({"symbol": "SZ002837"}, "symbol|regex"),
    ],
)
def test_a_bad_row_is_named_by_its_rule_and_the_others_stay(
    store: Store, cells: dict[str, Any], rule: str
) -> None:
    done = store.put_bars(with_(bars(FLAT), 4, **cells), source="x")
    assert done == Written(inserted=9, rejected=1)
    assert rules(store) == [rule]
    assert DAYS[4] not in store.bars(basis="raw")["date"]
    store.put_bars(with_(bars(FLAT), 4, **cells), source="x")
    assert rules(store) == [rule]  # listed once


def test_a_day_without_volume_is_a_suspension_not_an_error(store: Store) -> None:
    frame = with_(bars(FLAT), 4, volume=0, amount=None)
    assert store.put_bars(frame, source="x") == Written(inserted=9, suspended=1)
    assert store.suspensions().select("symbol", "date").rows() == [(SYMBOL, DAYS[4])]
    assert store.put_bars(frame, source="x") == Written(unchanged=10)
    sunday = with_(frame, 4, date=dt.date(2024, 1, 7))
    assert store.put_bars(sunday, source="x") == Written(unchanged=9, rejected=1)


def test_copies_count_once_and_contradictions_not_at_all(store: Store) -> None:
    frame = bars(FLAT)
    assert store.put_bars(pl.concat([frame, frame.head(2)]), source="x") == Written(inserted=10, unchanged=2)
    other = bars(FLAT, symbol="300308.SZ")
    clash = pl.concat([other, with_(other, 4, close=9.99, low=9.9).slice(4, 1)])
    assert store.put_bars(clash, source="x") == Written(inserted=9, rejected=2)
    assert rules(store) == ["duplicate", "duplicate"]


# -------------------------------------------------------------- beyond the schema


def test_off_the_calendar(store: Store) -> None:
    done = store.put_bars(with_(bars(FLAT), 4, date=dt.date(2024, 1, 7)), source="x")
    assert done == Written(inserted=9, rejected=1)
    assert rules(store) == ["on_calendar"]


@pytest.mark.parametrize(
    ("volume", "amount", "kept"),
    [
        (20_011, 20_011 * 10.0, True),
        (20_011, 20_011 * 10.0049, True),  # within half a tick
        (20_011, 20_011 * 10.0056, False),
        (20_011, 20_011 * 9.9944, False),
        (200, 2_990.0, True),  # 299 shares, counted in whole lots
        (200, 3_100.0, False),
        (201, 2_990.0, False),  # not in lots, so not rounded
        (200_000, 20_000.0, False),  # lots taken for shares, or the reverse
    ],
)
def test_the_average_price_lies_in_the_days_range(
    store: Store, volume: int, amount: float, *, kept: bool
) -> None:
    frame = with_(bars(FLAT), 0, volume=volume, amount=amount)
    store.put_bars(frame, source="x")
    assert (DAYS[0] in store.bars(basis="raw")["date"]) is kept
    assert rules(store) == ([] if kept else ["amount_in_range"])
    assert store.put_bars(frame, source="x", basis="qfq").inserted == 10  # adjusted prices say nothing of it


def test_a_repeated_bar_is_stale_in_one_put_or_two(store: Store) -> None:
    frame = bars(FLAT)
    again = frame.row(3, named=True) | {"date": DAYS[4]}
    stale = with_(frame, 4, **again)
    assert store.put_bars(stale, source="x") == Written(inserted=9, rejected=1)
    assert rules(store) == ["stale_flat"]
    other = stale.with_columns(symbol=pl.lit("300308.SZ"))
    store.put_bars(other.head(4), source="x")
    assert store.put_bars(other.slice(4, 1), source="x") == Written(rejected=1)
    # The day before must be the day before of the same symbol.
    third = other.slice(4, 1).with_columns(symbol=pl.lit("600519.SH"))
    assert store.put_bars(third, source="x") == Written(inserted=1)


@pytest.mark.parametrize("symbols", [["000063.SZ", "600519.SH"], ["600519.SH", "000063.SZ"]])
def test_the_order_of_a_files_symbols_is_free(store: Store, symbols: list[str]) -> None:
    both = pl.concat([bars(FLAT, symbol=symbol) for symbol in symbols])
    store.put_bars(both.filter(pl.col("date") < DAYS[4]), source="x")
    again = both.row(3, named=True)  # of the first symbol; its fifth day repeats its fourth
    stale = with_(both, 4, **(again | {"date": DAYS[4]}))
    for frame in (stale, stale.sort("date", maintain_order=True), stale.reverse()):
        store.put_bars(frame, source="x")
        (listed,) = store.rejected().to_dicts()
        assert (listed["symbol"], listed["date"], listed["rule"]) == (symbols[0], DAYS[4], "stale_flat")


def test_a_few_shares_at_one_price_may_repeat(store: Store) -> None:
    frame = bars([10.5] * 3).with_columns(volume=pl.lit(10, dtype=pl.Int64), amount=pl.lit(105.0))
    assert store.put_bars(frame, source="x") == Written(inserted=3)


def jump(to: float, at: int = 7) -> pl.DataFrame:
    return bars([*FLAT[:at], to, *[to] * (9 - at)])


@pytest.mark.parametrize(
    ("close", "kept"), [(11.22, True), (11.23, False), (12.4, False)]
)  # 10.20 x 1.1 = 11.22
def test_a_rise_beyond_the_boards_limit(store: Store, close: float, *, kept: bool) -> None:
    done = store.put_bars(jump(close), source="x")
    assert (done.rejected == 0) is kept
    # What follows is judged by the day before it, which is not there.
    assert rules(store) == ([] if kept else ["board_limit"])


def test_the_limit_is_that_of_the_board_and_the_status(store: Store) -> None:
    for symbol, close, kept in (("300308.SZ", 12.24, True), ("300308.SZ", 12.25, False),
                                ("688256.SH", 12.24, True), ("920808.BJ", 13.26, True),
                                ("920808.BJ", 13.27, False)):  # fmt: skip
        frame = jump(close).with_columns(symbol=pl.lit(symbol))
        done = store.put_bars(frame, source=f"{symbol}{close}")
        assert (done.rejected == 0) is kept, (symbol, close)
        store = Store.open(shutil.copy(store.path, store.path.with_name(f"{symbol}{close}")))
        store = _without_bars(store)
    names = pl.DataFrame({"symbol": [SYMBOL], "valid_from": [DAYS[0]], "name": ["*ST英维"]})
    store.put_name_history(names, source="x")
    assert store.put_bars(jump(10.72), source="x").rejected == 1  # 5 %: 10.71
    assert rules(store).count("board_limit") >= 1


def _without_bars(store: Store) -> Store:
    import duckdb

    with duckdb.connect(str(store.path)) as connection:
        connection.execute("DELETE FROM bars")
        connection.execute("DELETE FROM bar_tips")
    return store


def test_a_fall_is_judged_only_where_the_day_is_known_not_to_be_ex(store: Store) -> None:
    halved = jump(5.1)
    assert store.put_bars(halved, source="x", basis="raw").rejected == 0  # it may be ex
    other = halved.with_columns(symbol=pl.lit("300308.SZ"))
    factors = pl.DataFrame({"symbol": ["300308.SZ"], "date": [dt.date(2020, 1, 2)], "factor": [1.0]})
    store.put_factors(factors, source="x")  # asked today, and no ex-date in 2024
    assert store.put_bars(other, source="x") == Written(inserted=9, rejected=1)
    assert rules(store) == ["board_limit"]


def test_on_an_ex_date_the_reference_is_the_adjusted_close(store: Store) -> None:
    factors = pl.DataFrame({"symbol": [SYMBOL] * 2, "date": [DAYS[0], DAYS[7]], "factor": [1.0, 2.0]})
    store.put_factors(factors, source="x")
    assert store.put_bars(jump(5.1), source="x").rejected == 0
    third = factors.with_columns(symbol=pl.lit("000063.SZ"))
    store.put_factors(third, source="x")
    too_high = jump(5.7).with_columns(symbol=pl.lit("000063.SZ"))  # 5.10 x 1.1 = 5.61
    assert store.put_bars(too_high, source="x").rejected == 1
    assert rules(store) == ["board_limit"]


def test_a_new_listing_and_a_gap_are_let_through(store: Store) -> None:
    instruments = pl.DataFrame(
        {"symbol": ["301018.SZ"], "name": ["申菱环境"], "board": ["chinext"], "listed": [DAYS[0]], "delisted": [None]},
        schema_overrides={"delisted": pl.Date},
    )  # fmt: skip
    store.put_instruments(instruments, source="x")
    fresh = bars([10.0, 30.0, 35.0, 60.0, 90.0, 91.0, 120.0], symbol="301018.SZ")
    done = store.put_bars(fresh, source="x")
    assert done == Written(inserted=6, rejected=1)  # five free sessions; the seventh is beyond 20 %
    gap = bars([10.0, 10.1, 10.2, 10.1, 10.0, 15.0], days=[*DAYS[:5], DAYS[7]])
    assert store.put_bars(gap, source="x").rejected == 0  # two sessions unknown: so is the reference
    unknown = bars([10.0, 30.0], symbol="000001.SZ")
    assert store.put_bars(unknown, source="x").rejected == 0  # its age is not known


def test_the_day_before_may_be_stored_already(store: Store) -> None:
    store.put_bars(bars(FLAT[:7]), source="x")
    assert store.put_bars(jump(12.0).slice(7, 1), source="x") == Written(rejected=1)
    assert rules(store) == ["board_limit"]
    assert store.put_bars(jump(11.0).slice(7, 1), source="x") == Written(inserted=1)


def test_after_months_without_trading_the_last_bar_is_still_found(store: Store) -> None:
    store.put_bars(bars(FLAT[:6]), source="x")
    later = bars([10.1], days=[dt.date(2024, 6, 3)])
    frame = with_(later, 0, volume=20_011 + 35, amount=10.1 * 20_046)
    assert store.put_bars(frame, source="x") == Written(rejected=1)  # the very bar of January
    assert rules(store) == ["stale_flat"]


def never_ex(store: Store) -> Store:
    """The store, told today that its symbol had no ex-date in 2024: so falls are judged too."""
    factors = pl.DataFrame({"symbol": [SYMBOL], "date": [dt.date(2020, 1, 2)], "factor": [1.0]})
    store.put_factors(factors, source="x")
    return store


@settings(max_examples=20)  # each makes a store
@given(
    level=st.one_of(st.floats(0.3, 0.85), st.floats(1.2, 3.0)),
    start=st.integers(5, 7),
    source=st.sampled_from(["x", "y"]),
)
def test_a_series_told_on_another_level_leaves_the_stored_one_as_it_is(
    empty: Path, level: float, start: int, source: str
) -> None:
    """Whoever tells it, wherever its window starts, evening after evening: no row of it enters."""
    with tempfile.TemporaryDirectory() as folder:
        store = never_ex(Store.open(shutil.copy(empty, Path(folder) / "s.duckdb")))
        store.put_bars(bars(FLAT[:8]), source="x")
        before = store.bars(basis="raw")
        moved = bars([round(close * level, 2) for close in FLAT])
        for first, days in ((start, 9), (7, 10)):  # the second evening meets the last stored bar alone
            window = moved.slice(first, days - first)
            assert store.put_bars(window, source=source) == Written(rejected=window.height)
            assert store.bars(basis="raw").equals(before)
        assert "level" in rules(store)
        assert store.put_bars(bars(FLAT).slice(start), source="x").inserted == 2, "told rightly again"


def test_a_refused_restatement_costs_no_other_row(store: Store) -> None:
    never_ex(store).put_bars(bars(FLAT[:8]), source="x")
    wild = bars([*FLAT[:6], 5.1, *FLAT[7:]])
    assert store.put_bars(wild.slice(4), source="x") == Written(inserted=2, unchanged=3, rejected=1)
    assert store.bars(basis="raw")["close"].to_list() == FLAT
    assert rules(store) == ["board_limit"]


# --------------------------------------------------------------- a second source


def test_as_traded_sources_agree_to_half_a_tick_and_a_lot(store: Store) -> None:
    mine = bars(FLAT).with_columns(
        volume=pl.lit(1_000_050, dtype=pl.Int64), amount=pl.lit(None, dtype=pl.Float64)
    )
    mine = mine.with_columns(volume=pl.col("volume") + pl.int_range(pl.len()))
    store.put_bars(mine, source="x")
    near = mine.with_columns(
        pl.col("close") - 0.004,
        pl.col("low") - 0.004,
        volume=(pl.col("volume") // 100) * 100 + pl.int_range(pl.len()),
    )
    assert store.put_bars(near, source="y") == Written(unchanged=10)
    far = mine.with_columns(pl.col("low") - 0.02, pl.col("close") - 0.02)
    assert store.put_bars(far, source="y") == Written(rejected=10)
    assert set(rules(store)) == {"cross_source"}


def wave(scale: float, days: list[dt.date]) -> pl.DataFrame:
    closes = [scale * (10 + (i % 5) / 10) for i in range(len(days))]
    return bars(closes, days=days).drop("amount")


def test_adjusted_sources_are_compared_by_their_returns(store: Store) -> None:
    past = store.calendar().filter(
        store.calendar() < dt.date(2026, 1, 1)
    )  # the running day would be provisional
    days = past.tail(60).head(40).to_list()
    store.put_bars(wave(1.0, days), source="x", basis="qfq")
    assert store.put_bars(wave(0.8, days), source="y", basis="qfq") == Written(unchanged=40)
    level = pl.concat([wave(0.8, days[:20]), wave(0.5, days)[20:]])
    assert store.put_bars(level, source="z", basis="qfq") == Written(unchanged=39, rejected=1)
    (found,) = store.rejected().to_dicts()
    assert (found["rule"], found["date"]) == ("cross_source", days[20])
    spike = wave(0.8, days).with_columns(
        pl.when(pl.col("date") == days[10]).then(pl.col(c) * 1.05).otherwise(c).alias(c)
        for c in ("open", "high", "low", "close")
    )
    assert store.put_bars(spike, source="w", basis="qfq").rejected == 1  # the day after is not condemned


def test_a_series_is_continued_only_on_its_own_level(store: Store) -> None:
    past = store.calendar().filter(
        store.calendar() < dt.date(2026, 1, 1)
    )  # the running day would be provisional
    days = past.tail(60).head(40).to_list()
    store.put_bars(wave(1.0, days[:20]), source="x", basis="qfq")
    assert store.put_bars(wave(0.8, days), source="y", basis="qfq") == Written(unchanged=20, rejected=20)
    assert set(rules(store)) == {"cross_source_level"}
    assert store.put_bars(wave(1.0, days[30:]), source="v", basis="qfq") == Written(
        rejected=10
    )  # no common day
    assert store.put_bars(wave(1.0005, days), source="z", basis="qfq") == Written(unchanged=20, inserted=20)


# --------------------------------------------------------------------- real tape


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["basket_raw", "rules_raw"])
def test_no_rule_objects_to_real_tape(store: Store, shared: Path, name: str) -> None:
    tape = pl.read_parquet(shared / "data" / f"{name}.parquet").filter(pl.col("volume") > 0)
    assert store.put_bars(tape, source=name) == Written(inserted=tape.height)


@pytest.mark.realdata
def test_no_rule_objects_to_real_tape_when_names_and_factors_are_known(store: Store, shared: Path) -> None:
    tape = pl.read_parquet(shared / "data" / "rules_raw.parquet").sort("symbol", "date")
    before = pl.col("close").shift().over("symbol")
    step = (before / pl.col("prev_close")).fill_null(1.0)
    first = pl.col("date") == pl.col("date").first().over("symbol")
    factors = tape.with_columns(factor=step.cum_prod().over("symbol")).filter(
        first | ((step - 1).abs() > 1e-9)
    )
    renamed = pl.col("name").ne_missing(pl.col("name").shift().over("symbol"))
    names = tape.filter(renamed).select("symbol", "name", valid_from="date")
    store.put_factors(factors, source="x")
    store.put_name_history(names, source="x")
    assert store.put_bars(tape, source="x") == Written(inserted=tape.height)


@pytest.mark.realdata
def test_two_vendors_find_what_is_wrong_in_one_of_them(store: Store, shared: Path) -> None:
    a = pl.read_parquet(shared / "data" / "basket_qfq_a.parquet")
    b = pl.read_parquet(shared / "data" / "basket_qfq_b.parquet")
    assert store.put_bars(a, source="a", basis="qfq") == Written(inserted=a.height)
    done = store.put_bars(b, source="b", basis="qfq")
    assert done.suspended == b.filter(pl.col("volume") == 0).height == 1178
    found = store.rejected()
    wrong = b.filter(
        pl.col("volume") > 0,
        (pl.col("high") < pl.max_horizontal("open", "close", "low"))
        | (pl.col("low") > pl.min_horizontal("open", "close", "high")),
    )
    named = found.filter(pl.col("rule").is_in(["high_is_highest", "low_is_lowest"]))
    assert (
        named.select("symbol", "date")
        .sort("symbol", "date")
        .equals(wrong.select("symbol", "date").sort("symbol", "date"))
    )
    jump = found.filter(pl.col("symbol") == "300308.SZ", pl.col("rule") == "cross_source")
    assert dt.date(2024, 5, 6) in jump["date"]
    assert dt.date(2024, 5, 7) not in jump["date"]
    # The vendor filled a day with the one before, found by neither the schema nor the other vendor.
    stale = found.filter(pl.col("rule") == "stale_flat")
    assert stale["date"].to_list() == [dt.date(2015, 9, 28)] * 3
    assert store.put_bars(b, source="b", basis="qfq").rejected == done.rejected
    assert store.rejected().height == found.height
