"""What a session lays over an httpx request, and takes back.

Laid      the request: the token put on, and taken off again before it is sent once more
Carrier   headers that everybody sees, and that are not copied into a redirect's next hop
follow    the hop: judged as it is made, it gets the token at a declared origin

httpx makes the request of a redirect's next hop by itself, and asks no auth. It copies two things of ours on the way:
`Headers(request.headers)`, which shows all but the token to the module that makes hops, and `dict(request.extensions)`
inside `Request.__init__`, which tells us that a hop is being made. Its last act is to set `stream`: then the hop has
its URL, is judged, and the request before it loses the token. (httpx would have to ask `Auth` about each hop.)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from authflow.accounts import ANONYMOUS, Grant
from authflow.clients import base
from authflow.clients.base import cookie_header, merged, read_cookies, without
from authflow.http import Pairs, Presentation, Request
from authflow.merging import merge_query

if TYPE_CHECKING:
    from authflow.manager import SessionManager


class Laid:
    """What the session laid over one request, so that it can be taken back and laid anew."""

    #: Who hears the answer, where nobody shows it to the flow.
    heard: Callable[[Any], None] | None = None

    def __init__(self, lib: Any, request: Any, manager: SessionManager) -> None:
        self.lib, self.request, self.manager = lib, request, manager
        self.grant: Grant = ANONYMOUS
        #: What the requests before a hop carried, where the hop itself carries nothing.
        self.last: Grant = ANONYMOUS
        self._url: Any = None
        self._body: tuple[Any, Any, Any] | None = None

    def move(self, url: str) -> None:
        """A rewritten URL: the Host header goes along (RFC 9110 §7.2)."""
        if url != str(self.request.url):
            self.request.url = self.lib.URL(url)
            self.request.headers["Host"] = self.request.url.netloc.decode("ascii")

    def over(self, grant: Grant) -> None:
        """Raises ConfigurationError."""
        request, presentation, self.grant = self.request, grant.presentation, grant
        ours = list(presentation.headers)
        if presentation.cookies:
            ours.append(("Cookie", cookie_header(request.headers.get("Cookie"), presentation.cookies)))
        if ours:
            if not isinstance(request.headers, Carrier):
                request.headers = carrier_class(self.lib)(request.headers)
            request.headers.lay(self, tuple(ours))
        if presentation.query:
            plain = request.url
            request.url = self.lib.URL(merge_query(str(request.url), presentation.query))
            self._url = plain, request.url
        if presentation.in_body:
            self._merge(presentation)
        if grant is not ANONYMOUS:
            follow(self)

    def _merge(self, presentation: Presentation) -> None:
        request = self.request
        whole = hasattr(request, "_content") or replayable(self.lib, request)
        body = bytes(request.read()) if whole else None
        laid = merged(self.manager.vendor, presentation, request.headers.get("Content-Type"), body)
        if laid is None:
            return
        kind, content = laid
        had = {name: request.headers.get(name) for name in ("Content-Type", "Content-Length")}
        self._body = request.stream, body, had
        request.headers["Content-Type"] = kind
        request.headers["Content-Length"] = str(len(content))
        request.stream = once_class(self.lib)(content, request)
        request._content = content

    def take_back(self) -> None:
        request = self.request
        if isinstance(request.headers, Carrier):
            request.headers.take(self)
        for name, value in self.grant.presentation.headers:  # one that was laid on the short way
            if request.headers.get(name) == value:
                del request.headers[name]
        if self._url is not None:
            plain, laid = self._url
            self._url = None
            if request.url == laid:  # else somebody gave it another one since
                request.url = plain
        if self._body is not None:
            request.stream, request._content, _ = self._body
            self.restore(request.headers)
            self._body = None
        self.grant = ANONYMOUS

    def clear(self, note: int) -> None:
        """A request that is used again, for another host perhaps: what this session laid over it before goes, the
        bearer too that it noted on the short way.
        """
        if getattr(self.request, "_bearer_by", None) == note:
            self.request.headers.pop("Authorization", None)
            self.request._bearer_by = None
        if isinstance(self.request.extensions, Followed):
            for laid in self.request.extensions.laid:
                if laid.manager is self.manager:
                    laid.take_back()

    @property
    def is_missing(self) -> bool:
        """Should the request carry a header that it does not?"""
        ours = self.grant.presentation.headers
        return any(self.request.headers.get(name) != value for name, value in ours)

    @property
    def plain_url(self) -> str:
        return str(self.request.url if self._url is None else self._url[0])

    def restore(self, headers: Any) -> None:
        """Let headers that say what the body is say so of the one without the token."""
        for name, value in self._body[2].items() if self._body is not None else ():
            if name in headers:
                del headers[name]
                headers.update({} if value is None else {name: value})

    def plain_body(self, stream: Any) -> Any:
        """The body without the token, where `stream` is the one with it."""
        return self._body[0] if self._body is not None and stream is self.request.stream else stream


# --- hops -------------------------------------------------------------------------------------------------------------


def follow(laid: Laid) -> None:
    """Let the hops of a redirected request be judged, each as it is made; beside those of other sessions, whose tokens
    it carries too.
    """
    request = laid.request
    before = request.extensions.laid if isinstance(request.extensions, Followed) else ()
    others = tuple(one for one in before if one.manager is not laid.manager and one.request is request)
    request.extensions = Followed(request.extensions, (*others, laid))


def laid_by(manager: SessionManager, request: Any) -> Laid | None:
    """What this session laid over a request that is followed."""
    laid = request.extensions.laid if isinstance(request.extensions, Followed) else ()
    return next((one for one in laid if one.manager is manager), None)


class Followed(dict[str, Any]):
    """The extensions of a request whose hops are judged."""

    def __init__(self, extensions: Any, laid: tuple[Laid, ...]) -> None:
        super().__init__(extensions.items())
        self.laid = laid

    def __iter__(self) -> Iterator[str]:  # with this, `dict(…)` asks for `keys()`
        return iter(self.keys())

    def keys(self) -> Any:
        maker = sys._getframe(1)
        hop = maker.f_locals.get("self") if maker.f_code.co_name == "__init__" else None
        # What others make (respx, to look at it) is no hop, but a copy.
        by_the_client = maker.f_back is not None and maker.f_back.f_globals.get("__name__", "").endswith("._client")
        if by_the_client and isinstance(hop, self.laid[0].lib.Request):
            client = getattr(maker.f_back, "f_back", None)
            hop.__dict__["_followed"] = self.laid, client is None or client.f_locals.get("follow_redirects", True)
            hop.__class__ = _hop_class(type(hop))  # type: ignore[arg-type]
        return super().keys()

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self.items()),)


@functools.cache
def _hop_class(cls: Any) -> Any:
    """The class of a hop until it has its stream."""

    def judged(hop: Any, stream: Any) -> None:
        before, goes = hop.__dict__.pop("_followed")
        hop.__class__ = cls
        for laid in before:
            stream = laid.plain_body(stream)
            laid.restore(hop.headers)
        hop.stream = stream
        for laid in before:
            _judge(hop, laid, goes)

    return type(cls.__name__, (cls,), {"stream": property(None, judged)})


def _judge(hop: Any, before: Laid, goes: bool) -> None:
    """At a declared origin a hop carries the token, elsewhere nothing of it; the request before it loses it. A hop that
    does not go yet, `next_request`, carries nothing.
    """
    manager, grant = before.manager, before.grant if before.grant is not ANONYMOUS else before.last
    ours = grant.presentation
    for name, value in ours.headers:
        if hop.headers.get(name) == value:
            del hop.headers[name]
    if ours.query:
        hop.url = before.lib.URL(without(str(hop.url), ours.query))
    if before.grant is not ANONYMOUS:
        manager.on_redirect(before.grant)
    if not goes:
        return
    before.take_back()
    laid = Laid(before.lib, hop, manager)
    laid.last = grant
    follow(laid)
    if before.heard is not None:
        hear(laid, before.heard)
    if manager.trusts(grant, str(hop.url)):
        laid.over(manager.signed(grant, functools.partial(view, hop)))
    else:
        manager.goes_without(str(hop.url))


Entries = list[tuple[bytes, bytes, bytes]]


class Carrier:
    """Headers that everybody sees, and that are not copied into the next hop's. Each session takes back its own."""

    _entries: Entries

    def __init__(self, plain: Any) -> None:
        super().__init__(plain)  # type: ignore[call-arg]
        #: By what was laid over the request: its entries, and those in whose place they stand.
        self._ours: dict[Laid, tuple[Entries, Entries]] = {}

    def lay(self, laid: Laid, ours: Pairs) -> None:
        names = {name.lower().encode("ascii") for name, _ in ours}
        replaced = [entry for entry in self._entries if entry[1] in names]
        for name, value in ours:
            self[name] = value  # type: ignore[index]
        self._ours[laid] = [entry for entry in self._entries if entry[1] in names], replaced

    def take(self, laid: Laid) -> None:
        ours, replaced = self._ours.pop(laid, ([], []))
        self._entries = [entry for entry in self._entries if entry not in ours] + replaced

    @property
    def _list(self) -> Entries:
        copying, maker = sys._getframe(1), sys._getframe(2)
        if copying.f_code.co_name == "__init__" and maker.f_globals.get("__name__", "").endswith("._client"):
            return self._without_ours()
        return self._entries

    @_list.setter
    def _list(self, entries: Entries) -> None:
        self._entries = entries

    def _without_ours(self) -> Entries:
        left = list(self._entries)
        for ours, replaced in reversed(self._ours.values()):
            left = [entry for entry in left if entry not in ours] + replaced
        return left

    def plain(self) -> Any:
        """The headers without what was carried."""
        return type(self).__mro__[2]([(name, value) for name, _, value in self._without_ours()])

    def __repr__(self) -> str:
        return f"<headers {', '.join(sorted({name.decode('latin-1') for _, name, _ in self._entries}))}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__mro__[2], ([(name, value) for name, _, value in self._entries],)


class Unheard:
    """A request whose flow was let go: its answer is heard when the client logs it, and asks for the method."""

    _plain_class: Any

    @property
    def method(self) -> str:
        asks = sys._getframe(1)
        if asks.f_code.co_name == "_send_single_request" and (answer := asks.f_locals.get("response")) is not None:
            self.__class__ = self._plain_class
            for heard in vars(self).pop("_heard"):
                heard(answer)
        return str(vars(self)["method"])

    @method.setter
    def method(self, method: str) -> None:
        vars(self)["method"] = method

    def __reduce__(self) -> tuple[Any, ...]:
        state: Any = self.__getstate__()
        return object.__new__, (self._plain_class,), {name: state[name] for name in state if name != "_heard"}


def hear(laid: Laid, heard: Callable[[Any], None]) -> None:
    """Have `heard` called with the answer, and with those that it leads to, though nobody shows them to the flow."""
    laid.heard = heard
    vars(laid.request).setdefault("_heard", []).append(heard)
    cls: Any = type(laid.request)
    laid.request.__class__ = _unheard_class(cls)


@functools.cache
def _unheard_class(cls: Any) -> Any:
    return cls if issubclass(cls, Unheard) else type(cls.__name__, (Unheard, cls), {"_plain_class": cls})


def frame_of(function: str) -> FrameType | None:
    """The client's own, that called for our flow, or for what it sends."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame


@functools.cache
def carrier_class(lib: Any) -> Any:
    return type("Carried", (Carrier, lib.Headers), {})


@functools.cache
def once_class(lib: Any) -> Any:
    class OnceStream(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        """A body with the token in it: it is sent to where it was meant for, and to no further hop. A transport may
        send it again, while the client has that request in hand.
        """

        def __init__(self, content: bytes, request: Any) -> None:
            self._content, self._request, self._sent = content, request, False

        def _take(self) -> bytes:
            frame = frame_of("_send_handling_redirects") if self._sent else None
            if self._sent and (frame is None or frame.f_locals.get("request") is not self._request):
                raise lib.RequestError("a redirect would carry the token in this request's body elsewhere")
            self._sent = True
            return self._content

        def __iter__(self) -> Iterator[bytes]:
            yield self._take()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self._take()

    return OnceStream


def unburden(request: Any, grants: list[Grant]) -> None:
    """Take the token from a request that is history, or that was not sent."""
    if request is None:
        return
    for laid in request.extensions.laid if isinstance(request.extensions, Followed) else ():
        laid.take_back()
    for name, value in (pair for grant in grants for pair in grant.presentation.headers):
        if request.headers.get(name) == value:
            del request.headers[name]


def plain_copy(lib: Any, request: Any) -> Any:
    """A request without the token, for the history."""
    headers = request.headers.plain() if isinstance(request.headers, Carrier) else request.headers
    copy = lib.Request(request.method, request.url, headers=headers)
    if hasattr(request, "_content"):
        copy._content, copy.stream = request._content, lib.ByteStream(request._content)
    return copy


def keep_cookies(lib: Any, request: Any, response: Any) -> None:
    """Cookies of a rejected answer, for the second send."""
    jar, probe = lib.Cookies(), lib.Request("GET", request.url)
    jar.extract_cookies(response)
    jar.set_cookie_header(probe)
    came = read_cookies(probe.headers.get("Cookie", ""))
    base.keep_cookies(request.headers, came, pairs(response.headers), str(request.url))


def pairs(headers: Any) -> Pairs:
    return tuple(headers.multi_items())


def view(request: Any) -> Request:
    body = request.read() if hasattr(request.stream, "fields") else getattr(request, "_content", None)
    if body is None and type(request.stream).__name__ == "ByteStream":  # of a hop, which httpx has not read
        body = b"".join(request.stream)
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
