"""What a session does, written down while it does it, for one page to look at.

    with session.record() as seen:
        requests.get(url, auth=session.requests)
    seen.save("login.html")

A recording stands in three places while it lasts: between the adapters and the session (requests, and what they waited
for), before the sender (exchanges as they went over the wire), and at the watch (climbs and transitions). A session
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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from authflow import clients
from authflow.clients.base import NoAnswer, Sender, TooLarge
from authflow.errors import AuthFlowError, ConfigurationError
from authflow.flow import Transition
from authflow.held import BARE, NOT_YET, Held
from authflow.http import ANY_STATUS, REDIRECTS, Answer, Request, resolve, without_query
from authflow.record_masks import Masks
from authflow.vendor import Vendor

if TYPE_CHECKING:
    from authflow.session import AuthSession
    from authflow.walk import Entry

#: Of how many requests, exchanges and transitions each is kept; later ones are counted only.
MOST: Final = 2000
#: In the place of its method: the request to which a redirect led.
HOP: Final = "⤷"


@dataclass(slots=True)
class Part:
    """One part of a request's time, in seconds since the recording began: it waited for a token, or was on its way and
    got an answer with this status.
    """

    kind: Literal["waited", "sent"]
    began: float
    ended: float | None = None
    status: int | None = None


@dataclass(slots=True, eq=False)
class Asked:
    """A caller's own request (or a call of `token()`): where it went, and how its time was spent."""

    method: str
    url: str
    began: float
    parts: list[Part] = field(default_factory=list)
    answered: bool = False
    error: str = ""

    @property
    def end(self) -> str:
        """The status of the last answer, or the error in its place."""
        status = next((part.status for part in reversed(self.parts) if part.status is not None), None)
        return self.error or (str(status) if status is not None else "")

    def turn(self, kind: Literal["waited", "sent"] | None, now: float) -> None:
        """Here one part ends and the next begins."""
        if self.parts and self.parts[-1].ended is None:
            self.parts[-1].ended = now
        if kind is not None:
            self.parts.append(Part(kind, now))


@dataclass(slots=True)
class Wire:
    """One request of an exchange, and its answer, masked."""

    method: str
    url: str
    request: list[str]
    began: float
    ended: float | None = None
    status: int | None = None
    answer: list[str] = field(default_factory=list)
    error: str = ""


@dataclass(slots=True)
class Edge:
    """One transition."""

    before: str
    event: str
    after: str
    exchange: str
    at: float


@dataclass(slots=True)
class Climb:
    """From an event to a state at rest, or to an error; so many callers waited for it."""

    cause: str
    began: float
    ended: float | None = None
    state: str = ""
    waiters: int = 0
    error: str = ""


#: The request that this thread or task is about, and the recording in which it stands.
_CURRENT: Final[ContextVar[tuple[Recording | None, Asked | None]]] = ContextVar("asked", default=(None, None))


class Recording:
    """Begins when it is entered, ends when it is left; one at a time for each session. Safe to be used by many
    threads.
    """

    hop: Final = HOP

    def __init__(self, session: AuthSession, title: str = "") -> None:
        self._session = session
        self.vendor: Final[Vendor] = session.vendor
        self.title = title or session.vendor.title
        self.start = session.vendor.flow.start
        self.asked: list[Asked] = []
        self.wires: list[Wire] = []
        self.edges: list[Edge] = []
        self.climbs: list[Climb] = []
        self.left_out = 0
        self.length = 0.0
        self._masks = Masks(session.vendor, session._given)
        self._lock = threading.Lock()
        self._open: defaultdict[str, deque[Asked]] = defaultdict(deque)  # sent to that URL, the first one first
        self._hops: dict[str, float] = {}
        self._under_way: dict[int, Climb] = {}
        self._tap: _Tap | None = None

    def __repr__(self) -> str:
        return f"<Recording of {self.vendor.name}: {len(self.asked)} requests, {len(self.wires)} exchanges>"

    def __enter__(self) -> Recording:
        session = self._session
        if any(isinstance(listener, Recording) for listener in session.keeper.listeners):
            raise ConfigurationError("this session is being recorded already")
        self._began = time.monotonic()
        self.start = session.held.grant.state if session.held is not BARE else self.start
        self._tap = _Tap(self, session)
        session.keeper.listeners += (self,)
        return self

    def __exit__(self, *exc_info: object) -> None:
        session = self._session
        session.keeper.listeners = tuple(one for one in session.keeper.listeners if one is not self)
        if self._tap is not None:
            self._tap.remove()
        self.length = self.now()

    @property
    def state(self) -> str:
        """Where the session is, by the last transition."""
        return self.edges[-1].after if self.edges else self.start

    def now(self) -> float:
        """Seconds since the recording began."""
        return time.monotonic() - self._began

    def html(self) -> str:
        """The page, whole."""
        from authflow.record_page import page

        return page([self])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page; returns where. Raises OSError."""
        target = Path(path)
        target.write_text(self.html(), "utf-8")
        return target

    def _keep(self, table: list[Any], item: Any) -> None:
        with self._lock:
            if len(table) < MOST:
                table.append(item)
            else:
                self.left_out += 1

    # --- heard from the watch -----------------------------------------------------------------------------------------

    def climb_begins(self, cause: str) -> None:
        climb = self._under_way[threading.get_ident()] = Climb(cause, self.now())
        self._keep(self.climbs, climb)

    def walked(self, transition: Transition, exchange: str, seconds: float | None) -> None:
        self._keep(self.edges, Edge(*transition, exchange, self.now()))

    def climb_ends(self, state: str, expires_at: float | None, waiters: int, error: str) -> None:
        climb = self._under_way.pop(threading.get_ident(), None)
        if climb is not None:
            climb.ended, climb.state, climb.waiters, climb.error = self.now(), state, waiters, error

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

    def answered(self, url: str, answer: Answer) -> Asked:
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
        if answer.status in REDIRECTS:
            for location in answer.all("location"):
                self._hops[without_query(resolve(url, location))] = self.now()
        return asked

    def wire(self, request: Request) -> Wire:
        wire = Wire(request.method, self._masks.url(request.url), list(self._masks.request(request)), self.now())
        self._keep(self.wires, wire)
        return wire

    def wired(self, wire: Wire, answer: Answer) -> None:
        wire.ended, wire.status, wire.answer = self.now(), answer.status, list(self._masks.answer(answer))


class _Tap:
    """Takes the place of a session's questions and of its sender, and puts everything back."""

    def __init__(self, recording: Recording, session: AuthSession) -> None:
        self._recording, self._session = recording, session
        self._enter, self._hear, self._hear_again = session.enter, session.hear, session.hear_again
        self._sender, self._plain, self._statuses = session.keeper.sender, session.keeper.plain, session.statuses
        # Every request shall ask, and every answer be shown: no short cut for plain ones.
        session.keeper.plain, session.statuses = False, ANY_STATUS
        with session.keeper.flights.lock:
            if session.held is not BARE:
                session.keeper.held = replace(session.held, calm_until=NOT_YET)
        session.keeper.sender = self
        places = {"enter": self.enter, "hear": self.hear, "hear_again": self.hear_again}
        vars(session).update(places)

    def remove(self) -> None:
        session = self._session
        for name in ("enter", "hear", "hear_again"):
            vars(session).pop(name, None)
        session.keeper.sender, session.keeper.plain, session.statuses = self._sender, self._plain, self._statuses
        held = session.held
        if held is not BARE:
            held.calm_until = session.keeper.ready(held.grant).calm_until

    def enter(self, url: str | None, request: Callable[[], Request] | None = None) -> Entry:
        recording = self._recording
        asked = recording.begun(request().method if request is not None else "", url)
        try:
            entry = self._enter(url, request)
        except AuthFlowError as error:
            asked.error = type(error).__name__
            raise
        self._follow(asked, entry, url)
        return entry

    def _follow(self, asked: Asked, entry: Entry, url: str | None) -> None:
        recording = self._recording

        flight = entry.flight
        asked.answered = False
        if url is not None:
            recording.expect(asked, entry.url)
        if flight is None:
            asked.turn("sent" if url is not None else None, recording.now())
            return

        def landed() -> None:
            # Its waiter was woken just before: the answer may be here already.
            if asked.answered:
                return
            failed = flight.error
            asked.turn("sent" if url is not None and failed is None else None, recording.now())
            if failed is not None:
                asked.error = type(failed).__name__
                recording.forget(asked, entry.url)

        asked.turn("waited", recording.now())
        flight.call_when_landed(object(), landed)

    def hear(self, held: Held, url: str, answer: Answer, *, replayable: bool = True) -> Entry | None:
        asked = self._recording.answered(url, answer)
        try:
            entry = self._hear(held, url, answer, replayable=replayable)
        except AuthFlowError as error:
            asked.error = type(error).__name__
            raise
        if entry is not None:
            self._follow(asked, entry, url)
        return entry

    def hear_again(self, held: Held, url: str, answer: Answer) -> None:
        self._recording.answered(url, answer)
        self._hear_again(held, url, answer)

    def exchange(self, request: Request, timeout: float) -> Answer:
        wire = self._recording.wire(request)
        sender: Sender = self._sender or clients.default_sender(self._session.keeper.library)
        try:
            answer = sender.exchange(request, timeout)
        except (NoAnswer, TooLarge, AuthFlowError) as error:
            wire.ended, wire.error = self._recording.now(), str(error) or type(error).__name__
            raise
        self._recording.wired(wire, answer)
        return answer
