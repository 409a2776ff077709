"""The records in the store, as a renewal sees them: locked while it lasts, loaded, kept before anybody uses them.

A store that fails is an error, or, where the session shall go on without it, a warning: what it did not take is kept in
this process, and written once it works again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from authflow.accounts.claims import Claims
from authflow.accounts.records import Record, spent_fingerprint
from authflow.errors import StoreError
from authflow.http import NOTHING
from authflow.stores import Conflict, MemoryStore, Store
from authflow.vendors import Vendor

log: Final = logging.getLogger("authflow")

#: How long a record outlives its token in a store that lets records die, in seconds.
KEPT_FOR: Final = 90 * 86400.0
#: A holder of the lock is passed over so many seconds after the longest time that its renewal can take; and a waiter
#: gives up three times as many after that, since another waiter may be first and has to renew.
LOCK_MARGIN = 1.0


@dataclass(slots=True)
class Kept:
    """A record and its revision in the store (None: there is none, or it could not be read).

    `foreign`: what lies there is another's grant, or none that serves; `record` is blank then.
    """

    record: Record
    revision: str | None
    unread: bool = False
    foreign: bool = False


class Overtaken(Exception):
    """This process was held up for so long that another took its turn and stored a newer record."""


@dataclass(slots=True)
class StoredRecords:
    """A vendor's records in a store. `degrade`: go on without the store when it fails."""

    vendor: Vendor
    store: Store
    claims: Claims
    clock: Callable[[], float]
    degrade: bool = False
    #: What the session remembers of its account's refusals.
    memory: dict[str, Any] = field(default_factory=dict)
    #: What a failing store did not take, by key: once it works again, its older record is not gone back to.
    unsaved: MutableMapping[str, Kept] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<StoredRecords of {self.vendor.name}>"

    @property
    def refusals(self) -> Store:
        """Where refusals lie: where grants are the session's own, they are the process's."""
        return getattr(self.store, "refusals", None) or self.store

    @contextmanager
    def locked(self, key: str, timeout: float) -> Iterator[None]:
        limit = timeout + LOCK_MARGIN
        try:
            lock = self.store.lock(key, limit=limit, wait=limit + 3 * LOCK_MARGIN)
            lock.__enter__()
        except StoreError as error:
            self.degrades(error)
            yield
            return
        try:
            yield
        finally:
            with suppress(StoreError):
                lock.__exit__(None, None, None)

    def load(self, key: str, presented: Record | None) -> Kept:
        blank = Record(self.vendor.flow.start)
        own = self.unsaved.get(key)
        try:
            stored = self.store.load(key)
        except StoreError as error:
            self.degrades(error)
            return Kept(own.record if own is not None else presented or blank, None, unread=True)
        revision = stored.revision if stored is not None else None
        record, blank = self.claims.record(key, stored.data) if stored is not None else (None, blank)
        if record and stored and isinstance(self.store, MemoryStore) and self.store.copied(stored):
            # Fork or pickle made two owners of one refresh token: this one counts it as sent.
            record = record.replace(mark=spent_fingerprint(record.captured.get("refresh")))
        if own is not None:
            newer = own.record.issued_at > (record or blank).issued_at if own.unread else own.revision == revision
            if newer:
                return Kept(own.record, revision)
            del self.unsaved[key]
        # Without its record, what this process holds may have been replaced by another: no refresh token of it is sent.
        return Kept(record or blank, revision, foreign=stored is not None and record is None)

    def keep(self, key: str, kept: Kept, record: Record) -> None:
        """Store a record before anybody uses it. Raises Overtaken if another stored a newer one: `kept` has it."""
        record = record.replace(key=key, servers=self.claims.identity.servers)
        ends = record.expires_at if record.expires_at is not None else self.clock()
        lifetime = max(0.0, ends - self.clock()) + KEPT_FOR
        try:
            self._save(key, kept, record, lifetime)
        except StoreError as error:
            self.unsaved[key] = Kept(record, kept.revision, kept.unread)
            self.degrades(error)
        else:
            self.unsaved.pop(key, None)
        kept.record = record

    def _save(self, key: str, kept: Kept, record: Record, lifetime: float) -> None:
        try:
            kept.revision = self.store.save(key, record.to_bytes(), kept.revision, lifetime=lifetime)
            return
        except Conflict:
            stored = self.store.load(key)
        newer = self.claims.record(key, stored.data)[0] if stored is not None else None
        if stored is not None and newer is not None and not kept.unread:
            log.warning("%s: a record was renewed by another while this process was held up", self.vendor.name)
            kept.record, kept.revision = newer, stored.revision
            raise Overtaken
        kept.revision = self.store.save(key, record.to_bytes(), stored.revision if stored else None, lifetime=lifetime)

    def degrades(self, error: StoreError) -> None:
        """Raises the error, unless the session goes on without its store."""
        if not self.degrade:
            raise error
        log.warning("going on without the store, for this process alone: %s", error)

    def drop(self, keys: Iterable[str]) -> None:
        """Delete what is of no more use. Raises StoreError, unless the session goes on without its store."""
        try:
            self.delete(keys)
        except StoreError as error:
            self.degrades(error)

    def delete(self, keys: Iterable[str]) -> None:
        """Raises StoreError."""
        for key in keys:
            self.store.delete(key)
            self.unsaved.pop(key, None)


class Unsaved(MutableMapping[str, Kept]):
    """What a failing store did not take, for one renewal to see and to change, whatever other renewals of the `holder`
    do meanwhile.
    """

    def __init__(self, holder: Any, lock: Any) -> None:
        self._holder, self._lock = holder, lock

    def __getitem__(self, key: str) -> Kept:
        found: Kept = self._holder.unsaved[key]
        return found

    def __setitem__(self, key: str, kept: Kept) -> None:
        with self._lock:
            self._holder.unsaved = {**self._holder.unsaved, key: kept}

    def __delitem__(self, key: str) -> None:
        with self._lock:
            left = {other: kept for other, kept in self._holder.unsaved.items() if other != key}
            self._holder.unsaved = left or NOTHING

    def __iter__(self) -> Iterator[str]:
        return iter(self._holder.unsaved)

    def __len__(self) -> int:
        return len(self._holder.unsaved)
