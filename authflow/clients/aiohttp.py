"""aiohttp: the token as a client middleware, exchanges through a `ClientSession` on a loop of ours.

aiohttp makes the request of each hop anew, from what the caller gave, and asks its middlewares about it: nothing of
ours travels by itself. Two things it does not say, and one look at its own frame does (`_asking`): whether a request is
the hop of a redirect, and whether a redirect will be followed. (It would have to offer `request.history`.) Where
another middleware has put a task in between, nothing is seen: then a hop is judged as a first request is.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import hdrs

from authflow.accounts import ANONYMOUS, Grant
from authflow.clients.aiohttp_sender import AiohttpSender
from authflow.clients.aiohttp_wire import Laid, pairs, peek, replayable, view
from authflow.clients.base import kind_of, without, wrong_adapter
from authflow.clock import timer
from authflow.errors import AuthFlowError, ConfigurationError, as_also, forget_locals
from authflow.http import REDIRECTS, Answer
from authflow.renewing import MOST_SENDS, Sender

if TYPE_CHECKING:
    from authflow.manager import SessionManager


def adapter(library: str, manager: SessionManager, owner: Any) -> Any:
    return AiohttpAuth(manager, owner)


def sender(library: str, client: Any) -> Sender:
    return AiohttpSender()


class AiohttpAuth:
    """A middleware of one session. Raises `AuthFlowError`s that are `aiohttp.ClientError`s too."""

    def __init__(self, manager: SessionManager, owner: Any) -> None:
        self.manager, self._owner = manager, owner
        self._grants, self._timer, self._noteworthy = manager.grants, timer(manager.clock), manager.noteworthy
        #: Where an answer that redirects notes what its request carried, and whether it was sent twice.
        self._note = f"_carried_by_{id(manager):x}"

    def __repr__(self) -> str:
        return f"<aiohttp middleware of {self._owner!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, "aiohttp")

    def __call__(self, request: object, handler: Any = None) -> Any:
        if request.__class__ is not _REQUEST and not isinstance(request, _REQUEST):
            raise wrong_adapter("session.aiohttp", request)
        return self._answered(request, handler)

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise ConfigurationError("session.aiohttp is one of a list: write middlewares=[session.aiohttp]")

    async def _answered(self, request: Any, handler: Any) -> Any:
        grant, url = self._grants.current, request.url
        if self._timer.time() < grant.fresh_until and (url.scheme, url.raw_authority) in grant.places:
            if grant.bearer is not None:
                request.headers[hdrs.AUTHORIZATION] = grant.bearer  # no variable of ours: a crash reporter shows those
            else:
                request.headers.update(grant.presentation.headers)
            response = await handler(request)
            if response.status not in self._noteworthy:
                return response
            laid, again = Laid.as_it_is(request, grant, self.manager), self._before(_asking())[1]
        else:
            laid, again = await self._authorized(request)
            response = await laid.sent(handler)
        try:
            response = await self._heard(laid, response, again, handler)
        except BaseException:
            laid.bare(response)
            response.close()
            raise
        return response

    def _before(self, asking: Mapping[str, Any]) -> tuple[Grant | None, bool]:
        """What the request before this hop carried, if this is one, and whether one was sent twice already."""
        earlier = asking.get("history")
        return vars(earlier[-1]).get(self._note, (ANONYMOUS, False)) if earlier else (None, False)

    async def _authorized(self, request: Any) -> tuple[Laid, bool]:
        """What a request carries that needs thought: it is the first one, or a hop, which is judged by its URL."""
        manager = self.manager
        laid = Laid(request, manager)
        before, again = self._before(_asking())
        with _raising(request):
            await laid.look()
            if before is not None:
                laid.move(without(str(request.url), before.presentation.query))
                grant, url = ANONYMOUS, str(request.url)
                if manager.trusts(before, url):
                    grant = before
                elif before is not ANONYMOUS:
                    manager.goes_without(url)
                laid.before = before
            else:
                url = laid.asked = str(request.url)
                if (at_once := manager.at_once(url)) is None:
                    authorization = manager.authorize(url, functools.partial(view, laid))
                    grant, url = await authorization.wait_async(), authorization.url
                    if authorization.grant is None:
                        grant, url = manager.arrived(authorization, grant)
                    laid.asked = authorization.asked
                    laid.move(url, rewritten=True)
                else:
                    grant = at_once
            await laid.over(manager.signed(grant, functools.partial(view, laid)))
        return laid, again

    async def _heard(self, laid: Laid, response: Any, again: bool, handler: Any) -> Any:
        """What the answer means; the one that the caller shall see."""
        manager, request, sends = self.manager, laid.request, 1
        while manager.tells(laid.grant, response.status, response.headers):
            with _raising(request):
                body = b""
                kind = response.headers.get(hdrs.CONTENT_TYPE, "")
                if response.status != 101 and manager.reads_body(response.status, kind):
                    body = await peek(response)
                answer = Answer(response.status, pairs(response), body, manager.clock())
                more, grant = sends < MOST_SENDS and replayable(request), laid.grant
                if manager.heard(grant, functools.partial(view, laid), answer):
                    if not more:
                        break
                elif again:
                    manager.on_second_response(grant, laid.plain_url, answer)
                    break
                else:
                    heard = manager.on_response(grant, laid.plain_url, answer, replayable=more)
                    if heard is None:
                        break
                    grant = manager.admit(await heard.wait_async(), laid.plain_url)
                    again = True
                await laid.take_back(response)
                laid.move(manager.moved(laid.asked, laid.plain_url, grant), rewritten=True)
                await laid.over(manager.signed(grant, functools.partial(view, laid)))
            sends += 1
            response = await laid.sent(handler)
        if response.status in REDIRECTS:
            asking = _asking()
            vars(response)[self._note] = laid.grant if laid.grant is not ANONYMOUS else laid.before, again
            if asking.get("allow_redirects", True) and hdrs.LOCATION in response.headers:
                laid.leave(response)
        return response


_REQUEST: Any = aiohttp.ClientRequest


def _asking() -> Mapping[str, Any]:
    """The variables of aiohttp's function that follows redirects and asks the middlewares, where it can be seen."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _FOLLOWS:
        frame = frame.f_back
    return frame.f_locals if frame is not None else {}


_FOLLOWS: Any = aiohttp.ClientSession._request.__code__


@contextmanager
def _raising(request: Any) -> Iterator[None]:
    try:
        yield
    except AuthFlowError as error:
        kind = kind_of(error, aiohttp.ClientError, aiohttp.ClientConnectionError)
        raise as_also(error, kind, request=request) from error.__cause__
    except BaseException as error:
        forget_locals(error)
        raise
