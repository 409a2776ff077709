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

from authflow.clients.base import Sender, wrong_adapter
from authflow.clients.httpx_sender import HttpxSender
from authflow.clients.httpx_wire import Carrier, Laid, onward, pairs, peek, peek_async, replayable, view, without
from authflow.errors import AuthFlowError, as_also
from authflow.flight import Flight
from authflow.held import BARE, Held
from authflow.http import Answer

if TYPE_CHECKING:
    from authflow.session import AuthSession

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class _Peek:
    """Asks the driver of a walk for the start of a response's body."""

    def __init__(self, response: Any) -> None:
        self.response = response


def adapter(library: str, session: AuthSession) -> Any:
    return _auth_class(library)(session)


def sender(library: str, client: Any) -> Sender:
    return HttpxSender(library, client)


@functools.cache
def _auth_class(library: str) -> type[Any]:
    lib: Any = importlib.import_module(library)
    carrier = type("_Carrier", (Carrier, lib.Headers), {})

    class HttpxAuth(lib.Auth):  # type: ignore[misc]
        """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestError`s too."""

        def __init__(self, session: AuthSession) -> None:
            self.session = session
            self._keeper, self._clock = session.keeper, session.clock

        def __repr__(self) -> str:
            return f"<{library} auth of {self.session!r}>"

        def __reduce__(self) -> tuple[Any, ...]:
            return adapter, (library, self.session)

        def __call__(self, request: object) -> Any:
            raise wrong_adapter(library, request)

        def _calm(self, request: Any, *, in_async: bool) -> Held | None:
            """The hot path: a fresh bearer, laid over a request to a declared origin. None where a walk must begin."""
            held, clock, url = self._keeper.held, self._clock, request.url
            if (
                held.bearer is None
                or clock() >= held.calm_until
                or (url.scheme, url.raw_host, url.port, url.userinfo) not in held.places
            ):
                return None
            request.headers["Authorization"] = held.bearer
            if held.travels:
                onward(request, held, in_async=in_async)
            return held

        def _settled(self, response: Any) -> bool:
            """Is the answer surely no event, and nothing to be judged on its way?"""
            return not response.history and response.status_code not in self.session.statuses

        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            response = None
            held = self._calm(request, in_async=False)
            if held is not None:
                response = yield request
                if self._settled(response):
                    return
            walk = self._walk(request, held, response, in_async=False)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
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
            held = self._calm(request, in_async=True)
            if held is not None:
                response = yield request
                if self._settled(response):
                    return
            walk = self._walk(request, held, response, in_async=True)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
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

        def _walk(
            self, request: Any, held: Held | None = None, response: Any = None, *, in_async: bool
        ) -> Generator[Any, Any, None]:
            """One request's walk, from its start, or from the answer to a request that carried `held`."""
            session = self.session
            laid = Laid(lib, carrier, request)
            if held is None:
                entry = session.enter(str(request.url), functools.partial(view, request))
                held = entry.held
                if held is None:
                    landed = yield entry.flight
                    held = session.admit(landed, entry.url)
                if entry.url != str(request.url):
                    laid.move(entry.url)
                held = session.signed(held, functools.partial(view, request))
                laid.over(request, held, session)
                if held.travels:
                    onward(request, held, in_async=in_async)
                response = yield request
            trail: list[Any] = []
            rejected: list[Any] = []
            again = False
            while True:
                hop = response.request
                url = laid.plain_url(hop)
                if held is BARE:
                    break
                if not session.trusts(held, url):
                    session.goes_bare(url)
                    break
                if hop is not request and not laid.carries(hop, held) and _worth_sending(session, hop, response):
                    trail += _new(response.history, trail, rejected)
                    rejected.append(response)
                    request = hop
                    laid = Laid(lib, carrier, request)
                    held = session.signed(held, functools.partial(view, request))
                    laid.over(request, held, session)
                    response = yield request
                    continue
                if response.status_code not in session.statuses:
                    break
                body = b""
                if session.needs_body:
                    body = yield _Peek(response)
                answer = Answer(response.status_code, pairs(response.headers), body, session.clock())
                if again:
                    session.hear_again(held, url, answer)
                    break
                heard = session.hear(held, url, answer, replayable=replayable(lib, hop))
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
                    request, laid = hop, Laid(lib, carrier, hop)
                laid.take_back(held)
                held = session.signed(new, functools.partial(view, request))
                laid.over(request, held, session)
                if held.travels:
                    onward(request, held, in_async=in_async)
                response = yield request
            response.history = [*trail, *_new(response.history, trail, rejected)]
            for earlier in response.history:
                for name, _ in held.presentation.headers:
                    earlier.request.headers.pop(name, None)
                if held.presentation.query:
                    earlier.request.url = lib.URL(without(str(earlier.request.url), held.presentation.query))

    return HttpxAuth


def _new(responses: list[Any], *known: list[Any]) -> list[Any]:
    """Those responses that are in none of the lists (they have no equality of their own)."""
    return [response for response in responses if not any(response is other for list_ in known for other in list_)]


def _worth_sending(session: AuthSession, request: Any, response: Any) -> bool:
    """A hop that came without the token is asked for again if that is safe, or if it was turned away for it."""
    return request.method in SAFE or response.status_code in session.statuses
