"""Records of one process, for tests and for programs that log in anew each time they start.

Nothing leaves the process. A copy made by fork or pickle starts with the records as they were then and goes its own
way: it is another store, and locks held in the original do not count in it. It knows which records were `copied`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from authflow.clock import monotonic
from authflow.stores.base import Conflict, LockTimeout, Stored

__all__ = ["PROCESS_REFUSALS", "MemoryStore"]


class _Hold(NamedTuple):
    """Who has the lock, until when (monotonic seconds), and in which process: a copy made by fork inherits no hold."""

    holder: object
    until: float
    process: int


def open_url(url: str) -> MemoryStore:
    """The store that `store="memory"`, or a URL with that scheme, stands for: one of the session's own."""
    return MemoryStore(PROCESS_REFUSALS)


class MemoryStore:
    """Keeps records in a dictionary. `lifetime` is ignored: the records end with the process.

    There may be one for each of very many sessions, so it is small: what it needs in order to wait belongs to all.
    `refusals` is where these keep what was refused; None: here.
    """

    __slots__ = ("_copies", "_holders", "_records", "_saved", "refusals")
    _changed = threading.Condition(threading.RLock())
    _nobody: Mapping[str, _Hold] = MappingProxyType({})

    def __init__(self, refusals: MemoryStore | None = None) -> None:
        self.refusals = refusals
        self._records: dict[str, Stored] = {}
        #: The number of the last record that was saved, and that of the last one that came with the copy.
        self._saved = self._copies = 0
        self._holders = self._nobody

    def load(self, key: str) -> Stored | None:
        """The record under `key`, or None."""
        return self._records.get(key)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Replace the record whose revision is `revision`; return the new one. Raises `Conflict`."""
        with self._changed:
            present = self._records.get(key)
            if (present.revision if present else None) != revision:
                raise Conflict(f"The record {key} has changed meanwhile: load it again.")
            self._saved += 1
            stored = Stored(bytes(data), sys.intern(f"{os.getpid()}.{self._saved}"))
            self._records[key] = stored
            return stored.revision

    def copied(self, stored: Stored) -> bool:
        """Is it a copy of another store's record, whose owner may use it too?"""
        process, number = stored.revision.split(".")
        return process != str(os.getpid()) or int(number) <= self._copies

    def delete(self, key: str) -> None:
        """Remove the record under `key`, if there is one."""
        with self._changed:
            self._records.pop(key, None)

    @contextmanager
    def lock(self, key: str, *, limit: float, wait: float) -> Iterator[None]:
        """Keep other threads out of `key`, for `limit` seconds at most. Raises `LockTimeout` after `wait` seconds."""
        me, process = object(), os.getpid()
        give_up = monotonic() + wait
        with self._changed:
            while True:
                now = monotonic()
                _, until, where = self._holders.get(key, _Hold(None, now, process))
                if now >= until or where != process:
                    break
                if now >= give_up:
                    raise LockTimeout(f"Others kept the lock of {key} for longer than {wait:g} s: try again later.")
                self._changed.wait(min(until, give_up) - now)
            self._holders = {**self._holders, key: _Hold(me, monotonic() + limit, process)}
        try:
            yield
        finally:
            with self._changed:
                hold = self._holders.get(key)
                if hold is not None and hold.holder is me:
                    others = {other: hold for other, hold in self._holders.items() if other != key}
                    self._holders = others or self._nobody
                    self._changed.notify_all()

    def __getstate__(self) -> dict[str, Any]:
        with self._changed:
            return {"records": dict(self._records), "saved": self._saved, "own": self.refusals is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._records, self._holders = state["records"], self._nobody
        self._saved = self._copies = state["saved"]
        self.refusals = PROCESS_REFUSALS if state["own"] else None

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._records)} records)"


class _Refusals(MemoryStore):
    """The oldest records go."""

    __slots__ = ()
    MOST: ClassVar[int] = 4096

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        saved = super().save(key, data, revision, lifetime=lifetime)
        with self._changed:
            while len(self._records) > self.MOST:
                del self._records[next(iter(self._records))]
        return saved


#: What was refused to an account concerns all sessions of the process, whose grants are each one's own.
PROCESS_REFUSALS: Final = _Refusals()


def _after_fork() -> None:
    # Another thread of the parent may have been inside when the process was copied, and never leaves in the child.
    MemoryStore._changed = threading.Condition(threading.RLock())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
