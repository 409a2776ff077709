"""A strict OAuth 2 token endpoint on 127.0.0.1, in a process of its own: RFC 6749, with refresh tokens that rotate.

    password, client_credentials    an access token and a refresh token
    refresh_token                   the next pair; the old token is spent when the request arrives, and is refused after

A token is spent first and answered `latency` seconds later, as servers do that keep their state in a database.
`Endpoint` starts it, `order` tells it how to behave and asks what it has counted; orders are not counted.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qs

from benchmarks.measure import ROOT

REASONS: Final = {200: "OK", 400: "Bad Request", 404: "Not Found"}


class Endpoint:
    """The endpoint's process, as a context manager. `token_url` is its address."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.endpoint"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.base_url: str = json.loads(self._process.stdout.readline())["base_url"]
        self.token_url = f"{self.base_url}/token"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=10)


def order(base_url: str, **orders: Any) -> dict[str, Any]:
    """Give the endpoint orders (`lifetime`, `latency`, `refuse`, `reset`); hear what it has counted, and when
    (`instants`, epoch seconds).
    """
    data = json.dumps(orders).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{base_url}/orders", data), timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def grant(base_url: str) -> dict[str, Any]:
    """A pair of tokens, for clients that can renew and not log in."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{base_url}/token", b"grant_type=password", timeout=30) as answer:
        pair: dict[str, Any] = json.load(answer)
    return pair


class _Issuer:
    def __init__(self) -> None:
        self.lifetime, self.latency, self.refuse = 3600.0, 0.0, False
        self.spent: dict[str, bool] = {}
        self.counts: Counter[str] = Counter()
        self.instants: list[float] = []

    def order(self, orders: dict[str, Any]) -> dict[str, Any]:
        if orders.pop("reset", False):
            self.counts.clear()
            self.instants.clear()
        for name, value in orders.items():
            setattr(self, name, value)
        return {**self.counts, "instants": self.instants}

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        grant = form.get("grant_type", "none")
        self.counts["exchanges"] += 1
        self.instants.append(time.time())
        self.counts[grant] += 1
        if self.refuse:
            return 400, {"error": "invalid_grant"}
        if grant == "refresh_token":
            token = form.get("refresh_token", "")
            if self.spent.get(token, True):
                self.counts["reused" if token in self.spent else "unknown"] += 1
                return 400, {"error": "invalid_grant"}
            self.spent[token] = True
        elif grant not in ("password", "client_credentials"):
            return 400, {"error": "unsupported_grant_type"}
        refresh = secrets.token_hex(16)
        self.spent[refresh] = False
        self.counts["granted"] += 1
        return 200, {
            "access_token": secrets.token_hex(20),
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "refresh_token": refresh,
        }


async def _serve(issuer: _Issuer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            _, path, _ = lines[0].split(" ")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            body = await reader.readexactly(int(fields.get("content-length", 0)))
            status, told = await _respond(issuer, path, body)
            out = json.dumps(told).encode()
            writer.write(
                f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
                f"Content-Length: {len(out)}\r\n\r\n".encode()
                + out
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _respond(issuer: _Issuer, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    if path == "/orders":
        return 200, issuer.order(json.loads(body))
    if path == "/.well-known/oauth-authorization-server":
        return 200, _metadata(issuer)
    if path != "/token":
        return 404, {}
    answer = issuer.exchange({name: values[0] for name, values in parse_qs(body.decode()).items()})
    await asyncio.sleep(issuer.latency)
    return answer


def _metadata(issuer: _Issuer) -> dict[str, Any]:
    """RFC 8414, for clients that ask before they log in."""
    own = getattr(issuer, "own", "")
    return {
        "issuer": own,
        "token_endpoint": f"{own}/token",
        "authorization_endpoint": f"{own}/authorize",
        "response_types_supported": ["code"],
        "grant_types_supported": ["password", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


async def _main() -> None:
    issuer = _Issuer()
    server = await asyncio.start_server(lambda r, w: _serve(issuer, r, w), "127.0.0.1", 0, backlog=4096)
    own = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    issuer.order({"own": own})
    print(json.dumps({"base_url": own}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
