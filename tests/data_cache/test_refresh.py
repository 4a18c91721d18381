"""The evening refresh on good days: what is asked, stored, revised, skipped and owed."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import loopback
import polars as pl
import pytest
from loopback import Vendors
from sina_codec import Row
from vendor_wire import EX_DAY, FIRST, LAST, days, sessions, small_market

from data_cache import refresh_gaps, refresh_log
from data_cache.errors import NoData, StoreBusy, UnknownName
from data_cache.export import export, restore
from data_cache.refresh import Interrupted, Report, refresh
from data_cache.store import Store
from data_cache.vendors import Transport

SYMBOLS = ["002837.SZ", "000063.SZ", "603019.SH", "920808.BJ"]
YWK = SYMBOLS[0]
FRIDAY = LAST


def at(day: dt.date, clock: str = "20:00") -> dt.datetime:
    return dt.datetime.fromisoformat(f"{day}T{clock}:00+08:00")


EVENING = at(FRIDAY)


def later(day: dt.date, sessions_on: int) -> dt.date:
    return sessions()[sessions().index(day) + sessions_on]


@pytest.fixture
def vendors() -> Iterator[Vendors]:
    served = Vendors(small_market())
    with loopback.redirected(served.port):
        yield served
    served.close()


@pytest.fixture(scope="module")
def lists_done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose calendar, companies, names and indices were answered on Friday evening, without a bar."""
    path = tmp_path_factory.mktemp("lists") / "a.duckdb"
    served = Vendors(small_market())
    served.market.listed["301999"] = ("将上市", "2030-01-01")
    with loopback.redirected(served.port):
        quiet = Transport(gap=0, jitter=0, attempts=1, timeout=(20, 20))
        nothing_to_ask = ["600001.SH", "000003.SZ", "920999.BJ"]  # left long ago, and never listed
        refresh(Store.create(path), nothing_to_ask, start=FIRST, now=EVENING, transport=quiet)
    served.close()
    return path


@pytest.fixture
def store(tmp_path: Path, lists_done: Path) -> Store:
    shutil.copy(lists_done, tmp_path / "a.duckdb")
    return Store.open(tmp_path / "a.duckdb")


@pytest.fixture
def new_store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "new.duckdb")


@pytest.fixture
def run(store: Store, vendors: Vendors) -> Callable[..., Report]:
    """One refresh of one symbol (or others) from FIRST, on Friday evening unless told otherwise."""

    def once(*symbols: str, into: Store = store, now: dt.datetime = EVENING, **kwargs: object) -> Report:
        transport = Transport(gap=0, jitter=0, wait=0, attempts=1, timeout=(20, 20))
        options = {"start": FIRST, "now": now, "transport": transport, "patience": 1.0} | kwargs
        return refresh(into, symbols or [YWK], **options)  # type: ignore[arg-type]

    return once


def test_the_first_fill_stores_every_table(
    run: Callable[..., Report], new_store: Store, vendors: Vendors
) -> None:
    store = new_store
    report = run(*SYMBOLS, into=store)
    assert (report.code, report.sources, report.through) == (0, {"eastmoney": 4}, FRIDAY)
    bars = store.bars()
    truth = [(f"{code}", *r[:6], float(r[6])) for code, rows in vendors.market.bars.items() for r in rows]
    assert sorted((s[:6], *rest) for s, *rest in bars.drop("basis", "source").rows()) == sorted(truth)
    assert store.basis() == "raw", "bars and factors are there for all"
    assert set(store.index_bars()["symbol"]) == {"000300.SH", "000905.SH", "000852.SH", "399006.SZ"}
    assert store.index_bars(["000300.SH"])["close"].to_list() == [
        r[4] for r in vendors.market.index["000300"]
    ]
    assert store.corporate_actions([YWK])["ex_date"].to_list() == [dt.date(2023, 5, 19), EX_DAY]
    companies = {r["symbol"]: r for r in store.instruments().to_dicts()}
    assert companies["600001.SH"]["delisted"] == dt.date(2009, 12, 29)
    assert companies["920808.BJ"]["board"] == "bse"
    assert companies["688256.SH"]["board"] == "star"
    assert store.rejected().is_empty()


def test_names_are_dated_where_the_exchange_dates_them(store: Store) -> None:
    names = store.name_history()
    assert names.filter(symbol=YWK).rows() == [
        (YWK, dt.date(2016, 12, 29), "英维克A"), (YWK, dt.date(2020, 5, 6), "ST英维"),
        (YWK, dt.date(2021, 5, 6), "英维克"),
    ]  # fmt: skip
    assert names.filter(symbol="603019.SH").rows() == [("603019.SH", FRIDAY, "中科曙光")], (
        "known from today only"
    )


def test_a_new_name_in_shanghai_is_noted_on_the_day_it_is_seen(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    monday = later(FRIDAY, 1)
    vendors.market.listed["603019"] = ("*ST曙光", "2014-11-06")
    run("603019.SH", now=at(monday))
    run("603019.SH", now=at(later(FRIDAY, 2)))
    assert store.name_history(["603019.SH"]).rows() == [
        ("603019.SH", FRIDAY, "中科曙光"), ("603019.SH", monday, "*ST曙光"),
    ]  # fmt: skip


def test_a_day_without_a_session_asks_for_nothing(run: Callable[..., Report], vendors: Vendors) -> None:
    run()
    asked = len(vendors.calls)
    saturday = run(now=at(FRIDAY + dt.timedelta(days=1)))
    assert (saturday.code, saturday.through) == (0, None)
    assert len(vendors.calls) == asked
    assert "nothing to do" in saturday.summary()
    assert run(now=at(FRIDAY + dt.timedelta(days=1)), force=True).code == 0
    assert len(vendors.calls) > asked


def test_a_restored_store_owes_what_the_exported_one_did(
    run: Callable[..., Report], store: Store, vendors: Vendors, tmp_path: Path
) -> None:
    vendors.market.through = days()[-2]
    run(now=at(days()[-2]))
    vendors.market.through = FRIDAY
    export(store, tmp_path / "out")
    restore(tmp_path / "out", tmp_path / "back.duckdb")
    back = Store.open(tmp_path / "back.duckdb")
    assert refresh_log.checks(back.path) == refresh_log.checks(store.path)
    assert refresh_log.runs(back.path) == refresh_log.runs(store.path)
    vendors.calls.clear()
    assert run(into=back, now=at(days()[-2], "21:00")).through is None, "all was answered that evening"
    assert vendors.calls == []
    there = run(into=store)
    asked, vendors.calls = vendors.calls, []
    here = run(into=back)
    assert (here.code, here.rows, vendors.calls) == (there.code, there.rows, asked)
    assert here.rows["inserted"] == 1
    assert back.bars().equals(store.bars())


def test_the_first_fill_runs_on_any_day(run: Callable[..., Report], store: Store) -> None:
    assert run(now=at(FRIDAY + dt.timedelta(days=1))).due == 1
    assert store.bars([YWK])["date"].to_list() == days()


def test_the_next_evening_asks_for_the_new_session_and_the_last_ten(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    vendors.market.through = days()[-3]
    run(now=at(days()[-3]))
    vendors.market.through = FRIDAY
    windows: list[str] = []
    vendors.fault = lambda host, url: (
        windows.append(url) if "kline/get" in url and "0.002837" in url else None
    )
    report = run()
    assert report.rows == {
        "inserted": 2,
        "unchanged": 8,
        "revised": 0,
        "confirmed": 0,
        "suspended": 0,
        "rejected": 0,
    }
    assert len(windows) == 1
    assert f"beg={days()[-10]:%Y%m%d}" in windows[0]
    assert store.bars([YWK])["date"].to_list() == days()


def test_an_earlier_start_fetches_what_lies_between_once(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    run(start=days()[20])
    assert store.bars([YWK])["date"].to_list() == days()[20:]
    assert run(start=days()[5]).rows["inserted"] == 15
    asked = len(vendors.calls)
    assert run(start=days()[5]).through is None, "asked from there before"
    assert len(vendors.calls) == asked


def test_todays_bar_is_provisional_until_half_past_three(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    truth = vendors.market.bars["002837"]
    day, opened, _, _, close, shares, yuan = truth[-1]
    half = (day, opened, max(opened, close), min(opened, close), close, shares // 2 // 100 * 100, yuan // 2)
    vendors.market.bars["002837"] = [*truth[:-1], half]
    noon = run(now=at(FRIDAY, "11:00"))
    assert noon.provisional
    assert "provisional" in noon.summary()
    assert store.bars([YWK])["volume"][-1] == half[5]
    vendors.market.bars["002837"] = truth
    evening = run()
    assert (evening.rows["confirmed"], evening.rows["revised"], evening.provisional) == (1, 0, False)
    assert store.bars([YWK])["volume"][-1] == shares
    assert store.revisions().is_empty(), "an unfinished day is no restatement"


def test_while_the_session_is_open_each_run_asks_again(run: Callable[..., Report], vendors: Vendors) -> None:
    run(now=at(FRIDAY, "10:00"))
    asked = len(vendors.of("em"))
    assert run(now=at(FRIDAY, "10:05")).due == 1
    assert len(vendors.of("em")) > asked


def test_before_the_open_nothing_is_due(run: Callable[..., Report], vendors: Vendors) -> None:
    vendors.market.through = days()[-2]
    run(now=at(days()[-2]))
    asked = len(vendors.calls)
    assert run(now=at(FRIDAY, "08:00")).through is None
    assert len(vendors.calls) == asked


def test_a_restated_bar_is_a_revision_and_the_old_one_stays_readable(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    vendors.market.through = days()[-2]
    run(now=at(days()[-2]))
    before = store.snapshot_id()
    old = store.bars([YWK])
    vendors.market.through = FRIDAY
    truth = vendors.market.bars["002837"]
    day, opened, high, low, close, shares, yuan = truth[-4]
    vendors.market.bars["002837"] = [
        *truth[:-4], (day, opened, high, low, round(close + 0.01, 2), shares, yuan), *truth[-3:]
    ]  # fmt: skip
    report = run()
    assert (report.code, report.rows["revised"], report.rows["inserted"]) == (0, 1, 1)
    now = store.bars([YWK])
    assert now.filter(date=day)["close"].item() == round(close + 0.01, 2)
    assert Store.open(store.path, as_of=before).bars([YWK]).equals(old)
    revised = store.revisions().to_dicts()[0]
    assert (revised["close"], revised["old_source"], revised["new_source"]) == (
        close,
        "eastmoney",
        "eastmoney",
    )
    assert revised["superseded_fetched_at"] > revised["fetched_at"]


def test_a_restated_factor_is_a_revision(run: Callable[..., Report], store: Store, vendors: Vendors) -> None:
    vendors.market.through = days()[-2]
    run(now=at(days()[-2]))
    before = store.snapshot_id()
    vendors.market.through = FRIDAY
    first, second = vendors.market.factors["002837"]
    vendors.market.factors["002837"] = [(first[0], 1.6), (second[0], second[1] / 1.5 * 1.6)]
    assert run().code == 0
    assert store.factors([YWK])["factor"][1] == pytest.approx(1.6)
    assert Store.open(store.path, as_of=before).factors([YWK])["factor"][1] == 1.5


def test_a_second_provider_is_a_witness_and_changes_nothing(run: Callable[..., Report], store: Store) -> None:
    run()
    before = store.bars([YWK])
    report = run(providers=["tx"], force=True)
    assert (report.code, report.sources, report.rows["unchanged"]) == (0, {"tencent": 1}, 10)
    assert store.bars([YWK]).equals(before)


def test_the_order_of_providers_is_settable(
    run: Callable[..., Report], vendors: Vendors, store: Store
) -> None:
    assert run(providers=["sina", "em"]).sources == {"sina": 1}
    assert set(store.bars([YWK])["source"]) == {"sina"}
    assert not [path for path in vendors.of("em") if "kline" in path]


def test_a_suspension_explains_missing_bars(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    gone = days()[30:33]
    vendors.market.bars["002837"] = [r for r in vendors.market.bars["002837"] if r[0] not in gone]
    vendors.market.suspended = [("002837", str(gone[0]), str(gone[-1]), "停牌三天", "重大事项")]
    report = run()
    assert (report.code, report.gaps) == (0, {})
    assert store.suspensions([YWK]).rows() == [(YWK, d, "重大事项") for d in gone]
    assert len(vendors.of("em data")) == 2 + 2, "dividends, and one question for the whole spell"


def test_a_missing_bar_that_nothing_explains_is_a_gap(run: Callable[..., Report], vendors: Vendors) -> None:
    gone = days()[30:33]
    vendors.market.bars["002837"] = [r for r in vendors.market.bars["002837"] if r[0] not in gone]
    report = run()
    assert report.code == 3
    assert report.gaps == {YWK: f"{gone[0]} to {gone[-1]} (3 sessions)"}
    assert str(gone[0]) in str(report.error())


def asked_from(vendors: Vendors, secid: str = "0.002837") -> list[str]:
    """Collects the first date of each question about its bars."""
    begins: list[str] = []

    def note(host: str, url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        if "kline/get" in url and query["secid"] == [secid]:
            begins.append(query["beg"][0])

    vendors.fault = note
    return begins


def without(vendors: Vendors, *gone: dt.date) -> list[Row]:
    """Takes days out of what the vendors tell of YWK; returns all there was."""
    truth = vendors.market.bars["002837"]
    vendors.market.bars["002837"] = [r for r in truth if r[0] not in gone]
    return truth


def test_a_bar_missing_for_longer_than_ten_sessions_is_said_and_asked_for_until_it_comes(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    hole = days()[5]
    truth = without(vendors, hole)
    begins = asked_from(vendors)

    def evening(n: int, **kwargs: object) -> Report:
        vendors.market.through = days()[n]
        return run(now=at(days()[n]), **kwargs)

    for n in (20, 21, 22):
        report = evening(n)
        assert (report.code, report.gaps) == (3, {YWK: str(hole)}), "said each time"
    assert [dt.date.fromisoformat(d) for d in begins] == [FIRST, hole, days()[13]], (
        "asked for the evening after, then not each evening"
    )
    vendors.market.bars["002837"] = truth
    assert days()[26] - days()[21] > dt.timedelta(days=5)
    healed = evening(26)
    assert (healed.code, healed.gaps) == (0, {})
    assert store.bars([YWK])["date"].to_list() == days()[:27]
    assert evening(27).code == 0
    assert begins[-1] == f"{days()[18]:%Y%m%d}", "nothing is missing any more"


def test_force_asks_at_once_for_a_bar_missing_for_long(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    truth = without(vendors, days()[5])
    for _ in range(2):
        assert run(force=True).code == 3
    vendors.market.bars["002837"] = truth
    assert run(force=True).code == 0
    assert store.bars([YWK])["date"].to_list() == days()


def test_a_bar_set_aside_long_ago_is_asked_for_again(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    day, opened, high, low, close, shares, yuan = without(vendors)[5]
    truth = without(vendors, day)
    vendors.market.bars["002837"] = [
        *truth[:5],
        (day, opened, high * 2, low, close, shares, yuan),
        *truth[6:],
    ]
    vendors.market.through = days()[-2]
    first = run(now=at(days()[-2]))
    assert (first.code, first.gaps) == (5, {YWK: str(day)})
    vendors.market.bars["002837"], vendors.market.through = truth, FRIDAY
    assert run().code == 0
    assert store.bars([YWK])["date"].to_list() == days()


def test_a_known_suspension_is_not_asked_for_again(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    gone = days()[5:8]
    without(vendors, *gone)
    begins = asked_from(vendors)
    vendors.market.through = days()[-2]
    assert run(now=at(days()[-2])).code == 3, "nobody knows of it"
    days_off = pl.DataFrame({"symbol": [YWK] * 3, "date": gone, "reason": [None] * 3})
    store.put_suspensions(days_off.cast({"reason": pl.String}), source="a file")
    vendors.market.through = FRIDAY
    assert (run().code, begins[-1]) == (0, f"{days()[-10]:%Y%m%d}")


def test_a_symbol_suspended_for_longer_than_ten_sessions_is_answered_for(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    vendors.market.through = days()[20]
    run(now=at(days()[20]))
    vendors.market.suspended = [("002837", str(days()[21]), None, "连续停牌", "重大事项")]
    report = run()
    assert (report.code, report.sources, report.gaps) == (0, {"eastmoney": 1}, {})
    assert store.suspensions([YWK])["date"].to_list() == days()[21:]


def test_a_vendor_that_turns_to_adjusted_prices_never_enters_however_long_it_goes_on(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    vendors.market.through = days()[20]
    run("000063.SZ", now=at(days()[20]))
    before = store.bars(["000063.SZ"])
    vendors.market.bars["000063"] = [
        (day, *(round(price / 2, 2) for price in prices), 2 * shares, yuan)
        for day, *prices, shares, yuan in vendors.market.bars["000063"]
    ]
    for n in (21, 22, 35, 36):
        vendors.market.through = days()[n]
        assert run("000063.SZ", now=at(days()[n])).code == 5
        assert store.bars(["000063.SZ"]).equals(before)


def test_what_one_run_may_not_ask_about_suspensions_the_next_ones_do(
    run: Callable[..., Report], vendors: Vendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_gaps, "_QUESTIONS", 1)
    halts = [days()[n] for n in (5, 10, 15)]
    without(vendors, *halts)
    vendors.market.suspended = [("002837", str(d), str(d), "停牌一天", "重大事项") for d in halts[:2]]
    told = []
    for day in days()[-4:]:
        vendors.market.through = day
        told.append(run(now=at(day)).gaps[YWK])
    three, two, one = (", ".join(str(d) for d in found) for found in (halts, halts[::2], halts[2:]))
    assert told == [three, two, one, one], "the newest is unknown, and does not keep the others waiting"


def test_a_missing_bar_of_an_index_is_asked_for_again(
    run: Callable[..., Report], new_store: Store, vendors: Vendors
) -> None:
    truth = vendors.market.index["000300"]
    vendors.market.index["000300"] = [r for r in truth if r[0] != days()[5]]
    run(into=new_store, now=at(days()[-2]))
    assert days()[5] not in new_store.index_bars(["000300.SH"])["date"]
    vendors.market.index["000300"] = truth
    run(into=new_store)
    assert new_store.index_bars(["000300.SH"])["date"].to_list() == days()


def test_a_bar_that_a_provider_lacks_after_the_close_is_owed(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    vendors.market.through = days()[-2]
    assert run().code == 3
    vendors.market.through = FRIDAY
    weekend = run(now=at(FRIDAY + dt.timedelta(days=1)))
    assert (weekend.code, weekend.rows["inserted"]) == (0, 1)
    assert store.bars([YWK])["date"][-1] == FRIDAY


def test_a_symbol_suspended_on_the_last_session_is_done(run: Callable[..., Report], vendors: Vendors) -> None:
    vendors.market.through = days()[-2]
    vendors.market.suspended = [("002837", str(FRIDAY), None, "连续停牌", "重大事项")]
    assert run().code == 0
    asked = len(vendors.calls)
    assert run(now=at(FRIDAY + dt.timedelta(days=1))).through is None
    assert len(vendors.calls) == asked


def test_a_factor_missing_on_an_ex_date_is_said_and_stays_owed(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    told = vendors.market.factors["002837"].pop()
    ex_evening = at(later(EX_DAY, 0))
    vendors.market.through = EX_DAY
    report = run(now=ex_evening)
    assert report.code == 3
    assert "no adjustment factor" in report.tables[f"factors {YWK}"]
    vendors.market.factors["002837"].append(told)
    assert run(now=ex_evening + dt.timedelta(hours=2)).code == 0
    assert store.factors([YWK])["date"][-1] == EX_DAY


def test_a_factor_without_a_dividend_is_a_doubt(run: Callable[..., Report], vendors: Vendors) -> None:
    vendors.market.actions["002837"] = [a for a in vendors.market.actions["002837"] if a[0] != str(EX_DAY)]
    report = run()
    assert report.code == 0
    assert len(report.doubts) == 1
    assert str(EX_DAY) in report.doubts[0]
    assert "rights issue" in report.doubts[0]


def test_a_row_that_breaks_a_rule_is_set_aside_and_said(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    truth = vendors.market.bars["002837"]
    day, opened, _high, low, close, shares, yuan = truth[20]
    vendors.market.bars["002837"] = [
        *truth[:20],
        (day, opened, low - 1, low, close, shares, yuan),
        *truth[21:],
    ]
    report = run()
    assert (report.code, report.rows["rejected"], report.rows["inserted"]) == (5, 1, len(days()) - 1)
    assert "status --rejected" in str(report.error())
    assert store.rejected().select("symbol", "date", "source").rows() == [(YWK, day, "eastmoney")]


def test_an_unlisted_company_and_one_that_left_are_not_asked_for(
    run: Callable[..., Report], vendors: Vendors, store: Store
) -> None:
    report = run("600001.SH", "301999.SZ")
    assert (report.code, report.due) == (0, 0)
    assert vendors.of("em") == []
    assert store.symbols() == []


def test_a_company_that_left_is_asked_for_its_last_session_and_never_again(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    left = days()[30]
    vendors.market.bars["000063"] = vendors.market.bars["000063"][:30]
    del vendors.market.listed["000063"]
    vendors.market.delisted["000063"] = ("中兴退", "1997-11-18", str(left))
    assert run("000063.SZ", force=True).code == 0
    assert store.bars(["000063.SZ"])["date"].to_list() == days()[:30]
    seen = len(vendors.of("em"))
    assert run("000063.SZ", now=at(later(FRIDAY, 1)), end=FRIDAY).gaps == {}
    assert len(vendors.of("em")) - seen == 4, "the indices only"


def test_the_whole_market_is_every_company_the_exchanges_list(new_store: Store, vendors: Vendors) -> None:
    for n in range(1, 12):
        del vendors.market.listed[f"30{n:04d}"]
        vendors.market.delisted[f"30{n:04d}"] = (f"退市{n}", "2010-01-04", "2015-06-01")
    for code in ("300901", "300902", "300903", "300904", "300905", "300906", "300907", "300908", "300909"):
        vendors.market.listed[code] = (code, "2030-01-01")
    quiet = Transport(gap=0, jitter=0, attempts=1, timeout=(20, 20))
    report = refresh(new_store, None, start=FIRST, now=EVENING, transport=quiet)
    assert set(report.not_got) == {"688256.SH"}, "the market here has no bars of it"
    assert report.symbols == len(vendors.market.listed) + len(vendors.market.delisted) + 1
    assert new_store.symbols() == sorted(SYMBOLS)


def test_a_range_that_ends_earlier_leaves_the_rest_owed(run: Callable[..., Report], store: Store) -> None:
    run(end=days()[9])
    assert store.bars([YWK])["date"].to_list() == days()[:10]
    assert run().rows["inserted"] == len(days()) - 10
    assert run(end=days()[9]).through is None
    assert run().through is None, "asking for an old range again does not make the new one owed"


def test_a_range_beyond_the_calendar_is_refused(run: Callable[..., Report], store: Store) -> None:
    with pytest.raises(NoData, match="calendar ends on"):
        run(end=dt.date(2035, 1, 1))
    assert store.symbols() == []


def test_today_beyond_the_calendar_is_refused_when_no_newer_one_can_be_had(
    run: Callable[..., Report], vendors: Vendors
) -> None:
    vendors.fault = lambda host, url: (403, b"")
    with pytest.raises(NoData, match="calendar ends on"):
        run(now=at(sessions()[-1] + dt.timedelta(days=40)))


def test_an_unknown_provider_is_refused_with_the_nearest(run: Callable[..., Report]) -> None:
    with pytest.raises(UnknownName, match="did you mean 'sina'"):
        run(providers=["sinna"])


def test_a_second_refresh_is_refused_at_once(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    refused: list[str] = []

    def second(*_: object) -> None:
        if not refused:
            with pytest.raises(StoreBusy, match="another refresh") as caught:
                run()
            refused.append(str(caught.value))

    assert run(progress=second).code == 0
    assert len(refused) == 1


def test_the_store_can_be_read_while_a_refresh_asks(run: Callable[..., Report], store: Store) -> None:
    heights: list[int] = []
    run(*SYMBOLS, progress=lambda *_: heights.append(store.bars(basis="raw").height))
    assert heights == [n * len(days()) for n in range(5)]


def test_an_interrupt_keeps_what_was_stored_and_says_where_it_stands(
    run: Callable[..., Report], store: Store, vendors: Vendors
) -> None:
    def stop(done: int, total: int, symbol: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        run(*SYMBOLS, progress=stop)
    assert (caught.value.report.code, caught.value.report.got) == (130, 2)
    assert store.symbols() == sorted(SYMBOLS[:2])
    assert refresh_log.runs(store.path)[-1]["code"] == 130
    asked = len([p for p in vendors.of("em") if p.endswith("kline/get")])
    assert run(*SYMBOLS).due == 2
    again = len([p for p in vendors.of("em") if p.endswith("kline/get")]) - asked
    assert again == 2, "what was stored is not asked for again"
    assert store.symbols() == sorted(SYMBOLS)


def test_each_run_is_recorded_with_what_came_over_the_wire(run: Callable[..., Report], store: Store) -> None:
    report = run()
    recorded = refresh_log.runs(store.path)[-1]
    assert (recorded["code"], recorded["started_at"]) == (0, EVENING)
    assert recorded["summary"] == report.document()
    hashes = refresh_log.checks(store.path)["bars", YWK].sha256
    assert len(hashes) == 64


def test_dividends_of_a_large_universe_are_asked_for_once_in_five_days(store: Store, tmp_path: Path) -> None:
    from data_cache.refresh_run import Run

    def due(count: int, age: int) -> bool:
        symbols = [f"300{n:03d}.SZ" for n in range(count)]
        when = at(FRIDAY) - dt.timedelta(days=age)
        refresh_log.record(store.path, {("actions", "300001.SZ"): refresh_log.Check(when, FIRST, "")})
        run = Run(
            store, symbols, start=FIRST, end=FRIDAY, providers=["em"], now=at(FRIDAY), force=False, patience=0,
            wire=Transport(),
        )  # fmt: skip
        run.read_clock()
        return run.due("actions", "300001.SZ")

    assert [due(200, 6), due(200, 4), due(200, 1), due(20, 1)] == [True, False, False, True]
