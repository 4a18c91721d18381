"""How the store talks to vendors: one shim round ``requests``, and the ways a vendor can fail.

::

    VendorError
    ├── Unreachable    dropped connection, time-out, 5xx: retried (the first two), then counted
    │   └── Unresolved     the host's name is not found: retried only after a vendor has answered
    ├── Blocked        403, 429, 456, or a page where data was expected: never retried, never dodged
    ├── Drift          an answer in another shape than akshare knows: never retried
    └── Absent         the vendor answers that it has no such thing

akshare gives most of its requests no time-out, ignores the HTTP status and evaluates one vendor's answer as
Python. The shim mends that from outside, for every request of one refresh, in this order: wait out the gap
to the last request to the same host; send, with time-outs; retry broken connections; record the answer's
hash; name a bad answer. It replaces ``requests.Session.request`` and nothing below it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import math
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import stamina
from urllib3.exceptions import NameResolutionError

from data_cache.errors import UsageError

__all__ = [
    "Absent", "Blocked", "Drift", "Payload", "Transport", "Unreachable", "Unresolved", "VendorError",
]  # fmt: skip

_BLOCKED = {403, 429, 456}  # 456: Sina's own
_ABSENT = {
    "push2his.eastmoney.com": re.compile(rb'"data"\s*:\s*null'),
    "datacenter-web.eastmoney.com": re.compile(rb'"code"\s*:\s*9201\b'),
    "proxy.finance.qq.com": re.compile(rb'"data"\s*:\s*(null|\[\s*\]|\{\s*\})|day"\s*:\s*\[\s*\]'),
}
"""How each host says, with status 200, that it has nothing of the kind asked for."""
_SHORT = 2_000  # an answer that says "nothing" is short; only such a one is searched


class VendorError(Exception):
    """A vendor's answer that cannot be used; the message is evidence for a person."""


class Unreachable(VendorError):
    """No answer: the connection broke, timed out, or the server failed (5xx)."""


class Unresolved(Unreachable):
    """The host's name could not be resolved; where no vendor's can, there is no network."""


class Blocked(VendorError):
    """The vendor refuses this address. Waiting is the only remedy we use."""


class Drift(VendorError):
    """The answer has another shape than the one akshare reads."""


class Absent(VendorError):
    """The vendor says it has no such thing."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One answer as it came: which host, which HTTP status, how many bytes, and their SHA-256."""

    host: str
    status: int
    size: int
    sha256: str


class Transport:
    """Every request made inside ``with Transport(...)`` goes through the shim.

    Args:
        timeout: seconds to connect, and seconds without a byte, where a caller gives none.
        gap: least seconds between two requests to one host.
        jitter: up to this many seconds more, drawn anew each time.
        attempts: tries per request on a broken connection or a time-out.
        wait: seconds before the second try; doubles after.
        sleep: how to wait out the gap.

    Attributes:
        payloads: what came, in order; read ``len`` before a call to find what it brought.

    Raises:
        UsageError: a time-out that is not above 0, or a gap below it.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = (5.0, 20.0),
        gap: float = 1.0,
        jitter: float = 0.5,
        attempts: int = 3,
        wait: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        for seconds in timeout:
            if not 0 < seconds < math.inf:
                raise UsageError(f"the time-out is {seconds} seconds; --timeout needs more than 0")
        if not 0 <= gap < math.inf:
            raise UsageError(f"the gap is {gap} seconds; --gap needs 0 or more")
        self.payloads: list[Payload] = []
        self._timeout, self._gap, self._jitter = timeout, gap, jitter
        self._attempts, self._wait, self._sleep = attempts, wait, sleep
        self._next: dict[str, float] = {}
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Transport:
        send = requests.Session.request

        @functools.wraps(send)
        def request(session: requests.Session, method: str, url: str, **kwargs: Any) -> requests.Response:
            return self._request(functools.partial(send, session, method), url, kwargs)

        requests.Session.request = request  # type: ignore[method-assign, assignment]
        self._undo.callback(setattr, requests.Session, "request", send)
        self._undo.enter_context(_quiet())
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _request(
        self, send: Callable[..., requests.Response], url: str, kwargs: dict[str, Any]
    ) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._timeout
        host = urlsplit(url).hostname or url
        try:
            for attempt in stamina.retry_context(
                on=self._may_pass,
                attempts=self._attempts,
                timeout=None,
                wait_initial=self._wait,
                wait_max=30 * self._wait,
                wait_jitter=self._wait,
            ):
                with attempt:
                    answer = self._spaced(host, functools.partial(send, url, **kwargs))
        except requests.exceptions.RequestException as error:
            if _unresolved(error):
                raise Unresolved(f"{host}: its name could not be resolved") from error
            raise Unreachable(
                f"{host}: {type(error).__name__} after {self._attempts} tries ({error})"
            ) from error
        body = answer.content
        self.payloads.append(Payload(host, answer.status_code, len(body), hashlib.sha256(body).hexdigest()))
        _name_bad_answer(host, answer)
        return answer

    def _may_pass(self, error: Exception) -> bool:
        """Whether another try may succeed; while no vendor has answered, a name that is not found stays so."""
        if _unresolved(error):
            return bool(self.payloads)
        return isinstance(error, (requests.exceptions.ConnectionError, requests.exceptions.Timeout))

    def _spaced(self, host: str, send: Callable[[], requests.Response]) -> requests.Response:
        if (wait := self._next.get(host, 0.0) - time.monotonic()) > 0:
            self._sleep(wait)
        try:
            return send()
        finally:
            pause = self._gap + random.uniform(0, self._jitter)
            self._next[host] = time.monotonic() + pause


def _unresolved(error: Exception) -> bool:
    """Whether urllib3 gave up because the host has no address."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NameResolutionError)


def _name_bad_answer(host: str, answer: requests.Response) -> None:
    """Raise the ``VendorError`` that fits an answer akshare would stumble over or believe."""
    status, body = answer.status_code, answer.content
    start = body[:_SHORT].lstrip()
    if status in _BLOCKED:
        raise Blocked(f"{host}: HTTP {status}; this address is refused, wait some hours")
    if status == 404:
        raise Absent(f"{host}: HTTP 404 for {urlsplit(answer.url).path}")
    if status >= 500:
        raise Unreachable(f"{host}: HTTP {status}")
    if status >= 400:
        raise Drift(f"{host}: HTTP {status} for {urlsplit(answer.url).path}")
    if start[:1] == b"<":
        raise Blocked(f"{host}: a web page where data was expected (begins {start[:40]!r})")
    if not start:
        raise Drift(f"{host}: an empty answer")
    if len(body) < _SHORT and (says_nothing := _ABSENT.get(host)) and says_nothing.search(body):
        raise Absent(f"{host}: answers that it has none")
    if urlsplit(answer.url).path.endswith(("/hfq.js", "/qfq.js")):
        _refuse_code(host, answer.text)


def _refuse_code(host: str, text: str) -> None:
    """Let nothing but a literal through where akshare passes the answer to ``eval``."""
    try:
        ast.literal_eval(text.split("=")[1].split("\n")[0].strip())
    except (IndexError, ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise Drift(f"{host}: adjustment factors are not a plain table (begins {text[:40]!r})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of akshare's, and none of the warnings its own pandas code causes under pandas 3."""
    from pandas.errors import Pandas4Warning
    from tqdm import tqdm

    init = tqdm.__init__
    tqdm.__init__ = functools.partialmethod(init, disable=True)
    try:
        with warnings.catch_warnings():
            # inplace writes and string dtypes of akshare 1.19 that pandas 4 will read differently
            warnings.filterwarnings("ignore", category=Pandas4Warning)
            yield
    finally:
        tqdm.__init__ = init
