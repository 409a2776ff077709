"""httpx and httpx2: the token as an `Auth`, exchanges through a `Client`.

What happens to a request is one generator for both worlds: it yields requests to send, and flights and bodies to wait
for; the synchronous and the asynchronous flow differ only in how they do that.

httpx follows redirects below `auth`: `httpx_wire` judges each hop as it is made, and each answer on the way is judged
here, once the last one has come: the first that is an event is where the request begins anew. What a hook of the user's
raises closes our generator: then the response is looked for among what the client had in hand, so that a rejected token
is renewed.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from authflow.accounts import ANONYMOUS, Grant
from authflow.clients.base import kind_of, wrong_adapter
from authflow.clients.httpx_sender import HttpxSender
from authflow.clients.httpx_start import Start
from authflow.clients.httpx_wire import (
    Laid,
    follow,
    frame_of,
    hear,
    keep_cookies,
    laid_by,
    pairs,
    plain_copy,
    replayable,
    unburden,
    view,
)
from authflow.clock import timer
from authflow.errors import AuthFlowError, ConfigurationError, as_also, forget_locals
from authflow.http import Answer
from authflow.renewing import MOST_SENDS, Sender

if TYPE_CHECKING:
    from authflow.manager import SessionManager


class _TornAway(Exception):
    """The client gave the request up while it was on its way: a hook of the user's raised `error`, say."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    return _auth_class(library)(manager, owner)


def sender(library: str, client: Any) -> Sender:
    return HttpxSender(library, client)


#: The time-out of requests for which nobody said one, in seconds.
USUAL: Final = 5.0


@functools.cache
def _auth_class(library: str) -> type[Any]:
    lib: Any = importlib.import_module(library)

    class HttpxAuth(lib.Auth):  # type: ignore[misc]
        """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestError`s too."""

        def __init__(self, manager: SessionManager, owner: Any) -> None:
            self.manager, self._owner = manager, owner
            self._grants, self._timer, self._noteworthy = manager.grants, timer(manager.clock), manager.noteworthy
            #: What a request notes of the last session that laid a bearer over it. It may be pickled.
            self._note = id(manager)

        def __repr__(self) -> str:
            return f"<{library} auth of {self._owner!r}>"

        def __reduce__(self) -> tuple[Any, ...]:
            return getattr, (self._owner, library)

        def __call__(self, request: object, handler: object = None) -> Any:
            raise wrong_adapter(f"session.{library}", request)

        def _fresh(self, request: Any) -> Grant | None:
            """The hot path: a fresh bearer, laid over a request to a declared origin. None where that needs thought."""
            grant = self._grants.current
            bearer = grant.bearer
            if (
                bearer is None
                or self._timer.time() >= grant.fresh_until
                or getattr(request.url, "_uri_reference", ())[:4] not in grant.places
            ):
                return None
            request.headers["Authorization"] = bearer
            request._bearer_by = self._note  # a plain attribute: `__dict__` would be made for it
            if grant.travels:
                laid = Laid(lib, request, self.manager)
                laid.grant = grant
                follow(laid)
            return grant

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            """For auths that are composed of several (`yield from session.httpx.auth_flow(request)`): one send, with
            the token. A rejection is the caller's to see; the next request renews.

            Raises AuthFlowErrors that are RequestErrors too; ConfigurationError where a login would block a loop.
            """
            try:
                grant = self._authorized(request)
            except AuthFlowError as error:
                raise self._theirs(error, request) from error.__cause__
            response, torn = None, False
            try:
                response = yield request
            except GeneratorExit:
                torn = True
            if torn:
                response = _response_under(sys.exc_info()[1], lib)
                if response is None or response.request is not request:
                    # httpx_auth's `+` takes the request, and tells nobody of the answer.
                    laid = laid_by(self.manager, request)
                    return hear(laid, functools.partial(self._answered, grant)) if laid is not None else None
            self._answered(grant, response)

        def _answered(self, grant: Grant, response: Any) -> None:
            for one in (*response.history, response) if response is not None else ():
                if self.manager.tells(grant, one.status_code, one.headers):
                    self._heard(grant, one)

        def _authorized(self, request: Any) -> Grant:
            """Lay a grant over the request, waited for if that blocks no event loop. Raises AuthFlowError."""
            authorization = self.manager.authorize(str(request.url), functools.partial(view, request))
            if authorization.grant is None and self.manager.vendor.flow.exchanges and _in_loop():
                raise ConfigurationError(
                    f"{self.manager.vendor.title}: this request needs a login, and auth_flow cannot wait for it in an "
                    "event loop: `await session.atoken()` first",
                    vendor=self.manager.vendor.name,
                )
            grant, url = authorization.grant, authorization.url
            if grant is None:
                grant, url = self.manager.arrived(authorization, authorization.wait())
            laid = Laid(lib, request, self.manager)
            laid.move(url)
            grant = self.manager.signed(grant, functools.partial(view, request))
            laid.over(grant)
            return grant

        def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            grant, torn = self._fresh(request), False
            response: Any = None
            if grant is not None:
                try:
                    response = yield request
                except GeneratorExit:
                    torn = True
                if torn:  # outside the block, where the hook's own error is the one that is handled
                    return self._torn_away(grant, sys.exc_info()[1])
                if response.status_code not in self._noteworthy and not response.history:
                    return  # surely no event, and nothing to be judged on its way
            walk = self._walk(request, grant, response)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
                    if isinstance(step, lib.Request):
                        try:
                            answer = yield step
                        except GeneratorExit:
                            torn = True
                        if torn:
                            walk.throw(_TornAway(sys.exc_info()[1]))
                    else:
                        try:
                            answer = step.wait(_patience(request))
                        except BaseException as error:
                            walk.throw(error)
            except (StopIteration, _TornAway):
                return

        async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
            grant, torn = self._fresh(request), False
            response: Any = None
            if grant is not None:
                try:
                    response = yield request
                except GeneratorExit:
                    torn = True
                if torn:
                    self._torn_away(grant, sys.exc_info()[1])
                    return
                if response.status_code not in self._noteworthy and not response.history:
                    return  # surely no event, and nothing to be judged on its way
            walk = self._walk(request, grant, response)
            answer: Any = None
            try:
                while True:
                    step = walk.send(answer)
                    if isinstance(step, lib.Request):
                        try:
                            answer = yield step
                        except GeneratorExit:
                            torn = True
                        if torn:
                            walk.throw(_TornAway(sys.exc_info()[1]))
                    else:
                        try:
                            answer = await step.wait_async(_patience(request))
                        except BaseException as error:
                            walk.throw(error)
            except (StopIteration, _TornAway):
                return

        def _walk(self, request: Any, grant: Grant | None, response: Any) -> Generator[Any, Any, None]:
            """The slow path, for both worlds: it yields requests to send, and what is to be waited for."""
            try:
                yield from self._steps(request, grant, response)
            except AuthFlowError as error:
                raise self._theirs(error, request) from error.__cause__
            except (GeneratorExit, _TornAway):
                raise
            except BaseException as error:
                forget_locals(error)
                raise

        def _theirs(self, error: AuthFlowError, request: Any) -> AuthFlowError:
            """An error of ours that is the client's too."""
            return as_also(error, kind_of(error, lib.RequestError, lib.TransportError), _request=request)

        def _torn_away(self, grant: Grant, error: BaseException | None) -> None:
            """A hook that raises on a 401 keeps no revoked token alive: the next request renews it."""
            self._answered(grant, _response_under(error, lib))

        def _heard(self, grant: Grant, response: Any) -> None:
            """An answer that is the caller's, whatever it means: a rejected token is renewed for the next request."""
            if grant is ANONYMOUS:
                return
            url = str(response.request.url)
            if self.manager.trusts(grant, url):
                body = getattr(response, "_content", b"")
                answer = Answer(response.status_code, pairs(response.headers), body, self.manager.clock())
                with suppress(AuthFlowError):
                    self.manager.heard(grant, functools.partial(view, response.request), answer)
                    self.manager.on_response(grant, url, answer, replayable=False)

        def _on(self, hop: Any, grant: Grant) -> Laid:
            """What lies on a hop that a redirect led to."""
            laid, url = laid_by(self.manager, hop), str(hop.url)
            if laid is None:
                laid = Laid(lib, hop, self.manager)
                if self.manager.trusts(grant, url):
                    laid.grant = grant
                elif grant is not ANONYMOUS:
                    self.manager.goes_without(url)
            return laid

        def _sent(self, laid: Laid, grant: Grant, carried: list[Grant]) -> Generator[Any, Any, Any]:
            """The answer to a request that carries a grant, signed."""
            carried.append(self.manager.signed(grant, functools.partial(view, laid.request)))
            laid.over(carried[-1])
            try:
                return (yield laid.request)
            except _TornAway as torn:
                self._torn_away(carried[-1], torn.error)
                raise

        def _judged(
            self, response: Any, grant: Grant, url: str, *, again: bool, more: bool, last: bool
        ) -> Generator[Any, Any, tuple[Grant, bool] | None]:
            """What an answer means: the grant with which its request is sent once more, and `again` for the answer to
            that; or None if it is the caller's.

            `again`: it was renewed already. `more`: may it be sent again? `last`: no redirect led on from here.
            """
            manager, request = self.manager, response.request
            if not (manager.tells(grant, response.status_code, response.headers) and manager.trusts(grant, url)):
                return None
            body = b""
            if manager.reads_body(response.status_code, response.headers.get("Content-Type", "")):
                send = frame_of("send")
                # Does the caller stream it? Who drives the flow by hand may.
                body = yield Start(lib, response, send is None or bool(send.f_locals.get("stream", True)))
            answer = Answer(response.status_code, pairs(response.headers), body, manager.clock())
            more = more and replayable(lib, request)
            if last and manager.heard(grant, functools.partial(view, request), answer):
                return (grant, again) if more else None
            if again:
                manager.on_second_response(grant, url, answer)
                return None
            heard = manager.on_response(grant, url, answer, replayable=more)
            if heard is None:
                return None
            return heard.grant if heard.grant is not None else manager.admit((yield heard.flight), url), True

        def _steps(self, request: Any, grant: Grant | None = None, response: Any = None) -> Generator[Any, Any, None]:
            """What happens to one request, from its start, or from the answer to a request that carried `grant`."""
            manager, laid = self.manager, Laid(lib, request, self.manager)
            carried, asked, rewritten = [] if grant is None else [grant], "", ""
            if grant is not None:
                laid.grant = grant
            else:
                laid.clear(self._note)
                asked = rewritten = str(request.url)
                grant = manager.at_once(asked)
                if grant is None:
                    authorization = manager.authorize(asked, functools.partial(view, request))
                    grant, asked, url = authorization.grant, authorization.asked, authorization.url
                    if grant is None:
                        grant, url = manager.arrived(authorization, (yield authorization.flight))
                    laid.move(url)
                    rewritten = str(request.url)
                response = yield from self._sent(laid, grant, carried)
            #: The answers that stand in the history so far, and those that were given up for another.
            trail, dropped = list[Any](), list[Any]()
            again, sends = False, 1
            while True:
                more = sends < MOST_SENDS
                for earlier in _new(response.history, trail, dropped):
                    url = str(earlier.request.url)
                    judged = yield from self._judged(earlier, carried[-1], url, again=again, more=more, last=False)
                    if judged is not None:  # the client has followed it, to a page where people log in, say
                        dropped.append(response)
                        response, laid = earlier, Laid(lib, earlier.request, manager)
                        break
                else:
                    if response.request is not laid.request:
                        laid = self._on(response.request, carried[-1])
                        if not again and laid.is_missing and _worth_sending(manager, laid.request, response):
                            dropped.append(response)
                            response = yield from self._sent(laid, laid.grant, carried)
                            continue
                    url = laid.plain_url
                    judged = yield from self._judged(response, laid.grant, url, again=again, more=more, last=True)
                if judged is None:
                    break
                (new, again), sends = judged, sends + 1
                trail += [*_new(response.history, trail, dropped), response]
                request = response.request
                laid.take_back()
                response.request = plain_copy(lib, request)
                keep_cookies(lib, request, response)
                if str(request.url) == rewritten:
                    laid.move(rewritten := manager.moved(asked, rewritten, new))
                response = yield from self._sent(laid, new, carried)
            response.history = [*trail, *_new(response.history, trail, dropped)]
            for one in (*response.history, response.next_request):
                unburden(one.request if isinstance(one, lib.Response) else one, carried)

    return HttpxAuth


def _patience(request: Any) -> float | None:
    """For how long the caller waits for another's renewal, where that was said: 5 s are the library's own."""
    told = (request.extensions.get("timeout") or {}).get("read")
    return float(told) if isinstance(told, int | float) and told != USUAL else None


def _in_loop() -> bool:
    """Does whoever asks run in an event loop of this thread, with no synchronous client in between?"""
    frame = frame_of("_send_handling_auth")
    return frame is not None and bool(frame.f_code.co_flags & inspect.CO_COROUTINE)


def _response_under(error: BaseException | None, lib: Any) -> Any:
    """The response that the client had in hand when a hook raised: not that of a request of the hook's own."""
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_frame.f_code.co_name != "_send_handling_redirects":
        trace = trace.tb_next
    found = trace.tb_frame.f_locals.get("response") if trace is not None else None
    return found if isinstance(found, lib.Response) else None


def _new(responses: list[Any], *known: list[Any]) -> list[Any]:
    """Those responses that are in none of the lists (they have no equality of their own)."""
    return [response for response in responses if not any(response is other for list_ in known for other in list_)]


def _worth_sending(manager: SessionManager, request: Any, response: Any) -> bool:
    """A hop that came back from elsewhere without the token is sent again if that is safe, or if it was turned away."""
    return request.method in ("GET", "HEAD", "OPTIONS") or response.status_code in manager.noteworthy
