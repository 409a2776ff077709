"""One climb, carried out: under the store's lock, each grant kept before it is used.

    lock ─ load ─┬─ what another has renewed meanwhile is taken over, without an exchange
                 ├─ what was refused a moment ago is not sent again
                 └─ climb: exchange ▸ keep, until a state presents or fails

The climber runs in the thread of a flight, never in a caller's. It decides nothing about states (that is `flow`) and
nothing about when to climb (that is `session`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from authflow.bag import Bag, Given
from authflow.errors import (
    ConfigurationError,
    CredentialsRefused,
    StoreError,
    VendorAnswerError,
    VendorUnavailable,
)
from authflow.exchange import Exchange, Outcome
from authflow.exchanger import AnswerLost, Exchanger
from authflow.flow import (
    EXPIRED,
    LOST,
    UNAVAILABLE,
    Failing,
    Presenting,
    Rest,
    Sending,
    Step,
    Transition,
    absorb,
    climb,
    refusals,
    rotates,
)
from authflow.grant import COOL_DOWN_MOST, Grant, Refusal
from authflow.held import presented
from authflow.proofs import closure
from authflow.stores.base import Conflict, Store, Stored
from authflow.template import Unbound
from authflow.token import Freshness, Windows, expiry
from authflow.vendor import Vendor, seconds

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
    unsaved: dict[str, Kept] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Climber {self.vendor.name}>"

    @property
    def clock(self) -> Callable[[], float]:
        return self.exchanger.clock

    @property
    def timeout(self) -> float:
        return self.exchanger.timeout

    def climb(self, key: str, presented: Grant | None, event: Outcome | None = None, *, restart: bool = False) -> Grant:
        """A grant in a presenting state, better than `presented`, to which `event` happened (None: it ran out, or is
        the first).

        `restart` logs in from the start, whatever is known. Raises AuthFlowError.
        """
        with self._locked(key):
            deadline = time.monotonic() + self.timeout
            kept = self._load(key, presented)
            try:
                if key in self.unsaved:
                    self.keep(key, kept, kept.grant)
                if not restart:
                    if self._serves(kept.grant, presented, event):
                        return kept.grant
                    if event is not None and presented is not None and not _same(kept.grant, presented):
                        event = None
                return _Ascent(self, key, kept, deadline).run(event, restart=restart)
            except _Overtaken:
                if self._serves(kept.grant, presented, None):
                    return kept.grant
                message = f"{self.vendor.title}: another process changed the record meanwhile: try again"
                raise VendorUnavailable(message, vendor=self.vendor.name, retry_after=0.0) from None

    def logout(self, key: str, held: Grant | None) -> None:
        """Tell the vendor, if the file says how, and forget. Raises AuthFlowError if the vendor could not be told."""
        with self._locked(key):
            deadline = time.monotonic() + self.timeout
            kept = self._load(key, held)
            self.store.delete(key)
            self.unsaved.pop(key, None)
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


class _Ascent:
    """The walk of one climb: what it sent, when, and what it has learnt."""

    def __init__(self, climber: Climber, key: str, kept: Kept, deadline: float) -> None:
        self.climber, self.key, self.kept, self.deadline = climber, key, kept, deadline
        self.vendor = climber.vendor
        self.issued_at, self.expires_at = kept.grant.issued_at, kept.grant.expires_at
        self.bag = Bag(climber.vendor, climber.given, kept.grant.captured, climber.clock())
        self.last: Exchange | None = None
        self.status: int | None = None
        self.took: tuple[str, float | None] = ("", None)
        self.timed = False

    def run(self, event: Outcome | None, *, restart: bool) -> Grant:
        state, captured = self._foot(event, restart)
        if state is None:
            return self.kept.grant
        rest = self._walk(state, captured)
        if isinstance(rest.state, Failing):
            raise self._refused(rest.state, rest.captured)
        if self.last is None and event is None and rest.state.name == self.kept.grant.state:
            return self.kept.grant
        if not self.timed:
            self.issued_at = self.climber.clock()
            lifetime = duration(self.vendor.lifetime, self.bag.with_captured(rest.captured))
            self.expires_at = None if lifetime is None else self.issued_at + lifetime
        # Where nothing was sent, nobody has accepted what was refused before.
        self._keep(rest.state.name, rest.captured, self.kept.grant.refusal if self.last is None else None)
        return self.kept.grant

    def _walk(self, state: str, captured: Mapping[str, Any]) -> Rest:
        walked: list[Transition] = []
        walk = climb(self.vendor.flow, state, captured, self.bag.with_captured(captured).bound, walked)
        outcome: Outcome | None = None
        while True:
            try:
                step = walk.send(outcome) if outcome is not None else next(walk)
            except StopIteration as end:
                rest: Rest = end.value
                return rest
            finally:
                for transition in walked:
                    self._observe(transition)
                walked.clear()
            if step.captured != captured:
                self._keep(state, step.captured)
                captured = step.captured
            outcome = self._answered(step, state)

    def _foot(self, event: Outcome | None, restart: bool) -> tuple[str | None, Mapping[str, Any]]:
        """The state from which to climb, and the values there; None where there is nowhere to go."""
        flow, grant = self.vendor.flow, self.kept.grant
        if restart:
            self.issued_at, self.expires_at = 0.0, None
            return flow.start, {}
        here = flow.states[grant.state]
        if isinstance(here, Failing):
            self._guard(grant.refusal, here)
            return flow.start, grant.captured
        if not isinstance(here, Presenting):
            return here.name, grant.captured
        if event is None and grant.issued_at == 0.0 and grant.state == flow.start:
            return here.name, grant.captured
        name = event.name if event is not None else EXPIRED
        after = here.next.get(name)
        if after is None:
            return None, grant.captured
        self._observe(Transition(grant.state, name, after))
        return after, absorb(grant.captured, event) if event is not None else grant.captured

    def _observe(self, transition: Transition) -> None:
        """Only the first edge after an exchange is that exchange's."""
        (exchange, seconds), self.took = self.took, ("", None)
        self.climber.observe(transition, exchange, seconds)

    def _keep(self, state: str, captured: Mapping[str, Any], refusal: Refusal | None = None) -> None:
        self.climber.keep(self.key, self.kept, Grant(state, captured, self.issued_at, self.expires_at, refusal))

    # --- refusals -----------------------------------------------------------------------------------------------------

    def _credentials(self, names: Any = None) -> dict[str, Any]:
        wanted = self.vendor.credentials if names is None else names
        given = self.climber.given
        return {
            name: self.bag.get(name)
            for name in wanted
            if names is not None or not callable(given.get(name)) or self.bag.answered(name)
        }

    def _guard(self, refusal: Refusal | None, state: Failing) -> None:
        """A refused password is not sent again until it changes or the cool-down has passed."""
        wait = 0.0 if refusal is None else refusal.until - self.climber.clock()
        # A longer wait than there is means that a clock was set back.
        if refusal is not None and 0 < wait <= COOL_DOWN_MOST and refusal.fits(self._credentials(refusal.names)):
            raise CredentialsRefused(_refusal_message(state, wait), vendor=self.vendor.name, retry_after=wait)

    def _refused(self, state: Failing, captured: Mapping[str, Any]) -> CredentialsRefused:
        refusal = Refusal.of(self._credentials(self._presented()), self.climber.clock(), self.kept.grant.refusal)
        self._keep(state.name, captured, refusal)
        wait = refusal.until - self.climber.clock()
        return CredentialsRefused(
            _refusal_message(state, wait),
            vendor=self.vendor.name,
            exchange=self.last.name if self.last else "",
            status=self.status,
            retry_after=wait,
        )

    def _presented(self) -> list[str] | None:
        """The credentials that stood in the caller's own request, where the answer to that refused them."""
        here = self.vendor.flow.states[self.kept.grant.state]
        if self.last is not None or not isinstance(here, Presenting):
            return None
        used = closure(self.vendor, [hole.name for hole in here.present.holes()])
        return [name for name in self.vendor.credentials if name in used] or None

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _answered(self, step: Step, origin: str) -> Outcome:
        """Send one exchange of the climb and name its outcome; what it means for the refresh token is kept at once."""
        state = self.vendor.flow.states[step.state]
        assert isinstance(state, Sending)
        try:
            return self.exchange(step)
        except VendorUnavailable as error:
            spent = isinstance(error, AnswerLost) and rotates(step.exchange)
            if spent and (state.missing is not None or refusals(step.exchange)):
                log.warning("%s: no answer to %s: its refresh token counts as spent", self.vendor.name, error.exchange)
                return Outcome(LOST, {})
            if UNAVAILABLE in state.next:
                return Outcome(UNAVAILABLE, {})
            self._observe(Transition(step.state, UNAVAILABLE, step.state))
            raise
        except VendorAnswerError:
            if rotates(step.exchange):
                self._keep(origin, absorb(step.captured, Outcome(LOST, {}), step.exchange))
            raise
        except Unbound as missing:
            name = step.exchange.name
            message = f"{self.vendor.title}: {name} needs {missing}, and nobody gave it; login() starts anew"
            raise ConfigurationError(message, vendor=self.vendor.name, exchange=name) from None

    def exchange(self, step: Step) -> Outcome:
        """One exchange, and the times of the grant that its answer began. Raises AuthFlowError, Unbound."""
        self.bag = self.bag.with_captured(step.captured).at(self.climber.clock())
        self.last = step.exchange
        started = time.monotonic()
        try:
            outcome, answer, sent = self.climber.exchanger.exchange(step.exchange, self.bag, self.deadline)
        finally:
            self.took = step.exchange.name, time.monotonic() - started
        self.status = answer.status
        begins = "access" in outcome.captured
        if begins or {"expires_in", "expires_at"} & set(outcome.captured):
            try:
                self.expires_at = expiry(
                    outcome.captured,
                    sent=sent,
                    received=answer.received,
                    date=answer.date,
                    jwt=outcome.jwt,
                    lifetime=duration(self.vendor.lifetime, self.bag),
                )
            except ValueError as error:
                name = step.exchange.name
                message = f"{self.vendor.title}: {name}: {error}"
                raise VendorAnswerError(message, vendor=self.vendor.name, exchange=name, status=answer.status) from None
            self.issued_at = sent if begins else self.issued_at or sent
            self.timed = True
        self._check_presentable(step, outcome)
        return outcome

    def _check_presentable(self, step: Step, outcome: Outcome) -> None:
        """What cannot be presented (a line break in a header, a list for a token) is not kept either."""
        state = self.vendor.flow.states[self.vendor.flow.after(step.state, outcome.name) or step.state]
        if not isinstance(state, Presenting) or outcome.captured.keys().isdisjoint(
            hole.name for hole in state.present.holes()
        ):
            return
        try:
            presented(state, self.bag.with_captured(absorb(step.captured, outcome, step.exchange)))
        except ConfigurationError as error:
            reason = f"{error.args[0]}, in the answer to {step.exchange.name}"
        else:
            return
        name = step.exchange.name
        raise VendorAnswerError(reason, vendor=self.vendor.name, exchange=name, status=self.status)


def duration(template: Any, bag: Bag) -> float | None:
    """`[expiry]` in seconds. Raises ConfigurationError."""
    if template is None:
        return None
    try:
        return seconds(template.render(bag))
    except (ValueError, Unbound) as error:
        raise ConfigurationError(f"{bag.vendor.title}: expiry: {error}", vendor=bag.vendor.name) from None


def _refusal_message(state: Failing, wait: float) -> str:
    return f"{state.message} Not tried again for {wait:.0f} s unless the credentials change."
