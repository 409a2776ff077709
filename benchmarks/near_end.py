"""The clients' transports without a network: whatever a client sends arrives here at once and is answered at once.

A `Gate` is the vendor's data side. It answers 200 to whoever carries a token that is not refused, 401 to all others,
and remembers when the last good request came: so a benchmark sees what the layer above the transport costs, and a
token that was revoked is refused everywhere at the same instant.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

#: A declared origin that no name server knows: nothing that is sent there by mistake can arrive.
ORIGIN: Final = "https://api.vendor.test"
URL: Final = f"{ORIGIN}/v1/items?page=1"
BODY: Final = b'{"ok":true}'


class Gate:
    """Who may pass. `refused` holds the tokens that were revoked; `seen` is the one that came last."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.seen = ""
        self.passed = 0
        self.turned_away = 0
        self.last = 0.0

    def revoke(self) -> None:
        """From now on the token that came last is refused."""
        self.refused.add(self.seen)

    def status(self, authorization: str | None) -> int:
        token = (authorization or "")[7:]
        if not token or token in self.refused:
            self.turned_away += 1
            return 401
        self.passed += 1
        self.seen = token
        self.last = time.perf_counter()
        return 200


def requests_adapter(gate: Gate, library: str = "requests") -> Any:
    """A transport adapter for requests (or niquests) whose far end is `gate`."""
    import importlib

    lib: Any = importlib.import_module(library)
    structures: Any = importlib.import_module(f"{library}.structures")
    adapters: Any = importlib.import_module(f"{library}.adapters")

    class Raw:
        _original_response = None

        def release_conn(self) -> None: ...
        def close(self) -> None: ...
        def read(self, *_: Any, **__: Any) -> bytes:
            return b""

    class NearEnd(adapters.BaseAdapter):  # type: ignore[misc]
        def send(self, request: Any, **_: Any) -> Any:
            response = lib.Response()
            response.status_code = gate.status(request.headers.get("Authorization"))
            response._content, response._content_consumed = BODY, True
            response.request, response.url, response.connection = request, request.url, self
            response.headers = structures.CaseInsensitiveDict()
            response.raw = Raw()
            return response

        def close(self) -> None: ...
        def gather(self, *_: Any, **__: Any) -> None: ...

    return NearEnd()


def requests_session(gate: Gate, kind: Any = None, *arguments: Any, **options: Any) -> Any:
    """A session whose requests to `ORIGIN` end here; all others, exchanges for instance, use the network.

    `trust_env` is off for every contender: to read proxies and .netrc from the environment costs more than any auth.
    """
    import requests

    session = (kind or requests.Session)(*arguments, **options)
    session.trust_env = False
    session.mount(ORIGIN, requests_adapter(gate))
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))
    return session


def httpx_transport(gate: Gate, lib: Any, *, is_async: bool) -> Any:
    """A transport for httpx or httpx2 whose far end is `gate`. The asynchronous one lets other tasks run first."""

    def answer(request: Any) -> Any:
        return lib.Response(gate.status(request.headers.get("Authorization")), content=BODY)

    async def answer_later(request: Any) -> Any:
        await asyncio.sleep(0)
        return answer(request)

    return lib.MockTransport(answer_later if is_async else answer)


def aiohttp_session(gate: Gate, middleware: Any) -> Any:
    """An aiohttp session whose requests to `ORIGIN` end here: the innermost of its middlewares answers them. (aiohttp
    has no transport to be replaced.) What is answered is an object with the parts of a response that are asked for.
    """
    from http.cookies import SimpleCookie

    import aiohttp
    from multidict import CIMultiDict

    class NearEnd:
        headers, cookies, content = CIMultiDict[str](), SimpleCookie(), aiohttp.streams.EMPTY_PAYLOAD
        _raw_cookie_headers = ()
        connection = None

        def __init__(self, request: Any) -> None:
            self.method, self.url = request.method, request.url
            self.request_info, self._cache = request.request_info, dict[str, Any]()
            self.status = gate.status(request.headers.get("Authorization"))

        async def __aenter__(self) -> NearEnd:
            return self

        async def __aexit__(self, *_: object) -> None: ...
        def release(self) -> None: ...
        def close(self) -> None: ...

    async def answer(request: Any, handler: Any) -> Any:
        await asyncio.sleep(0)
        return NearEnd(request)

    return aiohttp.ClientSession(middlewares=(middleware, answer), trust_env=False)


def httpx_options(gate: Gate, lib: Any, *, is_async: bool) -> dict[str, Any]:
    """Options for a client: what goes to `ORIGIN` ends here, and nothing is read from the environment."""
    return {
        "mounts": {ORIGIN: httpx_transport(gate, lib, is_async=is_async)},
        "trust_env": False,
        "timeout": 60,
        "limits": lib.Limits(max_connections=200),
    }
