"""What an attacker beside us finds on the disk and on the wire: no file to guess, no key in the open, no proxy."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

import authflow
from authflow.cli import accounts, doctor
from authflow.cli.sources import Source
from authflow.clients import default_sender
from authflow.clients.base import may_be_proxied
from authflow.http import Request
from authflow.renewing import NoAnswer
from authflow.stores import FileStore, KeyringStore, open_store
from authflow.stores.keyring import plain_backend
from tests.servers import Came, Says, listening

LIBRARIES = ["requests", "httpx", "httpx2", "aiohttp"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_the_configs_temporary_file_follows_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim, path = tmp_path / "victim", tmp_path / "config.toml"
    victim.write_text("precious")
    monkeypatch.setattr("secrets.token_hex", lambda size: "guessed")
    (tmp_path / ".config.toml.guessed.tmp").symlink_to(victim)
    with pytest.raises(authflow.StoreError):
        accounts.add_account(accounts.Account("a", "supplier"), path)
    assert victim.read_text() == "precious"
    assert not path.exists()


def test_the_configs_temporary_file_cannot_be_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = accounts.os.replace
    monkeypatch.setattr(accounts.os, "replace", lambda old, new: (opened.append(Path(old).name), real(old, new)))
    for name in "ab":
        accounts.add_account(accounts.Account(name, "supplier"), tmp_path / "config.toml")
    assert len({*opened}) == 2
    assert all(len(name) == len(".config.toml..tmp") + 16 for name in opened)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_is_reached_by_nobody_elses_link(tmp_path: Path) -> None:
    """In a folder that all may write to, somebody lays a link to where records would do harm."""
    (own := tmp_path / "own").mkdir(mode=0o700)
    (link := tmp_path / "link").symlink_to(own)
    FileStore(link).save("key", b"data", None)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    for use in (lambda: FileStore(link).save("other", b"data", None), lambda: FileStore(link).load("key")):
        with pytest.raises(authflow.StoreError, match="belongs to another user"):
            use()
    assert not (own / "other.json").exists()


# --- the keyring ------------------------------------------------------------------------------------------------------


class Memory:
    """A backend that keeps, in memory, and says that it is good."""

    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, value: str) -> None:
        self.kept[service, name] = value


class PlaintextKeyring(Memory):
    """As in keyrings.alt."""


class OfAnotherName(Memory):
    """keyrings.alt's PyFilesystem, without a password."""

    def encrypt(self, password: bytes, assoc: object = None) -> bytes:
        return password


class Mine(PlaintextKeyring):
    """One made of it."""


class Chainer(Memory):
    """keyring's own, which asks several in turn and writes to the first."""

    @property
    def backends(self) -> list[Memory]:
        return [PlaintextKeyring(), Memory()]


class Cutting(Memory):
    """keyrings.alt's, which cuts what is too long for another."""

    def __init__(self) -> None:
        super().__init__()
        self._keyring = PlaintextKeyring()


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Memory:
    import keyring

    backend: Memory = request.param()
    monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
    monkeypatch.setattr(keyring, "get_password", backend.get_password)
    monkeypatch.setattr(keyring, "set_password", backend.set_password)
    return backend


@pytest.mark.parametrize("backend", [PlaintextKeyring, OfAnotherName, Mine, Chainer, Cutting], indirect=True)
def test_a_keyring_that_keeps_plain_text_is_refused_unless_it_is_allowed(backend: Memory, tmp_path: Path) -> None:
    name = plain_backend(backend)
    assert name
    for spec in (f"keyring://{tmp_path}", f"keyring://{tmp_path}/b"):
        with pytest.raises(authflow.StoreError, match=r"keeps plain text.*keyring\?plaintext=allow"):
            open_store(spec).save("key", b"data", None)
    with pytest.raises(authflow.ConfigurationError, match="keeps plain text"):
        Source("keyring", True).remember("mine.password", "open-sesame")
    assert backend.kept == {}
    store = open_store(f"keyring://{tmp_path}/c?plaintext=allow")
    store.save("key", b"data", None)
    assert backend.kept != {}
    stored = store.load("key")
    assert stored is not None
    assert stored.data == b"data"
    found = [doctor._keyring(wanted=wanted, allowed=allowed) for wanted, allowed in ((True, False), (True, True))]
    assert [check.result for check in found] == [doctor.BAD, doctor.WARNING]
    assert all("keeps plain text" in check.says for check in found)


@pytest.mark.parametrize("backend", [Memory], indirect=True)
def test_a_keyring_that_encrypts_is_used(backend: Memory, tmp_path: Path) -> None:
    KeyringStore(tmp_path).save("key", b"data", None)
    assert backend.kept != {}
    assert doctor._keyring(wanted=True, allowed=False).result == doctor.GOOD


@pytest.mark.parametrize("spec", ["keyring?plaintext=yes", "keyring?x", "keyring:///a?plaintext=allow&b", "file?x=1"])
def test_a_store_takes_no_other_option(spec: str) -> None:
    with pytest.raises(authflow.ConfigurationError):
        open_store(spec)


# --- passwords in URLs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["redis://h/0?password=x", "redis://h/0?a=b&PASSWORD=x", "redis://u:x@h/0", "unix:///s?sentinel_password="]
)
def test_a_stores_password_does_not_stand_in_the_open(url: str) -> None:
    with pytest.raises(authflow.ConfigurationError, match="holds a password"):
        accounts.find_account("supplier", None, url)
    with pytest.raises(authflow.ConfigurationError, match="do not write its password here"):
        accounts.Account("a", "supplier", url).store_named()
    assert "x" not in accounts.place_of(url).removeprefix("unix")


@pytest.mark.parametrize(
    "spec", ["redis?password=s3cret", "redis:u:s3cret@h", "postgres:u:s3cret@h/0", "x:s3cret@h", "h?password=s3cret"]
)
def test_no_message_says_what_is_no_url(spec: str) -> None:
    with pytest.raises(authflow.ConfigurationError) as caught:
        open_store(spec)
    assert "s3cret" not in str(caught.value)


# --- proxies, and what libraries print --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::1]", "a.localhost", "127.9.9.9"]
)
def test_this_machine_is_reached_directly(host: str) -> None:
    assert not may_be_proxied(f"https://{host}:1/x")
    assert may_be_proxied("https://vendor.example/127.0.0.1")


@pytest.mark.parametrize("library", LIBRARIES)
def test_https_to_this_machine_goes_through_no_proxy(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(NoAnswer):
            default_sender(library).exchange(Request("POST", "https://127.0.0.1:1/login", body=b"{}"), 2)
        proxy.settimeout(0)
        with pytest.raises(BlockingIOError):
            proxy.accept()


@pytest.mark.parametrize("library", LIBRARIES)
def test_http_client_prints_nothing_of_an_exchange(
    library: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def says(came: Came) -> Says:
        return Says(json={"access": "t0ken"}, headers={"Set-Cookie": "a=t0ken"})

    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    with listening(says) as home:
        answer = default_sender(library).exchange(Request("POST", f"{home.url}/?k=s3cret", body=b"s3cret"), 10)
    assert answer.status == 200
    assert "".join(capfd.readouterr()) == ""


def test_the_name_of_a_plain_backend_is_told() -> None:
    assert plain_backend(PlaintextKeyring()).endswith(".PlaintextKeyring")
    assert plain_backend(SimpleNamespace(encrypt=lambda text: text[::-1])) == ""
