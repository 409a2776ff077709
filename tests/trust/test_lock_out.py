"""A refused password is not sent again: not by another thread, process or session, until somebody changes something."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import authflow
from authflow.accounts.records import WAITS
from authflow.stores.memory import MemoryStore
from tests.scripted import REGISTRY, ScriptedVendor, answered, pull
from tests.servers import Supplier

PROCESSES = 4
THREADS = 64

#: A process that asks for the token from many threads at once, when it is told to; it prints how each was answered.
CROWD = """
import json, sys, threading, time
import authflow

setup = json.loads(sys.argv[1])
threads = setup.pop("threads")
session = authflow.AuthSession("supplier", **setup)
said = []

def ask():
    started = time.monotonic()
    try:
        session.token()
        said.append(["Token", 0.0, time.monotonic() - started])
    except authflow.AuthFlowError as error:
        said.append([type(error).__name__, error.retry_after, time.monotonic() - started])

print("ready", flush=True)
sys.stdin.readline()
crowd = [threading.Thread(target=ask) for _ in range(threads)]
for thread in crowd: thread.start()
for thread in crowd: thread.join()
print(json.dumps(said))
"""


def crowd(supplier: Supplier, store: Path, password: str) -> list[tuple[str, float, float]]:
    """The answers to 64 threads of each of four processes that share a file store."""
    setup = {
        "base_url": supplier.base_url,
        "data_origin": supplier.data_url,
        "username": "demo",
        "password": password,
        "store": str(store),
        "threads": THREADS,
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CROWD, json.dumps(setup)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        answers = [process.communicate("go\n", timeout=60)[0] for process in _told(processes)]
        return [tuple(answer) for text in answers for answer in json.loads(text)]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _told(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def test_256_threads_of_four_processes_with_a_wrong_password_cost_one_attempt(
    supplier: Supplier, tmp_path: Path
) -> None:
    supplier.advance(-supplier.ahead)
    supplier.control(latency=0.2)
    answers = crowd(supplier, tmp_path / "tokens", "open-barley")
    assert supplier.counts == {"login": 1, "login_refused": 1}
    assert [kind for kind, _, _ in answers] == ["CredentialsRefused"] * (PROCESSES * THREADS)
    assert all(0 < wait <= 60 for _, wait, _ in answers)
    assert max(seconds for _, _, seconds in answers) < 15
    # The right one is another, and is sent at once.
    answers = crowd(supplier, tmp_path / "tokens", "open-sesame")
    assert {kind for kind, _, _ in answers} == {"Token"}
    assert supplier.counts == {"login": 1}


def test_login_lifts_it_for_all(vendor: ScriptedVendor, tmp_path: Path) -> None:
    one, other = vendor.session(store=str(tmp_path)), vendor.session(store=str(tmp_path))
    vendor.says("login", 401, {})
    for session in (one, other):
        with pytest.raises(authflow.CredentialsRefused):
            session.token()
    assert vendor.names == ["login"]
    assert one.login().access
    vendor.clock.now += 61  # what `other` was told itself it remembers so long
    assert other.token() == one.token()
    assert vendor.names == ["login"]


def test_neither_the_password_nor_a_fast_hash_of_it_is_in_the_store(vendor: ScriptedVendor, tmp_path: Path) -> None:
    import base64
    import hashlib

    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused):
        vendor.session(store=str(tmp_path), password="open-barley").token()
    (path,) = tmp_path.glob("*-refusals-*.json")
    record = base64.b64decode(json.loads(path.read_text())["data"])
    (fingerprints,) = json.loads(record)["refused"]
    assert b"open-barley" not in record
    for name in hashlib.algorithms_guaranteed:
        digest = hashlib.new(name, b"open-barley")
        fast = digest.digest(32) if name.startswith("shake") else digest.digest()  # type: ignore[call-arg]
        assert fast.hex() not in record.decode()
        assert base64.b64encode(fast) not in record
    assert len(fingerprints["password"]) == 32
    started = time.process_time()
    hashlib.scrypt(b"x", salt=b"y", n=1 << 13, r=8, p=1)
    assert time.process_time() - started > 0.002


def test_an_answer_that_the_file_does_not_foresee_is_no_way_round_it(vendor: ScriptedVendor) -> None:
    """A refusal with an unknown status is waited for like one with a known status."""
    session = vendor.session()
    vendor.down = answered(422, {"error": "wrong password"})
    for _ in range(6000):
        with pytest.raises(authflow.VendorAnswerError):
            session.token()
        vendor.clock.now += 0.1
    assert len(vendor.names) == 2


@pytest.mark.parametrize("shared", [False, True])
def test_a_clock_that_was_wrong_does_not_close_the_account_for_good(vendor: ScriptedVendor, shared: bool) -> None:
    """The refusal was noted while the clock was a year ahead."""
    store = MemoryStore()
    session = vendor.session(store=store)
    vendor.clock.now += 365 * 86400
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused) as caught:
        session.token()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after <= WAITS[-1]
    vendor.clock.now -= 365 * 86400
    with pytest.raises(authflow.CredentialsRefused):
        (vendor.session(store=store) if shared else session).token()
    vendor.clock.now += 61
    assert (vendor.session(store=store) if shared else session).token().access


# --- an account with several grants (`vary`) --------------------------------------------------------------------------


def test_what_was_refused_for_one_scope_is_not_sent_for_another(vendor: ScriptedVendor) -> None:
    store = MemoryStore()
    vendor.down = answered(401, {})
    for number in range(3):
        with pytest.raises(authflow.CredentialsRefused) as caught:
            pull(vendor.session(REGISTRY, store=store), f"repository-{number}")
        assert caught.value.retry_after == pytest.approx(60, abs=1)
    assert len(vendor.sent) == 1
    # The wait is the account's, and grows.
    vendor.clock.now += 61
    with pytest.raises(authflow.CredentialsRefused) as caught:
        pull(vendor.session(REGISTRY, store=store), "repository-3")
    assert caught.value.retry_after == pytest.approx(600, abs=1)
    # Another password is another.
    vendor.down = None
    assert pull(vendor.session(REGISTRY, store=store, password="right"), "repository-4") == "Bearer access-1"
    assert len(vendor.sent) == 3


def test_many_scopes_at_once_cost_one_attempt(vendor: ScriptedVendor) -> None:
    store = MemoryStore()
    vendor.down = lambda request: time.sleep(0.05) or answered(401, {})  # type: ignore[func-returns-value]
    start = threading.Barrier(8)

    def ask(number: int) -> None:
        session = vendor.session(REGISTRY, store=store)
        start.wait(10)
        with contextlib.suppress(authflow.CredentialsRefused):
            pull(session, f"repository-{number}")

    crowd = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join(30)
    assert len(vendor.sent) == 1


def test_logging_out_forgets_every_grant_of_the_account(vendor: ScriptedVendor) -> None:
    store = MemoryStore()
    session = vendor.session(REGISTRY, store=store)
    for name in ("alpha", "beta"):
        pull(session, name)
    assert len(store._records) == 3  # with the account's own, which lists them
    session.logout()
    assert store._records == {}
