"""One-time codes by the clock: of all who share a store, one sends a code."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from authflow import AuthSession, CredentialsRefused, VendorUnavailable
from authflow.stores import MemoryStore
from tests.servers import Came, Listener, Says, listening
from tests.strict.servers import SEED

FILE = {
    "name": "Codes",
    "extends": "relogin",
    "base_url": "https://codes.example/",
    "identity": ["username"],
    "credentials": {"seed": {"secret": True}},
    "settings": {"room": {"optional": True}},
    "derive": {"code": {"totp": "{seed}"}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "c": "{code}"}},
            "answers": {"granted": {"status": 200, "json": {"t": "{access}"}}},
        }
    },
}
NOW = 1_800_000_003.0


class Codes:
    """Takes each code once."""

    def __init__(self) -> None:
        self.came: list[bytes] = []

    def __call__(self, came: Came) -> Says:
        self.came.append(came.body)
        return Says(200, {"t": f"t-{len(self.came)}"}) if self.came.count(came.body) == 1 else Says(401)


@pytest.fixture
def server() -> Iterator[Listener]:
    with listening(Codes()) as one:
        yield one


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def session(server: Listener, store: Any, clock: Clock, **more: Any) -> AuthSession:
    given = {"timeout": 60, "username": "demo", "password": "open-sesame", "seed": SEED, **more}
    return AuthSession({**FILE, "base_url": server.url}, store=store, clock=clock, **given)


def test_another_process_waits_for_the_next_code(server: Listener, tmp_path: Path) -> None:
    clock, store = Clock(), f"file://{tmp_path}"
    program = f"""
        from tests.renewing.test_codes import *
        from types import SimpleNamespace
        session(SimpleNamespace(url={server.url!r}), {store!r}, Clock()).login()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60, env=environment)
    session(server, store, clock).login()
    assert len(set(server.says.came)) == 2  # type: ignore[attr-defined]
    assert clock.now == NOW // 30 * 30 + 30


def test_records_of_other_settings_share_the_code(server: Listener) -> None:
    clock, store = Clock(), MemoryStore()
    session(server, store, clock).token()
    session(server, store, clock, room="blue").token()
    assert clock.now == NOW // 30 * 30 + 30


def test_another_secret_has_other_codes(server: Listener) -> None:
    clock, store = Clock(), MemoryStore()
    session(server, store, clock).token()
    session(server, store, clock, username="other", seed=SEED[::-1]).token()
    assert clock.now == NOW


def test_what_lies_in_the_store_is_no_test_for_the_secret(server: Listener, tmp_path: Path) -> None:
    session(server, f"file://{tmp_path}", Clock()).token()
    kept = b"".join([path.name.encode() + path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()])
    assert b"codes-code-" in kept
    assert SEED.encode() not in kept


def test_of_two_who_send_at_the_same_moment_one_waits(server: Listener) -> None:
    clock = Clock()

    class Late(MemoryStore):
        """Another process says so between our look and our word."""

        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            if "-code-" in key and revision is None:
                super().save(key, data, None, lifetime=lifetime)
            return super().save(key, data, revision, lifetime=lifetime)

    session(server, Late(), clock).token()
    assert clock.now == NOW // 30 * 30 + 30


def test_a_code_that_was_refused_is_not_sent_again_either(server: Listener) -> None:
    clock, store = Clock(), MemoryStore()
    one = session(server, store, clock, timeout=5)
    server.says.came.append(b"")  # type: ignore[attr-defined]
    one.login()
    with pytest.raises(VendorUnavailable, match="next one-time code"):
        one.login()
    with pytest.raises((VendorUnavailable, CredentialsRefused)):
        session(server, store, clock, timeout=5, room="blue").token()
    assert len(server.says.came) == 2  # type: ignore[attr-defined]
