"""Deterministic concurrency: many processes on one stage, and a script that says who acts next.

    requests    tasks on an event loop whose next callback is picked by the script
    renewals    run to their end as one callback; at each touch of the store or the vendor they pause, and the script
                may let others act in the middle
    locks       a renewal that finds the lock taken by one below it on the stack goes back, and begins anew later

There is no thread and no clock here: the same script plays the same story, whatever the machine is doing. A process can
be killed at any pause; from then on nothing of it happens, not even its `finally`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from authflow.manager import Flight, Flights

T = TypeVar("T")

#: So many renewals may be under way within one another.
DEEPEST: Final = 4
#: More steps than this before all is quiet, and something goes in circles.
MOST_STEPS: Final = 5_000


class Died(BaseException):
    """The process was killed here."""


class Blocked(BaseException):
    """The lock is held by a renewal that is under way: begin anew when it is free."""

    def __init__(self, waiting: list[Callable[[], Any]]) -> None:
        super().__init__()
        self.waiting = waiting


class Process:
    """One process of the stage. `dies_in` counts the pauses that it has left, if it is doomed, `forks_in` those before
    it calls `on_fork`; `asks`: its user is asked for secrets when they are needed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.renewing = False
        self.asks = False
        self.dies_in: int | None = None
        self.forks_in: int | None = None
        self.on_fork: Callable[[], None] = lambda: None
        self.on_death: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return self.name

    def kill(self) -> None:
        if not self.dead:
            self.dead = True
            self.on_death()


class Stage:
    """The event loop: as much of one as tasks and futures ask for.

    `plan` is the script: at a pause, 0 goes on and n lets the n-th of those who are ready act; on
    the open stage it says which of them is next."""

    def __init__(self) -> None:
        self.plan: deque[int] = deque()
        self._ready: list[asyncio.Handle] = []
        self._depth = 0

    # --- what asyncio asks of a loop ----------------------------------------------------------------------------------

    @property
    def _loop(self) -> Any:
        return self

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._loop, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Nothing here takes real time: a timer never fires."""
        return asyncio.TimerHandle(delay, callback, args, self._loop, context)

    def _timer_handle_cancelled(self, handle: Any) -> None:
        return

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return asyncio.Task(coro, loop=self._loop)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A killed process leaves tasks behind; nobody wants to hear of them."""

    # --- who acts next ------------------------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        return not self._ready

    def act(self, pick: int = 0) -> None:
        """Let one of those who are ready act."""
        if self._ready:
            handle = self._ready.pop(pick % len(self._ready))
            before = asyncio._get_running_loop()
            asyncio._set_running_loop(self._loop)
            try:
                if not handle.cancelled():
                    handle._run()
            finally:
                asyncio._set_running_loop(before)

    def act_until(self, done: Callable[[], bool]) -> None:
        """Let all act, in the order of the script, until `done` or until nobody has anything left to do."""
        for _ in range(MOST_STEPS):
            if done() or self.quiet:
                return
            self.act(self.plan.popleft() if self.plan else 0)
        raise AssertionError("promise 5 (every request ends): the sessions go in circles")

    def pause(self, process: Process) -> None:
        """A renewal of `process` is about to touch the world: others may act first. Raises Died."""
        if process.dies_in is not None:
            process.dies_in -= 1
            if process.dies_in < 0:
                process.kill()
        if process.forks_in is not None and not process.dead:
            process.forks_in -= 1
            if process.forks_in < 0:
                process.forks_in = None
                process.on_fork()
        while not process.dead and self.plan and self._ready and self._depth < DEEPEST:
            pick = self.plan.popleft()
            if pick == 0:
                break
            self._depth += 1
            try:
                self.act(pick - 1)
            finally:
                self._depth -= 1
        if process.dead:
            raise Died

    async def breathe(self) -> None:
        """Let others act: what a network does to a task."""
        future = self.create_future()

        def go_on() -> None:
            if not future.done():
                future.set_result(None)

        self.call_soon(go_on)
        await future


class StagedFlight(Flight[T]):
    """A flight whose synchronous waiters let the stage act meanwhile."""

    stage: Stage

    def wait(self, most: float | None = None) -> T:
        self._home.begin_behind(self)
        self.stage.act_until(lambda: self.done)
        return self._outcome()


class StagedFlights(Flights[T]):
    """The flights of one process: each is a callback of the stage. `over` is told how a renewal ended."""

    __slots__ = ("_over", "_process", "_stage")

    def __init__(
        self, stage: Stage, process: Process, over: Callable[[BaseException | None], None] = lambda error: None
    ) -> None:
        super().__init__()
        self._stage, self._process, self._over = stage, process, over

    def _new(self, work: Callable[[], T], limit: float, late: Any) -> Flight[T]:
        flight = StagedFlight(self, work)
        flight.stage = self._stage
        return flight

    def begin_behind(self, flight: Flight[T]) -> None:
        work = flight.claimed()

        def run() -> None:
            if self._process.dead or work is None:
                return
            if self._process.renewing:  # one renewal of a process within another of its own says nothing more
                self._stage.call_soon(run)
                return
            self._process.renewing = True
            error: BaseException | None = None
            result: T | None = None
            try:
                result = work()
            except Died:
                return
            except Blocked as blocked:
                blocked.waiting.append(lambda: self._stage.call_soon(run))
                return
            except BaseException as raised:
                error = raised
            finally:
                self._process.renewing = False
            self._over(error)
            self.land(flight, result, error)

        if work is not None:
            self._stage.call_soon(run)
