"""The flow, run for one renewal: what is sent, when, what is learnt, and what must not be sent.

    begin    from where: what the event, or the clock, makes of the state at which the account stands
    steps    exchange ▸ keep, as `vendors.flow.run` says
    rest     a record in a presenting state is kept and returned; in a failing one the refusal is kept and raised

What was refused is not sent again: neither credentials, in their cool-down, nor a refresh token that was used up.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from authflow.accounts import (
    MOST_SLOTS,
    Claims,
    Kept,
    Record,
    StoredRecords,
    by_own_clock,
    expiry,
    leads,
    presented,
    proved_by_use,
    secrets,
    with_cure,
)
from authflow.clock import monotonic
from authflow.errors import (
    AuthFlowError,
    ConfigurationError,
    CredentialsRefused,
    VendorAnswerError,
    VendorUnavailable,
)
from authflow.renewing import codes
from authflow.renewing.advice import misread
from authflow.renewing.at_rest import at_rest
from authflow.renewing.exchanges import Answered, AnswerLost, ExchangeSender, masked_reason, pause
from authflow.renewing.people import keep_typed, typed
from authflow.renewing.refusals import Guard, credentials_in, refused, sent_by
from authflow.renewing.rotation import Rotation
from authflow.renewing.waiting import Waiting, duration
from authflow.sealed import Held
from authflow.templates import Exchange, Outcome, Unbound
from authflow.vendors import (
    EXPIRED,
    LOST,
    UNAVAILABLE,
    Failing,
    Given,
    Presenting,
    Rest,
    Sending,
    Step,
    Transition,
    Values,
    Vendor,
    absorb,
    closure,
    made_of,
    rotates,
    run,
    spends_refresh,
)

log: Final = logging.getLogger("authflow")


class Run:
    """The flow, run for one renewal: what was sent, when, and what was learnt."""

    def __init__(
        self,
        vendor: Vendor,
        given: Given,
        stored: StoredRecords,
        sender: ExchangeSender,
        observe: Callable[[Transition, str, float | None], None],
        waiting: Waiting,
    ) -> None:
        self.vendor, self.given, self.stored, self.sender, self.observe = vendor, given, stored, sender, observe
        self.waiting = waiting
        self.waits_since: float | None = None
        self.last: Exchange | None = None
        self.status: int | None = None
        self.reason = self.code = ""
        self.took: tuple[str, float | None] = ("", None)
        self.timed = False
        #: For how many seconds the last answer asks to be left alone.
        self.asks: float | None = None
        #: Has an exchange brought a grant?
        self.began = False
        self.guard = Guard(vendor, given, stored, sender.clock)
        #: For how many seconds somebody was asked, and which credentials stood in exchanges that were answered.
        self.asking, self.served = 0.0, set[str]()

    @property
    def clock(self) -> Callable[[], float]:
        return self.sender.clock

    def carry_out(
        self,
        key: str,
        kept: Kept,
        account: tuple[str, Kept],
        deadline: float,
        event: Outcome | None,
        *,
        ahead: bool,
        restart: bool,
    ) -> Record:
        """From where `event` leads (None: the clock, or the start) to a state that presents. Raises AuthFlowError."""
        self.key, self.kept, self.deadline = key, kept, deadline
        #: The account's own record: this one, unless `vary` gives the account several.
        self.account, self.shared = account
        ends = kept.record.expires_at
        good_for = ends - self.clock() if ahead and ends is not None else 0.0
        self.rotation = Rotation(
            kept,
            self.shared,
            self._store,
            self._share,
            lambda: self.stored.unsaved.pop(key, None),
            insists=restart,
            asks=self.sender.environment.ask is not None,
            good_for=good_for,
        )
        self.grant, self.granted = kept.record.grant, kept.record.settings
        self.issued_at, self.expires_at = kept.record.issued_at, kept.record.expires_at
        self.unread_end, self.cures = kept.record.unread_end, kept.record.cures
        self.sender.begin(kept.record)
        self.values = Values(self.vendor, self.given, kept.record.captured, self.clock())
        self.values.recall(typed(self.stored.memory))
        #: The names, not brought yet, that led the token somewhere; the exchanges to which that does not hold.
        self.led, self.anew = set(leads(self.vendor)), frozenset[str]()
        if not self.led.isdisjoint(kept.record.captured):
            self.anew = self._proving_nothing()
        #: Has somebody said `login()`, whatever was refused before?
        self.insists = restart
        begun = Held(self._begin(event, restart))  # reporters see the variables of whoever calls their user
        if begun.it[0] is None:
            return self.kept.record
        self.led -= event.captured.keys() if event is not None else set()
        rest = self._steps(*begun.it)
        self.waits_since = None
        if isinstance(rest.state, Sending):
            if self.began or not self.insists:
                self._keep(self.vendor.flow.start, rest.captured)
            message = f"{self.vendor.title}: {rest.state.send} was not done in time; the next call starts again"
            raise VendorUnavailable(message, vendor=self.vendor.name, exchange=rest.state.send)
        if isinstance(rest.state, Failing):
            raise self._refused(rest.state, rest.captured)
        if self.last is None and event is None and rest.state.name == self.kept.record.state:
            return self.kept.record
        if self.last is not None and "access" not in rest.captured:
            self._begin_grant()
        if not self.timed:
            self.issued_at = self.clock()
            lifetime = duration(self.vendor.lifetime, self.values.with_captured(rest.captured))
            self.expires_at = None if lifetime is None else self.issued_at + lifetime
        failed = isinstance(self.vendor.flow.states[self.kept.record.state], Failing)
        if failed and self.last is None and proved_by_use(self.vendor):
            # It presents what was given: whether that is right, its first good answer says.
            return self.kept.record.replace(
                state=rest.state.name, captured=rest.captured, issued_at=self.issued_at, expires_at=self.expires_at
            )
        self._keep(rest.state.name, at_rest(self.vendor, rest))
        if self.last is not None:
            self.guard.accepted(self.values)
        return self.kept.record

    def _refused(self, state: Failing, captured: Mapping[str, Any]) -> CredentialsRefused:
        here, last = self.vendor.flow.states[self.kept.record.state], self.last
        names, wait = self.guard.refused(self.values, here if last is None else None, self.asks or 0.0)
        if self.began or not self.insists:  # else a grant that lives is left alone
            self._keep(state.name, captured)
        values = self.values.with_captured(captured)
        if last is None:
            reason = masked_reason(Outcome("", {**captured}), values)
            return refused(values, state, names, reason=reason, code=self.code, retry_after=wait)
        where: dict[str, Any] = {"exchange": last.name, "status": self.status, "retry_after": wait}
        where["more"] = misread(last, values, self.code)
        return refused(values, state, sent_by(last, values), reason=self.reason, code=self.code, **where)

    def _begin_grant(self) -> None:
        """An answer has brought a grant: it is another than all before."""
        self.grant, self.granted, self.began = os.urandom(8).hex(), self.claims.identity.settings, True

    @property
    def claims(self) -> Claims:
        return self.stored.claims

    def _proving_nothing(self) -> frozenset[str]:
        """The exchanges that log in with what proves nothing of where a record leads, as secrets do that were given."""
        known = [self.given.get(name) for name in secrets(self.vendor) if name in self.given]
        if known and not any(map(callable, known)):
            return frozenset()
        exchanges = self.vendor.flow.exchanges.values()
        own = self.vendor.credentials
        return frozenset(one.name for one in exchanges if one.by or not made_of(self.vendor, one).isdisjoint(own))

    def _steps(self, state: str, captured: Mapping[str, Any]) -> Rest:
        edges: list[Transition] = []
        since, now = self.waits_since, self.clock()
        waited = 0.0 if since is None else max(0.0, now - since)
        bound = self.values.with_captured(captured).bound
        steps = run(self.vendor.flow, state, captured, bound, edges, waited, self.led, self.anew)
        known, captured = Held(None), {}
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome) if outcome is not None else next(steps)
            except StopIteration as end:
                rest: Rest = end.value
                return rest
            finally:
                for transition in edges:
                    self._moved(transition)
                edges.clear()
            if step.wait:
                self.waits_since = self.clock() - step.waited + step.wait if since is None else since
                if self.began or not self.insists:
                    self._keep(step.state, step.captured)
                self.deadline = self.waiting.wait(step, self.deadline)
            elif since is None or step.state != state:
                since = self.waits_since = None
                if known.it not in (None, step.captured) and (self.began or not self.insists):
                    self._keep(state, step.captured)
                self.waiting.enter(step, self.values.with_captured(step.captured))
            known = Held(step.captured)
            self._wait_for_code(step)
            try:
                outcome = self._answered(step, state)
            except BaseException as error:
                self._keep_typed(step.exchange, error)
                raise
            self.served |= made_of(self.vendor, step.exchange)

    def _keep_typed(self, exchange: Exchange, error: BaseException) -> None:
        """What somebody typed is kept until it was accepted or refused, and a code as long as it was not used."""
        heard = isinstance(error, AnswerLost | VendorAnswerError) or self.sender.hidden
        unused = not heard or getattr(error, "grants_nothing", False)
        once = {name for name, entry in self.vendor.credentials.items() if entry.once}
        used = once & (self.served if unused else self.served | made_of(self.vendor, exchange))
        keep_typed(self.stored.memory, self.values.asked, self.asking, once, used)

    def _wait_for_code(self, step: Step) -> None:
        """A code that was sent in this period is not sent again: the next one is waited for."""
        if not codes.sends_code(self.vendor, step.exchange):
            return
        values = self.values.with_captured(step.captured)
        while wait := codes.claim(self.stored, step.exchange, values, self.clock()):
            if self.began or not self.insists:
                self._keep(step.state, step.captured)
            why = "waits for the next one-time code"
            self.deadline = self.waiting.wait(step.replace(wait=wait), self.deadline, why)

    def _begin(self, event: Outcome | None, restart: bool) -> tuple[str | None, Mapping[str, Any]]:
        """The state from which to run, and the values there; None where there is nowhere to go."""
        flow, record = self.vendor.flow, self.kept.record
        if restart:
            self.issued_at, self.expires_at = 0.0, None
            return flow.start, {}
        here = flow.states[record.state]
        if isinstance(here, Failing):
            if not self.insists:
                start = flow.states[flow.start]  # where that sends, or waits to be challenged, nothing is shown yet
                shown = start.present.placeholders() if isinstance(start, Presenting) else ()
                shows = not closure(self.vendor, [place.name for place in shown]).isdisjoint(self.vendor.credentials)
                self.guard.check(self.vendor.credentials, self.values, record, sends=shows)
            return flow.start, record.captured
        if not isinstance(here, Presenting):
            since = record.waits_since
            goes_on = here.name if since is None else self.waiting.resumes(here, self.clock() - since, self.values)
            self.waits_since = since if goes_on == here.name else None
            return goes_on or flow.start, record.captured
        if event is None and record.issued_at == 0.0 and record.state == flow.start:
            return here.name, record.captured
        name = event.name if event is not None else EXPIRED
        after = here.next.get(name)
        if after is None:
            return None, record.captured
        self._moved(Transition(record.state, name, after))
        if event is not None and not event.captured:
            now, key = self.clock(), self.key if self.vendor.vary else ""
            self.cures = with_cure(by_own_clock(record.cures, now, self.stored.memory, key), now)
        if event is not None and "access" in event.captured:
            self._begin_grant()
        return after, absorb(record.captured, event) if event is not None else record.captured

    def _moved(self, transition: Transition) -> None:
        """Only the first edge after an exchange is that exchange's."""
        (exchange, seconds), self.took = self.took, ("", None)
        self.observe(transition, exchange, seconds)

    def _keep(self, state: str, captured: Mapping[str, Any]) -> None:
        record = self.kept.record.replace(
            state=state,
            captured={name: value for name, value in captured.items() if name != "reason"},
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            grant=self.grant,
            settings=self.granted or self.claims.identity.settings,
            owner=self._owner(captured) if set(captured) - {"reason"} else {},
            signers={name: kept for name, kept in self.sender.keeps.items() if kept},
            **self.rotation.known,
            unread_end=self.unread_end,
            waits_since=self.waits_since,
            cures=self.cures,
        )
        captured = {}
        if (self.kept.foreign or self.shared.foreign) and not self.began:
            self.kept.record = record  # what another secret got stays there until this one has got something too
            return
        self._store(record)

    def _store(self, record: Record) -> None:
        if self.shared is not self.kept:
            self._list_slot()
        self.stored.keep(self.key, self.kept, record)
        self.kept.foreign = False
        self.rotation.settled()

    def _owner(self, captured: Mapping[str, Any]) -> Mapping[str, str]:
        """Which secrets have got this grant, as far as they are known; not what a record led to and nobody proved."""
        if self.anew and not self.led.isdisjoint(captured):
            return self.kept.record.owner
        known = self.guard.told(secrets(self.vendor), self.values)
        return {**self.kept.record.owner, **self.claims.told(known, captured)}

    def _list_slot(self) -> None:
        """The account's record lists all its grants, so that whoever logs out finds them; the oldest goes."""
        slot = self.key.removeprefix(f"{self.account}-")
        slots = self.shared.record.slots
        if slot not in slots:
            self.stored.drop(f"{self.account}-{old}" for old in slots[: max(0, len(slots) + 1 - MOST_SLOTS)])
            self._share(self.shared.record.replace(slots=(*slots, slot)[-MOST_SLOTS:]))

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _answered(self, step: Step, rests_in: str) -> Outcome:
        """Send one exchange and name its outcome; what it means for the refresh token is kept at once."""
        state = self.vendor.flow.states[step.state]
        assert isinstance(state, Sending)
        began = monotonic()
        self.values = self.values.with_captured(step.captured)
        wanted = credentials_in(step, self.vendor)
        asks = [name for name in wanted if callable(self.given.get(name)) and not self.values.answered(name)]
        if asks and not self.insists and not set(asks).intersection(secrets(self.vendor)):
            self.guard.check(wanted, self.values, self.kept.record, sends=False)  # nobody types what must wait
        for name in asks:
            self.values.get(name)
        took = monotonic() - began
        self.asking += took
        self.deadline += took  # whoever is asked may take their time
        if not self.insists:
            self.guard.check(wanted, self.values, self.kept.record)
        if not rotates(step.exchange):
            if not spends_refresh(step.exchange):
                return self._sent(step, state)
            return self.rotation.serving(step, self.values, lambda: self._sent(step, state))
        return self.rotation.exchange(
            step,
            state,
            self.values,
            lambda: self._sent(step, state),
            lambda: self._keep(rests_in, absorb(step.captured, Outcome(LOST, {}), step.exchange)),
        )

    def _share(self, record: Record) -> None:
        self.stored.keep(self.account, self.shared, record)

    def _sent(self, step: Step, state: Sending) -> Outcome:
        try:
            return self._tried(step)
        except VendorUnavailable as error:
            if UNAVAILABLE not in state.next:
                self.guard.failed(error, set())
            if isinstance(error, AnswerLost) and rotates(step.exchange):
                raise
            if UNAVAILABLE in state.next:
                return Outcome(UNAVAILABLE, {})
            self._moved(Transition(step.state, UNAVAILABLE, step.state))
            raise
        except Unbound as missing:
            raise self._needs(step.exchange, str(missing)) from None
        except AuthFlowError as error:
            self.guard.failed(error, credentials_in(step, self.vendor))
            raise
        except Exception:
            if self.sender.hidden:  # it may have been a refusal
                self.guard.failed(VendorAnswerError(), credentials_in(step, self.vendor))
            raise

    def _tried(self, step: Step) -> Outcome:
        """One exchange; tried once more after a 500, where nothing that it sends can be used up."""
        try:
            return self.exchange(step)
        except VendorUnavailable as error:
            sent = made_of(self.vendor, step.exchange)
            once = any(entry.once and name in sent for name, entry in self.vendor.credentials.items())
            once = once or codes.sends_code(self.vendor, step.exchange)
            if error.status != 500 or error.retry_after is not None or once or rotates(step.exchange):
                raise
        return self.exchange(step)

    def _needs(self, exchange: Exchange, what: str) -> ConfigurationError:
        why = "its callable gave None" if callable(self.given.get(what)) else "nobody gave it; login() starts again"
        message = f"{self.vendor.title}: {exchange.name} needs {what}, and {why}"
        return ConfigurationError(message, vendor=self.vendor.name, exchange=exchange.name)

    def exchange(self, step: Step) -> Outcome:
        """One exchange, and the times of the grant that its answer began. Raises AuthFlowError, Unbound."""
        self.values = self.values.with_captured(step.captured).at(self.clock())
        self.last = step.exchange
        self.guard.sending(step.exchange)
        if codes.sends_code(self.vendor, step.exchange):
            codes.claim(self.stored, step.exchange, self.values, self.clock())  # a period may have begun meanwhile
        started = monotonic()
        try:
            outcome, answer, sent = self._exchanged(step)
        finally:
            self.took = step.exchange.name, monotonic() - started
        self.asks = pause(outcome, answer)
        self.status, self.reason, self.code = answer.status, masked_reason(outcome, self.values), outcome.code
        begins = "access" in outcome.captured
        if begins or {"expires_in", "expires_at"} & set(outcome.captured):
            self.expires_at = expiry(
                outcome.captured,
                sent=sent,
                received=answer.received,
                date=answer.date,
                jwt=outcome.jwt,
                lifetime=duration(self.vendor.lifetime, self.values),
            )
            if begins:
                self._begin_grant()
            self.issued_at = sent if begins else self.issued_at or sent
            self.timed = True
            self._note_unread(step.exchange, outcome.unread)
        if outcome.wait is not None:
            known = self.values.with_captured(absorb(step.captured, outcome, step.exchange))
            return outcome.replace(wait=self.waiting.fill(step.exchange, outcome.wait, known))
        self._check_presentable(step, outcome)
        return outcome

    def _exchanged(self, step: Step) -> Answered:
        if not step.exchange.by:
            return self.sender.send(step.exchange, self.values, self.deadline)
        with self.waiting.visit(self.values) as visit:
            values = self.values.with_captured({**step.captured, **visit.asks_with})
            browse = partial(self.waiting.browse, visit)
            found = self.sender.send(step.exchange, values, self.deadline, browse)
        self.deadline = monotonic() + self.sender.timeout  # what a person took is not counted
        captured = {**found.outcome.captured, **visit.brings}
        return found._replace(outcome=found.outcome.replace(captured=captured))

    def _note_unread(self, exchange: Exchange, hints: tuple[str, ...]) -> None:
        """The record says what the vendor said in vain; the log says it once."""
        before, self.unread_end = self.unread_end, ", ".join(hints)
        if hints and self.unread_end != before:
            reason = "it cannot be read, is past or too far ahead; the token is used all the same"
            log.warning("%s: %s: %s is left out: %s", self.vendor.name, exchange.name, self.unread_end, reason)

    def _check_presentable(self, step: Step, outcome: Outcome) -> None:
        """What cannot be presented (a line break in a header, a list for a token) is not kept either."""
        state = self.vendor.flow.states[self.vendor.flow.after(step.state, outcome.name) or step.state]
        if not isinstance(state, Presenting) or outcome.captured.keys().isdisjoint(
            placeholder.name for placeholder in state.present.placeholders()
        ):
            return
        try:
            presented(state, self.values.with_captured(absorb(step.captured, outcome, step.exchange)))
        except ConfigurationError as error:
            reason = f"{error.args[0]}, in the answer to {step.exchange.name}"
        else:
            return
        name = step.exchange.name
        raise VendorAnswerError(reason, vendor=self.vendor.name, exchange=name, status=self.status)
