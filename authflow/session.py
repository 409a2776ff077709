"""AuthSession: what users make and call. It has a session manager, which the adapters ask.

It checks what a user typed, puts the parts together, gives each library its adapter, and gives out tokens. All that
thinks is in `manager`.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal

from authflow import clients, plugins
from authflow.accounts import ANONYMOUS, Grant, Token, check_identity, check_settings, complete
from authflow.clients import cookie_header
from authflow.clock import wall_clock
from authflow.errors import ConfigurationError
from authflow.manager import SessionManager
from authflow.renewing import Environment, Signers, asking, pause
from authflow.sealed import Sealed, sealed_call, sealed_value
from authflow.stores import PROCESS_REFUSALS, MemoryStore, open_store
from authflow.vendors import Given

if TYPE_CHECKING:
    from aiohttp import ClientMiddlewareType
    from httpx import Auth as HttpxAuth
    from httpx2 import Auth as Httpx2Auth
    from niquests.auth import AuthBase as NiquestsAuth
    from requests.auth import AuthBase as RequestsAuth

    from authflow.recording import Recording
    from authflow.stores import Store
    from authflow.vendors import Vendor


@dataclass(frozen=True, slots=True)
class Status:
    """What a session knows, for people. Times are epoch seconds.

    vendor      the vendor's name                    issued_at   when its token was granted, or None: there is none
    account     who is logged in, as a hash          expires_at  when it ends, or None: not known to end
    state       the state of the vendor's flow       store       the class of the store
    strangers   undeclared origins that redirects led to, which were followed without the token
    """

    vendor: str
    account: str
    state: str
    issued_at: float | None
    expires_at: float | None
    store: str
    strangers: tuple[str, ...] = ()


@sealed_value
class _Made(Sealed):
    """How a session was made, beside settings and credentials; another process makes it so again."""

    vendor: Any
    store: Any
    client: Any
    clock: Callable[[], float]
    timeout: float
    untrusted: str
    on_store_failure: str
    identity: str | None
    ask: Any


class AuthSession:
    """Logs in and stays logged in, for every client, thread and task that it is given to.

        session = authflow.AuthSession("supplier", username="…", password="…", store="file")
        requests.get(url, auth=session.requests)

    vendor            an installed vendor's name, a path to a vendor file, a mapping like one, or a `Vendor`
    store             where tokens are kept: "memory", "file", a folder, "keyring", "redis://…", or a `Store`
    client            a synchronous client that sends the exchanges, with its proxies and certificates; left out: a new
                      one, of the library in use
    clock             a function that returns epoch seconds
    timeout           seconds that one renewal may take: a login or a refresh, with all its exchanges
    untrusted         what a request to an undeclared origin does: "raise" UntrustedOrigin, or "pass" without the token
    on_store_failure  "raise" StoreError, or "degrade": go on without the store
    ask               asks a person, where a login needs one: "terminal", or a callable `ask(kind, text, url)`; kind is
                      "tell" (show the text), "open" (open the URL in a browser) or "enter" (return what is typed)
    identity          whose login it is, where the credentials do not say it: users of one store are told apart by it

    Everything else is a setting or credential of the vendor (`authflow vendors` lists them): text, or a callable that
    returns it. It is called when its value is needed: in the thread that waits, or in one of ours for tasks and for
    what is renewed ahead.

    Nothing is sent before the first request. You may share a session between threads and event loops, make it before a
    fork, and pickle it.

    Raises ConfigurationError and VendorFileError when it is made, other `AuthFlowError`s when it is used.
    """

    @sealed_call
    def __init__(
        self,
        vendor: str | os.PathLike[str] | Mapping[str, Any] | Vendor,
        *,
        store: str | os.PathLike[str] | Store = "memory",
        client: Any = None,
        clock: Callable[[], float] = wall_clock,
        timeout: float = 30.0,
        untrusted: Literal["raise", "pass"] = "raise",
        on_store_failure: Literal["raise", "degrade"] = "raise",
        identity: str | None = None,
        ask: Callable[[str, str, str], Any] | Literal["terminal"] | None = None,
        **settings_and_credentials: Any,
    ) -> None:
        if untrusted not in ("raise", "pass"):
            raise ConfigurationError(f"untrusted= is 'raise' or 'pass', not {untrusted!r}")
        if on_store_failure not in ("raise", "degrade"):
            raise ConfigurationError(f"on_store_failure= is 'raise' or 'degrade', not {on_store_failure!r}")
        seconds: Any = timeout
        if not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigurationError(f"timeout= is a number of seconds, not {timeout!r}")
        said = _findable(vendor), store, client, clock, timeout, untrusted, on_store_failure, identity, ask
        self._made = _Made(*said)
        self.vendor = plugins.find_vendor(vendor)
        self._given = complete(self.vendor, Given(settings_and_credentials))
        check_settings(self.vendor, self._given)
        hooks = plugins.implemented()
        environment = Environment(
            hooks,
            clients.default_sender,
            clients.sender_for(client) if client is not None else None,
            Signers.of(self.vendor, hooks.sign),
            clock,
            timeout,
            on_store_failure == "degrade",
            asking(ask),
            getattr(clock, "advance", pause),
        )
        kept = MemoryStore(PROCESS_REFUSALS) if store == "memory" else open_store(store, factories=plugins.stores())
        check_identity(self.vendor, identity, shared=getattr(kept, "shared", False))
        passes = untrusted == "pass"
        self._manager = SessionManager(self.vendor, self._given, kept, environment, passes=passes, identity=identity)
        self._adapters: dict[str, Any] | None = None
        self._pickling = 0

    def __repr__(self) -> str:
        if "_manager" not in vars(self):
            return "<AuthSession that was not made>"
        grant = self._manager.grants.current
        state = grant.record.state if grant is not ANONYMOUS else self.vendor.flow.start
        return f"<AuthSession {self.vendor.name}: {state}>"

    # --- the adapters -------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> RequestsAuth:
        """`auth=` for requests: a `requests.auth.AuthBase`. Raises ConfigurationError if that is not installed."""
        adapter: RequestsAuth = self._adapter("requests")
        return adapter

    @property
    def httpx(self) -> HttpxAuth:
        """`auth=` for httpx: an `httpx.Auth`, for `Client` and `AsyncClient`. Raises ConfigurationError."""
        adapter: HttpxAuth = self._adapter("httpx")
        return adapter

    @property
    def httpx2(self) -> Httpx2Auth:
        """`auth=` for httpx2: an `httpx2.Auth`, for `Client` and `AsyncClient`. Raises ConfigurationError."""
        adapter: Httpx2Auth = self._adapter("httpx2")
        return adapter

    @property
    def niquests(self) -> NiquestsAuth:
        """`auth=` for niquests: for `Session` and `AsyncSession`. Raises ConfigurationError."""
        adapter: NiquestsAuth = self._adapter("niquests")
        return adapter

    @property
    def aiohttp(self) -> ClientMiddlewareType:
        """A middleware: `aiohttp.ClientSession(middlewares=[session.aiohttp])`. Raises ConfigurationError."""
        adapter: ClientMiddlewareType = self._adapter("aiohttp")
        return adapter

    if not TYPE_CHECKING:  # type checkers shall refuse a session as `auth=`; at run time the error names what to write

        def __call__(self, request: object, handler: object = None) -> Any:
            """Clients call what they were given as `auth=`: that is an adapter, no session."""
            raise clients.wrong_adapter("the session itself", request)

    @sealed_call
    def _adapter(self, library: str) -> Any:
        adapters = self._adapters or {}
        if library not in adapters:
            adapters = self._adapters = {**adapters, library: clients.adapter(library, self._manager, self)}
            self._manager.grants.library = self._manager.grants.library or library
        return adapters[library]

    # --- tokens -------------------------------------------------------------------------------------------------------

    @sealed_call
    def token(self) -> Token:
        """A good token; logs in or renews it first where that is needed. Raises AuthFlowError."""
        return self._manager.authorize(None).wait().record.token

    @sealed_call
    async def atoken(self) -> Token:
        """`token` for event loops (asyncio, trio): waits without blocking them. Raises AuthFlowError."""
        return (await self._manager.authorize(None).wait_async()).record.token

    @sealed_call
    def headers(self, url: str) -> dict[str, str]:
        """The headers, cookies included, that a request to `url` must carry: for tools that take no `auth=`.

        They are good until the token ends. Such tools do not do what an adapter does: rewrite the URL, renew a token
        that was rejected, keep it from where a redirect leads. A WebSocket's URL (`wss://`) works too.

        Raises AuthFlowError; UntrustedOrigin for a URL at which the token must not be presented, ConfigurationError if
        this vendor wants it in the query or the body, or if the URL is one that an adapter rewrites.
        """
        self._manager.judge_as_given(url := str(url))
        authorization = self._manager.authorize(url)
        return self._headers(authorization.grant or self._manager.admit(authorization.wait(), url), url)

    @sealed_call
    async def aheaders(self, url: str) -> dict[str, str]:
        """`headers` for event loops (asyncio, trio): waits without blocking them. Raises AuthFlowError."""
        self._manager.judge_as_given(url := str(url))
        authorization = self._manager.authorize(url)
        return self._headers(authorization.grant or self._manager.admit(await authorization.wait_async(), url), url)

    @sealed_call
    def values(self) -> dict[str, Any]:
        """What the vendor said at the login beside the token, by name: the names that the vendor file lists as `shown`.
        Logs in first if need be. Raises AuthFlowError.
        """
        values = self._manager.authorize(None).wait().values(self._manager.clock())
        return {name: values.get(name) for name in self.vendor.shown if values.get(name) is not None}

    def _headers(self, grant: Grant, url: str) -> dict[str, str]:
        self._manager.judge_as_given(url)  # once more: what a login has brought may rewrite it
        presentation = grant.presentation
        if grant.sign is not None or self._manager.signs:
            raise ConfigurationError(
                f"{self.vendor.title}: each request is signed: use an adapter (auth=session.requests, …)",
                vendor=self.vendor.name,
            )
        if presentation.query or presentation.in_body:
            raise ConfigurationError(
                f"{self.vendor.title}: the token travels in the query or the body, and not in headers alone: "
                f"use an adapter (auth=session.requests, …), or session.token()",
                vendor=self.vendor.name,
            )
        cookies = {"Cookie": cookie_header(None, presentation.cookies)} if presentation.cookies else {}
        return {**dict(presentation.headers), **cookies}

    @sealed_call
    def login(self) -> Token:
        """Log in from the start, even if the token is good or was refused before. Raises AuthFlowError."""
        return self._manager.grants.login().record.token

    @sealed_call
    def logout(self) -> None:
        """Forget the token here and in the store, and tell the vendor if the file says how. Raises AuthFlowError."""
        self._manager.logout()

    @sealed_call
    def status(self) -> Status:
        """What this session knows now; asks neither the vendor nor the store."""
        grants = self._manager.grants
        record = grants.current.record if grants.current is not ANONYMOUS else None
        return Status(
            self.vendor.name,
            grants.account,
            record.state if record else self.vendor.flow.start,
            record.issued_at if record else None,
            record.expires_at if record else None,
            type(grants.store).__name__,
            self._manager.strangers,
        )

    @sealed_call
    def record(self, title: str = "", *, secrets: bool = False) -> Recording:
        """Record what happens, as a page: `with session.record() as seen: …`, then `seen.save("login.html")`.

        `seen.save("login.har")` writes a capture; with `secrets`, it holds them, else a stand-in for each.
        """
        from authflow.recording import Recording

        return Recording(self._manager, title, secrets=secrets)

    def close(self) -> None:
        """Store what is to be stored; nothing is kept open between requests."""
        if self._manager.grants.kept is not None:
            self._manager.grants.kept.flush()

    def __enter__(self) -> AuthSession:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __copy__(self) -> AuthSession:
        return self

    def __deepcopy__(self, memo: object) -> AuthSession:
        """Itself: whoever copies a client copies its settings, and shall neither log in again nor lose `client=`."""
        return self

    def __getstate__(self) -> Given:
        if self._made.client is not None:
            try:
                if self._pickling == get_ident():
                    raise ValueError("the client= of this session is authorised by it")
                self._pickling = get_ident()
                pickle.dumps(self._made.client)
            except Exception as error:  # any class: whatever the client is made of may refuse
                raise ConfigurationError(
                    f"{self.vendor.title}: this session cannot be pickled, since its client= cannot: make a session "
                    "where it is needed, or leave client= out"
                ) from error
            finally:
                self._pickling = 0
        inputs = self.vendor.inputs
        given = {
            name: value
            for name, value in self._given.items()
            if name not in inputs or inputs[name].default != value  # whoever reads it has defaults of their own
        }
        return Given({**{name: getattr(self._made, name) for name in _Made._fields}, **given})

    def __setstate__(self, state: Given) -> None:
        self.__init__(**dict(state.items()))  # type: ignore[misc]


def _findable(vendor: Any) -> Any:
    """A path holds in another folder too."""
    is_path = vendor.endswith(".toml") if isinstance(vendor, str) else hasattr(vendor, "__fspath__")
    return os.path.abspath(vendor) if is_path else vendor


__all__ = ["AuthSession", "Status"]
