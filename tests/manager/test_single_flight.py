"""Single flight: one works, all get the result, failure included; whoever leaves harms nobody."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import anyio
import pytest

from authflow.errors import ConfigurationError, VendorUnavailable
from authflow.manager import workers
from authflow.manager.single_flight import Flight, Flights
from tests.scripted import finished

BACKENDS = ["asyncio", "trio"]


class Work:
    """Work that lasts until `end` is called, and counts how often it was begun."""

    def __init__(self, result: str | BaseException = "done") -> None:
        self.begun, self._result, self._ended = 0, result, threading.Event()

    def __call__(self) -> str:
        self.begun += 1
        self._ended.wait(10)
        if isinstance(self._result, BaseException):
            raise self._result
        return self._result

    def end(self) -> None:
        self._ended.set()


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.end()


def nothing() -> None:
    return None


def join(flights: Flights[str], work: Callable[[], str], key: str = "key", **how: Any) -> Flight[str]:
    return flights.join(key, nothing, work, **how)


def begun(flights: Flights[str], work: Callable[[], str], **how: Any) -> Flight[str]:
    """Work that one of our threads has begun."""
    flight, ends = join(flights, work, waits=False, **how), time.monotonic() + 10
    while flight.in_line:
        assert time.monotonic() < ends
        time.sleep(0.001)
    return flight


#: So long a flight may take, and what its waiters hear then.
SHORT: Mapping[str, Any] = {"limit": 0.05, "late": lambda waited, in_line: VendorUnavailable(f"late, {in_line}")}


def test_all_who_join_share_one_work(work: Work) -> None:
    flights: Flights[str] = Flights()
    joined = [join(flights, work) for _ in range(5)]
    work.end()
    assert [flight.wait() for flight in joined] == ["done"] * 5
    assert work.begun == 1


def test_each_key_flies_by_itself(work: Work) -> None:
    flights: Flights[str] = Flights()
    flown = [join(flights, work, key) for key in "ab"]
    work.end()
    assert [flight.wait() for flight in flown] == ["done"] * 2
    assert work.begun == 2


def test_after_the_landing_a_new_flight_begins(work: Work) -> None:
    flights: Flights[str] = Flights()
    work.end()
    for _ in range(2):
        assert join(flights, work).wait() == "done"
    assert work.begun == 2


def test_who_comes_after_the_result_needs_no_flight(work: Work) -> None:
    flights: Flights[str] = Flights()
    flight = flights.join("key", lambda: "known", work)
    assert (flight.wait(), work.begun) == ("known", 0)


def test_a_failure_reaches_each_waiter_as_an_error_of_its_own() -> None:
    work = Work(VendorUnavailable("down", vendor="v", retry_after=3))
    flights: Flights[str] = Flights()
    joined = [join(flights, work) for _ in range(4)]
    work.end()
    errors = []
    for flight in joined:
        with pytest.raises(VendorUnavailable, match="down") as caught:
            flight.wait()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 4
    assert {(error.vendor, error.retry_after) for error in errors} == {("v", 3)}


@pytest.mark.parametrize("error", [RuntimeError("bug"), SystemExit(3), KeyboardInterrupt()])
def test_whatever_the_work_raises_is_raised_to_who_waits(error: BaseException) -> None:
    work = Work(error)
    work.end()
    with pytest.raises(type(error)):
        join(Flights(), work).wait()


def refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_where_no_thread_can_be_started_the_callers_serves(monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    work.end()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(workers, "WORKERS", workers.Workers())
        assert join(Flights(), work).wait() == "done"
        flight = join(Flights(), work, waits=False)
        assert flight.done
        assert flight.wait() == "done"
    assert work.begun == 2


def test_who_waits_first_works_in_its_own_thread() -> None:
    assert join(Flights(), lambda: threading.current_thread().name).wait() == threading.current_thread().name


class Torn(BaseException):
    """What an interrupt, a time limit or a greenlet's end raises."""


@pytest.mark.parametrize("error", [Torn(), SystemExit(3), KeyboardInterrupt()])
def test_who_is_torn_away_hands_over(error: BaseException) -> None:
    """The others hear nothing of it: one of them does the work."""
    flights: Flights[str] = Flights()
    begun, go = threading.Event(), threading.Event()
    results: list[str] = []

    def work() -> str:
        if not begun.is_set():
            begun.set()
            go.wait(10)
            raise error
        return "done"

    def lead() -> None:
        with pytest.raises(type(error)):
            flight.wait()

    flight = join(flights, work)
    threads = [threading.Thread(target=lead)]
    threads[0].start()
    begun.wait(10)
    threads += [threading.Thread(target=lambda: results.append(join(flights, work).wait())) for _ in range(5)]
    for thread in threads[1:]:
        thread.start()
    while len(flight._callbacks) < 5:
        threading.Event().wait(0.001)
    go.set()
    for thread in threads:
        thread.join(10)
    assert results == ["done"] * 5


def test_an_interrupt_that_nobody_waits_out_leaves_the_work_to_the_next(work: Work) -> None:
    flights: Flights[str] = Flights()
    answers: list[Any] = [Torn(), "done"]

    def once() -> str:
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return str(answer)

    with pytest.raises(Torn):
        join(flights, once).wait()
    assert join(flights, once).wait() == "done"


def test_who_works_and_waits_for_itself_is_told_so(work: Work) -> None:
    flights: Flights[str] = Flights()
    with pytest.raises(ConfigurationError, match="inside its own renewal"):
        join(flights, lambda: join(flights, work, "another").wait()).wait()
    assert join(flights, lambda: join(Flights(), lambda: "inner").wait()).wait() == "inner"


def test_a_caller_with_little_patience_leaves_the_work_alone(work: Work) -> None:
    flights: Flights[str] = Flights()
    flight = begun(flights, work, late=lambda waited, in_line: VendorUnavailable(f"{waited:.2f}"))
    with pytest.raises(VendorUnavailable, match=r"0\.05"):
        flight.wait(0.05)
    work.end()
    assert flight.wait(10) == "done"


def test_who_works_stays_until_it_is_done(work: Work) -> None:
    """Patience is for what others do; for a task one of our threads does it."""
    assert join(Flights(), lambda: time.sleep(0.1) or "done").wait(0.01) == "done"

    async def impatient() -> str:
        return await join(Flights(), lambda: time.sleep(0.1) or "done").wait_async(0.01)

    assert anyio.run(impatient) == "done"


def test_there_is_an_end_to_our_threads() -> None:
    """Six vendors that do not answer, and ten sessions more of each than it may have threads."""
    pool, gate = workers.Workers(), threading.Event()
    before = threading.active_count()
    for number in range(6 * (workers.QUARTER + 10)):
        pool.do(number % 6, lambda: [gate.wait(10)])
    assert pool._threads == workers.MOST
    assert threading.active_count() <= before + workers.MOST
    gate.set()


def test_one_vendor_takes_a_quarter_of_the_threads_at_most(work: Work) -> None:
    slow = [join(Flights("slow"), work, waits=False) for _ in range(48)]
    assert anyio.run(join(Flights("quick"), lambda: "quick").wait_async) == "quick"
    assert work.begun <= 16
    work.end()
    assert [flight.wait(10) for flight in slow] == ["done"] * len(slow)


def test_to_wait_for_a_thread_counts_against_the_time(work: Work) -> None:
    slow = [begun(Flights("slow"), work) for _ in range(workers.QUARTER)]
    done: list[int] = []
    late = join(Flights("slow"), lambda: done.append(1) or "never", waits=False, **SHORT)
    with pytest.raises(VendorUnavailable, match="late, True"):
        anyio.run(late.wait_async)
    work.end()
    finished()
    assert done == []
    assert [flight.wait(10) for flight in slow] == ["done"] * len(slow)


def test_a_thread_that_needs_what_is_in_line_does_it_itself(work: Work) -> None:
    slow = [begun(Flights("slow"), work) for _ in range(workers.QUARTER)]
    flight = join(Flights("slow"), lambda: threading.current_thread().name, waits=False)
    assert flight.in_line
    assert flight.wait() == threading.current_thread().name
    work.end()
    assert [flight.wait(10) for flight in slow] == ["done"] * len(slow)
    finished()


def test_every_vendor_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as four vendors keep all threads busy, too."""
    monkeypatch.setattr(workers, "MOST", 4)
    monkeypatch.setattr(workers, "QUARTER", 1)
    pool, gate, done, began = workers.Workers(), threading.Event(), threading.Event(), list[str]()

    def again(of: str) -> None:
        gate.wait(10)
        began.append(of)
        if not done.is_set() and len(began) < 400:
            pool.do(of, lambda: again(of))
            pool.do(of, lambda: again(of))

    for of in ("a", "b", "c", "d") * 2:
        pool.do(of, lambda of=of: again(of))
    pool.do("e", done.set)
    gate.set()
    assert done.wait(10)
    assert len(began) < 400


def test_work_that_does_not_end_is_late_for_who_waits_and_stands_in_nobodys_way(work: Work) -> None:
    flights: Flights[str] = Flights()
    stuck = begun(flights, work, **SHORT)
    with pytest.raises(VendorUnavailable, match="late"):
        stuck.wait()
    assert join(flights, lambda: "another").wait() == "another"
    work.end()


@pytest.mark.parametrize("backend", BACKENDS)
def test_late_work_is_late_on_event_loops_too(backend: str, work: Work) -> None:
    stuck = join(Flights(), work, **SHORT)
    with pytest.raises(VendorUnavailable, match="late"):
        anyio.run(stuck.wait_async, backend=backend)


FORKS = """
import os, threading
from authflow.manager.single_flight import Flights

flights, work = Flights(), threading.Event()
flights.join("key", lambda: None, lambda: work.wait(10), waits=False)
held, left = threading.Event(), threading.Event()

def inside():
    with Flights.lock:
        held.set()
        left.wait(10)

threading.Thread(target=inside, daemon=True).start()
held.wait(10)
if os.fork() == 0:
    os._exit(flights.join("key", lambda: None, lambda: 7).wait())
left.set()
print(os.waitstatus_to_exitcode(os.wait()[1]))
work.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_starts_with_no_flight() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKS]
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "7\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_event_loop_turns_while_it_waits(backend: str, work: Work) -> None:
    heard: list[str] = []

    async def run() -> None:
        flight = join(Flights(), work)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, work.end)
            heard.append(await flight.wait_async())

    anyio.run(run, backend=backend)
    assert heard == ["done"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_cancelled_waiter_leaves_the_work_and_the_others_alone(backend: str, work: Work) -> None:
    flight = join(Flights(), work)
    heard: list[str] = []

    async def stay() -> None:
        heard.append(await flight.wait_async())

    async def run() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(stay)
            with anyio.move_on_after(0.02):
                await flight.wait_async()
            with anyio.CancelScope() as before:  # cancelled before it has begun to wait
                before.cancel()
                await flight.wait_async()
            work.end()

    anyio.run(run, backend=backend)
    assert heard == ["done"]
    assert flight._callbacks == {}


def test_an_asyncio_loop_closed_under_its_waiter_does_not_break_the_landing(work: Work) -> None:
    flight = join(Flights(), work)
    loop = asyncio.new_event_loop()
    waiter = loop.create_task(flight.wait_async())
    loop.run_until_complete(asyncio.sleep(0.01))
    wakes = dict(flight._callbacks)
    assert len(wakes) == 1
    waiter.cancel()
    loop.run_until_complete(asyncio.wait([waiter]))
    loop.close()
    flight._callbacks.update(wakes)
    work.end()
    assert flight.wait() == "done"


def test_threads_and_loops_wait_for_the_same_flight(work: Work) -> None:
    flight = join(Flights(), work)
    heard: list[str] = []
    waiting = [threading.Thread(target=lambda: heard.append(flight.wait()))]
    waiting += [
        threading.Thread(target=lambda backend=backend: heard.append(anyio.run(flight.wait_async, backend=backend)))
        for backend in (*BACKENDS, *BACKENDS)
    ]
    for thread in waiting:
        thread.start()
    work.end()
    for thread in waiting:
        thread.join(10)
    assert heard == ["done"] * 5
