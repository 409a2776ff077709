"""What a session remembers: the name of a state and the values that answers have brought, with the times of the grant.

A grant is a plain value. It is published in one assignment, and it is what a store keeps: never a credential, only
what the vendor said, and, after a refusal, a salted fingerprint of what was refused.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final

import msgspec

from authflow.manager.token import Token
from authflow.sealed import Sealed, sealed_value

FORMAT: Final = 1
COOL_DOWN: Final = 60.0
COOL_DOWN_MOST: Final = 3600.0


@sealed_value
class Refusal(Sealed):
    """The vendor refused these credentials; they are not sent again before `until` (epoch seconds)."""

    names: tuple[str, ...]
    salt: str
    fingerprint: str
    until: float
    count: int = 1

    def __repr__(self) -> str:
        return f"<Refusal until {self.until:.0f}>"

    @classmethod
    def of(cls, credentials: Mapping[str, Any], now: float, before: Refusal | None) -> Refusal:
        """Remember a refusal. The cool-down doubles each time the same credentials are refused again."""
        count = before.count + 1 if before is not None and before.fits(credentials) else 1
        salt = os.urandom(16).hex()
        until = now + min(COOL_DOWN * 2 ** (count - 1), COOL_DOWN_MOST)
        names = tuple(sorted(credentials))
        return cls(names, salt, _fingerprint(salt, names, credentials), until, count)

    def fits(self, credentials: Mapping[str, Any]) -> bool:
        """Are these the credentials that were refused?"""
        return hmac.compare_digest(self.fingerprint, _fingerprint(self.salt, self.names, credentials))


def _fingerprint(salt: str, names: tuple[str, ...], credentials: Mapping[str, Any]) -> str:
    """Slow on purpose: a stolen record must not be a fast test for guessed passwords (RFC 7914)."""
    text = msgspec.json.encode([[name, str(credentials.get(name))] for name in names])
    return hashlib.scrypt(text, salt=bytes.fromhex(salt), n=1 << 13, r=8, p=1, dklen=32).hex()


def spent_fingerprint(refresh: Any) -> str:
    """Refresh tokens are long and random, so that a fast hash is no test for guesses."""
    return hashlib.sha256(str(refresh).encode("utf-8", "replace")).hexdigest()[:32]


@sealed_value
class Record(Sealed):
    """`captured` holds secrets; times are epoch seconds."""

    state: str
    captured: Mapping[str, Any] = field(default_factory=dict)
    issued_at: float = 0.0
    expires_at: float | None = None
    refusal: Refusal | None = None
    #: The fingerprint of a refresh token that the user gave, once it is used up.
    spent: str = ""
    #: What the vendor said about its end and could not be read: `expires_in`, say.
    unread_end: str = ""

    def __repr__(self) -> str:
        return f"<Record {self.state}, expires {self.expires_at}>"

    @property
    def token(self) -> Token:
        return Token(str(self.captured.get("access", "")), self.issued_at, self.expires_at)

    def to_bytes(self) -> bytes:
        return msgspec.json.encode({"format": FORMAT, **{name: _plain(getattr(self, name)) for name in self._fields}})

    @classmethod
    def from_bytes(cls, data: bytes) -> Record:
        """Raises ValueError if this is no record of ours."""
        try:
            table = msgspec.json.decode(data)
            if not isinstance(table, dict) or table.pop("format", None) != FORMAT:
                raise ValueError("a record of another format")
            found = msgspec.convert(table, _Stored)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ValueError("not a record") from error
        refusal = found.refusal
        told = None if refusal is None else Refusal(*(getattr(refusal, name) for name in Refusal._fields))
        return cls(found.state, found.captured, found.issued_at, found.expires_at, told, found.spent, found.unread_end)


class _StoredRefusal(msgspec.Struct):
    names: tuple[str, ...]
    salt: str
    fingerprint: str
    until: float
    count: int = 1


class _Stored(msgspec.Struct):
    """The form in which a record is stored."""

    state: str
    captured: dict[str, Any] = {}
    issued_at: float = 0.0
    expires_at: float | None = None
    refusal: _StoredRefusal | None = None
    spent: str = ""
    unread_end: str = ""


def _plain(value: Any) -> Any:
    return {name: getattr(value, name) for name in value._fields} if isinstance(value, Sealed) else value
