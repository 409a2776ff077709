"""Hints: what an answer says beside the point. A hint is no verdict, and never refuses a grant.

    expires_in, refresh_in, retry_after     seconds (`retry_after` may be an HTTP date)
    expires_at, a token's own `exp`         epoch seconds

An answer is judged strictly first: a hint that cannot be read, is negative, zero, past, not finite, or lies over a
hundred years ahead does not fit. Only if no pattern fits is it judged once more, with such hints left out (`Lenient`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from authflow.http import seconds_from
from authflow.templates.converters import jwt_claims, number

HINTS: Final = frozenset({"expires_in", "expires_at", "refresh_in", "retry_after"})
#: The converters that read a token which may be a JWT.
JWTS: Final = ("jwt", "token")
#: No token lives longer, in seconds.
LONGEST: Final = 100 * 365.25 * 86400


class Lenient(dict[str, Any]):
    """The values that a second look finds; `unread` names the hints that were left out."""

    __slots__ = ("unread",)

    def __init__(self, found: Mapping[str, Any] = {}, unread: dict[str, None] | None = None) -> None:
        super().__init__(found)
        self.unread = {} if unread is None else unread

    def copy(self) -> Lenient:
        return Lenient(self, self.unread)


def forgiven(found: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Is this a second look, and nothing lost but hints?"""
    hints = [name for name in names if name != "_"]
    if not isinstance(found, Lenient) or not hints or not HINTS.issuperset(hints):
        return False
    found.unread.update(dict.fromkeys(hints))
    return True


def unusable(found: Mapping[str, Any], now: float, *, jwt: bool) -> list[str]:
    """The hints among what was read that say nothing at `now`, the vendor's clock in epoch seconds."""
    told = {name: found[name] for name in sorted(HINTS) if found.get(name) is not None}
    if jwt and not {"expires_at", "expires_in"} & told.keys() and (exp := token_exp(found.get("access"))) is not None:
        told["exp"] = exp
    return [name for name, value in told.items() if not _usable(name, value, now)]


def token_exp(token: Any) -> Any:
    """The `exp` of a token that is a JWT (RFC 7519 §4.1.4), whatever that is; None where there is none."""
    try:
        return jwt_claims(token).get("exp")
    except ValueError:
        return None


def _usable(name: str, value: Any, now: float) -> bool:
    if name == "retry_after" and isinstance(value, str) and seconds_from(value, now) is not None:
        return True
    try:
        seconds = float(number(value))
    except (ValueError, OverflowError):
        return False
    ahead = seconds - now if name in ("expires_at", "exp") else seconds
    return 0 < ahead <= LONGEST or (name == "retry_after" and ahead == 0)
