"""The session manager: what every client's adapter asks.

    authorize      what shall this request carry?    fresh ──────────────────▶ Grant
                                                     advisory ───────────────▶ Grant, and one renews ahead
                                                     mandatory, ended, none ─▶ Flight: wait for it
    on_response    what does its answer mean?        no event ───────────────▶ the answer is the caller's
                                                     renewed already ────────▶ Grant: send once more
                                                     event ──────────────────▶ Flight: renew, send once more

Each question is answered at once, with a `Grant` or with a `Flight` to wait for; the adapters in `clients` wait in
their own way. On the hot path an adapter reads `grants.current` itself: one clock reading, two comparisons.

Where the token may go is decided here, for each URL anew.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Container
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

from authflow.accounts import ANONYMOUS, Grant, leads, may_cure, presents_at, proved_by_use, with_cure
from authflow.errors import ConfigurationError, UntrustedOrigin
from authflow.http import ANY_STATUS, REDIRECTS, Answer, Origin, Request, origin_reached, without_query
from authflow.manager.cache import GrantCache, Slot, remember
from authflow.manager.single_flight import Flight
from authflow.masking import MASK, spells
from authflow.renewing import Environment, masked_reason, of_request, refused
from authflow.stores import Store
from authflow.templates import Mismatch, Outcome, Unbound, Unfit, judge
from authflow.vendors import Failing, Given, Presenting, Vendor, closure, hears

log: Final = logging.getLogger("authflow")

#: Seconds for which an event that a fresh token could not cure is the caller's own affair, per token and path.
FORBIDDEN_FOR: Final = 60.0
#: Media types of what comes bit by bit, and is the caller's as it comes.
STREAMS: Final = (
    *("event-stream", "ndjson", "jsonl", "json-lines", "json-seq", "json-stream", "stream+json"),
    *("x-mixed-replace", "octet-stream", "audio/", "video/"),
)
#: How many paths a session remembers: where a token was rejected, and which grant `vary` wants there.
MOST_PATHS: Final = 1024


class Authorization(NamedTuple):
    """What a request shall carry: a `Grant`, or the flight that will bring one; and the URL to which it goes, as far as
    that is known without (`asked` is the caller's).
    """

    url: str
    grant: Grant | None
    flight: Flight[Grant] | None = None
    asked: str = ""

    def wait(self) -> Grant:
        """The grant, waited for if need be. Raises AuthFlowError."""
        return self.grant if self.grant is not None else self._flight.wait()

    async def wait_async(self) -> Grant:
        """`wait` for event loops."""
        return self.grant if self.grant is not None else await self._flight.wait_async()

    @property
    def _flight(self) -> Flight[Grant]:
        assert self.flight is not None
        return self.flight


class Tap(Protocol):
    """What listens in on a manager's questions and answers, and passes them on."""

    def authorize(
        self, url: str | None, request: Callable[[], Request] | None, inner: Callable[..., Authorization]
    ) -> Authorization: ...
    def on_response(
        self, grant: Grant, url: str, answer: Answer, replayable: bool, inner: Callable[..., Authorization | None]
    ) -> Authorization | None: ...
    def on_second_response(self, url: str, answer: Answer) -> None: ...
    def goes_without(self, url: str, origin: str) -> None: ...


class SessionManager:
    """One session's: `grants` keeps what it holds, and the rest says where, and on what, that goes.

    `passes`: a request to an undeclared origin goes without the token, instead of raising UntrustedOrigin.
    """

    __slots__ = (
        *("_cured", "_events", "_forbidden", "_passes", "_rewrite", "_signers", "_slots", "_uncured"),
        *("grants", "noteworthy", "signs", "simple", "statuses", "strangers", "tap", "told_by", "vendor"),
    )

    def __init__(
        self,
        vendor: Vendor,
        given: Given,
        store: Store,
        environment: Environment,
        *,
        passes: bool,
        identity: str | None = None,
    ) -> None:
        self.vendor = vendor
        self._passes = passes
        self._signers, self._rewrite = environment.signers, environment.hooks.rewrite_url
        #: The statuses of answers that may be events, and with them those of redirects: all that is worth a thought.
        self.statuses, self.noteworthy, self._events = statuses_of(vendor)
        #: Headers that make an answer worth a thought, whatever its status is; and is any request signed?
        self.told_by, self.signs = vendor.hears_headers, vendor.signs
        #: Is every request of this vendor a plain one: no rewriting, no public patterns, one grant, no signature?
        plain = not (vendor.rewrites or vendor.public or vendor.vary or self._rewrite or self.signs)
        #: Is there nothing to be thought of but the signature?
        self.simple = plain and self._signers is not None
        plain = plain and self._signers is None
        self.grants = GrantCache(vendor, given, store, environment, plain=plain, said=identity)
        self._slots: OrderedDict[str, Slot] | None = None
        self._forbidden: dict[tuple[Any, ...], float] | None = None
        #: The undeclared origins that redirects led to.
        self.strangers: tuple[str, ...] = ()
        #: The last grant with which a request was served that had been rejected: whatever rejects it has revoked it.
        self._cured = ""
        #: When the last grants were rejected that a challenge had asked for.
        self._uncured: tuple[float, ...] = ()
        #: A recording that listens in, or None.
        self.tap: Tap | None = None

    def __repr__(self) -> str:
        return f"<SessionManager of {self.vendor.name}>"

    @property
    def clock(self) -> Callable[[], float]:
        return self.grants.clock

    def reads_body(self, status: int, kind: str) -> bool:
        """Does `[answers]` or `[[keep]]` read such a body (`kind`: its Content-Type)? A stream is never held up."""
        asked = any(
            pattern.needs_body and (pattern.status is None or status in pattern.status)
            for pattern in (*self.vendor.keep, *(pattern for _, pattern in self.vendor.answers))
        )
        return asked and not any(word in kind.lower() for word in STREAMS)

    def tells(self, grant: Grant, status: int, headers: Container[str]) -> bool:
        """May the answer to what carried `grant` be an event, or tell a signer anything?"""
        if grant is ANONYMOUS:
            return False
        for name in self.told_by:
            if name in headers:
                return True
        return status in (self._events if grant.unproved is None and self.tap is None else self.statuses)

    # --- what adapters ask --------------------------------------------------------------------------------------------

    def at_once(self, url: str) -> Grant | None:
        """A fresh grant of which a request to `url` needs but the signature; None where more must be thought of."""
        grant = self.grants.current
        if (
            self.simple
            and not grant.varies
            and self.clock() < grant.windows.advisory
            and url.startswith(grant.prefixes)
            and self.tap is None
        ):
            return grant
        return None

    def authorize(self, url: str | None, request: Callable[[], Request] | None = None) -> Authorization:
        """What a request to `url` shall carry (None: the token itself is wanted). Raises AuthFlowError.

        `request` gives the whole request, for the patterns of `public`.
        """
        return self._authorize(url, request) if self.tap is None else self.tap.authorize(url, request, self._authorize)

    def _authorize(self, url: str | None, request: Callable[[], Request] | None) -> Authorization:
        if url is None:
            return _authorization("", self.grants.wanted())
        asked = url
        if self._waits_for_answers(url):
            return _authorization(url, self.grants.wanted(), asked)
        url = self._rewritten(url)
        slot = self._slots.get(without_query(url), ()) if self._slots is not None else ()
        if not self._trusted(url, self.grants.current):
            return Authorization(url, ANONYMOUS)
        if self.vendor.public and request is not None and self._is_public(request()):
            return Authorization(url, ANONYMOUS)
        return _authorization(url, self.grants.wanted(slot), asked)

    def judge_as_given(self, url: str) -> None:
        """For tools that send a request to the very URL that they were given. Raises UntrustedOrigin, unless such
        requests pass without the token, and ConfigurationError where an adapter would rewrite it.
        """
        trusted = self._trusted(url, self.grants.current) and not self._waits_for_answers(url)
        if trusted and (rewritten := self._rewritten(url)) != url:
            raise ConfigurationError(
                f"{self.vendor.title}: {self._shown(url)} is rewritten before it is sent, which a tool that is given "
                f"headers cannot do: use {self._shown(rewritten)}",
                vendor=self.vendor.name,
            )

    def admit(self, grant: Grant, url: str) -> Grant:
        """What a grant that was waited for gives to `url`: itself, or nothing where it must not go. Raises
        UntrustedOrigin.
        """
        return grant if self._trusted(url, grant) else ANONYMOUS

    def arrived(self, authorization: Authorization, grant: Grant) -> tuple[Grant, str]:
        """The grant that was waited for, and the URL, which may hang on it. Raises UntrustedOrigin."""
        url = self.moved(authorization.asked, authorization.url, grant)
        return self.admit(grant, url), url

    def moved(self, asked: str, url: str, grant: Grant) -> str:
        """Where a request goes that is sent with another grant than first: from the caller's URL (`asked`), if that is
        rewritten; else to `url`. Raises ConfigurationError, UntrustedOrigin.
        """
        if not self.vendor.rewrites or not asked or grant is ANONYMOUS:
            return url
        moved = self._rewritten(asked, grant)
        return moved if moved == url or self.admit(grant, moved) is grant else url

    def signed(self, grant: Grant, request: Callable[[], Request]) -> Grant:
        """The grant with the signature of this request, where something signs. Raises ConfigurationError."""
        if grant is ANONYMOUS:
            return grant
        if self.signs:
            grant = of_request(grant, request(), self.clock())
        if self._signers is None:
            return grant
        return self._signers.grant(grant, request(), self.clock())

    def heard(self, grant: Grant, request: Callable[[], Request], answer: Answer) -> bool:
        """Does the answer to a signed request ask for another signature? Then it is no event yet, and the request is
        signed anew and sent once more, if it can be. Raises ConfigurationError.
        """
        return self._signers is not None and self._signers.heard_by(grant, answer, request, self.clock())

    def trusts(self, grant: Grant, url: str) -> bool:
        """May the token be presented at this URL?"""
        try:
            return url.startswith(grant.prefixes) or origin_reached(url) in grant.origins
        except ValueError:
            return False

    def goes_without(self, url: str) -> None:
        """A redirect led to an undeclared origin, and is followed without the token: the log says so, once for each."""
        try:
            origin = str(origin_reached(url))
        except ValueError:
            origin = "a URL without an origin"
        if self.tap is not None:
            self.tap.goes_without(url, origin)
        if origin not in self.strangers and len(self.strangers) < 64:
            self.strangers += (origin,)
            log.warning(
                "%s: a redirect to %s is followed without the token, since its origin is not declared; if it may go "
                'there, write origins.present = ["%s"]',
                self.vendor.name,
                self._shown(url),
                origin,
            )

    def on_response(self, grant: Grant, url: str, answer: Answer, *, replayable: bool = True) -> Authorization | None:
        """What the answer to a request that carried `grant` means: None, or what to send it once more with.

        A request that cannot be sent again gets None, and the token is renewed for the next one. Raises AuthFlowError.
        """
        if self.tap is not None:
            return self.tap.on_response(grant, url, answer, replayable, self._on_response)
        return self._on_response(grant, url, answer, replayable)

    def _on_response(self, grant: Grant, url: str, answer: Answer, replayable: bool) -> Authorization | None:
        event = self._event(grant, answer)
        now = self.clock()
        if event is None:
            self._good(grant, answer, now)
            return None
        forbidden = self._forbidden or {}
        if now < forbidden.get((grant.token_id, without_query(url), event.name), 0.0) <= now + FORBIDDEN_FOR:
            return None
        slot = self.grants.slot_of(grant, event)
        cures = self._uncured if event.captured else self.grants.cures(grant)
        if not event.captured and self._cured == grant.record.grant:
            cures = ()
        if not may_cure(cures, now) and self.grants.other(slot, grant) is None:
            return None
        if self.vendor.vary:
            if self._slots is None:
                self._slots = OrderedDict()
            remember(self._slots, without_query(url), slot, MOST_PATHS)
        better = self.grants.renewed(slot, grant, event, replayable=replayable)
        return None if better is None else _authorization(url, better)

    def on_second_response(self, grant: Grant, url: str, answer: Answer) -> None:
        """The second answer is the caller's, unless its event leads to a failing state. Raises CredentialsRefused."""
        if self.tap is not None:
            self.tap.on_second_response(url, answer)
        event = self._event(grant, answer)
        now = self.clock()
        if event is None:
            self._cured, self._uncured = grant.record.grant, self._uncured[:-1]
            self.grants.cured(grant)
            self._good(grant, answer, now)
            return
        state = self.vendor.flow.states[grant.record.state]
        after = self.vendor.flow.states[state.next[event.name]] if isinstance(state, Presenting) else state
        if isinstance(after, Failing) and isinstance(state, Presenting):
            values = grant.values(now)
            sent = closure(self.vendor, [placeholder.name for placeholder in state.present.placeholders()])
            names = [name for name in self.vendor.credentials if name in sent]
            self.grants.renewed(self.grants.slot_of(grant, event), grant, event, replayable=False)
            raise refused(values, after, names, reason=masked_reason(event, values), status=answer.status)
        if event.captured:
            self._uncured = with_cure(self._uncured, now)
        forbidden = self._forbidden or {}
        if len(forbidden) > MOST_PATHS:
            forbidden = {key: until for key, until in forbidden.items() if until > now}
        self._forbidden = {**forbidden, (grant.token_id, without_query(url), event.name): now + FORBIDDEN_FOR}

    def on_redirect(self, grant: Grant) -> None:
        """A redirect of a request that carried `grant` is followed, unseen: a good use, unless the file has redirects
        that are none.
        """
        for _, pattern in self.vendor.answers:
            if REDIRECTS & pattern.status if pattern.status is not None else not pattern.needs_body:
                return
        grant.used(self.clock())

    # --- what the user asks -------------------------------------------------------------------------------------------

    def logout(self) -> None:
        """Forget the grants here and in the store, and tell the vendor. Raises AuthFlowError."""
        self._slots = None
        self.grants.logout()

    # --- below --------------------------------------------------------------------------------------------------------

    def _shown(self, url: str) -> str:
        """The URL for messages: a rewrite, or whoever redirects, may have put the token into its path."""
        captured, url = self.grants.current.record.captured, without_query(url)
        hidden = spells(url, [str(captured[name]) for name in captured.keys() - leads(self.vendor)])
        return "/".join([*url.split("/")[:3], MASK]) if hidden else url

    def _values_now(self) -> tuple[Grant, Any]:
        grant = self.grants.current if self.grants.current is not ANONYMOUS else self.grants.start()
        return grant, grant.values(self.clock())

    def _waits_for_answers(self, url: str) -> bool:
        """Can this URL not be rewritten before a login brings what that needs?"""
        if not self.vendor.rewrites or self.grants.current is not ANONYMOUS:
            return False
        grant, values = self._values_now()
        try:
            for rewrite in self.vendor.rewrites:
                if rewrite.apply(url, grant.base_url, values) is not None:
                    return False
        except Unbound:
            return True
        except Unfit:
            pass
        return False

    def _rewritten(self, url: str, grant: Grant | None = None) -> str:
        if self.vendor.rewrites:
            grant, values = self._values_now() if grant is None else (grant, grant.values(self.clock()))
            for rewrite in self.vendor.rewrites:
                try:
                    target = rewrite.apply(url, grant.base_url, values)
                except (Unbound, Unfit) as error:
                    message = f"{self.vendor.title}: {self._shown(url)} cannot be rewritten: {error}"
                    raise ConfigurationError(message, vendor=self.vendor.name) from None
                if target is not None:
                    url = target
                    break
        if self._rewrite is not None:
            url = self._rewrite(vendor=self.vendor, url=url) or url
        return url

    def _trusted(self, url: str, grant: Grant) -> bool:
        """Is the token allowed there? Raises UntrustedOrigin, unless such requests are to pass without it."""
        if url.startswith(grant.prefixes):
            return True
        origins = grant.origins if grant is not ANONYMOUS else presents_at(self.vendor, self.grants.given, {})
        try:
            origin: Origin | None = origin_reached(url)
            reason = f"{origin} is not declared"
        except ValueError as error:
            origin, reason = None, str(error)
        if origin in origins or (grant is ANONYMOUS and not origins):
            return True
        if self._passes:
            return False
        raise UntrustedOrigin(
            f"{self.vendor.title}: the token is not presented at {self._shown(url)}: {reason}. It goes to "
            f"{', '.join(sorted(map(str, origins)))}; declare others in origins.present, or pass untrusted='pass'.",
            vendor=self.vendor.name,
        )

    def _is_public(self, request: Request) -> bool:
        grant, values = self._values_now()
        for pattern in self.vendor.public:
            try:
                pattern.match(request, grant.base_url, values)
            except Mismatch:
                continue
            return True
        return False

    def _good(self, grant: Grant, answer: Answer, now: float) -> None:
        """A good answer: an idle grant lives on, what was given is right, and what the file says is brought anew
        (`keep`) is read.
        """
        grant.used(now)
        if grant.unproved is not None and answer.status < 300:
            self.grants.accepted(grant)
        found: dict[str, Any] = {}
        for pattern in self.vendor.keep:
            if answer.status < 400 or pattern.status is not None:
                with suppress(Mismatch):
                    found.update(pattern.match(answer, grant.values(now)))
        if found:
            self.grants.keep(grant, found, answer)

    def _event(self, grant: Grant, answer: Answer) -> Outcome | None:
        state = self.vendor.flow.states.get(grant.record.state)
        if not isinstance(state, Presenting):
            return None
        heard = tuple(row for row in self.vendor.answers if row[0] in state.next)
        return judge(heard, answer, grant.values(self.clock()))[0]


def _authorization(url: str, wanted: Grant | Flight[Grant], asked: str = "") -> Authorization:
    if isinstance(wanted, Flight):
        return Authorization(url, None, wanted, asked)
    return Authorization(url, wanted, None, asked)


@lru_cache(maxsize=256)
def statuses_of(vendor: Vendor) -> tuple[Container[int], Container[int], Container[int]]:
    """The statuses that an event could have (all of them where any answer may be one, or a good one counts), and those
    that could have one when nothing else is worth a thought, redirects among them, and without them.
    """
    patterns = [pattern.status for _, pattern in vendor.answers] + [pattern.status for pattern in vendor.keep]
    patterns += [signer.hears for signer in vendor.signers.values() if hears(signer)]
    if vendor.idle is not None or None in patterns:
        return ANY_STATUS, ANY_STATUS, ANY_STATUS
    told = frozenset().union(*filter(None, patterns))
    return ANY_STATUS if proved_by_use(vendor) else told, told | REDIRECTS, told
