"""Odd logins once more, as they were told by people who met them: pages, redirects, keys for tokens, tenants."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.servers import Came, Says

from .odd import PASSWORD, USER, Odd, cookies
from .outsiders import form, page


def query(came: Came) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(came.target).query))


class PageInTwoSteps(Odd):
    """The user's name on one page, the password on the next, each with a hidden field; the session is a cookie."""

    def answer(self, came: Came) -> Says:
        sid = cookies(came).get("PHPSESSID", "")
        if came.path == "/signin" and came.method == "GET":
            self.first, self.visit_id = secrets.token_hex(16), secrets.token_hex(13)
            field = f'<form method="post"><input type="hidden" name="_csrf" value="{self.first}"/></form>'
            return page(field, **{"Set-Cookie": f"PHPSESSID={self.visit_id}; path=/; HttpOnly"})
        if came.path == "/signin":
            if form(came) != {"_csrf": self.first, "login": USER} or sid != self.visit_id:
                return page("<p class='error'>form expired</p>")
            self.second = secrets.token_hex(16)
            return page(f'<form method="post"><input name="_csrf" type="hidden" value="{self.second}"></form>')
        if came.path == "/signin/password":
            if form(came) != {"_csrf": self.second, "password": PASSWORD} or sid != self.visit_id:
                return page("<p class='error'>wrong password</p>")
            return Says(302, headers={"Location": "/app", "Set-Cookie": f"PHPSESSID={self.issue()}; path=/"}, body=b"")
        if sid not in self.tokens:
            return Says(302, headers={"Location": "/signin"}, body=b"")
        return Says(json={"orders": []})

    def visit(self, client: httpx.Client, url: str) -> None:
        hidden = r'value="(\w+)"'
        for password in ("not this", PASSWORD):
            client.cookies.clear()
            token = re.findall(hidden, client.get(url + "/signin").text)[0]
            token = re.findall(hidden, client.post(url + "/signin", data={"_csrf": token, "login": USER}).text)[0]
            client.post(url + "/signin/password", data={"_csrf": token, "password": password})
        self.fetch(client, url)
        self.tokens.clear()
        self.fetch(client, url)


class CookieAndHeader(Odd):
    """A session's cookie, and beside it a token of the answer's body in a header; both are needed."""

    def answer(self, came: Came) -> Says:
        if came.path == "/api/session":
            if json.loads(came.body) != {"email": USER, "pass": PASSWORD}:
                return Says(401, {"error": "no"})
            self.sid, token = secrets.token_hex(16), self.issue()
            cookie = f"connect.sid={self.sid}; Path=/; HttpOnly"
            return Says(json={"csrfToken": token, "user": {"id": 77}}, headers={"Set-Cookie": cookie})
        good = cookies(came).get("connect.sid") == self.sid and came.headers.get("x-csrf-token") in self.tokens
        return Says(json={}) if good else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        said = client.post(url + "/api/session", json={"email": USER, "pass": PASSWORD}).json()
        self.fetch(client, url, headers={"X-CSRF-Token": said["csrfToken"]})


class TokenInARedirect(Odd):
    """The login redirects to a page whose query holds the token."""

    def answer(self, came: Came) -> Says:
        if came.path == "/login":
            if form(came) != {"u": USER, "p": PASSWORD}:
                return Says(302, headers={"Location": "/login?failed=1"}, body=b"")
            return Says(302, headers={"Location": f"/app?session_token={self.issue()}&lang=en"}, body=b"")
        if came.path == "/app":
            return page("<p>Hello</p>")
        return Says(json={}) if came.headers.get("x-session") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            led = client.post(url + "/login", data={"u": USER, "p": password}).headers["location"]
        client.get(url + led)
        token = dict(parse_qsl(urlsplit(led).query))["session_token"]
        self.fetch(client, url, headers={"X-Session": token})


class KeyForToken(Odd):
    """An API key in one header is exchanged for a token in a header of the answer."""

    known: ClassVar[Mapping[str, str]] = {"api_key": "ak_live_99f0c1d2e3a4b5c6"}

    def answer(self, came: Came) -> Says:
        if came.path == "/v1/exchange":
            if came.headers.get("x-api-key") != self.known["api_key"]:
                return Says(403, {"error": "unknown key"})
            return Says(204, headers={"X-Auth-Token": self.issue(), "X-Auth-Token-Expires-In": "900"}, body=b"")
        return Says(json={}) if came.headers.get("x-auth-token") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        client.post(url + "/v1/exchange", headers={"X-Api-Key": "ak_wrong_99f0c1d2e3a4b5c6"})
        answer = client.post(url + "/v1/exchange", headers={"X-Api-Key": self.known["api_key"]})
        self.fetch(client, url, headers={"X-Auth-Token": answer.headers["x-auth-token"]})


class TenantInThePath(Odd):
    """The user knows the tenant; it is in the login's path and in every path of data."""

    data: ClassVar[str] = "/t/acme-eu/orders/7"
    known: ClassVar[Mapping[str, str]] = {"username": USER, "password": PASSWORD}

    def answer(self, came: Came) -> Says:
        if came.path == "/t/acme-eu/login":
            good = json.loads(came.body) == {"user": USER, "password": PASSWORD}
            return Says(json={"jwt": self.issue(), "ttl": 1800}) if good else Says(401, {})
        good = came.headers.get("authorization", "").removeprefix("JWT ") in self.tokens
        return Says(json={}) if good and came.path.startswith("/t/acme-eu/orders/") else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/t/acme-eu/login", json={"user": USER, "password": password})
        self.fetch(client, url, headers={"Authorization": f"JWT {answer.json()['jwt']}"})


class RefreshAsJson(Odd):
    """The refresh is JSON, in an envelope, and the refresh token is replaced each time."""

    def answer(self, came: Came) -> Says:
        if came.path == "/auth/login":
            good = json.loads(came.body) == {"credentials": {"login": USER, "password": PASSWORD}}
            return self.granted() if good else Says(400, {"errors": [{"code": "bad_credentials"}]})
        if came.path == "/auth/renew":
            if json.loads(came.body) != {"renewal": {"refreshToken": self.fresh}}:
                return Says(400, {"errors": [{"code": "bad_renewal"}]})
            return self.granted()
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def granted(self) -> Says:
        self.fresh = f"rt-{uuid.uuid4().hex}"
        return Says(json={"data": {"accessToken": self.issue(), "refreshToken": self.fresh, "expiresInSeconds": 900}})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            body = {"credentials": {"login": USER, "password": password}}
            said = client.post(url + "/auth/login", json=body).json()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['data']['accessToken']}"})
        self.tokens.clear()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['data']['accessToken']}"})
        body = {"renewal": {"refreshToken": said["data"]["refreshToken"]}}
        said = client.post(url + "/auth/renew", json=body).json()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['data']['accessToken']}"})


class IdInThePath(Odd):
    """The login's answer has a customer's number, which every path of data holds beside the token."""

    data: ClassVar[str] = "/customers/83920174/orders/7"

    def answer(self, came: Came) -> Says:
        if came.path == "/login":
            good = form(came) == {"username": USER, "password": PASSWORD}
            return Says(json={"token": self.issue(), "customer": {"id": 83920174}}) if good else Says(401, {})
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        said = client.post(url + "/login", data={"username": USER, "password": PASSWORD}).json()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['token']}"})


class MultipartKey(Odd):
    """The login is a multipart form, with a boundary of the client's."""

    def answer(self, came: Came) -> Says:
        if came.path == "/upload-login":
            mark = came.headers["content-type"].partition("boundary=")[2]
            parts = came.body.decode().split(f"--{mark}")[1:-1]
            said = {re.findall('name="(.*?)"', part)[0]: part.split("\r\n\r\n", 1)[1].rstrip("\r\n") for part in parts}
            good = said == {"user": USER, "password": PASSWORD, "keep": "1"}
            return Says(json={"sessionKey": self.issue()}) if good else Says(403, {})
        return Says(json={}) if query(came).get("sessionKey") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            fields = {"user": (None, USER), "password": (None, password), "keep": (None, "1")}
            answer = client.post(url + "/upload-login", files=fields)  # type: ignore[arg-type]
        self.fetch(client, url, params={"sessionKey": answer.json()["sessionKey"]})


class HashedTwice(Odd):
    """A nonce, and the digest of it with the digest of the password: both are tried out."""

    def answer(self, came: Came) -> Says:
        if came.path == "/nonce":
            self.nonce = secrets.token_hex(12)
            return Says(json={"nonce": self.nonce})
        if came.path == "/login":
            right = hashlib.sha256(f"{self.nonce}{PASSWORD}".encode()).hexdigest()
            good = json.loads(came.body) == {"user": USER, "hash": right}
            return Says(json={"token": self.issue()}) if good else Says(401, {})
        return Says(json={}) if came.headers.get("x-token") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        nonce = client.get(url + "/nonce").json()["nonce"]
        digest = hashlib.sha256(f"{nonce}{PASSWORD}".encode()).hexdigest()
        token = client.post(url + "/login", json={"user": USER, "hash": digest}).json()["token"]
        self.fetch(client, url, headers={"X-Token": token})


class BasicForToken(Odd):
    """HTTP Basic at the token's address; then the token is the user name of Basic, with an empty password."""

    def answer(self, came: Came) -> Says:
        user, _, password = base64.b64decode(came.headers.get("authorization", "")[6:]).decode().partition(":")
        if came.path == "/tokens":
            return Says(201, {"token": self.issue()}) if (user, password) == (USER, PASSWORD) else Says(401, {})
        return Says(json={}) if (user in self.tokens and password == "x") else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/tokens", auth=(USER, password))
        token = base64.b64encode(f"{answer.json()['token']}:x".encode()).decode()
        self.fetch(client, url, headers={"Authorization": f"Basic {token}"})
