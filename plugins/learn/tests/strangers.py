# ruff: noqa: E501 -- what servers say keeps its lines
"""Odd logins of strangers: two steps with a code, envelopes, ends in many clocks, tokens in fragments, regions."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree

import httpx

from tests.servers import Came, Says

from .odd import PASSWORD, USER, Odd, cookies
from .outsiders import form, page

XML = {"Content-Type": "text/xml; charset=utf-8"}


def query(came: Came) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(came.target).query))


class XmlRpc(Odd):
    """Refusals come as faults with a status of 200; the session is the first parameter of each call."""

    data: ClassVar[str] = "/RPC2"
    method: ClassVar[str] = "POST"
    body: ClassVar[Mapping[str, Any]] = {
        "content": "<methodCall><methodName>orders.list</methodName><params><param><value><string>@TOKEN@</string></value></param></params></methodCall>",
        "headers": XML,
    }

    def answer(self, came: Came) -> Says:
        if came.method != "POST":
            return Says(405)
        call = ElementTree.fromstring(came.body)
        given = [value.text for value in call.iter("string")]
        if call.findtext("methodName") == "session.login":
            if given != [USER, PASSWORD]:
                return self.fault(403, "Login failed")
            return self.returns(
                f"<struct><member><name>session</name><value><string>{self.issue()}</string></value></member></struct>"
            )
        return (
            self.returns("<array><data></data></array>")
            if given[0] in self.tokens
            else self.fault(401, "No such session")
        )

    def returns(self, value: str) -> Says:
        body = f"<?xml version='1.0'?><methodResponse><params><param><value>{value}</value></param></params></methodResponse>"
        return Says(200, headers=XML, body=body.encode())

    def fault(self, code: int, said: str) -> Says:
        pairs = f"<member><name>faultCode</name><value><int>{code}</int></value></member><member><name>faultString</name><value><string>{said}</string></value></member>"
        body = f"<?xml version='1.0'?><methodResponse><fault><value><struct>{pairs}</struct></value></fault></methodResponse>"
        return Says(200, headers=XML, body=body.encode())

    def call(self, client: httpx.Client, url: str, name: str, *given: str) -> str:
        strings = "".join(
            f"<param><value><string>{text.replace('&', '&amp;')}</string></value></param>" for text in given
        )
        body = f"<methodCall><methodName>{name}</methodName><params>{strings}</params></methodCall>"
        return client.post(url + "/RPC2", content=body, headers=XML).text

    def visit(self, client: httpx.Client, url: str) -> None:
        self.call(client, url, "session.login", USER, "wrong")
        token = re.findall(r"<string>(\w{20,})<", self.call(client, url, "session.login", USER, PASSWORD))[0]
        for _ in range(2):
            self.call(client, url, "orders.list", token)
        self.tokens.clear()
        self.call(client, url, "orders.list", token)
        token = re.findall(r"<string>(\w{20,})<", self.call(client, url, "session.login", USER, PASSWORD))[0]
        self.call(client, url, "orders.list", token)


class EpochMs(Odd):
    """The end as epoch milliseconds, in an envelope."""

    def answer(self, came: Came) -> Says:
        if came.path == "/api/v2/authenticate":
            if json.loads(came.body) != {
                "credentials": {"userName": USER, "userPassword": PASSWORD},
                "rememberMe": False,
            }:
                return Says(200, {"success": False, "errorMessage": "Bad credentials", "result": None})
            end = int((time.time() + 1800) * 1000)
            return Says(
                200,
                {"success": True, "errorMessage": None, "result": {"sessionToken": self.issue(), "validUntil": end}},
            )
        return (
            Says(200, {"success": True})
            if came.headers.get("x-session-token") in self.tokens
            else Says(440, {"success": False})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            said = client.post(
                url + "/api/v2/authenticate",
                json={"credentials": {"userName": USER, "userPassword": password}, "rememberMe": False},
            ).json()
        for _ in range(2):
            self.fetch(client, url, headers={"X-Session-Token": said["result"]["sessionToken"]})
        client.get(url + self.data, headers={"X-Session-Token": "old"})


class IsoDate(Odd):
    """The end as an ISO date in a header; the token only in a header too."""

    def answer(self, came: Came) -> Says:
        if came.path == "/sessions":
            if json.loads(came.body) != {"login": USER, "password": PASSWORD}:
                return Says(422, {"errors": ["Invalid login or password"]})
            end = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
            return Says(201, {"id": 5}, headers={"X-Subject-Token": self.issue(), "X-Token-Expires": end})
        return Says(200, {}) if came.headers.get("x-auth-token") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/sessions", json={"login": USER, "password": password})
        self.fetch(client, url, headers={"X-Auth-Token": answer.headers["x-subject-token"]})


class Minutes(Odd):
    """The end in minutes, in XML attributes."""

    def answer(self, came: Came) -> Says:
        if came.path == "/xml/auth":
            root = ElementTree.fromstring(came.body)
            if (root.get("user"), root.get("password")) != (USER, PASSWORD):
                return Says(
                    200,
                    headers=XML,
                    body=b'<response status="error" code="102"><message>Wrong user</message></response>',
                )
            return Says(
                200,
                headers=XML,
                body=f'<response status="ok"><session id="{self.issue()}" timeoutMinutes="20"/></response>'.encode(),
            )
        good = query(came).get("session") in self.tokens
        return Says(200, headers=XML, body=b"<orders/>") if good else Says(401, headers=XML, body=b"<error/>")

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", "hunter-22 &amp; co"):
            text = client.post(
                url + "/xml/auth", content=f'<auth user="alice" password="{password}"/>', headers=XML
            ).text
        self.fetch(client, url, params={"session": re.findall('id="(.*?)"', text)[0]})


class OneTimeCode(Odd):
    """A password, then a code from a letter: two steps, the second with a ticket of the first."""

    known: ClassVar[Mapping[str, str]] = {"username": USER, "password": PASSWORD, "otp": "493817"}

    def answer(self, came: Came) -> Says:
        if came.path == "/auth/step1":
            if json.loads(came.body) != {"user": USER, "password": PASSWORD}:
                return Says(401, {"error": "invalid_credentials"})
            self.ticket = secrets.token_urlsafe(24)
            return Says(200, {"status": "MFA_REQUIRED", "mfaTicket": self.ticket, "methods": ["sms"]})
        if came.path == "/auth/step2":
            if json.loads(came.body) != {"mfaTicket": self.ticket, "code": "493817"}:
                return Says(401, {"error": "invalid_code"})
            return Says(200, {"status": "OK", "token": self.issue(), "expiresIn": 3600})
        return (
            Says(200, {})
            if came.headers.get("authorization", "").removeprefix("Token token=").strip('"') in self.tokens
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/auth/step1", json={"user": USER, "password": password})
        ticket = answer.json()["mfaTicket"]
        for code in ("000000", "493817"):
            answer = client.post(url + "/auth/step2", json={"mfaTicket": ticket, "code": code})
        self.fetch(client, url, headers={"Authorization": f'Token token="{answer.json()["token"]}"'})


class Fragment(Odd):
    """The login redirects, with the token in the fragment."""

    def answer(self, came: Came) -> Says:
        if came.path == "/oauth/implicit":
            if form(came) != {"login": USER, "pwd": PASSWORD, "app": "web-client-7"}:
                return page("<p>Sorry, wrong password</p>")
            return Says(
                303,
                headers={"Location": f"/app/#access_token={self.issue()}&token_type=Bearer&expires_in=7200"},
                body=b"",
            )
        if came.path == "/app/":
            return page("<p>Hello</p>")
        return (
            Says(200, {})
            if came.headers.get("authorization", "").removeprefix("Bearer ") in self.tokens
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/oauth/implicit", data={"login": USER, "pwd": password, "app": "web-client-7"})
        client.get(url + "/app/")
        self.fetch(
            client,
            url,
            headers={"Authorization": "Bearer " + re.findall("access_token=(.*?)&", answer.headers["location"])[0]},
        )


class Region(Odd):
    """The answer says under which path of a region the API lives."""

    data: ClassVar[str] = "/eu-2/api/orders/7"

    def answer(self, came: Came) -> Says:
        if came.path == "/global/login":
            if json.loads(came.body) != {"username": USER, "password": PASSWORD}:
                return Says(400, {"code": "E_LOGIN"})
            where = f"http://{came.headers['host']}/eu-2/api"
            return Says(
                200,
                {
                    "region": {"apiUrl": where, "name": "eu-2"},
                    "session": {"key": self.issue(), "lifetimeSeconds": "3600"},
                },
            )
        return (
            Says(200, {})
            if came.headers.get("authorization") in {f"session {one}" for one in self.tokens}
            else Says(401, {})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/global/login", json={"username": USER, "password": password})
        self.fetch(client, url, headers={"Authorization": f"session {answer.json()['session']['key']}"})


class RefreshByBearer(Odd):
    """The refresh carries the refresh token as Bearer, with an empty body, on another path."""

    def answer(self, came: Came) -> Says:
        carried = came.headers.get("authorization", "").removeprefix("Bearer ")
        if came.path == "/auth/login":
            if json.loads(came.body) != {"username": USER, "password": PASSWORD}:
                return Says(401, {"msg": "Bad username or password"})
            self.fresh = "rf." + secrets.token_urlsafe(30)
            return Says(200, {"access_token": self.issue(), "refresh_token": self.fresh})
        if came.path == "/auth/refresh":
            return Says(200, {"access_token": self.issue()}) if carried == self.fresh else Says(422, {"msg": "no"})
        return Says(200, {}) if carried in self.tokens else Says(401, {"msg": "Token has expired"})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/auth/login", json={"username": USER, "password": password})
        said = answer.json()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['access_token']}"})
        self.tokens.clear()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['access_token']}"})
        access = client.post(
            url + "/auth/refresh", headers={"Authorization": f"Bearer {said['refresh_token']}"}
        ).json()["access_token"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {access}"})


class KeyInTheQuery(Odd):
    """No login: a key and a customer's number in the query of each request."""

    known: ClassVar[Mapping[str, str]] = {"api_key": "9f8e7d6c5b4a39281706f5e4d3c2b1a0"}
    logs_in: ClassVar[bool] = False

    def answer(self, came: Came) -> Says:
        given = query(came)
        return Says(200, {}) if given.get("apikey") == self.known["api_key"] else Says(403, {"message": "Forbidden"})

    def visit(self, client: httpx.Client, url: str) -> None:
        client.get(url + self.data, params={"apikey": "wrong"})
        self.fetch(client, url, params={"apikey": self.known["api_key"], "lang": "en"})


class CookieDate(Odd):
    """A page with a hidden field of an odd name; the cookie's end is a date."""

    def answer(self, came: Came) -> Says:
        held = cookies(came)
        if came.path == "/account/login" and came.method == "GET":
            self.guard = secrets.token_urlsafe(32)
            return page(
                f"<form><input name='authenticity_token' type='hidden' value='{self.guard}'><input name='user[email]'></form>"
            )
        if came.path == "/account/login":
            if form(came) != {
                "authenticity_token": self.guard,
                "user[email]": USER,
                "user[password]": PASSWORD,
                "commit": "Log in",
            }:
                return page("<div class='flash error'>Invalid email or password.</div>")
            return Says(
                302,
                headers={
                    "Location": "/dashboard",
                    "Set-Cookie": f"_acme_session={self.issue()}; path=/; expires={formatdate(time.time() + 3600, usegmt=True)}; HttpOnly",
                },
                body=b"",
            )
        if held.get("_acme_session") not in self.tokens:
            return Says(302, headers={"Location": "/account/login"}, body=b"")
        return Says(200, {}) if came.path.startswith("/api/") else page("<h1>Welcome</h1>")

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            guard = re.findall("value='(.*?)'", client.get(url + "/account/login").text)[0]
            client.post(
                url + "/account/login",
                data={"authenticity_token": guard, "user[email]": USER, "user[password]": password, "commit": "Log in"},
            )
        client.get(url + "/dashboard")
        self.fetch(client, url)
        self.tokens.clear()
        self.fetch(client, url)


class PlainText(Odd):
    """The answer is a line of text, `key=value` in lines; the login is a GET with a query."""

    def answer(self, came: Came) -> Says:
        text = {"Content-Type": "text/plain"}
        if came.path == "/cgi-bin/login.cgi":
            if query(came) != {"account": USER, "passwd": PASSWORD, "session": "FileStation", "format": "sid"}:
                return Says(200, headers=text, body=b"result=FAIL\nerror=400\n")
            return Says(200, headers=text, body=f"result=OK\nsid={self.issue()}\nuser=alice\n".encode())
        return (
            Says(200, {})
            if query(came).get("_sid") in self.tokens
            else Says(200, {"success": False, "error": {"code": 119}})
        )

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            said = client.get(
                url + "/cgi-bin/login.cgi",
                params={"account": USER, "passwd": password, "session": "FileStation", "format": "sid"},
            ).text
        sid = re.findall("sid=(.*)", said)[0]
        self.fetch(client, url, params={"_sid": sid})
        self.tokens.clear()
        client.get(url + self.data, params={"_sid": sid})
        said = client.get(
            url + "/cgi-bin/login.cgi",
            params={"account": USER, "passwd": PASSWORD, "session": "FileStation", "format": "sid"},
        ).text
        client.get(url + self.data, params={"_sid": re.findall("sid=(.*)", said)[0]})


class JwtAndCsrf(Odd):
    """A JWT in a cookie with its own `exp`, a CSRF value in another cookie that goes into a header of writes and reads."""

    def answer(self, came: Came) -> Says:
        held = cookies(came)
        if came.path == "/api/login":
            if json.loads(came.body) != {"username": USER, "password": PASSWORD}:
                return Says(401, {})

            def part(value: Any) -> str:
                return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

            token = f"{part({'alg': 'HS256'})}.{part({'sub': 'alice', 'exp': int(time.time()) + 900, 'jti': self.issue()})}.{secrets.token_urlsafe(20)}"
            self.tokens.add(token)
            self.guard = secrets.token_hex(16)
            return Says(
                200,
                {"user": "alice"},
                headers={"Set-Cookie": f"access_token_cookie={token}; Path=/; HttpOnly", "X-CSRF": self.guard},
            )
        good = held.get("access_token_cookie") in self.tokens and came.headers.get("x-csrf") == self.guard
        return Says(200, {}) if good else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD):
            answer = client.post(url + "/api/login", json={"username": USER, "password": password})
        self.fetch(client, url, headers={"X-CSRF": answer.headers["x-csrf"]})
