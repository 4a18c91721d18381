from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_cache.charges import (
    RATE_SCALE,
    commission_fen,
    fee_fen,
    fees,
    lots,
    round_buy,
    round_sell,
    transfer_fee_fen,
)
from data_cache.errors import UsageError
from data_cache.rule_table import table
from data_cache.rulebook import dividend_tax

RATES = [0.0, 0.00001, 0.00002, 0.000025, 0.0000255, 0.0000487, 0.00025, 0.0005, 0.00075, 0.001, 0.002, 0.003]


def one(symbol: str, date: str, **more: object) -> pl.DataFrame:
    return pl.DataFrame(
        {"symbol": [symbol], "date": [dt.date.fromisoformat(date)], **{k: [v] for k, v in more.items()}}
    )


@given(st.integers(0, 10**13), st.sampled_from(RATES))
def test_a_fee_is_the_decimal_product_rounded_half_up(base: int, rate: float) -> None:
    exact = (Decimal(base) * Decimal(str(rate))).quantize(Decimal(1), ROUND_HALF_UP)
    assert fee_fen(base, rate) == int(exact)


def test_every_rate_of_the_book_is_whole_at_the_scale() -> None:
    rates = table().filter(pl.col("rule").str.ends_with("_rate") | pl.col("rule").str.contains("par_rate"))
    assert rates.height > 80
    for value in rates["value"]:
        assert Decimal(value) * RATE_SCALE == round(float(value) * RATE_SCALE)


@given(st.integers(1, 10**12), st.floats(0, 0.01))
def test_a_commission_lies_between_the_floor_and_the_cap(notional: int, rate: float) -> None:
    paid = commission_fen(notional, rate=rate)
    assert paid == max(500, fee_fen(notional, min(rate, 0.003)))
    assert commission_fen(0, rate=rate) == 0


@pytest.mark.parametrize(
    ("notional", "expected"),
    [(1, 500), (1_999_999, 500), (2_000_000, 500), (2_002_000, 501), (2_001_999, 500), (10_000_000, 2_500)],
)
def test_the_default_commission_is_25_per_100_000_and_at_least_5_yuan(notional: int, expected: int) -> None:
    assert commission_fen(notional) == expected


def test_a_negative_commission_is_refused() -> None:
    with pytest.raises(UsageError, match=r"commission rate is -0.1"):
        commission_fen(100, rate=-0.1)


@pytest.mark.parametrize(
    ("symbol", "date", "basis", "least", "inside", "face"),
    [
        ("600000.SH", "2008-01-02", "face_value", 1.0, False, 1.0),
        ("600000.SH", "2012-06-01", "face_value", 0.0, False, 1.0),
        ("600000.SH", "2015-07-31", "face_value", 0.0, False, 1.0),
        ("600000.SH", "2015-08-03", "amount", 0.0, False, 1.0),
        ("601899.SH", "2012-01-04", "face_value", 1.0, False, 0.1),
        ("603993.SH", "2013-01-04", "face_value", 0.0, False, 0.2),
        ("000001.SZ", "2008-01-02", "amount", 0.0, True, 1.0),
        ("300001.SZ", "2015-07-31", "amount", 0.0, True, 1.0),
        ("000001.SZ", "2015-08-03", "amount", 0.0, False, 1.0),
    ],
)
def test_the_transfer_fee_says_what_it_is_a_share_of(
    symbol: str, date: str, basis: str, least: float, inside: bool, face: float
) -> None:
    told = fees(one(symbol, date)).row(0, named=True)
    assert told["transfer_fee_basis"] == basis
    assert told["transfer_fee_min"] == least
    assert told["transfer_fee_inside_commission"] is inside
    assert told["face_value"] == face


def test_a_transfer_fee_on_face_value_follows_the_shares_and_has_a_floor() -> None:
    told = fees(one("600000.SH", "2008-01-02")).row(0, named=True)
    terms = {
        "rate": told["transfer_fee"],
        "basis": told["transfer_fee_basis"],
        "least": told["transfer_fee_min"],
    }
    assert transfer_fee_fen(99_999_999, 10_000, **terms) == 1_000  # 10,000 shares x 1 yuan x 0.1 %
    assert transfer_fee_fen(99_999_999, 100, **terms) == 100
    assert transfer_fee_fen(0, 0, **terms) == 0
    purple = fees(one("601899.SH", "2008-06-02")).row(0, named=True)
    assert (
        transfer_fee_fen(
            1, 100_000, rate=purple["transfer_fee"], basis="face_value", face_value=purple["face_value"]
        )
        == 1_000
    )


def test_doubt_in_a_fee_is_marked_and_joined_to_the_limits_doubt() -> None:
    assert fees(one("600000.SH", "2012-01-04"))["doubtful"].item() is True  # the investor's face-value rate
    assert fees(one("600000.SH", "2016-01-04"))["doubtful"].item() is False
    assert fees(one("600000.SH", "2016-01-04", doubtful=True))["doubtful"].item() is True


def test_fees_outside_the_book_are_null_and_marked_or_refused() -> None:
    told = fees(one("920808.BJ", "2021-11-12")).row(0, named=True)
    assert told["stamp_duty_sell"] is None
    assert told["board"] is None
    assert told["doubtful"] is True
    with pytest.raises(UsageError, match=r"920808.BJ on 2021-11-12"):
        fees(one("920808.BJ", "2021-11-12"), outside="raise")


@pytest.mark.parametrize(
    ("symbol", "date", "expected"),
    [
        ("600000.SH", "2021-01-04", (100, 100, 100, 100, 1_000_000, 1_000_000)),
        ("300001.SZ", "2021-01-04", (100, 100, 100, 100, 300_000, 150_000)),
        ("688001.SH", "2021-01-04", (200, 1, 200, 1, 100_000, 50_000)),
        ("920808.BJ", "2022-01-04", (100, 1, 100, 1, 1_000_000, None)),
    ],
)
def test_lots_are_the_boards(symbol: str, date: str, expected: tuple[int | None, ...]) -> None:
    names = ("buy_lot", "buy_step", "sell_lot", "sell_step", "order_max", "order_max_market")
    told = lots(one(symbol, date)).row(0, named=True)
    assert tuple(told[name] for name in names) == expected


def test_buying_st_shares_is_capped_by_day_and_status() -> None:
    assert lots(one("600000.SH", "2013-01-04", status="st"))["st_daily_buy_cap"].item() == 500_000
    assert lots(one("600000.SH", "2013-01-04", status="normal"))["st_daily_buy_cap"].item() is None
    assert lots(one("600000.SH", "2012-12-31", status="st"))["st_daily_buy_cap"].item() is None


LOTS = st.sampled_from([(100, 100), (100, 1), (200, 1)])


def sellable(size: int, held: int, lot: int, step: int) -> bool:
    """As the rule reads: all of it; or, above the minimum, whole steps, the odd remainder along or left whole."""
    if size == held:
        return True
    if step == 1:
        return size >= lot
    return size % step in (0, held % step)


@given(st.integers(0, 1_500), LOTS)
def test_a_buy_is_the_largest_the_board_allows(wanted: int, lot: tuple[int, int]) -> None:
    allowed = [n for n in range(wanted + 1) if n == 0 or (n >= lot[0] and (n - lot[0]) % lot[1] == 0)]
    assert round_buy(wanted, lot=lot[0], step=lot[1]) == max(allowed)


@given(st.integers(0, 900), st.integers(0, 700), LOTS)
def test_a_sale_is_the_largest_the_board_allows(wanted: int, held: int, lot: tuple[int, int]) -> None:
    allowed = [n for n in range(min(wanted, held) + 1) if n == 0 or sellable(n, held, *lot)]
    assert round_sell(wanted, held, lot=lot[0], step=lot[1]) == max(allowed)


@pytest.mark.parametrize(
    ("symbol", "date", "expected"),
    [
        ("600000", "2013-01-01", (0.2, 0.1, 0.05)),
        ("600000", "2015-09-07", (0.2, 0.1, 0.05)),
        ("002837", "2015-09-08", (0.2, 0.1, 0.0)),
        ("920808", "2022-05-05", (0.2, 0.1, 0.0)),
    ],
)
def test_a_dividend_is_taxed_by_the_time_the_share_was_held(
    symbol: str, date: str, expected: tuple[float, float, float]
) -> None:
    assert dividend_tax(symbol, date) == expected


def test_a_dividend_before_the_brackets_is_refused() -> None:
    with pytest.raises(UsageError, match="begins 2013-01-01"):
        dividend_tax("600000", "2012-12-31")
