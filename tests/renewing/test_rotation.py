"""A refresh token that each refresh replaces: what is known of it, whatever becomes of the answer or the process."""

from __future__ import annotations

import os
import pickle
import warnings
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import pytest

import authflow
from authflow.accounts import Record
from authflow.http import Answer, Request
from authflow.renewing import NoAnswer
from authflow.stores.memory import MemoryStore
from authflow.testing import Clock, SimulatedSender, Simulator
from tests.scripted import LADDER, LIFETIME, ScriptedVendor, answered, body_of, finished, name_of

#: The same without a login: who has no refresh token any more has to bring another.
NO_WAY_BACK: dict[str, Any] = {
    "name": "brought",
    "base_url": "https://vendor.example/api/",
    "start": "stale",
    "credentials": {"refresh": {"secret": True}},
    "exchanges": {
        "refresh": {
            **LADDER["exchanges"]["refresh"],
            "answers": {
                **LADDER["exchanges"]["refresh"]["answers"],
                "denied": {"status": [400, 401]},
            },
        }
    },
    "states": {
        "stale": {"send": "refresh", "granted": "signed_in", "denied": "refused"},
        "signed_in": {"present": {"headers": {"Authorization": "Bearer {access}"}}, "expired": "stale"},
        "refused": {"fail": "Bring another refresh token."},
    },
}
PAGE = Answer(200, (("Content-Type", "text/html"),), b"<!DOCTYPE html><title>Accept our terms</title>")


class Torn(BaseException):
    """Whatever tears a renewal away: the process is killed, a signal's handler raises."""


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def tear(request: Request) -> Answer:
    raise Torn


def refreshes(vendor: ScriptedVendor) -> list[str]:
    return [body_of(request)["refresh"] for request in vendor.sent if name_of(request) == "refresh"]


def expired(vendor: ScriptedVendor, store: MemoryStore) -> authflow.AuthSession:
    session = vendor.session(store=store)
    session.token()
    vendor.clock.now += LIFETIME + 1
    return session


def record(store: MemoryStore) -> Record:
    (stored,) = (one for key, one in store._records.items() if "refusals" not in key)
    return Record.from_bytes(stored.data)


# --- the mark ---------------------------------------------------------------------------------------------------------


def test_the_record_says_that_a_refresh_token_is_sent_before_it_is(vendor: ScriptedVendor, store: MemoryStore) -> None:
    seen: list[str] = []

    def look(request: Request) -> Answer:
        seen.append(record(store).mark)
        return answered(200, {"access": "a-2", "refresh": "r-2", "in": int(LIFETIME)})

    session = expired(vendor, store)
    vendor.says("refresh", look)
    session.token()
    assert seen[0]
    assert record(store).mark == ""


def test_whoever_finds_the_mark_takes_another_way_in(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = expired(vendor, store)
    vendor.says("refresh", tear)
    with pytest.raises(Torn):
        session.token()
    assert vendor.session(store=store).token().access == "access-2"
    assert vendor.names == ["login", "refresh", "login"]


@pytest.mark.parametrize(("asks", "sent"), [(True, 1), (False, 2)])
def test_a_person_is_another_way_in_where_one_can_be_asked(asks: bool, sent: int, store: MemoryStore) -> None:
    file = {"name": "acme", "extends": "oauth2-code", "base_url": "https://acme.example/"}
    simulator = Simulator(file, clock=Clock())

    def token(ask: Any) -> None:
        own = {"client": SimulatedSender(simulator), "clock": simulator.clock, "store": store, "identity": "alice"}
        authflow.AuthSession(file, ask=ask, **own, **simulator.inputs).token()

    token(simulator.person)
    simulator.clock.advance(simulator.lifetime + 1)
    simulator.faults.add("timeout-after@exchange")
    for _ in range(sent):
        with nullcontext() if asks else pytest.raises(authflow.AuthFlowError):
            token(simulator.person if asks else None)
    assert simulator.counts["refresh"] == sent
    assert len(simulator.person.asked) == (2 if asks else 1)


def test_where_there_is_no_other_way_in_it_is_sent_once_more(vendor: ScriptedVendor, store: MemoryStore) -> None:
    def session() -> authflow.AuthSession:
        own: dict[str, Any] = {"client": vendor, "clock": vendor.clock, "store": store, "refresh": "r-0"}
        return authflow.AuthSession(NO_WAY_BACK, **own)

    session().token()
    for said in (tear, NoAnswer("reset", sent=True)):
        vendor.clock.now += LIFETIME + 1
        vendor.says("refresh", said)
        with pytest.raises((Torn, authflow.VendorUnavailable)):
            session().token()
    vendor.clock.now += 60
    assert session().token().access
    assert refreshes(vendor) == ["r-0", *["refresh-1"] * 3]


def test_a_login_that_is_torn_away_leaves_no_mark(vendor: ScriptedVendor, store: MemoryStore) -> None:
    vendor.says("login", tear)
    with pytest.raises(Torn):
        vendor.session(store=store).token()
    assert store._records == {}


# --- what is not lost -------------------------------------------------------------------------------------------------

ANSWERED = {
    "temporarily_unavailable": answered(503, {"error": "temporarily_unavailable"}),
    "not found": answered(404, {"detail": "not found"}),
    "a page": PAGE,
    "a page behind the wrong type": Answer(200, (), b"\n<html><body>Maintenance</body></html>"),
    "a gateway's page": Answer(418, (("Content-Type", "text/html"),), b"<h1>no</h1>"),
    "a redirect to a portal": Answer(302, (("Location", "https://portal.example/"),), b""),
    "not sent": NoAnswer("no package for this proxy", sent=False),
}


@pytest.mark.parametrize("said", ANSWERED.values(), ids=ANSWERED)
def test_an_answer_that_grants_nothing_spends_no_refresh_token(
    vendor: ScriptedVendor, store: MemoryStore, said: Any
) -> None:
    session = expired(vendor, store)
    vendor.says("refresh", said)
    with pytest.raises(authflow.AuthFlowError):
        session.token()
    vendor.clock.now += 60
    session.token()
    assert refreshes(vendor) == ["refresh-1", "refresh-1"]
    assert vendor.names == ["login", "refresh", "refresh"]


LASTING: dict[str, Any] = {
    **LADDER,
    "exchanges": {
        **LADDER["exchanges"],
        "refresh": {
            **LADDER["exchanges"]["refresh"],
            "answers": {"granted": {"json": {"access": "{access}", "in": "{expires_in:int?}"}}},
        },
    },
}


@pytest.mark.parametrize("file", [LADDER, LASTING], ids=["that rotates", "that is never replaced"])
def test_a_refresh_refused_ahead_of_time_is_tried_once_more_after_the_end(
    vendor: ScriptedVendor, store: MemoryStore, file: dict[str, Any]
) -> None:
    session = vendor.session(file, store=store)
    session.token()
    for part in (0.95, 0.97, 0.999):
        vendor.clock.now = record(store).issued_at + LIFETIME * part
        vendor.says("refresh", 401, {})
        assert session.token().access == "access-1"
        finished()
    assert vendor.names == ["login", "refresh"]
    vendor.script.clear()
    vendor.clock.now += LIFETIME
    assert session.token().access == "access-2"
    assert vendor.names == ["refresh"]
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 401, {})
    session.token()
    assert vendor.names == ["refresh", "login"]


def test_a_login_that_is_refused_leaves_the_grant_that_lives(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = vendor.session(store=store)
    before = session.token()
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused):
        session.login()
    assert session.token().access == before.access
    assert vendor.session(store=store).token().access == before.access
    vendor.clock.now += LIFETIME + 1
    vendor.session(store=store).token()
    assert vendor.names == ["login", "login", "refresh"]


# --- sent once more ---------------------------------------------------------------------------------------------------


def test_a_500_is_tried_once_more_where_nothing_can_be_used_up(vendor: ScriptedVendor) -> None:
    vendor.says("login", 500, {})
    vendor.session().token()
    assert vendor.names == ["login", "login"]
    vendor.down = answered(500, {})
    with pytest.raises(authflow.VendorUnavailable):
        vendor.session().token()
    assert vendor.names == ["login", "login"]


def test_a_500_that_says_for_how_long_to_wait_is_not(vendor: ScriptedVendor) -> None:
    vendor.says("login", 500, {}, {"Retry-After": "5"})
    with pytest.raises(authflow.VendorUnavailable):
        vendor.session().token()
    assert vendor.names == ["login"]


def test_a_500_to_a_rotating_refresh_or_a_one_time_code_is_not(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = expired(vendor, store)
    vendor.down = answered(500, {})
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    assert vendor.names == ["login", "refresh"]
    login = {**LADDER["exchanges"]["login"], "request": {"url": "login", "json": {"code": "{code}"}}}
    file = {**LADDER, "credentials": {"code": {"once": True}}, "exchanges": {**LADDER["exchanges"], "login": login}}
    own: dict[str, Any] = {"client": vendor, "clock": vendor.clock, "code": "123456"}
    with pytest.raises(authflow.VendorUnavailable):
        authflow.AuthSession(file, **own).token()
    assert vendor.names == ["login"]


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_of_a_memory_store_leaves_the_refresh_token_to_its_owner(
    vendor: ScriptedVendor, store: MemoryStore
) -> None:
    session = expired(vendor, store)
    for copy in (deepcopy(store), pickle.loads(pickle.dumps(store))):
        vendor.sent.clear()
        copied = vendor.session(store=copy)
        copied.token()
        assert vendor.names[-1:] == ["login"]
        vendor.clock.now += LIFETIME + 1
        copied.token()
        assert vendor.names == ["refresh"]  # this one is its own
    session.token()
    assert refreshes(vendor) == ["refresh-1"]


def test_a_copy_without_another_way_in_sends_it(vendor: ScriptedVendor, store: MemoryStore) -> None:
    given: dict[str, Any] = {"refresh": "r-0", "client": vendor, "clock": vendor.clock}
    authflow.AuthSession(NO_WAY_BACK, **given, store=store).token()
    vendor.clock.now += LIFETIME + 1
    authflow.AuthSession(NO_WAY_BACK, **given, store=deepcopy(store)).token()
    assert refreshes(vendor) == ["r-0", "refresh-1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_after_a_fork_the_child_leaves_it_to_the_parent(vendor: ScriptedVendor, store: MemoryStore) -> None:
    session = expired(vendor, store)
    vendor.sent.clear()
    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the tests' own
        child = os.fork()
    if child == 0:
        try:
            session.token()
            os.write(writes, ",".join(vendor.names).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 100) == b"login"
    os.close(reads)
    os.close(writes)
    session.token()
    assert refreshes(vendor) == ["refresh-1"]
