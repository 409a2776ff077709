"""`accounts_machine(vendor)`: a Hypothesis state machine for promise 11, for any vendor.

Several users at several servers share one store. Somebody who can write to it swaps their records, plants another's,
brings old ones back and writes into them. Whatever happens: nobody presents another's token, no server is sent another
server's, a session that was given another password presents nothing that the old one got, and what was written into a
record overrides no setting, moves no credential and makes no session fail with anything but an error of ours.

Each user has a server of their own, so that a token says whose it is, and it is read off the wire.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final
from unittest import mock

import msgspec
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from authflow import plugins
from authflow.accounts import sends_to
from authflow.errors import AuthFlowError
from authflow.http import NOTHING, Answer, Request, origin_of, resolve
from authflow.manager import Flight, Flights
from authflow.renewing import NoAnswer
from authflow.session import AuthSession
from authflow.stores import Stored
from authflow.testing import samples
from authflow.testing.clock import Clock
from authflow.testing.faults import Broken
from authflow.testing.ledger import ACCESS, REFRESH
from authflow.testing.player import client_library
from authflow.testing.promises import PROMISES
from authflow.testing.shared_store import SharedStore
from authflow.testing.simulator import Simulator
from authflow.testing.stage import Process, Stage
from authflow.testing.story import numbered
from authflow.testing.transports import httpx_response
from authflow.vendors import Given, Vendor

PROMISE: Final = f"promise 11 ({PROMISES[11]})"
#: What is written into records: nothing that holds it may be sent, nor go where it says.
PLANTED: Final = "planted.example"
_MADE_UP: Final = re.compile(r"\d+x[0-9a-f]{24}$")
PICK = st.integers(0, 30)


class _InTurn(Flights[Any]):
    """The flights of one who does everything himself: here nobody acts behind another."""

    def begin_behind(self, flight: Flight[Any]) -> None:
        self.begin(flight)


class User:
    """Somebody with an account of their own at a server of their own. `differs`: in what from the first of them."""

    def __init__(self, machine: AccountsMachine, differs: str, changes: Mapping[str, Any], said: str) -> None:
        self.machine, self.differs, self.process = machine, differs, Process(differs)
        self.changes = dict(changes)
        given = {**(machine.options.get("inputs") or {}), **changes}
        given.pop("base_url", None)
        own = {**machine.options, "inputs": given, "seed": differs, "clock": machine.clock}
        self.simulator = Simulator(machine.vendor, **own)
        if "base_url" in changes:
            self.simulator.move(changes["base_url"])
        self.said = None if machine.vendor.identity else said
        #: Tokens that were got with a password that has changed.
        self.given_up: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Another process of the same user's."""
        lib: Any = importlib.import_module(library := client_library())
        inputs = {**self.simulator.inputs, **self.changes}
        self.session = AuthSession(
            self.machine.vendor,
            store=self.machine.store.for_process(self.process),
            client=self,
            clock=self.machine.clock,
            ask=self.simulator.person,
            identity=self.said,
            **inputs,
        )
        self.session._manager.grants.flights = _InTurn()
        self.base = lib.RequestError
        user = self

        class Transport(lib.BaseTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                view = Request(request.method, str(request.url), tuple(request.headers.multi_items()), request.read())
                user.machine.watch(user, view, "asks for data")
                return httpx_response(lib, request, user.simulator.handle, view)

        self.client = lib.Client(transport=Transport(), auth=getattr(self.session, library), trust_env=False)

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.machine.watch(self, request, "sends an exchange")
        given, captured = Given(self.simulator.inputs | self.changes), {"base_url": self.simulator.base_url}
        if not sends_to(self.machine.vendor, given, captured, request.url, carries=True):
            keys = self.simulator.values_in(request)[0] == "keys"
            if not keys:
                self.machine.breaks(f"{self.differs} sends an exchange to {origin_of(request.url)}")
        try:
            return self.simulator.handle(request)
        except Broken as broken:
            raise NoAnswer(broken.kind, sent=broken.connected) from None

    def ask(self) -> int | None:
        """The status of a request, or None where nothing could be sent."""
        url = resolve(self.simulator.base_url, "data/item")
        body = self.machine.body
        try:
            return int(self.client.request("POST" if body else "GET", url, **body).status_code)
        except (AuthFlowError, self.base) as error:
            self.machine.tell(f"{self.differs}: {type(error).__name__}")
        except Exception as error:
            self.machine.breaks(f"{self.differs} fails with {type(error).__name__}: {error}")
        return None

    def tokens(self) -> set[str]:
        return {
            str(value)
            for name, value in self.simulator.ledger._issued
            if name in (ACCESS, REFRESH) or _MADE_UP.search(str(value))
        }

    @property
    def secrets(self) -> list[str]:
        """The credentials that may become others."""
        entries = self.machine.vendor.credentials
        given = [name for name, entry in entries.items() if entry.secret and name in self.simulator.inputs]
        return [name for name in given if name != REFRESH and not samples.is_key(self.machine.vendor, name)]


class AccountsMachine(RuleBasedStateMachine):
    """The machine; `accounts_machine` makes the one of a vendor."""

    vendor: ClassVar[Vendor]
    options: ClassVar[dict[str, Any]] = {}
    #: The story of the last run: after a failure, of the shortest one.
    last_story: ClassVar[list[str]] = []
    steps: ClassVar[Counter[str]] = Counter()
    #: Told, as each example begins, how many there have been, and whether the promise was broken in one.
    progress: ClassVar[Callable[[int, bool], None]] = staticmethod(lambda done, broken: None)

    def __init__(self) -> None:
        super().__init__()
        self._fast = mock.patch("hashlib.scrypt", quick)
        self._fast.start()
        self.clock, self.body = Clock(), samples.body(self.vendor)
        self.story: list[str] = []
        self.broken: list[str] = []
        self.old: list[tuple[str, bytes]] = []
        self.store = SharedStore(Stage(), self.clock, self._saved, lambda process, kind: None)
        self.users = [User(self, *differs) for differs in users(self.vendor, self.options.get("inputs") or {})]
        type(self).last_story = self.story
        type(self).steps["examples"] += 1
        type(self).progress(self.steps["examples"], self.steps["broken"] > 0)

    def _saved(self, process: Process, key: str, data: bytes) -> None:
        self.old.append((key, data))

    def tell(self, line: str) -> None:
        self.story.append(line)

    def breaks(self, how: str) -> None:
        self.broken.append(f"{PROMISE}: {how}")
        self.story.append(self.broken[-1])

    def watch(self, user: User, request: Request, what: str) -> None:
        """Whose is what goes over the wire?"""
        self.tell(f"{user.differs} {what}")
        text = "\n".join([request.url, *(value for _, value in request.headers), str(request.body or "")])
        carried = {str(value) for value in user.simulator.values_in(request)[1].values()}
        carried |= {str(value) for value in user.simulator.presented_by(request).values()}
        own = user.tokens() | {str(value) for value in user.simulator.inputs.values()}
        for other in self.users:
            if any(token in text or token in carried for token in other.tokens() - own if other is not user):
                self.breaks(f"{user.differs} {what} with a token of {other.differs}")
        if any(token in text or token in carried for token in user.given_up):
            self.breaks(f"{user.differs} {what} with a token that another password got")
        if PLANTED in text:
            self.breaks(f"{user.differs} {what} with what somebody wrote into a record")

    # --- what happens -------------------------------------------------------------------------------------------------

    def _user(self, pick: int) -> User:
        return self.users[pick % len(self.users)]

    @rule(who=PICK)
    def asks(self, who: int) -> None:
        """A request."""
        self._user(who).ask()

    @rule()
    def all_ask(self) -> None:
        """One request of each, by processes that have just begun."""
        for user in self.users:
            user.restart()
            user.ask()

    @rule(who=PICK)
    def another_process(self, who: int) -> None:
        """A user's process ends, and the next request is that of another."""
        self._user(who).restart()

    @rule(who=PICK, how=st.sampled_from(["expire", "revoke-access", "revoke-family"]))
    def at_a_vendor(self, who: int, how: str) -> None:
        """Tokens go bad."""
        self.tell(f"at the server of {self._user(who).differs}: {how}")
        self._user(who).simulator.faults.add(how)

    @rule(seconds=st.sampled_from([61.0, 1300.0, 3700.0, 90_000.0]))
    def time_passes(self, seconds: float) -> None:
        """So many seconds pass."""
        self.clock.advance(seconds)

    @rule(who=PICK)
    def another_password(self, who: int) -> None:
        """A user's password becomes another, at the vendor and in a new process."""
        user = self._user(who)
        if user.secrets:
            self.tell(f"{user.differs} changes the password")
            user.given_up |= user.tokens() - {str(value) for value in user.simulator.inputs.values()}
            for name in user.secrets:
                new = samples.another(self.vendor, name, len(self.story))
                user.simulator.account.values[name] = user.simulator.inputs[name] = new
                user.changes.pop(name, None)
            user.restart()

    @rule(who=PICK)
    def logs_out(self, who: int) -> None:
        """A user's process logs out."""
        try:
            self._user(who).session.logout()
        except AuthFlowError as error:
            self.tell(f"logout: {type(error).__name__}")

    # --- what somebody does who can write to the store ----------------------------------------------------------------

    def _keys(self) -> list[str]:
        return sorted(key for key in self.store.records if "-refusals-" not in key and key != "authflow-labels")

    def _put(self, key: str, data: bytes) -> None:
        self.store.records[key] = Stored(data, self.store.next_revision())

    @rule(by=PICK)
    def records_are_swapped(self, by: int) -> None:
        """All have a record, and each takes another's place, byte for byte; all begin anew."""
        self.all_ask()
        if keys := self._keys():
            self.tell(f"each record takes the place of the {by % len(keys)}th from it")
            datas = [self.store.records[keys[place - by % len(keys)]].data for place in range(len(keys))]
            for key, data in zip(keys, datas, strict=True):
                self._put(key, data)
            self.all_ask()

    @rule(one=PICK, other=PICK)
    def another_s_record_is_planted(self, one: int, other: int) -> None:
        """A record is written into another's place as if it were made for it; all begin anew."""
        if keys := self._keys():
            here, there = keys[one % len(keys)], keys[other % len(keys)]
            record, present = (_table(self.store.records[key].data) for key in (here, there))
            # Who forges all that tells whose it is can plant any token: that much, whoever writes to a store can do.
            if record and present and any(record[name] != present[name] for name in ("servers", "owner")):
                self.tell("another's record is made one's own")
                self._put(there, msgspec.json.encode({**record, "key": present["key"]}))
                self.all_ask()

    @rule(pick=PICK, there=PICK)
    def an_old_record_comes_back(self, pick: int, there: int) -> None:
        """A record of earlier lies in its place again, or in another's; all begin anew."""
        if self.old and (keys := self._keys()):
            key, data = self.old[-1 - pick % len(self.old)]
            self.tell("an old record comes back")
            self._put(keys[there % len(keys)] if there % 3 else key, data)
            self.all_ask()

    @rule(pick=PICK, what=PICK, state=PICK)
    def somebody_writes_into_a_record(self, pick: int, what: int, state: int) -> None:
        """A record says that settings and credentials are others, and a state is another; all begin anew."""
        if not (keys := self._keys()) or not (record := _table(self.store.records[keys[pick % len(keys)]].data)):
            return
        names = [name for name in ("base_url", *self.vendor.inputs) if name not in _brought(self.vendor)]
        states = [record["state"], *self.vendor.flow.states]
        captured = record["captured"] | dict.fromkeys(names, f"https://{PLANTED}/")
        changes: list[dict[str, Any]] = [
            {"captured": captured, "state": states[state % len(states)]},
            {"captured": captured, "expires_at": 0.0},
            {"servers": [f"https://{PLANTED}/"]},
            {"state": f"\x1b[2J{PLANTED}"},
            {"issued_at": 1e300, "expires_at": -1e300},
            {"captured": {name: {PLANTED: [None]} for name in record["captured"]}},
            {"signers": {name: {PLANTED: PLANTED} for name in self.vendor.signers} or {"a": 1}},
        ]
        self.tell("somebody writes into a record")
        self._put(keys[pick % len(keys)], msgspec.json.encode(record | changes[what % len(changes)]))
        self.all_ask()

    @invariant()
    def promise_is_kept(self) -> None:
        type(self).steps["steps"] += 1
        if self.broken:
            type(self).steps["broken"] += 1
            del self.story[self.story.index(self.broken[0]) + 1 :]
            for line in numbered(self.story):
                note(line)
            raise AssertionError(self.broken[0])

    def teardown(self) -> None:
        self._fast.stop()


def accounts_machine(vendor: Any, **options: Any) -> type[AccountsMachine]:
    """The machine of a vendor (a name, a path, a mapping, or a `Vendor`); its `TestCase` is for pytest and unittest.
    `options` are those of `Simulator`. Raises ConfigurationError, VendorFileError.
    """
    found = plugins.find_vendor(vendor)
    attributes = {"vendor": found, "options": options, "steps": Counter()}
    machine: Any = type(f"AccountsMachine_{found.name.replace('-', '_')}", (AccountsMachine,), attributes)
    machine.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    return machine  # type: ignore[no-any-return]


def users(vendor: Vendor, inputs: Mapping[str, Any] = NOTHING) -> Iterator[tuple[str, dict[str, Any], str]]:
    """In what each of them differs, and what they give; `inputs` are those of all."""
    given = {**samples.inputs(vendor), **inputs}
    yield "the first", {}, "alice"
    names = [name.removesuffix("?") for name in vendor.identity]
    who = [name for name in names if name in given and not samples.is_key(vendor, name)]
    if who or not vendor.identity:
        yield "another user", {name: f"another-{name.replace('_', '-')}" for name in who}, "bob"
    moved = {
        name: _elsewhere(value) for name, value in given.items() if "://" in str(value) or value == "vendor.example"
    }
    yield "another server", {**moved, "base_url": _elsewhere(Simulator(vendor).base_url)}, "alice"
    for name in vendor.settings:
        if isinstance(value := given.get(name), str) and "://" not in value and value.startswith("demo-"):
            yield "another setting", {name: f"{value}x"}, "alice"
            break
    secret = {
        name: samples.another(vendor, name, 99)
        for name, entry in vendor.credentials.items()
        if entry.secret and name in given and name not in (*names, REFRESH) and not samples.is_key(vendor, name)
    }
    if secret:
        yield "another password", secret, "alice"


def _elsewhere(value: Any) -> str:
    other = "127.0.0.2" if str(value).startswith("http://") else "other.example"
    return re.sub(r"vendor\.example|(?<=://)[^/:]+", other, str(value), count=1)


def _table(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) and "captured" in found else {}


def _brought(vendor: Vendor) -> set[str]:
    """The names that an answer brings."""
    rows = [row for exchange in vendor.flow.exchanges.values() for row in exchange.answers]
    patterns = [pattern for _, pattern in (*rows, *vendor.answers)] + list(vendor.keep)
    return {placeholder.name for pattern in patterns for placeholder in pattern.placeholders()}


def quick(password: bytes, *, salt: bytes, dklen: int = 64, **more: Any) -> bytes:
    """In the place of scrypt, whose slowness is no part of what is tested."""
    return hashlib.blake2b(password, key=salt[:64], digest_size=dklen).digest()
