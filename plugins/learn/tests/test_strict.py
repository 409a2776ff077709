"""The strict servers (tests/strict), captured while their own files' sessions use them: learnt, checked, used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

import authflow
from authflow.vendors import load
from authflow_learn import Learnt, checking, learn, read_capture, vendor_file
from tests.capturing import Recorder
from tests.servers import listening
from tests.strict.servers import LIFETIME, SERVERS, Strict
from tests.strict.test_cannot_be_done import FILES

AUTHFLOW = [sys.executable, "-c", "from authflow.cli import main; main()"]
#: A person agrees elsewhere, a callable of this process.
PERSON = ("tv",)
#: What no capture tells, and the question that says so.
ASKED = {"encrypted": "what exactly is encrypted"}


class Ahead:
    """The clock of server and session."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def visit(server: Strict, listened: str, name: str, clock: Ahead, recorder: Recorder) -> None:
    """A wrong password, a login, data, a token that is revoked, a renewal."""

    def session(**other: Any) -> authflow.AuthSession:
        given = {"timeout": 60, **server.given, **other, "base_url": listened, "client": sender, "clock": clock}
        return authflow.AuthSession(load(FILES[name]), **given)

    method, data = ("POST" if server.body else "GET"), f"{listened}/{server.path}"
    with recorder.client() as sender:
        if server.logs_in:
            with pytest.raises(authflow.CredentialsRefused):
                session(**server.wrong).login()
            clock.ahead += 61  # a person who refused is left alone for a minute
        mine = session()
        with recorder.client(auth=mine.httpx) as client:
            for _ in range(2):
                assert client.request(method, data, **server.body).status_code == 200
            if server.logs_in:
                server.revoke()
                clock.ahead += 60
            elif server.ends:
                clock.ahead += LIFETIME
            for _ in range(2):
                assert client.request(method, data, **server.body).status_code == 200
        mine.logout()


def against(folder: Path, learnt: Learnt, url: str, name: str, server: Strict) -> None:
    """`check --against` the same server, as the command's last line says: what it is to fetch comes."""
    if name in PERSON:
        return
    given = {f"AUTHFLOW_{key.upper()}": str(value) for key, value in server.given.items()}
    words = [*AUTHFLOW, *checking.words(learnt, "learnt.toml")[1:]]
    done = subprocess.run(words, cwd=folder, env={**os.environ, **given}, capture_output=True, text=True, timeout=120)
    told = done.stdout + done.stderr + (folder / "learnt.toml").read_text("utf-8")
    assert done.returncode == 0, told
    if not server.body:
        assert f"reuse: status 200 at {url}/{server.path.partition('?')[0]}\n" in done.stdout, told
    assert not any(str(secret) in done.stdout + done.stderr for secret in server.given.values())


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_strict_server_is_learnt_without_an_edit(name: str, tmp_path: Path) -> None:
    recorder, clock = Recorder(), Ahead()
    server = SERVERS[name](clock)
    known = {key: value for key, value in server.given.items() if isinstance(value, str)}
    with listening(server) as listener:
        visit(server, listener.url, name, clock, recorder)
        learnt = learn(read_capture(recorder.save(tmp_path / "capture.har")), known)
        text = vendor_file(learnt, name)
        (tmp_path / "learnt.toml").write_text(text, "utf-8")
        assert not any(str(secret) in text for secret in server.given.values())
        done = subprocess.run([*AUTHFLOW, "check", "learnt.toml"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, text + done.stdout
        if name in ASKED:
            assert ASKED[name] in text.splitlines()[0]
            return
        clock.ahead = 0.0  # the check has a clock of its own
        if not server.logs_in:
            server.began = clock()  # type: ignore[attr-defined]
        against(tmp_path, learnt, listener.url, name, server)
        server.tokens.clear()  # the check's seat
        getattr(server, "used", set()).clear()  # and its code
        vendor = load(tomllib.loads(text))
        given = {key: server.given[key] for key in ("ask", *vendor.credentials) if key in server.given}
        session = authflow.AuthSession(vendor, clock=clock, timeout=60, **given)
        before = server.logins
        body = server.body
        if server.logs_in:
            server.revoke()
            clock.ahead += 60
        else:
            server.began = clock()  # type: ignore[attr-defined]
        with httpx.Client(auth=session.httpx, trust_env=False) as client:
            for _ in range(2):
                answer = client.request("POST" if body else "GET", f"{listener.url}/{server.path}", **body)
                assert (answer.status_code, "error" in answer.text) == (200, False), text
            assert server.logins == before + server.logs_in
            if server.logs_in:
                server.revoke()
                clock.ahead += 60
                answer = client.request("POST" if body else "GET", f"{listener.url}/{server.path}", **body)
                assert (answer.status_code, "error" in answer.text) == (200, False), text
