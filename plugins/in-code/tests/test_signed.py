"""Every exchange and every request carries a signature that the server computes too; a redirected one, another."""

import hmac
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow.plugins import manager
from authflow_in_code import signed

from .conftest import Came, Serve

KEY = "a key that both know"


class Vendor:
    """Refuses what is not signed, and counts what came; `session` is the token that it takes."""

    def __init__(self) -> None:
        self.session, self.seen = "s-1", list[str]()

    def __call__(self, came: Came) -> tuple[int, Any]:
        self.seen.append(f"{came.method} {came.target}")
        wanted = signed.signature(KEY, came.method, came.target, came.headers.get("x-date", ""), came.body)
        if came.headers.get("x-key") != "id-1" or not hmac.compare_digest(wanted, came.headers.get("x-signature", "")):
            return 403, {"error": "the signature does not fit"}
        if came.target == "/moved":
            return 307, "/things"
        if came.target == "/session":
            return 200, {"session": self.session, "expires_in": 3600}
        if came.headers.get("x-session") != self.session:
            return 401, {"error": "no such session"}
        return 200, {"received": came.body.decode()}


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def url(serve: Serve, vendor: Vendor) -> Iterator[str]:
    manager().register(signed)
    yield serve(vendor)
    manager().unregister(signed)


def session(url: str, key: str = KEY) -> authflow.AuthSession:
    return authflow.AuthSession(signed.authflow_vendors()[0], server=url, key_id="id-1", key=key)


def test_requests_of_both_clients_are_signed(url: str, vendor: Vendor) -> None:
    shared = session(url)
    with requests.Session() as client:
        client.trust_env = False
        answer = client.post(f"{url}/things?a=1&b=%20", json={"n": 1}, auth=shared.requests, timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"received": '{"n": 1}'})
    with httpx.Client(auth=shared.httpx, trust_env=False) as other:
        assert other.post(f"{url}/things", content=b"two").json() == {"received": "two"}
        assert other.get(f"{url}/things").status_code == 200
    assert vendor.seen == ["POST /session", "POST /things?a=1&b=%20", "POST /things", "GET /things"]


def test_what_is_sent_again_is_signed_again(url: str, vendor: Vendor) -> None:
    shared = session(url)
    with requests.Session() as client, httpx.Client(auth=shared.httpx, trust_env=False) as other:
        client.trust_env = False
        client.get(f"{url}/things", auth=shared.requests, timeout=10)
        sends = (lambda: client.get(f"{url}/x", auth=shared.requests), lambda: other.get(f"{url}/x"))
        for number, send in enumerate(sends):
            vendor.seen.clear()
            vendor.session = f"renewed-{number}"
            assert send().status_code == 200
            assert vendor.seen == ["GET /x", "POST /session", "GET /x"]


def test_a_redirected_request_is_signed_for_where_it_goes(url: str, vendor: Vendor) -> None:
    shared = session(url)
    with requests.Session() as client, httpx.Client(auth=shared.httpx, trust_env=False, follow_redirects=True) as other:
        client.trust_env = False
        assert client.get(f"{url}/moved", auth=shared.requests, timeout=10).status_code == 200
        assert other.get(f"{url}/moved").status_code == 200


def test_another_key_is_refused_and_never_shown(url: str, vendor: Vendor) -> None:
    with pytest.raises(authflow.CredentialsRefused) as refused:
        session(url, key="another key").token()
    assert "another key" not in str(refused.value)
    assert vendor.seen == ["POST /session"]
