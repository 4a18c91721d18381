"""The shim round requests: time-outs, gaps, retries, and a name for each bad answer."""

from __future__ import annotations

import hashlib
import socket
import sys
import warnings

import pytest
import requests
import responses
from responses.registries import OrderedRegistry
from urllib3.exceptions import MaxRetryError, NameResolutionError

from data_cache.vendors import Absent, Blocked, Drift, Payload, Transport, Unreachable, Unresolved

URL = "https://push2his.eastmoney.com/api/qt/stock/kline/get"


def quick(**kwargs: object) -> Transport:
    return Transport(**({"gap": 0, "jitter": 0, "wait": 0} | kwargs))  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [403, 429, 456])
def test_a_block_is_named_and_not_tried_again(status: int) -> None:
    with responses.RequestsMock() as wire, quick(attempts=3):
        wire.get(URL, status=status, body="no")
        with pytest.raises(Blocked, match=str(status)):
            requests.get(URL, timeout=1)
        assert len(wire.calls) == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, " \n<!DOCTYPE html><html>verify you are human</html>", Blocked),
        (200, "", Drift),
        (200, '{"rc":102,"data":null}', Absent),
        (404, "<html>gone</html>", Absent),
        (400, "{}", Drift),
        (502, "{}", Unreachable),
        (500, '{"data":{"klines":["2026-01-05,1,1,1,1,1,1,1,1,1,1"]}}', Unreachable),
    ],
)
def test_each_bad_answer_has_its_name(status: int, body: str, error: type[Exception]) -> None:
    with responses.RequestsMock() as wire, quick():
        wire.get(URL, status=status, body=body)
        with pytest.raises(error, match="eastmoney"):
            requests.get(URL, timeout=1)


@pytest.mark.parametrize("broken", [requests.exceptions.ConnectionError, requests.exceptions.ReadTimeout])
def test_a_broken_connection_is_tried_again_and_then_named(broken: type[Exception]) -> None:
    with responses.RequestsMock() as wire, quick(attempts=3):
        wire.get(URL, body=broken("cut"))
        with pytest.raises(Unreachable, match="3 tries"):
            requests.get(URL, timeout=1)
        assert len(wire.calls) == 3


def test_a_name_that_is_not_found_is_tried_again_only_after_a_vendor_has_answered() -> None:
    unknown = NameResolutionError("push2his.eastmoney.com", None, socket.gaierror(-3, "no"))  # type: ignore[arg-type]
    broken = requests.exceptions.ConnectionError(MaxRetryError(None, URL, unknown))  # type: ignore[arg-type]
    with responses.RequestsMock() as wire, quick(attempts=3):
        wire.get(URL, body=broken)
        wire.get("https://finance.sina.com.cn/x", body="{}")
        with pytest.raises(Unresolved, match=r"^push2his\.eastmoney\.com: its name could not be resolved$"):
            requests.get(URL, timeout=1)
        assert len(wire.calls) == 1
        requests.get("https://finance.sina.com.cn/x", timeout=1)
        with pytest.raises(Unresolved):
            requests.get(URL, timeout=1)
        assert len(wire.calls) == 1 + 1 + 3


def test_a_second_try_may_succeed() -> None:
    with responses.RequestsMock(registry=OrderedRegistry) as wire, quick(attempts=2):
        wire.get(URL, body=requests.exceptions.ConnectionError("cut"))
        wire.get(URL, body="{}")
        assert requests.get(URL, timeout=1).text == "{}"


def test_a_request_without_a_time_out_gets_one_and_another_keeps_its_own() -> None:
    with responses.RequestsMock() as wire, quick(timeout=(3.0, 7.0)):
        wire.get(URL, body="{}")
        requests.get(URL)
        requests.get(URL, timeout=15)
        assert [call.request.req_kwargs["timeout"] for call in wire.calls] == [(3.0, 7.0), 15]


def test_the_gap_is_kept_per_host() -> None:
    waited: list[float] = []
    with responses.RequestsMock() as wire, quick(gap=1000.0, sleep=waited.append):
        for host in ("a", "b"):
            wire.get(f"https://{host}.example/", body="{}")
        for host in ("a", "b", "a", "b"):
            requests.get(f"https://{host}.example/", timeout=1)
    assert len(waited) == 2, "the first request to each host waits for nothing"
    assert all(990 < seconds <= 1000 for seconds in waited)


def test_jitter_only_lengthens_the_gap() -> None:
    waited: list[float] = []
    with responses.RequestsMock() as wire, quick(gap=1000.0, jitter=500.0, sleep=waited.append):
        wire.get(URL, body="{}")
        for _ in range(30):
            requests.get(URL, timeout=1)
    assert all(990 < seconds <= 1500 for seconds in waited)
    assert len({round(seconds) for seconds in waited}) > 5


def test_what_came_is_recorded_with_its_hash() -> None:
    with responses.RequestsMock() as wire, quick() as transport:
        wire.get(URL, body="{}")
        wire.get("https://finance.sina.com.cn/x", status=456, body="blocked")
        requests.get(URL, timeout=1)
        with pytest.raises(Blocked):
            requests.get("https://finance.sina.com.cn/x", timeout=1)
    assert transport.payloads == [
        Payload("push2his.eastmoney.com", 200, 2, hashlib.sha256(b"{}").hexdigest()),
        Payload("finance.sina.com.cn", 456, 7, hashlib.sha256(b"blocked").hexdigest()),
    ]


def test_everything_is_put_back_even_after_a_failure() -> None:
    from tqdm import tqdm

    before = (requests.Session.request, tqdm.__init__, list(warnings.filters))
    with pytest.raises(ZeroDivisionError), quick():
        raise ZeroDivisionError
    assert (requests.Session.request, tqdm.__init__, list(warnings.filters)) == before


def test_akshares_progress_bars_are_silent_within(capsys: pytest.CaptureFixture[str]) -> None:
    from akshare.utils.tqdm import get_tqdm

    with quick():
        assert list(get_tqdm()(range(3))) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    list(get_tqdm()(range(3), file=sys.stderr, mininterval=0))
    assert capsys.readouterr().err != "", "outside they draw, or this test proves nothing"


def test_only_the_warnings_of_akshares_pandas_code_are_contained() -> None:
    from pandas.errors import Pandas4Warning

    with quick(), warnings.catch_warnings():
        warnings.warn("what pandas 4 will change", Pandas4Warning, stacklevel=1)
        with pytest.raises(UserWarning):
            warnings.warn("anything else", UserWarning, stacklevel=1)
