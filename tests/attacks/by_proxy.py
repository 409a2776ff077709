"""A proxy whose URL holds a password, from the environment or in `client=`: one that is not there, refuses, answers
what it was sent, has a port or a scheme that is none, or is asked to be a SOCKS proxy.

Expected: neither errors (whatever shows them), nor logs, nor a recording, nor what a session tells of itself, nor
`doctor` shows the proxy's password, the user's, or a token.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import authflow
from authflow.clients import default_sender
from authflow.http import Request
from authflow.masking import spells
from tests.attacks.noisy_logs import LIBRARIES, LOUD, loud
from tests.attacks.reporters import TOOLS, missing
from tests.attacks.shown_objects import SECRETS

PASSWORD = "pr0xy-p4ss%2Fw0rd"
KNOWN = {**SECRETS, "proxy's password": "pr0xy-p4ss/w0rd", "the same, as it is written": PASSWORD}
VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
#: What stands around `u:PASSWORD@`; the port is that of a proxy who says what it was sent.
PROXIES = {
    "which is not there": "http://{}127.0.0.1:1",
    "who refuses": "http://{}127.0.0.1:{port}",
    "whose port is none": "http://{}127.0.0.1:port",
    "whose scheme is none": "foo://{}127.0.0.1:{port}",
    "with no scheme": "{}127.0.0.1:{port}",
    "who speaks TLS": "https://{}127.0.0.1:{port}",
    "whose host is none": "http://{}[::1",
    **{f"of {kind}": f"{kind}://{{}}127.0.0.1:{{port}}" for kind in ("socks4", "socks5", "socks5h")},
}


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A proxy's port. It refuses everybody, and says what it was sent."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(2)
                    said = connection.recv(1 << 16)
                    head = b"HTTP/1.1 407 Not " + said.replace(b"\r\n", b" ") + b"\r\n"
                    connection.sendall(head + b"Content-Length: %d\r\n\r\n%b" % (len(said), said))

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def environment(proxy: str) -> Iterator[None]:
    kept = dict(os.environ)
    os.environ.update(dict.fromkeys(VARIABLES, proxy))
    for name in ("NO_PROXY", "no_proxy"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def client_with(library: str, proxy: str) -> Any:
    """The caller's own client. Raises what the library says of a proxy that is none: that is the caller's affair."""
    module: Any = importlib.import_module(library)
    if library.startswith("httpx"):
        return module.Client(proxy=proxy)
    client = module.Session()
    client.proxies = {"https": proxy, "http": proxy}
    return client


def session(library: str, client: Any = None) -> authflow.AuthSession:
    file = {**LOUD, "base_url": "https://vendor.example/"}
    own = {"username": "u", "password": SECRETS["password"], "pin": lambda: SECRETS["pin"]}
    return authflow.AuthSession(file, **own, client=client, timeout=3)


def told(one: authflow.AuthSession, library: str) -> Iterator[str]:
    """All that is said while and after a login has failed."""
    getattr(one, library)  # its library sends the exchanges
    asked = Request("HEAD", "https://vendor.example/")
    calls: tuple[Callable[[], Any], ...] = (
        one.token,
        lambda: default_sender(library).exchange(asked, 3),  # as `doctor` asks
    )
    with loud() as said, one.record() as seen:
        for call in calls:
            try:
                call()
            except Exception as error:
                yield from (TOOLS[tool](error) for tool in ("stdlib", "sentry_sdk") if not missing(tool))
                for each in (error, error.__cause__, error.__context__):
                    yield from (f"{each!r} {each}", repr(vars(each)) if each is not None else "")
    yield from (*said, seen.html(), repr(one.status()))


def attack(libraries: list[str] = LIBRARIES) -> Iterator[str]:
    with refusing() as port:
        for library in libraries:
            for title, shape in PROXIES.items():
                proxy = shape.format(f"u:{PASSWORD}@", port=port)
                with environment(proxy):
                    yield from searched(f"{library}, a proxy {title}", told(session(library), library))
                if library == "aiohttp":
                    continue
                with contextlib.suppress(Exception):  # httpx looks at it at once
                    client = client_with(library, proxy)
                    yield from searched(f"{library}, client= with one {title}", told(session(library, client), library))


def searched(where: str, said: Iterator[str]) -> Iterator[str]:
    lines = dict.fromkeys(line for text in said for line in text.splitlines())
    if spells("\n".join(lines), KNOWN.values()):
        for line in lines:
            yield from (f"{where}: {name} in {line[:300]}" for name, value in KNOWN.items() if spells(line, [value]))


if __name__ == "__main__":
    found = 0
    for line in attack(sys.argv[1:] or LIBRARIES):
        found += 1
        print(line, flush=True)
    sys.exit(bool(found))
