"""requests: the token as an `AuthBase`, exchanges through a `Session`.

requests calls `auth` once, when a request is prepared, and shows every answer, redirects included, to response hooks.
So each request has a hook that sends it once more when the session manager says so, and judges each hop of a redirect
when it is given its URL (requests itself drops only `Authorization`, and only when the host changes). While a token is
fresh, all requests share one hook; a request gets its own at the first status in `noteworthy`.

What a hook does is a generator, which yields flights to wait for and results to be awaited: niquests' asynchronous
sessions go the same steps (`authflow.clients.niquests`). Nothing here imports a library before it is in use.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from authflow.accounts import ANONYMOUS, Grant
from authflow.clients.base import kind_of, wrong_adapter
from authflow.clients.requests_sender import RequestsSender
from authflow.clients.requests_wire import (
    URL,
    follow,
    following,
    keep_cookies,
    lay_body,
    lay_over,
    pairs,
    peek,
    replayable,
    rewound,
    show_plain,
    take_back,
    view,
)
from authflow.clock import timer
from authflow.errors import AuthFlowError, as_also, forget_locals
from authflow.http import REDIRECTS, Answer, Pairs
from authflow.manager import Flight
from authflow.renewing import MOST_SENDS, Sender

if TYPE_CHECKING:
    from authflow.manager import SessionManager

Steps = Generator[Any, Any, Any]


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    return auth_class(library, Auth)(library, manager, owner)


def sender(library: str, client: Any) -> Sender:
    return RequestsSender(library, client)


@functools.cache
def auth_class(library: str, cls: type[Auth]) -> type[Auth]:
    base = importlib.import_module(f"{library}.auth").AuthBase
    return type(cls.__name__, (cls, base), {"__doc__": cls.__doc__, "__module__": cls.__module__})


def settle(steps: Steps, timeout: Any = None) -> Any:
    """Go the steps of a hook in this thread, waiting for flights: `timeout`, the caller's own, bounds the wait for what
    others do.
    """
    most = timeout[-1] if isinstance(timeout, tuple) else timeout
    most = float(most) if isinstance(most, int | float) else None
    try:
        step = next(steps)
        while True:
            try:
                result = step.wait(most) if isinstance(step, Flight) else step
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


class FreshHook:
    """The hook of all requests that carry one grant while it is fresh. It keeps nothing of any of them."""

    __slots__ = ("auth", "grant", "hooks", "listen", "noteworthy")

    def __init__(self, auth: Auth, grant: Grant) -> None:
        self.auth = auth
        self.noteworthy = auth.manager.noteworthy
        self.grant = grant
        self.hooks = (self,)
        self.listen = self.__call__  # a bound method that is kept costs less than calling an object

    def __reduce__(self) -> tuple[Any, ...]:
        return _over, ()

    def __call__(self, response: Any, **kwargs: Any) -> None:
        if response.status_code in self.noteworthy:
            self.hook(response.request)

    def hook(self, request: Any) -> RequestHook:
        """Replace this hook, in the request's list, by a no-op and a hook of its own: the library, which is going
        through the list, calls or awaits the latter next.
        """
        hook = self.auth.hook(self.auth, self.grant)
        listeners = request.hooks["response"]
        try:
            here = listeners.index(self.listen)
        except ValueError:  # replaced already, by another thread or in a copy; or the answer is another request's
            return next((one for one in listeners if isinstance(one, RequestHook)), hook)
        listeners[here : here + 1] = [_no_hook, hook]
        self.auth.retire(listeners, hook)
        return hook

    def take_back(self, request: Any) -> None:
        take_back(request, self.grant)

    def __deepcopy__(self, memo: Any) -> FreshHook:
        return self


class RequestHook:
    """One request on its way: what it carries, and whether it was sent again already."""

    __slots__ = ("_again", "_asked", "_grant", "_sends", "auth")

    def __init__(self, auth: Auth, grant: Grant) -> None:
        self.auth = auth
        self._grant = grant
        self._again, self._sends = False, 1
        #: The caller's URL, and what it was rewritten to.
        self._asked = ("", "")

    def __reduce__(self) -> tuple[Any, ...]:
        # A response may be pickled with its request and hooks; it is over then.
        return _over, ()

    def at_once(self, request: Any) -> bool:
        """Let the request carry a fresh token that wants but a signature, if that is all."""
        manager = self.auth.manager
        if (grant := manager.at_once(request.url)) is None:
            return False
        self._asked = request.url, request.url
        try:
            self._grant = manager.signed(grant, functools.partial(view, request))
        except AuthFlowError as error:
            raise as_also(error, self.auth.error_for(error), request=request, response=None) from error.__cause__
        lay_over(request, self._grant, manager)
        return True

    def authorize(self, request: Any) -> Flight[Grant] | None:
        """Let the request carry the token, or say which flight will bring it."""
        manager = self.auth.manager
        with self._raising(request):
            entry = manager.authorize(request.url, functools.partial(view, request))
            self._asked, request.url = (entry.asked, entry.url), entry.url
            if entry.grant is None:
                return entry.flight
            self._grant = manager.signed(entry.grant, functools.partial(view, request))
            lay_over(request, self._grant, manager)
        return None

    def finish(self, request: Any, flight: Flight[Grant]) -> Steps:
        """The rest of `authorize`, when there is a flight to wait for."""
        manager = self.auth.manager
        with self._raising(request):
            arrived = yield flight
            request.url = manager.moved(*self._asked, arrived)
            self._asked = self._asked[0], request.url
            finished = manager.admit(arrived, request.url)
            self._grant = manager.signed(finished, functools.partial(view, request))
            lay_over(request, self._grant, manager)

    def hook(self, request: Any) -> RequestHook:
        """Itself: it has begun."""
        return self

    def __call__(self, response: Any, **kwargs: Any) -> Any:
        if not self.concerns(response):
            return self.passed(response)
        return settle(self.on_response(response, kwargs), kwargs.get("timeout"))

    def concerns(self, response: Any) -> bool:
        """May the answer be an event?"""
        return self.auth.manager.tells(self._grant, response.status_code, response.headers)

    def on_response(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        """What the answer means; the response that the caller shall see. `kwargs`: how it was sent."""
        try:
            with self._raising(response.request):
                grant = yield from self._heard(response, kwargs)
                if grant is not None:
                    response = yield from self._send_again(response, grant, kwargs)
        except AuthFlowError:
            yield response.close()
            raise
        return self.passed(response)

    def passed(self, response: Any) -> Any:
        """A response on its way to the caller, or, where it redirects, to the library."""
        show_plain(response)
        if response.status_code not in REDIRECTS or not response.is_redirect:
            self._again, self._sends = False, 1
        elif self._grant is not ANONYMOUS:
            follow(response.request, self)
        return response

    def _heard(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        """The grant with which to send the request once more, or None."""
        manager, request, grant = self.auth.manager, response.request, self._grant
        url = vars(request).get(URL, request.url)
        if not manager.trusts(grant, url):
            return None
        body = b""
        if manager.reads_body(response.status_code, response.headers.get("Content-Type", "")):
            body = yield from peek(response, bool(kwargs.get("stream")))
        answer = Answer(response.status_code, pairs(response), body, manager.clock())
        again = self._sends < MOST_SENDS and replayable(request)
        if manager.heard(grant, functools.partial(view, request), answer):
            return grant if again else None
        if self._again:
            manager.on_second_response(grant, url, answer)
            return None
        entry = manager.on_response(grant, url, answer, replayable=again)
        if entry is None:
            return None
        self._again = True
        return entry.grant or manager.admit((yield entry.flight), url)

    def _send_again(self, response: Any, grant: Grant, kwargs: Mapping[str, Any]) -> Steps:
        # The very request that the library goes on to copy for redirects, so that its hops carry the new token too.
        request = response.request
        if not kwargs.get("stream"):
            with suppress(self.auth.error):
                yield response.content
        yield response.close()
        show_plain(response)
        take_back(request, self._grant)
        response.request = self.auth.copied(request)
        keep_cookies(self.auth.cookies, request, response)
        yield rewound(request)
        if request.url == self._asked[1]:
            request.url = self.auth.manager.moved(*self._asked, grant)
            self._asked = self._asked[0], request.url
        self._grant = self.auth.manager.signed(grant, functools.partial(view, request))
        self._sends += 1
        lay_over(request, self._grant, self.auth.manager)
        return (yield from self._resent(response, request, kwargs))

    def _resent(self, response: Any, request: Any, kwargs: Mapping[str, Any]) -> Steps:
        """The second answer to the request; the first one stands in its history."""
        started = time.monotonic()
        again = yield response.connection.send(request, **kwargs)
        again.elapsed = timedelta(seconds=time.monotonic() - started)
        again.request = request
        again.history = [response, *again.history]
        if self.concerns(again):
            again = yield from self.on_response(again, kwargs)
        return again

    # --- what a redirected request and its hops ask (`requests_wire`) -------------------------------------------------

    def take_back(self, request: Any) -> None:
        take_back(request, self._grant)

    @property
    def query(self) -> Pairs:
        return self._grant.presentation.query

    def judge(self, hop: Any) -> None:
        """A hop has its URL: at a declared origin it carries the token, elsewhere nothing of it."""
        manager = self.auth.manager
        if manager.trusts(self._grant, hop.url):
            with self._raising(hop):
                self._grant = manager.signed(self._grant, functools.partial(view, hop))
                lay_over(hop, self._grant, manager)
        elif self._grant is not ANONYMOUS:
            manager.goes_without(hop.url)

    def lay_body(self, hop: Any) -> None:
        manager = self.auth.manager
        if manager.trusts(self._grant, hop.url):
            with self._raising(hop):
                lay_body(hop, self._grant.presentation, manager)

    @contextmanager
    def _raising(self, request: Any) -> Iterator[None]:
        try:
            yield
        except AuthFlowError as error:
            raise as_also(error, self.auth.error_for(error), request=request, response=None) from error.__cause__
        except BaseException as error:
            forget_locals(error)
            raise


class Auth:
    """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestException`s too."""

    fresh: type[FreshHook] = FreshHook
    hook: type[RequestHook] = RequestHook
    #: May the library copy a redirected request before it calls the listener? Then it is followed from the start.
    follows: bool = False

    def __init__(self, library: str, manager: SessionManager, owner: Any) -> None:
        self._library = library
        self.manager, self._owner = manager, owner
        self._grants, self._timer = manager.grants, timer(manager.clock)
        self._fresh = self.fresh(self, ANONYMOUS)
        lib = importlib.import_module(library)
        self._kind, self.error, self._no_connection = lib.PreparedRequest, lib.RequestException, lib.ConnectionError
        self._following = following(self._kind) if self.follows else None
        self.cookies = importlib.import_module(f"{library}.cookies")

    def __repr__(self) -> str:
        return f"<{self._library} auth of {self._owner!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, self._library)

    def error_for(self, error: AuthFlowError) -> type[Exception]:
        """Which of the library's errors an error of ours is too."""
        return kind_of(error, self.error, self._no_connection)

    def __call__(self, request: Any, handler: Any = None) -> Any:  # aiohttp gives its middlewares a handler too
        fresh = self._fresh
        grant = fresh.grant
        if (
            grant is self._grants.current
            and request.__class__ is self._kind
            and self._timer.time() < grant.fresh_until
            and request.url.startswith(grant.prefixes)
        ):
            if grant.bearer is not None:
                request.headers["Authorization"] = grant.bearer
            else:
                for name, value in grant.presentation.headers:
                    request.headers[name] = value
            request.hooks["response"].append(fresh.listen)
            if self._following is not None:  # `follow`, with the class at hand
                request._hooks, request.__class__ = fresh.hooks, self._following
            return request
        return self._begin(request)

    def _begin(self, request: Any) -> Any:
        """The slow path: a request that is not plain, a token that is not fresh, or a new grant since the last one."""
        if not isinstance(request, self._kind):
            raise wrong_adapter(f"session.{self._library}", request)
        grant = self._grants.current
        if self._fresh.grant is not grant and not self.manager.simple and self._timer.time() < grant.fresh_until:
            self._fresh = self.fresh(self, grant)
            return self(request)
        self.retire(request.hooks["response"], request=request)
        hook = self.hook(self, ANONYMOUS)
        if not hook.at_once(request) and (flight := hook.authorize(request)) is not None:
            self._await(hook, request, flight)
        request.hooks["response"].append(hook)
        if self.follows:
            follow(request, hook)
        return request

    def copied(self, request: Any) -> Any:
        """A copy that nobody follows or hears."""
        copy = self._kind.copy(request)
        copy.hooks = {**copy.hooks, "response": []}
        return copy

    def retire(self, listeners: list[Any], hook: RequestHook | None = None, *, request: Any = None) -> None:
        """A request has one hook: whatever else of ours listens to it, because it was authorised twice, is silent; and
        what it laid over the `request` is taken back, which may go elsewhere now.
        """
        for here, listener in enumerate(listeners):
            ours = getattr(listener, "__self__", listener)
            if isinstance(ours, FreshHook | RequestHook) and ours is not hook and ours.auth is self:
                listeners[here] = _no_hook
                if request is not None:
                    ours.take_back(request)

    def _await(self, hook: RequestHook, request: Any, flight: Flight[Grant]) -> None:
        settle(hook.finish(request, flight), _callers_timeout())


def _callers_timeout() -> Any:
    """`timeout=` of the request that is being prepared: the library tells no auth, and keeps it in a frame above."""
    frame = inspect.currentframe()
    while frame is not None and not (frame.f_code.co_name == "request" and "timeout" in frame.f_code.co_varnames):
        frame = frame.f_back
    return frame and frame.f_locals["timeout"]


def _over() -> Any:
    return _no_hook


def _no_hook(response: Any, **kwargs: Any) -> Any:
    return response
