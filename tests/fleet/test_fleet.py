"""Promises 1, 2 and 7 between processes: one exchange, no token reused, what was granted is kept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authflow.accounts.records import Record
from authflow.renewing.renewal import Renewal
from authflow.stores.file import FileStore
from tests.fleet.conftest import fleet
from tests.servers import LIFETIME, Supplier

PROCESSES = 8
THREADS = 8
KILLS = 200


def grants(folder: Path) -> list[Path]:
    """The records of tokens in a folder; beside them lie what was refused, and the key of labels."""
    return [path for path in folder.glob("supplier-*.json") if "-refusals-" not in path.name]


def expire(supplier: Supplier) -> dict[str, float]:
    """Let the token run out, at the supplier; the order that tells a worker the time."""
    supplier.advance(LIFETIME + 1)
    return {"ahead": LIFETIME + 1}


def test_of_many_processes_one_renews(supplier: Supplier, store: str) -> None:
    with fleet(supplier, store, PROCESSES) as workers:
        workers[0].ask(token=True)
        order = expire(supplier)
        supplier.control(latency=0.1)
        supplier.control(reset_counts=True)
        for worker in workers:
            worker.order(get=THREADS, **order)
        answers = [worker.answer() for worker in workers]
        counts = supplier.counts
    assert [answer["statuses"] for answer in answers] == [[200] * THREADS] * PROCESSES
    assert len({answer["token"] for answer in answers}) == 1
    assert {name: counts.get(name, 0) for name in ("login", "refresh", "tracking_401")} == {
        "login": 0,
        "refresh": 1,
        "tracking_401": 0,
    }


def test_of_many_processes_without_a_token_one_logs_in(supplier: Supplier, store: str) -> None:
    with fleet(supplier, store, PROCESSES) as workers:
        for worker in workers:
            worker.order(get=THREADS)
        answers = [worker.answer() for worker in workers]
        counts = supplier.counts
    assert [answer["statuses"] for answer in answers] == [[200] * THREADS] * PROCESSES
    assert counts["login"] == 1
    assert "refresh" not in counts


def test_a_token_revoked_early_costs_the_fleet_one_exchange(supplier: Supplier, store: str) -> None:
    with fleet(supplier, store, 4) as workers:
        for worker in workers:
            worker.ask(token=True)
        supplier.control(revoke="access")
        supplier.control(reset_counts=True)
        for worker in workers:
            worker.order(get=THREADS)
        answers = [worker.answer() for worker in workers]
        counts = supplier.counts
    assert [answer["statuses"] for answer in answers] == [[200] * THREADS] * 4
    assert counts["refresh"] == 1
    assert "login" not in counts


def test_killed_at_any_instant_the_record_is_whole_and_the_next_goes_on(supplier: Supplier, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    instants = random.Random(20261123)
    supplier.control(latency=0.02)
    lost = 0
    with fleet(supplier, f"file://{folder}", 2) as (dies, survives):
        survives.ask(token=True)
        dies.ask(token=True)  # what is done but once, a slow hash say, is done before the instants count
        (record,) = grants(folder)
        for _ in range(KILLS):
            order = expire(supplier)
            supplier.control(reset_counts=True)
            dies.ask(renew_and_die=instants.uniform(0.0, 0.06), **order)
            stored = FileStore(folder).load(record.stem)
            assert stored is not None
            assert Record.from_bytes(stored.data).captured["refresh"]
            assert survives.ask(get=1, **order)["statuses"] == [200]
            # The killed one's exchange may still be under way there, so two at once are no offence here.
            counts = supplier.raw_counts
            assert counts["refresh_reused"] == 0, counts
            assert counts["login"] <= 1, counts
            lost += counts["login"]  # what was marked, and not known to be answered, is passed over
    assert 0 < lost < KILLS, "the instants should fall on both sides of the answer"


def test_a_process_that_was_stopped_overwrites_nothing_newer(supplier: Supplier, store: str) -> None:
    timeout, margin = 2.0, 0.5
    with fleet(supplier, store, 2, timeout=timeout, margin=margin) as (stopped, runs):
        before = stopped.ask(token=True)["token"]
        order = expire(supplier)
        supplier.control(latency=0.5)
        supplier.control(reset_counts=True)
        stopped.order(token=True, **order)
        give_up = time.monotonic() + 20
        while supplier.raw_counts["refresh"] == 0:
            assert time.monotonic() < give_up
        os.kill(stopped.process.pid, signal.SIGSTOP)
        try:
            after = runs.ask(get=1, **order)
        finally:
            os.kill(stopped.process.pid, signal.SIGCONT)
        assert after["statuses"] == [200]
        assert stopped.answer()["token"] == after["token"] != before
        assert runs.ask(get=1)["statuses"] == [200]


@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_who_waits_for_one_that_is_killed_or_frozen_is_served(
    supplier: Supplier, store: str, ends: signal.Signals
) -> None:
    """All of them, within their own time-out, by one exchange; a Redis keeps a dead one's lock until that lapses."""
    with fleet(supplier, store, 3, timeout=4.0) as (holds, *wait):
        holds.ask(token=True)
        order = expire(supplier)
        supplier.control(latency=0.5)
        supplier.control(reset_counts=True)
        holds.order(token=True, **order)
        give_up = time.monotonic() + 20
        while supplier.raw_counts["refresh"] == 0:
            assert time.monotonic() < give_up
        os.kill(holds.process.pid, ends)
        for worker in wait:
            worker.order(get=THREADS, **order)
        answers = [worker.answer() for worker in wait]
        counts = supplier.raw_counts
    assert [answer["statuses"] for answer in answers] == [[200] * THREADS] * 2
    assert len({answer["token"] for answer in answers}) == 1
    assert (counts["refresh"], counts["login"], counts["refresh_reused"]) == (1, 1, 0)


def test_steady_state_asks_the_store_nothing(
    supplier: Supplier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    store = FileStore(tmp_path / "tokens")
    session = supplier.session(store=store)
    session.token()
    asked: list[str] = []
    for verb in ("load", "save", "delete", "lock"):
        monkeypatch.setattr(FileStore, verb, lambda *_, verb=verb, **__: asked.append(verb))
    monkeypatch.setattr(Renewal, "carry_out", lambda *_, **__: asked.append("renewal"))
    for number in range(50):
        assert requests.get(supplier.delivery(number), auth=session.requests, timeout=30).status_code == 200
    assert asked == []


def test_a_process_that_ends_keeps_what_it_is_being_granted(supplier: Supplier, tmp_path: Path) -> None:
    """It renews ahead of time, behind its caller, and its main thread has nothing more to do."""
    supplier.control(lifetime=100, latency=0.3)
    script = f"""
import time, authflow
ahead = 0
session = authflow.AuthSession("supplier", username="demo", password="open-sesame", base_url={supplier.base_url!r},
    data_origin={supplier.data_url!r}, store={str(tmp_path / "tokens")!r}, clock=lambda: time.time() + ahead)
first = session.token()
ahead = 92
assert session.token() == first
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    (record,) = grants(tmp_path / "tokens")
    stored = FileStore(tmp_path / "tokens").load(record.stem)
    assert stored is not None
    assert supplier.counts == {"login": 1, "refresh": 1}
    assert Record.from_bytes(stored.data).issued_at > time.time() + 60
