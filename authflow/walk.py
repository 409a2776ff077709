"""A request's walk, as a session sees it: what adapters ask of it, and what it answers.

There are two questions. `enter`: what shall this request carry? `hear`: what does its answer mean? Each is answered at
once, with a `Held` (a grant ready to be laid over requests), or with a `Flight` to wait for; the adapters in `clients`
wait in their own way. On the hot path an adapter reads `held` itself: one clock reading, two comparisons.

    enter ──▶ fresh ─────────────────────────────▶ Held          hear ──▶ no event ─────────▶ the answer is the caller's
          ──▶ advisory: one flight starts ───────▶ Held               ──▶ renewed already ──▶ Held: send again
          ──▶ mandatory, expired, none ──────────▶ Flight             ──▶ event ────────────▶ Flight: climb, send again

Where the token may go is decided here, for each URL anew.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Container
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from authflow.bag import Sealed
from authflow.errors import ConfigurationError, CredentialsRefused, UntrustedOrigin
from authflow.exchange import Outcome, judge
from authflow.flight import Flight
from authflow.flow import Failing, Presenting
from authflow.held import BARE, Held
from authflow.http import ANY_STATUS, REDIRECTS, Answer, Origin, Request, origin_reached, without_query
from authflow.keeper import Keeper, Slot, remember
from authflow.signing import Signer
from authflow.template import Mismatch, Unbound, Unfit
from authflow.trust import presents_at

if TYPE_CHECKING:
    from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: Seconds for which an event that a fresh token could not cure is the caller's own affair, per token and path.
FORBIDDEN_FOR: Final = 60.0


class Entry(NamedTuple):
    """What a request shall carry: a `Held`, or the flight that will bring one; and the URL to which it goes."""

    url: str
    held: Held | None
    flight: Flight[Held] | None = None


class RequestWalk:
    """The part of a session that adapters ask. What it needs is set by `AuthSession`."""

    vendor: Vendor
    clock: Callable[[], float]
    keeper: Keeper
    #: The statuses of answers that may be events, and with them those of redirects: all that is worth a thought.
    statuses: Container[int]
    noteworthy: Container[int]
    _given: Sealed
    _passes: bool
    _signer: Signer | None
    _rewrite: Any

    @property
    def needs_body(self) -> bool:
        """Must the body of an answer be looked into in order to know?"""
        return any(pattern.needs_body for _, pattern in self.vendor.answers)

    @property
    def held(self) -> Held:
        """The grant for plain requests; `BARE` while there is none."""
        return self.keeper.held

    @cached_property
    def _slots(self) -> OrderedDict[str, Slot]:
        return OrderedDict()

    @cached_property
    def _forbidden(self) -> dict[tuple[Any, ...], float]:
        return {}

    @cached_property
    def _strangers(self) -> set[str]:
        return set()

    # --- the walk of a request ----------------------------------------------------------------------------------------

    def enter(self, url: str | None, request: Callable[[], Request] | None = None) -> Entry:
        """What a request to `url` shall carry (None: the token itself is wanted). Raises AuthFlowError.

        `request` gives the whole request, for the patterns of `public`.
        """
        if url is None:
            return _entry("", self.keeper.wanted())
        url = self._rewritten(url)
        slot = self._slots.get(_path(url), ()) if self.vendor.vary else ()
        if not self._trusted(url, self.held):
            return Entry(url, BARE)
        if self.vendor.public and request is not None and self._is_public(request()):
            return Entry(url, BARE)
        return _entry(url, self.keeper.wanted(slot))

    def admit(self, held: Held, url: str) -> Held:
        """What a grant that was waited for gives to `url`: itself, or nothing where it must not go. Raises
        UntrustedOrigin.
        """
        return held if self._trusted(url, held) else BARE

    def signed(self, held: Held, request: Callable[[], Request]) -> Held:
        """The grant with the signature of this request, where a plugin signs. Raises ConfigurationError."""
        return held if self._signer is None or held is BARE else self._signer.held(held, request(), self.clock())

    def trusts(self, held: Held, url: str) -> bool:
        """May the token be presented at this URL?"""
        try:
            return url.startswith(held.prefixes) or origin_reached(url) in held.origins
        except ValueError:
            return False

    def goes_bare(self, url: str) -> None:
        """A redirect led to an undeclared origin, and is followed without the token: the log says so, once for each."""
        try:
            origin = str(origin_reached(url))
        except ValueError:
            origin = "what has no origin"
        if origin not in self._strangers and len(self._strangers) < 64:
            self._strangers.add(origin)
            log.info("%s: a redirect to %s, which is not declared, goes without the token", self.vendor.title, origin)

    def hear(self, held: Held, url: str, answer: Answer, *, replayable: bool = True) -> Entry | None:
        """What the answer to a request that carried `held` means: None, or the grant with which to send it once more.

        A request that cannot be sent again gets None, and the token is renewed for the next one. Raises AuthFlowError.
        """
        event = self._event(held, answer)
        now = self.clock()
        if event is None:
            held.used(now)
            return None
        if now < self._forbidden.get((held.token_id, _path(url), event.name), 0.0) <= now + FORBIDDEN_FOR:
            return None
        slot = self.keeper.slot_of(held, event)
        if self.vendor.vary:
            remember(self._slots, _path(url), slot, 1024)
        better = self.keeper.renewed(slot, held, event, replayable=replayable)
        return None if better is None else _entry(url, better)

    def hear_again(self, held: Held, url: str, answer: Answer) -> None:
        """The second answer is the caller's, unless its event leads to a failing state. Raises CredentialsRefused."""
        event = self._event(held, answer)
        now = self.clock()
        if event is None:
            held.used(now)
            return
        state = self.vendor.flow.states[held.grant.state]
        after = self.vendor.flow.states[state.next[event.name]] if isinstance(state, Presenting) else state
        if isinstance(after, Failing):
            raise CredentialsRefused(after.message, vendor=self.vendor.name, status=answer.status)
        if len(self._forbidden) > 1024:
            self._forbidden = {key: until for key, until in self._forbidden.items() if until > now}
        self._forbidden[held.token_id, _path(url), event.name] = now + FORBIDDEN_FOR

    # --- below --------------------------------------------------------------------------------------------------------

    def _rewritten(self, url: str) -> str:
        if self.vendor.rewrites:
            held = self.held if self.held is not BARE else self.keeper.start()
            bag = held.bag(self.clock())
            for rewrite in self.vendor.rewrites:
                try:
                    target = rewrite.apply(url, held.base_url, bag)
                except (Unbound, Unfit) as error:
                    message = f"{self.vendor.title}: {without_query(url)} cannot be rewritten: {error}"
                    raise ConfigurationError(message, vendor=self.vendor.name) from None
                if target is not None:
                    url = target
                    break
        if self._rewrite is not None:
            url = self._rewrite(vendor=self.vendor, url=url) or url
        return url

    def _trusted(self, url: str, held: Held) -> bool:
        """Is the token allowed there? Raises UntrustedOrigin, unless such requests are to pass without it."""
        if url.startswith(held.prefixes):
            return True
        origins = held.origins if held is not BARE else presents_at(self.vendor, self._given, {})
        try:
            origin: Origin | None = origin_reached(url)
            reason = f"{origin} is not declared"
        except ValueError as error:
            origin, reason = None, str(error)
        if origin in origins or (held is BARE and not origins):
            return True
        if self._passes:
            return False
        raise UntrustedOrigin(
            f"{self.vendor.title}: the token is not presented at {without_query(url)}: {reason}. It goes to "
            f"{', '.join(sorted(map(str, origins)))}; declare others in origins.present, or pass untrusted='pass'.",
            vendor=self.vendor.name,
        )

    def _is_public(self, request: Request) -> bool:
        held = self.held if self.held is not BARE else self.keeper.start()
        bag = held.bag(self.clock())
        for pattern in self.vendor.public:
            try:
                pattern.match(request, held.base_url, bag)
            except Mismatch:
                continue
            return True
        return False

    def _event(self, held: Held, answer: Answer) -> Outcome | None:
        state = self.vendor.flow.states.get(held.grant.state)
        if not isinstance(state, Presenting):
            return None
        heard = tuple(row for row in self.vendor.answers if row[0] in state.next)
        return judge(heard, answer)[0]


def flight_of(entry: Entry) -> Flight[Held]:
    assert entry.flight is not None
    return entry.flight


def _entry(url: str, wanted: Held | Flight[Held]) -> Entry:
    return Entry(url, None, wanted) if isinstance(wanted, Flight) else Entry(url, wanted)


@lru_cache(maxsize=256)
def statuses_of(vendor: Vendor) -> tuple[Container[int], Container[int]]:
    """The statuses that an event could have (all of them where any answer may be one, or each good use counts), and
    those with redirects.
    """
    patterns = [pattern.status for _, pattern in vendor.answers]
    if vendor.idle is not None or None in patterns:
        return ANY_STATUS, ANY_STATUS
    told = frozenset().union(*filter(None, patterns))
    return told, told | REDIRECTS


def _path(url: str) -> str:
    return without_query(url)
