"""httpx and httpx2: the token as an `Auth`, exchanges through a `Client`.

The walk of a request is one generator for both worlds: it yields requests to send, flights to wait for and bodies to
look into; the synchronous and the asynchronous flow differ only in how they do that.

httpx follows redirects below `auth`, copying headers from hop to hop and dropping `Authorization` alone. So every other
header of ours is carried in a `_Carrier`, which is sent but never copied; and a hop at a declared origin that arrived
without the token is sent once more with it.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

from authflow.clients.base import CONNECT, MAX_PEEK, NoAnswer, cookie_header, gather, wire_headers, wrong_adapter
from authflow.errors import AuthFlowError, ConfigurationError, as_also
from authflow.flight import Flight
from authflow.held import BARE, Held
from authflow.http import Answer, Pairs, Request, add_query, merge_fields

if TYPE_CHECKING:
    from authflow.session import AuthSession

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class _Peek:
    """Asks the driver of a walk for the start of a response's body."""

    def __init__(self, response: Any) -> None:
        self.response = response


def adapter(library: str, session: AuthSession) -> Any:
    return _auth_class(library)(session)


@functools.cache
def _auth_class(library: str) -> type[Any]:
    lib: Any = importlib.import_module(library)
    carrier = type("_Carrier", (_Carrier, lib.Headers), {})

    class HttpxAuth(lib.Auth):  # type: ignore[misc]
        """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestError`s too."""

        def __init__(self, session: AuthSession) -> None:
            self.session = session

        def __repr__(self) -> str:
            return f"<{library} auth of {self.session!r}>"

        def __reduce__(self) -> tuple[Any, ...]:
            return adapter, (library, self.session)

        def __call__(self, request: object) -> Any:
            raise wrong_adapter(library, request)

        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            session = self.session
            held = session.held
            if held.bearer and session.clock() < held.calm_until and str(request.url).startswith(held.prefixes):
                request.headers["Authorization"] = held.bearer
                response = yield request
                if (
                    not response.history
                    and session.statuses is not None
                    and response.status_code not in session.statuses
                ):
                    return
                walk = self._walk(request, held, response)
            else:
                walk = self._walk(request)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
                    if isinstance(step, Flight):
                        answer = step.wait()
                    elif isinstance(step, _Peek):
                        answer = _peek(lib, step.response)
                    else:
                        answer = yield step
            except StopIteration:
                return
            except AuthFlowError as error:
                raise as_also(error, lib.RequestError, _request=request) from error.__cause__

        async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
            session = self.session
            held = session.held
            if held.bearer and session.clock() < held.calm_until and str(request.url).startswith(held.prefixes):
                request.headers["Authorization"] = held.bearer
                response = yield request
                if (
                    not response.history
                    and session.statuses is not None
                    and response.status_code not in session.statuses
                ):
                    return
                walk = self._walk(request, held, response)
            else:
                walk = self._walk(request)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
                    if isinstance(step, Flight):
                        answer = await step.wait_async()
                    elif isinstance(step, _Peek):
                        answer = await _apeek(lib, step.response)
                    else:
                        answer = yield step
            except StopIteration:
                return
            except AuthFlowError as error:
                raise as_also(error, lib.RequestError, _request=request) from error.__cause__

        def _walk(self, request: Any, held: Held | None = None, response: Any = None) -> Generator[Any, Any, None]:
            """One request's walk, from its start, or from the answer to a request that carried `held`."""
            session = self.session
            laid = _Laid(lib, carrier, request)
            if held is None:
                entry = session.enter(str(request.url), functools.partial(_view, request))
                held = entry.held
                if held is None:
                    landed = yield entry.flight
                    held = session.admit(landed, entry.url)
                if entry.url != str(request.url):
                    laid.move(entry.url)
                laid.over(request, held, session)
                response = yield request
            trail: list[Any] = []
            rejected: list[Any] = []
            again = False
            while True:
                hop = response.request
                url = laid.plain_url(hop)
                if held is BARE or not session.trusts(held, url):
                    break
                if hop is not request and not laid.carries(hop, held) and _worth_sending(session, hop, response):
                    trail += _new(response.history, trail, rejected)
                    rejected.append(response)
                    request = hop
                    laid = _Laid(lib, carrier, request)
                    laid.over(request, held, session)
                    response = yield request
                    continue
                if session.statuses is not None and response.status_code not in session.statuses:
                    break
                body = b""
                if session.needs_body:
                    body = yield _Peek(response)
                answer = Answer(response.status_code, _pairs(response.headers), body, session.clock())
                if again:
                    session.hear_again(held, url, answer)
                    break
                heard = session.hear(held, url, answer, replayable=_replayable(lib, hop))
                if heard is None:
                    break
                new = heard.held
                if new is None:
                    landed = yield heard.flight
                    new = session.admit(landed, url)
                again = True
                trail += _new(response.history, trail, rejected)
                rejected.append(response)
                if hop is not request:
                    request, laid = hop, _Laid(lib, carrier, hop)
                laid.take_back(held)
                held = new
                laid.over(request, held, session)
                response = yield request
            response.history = [*trail, *_new(response.history, trail, rejected)]
            for earlier in response.history:
                for name, _ in held.presentation.headers:
                    earlier.request.headers.pop(name, None)

    return HttpxAuth


class _Laid:
    """What the session laid over one request, so that it can be taken back and laid anew."""

    def __init__(self, lib: Any, carrier: Any, request: Any) -> None:
        self._lib, self._carrier, self._request = lib, carrier, request
        self._url: Any = None
        self._body: tuple[Any, bytes, Any] | None = None

    def move(self, url: str) -> None:
        """A rewritten URL: the Host header goes along (RFC 9110 §7.2)."""
        self._request.url = self._lib.URL(url)
        self._request.headers["Host"] = self._request.url.netloc.decode("ascii")

    def over(self, request: Any, held: Held, session: AuthSession) -> None:
        presentation = held.presentation
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
            self._merge(request, held, session)

    def _merge(self, request: Any, held: Held, session: AuthSession) -> None:
        try:
            body = request.content
        except self._lib.RequestNotRead:
            return
        presentation = held.presentation
        kind = request.headers.get("Content-Type") or (
            "application/json" if presentation.json else "application/x-www-form-urlencoded"
        )
        try:
            merged = merge_fields(kind, body, presentation.json, presentation.form)
        except ValueError as error:
            raise ConfigurationError(f"{session.vendor.title}: {error}", vendor=session.vendor.name) from None
        self._body = request.stream, body, request.headers.get("Content-Length")
        request.headers["Content-Type"] = kind
        request.headers["Content-Length"] = str(len(merged))
        request.stream = _once_class(self._lib)(merged)
        request._content = merged

    def take_back(self, held: Held) -> None:
        request = self._request
        if isinstance(request.headers, _Carrier):
            request.headers = request.headers.plain()
        for name, _ in held.presentation.headers:
            request.headers.pop(name, None)
        if self._url is not None:
            request.url, self._url = self._url, None
        if self._body is not None:
            request.stream, request._content, length = self._body
            self._body = None
            if length is not None:
                request.headers["Content-Length"] = length

    def plain_url(self, request: Any) -> str:
        return str(self._url if self._url is not None and request is self._request else request.url)

    @staticmethod
    def carries(request: Any, held: Held) -> bool:
        presentation = held.presentation
        return all(request.headers.get(name) == value for name, value in presentation.headers) and not (
            presentation.cookies or presentation.query
        )


def _new(responses: list[Any], *known: list[Any]) -> list[Any]:
    """Those responses that are in none of the lists (they have no equality of their own)."""
    return [response for response in responses if not any(response is other for list_ in known for other in list_)]


def _worth_sending(session: AuthSession, request: Any, response: Any) -> bool:
    """A hop that came without the token is asked for again if that is safe, or if it was turned away for it."""
    turned_away = session.statuses is not None and response.status_code in session.statuses
    return request.method in SAFE or turned_away


class _Carrier:
    """Headers that are sent and seen, and not copied into the next hop's."""

    def __init__(self, plain: Any, carried: Pairs) -> None:
        super().__init__(plain)  # type: ignore[call-arg]
        self._carried = carried
        for name, _ in carried:
            self.pop(name, None)  # type: ignore[attr-defined]

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

    def __contains__(self, key: object) -> bool:
        return any(name.lower() == str(key).lower() for name, _ in self._carried) or super().__contains__(key)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<headers {', '.join(sorted({name for name, _ in self.multi_items()}))}>"

    def plain(self) -> Any:
        """The headers without what was carried."""
        return type(self).__mro__[2](self)


@functools.cache
def _once_class(lib: Any) -> Any:
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


def _pairs(headers: Any) -> Pairs:
    return tuple(headers.multi_items())


def _view(request: Any) -> Request:
    body = getattr(request, "_content", None)
    return Request(request.method, str(request.url), _pairs(request.headers), body)


def _replayable(lib: Any, request: Any) -> bool:
    stream = request.stream
    if isinstance(stream, lib.ByteStream | _once_class(lib)):
        return True
    fields = getattr(stream, "fields", None)
    if fields is None:
        return False
    files = [getattr(item, "file", b"") for item in fields]
    return all(isinstance(item, str | bytes) or (hasattr(item, "seekable") and item.seekable()) for item in files)


# --- looking into a body ----------------------------------------------------------------------------------------------


def _peek(lib: Any, response: Any) -> bytes:
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


async def _apeek(lib: Any, response: Any) -> bytes:
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


# --- exchanges --------------------------------------------------------------------------------------------------------


def sender(library: str, client: Any) -> _Sender:
    return _Sender(library, client)


class _Sender:
    """Exchanges through a `Client`: the user's, with its proxies, certificates and transports, or a fresh one."""

    def __init__(self, library: str, client: Any) -> None:
        self._library = importlib.import_module(library)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        return sender, (self._library.__name__, None)

    def exchange(self, request: Request, timeout: float) -> Answer:
        deadline = time.monotonic() + timeout
        if self._client is not None:
            return self._send(self._client, request, timeout, deadline)
        with self._library.Client() as client:
            return self._send(client, request, timeout, deadline)

    def _send(self, client: Any, request: Request, timeout: float, deadline: float) -> Answer:
        lib = self._library
        built = lib.Request(
            request.method,
            request.url,
            headers=wire_headers(request, f"authflow {lib.__name__}/{lib.__version__}"),
            content=request.body,
            extensions={"timeout": lib.Timeout(timeout, connect=min(CONNECT, timeout)).as_dict()},
        )
        try:
            response = client.send(built, stream=True, auth=None, follow_redirects=False)
            try:
                return Answer(
                    response.status_code, _pairs(response.headers), gather(response.iter_bytes(1 << 14), deadline)
                )
            finally:
                response.close()
        except (
            lib.ConnectError,
            lib.ConnectTimeout,
            lib.PoolTimeout,
            lib.ProxyError,
            lib.UnsupportedProtocol,
        ) as error:
            raise NoAnswer(type(error).__name__, sent=False) from error
        except (lib.HTTPError, lib.InvalidURL) as error:
            raise NoAnswer(type(error).__name__, sent=True) from error
