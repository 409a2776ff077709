"""httpx and httpx2: the token as an `Auth`, exchanges through a `Client`.

The walk of a request is one generator for both worlds: it yields requests to send, flights to wait for and bodies to
look into; the synchronous and the asynchronous flow differ only in how they do that.

httpx follows redirects below `auth`, copying headers from hop to hop and dropping `Authorization` alone. So every other
header of ours is carried in a `Carrier`, which is sent but never copied, and each hop is judged when its headers go out
(`onward`): at a declared origin it gets the token, elsewhere nothing. Where a transport is not httpcore's, a hop at a
declared origin arrives without the token and is sent once more with it.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, Final

from authflow.clients.base import wrong_adapter
from authflow.clients.httpx_sender import HttpxSender
from authflow.clients.httpx_wire import Carrier, Laid, onward, pairs, peek, peek_async, replayable, view, without
from authflow.errors import AuthFlowError, as_also
from authflow.http import Answer
from authflow.manager import ANONYMOUS, Flight, Grant, Sender

if TYPE_CHECKING:
    from authflow.manager import SessionManager

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class _Peek:
    """Asks the driver of a walk for the start of a response's body."""

    def __init__(self, response: Any) -> None:
        self.response = response


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    return _auth_class(library)(manager, owner)


def sender(library: str, client: Any) -> Sender:
    return HttpxSender(library, client)


#: What is laid over most requests.
BEARER: Final = ("Authorization",)


@functools.cache
def _auth_class(library: str) -> type[Any]:
    lib: Any = importlib.import_module(library)
    carrier = type("_Carrier", (Carrier, lib.Headers), {})

    class HttpxAuth(lib.Auth):  # type: ignore[misc]
        """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestError`s too."""

        def __init__(self, manager: SessionManager, owner: Any) -> None:
            self.manager, self._owner = manager, owner
            self._grants, self._clock = manager.grants, manager.clock
            #: Where a request notes which headers this session laid over it.
            self._note = f"_laid_by_{id(manager):x}"

        def __repr__(self) -> str:
            return f"<{library} auth of {self._owner!r}>"

        def __reduce__(self) -> tuple[Any, ...]:
            return getattr, (self._owner, library)

        def __call__(self, request: object) -> Any:
            raise wrong_adapter(library, request)

        def _fresh(self, request: Any, *, in_async: bool) -> Grant | None:
            """The hot path: a fresh bearer, laid over a request to a declared origin. None where a walk must begin."""
            grant, clock, url = self._grants.current, self._clock, request.url
            if (
                grant.bearer is None
                or clock() >= grant.fresh_until
                or (url.scheme, url.raw_host, url.port, url.userinfo) not in grant.places
            ):
                return None
            request.headers["Authorization"] = grant.bearer
            request.__dict__[self._note] = BEARER
            if grant.travels:
                onward(request, grant, in_async=in_async)
            return grant

        def _settled(self, response: Any) -> bool:
            """Is the answer surely no event, and nothing to be judged on its way?"""
            return not response.history and response.status_code not in self.manager.statuses

        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            response = None
            grant = self._fresh(request, in_async=False)
            if grant is not None:
                response = yield request
                if self._settled(response):
                    return
            steps = self._steps(request, grant, response, in_async=False)
            answer: Any = None
            try:
                while True:
                    step = steps.send(answer)
                    if isinstance(step, Flight):
                        answer = step.wait()
                    elif isinstance(step, _Peek):
                        answer = peek(lib, step.response)
                    else:
                        answer = yield step
            except StopIteration:
                return
            except AuthFlowError as error:
                raise as_also(error, lib.RequestError, _request=request) from error.__cause__

        async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
            response = None
            grant = self._fresh(request, in_async=True)
            if grant is not None:
                response = yield request
                if self._settled(response):
                    return
            steps = self._steps(request, grant, response, in_async=True)
            answer: Any = None
            try:
                while True:
                    step = steps.send(answer)
                    if isinstance(step, Flight):
                        answer = await step.wait_async()
                    elif isinstance(step, _Peek):
                        answer = await peek_async(lib, step.response)
                    else:
                        answer = yield step
            except StopIteration:
                return
            except AuthFlowError as error:
                raise as_also(error, lib.RequestError, _request=request) from error.__cause__

        def _steps(
            self, request: Any, grant: Grant | None = None, response: Any = None, *, in_async: bool
        ) -> Generator[Any, Any, None]:
            """One request's walk, from its start, or from the answer to a request that carried `grant`."""
            manager = self.manager
            laid = Laid(lib, carrier, request)
            if grant is None:
                if (names := request.__dict__.pop(self._note, None)) is not None:
                    laid.clear(names)
                entry = manager.authorize(str(request.url), functools.partial(view, request))
                grant = entry.grant
                if grant is None:
                    finished = yield entry.flight
                    grant = manager.admit(finished, entry.url)
                if entry.url != str(request.url):
                    laid.move(entry.url)
                grant = manager.signed(grant, functools.partial(view, request))
                laid.over(request, grant, manager)
                request.__dict__[self._note] = tuple(name for name, _ in grant.presentation.headers)
                if grant.travels:
                    onward(request, grant, in_async=in_async)
                response = yield request
            trail: list[Any] = []
            rejected: list[Any] = []
            again = False
            while True:
                hop = response.request
                url = laid.plain_url(hop)
                if grant is ANONYMOUS:
                    break
                if not manager.trusts(grant, url):
                    manager.goes_without(url)
                    break
                if hop is not request and not laid.carries(hop, grant) and _worth_sending(manager, hop, response):
                    trail += _new(response.history, trail, rejected)
                    rejected.append(response)
                    request = hop
                    laid = Laid(lib, carrier, request)
                    grant = manager.signed(grant, functools.partial(view, request))
                    laid.over(request, grant, manager)
                    response = yield request
                    continue
                if response.status_code not in manager.statuses:
                    break
                body = b""
                if manager.needs_body:
                    body = yield _Peek(response)
                answer = Answer(response.status_code, pairs(response.headers), body, manager.clock())
                if again:
                    manager.on_second_response(grant, url, answer)
                    break
                heard = manager.on_response(grant, url, answer, replayable=replayable(lib, hop))
                if heard is None:
                    break
                new = heard.grant
                if new is None:
                    finished = yield heard.flight
                    new = manager.admit(finished, url)
                again = True
                trail += _new(response.history, trail, rejected)
                rejected.append(response)
                if hop is not request:
                    request, laid = hop, Laid(lib, carrier, hop)
                laid.take_back(grant)
                grant = manager.signed(new, functools.partial(view, request))
                laid.over(request, grant, manager)
                if grant.travels:
                    onward(request, grant, in_async=in_async)
                response = yield request
            response.history = [*trail, *_new(response.history, trail, rejected)]
            for earlier in response.history:
                for name, _ in grant.presentation.headers:
                    earlier.request.headers.pop(name, None)
                if grant.presentation.query:
                    earlier.request.url = lib.URL(without(str(earlier.request.url), grant.presentation.query))

    return HttpxAuth


def _new(responses: list[Any], *known: list[Any]) -> list[Any]:
    """Those responses that are in none of the lists (they have no equality of their own)."""
    return [response for response in responses if not any(response is other for list_ in known for other in list_)]


def _worth_sending(manager: SessionManager, request: Any, response: Any) -> bool:
    """A hop that came without the token is asked for again if that is safe, or if it was turned away for it."""
    return request.method in SAFE or response.status_code in manager.statuses
