"""What `store=` takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from authflow.errors import ConfigurationError, StoreError
from authflow.stores import (
    SCHEMES,
    EncryptedStore,
    FileStore,
    KeyringStore,
    MemoryStore,
    RedisStore,
    Store,
    new_key,
    open_store,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("memory", MemoryStore),
        ("memory://", MemoryStore),
        ("file", FileStore),
        ("keyring", KeyringStore),
        ("redis://localhost:1/0", RedisStore),
        ("rediss://user:pa%2Fss@localhost", RedisStore),
        ("unix:///run/redis.sock?db=1", RedisStore),
        ("encrypted+file", EncryptedStore),
        ("encrypted+file:///tmp/x", EncryptedStore),
        ("encrypted+./x", EncryptedStore),
        ("encrypted+redis://localhost", EncryptedStore),
    ],
)
def test_names_and_schemes(spec: str, kind: type) -> None:
    assert type(open_store(spec)) is kind


@pytest.mark.parametrize(
    ("spec", "folder"),
    [
        ("./tokens", "tokens"),
        ("tokens/deep", "tokens/deep"),
        (".tokens", ".tokens"),
        ("~/tokens", "tokens"),
        ("~", "."),
        (Path("tokens"), "tokens"),
        ("./tokens.json", "tokens.json"),
    ],
)
def test_paths(spec: str | Path, folder: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(spec)
    monkeypatch.chdir("/")
    assert isinstance(store, FileStore)
    assert store.folder == home / folder


def test_file_urls() -> None:
    assert repr(open_store("file:///a%20b/c")) == "FileStore('/a b/c')"
    assert repr(open_store("keyring:///a/b")) == "KeyringStore('/a/b')"
    for wrong in ("file:/a", "keyring:a", "redis:6379"):
        with pytest.raises(ConfigurationError, match="has slashes"):
            open_store(wrong)
    for wrong in ("file://host/a", "file://", "file:///a?b=c", "keyring://a"):
        with pytest.raises(ConfigurationError, match="three slashes"):
            open_store(wrong)


def test_by_default_each_user_has_a_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_store("file")
    monkeypatch.setenv("HOME", str(home / "other"))
    second = open_store("file")
    assert isinstance(first, FileStore)
    assert isinstance(second, FileStore)
    assert first.folder != second.folder
    assert first.folder.is_relative_to(home)


def test_a_store_is_itself() -> None:
    store = MemoryStore()
    assert open_store(store) is store


def test_schemes_of_plugins() -> None:
    opened: list[str] = []

    def vault(url: str) -> Store:
        opened.append(url)
        return MemoryStore()

    assert isinstance(open_store("vault://host/path", factories={"vault": vault}), MemoryStore)
    assert isinstance(open_store("vault", factories={"vault": vault}), MemoryStore)
    assert isinstance(open_store("encrypted+vault://host", factories={"vault": vault}), EncryptedStore)
    assert opened == ["vault://host/path", "vault", "vault://host"]


@pytest.mark.parametrize("spec", ["momory", "memry://", "mysql://user:s3cr3t@host", "", "redis", 5, None])
def test_what_nobody_knows(spec: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(spec)
    assert "s3cr3t" not in str(caught.value)
    if isinstance(spec, str) and spec != "redis":
        assert ", ".join(sorted(SCHEMES)) in str(caught.value)


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_state_dir", lambda *_, **__: "~/.local/state/authflow")
    with pytest.raises(StoreError, match=r"set HOME.*store='/path'"):
        open_store("file")
    with pytest.raises(StoreError, match="set HOME"):
        open_store("~nobody-of-that-name/x")


def test_encrypted_reads_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHFLOW_KEY", new_key())
    store = open_store("encrypted+./x")
    store.save("a", b"s3cr3t", None)
    inner = open_store("./x").load("a")
    assert inner is not None
    assert b"s3cr3t" not in inner.data


def test_importing_is_light() -> None:
    heavy = ["filelock", "platformdirs", "cryptography", "keyring", "redis"]
    program = (
        "import sys, authflow.stores, authflow.stores.base\n"
        "authflow.stores.open_store('memory')\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    folder = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
