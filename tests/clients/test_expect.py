"""`Expect: 100-continue` (RFC 9110 §10.1.1): a server may answer before it has seen the body.

aiohttp alone waits for the 100; each other client sends header and body, and takes what comes. So what counts here is
that an early refusal is an answer like any other, that an interim one is none, and that no body is sent that was not
wanted.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedRWPair
from pathlib import Path
from typing import Any

import pytest

from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Supplier

CONTENT = b"0123456789" * 2000
EXPECT = {"Expect": "100-continue"}
REPLAYABLE = [(driver, kind) for driver in DRIVERS for kind in ("bytes",)]
ONE_SHOT = [(driver, next(iter(driver.one_shot))) for driver in DRIVERS]
HASTY = [(driver, kind) for driver, kind in ONE_SHOT if not driver.waits_for_100]
PATIENT = [(driver, kind) for driver, kind in ONE_SHOT if driver.waits_for_100]


@dataclass
class Expecting:
    """A server that answers when it has the header: with a status of `early`, in turn, or, at 100, after the body."""

    early: list[int]
    url: str = ""
    _came: list[tuple[str, bytes]] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def came(self) -> list[tuple[str, bytes]]:
        """Bearer and body of each request, read to its end."""
        for thread in self._threads:
            thread.join(20)
        return self._came

    def accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                thread = threading.Thread(target=self.serve, args=(server.accept()[0],), daemon=True)
                self._threads.append(thread)
                thread.start()

    def serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rwb") as stream:
            connection.settimeout(20)
            headers = _headers(stream)
            assert headers["expect"] == "100-continue"
            status = self.early.pop(0)
            stream.write(_line(100) if status == 100 else _line(status, b"early"))
            stream.flush()
            self._came.append((headers["authorization"], _body(stream, headers)))
            if status == 100:
                stream.write(_line(200, b"after the body"))


def _headers(stream: BufferedRWPair) -> dict[str, str]:
    stream.readline()
    lines = iter(lambda: stream.readline().decode().strip(), "")
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _body(stream: BufferedRWPair, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return stream.read(int(headers["content-length"]))
    body = b""
    while size := int(stream.readline() or b"0", 16):
        body += stream.read(size)
        stream.readline()
    return body


def _line(status: int, body: bytes | None = None) -> bytes:
    head = f"HTTP/1.1 {status} Some reason\r\n"
    if body is not None:
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + (body or b"")


@pytest.fixture
def expecting() -> Iterator[Callable[..., Expecting]]:
    with contextlib.ExitStack() as stack:

        def start(*early: int) -> Expecting:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            expecting = Expecting(list(early), f"http://127.0.0.1:{server.getsockname()[1]}")
            threading.Thread(target=expecting.accept, args=(server,), daemon=True).start()
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            return expecting

        yield start


def names(pairs: list[tuple[Driver, str]]) -> list[str]:
    return [f"{driver.name}-{kind.replace(' ', '_')}" for driver, kind in pairs]


def post(client: Driver, session: Any, server: Expecting, body: Any) -> tuple[int, bytes]:
    reply = client.call(session, f"{server.url}/upload", "POST", headers=EXPECT, **body)
    return reply.status, reply.content


@pytest.mark.parametrize(("client", "kind"), REPLAYABLE, ids=names(REPLAYABLE))
def test_turned_away_before_the_body_it_is_sent_once_more(
    client: Driver, kind: str, supplier: Supplier, expecting: Callable[..., Expecting], tmp_path: Path
) -> None:
    server = expecting(401, 100)
    session = supplier.session(data_origin=server.url)
    assert post(client, session, server, client.replayable[kind](CONTENT, tmp_path)) == (200, b"after the body")
    (first, one), (second, other) = server.came
    assert first != second
    assert (one, other) == (b"" if client.waits_for_100 else CONTENT, CONTENT)
    assert supplier.counts == {"login": 1, "refresh": 1}


@pytest.mark.parametrize(("client", "kind"), PATIENT, ids=names(PATIENT))
def test_a_body_that_waited_can_still_be_sent(
    client: Driver, kind: str, supplier: Supplier, expecting: Callable[..., Expecting], tmp_path: Path
) -> None:
    server = expecting(401, 100)
    session = supplier.session(data_origin=server.url)
    assert post(client, session, server, client.one_shot[kind](CONTENT, tmp_path)) == (200, b"after the body")
    assert [body for _, body in server.came] == [b"", CONTENT]


@pytest.mark.parametrize(("client", "kind"), HASTY, ids=names(HASTY))
def test_a_body_that_comes_once_is_not_sent_again_and_the_401_is_the_callers(
    client: Driver, kind: str, supplier: Supplier, expecting: Callable[..., Expecting], tmp_path: Path
) -> None:
    server = expecting(401, 100)
    session = supplier.session(data_origin=server.url)
    assert post(client, session, server, client.one_shot[kind](CONTENT, tmp_path)) == (401, b"early")
    assert [body for _, body in server.came] == [CONTENT]
    assert post(client, session, server, client.one_shot[kind](CONTENT, tmp_path)) == (200, b"after the body")
    assert server.came[0][0] != server.came[1][0]
    assert supplier.counts == {"login": 1, "refresh": 1}


@pytest.mark.parametrize(("client", "kind"), REPLAYABLE + ONE_SHOT, ids=names(REPLAYABLE + ONE_SHOT))
def test_an_expectation_that_fails_says_nothing_of_the_token(
    client: Driver, kind: str, supplier: Supplier, expecting: Callable[..., Expecting], tmp_path: Path
) -> None:
    server = expecting(417)
    session = supplier.session(data_origin=server.url)
    body = {**client.replayable, **client.one_shot}[kind](CONTENT, tmp_path)
    assert post(client, session, server, body) == (417, b"early")
    assert len(server.came) == 1
    assert supplier.counts == {"login": 1}
