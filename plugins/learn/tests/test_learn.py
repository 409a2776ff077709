"""Capture, learn, and use what was learnt at the same server: no edit in between."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

import authflow
from authflow.cli.scaffold import vendor_file as scaffold
from authflow.testing import Simulator, serving
from authflow.vendors import load
from authflow.vendors.extends import preset_names
from authflow_learn import CaptureError, learn, read_capture, vendor_file
from tests.capturing import Recorder
from tests.servers import PASSWORD, USERNAME, Came, Says, listening, running_supplier

COMMAND = (sys.executable, "-c", "from authflow_learn.command import main; main()")


def learnt(path: Path, **known: str) -> dict[str, Any]:
    text = vendor_file(learn(read_capture(path), known), "learnt")
    for value in known.values():
        assert f'"{value}"' not in text
    raw = tomllib.loads(text)
    load(raw)
    return raw


def test_the_supplier_is_learnt_from_a_session_by_hand(tmp_path: Path) -> None:
    """A login, data behind a redirect, and a refresh that carries the old bearer."""
    recorder = Recorder()
    with running_supplier() as supplier, recorder.client(follow_redirects=False) as client:
        root = supplier.base_url
        first = client.post(f"{root}login", json={"username": USERNAME, "password": PASSWORD}).json()
        bearer = {"Authorization": f"Bearer {first['token']}"}
        moved = client.get(f"{root}../tracking/42", headers=bearer)
        client.get(moved.headers["location"], headers=bearer)
        second = client.post(f"{root}refresh", json={"refreshToken": first["refreshToken"]}, headers=bearer).json()
        client.get(f"{root}../tracking/43", headers={"Authorization": f"Bearer {second['token']}"})
        raw = learnt(recorder.save(tmp_path / "capture.har"), username=USERNAME, password=PASSWORD)
        assert raw["extends"] == "password"
        assert raw["exchanges"]["login"]["answers"]["granted"]["json"]["token"] == "{access:jwt}"
        assert raw["exchanges"]["refresh"]["request"]["headers"] == {"Authorization": "Bearer {access}"}
        session = authflow.AuthSession(raw, username=USERNAME, password=PASSWORD, base_url=raw["base_url"])
        with httpx.Client(auth=session.httpx, follow_redirects=True, trust_env=False) as mine:
            assert mine.get(f"{root}../tracking/42").json()["id"] == "42"
            supplier.control(revoke="access")
            assert mine.get(f"{root}../tracking/43").json()["id"] == "43"
        assert supplier.counts["refresh"] >= 1


@pytest.mark.parametrize("secrets", [False, True])
def test_a_capture_of_our_own_is_learnt_with_secrets_or_without(tmp_path: Path, secrets: bool) -> None:
    """`session.record()` writes HAR; stand-ins for the secrets tell as well which value flows where."""
    with running_supplier() as supplier:
        inputs = {"username": USERNAME, "password": PASSWORD}
        places = {"base_url": supplier.base_url, "data_origin": supplier.data_url}
        session = authflow.AuthSession("supplier", **inputs, **places)
        with session.record(secrets=secrets) as seen, httpx.Client(auth=session.httpx, trust_env=False) as client:
            client.get(f"{supplier.base_url}../tracking/42", follow_redirects=True)
            supplier.control(revoke="access")
            client.get(f"{supplier.base_url}../tracking/43", follow_redirects=True)
        raw = learnt(seen.save(tmp_path / "own.har"), **(inputs if secrets else {}))
        assert (PASSWORD in (tmp_path / "own.har").read_text("utf-8")) is secrets
        mine = authflow.AuthSession(raw, **inputs)
        with httpx.Client(auth=mine.httpx, follow_redirects=True, trust_env=False) as client:
            assert client.get(f"{supplier.base_url}../tracking/44").json()["id"] == "44"
            supplier.control(revoke="access")
            assert client.get(f"{supplier.base_url}../tracking/45").json()["id"] == "45"
        assert supplier.counts["refresh"] == 2


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_is_learnt_from_its_simulator(preset: str, tmp_path: Path) -> None:
    """A session's exchanges and requests are captured; what is learnt of them serves at the same server."""
    raw = tomllib.loads(scaffold("here", preset))
    simulator = Simulator(raw, lifetime=3600)
    recorder = Recorder()
    with serving(simulator) as url, recorder.client() as sender:
        secrets = {name: value for name, value in simulator.inputs.items() if name in simulator.vendor.credentials}

        def ask(kind: str, text: str, address: str) -> str:
            """A person at a browser, whose network tab is captured too."""
            if kind != "open":
                return simulator.person(kind, text, address)
            agree = html.unescape(re.findall('href="(.*?)"', sender.get(address).text)[0])
            return str(sender.get(urljoin(address, agree), follow_redirects=False).headers["location"])

        session = authflow.AuthSession(raw, client=sender, base_url=url, ask=ask, **simulator.inputs)
        with recorder.client(auth=session.httpx) as client:
            assert [client.get(f"{url}orders/{id}").status_code for id in range(3)] == [200] * 3
        found = learnt(recorder.save(tmp_path / "capture.har"), **secrets)
    again = Simulator(raw, lifetime=3600)  # as it was before: what was captured has used a refresh token up
    with serving(again) as url:
        mine = authflow.AuthSession(found, base_url=url, ask=again.person, **guessed(found, again))
        with httpx.Client(auth=mine.httpx, trust_env=False) as client:
            assert client.get(f"{url}orders/7").status_code == 200, found


def guessed(raw: Mapping[str, Any], simulator: Simulator) -> dict[str, Any]:
    """The credentials that a learnt file asks for, from those that were captured."""
    urls = {name: value for name, value in simulator.inputs.items() if str(value).startswith("http")}
    wanted = {*load(raw).credentials, *(urls if "settings" in raw else ())}
    return {name: simulator.inputs[name] for name in wanted if name in simulator.inputs}


@pytest.mark.parametrize(
    ("token", "present", "status"),
    [
        ({"token": "tok-3f8a1b2c4d5e", "ttl": 3600}, ("X-Session-Token", "{}"), 419),
        (
            {"data": {"jwt": "tok-3f8a1b2c4d5e", "validUntil": "2036-01-01T00:00:00Z"}},
            ("Authorization", "Token {}"),
            401,
        ),
        ({"access_token": "tok-3f8a1b2c4d5e", "expires_in": "3600"}, ("Authorization", "Bearer {}"), 403),
        ({"session": {"id": "tok-3f8a1b2c4d5e", "expires": 1893456000000}}, ("Cookie", "SID={}"), 401),
    ],
)
def test_odd_logins_are_learnt_and_work(
    tmp_path: Path, token: Mapping[str, Any], present: tuple[str, str], status: int
) -> None:
    value = next(leaf for leaf in _leaves(token) if str(leaf).startswith("tok-"))
    name, written = present
    revoked = []

    def says(came: Came) -> Says:
        if came.path == "/api/v2/login":
            sent = json.loads(came.body)
            return Says(json=token) if sent == {"user": "alice", "pw": "hunter-22", "app": "web"} else Says(422, {})
        headers = {key.lower(): said for key, said in came.headers.items()}
        if headers.get(name.lower()) != written.format(value) or (revoked and revoked.pop()):
            return Says(status, {"error": "expired"})
        return Says(json={"path": came.path})

    recorder = Recorder()
    with listening(says) as server, recorder.client() as client:
        root = f"{server.url}/api/v2"
        client.post(f"{root}/login", json={"user": "alice", "pw": "wrong-one", "app": "web"})
        client.post(f"{root}/login", json={"user": "alice", "pw": "hunter-22", "app": "web"})
        for path in ("orders/1", "orders/2"):
            client.get(f"{root}/{path}", headers={name: written.format(value)})
        revoked.append(True)
        client.get(f"{root}/orders/3", headers={name: written.format(value)})
        raw = learnt(recorder.save(tmp_path / "capture.har"), username="alice", password="hunter-22")
        assert "tok-3f8a" not in json.dumps(raw)
        session = authflow.AuthSession(raw, username="alice", password="hunter-22")
        revoked.append(True)
        with httpx.Client(auth=session.httpx, trust_env=False) as mine:
            assert mine.get(f"{root}/orders/7").json() == {"path": "/api/v2/orders/7"}
        with pytest.raises(authflow.CredentialsRefused):
            authflow.AuthSession(raw, username="alice", password="another").login()


def _leaves(document: Any) -> Iterator[Any]:
    for value in document.values():
        yield from _leaves(value) if isinstance(value, dict) else [value]


def test_a_login_in_two_steps(tmp_path: Path) -> None:
    """A form's hidden value comes first, and goes with the password."""

    def says(came: Came) -> Says:
        if came.path == "/start":
            return Says(json={"csrf": "csrf-77aa88bb"})
        if came.path == "/login":
            good = b"csrf-77aa88bb" in came.body and b"hunter-22" in came.body
            return Says(json={"token": "tok-3f8a1b2c4d5e"}) if good else Says(403, {})
        good = came.headers.get("Authorization", came.headers.get("authorization")) == "Bearer tok-3f8a1b2c4d5e"
        return Says(json={}) if good else Says(401, {})

    recorder = Recorder()
    with listening(says) as server, recorder.client() as client:
        csrf = client.get(f"{server.url}/start").json()["csrf"]
        client.post(f"{server.url}/login", data={"u": "alice", "password": "hunter-22", "csrf": csrf})
        client.get(f"{server.url}/orders", headers={"Authorization": "Bearer tok-3f8a1b2c4d5e"})
        raw = learnt(recorder.save(tmp_path / "capture.har"), username="alice", password="hunter-22")
        session = authflow.AuthSession(raw, username="alice", password="hunter-22")
        with httpx.Client(auth=session.httpx, trust_env=False) as mine:
            assert mine.get(f"{server.url}/orders").status_code == 200


CURL = """$ curl -v https://api.acme.example/v1/orders -H 'X-API-Key: k-93jf83hf93hf93'
* Connected to api.acme.example (192.0.2.1) port 443
> GET /v1/orders HTTP/1.1
> Host: api.acme.example
> User-Agent: curl/8.5.0
> X-API-Key: k-93jf83hf93hf93
>
< HTTP/1.1 200 OK
< Content-Type: application/json
<
{"orders": []}
"""


def test_a_transcript_of_curl(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(CURL, "utf-8")
    raw = learnt(tmp_path / "log")
    assert (raw["extends"], raw["base_url"]) == ("api-key", "https://api.acme.example/v1/")
    (tmp_path / "log").write_text(CURL.replace("X-API-Key: k-", "Authorization: Bearer k-"), "utf-8")
    assert learnt(tmp_path / "log")["extends"] == "bearer"
    (tmp_path / "log").write_text(CURL.replace("X-API-Key: k-93jf83hf93hf93", "Authorization: Basic YTpiYg=="), "utf-8")
    assert learnt(tmp_path / "log")["extends"] == "basic"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\x1f\x8b\x08\x00abc", "is compressed"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "is not text"),
        (b'{"log": {"entries": [{"request"', "is not whole JSON"),
        (b'{"a": 1}', "not HAR"),
        (b'{"log": {"entries": []}}', "holds no exchange"),
        (b'{"log": {"entries": [{"request": {"method": "GET", "url": "https://a.example/"}}]}}', "has no answers"),
        (b"hello\nworld\n", "holds no exchange"),
        (
            b'{"log": {"entries": [{"request": {"method": "GET", "url": "https://a.example/x.png"},'
            b' "response": {"status": 200}}]}}',
            "nothing is left",
        ),
        (
            b'{"log": {"entries": [{"request": {"method": "GET", "url": "https://a.example/x"},'
            b' "response": {"status": 200}}]}}',
            "no request carries anything",
        ),
    ],
)
def test_bad_captures_are_one_line_and_no_file(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "capture").write_bytes(content)
    words = [*COMMAND, "capture", "--out", "acme.toml"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert reason in done.stderr
    assert not (tmp_path / "acme.toml").exists()


def test_no_capture_at_all(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "nowhere.har"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    with pytest.raises(CaptureError):
        read_capture(tmp_path)


def test_the_command_writes_a_file_that_check_takes(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(CURL, "utf-8")
    words = [*COMMAND, "log", "--out", "acme.toml", "--value-env", "api_key=KEY"]
    env = {**os.environ, "KEY": "k-93jf83hf93hf93"}
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 0, done.stderr
    assert "k-93jf" not in done.stdout + done.stderr + (tmp_path / "acme.toml").read_text("utf-8")
    check = [str(Path(sys.executable).with_name("authflow")), "check", "acme.toml"]
    checked = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout
