"""`flow_machine(vendor)`: a Hypothesis state machine over simulator, sessions, store and clock, for any vendor.

    TestSupplier = flow_machine("supplier").TestCase          # a whole test file

Rules are what happens: requests, alone and together, time, faults, kills, passwords that change, stores that fail. The
invariant is that no promise was broken (`promises`), and at the end, when all faults are over, every request is served
again. Which of those who are ready acts next is drawn by Hypothesis too, and shrinks with the rest to a short story.
Its second part is `accounts`: several users and servers on one store, to which somebody writes (promise 11).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, ClassVar
from unittest import mock

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from authflow import plugins
from authflow.http import resolve
from authflow.testing import samples
from authflow.testing.accounts import AccountsMachine, accounts_machine, quick
from authflow.testing.clock import Clock
from authflow.testing.coverage import Coverage
from authflow.testing.faults import ANSWERS, BROKEN
from authflow.testing.ledger import REFRESH
from authflow.testing.person import DEEDS
from authflow.testing.player import ELSEWHERE, MOVED, Player
from authflow.testing.promises import Errand, Watcher
from authflow.testing.shared_store import SharedStore
from authflow.testing.simulator import DATA, KEYS, Simulator
from authflow.testing.stage import Stage
from authflow.testing.story import numbered
from authflow.vendors import UNAVAILABLE, UNUSED, Failing, Presenting, Vendor

PROCESSES = 3
WHO = st.integers(0, PROCESSES - 1)
#: The part of the data that nobody may see, whatever they present.
FORBIDDEN = "forbidden"
#: The script: mostly nobody cuts in, now and then one of the first few does.
PLANS = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 4]), max_size=16)
KINDS = st.sampled_from(["get", "get", "get", "post", "once", "elsewhere", "moved", "forbidden"])
#: How far the clock of each process is from the vendor's, in seconds.
SKEWS = (0.0, -25.0, 0.0)
ORDERS = ["expire", "revoke-access", "revoke-refresh", "revoke-family", "refuse-password", "unlock", "restart"]
WIRE = [*BROKEN, *ANSWERS, "503", "500", "429=30", "429", "slow=3"]
PLACES = st.sampled_from(["exchange", "exchange", DATA, KEYS])
#: Seconds, and parts of a token's life.
TIMES = st.sampled_from([0.5, 5.0, 31.0, 61.0, 130.0, 3700.0])
#: By how many seconds a vendor's clock may differ.
VENDORS_CLOCKS = (-4000, 400, 0, -400, 4000)
#: How long before its end a token is met, as a part of its life.
AGED = {"advisory": 0.07, "mandatory": 0.001, "expired": -0.01}
PARTS = st.sampled_from([0.3, 0.91, 0.96, 1.01, 2.5])
STORE_KINDS = st.sampled_from([("load",), ("save",), ("lock",), ("load", "save", "delete", "lock")])


MISHAPS: dict[str, Callable[[FlowMachine, int], Any]] = {
    "records corrupted": lambda machine, who: machine._forget(corrupt=True),
    "records deleted": lambda machine, who: machine._forget(corrupt=False),
    "another signs": lambda machine, who: machine._order("forge@exchange"),
    "clocks differ": lambda machine, who: machine._differ(),
    "new nonces": lambda machine, who: machine._order("turn-nonces"),
    "new keys": lambda machine, who: machine._order("turn-keys"),
    "kill": lambda machine, who: machine._alive(who).process.kill(),
    "login": lambda machine, who: machine._alive(who).login(),
    "logout": lambda machine, who: machine._log_out(who),
    "new password": lambda machine, who: machine._change_password(known=True),
    "new password, unknown": lambda machine, who: machine._change_password(known=False),
}


class FlowMachine(RuleBasedStateMachine):
    """The machine; `flow_machine` makes the one of a vendor."""

    vendor: ClassVar[Vendor]
    options: ClassVar[dict[str, Any]] = {}
    #: Its second part, where several users and servers share the store: promise 11.
    accounts: ClassVar[type[AccountsMachine]]
    coverage: ClassVar[Coverage]
    #: The story of the last run: after a failure, of the shortest one.
    last_story: ClassVar[list[str]] = []
    steps: ClassVar[Counter[str]] = Counter()
    #: Told, as each example begins, how many there have been, and whether a promise was broken in one.
    progress: ClassVar[Callable[[int, bool], None]] = staticmethod(lambda done, broken: None)

    def __init__(self) -> None:
        super().__init__()
        self._fast = mock.patch("hashlib.scrypt", quick)
        self._fast.start()
        self.clock = Clock()
        self.simulator = Simulator(self.vendor, clock=self.clock, **self.options)
        self.watcher = Watcher(self.simulator, self.clock)
        type(self).last_story = self.watcher.story
        self.stage = Stage()
        self.store = SharedStore(self.stage, self.clock, self.watcher.saved, self.watcher.store_failed)
        self.watcher.store = self.store
        self.passwords = {
            name: self.simulator.inputs[name]
            for name, entry in self.vendor.credentials.items()
            if entry.secret
            if name in self.simulator.inputs
        }
        self.body = samples.body(self.vendor)
        self.simulator.forbidden = {FORBIDDEN}
        states = self.vendor.flow.states
        presenting = [state for state in states.values() if isinstance(state, Presenting)]
        #: Does a rejection never fail at once, as that of a key does?
        self.can_forbid = not any(isinstance(states[to], Failing) for state in presenting for to in state.next.values())
        self.count = self.changes = self.codes = 0
        self.players = [self._player(index, 1) for index in range(PROCESSES)]
        type(self).steps["examples"] += 1
        type(self).progress(self.steps["examples"], self.steps["broken"] > 0)

    def _player(self, index: int, life: int) -> Player:
        name = f"{'ABC'[index]}{life}"
        # The last of them asks for its passwords anew each time; the others were told once.
        inputs = {**self.simulator.inputs, **self.passwords}
        if index == PROCESSES - 1:
            # But for a refresh token: asked for, it tells no users apart, and one would be spent for two records; and
            # for what the code of a plugin uses: whether that asked for it, cannot be seen here.
            in_code = {one.key for one in self.vendor.warnings if one.reason == UNUSED}
            asked = [name for name in self.passwords if name != REFRESH and f"credentials.{name}" not in in_code]
            inputs |= {secret: lambda secret=secret: self.passwords[secret] for secret in asked}
        codes = [name for name, entry in self.vendor.credentials.items() if entry.once and name in inputs]
        inputs |= {name: lambda name=name: self._code(name) for name in codes}

        def clock() -> float:
            return self.clock() + SKEWS[index]

        vars(clock)["advance"] = self.clock.advance  # what a session waits by
        return Player(name, self.stage, self.simulator, self.store, self.watcher, clock, inputs, self.coverage.note)

    def _code(self, name: str) -> str:
        """The code that is shown now, and serves once."""
        self.codes += 1
        code = self.simulator.account.values[name] = f"shown-{self.codes}-now"
        return code

    # --- requests -----------------------------------------------------------------------------------------------------

    def _begin(self, who: int, kind: str) -> None:
        player = self._alive(who)
        self.count += 1
        once = kind == "once" and not self.body
        errand = Errand(self.count, player.process, kind, one_shot=once)
        self.watcher.tell(f"{errand} begins")
        paths = {"elsewhere": f"{ELSEWHERE}/data", "moved": MOVED}
        if kind == "forbidden" and self.can_forbid:
            paths["forbidden"] = f"{FORBIDDEN}/item-{self.count}"
        url = resolve(self.simulator.base_url, paths.get(kind, f"data-{self.count % 2}/item"))
        player.begin(errand, url, self.body)

    def _alive(self, who: int) -> Player:
        if self.players[who].process.dead:
            self._settle([])
            life = int(self.players[who].process.name[1:]) + 1
            self.players[who] = self._player(who, life)
        return self.players[who]

    @rule(who=WHO, kind=KINDS)
    def begins_a_request(self, who: int, kind: str) -> None:
        """A caller's request takes its first step."""
        self._begin(who, kind)

    @rule(who=st.lists(WHO, min_size=2, max_size=4), kind=KINDS, gives_up=st.booleans(), plan=PLANS)
    def requests_together(self, who: list[int], kind: str, gives_up: bool, plan: list[int]) -> None:
        """Several requests at once, of one session or of several; the first may be cancelled while they wait."""
        for index in who:
            self._begin(index, kind)
        if gives_up:
            self._cancel(who[0])
        self._settle(plan)

    @rule(who=WHO, again=WHO, times=st.integers(3, 12), seconds=st.sampled_from([0.0, 0.5, 7.0]))
    def forbidden_paths(self, who: int, again: int, times: int, seconds: float) -> None:
        """A walk over paths that the account may not see, with a token that serves others."""
        for number in range(times):
            self._begin(again if number % 2 else who, "forbidden")
            self._settle([])
            self._begin(who, "get")
            self._settle([])
            self._pass(seconds)

    @rule(who=WHO, plan=PLANS)
    def request(self, who: int, plan: list[int]) -> None:
        """One request, from its beginning to its end."""
        self._begin(who, "get")
        self._settle(plan)

    @rule(pick=st.integers(0, 5))
    def somebody_acts(self, pick: int) -> None:
        """One of those who are ready takes a step."""
        self.stage.act(pick)

    @rule(who=WHO)
    def a_caller_gives_up(self, who: int) -> None:
        """A request is cancelled."""
        self._cancel(who)

    def _cancel(self, who: int) -> None:
        if (errand := self.players[who].cancel()) is not None:
            self.watcher.tell(f"{errand} ends, cancelled")

    def _settle(self, plan: list[int]) -> None:
        self.stage.plan = deque(plan)
        self.stage.act_until(lambda: False)
        self.stage.plan.clear()
        for player in self.players:
            for errand, task in player.errands:
                if not task.done() and not player.process.dead:
                    self.watcher.breaks(5, f"{errand} never ends")
                elif task.cancelled() and not errand.cancelled:
                    self.watcher.breaks(8, f"{errand} is cancelled along with another")
            player.errands = []
            if not player.process.dead and self.store.held_by(player.process) is not None:
                self.watcher.breaks(1, f"{player} keeps the lock")

    # --- time, faults, trouble ----------------------------------------------------------------------------------------

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        """So many seconds pass."""
        self._pass(seconds)

    @rule(part=PARTS)
    def a_token_ages(self, part: float) -> None:
        """So much of a token's life passes."""
        self._pass(self.simulator.lifetime * part)

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            self.watcher.tell(f"{seconds:.1f} s pass")
            self.clock.advance(seconds)

    def _order(self, fault: str) -> None:
        self.watcher.tell(f"a fault: {fault}")
        self.simulator.faults.add(fault)

    @rule(
        how=st.sampled_from(["expire", "revoke-access", "revoke-family", *AGED]),
        fault=st.none() | st.sampled_from(WIRE),
        where=PLACES,
        who=st.lists(WHO, min_size=1, max_size=3),
        plan=PLANS,
    )
    def a_renewal(self, how: str, fault: str | None, where: str, who: list[int], plan: list[int]) -> None:
        """Tokens go bad at the vendor or by the clock, and the exchanges that follow may meet a fault."""
        if how in AGED:
            grant = self._alive(who[0]).session._manager.grants.current.record
            ends = grant.expires_at if grant.expires_at is not None else self.clock() + self.simulator.lifetime
            self._pass(max(0.0, ends - self.simulator.lifetime * AGED[how] - self.clock()))
        else:
            self._order(how)
        if fault is not None and where == KEYS and self.vendor.verify is not None:
            self._order("turn-keys")
            self._order(f"{fault}@{KEYS}")
        elif fault is not None:
            self._order(f"{fault}@exchange")
        for index in who:
            self._begin(index, "get")
        self._settle(plan)

    @rule(waits=st.lists(st.sampled_from([1.0, 16.0, 40.0, 61.0, 100.0]), max_size=4), who=WHO, again=WHO)
    def a_password_is_refused(self, waits: list[float], who: int, again: int) -> None:
        """Nobody is let in any more; some try again, sooner or later, or guess: several passwords in turn."""
        self._order("revoke-family")
        self._order("refuse-password")
        for index, seconds in enumerate([0.0, *waits]):
            self._pass(seconds)
            if len(waits) > 2:
                self._guess(who % (PROCESSES - 1), index % 3)
            self._begin(again if index % 2 else who % (PROCESSES - 1 if len(waits) > 2 else PROCESSES), "get")
            self._settle([])
        if len(waits) > 2:
            self.players[who % (PROCESSES - 1)].process.kill()  # who guessed has seen that it leads nowhere

    def _guess(self, who: int, number: int) -> None:
        """Another process, whose user gives another password."""
        known = [name for name in self.passwords if name != REFRESH and not samples.is_key(self.vendor, name)]
        wrong = {name: samples.another(self.vendor, name, 900 + number) for name in known}
        self.players[who].process.kill()
        right, self.passwords = self.passwords, {**self.passwords, **wrong}
        try:
            self._alive(who)
        finally:
            self.passwords = right

    @rule(name=st.sampled_from(ORDERS))
    def at_the_vendor(self, name: str) -> None:
        """Something happens to the vendor's accounts and tokens."""
        self._order(name)

    @rule(name=st.sampled_from(WIRE), where=PLACES, times=st.integers(1, 3))
    def a_fault(self, name: str, where: str, times: int) -> None:
        """The next exchange, or the next request for data or for the vendor's keys, fails."""
        if where == KEYS and self.vendor.verify is None:
            where = "exchange"
        self._order(f"{name}@{where}:x{times}")

    @rule(pick=st.integers(0, 30), rotates=st.booleans(), who=WHO, anew=st.booleans())
    def the_vendor_says(self, pick: int, rotates: bool, who: int, anew: bool) -> None:
        """The vendor gives one of the answers that its file foresees, deserved or not, perhaps to who logs in `anew`;
        refresh tokens are replaced, and what a `missing` can do without is given, or not, where it may choose.
        """
        self.simulator.rotate, self.simulator.spare = rotates, not rotates
        choices = _scripted(self.vendor, self.simulator.cannot)
        if choices:
            what, outcome = choices[pick % len(choices)]
            self.watcher.tell(f"the next answer to {what} will be {outcome}")
            self.simulator.script[what] = deque([outcome])
        if anew:
            self.simulator.person.does = "agrees"
            self._forget(corrupt=False)
            self.players[who].process.kill()
            self._begin(who, "get")
            self._settle([])

    @rule(does=st.sampled_from(DEEDS))
    def a_person(self, does: str) -> None:
        """Who is asked agrees from now on, or refuses, or says nothing."""
        self.watcher.tell(f"the person {does}")
        self.simulator.person.does = does

    @rule(who=WHO, pauses=st.integers(0, 6), plan=PLANS)
    def is_killed_midway(self, who: int, pauses: int, plan: list[int]) -> None:
        """A process is killed in the middle of a renewal; another takes its place when it is needed."""
        player = self._alive(who)
        player.process.dies_in = pauses
        self._begin(who, "get")
        self._settle(plan)
        player.process.dies_in = None

    @rule(who=WHO, into=st.integers(1, PROCESSES - 1), pauses=st.integers(0, 6), ends=st.booleans(), plan=PLANS)
    def is_forked_midway(self, who: int, into: int, pauses: int, ends: bool, plan: list[int]) -> None:
        """A process forks in the middle of a renewal, between any two steps, and goes on or `ends`, as the parent of a
        daemon does; its child sends a request at once.
        """
        player, other = self._alive(who), (who + into) % PROCESSES
        name = f"{'ABC'[other]}{int(self.players[other].process.name[1:]) + 1}"
        self.players[other].process.kill()
        self._begin(who, "get")
        self._settle([])
        self._pass(self.simulator.lifetime * 1.01)

        def fork() -> None:
            self.players[other] = player.fork(name)
            if ends:
                player.process.kill()
            self._begin(other, "get")

        player.process.forks_in, player.process.on_fork = pauses, fork
        self._begin(who, "get")
        self._settle(plan)
        player.process.forks_in = None

    @rule(kinds=STORE_KINDS, times=st.integers(1, 3))
    def the_store_fails(self, kinds: tuple[str, ...], times: int) -> None:
        """So many of the next operations on the store fail."""
        self.watcher.tell(f"the next {times} to {', '.join(kinds)} will find the store failing")
        self.store.kinds, self.store.failing = frozenset(kinds), times

    @rule(what=st.sampled_from(sorted(MISHAPS)), who=WHO)
    def a_mishap(self, what: str, who: int) -> None:
        """What happens rarely: records destroyed, a process killed, a user who logs in or out, another password."""
        self.watcher.tell(f"a mishap: {what}")
        MISHAPS[what](self, who)

    def _forget(self, *, corrupt: bool) -> None:
        self.watcher.store_lost()
        if corrupt:
            self.store.corrupt()
        else:
            self.store.records.clear()

    def _change_password(self, *, known: bool) -> None:
        self.changes += 1
        for name, value in self.passwords.items():
            if isinstance(value, str) and not samples.is_key(self.vendor, name):
                self.simulator.account.values[name] = samples.another(self.vendor, name, self.changes)
        if known:
            self._tell_passwords()

    def _tell_passwords(self) -> None:
        for name in self.passwords:
            self.passwords[name] = self.simulator.account.values.get(name, self.passwords[name])
            self.simulator.inputs[name] = self.passwords[name]

    def _differ(self) -> None:
        """Only what is signed says its time to a vendor, who may refuse it for that."""
        if self.vendor.hears:
            self._order(f"skew={VENDORS_CLOCKS[self.count % len(VENDORS_CLOCKS)]}")

    def _log_out(self, who: int) -> None:
        self._alive(who).logout()
        self.watcher.store_lost()

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def promises_are_kept(self) -> None:
        type(self).steps["steps"] += 1
        if self.watcher.broken:
            type(self).steps["broken"] += 1
            del self.watcher.story[self.watcher.story.index(self.watcher.broken[0]) + 1 :]  # it ends at the break
            for line in numbered(self.watcher.story):
                note(line)
            raise AssertionError(self.watcher.broken[0])

    def teardown(self) -> None:
        try:
            if not self.watcher.broken:
                self._settle([])
                self.promises_are_kept()
                self._heals()
        finally:
            self._fast.stop()

    def _heals(self) -> None:
        """When every fault is over and time has passed, everybody is served."""
        self.watcher.tell("all faults are over")
        self.simulator.faults.clear()
        self.simulator.script.clear()
        self.simulator.skew, self.simulator.spare = 0.0, False
        self.simulator.person.does = "agrees"
        self.simulator.faults.add("unlock")
        self.store.failing = 0
        if REFRESH in self.passwords:  # one that was given is spent, or was refused: the user fetches another
            self._change_password(known=True)
        self._tell_passwords()
        self.clock.advance(7200 + self.simulator.lifetime)
        for who in range(PROCESSES):
            told = self.players[who].inputs
            if any(not callable(told[name]) and told[name] != self.passwords[name] for name in self.passwords):
                self.players[who].process.kill()  # its user has to start it anew, with the new password
            for _ in range(3):  # a new password, then what only that one can bring
                player = self._alive(who)
                self.count += 1
                errand = Errand(self.count, player.process, "get")
                player.begin(errand, resolve(self.simulator.base_url, "data-0/item"), self.body)
                self._settle([])
                if errand.result == 200:
                    break
                self.clock.advance(3700)
            if errand.result != 200:
                self.watcher.breaks(5, f"{errand} is not served though all is well again: {errand.result!r}")
        self.promises_are_kept()


class _Both:
    """A machine's test case, and that of its second part."""

    accounts: ClassVar[type[AccountsMachine]]

    def runTest(self) -> None:
        super().runTest()  # type: ignore[misc]
        self.accounts.TestCase("runTest").runTest()

    runTest.is_hypothesis_test = True  # type: ignore[attr-defined]


def flow_machine(vendor: Any, **options: Any) -> type[FlowMachine]:
    """The machine of a vendor (a name, a path, a mapping, or a `Vendor`); `options` are those of `Simulator`.

    Its `TestCase` is for pytest and unittest, and runs its second part (`accounts`) too; 200 examples of up to 50
    steps, unless Hypothesis is told otherwise. Raises ConfigurationError, VendorFileError.
    """
    found = plugins.find_vendor(vendor)
    attributes = {"vendor": found, "options": options, "coverage": Coverage(found), "steps": Counter()}
    attributes["accounts"] = accounts_machine(found, **options)
    machine: Any = type(f"FlowMachine_{found.name.replace('-', '_')}", (FlowMachine,), attributes)
    machine.TestCase = type(f"{machine.__name__}.TestCase", (_Both, machine.TestCase), {"accounts": machine.accounts})
    machine.TestCase.settings = settings(
        max_examples=200,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    return machine  # type: ignore[no-any-return]


def _scripted(vendor: Vendor, cannot: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every answer that the file foresees: to an exchange, or (under "data") to the caller's requests."""
    found = [
        (exchange.name, outcome)
        for exchange in vendor.flow.exchanges.values()
        for outcome in dict.fromkeys((*exchange.outcomes, UNAVAILABLE))
        if not any(reason.startswith(f"exchanges.{exchange.name}.answers.{outcome}:") for reason in cannot)
    ]
    heard = {event for state in vendor.flow.states.values() if isinstance(state, Presenting) for event in state.next}
    found += [(DATA, event) for event in dict.fromkeys(name for name, _ in vendor.answers) if event in heard]
    return found
