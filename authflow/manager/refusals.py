"""What the vendor refused is not sent again: neither until it changes nor before its cool-down has passed.

check      before an exchange: may these credentials be sent?
refused    the vendor refused them: remembered in the store, for all who use the account
accepted   the vendor took them: they are refused no more
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

from authflow.errors import CredentialsRefused
from authflow.manager.exchanges import with_code
from authflow.manager.identity import secrets
from authflow.manager.records import COOL_DOWN_MOST, Refusal, Refusals
from authflow.manager.stored import StoredRecords
from authflow.templates import Exchange
from authflow.vendors import Failing, Given, Presenting, State, Values, Vendor, closure


class Guard:
    """Stands before the exchanges of one renewal."""

    def __init__(self, vendor: Vendor, given: Given, stored: StoredRecords, clock: Callable[[], float]) -> None:
        self.vendor, self.given, self.stored, self.clock = vendor, given, stored, clock
        #: Which credentials stood in the exchanges that were sent?
        self.used: set[str] = set()

    def __repr__(self) -> str:
        return f"<Guard of {self.vendor.name}>"

    def sending(self, exchange: Exchange) -> None:
        self.used |= closure(self.vendor, [placeholder.name for placeholder in exchange.request.placeholders()])

    def check(self, names: Container[str], values: Values, rested: State) -> None:
        """Raises CredentialsRefused if some of these credentials were refused, have not changed, and must wait."""
        if not any(name in names for name in self.vendor.credentials) or not self._known.refused:
            return
        states = (rested, *self.vendor.flow.states.values())
        state = next(state for state in states if isinstance(state, Failing))
        for refusal in self._known.refused:
            wait = refusal.until - self.clock()
            # A longer wait than there is means that a clock was set back.
            waits = 0 < wait <= COOL_DOWN_MOST and any(name in names for name in refusal.names)
            if waits and self._fits(refusal, values):
                told = [name for name in self.vendor.credentials if name in refusal.names]
                raise refused(values, state, told, retry_after=wait)

    def accepted(self, values: Values) -> None:
        """What the vendor has accepted is refused no more; a password that waits for its time goes on waiting."""
        if "_known" not in vars(self):
            return
        known = self.told(self.vendor.credentials, values)
        fits = [
            refusal
            for refusal in self._known.refused
            if self.used.intersection(secrets(self.vendor)) >= set(refusal.names).intersection(secrets(self.vendor))
            and set(refusal.names) <= known.keys()
            and self._fits(refusal, values)
        ]
        if fits:
            left = {refusal.fingerprint for refusal in fits}
            self.stored.refuse(
                lambda known: known.replace(
                    refused=tuple(item for item in known.refused if item.fingerprint not in left)
                )
            )

    def refused(self, values: Values, presenting: State | None) -> tuple[tuple[str, ...], float]:
        """Remember a refusal: what was refused, and for how many seconds it is not sent again. `presenting`: the state
        whose presentation was refused, where that was the caller's own request.
        """
        names = tuple(sorted(self._presented(values, presenting)))
        fingerprint, now = self._fingerprint(names, values), self.clock()
        refusals = self.stored.refuse(lambda known: known.with_refused(names, fingerprint, now))
        return names, refusals.refused[-1].until - now

    def told(self, names: Iterable[str], values: Values) -> dict[str, Any]:
        """Those of these credentials that are known without anybody's being asked."""
        known = (name for name in names if not callable(self.given.get(name)) or values.answered(name))
        return {name: values.as_given(name) for name in known}

    @cached_property
    def _known(self) -> Refusals:
        return self.stored.refusals()

    def _fits(self, refusal: Refusal, values: Values) -> bool:
        return refusal.fits(self._fingerprint(refusal.names, values))

    def _fingerprint(self, names: Iterable[str], values: Values) -> str:
        """Of several credentials, secret ones hashed slowly."""
        claims, secret = self.stored.claims, set(secrets(self.vendor))
        given = [(name, values.as_given(name)) for name in sorted(names)]
        told = [
            (name, claims.fingerprint(value, claims.identity.salt))
            if name in secret and value is not None
            else (name, str(value))
            for name, value in given
        ]
        return sha256(msgspec.json.encode(told)).hexdigest()[:32]

    def _presented(self, values: Values, presenting: State | None) -> list[str]:
        """Those that stood in the caller's own request, where the answer to that refused them; else all that are
        known.
        """
        if isinstance(presenting, Presenting):
            used = closure(self.vendor, [placeholder.name for placeholder in presenting.present.placeholders()])
            if stood := [name for name in self.vendor.credentials if name in used]:
                return stood
        return list(self.told(self.vendor.credentials, values))


def sent_by(exchange: Exchange, values: Values) -> list[str]:
    """The credentials that an exchange was sent."""
    names = closure(values.vendor, [placeholder.name for placeholder in exchange.request.placeholders()])
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
