"""Many at once on one expired token, through every client: one exchange, nobody fails, and who leaves harms nobody."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

import authflow
from tests.clients.drivers import DRIVERS, Driver, LoopDriver, Reply
from tests.servers import LIFETIME, Supplier

THREADED = [driver for driver in DRIVERS if not isinstance(driver, LoopDriver)]
ASYNC = [driver for driver in DRIVERS if isinstance(driver, LoopDriver)]


def expired(supplier: Supplier, latency: float = 0.3) -> authflow.AuthSession:
    """A session whose token has run out, at a supplier that takes its time."""
    session = supplier.session()
    session.token()
    supplier.advance(LIFETIME + 1)
    supplier.control(latency=latency, reset_counts=True)
    return session


def all_served(replies: list[Reply | Exception]) -> bool:
    return [reply for reply in replies if not isinstance(reply, Reply) or reply.status != 200] == []


@pytest.mark.parametrize("client", THREADED, ids=lambda driver: driver.name)
def test_64_threads_on_one_expired_token_cost_one_refresh(client: Driver, supplier: Supplier) -> None:
    session = expired(supplier)
    assert all_served(client.calls(session, [supplier.delivery(number) for number in range(64)], connections=64))
    assert supplier.counts == {"refresh": 1, "tracking": 64, "data": 64}


@pytest.mark.parametrize("client", ASYNC, ids=lambda driver: driver.name)
def test_1000_tasks_on_one_expired_token_cost_one_refresh(client: Driver, supplier: Supplier) -> None:
    session = expired(supplier)
    assert all_served(client.calls(session, [supplier.data(number) for number in range(1000)], connections=20))
    assert supplier.counts == {"refresh": 1, "data": 1000}


def test_a_token_revoked_under_a_crowd_costs_one_refresh(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.control(revoke="access", latency=0.3, reset_counts=True)
    assert all_served(client.calls(session, [supplier.data(number) for number in range(32)], connections=32))
    counts = supplier.counts
    assert (counts["refresh"], counts["data"] - counts["data_401"]) == (1, 32)


def test_a_wrong_password_under_a_crowd_is_sent_once(client: Driver, supplier: Supplier) -> None:
    session = supplier.session(password="open-barley")
    supplier.control(latency=0.2)
    errors = client.calls(session, [supplier.data(number) for number in range(32)], connections=32)
    assert {type(error).__name__ for error in errors} == {"CredentialsRefused"}
    assert len({id(error) for error in errors}) == 32
    assert supplier.counts == {"login": 1, "login_refused": 1}


def test_threads_and_event_loops_share_one_session(supplier: Supplier) -> None:
    session = expired(supplier)

    def crowd(client: Driver) -> list[Reply | Exception]:
        return client.calls(session, [supplier.data(number) for number in range(8)], connections=8)

    with ThreadPoolExecutor(len(DRIVERS)) as threads:
        replies = [reply for group in threads.map(crowd, DRIVERS) for reply in group]
    assert all_served(replies)
    assert supplier.counts == {"refresh": 1, "data": 8 * len(DRIVERS)}


# --- who leaves harms nobody ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ASYNC, ids=lambda driver: driver.name)
@pytest.mark.parametrize("leaves_after", [0.0, 0.1, 0.3, 0.5])
def test_a_cancelled_caller_loses_nothing(client: LoopDriver, supplier: Supplier, leaves_after: float) -> None:
    """Whoever began the refresh may leave: its token still arrives, is kept, and serves the others."""
    session = expired(supplier)
    statuses: list[int] = []

    async def leave(http: Any) -> None:
        with anyio.move_on_after(leaves_after):
            await http.get(supplier.data(1))

    async def stay(http: Any) -> None:
        await anyio.sleep(0.05)
        statuses.append((await http.get(supplier.data(2))).status_code)

    async def run() -> None:
        async with client.client(session) as http, anyio.create_task_group() as group:
            group.start_soon(leave, http)
            group.start_soon(stay, http)
            group.start_soon(stay, http)

    anyio.run(run, backend=client.backend)
    assert statuses == [200, 200]
    assert supplier.counts["refresh"] == 1
    assert session.token().expires_at is not None
    assert supplier.counts == {}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_token_arrives_though_nobody_waits_any_more(supplier: Supplier, backend: str) -> None:
    session = expired(supplier)
    before = session._manager.grants.current.record.token.access

    async def leave() -> None:
        with anyio.move_on_after(0.05):
            await session.atoken()

    anyio.run(leave, backend=backend)
    deadline = time.monotonic() + 10
    while session._manager.grants.current.record.token.access == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert session._manager.grants.current.record.token.access != before
    session.token()
    assert supplier.counts == {"refresh": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_thread_loses_nothing(supplier: Supplier) -> None:
    session = expired(supplier)
    interrupt = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        _interruptible(session)
    interrupt.join()
    session.token()
    assert supplier.counts == {"refresh": 1}


def _interruptible(session: authflow.AuthSession) -> None:
    """The main thread waits for the token, and Python runs the signal's handler there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        session.token()
        time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_a_refresh_is_under_way(supplier: Supplier) -> None:
    """The child has neither the thread that renews nor its lock to wait for: it does its own work and ends."""
    session = expired(supplier, latency=0.6)
    waiting = threading.Thread(target=session.token)
    waiting.start()
    time.sleep(0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            gc.disable()
            status = 0 if session.token().expires_at is not None else 2
        finally:
            os._exit(status)
    waiting.join(10)
    assert not waiting.is_alive()
    ended = threading.Timer(20, os.kill, [child, signal.SIGKILL])
    ended.start()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ended.cancel()
    assert session.token().expires_at is not None
