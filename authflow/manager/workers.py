"""A few threads for work that no caller's own thread does: asynchronous callers', and what is renewed ahead.

One vendor never has more than a quarter of them, so that one which does not answer holds up nobody else's. A process
that ends waits a moment for a token that is on its way.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable
from contextlib import ExitStack, suppress
from typing import Final

from authflow.clock import monotonic

#: How many threads there are at most, and how many of them for one vendor.
MOST: Final = 64
QUARTER: Final = MOST // 4
#: Seconds after which a thread ends that has nothing to do.
IDLE: Final = 2.0
#: For so many seconds a process that ends waits for what is under way.
LAST: Final = 3.0


class Workers:
    """Jobs wait in a queue for each vendor (`of`)."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._waiting: dict[Hashable, deque[Callable[[], None]]] = {}
        self._at_work: Counter[Hashable] = Counter()
        self._threads = 0

    def do(self, of: Hashable, job: Callable[[], None]) -> None:
        """Let a thread do the job, which raises nothing; where none can start, this one does it."""
        with self._changed:
            self._waiting.setdefault(of, deque()).append(job)
            wanted = sum(min(len(jobs), QUARTER - self._at_work[one]) for one, jobs in self._waiting.items())
            if self._threads - self._at_work.total() >= wanted or self._threads >= MOST:
                self._changed.notify()
                return
            try:
                threading.Thread(target=self._run, name="authflow", daemon=True).start()
            except RuntimeError:
                if self._threads:
                    return
            else:
                self._threads += 1
                return
        while (found := self._next()) is not None:
            self._work(*found)

    def _run(self) -> None:
        while True:
            with self._changed:
                if (found := self._next()) is None:
                    if not self._changed.wait(IDLE) and not any(self._waiting.values()):
                        self._threads -= 1
                        return
                    continue
            self._work(*found)

    def _next(self) -> tuple[Hashable, Callable[[], None]] | None:
        with self._changed:
            for of, jobs in list(self._waiting.items()):
                if not jobs:
                    del self._waiting[of]
                elif self._at_work[of] < QUARTER:
                    self._at_work[of] += 1
                    self._waiting[of] = self._waiting.pop(of)  # next is another's turn
                    return of, jobs.popleft()
        return None

    def _work(self, of: Hashable, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            with self._changed:
                self._at_work[of] -= 1
                if not self._at_work[of]:
                    del self._at_work[of]


WORKERS: Workers = Workers()
#: What is under way in this process: each is acquired by whoever works, until that is done.
_UNDER_WAY: set[threading.Lock] = set()


def do(of: Hashable, job: Callable[[], None]) -> None:
    """`Workers.do`, of those that this process has; a process that ends waits for it, begun or not."""
    under_way = ExitStack()
    under_way.enter_context(UnderWay())

    def whole() -> None:
        with under_way:
            job()

    WORKERS.do(of, whole)


class UnderWay:
    """While it lasts, a process that ends waits for it."""

    def __enter__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        _UNDER_WAY.add(self._lock)

    def __exit__(self, *exc_info: object) -> None:
        _UNDER_WAY.discard(self._lock)
        self._lock.release()


@atexit.register
def _at_the_end() -> None:
    ends = monotonic() + LAST
    with suppress(RuntimeError):
        for lock in list(_UNDER_WAY):
            lock.acquire(timeout=max(0.0, ends - monotonic()))


def _after_fork() -> None:
    global WORKERS
    WORKERS = Workers()
    _UNDER_WAY.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
