"""One process of the machine: a session, its client and its requests, all on the stage and all watched.

The client is httpx's own `AsyncClient` with the adapter that users have; what lies under it is the simulator, and every
crossing is told to the watcher.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from authflow.errors import AuthFlowError, ConfigurationError
from authflow.http import Answer, Request, origin_of
from authflow.renewing import NoAnswer, typed
from authflow.session import AuthSession
from authflow.templates import Exchange, judge
from authflow.testing.faults import Broken
from authflow.testing.ledger import ACCESS
from authflow.testing.promises import SKEW_MOST, Errand, Watcher, usable
from authflow.testing.simulator import CHALLENGED, DATA, KEYS, Simulator
from authflow.testing.stage import Process, Stage, StagedFlights
from authflow.testing.transports import httpx_response
from authflow.vendors import Transition, closure

if TYPE_CHECKING:
    from authflow.testing.shared_store import SharedStore

#: An origin that no vendor file declares, and the path of the data that redirects there.
ELSEWHERE: Final = "https://elsewhere.example"
MOVED: Final = "moved-away"


def client_library() -> str:
    """httpx or httpx2. Raises ConfigurationError if neither is installed."""
    for library in ("httpx", "httpx2"):
        if importlib.util.find_spec(library) is not None:
            return library
    raise ConfigurationError("the machine's requests need httpx: pip install 'authflow-http[httpx,test]'")


class WatchedSender:
    """Sends the exchanges of one process to the simulator, with a pause before and after."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def exchange(self, request: Request, timeout: float) -> Answer:
        player, watcher, process = self._player, self._player.watcher, self._player.process
        player.stage.pause(process)
        name, values = player.simulator.values_in(request)
        if name == KEYS:
            return self._published(request)
        exchange = player.simulator.vendor.flow.exchanges.get(name)
        secret = {key: values.get(key, value) for key, value in player.secrets(exchange).items()}
        key = watcher.sending(process, name, values, request, secret)
        answer: Answer | None = None
        challenges = player.simulator.counts[CHALLENGED]
        challenged = False
        try:
            answer = player.simulator.handle(request)
            challenged = player.simulator.counts[CHALLENGED] > challenges
            player.stage.pause(process)
        except Broken as broken:
            player.stage.pause(process)
            if exchange is not None and broken.connected:
                watcher.answered(process, key, exchange, values, None)
            else:
                watcher.is_no_cure(process)
            raise NoAnswer(broken.kind, sent=broken.connected) from None
        finally:
            if not process.dead:
                watcher.finished(key)
        if exchange is not None and not challenged:
            outcome, _ = judge(exchange.answers, answer, values)
            unavailable = answer.status in (408, 425, 429) or answer.status >= 500
            if outcome is not None or not unavailable:
                plain = answer.status >= 300 or b"<!doctype html" in answer.content
                watcher.answered(process, key, exchange, values, outcome, plain=plain)
            else:
                watcher.told_later(process, answer.status)
        return answer

    def _published(self, request: Request) -> Answer:
        """The vendor's keys. Without them nobody can tell whether what was granted is a token."""
        player = self._player
        try:
            answer = player.simulator.handle(request)
        except Broken as broken:
            player.watcher.unproved(player.process)
            raise NoAnswer(broken.kind, sent=broken.connected) from None
        if answer.content != player.simulator.keys.published().content:
            player.watcher.unproved(player.process)
        return answer


class Player:
    """A process with a session. `password` gives the secret credentials anew each time they are asked for."""

    def __init__(
        self,
        name: str,
        stage: Stage,
        simulator: Simulator,
        store: SharedStore,
        watcher: Watcher,
        clock: Callable[[], float],
        inputs: Mapping[str, Any],
        walked: Callable[[str, str], None],
    ) -> None:
        self.process = Process(name)
        self.inputs = dict(inputs)
        self.process.asks = any(callable(value) for value in inputs.values())
        self.process.on_death = self._died
        self.stage, self.simulator, self.watcher, self.clock, self._store = stage, simulator, watcher, clock, store
        self.errands: list[tuple[Errand, asyncio.Task[None]]] = []
        self.used_at = 0.0
        self.session = AuthSession(
            simulator.vendor,
            store=store.for_process(self.process),
            client=WatchedSender(self),
            clock=clock,
            ask=simulator.person,
            **inputs,
        )
        over = self._over
        self.session._manager.grants.flights = StagedFlights(stage, self.process, over)
        self._walked = walked
        self.session._manager.grants.listeners += (self,)
        self._library = client_library()
        lib: Any = importlib.import_module(self._library)
        self.error: type[Exception] = lib.RequestError
        self.client = lib.AsyncClient(
            transport=_transport(lib, self),
            auth=getattr(self.session, self._library),
            trust_env=False,
            follow_redirects=True,
        )

    def __repr__(self) -> str:
        return self.process.name

    def fork(self, name: str) -> Player:
        """A copy of the process as it is now: what its session knows, and nothing of what is under way."""
        same = self.stage, self.simulator, self._store, self.watcher, self.clock, self.inputs, self._walked
        child = Player(name, *same)
        mine, its = self.session._manager.grants, child.session._manager.grants
        for field in ("current", "given", "_ahead", "_backoff", "_identity", "_logouts", "_refusal"):
            setattr(its, field, getattr(mine, field))
        its.by_slot.update(mine.by_slot)
        its.memory.update(mine.memory)
        its.unsaved = {key: replace(kept) for key, kept in mine.unsaved.items()}
        child.used_at = self.used_at
        self.watcher.forked(self.process, child.process)
        return child

    def secrets(self, exchange: Exchange | None) -> dict[str, Any]:
        """The secrets that an exchange proves: those in it, those in what is derived in it, those that sign it; but
        for codes that serve once.
        """
        vendor = self.simulator.vendor
        names = (
            set(closure(vendor, [placeholder.name for placeholder in exchange.request.placeholders()]))
            if exchange is not None
            else set()
        )
        signs = self.simulator.signatures.wanted
        entries = vendor.inputs.items()
        secret = [name for name, entry in entries if entry.secret and not entry.once and (signs or name in names)]
        kept = typed(self.session._manager.grants.memory)  # an answer that was not used up: nobody is asked again
        given = {name: kept.get(name, self.inputs.get(name)) for name in secret}
        return {name: value() if callable(value) else value for name, value in given.items() if value is not None}

    def _over(self, error: BaseException | None) -> None:
        self.watcher.renewed(self.process, error)

    # --- renewals (`authflow.manager.Listener`) -----------------------------------------------------------------------

    def renewal_begins(self, cause: str) -> None: ...

    def moved(self, transition: Transition, exchange: str, seconds: float | None) -> None:
        self._walked(transition.before, transition.event)
        self.watcher.moved(self.process, *transition)

    def renewal_ends(self, state: str, expires_at: float | None, waiters: int, error: str) -> None: ...

    # --- requests -----------------------------------------------------------------------------------------------------

    def begin(self, errand: Errand, url: str, body: Mapping[str, Any]) -> None:
        """Start a request and let it take its first step."""
        grant = self.session._manager.grants.current
        now = self.clock()
        known = bool(grant.record.state) and not self.simulator.vendor.vary
        issued = grant.record.issued_at - SKEW_MOST  # by another's clock
        idle = (max(self.used_at, issued), self.simulator.lifetime)
        ready = known and usable(grant.record, now, idle if self.simulator.vendor.idle is not None else None)
        if known and grant.valid(now):
            errand.good_at_start = str(grant.record.captured.get("access", "")) or None
        task = self.stage.create_task(self._run(errand, url, body))
        self.errands.append((errand, task))
        self.stage.act(-1)
        if ready and not errand.sends and errand.result is None:
            self.watcher.breaks(6, f"{errand} waits, although its token could be used at once")

    async def _run(self, errand: Errand, url: str, body: Mapping[str, Any]) -> None:
        more = dict(body)
        if errand.one_shot:
            more = {"content": _once()}
        method = "POST" if more or errand.kind == "post" else "GET"
        try:
            response = await self.client.request(method, url, extensions={"errand": errand}, **more)
            errand.result = response.status_code
            answer = Answer(response.status_code, tuple(response.headers.items()), response.content)
            if response.status_code == 200 and judge(self.simulator.vendor.answers, answer)[0] is None:
                self.used_at = self.clock()
        except Exception as error:
            errand.result = error
        self.watcher.ended(errand, self.error, isinstance(errand.result, self.error))

    def cancel(self) -> Errand | None:
        """Cancel the oldest request that is under way."""
        for errand, task in self.errands:
            if not task.done():
                errand.cancelled = True
                task.cancel()
                return errand
        return None

    # --- what a user does ---------------------------------------------------------------------------------------------

    def login(self) -> None:
        self.watcher.forced(self.process, on=True)
        try:
            self.session.login()
        except AuthFlowError as error:
            self.watcher.tell(f"{self} logs in: {type(error).__name__}")
        finally:
            self.watcher.forced(self.process, on=False)

    def logout(self) -> None:
        self.watcher.forced(self.process, on=True)
        try:
            self.session.logout()
            self.watcher.logged_out()
        except AuthFlowError as error:
            self.watcher.tell(f"{self} logs out: {type(error).__name__}")
        finally:
            self.watcher.forced(self.process, on=False)

    def _died(self) -> None:
        """From now on nothing of this process happens; its requests are no more."""
        self.watcher.died(self.process)
        for errand, task in self.errands:
            errand.cancelled = True
            task.cancel()


async def _once() -> AsyncIterator[bytes]:
    yield b'{"note": "once"}'


def _transport(lib: Any, player: Player) -> Any:
    simulator, watcher = player.simulator, player.watcher

    class WatchedTransport(lib.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            body = b"".join([chunk async for chunk in request.stream])
            view = Request(request.method, str(request.url), tuple(request.headers.multi_items()), body)
            errand: Errand = request.extensions["errand"]
            if player.process.dead:
                raise asyncio.CancelledError
            name, values = simulator.values_in(view) if str(request.url).startswith("http") else ("", {})
            carried = _presented(player, view, values, name)
            watcher.presented(errand, view, carried)
            await player.stage.breathe()
            challenges = simulator.counts[CHALLENGED]
            response = httpx_response(lib, request, lambda asked: _answer(simulator, asked), view)
            answer = Answer(response.status_code, tuple(response.headers.multi_items()), response.read())
            response = httpx_response(lib, request, lambda asked: answer, view)
            challenged = simulator.counts[CHALLENGED] > challenges
            if not challenged and judge(simulator.vendor.answers, answer)[0] is not None:
                watcher.rejected_with(errand, carried)
            await player.stage.breathe()
            return response

    return WatchedTransport()


def _presented(player: Player, view: Request, values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a request carries. Where it is signed with a token, and does not show it, that is the session's."""
    carried = values if name != DATA else player.simulator.presented_by(view)
    grant = player.session._manager.grants.current
    if ACCESS in carried or grant.sign is None or ACCESS not in grant.record.captured:
        return carried
    return {**carried, ACCESS: grant.record.captured[ACCESS]}


def _answer(simulator: Simulator, request: Request) -> Answer:
    """The vendor's answer; some of its data has moved to an origin that nobody declared."""
    if str(origin_of(request.url)) == ELSEWHERE:
        return Answer(200, (("Content-Type", "application/json"),), b"{}")
    answer = simulator.handle(request)
    if answer.status == 200 and MOVED in request.url:
        return Answer(307, (("Location", f"{ELSEWHERE}/data"),))
    return answer
