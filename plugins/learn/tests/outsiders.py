"""More servers as outsiders write them: pages with tokens, tenants looked up, second steps, envelopes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

import httpx

from tests.servers import Came, Says

from .odd import PASSWORD, USER, Odd, cookies


def form(came: Came) -> dict[str, str]:
    return dict(parse_qsl(came.body.decode(), keep_blank_values=True))


def page(text: str, **headers: str) -> Says:
    return Says(200, headers={"Content-Type": "text/html; charset=utf-8", **headers}, body=text.encode())


class CsrfOfTheNextPage(Odd):
    """A cookie from the login, and for data a token that stands in a page behind it."""

    def answer(self, came: Came) -> Says:
        sid = cookies(came).get("sid", "")
        if came.path == "/login" and came.method == "GET":
            self.token = uuid.uuid4().hex
            return page(f'<head><meta name="csrf-token" content="{self.token}"></head>')
        if came.path == "/login":
            if came.headers.get("x-csrf-token") != self.token:
                return Says(419, {"message": "CSRF token mismatch."})
            if json.loads(came.body) != {"email": USER, "password": PASSWORD}:
                return Says(422, {"message": "These credentials do not match our records."})
            return Says(
                200, {"ok": True}, headers={"Set-Cookie": f"sid={self.issue()}; Path=/; HttpOnly; SameSite=Lax"}
            )
        if came.path == "/app" and sid in self.tokens:
            return page(f'<head><meta name="csrf-token" content="{sid[::-1]}"></head><body>Hello alice</body>')
        good = sid in self.tokens and came.headers.get("x-csrf-token") == sid[::-1]
        return Says(json={"orders": []}) if good else Says(401, {"message": "Unauthenticated."})

    def visit(self, client: httpx.Client, url: str) -> None:
        meta = 'content="(.*?)"'
        token = re.findall(meta, client.get(url + "/login").text)[0]
        for password in ("wrong", PASSWORD):
            client.post(url + "/login", json={"email": USER, "password": password}, headers={"X-CSRF-TOKEN": token})
        token = re.findall(meta, client.get(url + "/app").text)[0]
        self.fetch(client, url, headers={"X-CSRF-TOKEN": token})


class ChallengeWithAKey(Odd):
    """A key opens a challenge, which goes back as it came."""

    known: ClassVar[Mapping[str, str]] = {"api_key": "pk-live-83hf93hf93hf"}

    def answer(self, came: Came) -> Says:
        key = came.headers.get("x-key")
        if came.path == "/auth/challenge":
            self.challenge = uuid.uuid4().hex
            return Says(json={"challenge": self.challenge}) if key == self.known["api_key"] else Says(403, {})
        if came.path == "/auth/token":
            good = key == self.known["api_key"] and json.loads(came.body) == {"challenge": self.challenge}
            return Says(201, {"token": self.issue(), "expires": 3600}) if good else Says(403, {})
        return Says(json={}) if came.headers.get("authorization", "")[6:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        key = {"X-Key": self.known["api_key"]}
        challenge = client.get(url + "/auth/challenge", headers=key).json()
        token = client.post(url + "/auth/token", json=challenge, headers=key).json()["token"]
        self.fetch(client, url, headers={"Authorization": f"Token {token}"})


class XmlLogin(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/xml/session":
            text = f"<login><user>{escape(USER)}</user><password>{escape(PASSWORD)}</password></login>"
            good = came.body.decode() == text and came.headers["content-type"] == "application/xml"
            said = f'<?xml version="1.0"?><session id="{self.issue()}"><timeout>900</timeout></session>' if good else ""
            return Says(200 if good else 403, headers={"Content-Type": "application/xml"}, body=said.encode())
        return Says(json={}) if came.headers.get("x-session") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        text = f"<login><user>{escape(USER)}</user><password>{escape(PASSWORD)}</password></login>"
        said = client.post(url + "/xml/session", content=text, headers={"Content-Type": "application/xml"}).text
        self.fetch(client, url, headers={"X-Session": re.findall('id="(.*?)"', said)[0]})


class TenantLookedUp(Odd):
    """The e-mail address finds the tenant, whose name is in the path of the login and in a header of all data."""

    def answer(self, came: Came) -> Says:
        if came.path == "/tenants":
            return Says(json={"tenant": "acme-eu-4", "region": "eu"})
        if came.path == "/t/acme-eu-4/login":
            good = json.loads(came.body) == {"login": USER, "password": PASSWORD}
            return (
                Says(json={"data": {"session": {"token": self.issue(), "expiresIn": 600}}}) if good else Says(401, {})
            )
        good = came.headers.get("x-tenant") == "acme-eu-4"
        return Says(json={}) if good and came.headers.get("x-session-token") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        tenant = client.get(url + "/tenants", params={"email": USER}).json()["tenant"]
        said = client.post(f"{url}/t/{tenant}/login", json={"login": USER, "password": PASSWORD}).json()
        token = said["data"]["session"]["token"]
        self.fetch(client, url, headers={"X-Tenant": tenant, "X-Session-Token": token})


class TokenInTheQuery(Odd):
    def answer(self, came: Came) -> Says:
        query = dict(parse_qsl(came.target.partition("?")[2]))
        if came.path == "/webapi/auth.cgi":
            good = (query["account"], query["passwd"]) == (USER, PASSWORD)
            return Says(
                json={"success": True, "data": {"sid": self.issue()}}
                if good
                else {"success": False, "error": {"code": 400}}
            )
        if query.get("_sid") in self.tokens:
            return Says(json={"success": True, "data": []})
        return Says(json={"success": False, "error": {"code": 119}})

    data: ClassVar[str] = "/webapi/entry.cgi?api=List&id=7"

    def visit(self, client: httpx.Client, url: str) -> None:
        for password in ("wrong", PASSWORD, PASSWORD):
            query = {"api": "Auth", "account": USER, "passwd": password}
            said = client.get(url + "/webapi/auth.cgi", params=query).json()
            if said["success"]:
                for number in (1, 2):
                    client.get(url + f"/webapi/entry.cgi?api=List&id={number}&_sid={said['data']['sid']}")
                self.tokens.clear()
                client.get(url + f"/webapi/entry.cgi?api=List&id=1&_sid={said['data']['sid']}")


class Base64JsonInAForm(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/gate":
            said = json.loads(base64.b64decode(form(came)["payload"]))
            good = said == {"u": USER, "p": PASSWORD, "v": 2}
            return Says(json={"r": {"k": self.issue()}}) if good else Says(403, {"r": None})
        return Says(json={}) if came.headers.get("x-k") in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        payload = base64.b64encode(json.dumps({"u": USER, "p": PASSWORD, "v": 2}).encode()).decode()
        token = client.post(url + "/gate", data={"payload": payload}).json()["r"]["k"]
        self.fetch(client, url, headers={"X-K": token})


class HmacOfANonce(Odd):
    def answer(self, came: Came) -> Says:
        if came.path == "/nonce":
            self.nonce = uuid.uuid4().hex
            return Says(json={"nonce": self.nonce})
        if came.path == "/login":
            said = json.loads(came.body)
            right = hmac.new(PASSWORD.encode(), self.nonce.encode(), "sha256").hexdigest()
            return Says(json={"access": self.issue()}) if said == {"user": USER, "mac": right} else Says(403, {})
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        nonce = client.get(url + "/nonce").json()["nonce"]
        mac = hmac.new(PASSWORD.encode(), nonce.encode(), "sha256").hexdigest()
        token = client.post(url + "/login", json={"user": USER, "mac": mac}).json()["access"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})


class HashedPassword(Odd):
    """The page hashes the password before it is sent."""

    def answer(self, came: Came) -> Says:
        if came.path == "/rest/login":
            right = hashlib.md5(PASSWORD.encode()).hexdigest()
            return Says(json={"sessionKey": self.issue()}) if form(came) == {"user": USER, "hash": right} else Says(401)
        return Says(json={}) if came.headers.get("authorization", "")[8:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        digest = hashlib.md5(PASSWORD.encode()).hexdigest()
        token = client.post(url + "/rest/login", data={"user": USER, "hash": digest}).json()["sessionKey"]
        self.fetch(client, url, headers={"Authorization": f"Session {token}"})


class AspNet(Odd):
    """Hidden fields of a page go back with the form, long ones too; a cookie comes with a redirect."""

    def answer(self, came: Came) -> Says:
        if came.path == "/Account/Login" and came.method == "GET":
            self.state, self.check = base64.b64encode(uuid.uuid4().bytes * 40).decode(), "CfDJ8" + uuid.uuid4().hex
            fields = f'<input type="hidden" name="__VIEWSTATE" id="__VIEWSTATE" value="{self.state}" />'
            fields += f'<input name="__RequestVerificationToken" type="hidden" value="{self.check}" />'
            return page(
                f"<form>{fields}</form>", **{"Set-Cookie": f".AspNetCore.Antiforgery.x={self.check[::-1]}; path=/"}
            )
        if came.path == "/Account/Login":
            said = form(came)
            good = (said.get("Input.Email"), said.get("Input.Password")) == (USER, PASSWORD)
            good = good and (said["__VIEWSTATE"], said["__RequestVerificationToken"]) == (self.state, self.check)
            good = good and cookies(came).get(".AspNetCore.Antiforgery.x") == self.check[::-1]
            if not good:
                return page("<div class='validation-summary-errors'>Invalid login attempt.</div>")
            return Says(
                302,
                headers={"Location": "/", "Set-Cookie": f".AspNetCore.Cookies={self.issue()}; path=/; secure"},
                body=b"",
            )
        if cookies(came).get(".AspNetCore.Cookies") in self.tokens:
            return Says(json={})
        return Says(302, headers={"Location": "/Account/Login?ReturnUrl=" + quote(came.path, safe="")}, body=b"")

    def visit(self, client: httpx.Client, url: str) -> None:
        text = client.get(url + "/Account/Login").text
        fields = dict(re.findall(r'name="(__\w+)"[^>]*value="(.*?)"', text))
        antiforgery = {"Cookie": f".AspNetCore.Antiforgery.x={client.cookies['.AspNetCore.Antiforgery.x']}"}
        said = {"Input.Email": USER, "Input.Password": PASSWORD, **fields}
        client.post(url + "/Account/Login", data={**said, "Input.Password": "wrong"}, headers=antiforgery)
        answer = client.post(url + "/Account/Login", data=said, headers=antiforgery)
        held = re.findall(r"Cookies=(.*?);", answer.headers["set-cookie"])[0]
        client.cookies.clear()
        self.fetch(client, url, headers={"Cookie": f".AspNetCore.Cookies={held}"})
        self.tokens.clear()
        client.get(url + "/api/orders/1", headers={"Cookie": f".AspNetCore.Cookies={held}"})


class GraphQl(Odd):
    data: ClassVar[str] = "/graphql"
    method: ClassVar[str] = "POST"
    body: ClassVar[Mapping[str, Any]] = {"json": {"query": "{ orders { id } }"}}

    def answer(self, came: Came) -> Says:
        if came.method != "POST":
            return Says(405, {"errors": [{"message": "POST only"}]})
        said = json.loads(came.body)
        if "login(" in said["query"]:
            if said.get("variables") != {"email": USER, "password": PASSWORD}:
                return Says(json={"errors": [{"message": "Invalid credentials"}], "data": None})
            return Says(json={"data": {"login": {"token": self.issue(), "user": {"id": "77"}}}})
        if came.headers.get("authorization", "")[7:] in self.tokens:
            return Says(json={"data": {"orders": []}})
        return Says(401, {"errors": [{"message": "Unauthorized"}]})

    def visit(self, client: httpx.Client, url: str) -> None:
        ask = "mutation L($email: String!, $password: String!) { login(email: $email, password: $password) { token } }"
        for password in ("wrong", PASSWORD):
            said = client.post(
                url + "/graphql", json={"query": ask, "variables": {"email": USER, "password": password}}
            )
        token = said.json()["data"]["login"]["token"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})


class RefreshWithOldToken(Odd):
    """Refresh by PUT with both; the answer nests otherwise than the login's."""

    def answer(self, came: Came) -> Says:
        if came.path == "/v1/sessions" and came.method == "POST":
            if json.loads(came.body) != {"credentials": {"name": USER, "secret": PASSWORD}, "client": "web"}:
                return Says(400, {"code": "BAD_CREDENTIALS"})
            self.renewal = uuid.uuid4().hex
            return Says(201, {"session": {"access": self.issue(), "renewal": self.renewal}, "ttl": 60})
        if came.path == "/v1/sessions/renew":
            said = json.loads(came.body)
            if said != {"renewal": self.renewal}:
                return Says(410, {})
            self.renewal = uuid.uuid4().hex
            return Says(200, {"access": self.issue(), "renewal": self.renewal, "ttl": 60})
        return Says(json={}) if came.headers.get("authorization", "")[7:] in self.tokens else Says(401, {})

    def visit(self, client: httpx.Client, url: str) -> None:
        said = client.post(
            url + "/v1/sessions", json={"credentials": {"name": USER, "secret": PASSWORD}, "client": "web"}
        ).json()
        token = said["session"]["access"]
        self.fetch(client, url, headers={"Authorization": f"Bearer {token}"})
        self.tokens.clear()
        client.get(url + "/api/orders/1", headers={"Authorization": f"Bearer {token}"})
        said = client.post(url + "/v1/sessions/renew", json={"renewal": said["session"]["renewal"]}).json()
        self.fetch(client, url, headers={"Authorization": f"Bearer {said['access']}"})
