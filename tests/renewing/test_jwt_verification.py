"""`[verify]` against keys published over a real socket."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import authflow
from authflow.accounts.records import Record
from authflow.http import NOTHING
from authflow.stores import MemoryStore


class Issuer:
    """Hands out tokens made by `mint` and publishes `keys`; both can be changed between requests."""

    def __init__(self) -> None:
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.fetched = 0
        self.document: Any = None
        self.rotate("one")
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.fetched += 1
                self._say(issuer.document or {"keys": [issuer.public(kid) for kid in issuer.keys]})

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self._say({"token": issuer.token})

            def _say(self, document: Any) -> None:
                body = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rotate(self, kid: str) -> None:
        self.keys = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        self.token = self.mint(kid)

    def public(self, kid: str) -> dict[str, Any]:
        document: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[kid].public_key(), as_dict=True)
        return {**document, "kid": kid, "use": "sig", "alg": "RS256"}

    def mint(self, kid: str, **changed: Any) -> str:
        claims = {"iss": "them", "aud": "us", "exp": int(time.time()) + 3600, **changed}
        return jwt.encode(claims, self.keys[kid], algorithm="RS256", headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()


def session_for(
    issuer: Issuer, keys: str = "keys", file: Mapping[str, Any] = NOTHING, **more: Any
) -> authflow.AuthSession:
    vendor = {
        "name": "issuer",
        "extends": "relogin",
        "base_url": issuer.url,
        "verify": {"jwks_url": keys, "issuer": "them", "audience": "us"},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access:jwt}"}}},
            }
        },
        **file,
    }
    return authflow.AuthSession(vendor, username="anna", password="open-sesame", **more)


def test_a_token_signed_by_a_published_key_is_kept_and_the_keys_are_fetched_once(issuer: Issuer) -> None:
    session = session_for(issuer)
    assert session.token().access == issuer.token
    session.login()
    assert issuer.fetched == 1


@pytest.mark.parametrize("tenant", ["t1", "another"])
def test_what_iss_and_aud_must_be_may_hang_on_settings(tenant: str, issuer: Issuer) -> None:
    issuer.token = issuer.mint("one", iss="https://t1.example/", aud=["t1-orders"])
    verify = {"jwks_url": "{tenant}/keys", "issuer": "https://{tenant}.example/", "audience": ["x", "{tenant}-orders"]}
    session = session_for(issuer, file={"verify": verify, "settings": {"tenant": {}}}, tenant=tenant)
    if tenant == "t1":
        assert session.token().access == issuer.token
    else:
        with pytest.raises(authflow.VendorAnswerError, match=r"Audience|issuer"):
            session.token()


@pytest.mark.parametrize("key", ["jwks_url", "issuer", "audience"])
def test_a_name_that_nothing_fills_is_found_before(key: str, issuer: Issuer) -> None:
    with pytest.raises(authflow.VendorFileError) as caught:
        session_for(issuer, file={"verify": {"jwks_url": "keys", key: "a/{tenent}/b"}})
    assert [(finding.key, finding.reason) for finding in caught.value.findings] == [
        (f"verify.{key}", "unknown value 'tenent'")
    ]


def test_a_rotated_key_is_fetched_when_it_first_signs(issuer: Issuer) -> None:
    session = session_for(issuer)
    session.token()
    issuer.rotate("two")
    assert session.login().access == issuer.token
    assert issuer.fetched == 2


FORGED = {
    "no signature at all": lambda issuer: jwt.encode(
        {"iss": "them", "aud": "us", "exp": time.time() + 3600}, None, algorithm="none", headers={"kid": "one"}
    ),
    "a shared secret": lambda issuer: jwt.encode(
        {"iss": "them", "aud": "us", "exp": time.time() + 3600}, "k" * 64, algorithm="HS256", headers={"kid": "one"}
    ),
    "an unpublished key under a published name": lambda issuer: jwt.encode(
        {"iss": "them", "aud": "us", "exp": time.time() + 3600},
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        algorithm="RS256",
        headers={"kid": "one"},
    ),
    "another issuer": lambda issuer: issuer.mint("one", iss="others"),
    "another audience": lambda issuer: issuer.mint("one", aud="others"),
    **{
        f"an exp of {exp!r}": lambda issuer, exp=exp: issuer.mint("one", exp=exp)
        for exp in (float("nan"), float("inf"), True, 1, None, 10**400, "soon")
    },
    "an nbf that is no time": lambda issuer: issuer.mint("one", nbf=float("nan")),
    "not valid yet": lambda issuer: issuer.mint("one", nbf=int(time.time()) + 3000),
    "an unknown key": lambda issuer: jwt.encode({"exp": 1}, "k" * 64, algorithm="HS256", headers={"kid": "three"}),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_token_that_does_not_verify_is_never_used(issuer: Issuer, forge: Any) -> None:
    issuer.token = forge(issuer)
    session = session_for(issuer)
    with pytest.raises(authflow.VendorAnswerError) as caught:
        session.token()
    assert issuer.token not in str(caught.value)
    assert session.status().expires_at is None


def planted(issuer: Issuer, token: str) -> MemoryStore:
    """A store whose record holds this token."""
    store = MemoryStore()
    session_for(issuer, store=store).token()
    ((key, stored),) = store._records.items()
    record = Record.from_bytes(stored.data)
    changed = record.replace(captured={**record.captured, "access": token}, grant="0b")
    store.save(key, changed.to_bytes(), stored.revision)
    return store


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_stores_word_is_no_proof(issuer: Issuer, forge: Any) -> None:
    session = session_for(issuer, store=planted(issuer, forge(issuer)))
    assert session.token().access == issuer.token


def test_a_store_whose_tokens_cannot_be_proved_is_waited_for(issuer: Issuer) -> None:
    store = planted(issuer, issuer.mint("one", sub="another"))
    issuer.server.shutdown()
    issuer.server.server_close()
    with pytest.raises(authflow.VendorUnavailable):
        session_for(issuer, store=store).token()


def test_keys_that_cannot_be_had_are_no_reason_to_send_the_password(issuer: Issuer) -> None:
    store = planted(issuer, issuer.mint("one", sub="another"))
    with pytest.raises(authflow.VendorUnavailable, match="cannot be fetched"):
        session_for(issuer, "http://127.0.0.1:1/keys", store=store).token()
    assert session_for(issuer, store=store).token().access != issuer.token  # what was planted is a good token


@pytest.mark.parametrize(
    "document", [b"<h1>Be back soon</h1>", b'{"keys": ', {"error": "later"}, ["keys"], {"keys": "none"}], ids=str
)
def test_what_are_no_keys_prove_nothing_and_cost_no_login(issuer: Issuer, document: Any) -> None:
    store = planted(issuer, issuer.mint("one", sub="another"))
    kept = session_for(issuer, store=store)
    issuer.document = document
    with pytest.raises(authflow.VendorUnavailable, match="no JSON Web Key Set"):
        kept.token()
    issuer.document = None
    assert session_for(issuer, store=store).token().access != issuer.token
