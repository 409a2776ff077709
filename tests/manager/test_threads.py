"""No surprise in your threads: interrupts, prompts, calls from inside, frozen clocks, locks of those who are frozen."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow.accounts import Record
from authflow.http import Answer, Request
from authflow.manager import workers
from authflow.manager.cache import GRACE
from authflow.renewing import watchdog
from authflow.stores.memory import MemoryStore
from tests.scripted import LIFETIME, ScriptedVendor, answered, finished

NEW = answered(200, {"access": "new", "refresh": "newer", "in": int(LIFETIME)})


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


def in_thread(request: Request) -> Answer:
    return answered(200, {"access": threading.current_thread().name, "in": int(LIFETIME)})


def test_a_caller_renews_in_its_own_thread(vendor: ScriptedVendor) -> None:
    vendor.says("login", in_thread)
    assert vendor.session().token().access == threading.current_thread().name


def test_a_task_does_not_block_its_loop_and_keeps_its_context(vendor: ScriptedVendor) -> None:
    span = contextvars.ContextVar("span", default="")
    seen: list[tuple[str, bool]] = []

    def look(request: Request) -> Answer:
        seen.append((span.get(), threading.current_thread() is threading.main_thread()))
        return NEW

    async def ask() -> None:
        span.set("mine")
        await session.atoken()

    vendor.says("login", look)
    session = vendor.session()
    asyncio.run(ask())
    assert seen == [("mine", False)]


# --- a call from inside -----------------------------------------------------------------------------------------------


def test_a_callable_that_uses_its_own_session_is_told_so(vendor: ScriptedVendor) -> None:
    session = vendor.session(password=lambda: session.token().access)
    with pytest.raises(authflow.ConfigurationError, match="inside its own renewal"):
        session.token()


def test_so_is_one_that_uses_another_session_of_the_account(vendor: ScriptedVendor) -> None:
    store = MemoryStore()
    another = vendor.session(store=store)
    session = vendor.session(store=store, password=lambda: another.token().access)
    with pytest.raises(authflow.ConfigurationError, match="inside its own renewal"):
        session.token()


def test_a_logout_is_no_place_to_renew_either(vendor: ScriptedVendor) -> None:
    inside: list[authflow.AuthFlowError] = []

    class Store(MemoryStore):
        def delete(self, key: str) -> None:
            with pytest.raises(authflow.ConfigurationError, match="inside its own renewal") as told:
                session.token()
            inside.append(told.value)
            super().delete(key)

    session = vendor.session(store=Store())
    session.token()
    session.logout()
    assert inside
    assert session.token().access == "access-2"


def test_another_account_may_be_used_inside(vendor: ScriptedVendor) -> None:
    other = vendor.session(username="vault")
    assert vendor.session(password=lambda: other.token().access).token().access


# --- interrupts -------------------------------------------------------------------------------------------------------


@contextmanager
def own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted(times: int) -> Any:
    def answer(request: Request) -> Answer:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        return NEW

    return answer


def test_one_ctrl_c_waits_for_a_refresh_token_that_is_on_its_way(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", interrupted(1))
    with own_handler(), pytest.raises(KeyboardInterrupt):
        session.token()
    assert session.token().access == "new"
    assert vendor.names == ["login", "refresh"]


def test_the_second_ctrl_c_does_not_and_its_refresh_token_is_not_sent_again(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", interrupted(2))
    with own_handler(), pytest.raises(KeyboardInterrupt):
        session.token()
    session.token()
    assert vendor.names == ["login", "refresh", "login"]


def test_it_waits_for_three_seconds_at_most(vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watchdog.HOLDS == 3.0
    monkeypatch.setattr(watchdog, "HOLDS", 0.05)
    heard: list[str] = []

    def answer(request: Request) -> Answer:
        signal.raise_signal(signal.SIGINT)
        threading.Event().wait(10)
        heard.append("it went on")
        return NEW

    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", answer)
    with own_handler(), pytest.raises(KeyboardInterrupt):
        session.token()
    assert heard == []


def test_a_login_obeys_the_first_one(vendor: ScriptedVendor) -> None:
    heard: list[str] = []

    def answer(request: Request) -> Answer:
        signal.raise_signal(signal.SIGINT)
        heard.append("it went on")
        return NEW

    vendor.says("login", answer)
    with own_handler(), pytest.raises(KeyboardInterrupt):
        vendor.session().token()
    assert heard == []


def test_a_handler_of_the_users_own_stays(vendor: ScriptedVendor) -> None:
    session, heard = vendor.session(), []
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", interrupted(1))
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    try:
        assert session.token().access == "new"
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [1]


ENDS = """
import threading, time
import authflow
from authflow.http import Answer

VENDOR = {
    "name": "slow", "extends": "relogin", "base_url": "https://vendor.example/",
    "exchanges": {"login": {
        "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
        "answers": {"granted": {"status": 200, "json": {"access": "{access}"}}},
    }},
}

class Slow:
    def exchange(self, request, timeout):
        begun.set()
        time.sleep(0.3)
        print("kept", flush=True)
        return Answer(200, (), b'{"access": "a", "in": 1000}')

begun = threading.Event()
session = authflow.AuthSession(VENDOR, username="u", password="p", client=Slow())
threading.Thread(target=session.token, daemon=True).start()
begun.wait()
"""


def test_a_process_that_ends_waits_a_moment_for_a_daemon_that_renews(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "kept\n"


# --- time -------------------------------------------------------------------------------------------------------------


def test_typing_is_not_counted(vendor: ScriptedVendor) -> None:
    def typed() -> str:
        time.sleep(0.1)
        return "pass-word"

    assert vendor.session(password=typed, timeout=0.05).token().access


def test_a_frozen_clock_is_seen_and_stops_no_deadline(vendor: ScriptedVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    session = authflow.AuthSession(vendor.session().vendor, client=vendor, username="u", password="p")
    assert session.token().issued_at == now
    now += LIFETIME + 1
    session.token()
    assert vendor.names == ["login", "refresh"]


def test_a_lock_lapses_while_its_first_waiter_still_has_time(vendor: ScriptedVendor) -> None:
    told: list[tuple[float, float]] = []

    class Store(MemoryStore):
        def lock(self, key: str, *, limit: float, wait: float) -> Any:
            told.append((limit, wait))
            return super().lock(key, limit=limit, wait=wait)

    vendor.session(store=Store(), timeout=7).token()
    ((limit, wait),) = told
    assert limit == 8
    assert limit + 2 < wait < 7 + GRACE  # before those who wait in its own process give up


def test_one_who_waits_for_another_process_is_told_so(vendor: ScriptedVendor) -> None:
    class Held(MemoryStore):
        def lock(self, key: str, *, limit: float, wait: float) -> Any:
            return super().lock(key, limit=limit, wait=0.01)

    store = Held()
    session = vendor.session(store=store)
    held = MemoryStore.lock(store, session._manager.grants.key, limit=60, wait=0)
    with held, pytest.raises(authflow.StoreError, match="Others kept the lock"):
        session.token()
    finished()
    assert vendor.names == []


def test_a_fork_in_the_middle_of_a_refresh_finds_the_mark(vendor: ScriptedVendor) -> None:
    """As a copy of the process has it: the record with its mark, and no flight."""
    store, copies = MemoryStore(), []

    def fork(request: Request) -> Answer:
        copy = MemoryStore()
        copy.__setstate__(store.__getstate__())
        copies.append(copy)
        return NEW

    session = vendor.session(store=store)
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", fork)
    session.token()
    (copy,) = copies
    assert any(Record.from_bytes(one.data).mark for key, one in copy._records.items() if "refusals" not in key)
    vendor.session(store=copy).token()
    assert vendor.names == ["login", "refresh", "login"]


def test_what_is_in_line_is_waited_for_when_the_process_ends() -> None:
    """One job more than a vendor has threads: it has not begun, and is under way all the same."""
    gate, before = threading.Event(), len(workers._UNDER_WAY)
    for _ in range(workers.QUARTER + 1):
        workers.do("a vendor", lambda: [gate.wait()])
    assert len(workers._UNDER_WAY) - before == workers.QUARTER + 1
    gate.set()
    finished()
    assert len(workers._UNDER_WAY) == before
