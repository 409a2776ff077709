"""Two accounts behind one gateway, each with its own login: neither sees the other's, whatever their vendors say."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers import PASSWORD, Came, Says, listening

from .conftest import ROUTE, running

#: Presented in the query; what is expired, a body of JSON says with 200.
QUERY = """
name = "{name}"
extends = "relogin"
base_url = "{url}/{name}/api/"
insecure_url = true
answers.rejected = {{ status = 200, json = {{ error = "expired" }} }}
states.signed_in.present = {{ query = {{ key = "{{access}}" }} }}
[exchanges.login]
request = {{ url = "login", json = {{ user = "{{username}}", pass = "{{password}}" }} }}
answers.granted = {{ json = {{ token = "{{access}}" }} }}
"""
ACCOUNT = '[accounts.{name}]\nvendor = "{name}.toml"\nstore = "memory"\nusername = "demo"\npassword = {{ env = "P" }}\n'
OF = {"red": "tok-red-3f8a1b2c4d5e6f70", "blue": "tok-blue-99aa88bb77cc66dd"}


def test_neither_account_sees_the_others(tmp_path: Path) -> None:
    logins = {"red": 0, "blue": 0}

    def says(came: Came) -> Says:
        name, other = ("red", "blue") if came.path.startswith("/red/") else ("blue", "red")
        token = f"{OF[name]}-{logins[name]}"
        if came.path.endswith("/login"):
            logins[name] += 1
            return Says(json={"token": f"{OF[name]}-{logins[name]}"}, headers={"Set-Cookie": f"{name}=1; Path=/"})
        if f"key={token}" not in came.target or (came.path.endswith("/once") and logins[name] < 2):
            return Says(json={"error": "expired"})
        places = {"again": "", "there": "#there", "whole": came.target, "other": f"/{other}/api/me", "up": "../me"}
        last = came.path.rpartition("/")[2]
        if last in places:
            return Says(302, headers={"Location": places[last], "Set-Cookie": f"{name}=2; Path=/"}, body=b"")
        return Says(json={"received": came.body.decode(), "target": came.path}, headers={"X-Other": OF[other]})

    routes = ""
    with listening(says) as vendor:
        for name in OF:
            (tmp_path / f"{name}.toml").write_text(QUERY.format(name=name, url=vendor.url), "utf-8")
            route = ROUTE.replace('"me"', '"*"').replace('"supplier"', f'"{name}"') + "timeout = 20\n"
            routes += route.replace("/supplier/", f"/{name}/")
            routes += route.replace("/supplier/", f"/pass-{name}/") + 'redirects = "pass"\n'
        accounts = "".join(ACCOUNT.format(name=name) for name in OF)
        with running(tmp_path, accounts, routes, P=PASSWORD) as gateway, gateway.client() as client:
            for name, other in (("red", "blue"), ("blue", "red")):
                answer = client.post(f"/{name}/once", content=b"b" * 1000)  # rejected by a body: healed, and passed on
                assert answer.json() == {"received": "b" * 1000, "target": f"/{name}/api/once"}
                assert client.get(f"/{name}/me?key=mine").json()["target"] == f"/{name}/api/me"
                places = {
                    path: client.get(f"/pass-{name}/{path}").headers.get("location")
                    for path in ("again", "there", "whole", "other", "up")
                }
                assert places["again"] == f"/pass-{name}/again"
                assert places["there"] == f"/pass-{name}/there#there"
                assert places["whole"] is None
                assert places["other"] == f"{vendor.url}/{other}/api/me"
            log = gateway.log()
        assert logins == {"red": 2, "blue": 2}
        for came in vendor.came:
            name, other = ("red", "blue") if came.path.startswith("/red/") else ("blue", "red")
            assert OF[other] not in came.everything
            assert f"{other}=" not in came.headers.get("cookie", "")
            assert "mine" not in came.target
    assert OF["red"] not in log
    assert OF["blue"] not in log
    assert "Traceback" not in log


LATE = """
name = "acme"
extends = "relogin"
base_url = "{{site}}"
[exchanges.login]
request = {{ url = "{url}/login", json = {{ user = "{{username}}", pass = "{{password}}" }} }}
answers.granted = {{ json = {{ token = "{{access}}", site = "{{site}}", kind = "{{kind}}" }} }}
"""


def test_what_a_login_says_beside_its_token_takes_no_header_away(tmp_path: Path) -> None:
    """Some say only then where the vendor is, and some say words."""

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": OF["red"], "site": f"{vendor.url}/eu1/", "kind": "json"})
        if came.path.endswith("/moved"):
            return Says(302, headers={"Location": f"{vendor.url}/eu1/me"}, body=b"")
        return Says(json={}, headers={"X-Kind": "application/json", "X-Echo": OF["red"]})

    account = ACCOUNT.format(name="supplier").replace("supplier.toml", "acme.toml")
    route = ROUTE.replace('"me"', '"*"') + 'redirects = "pass"\n'
    with listening(says) as vendor:
        (tmp_path / "acme.toml").write_text(LATE.format(url=vendor.url), "utf-8")
        with running(tmp_path, account, route, P=PASSWORD) as gateway, gateway.client() as client:
            answer = client.get("/supplier/me")
            assert answer.headers["x-kind"] == "application/json"
            assert "x-echo" not in answer.headers
            assert client.get("/supplier/moved").headers["location"] == "/supplier/me"


def test_callers_that_leave_amid_a_login_take_it_from_nobody(tmp_path: Path) -> None:
    begun, go, logins = threading.Event(), threading.Event(), [0]

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            logins[0] += 1
            begun.set()
            assert go.wait(30)
            return Says(json={"token": OF["red"]})
        return Says(json={})

    account = ACCOUNT.format(name="supplier").replace("supplier.toml", "acme.toml")
    with listening(says) as vendor:
        (tmp_path / "acme.toml").write_text(QUERY.format(name="acme", url=vendor.url), "utf-8")
        with running(tmp_path, account, P=PASSWORD) as gateway, gateway.client() as client:
            place = urlsplit(gateway.url)
            for _ in range(8):
                with socket.create_connection((place.hostname or "", place.port or 0)) as wire:
                    wire.sendall(
                        f"GET /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n\r\n".encode()
                    )
                    assert begun.wait(30)
            go.set()
            assert client.get("/supplier/me").status_code == 200
            log = gateway.log()
    assert logins == [1]
    assert "Traceback" not in log
