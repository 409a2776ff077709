"""The contract, over every store that comes with the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authflow.stores import SCHEMES, EncryptedStore, FileStore, KeyringStore, MemoryStore, RedisStore, Store, new_key
from authflow.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    shared = False

    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestFileStore(StoreContract):
    @pytest.fixture
    def store(self, file_store: FileStore) -> Store:
        return file_store


class TestRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_store: RedisStore) -> Store:
        return redis_store


class TestRedisClusterStore(StoreContract):
    @pytest.fixture
    def store(self, redis_cluster: Callable[[], Any]) -> Store:
        redis_cluster().flushall()
        return RedisStore(redis_cluster)


class TestKeyringStore(StoreContract):
    @pytest.fixture
    def store(self, keyring_store: KeyringStore) -> Store:
        return keyring_store


class TestEncryptedMemoryStore(StoreContract):
    shared = False

    @pytest.fixture
    def store(self) -> Store:
        return EncryptedStore(MemoryStore(), [new_key()])


class TestEncryptedFileStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setenv("AUTHFLOW_KEY", new_key())
        return EncryptedStore(FileStore(tmp_path))


class TestEncryptedRedisStore(StoreContract):
    @pytest.fixture
    def store(self, redis_store: RedisStore) -> Store:
        return EncryptedStore(redis_store, [new_key(), new_key()])


def test_every_store_with_a_scheme_is_held_against_the_contract() -> None:
    suites = [suite for name, suite in globals().items() if name.startswith("Test")]
    tried = {suite.__name__.removeprefix("Test").removesuffix("Store").lower() for suite in suites}
    missing = set(SCHEMES.values()) - tried
    assert not missing, f"{', '.join(missing)}: add a class TestNAMEStore(StoreContract) with a fixture `store`"
