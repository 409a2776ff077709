"""One thread for all deadlines of the process, and Ctrl-C held back while a refresh token is being replaced.

    call_at      call something at an instant, in the watchdog's thread, unless it is cancelled before
    HeldCtrlC    the first Ctrl-C waits for the answer that is on its way, 3 s at most; the second one does not wait

The thread starts with the first deadline and ends when there has been none for a while. Nothing here blocks a signal's
handler that interrupts it in the same thread.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from authflow.clock import monotonic

#: Seconds after the last deadline at which the thread ends.
IDLE: Final = 5.0
#: For so many seconds a Ctrl-C is held back.
HOLDS: Final = 3.0


class Watchdog:
    """Calls what is due, each in its turn: nothing that takes long."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._due: list[tuple[float, int, list[Callable[[], None]]]] = []
        self._serial = itertools.count()
        self._runs = False

    def call_at(self, instant: float, call: Callable[[], None]) -> Callable[[], None]:
        """`instant` is one of `authflow.clock.monotonic`; what is returned cancels. Raises RuntimeError where no
        thread can start.
        """
        entry = [call]
        with self._changed:
            heapq.heappush(self._due, (instant, next(self._serial), entry))
            if not self._runs:
                threading.Thread(target=self._run, name="authflow watchdog", daemon=True).start()
                self._runs = True
            elif self._due[0][2] is entry:
                self._changed.notify()
        return entry.clear

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                while self._due and (not self._due[0][2] or self._due[0][0] <= now):
                    for call in heapq.heappop(self._due)[2]:
                        call()
                left = self._due[0][0] - now if self._due else IDLE
                if not self._changed.wait(left) and not self._due:
                    self._runs = False
                    return


WATCHDOG: Watchdog = Watchdog()


def call_at(instant: float, call: Callable[[], None]) -> Callable[[], None]:
    """`Watchdog.call_at`, of the one that this process has."""
    return WATCHDOG.call_at(instant, call)


def _after_fork() -> None:
    global WATCHDOG
    WATCHDOG = Watchdog()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class HeldCtrlC:
    """Between `begin` and `end`, in the main thread with Python's own handler, one Ctrl-C waits: `end` raises it."""

    def __init__(self) -> None:
        self._before: Any = None
        self._came = False
        self._cancel: Callable[[], None] | None = None

    def begin(self) -> None:
        is_own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._before is None and is_own and threading.current_thread() is threading.main_thread():
            with suppress(ValueError):  # another interpreter's thread
                self._before = signal.signal(signal.SIGINT, self._hold)

    def end(self) -> None:
        """Raises KeyboardInterrupt if one was held back."""
        if self._before is not None:
            before, self._before = self._before, None
            if signal.getsignal(signal.SIGINT) == self._hold:
                signal.signal(signal.SIGINT, before)
            if self._cancel is not None:
                self._cancel()
            if self._came:
                self._came = False
                raise KeyboardInterrupt

    def _hold(self, number: int, frame: Any) -> None:
        main = threading.get_ident()
        with suppress(RuntimeError):
            if not self._came:
                self._cancel = call_at(monotonic() + HOLDS, lambda: _interrupt(main))
                self._came = True
                return
        self._came = True
        self.end()


def _interrupt(thread: int) -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(thread, signal.SIGINT)
    else:
        import _thread

        _thread.interrupt_main()
