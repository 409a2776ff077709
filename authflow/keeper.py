"""The keeper of a session's grants: what is held, when it must be renewed, and by which flight.

    wanted   what a request shall carry now        fresh ▸ Held · advisory ▸ Held, one renews · else ▸ Flight
    renewed  what it shall carry after an event    renewed already ▸ Held · else ▸ Flight
    climb    the work of a flight: climb, publish in one assignment, remember what failed

No lock is held while anybody waits. A refused password and a vendor that is down are remembered here, so that callers
are told at once and the vendor is left alone; a token that is still good is used whatever fails behind it.
"""

from __future__ import annotations

import logging
import math
import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from authflow import clients
from authflow.backoff import Backoff
from authflow.bag import Sealed
from authflow.climber import Climber, Kept
from authflow.errors import AuthFlowError, CredentialsRefused, VendorAnswerError, VendorUnavailable, sealed
from authflow.exchange import Outcome
from authflow.exchanger import Exchanger
from authflow.flight import Flight, Flights
from authflow.flow import EXPIRED, absorb
from authflow.grant import COOL_DOWN_MOST, Grant
from authflow.held import BARE, Held
from authflow.http import NOTHING
from authflow.identity import identified, record_key, slot_key, unasked
from authflow.observe import LOGIN, START, Listener, Watch
from authflow.plugins import Hooks
from authflow.signing import Signer
from authflow.token import Freshness
from authflow.verification import Verifier

if TYPE_CHECKING:
    from authflow.clients.base import Sender
    from authflow.stores.base import Store
    from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: How much longer than a climb its waiters wait, for the store and for a busy machine, in seconds.
GRACE: Final = 5.0
#: How many grants a session keeps where `vary` tells several apart.
MOST_GRANTS: Final = 64
#: How a vendor is left alone that does not answer: when somebody waits for it, and when a good token is renewed ahead.
OPEN: Final = Backoff()
OPEN_AHEAD: Final = Backoff(first=30.0, most=300.0)
Slot = tuple[str, ...]


class Keeper:
    """Keeps the grants of one session: `held`, and, where `vary` tells several apart, one for each slot.

    There may be very many sessions, so a keeper is small: what a climb needs is made for the climb.
    """

    __slots__ = (
        *("_ahead", "_backoff", "_hooks", "_key", "_logouts", "_refusal", "_signer", "_verifier", "clock", "degrade"),
        *("flights", "given", "grants", "held", "library", "listeners", "plain", "sender", "store", "timeout"),
        *("unsaved", "vendor"),
    )

    def __init__(
        self,
        vendor: Vendor,
        given: Sealed,
        store: Store,
        sender: Sender | None,
        signer: Signer | None,
        hooks: Hooks,
        clock: Callable[[], float],
        timeout: float,
        *,
        degrade: bool,
        plain: bool,
    ) -> None:
        self.vendor, self.given, self.store, self.clock = vendor, given, store, clock
        self._signer, self._hooks, self.timeout, self.degrade = signer, hooks, timeout, degrade
        #: What sends exchanges (None: not known before the first), and the library in use, which is preferred then.
        self.sender, self.library = sender, ""
        #: Is every request of this vendor alike? Then an adapter need not ask.
        self.plain = plain
        self._backoff, self._ahead = OPEN, OPEN_AHEAD
        self._refusal: tuple[CredentialsRefused, float] | None = None
        self._key: str | None = None
        self._logouts = 0
        #: What a failing store did not take, by key.
        self.unsaved: Mapping[str, Kept] = NOTHING
        self._verifier = None if vendor.verify is None else Verifier(self._exchanges, clock)
        self.flights: Flights[Held] = Flights()
        #: Who in this process hears of climbs; replaced in one assignment.
        self.listeners: tuple[Listener, ...] = ()
        #: The grants by slot, where there are slots.
        self.grants: OrderedDict[Slot, Held] = OrderedDict() if vendor.vary else NO_GRANTS
        #: The grant for plain requests; `BARE` while there is none.
        self.held: Held = BARE

    @property
    def key(self) -> str:
        """The key of this session's record, which tells nobody whose it is. Asks a callable that names the account."""
        if self._key is None:
            self.given = identified(self.vendor, self.given)
            self._key = record_key(self.vendor, self.given)
        return self._key

    @property
    def account(self) -> str:
        """The key, or nothing as long as it hangs on a callable that has not been asked."""
        return self.key if self._key is not None or not unasked(self.vendor, self.given) else ""

    # --- what a request shall carry -----------------------------------------------------------------------------------

    def wanted(self, slot: Slot = ()) -> Held | Flight[Held]:
        """A grant good for now, or the flight that will bring one. Raises AuthFlowError where nothing may be sent."""
        held, now = self._of(slot), self.clock()
        if held is BARE:
            return self._fly(slot, held, now)
        match held.windows.freshness(now):
            case Freshness.FRESH:
                return held.at(now)
            case Freshness.ADVISORY:
                if self._ahead.open(now):
                    self._renew_ahead(slot, held, now)
                return held.at(now)
        return self._fly(slot, held, now)

    def renewed(self, slot: Slot, held: Held, event: Outcome, *, replayable: bool) -> Held | Flight[Held] | None:
        """A better grant than `held`, to which `event` happened; None if the request cannot be sent again.

        Raises AuthFlowError where nothing may be sent.
        """
        current, now = self._of(slot), self.clock()
        another = current.grant is not held.grant and current is not BARE
        if another and current.windows.freshness(now) is not Freshness.MANDATORY:
            return current.at(now) if replayable else None
        if (error := self._blocked(now)) is not None:
            if not replayable:
                return None
            raise error
        work = partial(self._climb, slot, held, event)
        flight = self._join(slot, held, work, waits=replayable)
        if not replayable and self._of(slot).grant is held.grant:
            self._withdraw(slot)
        return flight if replayable else None

    def login(self) -> Held:
        """Log in from the start, whatever is known, and whatever was refused before. Raises AuthFlowError."""
        self._backoff = OPEN
        work = partial(self._climb, (), None, None, restart=True)
        return self.flights.join(LOGIN, lambda: None, work, limit=self._limit, late=self._late).wait()

    def logout(self) -> None:
        """Forget the grants here and in the store, and tell the vendor. Raises AuthFlowError."""
        with self.flights.lock:
            held, self.held = self.held, BARE
            slots = list(self.grants)
            self.grants.clear()
        others = [slot_key(self.key, slot) for slot in slots]
        try:
            with sealed():
                self.climber(self.watch()).logout(self.key, held.grant if held is not BARE else None, others)
        finally:
            with self.flights.lock:  # what a climb has brought meanwhile is forgotten too
                self._logouts += 1
                self.held = BARE
                self.grants.clear()

    def start(self) -> Held:
        """What the first state presents, for those who need its values before there is a grant."""
        return self.ready(Grant(self.vendor.flow.start))

    def ready(self, grant: Grant) -> Held:
        """A grant made ready. Raises Unbound, Unfit."""
        return Held.of(self.vendor, self.given, grant, self.clock(), random.random(), plain=self.plain)

    def slot_of(self, held: Held, event: Outcome | None) -> Slot:
        values = absorb(held.grant.captured, event) if event is not None else held.grant.captured
        return tuple(str(values.get(name, "")) for name in self.vendor.vary)

    def _of(self, slot: Slot) -> Held:
        return self.grants.get(slot, BARE) if slot else self.held

    def _withdraw(self, slot: Slot) -> None:
        """A rejected grant whose renewal failed, or nobody waits for: the next request carries it no more."""
        if slot:
            self.grants.pop(slot, None)
        else:
            self.held = BARE

    def _fly(self, slot: Slot, held: Held, now: float) -> Held | Flight[Held]:
        """Wait for a climb, unless the vendor is known to be down or the password to be refused."""
        error = self._blocked(now)
        if held is not BARE and held.valid(now) and (error is not None or self._ahead.failing(now)):
            return held.at(now)
        if error is not None:
            raise error
        return self._join(slot, held, partial(self._climb, slot, held, None))

    def _join(self, slot: Slot, held: Held, work: Callable[[], Held], *, waits: bool = True) -> Flight[Held]:
        done = partial(self._other, slot, held)
        return self.flights.join(slot, done, work, limit=self._limit, late=self._late, waits=waits)

    @property
    def _limit(self) -> float:
        """How long a flight may take, in seconds. Whoever is asked for a password may take their time; a vendor may
        not.
        """
        return math.inf if any(map(callable, self.given.values())) else self.timeout + GRACE

    def _blocked(self, now: float) -> AuthFlowError | None:
        """Why nothing may be sent now: the password was refused a moment ago, or the vendor is down."""
        refused = self._refusal
        if (
            refused is not None
            and 0 < refused[1] - now <= COOL_DOWN_MOST
            and not any(map(callable, self.given.values()))
        ):
            error = refused[0].copy()
            error.retry_after = refused[1] - now
            return error
        return None if self._backoff.open(now) else self._backoff.error(now)

    def _late(self) -> AuthFlowError:
        return VendorUnavailable(f"{self.vendor.title}: no end within the time-out", vendor=self.vendor.name)

    def _other(self, slot: Slot, held: Held) -> Held | None:
        """What another flight has published since `held` was read."""
        current = self._of(slot)
        return current if current.grant is not held.grant and current is not BARE else None

    def _renew_ahead(self, slot: Slot, held: Held, now: float) -> None:
        self._ahead = self._ahead.begun(now)
        held.calm_down(self._ahead.until)
        self._join(slot, held, partial(self._climb, slot, held, None), waits=False)

    def _exchanges(self) -> Sender:
        if self.sender is None:
            self.sender = clients.default_sender(self.library)
        return self.sender

    def watch(self) -> Watch:
        """Who hears of one climb."""
        return Watch(self.vendor, self.key, self._hooks, self.listeners)

    def climber(self, watch: Watch) -> Climber:
        """What carries one climb out."""
        code = self._hooks.exchange
        exchanger = Exchanger(self._exchanges, self.clock, self.timeout, self._verifier, self._signer, code)
        return Climber(self.vendor, self.given, self.store, exchanger, watch.walked, self.degrade, Unsaved(self))

    def _climb(self, slot: Slot, held: Held | None, event: Outcome | None, *, restart: bool = False) -> Held:
        """The work of a flight: climb, publish, and remember what failed."""
        presented = held.grant if held is not None and held is not BARE else None
        if presented is None and event is None and slot == () and self.held is not BARE:
            presented = self.held.grant
        key = slot_key(self.key, slot) if slot else self.key
        cause = LOGIN if restart else event.name if event is not None else EXPIRED if presented else START
        waiters = partial(self.flights.waiters, LOGIN if restart else slot)
        watch, logouts = self.watch(), self._logouts
        climber = self.climber(watch)
        try:
            climb = partial(climber.climb, key, presented, event, account=self.key, restart=restart)
            grant = watch.climb(cause, waiters, climb)
        except AuthFlowError as error:
            now = self.clock()
            ahead = held is not None and held is not BARE and event is None and not restart and held.valid(now)
            good = held if ahead else None
            if isinstance(error, CredentialsRefused) and error.retry_after is not None:
                self._refusal = error, now + error.retry_after
                if event is not None:
                    self._withdraw(slot)
            elif isinstance(error, VendorUnavailable | VendorAnswerError) or good is not None:
                if good is not None:
                    self._ahead = self._ahead.failed(now, error.retry_after, error, random.random())
                    good.calm_down(self._ahead.until)
                else:
                    self._backoff = self._backoff.failed(now, error.retry_after, error, random.random())
                if isinstance(error, VendorUnavailable) and good is None and error.retry_after is None:
                    error.retry_after = self._backoff.error(now).retry_after
            if good is not None:
                log.info("%s: not renewed, and the token is still good: %s", self.vendor.name, error)
                return good
            raise
        self._backoff, self._ahead, self._refusal = OPEN, OPEN_AHEAD, None
        fresh = self.ready(grant)
        with self.flights.lock:
            if logouts != self._logouts:
                return fresh  # for those who have waited for it, and for nobody else
            if slot:
                remember(self.grants, slot, fresh, MOST_GRANTS)
            else:
                self.held = fresh
        return fresh


class Unsaved(MutableMapping[str, Kept]):
    """What a failing store did not take, for one climb to see and to change, whatever other climbs do meanwhile."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def __getitem__(self, key: str) -> Kept:
        return self._keeper.unsaved[key]

    def __setitem__(self, key: str, kept: Kept) -> None:
        with self._keeper.flights.lock:
            self._keeper.unsaved = {**self._keeper.unsaved, key: kept}

    def __delitem__(self, key: str) -> None:
        with self._keeper.flights.lock:
            left = {other: kept for other, kept in self._keeper.unsaved.items() if other != key}
            self._keeper.unsaved = left or NOTHING

    def __iter__(self) -> Iterator[str]:
        return iter(self._keeper.unsaved)

    def __len__(self) -> int:
        return len(self._keeper.unsaved)


#: What a session has whose grants are all alike.
NO_GRANTS: Final[OrderedDict[Slot, Held]] = OrderedDict()


def remember(table: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    """Put an entry in its place as the youngest, and drop the oldest beyond `most`."""
    table[key] = value
    table.move_to_end(key)
    while len(table) > most:
        table.popitem(last=False)
