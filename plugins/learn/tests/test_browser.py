"""A person logs in at a page with a real browser; its traffic is learnt, checked, and used without an edit."""

from __future__ import annotations

import json
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

import authflow
from tests import browser
from tests.capturing import recording_proxy
from tests.servers import Came, Says, listening

PASSWORD = "hunter-22"
PAGE = """<!doctype html><html><head><title>Sign in</title><link rel="stylesheet" href="/style.css">
<script src="/app.js" defer></script></head><body><img src="/logo.svg" alt=""><form>
<input type="hidden" name="csrf" value="CSRF"><input name="user"><input name="password" type="password">
<button>Sign in</button></form></body></html>"""
SCRIPT = """
document.cookie = '_ga=GA1.1.1234567890.1700000000; path=/';
const tell = (what) => fetch('/collect', {method: 'POST', body: JSON.stringify({what, visitor: 'v-88c0ffee88c0ffee'})});
document.querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const fields = Object.fromEntries(new FormData(event.target));
  await tell('submitted');
  const login = await fetch('/api/login', {method: 'POST', body: JSON.stringify(fields),
    headers: {'Content-Type': 'application/json', 'X-Requested-With': 'XMLHttpRequest'}});
  const said = await login.json();
  const read = [];
  for (const number of [1, 2]) {
    await tell('order ' + number);
    const headers = {'Authorization': 'Bearer ' + said.session.token};
    read.push((await (await fetch('/api/orders/' + number, {headers})).json()).order);
  }
  document.title = 'read ' + read;
});
"""


class Shop:
    """A page with a guard against forged requests, beside an API with a bearer."""

    def __init__(self) -> None:
        self.guards: dict[str, str] = {}
        self.tokens: set[str] = set()

    def __call__(self, came: Came) -> Says:
        kinds = {"/style.css": "text/css", "/logo.svg": "image/svg+xml", "/favicon.ico": "image/x-icon"}
        if came.path in kinds:
            return Says(headers={"Content-Type": kinds[came.path]}, body=b"<svg xmlns='http://www.w3.org/2000/svg'/>")
        if came.path == "/app.js":
            return Says(headers={"Content-Type": "text/javascript"}, body=SCRIPT.encode())
        if came.path == "/login":
            visit, guard = secrets.token_hex(12), secrets.token_hex(12)
            self.guards[visit] = guard
            headers = {"Content-Type": "text/html", "Set-Cookie": f"visit={visit}; Path=/; HttpOnly"}
            return Says(headers=headers, body=PAGE.replace("CSRF", guard).encode())
        if came.path == "/collect":
            return Says(204, headers={"Set-Cookie": f"_gid={secrets.token_hex(6)}; Path=/"}, body=b"")
        if came.path == "/api/login":
            sent = json.loads(came.body)
            pairs = (part.strip().partition("=") for part in came.headers.get("cookie", "").split(";"))
            visit = {name: value for name, _, value in pairs}.get("visit", "")
            if sent.get("csrf") is None or self.guards.pop(visit, "") != sent["csrf"]:
                return Says(403, {"error": "forged"})
            if (sent.get("user"), sent.get("password")) != ("alice", PASSWORD):
                return Says(401, {"error": "wrong"})
            token = f"tok-{secrets.token_hex(12)}"
            self.tokens.add(token)
            return Says(json={"session": {"token": token, "expires_in": 3600}, "user": {"name": "alice"}})
        if came.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return Says(401, {"error": "expired"})
        return Says(json={"order": came.path.rpartition("/")[2]})


@pytest.mark.slow
@pytest.mark.program
@pytest.mark.skipif(browser.CHROMIUM is None or browser.DRIVER is None, reason=browser.MISSING)
def test_a_login_at_a_page_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop()
    with listening(shop) as server, recording_proxy() as (proxy, recorder):
        switches = (*browser._SWITCHES, f"--proxy-server={proxy}", "--proxy-bypass-list=<-loopback>")
        monkeypatch.setattr(browser, "_SWITCHES", switches)
        with browser.browser(width=800, height=600) as page:
            page._ask("/url", url=f"{server.url}/login")
            page.keys("input[name=user]", "alice")
            page.keys("input[name=password]", PASSWORD + browser.ENTER)
            due = time.monotonic() + 30
            while page.run("return document.title") != "read 1,2":
                assert time.monotonic() < due
                time.sleep(0.05)
        capture = recorder.save(tmp_path / "capture.har")
        recorded = capture.read_text("utf-8")
        for noise in ("app.js", "style.css", "favicon.ico", "_ga=GA1", "Mozilla/5.0"):
            assert noise in recorded

        learn = (sys.executable, "-c", "from authflow_learn.command import main; main()", str(capture))
        more = ("--out", "shop.toml", "--username", "alice", "--password-env", "SHOP_PASSWORD")
        env = {"SHOP_PASSWORD": PASSWORD, "PATH": "", "HOME": str(tmp_path)}
        done = subprocess.run([*learn, *more], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "shop.toml").read_text("utf-8")
        for hidden in (PASSWORD, *shop.tokens, *shop.guards.values(), *shop.guards):
            assert hidden not in text + done.stdout + done.stderr
        for noise in ("_ga", "_gid", "collect", "Mozilla", "sec-", "Sec-"):
            assert noise not in text
        check = (sys.executable, "-c", "from authflow.cli import main; main()", "check", "shop.toml")
        checked = subprocess.run([*check], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert checked.returncode == 0, checked.stdout

        next_words = shlex.split(done.stderr.splitlines()[-1].partition("try it with ")[2])
        against = [*check[:3], *next_words[1:], "--refuse"]
        given = {"AUTHFLOW_USERNAME": "alice", "AUTHFLOW_PASSWORD": PASSWORD, "PATH": "", "HOME": str(tmp_path)}
        asked = subprocess.run(against, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60)
        assert asked.returncode == 0, asked.stdout + asked.stderr
        assert f"reuse: status 200 at {server.url}/api/orders/" in asked.stdout
        assert "refuse: refused" in asked.stdout
        session = authflow.AuthSession(str(tmp_path / "shop.toml"), username="alice", password=PASSWORD)
        with httpx.Client(auth=session.httpx, trust_env=False) as client:
            assert client.get(f"{server.url}/api/orders/7").json() == {"order": "7"}
            shop.tokens.clear()
            assert client.get(f"{server.url}/api/orders/8").json() == {"order": "8"}
        with pytest.raises(authflow.CredentialsRefused):
            authflow.AuthSession(str(tmp_path / "shop.toml"), username="alice", password="another").login()
