"""Single flight: of many who want the same work done, one does it and all get its result, its failure included.

    a thread waits      and nobody works yet ─▶ it works itself: its mocks, locks, frozen clocks and Ctrl-C hold there
                        somebody works       ─▶ it waits, and works itself should that one be torn away
    a task waits        and nobody works yet ─▶ one of our threads works (`workers`), whoever is cancelled
    nobody waits        one of our threads works

Waiting works from threads and from event loops (asyncio and trio) alike, in any mixture; nothing is held while waiting.
Whoever waits inside the work of the same account, in the thread that does it, would wait for ever, and is told so.
"""

from __future__ import annotations

import contextvars
import math
import os
import sys
import threading
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from authflow.clock import monotonic
from authflow.errors import AuthFlowError, ConfigurationError, forget_locals
from authflow.manager.workers import UnderWay, do

T = TypeVar("T")

#: No flights at all.
NONE: Final[Mapping[Hashable, Any]] = MappingProxyType({})
#: How the error of a late flight is made: of the seconds that one waited, and whether it was for one of our threads.
Late = Callable[[float, bool], BaseException]


def _late(waited: float, in_line: bool) -> BaseException:
    return TimeoutError()


class _Here(threading.local):
    def __init__(self) -> None:
        #: Of which sessions, and accounts, this thread renews the grant.
        self.works: list[Hashable] = []


_HERE: Final = _Here()


@contextmanager
def working(of: Hashable) -> Iterator[None]:
    """While it lasts, this thread works for `of`. Raises ConfigurationError if it does so already."""
    check_inside(of)
    _HERE.works.append(of)
    try:
        yield
    finally:
        _HERE.works.remove(of)


def check_inside(of: Hashable) -> None:
    if of in _HERE.works:
        raise ConfigurationError(
            "this session was used inside its own renewal (a hook of client=, a credential's callable, a signal's "
            "handler), where it would wait for itself: use another client there, or call session.token() before"
        )


class Flight(Generic[T]):
    """Work to be done, under way, or done. `wait` and `wait_async` give its result, or raise a copy of its error.

    Work that has not ended `limit` seconds after its start has failed for all who wait: `late` makes their error.
    """

    def __init__(self, home: Flights[T], work: Callable[[], T], limit: float = math.inf, late: Late = _late) -> None:
        #: Whoever pops it does it.
        self._work = [work]
        #: Does it wait for one of our threads? A thread that needs it does it meanwhile.
        self.in_line = False
        self._home, self._limit, self._late = home, limit, late
        self._ends = math.inf
        self._context = contextvars.copy_context()
        self._callbacks: dict[object, tuple[Callable[[], Any], bool]] = {}
        #: How many joined it in order to wait.
        self.waiters = 0
        self.done = False
        self._result: T | None = None
        self._error: BaseException | None = None

    def wait(self, most: float | None = None) -> T:
        """Do the work in this thread, or block it until somebody has: for `most` seconds, if that is told."""
        while not self.done:
            check_inside(self._home)
            if self._work:
                self._home.begin(self)
                continue
            woken = threading.Lock()
            woken.acquire()
            left = self._left(most)
            self.call_when_done(woken, woken.release, waits=True)
            try:
                came = woken.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX))
            finally:
                self.forget(woken)
            if not came and not self.done:
                raise self.is_late(left or 0.0)
        return self._outcome()

    async def wait_async(self, most: float | None = None) -> T:
        """Wait without blocking the event loop; cancelling the wait leaves the work and all other waiters alone."""
        while not self.done:
            if self.idle:
                self._home.begin_behind(self)
                most = None
                continue
            left = self._left(most)
            came = await (_wait_on_trio(self, left) if _on_trio() else _wait_on_asyncio(self, left))
            if not came and not self.done:
                raise self.is_late(left or 0.0)
        return self._outcome()

    def is_late(self, waited: float) -> BaseException:
        return self._late(waited, self.in_line)

    @property
    def idle(self) -> bool:
        """Does nobody work, nor is to?"""
        return bool(self._work) and not self.in_line

    def _left(self, most: float | None = None) -> float | None:
        """Seconds until the work is late, or until `most` have passed; None if that never comes."""
        left = min(self._ends - monotonic(), math.inf if most is None else most)
        return None if left == math.inf else max(0.0, left)

    @property
    def late(self) -> bool:
        return not self.done and self._left() == 0.0

    @property
    def error(self) -> BaseException | None:
        """What it ended with, if it has ended badly."""
        return self._error

    def call_when_done(self, ticket: object, callback: Callable[[], Any], *, waits: bool = False) -> None:
        """Call `callback` once, from whichever thread ends the flight; at once, if it has ended. Who `waits` is called
        when there is work to be done, too.
        """
        self._callbacks[ticket] = callback, waits
        if self.done or (waits and self.idle):
            self._wake(ticket)

    def forget(self, ticket: object) -> None:
        self._callbacks.pop(ticket, None)

    def _wake(self, ticket: object) -> None:
        callback, _ = self._callbacks.pop(ticket, (None, False))
        if callback is not None:
            callback()

    def claimed(self) -> Callable[[], T] | None:
        """The work, for whoever asks first."""
        try:
            work = self._work.pop()
        except IndexError:
            return None
        if not self.in_line:
            self._ends = monotonic() + self._limit
        self.in_line = False
        return work

    def queue(self) -> None:
        """One of our threads is to do it: to wait for one counts against the time that it may take."""
        self.in_line, self._ends = True, monotonic() + self._limit

    def give_up(self, work: Callable[[], T]) -> None:
        """Who worked was torn away: one of those who wait goes on."""
        self._ends = math.inf
        self._work.append(work)
        for ticket in [ticket for ticket, (_, waits) in list(self._callbacks.items()) if waits][:1]:
            self._wake(ticket)

    def finish(self, result: T | None, error: BaseException | None) -> None:
        self._result, self._error = result, error
        self.done = True
        for ticket in list(self._callbacks):
            self._wake(ticket)

    def _outcome(self) -> T:
        error = self._error
        if error is None:
            return self._result  # type: ignore[return-value]
        if isinstance(error, AuthFlowError):
            raise error.copy() from error.__cause__
        raise error

    def run_in_context(self, work: Callable[[], Any]) -> None:
        """In the context of whoever joined it first: its spans are that one's children."""
        self._context.run(work)


class Flights(Generic[T]):
    """The flights under way, by key. A process made by fork starts with none: the threads that did the work stayed
    behind.

    Very many may be at rest: what they need in order to begin a flight, or to publish its result, belongs to all.
    """

    __slots__ = ("_home", "_under_way", "of")
    lock = threading.RLock()  # a signal's handler may use a session, in the thread that holds it
    _here = object()

    def __init__(self, of: Hashable = None) -> None:
        self._home = self._here
        self._under_way: Mapping[Hashable, Flight[T]] = NONE
        #: Whose threads they take, where they take any: a vendor's.
        self.of = of

    def join(
        self,
        key: Hashable,
        done: Callable[[], T | None],
        work: Callable[[], T],
        *,
        limit: float = math.inf,
        late: Late = _late,
        waits: bool = True,
    ) -> Flight[T]:
        """The flight under `key`, a new one if there is none. `done` is asked first, in the same breath: it may know
        the result. `limit` and `late` are the flight's; `waits` says whether the caller means to wait for it.
        """
        with self.lock:
            if self._home is not self._here:
                self._home, self._under_way = self._here, NONE
            flight = self._under_way.get(key)
            if flight is None or flight.late:
                flight = self._new(work, limit, late)
                result = done()
                if result is not None:
                    flight.claimed()
                    flight.finish(result, None)
                    return flight
                self._under_way = {**self._under_way, key: flight}
            flight.waiters += waits
        if not waits:
            self.begin_behind(flight)
        return flight

    def waiters(self, key: Hashable) -> int:
        """How many wait for the flight under `key`."""
        flight = self._under_way.get(key)
        return flight.waiters if flight is not None else 0

    def _new(self, work: Callable[[], T], limit: float, late: Late) -> Flight[T]:
        return Flight(self, work, limit, late)

    def begin(self, flight: Flight[T]) -> None:
        """Do the work of a flight in this thread. Raises what tears this thread away."""
        work = flight.claimed()
        if work is None:
            return
        try:
            with UnderWay(), working(self):
                result = work()
        except BaseException as error:
            forget_locals(error)
            # Only the main thread is interrupted by errors that are none of the work's own.
            foreign = not isinstance(error, AuthFlowError) and threading.current_thread() is threading.main_thread()
            if foreign or not isinstance(error, Exception):
                flight.give_up(work)
                raise
            self.land(flight, None, error)
        else:
            self.land(flight, result, None)

    def begin_behind(self, flight: Flight[T]) -> None:
        """Let one of our threads do the work, unless another thread takes it meanwhile."""
        with self.lock:
            if not flight.idle:
                return
            flight.queue()
        begins = monotonic()

        def fly() -> None:
            late = flight.is_late(monotonic() - begins) if flight.late else None
            work = flight.claimed()
            if work is None:
                return
            try:
                if late is not None:
                    raise late
                with UnderWay(), working(self):
                    result = work()
            except BaseException as error:
                forget_locals(error)
                self.land(flight, None, error)
            else:
                self.land(flight, result, None)

        do(self.of, lambda: flight.run_in_context(fly))

    def land(self, flight: Flight[T], result: T | None, error: BaseException | None) -> None:
        with self.lock:
            left = {key: other for key, other in self._under_way.items() if other is not flight}
            self._under_way = left or NONE
        flight.finish(result, error)


def _after_fork() -> None:
    # Another thread of the parent may hold the lock when the process is copied, and never releases it in the child.
    Flights.lock, Flights._here = threading.RLock(), object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


async def _wait_on_asyncio(flight: Flight[Any], left: float | None) -> bool:
    """Was it woken, before the time was over?"""
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[bool] = loop.create_future()

    def finish(came: bool) -> None:
        if not future.done():
            future.set_result(came)

    def wake() -> None:
        with suppress(RuntimeError):  # the loop was closed before its waiter could hear of it
            loop.call_soon_threadsafe(finish, True)

    flight.call_when_done(future, wake, waits=True)
    timer = loop.call_later(left, finish, False) if left is not None else None
    try:
        return await future
    finally:
        if timer is not None:
            timer.cancel()
        flight.forget(future)


async def _wait_on_trio(flight: Flight[Any], left: float | None) -> bool:
    import trio

    token = trio.lowlevel.current_trio_token()
    event = trio.Event()

    def wake() -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(event.set)

    flight.call_when_done(event, wake, waits=True)
    try:
        with trio.move_on_after(math.inf if left is None else left):
            await event.wait()
        return bool(event.is_set())
    finally:
        flight.forget(event)
