"""AuthSession: the session manager that every client asks.

It is made from what a user types, gives each library its adapter, and gives out tokens. What the adapters ask on a
request's walk is answered by `RequestWalk`, and what is held is kept by the `Keeper`.

What a session holds is published in one assignment and never changed in place; no lock is held while anybody waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from authflow import clients, plugins
from authflow.bag import Sealed
from authflow.clients.base import cookie_header
from authflow.errors import ConfigurationError, sealed
from authflow.held import BARE
from authflow.identity import complete
from authflow.keeper import Keeper
from authflow.signing import Signer
from authflow.stores import open_store
from authflow.stores.memory import MemoryStore
from authflow.token import Token
from authflow.trust import check_settings
from authflow.walk import RequestWalk, flight_of, statuses_of

if TYPE_CHECKING:
    import os

    from authflow.record import Recording
    from authflow.stores.base import Store
    from authflow.vendor import Vendor


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


class AuthSession(RequestWalk):
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
        seconds: Any = timeout
        if not isinstance(seconds, int | float) or not seconds > 0:
            raise ConfigurationError(f"timeout= is a number of seconds, not {timeout!r}")
        self._named, self._stored = vendor, store
        self.vendor = plugins.find_vendor(vendor)
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
        self.statuses, self.noteworthy = statuses_of(self.vendor)
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

    # --- tokens -------------------------------------------------------------------------------------------------------

    def token(self) -> Token:
        """The token, fresh: renewed or logged in for first if need be. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or flight_of(entry).wait()).grant.token

    async def atoken(self) -> Token:
        """`token` for event loops (asyncio, trio): waits without blocking them. Raises AuthFlowError."""
        entry = self.enter(None)
        return (entry.held or await flight_of(entry).wait_async()).grant.token

    def headers(self, url: str) -> dict[str, str]:
        """The headers, cookies included, that a request to `url` must carry: for tools that take no `auth=`.

        They are good until the token ends. What an adapter does besides, these tools do not: rewrite the URL, act upon
        a rejection, keep the token from where a redirect leads. A WebSocket's URL (`wss://`) will do as well.

        Raises AuthFlowError; UntrustedOrigin for a URL at which the token must not be presented, ConfigurationError if
        this vendor wants it in the query or the body.
        """
        entry = self.enter(url)
        held = entry.held or self.admit(flight_of(entry).wait(), entry.url)
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


__all__ = ["AuthSession", "Status"]
