"""niquests: the hooks of requests, for a `Session` and an `AsyncSession` alike, whole answers and lazy ones.

niquests does not tell an auth object which of the two asks. So nothing waits until one can see it:

    auth        is called in both alike: it lays the token over the request, or finds the flight that will bring it
    pre_request waits for that flight, if an event loop runs in this thread: awaited by the one, blocking in the other
    response    hears the answer: an `AsyncResponse` is one whose hook is awaited

A lazy (multiplexed) answer is none yet when `send` returns it. When it comes, niquests follows its redirects before it
calls the hook, and drops what the hook returns: hops are judged by the request that they are copied from, whatever
calls for it, and a second answer is put into the caller's own object.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import niquests

from authflow.accounts import Grant
from authflow.clients.requests import Auth, FreshHook, RequestHook, Steps, auth_class, settle
from authflow.clients.requests_sender import RequestsSender
from authflow.manager import Flight
from authflow.renewing import Sender

if TYPE_CHECKING:
    from authflow.manager import SessionManager

C = TypeVar("C", bound=type)
_as_it_is: Final = object.__getattribute__


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    return auth_class(library, NiquestsAuth)(library, manager, owner)


def sender(library: str, client: Any) -> Sender:
    return RequestsSender(library, client)


async def settle_async(steps: Steps) -> Any:
    """Go the steps of a hook in an event loop, without blocking it."""
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Flight):
                    step = step.wait_async()
                result = await step if inspect.isawaitable(step) else step
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


def awaited(cls: C) -> C:
    """Mark callable objects as coroutine functions, as asynchronous sessions want them; synchronous ones never look."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(cls)
    cls._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return cls


@awaited
class Pending:
    """The wait for a token, put off until the request is sent."""

    def __init__(self, hook: RequestHook, flight: Flight[Grant]) -> None:
        self._hook = hook
        self._flight: Flight[Grant] | None = flight

    def __call__(self, request: Any, **kwargs: Any) -> Any:
        steps = self._steps(request)
        by_a_coroutine = sys._getframe(1).f_code.co_flags & inspect.CO_COROUTINE
        return settle_async(steps) if by_a_coroutine else settle(steps)

    def _steps(self, request: Any) -> Steps:
        flight, self._flight = self._flight, None
        if flight is not None:
            yield from self._hook.finish(request, flight)
        return request

    def __reduce__(self) -> tuple[Any, ...]:
        return self._hook.__reduce__()


class NiquestsFreshHook(FreshHook):
    __slots__ = ()

    def __call__(self, response: Any, **kwargs: Any) -> None:
        # A response asks, whenever it is read, whether it has come yet. When it is shown to a listener, it has.
        if _as_it_is(response, "status_code") in self.noteworthy:
            self.hook(response.request)


@awaited
class NiquestsRequestHook(RequestHook):
    __slots__ = ()

    def __call__(self, response: Any, **kwargs: Any) -> Any:
        steps = self._steps(response, kwargs)
        return (
            settle_async(steps)
            if isinstance(response, niquests.AsyncResponse)
            else settle(steps, kwargs.get("timeout"))
        )

    def _steps(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        promise = _promise(response)
        seen = response if promise is None else promise.get_parameter("niquests_response")
        if self.concerns(seen):
            seen = yield from self.on_response(seen, kwargs)
        else:
            seen = self.passed(seen)
        if promise is None:
            return seen
        for earlier in seen.history:
            earlier.url = earlier.request.url
        return response

    def _resent(self, response: Any, request: Any, kwargs: Mapping[str, Any]) -> Steps:
        promise = _promise(response)
        if promise is None:
            return (yield from super()._resent(response, request, kwargs))
        response.request = request
        again = yield self._whole(response, promise, kwargs)
        again.history = [*response.history, *again.history]
        response.__dict__, again.__dict__ = again.__dict__, response.__dict__
        return response

    def _whole(self, response: Any, promise: Any, kwargs: Mapping[str, Any]) -> Awaitable[Any] | Any:
        """Send a request once more that was answered lazily: its redirects are followed, and it is answered at once."""
        in_async = isinstance(response.connection, niquests.adapters.AsyncBaseAdapter)
        session: Any = niquests.AsyncSession() if in_async else niquests.Session()
        session.adapters.clear()
        for scheme in ("http://", "https://"):
            session.mount(scheme, response.connection)
        session.cookies = promise.get_parameter("niquests_cookies")
        session.max_redirects = promise.get_parameter("niquests_max_redirects")
        allow = promise.get_parameter("niquests_allow_redirect")
        return session.send(response.request, **{**kwargs, "multiplexed": False, "allow_redirects": allow})


def _promise(response: Any) -> Any:
    """What niquests notes of a request that was answered lazily, or None."""
    promise = getattr(getattr(response.raw, "_fp", None), "from_promise", None)
    lazy = promise is not None and promise.get_parameter("niquests_allow_redirect") is not None
    return promise if lazy else None


class NiquestsAuth(Auth):
    """`auth=` of one session, for `Session` and `AsyncSession`. Raises `AuthFlowError`s that are `RequestException`s
    too.
    """

    fresh = NiquestsFreshHook
    hook = NiquestsRequestHook
    follows = True

    def _await(self, hook: RequestHook, request: Any, flight: Flight[Grant]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            super()._await(hook, request, flight)
        else:
            request.hooks["pre_request"].append(Pending(hook, flight))
