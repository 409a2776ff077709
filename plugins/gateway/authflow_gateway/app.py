"""The ASGI application: a request comes in with a key of ours, and goes out with the vendor's token.

    who calls? ─▶ which route? ─▶ what goes on ─▶ the vendor, through the account's session ─▶ what goes back

Bodies stream both ways, untouched: a caller that reads slowly slows the vendor down, and the other way round. Short
bodies are held, so that they can be sent again after a renewal. `/healthz` says that the process lives, `/readyz` that
each account has a token or can get one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as Path_
from starlette.types import Receive, Scope, Send

import authflow
from authflow.cli.accounts import open_account, read_accounts
from authflow.http import folder
from authflow_gateway import forwarding
from authflow_gateway.callers import HEADER, KEY, Callers, presented
from authflow_gateway.config import CONFIG_VARIABLE, Config, Route, read_config, wrong
from authflow_gateway.problems import of_error, problem
from authflow_gateway.sieve import Sieve
from authflow_gateway.wire import COOKIES, Cookies, Passed, TooLarge, body

log: Final = logging.getLogger("authflow_gateway")
audit: Final = logging.getLogger("authflow_gateway.audit")

#: A body up to this many bytes is held, and sent again after a renewal.
HELD: Final = 64 << 10
#: Seconds that `/readyz` waits for a vendor.
READY_WITHIN: Final = 10.0
#: Every so many seconds a request that takes long is asked whether its caller's key is still good.
WATCHED: Final = 2.0
UNKNOWN: Final = (401, "caller-unknown", "This gateway does not know you.")


DENIED: Final = {
    400: "This path could be read in two ways.",
    403: "This is not allowed here.",
    404: "There is nothing here.",
    405: "This method is not allowed here.",
}


class Vendor:
    """One account: its session, and the client that carries it."""

    def __init__(self, session: authflow.AuthSession) -> None:
        self.session, self.sieve = session, Sieve(session)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
        hooks = {"request": [self._judge]}
        self.client = httpx.AsyncClient(auth=session.httpx, limits=limits, cookies=Cookies(), event_hooks=hooks)

    async def base_url(self) -> str:
        """Where the vendor is; some say so only at the login. Raises authflow.AuthFlowError."""
        manager = self.session._manager
        grant = manager.grants.current
        if grant.vendor is None:  # there is none yet, or it is being renewed
            authorization = manager.authorize(None)
            grant = authorization.grant or await authorization.wait_async()
        return folder(grant.base_url)

    def shows(self, sent: httpx.Request) -> Callable[[str], bool]:
        """Does a text of the answer to this request show a secret?"""
        self.sieve.knows(sent, sent.extensions.get("authflow_gateway.callers", ()))
        return self.sieve.shows

    async def _judge(self, request: httpx.Request) -> None:
        """Nothing leaves for an origin that the vendor file does not declare, not even without the token."""
        if request.extensions.get("authflow_gateway.asked") != str(request.url):
            try:
                await self.session.aheaders(str(request.url))
            except authflow.ConfigurationError:
                return  # declared, and rewritten where a caller asks for it


def create_app(
    config: Config, *, sessions: Mapping[str, authflow.AuthSession] | None = None, file: str = ""
) -> Starlette:
    """The application, for any ASGI server. `sessions` by account, where they are not the accounts file's; `file` is
    what the configuration was read from, for messages.

    Raises authflow.AuthFlowError: an account that is unknown, or a vendor file that is not right.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each URL, with the query
    vendors = {name: Vendor(session) for name, session in (sessions or _sessions(config, file)).items()}
    for number, route in enumerate(config.routes):
        if route.account not in vendors:
            reason = f"there is no account {route.account!r} (there are {', '.join(vendors) or 'none'})"
            raise wrong(file, f"routes.{number}.account", reason)
    gateway = Gateway(config, vendors)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for vendor in vendors.values():
                await stack.enter_async_context(vendor.client)
            yield
        for vendor in vendors.values():
            vendor.session.close()

    routes = [Path_("/healthz", gateway.alive), Path_("/readyz", gateway.ready)]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.default = app.state.gateway = gateway
    app.router.redirect_slashes = False
    return app


def app_from_environment() -> Starlette:
    """For `uvicorn --factory` and the like: the file that AUTHFLOW_GATEWAY_CONFIG names."""
    file = os.environ.get(CONFIG_VARIABLE, "gateway.toml")
    return create_app(read_config(file), file=file)


def _sessions(config: Config, file: str) -> dict[str, authflow.AuthSession]:
    if config.accounts is not None and not Path(config.accounts).exists():
        raise wrong(file, "accounts", f"{config.accounts}: there is no such file")
    wanted = {route.account for route in config.routes}
    try:
        accounts = read_accounts(Path(config.accounts) if config.accounts is not None else None)
        return {name: open_account(one, _nobody).session() for name, one in accounts.items() if name in wanted}
    except authflow.ConfigurationError as error:
        told = re.fullmatch(r"(.+\.toml): (accounts[\w.-]*): (.+)", str(error), re.S)
        raise (wrong(told[1], told[2], told[3]) if told is not None else error) from None


def _nobody(name: str, title: str, hidden: bool) -> str:
    raise authflow.ConfigurationError(
        f"{title} is needed, and a gateway asks nobody: say in the accounts file where to get it"
    )


class Revoked(Exception):
    """The caller's key has been revoked while its request was under way."""


class Gateway:
    """Who calls, what may be asked, and the way there and back."""

    def __init__(self, config: Config, vendors: Mapping[str, Vendor]) -> None:
        self.config, self.vendors = config, vendors
        self.callers = Callers(config.keys)

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def ready(self, request: Request) -> Response:
        used = {route.account for route in self.config.routes}
        good = await asyncio.gather(*map(self._has_token, used))
        wrong = [name for name, has in zip(used, good, strict=True) if not has]
        if wrong:
            log.warning("not ready: %s", ", ".join(sorted(wrong)))
            return problem(503, "not-ready", "Not every account has a token.", retry_after=5, who="operator")
        return PlainTextResponse("ready\n")

    async def _has_token(self, name: str) -> bool:
        vendor = self.vendors[name]
        try:
            async with asyncio.timeout(READY_WITHIN):
                await vendor.session.atoken()
        except (authflow.AuthFlowError, TimeoutError) as error:
            log.warning("%s: %s", name, error)
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        began, caller = time.monotonic(), self._caller(request)
        path = scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"]
        response = None
        try:
            with self._while_known(request):
                response = await self._answer(request, caller, path)
                await response(scope, receive, send)
        except Revoked:
            if response is None:
                response = problem(*UNKNOWN)
                await response(scope, receive, send)
        finally:
            status = response.status_code if response is not None else None
            shown = KEY.sub("agw_***", path[:500])
            facts = {"caller": caller, "method": request.method, "path": shown, "status": status}
            audit.info("%s", json.dumps({**facts, "seconds": round(time.monotonic() - began, 4)}))

    @contextmanager
    def _while_known(self, request: Request) -> Iterator[None]:
        """What takes long ends when its caller's key is revoked, a stream too. Raises Revoked."""
        loop, task, revoked = asyncio.get_running_loop(), asyncio.current_task(), False
        timer = loop.call_later(WATCHED, lambda: look())

        def look() -> None:
            nonlocal revoked, timer
            if revoked := self._caller(request) is None:
                timer.cancel()
                if task is not None:
                    task.cancel()
            else:
                timer = loop.call_later(WATCHED, look)

        try:
            yield
        except asyncio.CancelledError:
            if not revoked or task is None or task.uncancel():
                raise
            raise Revoked from None
        finally:
            timer.cancel()

    def _caller(self, request: Request) -> str | None:
        if self.config.socket_needs_no_key and self.config.listen.startswith("unix:"):
            return "socket"
        key = presented(request.headers.get("authorization"), request.headers.get(HEADER))
        return self.callers.named(key) if key else None

    async def _answer(self, request: Request, caller: str | None, path: str) -> Response:
        if caller is None:
            return problem(*UNKNOWN)
        if {"content-length", "transfer-encoding"} <= set(request.headers):  # RFC 9112 §6.3: it may be smuggled
            return problem(400, "not-allowed", "This body has two lengths.")
        query = request.scope.get("query_string", b"").decode("latin-1")
        taken = forwarding.route(self.config.routes, request.method, path, caller)
        if not isinstance(taken, int) and "#" in query:
            taken = 400
        if not isinstance(taken, int) and forwarding.other_method(query, taken.route.methods):
            taken = 405
        if isinstance(taken, int):
            return problem(taken, "not-allowed", DENIED[taken])
        vendor = self.vendors[taken.route.account]
        COOKIES.set({})
        try:
            base_url = await vendor.base_url()
            asked = await self._asked(request, taken, base_url, query)
            follow = taken.route.redirects == "follow"
            answer = await vendor.client.send(asked, stream=True, follow_redirects=follow)
        except TooLarge:
            return problem(413, "too-large", f"This gateway takes at most {taken.route.max_body} bytes of body.")
        except (ClientDisconnect, TimeoutError):
            return problem(408, "too-slow", "The body did not come in time.")
        except authflow.AuthFlowError as error:
            log.warning("%s: %s", taken.route.account, error)
            return of_error(error)
        except httpx.TimeoutException:
            return problem(504, "vendor-unavailable", "The vendor did not answer in time.", retry_after=5, who="nobody")
        except (httpx.TooManyRedirects, httpx.InvalidURL, httpx.StreamError) as error:
            log.warning("%s: %s", taken.route.account, type(error).__name__)
            return problem(502, "vendor-answer", "The vendor's redirects cannot be followed.", who="operator")
        except httpx.HTTPError as error:
            log.warning("%s: %s", taken.route.account, type(error).__name__)
            return problem(502, "vendor-unavailable", "The vendor cannot be reached.", retry_after=5, who="nobody")
        return await self._passed_on(answer, asked, base_url, taken, vendor)

    async def _asked(self, request: Request, taken: forwarding.Taken, base_url: str, query: str) -> httpx.Request:
        """The caller's request as the vendor gets it. Raises TooLarge, TimeoutError."""
        url = base_url + taken.rest + (f"?{query}" if query else "")
        known, host = request.client.host if request.client else "unknown", request.headers.get("host", "")
        said = forwarding.forwarded(known, host, request.url.scheme) if taken.route.forwarded else ""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
        content = await self._body(request, taken.route)
        sent = forwarding.to_vendor(pairs, said)
        extensions: dict[str, Any] = {
            "timeout": httpx.Timeout(taken.route.timeout).as_dict(),
            "authflow_gateway.asked": url,
        }
        extensions["authflow_gateway.callers"] = [value for _, value in sent] + [value for _, value in parse_qsl(query)]
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]
        asked = httpx.Request(request.method, url, headers=lines, content=content, extensions=extensions)
        asked.headers.encoding = "latin-1"
        return asked

    async def _body(self, request: Request, route: Route) -> bytes | AsyncIterator[bytes] | None:
        length = request.headers.get("content-length")
        if length is None and "transfer-encoding" not in request.headers:
            return None
        if length is not None and int(length) > route.max_body:
            raise TooLarge
        parts = body(request, route)
        if length is not None and int(length) <= HELD:
            return b"".join([part async for part in parts])
        return parts

    async def _passed_on(
        self, answer: httpx.Response, asked: httpx.Request, base_url: str, taken: forwarding.Taken, vendor: Vendor
    ) -> Response:
        if answer.status_code == 401:
            await answer.aclose()
            return problem(502, "vendor-refused", "The vendor refuses the account's token for this.", who="operator")
        if answer.status_code > 599:
            await answer.aclose()
            return problem(502, "vendor-answer", "The vendor answered with a status that is none.", who="operator")
        came = str(answer.url)
        first = came if answer.history else str(asked.extensions["authflow_gateway.asked"])

        def leads(location: str) -> str | None:
            return forwarding.located(location, first, came, base_url, taken.route.prefix)

        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers.raw]
        kept = forwarding.to_caller(headers, leads, vendor.shows(answer.request))
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in kept]
        return Passed(answer, pairs, taken.route)
