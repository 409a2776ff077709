"""A server that is never done and never late: every exchange ends within its time, its thread and connection too.

Swept over each part of an answer that can be slow, in the clear and in TLS, through the default client of each library
and through a user's own, whose idle connection would serve again. The deadline comes when the server is at it, however
busy the machine; that it comes in its time too is tested by itself, and in `clients/test_senders.py`.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow.clients import default_sender, sender_for
from authflow.clients.deadline import Deadline
from authflow.http import Request
from authflow.renewing.environment import NoAnswer, Sender
from tests.clients.drivers import GIVEN
from tests.trust.wire import head, ladder_at, writing

TIMEOUT = 60.0
#: What comes at once, and what comes again and again.
SLOW: dict[str, tuple[bytes, bytes]] = {
    "status line": (b"HTTP/1.1 200 O", b"K"),
    "headers": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "more headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (head("Content-Length: 10000"), b"x"),
    "chunks": (head("Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
    "a chunk": (head("Transfer-Encoding: chunked") + b"1000\r\n", b"x"),
    "a chunk's size": (head("Transfer-Encoding: chunked"), b"0"),
}


class Slow:
    """Writes drops without end. It knows when the third has fallen, and how many of its clients have gone."""

    def __init__(self, drops: tuple[bytes, bytes], pause: float = 0.01) -> None:
        self._first, self._drop = drops
        self._pause = pause
        self.began = threading.Event()
        self.gone = threading.Semaphore(0)

    def __call__(self, connection: socket.socket) -> None:
        try:
            connection.sendall(self._first)
            for number in itertools.count():
                time.sleep(self._pause)
                connection.sendall(self._drop)
                if number == 2:
                    self.began.set()
        except OSError:
            self.gone.release()


def users_client(library: str, **more: Any) -> Any:
    lib = importlib.import_module(library)
    if hasattr(lib, "Session"):
        session = lib.Session()
        vars(session).update(trust_env=False, **more)
        return session
    return lib.Client(trust_env=False, **more)


@pytest.fixture(params=GIVEN)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Deadline]:
    """The deadlines that senders make."""
    made: list[Deadline] = []

    class Made(Deadline):
        def __init__(self, seconds: float) -> None:
            super().__init__(seconds)
            made.append(self)

    for module in ("httpx_sender", "requests_sender"):
        monkeypatch.setattr(f"authflow.clients.{module}.Deadline", Made)
    return made


def ends(call: Callable[[], object], server: Slow, made: list[Deadline]) -> BaseException:
    """What a call in a thread raises when its deadline comes while the server is slow."""
    raised: list[BaseException] = []

    def caught() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=caught, daemon=True)
    thread.start()
    assert server.began.wait(20)
    made[-1]._shut_down()
    thread.join(20)
    assert not thread.is_alive()
    assert server.gone.acquire(timeout=20), "the connection is left open"
    (error,) = raised
    return error


def asking(sender: Sender, url: str) -> Callable[[], object]:
    return lambda: sender.exchange(Request("POST", f"{url}/login", body=b"{}"), TIMEOUT)


@pytest.mark.parametrize("whose", ["default", "users"])
@pytest.mark.parametrize("drops", SLOW.values(), ids=[name.replace(" ", "_") for name in SLOW])
def test_whatever_is_slow_the_exchange_ends(
    library: str, whose: str, drops: tuple[bytes, bytes], made: list[Deadline]
) -> None:
    server = Slow(drops)
    with writing(server) as url:
        sender = default_sender(library) if whose == "default" else sender_for(users_client(library))
        error = ends(asking(sender, url), server, made)
    assert isinstance(error, NoAnswer)
    assert error.sent


@pytest.mark.parametrize("drops", SLOW.values(), ids=[name.replace(" ", "_") for name in SLOW])
def test_on_the_loop_of_ours_too(drops: tuple[bytes, bytes]) -> None:
    """aiohttp's exchanges need no deadline that shuts connections down: they are cancelled."""
    pytest.importorskip("aiohttp")
    server = Slow(drops)
    with writing(server) as url, pytest.raises(NoAnswer, match=r"^the answer took too long$") as raised:
        default_sender("aiohttp").exchange(Request("POST", f"{url}/login", body=b"{}"), 0.5)
    assert raised.value.sent
    assert server.gone.acquire(timeout=20), "the connection is left open"


def test_interim_answers_without_end_and_without_a_pause(library: str, made: list[Deadline]) -> None:
    server = Slow((b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), pause=0)
    with writing(server) as url:
        assert isinstance(ends(asking(default_sender(library), url), server, made), NoAnswer)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_in_tls_too(library: str, certificate: Path, made: list[Deadline]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Slow(SLOW["headers"])
    with writing(server, context) as url:
        sender = sender_for(users_client(library, verify=False))
        assert isinstance(ends(asking(sender, url), server, made), NoAnswer)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_through_a_proxy_too(library: str, monkeypatch: pytest.MonkeyPatch, made: list[Deadline]) -> None:
    """It is slow with its answer to CONNECT, before the vendor is even reached."""
    server = Slow(SLOW["headers"])
    with writing(server) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        if library == "niquests":  # it reads the environment once, and an earlier test has made it do so
            monkeypatch.setattr("niquests.utils.getproxies", urllib.request.getproxies)
        sender = default_sender(library)
        assert isinstance(ends(asking(sender, "https://vendor.example"), server, made), NoAnswer)
    gc.collect()  # urllib3 leaves it to the collector to close a connection that broke off between CONNECT and TLS


def test_a_connection_that_the_users_own_requests_left_open_is_not_used(library: str) -> None:
    """Nobody could cut it, and its server may be about to close it: a rotating token would be lost."""
    reused: list[bytes] = []

    def writes(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            request = connection.recv(1 << 16)
            if not request:
                return
            reused.append(request.split()[1])

    client = users_client(library)
    with writing(writes) as url:
        for path in ("/first", "/second"):
            assert client.get(f"{url}{path}").status_code == 200
        assert sender_for(client).exchange(Request("GET", f"{url}/login"), 5).status == 200
        assert client.get(f"{url}/last").status_code == 200
        client.close()
    assert b"/second" in reused
    assert b"/login" not in reused


def test_what_an_exchange_brings_does_not_stay_in_the_users_client(library: str) -> None:
    """Cookies that a login sets are the session's to present, and where it says."""
    client = users_client(library)
    client.cookies.set("own", "1")

    def writes(connection: socket.socket) -> None:
        connection.sendall(head("Set-Cookie: sid=s3cret", "Content-Length: 0"))

    with writing(writes) as url:
        answer = sender_for(client).exchange(Request("POST", f"{url}/login", body=b"{}"), 5)
        assert answer.cookies == {"sid": "s3cret"}
        assert dict(client.cookies) == {"own": "1"}


def test_the_lock_is_free_again_and_no_thread_is_left(library: str, made: list[Deadline]) -> None:
    """The renewal ends by itself: the next one need not wait until its caller's patience is over."""
    server = Slow(SLOW["headers"])
    before = threading.active_count()
    with writing(server) as url:
        session = authflow.AuthSession(
            ladder_at(url), username="u", password="p", timeout=TIMEOUT, client=default_sender(library)
        )
        error = ends(session.token, server, made)
        assert isinstance(error, authflow.VendorUnavailable)
        assert "(the answer took too long)" in str(error)
        with session._manager.grants.store.lock(session._manager.grants.key, limit=1, wait=1):
            pass
    ending = time.monotonic() + 20
    while threading.active_count() > before and time.monotonic() < ending:
        time.sleep(0.01)
    assert threading.active_count() <= before


# --- the deadline by itself -------------------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(5)
        yield one, other


def test_a_read_that_waits_is_ended(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(0.05) as deadline:
        deadline.watch(pair[0])
        assert pair[0].recv(1) == b""
    assert deadline.cut


def test_what_opens_too_late_is_shut_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(0.0) as deadline:
        deadline.watch(pair[0])
        assert pair[0].recv(1) == b""


def test_a_connection_that_was_closed_in_time_is_let_be(pair: tuple[socket.socket, socket.socket]) -> None:
    with Deadline(60) as deadline:
        deadline.watch(pair[0])
    deadline._shut_down()
    pair[1].send(b"x")
    assert pair[0].recv(1) == b"x"
    assert not deadline.cut


def test_a_descriptor_that_another_has_by_now_is_none_of_ours() -> None:
    first, _other = socket.socketpair()
    with Deadline(60) as deadline:
        deadline.watch(first)
        number = first.fileno()
        first.close()
        again, peer = socket.socketpair()
        with _other, again, peer:
            assert number in (again.fileno(), peer.fileno())
            deadline._shut_down()
            peer.send(b"x")
            again.settimeout(5)
            assert again.recv(1) == b"x"


def test_descriptors_may_have_run_out(pair: tuple[socket.socket, socket.socket]) -> None:
    """The exchange goes on unwatched."""
    pair[0].close()
    with Deadline(60) as deadline:
        deadline.watch(pair[0])
        assert deadline.watches


def test_where_no_thread_can_start_an_exchange_has_its_time_outs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a function that runs while Python ends (CPython 3.12): a logout there is still sent."""

    def start(timer: threading.Timer) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Timer, "start", start)
    with Deadline(1.0) as deadline:
        assert not deadline.cut
