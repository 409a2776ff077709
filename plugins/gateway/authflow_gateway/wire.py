"""Callers that take their time: heads that do not end, bodies that drip, answers that nobody reads. And what one of
them leaves for the next: nothing.

a head      all of it within `HEAD_WITHIN` seconds of its connection, or of its first byte
a body      within the route's time-out, and a second more for each 16 KiB that have come
an answer   each part is taken within the route's time-out
a cookie    that the vendor sets goes with the redirects of its own request
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextvars import ContextVar
from http.cookiejar import CookieJar
from typing import Any, Final

import h11
import httpx
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from authflow_gateway.config import Route

HEAD_WITHIN: Final = 20.0
#: Bytes for which a body gets a second more.
PER_SECOND: Final = 16 << 10
#: An answer of this length is soon over: nobody needs to watch whether its caller is still there.
SHORT: Final = 64 << 10


log: Final = logging.getLogger("authflow_gateway")


class TooLarge(Exception):
    """A body of more bytes than the route allows."""


class Protocol(H11Protocol):
    """The stricter of uvicorn's two readers, with an end to its patience."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_a_head()

    def data_received(self, data: bytes) -> None:
        if self._due is None and self.conn.their_state is h11.IDLE:
            self._await_a_head()
        super().data_received(data)
        if self._due is not None and self.conn.their_state is not h11.IDLE:
            self._due.cancel()
            self._due = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._due is not None:
            self._due.cancel()
        super().connection_lost(exc)

    def _await_a_head(self) -> None:
        self._due = self.loop.call_later(HEAD_WITHIN, self._too_slow)

    def _too_slow(self) -> None:
        self._due = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()


#: The cookies that came on the way of this request.
COOKIES: Final[ContextVar[dict[Any, Any]]] = ContextVar("authflow_gateway.cookies")


class Cookies(CookieJar):
    """A client's jar that shows each request the cookies of its own redirects alone."""

    @property
    def _cookies(self) -> dict[Any, Any]:
        return COOKIES.get()

    @_cookies.setter
    def _cookies(self, cookies: dict[Any, Any]) -> None:
        COOKIES.set(cookies)


async def body(request: Request, route: Route) -> AsyncIterator[bytes]:
    """The body as it comes. Raises TooLarge, TimeoutError."""
    loop, size = asyncio.get_running_loop(), 0
    began, parts = loop.time(), request.stream()
    while True:
        async with asyncio.timeout_at(began + route.timeout + size / PER_SECOND):
            part = await anext(parts, None)
        if part is None:
            return
        size += len(part)
        if size > route.max_body:
            raise TooLarge
        yield part


class Passed(StreamingResponse):
    """The vendor's answer, part by part as it comes; `headers` go on as they are."""

    def __init__(self, answer: httpx.Response, headers: list[tuple[bytes, bytes]], route: Route) -> None:
        super().__init__(_parts(answer), answer.status_code)
        self.raw_headers = headers
        self._answer, self._within = answer, route.timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def in_time(message: Message) -> None:
            async with asyncio.timeout(self._within):
                await send(message)

        try:
            length = self._answer.headers.get("content-length", "")
            if length.isdecimal() and int(length) <= SHORT:
                await self.stream_response(in_time)
            else:
                await super().__call__(scope, receive, in_time)
        except (TimeoutError, httpx.HTTPError) as error:  # the server closes the connection, and the caller sees it
            log.warning("an answer was cut: %s", type(error).__name__)
        finally:
            await self._answer.aclose()


async def _parts(answer: httpx.Response) -> AsyncIterator[Any]:
    async for part in answer.aiter_raw():
        yield part
