"""The signers beyond their own pages, over every client, against servers that check each request anew: botocore for
SigV4, PyJWT for DPoP, RFC 7616 for Digest. (OAuth 1 has oauthlib's own server, `test_oauth1`.)
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import jwt
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from authflow import AuthSession
from authflow.http import Request, parse_challenges
from authflow_signers.digest import answered
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Listener, Says, listening

clients = pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
PLAIN = {"signed_in": {"present": {}, "rejected": "refused"}, "refused": {"fail": "No."}}
TARGETS = (
    "/",
    "/a/b?b=2&a=1&a=0&c=&d",
    "/a%20b/%C3%A9+~?q=x%2By&r=a+b&s=%7E~*&%C3%BC=%C3%9F",
    "/a//b/./c/../d?x=1",
    "/table/Key%3D1?list-type=2&prefix=a%2Fb",
)


def raw(client: Driver, content: bytes) -> dict[str, Any]:
    return {"content" if client.library in ("httpx", "httpx2") else "data": content}


# --- aws-sigv4 --------------------------------------------------------------------------------------------------------


class Cloud:
    """Signs what came once more, as botocore does, and compares."""

    def __init__(self, service: str, token: str | None) -> None:
        self.kind = S3SigV4Auth if service == "s3" else SigV4Auth
        self.service, self.token, self.payloads = service, token, list[str]()

    def __call__(self, came: Came) -> Says:
        given = came.headers.get("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        headers = {name: came.headers[name] for name in names if name in came.headers}
        if not {"host", "x-amz-date"} <= headers.keys() or headers.get("x-amz-security-token") != self.token:
            return Says(403)
        self.payloads.append(came.headers.get("x-amz-content-sha256", ""))
        params = parse_qsl(came.target.partition("?")[2], keep_blank_values=True)  # as servers read them
        path = quote(unquote(came.path), safe="/~") if self.service == "s3" else came.path
        aws = AWSRequest(came.method, f"http://{headers['host']}{path}", headers, came.body, params)
        aws.context["timestamp"] = came.headers["x-amz-date"]
        signer = self.kind(Credentials("AKIDEXAMPLE", "a-secret"), self.service, "eu-1")
        text = signer.canonical_request(aws)
        wanted = signer.signature(signer.string_to_sign(aws, text), aws)
        return Says(200 if given.endswith(f"Signature={wanted}") else 403)


@clients
@pytest.mark.parametrize("token", [None, "a/session+token=="], ids=["for good", "temporary"])
@pytest.mark.parametrize("service", ["s3", "execute-api", "dynamodb", "es"])
def test_services_take_what_every_client_signs(client: Driver, service: str, token: str | None, tmp_path: Path) -> None:
    cloud = Cloud(service, token)
    with listening(cloud) as listener:
        own = {"key": "{key_id}", "secret": "{secret_key}", "token": "{session_token?}"}
        vendor = {
            "name": "cloud",
            "base_url": f"{listener.url}/",
            "start": "signed_in",
            "identity": ["key_id"],
            "credentials": {
                "key_id": {},
                "secret_key": {"secret": True},
                "session_token": {"secret": True, "optional": True},
            },
            "sign": {"aws-sigv4": {**own, "region": "eu-1", "service": service}},
            "states": PLAIN,
            "answers": {"rejected": {"status": 403}},
        }
        given = {"key_id": "AKIDEXAMPLE", "secret_key": "a-secret"} | ({"session_token": token} if token else {})
        one = AuthSession(vendor, **given)
        for target in TARGETS:
            assert client.call(one, listener.url + target).status == 200, target
        assert client.call(one, f"{listener.url}/a", "POST", json={"n": "ü"}).status == 200
        assert client.call(one, f"{listener.url}/a", "PUT", **raw(client, b"\x00\xff")).status == 200
        for body in client.one_shot.values():
            assert client.call(one, f"{listener.url}/a", "PUT", **body(b"0123456789", tmp_path)).status == 200
    assert "UNSIGNED-PAYLOAD" in cloud.payloads[-len(client.one_shot) :]


# --- dpop -------------------------------------------------------------------------------------------------------------


class Bound:
    """A token endpoint and an API that want another nonce after each `turns` requests, and know one key for a token."""

    def __init__(self, turns: int) -> None:
        self.turns, self.uses, self.number = turns, 0, 1
        self.keys: dict[str, Any] = {}
        self.seen = set[str]()
        self.log: list[tuple[str, int]] = []
        self.lock = threading.Lock()

    def __call__(self, came: Came) -> Says:
        with self.lock:
            said = self._answer(came)
            self.log.append((came.path, said.status))
            return said

    def _answer(self, came: Came) -> Says:
        proof, token = came.headers.get("dpop", ""), came.headers.get("authorization", "").removeprefix("DPoP ")
        login = came.path == "/token"
        try:
            head = jwt.get_unverified_header(proof)
            claims = jwt.decode(proof, jwt.PyJWK(head["jwk"]), ["ES256"])
        except (jwt.PyJWTError, KeyError):
            return Says(400 if login else 401)
        wanted = f"n-{self.number}"
        if claims.get("nonce") != wanted:
            headers = {"DPoP-Nonce": wanted} | ({} if login else {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"'})
            return Says(400 if login else 401, {"error": "use_dpop_nonce"}, headers)
        self.uses += 1
        if self.uses >= self.turns:
            self.uses, self.number = 0, self.number + 1
        fresh = {"DPoP-Nonce": f"n-{self.number}"}
        right = claims["htm"] == came.method and claims["htu"].endswith(came.path) and claims["jti"] not in self.seen
        self.seen.add(claims["jti"])
        if not right:
            return Says(400)
        if login:
            self.keys[f"t-{len(self.keys)}"] = head["jwk"]
            return Says(
                200, {"access_token": f"t-{len(self.keys) - 1}", "token_type": "DPoP", "expires_in": 600}, fresh
            )
        ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
        good = self.keys.get(token) == head["jwk"] and claims.get("ath") == ath
        return Says(200 if good else 401, headers=fresh)


@pytest.fixture
def bound() -> Iterator[Callable[[int], tuple[Bound, Listener, AuthSession]]]:
    with ExitStack() as stack:

        def started(turns: int) -> tuple[Bound, Listener, AuthSession]:
            server = Bound(turns)
            listener = stack.enter_context(listening(server))
            vendor = {
                "name": "bound",
                "extends": "client-credentials",
                "base_url": f"{listener.url}/",
                "settings": {"token_url": {"default": "token", "type": "url"}},
                "sign": {"dpop": {}},
                "states": {"signed_in": {"present": {"headers": {"Authorization": "DPoP {access}"}}}},
            }
            return server, listener, AuthSession(vendor, client_id="c", client_secret="s")

        yield started


@clients
def test_a_nonce_for_each_request_costs_no_second_send(client: Driver, bound: Any) -> None:
    server, listener, one = bound(1)
    assert [client.call(one, f"{listener.url}/data?n={n}").status for n in range(4)] == [200] * 4
    assert server.log == [("/token", 400), ("/token", 200), *[("/data", 200)] * 4]


@clients
def test_a_nonce_that_turns_and_a_token_that_was_revoked_take_three_sends(client: Driver, bound: Any) -> None:
    server, listener, one = bound(1_000)
    assert client.call(one, f"{listener.url}/data").status == 200
    server.number += 1
    server.keys["t-0"] = None
    server.log.clear()
    assert client.call(one, f"{listener.url}/data").status == 200
    assert server.log == [("/data", 401), ("/data", 401), ("/token", 200), ("/data", 200)]


@clients
def test_many_at_once_get_through_as_nonces_turn(client: Driver, bound: Any) -> None:
    server, listener, one = bound(3)
    one.token()
    server.log.clear()
    replies = client.calls(one, [f"{listener.url}/data/{n}" for n in range(6)], 6)
    assert all(reply.status in (200, 401) for reply in replies if not isinstance(reply, Exception))
    assert not [reply for reply in replies if isinstance(reply, Exception)]
    sends = [sum(path == f"/data/{n}" for path, _ in server.log) for n in range(6)]
    assert max(sends) <= 3
    assert len(server.keys) == 1  # a nonce that turns is no reason to log in again


# --- digest -----------------------------------------------------------------------------------------------------------


class Vault:
    """RFC 7616, whole: several challenges, one-time nonces, hashed users, both protections, SHA-512-256."""

    def __init__(self, lines: list[str], user: str = "alice", serves: int = 1_000) -> None:
        self.lines, self.user, self.serves = lines, user, serves
        self.numbers, self.uses = itertools.count(1), dict[str, int]()
        self.log: list[int] = []
        self.used: list[dict[str, str]] = []

    def __call__(self, came: Came) -> Says:
        said = self._answer(came)
        self.log.append(said.status)
        return said

    def _asks(self, stale: bool = False) -> Says:
        nonce = f"n-{next(self.numbers)}"
        self.uses[nonce] = 0
        more = f'nonce="{nonce}"' + (", stale=TRUE" if stale else "")
        return Says(401, headers={"WWW-Authenticate": ", ".join(f"{line}, {more}" for line in self.lines)})

    def _answer(self, came: Came) -> Says:
        (said,) = parse_challenges(came.headers.get("authorization", "")) or [{}]
        nonce = said.get("nonce", "")
        if nonce not in self.uses:
            return self._asks(stale=bool(nonce))
        line = Request(came.method, "http://x" + came.target, (), came.body)
        if said.get("uri") != came.target or said["response"] != answered(said, self.user, "open sesame", line):
            return self._asks()
        if int(said["nc"], 16) != self.uses[nonce] + 1:
            return Says(400)
        self.uses[nonce] += 1
        if self.uses[nonce] > self.serves:
            return self._asks(stale=True)
        self.used.append(said)
        return Says(200)


REALM = r'Digest realm="The \"vault\", inside"'
ASKED = {
    "protections in either order": [f'{REALM}, qop="auth-int,auth", algorithm=SHA-256'],
    "protections with blanks, in capitals": [f'{REALM}, qop=" AUTH , auth-int ", algorithm="sha-256"'],
    "a protection nobody knows": [f'{REALM}, qop="auth-conf,auth", algorithm=MD5, opaque="a\\"b"'],
    "the body alone": [f'{REALM}, qop="auth-int", algorithm=SHA-512-256'],
    "a hashed user": [f'{REALM}, qop="auth", algorithm=SHA-512-256, userhash=true, charset=UTF-8'],
    "the strongest first": [f'{REALM}, qop="auth", algorithm=SHA-256', f'{REALM}, qop="auth", algorithm=MD5'],
    "one that nobody knows first": [f'{REALM}, qop="auth", algorithm=SHA-9', f'{REALM}, qop="auth", algorithm=SHA-256'],
    "a session": [f'{REALM}, qop="auth", algorithm=SHA-256-sess, domain="/a /b", opaque=""'],
}


@clients
@pytest.mark.parametrize("lines", ASKED.values(), ids=[name.replace(" ", "_") for name in ASKED])
@pytest.mark.parametrize("protects", ["auth", "auth-int"])
def test_every_challenge_is_met_by_every_client(client: Driver, lines: list[str], protects: str) -> None:
    server = Vault(lines)
    with listening(server) as listener:
        one = digest(listener.url, qop=protects)
        for target in ("/a?b=c%20d&e=f+g", "/a%20b/%C3%A9"):
            assert client.call(one, listener.url + target).status == 200
            assert client.call(one, listener.url + target, "POST", json={"a": "ü"}).status == 200
            assert client.call(one, listener.url + target, "PUT", **raw(client, b"\x00\xff")).status == 200
    assert server.log == [401, *[200] * 6]


@clients
def test_nonces_that_serve_once_are_met_again_and_again(client: Driver) -> None:
    server = Vault([f'{REALM}, qop="auth", algorithm=SHA-256'], serves=1)
    with listening(server) as listener:
        one = digest(listener.url)
        assert [client.call(one, f"{listener.url}/a", "POST", json={}).status for _ in range(4)] == [200] * 4
    assert server.log == [401, 200, *[401, 200] * 3]


def digest(url: str, **more: str) -> AuthSession:
    vendor = {
        "name": "vault",
        "base_url": f"{url}/",
        "start": "signed_in",
        "identity": ["username"],
        "credentials": {"username": {}, "password": {"secret": True}},
        "sign": {"digest": {"username": "{username}", "password": "{password}", **more}},
        "states": PLAIN,
    }
    return AuthSession(vendor, username="alice", password="open sesame", clock=time.time)
