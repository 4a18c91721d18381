"""A vendor of flesh and sockets: an HTTP server on this machine that unmodified akshare is led to.

``Vendors`` serves a market; ``fault`` decides per request what goes wrong. ``redirected`` sends every request of
``requests`` in this process there, whatever host it names; nothing below ``HTTPAdapter.send`` is replaced.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit, urlunsplit

import requests
import vendor_wire
from vendor_wire import Market

Fault = str | tuple[int, bytes] | Callable[[bytes], bytes] | None
"""``drop`` or ``hang``; another status and body; a change of the true body; or nothing."""


class Vendors:
    """Serves until closed. ``calls``: host and path of every request, in order."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.calls: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], Fault] = lambda host, url: None
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, provider: str) -> list[str]:
        """Paths asked of one provider's hosts."""
        return [path for host, path in self.calls if host in vendor_wire.HOSTS[provider]]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendors = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                host = self.headers["X-Vendor"]
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                vendors.calls.append((host, urlsplit(self.path).path))
                fault = vendors.fault(host, self.path)
                if fault == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                if fault == "hang":
                    vendors._released.wait()
                    return
                if isinstance(fault, tuple):
                    status, body = fault
                else:
                    status, _, body = vendor_wire.answer(vendors.market, f"https://{host}{self.path}", sent)
                    if callable(fault):
                        body = fault(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name http.server calls

        return Handler


@contextmanager
def redirected(port: int) -> Iterator[None]:
    class Adapter(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, **kwargs: object) -> requests.Response:
            asked = str(request.url)
            parts = urlsplit(asked)
            request.headers["X-Vendor"] = parts.netloc
            request.url = urlunsplit(("http", f"127.0.0.1:{port}", parts.path, parts.query, ""))
            try:
                response = super().send(request, **kwargs)  # type: ignore[arg-type]
            finally:
                self.close()
            response.url = asked
            return response

    original = requests.Session.get_adapter
    requests.Session.get_adapter = lambda self, url: Adapter()  # type: ignore[method-assign]
    try:
        yield
    finally:
        requests.Session.get_adapter = original  # type: ignore[method-assign]
