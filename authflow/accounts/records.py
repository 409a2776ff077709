"""What a session remembers: the name of a state and the values that answers have brought, with the times of the grant.

    Record      a grant, under the finest key: it is published in one assignment, and it is what a store keeps
    Refusals    what was refused, and how long the vendor is left alone, under the coarsest key

Neither holds a credential: only what the vendor said, and fingerprints of what was sent. What a store gives back is a
claim, which `claims` judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, TypeVar

import msgspec

from authflow.accounts.token import Token
from authflow.sealed import Sealed, sealed_value

FORM: Final = 2
#: How long nothing is sent after the first refusal in a row, the second, and each one from the third on, in seconds.
WAITS: Final = (60.0, 600.0, 3600.0)
#: So many seconds without a refusal end the row.
FORGOTTEN_AFTER: Final = 86400.0
#: How many attempts an hour may be refused, and how many refused secrets of an account are remembered.
MOST_AN_HOUR: Final = 4
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
    cures        when it was renewed for being rejected, and those before it: the last six times
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
    cures: tuple[float, ...] = ()

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
class Refusals(Sealed):
    """An account's; secrets are fingerprints by the name of the credential, the youngest is last. Times are epoch
    seconds by the clock that wrote first; what is waited for is a duration, counted from there.

    refused    secrets                               count    of refusals in a row, three at most
    accepted   the last of them, or none             since    when the last one was
    users      refused ones, where a client serves   wait     how long from there nothing is sent
               many                                  recent   when the last four were refused
    changed    when a secret was sent meanwhile, since it was new
    axis, clocks   whose time that is, and by how much other clocks are ahead of it, by their names (`clocks`)
    failures, failed, pause   the same three for answers that could not be used, and for what the vendor asks for
    """

    refused: tuple[Mapping[str, str], ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    changed: float | None = None
    count: int = 0
    since: tuple[float, ...] = ()
    wait: float = 0.0
    recent: tuple[float, ...] = ()
    failures: int = 0
    failed: tuple[float, ...] = ()
    pause: float = 0.0
    axis: str = ""
    clocks: Mapping[str, float] = field(default_factory=dict)

    def with_refused(
        self, secrets: Mapping[str, str], user: str, now: float, *, exception: bool = False, longer: float = 0.0
    ) -> Refusals:
        """One more. `exception`: it was sent while all others waited; `longer`: the vendor asks for so many seconds."""
        # Of what was accepted last, it is enough that the part is refused which was sent first.
        both = self.accepted.keys() & secrets.keys()
        stays = not both or any(self.accepted[name] != secrets[name] for name in both)
        count = 1 if self.forgotten(now) else min(self.count + 1, len(WAITS))
        return self.replace(
            refused=(*(other for other in self.refused if other != secrets), secrets)[-MOST_REFUSALS:],
            accepted=self.accepted if stays else {},
            users=(*(other for other in self.users if other != user), user)[-MOST_SLOTS:],
            changed=now if exception else self.changed,
            count=count,
            since=(now,),
            wait=max(WAITS[count - 1], min(longer, WAITS[-1])),
            recent=(*self.recent, now)[-MOST_AN_HOUR:],
            failures=0,
            failed=(),
        )

    def with_failed(self, now: float, asks: float, *, unread: bool) -> Refusals:
        """The vendor asks to be left alone for so many seconds, or gave an answer that could not be used."""
        failures = min(self.failures + 1, len(WAITS)) if unread else 0
        wait = WAITS[failures - 1] if unread else 0.0
        return self.replace(failures=failures, failed=(now,), pause=min(max(wait, asks), WAITS[-1]))

    @property
    def last(self) -> float:
        """When the last thing happened that it tells of; nothing has happened at 0."""
        return max(*self.since, *self.failed, *self.recent, self.changed or 0.0, 0.0)

    @property
    def until(self) -> float | None:
        """When nothing waits any more."""
        return max(self.since) + self.wait if self.since else None

    def forgotten(self, now: float) -> bool:
        """Has nothing been refused for a day?"""
        return not self.since or now - max(self.since) >= FORGOTTEN_AFTER

    def may_change(self, now: float) -> bool:
        """May a secret that is new be sent before its time? One an hour, and one try is left for what was accepted."""
        late = sum(now - when < WAITS[-1] for when in self.recent)
        free = self.changed is None or now - self.changed >= WAITS[-1]
        return free and late + bool(self.accepted) < MOST_AN_HOUR

    def to_bytes(self) -> bytes:
        return _encoded(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Refusals:
        """Raises ValueError if this is nothing of ours."""
        found: Refusals = _decoded(cls, _StoredRefusals, data)
        return found


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
    cures: tuple[float, ...] = ()


class _StoredRefusals(msgspec.Struct):
    refused: tuple[dict[str, str], ...] = ()
    accepted: dict[str, str] = {}
    users: tuple[str, ...] = ()
    changed: float | None = None
    count: int = 0
    since: tuple[float, ...] = ()
    wait: float = 0.0
    recent: tuple[float, ...] = ()
    failures: int = 0
    failed: tuple[float, ...] = ()
    pause: float = 0.0
    axis: str = ""
    clocks: dict[str, float] = {}


def _encoded(value: Sealed) -> bytes:
    return msgspec.json.encode({"form": FORM, **{name: getattr(value, name) for name in value._fields}})


def _decoded(kind: type[Any], stored: type[S], data: bytes) -> Any:
    try:
        table = msgspec.json.decode(data)
        if not isinstance(table, dict) or table.pop("form", None) != FORM:
            raise ValueError("a record of another form")
        found = msgspec.convert(table, stored)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not a record") from error
    return kind(*(getattr(found, name) for name in kind._fields))
