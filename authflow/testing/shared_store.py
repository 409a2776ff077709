"""A store that the processes of a stage share, with everything that can befall one.

Records outlive processes. A lock that a killed process grant is passed over when its `limit` has run out, as the
contract of stores says; whoever waits for it lets that time pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from authflow.errors import StoreError
from authflow.stores import Conflict, LockTimeout, Stored
from authflow.testing.clock import Clock
from authflow.testing.stage import Blocked, Process, Stage

#: Called with the key and the bytes of a record that was kept.
Saved = Callable[[Process, str, bytes], None]


class SharedStore:
    """The records, the locks, and the trouble: `failing` operations of the kinds in `kinds` fail from now on."""

    def __init__(self, stage: Stage, clock: Clock, saved: Saved, failed: Callable[[Process, str], None]) -> None:
        self.stage, self.clock, self.saved, self.failed = stage, clock, saved, failed
        self.records: dict[str, Stored] = {}
        self.holders: dict[str, tuple[Process, float, list[Callable[[], Any]]]] = {}
        self.failing = 0
        self.kinds: frozenset[str] = frozenset()
        self._revisions = itertools.count(1)

    def for_process(self, process: Process) -> ProcessStore:
        return ProcessStore(self, process)

    def held_by(self, process: Process) -> str | None:
        """The key whose lock a process holds."""
        return next((key for key, (holder, _, _) in self.holders.items() if holder is process), None)

    def corrupt(self) -> None:
        """Every record becomes what no program wrote."""
        for key in self.records:
            self.records[key] = Stored(b'{"form": 2, "state": \x00', f"corrupt-{next(self._revisions)}")

    def next_revision(self) -> str:
        return str(next(self._revisions))

    def touch(self, process: Process, kind: str) -> None:
        """A process touches the store: others may act first, it may be killed here, and the store may fail."""
        self.stage.pause(process)
        if self.failing > 0 and kind in self.kinds:
            self.failing -= 1
            self.failed(process, kind)
            raise StoreError(f"The store cannot {kind}: it is made to fail.")


class ProcessStore:
    """The store as one process has it open: a `Store`."""

    def __init__(self, shared: SharedStore, process: Process) -> None:
        self._shared, self._process = shared, process

    def load(self, key: str) -> Stored | None:
        self._shared.touch(self._process, "load")
        return self._shared.records.get(key)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        shared = self._shared
        shared.touch(self._process, "save")
        present = shared.records.get(key)
        if (present.revision if present is not None else None) != revision:
            raise Conflict("The record has meanwhile become another.")
        stored = shared.records[key] = Stored(bytes(data), shared.next_revision())
        shared.saved(self._process, key, stored.data)
        shared.stage.pause(self._process)
        return stored.revision

    def delete(self, key: str) -> None:
        self._shared.touch(self._process, "delete")
        self._shared.records.pop(key, None)

    def lock(self, key: str, *, limit: float, wait: float) -> _Lock:
        return _Lock(self._shared, self._process, key, limit, wait)


@dataclass(slots=True)
class _Lock:
    """Grant from `__enter__` to `__exit__`, and not a moment shorter: it is no generator, which would end with its last
    reference.
    """

    shared: SharedStore
    me: Process
    key: str
    limit: float
    wait: float
    waiters: list[Callable[[], Any]] = field(default_factory=list)

    def __enter__(self) -> None:
        shared, key = self.shared, self.key
        shared.touch(self.me, "lock")
        if key in shared.holders:
            holder, until, waiting = shared.holders[key]
            if not holder.dead:
                raise Blocked(waiting)
            left = until - shared.clock.now
            shared.clock.advance(max(0.0, min(left, self.wait)))
            if left > self.wait:
                raise LockTimeout("A killed process held the lock for longer than this one would wait.")
        shared.holders[key] = self.me, shared.clock.now + self.limit, self.waiters

    def __exit__(self, *error: object) -> None:
        shared, key = self.shared, self.key
        if not self.me.dead and shared.holders.get(key, (None,))[0] is self.me:
            del shared.holders[key]
        for wake in self.waiters:
            wake()
