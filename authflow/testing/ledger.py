"""What a simulated vendor knows: accounts, families of tokens, and every value that it has handed out.

    account ──logs in──▶ family ──▶ access tokens   good until they expire or the family is revoked
                                ──▶ a refresh token  good once, if the vendor rotates; a second time ends the family
                                ──▶ other values     a session id, a nonce: good as long as the family is

Pure: it is told the time. Values are made from a counter and a seed, so that a run can be repeated to the byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: So many wrong passwords lock an account.
WRONG_PASSWORDS: Final = 5
#: So many logins that have only begun are remembered.
_OF_LATE: Final = 20
ACCESS: Final = "access"
REFRESH: Final = "refresh"


@dataclass(slots=True, eq=False)
class Account:
    """Who may log in: the credentials by name, and how often they were wrong. `refused`: whatever is sent is wrong."""

    values: dict[str, Any]
    wrong: int = 0
    refused: bool = False

    @property
    def locked(self) -> bool:
        return self.wrong >= WRONG_PASSWORDS

    def __repr__(self) -> str:
        return f"<Account of {', '.join(self.values)}>"


@dataclass(slots=True, eq=False)
class Family:
    """All that one login founded. `account` is None where a vendor lets anybody in."""

    number: int
    account: Account | None
    revoked: bool = False
    refresh: str | None = None
    #: How often the vendor was asked whether it is done.
    polled: int = 0
    values: dict[str, Any] = field(default_factory=dict)
    #: What the vendor knows of the key to which the tokens are bound.
    bound: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Issued:
    """A value that was handed out. `ends` is in epoch seconds; `scope` are the values that tell grants apart."""

    name: str
    serial: int
    family: Family
    ends: float | None = None
    scope: Mapping[str, str] = field(default_factory=dict)
    spent: bool = False
    revoked: bool = False


class Refused(Exception):
    """No. `why` is one word for the log and for choosing among a vendor's ways to say so."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Ledger:
    """The memory of a simulated vendor. `forget` loses it, as a restart without a database does."""

    def __init__(self, accounts: list[Account], seed: str = "authflow") -> None:
        self.accounts = accounts
        self.seed = seed
        self._serial = 0
        self._families: list[Family] = []
        self._issued: dict[tuple[str, str], Issued] = {}
        #: Values shown to anybody, in challenges; they belong to no family.
        self.open: set[tuple[str, str]] = set()
        #: What the request that founds the next family was signed with.
        self.bound: dict[str, Any] = {}

    def secret(self, name: str) -> tuple[int, str]:
        """A serial number, and a value that nobody guesses: letters and digits."""
        self._serial += 1
        mixed = hashlib.sha256(f"{self.seed}/{name}/{self._serial}".encode()).hexdigest()[:24]
        return self._serial, f"{name.replace('_', '')}{self._serial}x{mixed}"

    def found(self, account: Account | None) -> Family:
        family = Family(len(self._families) + 1, account, bound=self.bound)
        self.bound = {}
        self._families.append(family)
        return family

    def hand_out(self, name: str, value: Any, family: Family, serial: int, **more: Any) -> Issued:
        issued = self._issued[name, str(value)] = Issued(name, serial, family, **more)
        family.values[name] = value
        return issued

    def look_up(self, name: str, value: Any) -> Issued | None:
        return self._issued.get((name, str(value)))

    def is_open(self, name: str, value: Any) -> bool:
        return (name, str(value)) in self.open

    def brought(self, family: Family | None) -> list[Mapping[str, Any]]:
        """The values that a proof may hang on: a family's; or, where a request names none (a nonce, which its digest
        alone shows), those of each family of late.
        """
        if family is not None:
            return [family.values]
        return [{}, *(late.values for late in self.of_late())]

    def of_late(self) -> list[Family]:
        return self._families[: -_OF_LATE - 1 : -1]

    # --- what may be asked of it --------------------------------------------------------------------------------------

    def spend(self, value: str) -> Family:
        """Take a refresh token in. Raises Refused: a spent one ends its family."""
        issued = self.look_up(REFRESH, value)
        if issued is None:
            raise Refused("unknown")
        if issued.spent:
            issued.family.revoked = True
            raise Refused("reused")
        if issued.revoked or issued.family.revoked:
            raise Refused("revoked")
        return issued.family

    def replace_refresh(self, family: Family, value: str, serial: int) -> None:
        """Hand out the family's next refresh token; the one before it is spent."""
        if family.refresh is not None and (before := self.look_up(REFRESH, family.refresh)) is not None:
            before.spent = True
        family.refresh = value
        self.hand_out(REFRESH, value, family, serial)

    def check_access(self, value: str, now: float) -> Issued:
        """Is this access token good? Raises Refused."""
        issued = self.look_up(ACCESS, value)
        if issued is None:
            raise Refused("unknown")
        if issued.revoked or issued.family.revoked:
            raise Refused("revoked")
        if issued.ends is not None and now >= issued.ends:
            raise Refused("expired")
        return issued

    def check_password(self, account: Account | None, right: bool) -> None:
        """Count wrong passwords. Raises Refused."""
        if account is None:
            raise Refused("unknown")
        if account.locked:
            raise Refused("locked")
        if not right or account.refused:
            account.wrong += 1
            raise Refused("wrong")
        account.wrong = 0

    # --- what may happen to it ----------------------------------------------------------------------------------------

    def all_of(self, name: str) -> list[str]:
        """Every value of this name that was handed out, the youngest first."""
        return [value for key, value in reversed(self._issued) if key == name]

    def each(self, name: str) -> list[Issued]:
        return [issued for issued in self._issued.values() if issued.name == name]

    def expire_all(self, now: float) -> None:
        for issued in self.each(ACCESS):
            issued.ends = now if issued.ends is None else min(issued.ends, now)

    def revoke_all(self, name: str) -> None:
        for issued in self.each(name):
            issued.revoked = True

    def revoke_families(self) -> None:
        for family in self._families:
            family.revoked = True

    def forget(self) -> None:
        self._families.clear()
        self._issued.clear()
        self.open.clear()
        for account in self.accounts:
            account.wrong = 0
