"""What a session lays over an httpx request, takes back, and sees of a response.

Laid      the request: the token put on, and taken off again before it is sent once more
Carrier   headers that are sent and seen, and not copied into a redirect's next hop
onward    the hop: judged when its headers go out, it gets the token at a declared origin
peek      the response: the start of its body, which the caller still gets whole
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from authflow.clients.base import MAX_PEEK, cookie_header
from authflow.errors import ConfigurationError
from authflow.http import WEBSOCKET, Origin, Pairs, Request, add_query, merge_fields
from authflow.manager import Grant

if TYPE_CHECKING:
    from authflow.manager import SessionManager

#: The request extension in which a hop notes that it was given a token.
MARK: Final = "authflow"


class Laid:
    """What the session laid over one request, so that it can be taken back and laid anew."""

    def __init__(self, lib: Any, carrier: Any, request: Any) -> None:
        self._lib, self._carrier, self._request = lib, carrier, request
        self._url: Any = None
        self._body: tuple[Any, bytes, Any] | None = None

    def move(self, url: str) -> None:
        """A rewritten URL: the Host header goes along (RFC 9110 §7.2)."""
        self._request.url = self._lib.URL(url)
        self._request.headers["Host"] = self._request.url.netloc.decode("ascii")

    def over(self, request: Any, grant: Grant, manager: SessionManager) -> None:
        presentation = grant.presentation
        carried = []
        for name, value in presentation.headers:
            if name.lower() == "authorization":
                request.headers[name] = value
            else:
                carried.append((name, value))
        if presentation.cookies:
            carried.append(("Cookie", cookie_header(request.headers.get("Cookie"), presentation.cookies)))
        if carried:
            request.headers = self._carrier(request.headers, tuple(carried))
        if presentation.query:
            self._url = request.url
            request.url = self._lib.URL(add_query(str(request.url), presentation.query))
        if presentation.json or presentation.form:
            self._merge(request, grant, manager)

    def _merge(self, request: Any, grant: Grant, manager: SessionManager) -> None:
        try:
            body = request.content
        except self._lib.RequestNotRead:
            return
        presentation = grant.presentation
        kind = request.headers.get("Content-Type") or (
            "application/json" if presentation.json else "application/x-www-form-urlencoded"
        )
        try:
            merged = merge_fields(kind, body, presentation.json, presentation.form)
        except ValueError as error:
            raise ConfigurationError(f"{manager.vendor.title}: {error}", vendor=manager.vendor.name) from None
        self._body = request.stream, body, request.headers.get("Content-Length")
        request.headers["Content-Type"] = kind
        request.headers["Content-Length"] = str(len(merged))
        request.stream = once_class(self._lib)(merged)
        request._content = merged

    def take_back(self, grant: Grant) -> None:
        request = self._request
        if isinstance(request.headers, Carrier):
            request.headers = request.headers.plain()
        for name, _ in grant.presentation.headers:
            request.headers.pop(name, None)
        if self._url is not None:
            request.url, self._url = self._url, None
        if self._body is not None:
            request.stream, request._content, length = self._body
            self._body = None
            if length is not None:
                request.headers["Content-Length"] = length

    def clear(self, names: tuple[str, ...]) -> None:
        """A request that is used again, for another host perhaps: what was laid over it the first time goes."""
        if isinstance(self._request.headers, Carrier):
            self._request.headers = self._request.headers.plain()
        for name in names:
            self._request.headers.pop(name, None)

    def plain_url(self, request: Any) -> str:
        return str(self._url if self._url is not None and request is self._request else request.url)

    @staticmethod
    def carries(request: Any, grant: Grant) -> bool:
        if request.extensions.get(MARK) == grant.token_id:
            return True
        presentation = grant.presentation
        return all(request.headers.get(name) == value for name, value in presentation.headers) and not (
            presentation.cookies or presentation.query
        )


# --- hops -------------------------------------------------------------------------------------------------------------


def onward(request: Any, grant: Grant, *, in_async: bool) -> None:
    """Let the hops of a redirected request carry the token to declared origins.

    A hop is built inside httpx, where no auth is asked; its headers go out through the transport, which tells the
    `trace` extension of the request. That is copied from hop to hop, and knows where each one goes.
    """
    before = request.extensions.get("trace")
    before = before.before if isinstance(before, _Onward) else before
    request.extensions = {**request.extensions, "trace": _Onward(grant, before, in_async)}


class _Onward:
    """A trace that hands the token on, and tells the caller's own trace as well."""

    __slots__ = ("_grant", "_in_async", "before")

    def __init__(self, grant: Grant, before: Callable[[str, Any], Any] | None, in_async: bool) -> None:
        self._grant, self.before, self._in_async = grant, before, in_async

    def __call__(self, name: str, info: dict[str, Any]) -> Any:
        if name.endswith("send_request_headers.started"):
            _hand_on(info["request"], self._grant)
        told = self.before(name, info) if self.before is not None else None
        return _after(told) if self._in_async else told


async def _after(told: Any) -> Any:
    return await told if told is not None else None


def _hand_on(hop: Any, grant: Grant) -> None:
    """Give a transport's request the token, if it lacks it and may have it; else take it away, which httpx itself does
    not on the way from http to https at one host. What a proxy is to forward names its target, and goes as httpx made
    it: the URL here is the proxy's.
    """
    presentation, url = grant.presentation, hop.url
    if url.target.startswith((b"http://", b"https://")):
        return
    scheme = url.scheme.decode("ascii")
    scheme = WEBSOCKET.get(scheme, scheme)
    port = url.port if url.port is not None else {"http": 80, "https": 443}.get(scheme, 0)
    ours = [(name.encode("ascii"), value.encode("utf-8")) for name, value in presentation.headers]
    if Origin(scheme, url.host.decode("ascii").lower(), port) not in grant.origins:
        taken = {(name.lower(), value) for name, value in ours}
        hop.headers = [(name, value) for name, value in hop.headers if (name.lower(), value) not in taken]
        return
    names = {name.lower() for name, _ in ours}
    have = {name.lower(): value for name, value in hop.headers}
    if presentation.cookies:
        line = cookie_header(have.get(b"cookie", b"").decode("latin-1"), presentation.cookies)
        ours.append((b"Cookie", line.encode("utf-8")))
        names.add(b"cookie")
    if any(have.get(name.lower()) != value for name, value in ours):
        hop.headers = [pair for pair in hop.headers if pair[0].lower() not in names] + ours
    if presentation.query:
        target = add_query(without(url.target.decode("ascii"), presentation.query), presentation.query)
        hop.url = type(url)(scheme=url.scheme, host=url.host, port=url.port, target=target)
    hop.extensions[MARK] = grant.token_id


def without(url: str, query: Pairs) -> str:
    """A URL without the query parameters that the session added to it."""
    parts = urlsplit(url)
    if not parts.query:
        return url
    ours = {urlsplit(add_query("", [pair])).query for pair in query}
    return urlunsplit(parts._replace(query="&".join(part for part in parts.query.split("&") if part not in ours)))


class Carrier:
    """Headers that are sent and seen, and not copied into the next hop's."""

    def __init__(self, plain: Any, carried: Pairs) -> None:
        super().__init__(plain)  # type: ignore[call-arg]
        self._carried: Pairs = ()
        for name, _ in carried:
            self.pop(name, None)  # type: ignore[attr-defined]
        self._carried = carried

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        own: list[tuple[bytes, bytes]] = super().raw  # type: ignore[misc]
        return own + [(name.encode("ascii"), value.encode("utf-8")) for name, value in self._carried]

    def multi_items(self) -> list[tuple[str, str]]:
        own: list[tuple[str, str]] = super().multi_items()  # type: ignore[misc]
        return own + [(name.lower(), value) for name, value in self._carried]

    def __getitem__(self, key: str) -> str:
        for name, value in self._carried:
            if name.lower() == key.lower():
                return value
        return super().__getitem__(key)  # type: ignore[misc,no-any-return]

    def __delitem__(self, key: str) -> None:
        kept = tuple(pair for pair in self._carried if pair[0].lower() != key.lower())
        if kept == self._carried:
            super().__delitem__(key)  # type: ignore[misc]
        self._carried = kept

    def __contains__(self, key: object) -> bool:
        return any(name.lower() == str(key).lower() for name, _ in self._carried) or super().__contains__(key)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<headers {', '.join(sorted({name for name, _ in self.multi_items()}))}>"

    def plain(self) -> Any:
        """The headers without what was carried."""
        return type(self).__mro__[2](self)


@functools.cache
def once_class(lib: Any) -> Any:
    class OnceStream(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        """A body with the token in it: it is sent to where it was meant for, and to no further hop."""

        def __init__(self, content: bytes) -> None:
            self._content: bytes | None = content

        def _take(self) -> bytes:
            content, self._content = self._content, None
            if content is None:
                raise lib.RequestError("a redirect would carry the token in this request's body elsewhere")
            return content

        def __iter__(self) -> Iterator[bytes]:
            yield self._take()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._take()

    return OnceStream


def pairs(headers: Any) -> Pairs:
    return tuple(headers.multi_items())


def view(request: Any) -> Request:
    body = getattr(request, "_content", None)
    return Request(request.method, str(request.url), pairs(request.headers), body)


def replayable(lib: Any, request: Any) -> bool:
    stream = request.stream
    if isinstance(stream, lib.ByteStream | once_class(lib)):
        return True
    fields = getattr(stream, "fields", None)
    if fields is None:
        return False
    files = [getattr(item, "file", b"") for item in fields]
    return all(isinstance(item, str | bytes) or (hasattr(item, "seekable") and item.seekable()) for item in files)


# --- looking into a body ----------------------------------------------------------------------------------------------


def peek(lib: Any, response: Any) -> bytes:
    """The start of the body, decoded; the caller still gets it whole."""
    try:
        return bytes(response.content)[:MAX_PEEK]
    except lib.ResponseNotRead:
        stream = response.stream
        chunks, iterator = [], iter(stream)
        for chunk in iterator:
            chunks.append(chunk)
            if sum(map(len, chunks)) >= MAX_PEEK:
                break
        response.stream = _replayed_class(lib)(chunks, iterator, stream)
        return _decoded(lib, response, b"".join(chunks))


async def peek_async(lib: Any, response: Any) -> bytes:
    try:
        return bytes(response.content)[:MAX_PEEK]
    except lib.ResponseNotRead:
        stream = response.stream
        chunks, iterator = [], aiter(stream)
        async for chunk in iterator:
            chunks.append(chunk)
            if sum(map(len, chunks)) >= MAX_PEEK:
                break
        response.stream = _replayed_class(lib)(chunks, iterator, stream)
        return _decoded(lib, response, b"".join(chunks))


def _decoded(lib: Any, response: Any, raw: bytes) -> bytes:
    try:
        return bytes(lib.Response(response.status_code, headers=response.headers, content=raw).content)[:MAX_PEEK]
    except lib.DecodingError:
        return b""


@functools.cache
def _replayed_class(lib: Any) -> Any:
    class ReplayedStream(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        """A response's stream whose start was read already."""

        def __init__(self, chunks: list[bytes], rest: Any, stream: Any) -> None:
            self._chunks, self._rest, self._stream = chunks, rest, stream

        def __iter__(self) -> Iterator[bytes]:
            yield from self._chunks
            yield from self._rest

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self._chunks:
                yield chunk
            async for chunk in self._rest:
                yield chunk

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            await self._stream.aclose()

    return ReplayedStream
