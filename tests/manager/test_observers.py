"""What a session tells while it renewals: log records with facts, plugins' hooks; never a secret, never a failure."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
import requests

import authflow
from authflow.http import Answer, Request
from authflow.manager.observers import FACTS
from authflow.plugins.discovery import manager
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered, finished

PASSWORD = "open-sesame"


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


class Plugin:
    """Writes down whatever the hooks tell."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.threads: set[int] = set()

    def _on_response(self, name: str, **facts: Any) -> None:
        self.heard.append((name, facts))
        self.threads.add(threading.get_ident())

    @authflow.hookimpl
    def authflow_renewal_begins(self, account: str, cause: str) -> None:
        self._on_response("begins", account=account, cause=cause)

    @authflow.hookimpl
    def authflow_transition(self, before: str, event: str, after: str, exchange: str, seconds: float | None) -> None:
        self._on_response("walked", edge=(before, event, after), exchange=exchange, timed=seconds is not None)

    @authflow.hookimpl
    def authflow_renewal_ends(
        self, state: str, expires_at: float | None, waiters: int, seconds: float, error: Exception | None
    ) -> None:
        assert seconds >= 0
        self._on_response("ends", state=state, expires_at=expires_at, waiters=waiters, error=type(error).__name__)


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    plugin = Plugin()
    manager().register(plugin)
    yield plugin
    manager().unregister(plugin)


def test_a_renewal_is_told_from_its_beginning_to_its_end(vendor: ScriptedVendor, plugin: Plugin) -> None:
    session = vendor.session()
    session.token()
    account = session.status().account
    assert plugin.heard == [
        ("begins", {"account": account, "cause": "start"}),
        ("walked", {"edge": ("signed_out", "granted", "signed_in"), "exchange": "login", "timed": True}),
        (
            "ends",
            {"state": "signed_in", "expires_at": session.token().expires_at, "waiters": 1, "error": "NoneType"},
        ),
    ]
    assert threading.get_ident() in plugin.threads
    assert len(plugin.threads) == 1


def test_only_the_edge_after_an_exchange_is_the_exchanges(vendor: ScriptedVendor, plugin: Plugin) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 401, {})
    plugin.heard.clear()
    session.token()
    session.login()
    assert [(facts.get("cause"), facts.get("exchange")) for name, facts in plugin.heard if name != "ends"] == [
        ("expired", None),
        (None, ""),
        (None, "refresh"),
        (None, "login"),
        ("login", None),
        (None, "login"),
    ]


def test_a_step_over_a_missing_value_is_no_exchange(vendor: ScriptedVendor, plugin: Plugin) -> None:
    """Asked first whether it is there, then nothing to refresh with, then the login."""
    file = {
        **LADDER,
        "start": "asking",
        "exchanges": {
            **LADDER["exchanges"],
            "ask": {"request": {"url": "ask"}, "answers": {"there": {"status": 200}}},
        },
        "states": {**LADDER["states"], "asking": {"send": "ask", "there": "stale"}},
    }
    vendor.session(file).token()
    assert [
        (facts["edge"][1], facts["exchange"], facts["timed"]) for name, facts in plugin.heard if name == "walked"
    ] == [
        ("there", "ask", True),
        ("missing", "", False),
        ("granted", "login", True),
    ]


def test_a_renewal_that_fails_is_told_with_its_error(vendor: ScriptedVendor, plugin: Plugin) -> None:
    vendor.says("login", 418, {})
    with pytest.raises(authflow.VendorAnswerError):
        vendor.session().token()
    assert plugin.heard[-1][1] | {"waiters": 1} == {
        "state": "",
        "expires_at": None,
        "waiters": 1,
        "error": "VendorAnswerError",
    }


def test_a_plugin_that_raises_breaks_no_login(vendor: ScriptedVendor, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        @authflow.hookimpl
        def authflow_transition(self) -> None:
            raise RuntimeError("disk full")

        @authflow.hookimpl
        def authflow_renewal_begins(self) -> None:
            raise RuntimeError("disk full")

        @authflow.hookimpl
        def authflow_renewal_ends(self) -> None:
            raise RuntimeError("disk full")

    broken = Broken()
    manager().register(broken)
    try:
        assert vendor.session().token().access
    finally:
        manager().unregister(broken)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 3
    assert all("RuntimeError" in line for line in told)


def test_log_records_carry_facts(vendor: ScriptedVendor, caplog: pytest.LogCaptureFixture) -> None:
    session = vendor.session()
    with caplog.at_level(logging.DEBUG, "authflow"):
        session.token()
        vendor.clock.now += LIFETIME + 1
        session.token()
    facts = [{name: vars(record)[name] for name in FACTS if name in vars(record)} for record in caplog.records]
    account = session.status().account
    assert {fact["account"] for fact in facts} == {account}
    assert {fact["vendor"] for fact in facts} == {"ladder"}
    walked = [(fact.get("state_before"), fact["event"], fact["state_after"], fact.get("exchange")) for fact in facts]
    assert walked == [
        ("signed_out", "granted", "signed_in", "login"),
        (None, "start", "signed_in", None),
        ("signed_in", "expired", "stale", None),
        ("stale", "granted", "signed_in", "refresh"),
        (None, "expired", "signed_in", None),
    ]
    assert [fact.get("waiters") for fact in facts] == [None, 1, None, None, 1]
    assert all(fact["duration"] >= 0 for fact in facts if fact.get("exchange"))


def test_no_record_holds_a_secret_at_debug(vendor: ScriptedVendor, caplog: pytest.LogCaptureFixture) -> None:
    session = vendor.session(password=PASSWORD)
    with caplog.at_level(logging.DEBUG):
        tokens = [session.token().access]
        vendor.clock.now += LIFETIME + 1
        vendor.says("refresh", 401, {"why": "no"})
        tokens.append(session.token().access)
        vendor.says("login", 418, {"token": "left-over-secret"})
        with pytest.raises(authflow.VendorAnswerError):
            session.login()
    told = "\n".join(f"{record.getMessage()} {vars(record)!r}" for record in caplog.records)
    assert "renewed" in told
    for secret in (PASSWORD, *tokens, "refresh-1", "left-over-secret"):
        assert secret not in told


def called(work: Callable[[], object]) -> list[str]:
    """The functions that a piece of work calls, Python's and C's, in their order."""
    names: list[str] = []

    def on_response(frame: FrameType, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            names.append(frame.f_code.co_qualname if event == "call" else argument.__qualname__)

    sys.setprofile(on_response)
    try:
        work()
    finally:
        sys.setprofile(None)
    return names


def test_a_request_on_a_fresh_token_calls_the_same_with_observers_as_without(vendor: ScriptedVendor) -> None:
    """Observers cost nothing there: not one call more, and none of ours that watches."""

    def walk() -> list[str]:
        session = vendor.session()
        session.token()
        requests.Request("GET", f"{URL}/1", auth=session.requests).prepare()
        prepared = requests.Request("GET", f"{URL}/1").prepare()
        auth = session.requests
        return called(lambda: auth(prepared))

    alone = walk()
    observer = Plugin()
    manager().register(observer)
    try:
        observed = walk()
        heard = len(observer.heard)
    finally:
        manager().unregister(observer)
    assert heard == 3, "the login was not told"
    assert observed == alone
    assert not {name for name in observed if name.startswith(("Watch.", "_HookCaller", "_multicall"))}


def test_as_many_waiters_are_told_as_waited(vendor: ScriptedVendor, plugin: Plugin) -> None:
    """Four callers find no token while the first one's login is under way; nobody waits for a renewal ahead."""
    session = vendor.session()
    joined = threading.Event()

    def slowly(request: Request) -> Answer:
        joined.wait(10)
        return answered(200, {"access": "a", "refresh": "r", "in": int(LIFETIME)})

    vendor.says("login", slowly)
    flights = [session._manager.authorize(None).flight for _ in range(4)]
    joined.set()
    assert flights[0] is not None
    flights[0].wait()
    assert len(set(flights)) == 1
    vendor.clock.now += LIFETIME - 30
    assert session._manager.authorize(None).flight is None
    finished()
    assert [facts["waiters"] for name, facts in plugin.heard if name == "ends"] == [4, 0]
