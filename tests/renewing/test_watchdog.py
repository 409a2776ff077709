"""One thread for all deadlines."""

from __future__ import annotations

import threading

from authflow.clock import monotonic
from authflow.renewing.watchdog import Watchdog


def watchdogs() -> int:
    return sum(thread.name == "authflow watchdog" for thread in threading.enumerate())


def test_one_thread_watches_all_deadlines() -> None:
    before, watchdog = watchdogs(), Watchdog()
    came: list[int] = []
    done = threading.Event()
    now = monotonic()
    for number in reversed(range(100)):
        watchdog.call_at(now + 0.001 * number, lambda number=number: came.append(number))  # type: ignore[misc]
    watchdog.call_at(now + 0.2, done.set)
    assert watchdogs() == before + 1
    assert done.wait(10)
    assert sorted(came) == list(range(100))


def test_what_is_cancelled_is_not_called() -> None:
    watchdog, came, done = Watchdog(), list[int](), threading.Event()
    watchdog.call_at(monotonic() + 0.01, lambda: came.append(1))()
    watchdog.call_at(monotonic() + 0.02, done.set)
    assert done.wait(10)
    assert came == []
