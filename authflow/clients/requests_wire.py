"""What a session lays over a request of requests or niquests, takes back, and sees of a response.

lay_over, take_back   the request: the token put on, and taken off again before it is sent once more
Following, Hop        a redirected request and its copy, the next hop, which is judged when it is given its URL
Kept                  the headers of a hop: what was laid over them stays, whatever the client's own rules
peek                  the response: the start of its body, which the caller still gets whole

Each class is mixed into that of the object at hand. So nothing here imports either library, and a user's own subclass
stays one.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from authflow.accounts import Grant
from authflow.clients import base
from authflow.clients.base import MAX_PEEK, cookie_header, merged, read_cookies, without
from authflow.clients.starting import start_of, start_of_async
from authflow.http import Pairs, Presentation, Request
from authflow.merging import merge_query
from authflow.sealed import Held

if TYPE_CHECKING:
    from authflow.manager import SessionManager

#: Where a request keeps what it was before its URL, or its body, was given the token.
URL, BODY = "_url_without_token", "_body_without_token"
#: `response.next` has this: it is laid over when it is sent.
WAITS: Final = "_waits"
#: And its URL with it: whoever gives it another one since then means that.
WITH: Final = "_url_with_token"


@functools.cache
def _mixed(mixin: Any, cls: Any) -> Any:
    return type(cls.__name__, (mixin, cls), {"_plain_class": cls})


# --- the request ------------------------------------------------------------------------------------------------------


def lay_over(request: Any, grant: Grant, manager: SessionManager) -> None:
    """Let a request carry the token. Raises ConfigurationError."""
    presentation, own = grant.presentation, vars(request)
    is_hop = isinstance(request, Hop)
    if isinstance(request.headers, Kept):  # another session's token lies over it already
        request.headers.keep(presentation)
    elif is_hop:
        request.headers = _mixed(Kept, request.headers.__class__)(request.headers, presentation)
    else:
        for name, value in presentation.headers:
            request.headers[name] = value
        if presentation.cookies:
            request.headers["Cookie"] = cookie_header(request.headers.get("Cookie"), presentation.cookies)
    if presentation.query:
        own.setdefault(URL, request.url)
        own["url"] = merge_query(request.url, presentation.query)
        own[WITH] = Held(own["url"])
    lay_body(request, presentation, manager)


def lay_body(request: Any, presentation: Presentation, manager: SessionManager) -> None:
    """Raises ConfigurationError."""
    if not presentation.in_body:
        return
    before = {name: request.headers.get(name) for name in ("Content-Type", "Content-Length")}
    body = request.body.encode() if isinstance(request.body, str) else b"" if request.body is None else request.body
    whole = body if isinstance(body, bytes) else None
    laid = merged(manager.vendor, presentation, before["Content-Type"], whole)
    if laid is None:
        return
    kind, content = laid
    first, _, had = vars(request)[BODY].it if BODY in vars(request) else (request.body, None, before)
    vars(request)[BODY] = Held((first, content, had))
    request.body = content
    request.headers["Content-Type"] = kind
    request.headers["Content-Length"] = str(len(content))


def take_back(request: Any, grant: Grant) -> None:
    """Remove from a request what `lay_over` gave it."""
    presentation, own = grant.presentation, vars(request)
    if isinstance(request.headers, Kept):
        request.headers = request.headers.released()
    for name, _ in presentation.headers:
        request.headers.pop(name, None)
    if presentation.cookies and "Cookie" in request.headers:
        request.headers["Cookie"] = _without(request.headers["Cookie"], presentation.cookies)
    if URL in own:
        plain, laid = own.pop(URL), own.pop(WITH)
        own["url"] = plain if own["url"] == laid.it else own["url"]
    if BODY in own:
        body, content, before = own.pop(BODY).it
        if request.body is content:
            request.body = body
            for name, value in before.items():
                request.headers.pop(name, None)
                if value is not None:
                    request.headers[name] = value


def _without(line: str, cookies: Pairs) -> str:
    names = {name for name, _ in cookies}
    return "; ".join(pair for pair in (part.strip() for part in line.split(";")) if pair.partition("=")[0] not in names)


def keep_cookies(cookies: Any, request: Any, response: Any) -> None:
    """Cookies of a rejected answer, for the second send, and for the hops that it may lead to."""
    jar = cookies.RequestsCookieJar()
    cookies.extract_cookies_to_jar(jar, response.request, response.raw)
    own = response.request.headers.pop("Cookie", None)
    came = read_cookies(cookies.get_cookie_header(jar, response.request) or "")
    if own is not None:
        response.request.headers["Cookie"] = own
    base.keep_cookies(request.headers, came, pairs(response), response.request.url)
    if request._cookies is not None:
        cookies.extract_cookies_to_jar(request._cookies, response.request, response.raw)


def view(request: Any) -> Request:
    body = request.body.encode() if isinstance(request.body, str) else b"" if request.body is None else request.body
    kept = getattr(request.headers, "_store", None)  # what `items()` goes through, three times as slowly
    lines = request.headers.items() if kept is None else kept.values()
    headers = tuple([(str(name), str(value)) for name, value in lines])
    return Request(request.method, request.url, headers, body if isinstance(body, bytes) else None)


def replayable(request: Any) -> bool:
    return request.body is None or isinstance(request.body, str | bytes) or isinstance(request._body_position, int)


def rewound(request: Any) -> Any:
    """Set a body that is a file back to its start (of an asynchronous file: an awaitable that does so)."""
    return request.body.seek(request._body_position) if isinstance(request._body_position, int) else None


# --- redirects --------------------------------------------------------------------------------------------------------


def follow(request: Any, hook: Any) -> None:
    """Let the hops of a redirected request be judged by `hook` (or the one that begins by then), beside those of other
    sessions whose tokens it carries, and its place in the history be clean.
    """
    others = tuple(one for one in vars(request).get("_hooks", ()) if one.auth is not hook.auth)
    request._hooks = (*others, hook)
    request.__class__ = following(request.__class__)


@functools.cache
def following(cls: Any) -> Any:
    """The class of a request that is followed, made of its own."""
    return cls if issubclass(cls, Following) else _mixed(Following, cls)


class Following:
    """A request that is copied when it is redirected: it keeps no token then, unless its answer is the caller's."""

    _plain_class: type

    def copy(self) -> Any:
        kept = {**vars(self), "headers": self.headers.copy()}  # type: ignore[attr-defined]
        hooks = tuple(hook.hook(self) for hook in kept["_hooks"])
        for hook in hooks:
            hook.take_back(self)
        hop = super().copy()  # type: ignore[misc]
        hop.__class__ = _mixed(Hop, hop.__class__)
        vars(hop)["_hooks"] = hooks
        maker = sys._getframe(1)
        asks = getattr(maker.f_back, "f_code", None)  # niquests sends what it asks for itself, where answers are lazy
        if WAITS in kept or (maker.f_locals.get("yield_requests") and getattr(asks, "co_name", "") == "send"):
            # It becomes `response.next`.
            vars(hop)[WAITS] = True
            vars(self).update(kept)
        hop.url = hop.url
        return hop

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(self).items() if name not in ("_hooks", URL, WITH, BODY, WAITS)}
        return _restored, (self._plain_class, state)


class Hop(Following):
    """The next hop. The library makes it as a copy, and then gives it its URL: only now is it known where it goes."""

    @property
    def url(self) -> Any:
        return vars(self)["url"]

    @url.setter
    def url(self, url: str) -> None:
        hooks = vars(self)["_hooks"]
        for hook in hooks:
            hook.take_back(self)
            url = without(url, hook.query)
        vars(self)["url"] = url
        for hook in () if WAITS in vars(self) else hooks:
            hook.judge(self)

    @property
    def hooks(self) -> Any:
        """What a session asks for first when it sends a request."""
        if WAITS in vars(self) and sys._getframe(1).f_code.co_name == "send":
            del vars(self)[WAITS]
            self.url = self.url
        return vars(self)["hooks"]

    @hooks.setter
    def hooks(self, hooks: Any) -> None:
        vars(self)["hooks"] = hooks

    @property
    def body(self) -> Any:
        return vars(self)["body"]

    @body.setter
    def body(self, body: Any) -> None:
        """The library takes the body from a hop that becomes a GET, after its URL is set: ours goes on it again."""
        vars(self)["body"] = body
        if body is None and vars(self).pop(BODY, None) is not None:
            for hook in vars(self)["_hooks"]:
                hook.lay_body(self)


def _restored(cls: Any, state: Mapping[str, Any]) -> Any:
    request = cls.__new__(cls)
    vars(request).update(state)
    return request


class Kept:
    """The headers of a hop that carries the token. The library goes on to apply its rules for redirects to them."""

    _plain_class: Any

    def __init__(self, plain: Mapping[str, str], presentation: Presentation) -> None:
        cookies = presentation.cookies
        super().__init__()
        self._cookies: Pairs = ()
        self._names: frozenset[str] = frozenset()
        for name, value in (*plain.items(), *presentation.headers):
            self[name] = value
        self._cookies = cookies
        if cookies:
            self["Cookie"] = plain.get("Cookie", "")
        self._names = frozenset(name.lower() for name, _ in presentation.headers)

    def keep(self, presentation: Presentation) -> None:
        """Keep what another session lays over it too."""
        own, self._names = self._names, frozenset()
        for name, value in presentation.headers:
            self[name] = value
        self._cookies += presentation.cookies
        if presentation.cookies:
            self["Cookie"] = cookie_header(self.get("Cookie"), presentation.cookies)  # type: ignore[attr-defined]
        self._names = own | {name.lower() for name, _ in presentation.headers}

    def __setitem__(self, name: str, value: Any) -> None:
        if name.lower() == "cookie" and self._cookies:
            value = cookie_header(value, self._cookies)
        if name.lower() not in self._names:
            super().__setitem__(name, value)  # type: ignore[misc]

    def __delitem__(self, name: str) -> None:
        if name.lower() == "cookie" and self._cookies:
            self["Cookie"] = ""
        elif name.lower() not in self._names:
            super().__delitem__(name)  # type: ignore[misc]

    def __contains__(self, name: Any) -> bool:
        # The caller's own cookies are laid over a hop only while there seem to be none.
        if name.lower() == "cookie" and self._cookies:
            return bool(self["Cookie"] != cookie_header(None, self._cookies))  # type: ignore[index]
        return super().__contains__(name)  # type: ignore[misc,no-any-return]

    def released(self) -> Any:
        return self._plain_class(dict(self.items()))  # type: ignore[attr-defined]

    def copy(self) -> Any:
        return self.released()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._plain_class, (dict(self.items()),)  # type: ignore[attr-defined]


# --- the response -----------------------------------------------------------------------------------------------------


def show_plain(response: Any) -> None:
    """A response says the URL that the caller asked for, and so does what it reads from."""
    url = vars(response.request).get(URL)
    if url is not None:
        response.url = url
        if hasattr(response.raw, "_request_url"):
            response.raw._request_url = url


def pairs(response: Any) -> Pairs:
    """The headers line by line, as they came (the response's own mapping joins those of one name)."""
    raw = getattr(response.raw, "headers", None)
    return tuple((str(name), str(value)) for name, value in (response.headers if raw is None else raw).items())


def peek(response: Any, streamed: bool) -> Generator[Any, Any, bytes]:
    """The start of the body, decoded. What is yielded is to be awaited, if it can be, and its result sent back."""
    if not streamed:
        return bytes((yield response.content) or b"")[:MAX_PEEK]
    raw = response.raw
    read = functools.partial(getattr(type(raw), "read1", type(raw).read), raw, MAX_PEEK, decode_content=True)
    if iscoroutinefunction(raw.read):
        taken = yield start_of_async(_async_pieces(read))
        seen = taken.seen
    else:
        seen, taken = start_of(iter(read, b""))
    raw.__class__ = _mixed(AsyncReplayed if iscoroutinefunction(raw.read) else Replayed, raw.__class__)
    vars(raw).update(_start=b"", _taken=taken)
    return bytes(seen)


async def _async_pieces(read: Callable[[], Any]) -> AsyncIterator[bytes]:
    while piece := await read():
        yield piece


class _Start:
    """The part of a raw body that was taken from it already."""

    _start: bytes
    _taken: Any

    def _cut(self, amount: int) -> bytes:
        cut, self._start = self._start[:amount], self._start[amount:]
        return cut


class Replayed(_Start):
    """A raw body that begins once more with its start, read by `read` alone: the ways to read chunks do not mix."""

    def _take(self, amount: int | None) -> bytes:
        if amount is None or amount < 0:
            return self._cut(len(self._start)) + b"".join(self._taken)
        self._start = self._start or next(self._taken, b"")
        return self._cut(amount)

    def read(self, amt: int | None = None, decode_content: bool | None = True, **how: Any) -> bytes:
        start = self._take(amt)
        if start and amt is not None:
            return start
        return start + bytes(super().read(amt, decode_content=decode_content, **how))  # type: ignore[misc]

    def read1(self, amt: int | None = None, decode_content: bool | None = True) -> bytes:
        return self._take(amt) or super().read1(amt, decode_content=decode_content)  # type: ignore[misc]

    def stream(self, amt: int | None = 1 << 16, decode_content: bool | None = True) -> Iterator[bytes]:
        while chunk := self.read(amt, decode_content):
            yield chunk


class AsyncReplayed(_Start):
    """The same for event loops."""

    async def _take(self, amount: int | None) -> bytes:
        if amount is None or amount < 0:
            return self._cut(len(self._start)) + b"".join([piece async for piece in self._taken])
        self._start = self._start or await anext(self._taken, b"")
        return self._cut(amount)

    async def read(self, amt: int | None = None, decode_content: bool | None = True, **how: Any) -> bytes:
        start = await self._take(amt)
        if start and amt is not None:
            return start
        return start + bytes(await super().read(amt, decode_content=decode_content, **how))  # type: ignore[misc]

    async def read1(self, amt: int | None = None, decode_content: bool | None = True) -> bytes:
        return await self._take(amt) or await super().read1(amt, decode_content=decode_content)  # type: ignore[misc]

    async def stream(self, amt: int | None = 1 << 16, decode_content: bool | None = True) -> AsyncIterator[bytes]:
        while chunk := await self.read(amt, decode_content):
            yield chunk
