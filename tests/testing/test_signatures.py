"""Vendors that want code, simulated: signatures are made again and compared; what only code knows takes a part."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import authflow
from authflow import AuthSession, ConfigurationError, CredentialsRefused
from authflow.http import Answer, Presentation, Request
from authflow.plugins.discovery import manager
from authflow.testing import Call, Clock, SimulatedSender, Simulator, explore, serving
from authflow.testing.suite import CLIENTS, signed_up
from authflow_in_code import handshake, minted, signed

from .shapes import BASE


@pytest.fixture
def plugin(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The plugin of the parameter, registered while the test runs."""
    manager().register(request.param)
    yield request.param
    manager().unregister(request.param)


def file_of(plugin: ModuleType) -> Any:
    return plugin.authflow_vendors()[0]


class Laid:
    """A plugin that signs "odd" with HMAC over method, path and body, and lays the signature where `place` says."""

    def __init__(self, place: str) -> None:
        self.place = place

    @authflow.hookimpl
    def authflow_sign(self, vendor: Any, request: Request, values: Mapping[str, Any]) -> Presentation | None:
        if vendor.name != "odd":
            return None
        text = f"{request.method} {request.url} {request.body!r}"
        code = hmac.new(str(values["secret"]).encode(), text.encode(), hashlib.sha256).hexdigest()
        laid: dict[str, Any] = {
            "headers": (("X-Code", code),),
            "cookies": (("code", code),),
            "query": (("code", code),),
        }
        return Presentation(**{self.place: laid[self.place]})


class Numbered:
    """A plugin whose signatures hold a number of their own."""

    def __init__(self) -> None:
        self.numbers = itertools.count()

    @authflow.hookimpl
    def authflow_sign(self, vendor: Any) -> Mapping[str, str] | None:
        return {"X-Code": f"code-{next(self.numbers)}"} if vendor.name == "odd" else None


ODD = {
    "name": "odd",
    "extends": "relogin",
    "base_url": BASE,
    "insecure_url": True,
    "credentials": {"secret": {"secret": True}, "username": {}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"user": "{username}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
        }
    },
}
PLACES = [Laid(place) for place in ("headers", "cookies", "query")]


@pytest.mark.parametrize("library", CLIENTS)
@pytest.mark.parametrize("plugin", [signed], indirect=True)
def test_a_signed_vendor_is_served_through_every_client(plugin: ModuleType, library: str) -> None:
    simulator, session = signed_up(file_of(plugin))
    assert simulator.cannot == ()
    assert [CLIENTS[library](simulator, session) for _ in range(3)] == [200] * 3
    assert simulator.counts["login"] == 1


@pytest.mark.parametrize("plugin", [signed], indirect=True)
def test_another_key_or_none_is_refused(plugin: ModuleType) -> None:
    simulator, session = signed_up(file_of(plugin))
    wrong = {**simulator.inputs, "key": "another"}
    with pytest.raises(CredentialsRefused):
        AuthSession(simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **wrong).token()
    assert simulator.account.wrong == 1
    headers = dict(requests.Request("GET", simulator.base_url + "x", auth=session.requests).prepare().headers)
    assert simulator.handle(Request("GET", simulator.base_url + "x", tuple(headers.items()))).status == 200
    sign = {**headers, "X-Signature": "0" * 64}
    request = Request("GET", simulator.base_url + "x", tuple(sign.items()))
    assert simulator.handle(request).status == 401
    unsigned = tuple((name, value) for name, value in headers.items() if name != "X-Signature")
    assert simulator.handle(Request("GET", simulator.base_url + "x", unsigned)).status == 401


@pytest.mark.parametrize("plugin", [signed], indirect=True)
def test_over_http_it_is_signed_and_checked(plugin: ModuleType) -> None:
    simulator = Simulator(file_of(plugin))
    with serving(simulator) as base_url:
        session = AuthSession(file_of(plugin), base_url=base_url, **simulator.inputs)
        for url, body in ((base_url + "x?a=1&b=%20", b"two"), (base_url + "y", None)):
            answer = requests.request("POST" if body else "GET", url, data=body, auth=session.requests, timeout=10)
            assert answer.status_code == 200


@pytest.mark.parametrize("plugin", [signed], indirect=True)
def test_a_signed_vendor_keeps_the_promises(plugin: ModuleType) -> None:
    found = explore(file_of(plugin), examples=60, seed=1)
    assert found.failure is None, str(found)
    assert found.coverage.missed == []


@pytest.mark.parametrize("plugin", PLACES, indirect=True, ids=lambda plugin: plugin.place)
@pytest.mark.parametrize("library", CLIENTS)
def test_wherever_the_signature_stands(plugin: Laid, library: str) -> None:
    simulator, session = signed_up(ODD)
    assert simulator.cannot == ()
    assert [CLIENTS[library](simulator, session) for _ in range(2)] == [200] * 2
    wrong = AuthSession(ODD, client=SimulatedSender(simulator), clock=Clock(), username="demo-username", secret="other")
    with pytest.raises(CredentialsRefused):
        wrong.token()


@pytest.mark.parametrize("plugin", [Numbered()], indirect=True)
def test_a_signature_with_a_number_of_its_own_is_let_pass_and_said(plugin: Numbered) -> None:
    simulator, session = signed_up(ODD)
    assert ["authflow_sign" in reason for reason in simulator.cannot] == [True]
    assert CLIENTS["httpx"](simulator, session) == 200


# --- what only code knows ---------------------------------------------------------------------------------------------

ASKED = {"salt": "00ff", "rounds": 10, "challenge": "once"}


@pytest.mark.parametrize("plugin", [handshake], indirect=True)
def test_a_step_in_code_takes_a_part_for_each_request(plugin: ModuleType) -> None:
    assert [reason.partition(":")[0] for reason in Simulator(file_of(plugin)).cannot] == ["exchanges.login"]
    with pytest.raises(ConfigurationError, match=r"cannot be explored: exchanges\.login"):
        explore(file_of(plugin), examples=1)

    def finish(call: Call) -> Answer:
        said = Answer(0, (), call.request.body or b"").json
        good = said["proof"] == handshake.proof(simulator.account.values["password"], **ASKED)
        return simulator.answer("login", "granted" if good else "denied")

    begin = Answer(200, (), b'{"salt": "00ff", "rounds": 10, "challenge": "once"}')
    parts = {"login": lambda call: begin, "/login/finish": finish}
    simulator = Simulator(file_of(plugin), clock=Clock(), inputs={"password": "open-sesame"}, parts=parts)
    assert simulator.cannot == ()
    session = AuthSession(
        simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs
    )
    assert CLIENTS["httpx"](simulator, session) == 200
    wrong = {**simulator.inputs, "password": "wrong"}
    with pytest.raises(CredentialsRefused):
        AuthSession(simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **wrong).token()


@pytest.mark.parametrize("plugin", [minted], indirect=True)
def test_a_function_that_nobody_can_take_back_is_said(plugin: ModuleType) -> None:
    reasons = Simulator(file_of(plugin)).cannot
    assert [reason.partition(":")[0] for reason in reasons] == ["derive.assertion"] * 2
    assert "give inputs" in reasons[0]
    with pytest.raises(ConfigurationError, match=r"cannot be explored: derive\.assertion: .*give inputs"):
        explore(file_of(plugin), examples=1)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    seen: list[Any] = []
    parts = {"login": lambda call: seen.append(call.values["assertion"])}
    simulator = Simulator(file_of(plugin), clock=Clock(), inputs={"private_key": key}, parts=parts)
    assert simulator.cannot == ()
    session = AuthSession(
        simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs
    )
    assert session.token().access
    assert len(seen) == 1


def test_a_part_for_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="parts= has 'logn': the exchanges are login, refresh"):
        Simulator("supplier", parts={"logn": lambda call: None})
