"""Servers to run against: the supplier as a process of its own, and servers in threads that do as a test says.

    Supplier     the real thing: `python -m authflow_supplier.server`, its clock and the sessions' moved together
    Listener     any server: a function answers each request, and everything that came in is kept to be looked at

All listen on 127.0.0.1, on ports that the system picks, and end with the block that started them.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urljoin

import authflow

USERNAME = "demo"
PASSWORD = "open-sesame"
LIFETIME = 12 * 3600
START = 30.0
_SERVER = (sys.executable, "-m", "authflow_supplier.server", "--exit-with-stdin", f"--lifetime={LIFETIME}")
_PATHS = ("login", "refresh", "tracking", "data")


@dataclass
class Supplier:
    """The supplier's process, seen from outside. `ahead` is how far its clock, and the sessions', run ahead.

    `plain`: its vendor file rewrites nothing, and users write the URLs themselves: every request is plain.
    """

    base_url: str
    data_url: str
    ahead: float = 0.0
    plain: bool = False

    def clock(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass, here and there."""
        self.ahead += seconds
        self.control(advance=seconds)

    def control(self, **orders: Any) -> None:
        self._ask("/__control", orders)

    def fail(self, path: str, **how: Any) -> None:
        """Order a fault: the next call of `path` (times=1) fails in the manner of `kind`, or with `status`."""
        self.control(fault={"path": path, **how})

    def fresh(self) -> None:
        """As freshly started, except for the tokens that it knows and the time that has passed."""
        self.control(lifetime=LIFETIME, latency=0, unlock=True)
        for path in _PATHS:
            self.control(fault={"path": path, "times": 0})
        self.control(reset_counts=True)

    @property
    def raw_counts(self) -> dict[str, int]:
        """All counts since they were last reset."""
        counts: dict[str, int] = self._ask("/__counts")
        return counts

    @property
    def counts(self) -> dict[str, int]:
        """What was called since the last look; counts of nothing are left out."""
        counts = self.raw_counts
        self.control(reset_counts=True)
        kept = {name: count for name, count in counts.items() if count and name != "connections"}
        assert kept.pop("max_concurrent_exchanges", 0) <= 1, "two exchanges at once"
        return kept

    def session(self, **more: Any) -> authflow.AuthSession:
        own = {
            "username": USERNAME,
            "password": PASSWORD,
            "base_url": self.base_url,
            "data_origin": self.data_url,
            "clock": self.clock,
        }
        return authflow.AuthSession(_without_rewrites() if self.plain else "supplier", **{**own, **more})

    def delivery(self, number: int = 42) -> str:
        """A URL as users write it: under the base URL, to be rewritten; or, if it is plain, where it leads."""
        return urljoin(self.base_url, f"../tracking/{number}" if self.plain else f"deliveries/{number}")

    def data(self, number: int = 42) -> str:
        """The same delivery at the second origin."""
        return f"{self.data_url}/delivery-status/v2/{number}"

    def _ask(self, path: str, orders: Mapping[str, Any] | None = None) -> Any:
        body = None if orders is None else json.dumps(orders).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.data_url + path, body, timeout=START) as answer:
            return json.load(answer)


def _without_rewrites() -> dict[str, Any]:
    file = tomllib.loads((importlib.resources.files("authflow_supplier") / "supplier.toml").read_text("utf-8"))
    return {key: value for key, value in file.items() if key != "rewrites"}


@contextlib.contextmanager
def running_supplier(*options: str) -> Iterator[Supplier]:
    """A supplier of one's own. It ends with this block, and with this process, since that closes its stdin."""
    with subprocess.Popen([*_SERVER, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        overdue = threading.Timer(START, process.kill)
        overdue.start()
        try:
            line = process.stdout.readline()
            overdue.cancel()
            assert line, "the supplier did not start"
            yield Supplier(**json.loads(line))
        finally:
            overdue.cancel()
            process.stdin.close()
            try:
                process.wait(START)
            except subprocess.TimeoutExpired:
                process.kill()


# --- servers that do as a test says -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Came:
    """A request as it came in; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def everything(self) -> str:
        """All of it as text, to look for what must not be there."""
        lines = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join([*lines, self.body.decode("latin-1")])


@dataclass(frozen=True)
class Says:
    """An answer. `then` is called between the first byte of the body and the rest, for bodies that take their time."""

    status: int = 200
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    then: Callable[[], object] | None = None


@dataclass
class Listener:
    """A server in threads of this process: `says` answers, `came` keeps what came in."""

    url: str
    says: Callable[[Came], Says]
    came: list[Came] = field(default_factory=list)

    def seen(self) -> list[Came]:
        """What came in since the last look."""
        seen, self.came = self.came, []
        return seen


@contextlib.contextmanager
def listening(
    says: Callable[[Came], Says] = lambda came: Says(json={"received": len(came.body)}),
    tls: ssl.SSLContext | None = None,
) -> Iterator[Listener]:
    """A server that answers every request by asking `says`."""
    listener = Listener("", says)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # a head and its body need not wait for each other

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            came = Came(self.command, self.path, headers, _body(self, headers))
            listener.came.append(came)
            said = listener.says(came)
            body = json.dumps(said.json).encode() if said.body is None else said.body
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                if said.then is not None:
                    self.wfile.write(body[:1])
                    self.wfile.flush()
                    said.then()
                    body = body[1:]
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *arguments: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *arguments: Any) -> None:
            """A client that went away is none of ours."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        listener.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()


def _body(handler: BaseHTTPRequestHandler, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return handler.rfile.read(int(headers.get("content-length", 0)))
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """The URL of a port at which nobody listens, and nobody else can while this lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
