"""AuthSession: the session manager that every client asks.

A request's walk has two questions. `enter`: what shall this request carry? `hear`: what does its answer mean? Each is
answered at once, with a `Held` (a grant ready to be laid over requests), or with a `Flight` to wait for; the adapters
in `clients` wait in their own way. On the hot path an adapter reads `held` itself: one clock reading, two
comparisons.

    enter ──▶ fresh ─────────────────────────────▶ Held          hear ──▶ no event ─────────▶ the answer is the caller's
          ──▶ advisory: one flight starts ───────▶ Held               ──▶ renewed already ──▶ Held: send again
          ──▶ mandatory, expired, none ──────────▶ Flight             ──▶ event ────────────▶ Flight: climb, send again

What a session holds is published in one assignment and never changed in place; no lock is held while anybody waits.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from authflow import clients, plugins
from authflow.bag import Sealed
from authflow.clients.base import cookie_header
from authflow.errors import (
    ConfigurationError,
    CredentialsRefused,
    UntrustedOrigin,
    sealed,
)
from authflow.exchange import Outcome, judge
from authflow.flight import Flight
from authflow.flow import Failing, Presenting
from authflow.held import BARE, Held
from authflow.http import ANY_STATUS, REDIRECTS, Answer, Origin, Request, origin_reached, without_query
from authflow.identity import complete
from authflow.keeper import Keeper, Slot, remember
from authflow.signing import Signer
from authflow.stores import open_store
from authflow.stores.memory import MemoryStore
from authflow.template import Mismatch, Unbound, Unfit
from authflow.token import Token
from authflow.trust import check_settings, presents_at

if TYPE_CHECKING:
    import os

    from authflow.record import Recording
    from authflow.stores.base import Store
    from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: Seconds for which an event that a fresh token could not cure is the caller's own affair, per token and path.
FORBIDDEN_FOR: Final = 60.0


class Entry(NamedTuple):
    """What a request shall carry: a `Held`, or the flight that will bring one; and the URL to which it goes."""

    url: str
    held: Held | None
    flight: Flight[Held] | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a session knows, for people. Times are epoch seconds.

    vendor      the vendor's name                    issued_at   when its token was granted, or None: there is none
    account     who is logged in, as a hash          expires_at  when it ends, or None: not known to end
    state       the state of the vendor's flow       store       the class of the store
    """

    vendor: str
    account: str
    state: str
    issued_at: float | None
    expires_at: float | None
    store: str


class AuthSession:
    """Logs in and stays logged in, for every client, thread and task that it is given to.

        session = authflow.AuthSession("supplier", username="…", password="…", store="file")
        requests.get(url, auth=session.requests)

    vendor            an installed vendor's name, a path to a vendor file, a mapping like one, or a `Vendor`
    store             where tokens are kept: "memory", "file", a folder, "keyring", "redis://…", or a `Store`
    client            a synchronous client that sends the exchanges, with its proxies and certificates; left out: a new
                      one, of the library in use
    clock             a function that returns epoch seconds
    timeout           seconds that one climb may take: a login or a refresh, with all its exchanges
    untrusted         what a request to an undeclared origin does: "raise" UntrustedOrigin, or "pass" without the token
    on_store_failure  "raise" StoreError, or "degrade": go on without the store

    All else are the vendor's settings and credentials (`authflow vendors` lists them): text, or a callable that returns
    it, asked when it is needed. A callable may be called in another thread.

    Nothing is sent before the first request. Sessions may be shared by threads and event loops, made before a fork, and
    pickled. `enter`, `hear`, `admit` and their like are the adapters' side; you need the others.

    Raises ConfigurationError and VendorFileError when it is made, other `AuthFlowError`s when it is used.
    """

    def __init__(
        self,
        vendor: str | os.PathLike[str] | Mapping[str, Any] | Vendor,
        *,
        store: str | os.PathLike[str] | Store = "memory",
        client: Any = None,
        clock: Callable[[], float] = time.time,
        timeout: float = 30.0,
        untrusted: Literal["raise", "pass"] = "raise",
        on_store_failure: Literal["raise", "degrade"] = "raise",
        **settings_and_credentials: Any,
    ) -> None:
        for name, value, allowed in (
            ("untrusted", untrusted, ("raise", "pass")),
            ("on_store_failure", on_store_failure, ("raise", "degrade")),
        ):
            if value not in allowed:
                raise ConfigurationError(f"{name}= is {' or '.join(map(repr, allowed))}, not {value!r}")
        if not timeout > 0:
            raise ConfigurationError(f"timeout= is a number of seconds, not {timeout!r}")
        self._named, self._stored = vendor, store
        self.vendor: Final[Vendor] = plugins.find_vendor(vendor)
        self.clock = clock
        given, settings_and_credentials = Sealed(settings_and_credentials), {}  # a traceback shows the one that is left
        with sealed():
            self._given = complete(self.vendor, given)
            check_settings(self.vendor, self._given)
        self._passes = untrusted == "pass"
        self._requests = self._httpx = self._httpx2 = self._niquests = None
        hooks = plugins.implemented()
        self._signer = None if hooks.sign is None else Signer(self.vendor, hooks.sign)
        self._rewrite = hooks.rewrite_url
        #: Is every request of this vendor a plain one: no rewriting, no public patterns, one grant, no signature?
        plain = not (self.vendor.rewrites or self.vendor.public or self.vendor.vary or self._rewrite or self._signer)
        #: The statuses of answers that may be events, and with them those of redirects: all that is worth a thought.
        self.statuses, self.noteworthy = _statuses(self.vendor)
        #: Must the body of an answer be looked into in order to know?
        self.needs_body = any(pattern.needs_body for _, pattern in self.vendor.answers)
        #: What is held, and what renews it.
        self.keeper = Keeper(
            self.vendor,
            self._given,
            MemoryStore() if store == "memory" else open_store(store, factories=plugins.stores()),
            clients.sender_for(client) if client is not None else None,
            self._signer,
            hooks,
            clock,
            timeout,
            degrade=on_store_failure == "degrade",
            plain=plain,
        )

    def __repr__(self) -> str:
        if "keeper" not in vars(self):
            return "<AuthSession that was not made>"
        state = self.held.grant.state if self.held is not BARE else self.vendor.flow.start
        return f"<AuthSession {self.vendor.name}: {state}>"

    # --- the four adapters --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> Any:
        """`auth=` for requests: a `requests.auth.AuthBase`. Raises ConfigurationError if that is not installed."""
        return self._adapter("requests")

    @property
    def httpx(self) -> Any:
        """`auth=` for httpx: an `httpx.Auth`, for `Client` and `AsyncClient`. Raises ConfigurationError."""
        return self._adapter("httpx")

    @property
    def httpx2(self) -> Any:
        """`auth=` for httpx2: an `httpx2.Auth`, for `Client` and `AsyncClient`. Raises ConfigurationError."""
        return self._adapter("httpx2")

    @property
    def niquests(self) -> Any:
        """`auth=` for niquests: for `Session` and `AsyncSession`. Raises ConfigurationError."""
        return self._adapter("niquests")

    def __call__(self, request: object) -> Any:
        """Clients call what they were given as `auth=`: that is an adapter, no session. Raises ConfigurationError."""
        theirs = type(request).__module__.partition(".")[0]
        right = f"session.{theirs}" if theirs in clients.ADAPTERS else "session.requests, session.httpx or their like"
        raise ConfigurationError(f"auth= was given the session itself: write auth={right}")

    def _adapter(self, library: str) -> Any:
        adapter = getattr(self, f"_{library}")
        if adapter is None:
            adapter = clients.adapter(library, self)
            setattr(self, f"_{library}", adapter)
            self.keeper.library = self.keeper.library or library
        return adapter

    @property
    def held(self) -> Held:
        """The grant for plain requests; `BARE` while there is none."""
        return self.keeper.held

    # --- tokens -------------------------------------------------------------------------------------------------------

    def token(self) -> Token:
        """The token, fresh: renewed or logged in for first if need be. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or _flight(entry).wait()).grant.token

    async def atoken(self) -> Token:
        """`token` for event loops (asyncio, trio): waits without blocking them. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or await _flight(entry).wait_async()).grant.token

    def headers(self, url: str) -> dict[str, str]:
        """The headers, cookies included, that a request to `url` must carry: for tools that take no `auth=`.

        They are good until the token ends. What an adapter does besides, these tools do not: rewrite the URL, act upon
        a rejection, keep the token from where a redirect leads. A WebSocket's URL (`wss://`) will do as well.

        Raises AuthFlowError; UntrustedOrigin for a URL at which the token must not be presented, ConfigurationError if
        this vendor wants it in the query or the body.
        """
        entry = self.enter(url)
        held = entry.held or self.admit(_flight(entry).wait(), entry.url)
        presentation = held.presentation
        if presentation.query or presentation.json or presentation.form:
            raise ConfigurationError(
                f"{self.vendor.title}: the token travels in the query or the body, and not in headers alone: "
                f"use an adapter (auth=session.requests, …), or session.token()",
                vendor=self.vendor.name,
            )
        cookies = {"Cookie": cookie_header(None, presentation.cookies)} if presentation.cookies else {}
        return {**dict(presentation.headers), **cookies}

    def login(self) -> Token:
        """Log in from the start, whatever is known, and whatever was refused before. Raises AuthFlowError."""
        return self.keeper.login().grant.token

    def logout(self) -> None:
        """Forget the token here and in the store, and tell the vendor if the file says how. Raises AuthFlowError."""
        self._slots.clear()
        self.keeper.logout()

    def status(self) -> Status:
        """What is known now; asks neither the vendor nor the store."""
        held = self.held
        grant = held.grant if held is not BARE else None
        return Status(
            self.vendor.name,
            self.keeper.account,
            grant.state if grant else self.vendor.flow.start,
            grant.issued_at if grant else None,
            grant.expires_at if grant else None,
            type(self.keeper.store).__name__,
        )

    def record(self, title: str = "") -> Recording:
        """Write down what happens, for a page: `with session.record() as seen: …`, then `seen.save("login.html")`."""
        from authflow.record import Recording

        return Recording(self, title)

    def close(self) -> None:
        """Nothing is kept open between requests; this is for symmetry with clients."""

    def __enter__(self) -> AuthSession:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        options = {
            "vendor": self._named,
            "store": self._stored,
            "clock": self.clock,
            "timeout": self.keeper.timeout,
            "untrusted": "pass" if self._passes else "raise",
            "on_store_failure": "degrade" if self.keeper.degrade else "raise",
        }
        inputs = self.vendor.inputs
        given = {
            name: value
            for name, value in self._given.items()
            if name not in inputs or inputs[name].default != value  # whoever reads it has defaults of their own
        }
        return {**options, **given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

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


def _flight(entry: Entry) -> Flight[Held]:
    assert entry.flight is not None
    return entry.flight


def _entry(url: str, wanted: Held | Flight[Held]) -> Entry:
    return Entry(url, None, wanted) if isinstance(wanted, Flight) else Entry(url, wanted)


@lru_cache(maxsize=256)
def _statuses(vendor: Vendor) -> tuple[Container[int], Container[int]]:
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


__all__ = ["AuthSession", "Entry", "Status"]
