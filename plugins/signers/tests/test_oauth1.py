"""OAuth 1 against a strict server: oauthlib's own endpoints, which check nonces, times, keys and every parameter."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from oauthlib.oauth1 import AccessTokenEndpoint, RequestTokenEndpoint, RequestValidator, ResourceEndpoint

from authflow import AuthSession, ConfigurationError, CredentialsRefused
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Says, listening

PRIVATE = rsa.generate_private_key(65537, 2048)
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
KEY, SECRET = "client-key-of-some-length", "client-secret-of-some-length"
METHODS = ("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "RSA-SHA1", "RSA-SHA256", "RSA-SHA512")


class Strict(RequestValidator):  # type: ignore[misc,unused-ignore]
    """One client, one user, no nonce twice."""

    enforce_ssl = False
    client_key_length = nonce_length = request_token_length = access_token_length = verifier_length = (4, 60)
    allowed_signature_methods = METHODS
    dummy_client = dummy_request_token = dummy_access_token = "dummy-of-some-length"

    def __init__(self) -> None:
        super().__init__()
        self.tokens = {"token-of-some-length": "token-secret-of-some-length"}
        self.temporary: dict[str, str] = {}
        self.seen: set[tuple[Any, ...]] = set()

    def check_client_key(self, client_key: str) -> bool:
        return True

    def check_nonce(self, nonce: str) -> bool:
        return True

    check_request_token = check_access_token = check_verifier = check_client_key

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == KEY

    def validate_access_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.tokens

    def validate_request_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.temporary

    def validate_timestamp_and_nonce(self, *what: Any, **token: Any) -> bool:
        used = (what[2], what[1])
        fresh = used not in self.seen
        self.seen.add(used)
        return fresh

    def validate_verifier(self, client_key: str, token: str, verifier: str, request: Any) -> bool:
        return verifier == "seven-seven-seven"

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return SECRET

    def get_rsa_key(self, client_key: str, request: Any) -> str:
        return PUBLIC

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.tokens.get(token, "none")

    def get_request_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.temporary.get(token, "none")

    def validate_realms(self, *what: Any, **more: Any) -> bool:
        return True

    validate_requested_realms = check_realms = validate_redirect_uri = validate_realms

    def get_default_realms(self, client_key: str, request: Any) -> list[str]:
        return []

    def get_realms(self, token: str, request: Any) -> list[str]:
        return []

    def save_request_token(self, token: Any, request: Any) -> None:
        self.temporary[token["oauth_token"]] = token["oauth_token_secret"]

    def save_access_token(self, token: Any, request: Any) -> None:
        self.tokens[token["oauth_token"]] = token["oauth_token_secret"]

    def invalidate_request_token(self, client_key: str, request_token: str, request: Any) -> None:
        del self.temporary[request_token]


class Server:
    def __init__(self) -> None:
        self.validator, self.log = Strict(), list[tuple[str, int]]()
        self.url = ""

    def __call__(self, came: Came) -> Says:
        said = self._answer(came)
        self.log.append((came.path, said.status))
        return said

    def _answer(self, came: Came) -> Says:
        headers = {name.title(): value for name, value in came.headers.items()}
        form = headers.get("Content-Type", "").startswith("application/x-www-form-urlencoded")
        asked = (self.url + came.target, came.method, came.body.decode() if form else None, headers)
        if came.path in ("/initiate", "/token"):
            kind = RequestTokenEndpoint if came.path == "/initiate" else AccessTokenEndpoint
            make = "create_request_token_response" if came.path == "/initiate" else "create_access_token_response"
            told, body, status = getattr(kind(self.validator), make)(*asked)
            return Says(status, headers=dict(told), body=str(body).encode())
        right, _ = ResourceEndpoint(self.validator).validate_protected_resource_request(*asked)
        return Says(200 if right else 401, {"received": len(came.body)})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with listening(server) as listener:
        server.url = listener.url
        yield listener.url


def file(url: str, **parameters: str) -> dict[str, Any]:
    own = {"client_key": "{client_key}", "token": "{token}", "token_secret": "{token_secret}"}
    return {
        "name": "shop",
        "base_url": f"{url}/",
        "start": "signed_in",
        "identity": ["client_key"],
        "credentials": {
            "client_key": {},
            "client_secret": {"secret": True, "optional": True},
            "private_key": {"secret": True, "optional": True},
            "token": {"secret": True},
            "token_secret": {"secret": True},
        },
        "sign": {"oauth1": {**own, "client_secret": "{client_secret?}", "private_key": "{private_key?}", **parameters}},
        "states": {"signed_in": {"present": {}, "rejected": "refused"}, "refused": {"fail": "No."}},
    }


GIVEN = {"client_key": KEY, "token": "token-of-some-length", "token_secret": "token-secret-of-some-length"}


def session(url: str, method: str = "HMAC-SHA1", clock: Any = time.time, **more: str) -> AuthSession:
    proof = {"private_key": PEM} if method.startswith("RSA") else {"client_secret": SECRET}
    return AuthSession(file(url, method=method), clock=clock, **{**GIVEN, **proof, **more})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_accepted(method: str, url: str) -> None:
    one = session(url, method)
    for path in ("/data", "/data?b5=%3D%253D&a3=a&c%40=&a2=r%20b", "/data?a=1&a=2"):
        assert DRIVERS[0].call(one, url + path).status == 200


@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
def test_bodies_of_each_kind_over_every_client(client: Driver, url: str, tmp_path: Path) -> None:
    one = session(url)
    assert client.call(one, f"{url}/data").status == 200
    kinds = {**client.replayable, **client.one_shot}
    for body in kinds.values():
        assert client.call(one, f"{url}/data", "POST", **body(b"0123456789", tmp_path)).status == 200
    form = {"data": {"a2": "r b", "a3": "2=q"}}
    assert client.call(one, f"{url}/data", "POST", **form).status == 200


@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
@pytest.mark.parametrize(
    "target", ["/a?b=2&a=1&a=0&c=&d=", "/a%20b/%C3%A9?q=x%2By&r=a+b&s=%7E~*", "/a?%C3%BC=%C3%9F&oauth=1#part", "/"]
)
def test_parameters_in_every_spelling_are_signed(client: Driver, target: str, url: str) -> None:
    one = session(url)
    assert client.call(one, url + target).status == 200
    forms = [{"a": "1", "b": "x y+ü*~"}, {"a": "&=%", "ü": "ß"}, {"a": ""}]
    forms += [{"a": ["1", "0", "1"]}] if client.library != "aiohttp" else []  # type: ignore[dict-item]
    for form in forms:
        assert client.call(one, url + target, "POST", data=form).status == 200, form
    assert client.call(one, url + target, "POST", json={"a": "1"}).status == 200
    content = {"content" if client.library in ("httpx", "httpx2") else "data": b"a=1&a=0&b=%C3%BC+c"}
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    assert client.call(one, url + target, "PUT", headers=headers, **content).status == 200


@pytest.mark.parametrize("wrong", ["client_key", "client_secret", "token", "token_secret"])
def test_a_wrong_credential_is_refused(wrong: str, url: str) -> None:
    with pytest.raises(CredentialsRefused):
        DRIVERS[0].call(session(url, **{wrong: "wrong-and-long-enough"}), f"{url}/data")


@pytest.mark.parametrize("ahead", [-5000.0, 5000.0])
def test_a_clock_that_is_wrong_is_found_out_by_the_servers_date(ahead: float, url: str, server: Server) -> None:
    one = session(url, clock=lambda: time.time() + ahead)
    assert [DRIVERS[0].call(one, f"{url}/data").status for _ in range(2)] == [200, 200]
    assert server.log == [("/data", 401), ("/data", 200), ("/data", 200)]


def test_three_legs(url: str, server: Server) -> None:
    """Temporary credentials, the verifier that a person brought, and the token (RFC 5849 §2)."""
    client = {"client_key": "{client_key}", "client_secret": "{client_secret}"}
    answers = {
        "granted": {"status": 200, "form": {"oauth_token": "{temporary}", "oauth_token_secret": "{temporary_secret}"}},
        "denied": {"status": [400, 401]},
    }
    whole = {
        "name": "legs",
        "base_url": f"{url}/",
        "start": "signed_out",
        "identity": ["client_key"],
        "credentials": {"client_key": {}, "client_secret": {"secret": True}, "verifier": {"secret": True}},
        "exchanges": {
            "initiate": {
                "request": {"url": "initiate", "method": "POST"},
                "sign": {"oauth1": {**client, "callback": "oob"}},
                "answers": answers,
            },
            "token": {
                "request": {"url": "token", "method": "POST"},
                "sign": {
                    "oauth1": {
                        **client,
                        "token": "{temporary}",
                        "token_secret": "{temporary_secret}",
                        "verifier": "{verifier}",
                    }
                },
                "answers": {
                    "granted": {"status": 200, "form": {"oauth_token": "{access}", "oauth_token_secret": "{key}"}},
                    "denied": {"status": [400, 401]},
                },
            },
        },
        "states": {
            "signed_out": {"send": "initiate", "granted": "begun", "denied": "refused"},
            "begun": {"send": "token", "granted": "signed_in", "denied": "refused"},
            "signed_in": {
                "present": {"sign": {"oauth1": {**client, "token": "{access}", "token_secret": "{key}"}}},
                "rejected": "signed_out",
            },
            "refused": {"fail": "No."},
        },
    }
    one = AuthSession(whole, client_key=KEY, client_secret=SECRET, verifier="seven-seven-seven")
    assert [DRIVERS[0].call(one, f"{url}/data").status for _ in range(2)] == [200, 200]
    assert server.log == [("/initiate", 200), ("/token", 200), ("/data", 200), ("/data", 200)]
    server.validator.tokens.clear()
    assert DRIVERS[0].call(one, f"{url}/data").status == 200  # after a rejection, all of it once more


def test_what_cannot_be_signed_so_is_said(url: str) -> None:
    for more, reason in (
        ({"method": "PLAIN"}, "unknown method"),
        ({"method": "PLAINTEXT"}, "for https alone"),
        ({"method": "RSA-SHA256"}, "private_key"),
    ):
        one = AuthSession(file(url, **more), **GIVEN, client_secret=SECRET)
        with pytest.raises(ConfigurationError, match=reason):
            DRIVERS[0].call(one, f"{url}/data")
