"""The walk of one climb: what it sent, when, what it has learnt, and what it must not send.

    foot     from where: what the event, or the clock, makes of the state at which the account stands
    walk     exchange ▸ keep, as `flow.climb` says
    rest     a grant in a presenting state is kept and returned; in a failing one the refusal is kept and raised

What was refused is not sent again: neither credentials, in their cool-down, nor a refresh token that was used up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from authflow.bag import Bag
from authflow.errors import ConfigurationError, CredentialsRefused, VendorAnswerError, VendorUnavailable
from authflow.exchange import Exchange, Outcome
from authflow.exchanger import AnswerLost
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
    spends_refresh,
)
from authflow.grant import COOL_DOWN_MOST, Grant, Refusal, spent_fingerprint
from authflow.held import presented
from authflow.proofs import closure
from authflow.template import Unbound
from authflow.token import expiry
from authflow.vendor import Vendor, seconds

if TYPE_CHECKING:
    from authflow.climber import Climber, Kept

log: Final = logging.getLogger("authflow")


class Ascent:
    """The walk of one climb: what it sent, when, and what it has learnt."""

    def __init__(self, climber: Climber, key: str, kept: Kept, account: tuple[str, Kept], deadline: float) -> None:
        self.climber, self.key, self.kept, self.deadline = climber, key, kept, deadline
        #: The account's own record, in which refusals stand: this one, unless `vary` gives the account several.
        self.account, self.shared = account
        self.spent = kept.grant.spent or self.shared.grant.spent
        #: Has somebody said `login()`, whatever was refused before?
        self.insists = False
        self.vendor = climber.vendor
        self.issued_at, self.expires_at = kept.grant.issued_at, kept.grant.expires_at
        self.bag = Bag(climber.vendor, climber.given, kept.grant.captured, climber.clock())
        self.last: Exchange | None = None
        self.status: int | None = None
        self.took: tuple[str, float | None] = ("", None)
        self.timed = False

    def run(self, event: Outcome | None, *, restart: bool) -> Grant:
        self.insists = restart
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
                self._keep(state, step.captured, self.kept.grant.refusal)
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
        grant = Grant(state, captured, self.issued_at, self.expires_at, refusal, self.spent)
        self.climber.keep(self.key, self.kept, grant)

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
            message = _refusal_message(self.vendor, state, wait)
            raise CredentialsRefused(message, vendor=self.vendor.name, retry_after=wait)

    def _refused(self, state: Failing, captured: Mapping[str, Any]) -> CredentialsRefused:
        before = self.shared.grant.refusal
        refusal = Refusal.of(self._credentials(self._presented()), self.climber.clock(), before)
        self._keep(state.name, captured, refusal)
        if self.shared is not self.kept:
            # A good token of the account's own stays what it is; only its password is not sent again.
            here = self.vendor.flow.states[self.shared.grant.state]
            known = self.shared.grant.state if isinstance(here, Presenting) else state.name
            self._share(replace(self.shared.grant, state=known, refusal=refusal))
        wait = refusal.until - self.climber.clock()
        return CredentialsRefused(
            _refusal_message(self.vendor, state, wait),
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
        self._heed_the_account(step.exchange)
        given = self._given_refresh(step)
        if given and given == self.spent:
            if state.missing is None and not refusals(step.exchange):
                raise self._needs(step.exchange, "a refresh token that is not used up")
            return Outcome(LOST, {})
        try:
            outcome = self._sent(step, state)
        except VendorAnswerError:
            if rotates(step.exchange):
                self._spend(given or self.spent)
                self._keep(origin, absorb(step.captured, Outcome(LOST, {}), step.exchange))
            raise
        if given and ("refresh" in outcome.captured or outcome.name == LOST or outcome.name in refusals(step.exchange)):
            self._spend(given)
            if "refresh" not in outcome.captured:  # else what replaces it is kept together with this
                self._keep(origin, step.captured, self.kept.grant.refusal)
        return outcome

    def _spend(self, given: str) -> None:
        """Note that a refresh token which the user gave is used up, for all grants of the account."""
        self.spent = given
        if self.shared is not self.kept and given != self.shared.grant.spent:
            self._share(replace(self.shared.grant, spent=given))

    def _share(self, grant: Grant) -> None:
        self.climber.keep(self.account, self.shared, grant)

    def _sent(self, step: Step, state: Sending) -> Outcome:
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
        except Unbound as missing:
            raise self._needs(step.exchange, str(missing)) from None

    def _needs(self, exchange: Exchange, what: str) -> ConfigurationError:
        message = f"{self.vendor.title}: {exchange.name} needs {what}, and nobody gave it; login() starts anew"
        return ConfigurationError(message, vendor=self.vendor.name, exchange=exchange.name)

    def _given_refresh(self, step: Step) -> str:
        """The fingerprint of the refresh token that this exchange spends, if it is one that the user gave."""
        if step.captured.get("refresh") is not None or not spends_refresh(step.exchange):
            return ""
        self.bag = self.bag.with_captured(step.captured)
        refresh = self.bag.get("refresh")
        return spent_fingerprint(refresh) if refresh is not None else ""

    def _heed_the_account(self, exchange: Exchange) -> None:
        """What was refused to one grant of this account is not sent for another."""
        refusal = self.shared.grant.refusal
        if refusal is None or self.insists:
            return
        states = self.vendor.flow.states
        here = (states.get(self.shared.grant.state), *states.values())
        state = next(state for state in here if isinstance(state, Failing))
        if not closure(self.vendor, [hole.name for hole in exchange.request.holes()]).isdisjoint(refusal.names):
            self._guard(refusal, state)

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


def _refusal_message(vendor: Vendor, state: Failing, wait: float) -> str:
    return f"{vendor.title}: {state.message} Not tried again for {wait:.0f} s unless the credentials change."
