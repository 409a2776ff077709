"""What a session remembers: the name of a state and the values that answers have brought, with the times of the grant.

    Record      a grant, under the finest key: it is published in one assignment, and it is what a store keeps
    Refusals    what was refused, and how long the vendor is left alone, under the coarsest key

Neither holds a credential: only what the vendor said, and fingerprints of what was sent. What a store gives back is a
claim, which `claims` judges.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, TypeVar

import msgspec

from authflow.manager.token import Token
from authflow.sealed import Sealed, sealed_value

FORM: Final = 2
COOL_DOWN: Final = 60.0
COOL_DOWN_MOST: Final = 3600.0
#: How many refused secrets of an account are remembered.
MOST_REFUSALS: Final = 8
#: How many grants `vary` may give to an account, in every store.
MOST_SLOTS: Final = 64

S = TypeVar("S", bound=msgspec.Struct)


def spent_fingerprint(refresh: Any) -> str:
    """Refresh tokens are long and random, so that a fast hash is no test for guesses."""
    return hashlib.sha256(str(refresh).encode("utf-8", "replace")).hexdigest()[:32]


@sealed_value
class Record(Sealed):
    """`captured` holds secrets; times are epoch seconds.

    grant        tells grants apart: new whenever an answer brings a token
    key, servers, settings   what it was granted for: its own place, the URLs to which exchanges go, all settings
    owner        which secrets got it: fingerprints by the name of the credential
    mark         the fingerprint of a refresh token that was sent, as long as nobody knows what became of it
    spent        that of one which the user gave, and which is used up
    refused_ahead   that of one which was refused while the token was good: it is tried once more, after the end
    waits_since  since when its state waits
    signers      what signers remember, by name
    slots        the other grants of the account, where `vary` tells several apart; the youngest is last
    unread_end   what the vendor said about its end and could not be read: `expires_in`, say
    """

    state: str
    captured: Mapping[str, Any] = field(default_factory=dict)
    issued_at: float = 0.0
    expires_at: float | None = None
    grant: str = ""
    key: str = ""
    servers: tuple[str, ...] = ()
    settings: str = ""
    owner: Mapping[str, str] = field(default_factory=dict)
    mark: str = ""
    waits_since: float | None = None
    signers: Mapping[str, Any] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    unread_end: str = ""
    spent: str = ""
    refused_ahead: str = ""

    def __repr__(self) -> str:
        return f"<Record {self.state}, expires {self.expires_at}>"

    @property
    def token(self) -> Token:
        return Token(str(self.captured.get("access", "")), self.issued_at, self.expires_at)

    def to_bytes(self) -> bytes:
        return _encoded(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Raises ValueError if this is no record of ours."""
        found: Record = _decoded(cls, _Stored, data)
        return found


def same_grant(one: Record, other: Record) -> bool:
    """Is it the same grant, whatever good answers have made of its values? One without an identity is but itself."""
    told = one.grant != "" and (one.grant, one.state, one.issued_at) == (other.grant, other.state, other.issued_at)
    return told or one is other


@sealed_value
class Refusal(Sealed):
    """The vendor refused these credentials; they are not sent again before `until` (epoch seconds)."""

    names: tuple[str, ...]
    fingerprint: str
    until: float
    count: int = 1

    def __repr__(self) -> str:
        return f"<Refusal until {self.until:.0f}>"

    def fits(self, fingerprint: str) -> bool:
        """Are these the credentials that were refused?"""
        return hmac.compare_digest(self.fingerprint, fingerprint)


@sealed_value
class Refusals(Sealed):
    """An account's; the youngest is last.

    accepted   the fingerprint of what the vendor accepted last      failures   in a row, and until when the vendor is
    changed    when a secret that was new was last sent at once      until      left alone for them
    """

    refused: tuple[Refusal, ...] = ()
    accepted: str = ""
    changed: float | None = None
    failures: int = 0
    until: float | None = None

    def with_refused(self, names: tuple[str, ...], fingerprint: str, now: float) -> Refusals:
        """Remember a refusal. The cool-down doubles each time the same credentials are refused again."""
        before = next((refusal for refusal in self.refused if refusal.fits(fingerprint)), None)
        count = before.count + 1 if before is not None else 1
        until = now + min(COOL_DOWN * 2 ** min(count - 1, 30), COOL_DOWN_MOST)
        others = tuple(refusal for refusal in self.refused if refusal is not before)
        return self.replace(refused=(*others, Refusal(names, fingerprint, until, count))[-MOST_REFUSALS:])

    def without(self, refusal: Refusal) -> Refusals:
        return self.replace(refused=tuple(other for other in self.refused if other is not refusal))

    def to_bytes(self) -> bytes:
        return _encoded(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Refusals:
        """Raises ValueError if this is nothing of ours."""
        found: Refusals = _decoded(cls, _StoredRefusals, data)
        return found.replace(
            refused=tuple(Refusal(*(getattr(entry, name) for name in Refusal._fields)) for entry in found.refused)
        )


# --- at rest ----------------------------------------------------------------------------------------------------------


class _Stored(msgspec.Struct):
    """The form in which a record is stored."""

    state: str
    captured: dict[str, Any] = {}
    issued_at: float = 0.0
    expires_at: float | None = None
    grant: str = ""
    key: str = ""
    servers: tuple[str, ...] = ()
    settings: str = ""
    owner: dict[str, str] = {}
    mark: str = ""
    waits_since: float | None = None
    signers: dict[str, Any] = {}
    slots: tuple[str, ...] = ()
    unread_end: str = ""
    spent: str = ""
    refused_ahead: str = ""


class _StoredRefusal(msgspec.Struct):
    names: tuple[str, ...]
    fingerprint: str
    until: float
    count: int = 1


class _StoredRefusals(msgspec.Struct):
    refused: tuple[_StoredRefusal, ...]
    accepted: str = ""
    changed: float | None = None
    failures: int = 0
    until: float | None = None


def _encoded(value: Sealed) -> bytes:
    return msgspec.json.encode({"form": FORM, **_plain(value)})


def _plain(value: Any) -> Any:
    if isinstance(value, Sealed):
        return {name: _plain(getattr(value, name)) for name in value._fields}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _decoded(kind: type[Any], stored: type[S], data: bytes) -> Any:
    try:
        table = msgspec.json.decode(data)
        if not isinstance(table, dict) or table.pop("form", None) != FORM:
            raise ValueError("a record of another form")
        found = msgspec.convert(table, stored)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not a record") from error
    return kind(*(getattr(found, name) for name in kind._fields))
