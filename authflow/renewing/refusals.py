"""What the vendor refused is not sent again, by whomever (DESIGN §4, *Refused*). Per account, whatever is sent:

    after the first refusal in a row 60 s, after the second 10 min, from the third on 1 h; a day without ends the row
    at once goes, all the same    what the vendor accepted last
                                  a secret that was not refused yet: one such change an hour
                                  another user's first attempt, where one client serves many
                                  a person's `login()`

    check      before an exchange: may these credentials be sent?
    refused    the vendor refused them: remembered in the store, for all who use the account
    accepted   the vendor took them; that shortens nobody else's wait
    failed     an answer that could not be used is waited for likewise; one that says for how long, so long

Whoever sends when a wait is over, or as an exception, says so in the store before: of many, one tries. A wait is a
duration, however far the clocks of those who share the store are apart (`accounts.clocks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from authflow.accounts import (
    FORGOTTEN_AFTER,
    KEPT_FOR,
    Met,
    Record,
    Refusals,
    StoredRecords,
    met,
    secrets,
    when,
    with_clock,
)
from authflow.errors import AuthFlowError, CredentialsRefused, StoreError, VendorAnswerError, VendorUnavailable
from authflow.http import NOTHING
from authflow.renewing.exchanges import AnswerLost, with_code
from authflow.stores import Conflict
from authflow.templates import Exchange
from authflow.vendors import (
    Failing,
    Given,
    Presenting,
    State,
    Step,
    Values,
    Vendor,
    ask_for,
    closure,
    made_of,
    spends_refresh,
)

#: How often a change of the refusals is tried while others change them too.
TRIES: Final = 8
#: Stands for the credentials of a login that has none: the vendor is left alone after its answers, too.
ALONE: Final = ""


class Guard:
    """Stands before the exchanges of one renewal. Raises StoreError wherever it looks into the store."""

    def __init__(self, vendor: Vendor, given: Given, stored: StoredRecords, clock: Callable[[], float]) -> None:
        self.vendor, self.given, self.stored, self.clock = vendor, given, stored, clock
        #: Which credentials stood in the exchanges that were sent?
        self.used: set[str] = set()
        self._read: Refusals | None = None
        #: What it said before it sent, and the same before that; and was it an exception?
        self._claimed: tuple[Refusals, Refusals] | None = None
        self._exception = False
        self._varying: dict[str, bool] = {}
        self._met = Met("", 0.0, 0.0)

    def __repr__(self) -> str:
        return f"<Guard of {self.vendor.name}>"

    def sending(self, exchange: Exchange) -> None:
        self.used |= made_of(self.vendor, exchange)

    # --- before an exchange -------------------------------------------------------------------------------------------

    def check(self, names: Container[str], values: Values, record: Record, *, sends: bool = True) -> None:
        """Raises CredentialsRefused where these credentials must wait, VendorUnavailable and VendorAnswerError where
        the vendor must be left alone. `record`: where the account stands; `sends`: what may be sent is, at once.
        """
        if self._claimed is not None:
            return
        known = self._known
        now = self._now(known)
        if known.axis and not any(abs(self._met.ahead - ahead) < 1 for ahead in known.clocks.values()):
            self._change(lambda known, now: known)  # processes to come shall know of this clock
        carries = any(name in names for name in self.vendor.credentials)
        left = known.pause - passed(known.failed, now)
        if left > 0 and (carries or ALONE in names or not known.failures):
            raise self._left_alone(known, left)
        ago = passed(known.since, now)
        if not carries or ago >= FORGOTTEN_AFTER:
            return
        left = known.wait - ago
        if left <= 0:
            if sends and not self._claims(lambda found, now: found.since == known.since, "since"):
                self.check(names, values, record)
        elif not self._excepted(known, values, record, now, sends=sends):
            states = (self.vendor.flow.states[record.state], *self.vendor.flow.states.values())
            state = next(state for state in states if isinstance(state, Failing))
            raise refused(values, state, self._names(known), retry_after=left)

    def _excepted(self, known: Refusals, values: Values, record: Record, now: float, *, sends: bool) -> bool:
        """May it be sent although the others wait?"""
        lives = record.grant and not isinstance(self.vendor.flow.states[record.state], Failing)
        owner = record.owner if lives else {}
        new = not any(self._fits(secrets, values) for secrets in known.refused)
        took = ((known.accepted, NOTHING), (owner if new else {}, record.captured))
        if any(secrets and self._fits(secrets, values, captured) for secrets, captured in took):
            self._exception = True
            return True
        user = self.stored.claims.identity.user
        if user and user not in known.users and "refused" not in self.stored.memory:
            return True
        if not sends:
            return new and known.may_change(now)
        self._exception = new and self._claims(Refusals.may_change, "changed")
        return self._exception

    def _claims(self, still: Callable[[Refusals, float], bool], what: str) -> bool:
        """Say in the store what is sent, before it is; False where another was faster."""
        won = False

        def claim(known: Refusals, now: float) -> Refusals:
            nonlocal won
            won = still(known, now)
            claimed = known.replace(**{what: now if what == "changed" else (now,)}) if won else known
            self._claimed = (claimed, known) if won else None
            return claimed

        self._change(claim)
        return won

    def _unclaim(self, known: Refusals, now: float = 0.0) -> Refusals:
        """As if it had not been sent, since nothing was refused."""
        claimed, before = self._claimed or (known, known)
        self._claimed = None
        return known.replace(
            since=before.since if known.since == claimed.since else known.since,
            changed=before.changed if known.changed == claimed.changed else known.changed,
        )

    def _left_alone(self, known: Refusals, left: float) -> AuthFlowError:
        kind, why = (
            (VendorAnswerError, "the last answer could not be used, and the login is not sent again at once")
            if known.failures
            else (VendorUnavailable, "the vendor asked to wait")
        )
        return kind(f"{self.vendor.title}: {why}", vendor=self.vendor.name, retry_after=left)

    def _now(self, known: Refusals) -> float:
        """By the clock that these refusals go by."""
        now = self.clock()
        before: Met = self.stored.memory.get("clock") or Met("", 0.0, -math.inf)
        self._met = self.stored.memory["clock"] = met(known, before, self.clock, now)
        return now - self._met.ahead

    # --- after it -----------------------------------------------------------------------------------------------------

    def accepted(self, values: Values, presented: Iterable[str] = ()) -> None:
        """The vendor took what was sent, or these that were `presented`: it is refused no more."""
        self.used.update(presented)
        proves = not self.used.isdisjoint(self.vendor.credentials) or (
            is_alone(self.vendor) and "refresh" not in self.used
        )
        if not proves or not (presented or self._known.since or self._known.failures):
            return
        told = self.fingerprints(self.used.intersection(secrets(self.vendor)), values)
        self.stored.memory.pop("refused", None)

        def change(known: Refusals, now: float) -> Refusals:
            proved = all(told.keys() >= entry.keys() for entry in known.refused)
            return self._unclaim(known).replace(
                refused=tuple(entry for entry in known.refused if not proved or not self._fits(entry, values)),
                accepted=told if proved and (presented or known.since) else known.accepted,
                failures=0,
                failed=() if known.failures else known.failed,
            )

        self._change(change)

    def refused(self, values: Values, presenting: State | None, longer: float) -> tuple[tuple[str, ...], float]:
        """Remember a refusal: what was refused, and for how many seconds nothing is sent, `longer` at least.
        `presenting`: the state whose presentation was refused, where that was the caller's own request.
        """
        names = tuple(sorted(self._presented(values, presenting)))
        told = self.fingerprints(set(names).intersection(secrets(self.vendor)), values)
        user, exception = self.stored.claims.identity.user, self._exception

        def change(known: Refusals, now: float) -> Refusals:
            again = {name: entry for name, entry in known.accepted.items() if name in told}
            known = known.replace(accepted={}) if again and self._fits(again, values) else known
            return known.with_refused(told, user, now, exception=exception, longer=longer)

        known = self._change(change)
        self._claimed = None
        self.stored.memory["refused"] = True
        return names, known.wait

    def failed(self, error: AuthFlowError, names: set[str]) -> None:
        """An exchange ended with an error: after the vendor was asked, that is waited for too."""
        asks = error.retry_after or 0.0
        asked = error.status is not None or isinstance(error, VendorAnswerError)
        if isinstance(error, VendorUnavailable):
            if self._claimed is not None and not isinstance(error, AnswerLost):
                self._change(self._unclaim)
            if asks:
                self._change(lambda known, now: known.with_failed(now, asks, unread=False))
        elif asked and names:
            error.retry_after = self._change(lambda known, now: known.with_failed(now, asks, unread=True)).pause
        elif self._claimed is not None and not asked:
            self._change(self._unclaim)

    # --- which secrets ------------------------------------------------------------------------------------------------

    def told(self, names: Iterable[str], values: Values) -> dict[str, Any]:
        """Those of these credentials that are known without anybody's being asked."""
        known = (name for name in names if not callable(self.given.get(name)) or values.answered(name))
        return {name: values.as_given(name) for name in known}

    def fingerprints(self, names: Iterable[str], values: Values) -> dict[str, str]:
        """Slow ones of those that are known."""
        return self.stored.claims.told(self.told(sorted(names), values))

    def _fits(self, entry: Mapping[str, str], values: Values, captured: Mapping[str, Any] = NOTHING) -> bool:
        """Are these the session's secrets? What differs whenever it is asked for, a one-time code, is no part of it."""

        def fits(name: str) -> bool:
            value = values.as_given(name)
            same = self.stored.claims.told({name: value}, captured).get(name) == entry[name]
            return same or (len(entry) > 1 and self._varies(name, value))

        return all(map(fits, sorted(entry, key=lambda name: callable(self.given.get(name)))))

    def _varies(self, name: str, value: Any) -> bool:
        ask = self.given.get(name)
        if name not in self._varying:
            self._varying[name] = callable(ask) and str(ask_for(self.vendor, name, ask)) != str(value)
        return self._varying[name]

    def _names(self, known: Refusals) -> list[str]:
        refused = {name for entry in known.refused[-1:] for name in entry}
        return [name for name, entry in self.vendor.credentials.items() if name in refused or not entry.secret]

    def _presented(self, values: Values, presenting: State | None) -> list[str]:
        """Those that stood in the caller's own request, where the answer to that refused them; else all that are
        known.
        """
        if isinstance(presenting, Presenting):
            used = closure(self.vendor, [placeholder.name for placeholder in presenting.present.placeholders()])
            if stood := [name for name in self.vendor.credentials if name in used]:
                return stood
        return list(self.told(self.vendor.credentials, values))

    # --- in the store -------------------------------------------------------------------------------------------------

    @property
    def _known(self) -> Refusals:
        if self._read is None:
            self._read = self._load()[0]
        return self._read

    def _load(self) -> tuple[Refusals, str | None]:
        try:
            stored = self.stored.refusals.load(self.stored.claims.identity.refusals)
        except StoreError as error:
            self.stored.degrades(error)
            return self._read or Refusals(), None
        return (Refusals(), None) if stored is None else (self.stored.claims.refusals(stored.data), stored.revision)

    def _change(self, change: Callable[[Refusals, float], Refusals]) -> Refusals:
        """Change what is remembered, whoever else does so too: no lock guards it."""
        for _ in range(TRIES):
            known, revision = self._load()
            self._now(known)
            self._read = with_clock(change(known, when(known, self._met, self.clock())), self._met, self.clock)
            self.stored.memory["clock"] = self._met = self._met._replace(axis=self._read.axis)
            if self._read == known:
                break
            try:
                key = self.stored.claims.identity.refusals
                self.stored.refusals.save(key, self._read.to_bytes(), revision, lifetime=KEPT_FOR)
            except Conflict:
                continue
            except StoreError as error:
                self.stored.degrades(error)
            break
        return self._known


def passed(since: tuple[float, ...], now: float) -> float:
    """Seconds since then."""
    return max(0.0, now - max(since)) if since else math.inf


def credentials_in(step: Step, vendor: Vendor) -> set[str]:
    """The names of those that an exchange proves; none where it spends a refresh token that the vendor gave, which
    proves itself, and is refused once at most; `ALONE` where no exchange of the file has any.
    """
    if step.captured.get("refresh") is not None and spends_refresh(step.exchange):
        return set()
    if is_alone(vendor):
        return {ALONE}
    return {
        name
        for name in made_of(vendor, step.exchange)
        if name in vendor.credentials and step.captured.get(name) is None
    }


@lru_cache(maxsize=256)
def is_alone(vendor: Vendor) -> bool:
    """Does no exchange carry a credential?"""
    return all(made_of(vendor, exchange).isdisjoint(vendor.credentials) for exchange in vendor.flow.exchanges.values())


def sent_by(exchange: Exchange, values: Values) -> list[str]:
    """The credentials that an exchange was sent."""
    names = made_of(values.vendor, exchange)
    return [name for name in values.vendor.credentials if name in names and values.get(name) is not None]


def refused(
    values: Values,
    state: Failing,
    sent: Iterable[str],
    *,
    reason: str = "",
    code: str = "",
    more: str = "",
    **where: Any,
) -> CredentialsRefused:
    """The error that a failing state raises: in the file's words, with what was sent and what the vendor said."""
    vendor = values.vendor
    shown = {name: values.get(name) for name, entry in vendor.settings.items() if not entry.secret}
    names = [vendor.credentials[name].title or name for name in sent if name in vendor.credentials]
    if names:
        shown["credentials"] = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    message = f"{vendor.title}: {state.says({**shown, 'reason': with_code(reason, code)})}{more}"
    return CredentialsRefused(message, vendor=vendor.name, reason=reason, **where)
