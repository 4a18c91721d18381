"""Unmodified akshare on the vendors' wire formats: what it gives, in our columns and units, equals the truth."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import responses
import vendor_wire
from vendor_wire import EX_DAY, FIRST, LAST, Market, days, sessions, small_market

from data_cache import akshare_bars, akshare_lists
from data_cache.schemas import Bars, CorporateActions, Factors, IndexBars, Suspensions
from data_cache.symbols import Symbol
from data_cache.vendors import Absent, Drift, Transport

YWK = Symbol("002837.SZ")
CALENDAR = set(sessions())


@pytest.fixture
def market() -> Iterator[Market]:
    """The small market on the wire, asked without gaps."""
    truth = small_market()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        for method in ("GET", "POST"):
            wire.add_callback(
                method, re.compile("https?://"), lambda r: vendor_wire.answer(truth, r.url, r.body or "")
            )
        with Transport(gap=0, jitter=0, attempts=1):
            yield truth


@pytest.fixture
def said() -> Iterator[Callable[[str], None]]:
    """Every vendor answers with this text."""
    with (
        responses.RequestsMock(assert_all_requests_are_fired=False) as wire,
        Transport(gap=0, jitter=0, attempts=1),
    ):

        def say(text: str) -> None:
            for method in ("GET", "POST"):
                wire.upsert(method, re.compile("https?://"), body=text)

        yield say


@pytest.mark.parametrize("provider", ["em", "tx", "sina"])
@pytest.mark.parametrize("code", ["002837.SZ", "000063.SZ", "603019.SH", "920808.BJ"])
def test_raw_bars_are_the_truth_from_every_provider(market: Market, provider: str, code: str) -> None:
    got = akshare_bars.bars(provider, Symbol(code), FIRST, LAST, CALENDAR).frame
    assert Bars.validate(got).drop("symbol").rows() == [(*r[:6], float(r[6])) for r in market.bars[code[:6]]]
    assert set(got["symbol"]) == {code}


@pytest.mark.parametrize("provider", ["em", "tx", "sina"])
def test_only_the_range_asked_for_is_given(market: Market, provider: str) -> None:
    low, high = days()[5], days()[9]
    got = akshare_bars.bars(provider, YWK, low, high, CALENDAR).frame
    assert got["date"].to_list() == days()[5:10]


@pytest.mark.parametrize(("provider", "scale"), [("em", 100.0), ("tx", 100.0), ("sina", 1.0)])
def test_lots_are_told_from_shares_by_the_price_paid(market: Market, provider: str, scale: float) -> None:
    """akshare leaves Tencent's lots as they are for codes that begin with 000, taking them for indices."""
    fetched = akshare_bars.bars(provider, Symbol("000063.SZ"), FIRST, LAST, CALENDAR)
    assert fetched.scale == scale
    paid = fetched.frame.select((pl.col("amount") / pl.col("volume")).is_between("low", "high").all()).item()
    assert paid


def test_tencent_is_asked_for_the_years_wanted_and_no_others(market: Market) -> None:
    with Transport(gap=0, jitter=0) as wire:
        akshare_bars.bars("tx", YWK, FIRST, LAST, CALENDAR)
    assert len(wire.payloads) == 2, "one for the first day it has, one for 2024"


def test_sinas_bars_of_days_without_a_session_are_left_out(market: Market) -> None:
    saturday, unlisted = "2024-06-15", "2024-06-17"
    market.bars["002837"] = [r for r in market.bars["002837"] if str(r[0]) != unlisted]
    market.share_changes = [saturday, unlisted, "2017-01-05"]
    truth = [r[0] for r in market.bars["002837"]]
    low = dt.date(2024, 6, 15)
    fetched = akshare_bars.bars("sina", YWK, low, LAST, CALENDAR)
    assert fetched.frame["date"].to_list() == [d for d in truth if d >= low]


def test_a_made_up_bar_that_akshare_keeps_is_counted(market: Market) -> None:
    """Only exact copies are dropped by akshare; a Saturday's bar of its own is not."""
    bars = market.bars["002837"]
    saturday = dt.date(2024, 6, 15)
    at = next(n for n, r in enumerate(bars) if r[0] > saturday)
    market.bars["002837"] = [*bars[:at], (saturday, 60.0, 61.0, 59.0, 60.5, 100, 6050), *bars[at:]]
    fetched = akshare_bars.bars("sina", YWK, FIRST, LAST, CALENDAR)
    assert fetched.made_up == 1
    assert fetched.frame["date"].to_list() == [r[0] for r in bars]


def test_flat_days_without_a_trade_never_become_bars_with_volume(market: Market) -> None:
    bars = market.bars["000063"]
    flat = [(d, 27.0, 27.0, 27.0, 27.0, 0, 0) for d in days()[10:13]]
    market.bars["000063"] = [*bars[:10], *flat, *bars[13:]]
    got = akshare_bars.bars("sina", Symbol("000063.SZ"), FIRST, LAST, CALENDAR).frame
    traded = got.filter(pl.col("volume") > 0)["date"].to_list()
    assert traded == [r[0] for r in bars[:10] + bars[13:]], (
        "of three equal flat days one is left, without volume"
    )


def test_factors_are_numbers_from_listing_on_without_announced_ones(market: Market) -> None:
    market.factors["002837"].append(("2024-07-15", 9.9))
    got = akshare_bars.factors(YWK, listed=dt.date(2016, 12, 29), until=LAST)
    step = dict(market.factors["002837"])[str(EX_DAY)]
    assert Factors.validate(got).drop("symbol").rows() == [
        (dt.date(2016, 12, 29), 1.0), (dt.date(2023, 5, 19), 1.5), (EX_DAY, pytest.approx(step, rel=1e-12)),
    ]  # fmt: skip


def test_factors_without_a_listing_date_begin_with_the_exchange(market: Market) -> None:
    got = akshare_bars.factors(Symbol("000063.SZ"), listed=None, until=LAST)
    assert got.drop("symbol").rows() == [(dt.date(1990, 12, 19), 1.0)]


def test_dividends_are_per_share_and_one_row_a_day(market: Market) -> None:
    market.actions["002837"].append(("2024-06-13", 1.0, 0.0, 0.0))
    got = CorporateActions.validate(akshare_bars.corporate_actions(YWK))
    assert got.select("ex_date", "cash", "bonus", "transfer").rows() == [
        (dt.date(2023, 5, 19), pytest.approx(0.3), 0.0, pytest.approx(0.3)),
        (EX_DAY, pytest.approx(0.3), pytest.approx(0.1), pytest.approx(0.2)),
    ]
    assert got["announced_on"].to_list() == [dt.date(2024, 6, 6)] * 2


def test_a_company_that_never_paid_has_an_empty_table(market: Market) -> None:
    assert CorporateActions.validate(akshare_bars.corporate_actions(Symbol("000063.SZ"))).is_empty()


def test_the_calendar_is_the_exchanges(market: Market) -> None:
    assert akshare_bars.calendar().to_list() == sessions()


@pytest.mark.parametrize("provider", ["em", "sina"])
@pytest.mark.parametrize("symbol", akshare_bars.INDICES)
def test_index_bars_are_the_truth(market: Market, provider: str, symbol: str) -> None:
    got = IndexBars.validate(akshare_bars.index_bars(provider, Symbol(symbol), FIRST, LAST))
    truth = market.index[symbol[:6]]
    assert got["date"].to_list() == [r[0] for r in truth]
    assert got["volume"].to_list() == [r[5] for r in truth]
    for n, name in enumerate(("open", "high", "low", "close"), 1):
        assert got[name].to_list() == pytest.approx([r[n] for r in truth], abs=1e-9)


def test_companies_of_three_exchanges_with_those_that_left(market: Market) -> None:
    for exchange, expected in (("SH", {"603019.SH", "688256.SH"}), ("BJ", {"920808.BJ"})):
        assert set(akshare_lists.listed(exchange)["symbol"]) == expected
    shenzhen = akshare_lists.listed("SZ")
    assert dict(shenzhen.select("symbol", "listed").iter_rows())["000063.SZ"] == dt.date(1997, 11, 18)
    assert shenzhen.filter(symbol="000063.SZ")["name"].item() == "中兴通讯", "blanks in names are padding"
    assert akshare_lists.delisted("SH").rows() == [
        ("600001.SH", "邯郸钢铁", dt.date(1998, 1, 22), dt.date(2009, 12, 29))
    ]
    assert akshare_lists.delisted("SZ")["symbol"].to_list() == ["000003.SZ"]


def test_a_list_asked_for_again_is_asked_again(market: Market) -> None:
    """akshare would answer from its cache for as long as the process lives."""
    before = akshare_lists.listed("SZ")
    market.listed["301018"] = ("申菱环境", "2021-07-07")
    assert set(akshare_lists.listed("SZ")["symbol"]) - set(before["symbol"]) == {"301018.SZ"}


def test_name_changes_are_dated(market: Market) -> None:
    assert akshare_lists.name_changes().rows() == [
        ("002837.SZ", dt.date(2020, 5, 6), "英维克A", "ST英维"),
        ("002837.SZ", dt.date(2021, 5, 6), "ST英维", "英维克"),
    ]


def test_a_running_spell_is_told_up_to_the_day_and_halts_within_a_day_are_not(market: Market) -> None:
    market.suspended = [
        ("002837", "2024-05-30", None, "连续停牌", "重大事项"),
        ("603019", "2024-06-03", "2024-06-03", "停牌一天", "股东大会"),
        ("000063", "2024-06-03", "2024-06-03", "盘中停牌", "异常波动"),
    ]
    got = Suspensions.validate(akshare_lists.suspensions(dt.date(2024, 6, 3), sessions()))
    assert got.rows() == [
        ("002837.SZ", dt.date(2024, 5, 30), "重大事项"),
        ("002837.SZ", dt.date(2024, 5, 31), "重大事项"),
        ("002837.SZ", dt.date(2024, 6, 3), "重大事项"),
        ("603019.SH", dt.date(2024, 6, 3), "股东大会"),
    ]


def test_a_day_without_suspensions_is_empty(market: Market) -> None:
    assert akshare_lists.suspensions(dt.date(2024, 6, 3), sessions()).is_empty()


@pytest.mark.parametrize("provider", ["em", "tx", "sina"])
def test_an_unknown_symbol_is_absent(market: Market, provider: str) -> None:
    with pytest.raises(Absent, match=akshare_bars.PROVIDERS[provider]):
        akshare_bars.bars(provider, Symbol("002999.SZ"), FIRST, LAST, CALENDAR)


def test_an_empty_range_is_an_empty_frame(market: Market) -> None:
    market.through = days()[3]
    assert akshare_bars.bars("em", YWK, days()[5], LAST, CALENDAR).frame.is_empty()


DRIFTS = {
    "an empty answer": "",
    "truncated JSON": '{"data":{"code":"002837","klines":["2024-06-2',
    "a twelfth field": json.dumps({"data": {"klines": ["2024-06-27,1,1,1,1,1,1,1,1,1,1,9"]}}),
    "another key": json.dumps({"payload": {"bars": []}}),
    "prices in another order": json.dumps(
        {"data": {"klines": [f"2024-06-{n},9,7,6,8,10,7500.00,1,1,1,1" for n in (24, 25, 26, 27)]}}
    ),
    "amounts in another unit": json.dumps(
        {"data": {"klines": [f"2024-06-{n},7,8,9,6,10,7.50,1,1,1,1" for n in (24, 25, 26, 27)]}}
    ),
}


@pytest.mark.parametrize("body", DRIFTS.values(), ids=DRIFTS)
def test_another_shape_is_named_as_drift(said: Callable[[str], None], body: str) -> None:
    said(body)
    with pytest.raises(Drift, match=r"^eastmoney: "):
        akshare_bars.bars("em", YWK, FIRST, LAST, CALENDAR)


def test_a_missing_column_is_named_with_those_that_came(said: Callable[[str], None]) -> None:
    said(json.dumps({"result": [{"A_STOCK_CODE": "600000", "SEC_NAME_CN": "x"}]}))
    with pytest.raises(Drift, match=r"^sse: .*stock_info_sh_name_code.*KeyError"):
        akshare_lists.listed("SH")


def test_a_dash_for_a_price_is_a_null_for_the_store_to_set_aside(said: Callable[[str], None]) -> None:
    good = [f"2024-06-{n},7.00,7.50,8.00,6.50,100,73000.00,1,1,1,1" for n in (20, 21, 24, 25, 26)]
    said(json.dumps({"data": {"klines": [*good, "2024-06-27,-,7.50,8.00,6.50,100,73000.00,1,1,1,1"]}}))
    got = akshare_bars.bars("em", YWK, FIRST, LAST, CALENDAR).frame
    assert got["open"].to_list() == [7.0] * 5 + [None]


def test_factors_that_are_code_are_never_evaluated(said: Callable[[str], None], tmp_path: object) -> None:
    """akshare hands the text behind the equals sign to eval."""
    said('var sz002837hfq=__import__("sys").modules["data_cache.vendors"].__dict__.update(hacked=1)\n')
    with pytest.raises(Drift, match="not a plain table"):
        akshare_bars.factors(YWK, listed=None, until=LAST)
    import data_cache.vendors

    assert not hasattr(data_cache.vendors, "hacked")


def test_no_factors_at_all_is_absent(said: Callable[[str], None]) -> None:
    said('var sz002837hfq={"total":0,"data":[]}\n')
    with pytest.raises(Absent, match=r"^sina: has none"):
        akshare_bars.factors(YWK, listed=None, until=LAST)


@pytest.mark.realdata
def test_a_recorded_answer_of_eastmoneys_is_read_and_its_adjusted_prices_are_refused(
    said: Callable[[str], None], shared: Path
) -> None:
    """The recording is of forward-adjusted bars (fqt=1): what was paid for a share lies above the day's high."""
    text = (shared / "data" / "wire" / "eastmoney_kline_601872.json").read_text(encoding="utf-8")
    asked = (Symbol("601872.SH"), dt.date(2024, 1, 1), dt.date(2024, 12, 31), CALENDAR)
    said(text)
    with pytest.raises(Drift, match="adjusted prices"):
        akshare_bars.bars("em", *asked)
    rows = [line.split(",") for line in json.loads(text)["data"]["klines"]]
    for row in rows:  # the same bars with the amount that their prices would have cost
        row[6] = f"{int(row[5]) * 100 * (float(row[3]) + float(row[4])) / 2:.2f}"
    said(json.dumps({"data": {"klines": [",".join(row) for row in rows]}}))
    fetched = akshare_bars.bars("em", *asked)
    assert fetched.scale == 100.0
    assert Bars.validate(fetched.frame).drop("symbol").rows() == [
        (dt.date.fromisoformat(d), float(o), float(h), float(lo), float(c), int(v) * 100, float(a))
        for d, o, c, h, lo, v, a, *_ in rows
    ]


@pytest.mark.realdata
def test_a_recorded_calendar_of_sinas_is_the_exchanges(said: Callable[[str], None], shared: Path) -> None:
    said((shared / "data" / "wire" / "sina_calendar_2026-09-10.txt").read_text(encoding="utf-8"))
    assert akshare_bars.calendar().to_list() == sessions()
