"""One climb, carried out: under the store's lock, through the sender, each grant kept before it is used.

    lock ─ load ─┬─ what another has renewed meanwhile is taken over, without an exchange
                 ├─ what was refused a moment ago is not sent again
                 └─ climb: render ▸ send ▸ judge ▸ keep, until a state presents or fails

The climber runs in the thread of a flight, never in a caller's. It decides nothing about states (that is `flow`) and
nothing about when to climb (that is `session`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from authflow.bag import Bag, Given
from authflow.clients.base import NoAnswer, Sender, TooLarge
from authflow.errors import (
    AuthFlowError,
    ConfigurationError,
    CredentialsRefused,
    StoreError,
    UntrustedOrigin,
    VendorAnswerError,
    VendorUnavailable,
)
from authflow.exchange import Exchange, Outcome, judge
from authflow.flow import (
    EXPIRED,
    LOST,
    UNAVAILABLE,
    Failing,
    Presenting,
    Rest,
    Step,
    Transition,
    absorb,
    climb,
    refusals,
    rotates,
)
from authflow.grant import Grant, Refusal
from authflow.http import Answer, Request, resolve, without_query
from authflow.masking import describe
from authflow.stores.base import Conflict, Store, Stored
from authflow.template import Unbound, Unfit
from authflow.token import Freshness, Windows, expiry
from authflow.trust import sends_to
from authflow.vendor import Vendor, seconds

log: Final = logging.getLogger("authflow")

UNAVAILABLE_STATUS: Final = frozenset({408, 425, 429, *range(500, 600)})
#: How long a record outlives its token in a store that lets records die, in seconds.
KEPT_FOR: Final = 90 * 86400.0
MAX_HOPS: Final = 5


@dataclass(slots=True)
class Kept:
    """A grant, and the revision of the record that it came from (None: there is none)."""

    grant: Grant
    revision: str | None


@dataclass(slots=True)
class Climber:
    """All that a climb needs; `clock` gives epoch seconds, `timeout` bounds one climb in seconds."""

    vendor: Vendor
    given: Given
    store: Store
    sender: Callable[[], Sender]
    clock: Callable[[], float]
    timeout: float
    observe: Callable[[Transition], None]
    degrade: bool = False

    def climb(self, key: str, presented: Grant | None, event: Outcome | None = None, *, restart: bool = False) -> Grant:
        """A grant in a presenting state, better than `presented`, to which `event` happened (None: it ran out, or is
        the first).

        `restart` logs in from the start, whatever is known. Raises AuthFlowError.
        """
        deadline = time.monotonic() + self.timeout
        with self._locked(key):
            kept = self._load(key, presented)
            if not restart:
                if self._serves(kept.grant, presented, event):
                    return kept.grant
                if event is not None and presented is not None and not _same(kept.grant, presented):
                    event = None
            return _Ascent(self, key, kept, deadline).run(event, restart=restart)

    def logout(self, key: str, held: Grant | None) -> None:
        """Tell the vendor, if the file says how, and forget. Raises AuthFlowError if the vendor could not be told."""
        deadline = time.monotonic() + self.timeout
        with self._locked(key):
            kept = self._load(key, held)
            self.store.delete(key)
            name = self.vendor.on_logout
            if name is not None and kept.grant.captured:
                try:
                    _Ascent(self, key, kept, deadline).exchange(
                        Step(kept.grant.state, self.vendor.flow.exchanges[name], kept.grant.captured)
                    )
                except Unbound:
                    log.debug("%s: nothing to tell the vendor on logout", self.vendor.name)
                except _Lost as lost:
                    raise lost.error from lost.__cause__

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
        # A holder is passed over only after the longest time that its climb can take.
        try:
            lock = self.store.lock(key, limit=self.timeout + 15, wait=self.timeout + 20)
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
        blank = presented or Grant(self.vendor.flow.start)
        try:
            stored = self.store.load(key)
        except StoreError as error:
            self._degrade(error)
            stored = None
        return Kept(blank, None) if stored is None else Kept(self._read(key, stored) or blank, stored.revision)

    def _read(self, key: str, stored: Stored) -> Grant | None:
        try:
            grant = Grant.from_bytes(stored.data)
        except ValueError:
            log.warning("the record %s cannot be read and is replaced: logging in again", key)
            return None
        return grant if grant.state in self.vendor.flow.states else None

    def keep(self, key: str, kept: Kept, grant: Grant) -> None:
        """Store a grant before anybody uses it. If a newer one was stored meanwhile, that one is taken instead."""
        ends = grant.expires_at if grant.expires_at is not None else self.clock()
        lifetime = max(0.0, ends - self.clock()) + KEPT_FOR
        try:
            kept.revision = self.store.save(key, grant.to_bytes(), kept.revision, lifetime=lifetime)
        except Conflict:
            stored = self.store.load(key)
            newer = self._read(key, stored) if stored is not None else None
            if stored is not None and newer is not None:
                log.warning("the record %s was renewed by another while this process was held up", key)
                kept.grant, kept.revision = newer, stored.revision
                return
            kept.revision = self.store.save(
                key, grant.to_bytes(), stored.revision if stored else None, lifetime=lifetime
            )
        except StoreError as error:
            self._degrade(error)
        kept.grant = grant

    def _degrade(self, error: StoreError) -> None:
        if not self.degrade:
            raise error
        log.warning("going on without the store, for this process alone: %s", error)


def _same(one: Grant, other: Grant) -> bool:
    return one.captured == other.captured and one.state == other.state


class _Ascent:
    """The walk of one climb: what it sent, when, and what it has learnt."""

    def __init__(self, climber: Climber, key: str, kept: Kept, deadline: float) -> None:
        self.climber, self.key, self.kept, self.deadline = climber, key, kept, deadline
        self.vendor = climber.vendor
        self.issued_at, self.expires_at = kept.grant.issued_at, kept.grant.expires_at
        self.bag = Bag(climber.vendor, climber.given, kept.grant.captured, climber.clock())
        self.last: Exchange | None = None
        self.status: int | None = None
        self.timed = False

    def run(self, event: Outcome | None, *, restart: bool) -> Grant:
        state, captured = self._foot(event, restart)
        if state is None:
            return self.kept.grant
        rest = self._walk(state, captured)
        if isinstance(rest.state, Failing):
            raise self._refused(rest.state, rest.captured)
        if self.last is None and event is None:
            return self.kept.grant
        if not self.timed:
            self.issued_at = self.climber.clock()
            lifetime = duration(self.vendor.lifetime, self.bag.with_captured(rest.captured))
            self.expires_at = None if lifetime is None else self.issued_at + lifetime
        self._keep(rest.state.name, rest.captured)
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
                    self.climber.observe(transition)
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
        self.climber.observe(Transition(grant.state, name, after))
        return after, absorb(grant.captured, event) if event is not None else grant.captured

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
        if refusal is not None and wait > 0 and refusal.fits(self._credentials(refusal.names)):
            raise CredentialsRefused(_refusal_message(state, wait), vendor=self.vendor.name, retry_after=wait)

    def _refused(self, state: Failing, captured: Mapping[str, Any]) -> CredentialsRefused:
        refusal = Refusal.of(self._credentials(), self.climber.clock(), self.kept.grant.refusal)
        self._keep(state.name, captured, refusal)
        wait = refusal.until - self.climber.clock()
        return CredentialsRefused(
            _refusal_message(state, wait),
            vendor=self.vendor.name,
            exchange=self.last.name if self.last else "",
            status=self.status,
            retry_after=wait,
        )

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _answered(self, step: Step, origin: str) -> Outcome:
        """Send one exchange of the climb and name its outcome; what it means for the refresh token is kept at once."""
        state = self.vendor.flow.states[step.state]
        try:
            return self.exchange(step)
        except _Lost as lost:
            if rotates(step.exchange) and (getattr(state, "missing", None) or refusals(step.exchange)):
                log.warning(
                    "%s: no answer to %s; its refresh token counts as spent", self.vendor.name, step.exchange.name
                )
                return Outcome(LOST, {})
            raise lost.error from lost.__cause__
        except VendorUnavailable:
            if not isinstance(state, Presenting | Failing) and UNAVAILABLE in state.next:
                return Outcome(UNAVAILABLE, {})
            self.climber.observe(Transition(step.state, UNAVAILABLE, step.state))
            raise
        except VendorAnswerError:
            if rotates(step.exchange):
                self._keep(origin, absorb(step.captured, Outcome(LOST, {}), step.exchange))
            raise

    def exchange(self, step: Step) -> Outcome:
        """One exchange, sent and judged. Raises AuthFlowError, Unbound, _Lost."""
        self.bag = self.bag.with_captured(step.captured).at(self.climber.clock())
        exchange = self.last = step.exchange
        where: dict[str, Any] = {"vendor": self.vendor.name, "exchange": exchange.name}
        request = self._render(exchange)
        sent = self.climber.clock()
        try:
            answer = self._send(exchange, request)
        except NoAnswer as error:
            unavailable = VendorUnavailable(f"{self.vendor.title}: no answer to {exchange.name}: {error}", **where)
            if error.sent:
                raise _Lost(unavailable) from error
            raise unavailable from error
        except TooLarge:
            raise VendorAnswerError(
                f"{self.vendor.title}: the answer to {exchange.name} is larger than 1 MiB", **where
            ) from None
        self.status = answer.status
        outcome, reasons = judge(exchange.answers, answer)
        if outcome is None and answer.status in UNAVAILABLE_STATUS:
            outcome = Outcome(UNAVAILABLE, {"retry_after": answer.retry_after})
        if outcome is None:
            shown = describe(answer, self._secrets(), _keys_read(exchange))
            message = (
                f"{self.vendor.title}: no pattern of {exchange.name} fits the answer ({shown}): {'; '.join(reasons)}"
            )
            raise VendorAnswerError(message, status=answer.status, **where)
        if outcome.name == UNAVAILABLE:
            wait = outcome.captured.get("retry_after")
            wait = answer.retry_after if wait is None else wait
            message = f"{self.vendor.title}: {exchange.name} is unavailable (status {answer.status})"
            raise VendorUnavailable(message, status=answer.status, retry_after=_number(wait), **where)
        self._clock_in(outcome, answer, sent, where)
        return outcome

    def _render(self, exchange: Exchange) -> Request:
        try:
            base_url = self.bag.base_url
        except Unbound:
            base_url = ""
        try:
            request = exchange.request.render(self.bag, base_url)
        except Unfit as error:
            raise ConfigurationError(
                f"{self.vendor.title}: {exchange.name}: {error}", vendor=self.vendor.name
            ) from None
        if not sends_to(self.vendor, self.climber.given, self.bag.captured, request.url):
            message = f"{exchange.name} may not be sent to {without_query(request.url)}: declare it in origins.send"
            raise UntrustedOrigin(f"{self.vendor.title}: {message}", vendor=self.vendor.name, exchange=exchange.name)
        return request

    def _send(self, exchange: Exchange, request: Request) -> Answer:
        sender = self.climber.sender()
        cookies: tuple[tuple[str, str], ...] = ()
        for _ in range(MAX_HOPS):
            remaining = self.deadline - time.monotonic()
            if remaining <= 0:
                raise NoAnswer(f"nothing within {self.climber.timeout:g} s", sent=False)
            answer = replace(sender.exchange(request, remaining), received=self.climber.clock())
            cookies += tuple(pair for pair in answer.headers if pair[0].lower() == "set-cookie")
            hop = (
                self._hop(request, answer)
                if exchange.redirects and judge(exchange.answers, answer)[0] is None
                else None
            )
            if hop is None:
                plain = tuple(pair for pair in answer.headers if pair[0].lower() != "set-cookie")
                return replace(answer, headers=plain + cookies)
            request = hop
        raise NoAnswer("redirected too often", sent=False)

    def _hop(self, request: Request, answer: Answer) -> Request | None:
        locations = answer.all("location")
        if answer.status not in (301, 302, 303, 307, 308) or not locations:
            return None
        url = resolve(request.url, locations[0])
        if not sends_to(self.vendor, self.climber.given, self.bag.captured, url):
            raise UntrustedOrigin(
                f"{self.vendor.title}: redirected to {without_query(url)}, which origins.send does not declare",
                vendor=self.vendor.name,
            )
        if answer.status in (307, 308):
            return replace(request, url=url)
        kept = tuple(pair for pair in request.headers if not pair[0].lower().startswith("content-"))
        return Request("GET", url, kept)

    def _clock_in(self, outcome: Outcome, answer: Answer, sent: float, where: Mapping[str, Any]) -> None:
        """The times of the grant that an answer began, or told more about."""
        begins = "access" in outcome.captured
        if begins and outcome.captured["access"] == "":
            raise VendorAnswerError(f"{self.vendor.title}: the access token in the answer is empty", **where)
        if not begins and not {"expires_in", "expires_at"} & set(outcome.captured):
            return
        try:
            lifetime = duration(self.vendor.lifetime, self.bag)
            ends = expiry(
                outcome.captured,
                sent=sent,
                received=answer.received,
                date=answer.date,
                jwt=outcome.jwt,
                lifetime=lifetime,
            )
        except ValueError as error:
            raise VendorAnswerError(
                f"{self.vendor.title}: {where['exchange']}: {error}", status=answer.status, **where
            ) from None
        self.issued_at = sent if begins else self.issued_at or sent
        self.expires_at = ends
        self.timed = True

    def _secrets(self) -> list[str]:
        values = [*self.bag.captured.values(), *(self.bag.get(name) for name in self.vendor.credentials)]
        values += [self.bag.get(name) for name, entry in self.vendor.settings.items() if entry.secret]
        return [value for value in values if isinstance(value, str)]


class _Lost(Exception):
    """The request may have been honoured, and nobody knows."""

    def __init__(self, error: AuthFlowError) -> None:
        super().__init__(str(error))
        self.error = error


def duration(template: Any, bag: Bag) -> float | None:
    """`[expiry]` in seconds. Raises ConfigurationError."""
    if template is None:
        return None
    try:
        return seconds(template.render(bag))
    except (ValueError, Unbound) as error:
        raise ConfigurationError(f"{bag.vendor.title}: expiry: {error}", vendor=bag.vendor.name) from None


def _keys_read(exchange: Exchange) -> frozenset[str]:
    """The JSON keys under which the patterns read values."""
    found: set[str] = set()

    def walk(item: Any, key: str) -> None:
        inner = getattr(item, "items", ())
        for entry in inner:
            if isinstance(entry, tuple):
                walk(entry[1], entry[0])
            else:
                walk(entry, key)
        if not inner and any(True for _ in item.holes()):
            found.add(key)

    for _, pattern in exchange.answers:
        if pattern.json is not None:
            walk(pattern.json, "")
    return frozenset(found)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else min(max(0.0, float(value)), 3600.0)
    except (TypeError, ValueError):
        return None


def _refusal_message(state: Failing, wait: float) -> str:
    return f"{state.message} Not tried again for {wait:.0f} s unless the credentials change."
