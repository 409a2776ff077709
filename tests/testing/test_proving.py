"""Signatures at the simulator: checked by the signer's own `check`, or made again; and explored, nonces and all."""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from authflow import AuthSession, CredentialsRefused
from authflow.http import Request
from authflow.plugins import Signer, Signing
from authflow.testing import Clock, SimulatedSender, Simulator, explore
from authflow.testing.suite import CLIENTS, signed_up
from tests.signers import installed


class Plain(Signer):
    """An HMAC of the path: it has no `check`, and need not."""

    takes = ("!secret",)

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        return {
            "X-Sign": hmac.new(signing.parameters["secret"].encode(), request.url.encode(), hashlib.sha256).hexdigest()
        }


class Numbered(Signer):
    def __init__(self) -> None:
        self.numbers = itertools.count()

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        return {"X-Sign": str(next(self.numbers))}


@pytest.fixture(autouse=True)
def signers() -> Iterator[None]:
    with installed(plain=Plain, numbered=Numbered):
        yield


def file(sign: Mapping[str, Any], extends: str = "password") -> dict[str, Any]:
    granted = {"json": {"token": "{access}", "refresh": "{refresh}", "expires": "{expires_in:int}"}}
    answers = {"granted": granted, "denied": {"status": [400, 401]}}
    renewal = {"refresh": {"request": {"url": "refresh", "json": {"r": "{refresh}"}}, "answers": "login"}}
    return {
        "name": "signing",
        "extends": extends,
        "base_url": "https://signing.example/",
        "credentials": {"secret": {"secret": True}},
        "sign": sign,
        "exchanges": {
            "login": {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}, "answers": answers},
            **(renewal if extends == "password" else {}),
        },
    }


KEYS = {
    "name": "keys",
    "base_url": "https://keys.example/",
    "start": "signed_in",
    "credentials": {"key": {}, "secret": {"secret": True}},
    "identity": ["key"],
    "sign": {"nonced": {"secret": "{secret}"}},
    "states": {
        "signed_in": {"present": {"headers": {"X-Key": "{key}"}}, "rejected": "refused"},
        "refused": {"fail": "No."},
    },
}
NONCED = {"nonced": {"secret": "{secret}"}}
PLAIN = {"plain": {"secret": "{secret}"}}


@pytest.mark.parametrize("sign", [NONCED, PLAIN], ids=["checked", "made again"])
@pytest.mark.parametrize("library", CLIENTS)
def test_a_session_that_signs_is_served(sign: Mapping[str, Any], library: str) -> None:
    simulator, session = signed_up(file(sign))
    assert simulator.cannot == ()
    assert [CLIENTS[library](simulator, session) for _ in range(2)] == [200] * 2


@pytest.mark.parametrize("sign", [NONCED, PLAIN], ids=["checked", "made again"])
def test_another_secret_signs_in_vain(sign: Mapping[str, Any]) -> None:
    simulator, session = signed_up(file(sign))
    session.token()
    simulator.account.values["secret"] = "another"
    with pytest.raises(CredentialsRefused):
        session.login()
    with pytest.raises(CredentialsRefused):
        AuthSession(simulator.vendor, client=SimulatedSender(simulator), **simulator.inputs).token()


def test_a_signature_that_is_left_out_is_not_let_pass() -> None:
    simulator, session = signed_up(file(PLAIN))
    token = session.token().access
    bare = Request("GET", simulator.base_url + "data", (("Authorization", f"Bearer {token}"),), b"")
    assert simulator.handle(bare).status == 401
    signed = Plain().sign(bare, Signing({"secret": simulator.inputs["secret"]}, {}, 0.0))
    assert simulator.handle(bare.replace(headers=(*bare.headers, *signed.items()))).status == 200


def test_a_token_is_bound_to_the_key_that_got_it() -> None:
    simulator, session = signed_up(file(NONCED))
    record = session._manager.authorize(None).wait().record
    stolen = AuthSession(simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs)
    stolen.token()
    thief = stolen._manager.grants.current
    stolen._manager.grants.current = thief.replace(
        record=thief.record.replace(captured=record.captured, grant="f" * 16)
    )
    wrong = Request(
        "GET", simulator.base_url + "data", (("Authorization", f"Bearer {record.captured['access']}"),), b""
    )
    signed = stolen._manager.signed(stolen._manager.grants.current, lambda: wrong).presentation.headers
    assert simulator.handle(wrong.replace(headers=(*wrong.headers, *signed[-1:]))).status == 401


def test_what_cannot_be_told_from_another_is_said() -> None:
    simulator = Simulator(file({"numbered": {}}), clock=Clock())
    assert simulator.cannot == (
        "sign.numbered: signs with a time or number of its own, so that any signature is let pass",
    )


@pytest.mark.slow
def test_a_vendor_with_nonces_that_turn_is_explored() -> None:
    found = explore(KEYS, examples=25, steps=30, shrink=False, seed=7)
    assert found.failure is None, found
    assert found.cannot == ()
