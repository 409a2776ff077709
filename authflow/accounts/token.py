"""A token and its time: when it was granted, when it ends, and from when on it is wise, or necessary, to renew it.

    issued ───────────── fresh ─────────────┬── advisory ──┬─ mandatory ─┤ expires
                                   one renews ahead,   everybody waits
                                   nobody waits        for the renewal

All times are epoch seconds on this machine's clock; the clock itself is the caller's business.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from authflow.sealed import Sealed, sealed_value
from authflow.templates import number, token_exp, unusable

#: The advisory window: this part of the lifetime, at most so many seconds.
ADVISORY_PART: Final = 0.1
ADVISORY_MOST: Final = 3600.0
#: The mandatory window in seconds, and the part of the lifetime that it is at most.
MANDATORY: Final = 10.0
MANDATORY_PART: Final = 0.05
#: Beyond the year 9999 no clock will tell: such a number is no time in epoch seconds.
END_OF_TIME: Final = 253_402_300_800
#: A vendor's `Date` has whole seconds, so that a smaller difference says nothing about its clock.
SKEW_LEAST: Final = 2.0


class Freshness(enum.Enum):
    """What a token is good for now."""

    FRESH = "fresh"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"


@sealed_value
class Token(Sealed):
    """What a session presents. Times are epoch seconds on this machine's clock.

    access      the secret itself: text; no repr shows it
    issued_at   when it was granted
    expires_at  when it ends, or None: valid until it is rejected
    """

    access: str
    issued_at: float
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"Token(access='***', issued_at={self.issued_at!r}, expires_at={self.expires_at!r})"

    def __str__(self) -> str:
        return repr(self)


@dataclass(frozen=True, slots=True)
class Windows:
    """The instants (epoch seconds) from which on a grant should, and must, be renewed."""

    advisory: float
    mandatory: float

    @classmethod
    def of(
        cls,
        issued_at: float,
        expires_at: float | None,
        jitter: float = 0.0,
        *,
        refresh_in: float | None = None,
        ahead: float | None = None,
    ) -> Windows:
        """`jitter` (0 to 1) spreads the advisory instants of a fleet over a fifth of the window. The vendor may
        say from when on to renew (`refresh_in` seconds), and its file within how many last seconds only (`ahead`).
        """
        asked = math.inf if refresh_in is None else issued_at + refresh_in * (1 + 0.02 * jitter)
        if expires_at is None:
            return NEVER if refresh_in is None else cls(asked, math.inf)
        lifetime = max(0.0, expires_at - issued_at)
        most = lifetime if ahead is None else ahead
        mandatory = expires_at - min(MANDATORY, lifetime * MANDATORY_PART, most)
        if refresh_in is not None and ahead is None:
            return cls(min(asked, mandatory), mandatory)
        window = min(lifetime * ADVISORY_PART, ADVISORY_MOST) if ahead is None else min(ahead, lifetime)
        return cls(min(expires_at - window * (1 - 0.2 * jitter), mandatory), mandatory)

    def freshness(self, now: float) -> Freshness:
        if now < self.advisory:
            return Freshness.FRESH
        return Freshness.ADVISORY if now < self.mandatory else Freshness.MANDATORY


NEVER: Final = Windows(math.inf, math.inf)


def refresh_in(captured: Mapping[str, Any]) -> float | None:
    """After how many seconds the vendor wants a grant to be renewed, if it said so."""
    told = {"refresh_in": captured.get("refresh_in")}
    return None if told["refresh_in"] is None or unusable(told, 0.0, jwt=False) else float(number(told["refresh_in"]))


def expiry(
    captured: dict[str, Any], *, sent: float, received: float, date: float | None, jwt: bool, lifetime: float | None
) -> float | None:
    """When the grant that an answer brought ends, or None if nobody says.

    The first that says something: `expires_at`, `expires_in` (seconds from `sent`), the `exp` of a JWT, `lifetime`.
    Absolute times are read on the vendor's clock, as its `Date` shows it. An end that is past already is none.
    """
    told = {name: value for name, value in captured.items() if value is not None}
    if jwt and (exp := token_exp(told.get("access"))) is not None:
        told["exp"] = exp
    for name in unusable(told, date or received, jwt=jwt):
        told.pop(name)
    skew = 0.0 if date is None or abs(date + 0.5 - received) < SKEW_LEAST else date + 0.5 - received
    ends: float | None = None
    if "expires_at" in told:
        ends = float(number(told["expires_at"])) - skew
    elif "expires_in" in told:
        ends = sent + float(number(told["expires_in"]))
    elif "exp" in told:
        ends = float(number(told["exp"])) - skew
    elif lifetime is not None:
        ends = sent + lifetime
    return ends if ends is not None and ends > received else None
