"""Records of one process, for tests and for programs that log in anew each time they start.

Nothing leaves the process. A copy made by fork or pickle starts with the records as they were then and goes its own
way: it is another store, and locks held in the original do not count in it.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from authflow.stores.base import Conflict, LockTimeout, Stored

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps records in a dictionary. `lifetime` is ignored: the records end with the process."""

    def __init__(self) -> None:
        self._records: dict[str, Stored] = {}
        self._revisions = itertools.count(1)
        self._unlock_all()
        _living.add(self)

    def _unlock_all(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._holders: dict[str, tuple[object, float]] = {}

    def load(self, key: str) -> Stored | None:
        """The record under `key`, or None."""
        return self._records.get(key)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Replace the record whose revision is `revision`; return the new one. Raises `Conflict`."""
        with self._changed:
            present = self._records.get(key)
            if (present.revision if present else None) != revision:
                raise Conflict(f"The record {key} has meanwhile become another: load it again.")
            stored = Stored(bytes(data), str(next(self._revisions)))
            self._records[key] = stored
            return stored.revision

    def delete(self, key: str) -> None:
        """Remove the record under `key`, if there is one."""
        with self._changed:
            self._records.pop(key, None)

    @contextmanager
    def lock(self, key: str, *, limit: float, wait: float) -> Iterator[None]:
        """Keep other threads out of `key`, for `limit` seconds at most. Raises `LockTimeout` after `wait` seconds."""
        me = object()
        give_up = time.monotonic() + wait
        with self._changed:
            while True:
                now = time.monotonic()
                _, until = self._holders.get(key, (None, now))
                if now >= until:
                    break
                if now >= give_up:
                    raise LockTimeout(f"Others kept the lock of {key} for longer than {wait:g} s: try again later.")
                self._changed.wait(min(until, give_up) - now)
            self._holders[key] = me, time.monotonic() + limit
        try:
            yield
        finally:
            with self._changed:
                if self._holders.get(key, (None, 0))[0] is me:
                    del self._holders[key]
                    self._changed.notify_all()

    def __getstate__(self) -> dict[str, Any]:
        with self._changed:
            return {"records": dict(self._records), "revision": next(self._revisions)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._records = state["records"]
        self._revisions = itertools.count(state["revision"])
        self._unlock_all()
        _living.add(self)

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._records)} records)"


_living: weakref.WeakSet[MemoryStore] = weakref.WeakSet()


def _after_fork() -> None:
    # Another thread of the parent may have been inside when the process was copied: its hold never ends in the child.
    for store in _living:
        store._unlock_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
