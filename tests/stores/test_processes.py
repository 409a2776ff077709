"""What becomes of the stores that processes share when one of them is stopped or killed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from authflow.stores import Conflict, LockTimeout, Store, Stored

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
KEY, WAIT = "vendor-1", 60.0
LIMIT = 0.4
StartChild = Callable[[Callable[[Connection], None]], Any]


@pytest.fixture(params=["file_store", "redis_store", "keyring_store"])
def store(request: pytest.FixtureRequest) -> Store:
    found: Store = request.getfixturevalue(request.param)
    return found


def test_one_who_was_stopped_for_longer_than_his_limit_overwrites_nothing_newer(
    store: Store, child: StartChild
) -> None:
    revision = store.save(KEY, b"0", None)

    def exchange(talk: Connection) -> None:
        with store.lock(KEY, limit=LIMIT, wait=WAIT):
            talk.send("inside")
            assert talk.recv() == "save"
            try:
                store.save(KEY, b"late", revision)
            except Conflict:
                talk.send("conflict")
        with pytest.raises(LockTimeout), store.lock(KEY, limit=WAIT, wait=0):
            pytest.fail("leaving late, he took the lock from the one who has it")
        talk.send("left")

    for number in range(3):  # each takeover is from another generation
        late = child(exchange)
        assert late.hear() == "inside"
        late.stop()
        began = time.monotonic()
        with store.lock(KEY, limit=WAIT, wait=WAIT):
            assert time.monotonic() - began < WAIT / 2
            revision = store.save(KEY, b"%d" % number, revision)
            late.tell("save")
            late.go_on()
            assert late.hear() == "conflict"
            assert late.hear() == "left"
        assert late.wait() == 0
        assert store.load(KEY) == Stored(b"%d" % number, revision)


def test_those_who_take_over_from_one_who_was_stopped_do_not_meet(
    store: Store, child: StartChild, tmp_path: Path
) -> None:
    mark = tmp_path / "inside"

    def hold(talk: Connection) -> None:
        with store.lock(KEY, limit=LIMIT, wait=WAIT):
            talk.send("inside")
            talk.recv()

    def work(talk: Connection) -> None:
        for _ in range(5):
            with store.lock(KEY, limit=WAIT, wait=WAIT):
                os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
                time.sleep(0.001)
                mark.unlink()

    late = child(hold)
    assert late.hear() == "inside"
    late.stop()
    workers = [child(work) for _ in range(8)]
    assert [worker.wait() for worker in workers] == [0] * 8
    late.go_on()
    late.tell("leave")
    assert late.wait() == 0


def test_a_holder_keeps_the_lock_from_other_processes_while_it_may(store: Store, child: StartChild) -> None:
    def hold(talk: Connection) -> None:
        with store.lock(KEY, limit=WAIT, wait=WAIT):
            talk.send("inside")
            talk.recv()

    holder = child(hold)
    assert holder.hear() == "inside"
    holder.stop()
    with pytest.raises(LockTimeout), store.lock(KEY, limit=WAIT, wait=0.6):
        pytest.fail("taken from one who was within his limit")
    holder.go_on()
    holder.tell("leave")
    assert holder.wait() == 0
    with store.lock(KEY, limit=WAIT, wait=0):
        pass


@pytest.mark.parametrize("seed", range(4))
def test_a_save_that_is_killed_leaves_a_whole_record(store: Store, child: StartChild, seed: int) -> None:
    """Each child counts on in large records, saying so after each save, until it is killed at some instant."""
    chance = random.Random(seed)
    store.save(KEY, b"0 " * 30_000, None)

    def count(talk: Connection) -> None:
        while True:
            with store.lock(KEY, limit=0.2, wait=WAIT):
                stored = store.load(KEY)
                assert stored is not None
                number = int(stored.data.split()[0]) + 1
                store.save(KEY, b"%d " % number * 30_000, stored.revision)
            talk.send(number)

    for _ in range(10):
        counter = child(count)
        said = counter.hear()
        time.sleep(chance.random() * 0.02)
        counter.kill()
        while True:
            try:
                said = counter.hear()
            except EOFError:
                break
        stored = store.load(KEY)
        assert stored is not None
        number = int(stored.data.split()[0])
        assert stored.data == b"%d " % number * 30_000
        assert number in (said, said + 1)


def test_the_lock_of_one_who_was_killed_is_free_by_its_limit_at_the_latest(store: Store, child: StartChild) -> None:
    def hold(talk: Connection) -> None:
        store.lock(KEY, limit=3.0, wait=WAIT).__enter__()
        talk.send("inside")
        talk.recv()

    holder = child(hold)
    assert holder.hear() == "inside"
    holder.kill()
    with store.lock(KEY, limit=WAIT, wait=WAIT):
        pass
