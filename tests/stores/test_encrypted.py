"""What is the encrypted store's own: keys, their rotation, and records that no key opens."""

from __future__ import annotations

import pickle

import pytest

from authflow.errors import StoreError
from authflow.stores import Conflict, EncryptedStore, MemoryStore, Stored, new_key

KEY = "vendor-1"


@pytest.fixture
def inner() -> MemoryStore:
    return MemoryStore()


def at_rest(inner: MemoryStore) -> Stored:
    found = inner.load(KEY)
    assert found is not None
    return found


def test_nothing_is_readable_at_rest(inner: MemoryStore) -> None:
    EncryptedStore(inner, [new_key()]).save(KEY, b"s3cr3t" * 100, None)
    assert b"s3cr3t" not in at_rest(inner).data
    assert KEY.encode() not in at_rest(inner).data


def test_keys_are_rotated(inner: MemoryStore) -> None:
    old, new = new_key(), new_key()
    assert old != new
    revision = EncryptedStore(inner, [old]).save(KEY, b"1", None)
    both = EncryptedStore(inner, [new, old])
    assert both.load(KEY) == Stored(b"1", revision)
    revision = both.save(KEY, b"2", revision)
    assert EncryptedStore(inner, [new]).load(KEY) == Stored(b"2", revision)
    with pytest.raises(StoreError, match="not among those given"):
        EncryptedStore(inner, [old]).load(KEY)


def test_a_record_that_no_key_opens_is_never_replaced(inner: MemoryStore) -> None:
    revision = EncryptedStore(inner, [new_key()]).save(KEY, b"s3cr3t", None)
    before, wrong = at_rest(inner), new_key()
    store = EncryptedStore(inner, [wrong])
    for verb in (
        lambda: store.load(KEY),
        lambda: store.save(KEY, b"2", None),
        lambda: store.save(KEY, b"2", revision),
        lambda: store.save(KEY, b"2", "another"),
    ):
        with pytest.raises(StoreError, match=r"not among those given.*AUTHFLOW_KEY") as caught:
            verb()
        assert not isinstance(caught.value, Conflict)
        assert wrong not in str(caught.value)
    assert at_rest(inner) == before
    store.delete(KEY)
    store.save(KEY, b"2", None)


@pytest.mark.parametrize("at", [0, 1, 20, -1])
def test_an_altered_record_is_refused(inner: MemoryStore, at: int) -> None:
    store = EncryptedStore(inner, [new_key()])
    store.save(KEY, b"1", None)
    data = bytearray(at_rest(inner).data)
    data[at] ^= 4
    inner.save(KEY, bytes(data), at_rest(inner).revision)
    with pytest.raises(StoreError, match="altered"):
        store.load(KEY)


def test_a_record_of_another_account_is_refused(inner: MemoryStore) -> None:
    store = EncryptedStore(inner, [new_key()])
    store.save("vendor-2", b"1", None)
    other = inner.load("vendor-2")
    assert other is not None
    inner.save(KEY, other.data, None)
    with pytest.raises(StoreError, match="from elsewhere"):
        store.load(KEY)


def test_keys_from_the_environment(inner: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = new_key(), new_key()
    monkeypatch.setenv("AUTHFLOW_KEY", old)
    EncryptedStore(inner).save(KEY, b"1", None)
    monkeypatch.setenv("AUTHFLOW_KEY", f"{new}, {old},\n")
    store = EncryptedStore(inner)
    store.save(KEY, b"2", store.load(KEY).revision)  # type: ignore[union-attr]
    monkeypatch.setenv("AUTHFLOW_KEY", new)
    found = EncryptedStore(inner).load(KEY)
    assert found is not None
    assert found.data == b"2"


@pytest.mark.parametrize("value", [None, "", " , "])
def test_no_key_in_the_environment(inner: MemoryStore, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("AUTHFLOW_KEY", raising=False)
    else:
        monkeypatch.setenv("AUTHFLOW_KEY", value)
    store = EncryptedStore(inner)
    assert store.load(KEY) is None
    with pytest.raises(StoreError, match=r"AUTHFLOW_KEY.*new_key"):
        store.save(KEY, b"1", None)
    assert inner.load(KEY) is None


@pytest.mark.parametrize("keys", [["s3cr3t"], [], "s3cr3t", ["é"], [None], [new_key()[:-4]]])
def test_keys_that_are_none(inner: MemoryStore, keys: list[str]) -> None:
    with pytest.raises(StoreError, match="32 bytes") as caught:
        EncryptedStore(inner, keys).save(KEY, b"1", None)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_one_key_may_stand_alone(inner: MemoryStore) -> None:
    key = new_key()
    revision = EncryptedStore(inner, key).save(KEY, b"1", None)
    assert EncryptedStore(inner, key.encode()).load(KEY) == Stored(b"1", revision)


def test_a_function_is_asked_when_needed_and_again_when_keys_have_changed(inner: MemoryStore) -> None:
    asked, keys = [], [new_key()]

    def ask() -> list[str]:
        asked.append(len(keys))
        return list(keys)

    store = EncryptedStore(inner, ask)
    assert store.load(KEY) is None
    assert asked == []
    revision = store.save(KEY, b"1", None)
    assert store.load(KEY) == Stored(b"1", revision)
    assert asked == [1]
    keys.insert(0, new_key())
    revision = EncryptedStore(inner, list(keys)).save(KEY, b"2", revision)  # another process has rotated already
    assert store.load(KEY) == Stored(b"2", revision)
    assert asked == [1, 2]


def test_pickles_hold_no_key_of_the_environment(inner: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key()
    monkeypatch.setenv("AUTHFLOW_KEY", key)
    store = EncryptedStore(inner)
    store.save(KEY, b"s3cr3t", None)
    pickled = pickle.dumps(store)
    assert key.encode() not in pickled
    assert b"s3cr3t" not in pickled
    found = pickle.loads(pickled).load(KEY)
    assert found.data == b"s3cr3t"


def test_its_repr_shows_no_key(inner: MemoryStore) -> None:
    key = new_key()
    store = EncryptedStore(inner, [key])
    store.save(KEY, b"1", None)
    assert key not in repr(store)
    assert repr(store) == "EncryptedStore(MemoryStore(1 records))"
