"""Products whose every call is a POST, against their real servers: etcd and Transmission."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow_selfhosted.servers import Running, Unavailable, running
from authflow_selfhosted.servers.etcd import ETCD, KEY, ROOT, encoded
from authflow_selfhosted.servers.product import Product
from authflow_selfhosted.servers.transmission import TRANSMISSION

#: Seconds that a token of etcd lives.
LIFETIME = 60
Call = Callable[[authflow.AuthSession, str, Any], tuple[str, list[int]]]


def served(product: Product) -> Iterator[Running]:
    try:
        serving = running(product, LIFETIME)
        started = serving.__enter__()
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    try:
        yield started
    finally:
        serving.__exit__(None, None, None)


@pytest.fixture(scope="module")
def etcd() -> Iterator[Running]:
    yield from served(ETCD)


@pytest.fixture(scope="module")
def transmission() -> Iterator[Running]:
    yield from served(TRANSMISSION)


def session_at(server: Running, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(server.product.name, **{**server.inputs, **more})


class Seen(requests.adapters.HTTPAdapter):
    def __init__(self, statuses: list[int]) -> None:
        super().__init__()
        self.statuses = statuses

    def send(self, *arguments: Any, **settings: Any) -> requests.Response:
        answer = super().send(*arguments, **settings)
        self.statuses.append(answer.status_code)
        return answer


def by_requests(session: authflow.AuthSession, url: str, body: Any) -> tuple[str, list[int]]:
    seen: list[int] = []
    with requests.Session() as client:
        client.trust_env = False
        client.mount("http://", Seen(seen))
        answer = client.post(url, json=body, auth=session.requests, timeout=30)
    return answer.text, seen


def by_httpx(session: authflow.AuthSession, url: str, body: Any) -> tuple[str, list[int]]:
    seen: list[int] = []
    hooks = {"response": [lambda answer: seen.append(answer.status_code)]}
    with httpx.Client(auth=session.httpx, event_hooks=hooks, trust_env=False, timeout=30) as client:
        answer = client.post(url, json=body)
    return answer.text, seen


CALLS = pytest.mark.parametrize("call", [by_requests, by_httpx])
RANGE = {"key": encoded(KEY)}


@CALLS
def test_etcd_serves_and_logs_in_again_when_its_users_have_changed(etcd: Running, call: Call) -> None:
    session = session_at(etcd)
    for _ in range(2):
        text, seen = call(session, etcd.data, RANGE)
        assert (ETCD.shows in text, seen[-1:]) == (True, [200])
    assert session.token().expires_at is not None
    root = session_at(etcd, **ROOT)
    _, seen = call(root, f"{etcd.place.url}/v3/auth/role/add", {"name": f"role-of-{call.__name__}"})
    assert seen[-1] == 200
    text, seen = call(session, etcd.data, RANGE)
    assert ETCD.shows in text
    assert [status for status in seen if status == 400] == [400]


@CALLS
def test_etcd_renews_what_has_ended(etcd: Running, call: Call) -> None:
    ahead = [0.0]
    session = session_at(etcd, clock=lambda: time.time() + ahead[0])
    before = session.token().issued_at
    ahead[0] = LIFETIME
    text, _ = call(session, etcd.data, RANGE)
    assert ETCD.shows in text
    assert session.token().issued_at >= before + LIFETIME


def test_etcd_says_why_it_refuses(etcd: Running) -> None:
    session = session_at(etcd, password="not-the-password")
    with pytest.raises(authflow.CredentialsRefused, match="authentication failed, invalid user ID or password"):
        session.token()


SESSION = {"method": "session-get", "arguments": {"fields": ["version"]}}


@CALLS
def test_transmissions_409_brings_the_session_id_and_nobody_sees_it(transmission: Running, call: Call) -> None:
    session = session_at(transmission)
    text, seen = call(session, transmission.data, SESSION)
    assert (TRANSMISSION.shows in text, seen) == (True, [409, 200])
    text, seen = call(session, transmission.data, SESSION)
    assert (TRANSMISSION.shows in text, seen) == (True, [200])


@CALLS
def test_transmission_is_sent_a_wrong_password_once(transmission: Running, call: Call) -> None:
    session = session_at(transmission, password="not-the-password")
    for _ in range(2):
        with pytest.raises(authflow.CredentialsRefused):
            call(session, transmission.data, SESSION)
