"""Every way a vendor fails, over real sockets: what is stored, which code, which words."""

from __future__ import annotations

import datetime as dt
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import loopback
import pytest
from loopback import Fault, Vendors
from vendor_wire import FIRST, HOSTS, LAST, days, small_market

from data_cache.errors import IntegrityError, Partial, ProvidersFailed
from data_cache.refresh import Report, refresh
from data_cache.store import Store
from data_cache.vendors import Transport

EVENING = dt.datetime.fromisoformat(f"{LAST}T20:00:00+08:00")
SYMBOLS = ["002837.SZ", "000063.SZ", "603019.SH", "920808.BJ"]
BARS = ("em", "tx", "sina")
NAMES = {"em": "eastmoney", "tx": "tencent", "sina": "sina"}


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
    with loopback.redirected(served.port):
        ask(Store.create(path), ["600001.SH", "000003.SZ", "920999.BJ"])
    served.close()
    return path


@pytest.fixture
def store(tmp_path: Path, lists_done: Path) -> Store:
    shutil.copy(lists_done, tmp_path / "a.duckdb")
    return Store.open(tmp_path / "a.duckdb")


def ask(store: Store, symbols: list[str], *, patience_of_wire: float = 20.0, **kwargs: object) -> Report:
    wire = Transport(gap=0, jitter=0, wait=0, attempts=1, timeout=(20, patience_of_wire))
    return refresh(store, symbols, start=FIRST, now=EVENING, transport=wire, **kwargs)  # type: ignore[arg-type]


def bars_of(*providers: str, fault: Fault) -> Callable[[str, str], Fault]:
    """This fault in every answer of bars by these providers; factors, calendar and indices stay well."""

    def decide(host: str, url: str) -> Fault:
        for provider in providers:
            wanted = {"em": "kline/get", "tx": "", "sina": "hisdata_klc2"}[provider]
            if host in HOSTS[provider] and wanted in url:
                return fault
        return None

    return decide


def half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def fields_moved(body: bytes) -> bytes:
    """Eastmoney with a field more, Tencent with too few, Sina with bars that have no date."""
    return body.replace(b',1.55"', b',1.55,9"').replace(b', {}, "1.55"', b"").replace(b'="', b'="AAAA')


MATRIX: dict[str, tuple[Fault, str]] = {
    "dropped connection": ("drop", "ConnectionError"),
    "403": ((403, b"<html>forbidden</html>"), "HTTP 403"),
    "429": ((429, b"slow down"), "HTTP 429"),
    "456": ((456, b""), "HTTP 456"),
    "502": ((502, b"bad gateway"), "HTTP 502"),
    "a page instead of data": (
        (200, b"<!DOCTYPE html><html>are you human?</html>"),
        "a web page where data was",
    ),
    "an empty body": ((200, b""), "an empty answer"),
    "a truncated answer": (half, "another shape"),
    "fields that moved": (fields_moved, "another shape"),
}


def given_up(provider: str, word: str) -> str:
    """What the report names: the vendor, or only its bars where they came in another shape."""
    return f"{NAMES[provider]} bars" if word in ("an empty answer", "another shape") else NAMES[provider]


KINDS = ("dropped connection", "403", "a page instead of data", "a truncated answer", "fields that moved")
"""One of each kind; the first provider meets every one of them."""


@pytest.mark.parametrize(
    ("provider", "condition"),
    [*(("em", c) for c in MATRIX), *((p, c) for p in ("tx", "sina") for c in KINDS)],
)
def test_one_provider_fails_and_the_next_serves_every_symbol(
    vendors: Vendors, store: Store, provider: str, condition: str
) -> None:
    fault, word = MATRIX[condition]
    order = [provider, *(p for p in BARS if p != provider)]
    vendors.fault = bars_of(provider, fault=fault)
    report = ask(store, SYMBOLS[:2], providers=order)
    assert report.sources == {NAMES[order[1]]: 2}
    assert store.bars(basis="raw").height == 2 * len(days())
    assert set(store.bars(basis="raw")["source"]) == {NAMES[order[1]]}
    assert report.not_got == {}
    name = given_up(provider, word)
    assert list(report.ended) == [name]
    assert word in report.ended[name]
    first = {"em": "kline/get", "tx": "weekTrends", "sina": "klc2"}[provider]
    block = "HTTP 4" in word or "web page" in word
    assert sum(first in path for path in vendors.of(provider)) == (1 if block else 2)
    if (
        provider == "sina" and name == "sina"
    ):  # who gives the factors too: the first symbol's, where not blocked
        assert report.code == 3
        assert set(report.tables) == {f"factors {s}" for s in SYMBOLS[0 if block else 1 : 2]}
    else:
        assert (report.code, report.tables) == (0, {})


@pytest.mark.parametrize("condition", KINDS)
def test_all_providers_fail_and_nothing_is_stored(vendors: Vendors, store: Store, condition: str) -> None:
    fault, word = MATRIX[condition]
    vendors.fault = bars_of(*BARS, fault=fault)
    report = ask(store, SYMBOLS[:2])
    error = report.error()
    assert report.code == 4
    assert isinstance(error, ProvidersFailed)
    assert word in str(error)
    assert "wait some hours" in str(error)
    assert set(report.ended) == {given_up(p, word) for p in BARS}
    assert store.symbols() == []


def test_without_a_network_it_says_so_in_one_line_a_vendor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
    wire = Transport(gap=0, jitter=0, wait=1000, attempts=3)  # it would be slow to try a name again
    report = refresh(store, SYMBOLS, start=FIRST, now=EVENING, transport=wire)
    error = report.error()
    assert isinstance(error, ProvidersFailed)
    first, *vendors, last = str(error).splitlines()
    assert "bars of 0 of 4 symbols" in first
    assert len(vendors) == len(report.ended) == 4
    assert all(line.endswith("its name could not be resolved") for line in vendors)
    assert last.startswith("no vendor's name could be resolved: there is no network")
    assert set(report.not_got) == set(SYMBOLS), "the record of the run still has them all"


def test_after_all_providers_failed_the_next_run_finishes_the_work(vendors: Vendors, store: Store) -> None:
    vendors.fault = bars_of(*BARS, fault="drop")
    assert ask(store, SYMBOLS).code == 4
    vendors.fault = lambda host, url: None
    healed = ask(store, SYMBOLS)
    assert (healed.code, healed.got) == (0, 4)
    assert store.bars().height == 4 * len(days())


def test_a_hang_ends_by_the_time_out(vendors: Vendors, store: Store) -> None:
    vendors.fault = bars_of("em", fault="hang")
    report = ask(store, SYMBOLS[:2], patience_of_wire=0.75, providers=["em"])
    assert report.code == 4
    assert "Timeout" in report.ended["eastmoney"]
    assert len(vendors.of("em")) == 2


def test_a_symbol_no_provider_knows_is_said_and_costs_the_others_nothing(
    vendors: Vendors, store: Store
) -> None:
    report = ask(store, ["002999.SZ", *SYMBOLS])
    assert report.code == 3
    assert report.not_got["002999.SZ"].startswith("no provider knows it: ")
    assert all(name in report.not_got["002999.SZ"] for name in NAMES.values())
    assert report.ended == {}
    assert store.symbols() == sorted(SYMBOLS)


def test_a_provider_that_dies_half_way_hands_the_rest_to_the_next(vendors: Vendors, store: Store) -> None:
    served: list[str] = []

    def dies(host: str, url: str) -> Fault:
        if host in HOSTS["em"] and "kline/get" in url:
            served.append(url)
            return "drop" if len(served) > 2 else None
        return None

    vendors.fault = dies
    report = ask(store, SYMBOLS)
    assert (report.code, report.sources) == (0, {"eastmoney": 2, "tencent": 2})
    by = {s: set(store.bars([s], basis="raw")["source"]) for s in SYMBOLS}
    assert list(by.values()) == [{"eastmoney"}, {"eastmoney"}, {"tencent"}, {"tencent"}]


def test_a_provider_that_dies_alone_leaves_the_rest_owed_and_is_not_asked_again(
    vendors: Vendors, store: Store
) -> None:
    blocked_from = 2
    calls: list[str] = []

    def dies(host: str, url: str) -> Fault:
        if host in HOSTS["em"] and "kline/get" in url:
            calls.append(url)
            return (403, b"") if len(calls) > blocked_from else None
        return None

    vendors.fault = dies
    report = ask(store, SYMBOLS, providers=["em"])
    error = report.error()
    assert report.code == 3
    assert isinstance(error, Partial)
    assert "eastmoney was given up for this run" in str(error)
    assert store.symbols() == sorted(SYMBOLS[:2])
    assert len(calls) == 3
    vendors.fault = lambda host, url: None
    assert ask(store, SYMBOLS, providers=["em"]).sources == {"eastmoney": 2}, "only what was owed"


@pytest.mark.parametrize(
    ("hosts", "path", "symbol", "owed"),
    [
        ("em data", "SHAREBONUS", "002837.SZ", {"actions 002837.SZ"}),
        ("sina", "hfq.js", "002837.SZ", {"factors 002837.SZ"}),
        ("sina", "klc_td_sh", "002837.SZ", {"calendar"}),
        ("sse", "", "603019.SH", {"companies SH", "delisted SH"}),
        ("szse", "1110", "002837.SZ", {"companies SZ"}),
        ("szse", "SSGSGMXX", "002837.SZ", {"names SZ"}),
        ("bse", "", "920808.BJ", {"companies BJ"}),
    ],
)
def test_another_table_that_fails_never_costs_the_bars(
    vendors: Vendors, store: Store, hosts: str, path: str, symbol: str, owed: set[str]
) -> None:
    vendors.fault = lambda host, url: (
        (200, b'{"nothing": "known"}') if host in HOSTS[hosts] and path in url else None
    )
    report = ask(store, [symbol], force=True)
    assert (report.code, set(report.tables)) == (3, owed)
    assert store.bars([symbol], basis="raw").height == len(days())


def test_suspensions_that_cannot_be_asked_for_never_cost_the_bars(vendors: Vendors, store: Store) -> None:
    gone = days()[30]
    vendors.market.bars["000063"] = [r for r in vendors.market.bars["000063"] if r[0] != gone]
    vendors.fault = lambda host, url: (403, b"") if "SUSPEND" in url else None
    report = ask(store, SYMBOLS)
    assert report.code == 3
    assert "HTTP 403" in report.tables["suspensions"]
    assert report.gaps == {"000063.SZ": str(gone)}
    assert store.bars(basis="raw").height == 4 * len(days()) - 1


def test_two_sources_that_disagree_leave_the_first_and_set_the_second_aside(
    vendors: Vendors, store: Store
) -> None:
    ask(store, SYMBOLS[:1])
    before = store.bars()
    day, opened, high, low, close, shares, yuan = vendors.market.bars["002837"][-3]
    vendors.market.bars["002837"][-3] = (day, opened, high + 1, low, close, shares, yuan)
    report = ask(store, SYMBOLS[:1], providers=["tx"], force=True)
    assert report.code == 5
    assert isinstance(report.error(), IntegrityError)
    assert store.bars().equals(before)
    assert store.rejected().select("date", "rule", "source").rows() == [(day, "cross_source", "tencent")]
