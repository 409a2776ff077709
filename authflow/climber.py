"""One climb, carried out: under the store's lock, each grant kept before it is used.

    lock ─ load ─┬─ what another has renewed meanwhile is taken over, without an exchange
                 └─ climb: exchange ▸ keep, until a state presents or fails (that is `ascent`)

The climber runs in the thread of a flight, never in a caller's. It decides nothing about states (that is `flow`) and
nothing about when to climb (that is `session`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from authflow.ascent import Ascent
from authflow.bag import Bag, Given
from authflow.errors import StoreError, VendorUnavailable
from authflow.exchange import Outcome
from authflow.exchanger import Exchanger
from authflow.flow import Presenting, Transition
from authflow.grant import Grant
from authflow.stores.base import Conflict, Store, Stored
from authflow.template import Unbound
from authflow.token import Freshness, Windows
from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: How long a record outlives its token in a store that lets records die, in seconds.
KEPT_FOR: Final = 90 * 86400.0
#: A holder of the lock is passed over only so many seconds after the longest time that its climb can take.
LOCK_MARGIN = 10.0


@dataclass(slots=True)
class Kept:
    """A grant, and the revision of the record that it came from (None: there is none, or it could not be read)."""

    grant: Grant
    revision: str | None
    unread: bool = False


@dataclass(slots=True)
class Climber:
    """All that a climb needs."""

    vendor: Vendor
    given: Given
    store: Store
    exchanger: Exchanger
    observe: Callable[[Transition, str, float | None], None]
    degrade: bool = False
    #: What a failing store did not take, by key: once it works again, its older record is not gone back to.
    unsaved: MutableMapping[str, Kept] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Climber {self.vendor.name}>"

    @property
    def clock(self) -> Callable[[], float]:
        return self.exchanger.clock

    @property
    def timeout(self) -> float:
        return self.exchanger.timeout

    def climb(
        self,
        key: str,
        presented: Grant | None,
        event: Outcome | None = None,
        *,
        account: str = "",
        restart: bool = False,
    ) -> Grant:
        """A grant in a presenting state, better than `presented`, to which `event` happened (None: it ran out, or is
        the first).

        `account` is the key of the account's own record, where `vary` gives it several: all climb one at a time, and
        heed what was refused to one of them. `restart` logs in from the start, whatever is known. Raises AuthFlowError.
        """
        account = account or key
        with self._locked(account):
            deadline = time.monotonic() + self.timeout
            kept = self._load(key, presented)
            shared = kept if account == key else self._load(account, None)
            try:
                if key in self.unsaved:
                    self.keep(key, kept, kept.grant)
                if not restart:
                    if self._serves(kept.grant, presented, event):
                        return kept.grant
                    if event is not None and presented is not None and not _same(kept.grant, presented):
                        event = None
                return Ascent(self, key, kept, (account, shared), deadline).run(event, restart=restart)
            except _Overtaken:
                if self._serves(kept.grant, presented, None):
                    return kept.grant
                message = f"{self.vendor.title}: another process changed the record meanwhile: try again"
                raise VendorUnavailable(message, vendor=self.vendor.name, retry_after=0.0) from None

    def logout(self, key: str, held: Grant | None, others: Iterable[str] = ()) -> None:
        """Tell the vendor, if the file says how, and forget, the account's `others` too. Raises AuthFlowError if the
        vendor could not be told.
        """
        with self._locked(key):
            deadline = time.monotonic() + self.timeout
            kept = self._load(key, held)
            for each in (key, *others):
                self.store.delete(each)
                self.unsaved.pop(each, None)
            name = self.vendor.on_logout
            if name is not None and kept.grant.captured:
                bag = Bag(self.vendor, self.given, kept.grant.captured, self.clock())
                try:
                    self.exchanger.exchange(self.vendor.flow.exchanges[name], bag, deadline)
                except Unbound:
                    log.debug("%s: nothing to tell the vendor on logout", self.vendor.name)

    def _serves(self, grant: Grant, presented: Grant | None, event: Outcome | None) -> bool:
        """Is it at rest and fresh, and another than the one that would not do?"""
        if not isinstance(self.vendor.flow.states.get(grant.state), Presenting):
            return False
        if presented is not None and _same(grant, presented):
            return False
        return Windows.of(grant.issued_at, grant.expires_at).freshness(self.clock()) is not Freshness.MANDATORY

    # --- the store ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        limit = self.timeout + LOCK_MARGIN
        try:
            lock = self.store.lock(key, limit=limit, wait=limit + LOCK_MARGIN)
            lock.__enter__()
        except StoreError as error:
            self._degrade(error)
            yield
            return
        try:
            yield
        finally:
            with suppress(StoreError):
                lock.__exit__(None, None, None)

    def _load(self, key: str, presented: Grant | None) -> Kept:
        blank = Grant(self.vendor.flow.start)
        own = self.unsaved.get(key)
        try:
            stored = self.store.load(key)
        except StoreError as error:
            self._degrade(error)
            return Kept(own.grant if own is not None else presented or blank, None, unread=True)
        revision = stored.revision if stored is not None else None
        grant = self._read(key, stored) if stored is not None else None
        if own is not None:
            newer = own.grant.issued_at > (grant or blank).issued_at if own.unread else own.revision == revision
            if newer:
                return Kept(own.grant, revision)
            del self.unsaved[key]
        # Without its record, what this process holds may have been replaced by another: no refresh token of it is sent.
        return Kept(grant or blank, revision)

    def _read(self, key: str, stored: Stored) -> Grant | None:
        try:
            grant = Grant.from_bytes(stored.data)
        except ValueError:
            log.warning("the record %s cannot be read and is replaced: logging in again", key)
            return None
        return grant if grant.state in self.vendor.flow.states else None

    def keep(self, key: str, kept: Kept, grant: Grant) -> None:
        """Store a grant before anybody uses it. Raises _Overtaken if another stored a newer one: `kept` has it."""
        ends = grant.expires_at if grant.expires_at is not None else self.clock()
        lifetime = max(0.0, ends - self.clock()) + KEPT_FOR
        try:
            self._save(key, kept, grant, lifetime)
        except StoreError as error:
            self.unsaved[key] = Kept(grant, kept.revision, kept.unread)
            self._degrade(error)
        else:
            self.unsaved.pop(key, None)
        kept.grant = grant

    def _save(self, key: str, kept: Kept, grant: Grant, lifetime: float) -> None:
        try:
            kept.revision = self.store.save(key, grant.to_bytes(), kept.revision, lifetime=lifetime)
            return
        except Conflict:
            stored = self.store.load(key)
        newer = self._read(key, stored) if stored is not None else None
        if stored is not None and newer is not None and not kept.unread:
            log.warning("the record %s was renewed by another while this process was held up", key)
            kept.grant, kept.revision = newer, stored.revision
            raise _Overtaken
        kept.revision = self.store.save(key, grant.to_bytes(), stored.revision if stored else None, lifetime=lifetime)

    def _degrade(self, error: StoreError) -> None:
        if not self.degrade:
            raise error
        log.warning("going on without the store, for this process alone: %s", error)


def _same(one: Grant, other: Grant) -> bool:
    return one.captured == other.captured and one.state == other.state


class _Overtaken(Exception):
    """This process was held up for so long that another took its turn and stored a newer grant."""
