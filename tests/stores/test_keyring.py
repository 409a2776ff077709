"""What is the keyring store's own, against a real Secret Service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from authflow.errors import StoreError
from authflow.stores import FileStore, KeyringStore, Stored

KEY = "vendor-1"
StartChild = Callable[[Callable[[Connection], None]], Any]


def test_the_key_is_in_the_keyring_and_the_record_is_not(keyring_here: Any, keyring_store: KeyringStore) -> None:
    keyring_store.save(KEY, b"s3cr3t" * 1000, None)
    [record] = keyring_store.folder.glob("*.json")
    assert b"s3cr3t" not in record.read_bytes()
    key = keyring_here.get_password("authflow", str(keyring_store.folder))
    assert len(key) == 44
    for path in keyring_store.folder.iterdir():
        assert key.encode() not in path.read_bytes()
    again = KeyringStore(keyring_store.folder).load(KEY)
    assert again is not None
    assert again.data == b"s3cr3t" * 1000


def test_a_folder_is_the_same_by_any_name(keyring_store: KeyringStore, tmp_path: Path) -> None:
    revision = keyring_store.save(KEY, b"1", None)
    (tmp_path / "link").symlink_to(keyring_store.folder)
    assert KeyringStore(tmp_path / "link").load(KEY) == Stored(b"1", revision)


def test_folders_have_keys_of_their_own(keyring_store: KeyringStore, tmp_path: Path) -> None:
    keyring_store.save(KEY, b"1", None)
    other = KeyringStore(tmp_path / "other")
    other.save(KEY, b"2", None)
    FileStore(other.folder).delete(KEY)
    stored = FileStore(keyring_store.folder).load(KEY)
    assert stored is not None
    FileStore(other.folder).save(KEY, stored.data, None)
    with pytest.raises(StoreError, match="not among those given"):
        other.load(KEY)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("number", range(3))
def test_processes_that_start_at_once_make_one_key(
    keyring_here: Any, tmp_path: Path, child: StartChild, number: int
) -> None:
    def save(talk: Connection) -> None:
        store = KeyringStore(tmp_path / "tokens")
        talk.send("ready")
        talk.recv()
        store.save(f"vendor-{os.getpid()}", b"1", None)

    children = [child(save) for _ in range(8)]
    for each in children:
        assert each.hear() == "ready"
    for each in children:
        each.tell("go")
    assert [each.wait() for each in children] == [0] * 8
    store = KeyringStore(tmp_path / "tokens")
    for each in children:
        found = store.load(f"vendor-{each.pid}")
        assert found is not None
        assert found.data == b"1"


def test_a_folder_that_may_only_be_read_is_read(keyring_store: KeyringStore, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = keyring_store.save(KEY, b"1", None)

    def refuse(*arguments: Any, **named: Any) -> None:
        raise StoreError("Tokens cannot be written here")

    monkeypatch.setattr(FileStore, "lock", refuse)
    assert KeyringStore(keyring_store.folder).load(KEY) == Stored(b"1", revision)
    with pytest.raises(StoreError, match="cannot be written here"):
        KeyringStore(keyring_store.folder.parent / "new").save(KEY, b"1", None)


def test_a_key_that_was_lost_is_an_error_and_the_record_stays(keyring_here: Any, keyring_store: KeyringStore) -> None:
    keyring_store.save(KEY, b"1", None)
    before = FileStore(keyring_store.folder).load(KEY)
    keyring_here.delete_password("authflow", str(keyring_store.folder))
    store = KeyringStore(keyring_store.folder)
    for verb in (lambda: store.load(KEY), lambda: store.save(KEY, b"2", None)):
        with pytest.raises(StoreError, match="not among those given"):
            verb()
    assert FileStore(keyring_store.folder).load(KEY) == before


def names_the_alternatives(message: str) -> bool:
    return all(word in message for word in ("store='file'", "store='encrypted+file'", "AUTHFLOW_KEY"))


@pytest.mark.parametrize("backend", ["fail", "null"])
def test_a_machine_without_a_keyring(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    module = pytest.importorskip(f"keyring.backends.{backend}")
    before = keyring.get_keyring()
    keyring.set_keyring(module.Keyring())
    try:
        store = KeyringStore(tmp_path)
        assert store.load(KEY) is None
        with pytest.raises(StoreError) as caught:
            store.save(KEY, b"1", None)
    finally:
        keyring.set_keyring(before)
    assert names_the_alternatives(str(caught.value))
    assert FileStore(tmp_path).load(KEY) is None


@pytest.mark.parametrize("backend", [None, "keyring.backends.SecretService.Keyring"])
def test_a_machine_without_d_bus(backend: str | None, tmp_path: Path) -> None:
    pytest.importorskip("secretstorage", reason="secretstorage is not installed: the Secret Service is Linux's")
    program = (
        "import sys; from authflow.errors import StoreError; from authflow.stores import KeyringStore\n"
        "try: KeyringStore(sys.argv[1]).save('a', b's3cr3t', None)\n"
        "except StoreError as error: print(error)"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    if backend:
        environment["PYTHON_KEYRING_BACKEND"] = backend
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "tokens")],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert names_the_alternatives(done.stdout)
    assert "s3cr3t" not in done.stdout
