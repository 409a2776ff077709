"""Who may log in, and which tokens are good.

A login founds a *family*: one refresh token at a time, and every access token issued along with one. A refresh consumes
the family's token and issues the next; a consumed one that comes back means that somebody holds a copy, so the
whole family ends. Every step happens between two awaits, so there is nothing to lock.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import jwt

WRONG_PASSWORDS = 5


class Refused(Exception):
    """No; `status` and `error` are what the client is told."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


@dataclass(slots=True)
class Family:
    owner: str
    refresh: str | None = None
    revoked: bool = False
    name: str = field(default_factory=lambda: secrets.token_hex(8))


class Issuer:
    def __init__(self, accounts: dict[str, str], lifetime: float) -> None:
        self.accounts = accounts
        self.lifetime = lifetime
        self.ahead = 0.0
        self._key = secrets.token_bytes(32)
        self._families: dict[str, Family] = {}
        self._consumed: dict[str, Family] = {}
        self._wrong = dict.fromkeys(accounts, 0)
        self._issued = self._expired = self._revoked = 0

    def now(self) -> float:
        return time.time() + self.ahead

    def login(self, username: str, password: str) -> dict[str, str]:
        if username not in self.accounts:
            raise Refused(401, "invalid_credentials")
        if self._wrong[username] >= WRONG_PASSWORDS:
            raise Refused(403, "account_locked")
        if self.accounts[username] != password:
            self._wrong[username] += 1
            raise Refused(401, "invalid_credentials")
        self._wrong[username] = 0
        family = Family(username)
        self._families[family.name] = family
        return self._grant(family)

    def refresh(self, bearer: str | None, refresh: str) -> dict[str, str]:
        """The next pair. The bearer says which family asks; it may be expired, since that is why one refreshes."""
        claims = self._claims(bearer)
        if refresh in self._consumed:
            family = self._consumed[refresh]
            family.revoked, family.refresh = True, None
            raise Refused(401, "refresh_token_reused")
        family = self._families[claims["family"]]
        if family.revoked or family.refresh is None or family.refresh != refresh:
            raise Refused(401, "invalid_refresh_token")
        self._consumed[refresh] = family
        return self._grant(family)

    def check(self, bearer: str | None) -> None:
        """Whether this bearer may see data."""
        claims = self._claims(bearer)
        serial = int(claims["jti"].partition("-")[0])
        if serial <= self._revoked or self._families[claims["family"]].revoked:
            raise Refused(401, "invalid_token")
        if serial <= self._expired or claims["exp"] <= self.now():
            raise Refused(401, "token_expired")

    def expire_access(self) -> None:
        self._expired = self._issued

    def revoke_access(self) -> None:
        self._revoked = self._issued

    def revoke_refresh(self) -> None:
        for family in self._families.values():
            family.refresh = None

    def unlock(self) -> None:
        self._wrong = dict.fromkeys(self.accounts, 0)

    def _grant(self, family: Family) -> dict[str, str]:
        self._issued += 1
        now = self.now()
        claims = {
            "sub": family.owner,
            "family": family.name,
            "jti": f"{self._issued}-{secrets.token_hex(8)}",
            "iat": now,
            "exp": now + self.lifetime,
        }
        family.refresh = secrets.token_urlsafe(32)
        return {"token": jwt.encode(claims, self._key, algorithm="HS256"), "refreshToken": family.refresh}

    def _claims(self, bearer: str | None) -> dict[str, Any]:
        """What this key has signed. `exp` is left to `check`: PyJWT would round it and go by the system's clock."""
        if bearer is None:
            raise Refused(401, "invalid_token")
        try:
            return jwt.decode(bearer, self._key, ["HS256"], options={"verify_exp": False, "verify_iat": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Refused(401, "invalid_token") from None
