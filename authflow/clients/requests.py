"""requests: the token as an `AuthBase`, exchanges through a `Session`.

requests calls `auth` once, when a request is prepared, and shows every answer, redirects included, to a hook. So the
walk of a request is an object that listens: it sends the request once more when the session says so, and before each
redirect it decides what the next hop may carry (requests itself drops `Authorization` only, and on every other host).
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from requests.structures import CaseInsensitiveDict
from requests.utils import rewind_body

from authflow.clients.base import MAX_PEEK, Sender, cookie_header, wrong_adapter
from authflow.clients.requests_sender import RequestsSender
from authflow.errors import AuthFlowError, ConfigurationError, as_also
from authflow.held import BARE, Held
from authflow.http import Answer, Pairs, Request, add_query, merge_fields, resolve

if TYPE_CHECKING:
    import requests as _requests

    from authflow.session import AuthSession


def adapter(library: str, session: AuthSession) -> Any:
    return _auth_class(library)(library, session)


def sender(library: str, client: Any) -> Sender:
    return RequestsSender(library, client)


@functools.cache
def _auth_class(library: str) -> type[_Auth]:
    base = importlib.import_module(f"{library}.auth").AuthBase
    return type("RequestsAuth", (_Auth, base), {"__doc__": _Auth.__doc__, "__module__": __name__})


class _Auth:
    """`auth=` of one session. Raises `AuthFlowError`s that are `RequestException`s too."""

    def __init__(self, library: str, session: AuthSession) -> None:
        self._library = library
        self.session = session
        self.error = importlib.import_module(library).RequestException

    def __repr__(self) -> str:
        return f"<{self._library} auth of {self.session!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return adapter, (self._library, self.session)

    def __call__(self, request: Any) -> Any:
        session = self.session
        held = session.held
        try:
            if session.clock() < held.calm_until and request.url.startswith(held.prefixes):
                for name, value in held.headers:
                    request.headers[name] = value
                request.register_hook("response", _Walk(self, held))
                return request
            request.register_hook  # noqa: B018  (only a PreparedRequest has one)
        except AttributeError:
            raise wrong_adapter(self._library, request) from None
        walk = _Walk(self, BARE)
        walk.begin(request)
        request.register_hook("response", walk)
        return request


class _Walk:
    """One request on its way: what it carries, and whether it was sent again already."""

    __slots__ = ("_again", "_auth", "_body", "_held", "_url")

    def __init__(self, auth: _Auth, held: Held) -> None:
        self._auth = auth
        self._held = held
        self._again = False
        self._url: str | None = None
        self._body: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A response may be pickled with its request and hooks; the walk is over then.
        return _over, ()

    def begin(self, request: _requests.PreparedRequest) -> None:
        session = self._auth.session
        try:
            entry = session.enter(request.url, lambda: _view(request))
            held = entry.held
            if held is None:
                assert entry.flight is not None
                held = session.admit(entry.flight.wait(), entry.url)
            self._held = held
            request.url = entry.url
            self._lay_over(request)
        except AuthFlowError as error:
            raise as_also(error, self._auth.error, request=request, response=None) from error.__cause__

    def __call__(self, response: Any, **kwargs: Any) -> Any:
        session = self._auth.session
        status = response.status_code
        if self._held is not BARE and (session.statuses is None or status in session.statuses):
            try:
                response = self._hear(response, kwargs)
            except AuthFlowError as error:
                response.close()
                raise as_also(error, self._auth.error, request=response.request, response=None) from error.__cause__
        if response.is_redirect:
            self._before_redirect(response)
        else:
            self._again = False
        return response

    def _hear(self, response: Any, kwargs: Mapping[str, Any]) -> Any:
        session, request = self._auth.session, response.request
        if not session.trusts(self._held, request.url):
            return response
        answer = Answer(
            response.status_code, _pairs(response.headers), functools.partial(_peek, response, kwargs), session.clock()
        )
        if self._again:
            session.hear_again(self._held, request.url, answer)
            return response
        entry = session.hear(self._held, request.url, answer, replayable=_replayable(request))
        if entry is None:
            return response
        held = entry.held
        if held is None:
            assert entry.flight is not None
            held = session.admit(entry.flight.wait(), request.url)
        return self._send_again(response, held, kwargs)

    def _send_again(self, response: Any, held: Held, kwargs: Mapping[str, Any]) -> Any:
        # The very request that requests goes on to copy for redirects, so that its hops carry the new token too.
        response.close()
        request = response.request
        if isinstance(request.headers, _Hop):
            request.headers = request.headers.released()
        self._take_back(request)
        if self._url is None and self._body is None and getattr(request, "_body_position", None) is not None:
            rewind_body(request)
        self._held, self._again = held, True
        self._lay_over(request)
        started = time.monotonic()
        again = response.connection.send(request, **kwargs)
        again.elapsed = timedelta(seconds=time.monotonic() - started)
        again.request = request
        return self(again, **kwargs)

    # --- what a request carries ---------------------------------------------------------------------------------------

    def _lay_over(self, request: Any) -> None:
        presentation = self._held.presentation
        for name, value in presentation.headers:
            request.headers[name] = value
        if presentation.cookies:
            request.headers["Cookie"] = cookie_header(request.headers.get("Cookie"), presentation.cookies)
        if presentation.query:
            self._url = request.url
            request.url = add_query(request.url, presentation.query)
        if presentation.json or presentation.form:
            self._body = body = request.body
            kind = request.headers.get("Content-Type", "")
            if body is None or isinstance(body, str | bytes):
                plain = body.encode() if isinstance(body, str) else body or b""
                kind = kind or ("application/json" if presentation.json else "application/x-www-form-urlencoded")
                request.headers["Content-Type"] = kind
                request.body = _merged(kind, plain, self._held, self._auth.session)
                request.headers["Content-Length"] = str(len(request.body))

    def _take_back(self, request: Any) -> None:
        """Remove what the session laid over a request."""
        presentation = self._held.presentation
        for name, _ in presentation.headers:
            request.headers.pop(name, None)
        if presentation.cookies and "Cookie" in request.headers:
            request.headers["Cookie"] = _without(request.headers["Cookie"], presentation.cookies)
        if self._url is not None:
            request.url, self._url = self._url, None
        if self._body is not None:
            request.body, self._body = self._body, None
            request.headers["Content-Length"] = str(len(request.body))

    def _before_redirect(self, response: Any) -> None:
        """Let the next hop carry the token if its origin is declared, and nothing of it otherwise; keep history
        clean.
        """
        request, held = response.request, self._held
        if held is BARE:
            return
        target = resolve(response.url, response.headers["location"])
        if isinstance(request.headers, _Hop):
            request.headers = request.headers.released()
        carried = self._auth.session.trusts(held, target)
        if not carried or not (held.presentation.json or held.presentation.form):
            self._take_back(request)
        if carried:
            request.headers = _Carrying(request.headers, held.presentation.headers, held.presentation.cookies)


class _Carrying(CaseInsensitiveDict):  # type: ignore[type-arg]
    """The headers of a redirected request, without the token; the copy that becomes the next hop's has it."""

    def __init__(self, plain: Mapping[str, str], headers: Pairs, cookies: Pairs) -> None:
        super().__init__(plain)
        self._ours = headers, cookies

    def copy(self) -> CaseInsensitiveDict:  # type: ignore[type-arg]
        return _Hop(self, *self._ours)


class _Hop(CaseInsensitiveDict):  # type: ignore[type-arg]
    """The headers of a hop to a declared origin: what the session laid over them stays, whatever requests' rules."""

    def __init__(self, plain: Mapping[str, str], headers: Pairs, cookies: Pairs) -> None:
        self._kept = {name.lower() for name, _ in headers} | ({"cookie"} if cookies else set())
        self._cookies = cookies
        super().__init__()
        for name, value in (*plain.items(), *headers, *([("Cookie", "")] if cookies else [])):
            super().__setitem__(name, cookie_header(value, cookies) if name.lower() == "cookie" else value)

    def __setitem__(self, name: str, value: str) -> None:
        if name.lower() == "cookie" and self._cookies:
            super().__setitem__(name, cookie_header(value, self._cookies))
        elif name.lower() not in self._kept:
            super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if name.lower() not in self._kept:
            super().__delitem__(name)

    def released(self) -> CaseInsensitiveDict:  # type: ignore[type-arg]
        return CaseInsensitiveDict(self.items())

    def copy(self) -> CaseInsensitiveDict:  # type: ignore[type-arg]
        return self.released()


def _over() -> Any:
    return _no_hook


def _no_hook(response: Any, **kwargs: Any) -> Any:
    return response


def _pairs(headers: Mapping[str, str]) -> Pairs:
    return tuple((name, value) for name, value in headers.items())


def _view(request: Any) -> Request:
    body = request.body.encode() if isinstance(request.body, str) else request.body
    return Request(request.method, request.url, _pairs(request.headers), body if isinstance(body, bytes) else None)


def _without(line: str, cookies: Pairs) -> str:
    names = {name for name, _ in cookies}
    return "; ".join(pair for pair in (part.strip() for part in line.split(";")) if pair.partition("=")[0] not in names)


def _merged(kind: str, body: bytes, held: Held, session: AuthSession) -> bytes:
    try:
        return merge_fields(kind, body, held.presentation.json, held.presentation.form)
    except ValueError as error:
        raise ConfigurationError(f"{session.vendor.title}: {error}", vendor=session.vendor.name) from None


def _replayable(request: Any) -> bool:
    return request.body is None or isinstance(request.body, str | bytes) or isinstance(request._body_position, int)


def _peek(response: Any, kwargs: Mapping[str, Any]) -> bytes:
    """The start of the body, which the caller still gets whole."""
    if not kwargs.get("stream"):
        return bytes(response.content or b"")[:MAX_PEEK]
    start = response.raw.read(MAX_PEEK, decode_content=True)
    response.raw = _Replayed(start, response.raw)
    return bytes(start)


class _Replayed:
    """A raw body whose start was read already."""

    def __init__(self, start: bytes, raw: Any) -> None:
        self._start = start
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def read(self, amt: int | None = None, decode_content: bool = True, **kwargs: Any) -> bytes:
        size = len(self._start) if amt is None else amt
        start, self._start = self._start[:size], self._start[size:]
        if amt is None or not start:
            return start + bytes(self._raw.read(amt, decode_content=decode_content, **kwargs))
        return start

    def stream(self, amt: int = 1 << 16, decode_content: bool = True) -> Iterator[bytes]:
        while self._start:
            yield self.read(amt)
        yield from self._raw.stream(amt, decode_content=decode_content)
