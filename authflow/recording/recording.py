"""What a session does, written down while it does it, for one page to look at.

    with session.record() as seen:
        requests.get(url, auth=session.requests)
    seen.save("login.html")        # or "login.har", for authflow-learn

A recording stands in three places while it lasts: between the adapters and the session (requests, and what they waited
for), before the sender (exchanges as they went over the wire), and at the watch (renewals and transitions). A session
that is not recorded pays nothing for it. Everything is masked before it is kept: of what is sent, only what the vendor
file or a plain setting says in the open is shown; of answers, nothing that a pattern reads or that looks like a secret.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from authflow.accounts import ANONYMOUS, NEVER_FRESH, Grant
from authflow.errors import AuthFlowError, ConfigurationError
from authflow.http import ANY_STATUS, REDIRECTS, Answer, Request, resolve, without_query
from authflow.manager import Authorization, SessionManager
from authflow.recording.diagram import picture
from authflow.recording.events import HOP, Asked, Edge, Renewal, Story, Wire
from authflow.recording.har import Har
from authflow.recording.masks import Masks
from authflow.recording.page import html_page
from authflow.renewing import NoAnswer, TooLarge
from authflow.stores import write_new
from authflow.vendors import Transition

#: Of how many requests, exchanges and transitions each is kept; later ones are counted only.
MOST: Final = 2000
#: The request that this thread or task is about, and the recording in which it stands.
_CURRENT: Final[ContextVar[tuple[Recording | None, Asked | None]]] = ContextVar("asked", default=(None, None))


class Recording(Story):
    """Begins when it is entered, ends when it is left; one at a time for each session. Safe to be used by many
    threads.
    """

    def __init__(self, manager: SessionManager, title: str = "", *, secrets: bool = False) -> None:
        super().__init__(manager.vendor, title)
        self._manager = manager
        self._masks = Masks(manager.vendor, manager.grants.given)
        self._har = Har(None if secrets else self._masks)
        self._lock = threading.RLock()
        self._open: defaultdict[str, deque[Asked]] = defaultdict(deque)  # sent to that URL, the first one first
        self._hops: dict[str, float] = {}
        self._under_way: dict[int, Renewal] = {}
        self._tap: _Tap | None = None

    def __repr__(self) -> str:
        return f"<Recording of {self.vendor.name}: {self.state}, {', '.join(self.counts)}>"

    def __enter__(self) -> Recording:
        grants = self._manager.grants
        if any(isinstance(listener, Recording) for listener in grants.listeners):
            raise ConfigurationError("this session is being recorded already")
        self._began = time.monotonic()
        self.start = grants.current.record.state if grants.current is not ANONYMOUS else self.start
        self._tap = _Tap(self, self._manager)
        grants.listeners += (self,)
        return self

    def __exit__(self, *exc_info: object) -> None:
        grants = self._manager.grants
        grants.listeners = tuple(one for one in grants.listeners if one is not self)
        if self._tap is not None:
            self._tap.remove()
        self.length = self.now()

    def now(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self._began

    def html(self) -> str:
        """The page, whole."""
        return html_page([self])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; where the name ends in `.svg`, the flow alone; in `.har`, the capture. Returns where.

        Raises OSError.
        """
        target = Path(path)
        if target.suffix.lower() == ".har":
            return self.capture(target)
        drawn = target.suffix.lower() == ".svg"
        target.write_text(picture(self.vendor.flow, self.state, self.title) if drawn else self.html(), "utf-8")
        return target

    def capture(self, path: Path) -> Path:
        """Write what was sent and heard, as a HAR file that only you may read. Raises OSError."""
        path.unlink(missing_ok=True)
        write_new(path, self._har.text())
        return path

    def _keep(self, table: list[Any], item: Any) -> None:
        with self._lock:
            if len(table) < MOST:
                table.append(item)
            else:
                self.left_out += 1

    # --- heard from the watch -----------------------------------------------------------------------------------------

    def renewal_begins(self, cause: str) -> None:
        renewal = self._under_way[threading.get_ident()] = Renewal(cause, self.now())
        self._keep(self.renewals, renewal)

    def moved(self, transition: Transition, exchange: str, seconds: float | None) -> None:
        self._keep(self.edges, Edge(*transition, exchange, self.now()))

    def renewal_ends(self, state: str, expires_at: float | None, waiters: int, error: str) -> None:
        renewal = self._under_way.pop(threading.get_ident(), None)
        if renewal is not None:
            renewal.ended, renewal.state, renewal.waiters, renewal.error = self.now(), state, waiters, error

    # --- heard from the tap -------------------------------------------------------------------------------------------

    def begun(self, method: str, url: str | None) -> Asked:
        shown = "token()" if url is None else self._masks.url(url)
        asked = Asked(method, shown, self.now())
        self._keep(self.asked, asked)
        return asked

    def expect(self, asked: Asked, url: str) -> None:
        """It will be known by its URL when its answer comes, or by the task in which it does."""
        _CURRENT.set((self, asked))
        with self._lock:
            self._open[without_query(url)].append(asked)

    def forget(self, asked: Asked, url: str) -> None:
        """It is not sent after all."""
        with self._lock:
            if asked in self._open[without_query(url)]:
                self._open[without_query(url)].remove(asked)

    def answered(self, url: str, answer: Answer, grant: Grant) -> Asked:
        """The request that this is the answer to: the one sent there first; else a redirect brought it there."""
        with self._lock:
            waiting = self._open.get(without_query(url))
            asked = waiting.popleft() if waiting else None
            hop = self._hops.pop(without_query(url), None)
            of, current = _CURRENT.get()
            if asked is None and of is self and current is not None and not current.answered and hop is None:
                # Some clients follow redirects before they show an answer.
                asked = current
                for others in self._open.values():
                    if asked in others:
                        others.remove(asked)
        if asked is None:
            asked = self.begun(HOP, url)
            asked.began = hop if hop is not None else asked.began
            asked.turn("sent", asked.began)
        asked.answered = True
        asked.turn(None, self.now())
        asked.parts[-1].status = answer.status
        self._har.carried(asked.method if asked.method.isalpha() else "GET", url, grant.presentation, answer)
        if answer.status in REDIRECTS:
            for location in answer.all("location"):
                self._hops[without_query(resolve(url, location))] = self.now()
        return asked

    def goes_without(self, url: str, origin: str) -> None:
        """A redirect led to an undeclared origin. Some clients' adapters say so before the hop is sent and after."""
        end = f'without the token: {origin} is not declared; if it may go there: origins.present = ["{origin}"]'
        shown = self._masks.url(url)
        if not any((asked.url, asked.error) == (shown, end) for asked in self.asked[-1:]):
            self.begun(HOP, url).error = end

    def wire(self, request: Request) -> Wire:
        wire = Wire(request.method, self._masks.url(request.url), list(self._masks.request(request)), self.now())
        self._keep(self.wires, wire)
        return wire

    def wired(self, wire: Wire, request: Request, answer: Answer) -> None:
        self._har.add(request, answer)
        wire.ended, wire.status, wire.answer = self.now(), answer.status, list(self._masks.answer(answer))


class _Tap:
    """Listens in on a session manager, and takes the place of its sender; then puts everything back."""

    def __init__(self, recording: Recording, manager: SessionManager) -> None:
        self._recording, self._manager = recording, manager
        grants = manager.grants
        self._sender, self._plain, self._statuses = grants.sender, grants.plain, manager.statuses
        # Every request shall ask, and every answer be shown: no short cut for plain ones.
        grants.plain, manager.statuses = False, ANY_STATUS
        with grants.flights.lock:
            if grants.current is not ANONYMOUS:
                grants.current = grants.current.replace(fresh_until=NEVER_FRESH)
        grants.sender = self
        manager.tap = self

    def remove(self) -> None:
        manager, grants = self._manager, self._manager.grants
        manager.tap = None
        grants.sender, grants.plain, manager.statuses = self._sender, self._plain, self._statuses
        grant = grants.current
        if grant is not ANONYMOUS:
            grants.current = grant.replace(fresh_until=grants.ready(grant.record).fresh_until)

    def authorize(
        self, url: str | None, request: Callable[[], Request] | None, inner: Callable[..., Authorization]
    ) -> Authorization:
        recording = self._recording
        asked = recording.begun(request().method if request is not None else "", url)
        try:
            authorization = inner(url, request)
        except AuthFlowError as error:
            asked.error = type(error).__name__
            raise
        self._follow(asked, authorization, url)
        return authorization

    def _follow(self, asked: Asked, authorization: Authorization, url: str | None) -> None:
        recording = self._recording

        flight = authorization.flight
        asked.answered = False
        if url is not None:
            recording.expect(asked, authorization.url)
        if flight is None:
            asked.turn("sent" if url is not None else None, recording.now())
            return

        def finished() -> None:
            # Its waiter was woken just before: the answer may be here already.
            if asked.answered:
                return
            failed = flight.error
            asked.turn("sent" if url is not None and failed is None else None, recording.now())
            if failed is not None:
                asked.error = type(failed).__name__
                recording.forget(asked, authorization.url)

        asked.turn("waited", recording.now())
        flight.call_when_done(object(), finished)

    def on_response(
        self, grant: Grant, url: str, answer: Answer, replayable: bool, inner: Callable[..., Authorization | None]
    ) -> Authorization | None:
        asked = self._recording.answered(url, answer, grant)
        try:
            authorization = inner(grant, url, answer, replayable)
        except AuthFlowError as error:
            asked.error = type(error).__name__
            raise
        if authorization is not None:
            self._follow(asked, authorization, url)
        return authorization

    def on_second_response(self, url: str, answer: Answer) -> None:
        self._recording.answered(url, answer, self._manager.grants.current)

    def goes_without(self, url: str, origin: str) -> None:
        self._recording.goes_without(url, origin)

    def exchange(self, request: Request, timeout: float) -> Answer:
        wire = self._recording.wire(request)
        sender = self._sender or self._manager.grants.environment.default_sender(self._manager.grants.library)
        try:
            answer = sender.exchange(request, timeout)
        except (NoAnswer, TooLarge, AuthFlowError) as error:
            wire.ended, wire.error = self._recording.now(), str(error) or type(error).__name__
            raise
        self._recording.wired(wire, request, answer)
        return answer
