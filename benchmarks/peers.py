"""The contenders: the floor, authflow, and what a user would pick instead, each set up as its documentation recommends.

    Contender(token_url, gate)    a client whose requests to `near_end.URL` end at the gate, and whose exchanges go to
                                  the token endpoint; user, password, client id and secret are the same for all
    seed(grant)                   for those that can only renew: the pair that somebody else's login has brought
    get() / aget()                one request, its status
    hooked(times) / ahooked       seconds for `times` runs of the auth hook alone, from the bare request to the answer;
                                  `prepared` requests are made before, for those who count instructions

`renews` is None for those that do nothing about expiry. Where a library has no HTTP client of its own (botocore), the
header is written by hand; where it asks for a callable that fetches the token (azure-core, singleflight-auth), the
callable is the one in its documentation: one POST, no lock.
"""

from __future__ import annotations

import datetime
import importlib
import io
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from benchmarks.measure import NIQUESTS, PEERS, clock
from benchmarks.near_end import (
    BODY,
    ORIGIN,
    URL,
    Gate,
    aiohttp_session,
    httpx_options,
    requests_adapter,
    requests_session,
)

CLIENT_ID: Final = "client"
CLIENT_SECRET: Final = "client-secret"
USERNAME: Final = "demo"
PASSWORD: Final = "open-sesame"
VENDOR: Final = {"extends": "oauth2-password", "name": "bench", "title": "The endpoint", "base_url": f"{ORIGIN}/v1/"}

Grant = Mapping[str, Any]


class Contender:
    """What all have in common. Subclasses say `name`, `client` and `distribution`."""

    name: ClassVar[str] = ""
    client: ClassVar[str] = ""
    distribution: ClassVar[str] = ""
    #: The environment in which it lives.
    python: ClassVar[Path] = PEERS
    #: How it gets a token when it needs one; None: it does not.
    renews: ClassVar[str | None] = "refresh"
    #: Does it log in by itself?
    logs_in: ClassVar[bool] = False
    #: Does it know when a token ends? Else it acts when one is refused.
    minds_expiry: ClassVar[bool] = True
    is_async: ClassVar[bool] = False
    #: Can it be told how long before its end a token counts as expired?
    takes_leeway: ClassVar[bool] = False

    def __init__(self, token_url: str, gate: Gate, leeway: int | None = None) -> None:
        self.token_url = token_url
        self.gate = gate
        self.leeway = leeway
        self.make()

    def early(self, name: str) -> dict[str, int]:
        """The leeway under the name that this library gives to it; nothing where its own default shall hold."""
        return {} if self.leeway is None else {name: self.leeway}

    def make(self) -> None:
        """Build the client."""

    def seed(self, grant: Grant) -> None:
        """Take a pair of tokens over."""

    def get(self) -> int:
        raise NotImplementedError

    async def aget(self) -> int:
        raise NotImplementedError

    def hooked(self, times: int, prepared: int = 0) -> float:
        raise NotImplementedError

    async def ahooked(self, times: int, prepared: int = 0) -> float:
        raise NotImplementedError


# --- by client --------------------------------------------------------------------------------------------------------


class _Requests(Contender):
    client = "requests"
    auth: Any = None
    session: Any = None

    def get(self) -> int:
        return int(self.session.get(URL, auth=self.auth, timeout=60).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        """The hook is called with a prepared request, and what it registered there with the answer."""
        pairs = _answered(importlib.import_module(self.client), max(times, prepared))[:times]
        auth = self.hook
        started = clock()
        for request, response in pairs:
            auth(request)
            for listen in request.hooks["response"]:
                listen(response)
        return clock() - started

    @property
    def hook(self) -> Callable[[Any], Any]:
        hook: Callable[[Any], Any] = self.auth
        return hook


def _answered(lib: Any, times: int) -> list[tuple[Any, Any]]:
    """Prepared requests, each with its answer, as it is when listeners are called: come, and not read."""
    pairs = []
    for _ in range(times):
        response = lib.Response()
        response.request, response.status_code = lib.Request("GET", URL).prepare(), 200
        response.raw = io.BytesIO(BODY)
        pairs.append((response.request, response))
    return pairs


class _Httpx(Contender):
    client = "httpx"
    library = "httpx"
    auth: Any = None
    http: Any = None

    def make(self) -> None:
        self.lib: Any = importlib.import_module(self.library)
        self.auth = self.make_auth()
        kind = self.lib.AsyncClient if self.is_async else self.lib.Client
        self.http = kind(auth=self.auth, **httpx_options(self.gate, self.lib, is_async=self.is_async))

    def make_auth(self) -> Any:
        raise NotImplementedError

    def get(self) -> int:
        return int(self.http.get(URL).status_code)

    async def aget(self) -> int:
        return int((await self.http.get(URL)).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        response = self.lib.Response(200)
        made = [self.lib.Request("GET", URL) for _ in range(max(times, prepared))][:times]
        auth = self.auth
        started = clock()
        for request in made:
            flow = auth.sync_auth_flow(request)
            next(flow)
            try:
                flow.send(response)
            except StopIteration:
                continue
        return clock() - started

    async def ahooked(self, times: int, prepared: int = 0) -> float:
        response = self.lib.Response(200)
        made = [self.lib.Request("GET", URL) for _ in range(max(times, prepared))][:times]
        auth = self.auth
        started = clock()
        for request in made:
            flow = auth.async_auth_flow(request)
            await anext(flow)
            try:
                await flow.asend(response)
            except StopAsyncIteration:
                continue
        return clock() - started


class _Aiohttp(Contender):
    client, is_async = "aiohttp", True
    http: Any = None
    maker: Any = None

    def make_middleware(self) -> Any:
        raise NotImplementedError

    def make(self) -> None:
        self.middleware = self.make_middleware()

    async def aget(self) -> int:
        if self.http is None:  # it wants a running loop
            self.http = aiohttp_session(self.gate, self.middleware)
        async with self.http.get(URL) as answer:
            return int(answer.status)

    async def ahooked(self, times: int, prepared: int = 0) -> float:
        import aiohttp
        import yarl

        made = [await self._request(aiohttp, yarl.URL(URL)) for _ in range(max(times, prepared))][:times]
        response = SimpleNamespace(status=200)

        async def handler(request: Any) -> Any:
            return response

        middleware = self.middleware
        started = clock()
        for request in made:
            await middleware(request, handler)
        return clock() - started

    async def _request(self, lib: Any, url: Any) -> Any:
        """A request as aiohttp makes it for its middlewares."""
        made: list[Any] = []

        async def stop(request: Any, handler: Any) -> Any:
            made.append(request)
            raise LookupError

        if self.maker is None:
            self.maker = lib.ClientSession(trust_env=False)
        with suppress(LookupError):
            await self.maker.get(url, middlewares=(stop,))
        return made[0]


# --- the floor --------------------------------------------------------------------------------------------------------


class FloorRequests(_Requests):
    """The least that one can write by hand."""

    name, renews = "floor", None

    def make(self) -> None:
        import requests

        class Floor(requests.auth.AuthBase):
            header = "Bearer " + "0" * 40

            def __call__(self, request: Any) -> Any:
                request.headers["Authorization"] = self.header
                return request

        self.session, self.auth = requests_session(self.gate), Floor()


class ListeningRequests(FloorRequests):
    """The floor, and a listener that does nothing: what requests takes for hearing of answers at all, as of a 401."""

    name, minds_expiry = "floor that listens", False

    def make(self) -> None:
        super().make()
        self.auth = _listening(self.client)


def _listening(library: str) -> Any:
    base: Any = importlib.import_module(f"{library}.auth").AuthBase

    class Listening(base):  # type: ignore[misc]
        header = "Bearer " + "0" * 40

        def __call__(self, request: Any) -> Any:
            request.headers["Authorization"] = self.header
            request.hooks["response"].append(listen)
            return request

    def listen(response: Any, **kwargs: Any) -> None:
        """Nothing is done."""

    return Listening()


class FloorHttpx(_Httpx):
    name, renews = "floor", None

    def make_auth(self) -> Any:
        class Floor(self.lib.Auth):  # type: ignore[misc,name-defined]
            header = "Bearer " + "0" * 40

            def auth_flow(self, request: Any) -> Any:
                request.headers["Authorization"] = self.header
                yield request

        return Floor()


class FloorAiohttp(_Aiohttp):
    name, renews = "floor", None

    def make_middleware(self) -> Any:
        header = "Bearer " + "0" * 40

        async def floor(request: Any, handler: Any) -> Any:
            request.headers["Authorization"] = header
            return await handler(request)

        return floor


class FloorHttpxAsync(FloorHttpx):
    client, is_async = "httpx async", True


class FloorHttpx2(FloorHttpx):
    client, library = "httpx2", "httpx2"


class FloorHttpx2Async(FloorHttpx2):
    client, is_async = "httpx2 async", True


# --- authflow ---------------------------------------------------------------------------------------------------------


def _session(token_url: str) -> Any:
    import authflow

    return authflow.AuthSession(
        VENDOR,
        token_url=token_url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        username=USERNAME,
        password=PASSWORD,
    )


class AuthflowRequests(_Requests):
    name, distribution, renews, logs_in = "authflow", "authflow-http", "refresh, then password", True

    def make(self) -> None:
        self.session, self.auth = requests_session(self.gate), _session(self.token_url).requests


class AuthflowHttpx(_Httpx):
    name, distribution, renews, logs_in = "authflow", "authflow-http", "refresh, then password", True

    def make_auth(self) -> Any:
        return getattr(_session(self.token_url), self.library)


class AuthflowAiohttp(_Aiohttp):
    name, distribution, renews, logs_in = "authflow", "authflow-http", "refresh, then password", True

    def make_middleware(self) -> Any:
        return _session(self.token_url).aiohttp


class AuthflowHttpxAsync(AuthflowHttpx):
    client, is_async = "httpx async", True


class AuthflowHttpx2(AuthflowHttpx):
    client, library = "httpx2", "httpx2"


class AuthflowHttpx2Async(AuthflowHttpx2):
    client, is_async = "httpx2 async", True


# --- Authlib ----------------------------------------------------------------------------------------------------------


class AuthlibRequests(_Requests):
    """`OAuth2Session` with `token_endpoint` and `update_token`: it refreshes by itself."""

    name, distribution, takes_leeway = "Authlib", "authlib", True

    def make(self) -> None:
        from authlib.integrations.requests_client import OAuth2Session

        self.session = requests_session(
            self.gate,
            OAuth2Session,
            CLIENT_ID,
            CLIENT_SECRET,
            token_endpoint=self.token_url,
            update_token=lambda *_, **__: None,
            **self.early("leeway"),
        )

    def seed(self, grant: Grant) -> None:
        self.session.token = {**grant, "expires_at": time.time() + grant["expires_in"]}

    def get(self) -> int:
        return int(self.session.get(URL, timeout=60).status_code)

    @property
    def hook(self) -> Callable[[Any], Any]:
        hook: Callable[[Any], Any] = self.session.token_auth
        return hook


class AuthlibHttpx2(_Httpx):
    name, distribution, takes_leeway = "Authlib", "authlib", True
    client, library = "httpx2", "httpx2"

    def make(self) -> None:
        from authlib.integrations import httpx_client

        self.lib = importlib.import_module(self.library)
        kind = httpx_client.AsyncOAuth2Client if self.is_async else httpx_client.OAuth2Client
        self.http = kind(
            CLIENT_ID,
            CLIENT_SECRET,
            token_endpoint=self.token_url,
            **self.early("leeway"),
            **httpx_options(self.gate, self.lib, is_async=self.is_async),
        )

    def seed(self, grant: Grant) -> None:
        self.http.token = {**grant, "expires_at": time.time() + grant["expires_in"]}

    def hooked(self, times: int, prepared: int = 0) -> float:
        response = self.lib.Response(200)
        made = [self.lib.Request("GET", URL) for _ in range(max(times, prepared))][:times]
        http = self.http
        started = clock()
        for request in made:
            http.ensure_active_token(http.token)
            flow = http.token_auth.sync_auth_flow(request)
            next(flow)
            try:
                flow.send(response)
            except StopIteration:
                continue
        return clock() - started

    async def ahooked(self, times: int, prepared: int = 0) -> float:
        response = self.lib.Response(200)
        made = [self.lib.Request("GET", URL) for _ in range(max(times, prepared))][:times]
        http = self.http
        started = clock()
        for request in made:
            await http.ensure_active_token(http.token)
            flow = http.token_auth.async_auth_flow(request)
            await anext(flow)
            try:
                await flow.asend(response)
            except StopAsyncIteration:
                continue
        return clock() - started


class AuthlibHttpx2Async(AuthlibHttpx2):
    client, is_async = "httpx2 async", True


# --- others over requests ---------------------------------------------------------------------------------------------


class RequestsOauthlib(_Requests):
    """`OAuth2Session` with `auto_refresh_url` and a `token_updater`."""

    name, distribution = "requests-oauthlib", "requests-oauthlib"

    def make(self) -> None:
        from requests_oauthlib import OAuth2Session

        self.session = requests_session(
            self.gate,
            OAuth2Session,
            CLIENT_ID,
            auto_refresh_url=self.token_url,
            auto_refresh_kwargs={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            token_updater=lambda _: None,
        )

    def seed(self, grant: Grant) -> None:
        self.session.token = {**grant, "expires_at": time.time() + grant["expires_in"]}

    def get(self) -> int:
        return int(self.session.get(URL, timeout=60).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        headers: dict[str, str] = {}
        add = self.session._client.add_token
        started = clock()
        for _ in range(times):
            add(URL, http_method="GET", body=None, headers=headers)
        return clock() - started


class RequestsOauth2client(_Requests):
    """`OAuth2ResourceOwnerPasswordAuth`: logs in, refreshes while it can."""

    name, distribution, renews, logs_in = "requests_oauth2client", "requests_oauth2client", "refresh", True
    takes_leeway = True

    def make(self) -> None:
        import requests_oauth2client as lib

        self.session = requests_session(self.gate)
        client = lib.OAuth2Client(
            token_endpoint=self.token_url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, testing=True
        )
        self.auth = lib.OAuth2ResourceOwnerPasswordAuth(
            client, username=USERNAME, password=PASSWORD, **self.early("leeway")
        )


class RequestsAuth(_Requests):
    """`OAuth2ResourceOwnerPasswordCredentials`."""

    name, distribution, renews, logs_in = "requests_auth", "requests_auth", "refresh, then password", True
    takes_leeway = True

    def make(self) -> None:
        from requests_auth import OAuth2ResourceOwnerPasswordCredentials

        self.session = requests_session(self.gate)
        self.auth = OAuth2ResourceOwnerPasswordCredentials(
            self.token_url, username=USERNAME, password=PASSWORD, **self.early("early_expiry")
        )


class GoogleAuth(_Requests):
    """`google.oauth2.credentials.Credentials` in an `AuthorizedSession`."""

    name, distribution = "google-auth", "google-auth"

    def seed(self, grant: Grant) -> None:
        from google.auth.transport.requests import AuthorizedSession
        from google.oauth2.credentials import Credentials

        ends = datetime.datetime.fromtimestamp(time.time() + grant["expires_in"], datetime.UTC).replace(tzinfo=None)
        self.credentials = Credentials(
            grant["access_token"],
            refresh_token=grant["refresh_token"],
            token_uri=self.token_url,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            expiry=ends,
        )
        self.session = requests_session(self.gate, AuthorizedSession, self.credentials)

    def get(self) -> int:
        return int(self.session.get(URL, timeout=60).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        headers: dict[str, str] = {}
        before = self.credentials.before_request
        started = clock()
        for _ in range(times):
            before(None, "GET", URL, headers)
        return clock() - started


class Botocore(_Requests):
    """`RefreshableCredentials`, whose lock and windows are its own; it has no hook, so the header is set by hand."""

    name, distribution = "botocore", "botocore"

    def make(self) -> None:
        import requests

        self.session, self.exchanges = requests_session(self.gate), requests.Session()
        self.exchanges.trust_env = False

    def seed(self, grant: Grant) -> None:
        from botocore.credentials import RefreshableCredentials

        self.refresh = grant["refresh_token"]
        self.credentials = RefreshableCredentials.create_from_metadata(
            self._metadata(grant), refresh_using=self._renew, method="custom"
        )

    def _metadata(self, grant: Grant) -> dict[str, str]:
        ends = datetime.datetime.fromtimestamp(time.time() + grant["expires_in"], datetime.UTC)
        token = grant["access_token"]
        return {"access_key": "a", "secret_key": "s", "token": token, "expiry_time": ends.isoformat()}

    def _renew(self) -> dict[str, str]:
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh}
        answer = self.exchanges.post(self.token_url, data=form, timeout=60)
        answer.raise_for_status()
        grant = answer.json()
        self.refresh = grant["refresh_token"]
        return self._metadata(grant)

    def get(self) -> int:
        bearer = self.credentials.get_frozen_credentials().token
        return int(self.session.get(URL, headers={"Authorization": f"Bearer {bearer}"}, timeout=60).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        frozen = self.credentials.get_frozen_credentials
        started = clock()
        for _ in range(times):
            _ = {"Authorization": f"Bearer {frozen().token}"}
        return clock() - started


class _Fetched:
    """A pair of tokens and the callable that renews it, as a user writes it for libraries that ask for one."""

    def __init__(self, token_url: str) -> None:
        import requests

        self.token_url = token_url
        self.grant: dict[str, Any] = {}
        self.http = requests.Session()
        self.http.trust_env = False

    def current(self) -> str:
        return str(self.grant["access_token"])

    def renew(self) -> str:
        refresh = self.grant.get("refresh_token")
        form = (
            {"grant_type": "refresh_token", "refresh_token": refresh}
            if refresh
            else {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        )
        answer = self.http.post(self.token_url, data=form, timeout=60)
        answer.raise_for_status()
        self.grant = answer.json()
        return self.current()


class SingleflightRequests(_Requests):
    """Acts on 401 alone: it does not know when a token ends."""

    name, distribution, minds_expiry = "singleflight-auth", "singleflight-auth", False

    def make(self) -> None:
        from singleflight_auth import RequestsSingleFlightAuth

        self.pair = _Fetched(self.token_url)
        self.session = requests_session(self.gate)
        self.auth = RequestsSingleFlightAuth(get_token=self.pair.current, refresh=self.pair.renew)

    def seed(self, grant: Grant) -> None:
        self.pair.grant = dict(grant)


class SingleflightHttpx(_Httpx):
    name, distribution, minds_expiry = "singleflight-auth", "singleflight-auth", False

    def make_auth(self) -> Any:
        from singleflight_auth import SingleFlightAuth

        self.pair = _Fetched(self.token_url)
        return SingleFlightAuth(get_token=self.pair.current, refresh=self.pair.renew)

    def seed(self, grant: Grant) -> None:
        self.pair.grant = dict(grant)


class SingleflightHttpxAsync(SingleflightHttpx):
    client, is_async = "httpx async", True

    def make_auth(self) -> Any:
        from singleflight_auth import AsyncSingleFlightAuth

        self.pair = _Fetched(self.token_url)
        return AsyncSingleFlightAuth(get_token=self.pair.current, refresh=self._renew)

    async def _renew(self) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": self.pair.grant["refresh_token"]}
        async with self.lib.AsyncClient(trust_env=False) as http:
            answer = await http.post(self.token_url, data=form)
        answer.raise_for_status()
        self.pair.grant = answer.json()
        return self.pair.current()


class _AzureCredential:
    """A `TokenCredential` as a user writes it."""

    def __init__(self, token_url: str) -> None:
        self.pair = _Fetched(token_url)

    def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        token = self.pair.renew()
        return AccessToken(token, int(time.time() + self.pair.grant["expires_in"]))


class _Azure(Contender):
    client = "azure-core pipeline"

    def make(self) -> None:
        from azure.core import PipelineClient
        from azure.core.pipeline.transport import RequestsTransport
        from azure.core.rest import HttpRequest

        self.request = HttpRequest
        self.policy = self.make_policy()
        transport = RequestsTransport(session=requests_session(self.gate), session_owner=False)
        self.http = PipelineClient(ORIGIN, policies=[self.policy], transport=transport)

    def make_policy(self) -> Any:
        raise NotImplementedError

    def get(self) -> int:
        return int(self.http.send_request(self.request("GET", URL)).status_code)

    def hooked(self, times: int, prepared: int = 0) -> float:
        from azure.core.pipeline import PipelineContext, PipelineRequest

        contexts = [PipelineContext(None) for _ in range(max(times, prepared))]
        made = [PipelineRequest(self.request("GET", URL), context) for context in contexts][:times]
        policy = self.policy
        started = clock()
        for request in made:
            policy.on_request(request)
        return clock() - started


class FloorAzure(_Azure):
    name, renews = "floor", None

    def make_policy(self) -> Any:
        from azure.core.pipeline.policies import SansIOHTTPPolicy

        class Floor(SansIOHTTPPolicy):  # type: ignore[misc]
            header = "Bearer " + "0" * 40

            def on_request(self, request: Any) -> None:
                request.http_request.headers["Authorization"] = self.header

        return Floor()


class AzureCore(_Azure):
    """`BearerTokenCredentialPolicy` in a `PipelineClient`."""

    name, distribution, renews, logs_in = "azure-core", "azure-core", "refresh (its credential)", True

    def make_policy(self) -> Any:
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy

        return BearerTokenCredentialPolicy(_AzureCredential(self.token_url), "scope")


# --- others over httpx ------------------------------------------------------------------------------------------------


class HttpxAuth(_Httpx):
    """`OAuth2ResourceOwnerPasswordCredentials`."""

    name, distribution, renews, logs_in = "httpx-auth", "httpx-auth", "refresh, then password", True
    takes_leeway = True

    def make_auth(self) -> Any:
        from httpx_auth import OAuth2ResourceOwnerPasswordCredentials

        return OAuth2ResourceOwnerPasswordCredentials(
            self.token_url, username=USERNAME, password=PASSWORD, **self.early("early_expiry")
        )


class HttpxAuthAsync(HttpxAuth):
    client, is_async = "httpx async", True


class McpProvider(_Httpx):
    """The MCP SDK's `ClientCredentialsOAuthProvider`, with the token storage that its documentation shows."""

    name, distribution, renews, logs_in = "MCP SDK", "mcp", "refresh, then client credentials", True
    client, library, is_async = "httpx2 async", "httpx2", True

    def make_auth(self) -> Any:
        from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider

        class Storage:
            tokens: Any = None
            client: Any = None

            async def get_tokens(self) -> Any:
                return self.tokens

            async def set_tokens(self, tokens: Any) -> None:
                self.tokens = tokens

            async def get_client_info(self) -> Any:
                return self.client

            async def set_client_info(self, client: Any) -> None:
                self.client = client

        issuer = self.token_url.removesuffix("/token")
        return ClientCredentialsOAuthProvider(issuer, Storage(), CLIENT_ID, CLIENT_SECRET, issuer=issuer)


# --- niquests, in an environment of its own ---------------------------------------------------------------------------


class _Niquests(_Requests):
    client, python = "niquests", NIQUESTS

    def make(self) -> None:
        import niquests

        self.session = niquests.Session()
        self.session.trust_env = False
        self.session.mount(ORIGIN, requests_adapter(self.gate, "niquests"))


class FloorNiquests(_Niquests):
    name, renews = "floor", None

    def make(self) -> None:
        import niquests

        super().make()

        class Floor(niquests.auth.AuthBase):  # type: ignore[misc]
            header = "Bearer " + "0" * 40

            def __call__(self, request: Any) -> Any:
                request.headers["Authorization"] = self.header
                return request

        self.auth = Floor()


class ListeningNiquests(FloorNiquests):
    name, minds_expiry = "floor that listens", False

    def make(self) -> None:
        super().make()
        self.auth = _listening(self.client)


class AuthflowNiquests(_Niquests):
    name, distribution, renews, logs_in = "authflow", "authflow-http", "refresh, then password", True

    def make(self) -> None:
        super().make()
        self.auth = _session(self.token_url).niquests


CONTENDERS: Final[tuple[type[Contender], ...]] = (
    FloorRequests,
    ListeningRequests,
    AuthflowRequests,
    AuthlibRequests,
    RequestsOauthlib,
    RequestsOauth2client,
    RequestsAuth,
    GoogleAuth,
    Botocore,
    SingleflightRequests,
    FloorAzure,
    AzureCore,
    FloorHttpx,
    AuthflowHttpx,
    HttpxAuth,
    SingleflightHttpx,
    FloorHttpxAsync,
    AuthflowHttpxAsync,
    HttpxAuthAsync,
    SingleflightHttpxAsync,
    FloorHttpx2,
    AuthflowHttpx2,
    AuthlibHttpx2,
    FloorHttpx2Async,
    AuthflowHttpx2Async,
    AuthlibHttpx2Async,
    McpProvider,
    FloorAiohttp,
    AuthflowAiohttp,
    FloorNiquests,
    ListeningNiquests,
    AuthflowNiquests,
)
BY_NAME: Final = {kind.__name__: kind for kind in CONTENDERS}
VERSIONED: Final = (
    "authflow-http",
    "requests",
    "urllib3",
    "httpx",
    "httpx2",
    "aiohttp",
    *sorted({kind.distribution for kind in CONTENDERS} - {"", "authflow-http"}),
)


def floor_of(kind: type[Contender]) -> type[Contender]:
    """The floor of the client that a contender uses."""
    return next(other for other in CONTENDERS if other.name == "floor" and other.client == kind.client)
