"""What is sent, and what is not, after a refusal: DESIGN §4, *Refused*, sentence by sentence."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import authflow
from authflow.accounts import clocks
from authflow.accounts.records import MOST_REFUSALS, MOST_SLOTS, WAITS, Refusals
from authflow.http import Answer, Request
from authflow.stores import FileStore, MemoryStore
from authflow.stores.base import Store
from authflow.testing import SimulatedSender, Simulator, httpx_transport
from tests.scripted import URL, Clock, answered, body_of, served
from tests.testing.shapes import shapes

START = 1_800_000_000.0
LOGIN: dict[str, Any] = {
    "extends": "relogin",
    "name": "acme",
    "base_url": "https://vendor.example/",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}", "in": "{expires_in:int}"}}},
        }
    },
}
WITH_CODE: dict[str, Any] = {
    **LOGIN,
    "credentials": {"otp": {"secret": True}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "otp": "{otp}"}},
            "answers": LOGIN["exchanges"]["login"]["answers"],
        }
    },
}


class Bank:
    """A server that knows which password is right, and what was sent to it when, by the true clock."""

    def __init__(self, right: str = "right", clock: Clock | None = None) -> None:
        self.right, self.clock, self.numbers = right, clock or Clock(START), itertools.count(1)
        self.sent: list[tuple[float, str]] = []
        self.says: Callable[[], Answer] | None = None

    def exchange(self, request: Request, timeout: float) -> Answer:
        password = body_of(request)["p"]
        self.sent.append((self.clock.now - START, password))
        if self.says is not None:
            return self.says()
        if password != self.right:
            return answered(401, {})
        return answered(200, {"token": f"t{next(self.numbers)}", "in": 1})

    def refused(self) -> list[float]:
        return [when for when, password in self.sent if password != self.right]

    def session(self, password: Any, store: Store, file: Any = LOGIN, **more: Any) -> authflow.AuthSession:
        own = {"username": "demo", "client": self, "clock": self.clock, **more}
        return authflow.AuthSession(file, password=password, store=store, **own)

    def tries(self, password: Any, store: Store, **more: Any) -> float:
        """A new process: for how long it has to wait, in seconds; 0 if it got a token."""
        try:
            self.session(password, store, **more).token()
        except authflow.AuthFlowError as error:
            return round(error.retry_after or -1.0, 3)
        return 0.0


@pytest.fixture
def bank() -> Bank:
    return Bank()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path)


# --- the schedule -----------------------------------------------------------------------------------------------------


def test_the_waits_are_a_minute_ten_minutes_and_an_hour(bank: Bank, store: Store) -> None:
    told = []
    for _ in range(5):
        wait = bank.tries("wrong", store)
        told.append(wait)
        bank.clock.now += wait - 1
        assert bank.tries("wrong", store) == 1
        bank.clock.now += 1
    assert told == [60, 600, 3600, 3600, 3600]
    assert len(bank.sent) == 5


def test_the_wait_is_the_accounts_whatever_is_sent(bank: Bank, store: Store) -> None:
    assert [bank.tries(f"wrong-{number}", store) for number in range(6)] == [60, 600, 600, 600, 600, 600]
    assert len(bank.sent) == 2  # the first, and the hour's change


def test_a_good_login_shortens_nothing(bank: Bank, store: Store) -> None:
    assert bank.tries("wrong", store) == 60
    assert bank.tries("right", store) == 0
    bank.clock.now += 30
    assert bank.tries("wrong", store) == 30
    bank.clock.now += 31
    assert bank.tries("wrong", store) == 600
    assert bank.tries("right", store) == 0


@pytest.mark.parametrize(
    ("refused", "stays"),
    [
        ({"password": "p", "pin": "1"}, False),
        ({"password": "p"}, False),  # by the first of two steps
        ({"pin": "1"}, False),
        ({"password": "other"}, True),
        ({"password": "p", "pin": "2"}, True),
        ({"password": "p", "more": "x"}, False),
        ({}, True),
    ],
)
def test_what_was_accepted_last_is_refused_with_a_part_of_it(refused: dict[str, str], stays: bool) -> None:
    known = Refusals(accepted={"password": "p", "pin": "1"}).with_refused(refused, "", START)
    assert bool(known.accepted) is stays


def test_a_day_without_a_refusal_ends_the_count(bank: Bank, store: Store) -> None:
    for wait in (60, 600, 3600):
        assert bank.tries("wrong", store) == wait
        bank.clock.now += wait
    bank.clock.now += 86400 - 3601
    assert bank.tries("wrong", store) == 3600
    bank.clock.now += 86400
    assert bank.tries("wrong", store) == 60


def test_a_thousand_refusals_are_waited_for_like_three(bank: Bank) -> None:
    refusals = Refusals()
    for number in range(1100):
        refusals = refusals.with_refused({"password": f"{number:x}"}, f"{number:x}", START + number)
    assert (refusals.wait, refusals.count) == (WAITS[-1], len(WAITS))
    assert (len(refusals.refused), len(refusals.users)) == (MOST_REFUSALS, MOST_SLOTS)
    assert len(refusals.to_bytes()) < 4096
    store = MemoryStore()
    for _ in range(1100):
        bank.clock.now += max(bank.tries("wrong", store), 1)
    assert len(bank.sent) == 1100


# --- the exceptions ---------------------------------------------------------------------------------------------------


def test_what_was_accepted_last_is_always_sent(bank: Bank, store: Store) -> None:
    assert bank.tries("right", store) == 0
    for minute in range(90):
        bank.tries("wrong", store)
        bank.tries(f"wrong-{minute}", store)
        bank.clock.now += 61
        assert bank.tries("right", store) == 0


def test_what_was_accepted_is_known_before_anything_is_refused(bank: Bank, store: Store) -> None:
    """The grant tells which secret got it."""
    assert bank.tries("right", store) == 0
    bank.clock.now += 2
    assert [bank.tries("wrong", store), bank.tries("wrong-2", store)] == [60, 600]
    assert bank.tries("right", store) == 0


def test_accepted_and_then_refused_it_is_the_hours_change(bank: Bank, store: Store) -> None:
    assert bank.tries("right", store) == 0
    assert bank.tries("wrong", store) == 60
    bank.clock.now += 2
    bank.right = "newer"
    assert bank.tries("right", store) == 600
    assert bank.tries("right", store) == 600  # it is accepted no more
    assert bank.tries("newest", store) == 600  # nor is there another change
    assert len(bank.sent) == 3


def test_accepted_and_then_refused_is_known_beside_a_code_that_differs_each_time(bank: Bank, store: Store) -> None:
    codes = itertools.count(100)
    again: dict[str, Any] = {"file": WITH_CODE, "otp": lambda: str(next(codes))}
    assert bank.tries("wrong", store, **again) == 60
    assert bank.tries("right", store, **again) == 0
    bank.clock.now += 2
    bank.right = "newer"
    assert [bank.tries("right", store, **again) for _ in range(3)] == [600] * 3
    assert len(bank.sent) == 3


TWO_STEPS: dict[str, Any] = {
    "name": "acme",
    "base_url": "https://vendor.example/",
    "start": "signed_out",
    "credentials": {"username": {}, "password": {"secret": True}, "otp": {"secret": True}},
    "exchanges": {
        "begin": {
            "request": {"url": "begin", "json": {"u": "{username}", "p": "{password}"}},
            "answers": {"asked": {"status": 202, "json": {"step": "{step}"}}, "denied": {"status": 401}},
        },
        "finish": {
            "request": {"url": "finish", "json": {"step": "{step}", "p": "", "otp": "{otp}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}", "in": "{expires_in:int}"}}},
        },
    },
    "states": {
        "signed_out": {"send": "begin", "asked": "half_way", "denied": "refused"},
        "half_way": {"send": "finish", "granted": "signed_in"},
        "signed_in": {"present": {"headers": {"X-Token": "{access}"}}, "expired": "signed_out"},
        "refused": {"fail": "No."},
    },
}


def test_accepted_by_a_login_of_two_steps_it_may_be_refused_by_the_first(bank: Bank, store: Store) -> None:
    """Who is asked for the code has not been asked yet."""
    again: dict[str, Any] = {"file": TWO_STEPS, "otp": lambda: "code"}
    steps = iter([answered(401, {}), answered(202, {"step": "s"}), answered(200, {"token": "t", "in": 1})])
    bank.says = lambda: next(steps, answered(401, {}))
    assert [bank.tries(password, store, **again) for password in ("wrong", "right")] == [60, 0]
    bank.clock.now += 2
    assert [bank.tries("right", store, **again) for _ in range(4)] == [600] * 4
    assert len(bank.sent) == 4


@pytest.mark.parametrize("name", ["preset-challenge", "preset-basic", "parcels"])
def test_after_its_wait_it_is_sent_whatever_a_login_begins_with(name: str) -> None:
    """Who only waits to be challenged has sent nothing, and waits for nobody's answer."""
    simulator = Simulator(shapes()[name], clock=Clock(START))
    own = {"client": SimulatedSender(simulator), "clock": simulator.clock, **simulator.inputs}
    session = authflow.AuthSession(simulator.vendor, store=MemoryStore(), **own)
    with httpx.Client(auth=session.httpx, transport=httpx_transport(simulator)) as client:
        simulator.account.refused = True
        with pytest.raises(authflow.CredentialsRefused):
            client.get(simulator.base_url + "data/1")
        simulator.account.refused = False
        simulator.clock.now += 61
        assert client.get(simulator.base_url + "data/1").status_code == 200


def test_a_new_secret_is_sent_at_once_and_one_an_hour(bank: Bank, store: Store) -> None:
    bank.right = "third"
    assert bank.tries("first", store) == 60
    assert bank.tries("second", store) == 600
    bank.clock.now += 599
    assert bank.tries("third", store) == 1
    bank.clock.now += 1
    assert bank.tries("first", store) == 3600
    bank.clock.now += 3000
    assert bank.tries("third", store) == 0  # another hour's change
    assert len(bank.sent) == 4


def test_a_change_that_nobody_could_answer_is_none(bank: Bank, store: Store) -> None:
    assert bank.tries("wrong", store) == 60
    bank.says = lambda: answered(503, {})
    bank.tries("right", store)
    bank.says = None
    assert bank.tries("right", store) == 0


def test_a_one_time_code_makes_no_new_secret(bank: Bank, store: Store) -> None:
    """The file need not call it `once`: whatever differs each time is."""
    codes = itertools.count(100)
    for password in ("wrong", lambda: "wrong"):
        for _ in range(6):
            bank.tries(password, store, file=WITH_CODE, otp=lambda: str(next(codes)))
    assert len(bank.sent) == 1
    once = {**WITH_CODE, "name": "other", "credentials": {"otp": {"secret": True, "once": True}}}
    for code in range(6):
        bank.tries("wrong", store, file=once, otp=f"{code}")
    assert len(bank.sent) == 2


def test_nobody_types_a_code_for_a_password_that_must_wait(bank: Bank, store: Store) -> None:
    once = {**WITH_CODE, "credentials": {"otp": {"secret": True, "once": True}}}
    typed: list[str] = []

    def otp() -> str:
        typed.append("code")
        return str(len(typed))

    for _ in range(3):
        bank.tries("wrong", store, file=once, otp=otp)
    assert (len(bank.sent), len(typed)) == (1, 1)
    bank.clock.now += 61.0
    bank.tries("wrong", store, file=once, otp=otp)
    assert (len(bank.sent), len(typed)) == (2, 2)
    assert bank.tries("right", store, file=once, otp=otp) == 0.0
    assert (len(bank.sent), len(typed)) == (3, 3)


def test_a_password_that_changed_beside_a_static_secret_is_new(bank: Bank, store: Store) -> None:
    passwords = ["wrong"]
    again = {"file": WITH_CODE, "otp": "static"}
    assert bank.tries(lambda: passwords[-1], store, **again) == 60
    passwords.append("right")
    assert bank.tries(lambda: passwords[-1], store, **again) == 0


EXCHANGED: dict[str, Any] = {
    "extends": "token-exchange",
    "name": "exchanged",
    "base_url": "https://vendor.example/",
}


class Exchanger:
    """Accepts one subject's token."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.sent.append(dict(pair.split("=") for pair in (request.body or b"").decode().split("&"))["subject_token"])
        if self.sent[-1] == "bob":
            return answered(200, {"access_token": "t", "expires_in": 1})
        return answered(400, {"error": "invalid_grant"})


def test_one_users_refusals_delay_no_other_users_first_attempt(store: Store) -> None:
    server, clock = Exchanger(), Clock(START)

    def tries(user: str, **more: Any) -> bool:
        given = {"token_url": "https://vendor.example/token", "client_id": "c", "client_secret": "s"}
        own = {"store": store, "client": server, "clock": clock, **given, **more}
        try:
            authflow.AuthSession(EXCHANGED, subject_token=user, **own).token()
        except authflow.CredentialsRefused:
            return False
        return True

    for wait in (60, 600, 3600):
        assert not tries("alice")
        assert not tries("alice")
        clock.now += wait
    assert server.sent == ["alice"] * 3
    assert not tries("alice")
    assert tries("bob")
    for user in ("carol", "dave", "erin"):
        assert not tries(user)
        assert not tries(user)
    assert server.sent == [*["alice"] * 4, "bob", "carol", "dave", "erin"]
    clock.now += 2
    assert tries("bob")


def test_a_person_who_logs_in_is_always_sent(bank: Bank, store: Store) -> None:
    session = bank.session("wrong", store)
    for _ in range(5):
        with pytest.raises(authflow.CredentialsRefused):
            session.login()
    assert len(bank.sent) == 5
    bank.right = "wrong"
    assert session.login().access
    bank.clock.now += 61
    assert bank.tries("wrong", store) == 0  # what a person was granted with is accepted


# --- where and by whom ------------------------------------------------------------------------------------------------


def test_without_a_store_the_refusals_are_the_processs_and_the_grants_the_sessions(bank: Bank) -> None:
    for _ in range(3):
        assert bank.tries("wrong", "memory") == 60  # type: ignore[arg-type]
    assert len(bank.sent) == 1
    one, other = bank.session("right", "memory"), bank.session("right", "memory")  # type: ignore[arg-type]
    assert one.token().access != other.token().access


def test_of_many_who_wait_one_tries_when_the_time_has_come(bank: Bank, store: Store) -> None:
    """They differ in what the grant hangs on, so that no lock of the grant's keeps them apart."""
    sessions = [bank.session(f"wrong-{number}", store, identity=f"{number}") for number in range(6)]
    assert bank.tries("wrong", store) == bank.tries("wrong-9", store) / 10 == 60
    bank.clock.now += 601
    start = threading.Barrier(len(sessions))

    def ask(session: authflow.AuthSession) -> None:
        start.wait(10)
        with pytest.raises(authflow.CredentialsRefused):
            session.token()

    crowd = [threading.Thread(target=ask, args=(session,)) for session in sessions]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(30)
    assert len(bank.sent) == 3


@pytest.mark.parametrize("skew", [-7200.0, -300.0, 300.0, 7200.0])
def test_hosts_whose_clocks_differ_wait_for_as_long(bank: Bank, store: Store, skew: float) -> None:
    here = bank.session("wrong", store)
    there = bank.session("wrong", store, clock=lambda: bank.clock.now + skew)
    with pytest.raises(authflow.CredentialsRefused):
        there.token()
    for _ in range(3600):
        for session in (here, there):
            with pytest.raises(authflow.CredentialsRefused) as caught:
                session.token()
            assert 0 < (caught.value.retry_after or 0) <= 3600
        bank.clock.now += 1
    first, second, third = bank.refused()
    assert (first <= 0, second <= 61, 600 <= third - second <= 661) == (True, True, True)


HOURS_APART = [
    [0.0, 7200.0, -7200.0, 3 * 86400.0, -3 * 86400.0],
    [-3 * 86400.0, -7200.0, 0.0, 7200.0, 3 * 86400.0],
    [0.0, 90.0, 300.0, 400 * 86400.0, -400 * 86400.0, 86400.0],
]


@pytest.mark.parametrize("skews", HOURS_APART)
@pytest.mark.parametrize("lives", [True, False], ids=["sessions", "processes"])
def test_however_many_clocks_differ_an_account_meets_four_refusals_an_hour(
    bank: Bank, skews: list[float], lives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions that live on, or processes of one machine that come, look once and go."""
    store, started = MemoryStore(), itertools.count(1)
    if not lives:
        monkeypatch.setattr(clocks, "_uptime", lambda: bank.clock.now - START + 1000)

    def session(number: int) -> authflow.AuthSession:
        return bank.session(f"wrong-{number}", store, clock=lambda: bank.clock.now + skews[number])

    sessions = [session(number) for number in range(len(skews))]
    step = 100 if lives else 450
    for _ in range(0, 4500, step):
        for number in range(len(skews)):
            if not lives:
                process = str(next(started))
                monkeypatch.setattr(clocks, "_process", lambda process=process: process)
                sessions[number] = session(number)
            with pytest.raises(authflow.CredentialsRefused) as caught:
                sessions[number].token()
            assert 0 < (caught.value.retry_after or 0) <= 3600
        bank.clock.now += step
    refused = bank.refused()
    assert max(sum(when <= other < when + 3600 for other in refused) for when in refused) <= 4
    assert refused[-1] >= 3600, "nobody is ever let in again"


def test_a_process_on_a_machine_whose_clock_agrees_waits_no_longer(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    store, started = MemoryStore(), itertools.count(1)
    monkeypatch.setattr(clocks, "_process", lambda: str(next(started)))
    monkeypatch.setattr(clocks, "_uptime", lambda: bank.clock.now - START + 1000)
    for wait in (60, 600, 3600, 3600):
        for machine in ("here", "there", "elsewhere"):
            monkeypatch.setattr(clocks, "_MACHINE", machine)
            assert bank.tries("wrong", store, clock=lambda: bank.clock.now) == wait
        bank.clock.now += wait
    bank.clock.now += 86400
    assert bank.tries("wrong", store) == 60
    assert len(bank.sent) == 5


def test_short_lived_processes_on_a_host_whose_clock_is_behind_are_let_in_again(bank: Bank, store: Store) -> None:
    bank.clock.now += 86400 * 365
    assert bank.tries("wrong", store) == 60
    bank.clock.now -= 86400 * 365
    assert bank.tries("wrong", store) == 60
    bank.clock.now += 59
    assert bank.tries("wrong", store) == 1
    bank.clock.now += 1
    assert bank.tries("wrong", store) == 600
    assert len(bank.sent) == 2


# --- errors after the vendor was asked, and what it asks for ----------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        answered(422, {"error": "no such luck"}),
        answered(200, {"tok": 1}),
        answered(302, None, {"Location": "https://elsewhere.example/"}),
        answered(302, None, {"Location": "https://[half"}),
    ],
    ids=["422", "200", "302", "302 to no URL"],
)
def test_an_answer_that_cannot_be_used_is_waited_for_likewise(bank: Bank, store: Store, said: Answer) -> None:
    file: dict[str, Any] = {**LOGIN, "exchanges": {"login": {**LOGIN["exchanges"]["login"], "redirects": True}}}
    bank.says = lambda: said
    for wait in (60, 600, 3600, 3600):
        assert bank.tries("right", store, file=file) == wait
        assert bank.tries("right", store, file=file) == wait
        bank.clock.now += wait
    assert len(bank.sent) == 4
    bank.says = None
    assert bank.tries("right", store, file=file) == 0
    bank.clock.now += 2
    bank.says = lambda: said
    assert bank.tries("right", store, file=file) == 60


def test_a_login_without_credentials_is_left_alone_too(store: Store) -> None:
    """After an answer that cannot be used, by all who share the store, and for a rejected token too."""
    clock, sent, says = Clock(START), list[float](), list[Answer]()
    file = {
        "name": "alone",
        "base_url": "https://vendor.example/",
        "start": "out",
        "exchanges": {"login": {"request": {"url": "login"}, "answers": {"granted": {"json": {"token": "{access}"}}}}},
        "answers": {"rejected": {"status": 401}},
        "states": {
            "out": {"send": "login", "granted": "in"},
            "in": {"present": {"headers": {"X-Token": "{access}"}}, "rejected": "out"},
        },
    }

    class Alone:
        def exchange(self, request: Request, timeout: float) -> Answer:
            sent.append(clock.now)
            return says.pop() if says else answered(200, {"token": f"t{len(sent)}"})

    sessions = [authflow.AuthSession(file, store=store, client=Alone(), clock=clock) for _ in range(4)]
    grants = [served(session._manager.authorize(URL)) for session in sessions]
    assert len(sent) == 1
    for wait in (60, 600, 3600):
        for session, grant in [*zip(sessions, grants, strict=True)] * 3:
            says[:] = [answered(200, {"token": "two\nlines"})]
            with pytest.raises(authflow.VendorAnswerError) as failed:
                served(session._manager.on_response(grant, URL, answered(401)))
            assert failed.value.retry_after == pytest.approx(wait, abs=1)
        clock.now += wait + 1
    assert len(sent) == 4
    says.clear()
    for session, grant in zip(sessions, grants, strict=True):
        assert served(session._manager.on_response(grant, URL, answered(401))) is not grant
    assert len(sent) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 409, 418, 429, 500, 503])
@pytest.mark.parametrize(
    "spelled",
    [
        "120",
        "120.0",
        " 120 ",
        "date",
        "+120",
        "120, 90",
        '"120"',
        "2m",
        "PT2M",
        str(START + 120),
        f"{START + 120:.0f}000",
    ],
)
def test_retry_after_counts_on_any_status_and_for_all(bank: Bank, store: Store, status: int, spelled: str) -> None:
    value = formatdate(bank.clock.now + 120, usegmt=True) if spelled == "date" else spelled
    bank.says = lambda: answered(status, {}, {"Retry-After": value, "Date": formatdate(bank.clock.now, usegmt=True)})
    for _ in range(2):
        assert bank.tries("right", store) == pytest.approx(120, abs=1)
    bank.says = None
    assert len(bank.sent) == 1
    bank.clock.now += 121
    assert bank.tries("right", store) == 0


@pytest.mark.parametrize("told", [120, "120", "date", START + 120])
@pytest.mark.parametrize("outcome", ["unavailable", "denied"])
def test_retry_after_in_a_body_counts_as_the_file_names_it(bank: Bank, store: Store, told: Any, outcome: str) -> None:
    file = {**LOGIN, "exchanges": {"login": {**LOGIN["exchanges"]["login"]}}}
    answers = {**LOGIN["exchanges"]["login"]["answers"]}
    answers[outcome] = {"status": 409, "json": {"retry": "{retry_after?}"}}
    file["exchanges"]["login"]["answers"] = answers
    value = formatdate(bank.clock.now + 120, usegmt=True) if told == "date" else told
    bank.says = lambda: answered(409, {"retry": value}, {"Date": formatdate(bank.clock.now, usegmt=True)})
    for _ in range(2):
        assert bank.tries("right", store, file=file) == pytest.approx(120, abs=1)
    assert len(bank.sent) == 1


def test_a_key_that_was_never_sent_is_not_refused() -> None:
    """It rotates between the request that was rejected and the look at what was refused."""
    keys = iter(["one", "one", "two", "two", "two"])
    file = {"extends": "api-key", "name": "keyed", "base_url": "https://vendor.example/"}
    session = authflow.AuthSession(file, api_key=lambda: next(keys), clock=Clock(START), store=MemoryStore())
    manager = session._manager
    grant = served(manager.authorize(URL))
    with pytest.raises(authflow.CredentialsRefused):
        served(manager.on_response(grant, URL, answered(401)))
    assert dict(served(manager.authorize(URL)).presentation.headers) == {"X-API-Key": "two"}


def test_a_key_that_is_rejected_a_second_time_is_refused_at_once() -> None:
    keys, asked = ["old"], []
    file = {"extends": "api-key", "name": "keyed", "base_url": "https://vendor.example/"}

    def key() -> str:
        asked.append(keys[-1])
        return keys[-1]

    session = authflow.AuthSession(file, api_key=key, clock=Clock(START), store=MemoryStore())
    manager = session._manager
    grant = served(manager.authorize(URL))
    keys.append("new")
    asked.clear()
    second = served(manager.on_response(grant, URL, answered(401)))
    assert asked == ["new"]
    with pytest.raises(authflow.CredentialsRefused):
        manager.on_second_response(second, URL, answered(401))
    with pytest.raises(authflow.CredentialsRefused):
        served(manager.authorize(URL))


# --- all of it together -----------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "right", "change"]),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 1, 59, 60, 61, 599, 600, 1200, 3599, 3600]),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_at_most_four_attempts_an_hour_are_refused(steps: list[tuple[str, int, float]]) -> None:
    """Processes come and go with whatever passwords, and a one-time code beside them; the vendor changes its mind."""
    bank, store, codes = Bank(), MemoryStore(), itertools.count(1)
    more = {"otp": lambda: str(next(codes)), "file": WITH_CODE}
    living: dict[tuple[int, str], authflow.AuthSession] = {}
    refused: list[float] = []
    accepted = ""
    for password, who, wait in steps:
        bank.clock.now += wait
        if password == "change":
            bank.right = f"changed-{len(living)}"
            continue
        word = bank.right if password == "right" else password
        if (who, word) not in living or who == 0:
            living[who, word] = bank.session(word, store, **more)
        sent = len(bank.sent)
        try:
            living[who, word].token()
            served = True
        except authflow.CredentialsRefused:
            served = False
        if served:
            accepted = word
        elif len(bank.sent) > sent:
            refused.append(bank.clock.now)
        assert served or not (word == accepted == bank.right), "what was accepted last waits"
    for when in refused:
        assert sum(when <= other < when + 3600 for other in refused) <= 4
