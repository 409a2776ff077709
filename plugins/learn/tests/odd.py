"""Servers as outsiders write them, each with what a browser or a program did there while somebody captured it.

A server is a function of what came; `visit` is the captured visit. What is learnt of the visit must log in at the same
server, with a token that is not the captured one.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl
from xml.etree import ElementTree

import httpx

from tests.servers import Came, Says

USER, PASSWORD = "alice", "hunter-22 & co"
ODD: dict[str, type[Odd]] = {}


class Odd:
    """`good` asks for data as a client that has the token does; `data` is what a learnt file's session asks for."""

    known: ClassVar[Mapping[str, str]] = {"username": USER, "password": PASSWORD}
    data: ClassVar[str] = "/api/orders/7"
    body: ClassVar[Mapping[str, Any]] = {}
    method: ClassVar[str] = "GET"
    logs_in: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        ODD[cls.__name__] = cls

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.tokens: set[str] = set()
        self.logins = 0

    def issue(self) -> str:
        self.logins += 1
        token = f"tk{next(self.numbers)}{uuid.uuid4().hex[:24]}"
        self.tokens.add(token)
        return token

    def says(self, came: Came) -> Says:
        if came.path.startswith("/collect"):  # an analytics service beside it
            return Says(json={"visitor": "v-" + uuid.uuid4().hex}, headers={"Set-Cookie": "_ga=GA1.2.3344556677"})
        return self.answer(came)

    def answer(self, came: Came) -> Says:
        raise NotImplementedError

    def visit(self, client: httpx.Client, url: str) -> None:
        raise NotImplementedError

    def fetch(self, client: httpx.Client, url: str, **more: Any) -> None:
        for number in range(3):
            client.request(self.method, url + self.data.replace("7", str(number)), **{**self.body, **more})


def cookies(came: Came) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in came.headers.get("cookie", "").split(";"))
    return {name: value for name, _, value in pairs}


class Soap(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/soap":
            root = ElementTree.fromstring(came.body)
            if (
                came.headers.get("content-type", "").startswith("text/xml")
                and came.headers.get("soapaction") == '"Login"'
            ):
                said = {part.tag: part.text for part in root.iter() if part.text}
                if (said.get("userName"), said.get("userPass")) == (USER, PASSWORD):
                    said = f"<sessionId>{self.issue()}</sessionId><ttl>900</ttl>"
                    body = f'<?xml version="1.0"?><Env><Body><LoginResult>{said}</LoginResult></Body></Env>'
                    return Says(200, headers={"Content-Type": "text/xml"}, body=body.encode())
            return Says(
                200,
                headers={"Content-Type": "text/xml"},
                body=b"<Env><Fault><faultstring>Invalid login</faultstring></Fault></Env>",
            )
        return Says(json={}) if came.headers.get("x-session") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong &amp; wrong", "hunter-22 &amp; co"):
            body = f"<Env><Body><Login><userName>alice</userName><userPass>{password}</userPass></Login></Body></Env>"
            answer = client.post(
                url + "/soap", content=body, headers={"Content-Type": "text/xml", "SOAPAction": '"Login"'}
            )
        self.fetch(client, url, headers={"X-Session": re.findall("<sessionId>(.*?)<", answer.text)[0]})


class JsonInForm(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/rpc/login":
            form = dict(parse_qsl(came.body.decode()))
            said = json.loads(form.get("request", "{}"))
            if said == {"auth": {"login": USER, "secret": PASSWORD}, "v": 2} and form.get("format") == "json":
                return Says(json={"result": [{"kind": "session"}, {"sid": self.issue(), "valid_minutes": 30}]})
            return Says(json={"error": "bad login"})
        return (
            Says(json={}) if dict(parse_qsl(came.target.partition("?")[2])).get("sid") in self.tokens else Says(403, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for secret in ("wrong", PASSWORD):
            said = json.dumps({"auth": {"login": USER, "secret": secret}, "v": 2})
            answer = client.post(url + "/rpc/login", data={"format": "json", "request": said})
        sid = answer.json()["result"][1]["sid"]
        self.fetch(client, url, params={"sid": sid})
        self.tokens.clear()
        self.fetch(client, url, params={"sid": sid})


class Base64Pair(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/api/session":
            good = (
                json.loads(came.body or b"{}").get("credentials")
                == base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            )
            return (
                Says(201, {"sessionToken": self.issue(), "expires": "2031-01-01T00:00:00Z"}) if good else Says(401, {})
            )
        return (
            Says(json={})
            if came.headers.get("authorization") in {f"SSO {one}" for one in self.tokens}
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        token = client.post(url + "/api/session", json={"credentials": pair}).json()["sessionToken"]
        self.fetch(client, url, headers={"Authorization": f"SSO {token}"})


class Hashed(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/api/challenge":
            self.nonce = uuid.uuid4().hex
            return Says(json={"nonce": self.nonce})
        if came.path == "/api/login":
            said = json.loads(came.body)
            good = said == {"user": USER, "proof": hashlib.sha256((self.nonce + PASSWORD).encode()).hexdigest()}
            return Says(json={"token": self.issue()}) if good else Says(400, {})
        return Says(json={}) if came.headers.get("x-token") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        nonce = client.get(url + "/api/challenge").json()["nonce"]
        proof = hashlib.sha256((nonce + PASSWORD).encode()).hexdigest()
        token = client.post(url + "/api/login", json={"user": USER, "proof": proof}).json()["token"]
        self.fetch(client, url, headers={"X-Token": token})


class PasswordInBase64(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/api/login":
            good = json.loads(came.body) == {"u": USER, "p": base64.b64encode(PASSWORD.encode()).decode()}
            return Says(json={"data": {"id": 5, "jwt": self.issue()}}) if good else Says(400, {"code": 7})
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        said = {"u": USER, "p": base64.b64encode(PASSWORD.encode()).decode()}
        token = client.post(url + "/api/login", json=said).json()["data"]["jwt"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})


class WebForm(Odd):
    """A page with a hidden field and a cookie, a form, a redirect, a cookie; and what counts visitors around it."""

    def answer(self, came: Came) -> Says:
        if came.path == "/login" and came.method == "GET":
            self.csrf, self.first = uuid.uuid4().hex, uuid.uuid4().hex
            hidden = f'<input type="hidden" name="_csrf" value="{self.csrf}">'
            page = f'<html><form method="post">{hidden}<input name="email"></form></html>'
            return Says(
                200,
                headers={"Content-Type": "text/html", "Set-Cookie": f"PRESESSION={self.first}; Path=/"},
                body=page.encode(),
            )
        if came.path == "/login":
            form = dict(parse_qsl(came.body.decode()))
            good = (form.get("email"), form.get("password"), form.get("_csrf")) == (USER, PASSWORD, self.csrf)
            if good and cookies(came).get("PRESESSION") == self.first:
                return Says(
                    302,
                    headers={
                        "Location": "/home",
                        "Set-Cookie": f"APPSESSID={self.issue()}; Path=/; HttpOnly; Max-Age=1800",
                    },
                    body=b"",
                )
            return Says(302, headers={"Location": "/login?failed=1"}, body=b"")
        if cookies(came).get("APPSESSID") in self.tokens:
            return Says(json={"page": came.path})
        return Says(302, headers={"Location": f"/login?back={came.path}"}, body=b"")

    def visit(self, client: httpx.Client, url: str) -> None:
        client.cookies.set("_ga", "GA1.2.3344556677")
        client.cookies.set("OptanonConsent", "isGpcEnabled=0&datestamp=1")
        page = client.get(url + "/login").text
        client.post(url + "/collect/e", json={"event": "page", "session_id": uuid.uuid4().hex})
        csrf = re.findall('name="_csrf" value="(.*?)"', page)[0]
        client.post(url + "/login", data={"email": USER, "password": "wrong", "_csrf": csrf})
        client.post(url + "/login", data={"email": USER, "password": PASSWORD, "_csrf": csrf})
        client.post(url + "/collect/e", json={"event": "login", "session_id": uuid.uuid4().hex})
        self.fetch(client, url)
        self.tokens.clear()
        self.fetch(client, url)


class TicketInARedirect(Odd):
    def answer(self, came: Came) -> Says:
        query = dict(parse_qsl(came.target.partition("?")[2]))
        if came.path == "/sso/login":
            good = dict(parse_qsl(came.body.decode())) == {"username": USER, "password": PASSWORD}
            self.ticket = f"ST-{uuid.uuid4().hex}"
            return (
                Says(302, headers={"Location": f"/api/cas?service=orders&ticket={self.ticket}"}, body=b"")
                if good
                else Says(401, {})
            )
        if came.path == "/api/cas":
            return (
                Says(json={"accessToken": self.issue(), "ttlMs": 900000})
                if query.get("ticket") == self.ticket
                else Says(403, {})
            )
        return (
            Says(json={})
            if came.headers.get("authorization", "") in {f'Token token="{one}"' for one in self.tokens}
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        location = client.post(url + "/sso/login", data={"username": USER, "password": PASSWORD}).headers["location"]
        token = client.get(url + location).json()["accessToken"]
        self.fetch(client, url, headers={"Authorization": f'Token token="{token}"'})


class NonceInAChallenge(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/api/login" and came.method == "POST":
            said = json.loads(came.body)
            return (
                Says(json={"t": self.issue()})
                if said == {"name": USER, "pin": PASSWORD, "nonce": self.nonce}
                else Says(401, {})
            )
        if came.headers.get("x-auth") in self.tokens:
            return Says(json={})
        self.nonce = uuid.uuid4().hex
        return Says(401, {}, headers={"WWW-Authenticate": f'Acme realm="orders", nonce="{self.nonce}"'})

    def visit(self, client: httpx.Client, url: str) -> None:
        challenge = client.get(url + "/api/login").headers["www-authenticate"]
        nonce = re.findall('nonce="(.*?)"', challenge)[0]
        token = client.post(url + "/api/login", json={"name": USER, "pin": PASSWORD, "nonce": nonce}).json()["t"]
        self.fetch(client, url, headers={"X-Auth": token})


class TwoTokens(Odd):
    """Two headers come, two go; a key of the application goes with everything."""

    known: ClassVar[Mapping[str, str]] = {**Odd.known, "api_key": "k-93jf83hf93hf93"}

    def answer(self, came: Came) -> Says:
        if came.headers.get("x-api-key") != self.known["api_key"] or came.headers.get("x-version") != "3":
            return Says(400, {"error": "no key"})
        if came.path == "/api/session":
            if json.loads(came.body) != {"identifier": USER, "password": PASSWORD}:
                return Says(401, {})
            token = self.issue()
            return Says(200, {"accountId": "ABC12"}, headers={"CST": token, "X-SECURITY-TOKEN": token[::-1]})
        given = came.headers.get("cst", "")
        return (
            Says(json={})
            if given in self.tokens and came.headers.get("x-security-token") == given[::-1]
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        client.headers.update({"X-API-KEY": self.known["api_key"], "X-Version": "3"})
        said = client.post(url + "/api/session", json={"identifier": USER, "password": PASSWORD}).headers
        self.fetch(client, url, headers={"CST": said["CST"], "X-SECURITY-TOKEN": said["X-SECURITY-TOKEN"]})


class JsonRpc(Odd):
    """The token is the first of a call's parameters, and a failure is a 200."""

    data: ClassVar[str] = "/api/rpc"
    method: ClassVar[str] = "POST"
    body: ClassVar[Mapping[str, Any]] = {"json": {"method": "orders", "auth": "", "id": 2}}

    def answer(self, came: Came) -> Says:
        said = json.loads(came.body)
        if said["method"] == "login":
            good = said["params"] == ["web", USER, PASSWORD]
            return Says(
                json={"result": self.issue(), "id": 1}
                if good
                else {"error": {"code": -32602, "message": "Login name or password is incorrect."}, "id": 1}
            )
        if said.get("auth") in self.tokens:
            return Says(json={"result": [], "id": 2})
        return Says(json={"error": {"code": -32001, "message": "Session terminated, re-login."}, "id": 2})

    def visit(self, client: httpx.Client, url: str) -> None:
        def login(password: str) -> Any:
            return client.post(
                url + "/api/rpc", json={"method": "login", "params": ["web", USER, password], "id": 1}
            ).json()

        login("wrong")
        for _ in range(2):
            token = login(PASSWORD)["result"]
            for _ in range(2):
                client.post(url + "/api/rpc", json={"method": "orders", "auth": token, "id": 2})
            self.tokens.clear()
            client.post(url + "/api/rpc", json={"method": "orders", "auth": token, "id": 2})


class TokenInThePath(Odd):
    data: ClassVar[str] = "/api/orders/7"

    def answer(self, came: Came) -> Says:
        if came.path == "/api/login":
            said = json.loads(came.body)
            return (
                Says(json={"key": self.issue()}) if said == {"username": USER, "password": PASSWORD} else Says(403, {})
            )
        parts = came.path.split("/")
        return (
            Says(json={"path": "/".join(parts[3:])})
            if parts[1] == "api" and parts[2].removeprefix("s_") in self.tokens
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        token = client.post(url + "/api/login", json={"username": USER, "password": PASSWORD}).json()["key"]
        for number in range(3):
            client.get(f"{url}/api/s_{token}/orders/{number}")


class RefreshByCookie(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/auth/login" and json.loads(came.body) == {
            "email": USER,
            "password": PASSWORD,
            "remember": True,
        }:
            self.refresh = uuid.uuid4().hex
            return Says(
                json={"accessToken": self.issue(), "expiresIn": 300},
                headers={"Set-Cookie": f"refreshToken={self.refresh}; HttpOnly; Path=/auth"},
            )
        if came.path == "/auth/refresh" and came.method == "POST" and cookies(came).get("refreshToken") == self.refresh:
            self.refresh = uuid.uuid4().hex
            return Says(
                json={"accessToken": self.issue(), "expiresIn": 300},
                headers={"Set-Cookie": f"refreshToken={self.refresh}; HttpOnly; Path=/auth"},
            )
        return (
            Says(json={})
            if came.headers.get("authorization", "")[7:] in self.tokens
            else Says(401, {"error": "expired"})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        token = client.post(url + "/auth/login", json={"email": USER, "password": PASSWORD, "remember": True}).json()[
            "accessToken"
        ]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})
        token = client.post(url + "/auth/refresh").json()["accessToken"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})


class DoubleSubmit(Odd):
    """The login sets two cookies; one of them goes as a header too."""

    def answer(self, came: Came) -> Says:
        if came.path == "/api/login":
            form = dict(parse_qsl(came.body.decode()))
            if form != {"user": USER, "passwd": PASSWORD}:
                return Says(401, {})
            token = self.issue()
            return Says(
                200,
                headers={"Set-Cookie": f"sid={token}; HttpOnly", "set-cookie": f"XSRF-TOKEN={token[::-1]}"},
                body=b"{}",
            )
        held = cookies(came)
        good = held.get("sid") in self.tokens and came.headers.get("x-xsrf-token") == held["sid"][::-1]
        return Says(json={}) if good else Says(403, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        client.post(url + "/api/login", data={"user": USER, "passwd": PASSWORD})
        for _ in range(2):
            self.fetch(client, url, headers={"X-XSRF-TOKEN": client.cookies["XSRF-TOKEN"]})
            self.tokens.clear()


class MadeAnew(Odd):
    """A time and a random id go with each login: two logins tell."""

    def answer(self, came: Came) -> Says:
        if came.path == "/api/login":
            said = json.loads(came.body)
            good = (said["user"], said["password"], said["device"]) == (USER, PASSWORD, "web-7f3a9c0d1e2b4a5f")
            good = good and abs(int(said["ts"]) - 2_000_000_000) < 10**9 and uuid.UUID(said["rid"]).version == 4
            if not good or said["rid"] in self.tokens:
                return Says(400, {})
            self.tokens.add(said["rid"])
            return Says(200, headers={"Content-Type": "text/plain"}, body=self.issue().encode())
        return Says(json={}) if came.headers.get("authorization") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for at in (1_790_000_000, 1_790_000_777):
            said = {
                "user": USER,
                "password": PASSWORD,
                "device": "web-7f3a9c0d1e2b4a5f",
                "ts": at,
                "rid": str(uuid.uuid4()),
            }
            token = client.post(url + "/api/login", json=said).text
            self.fetch(client, url, headers={"Authorization": token})


class BasicForAToken(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/oauth/token":
            pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            good = (
                came.headers.get("authorization") == f"Basic {pair}" and came.body == b"grant_type=client_credentials"
            )
            return (
                Says(json={"access_token": self.issue(), "token_type": "bearer", "expires_in": 599})
                if good
                else Says(401, {})
            )
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        form = {"grant_type": "client_credentials"}
        token = client.post(url + "/oauth/token", data=form, auth=(USER, PASSWORD)).json()["access_token"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})


class Multipart(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/api/login":
            good = (
                f'name="user"\r\n\r\n{USER}\r\n'.encode() in came.body
                and f'name="password"\r\n\r\n{PASSWORD}\r\n'.encode() in came.body
            )
            boundary = came.headers["content-type"].partition("boundary=")[2]
            return (
                Says(json={"session": {"number": 9_876_543_210 + self.issue_number()}})
                if good and boundary.encode() in came.body
                else Says(400, {})
            )
        return Says(json={}) if came.headers.get("x-session-number") in self.tokens else Says(401, {})

    def issue_number(self) -> int:
        number = next(self.numbers)
        self.logins += 1
        self.tokens.add(str(9_876_543_210 + number))
        return number

    def visit(self, client: httpx.Client, url: str) -> None:
        said = client.post(url + "/api/login", files={"user": (None, USER), "password": (None, PASSWORD)}).json()
        self.fetch(client, url, headers={"X-Session-Number": str(said["session"]["number"])})


class UpgradedSession(Odd):
    """The cookie is there before the login, and the login makes it good."""

    def answer(self, came: Came) -> Says:
        if came.path == "/":
            self.cookie = uuid.uuid4().hex
            return Says(
                200,
                headers={"Set-Cookie": f"JSESSIONID={self.cookie}; Path=/", "Content-Type": "text/html"},
                body=b"<html>hello</html>",
            )
        if came.path == "/j_security_check":
            form = dict(parse_qsl(came.body.decode()))
            if form == {"j_username": USER, "j_password": PASSWORD} and cookies(came).get("JSESSIONID") == self.cookie:
                self.logins += 1
                self.tokens.add(self.cookie)
                return Says(302, headers={"Location": "/start"}, body=b"")
            return Says(200, headers={"Content-Type": "text/html"}, body=b"<html>wrong password</html>")
        return Says(json={}) if cookies(came).get("JSESSIONID") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        client.get(url + "/")
        for password in ("wrong", PASSWORD):
            client.post(url + "/j_security_check", data={"j_username": USER, "j_password": password})
        self.fetch(client, url)


Visit = Callable[[httpx.Client, str], None]
