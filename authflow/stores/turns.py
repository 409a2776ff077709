"""Whose turn it is at a folder of files: a lock between processes that a stopped holder cannot keep for ever.

Two locks of the kernel (`filelock`: freed when the process dies), and a line of text:

    KEY.guard     held for microseconds, for each change of the two others and for each compare-and-set of a record
    KEY.N.lock    held by whoever has the turn, as long as it has it; N is the generation
    KEY.turn      N, and until when (monotonic clock, one for all processes of a machine) the turn may last

Why at most one holder is within its limit. N, the deadline and the hold on KEY.N.lock change inside the guard only.
There, a turn is taken in two cases: KEY.N.lock is free, so its holder has left or died; or it is held past the
deadline, so the taker moves on to N + 1, which nobody can hold because N never goes back. (If KEY.turn cannot be
read, the process that was writing it has died; it alone could have held N within its limit, and any generation is as
good as another.) A holder that was passed over still holds the old generation's file: leaving, it finds another N and
touches nothing. It may run on beside the new one; what protects the record from it is the compare-and-set, not this
lock.

What is not covered: a process that is stopped inside the guard itself. Then nobody goes on, and says so, until it is
continued or ended; hence nothing that waits or syncs is done in there, and waiting is done by looking at KEY.turn.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from authflow.clock import monotonic
from authflow.stores.base import LockTimeout

if TYPE_CHECKING:
    from filelock import BaseFileLock

GUARD_WAIT = 10.0
"""Seconds that a save waits for the guard, which no running process holds for longer than an instant."""

_LOOK_AGAIN = 0.25
"""Seconds after which a waiter tries the lock itself: a holder that was killed has not written that it left."""


class _Turn(NamedTuple):
    generation: int
    until: float


@contextmanager
def guarded(folder: Path, key: str, wait: float = GUARD_WAIT) -> Iterator[None]:
    """Hold the guard of `key`, for work that neither waits nor syncs.

    Raises `LockTimeout` after `wait` seconds, `OSError`.
    """
    guard = folder / f"{key}.guard"
    lock = _acquired(guard, wait)
    if lock is None:
        raise LockTimeout(
            f"A process that was stopped in the middle of a save holds {guard}: "
            f"continue or end it ('fuser -v {guard}' names it)."
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def turn(folder: Path, key: str, *, limit: float, wait: float) -> Iterator[None]:
    """Hold the turn of `key` for at most `limit` seconds. Raises `LockTimeout` after `wait` seconds, `OSError`."""
    give_up = monotonic() + wait
    while (taken := _take(folder, key, limit, max(give_up - monotonic(), _LOOK_AGAIN))) is None:
        if not _wait_for_change(folder, key, give_up):
            raise LockTimeout(f"Others kept the lock of {key} in {folder} for longer than {wait:g} s: try again later.")
    generation, lock, owner = *taken, os.getpid()
    try:
        yield
    finally:
        if os.getpid() == owner:
            _leave(folder, key, generation, lock)


def _take(folder: Path, key: str, limit: float, wait: float) -> tuple[int, BaseFileLock] | None:
    with guarded(folder, key, wait):
        generation, until = _read(folder, key)
        lock = _acquired(folder / f"{key}.{generation}.lock", 0)
        if lock is None and monotonic() >= until:
            with suppress(OSError):
                os.unlink(folder / f"{key}.{generation}.lock")
            generation += 1
            lock = _acquired(folder / f"{key}.{generation}.lock", 0)
        if lock is None:
            return None
        try:
            _write(folder, key, _Turn(generation, monotonic() + limit))
        except BaseException:
            lock.release()
            raise
        return generation, lock


def _leave(folder: Path, key: str, generation: int, lock: BaseFileLock) -> None:
    # Whatever fails here must not hide how the holder's work ended: the kernel or the deadline ends the turn anyway.
    try:
        with suppress(OSError, LockTimeout), guarded(folder, key):
            if _read(folder, key).generation == generation:
                _write(folder, key, _Turn(generation, 0.0))
    finally:
        with suppress(OSError):
            lock.release()


def _wait_for_change(folder: Path, key: str, give_up: float) -> bool:
    """Sleep until another try is worth while; False when it is too late for one."""
    pause, again = 0.002, monotonic() + _LOOK_AGAIN
    while (now := monotonic()) < min(again, give_up):
        time.sleep(min(pause, max(give_up - now, 0.0)))
        pause = min(pause * 1.5, 0.02)
        if _read(folder, key).until <= monotonic():
            return True
    return now < give_up


def _read(folder: Path, key: str) -> _Turn:
    try:
        generation, until = (folder / f"{key}.turn").read_bytes().split()
        return _Turn(int(generation), float(until))
    except (FileNotFoundError, ValueError):
        return _Turn(0, 0.0)


def _write(folder: Path, key: str, present: _Turn) -> None:
    # One write of one length in place: a reader sees the old line or the new one.
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(folder / f"{key}.turn", flags, 0o600)
    try:
        if os.name == "posix":
            os.fchmod(fd, 0o600)
        os.write(fd, b"%012d %020.6f\n" % present)
    finally:
        os.close(fd)


def _acquired(path: Path, wait: float) -> BaseFileLock | None:
    from filelock import Timeout

    lock = _lock_class()(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=wait, poll_interval=0.001)
    except Timeout:
        return None
    return lock


@functools.cache
def _lock_class() -> type[BaseFileLock]:
    from filelock import FileLock

    class OwnLock(FileLock):
        """One that only the process that took it gives back: a forked child shares the kernel's lock with it."""

        _taken_by = 0

        def _acquire(self) -> None:
            self._taken_by = os.getpid()
            super()._acquire()

        def _release(self) -> None:
            if os.getpid() == self._taken_by:
                super()._release()

    return OwnLock
