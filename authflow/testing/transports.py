"""A simulator behind the clients that people use, in process: nothing is listened to, nothing is waited for.

    requests.Session    session.mount("https://", requests_adapter(simulator))
    httpx, httpx2       Client(transport=httpx_transport(simulator)), and AsyncClient likewise
    niquests            session.mount("https://", requests_adapter(simulator, "niquests"))
    exchanges           AuthSession(…, client=SimulatedSender(simulator))

What breaks a connection becomes the error that the library would raise.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Callable
from http.client import HTTPMessage
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from authflow.http import Answer, Pairs, Request
from authflow.renewing import NoAnswer
from authflow.testing.faults import Broken

if TYPE_CHECKING:
    from authflow.testing.simulator import Simulator

Handle = Callable[[Request], Answer]

#: What a client sees → the class of httpx's errors, and of requests'.
_HTTPX = {"refused": "ConnectError", "timeout": "ReadTimeout", "reset": "ReadError", "half": "RemoteProtocolError"}
_REQUESTS = {
    "refused": "ConnectionError",
    "timeout": "ReadTimeout",
    "reset": "ConnectionError",
    "half": "ChunkedEncodingError",
}


class SimulatedSender:
    """Sends exchanges to a simulator: `client=` of an `AuthSession`."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def exchange(self, request: Request, timeout: float) -> Answer:
        try:
            return self.simulator.handle(request)
        except Broken as broken:
            raise NoAnswer(broken.kind, sent=broken.connected) from None


def httpx_transport(simulator: Simulator, library: str = "httpx") -> Any:
    """A transport for the `Client` and the `AsyncClient` of httpx or httpx2."""
    return _httpx_class(library)(simulator.handle)


@functools.cache
def _httpx_class(library: str) -> type[Any]:
    lib: Any = importlib.import_module(library)

    class SimulatedTransport(lib.BaseTransport, lib.AsyncBaseTransport):  # type: ignore[misc]
        def __init__(self, handle: Handle) -> None:
            self._handle = handle

        def handle_request(self, request: Any) -> Any:
            # Read as a network reads it: `read` would make a body that comes once into one that can be sent again.
            return self._answer(request, b"".join(request.stream))

        async def handle_async_request(self, request: Any) -> Any:
            return self._answer(request, b"".join([chunk async for chunk in request.stream]))

        def _answer(self, request: Any, body: bytes) -> Any:
            view = Request(request.method, str(request.url), tuple(request.headers.multi_items()), body)
            return httpx_response(lib, request, self._handle, view)

    return SimulatedTransport


def httpx_response(lib: Any, request: Any, handle: Handle, view: Request) -> Any:
    """What a transport of httpx gives for an answer, or raises for a broken one."""
    try:
        answer = handle(view)
    except Broken as broken:
        raise getattr(lib, _HTTPX[broken.kind])(broken.kind, request=request) from None
    return lib.Response(answer.status, headers=list(_framed(answer)), stream=lib.ByteStream(answer.content))


def _framed(answer: Answer) -> Pairs:
    return (*answer.headers, ("Content-Length", str(len(answer.content))))


def requests_adapter(simulator: Simulator, library: str = "requests") -> Any:
    """An adapter for `Session.mount` of requests, or of niquests."""
    return _requests_class(library)(simulator.handle)


@functools.cache
def _requests_class(library: str) -> type[Any]:
    lib = importlib.import_module(library)
    urllib3 = importlib.import_module("urllib3")
    base = importlib.import_module(f"{library}.adapters").HTTPAdapter

    class SimulatedAdapter(base):  # type: ignore[misc, valid-type]
        def __init__(self, handle: Handle) -> None:
            super().__init__()
            self._handle = handle

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            view = Request(request.method, request.url, tuple(request.headers.items()), _read(request.body))
            try:
                answer = self._handle(view)
            except Broken as broken:
                raise getattr(lib.exceptions, _REQUESTS[broken.kind])(broken.kind, request=request) from None
            headers = urllib3.HTTPHeaderDict()
            for name, value in _framed(answer):
                headers.add(name, value)
            raw = urllib3.HTTPResponse(
                body=io.BytesIO(answer.content),
                headers=headers,
                status=answer.status,
                reason="",
                preload_content=False,
                request_method=request.method,
                request_url=request.url,
                original_response=_message(answer),
            )
            return self.build_response(request, raw)

    return SimulatedAdapter


def _message(answer: Answer) -> Any:
    """What a cookie jar reads `Set-Cookie` from."""
    message = HTTPMessage()
    for name, value in answer.headers:
        message.add_header(name, value)
    return SimpleNamespace(msg=message, isclosed=lambda: True, close=lambda: None)


def _read(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return body.read() if hasattr(body, "read") else b"".join(body)
