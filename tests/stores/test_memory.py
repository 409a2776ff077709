"""What is the memory store's own: copies go their own way."""

from __future__ import annotations

import pickle
import threading

import pytest

from authflow.stores import MemoryStore, Stored


def test_stores_are_apart() -> None:
    one, two = MemoryStore(), MemoryStore()
    one.save("a", b"1", None)
    assert two.load("a") is None


def test_a_copy_keeps_the_records_and_goes_its_own_way() -> None:
    store = MemoryStore()
    revision = store.save("a", b"1", None)
    copy = pickle.loads(pickle.dumps(store))
    copy.save("a", b"2", revision)
    assert store.load("a") == Stored(b"1", revision)


def test_what_the_caller_does_to_his_bytes_later_changes_nothing() -> None:
    store, data = MemoryStore(), bytearray(b"1")
    store.save("a", data, None)  # type: ignore[arg-type]
    data[:] = b"2"
    found = store.load("a")
    assert found is not None
    assert found.data == b"1"


def test_those_who_wait_are_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    store, waiting, entered = MemoryStore(), threading.Semaphore(0), []
    sleep = store._changed.wait

    def wait(timeout: float | None = None) -> bool:
        waiting.release()
        return sleep(timeout)

    def work() -> None:
        with store.lock("a", limit=1000, wait=1000):
            entered.append(1)

    monkeypatch.setattr(store._changed, "wait", wait)
    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    with store.lock("a", limit=1000, wait=0):
        for thread in threads:
            thread.start()
        for _ in threads:
            assert waiting.acquire(timeout=60)
        assert entered == []
    for thread in threads:
        thread.join(60)
    assert len(entered) == 4
