"""Plugins that have a say in what is sent: where a signature may stand, and how far a step in code may reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow.http import Answer, Presentation, Request
from authflow.plugins.discovery import manager
from authflow.vendors.loading import load
from tests.servers import Listener, Says, listening

LOGIN = {
    "name": "coded",
    "extends": "relogin",
    "credentials": {"username": {}},  # for the code alone
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"word": "{password}"}},
            "answers": {"granted": {"json": {"token": "{access}"}}},
        }
    },
}
USER = {"username": "demo", "password": "open-sesame"}


class Plugin:
    """Signs, or answers exchanges, as the test says; keeps what it was asked about."""

    def __init__(self) -> None:
        self.sign: Callable[[Request, Mapping[str, Any]], Any] | None = None
        self.step: Callable[..., Answer | None] | None = None
        self.asked: list[Request] = []

    @authflow.hookimpl
    def authflow_sign(self, request: Request, values: Mapping[str, Any]) -> Any:
        self.asked.append(request)
        return self.sign(request, values) if self.sign else None

    @authflow.hookimpl
    def authflow_exchange(self, exchange: str, request: Request, send: Callable[[Request], Answer]) -> Answer | None:
        return self.step(exchange, request, send) if self.step else None


@pytest.fixture
def plugin() -> Iterator[Plugin]:
    one = Plugin()
    manager().register(one)
    yield one
    manager().unregister(one)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening(lambda came: Says(json={"token": "t-1"})) as one:
        yield one


def session(listener: Listener, **more: str) -> authflow.AuthSession:
    return authflow.AuthSession(load({**LOGIN, "base_url": listener.url + "/"}), **{**USER, **more})


def get(one: authflow.AuthSession, client: str, url: str) -> int:
    if client == "httpx":
        with httpx.Client(auth=one.httpx, trust_env=False) as httpx_client:
            return httpx_client.get(url).status_code
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, auth=one.requests, timeout=20).status_code


@pytest.mark.parametrize("client", ["requests", "httpx"])
@pytest.mark.parametrize(
    ("signature", "target", "header", "value"),
    [
        ({"X-Sig": "s"}, "/data?a=1", "x-sig", "s"),
        (Presentation(query=(("sig", "s&"),)), "/data?a=1&sig=s%26", "authorization", "Bearer t-1"),
        (Presentation(cookies=(("sig", "s"),)), "/data?a=1", "cookie", "sig=s"),
        ({"Authorization": "Signed s"}, "/data?a=1", "authorization", "Signed s"),
    ],
    ids=["header", "query", "cookie", "instead of the token"],
)
def test_where_a_signature_may_stand(
    plugin: Plugin, listener: Listener, client: str, signature: Any, target: str, header: str, value: str
) -> None:
    plugin.sign = lambda request, values: signature
    one = session(listener)
    for _ in range(2):
        assert get(one, client, listener.url + "/data?a=1") == 200
    login, *data = listener.seen()
    assert login.path == "/login"
    assert login.headers.get(header) == (value if value != "Bearer t-1" else None)
    assert [came.target for came in data] == [target] * 2
    assert [came.headers[header] for came in data] == [value] * 2


@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_every_request_is_shown_with_the_token_on_it_also_when_the_token_is_fresh(
    plugin: Plugin, listener: Listener, client: str
) -> None:
    one = session(listener)
    for _ in range(3):
        get(one, client, listener.url + "/data")
    shown = [(request.method, dict(request.headers).get("Authorization")) for request in plugin.asked]
    assert shown == [("POST", None), *[("GET", "Bearer t-1")] * 3]


def test_a_signature_is_made_of_values_as_they_are_when_it_is_made(plugin: Plugin, listener: Listener) -> None:
    plugin.sign = lambda request, values: {"X-Stamp": str(values["stamp"])}
    now = [1_000_000.0]
    vendor = load({**LOGIN, "base_url": listener.url + "/", "derive": {"stamp": {"now": "epoch"}}})
    one = authflow.AuthSession(vendor, clock=lambda: now[0], **USER)
    for _ in range(2):
        assert get(one, "requests", listener.url + "/data") == 200
        now[0] += 5
    assert [came.headers["x-stamp"] for came in listener.seen()[1:]] == ["1000000", "1000005"]


def test_a_signature_that_breaks_out_of_its_line_is_refused(plugin: Plugin, listener: Listener) -> None:
    plugin.sign = lambda request, values: {"X-Sig": "a\r\nX-Evil: 1"}
    with pytest.raises(authflow.ConfigurationError):
        session(listener).token()
    assert listener.seen() == []


def test_a_step_in_code_is_judged_by_the_vendor_file(plugin: Plugin, listener: Listener) -> None:
    plugin.step = lambda exchange, request, send: Answer(200, body=b'{"token": "from code"}')
    assert session(listener).token().access == "from code"
    plugin.step = lambda exchange, request, send: Answer(418)
    with pytest.raises(authflow.VendorAnswerError):
        session(listener).token()
    plugin.step = lambda exchange, request, send: Answer(403)
    with pytest.raises(authflow.CredentialsRefused):
        session(listener, username="another").token()  # after an answer that nobody understands, the first one waits
    assert listener.seen() == []


def test_a_step_in_code_sends_only_to_where_exchanges_may_go(plugin: Plugin, listener: Listener) -> None:
    with listening() as elsewhere:
        plugin.step = lambda exchange, request, send: send(Request("POST", elsewhere.url + "/login", (), request.body))
        with pytest.raises(authflow.UntrustedOrigin):
            session(listener).token()
        assert elsewhere.seen() == []
    plugin.step = lambda exchange, request, send: send(request)
    assert session(listener).token().access == "t-1"


def test_a_session_made_before_the_plugin_asks_it_nothing(listener: Listener) -> None:
    one, late = session(listener), Plugin()
    manager().register(late)
    try:
        get(one, "httpx", listener.url + "/data")
        assert late.asked == []
    finally:
        manager().unregister(late)
