"""A grant made ready: what a request carries, until when, and to where.

Everything that a request needs is computed once, when the grant is published. An adapter on its hot path compares the
clock with `fresh_until` and the URL with `prefixes` or `places`, and lays the headers over the request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache
from typing import Any, Final

from authflow.accounts.records import Record
from authflow.accounts.token import NEVER, Windows, refresh_in
from authflow.accounts.trust import presents_at
from authflow.errors import ConfigurationError
from authflow.http import NOTHING, Origins, Pairs, Presentation
from authflow.sealed import Sealed, sealed_value
from authflow.templates import Sign, Unbound, Unfit, token_exp
from authflow.vendors import Given, Presenting, Values, Vendor, closure, seconds

#: Scheme, user information, host, and port as far as a URL must say it; or scheme and authority.
Place = tuple[str, str, str, int | None] | tuple[str, str]

EMPTY: Final = Presentation()
NOTHING_GIVEN: Final = Given({})
#: The beginning of time: since then nothing has been fresh.
NEVER_FRESH: Final = -math.inf
#: From when until when something serves.
ALWAYS: Final = (-math.inf, math.inf)


@sealed_value
class Grant(Sealed):
    """The headers are the whole presentation where `fresh_until` (epoch seconds) says that nothing else needs thought;
    `bearer` is their value where `Authorization` is the only one.

    `travels`: on redirects it needs more care than clients give to `Authorization`.
    """

    record: Record
    vendor: Vendor | None = None
    given: Given = NOTHING_GIVEN
    presentation: Presentation = EMPTY
    bearer: str | None = None
    prefixes: tuple[str, ...] = ()
    places: frozenset[Place] = frozenset()
    fresh_until: float = NEVER_FRESH
    windows: Windows = NEVER
    origins: Origins = Origins()
    travels: bool = False
    _base_url: str | None = None
    _idle: float | None = None
    #: Until when it is fresh, and from when until when what it presents serves, where that is derived.
    _until: float = NEVER_FRESH
    _serves: tuple[float, float] = ALWAYS
    _token_id: int | None = None
    _unsigned: Presentation | None = None
    #: What signs it, where that is the same for each request: the parameters, and what the signer kept.
    signing: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    #: Until when it is fresh once a good answer has said that what it presents is right; None: that is known.
    unproved: float | None = None
    #: What callables gave for it, by name.
    asked: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    def __repr__(self) -> str:
        return f"<Grant in {self.record!r}>"

    __eq__, __hash__ = object.__eq__, object.__hash__

    @classmethod
    def of(
        cls,
        vendor: Vendor,
        given: Given,
        record: Record,
        now: float,
        jitter: float,
        plain: bool,
        proved: bool = True,
    ) -> Grant:
        """`plain`: every request of this vendor is alike; `proved`: it is known that what it presents is right. Raises
        ConfigurationError where what the user gave cannot be presented.
        """
        values = Values(vendor, given, record.captured, now)
        state = vendor.flow.states[record.state]
        origins = presents_at(vendor, given, record.captured)
        presentation = presented(state, values) if isinstance(state, Presenting) else EMPTY
        serves = _serving(state, values, now) if isinstance(state, Presenting) else ALWAYS
        idle = _seconds(vendor.idle, values)
        windows = Windows.of(
            record.issued_at,
            record.expires_at,
            jitter,
            refresh_in=refresh_in(record.captured),
            ahead=_seconds(vendor.ahead, values),
        )
        if idle is not None and record.expires_at is None:
            windows = Windows.of(max(now, record.issued_at), max(now, record.issued_at) + idle, jitter)
        fresh = plain and presentation.only_headers and idle is None
        until = windows.advisory if fresh else NEVER_FRESH
        return cls(
            record,
            vendor,
            given,
            presentation,
            _only_authorization(presentation.headers),
            _prefixes(origins),
            _places(origins),
            min(until, serves[1]) if proved else NEVER_FRESH,
            windows,
            origins,
            _travels(origins, presentation),
            _idle=idle if record.expires_at is None else None,
            _until=until,
            _serves=serves,
            unproved=None if proved else min(until, serves[1]),
            asked=values.asked or NOTHING,
        )

    def values(self, now: float) -> Values:
        """The values of this grant; derived ones for this instant (epoch seconds)."""
        assert self.vendor is not None
        return Values(self.vendor, self.given, self.record.captured, now)

    @property
    def token_id(self) -> int:
        """Tells tokens apart, and shows none."""
        if self._token_id is None:
            self._note(_token_id=hash((self.record.state, repr(sorted(self.record.captured.items(), key=str)))))
        return self._token_id or 0

    @property
    def base_url(self) -> str:
        """Against which URLs are resolved. Raises Unbound, Unfit."""
        if self._base_url is None:
            self._note(_base_url=self.values(self.record.issued_at).base_url)
        return self._base_url or ""

    def at(self, now: float) -> Grant:
        """Itself, or, where derived values change from request to request, the same grant rendered for this instant."""
        since, until = self._serves
        if since <= now < until:
            return self
        values = self.values(now)
        state = values.vendor.flow.states[self.record.state]
        assert isinstance(state, Presenting)
        shown, serves = presented(state, values), _serving(state, values, now)
        fresh, unproved = min(self._until, serves[1]), self.unproved is not None
        return self.replace(
            presentation=shown,
            bearer=_only_authorization(shown.headers),
            fresh_until=NEVER_FRESH if unproved else fresh,
            unproved=fresh if unproved else None,
            _serves=serves,
        )

    @property
    def lasts(self) -> bool:
        """Does what it presents serve for more than one request?"""
        return self._serves[0] < self._serves[1]

    @property
    def varies(self) -> bool:
        """Does it hang on more than the clock's being before its end?"""
        return self._serves is not ALWAYS or self._idle is not None or self.unproved is not None

    @property
    def sign(self) -> Sign | None:
        """What signs the requests that carry it, as its vendor's file says."""
        state = self.vendor.flow.states[self.record.state] if self.vendor is not None else None
        return state.present.sign if isinstance(state, Presenting) else None

    @property
    def shown(self) -> set[str]:
        """The names whose values a request shows with it, in its URL too."""
        state = self.vendor.flow.states[self.record.state] if self.vendor is not None else None
        if not isinstance(state, Presenting) or self.vendor is None:
            return set()
        parts: tuple[Any, ...] = (state.present, *(rewrite.target for rewrite in self.vendor.rewrites))
        return closure(self.vendor, [placeholder.name for part in parts for placeholder in part.placeholders()])

    @property
    def unsigned(self) -> Presentation:
        """What the state presents, without the signature of a request."""
        return self.presentation if self._unsigned is None else self._unsigned

    def signed(self, presentation: Presentation) -> Grant:
        """The same grant for one request, whose signature is in `presentation`: a redirected one needs another."""
        made = object.__new__(SignedGrant)
        object.__setattr__(made, "whole", self)
        object.__setattr__(made, "presentation", presentation)
        return made

    def note_signing(self, parameters: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
        """Each request is signed with these."""
        self._note(signing=(parameters, kept))

    def stay_fresh(self, until: float) -> None:
        """Somebody renews it ahead of its end: others need not think of that before `until`, when another may try. A
        clock that is set back meanwhile puts that off; from the mandatory instant on all think again.
        """
        if self.fresh_until != NEVER_FRESH:
            self._note(fresh_until=min(self.windows.mandatory, until, self._serves[1]))

    def used(self, now: float) -> None:
        """A good answer: an idle grant lives on from here."""
        if self._idle is not None:
            self._note(windows=Windows.of(now, now + self._idle))

    def prove(self) -> None:
        """A good answer: what it presents is right."""
        if self.unproved is not None:
            self._note(fresh_until=self.unproved, unproved=None)

    def _note(self, **found: Any) -> None:
        """What is found out later, and hangs on nothing that is secret; each is published in one assignment."""
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def valid(self, now: float) -> bool:
        """Has the token not run out yet?"""
        return self.record.expires_at is None or now < self.record.expires_at


class SignedGrant(Grant):
    """What one signed request carries: all that is not its own is that of the `whole` grant."""

    __slots__ = ("whole",)
    whole: Grant
    travels = False

    @property
    def unsigned(self) -> Presentation:
        return self.whole.unsigned

    def signed(self, presentation: Presentation) -> Grant:
        return self.whole.signed(presentation)

    def replace(self, **changes: Any) -> Any:
        return self.whole.replace(**changes)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.whole.signed, (self.presentation,)

    def __getattr__(self, name: str) -> Any:  # asked for what this lacks
        return getattr(self.whole, name)


def presented(state: Presenting, values: Values) -> Presentation:
    """What a state lays over a request. Raises ConfigurationError: a key with a line break at its end, say."""
    try:
        return state.present.render(values)
    except (Unbound, Unfit) as error:
        reason = f"the value of {error} is not known" if isinstance(error, Unbound) else str(error)
    raise ConfigurationError(f"{values.vendor.title}: {reason}", vendor=values.vendor.name)


@lru_cache(maxsize=256)
def _prefixes(origins: Origins) -> tuple[str, ...]:
    """How the URLs begin at which the token may be presented; one tuple for all accounts of a vendor."""
    return tuple(f"{origin}/" for origin in sorted(origins) if "*" not in origin.host)


@lru_cache(maxsize=256)
def _places(origins: Origins) -> frozenset[Place]:
    """The same for a URL that its client has taken apart already, in the two ways that clients do it."""
    whole = [at for at in origins if "*" not in at.host]
    return frozenset(
        [(at.scheme, "", at.host, at.written_port) for at in whole]
        + [(at.scheme, str(at).partition("://")[2]) for at in whole]
    )


def _travels(origins: Origins, presentation: Presentation) -> bool:
    """Clients keep `Authorization` at its origin, and on the way from http to https at the same host's usual ports."""
    keeps = presentation.only_headers and _only_authorization(presentation.headers) is not None
    return not keeps or len(origins) > 1 or any((at.scheme, at.port) == ("http", 80) for at in origins)


def _only_authorization(headers: Pairs) -> str | None:
    return headers[0][1] if len(headers) == 1 and headers[0][0].lower() == "authorization" else None


def _seconds(template: Any, values: Values) -> float | None:
    if template is None:
        return None
    try:
        return seconds(template.render(values))
    except (ValueError, Unbound):
        return None


def _volatile(vendor: Vendor, name: str, above: tuple[str, ...]) -> bool:
    row: Any = vendor.derive.get(name)
    if row is None or name in above:
        return False
    return row.function.volatile or any(
        _volatile(vendor, placeholder.name, (*above, name)) for placeholder in row.argument.placeholders()
    )


#: A token that is minted here is minted anew in the last part of its life.
RENEWED_AT: Final = 0.1


def _serving(state: Presenting, values: Values, now: float) -> tuple[float, float]:
    """From when until when what a state presents serves: the tokens that it mints, for most of their life; what else
    changes by itself, not for a second request.
    """
    vendor, names = values.vendor, frozenset(placeholder.name for placeholder in state.present.placeholders())
    if not any(_volatile(vendor, name, ()) for name in names):
        return ALWAYS
    minted = _tokens(vendor, names)
    if not minted or state.present.first is not None or values.given.asks:
        return math.inf, -math.inf
    ends = min(_end_of(values[name]) for name in minted)
    return now, ends - (ends - now) * RENEWED_AT


@lru_cache(maxsize=256)
def _tokens(vendor: Vendor, names: frozenset[str]) -> frozenset[str]:
    """The rows of [derive] that mint what is presented; none where anything else changes with each request."""
    found = set[str]()
    todo = list(names)
    while todo:
        name = todo.pop()
        row = vendor.derive.get(name)
        if row is None or name in found:
            continue
        if row.function_name == "jwt":
            found.add(name)
        elif row.function.volatile:
            return frozenset()
        else:
            todo += [placeholder.name for placeholder in row.argument.placeholders()]
    return frozenset(found)


def _end_of(token: Any) -> float:
    end = token_exp(token)
    return float(end) if isinstance(end, int | float) else 0.0


#: No grant at all: a request that carries it is sent as it is.
ANONYMOUS: Final = Grant(Record(""))
