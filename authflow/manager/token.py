"""A token and its time: when it was granted, when it ends, and from when on it is wise, or necessary, to renew it.

    issued ───────────── fresh ─────────────┬── advisory ──┬─ mandatory ─┤ expires
                                   one renews ahead,   everybody waits
                                   nobody waits        for the renewal

All times are epoch seconds on this machine's clock; the clock itself is the caller's business.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any, Final

from authflow.sealed import Sealed, sealed_value
from authflow.templates import jwt_claims, number

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
    def of(cls, issued_at: float, expires_at: float | None, jitter: float = 0.0) -> Windows:
        """`jitter` (0 to 1) spreads the advisory instants of a fleet over the first fifth of the window."""
        if expires_at is None:
            return NEVER
        lifetime = max(0.0, expires_at - issued_at)
        advisory = min(lifetime * ADVISORY_PART, ADVISORY_MOST) * (1 - 0.2 * jitter)
        return cls(expires_at - advisory, expires_at - min(MANDATORY, lifetime * MANDATORY_PART))

    def freshness(self, now: float) -> Freshness:
        if now < self.advisory:
            return Freshness.FRESH
        return Freshness.ADVISORY if now < self.mandatory else Freshness.MANDATORY


NEVER: Final = Windows(math.inf, math.inf)


def expiry(
    captured: dict[str, Any], *, sent: float, received: float, date: float | None, jwt: bool, lifetime: float | None
) -> float | None:
    """When the grant that an answer brought ends, or None if nobody says.

    The first known of `expires_at`, `expires_in` (seconds from `sent`), the `exp` of a JWT (RFC 7519 §4.1.4) and
    `lifetime`. Absolute times are read on the vendor's clock, as its `Date` shows it. Raises ValueError if the end is
    past or absurd.
    """
    skew = 0.0 if date is None or abs(date + 0.5 - received) < SKEW_LEAST else date + 0.5 - received
    ends: float | None = None
    if captured.get("expires_at") is not None:
        ends = _time("expires_at", captured["expires_at"]) - skew
    elif captured.get("expires_in") is not None:
        ends = sent + _time("expires_in", captured["expires_in"])
    elif jwt and "access" in captured and (claims := jwt_claims(captured["access"])).get("exp") is not None:
        ends = _time("exp", claims["exp"]) - skew
    elif lifetime is not None:
        ends = sent + lifetime
    if ends is not None and ends <= received:
        raise ValueError("the token that was granted has already expired")
    return ends


def _time(name: str, value: Any) -> float:
    try:
        time = float(number(value))
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is no number of seconds") from None
    if not 0 <= time <= END_OF_TIME:
        raise ValueError(f"{name} is no time in seconds: is it in milliseconds ({{{name}:ms}}, {{{name}:epoch_ms}})?")
    return time
