"""Single flight: of many who want the same work done, one does it and all get its result, its failure included.

The work runs in a thread of its own, not in its first caller's: a caller who is cancelled, times out or is
interrupted leaves it running, so that a token which the vendor has already handed out is still received and kept.
Waiting works from threads and from event loops (asyncio and trio) alike, in any mixture; nothing is held while
waiting.
"""

from __future__ import annotations

import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from authflow.errors import AuthFlowError, forget_locals

T = TypeVar("T")

#: No flights at all.
NONE: Final[Mapping[Hashable, Any]] = MappingProxyType({})


class Flight(Generic[T]):
    """Work under way, or done. `wait` and `wait_async` give its result, or raise a copy of its error.

    Work that has not ended `limit` seconds after its start has failed for all who wait: `late` makes their error.
    """

    def __init__(self, limit: float = math.inf, late: Callable[[], BaseException] = TimeoutError) -> None:
        self._ends = time.monotonic() + limit
        self._late = late
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: dict[object, Callable[[], Any]] = {}
        #: How many joined it in order to wait.
        self.waiters = 0
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self) -> T:
        """Block this thread until the work is done."""
        self._done.wait(self.left)
        return self._outcome()

    async def wait_async(self) -> T:
        """Wait without blocking the event loop; cancelling the wait leaves the work and all other waiters alone."""
        if not self._done.is_set():
            await (_wait_on_trio(self) if _on_trio() else _wait_on_asyncio(self))
        return self._outcome()

    @property
    def left(self) -> float | None:
        """Seconds until the work is late, or None if it never is."""
        return None if self._ends == math.inf else max(0.0, self._ends - time.monotonic())

    @property
    def late(self) -> bool:
        return not self._done.is_set() and self.left == 0.0

    @property
    def error(self) -> BaseException | None:
        """What it ended with, if it has ended badly."""
        return self._error

    def call_when_done(self, ticket: object, callback: Callable[[], Any]) -> None:
        """Call `callback` once, from whichever thread ends the flight; at once, if it has ended."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks[ticket] = callback
                return
        callback()

    def forget(self, ticket: object) -> None:
        with self._lock:
            self._callbacks.pop(ticket, None)

    def finish(self, result: T | None, error: BaseException | None) -> None:
        with self._lock:
            self._result, self._error = result, error
            self._done.set()
            callbacks, self._callbacks = list(self._callbacks.values()), {}
        for callback in callbacks:
            callback()

    def _outcome(self) -> T:
        if not self._done.is_set():
            raise self._late()
        error = self._error
        if error is None:
            return self._result  # type: ignore[return-value]
        if isinstance(error, AuthFlowError):
            raise error.copy() from error.__cause__
        raise error


class Flights(Generic[T]):
    """The flights under way, by key. A process made by fork starts with none: the threads that did the work stayed
    behind.

    Very many may be at rest: what they need in order to begin a flight, or to publish its result, belongs to all.
    """

    __slots__ = ("_home", "_under_way")
    lock = threading.Lock()
    _here = object()

    def __init__(self) -> None:
        self._home = self._here
        self._under_way: Mapping[Hashable, Flight[T]] = NONE

    def join(
        self,
        key: Hashable,
        done: Callable[[], T | None],
        work: Callable[[], T],
        *,
        limit: float = math.inf,
        late: Callable[[], BaseException] = TimeoutError,
        waits: bool = True,
    ) -> Flight[T]:
        """The flight under `key`, begun if there is none. `done` is asked first, in the same breath: it may know the
        result. `limit` and `late` are the flight's; `waits` says whether the caller means to wait for it.
        """
        with self.lock:
            if self._home is not self._here:
                self._home, self._under_way = self._here, NONE
            flight = self._under_way.get(key)
            if flight is not None and not flight.late:
                flight.waiters += waits
                return flight
            flight = self._new(limit, late)
            result = done()
            if result is not None:
                flight.finish(result, None)
                return flight
            flight.waiters += waits
            self._under_way = {**self._under_way, key: flight}
        self._start(key, flight, work)
        return flight

    def waiters(self, key: Hashable) -> int:
        """How many wait for the flight under `key`."""
        flight = self._under_way.get(key)
        return flight.waiters if flight is not None else 0

    def _new(self, limit: float, late: Callable[[], BaseException]) -> Flight[T]:
        return Flight(limit, late)

    def _start(self, key: Hashable, flight: Flight[T], work: Callable[[], T]) -> None:
        context = contextvars.copy_context()
        # Not a daemon, whoever calls: a process that ends waits for a token that is on its way.
        thread = threading.Thread(
            target=context.run, args=(self._fly, key, flight, work), name="authflow", daemon=False
        )
        try:
            thread.start()
        except RuntimeError as error:
            self._land(key, flight, None, error)

    def _fly(self, key: Hashable, flight: Flight[T], work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as error:
            forget_locals(error)
            self._land(key, flight, None, error)
        else:
            self._land(key, flight, result, None)

    def _land(self, key: Hashable, flight: Flight[T], result: T | None, error: BaseException | None) -> None:
        with self.lock:
            if self._under_way.get(key) is flight:
                self._under_way = {other: under for other, under in self._under_way.items() if other != key} or NONE
        flight.finish(result, error)


def _after_fork() -> None:
    # Another thread of the parent may hold the lock when the process is copied, and never releases it in the child.
    Flights.lock, Flights._here = threading.Lock(), object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


async def _wait_on_asyncio(flight: Flight[Any]) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:  # the loop was closed before its waiter could hear of it
            return

    flight.call_when_done(future, wake)
    timer = loop.call_later(flight.left, finish) if flight.left is not None else None
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()
        flight.forget(future)


async def _wait_on_trio(flight: Flight[Any]) -> None:
    import trio

    token = trio.lowlevel.current_trio_token()
    event = trio.Event()

    def wake() -> None:
        try:
            token.run_sync_soon(event.set)
        except trio.RunFinishedError:
            return

    flight.call_when_done(event, wake)
    try:
        with trio.move_on_after(flight.left if flight.left is not None else math.inf):
            await event.wait()
    finally:
        flight.forget(event)
