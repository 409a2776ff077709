"""A grant made ready: what a request carries, until when, and to where.

Everything that a request needs is computed once, when the grant is published. An adapter on its hot path compares the
clock with `calm_until` and the URL with `prefixes` or `places`, and lays the headers over the request.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from authflow.bag import Bag, Given
from authflow.errors import ConfigurationError
from authflow.flow import Presenting
from authflow.grant import Grant
from authflow.http import NOTHING, Origin, Pairs, Presentation
from authflow.model import Vendor, seconds
from authflow.template import Unbound, Unfit
from authflow.token import NEVER, Windows
from authflow.trust import presents_at

#: Scheme, host, port as far as a URL must say it, and user information.
Place = tuple[str, bytes, int | None, bytes]

EMPTY: Final = Presentation()
#: The beginning of time: since then nothing has been calm.
NOT_YET: Final = -math.inf


@dataclass(slots=True, eq=False)
class Held:
    """The headers are the whole presentation where `calm_until` (epoch seconds) says that nothing else needs a thought;
    `bearer` is their value where `Authorization` is the only one.

    `travels`: on redirects it needs more care than clients give to `Authorization`.
    """

    grant: Grant
    vendor: Vendor | None = None
    given: Given = field(default_factory=lambda: NOTHING)
    presentation: Presentation = EMPTY
    bearer: str | None = None
    prefixes: tuple[str, ...] = ()
    places: frozenset[Place] = frozenset()
    calm_until: float = NOT_YET
    windows: Windows = NEVER
    origins: frozenset[Origin] = frozenset()
    travels: bool = False
    _base_url: str | None = None
    _idle: float | None = None
    _volatile: bool = False
    _token_id: int | None = None
    _unsigned: Presentation | None = None

    def __repr__(self) -> str:
        return f"<Held {self.grant!r}>"

    @classmethod
    def of(cls, vendor: Vendor, given: Given, grant: Grant, now: float, jitter: float, *, plain: bool) -> Held:
        """`plain`: every request of this vendor is alike. Raises ConfigurationError where what the user gave cannot be
        presented.
        """
        bag = Bag(vendor, given, grant.captured, now)
        state = vendor.flow.states[grant.state]
        origins = presents_at(vendor, given, grant.captured)
        presentation = presented(state, bag) if isinstance(state, Presenting) else EMPTY
        names = {hole.name for hole in state.present.holes()} if isinstance(state, Presenting) else set()
        volatile = any(_volatile(vendor, name, ()) for name in names)
        idle = _idle(vendor, bag)
        windows = Windows.of(grant.issued_at, grant.expires_at, jitter)
        if idle is not None and grant.expires_at is None:
            windows = Windows.of(max(now, grant.issued_at), max(now, grant.issued_at) + idle, jitter)
        calm = plain and presentation.only_headers and not volatile and idle is None
        return cls(
            grant,
            vendor,
            given,
            presentation,
            _only_authorization(presentation.headers),
            _prefixes(origins),
            _places(origins),
            windows.advisory if calm else NOT_YET,
            windows,
            origins,
            _travels(origins, presentation),
            _idle=idle if grant.expires_at is None else None,
            _volatile=volatile,
        )

    def bag(self, now: float) -> Bag:
        """The values of this grant; derived ones for this instant (epoch seconds)."""
        assert self.vendor is not None
        return Bag(self.vendor, self.given, self.grant.captured, now)

    @property
    def token_id(self) -> int:
        """Tells tokens apart, and shows none."""
        if self._token_id is None:
            self._token_id = hash((self.grant.state, repr(sorted(self.grant.captured.items(), key=str))))
        return self._token_id

    @property
    def base_url(self) -> str:
        """Against which URLs are resolved. Raises Unbound, Unfit."""
        if self._base_url is None:
            self._base_url = self.bag(self.grant.issued_at).base_url
        return self._base_url

    def at(self, now: float) -> Held:
        """Itself, or, where derived values change from request to request, the same grant rendered for this instant."""
        if not self._volatile:
            return self
        bag = self.bag(now)
        state = bag.vendor.flow.states[self.grant.state]
        assert isinstance(state, Presenting)
        presentation = presented(state, bag)
        return replace(self, presentation=presentation)

    @property
    def unsigned(self) -> Presentation:
        """What the state presents, without the signature of a request."""
        return self.presentation if self._unsigned is None else self._unsigned

    def signed(self, presentation: Presentation) -> Held:
        """The same grant for one request, whose signature is in `presentation`: a redirected one needs another."""
        own = self.unsigned
        return replace(self, presentation=presentation, travels=False, _unsigned=own)

    def calm_down(self, until: float) -> None:
        """Somebody renews it ahead of its end: others need not think of that before `until`, when another may try. A
        clock that is set back meanwhile puts that off; from the mandatory instant on all think again.
        """
        if self.calm_until != NOT_YET:
            self.calm_until = min(self.windows.mandatory, until)

    def used(self, now: float) -> None:
        """A good answer: an idle grant lives on from here."""
        if self._idle is not None:
            self.windows = Windows.of(now, now + self._idle)

    def valid(self, now: float) -> bool:
        """Has the token not run out yet?"""
        return self.grant.expires_at is None or now < self.grant.expires_at


def presented(state: Presenting, bag: Bag) -> Presentation:
    """What a state lays over a request. Raises ConfigurationError: a key with a line break at its end, say."""
    try:
        return state.present.render(bag)
    except (Unbound, Unfit) as error:
        reason = f"the value of {error} is not known" if isinstance(error, Unbound) else str(error)
    raise ConfigurationError(f"{bag.vendor.title}: {reason}", vendor=bag.vendor.name)


@lru_cache(maxsize=256)
def _prefixes(origins: frozenset[Origin]) -> tuple[str, ...]:
    """How the URLs begin at which the token may be presented; one tuple for all accounts of a vendor."""
    return tuple(f"{origin}/" for origin in sorted(origins))


@lru_cache(maxsize=256)
def _places(origins: frozenset[Origin]) -> frozenset[Place]:
    """The same for a URL that is taken apart already, without user information: httpx would have to write it out."""
    return frozenset((at.scheme, at.host.encode("ascii"), at.written_port, b"") for at in origins)


def _travels(origins: frozenset[Origin], presentation: Presentation) -> bool:
    """Clients keep `Authorization` at its origin, and on the way from http to https at the same host's usual ports."""
    keeps = presentation.only_headers and _only_authorization(presentation.headers) is not None
    return not keeps or len(origins) > 1 or any((at.scheme, at.port) == ("http", 80) for at in origins)


def _only_authorization(headers: Pairs) -> str | None:
    return headers[0][1] if len(headers) == 1 and headers[0][0].lower() == "authorization" else None


def _idle(vendor: Vendor, bag: Bag) -> float | None:
    if vendor.idle is None:
        return None
    try:
        return seconds(vendor.idle.render(bag))
    except (ValueError, Unbound):
        return None


def _volatile(vendor: Vendor, name: str, above: tuple[str, ...]) -> bool:
    row: Any = vendor.derive.get(name)
    if row is None or name in above:
        return False
    return row.function.volatile or any(_volatile(vendor, hole.name, (*above, name)) for hole in row.argument.holes())


#: No grant at all: a request that carries it is sent as it is.
BARE: Final = Held(Grant(""))
