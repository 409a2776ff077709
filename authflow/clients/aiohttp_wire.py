"""What a session lays over an aiohttp request, takes back, and sees of a response.

Laid      the request: the token put on, taken off again before it is sent once more, and left out of the history
peek      the response: the start of its body, which stays where the caller reads it

What begins with an underscore is aiohttp's own; without it, a token stays in the history, or no body is judged.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import BytesPayload, MultipartWriter, hdrs
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from authflow.accounts import ANONYMOUS, Grant
from authflow.clients.base import MAX_PEEK, PEEK_FOR, cookie_header, keep_cookies, merged
from authflow.http import Pairs, Request
from authflow.merging import merge_query

if TYPE_CHECKING:
    from authflow.manager import SessionManager


class Laid:
    """What the session laid over one request, so that it can be taken back and laid anew."""

    __slots__ = (
        "_body",
        "_content",
        "_headers",
        "_rewritten",
        "_url",
        "asked",
        "before",
        "grant",
        "manager",
        "request",
    )

    def __init__(self, request: Any, manager: SessionManager) -> None:
        self.request, self.manager = request, manager
        self.grant: Grant = ANONYMOUS
        #: What the requests before a hop carried, where the hop itself carries nothing.
        self.before: Grant = ANONYMOUS
        self._url, self._headers, self._body = request.url, request.headers.copy(), request.body or None
        self._content: bytes | None = None if self._body is not None else b""
        self._rewritten = False
        #: The caller's URL, where this is no hop.
        self.asked = ""

    @classmethod
    def as_it_is(cls, request: Any, grant: Grant, manager: SessionManager) -> Laid:
        """Of a request that carries the headers of a grant already."""
        laid = cls(request, manager)
        laid.grant = grant
        for name, _ in grant.presentation.headers:
            laid._headers.popall(name, None)
        return laid

    async def look(self) -> None:
        """Have the body at hand, if it is whole."""
        if isinstance(self._body, BytesPayload):
            self._content = await self._body.as_bytes()

    @property
    def plain_url(self) -> str:
        return str(self._url)

    def move(self, url: str, *, rewritten: bool = False) -> None:
        """Another URL, byte for byte: the Host header goes along (RFC 9110 §7.2)."""
        if url != str(self._url):
            self._rewritten = rewritten
            self._url = self.request.url = self.request.original_url = exactly(url)
            self._headers[hdrs.HOST] = self.request.headers[hdrs.HOST] = self._url.host_port_subcomponent or ""

    async def over(self, grant: Grant) -> None:
        """Raises ConfigurationError."""
        request, ours, self.grant = self.request, grant.presentation, grant
        for name, value in ours.headers:
            request.headers[name] = value
        if ours.cookies:
            request.headers[hdrs.COOKIE] = cookie_header(request.headers.get(hdrs.COOKIE), ours.cookies)
        if ours.query:
            request.url = exactly(merge_query(str(self._url), ours.query))
        if ours.in_body:
            if self._content is None and isinstance(self._body, MultipartWriter):
                self._content = await self._body.as_bytes()
                self._body = BytesPayload(self._content)  # a writer is spent once it was sent
            laid = merged(self.manager.vendor, ours, request.headers.get(hdrs.CONTENT_TYPE), self._content)
            if laid is not None:
                request.headers[hdrs.CONTENT_TYPE] = laid[0]
                await request.update_body(laid[1])

    async def sent(self, handler: Any) -> Any:
        """The answer. The body is the plain one again then: a redirect's hop takes it over."""
        request = self.request
        try:
            return await handler(request)
        finally:
            if self.grant.presentation.in_body:
                shown, request.headers = request.headers, request.headers.copy()
                await request.update_body(self._body)
                request.headers = shown

    async def take_back(self, response: Any) -> None:
        """Before the request is sent once more."""
        request, jar = self.request, self.request.session.cookie_jar
        response.release()
        await request.close()
        self.leave(response)
        request.headers, request.url = self._headers.copy(), self._url
        if response.cookies:
            jar.update_cookies(response.cookies, self._url)
            kept = jar.filter_cookies(self._url).values()
            came = tuple((one.key, one.coded_value) for one in kept if one.key in response.cookies)
            keep_cookies(request.headers, came, pairs(response), self.plain_url)
        request.update_expect_continue()

    def bare(self, response: Any) -> None:
        """An error shows the request, and the answer to it, without what is ours."""
        self.request.headers, self.request.url = self._headers.copy(), self._url
        self.leave(response)

    def leave(self, response: Any) -> None:
        """An answer that leads elsewhere keeps nothing of ours; relative to a rewritten URL, it says so whole."""
        headers = CIMultiDictProxy(self._headers)
        response._request_info = response.request_info._replace(url=self._url, headers=headers)
        if self._rewritten and (location := response.headers.get(hdrs.LOCATION)) is not None:
            with suppress(ValueError):
                whole = CIMultiDict(response.headers)
                whole[hdrs.LOCATION] = str(self._url.join(exactly(location)))
                response._headers = CIMultiDictProxy(whole)
        response._cache.clear()


def exactly(url: str) -> URL:
    """Byte for byte, where yarl would write it its own way."""
    return URL(url, encoded=url.isascii())


def view(laid: Laid) -> Request:
    request = laid.request
    return Request(request.method, str(request.url), _plain(request.headers), laid._content)


def pairs(response: Any) -> Pairs:
    return _plain(response.headers)


def _plain(headers: Any) -> Pairs:
    """Names as plain strings: aiohttp's are of a kind of their own, which others do not know."""
    return tuple((str(name), value) for name, value in headers.items())


def replayable(request: Any) -> bool:
    return not request.body or not request.body.consumed


async def peek(response: Any) -> bytes:
    """The start of the body, decoded: it is not taken from where it is kept until the caller reads it."""
    stream = response.content
    most = min(MAX_PEEK, stream.get_read_buffer_limits()[1]) if not stream.is_eof() else 0
    with suppress(asyncio.TimeoutError, AttributeError, RuntimeError):
        async with asyncio.timeout(PEEK_FOR):
            while not stream.is_eof() and sum(map(len, stream._buffer)) < most:
                await stream._wait("peek")
    return b"".join(getattr(stream, "_buffer", ()))[:MAX_PEEK]
