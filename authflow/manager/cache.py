"""The grants of one session: which one is current, when it must be renewed, and by which flight.

    wanted    what a request shall carry now        fresh ▸ Grant · advisory ▸ Grant, one renews · else ▸ Flight
    renewed   what it shall carry after an event    renewed already ▸ Grant · else ▸ Flight
    _renew    the work of a flight: renew, publish in one assignment, remember what failed

No lock is held while anybody waits. A refused password and a vendor that is down are remembered here, so that callers
are told at once and the vendor is left alone; a token that is still good is used whatever fails behind it.
"""

from __future__ import annotations

import logging
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from authflow.accounts import (
    ANONYMOUS,
    Backoff,
    Claims,
    Freshness,
    Grant,
    Identity,
    Kept,
    Record,
    StoredRecords,
    Unsaved,
    answered,
    by_own_clock,
    expiry,
    fingerprint_for,
    identified,
    identity_of,
    label,
    label_key,
    proved_by_use,
    same_grant,
    secrets,
    slot_key,
    unasked,
)
from authflow.clock import monotonic
from authflow.errors import (
    AuthFlowError,
    ConfigurationError,
    CredentialsRefused,
    StoreError,
    VendorAnswerError,
    VendorUnavailable,
    sealed,
)
from authflow.http import NOTHING, Answer
from authflow.manager.behind import Behind
from authflow.manager.observers import LOGIN, START, Listener, Watch
from authflow.manager.single_flight import Flight, Flights, working
from authflow.manager.workers import QUARTER
from authflow.renewing import Environment, ExchangeSender, Guard, Renewal, Verifier, keep_typed, typed
from authflow.stores import MemoryStore
from authflow.templates import Outcome
from authflow.vendors import EXPIRED, Given, Values, absorb

if TYPE_CHECKING:
    from authflow.renewing import Sender
    from authflow.stores import Store
    from authflow.vendors import Vendor

log: Final = logging.getLogger("authflow")

#: How much longer than a renewal its waiters wait, for the store and for a busy machine, in seconds.
GRACE: Final = 5.0
#: How many grants a session keeps where `vary` tells several apart.
MOST_GRANTS: Final = 64
#: How a vendor is left alone that does not answer: when somebody waits for it, and when a good token is renewed ahead.
OPEN: Final = Backoff()
OPEN_AHEAD: Final = Backoff(first=30.0, most=300.0)
#: For how long a session heeds a refusal without asking the store whether it still holds, in seconds.
BELIEVED: Final = 60.0
Slot = tuple[str, ...]


class GrantCache:
    """Keeps the grants of one session: `current`, and, where `vary` tells several apart, one for each slot.

    There may be very many sessions, so a cache is small: what a renewal needs is made for the renewal.
    """

    __slots__ = (
        *("_ahead", "_backoff", "_curing", "_identity", "_labels", "_logouts", "_memory", "_proved", "_refusal"),
        *("_verifier",),
        *("by_slot", "current", "environment", "flights", "given", "kept", "library", "listeners"),
        *("plain", "said", "sender", "store", "unsaved", "vendor"),
    )

    def __init__(
        self,
        vendor: Vendor,
        given: Given,
        store: Store,
        environment: Environment,
        *,
        plain: bool,
        said: str | None = None,
    ) -> None:
        self.vendor, self.given, self.store, self.environment = vendor, given, store, environment
        #: Whose login it is, where `identity=` says it.
        self.said = said
        #: What sends exchanges (None: not known before the first), and the library in use, which is preferred then.
        self.sender, self.library = environment.sender, ""
        #: Is every request of this vendor alike? Then an adapter need not ask.
        self.plain = plain
        self._backoff, self._ahead = OPEN, OPEN_AHEAD
        self._refusal: tuple[CredentialsRefused, float] | None = None
        self._memory: dict[str, Any] | None = None
        self._identity: Identity | None = None
        #: Is it known that what the user gave, and is presented as it is, is right?
        self._proved = False
        self._labels: bytes | None = None
        #: The grant that this session had renewed for a rejection.
        self._curing, self._logouts = "", 0
        #: What a failing store did not take, by key.
        self.unsaved: Mapping[str, Kept] = NOTHING
        self._verifier = None if vendor.verify is None else Verifier(self._exchange_sender, environment.clock)
        self.flights: Flights[Grant] = Flights(vendor.name)
        self.kept = Behind(self._store_kept, self._store_behind) if vendor.keep else None
        #: Who in this process hears of renewals; replaced in one assignment.
        self.listeners: tuple[Listener, ...] = ()
        #: The grants by slot, where there are slots.
        self.by_slot: OrderedDict[Slot, Grant] = OrderedDict() if vendor.vary else NO_GRANTS
        #: The grant for plain requests; `ANONYMOUS` while there is none.
        self.current: Grant = ANONYMOUS

    @property
    def memory(self) -> dict[str, Any]:
        """What the session remembers of refusals, and of what was typed."""
        if self._memory is None:
            self._memory = {}
        return self._memory

    @property
    def clock(self) -> Callable[[], float]:
        return self.environment.clock

    @property
    def key(self) -> str:
        """The key of this session's record. Asks the callables that say whose login it is."""
        return self.identity_now()[1].key

    def identity_now(self, asked: Mapping[str, Any] = NOTHING) -> tuple[Given, Identity]:
        """Whose login it is, and what was given, with all answered that says so: a user's name is asked once, a key or
        a subject's token each time, since it may be another; but for what was `asked` just now.
        """
        if unasked(self.vendor, self.given, self.said):
            self.given = identified(self.vendor, self.given, self.said)
            given = answered(self.vendor, self.given.changed(asked), self.said)
            if given is not self.given:
                found = self._identity = identity_of(self.vendor, given, self.said, fingerprint_for(self.store))
                return given, found
        if self._identity is None:
            self._identity = identity_of(self.vendor, self.given, self.said, fingerprint_for(self.store))
        return self.given.changed(asked), self._identity

    @property
    def account(self) -> str:
        """Whose login it is, for logs and people, who cannot guess it from that; nothing as long as it is not known,
        and to know it a callable would have to be asked, or a secret be hashed.
        """
        names = [] if self.said is not None else [name for name in secrets(self.vendor) if name in self.vendor.identity]
        hashed = any(name in self.given for name in names)
        if self._identity is None and (hashed or unasked(self.vendor, self.given, self.said)):
            return ""
        identity = self._identity or self.identity_now()[1]
        self._labels = self._labels or label_key(self.store)
        return label(self._labels, identity.key)

    # --- what a request shall carry -----------------------------------------------------------------------------------

    def wanted(self, slot: Slot = ()) -> Grant | Flight[Grant]:
        """A grant good for now, or the flight that will bring one. Raises AuthFlowError where nothing may be sent."""
        grant, now = self._of(slot), self.clock()
        fresh = Freshness.MANDATORY if grant is ANONYMOUS else grant.windows.freshness(now)
        if fresh is Freshness.MANDATORY:
            return self._fly(slot, grant, now)
        if fresh is Freshness.ADVISORY and self._ahead.open(now):
            self._renew_ahead(slot, grant, now)
        return self._at(slot, grant, now)

    def renewed(self, slot: Slot, grant: Grant, event: Outcome, *, replayable: bool) -> Grant | Flight[Grant] | None:
        """A better grant than `grant`, to which `event` happened; None if the request cannot be sent again.

        Raises AuthFlowError where nothing may be sent.
        """
        another, now = self.other(slot, grant), self.clock()
        if another is not None and another.windows.freshness(now) is not Freshness.MANDATORY:
            return self._at(slot, another, now) if replayable else None
        if (error := self._blocked(now)) is not None:
            if not replayable:
                return None
            raise error
        work = partial(self._renew, slot, grant, event)
        flight = self._join(slot, grant, work, waits=replayable)
        if not replayable and self.holds(slot, grant):
            self._publish(slot, ANONYMOUS)  # the next request carries it no more
        return flight if replayable else None

    def cures(self, grant: Grant) -> tuple[float, ...]:
        return by_own_clock(grant.record.cures, self.clock(), self.memory, grant.record.key if self.vendor.vary else "")

    def holds(self, slot: Slot, grant: Grant) -> bool:
        """Has nobody renewed this grant yet?"""
        return same_grant(self._of(slot).record, grant.record)

    def keep(self, grant: Grant, found: Mapping[str, Any], answer: Answer) -> None:
        """A good answer to a request that carried the grant now held has brought some values anew."""
        slot, now = self.slot_of(grant, None), self.clock()
        while same_grant((current := self._of(slot)).record, grant.record):
            record = current.record.replace(captured={**current.record.captured, **found})
            if record == current.record:
                return
            if {"expires_in", "expires_at"} & found.keys():
                ends = expiry(dict(found), sent=now, received=now, date=answer.date, jwt=False, lifetime=None)
                record = record.replace(expires_at=ends)
            try:
                fresh = self.ready(record, current.given)
            except ConfigurationError as error:
                log.warning("%s: what an answer brought is not kept: %s", self.vendor.name, error)
                return
            if record.expires_at == current.record.expires_at:
                fresh = fresh.replace(windows=current.windows, fresh_until=current.fresh_until)
            if not self._publish(slot, fresh, current):
                continue
            if self.kept is not None:
                self.kept.note(slot, now)
            return

    def _store_behind(self, slot: Slot, record: Record | None = None) -> None:
        self.flights.join(("keep", slot), lambda: None, partial(self._store_kept, slot, record), waits=False)

    def _store_kept(self, slot: Slot, record: Record | None = None) -> Grant:
        current, identity = self._of(slot), self._identity
        if identity is not None and current is not ANONYMOUS:
            record = record or current.record
            self.renewal(self.watch(), self.given, identity).keep(record.key, record, identity.key)
        return current

    def cured(self, grant: Grant) -> None:
        """It is accepted where the one before was not: no renewal that others who share the store need count."""
        if self._curing == grant.record.grant and not isinstance(self.store, MemoryStore):
            self._curing = ""
            self._store_behind(self.slot_of(grant, None), grant.record.replace(cures=grant.record.cures[:-1]))

    def login(self) -> Grant:
        """Log in from the start, whatever is known, and whatever was refused before. Raises AuthFlowError."""
        self._backoff = OPEN
        work = partial(self._renew, (), None, None, restart=True)
        return self.flights.join(LOGIN, lambda: None, work, limit=self._limit, late=self._late).wait()

    def logout(self) -> None:
        """Forget the grants here and in the store, and tell the vendor. Raises AuthFlowError."""
        with self.flights.lock:
            grant, self.current = self.current, ANONYMOUS
            slots = list(self.by_slot)
            self.by_slot.clear()
        try:
            with sealed():
                given, identity = self.identity_now()
                others = [slot_key(identity.key, slot) for slot in slots]
                known = grant.record if grant is not ANONYMOUS else None
                with working((_place(self.store), identity.key)):
                    self.renewal(self.watch(), given, identity).logout(identity.key, known, others)
        finally:
            with self.flights.lock:  # what a renewal has brought meanwhile is forgotten too
                self._logouts += 1
                self.current = ANONYMOUS
                self.by_slot.clear()

    def start(self) -> Grant:
        """What the first state presents, for those who need its values before there is a grant."""
        return self.ready(Record(self.vendor.flow.start))

    def ready(self, record: Record, given: Given | None = None) -> Grant:
        proved = self._proved or record.grant != "" or not proved_by_use(self.vendor)
        return Grant.of(self.vendor, given or self.given, record, self.clock(), random.random(), self.plain, proved)

    def accepted(self, grant: Grant) -> None:
        """The first good answer to what was given: the store is told, behind those who wait for it."""
        self._proved = True
        grant.prove()
        self.current.prove()
        if isinstance(self.store, MemoryStore):
            self._note_accepted(grant)
        else:
            self.flights.join("accepted", lambda: None, partial(self._note_accepted, grant), waits=False)

    def _note_accepted(self, grant: Grant) -> Grant:
        given, identity = self.identity_now(grant.asked)
        with suppress(StoreError):
            stored = self.renewal(self.watch(), given, identity).stored
            values = Values(self.vendor, given.changed(grant.asked), grant.record.captured, self.clock())
            Guard(self.vendor, given, stored, self.clock).accepted(values, proved_by_use(self.vendor))
        return grant

    def slot_of(self, grant: Grant, event: Outcome | None) -> Slot:
        values = absorb(grant.record.captured, event) if event is not None else grant.record.captured
        return tuple(str(values.get(name, "")) for name in self.vendor.vary)

    def _of(self, slot: Slot) -> Grant:
        return self.by_slot.get(slot, ANONYMOUS) if slot else self.current

    def _fly(self, slot: Slot, grant: Grant, now: float) -> Grant | Flight[Grant]:
        """Wait for a renewal, unless the vendor is known to be down or the password to be refused."""
        error = self._blocked(now)
        if grant is not ANONYMOUS and grant.valid(now) and (error is not None or self._ahead.failing(now)):
            return self._at(slot, grant, now)
        if error is not None:
            raise error
        return self._join(slot, grant, partial(self._renew, slot, grant, None))

    def _join(self, slot: Slot, grant: Grant, work: Callable[[], Grant], *, waits: bool = True) -> Flight[Grant]:
        done = partial(self.other, slot, grant)
        return self.flights.join(slot, done, work, limit=self._limit, late=self._late, waits=waits)

    @property
    def _limit(self) -> float:
        """Seconds that a flight may take: a person who is asked may take their time, a vendor may not."""
        asks = self.given.asks or self.environment.ask is not None
        return math.inf if asks else self.environment.timeout + GRACE

    def _blocked(self, now: float) -> AuthFlowError | None:
        """Why nothing may be sent now: the password was refused a moment ago, or the vendor is down."""
        if self._refusal is not None and not self.given.asks:
            error, passed = self._refusal[0].copy(), now - self._refusal[1]
            wait = error.retry_after or 0.0
            if 0 <= passed < min(wait, BELIEVED):
                error.retry_after = wait - passed
                return error
        return None if self._backoff.open(now) else self._backoff.error(now)

    def _late(self, waited: float, in_line: bool) -> AuthFlowError:
        what = "the renewal that another caller began has not ended"
        if in_line:
            what = f"{QUARTER} renewals of this vendor are under way, and this one's turn has not come"
        return VendorUnavailable(f"{self.vendor.title}: {what} within {waited:.3g} s", vendor=self.vendor.name)

    def other(self, slot: Slot, grant: Grant) -> Grant | None:
        """What another flight has published since `grant` was read."""
        current = self._of(slot)
        return None if current is ANONYMOUS or self.holds(slot, grant) else current

    def _renew_ahead(self, slot: Slot, grant: Grant, now: float) -> None:
        self._ahead = self._ahead.begun(now)
        grant.stay_fresh(self._ahead.until)
        self._join(slot, grant, partial(self._renew, slot, grant, None), waits=False)

    def _exchange_sender(self) -> Sender:
        if self.sender is None:
            self.sender = self.environment.default_sender(self.library)
        return self.sender

    def watch(self) -> Watch:
        """Who hears of one renewal."""
        return Watch(self.vendor, lambda: self.account, self.environment.hooks, self.listeners)

    def renewal(self, watch: Watch, given: Given, identity: Identity) -> Renewal:
        """What carries one renewal out."""
        sender = ExchangeSender(self._exchange_sender, self._verifier, self.environment)
        claims = Claims(self.vendor, given, identity, fingerprint_for(self.store))
        degrade = self.environment.degrade
        stored = StoredRecords(
            self.vendor, self.store, claims, self.clock, degrade, self.memory, Unsaved(self, self.flights.lock)
        )
        return Renewal(self.vendor, given, stored, sender, watch.moved, self.environment.ask)

    def _renew(self, slot: Slot, grant: Grant | None, event: Outcome | None, *, restart: bool = False) -> Grant:
        """The work of a flight: renew, publish, and remember what failed."""
        presented = grant.record if grant is not None and grant is not ANONYMOUS else None
        if presented is not None and grant is not None and self.vendor.keep and self.holds(slot, grant):
            presented = self._of(slot).record
        if presented is None and event is None and slot == () and self.current is not ANONYMOUS:
            presented = self.current.record
        asked: Mapping[str, Any] = NOTHING
        if event is not None and not event.captured and grant is not None:
            names = [name for name in grant.shown if callable(self.given.get(name))]
            asked = {name: grant.asked.get(name, grant.given.get(name)) for name in names}
            values = Values(self.vendor, self.given, grant.record.captured, self.clock())
            told = {name: values.get(name) for name in names}
            if any(not callable(old) and told[name] != old for name, old in asked.items()):  # a key that nobody refused
                anew = self.ready(grant.record.replace(issued_at=self.clock()), self.given.changed(told))
                self._proved = False
                self._publish(slot, anew)
                return anew
        names, began = unasked(self.vendor, self.given, self.said), monotonic()
        known = {name: value for name, value in typed(self.memory).items() if name in names}
        given, identity = self.identity_now({**known, **asked})
        took = monotonic() - began
        try:
            with working((_place(self.store), identity.key)):
                return self._renewed(slot, grant, event, restart, presented, given, identity)
        except BaseException as error:
            if not isinstance(error, CredentialsRefused):
                keep_typed(self.memory, {name: given.get(name) for name in names}, took)
            raise

    def _renewed(
        self,
        slot: Slot,
        grant: Grant | None,
        event: Outcome | None,
        restart: bool,
        presented: Record | None,
        given: Given,
        identity: Identity,
    ) -> Grant:
        key = slot_key(identity.key, slot) if slot else identity.key
        cause = LOGIN if restart else event.name if event is not None else EXPIRED if presented else START
        waiters = partial(self.flights.waiters, LOGIN if restart else slot)
        watch, logouts, began = self.watch(), self._logouts, self.clock()
        renewal = self.renewal(watch, given, identity)
        lives = grant if grant is not ANONYMOUS and event is None and not restart else None
        if lives is not None and lives.valid(began):
            renewal.ask = None  # the token is still good: nobody is asked for another
        try:
            work = partial(renewal.carry_out, key, presented, event, account=identity.key, restart=restart)
            record = watch.renewal(cause, waiters, work)
        except AuthFlowError as error:
            now = self.clock()
            good = lives if lives is not None and lives.valid(now) else None
            if isinstance(error, CredentialsRefused):
                self.memory.pop("typed", None)
            if isinstance(error, CredentialsRefused) and error.retry_after is not None:
                self._proved = False
                self._refusal = error, now
                if event is not None:
                    self._publish(slot, ANONYMOUS)
            elif isinstance(error, VendorUnavailable | VendorAnswerError) or error.status or good is not None:
                if good is not None:
                    self._ahead = self._ahead.failed(now, error.retry_after, error, random.random())
                    good.stay_fresh(self._ahead.until)
                else:
                    self._backoff = self._backoff.failed(now, error.retry_after, error, random.random())
                if isinstance(error, VendorUnavailable) and good is None and error.retry_after is None:
                    error.retry_after = self._backoff.error(now).retry_after
            if good is not None:
                log.info("%s: not renewed, and the token is still good: %s", self.vendor.name, error)
                return good
            raise
        self._backoff, self._ahead, self._refusal = OPEN, OPEN_AHEAD, None
        self.memory.pop("typed", None)
        fresh = self.ready(record, given)
        if record.cures and record.cures[-1] >= began:
            self._curing = record.grant
        with self.flights.lock:
            if logouts != self._logouts:
                return fresh  # for those who have waited for it, and for nobody else
        self.cures(fresh)  # what is there, is there from now on
        self._publish(slot, fresh)
        return fresh

    def _at(self, slot: Slot, grant: Grant, now: float) -> Grant:
        """The grant as it is presented now; a token that is minted for it is kept for those who come after."""
        made = grant.at(now)
        if made is not grant and made.lasts:
            self._publish(slot, made, grant)
        return made

    def _publish(self, slot: Slot, grant: Grant, before: Grant | None = None) -> bool:
        """Whether it was published: in the place of `before` only where nobody has taken that place."""
        with self.flights.lock:
            if before is not None and self._of(slot) is not before:
                return False
            if slot:
                remember(self.by_slot, slot, grant, MOST_GRANTS)
            else:
                self.current = grant
            return True


def _place(store: Store) -> Hashable:
    """What two stores have in common that keep the same records."""
    return id(store) if isinstance(store, MemoryStore) else repr(store)


#: What a session has whose grants are all alike.
NO_GRANTS: Final[OrderedDict[Slot, Grant]] = OrderedDict()


def remember(table: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Put an entry in its place as the youngest, and drop the oldest beyond `most`."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)
