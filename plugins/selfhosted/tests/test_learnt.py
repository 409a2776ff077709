"""Captured through a proxy at each real server, learnt (plugins/learn), checked and used there: no edit between."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow.vendors import load
from authflow_selfhosted.servers import PRODUCTS, Unavailable, running
from authflow_selfhosted.servers.docker_registry import REPOSITORY, registry
from authflow_selfhosted.servers.etcd import ETCD, KEY, encoded
from authflow_selfhosted.servers.oidc_provider import person, provider
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
        next_words = shlex.split(said.splitlines()[-1].partition("try it with ")[2])
        checked = run(*AUTHFLOW, *next_words[1:])
        assert name in CALLS or "reuse: status 2" in checked, (next_words, checked)
        session = authflow.AuthSession(vendor, **given)
        method, more = ("POST", {"json": CALLS[name]}) if name in CALLS else ("GET", {})
        with httpx.Client(auth=session.httpx, trust_env=False, follow_redirects=True, timeout=60) as client:
            assert client.request(method, server[2], **more).status_code in FOUND, text


def signs_in(address: str, proxy: str = "") -> str:
    """A person at a browser, whose traffic is captured too."""
    with requests.Session() as browser:
        browser.trust_env = False
        browser.proxies = {"http": proxy} if proxy else {}
        return person(address, browser)


def test_a_person_at_a_real_provider_is_captured_and_learnt(tmp_path: Path) -> None:
    """Code with PKCE at oidc-provider: the login's pages, the redirect and the token; then data, and a renewal."""
    ahead = [0.0]
    query = {"response_type": "code", "client_id": "app", "redirect_uri": "{redirect_uri}", "state": "{state}"}
    query |= {"scope": "openid offline_access", "prompt": "consent", "code_challenge": "{code_challenge}"}
    page = {"request": {"url": "{authorize_url}", "query": {**query, "code_challenge_method": "S256"}}}
    places = {"authorize_url": {"default": "auth"}, "token_url": {"default": "token"}, "client_id": {"default": "app"}}
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(provider())
        except Unavailable as lacking:
            pytest.skip(str(lacking))
        file = {"name": "oidc", "extends": "oauth2-code", "base_url": url, "settings": places}
        file |= {"exchanges": {"authorize": page}}
        noisy = stack.enter_context(listening(noise)).url
        proxy, recorder = stack.enter_context(recording_proxy())
        with through(proxy) as sender:
            sender.get(f"{noisy}/collect?visitor=v-88c0ffee88c0ffee")
            more: dict[str, Any] = {"ask": lambda kind, text, address: signs_in(address, proxy), "client": sender}
            session = authflow.AuthSession(file, clock=lambda: time.time() + ahead[0], **more)
            with through(proxy, auth=session.httpx) as client:
                for late in (0.0, 0.0, 601.0):
                    ahead[0] = late
                    assert client.get(f"{url}/me").status_code == 200
        text = learn.vendor_file(learn.learn(learn.read_capture(recorder.save(tmp_path / "capture.har"))), "learnt")
        assert 'extends = "oauth2-code"' in text
        assert "c0ffee" not in text
        mine = authflow.AuthSession(load(tomllib.loads(text)), ask=lambda kind, words, address: signs_in(address))
        with httpx.Client(auth=mine.httpx, trust_env=False, timeout=60) as client:
            assert client.get(f"{url}/me").status_code == 200, text
