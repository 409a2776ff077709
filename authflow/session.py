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
import math
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from authflow import clients, plugins
from authflow.backoff import Backoff
from authflow.clients.base import cookie_header
from authflow.climber import Climber
from authflow.errors import AuthFlowError, ConfigurationError, CredentialsRefused, UntrustedOrigin, VendorUnavailable
from authflow.exchange import Outcome, judge
from authflow.exchanger import Exchanger
from authflow.flight import Flight, Flights
from authflow.flow import Failing, Presenting, Transition, absorb
from authflow.held import BARE, Held
from authflow.http import Answer, Origin, Request, origin_of, without_query
from authflow.identity import complete, record_key
from authflow.stores import open_store
from authflow.template import Mismatch
from authflow.token import Freshness, Token
from authflow.trust import check_settings, presents_at
from authflow.verification import Verifier

if TYPE_CHECKING:
    import os

    from authflow.clients.base import Sender
    from authflow.stores.base import Store
    from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: Seconds for which an event that a fresh token could not cure is the caller's own affair, per token and path.
FORBIDDEN_FOR: Final = 60.0
#: How much longer than a climb its waiters wait, for the store and for a busy machine, in seconds.
GRACE: Final = 5.0
#: How many grants a session keeps where `vary` tells several apart.
MOST_GRANTS: Final = 64
Slot = tuple[str, ...]


class Entry(NamedTuple):
    """What a request shall carry: a `Held`, or the flight that will bring one; and the URL to which it goes."""

    url: str
    held: Held | None
    flight: Flight[Held] | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What a session knows, for people: its state, and how long its token lasts (epoch seconds; None: not known to
    end).
    """

    vendor: str
    account: str
    state: str
    issued_at: float | None
    expires_at: float | None
    store: str


class AuthSession:
    """Logs in and stays logged in, for every client and thread that it is given to.

    `vendor` is a plugin's name, a path to a vendor file, a mapping, or a `Vendor`; `store` is `"memory"`, `"file"`, a
    folder, `"keyring"`, a URL, or a `Store`; `client` sends the exchanges (a synchronous client; by default one of
    the library in use); `clock` gives epoch seconds; `timeout` bounds one climb, in seconds. `untrusted="pass"` sends
    requests to undeclared origins without the token, instead of raising `UntrustedOrigin`.
    `on_store_failure="degrade"` goes on without a store that fails. All else are the vendor's settings and
    credentials: text, or a callable that returns it, asked when it is needed.

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
        self._arguments = {
            "vendor": vendor,
            "store": store,
            "clock": clock,
            "timeout": timeout,
            "untrusted": untrusted,
            "on_store_failure": on_store_failure,
            **settings_and_credentials,
        }
        for name, value, allowed in (
            ("untrusted", untrusted, ("raise", "pass")),
            ("on_store_failure", on_store_failure, ("raise", "degrade")),
        ):
            if value not in allowed:
                raise ConfigurationError(f"{name}= is {' or '.join(map(repr, allowed))}, not {value!r}")
        if not timeout > 0:
            raise ConfigurationError(f"timeout= is a number of seconds, not {timeout!r}")
        self.vendor: Final[Vendor] = plugins.find_vendor(vendor)
        self.clock = clock
        self._given = complete(self.vendor, settings_and_credentials)
        check_settings(self.vendor, self._given)
        self._passes = untrusted == "pass"
        self._store = open_store(store, factories=plugins.stores())
        self._sender: Sender | None = clients.sender_for(client) if client is not None else None
        self._library: str | None = None
        self._key = record_key(self.vendor, self._given)
        self._climber = Climber(
            self.vendor,
            self._given,
            self._store,
            Exchanger(self._exchanges, clock, timeout, Verifier(self._exchanges, clock)),
            self._observe,
            on_store_failure == "degrade",
        )
        # Whoever is asked for a password may take their time; a vendor may not.
        limit = math.inf if any(map(callable, self._given.values())) else timeout + GRACE
        self._flights: Flights[Held] = Flights(limit, self._late)
        self._backoff = Backoff(random.random)
        self._ahead = Backoff(random.random, first=30.0, most=300.0)
        self._jitter = random.random()
        self._grants: OrderedDict[Slot, Held] = OrderedDict()
        self._slots: OrderedDict[str, Slot] = OrderedDict()
        self._forbidden: dict[tuple[Any, ...], float] = {}
        self._adapters: dict[str, Any] = {}
        self._refusal: tuple[CredentialsRefused, float] | None = None
        self._hooks_rewrite = bool(plugins.manager().hook.authflow_rewrite_url.get_hookimpls())
        self._hooks_transition = bool(plugins.manager().hook.authflow_transition.get_hookimpls())
        #: Is every request of this vendor a plain one: no rewriting, no public patterns, one grant?
        self.plain = not (self.vendor.rewrites or self.vendor.public or self.vendor.vary or self._hooks_rewrite)
        #: The statuses of answers that may be events; None: any.
        self.statuses = _statuses(self.vendor)
        #: Must the body of an answer be looked into in order to know?
        self.needs_body = any(pattern.needs_body for _, pattern in self.vendor.answers)
        #: The grant for plain requests. Adapters read it; `BARE` while there is none.
        self.held: Held = BARE

    def __repr__(self) -> str:
        state = self.held.grant.state if self.held is not BARE else self.vendor.flow.start
        return f"<AuthSession {self.vendor.name}: {state}>"

    # --- the four adapters --------------------------------------------------------------------------------------------

    @property
    def requests(self) -> Any:
        """`auth=` for requests: a `requests.auth.AuthBase`."""
        return self._adapter("requests")

    @property
    def httpx(self) -> Any:
        """`auth=` for httpx: an `httpx.Auth`, for `Client` and `AsyncClient`."""
        return self._adapter("httpx")

    @property
    def httpx2(self) -> Any:
        """`auth=` for httpx2: an `httpx2.Auth`, for `Client` and `AsyncClient`."""
        return self._adapter("httpx2")

    @property
    def niquests(self) -> Any:
        """`auth=` for niquests: for `Session` and `AsyncSession`."""
        return self._adapter("niquests")

    def _adapter(self, library: str) -> Any:
        if library not in self._adapters:
            self._adapters[library] = clients.adapter(library, self)
            self._library = self._library or library
        return self._adapters[library]

    def _exchanges(self) -> Sender:
        if self._sender is None:
            self._sender = clients.default_sender(self._library)
        return self._sender

    # --- tokens -------------------------------------------------------------------------------------------------------

    def token(self) -> Token:
        """The token, fresh: renewed or logged in for first if need be. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or _landed(entry).wait()).grant.token

    async def atoken(self) -> Token:
        """`token` for event loops (asyncio, trio): waits without blocking them. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or await _landed(entry).wait_async()).grant.token

    def headers(self, url: str) -> dict[str, str]:
        """The headers, cookies included, that a request to `url` must carry: for tools that take no `auth=`.

        Raises AuthFlowError; UntrustedOrigin for a URL at which the token must not be presented.
        """
        entry = self.enter(url)
        held = entry.held or self.admit(_landed(entry).wait(), entry.url)
        cookies = {"Cookie": cookie_header(None, held.presentation.cookies)} if held.presentation.cookies else {}
        return {**dict(held.presentation.headers), **cookies}

    def login(self) -> Token:
        """Log in from the start, whatever is known, and whatever was refused before. Raises AuthFlowError."""
        self._backoff.reset()
        work = partial(self._climb, (), None, None, restart=True)
        return self._flights.join("login", lambda: None, work).wait().grant.token

    def logout(self) -> None:
        """Forget the token here and in the store, and tell the vendor if the file says how. Raises AuthFlowError."""
        held, self.held = self.held, BARE
        self._grants.clear()
        self._slots.clear()
        self._climber.logout(self._key, held.grant if held is not BARE else None)

    def status(self) -> Status:
        """What is known now; asks neither the vendor nor the store."""
        held = self.held
        grant = held.grant if held is not BARE else None
        return Status(
            self.vendor.name,
            self._key,
            grant.state if grant else self.vendor.flow.start,
            grant.issued_at if grant else None,
            grant.expires_at if grant else None,
            type(self._store).__name__,
        )

    def close(self) -> None:
        """Nothing is kept open between requests; this is for symmetry with clients."""

    def __enter__(self) -> AuthSession:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self._arguments

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    # --- the walk of a request ----------------------------------------------------------------------------------------

    def enter(self, url: str | None, request: Callable[[], Request] | None = None) -> Entry:
        """What a request to `url` shall carry (None: the token itself is wanted). Raises AuthFlowError.

        `request` gives the whole request, for the patterns of `public`.
        """
        slot: Slot = ()
        if url is not None:
            url = self._rewritten(url)
            slot = self._slots.get(_path(url), ()) if self.vendor.vary else ()
            if not self._trusted(url, self.held):
                return Entry(url, BARE)
            if self.vendor.public and request is not None and self._is_public(request()):
                return Entry(url, BARE)
        held = self._of(slot)
        now = self.clock()
        if held is BARE:
            return self._fly(url, slot, held, now)
        match held.windows.freshness(now):
            case Freshness.FRESH:
                return Entry(url or "", held.at(now))
            case Freshness.ADVISORY:
                if self._ahead.open(now):
                    self._renew_ahead(slot, held, now)
                return Entry(url or "", held.at(now))
        return self._fly(url, slot, held, now)

    def admit(self, held: Held, url: str) -> Held:
        """What a grant that was waited for gives to `url`: itself, or nothing where it must not go. Raises
        UntrustedOrigin.
        """
        return held if self._trusted(url, held) else BARE

    def trusts(self, held: Held, url: str) -> bool:
        """May the token be presented at this URL?"""
        try:
            return origin_of(url) in held.origins
        except ValueError:
            return False

    def hear(self, held: Held, url: str, answer: Answer, *, replayable: bool = True) -> Entry | None:
        """What the answer to a request that carried `held` means: None, or the grant with which to send it once more.

        A request that cannot be sent again gets None, and the token is renewed for the next one. Raises AuthFlowError.
        """
        event = self._event(held, answer)
        now = self.clock()
        if event is None:
            held.used(now)
            return None
        if self._forbidden.get((held.token_id, _path(url), event.name), 0.0) > now:
            return None
        slot = self._slot_of(held, event)
        if self.vendor.vary:
            self._remember(self._slots, _path(url), slot, 1024)
        current = self._of(slot)
        if current is not held and current is not BARE and current.windows.freshness(now) is not Freshness.MANDATORY:
            return Entry(url, current.at(now)) if replayable else None
        if (error := self._blocked(now)) is not None:
            raise error
        flight = self._flights.join(slot, partial(self._other, slot, held), partial(self._climb, slot, held, event))
        if not replayable and self._of(slot) is held:
            self._withdraw(slot)
        return Entry(url, None, flight) if replayable else None

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
            held = self.held
            bag = held.bag if held is not BARE else self._hold_start().bag
            for rewrite in self.vendor.rewrites:
                target = rewrite.apply(url, bag.base_url, bag)
                if target is not None:
                    url = target
                    break
        if self._hooks_rewrite:
            url = plugins.manager().hook.authflow_rewrite_url(vendor=self.vendor, url=url) or url
        return url

    def _hold_start(self) -> Held:
        from authflow.grant import Grant

        return self._held(Grant(self.vendor.flow.start))

    def _trusted(self, url: str, held: Held) -> bool:
        """Is the token allowed there? Raises UntrustedOrigin, unless such requests are to pass without it."""
        origins = held.origins if held is not BARE else presents_at(self.vendor, self._given, {})
        try:
            origin: Origin | None = origin_of(url)
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
        bag = (self.held if self.held is not BARE else self._hold_start()).bag
        for pattern in self.vendor.public:
            try:
                pattern.match(request, bag.base_url, bag)
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

    def _slot_of(self, held: Held, event: Outcome | None) -> Slot:
        values = absorb(held.grant.captured, event) if event is not None else held.grant.captured
        return tuple(str(values.get(name, "")) for name in self.vendor.vary)

    def _of(self, slot: Slot) -> Held:
        return self._grants.get(slot, BARE) if slot else self.held

    def _withdraw(self, slot: Slot) -> None:
        """Nobody waits for the renewal of a rejected grant, so the next request must."""
        if slot:
            self._grants.pop(slot, None)
        else:
            self.held = BARE

    def _fly(self, url: str | None, slot: Slot, held: Held, now: float) -> Entry:
        """Wait for a climb, unless the vendor is known to be down or the password to be refused."""
        error = self._blocked(now)
        if held is not BARE and held.valid(now) and (error is not None or self._ahead.failing(now)):
            return Entry(url or "", held.at(now))
        if error is not None:
            raise error
        flight = self._flights.join(slot, partial(self._other, slot, held), partial(self._climb, slot, held, None))
        return Entry(url or "", None, flight)

    def _blocked(self, now: float) -> AuthFlowError | None:
        """Why nothing may be sent now: the password was refused a moment ago, or the vendor is down."""
        refused = self._refusal
        if refused is not None and now < refused[1] and not any(map(callable, self._given.values())):
            error = refused[0].copy()
            error.retry_after = refused[1] - now
            return error
        return None if self._backoff.open(now) else self._backoff.error(now)

    def _late(self) -> AuthFlowError:
        return VendorUnavailable(f"{self.vendor.title}: no end within the time-out", vendor=self.vendor.name)

    def _other(self, slot: Slot, held: Held) -> Held | None:
        """What another flight has published since `held` was read."""
        current = self._of(slot)
        return current if current is not held and current is not BARE else None

    def _renew_ahead(self, slot: Slot, held: Held, now: float) -> None:
        self._ahead.begun(now)
        work = partial(self._climb, slot, held, None)
        self._flights.join(slot, partial(self._other, slot, held), work)

    def _climb(self, slot: Slot, held: Held | None, event: Outcome | None, *, restart: bool = False) -> Held:
        """The work of a flight: climb, publish, and remember what failed."""
        presented = held.grant if held is not None and held is not BARE else None
        if presented is None and event is None and slot == () and self.held is not BARE:
            presented = self.held.grant
        key = record_key(self.vendor, self._given, slot)
        try:
            grant = self._climber.climb(key, presented, event, restart=restart)
        except AuthFlowError as error:
            now = self.clock()
            good = held is not None and held is not BARE and event is None and not restart and held.valid(now)
            if isinstance(error, CredentialsRefused) and error.retry_after is not None:
                self._refusal = error, now + error.retry_after
            elif isinstance(error, VendorUnavailable) or good:
                (self._ahead if good else self._backoff).failed(now, error.retry_after, error)
            if good and held is not None:
                log.info("%s: not renewed, and the token is still good: %s", self.vendor.name, error)
                return held
            raise
        self._backoff.reset()
        self._ahead.reset()
        self._refusal = None
        fresh = self._held(grant)
        if slot:
            self._remember(self._grants, slot, fresh, MOST_GRANTS)
        else:
            self.held = fresh
        return fresh

    def _held(self, grant: Any) -> Held:
        return Held.of(self.vendor, self._given, grant, self.clock(), self._jitter, plain=self.plain)

    @staticmethod
    def _remember(table: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
        table[key] = value
        table.move_to_end(key)
        while len(table) > most:
            table.popitem(last=False)

    def _observe(self, transition: Transition) -> None:
        log.debug("%s: %s --%s--> %s", self.vendor.name, *transition)
        if self._hooks_transition:
            plugins.manager().hook.authflow_transition(vendor=self.vendor, **transition._asdict())


def _landed(entry: Entry) -> Flight[Held]:
    assert entry.flight is not None
    return entry.flight


def _statuses(vendor: Vendor) -> frozenset[int] | None:
    """The statuses that an event could have, or None: any answer may be one, or each good use counts."""
    patterns: Iterable[frozenset[int] | None] = [pattern.status for _, pattern in vendor.answers]
    if vendor.idle is not None or any(statuses is None for statuses in patterns):
        return None
    return frozenset().union(*(statuses for statuses in patterns if statuses is not None))


def _path(url: str) -> str:
    return without_query(url)


__all__ = ["AuthFlowError", "AuthSession", "Entry", "Status"]
