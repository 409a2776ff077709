"""requests: the token as an `AuthBase`, exchanges through a `Session`.

requests calls `auth` once, when a request is prepared, and shows every answer, redirects included, to a hook. So the
walk of a request is an object that listens: it sends the request once more when the session says so, and judges each
hop of a redirect when it is given its URL (requests itself drops `Authorization` only, and on every other host). As
long as a token is calm, all requests share one listener, and a walk begins with the first answer that is worth one.

The steps of a walk are a generator, which yields flights to wait for and results to be awaited: niquests' asynchronous
sessions go the same steps (`authflow.clients.niquests`). Nothing here imports a library before it is in use.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from authflow.clients.base import Sender, wrong_adapter
from authflow.clients.requests_sender import RequestsSender
from authflow.clients.requests_wire import (
    URL,
    follow,
    following,
    lay_over,
    pairs,
    peek,
    replayable,
    rewound,
    take_back,
    view,
)
from authflow.errors import AuthFlowError, as_also
from authflow.flight import Flight
from authflow.held import BARE, Held
from authflow.http import REDIRECTS, Answer

if TYPE_CHECKING:
    from authflow.session import AuthSession

Steps = Generator[Any, Any, Any]


def adapter(library: str, session: AuthSession) -> Any:
    return auth_class(library, Auth)(library, session)


def sender(library: str, client: Any) -> Sender:
    return RequestsSender(library, client)


@functools.cache
def auth_class(library: str, cls: type[Auth]) -> type[Auth]:
    base = importlib.import_module(f"{library}.auth").AuthBase
    return type(cls.__name__, (cls, base), {"__doc__": cls.__doc__, "__module__": cls.__module__})


def settle(steps: Steps) -> Any:
    """Go the steps of a walk in this thread, waiting for flights."""
    try:
        step = next(steps)
        while True:
            try:
                result = step.wait() if isinstance(step, Flight) else step
            except BaseException as error:
                step = steps.throw(error)
            else:
                step = steps.send(result)
    except StopIteration as end:
        return end.value


class Calm:
    """The listener of all requests that carry one grant in its calm time. It keeps nothing of any of them."""

    __slots__ = ("auth", "held", "listen", "noteworthy")

    def __init__(self, auth: Auth, held: Held) -> None:
        self.auth = auth
        self.noteworthy = auth.session.noteworthy
        self.held = held
        self.listen = self.__call__  # a method made once costs less than an object to be called

    def __reduce__(self) -> tuple[Any, ...]:
        return _over, ()

    def __call__(self, response: Any, **kwargs: Any) -> None:
        if response.status_code in self.noteworthy:
            self.walk(response.request)

    def walk(self, request: Any) -> Walk:
        """The walk of one request from here on. It takes this listener's place, and the one behind that, so that a
        library that is going through the listeners comes to it next, and calls or awaits it.
        """
        walk = self.auth.walk(self.auth, self.held)
        listeners = request.hooks["response"]
        try:
            here = listeners.index(self.listen)
        except ValueError:  # another thread began it, or a copy; or a listener of the user's brought another's answer
            return next((one for one in listeners if isinstance(one, Walk)), walk)
        listeners[here : here + 1] = [_no_hook, walk]
        self.auth.retire(listeners, walk)
        return walk

    def __deepcopy__(self, memo: Any) -> Calm:
        return self


class Walk:
    """One request on its way: what it carries, and whether it was sent again already."""

    __slots__ = ("_again", "_held", "auth")

    def __init__(self, auth: Auth, held: Held) -> None:
        self.auth = auth
        self._held = held
        self._again = False

    def __reduce__(self) -> tuple[Any, ...]:
        # A response may be pickled with its request and hooks; the walk is over then.
        return _over, ()

    def enter(self, request: Any) -> Flight[Held] | None:
        """Let the request carry the token, or say which flight will bring it."""
        session = self.auth.session
        with self._raising(request):
            entry = session.enter(request.url, functools.partial(view, request))
            request.url = entry.url
            if entry.held is None:
                return entry.flight
            self._held = session.signed(entry.held, functools.partial(view, request))
            lay_over(request, self._held, session)
        return None

    def land(self, request: Any, flight: Flight[Held]) -> Steps:
        """The rest of `enter`, when there is a flight to wait for."""
        session = self.auth.session
        with self._raising(request):
            landed = session.admit((yield flight), request.url)
            self._held = session.signed(landed, functools.partial(view, request))
            lay_over(request, self._held, session)

    def walk(self, request: Any) -> Walk:
        """Itself: it has begun."""
        return self

    def __call__(self, response: Any, **kwargs: Any) -> Any:
        return settle(self.hear(response, kwargs)) if self.concerns(response) else self.passed(response)

    def concerns(self, response: Any) -> bool:
        """May the answer be an event?"""
        return response.status_code in self.auth.session.statuses and self._held is not BARE

    def hear(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        """What the answer means; the response that the caller shall see. `kwargs`: how it was sent."""
        try:
            with self._raising(response.request):
                held = yield from self._heard(response, kwargs)
                if held is not None:
                    response = yield from self._send_again(response, held, kwargs)
        except AuthFlowError:
            yield response.close()
            raise
        return self.passed(response)

    def passed(self, response: Any) -> Any:
        """A response on its way to the caller, or, where it redirects, to the library."""
        own = response.request.__dict__
        if URL in own:
            response.url = own[URL]
        if response.status_code not in REDIRECTS or not response.is_redirect:
            self._again = False
        elif self._held is not BARE:
            follow(response.request, self)
        return response

    def _heard(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        """The grant with which to send the request once more, or None."""
        session, request, held = self.auth.session, response.request, self._held
        url = vars(request).get(URL, request.url)
        if not session.trusts(held, url):
            return None
        body = b""
        if session.needs_body and any(
            pattern.needs_body and (pattern.status is None or response.status_code in pattern.status)
            for _, pattern in session.vendor.answers
        ):
            body = yield from peek(response, bool(kwargs.get("stream")))
        answer = Answer(response.status_code, pairs(response), body, session.clock())
        if self._again:
            session.hear_again(held, url, answer)
            return None
        entry = session.hear(held, url, answer, replayable=replayable(request))
        if entry is None:
            return None
        return entry.held or session.admit((yield entry.flight), url)

    def _send_again(self, response: Any, held: Held, kwargs: Mapping[str, Any]) -> Steps:
        # The very request that the library goes on to copy for redirects, so that its hops carry the new token too.
        request = response.request
        if not kwargs.get("stream"):
            with suppress(self.auth.error):
                yield response.content
        yield response.close()
        take_back(request, self._held)
        yield rewound(request)
        self._held = self.auth.session.signed(held, functools.partial(view, request))
        self._again = True
        lay_over(request, self._held, self.auth.session)
        again = yield from self._resent(response, kwargs)
        return again

    def _resent(self, response: Any, kwargs: Mapping[str, Any]) -> Steps:
        """The second answer to the request of `response`."""
        started = time.monotonic()
        again = yield response.connection.send(response.request, **kwargs)
        again.elapsed = timedelta(seconds=time.monotonic() - started)
        again.request = response.request
        if self.concerns(again):
            again = yield from self.hear(again, kwargs)
        return again

    # --- what a redirected request and its hops ask (`requests_wire`) -------------------------------------------------

    def take_back(self, request: Any) -> None:
        take_back(request, self._held)

    def judge(self, hop: Any) -> None:
        """A hop has its URL: at a declared origin it carries the token, elsewhere nothing of it."""
        session = self.auth.session
        if session.trusts(self._held, hop.url):
            self._held = session.signed(self._held, functools.partial(view, hop))
            lay_over(hop, self._held, session)
        elif self._held is not BARE:
            session.goes_bare(hop.url)

    @contextmanager
    def _raising(self, request: Any) -> Iterator[None]:
        try:
            yield
        except AuthFlowError as error:
            raise as_also(error, self.auth.error, request=request, response=None) from error.__cause__


class Auth:
    """`auth=` of one session. Raises `AuthFlowError`s that are the client's `RequestException`s too."""

    calm: type[Calm] = Calm
    walk: type[Walk] = Walk
    #: May the library copy a redirected request before it calls the listener? Then it is followed from the start.
    follows: bool = False

    def __init__(self, library: str, session: AuthSession) -> None:
        self._library = library
        self.session = session
        self._keeper, self._clock = session.keeper, session.clock
        self._calm = self.calm(self, BARE)
        self._kind = importlib.import_module(library).PreparedRequest
        self._following = following(self._kind) if self.follows else None
        self.error = importlib.import_module(library).RequestException

    def __repr__(self) -> str:
        return f"<{self._library} auth of {self.session!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return adapter, (self._library, self.session)

    def __call__(self, request: Any) -> Any:
        calm, clock = self._calm, self._clock
        held = calm.held
        if (
            held is self._keeper.held
            and type(request) is self._kind
            and clock() < held.calm_until
            and request.url.startswith(held.prefixes)
        ):
            if held.bearer is not None:
                request.headers["Authorization"] = held.bearer
            else:
                for name, value in held.presentation.headers:
                    request.headers[name] = value
            request.hooks["response"].append(calm.listen)
            if self._following is not None:  # `follow`, with the class at hand
                request._walk, request.__class__ = calm, self._following
            return request
        return self._begin(request)

    def _begin(self, request: Any) -> Any:
        """Let a request carry the token where that takes a thought, or a new grant has come since the last one."""
        if not isinstance(request, self._kind):
            raise wrong_adapter(self._library, request)
        held = self._keeper.held
        if self._calm.held is not held and self._clock() < held.calm_until:
            self._calm = self.calm(self, held)
            return self(request)
        self.retire(request.hooks["response"])
        walk = self.walk(self, BARE)
        flight = walk.enter(request)
        if flight is not None:
            self._await(walk, request, flight)
        request.hooks["response"].append(walk)
        if self.follows:
            follow(request, walk)
        return request

    def retire(self, listeners: list[Any], walk: Walk | None = None) -> None:
        """A request has one walk: whatever else of ours listens to it, because it was authorised twice, is silent."""
        for here, listener in enumerate(listeners):
            ours = getattr(listener, "__self__", listener)
            if isinstance(ours, Calm | Walk) and ours is not walk and ours.auth is self:
                listeners[here] = _no_hook

    def _await(self, walk: Walk, request: Any, flight: Flight[Held]) -> None:
        settle(walk.land(request, flight))


def _over() -> Any:
    return _no_hook


def _no_hook(response: Any, **kwargs: Any) -> Any:
    return response
