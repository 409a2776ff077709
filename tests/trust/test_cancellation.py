"""Whoever leaves, at whatever point, loses no token and leaves no lock: swept over every await, and interrupts too."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Generator
from typing import Any

import anyio
import pytest
import trio

import authflow
from authflow.http import Answer, Request
from authflow.stores.memory import MemoryStore
from tests.clients.drivers import DRIVERS, LoopDriver
from tests.scripted import LIFETIME, ScriptedVendor, finished
from tests.servers import LIFETIME as TWELVE_HOURS
from tests.servers import Supplier

ASYNC = [driver for driver in DRIVERS if isinstance(driver, LoopDriver)]
#: How often a request with a refresh waits at least, by its client: there it can be cut.
CUTS = {"httpx": 5, "httpx2": 4, "niquests": 3, "aiohttp": 3}


class Steps:
    """Drives a coroutine, and calls `at` before each of its steps."""

    def __init__(self, inner: Coroutine[Any, Any, Any], at: Any) -> None:
        self._inner, self._at = inner, at
        self.steps = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._inner.__await__()
        sent: Any = None
        try:
            while True:
                self.steps += 1
                self._at(self.steps)
                try:
                    wanted = inner.send(sent) if not isinstance(sent, BaseException) else inner.throw(sent)
                except StopIteration as end:
                    return end.value
                try:
                    sent = yield wanted
                except BaseException as error:
                    sent = error
        finally:
            inner.close() if hasattr(inner, "close") else None


async def cancelled_at(step: int, work: Coroutine[Any, Any, Any]) -> tuple[int, bool]:
    """Run, and be cancelled before that step; the steps that were taken, and whether it was."""
    with anyio.CancelScope() as scope:
        steps = Steps(work, lambda number: scope.cancel() if number == step else None)
        await steps
    return steps.steps, scope.cancelled_caught


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_cancelled_at_each_await_of_atoken(backend: str) -> None:
    """One leaves at each of its points while another stays: one exchange, the stayer is served, no lock is left."""
    for step in range(1, 12):
        vendor, store, go = ScriptedVendor(), MemoryStore(), threading.Event()
        session = vendor.session(store=store)
        session.token()
        vendor.clock.now += LIFETIME + 1

        def slow(request: Request, go: threading.Event = go) -> Answer:
            go.wait(10)
            return Answer(200, (), b'{"access": "new", "refresh": "newer", "in": 1000}')

        vendor.says("refresh", slow)
        tokens: list[str] = []

        async def stay(session: authflow.AuthSession = session, tokens: list[str] = tokens) -> None:
            tokens.append((await session.atoken()).access)

        async def run(
            step: int = step, session: authflow.AuthSession = session, go: threading.Event = go, stay: Any = stay
        ) -> tuple[int, bool]:
            async with anyio.create_task_group() as group:
                group.start_soon(stay)
                timer = threading.Timer(0.05, go.set)
                timer.start()
                ended = await cancelled_at(step, session.atoken())
            timer.join()
            return ended

        taken, was_cancelled = anyio.run(run, backend=backend)
        finished()
        assert tokens == ["new"]
        assert vendor.names == ["login", "refresh"]
        assert store._holders == {}
        assert session.token().access == "new"
        if not was_cancelled and taken < step:
            assert step > 1
            return
    raise AssertionError("the sweep did not come to its end")


@pytest.mark.parametrize("client", ASYNC, ids=lambda driver: driver.name)
def test_cancelled_at_each_await_of_a_request(client: LoopDriver, supplier: Supplier) -> None:
    """Through the client, over real sockets, with a refresh on the way: whatever is cut, the next request is served,
    and no refresh token is sent twice.
    """
    cuts, step = 0, 1
    session = supplier.session(timeout=120.0)  # a busy machine is no outage, which would cost a refresh token
    session.token()
    while step < 400:
        supplier.advance(TWELVE_HOURS + 1)

        async def run(step: int = step) -> tuple[int, bool]:
            async with client.client(session) as http:
                return await cancelled_at(step, http.get(supplier.data(1)))

        taken, was_cancelled = anyio.run(run, backend=client.backend)
        finished()
        cuts += was_cancelled
        assert session.token().expires_at is not None
        if taken < step:
            break
        step += 1 + step // 8
    assert cuts >= CUTS[client.library], (cuts, step)
    counts = supplier.raw_counts
    assert counts["refresh_reused"] == 0
    assert counts["login"] == 1


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_while_a_credential_is_asked_for(interrupt: type[BaseException]) -> None:
    """It reaches the caller, the lock is free, and the next try asks again."""
    vendor, store = ScriptedVendor(), MemoryStore()
    answers: list[Any] = [interrupt(), "pass-word"]

    def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)

    session = vendor.session(store=store, password=ask)
    with pytest.raises(interrupt):
        session.token()
    assert store._holders == {}
    assert session.token().access == "access-1"


def test_a_loop_that_is_stopped_under_its_waiter() -> None:
    """`asyncio.run` is interrupted: the flight goes on, and its token is there for the next."""
    vendor, go = ScriptedVendor(), threading.Event()

    def slow(request: Request) -> Answer:
        go.wait(10)
        return Answer(200, (), b'{"access": "kept", "in": 1000}')

    vendor.says("login", slow)
    session = vendor.session()

    async def interrupted() -> None:
        task = asyncio.ensure_future(session.atoken())
        await asyncio.sleep(0)
        task.cancel()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    with pytest.raises(trio.TooSlowError):
        trio.run(_too_slow, session)
    go.set()
    finished()
    assert session.token().access == "kept"
    assert vendor.names == ["login"]


async def _too_slow(session: authflow.AuthSession) -> None:
    with trio.fail_after(0.01):
        await session.atoken()


def test_threads_end_with_their_work() -> None:
    vendor = ScriptedVendor()
    before = threading.active_count()
    for _ in range(50):
        session = vendor.session()
        session.token()
        vendor.clock.now += LIFETIME + 1
        session.token()
    finished()
    assert threading.active_count() <= before
