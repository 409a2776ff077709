"""Captured through a proxy at each real server, learnt (plugins/learn), checked and used there: no edit between."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import authflow
from authflow.vendors import load
from authflow_selfhosted.servers import PRODUCTS, Unavailable, running
from authflow_selfhosted.servers.docker_registry import REPOSITORY, registry
from authflow_selfhosted.servers.etcd import ETCD, KEY, encoded
from authflow_selfhosted.servers.transmission import TRANSMISSION
from tests.capturing import recording_proxy, through
from tests.servers import PASSWORD, USERNAME, Came, Says, listening, running_supplier

learn = pytest.importorskip("authflow_learn")
COMMAND = [sys.executable, "-c", "from authflow_learn.command import main; main()"]
AUTHFLOW = [sys.executable, "-c", "from authflow.cli import main; main()"]
LIFETIME = 60
#: The registry has no image yet, and says so only to those whom it knows.
FOUND = (200, 404)
CALLS: dict[str, Any] = {
    "etcd": {"key": encoded(KEY)},
    "transmission": {"method": "session-get", "arguments": {"fields": ["version"]}},
}
Server = tuple[str, dict[str, Any], str]  # the vendor's name, what a session is given, a URL of the caller's own


@contextlib.contextmanager
def served(name: str) -> Iterator[Server]:
    if name == "docker-registry":
        with registry(lifetime=300) as inputs:
            yield name, inputs, f"{inputs['base_url']}v2/{REPOSITORY}/tags/list"
    elif name == "supplier":
        with running_supplier() as supplier:
            inputs = {"username": USERNAME, "password": PASSWORD, "base_url": supplier.base_url}
            yield name, {**inputs, "data_origin": supplier.data_url}, supplier.base_url.replace("auth/", "tracking/42")
    else:
        product = {**PRODUCTS, "etcd": ETCD, "transmission": TRANSMISSION}[name]
        with running(product, LIFETIME) as server:
            yield name, dict(server.inputs), server.data


def noise(came: Came) -> Says:
    """What counts visitors: it sets cookies, and gives numbers that come back."""
    return Says(json={"visitor": "v-88c0ffee88c0ffee"}, headers={"Set-Cookie": "_ga=GA1.2.3; Path=/"})


def visit(server: Server, proxy: str, noisy: str) -> None:
    """A wrong password, a login, data twice, a renewal, data, an old token: as one would capture it."""
    name, inputs, data = server
    ahead = [0.0]
    method, more = ("POST", {"json": CALLS[name]}) if name in CALLS else ("GET", {})
    with through(proxy) as sender, through(proxy) as browser:
        browser.get(f"{noisy}/collect?visitor=v-88c0ffee88c0ffee")
        with contextlib.suppress(authflow.AuthFlowError):
            authflow.AuthSession(name, client=sender, **{**inputs, "password": "not-this-one"}).login()
        session = authflow.AuthSession(name, client=sender, clock=lambda: time.time() + ahead[0], **inputs)
        with through(proxy, auth=session.httpx, follow_redirects=True) as client:
            for _ in range(2):
                assert client.request(method, data, **more).status_code in FOUND
                browser.post(f"{noisy}/collect", json={"visitor": "v-88c0ffee88c0ffee", "page": data})
            if (ends := session.token().expires_at) is not None:
                ahead[0] = ends - time.time() + 1
                assert client.request(method, data, **more).status_code in FOUND


def known(server: Server) -> list[str]:
    words = ["--username", str(server[1]["username"])]
    words += ["--password-env", "P"]
    return words + (["--value-env", "client_secret=S"] if "client_secret" in server[1] else [])


#: What a user knows from the vendor's own pages, and the vendor file here says itself.
PUBLIC = {"node-red": {"client_id": "node-red-admin"}}
SERVERS = sorted([*PRODUCTS, "etcd", "transmission", "docker-registry", "supplier"])


@pytest.mark.parametrize("name", SERVERS)
def test_what_is_captured_there_is_learnt_and_works_there(name: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(served(name))
        except Unavailable as lacking:
            pytest.skip(str(lacking))
        noisy = stack.enter_context(listening(noise)).url
        with recording_proxy() as (proxy, recorder):
            visit(server, proxy, noisy)
        recorder.save(tmp_path / "capture.har")
        inputs = {key: str(value) for key, value in {**server[1], **PUBLIC.get(name, {})}.items()}
        env = {"P": inputs["password"], "S": inputs.get("client_secret", ""), "PATH": "/usr/bin", "HOME": str(tmp_path)}

        def run(*words: str) -> str:
            done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, (
                words[3:],
                done.stdout,
                done.stderr,
                file.read_text() if file.exists() else "",
            )
            return done.stdout + done.stderr

        file = tmp_path / "learnt.toml"
        said = run(*COMMAND, "capture.har", "--out", "learnt.toml", *known(server))
        text = file.read_text("utf-8")
        assert inputs["password"] not in said + text
        assert "c0ffee" not in said + text
        run(*AUTHFLOW, "check", "learnt.toml")
        vendor = load(file)
        given: dict[str, Any] = {key: inputs[key] for key in vendor.credentials}
        env |= {f"AUTHFLOW_{key.upper()}": value for key, value in given.items()}
        base = next(line for line in text.splitlines() if line.startswith("base_url")).split('"')[1]
        run(*AUTHFLOW, "check", "learnt.toml", "--against", base)
        session = authflow.AuthSession(vendor, **given)
        method, more = ("POST", {"json": CALLS[name]}) if name in CALLS else ("GET", {})
        with httpx.Client(auth=session.httpx, trust_env=False, follow_redirects=True, timeout=60) as client:
            assert client.request(method, server[2], **more).status_code in FOUND, text
