"""No refresh token is sent twice that the vendor may have replaced.

before it is sent     the record says so: its mark, a fingerprint           ← kill -9, fork, an exception from outside
the answer grants     the mark goes together with the old token
… grants nothing      an error page, a 404, "later": the token was not used, and the mark goes
… never comes         lost: the token goes, if there is another way in; else the mark stays, and it is sent once more
whoever finds a mark  passes the token over, if there is another way in; so does a copy of a memory store, by fork or
                      pickle: its original has the token too

Where the token was given by the user, no record holds it, and `spent` says that it is used up. A refresh that is
refused while the access token is good is tried once more, after that one's end.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from authflow.accounts import Kept, Record, spent_fingerprint
from authflow.errors import AuthFlowError, ConfigurationError, StoreError, VendorAnswerError, VendorUnavailable
from authflow.renewing.exchanges import AnswerLost
from authflow.renewing.watchdog import HeldCtrlC
from authflow.sealed import Held
from authflow.templates import Outcome
from authflow.vendors import (
    INTO_BROWSER,
    LOST,
    Failing,
    Sending,
    Step,
    Values,
    needs,
    needs_a_person,
    next_step,
    refusals,
)

log: Final = logging.getLogger("authflow")


class Rotation:
    """What is known of the refresh token during one renewal.

    `good_for`: so many seconds the access token lives that is renewed ahead. `insists`: somebody said `login()`, and a
    grant that lives is left alone. `asks`: a person can be asked, if not now, then at the token's end.
    """

    def __init__(
        self,
        kept: Kept,
        shared: Kept,
        store: Callable[[Record], None],
        share: Callable[[Record], None],
        forget: Callable[[], object],
        *,
        insists: bool,
        asks: bool,
        good_for: float,
    ) -> None:
        self.kept, self.shared, self._store, self._share = kept, shared, store, share
        self._forget = forget
        self.insists, self.asks, self.good_for = insists, asks, good_for
        self.mark = kept.record.mark or shared.record.mark
        self.spent = kept.record.spent or shared.record.spent
        self.refused_ahead = kept.record.refused_ahead
        self._held = HeldCtrlC()

    def __repr__(self) -> str:
        return "<Rotation>"

    @property
    def known(self) -> dict[str, str]:
        """The fields of a record that it knows."""
        return {"mark": self.mark, "spent": self.spent, "refused_ahead": self.refused_ahead}

    def exchange(
        self, step: Step, state: Sending, values: Values, send: Callable[[], Outcome], drop: Callable[[], None]
    ) -> Outcome:
        """Send an exchange that may use its refresh token up, or pass it over. `drop` keeps what is left without it."""
        refresh = Held(values.get("refresh"))
        if refresh.it is None:
            return send()
        given, token = step.captured.get("refresh") is None, spent_fingerprint(refresh.it)
        passes = state.missing is not None or bool(refusals(step.exchange))
        another = passes and leads_on(next_step(state, step.exchange), values, asks=self.asks)
        if given and token == self.spent:
            if not passes:
                message = f"{values.vendor.title}: {step.exchange.name} needs a refresh token that is not used up"
                raise ConfigurationError(message, vendor=values.vendor.name, exchange=step.exchange.name)
            return Outcome(LOST, {})
        if token == self.mark and another:
            return self._lost(step, values, token, given, drop, "it may have been sent, and nobody here has the answer")
        if self.good_for > 0 and token == self.refused_ahead:
            raise self._not_yet(step, values)
        try:
            self._note(token, self.spent, given)
        except StoreError:  # it is not sent
            self._forget()
            raise
        self._held.begin()
        return self._heard(step, values, token, given, another, send, drop)

    def serving(self, step: Step, values: Values, send: Callable[[], Outcome]) -> Outcome:
        """Send an exchange with a refresh token that is not replaced, but may be refused ahead of time."""
        refresh = Held(values.get("refresh"))
        if refresh.it is None or self.good_for <= 0:
            return send()
        given, token = step.captured.get("refresh") is None, spent_fingerprint(refresh.it)
        if token == self.refused_ahead:
            raise self._not_yet(step, values)
        outcome = send()
        self._not_too_early(outcome, step, values, token, given)
        return outcome

    def _not_too_early(self, outcome: Outcome, step: Step, values: Values, token: str, given: bool) -> None:
        """A refusal while the access token is good is none yet: the refresh token is tried once more after its end."""
        if self.good_for > 0 and outcome.name in refusals(step.exchange):
            self.refused_ahead = token
            self._note("", self.spent, given)
            raise self._not_yet(step, values)

    def settled(self) -> None:
        """All is kept. Raises KeyboardInterrupt if one was held back until now."""
        self._held.end()

    def _heard(
        self,
        step: Step,
        values: Values,
        token: str,
        given: bool,
        another: bool,
        send: Callable[[], Outcome],
        drop: Callable[[], None],
    ) -> Outcome:
        try:
            outcome = send()
        except AuthFlowError as error:
            if not isinstance(error, AnswerLost | VendorAnswerError) or getattr(error, "grants_nothing", False):
                self._note("", self.spent, given)
                raise
            if not another:  # nothing is lost by sending it once more
                raise
            lost = self._lost(step, values, token, given, drop, str(error))
            if isinstance(error, AnswerLost):
                return lost
            raise
        self._not_too_early(outcome, step, values, token, given)
        refused = outcome.name in refusals(step.exchange)
        spent = token if given and (refused or "refresh" in outcome.captured) else self.spent
        if "access" in outcome.captured:  # it is kept together with what the answer brought
            self.mark, self.spent = "", spent
            self._note_shared(given)
        else:
            self._note("", spent, given)
        return outcome

    def _not_yet(self, step: Step, values: Values) -> VendorUnavailable:
        name, vendor = step.exchange.name, values.vendor
        message = f"{vendor.title}: {name} was refused ahead of time, and is tried once more at the end"
        return VendorUnavailable(message, vendor=vendor.name, exchange=name, retry_after=self.good_for)

    def _lost(self, step: Step, values: Values, token: str, given: bool, drop: Callable[[], None], why: str) -> Outcome:
        name = values.vendor.name
        log.warning("%s: the refresh token of %s counts as used up: %s", name, step.exchange.name, why)
        spent = token if given else self.spent
        if self.insists:
            self._note("", spent, given)
        else:
            self.mark, self.spent = "", spent
            self._note_shared(given)
            drop()
        return Outcome(LOST, {})

    def _note(self, mark: str, spent: str, given: bool) -> None:
        """Keep what is known, and change nothing else; of a token that the user gave, for all grants of the account.
        Raises StoreError, and then what was to be sent is not.
        """
        self.mark, self.spent = mark, spent
        self._note_shared(given)
        record = self.kept.record.replace(**self.known)
        if not (self.kept.foreign or self.shared.foreign) and record != self.kept.record:
            self._store(record)

    def _note_shared(self, given: bool) -> None:
        if given and self.shared is not self.kept:
            self._share(self.shared.record.replace(mark=self.mark, spent=self.spent))


def leads_on(name: str, values: Values, *, asks: bool) -> bool:
    """Is there a way in from this state without a refresh token: with what the user gave, or (`asks`) with a person?"""
    flow, bound = values.vendor.flow, values.bound
    if not asks and needs_a_person(flow, name):
        return False
    for _ in flow.states:
        state = flow.states[name]
        if not isinstance(state, Sending):
            return not isinstance(state, Failing)
        exchange = flow.exchanges[state.send]
        wanted = {*needs(exchange.request.placeholders())} - (INTO_BROWSER if exchange.by else set())
        if all(one != "refresh" and (values.captured.get(one) is not None or one in bound) for one in wanted):
            return True
        if state.missing is None:
            return False
        name = state.missing
    return False
