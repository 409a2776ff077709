"""What every store must do, as tests: subclass `StoreContract`, say in `store` what is to be tested, and run pytest.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, tmp_path):
            return MyStore(tmp_path)

Threads, and for a store that is `shared` processes too, contend for real; nothing here passes only on a quiet machine.
The store must be picklable: workers get copies. `wait` below is the time after which a test gives up, not one it takes.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from authflow.errors import StoreError
from authflow.stores import Conflict, LockTimeout, Store, Stored

__all__ = ["StoreContract"]

KEY = "vendor-0123456789abcdef"
WAIT = 60.0


class StoreContract:
    """The contract. `shared`: whether a copy made by pickle reaches the same records; False only for memory."""

    shared = True

    @pytest.fixture
    def store(self) -> Iterator[Store]:
        """An empty store; to be overridden."""
        raise NotImplementedError("override the fixture `store`")

    # Records

    def test_is_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_nothing_is_there_at_first(self, store: Store) -> None:
        assert store.load(KEY) is None

    @pytest.mark.parametrize("data", [b"", b"{}", bytes(range(256)), "é\n\0€".encode(), os.urandom(1 << 20)], ids=len)
    def test_what_was_saved_is_loaded(self, store: Store, data: bytes) -> None:
        revision = store.save(KEY, data, None)
        assert store.load(KEY) == Stored(data, revision)

    def test_a_save_makes_a_new_revision_even_of_the_same_data(self, store: Store) -> None:
        revisions = [store.save(KEY, b"same", None)]
        for _ in range(5):
            revisions.append(store.save(KEY, b"same", revisions[-1]))
        assert len(set(revisions)) == 6

    def test_keys_are_apart(self, store: Store) -> None:
        for number, key in enumerate(keys := ["a", "a.1", "a-1", "a_1", "a.json", "a.1.lock", "b" * 80]):
            store.save(key, b"%d" % number, None)
        store.delete("a.1")
        found = [store.load(key) for key in keys]
        assert [stored and stored.data for stored in found] == [b"0", None, b"2", b"3", b"4", b"5", b"6"]

    def test_a_record_in_the_way_is_a_conflict(self, store: Store) -> None:
        revision = store.save(KEY, b"theirs", None)
        with pytest.raises(Conflict):
            store.save(KEY, b"mine", None)
        assert store.load(KEY) == Stored(b"theirs", revision)

    def test_an_old_revision_is_a_conflict(self, store: Store) -> None:
        old = store.save(KEY, b"old", None)
        new = store.save(KEY, b"new", old)
        with pytest.raises(Conflict):
            store.save(KEY, b"late", old)
        assert store.load(KEY) == Stored(b"new", new)

    def test_a_deleted_record_is_a_conflict(self, store: Store) -> None:
        revision = store.save(KEY, b"old", None)
        store.delete(KEY)
        with pytest.raises(Conflict):
            store.save(KEY, b"late", revision)
        assert store.load(KEY) is None

    def test_a_record_begun_anew_has_a_new_revision(self, store: Store) -> None:
        old = store.save(KEY, b"old", None)
        store.delete(KEY)
        store.save(KEY, b"new", None)
        with pytest.raises(Conflict):
            store.save(KEY, b"late", old)

    def test_deleting_nothing_is_no_error(self, store: Store) -> None:
        store.delete(KEY)
        store.save(KEY, b"1", None)
        store.delete(KEY)
        store.delete(KEY)
        assert store.load(KEY) is None

    def test_a_lifetime_is_taken(self, store: Store) -> None:
        revision = store.save(KEY, b"1", None, lifetime=3600.0)
        assert store.save(KEY, b"2", revision, lifetime=float("inf"))
        assert store.load(KEY) is not None

    def test_of_many_who_replace_one_revision_one_succeeds(self, store: Store) -> None:
        revision, start = store.save(KEY, b"old", None), threading.Barrier(8)

        def replace(number: int) -> bytes | None:
            start.wait(WAIT)
            try:
                store.save(KEY, data := b"%d" % number, revision)
            except Conflict:
                return None
            return data

        for _ in range(5):
            with ThreadPoolExecutor(8) as threads:
                winners = [data for data in threads.map(replace, range(8)) if data is not None]
            stored = store.load(KEY)
            assert stored is not None
            assert [stored.data] == winners
            revision = stored.revision

    # The lock

    def test_the_lock_keeps_threads_out(self, store: Store) -> None:
        inside, most = 0, 0

        def work(_: int) -> None:
            nonlocal inside, most
            with store.lock(KEY, limit=WAIT, wait=WAIT):
                inside += 1
                most = max(most, inside)
                os.sched_yield() if hasattr(os, "sched_yield") else time.sleep(0)
                inside -= 1

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(40)))
        assert most == 1

    def test_a_lock_that_others_keep_times_out(self, store: Store) -> None:
        with store.lock(KEY, limit=WAIT, wait=WAIT):
            began = time.monotonic()
            with pytest.raises(LockTimeout) as caught, store.lock(KEY, limit=WAIT, wait=0.2):
                pytest.fail("the lock was held by two")
            assert time.monotonic() - began < WAIT / 2
            with pytest.raises(LockTimeout), store.lock(KEY, limit=WAIT, wait=0):
                pytest.fail("the lock was held by two")
        assert isinstance(caught.value, StoreError)

    def test_a_lock_is_free_after_its_holder_failed(self, store: Store) -> None:
        with pytest.raises(ZeroDivisionError), store.lock(KEY, limit=WAIT, wait=WAIT):
            raise ZeroDivisionError
        with store.lock(KEY, limit=WAIT, wait=0):
            pass

    def test_locks_of_other_keys_are_free(self, store: Store) -> None:
        with store.lock(KEY, limit=WAIT, wait=WAIT), store.lock(f"{KEY}.0", limit=WAIT, wait=0):
            pass

    def test_a_lock_is_taken_when_it_is_entered(self, store: Store) -> None:
        never_entered = store.lock(KEY, limit=WAIT, wait=0)
        with store.lock(KEY, limit=WAIT, wait=0):
            pass
        del never_entered

    def test_records_are_used_under_the_lock(self, store: Store) -> None:
        with store.lock(KEY, limit=WAIT, wait=0):
            revision = store.save(KEY, b"1", None)
            assert store.load(KEY) == Stored(b"1", revision)
            store.delete(KEY)

    def test_a_lock_is_entered_in_one_thread_and_left_in_another(self, store: Store) -> None:
        lock = store.lock(KEY, limit=WAIT, wait=0)
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as another:
            one.submit(lock.__enter__).result(WAIT)
            another.submit(lock.__exit__, None, None, None).result(WAIT)
            with store.lock(KEY, limit=WAIT, wait=0):
                pass
        with store.lock(KEY, limit=WAIT, wait=0):
            pass

    def test_a_holder_keeps_it_for_its_limit_and_no_longer(self, store: Store) -> None:
        with ExitStack() as late:
            before = time.monotonic()
            late.enter_context(store.lock(KEY, limit=0.5, wait=WAIT))
            with store.lock(KEY, limit=WAIT, wait=WAIT):
                assert time.monotonic() - before >= 0.49
                late.close()  # the one who is late leaves; the lock is not his any more
                with pytest.raises(LockTimeout), store.lock(KEY, limit=WAIT, wait=0):
                    pytest.fail("one who was late set the next one's lock free")
            with store.lock(KEY, limit=WAIT, wait=0):
                pass

    def test_a_holder_that_was_late_gets_a_conflict(self, store: Store) -> None:
        old = store.save(KEY, b"old", None)
        with ExitStack() as late:
            late.enter_context(store.lock(KEY, limit=0.05, wait=WAIT))
            with store.lock(KEY, limit=WAIT, wait=WAIT):
                new = store.save(KEY, b"new", old)
            with pytest.raises(Conflict):
                store.save(KEY, b"late", old)
        assert store.load(KEY) == Stored(b"new", new)

    # Copies

    def test_it_pickles(self, store: Store) -> None:
        store.save(KEY, b"1", None)
        with store.lock(KEY, limit=WAIT, wait=0):
            copy = pickle.loads(pickle.dumps(store))
        stored = copy.load(KEY)
        assert stored == store.load(KEY)
        revision = copy.save(KEY, b"2", stored.revision)
        if self.shared:
            assert store.load(KEY) == Stored(b"2", revision)
        with copy.lock(KEY, limit=WAIT, wait=0):
            pass

    def test_its_errors_pickle(self, store: Store) -> None:
        store.save(KEY, b"1", None)
        with pytest.raises(Conflict) as caught:
            store.save(KEY, b"2", None)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert (type(copy), str(copy)) == (Conflict, str(caught.value))

    def test_nothing_of_a_record_is_shown(self, store: Store) -> None:
        revision = store.save(KEY, b"s3cr3t-old", None)
        with pytest.raises(Conflict) as caught:
            store.save(KEY, b"s3cr3t-new", None)
        shown = f"{store!r} {caught.value!r} {caught.value} {store.load(KEY)!r}"
        assert "s3cr3t" not in shown
        assert revision

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_it_survives_a_fork(self, store: Store) -> None:
        revision = store.save(KEY, b"1", None)
        stop, busy = threading.Event(), threading.Event()

        def work() -> None:  # so that some thread is inside the store when the fork comes
            while not stop.is_set():
                with store.lock("other", limit=WAIT, wait=WAIT):
                    store.load("other")
                busy.set()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert busy.wait(WAIT)
            for _ in range(10):
                assert _forked(lambda: _use(store, revision)) == 0
        finally:
            stop.set()
            thread.join()
        if self.shared:
            stored = store.load(KEY)
            assert stored is not None
            assert stored.data == b"from a child"

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_child_leaves_its_parents_lock_alone(self, store: Store) -> None:
        if not self.shared:
            pytest.skip("a child has a store of its own")
        with store.lock(KEY, limit=WAIT, wait=0):
            assert _forked(lambda: None) == 0
            lock = store.lock("b", limit=WAIT, wait=0)
            lock.__enter__()
            assert _forked(lambda: lock.__exit__(None, None, None)) == 0
            for key in (KEY, "b"):
                with pytest.raises(LockTimeout), store.lock(key, limit=WAIT, wait=0):
                    pytest.fail("a child set its parent's lock free")
            lock.__exit__(None, None, None)

    def test_processes_never_meet_inside(self, store: Store) -> None:
        """Eight processes count in one record, each round under the lock: no round is lost and no save conflicts."""
        if not self.shared:
            pytest.skip("a store of one process")
        store.save(KEY, b"0", None)
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_count, args=(store, 20), daemon=True) for _ in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(WAIT * 2)
        assert [worker.exitcode for worker in workers] == [0] * 8
        stored = store.load(KEY)
        assert stored is not None
        assert stored.data == b"160"


def _count(store: Store, rounds: int) -> None:
    for _ in range(rounds):
        with store.lock(KEY, limit=WAIT, wait=WAIT * 2):
            stored = store.load(KEY)
            assert stored is not None
            store.save(KEY, b"%d" % (int(stored.data) + 1), stored.revision)


def _use(store: Store, revision: str) -> None:
    with store.lock(KEY, limit=WAIT, wait=WAIT):
        stored = store.load(KEY)
        assert stored is not None
        store.save(KEY, b"from a child", stored.revision)
    with pytest.raises(Conflict):
        store.save(KEY, b"late", "never")
    with store.lock("other", limit=WAIT, wait=WAIT):
        store.load("other")


def _forked(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; its exit status, or -9 when it hung."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about forks beside threads, which are the point
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    give_up = time.monotonic() + WAIT
    while time.monotonic() < give_up:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, 9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
