"""A simulator over HTTP, on this machine; `authflow simulate` is the command that starts one.

It binds 127.0.0.1, and logs a line per request to standard error if it is told to. `POST /__fault` with a fault's
notation as its body orders one; `GET /__counts` tells what was called.
"""

from __future__ import annotations

import html
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from authflow.accounts import sends_to
from authflow.http import Answer, Request, origin_of
from authflow.testing.faults import Broken
from authflow.testing.person import DEEDS
from authflow.testing.simulator import Simulator
from authflow.vendors import Given

#: A request's body larger than this is refused, in bytes.
BODY_LIMIT: Final = 1 << 20
#: How long a request that times out is left without an answer, in seconds, unless the client goes first.
HANG: Final = 3600.0
#: What the links of the sign-in page add to its query.
DEED: Final = "__person"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, simulator: Simulator, *, verbose: bool) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.simulator = simulator
        self.verbose = verbose

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client that has gone is no error of ours
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > BODY_LIMIT or self.headers.get("Transfer-Encoding"):
            self._send(Answer(411, (), b"a Content-Length of at most 1 MiB is required\n"), close=True)
            return
        body = self.rfile.read(int(length))
        if self.path.startswith("/__"):
            self._send(self._control(body))
            return
        url = urlunsplit(urlsplit(self.server.simulator.base_url)._replace(path="", query="", fragment="")) + self.path
        request = Request(self.command, url, tuple(self.headers.items()), body or None)
        if (page := self._person(request)) is not None:
            self._send(page)
            return
        try:
            answer = self.server.simulator.handle(request)
        except Broken as broken:
            self._break(broken.kind)
            return
        if self.server.verbose and self.server.simulator.log:
            seen = self.server.simulator.log[-1]
            print(f"{seen.method} {urlsplit(seen.url).path} {seen.what}: {seen.result}, {seen.status}", file=sys.stderr)
        self._send(answer)

    def _person(self, request: Request) -> Answer | None:
        """The page at which a person signs in, or refuses to: two links, which come back here with what they say."""
        simulator = self.server.simulator
        exchange = simulator.vendor.flow.exchanges.get(simulator.values_in(request)[0])
        if exchange is None or not exchange.by:
            return None
        deed = parse_qs(urlsplit(self.path).query).get(DEED, [""])[0]
        if deed in DEEDS:
            simulator.person.does = deed
            return None
        title = html.escape(simulator.vendor.title)
        links = "".join(
            f'<p><a href="{html.escape(f"{self.path}&{DEED}={does}")}">{text}</a></p>'
            for does, text in (("agrees", "Sign in, and agree"), ("refuses", "Refuse"))
        )
        page = f'<!doctype html><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{links}\n'
        return Answer(200, (("Content-Type", "text/html; charset=utf-8"),), page.encode())

    def _control(self, body: bytes) -> Answer:
        simulator = self.server.simulator
        if self.path == "/__counts":
            return Answer(200, (("Content-Type", "application/json"),), json.dumps(simulator.counts).encode())
        if self.path == "/__fault" and self.command == "POST":
            try:
                simulator.faults.add(body.decode("ascii", "replace").strip())
            except ValueError as error:
                return Answer(400, (("Content-Type", "text/plain"),), f"{error}\n".encode())
            return Answer(204)
        return Answer(404)

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        content = answer.content
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        if close:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and answer.status != 204:
            self.wfile.write(content)

    def _break(self, kind: str) -> None:
        self.close_connection = True
        if kind == "timeout":
            self.connection.settimeout(HANG)
            with suppress(OSError):
                while self.connection.recv(65536):
                    pass
        elif kind == "half":
            self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"acc')
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def serving(simulator: Simulator, port: int = 0, *, verbose: bool = False) -> Iterator[str]:
    """Serve a simulator on 127.0.0.1 while the context lasts; gives the base URL under which it is reached."""
    server = _Server(port, simulator, verbose=verbose)
    moved(simulator, f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="authflow-simulator", daemon=True)
    thread.start()
    try:
        yield simulator.base_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def moved(simulator: Simulator, origin: str) -> None:
    """Let a simulator live at another origin: its base URL, and every setting that is a URL of the same origin."""
    old = urlsplit(simulator.base_url)
    here = urlsplit(origin)
    for name, value in simulator.inputs.items():
        parts = urlsplit(value) if isinstance(value, str) else old
        if isinstance(value, str) and parts.scheme in ("http", "https") and parts.netloc:
            simulator.inputs[name] = urlunsplit(parts._replace(scheme=here.scheme, netloc=here.netloc))
    simulator.move(urlunsplit(old._replace(scheme=here.scheme, netloc=here.netloc)))


def unreached(simulator: Simulator) -> Iterator[str]:
    """The exchanges that no session brings here: the file itself says that they go to another origin."""
    here = str(origin_of(simulator.base_url))
    for exchange in simulator.vendor.flow.exchanges.values():
        url = exchange.request.url
        if url is not None and url.is_absolute and url.literal_origin() != here:
            yield f"exchanges.{exchange.name}.request.url: it says {url.literals[0]}…, which is not this machine"
        elif url is not None and url.starts_with_placeholder:
            given = Given({**simulator.inputs, "base_url": simulator.base_url})
            if not sends_to(simulator.vendor, given, {}, simulator.base_url, written=url):
                yield f"exchanges.{exchange.name}.request.url: origins.send lets it lead elsewhere only"
