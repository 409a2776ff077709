"""A simulated vendor's keys: tokens verify against what it publishes, new ones are fetched, forged tokens found."""

from __future__ import annotations

import pytest
import requests

from authflow import AuthSession, VendorAnswerError
from authflow.testing import Simulator, explore, serving
from authflow.testing.suite import signed_up
from authflow.vendors import load

from .shapes import shapes

VERIFIED = shapes()["verified"]


def test_a_token_verifies_against_the_published_keys() -> None:
    simulator, session = signed_up(VERIFIED)
    session.token()
    assert (simulator.counts["login"], simulator.counts["keys"]) == (1, 1)
    assert [seen.what for seen in simulator.log] == ["login", "keys"]


def test_new_keys_are_fetched_when_they_sign() -> None:
    simulator, session = signed_up(VERIFIED)
    first = session.token()
    simulator.faults.add("turn-keys")
    simulator.clock.advance(simulator.lifetime + 1)  # type: ignore[attr-defined]
    assert session.token().access != first.access
    assert (simulator.counts["refresh"], simulator.counts["keys"]) == (1, 2)


def test_a_forged_token_is_an_error_and_the_next_one_is_not() -> None:
    simulator, session = signed_up(VERIFIED)
    simulator.faults.add("forge@login")
    with pytest.raises(VendorAnswerError, match="does not verify"):
        session.token()
    simulator.clock.advance(60)  # type: ignore[attr-defined]
    assert session.token().access not in simulator.keys.forged
    assert len(simulator.keys.forged) == 1


@pytest.mark.parametrize("fault", ["503", "timeout", "refused", "reset"])
def test_a_refresh_whose_token_nobody_could_verify_is_not_sent_again(fault: str) -> None:
    simulator, session = signed_up(VERIFIED)
    session.token()
    simulator.clock.advance(simulator.lifetime + 1)  # type: ignore[attr-defined]
    simulator.faults.add("turn-keys")
    simulator.faults.add(f"{fault}@keys")
    session.token()
    assert (simulator.counts["refresh"], simulator.counts["refresh_reused"]) == (1, 0)
    assert simulator.counts["login"] == 2


#: The server says where its keys are, and who it is (OpenID Connect Discovery 1.0 §3).
DISCOVERED = {
    "name": "discovered",
    "extends": "client-credentials",
    "base_url": "https://op.example/",
    "settings": {"token_url": {"default": "token"}, "of": {"default": "orders"}},
    "verify": {"jwks_url": "{keys}", "issuer": "{issuer}", "audience": ["{of}"]},
    "exchanges": {
        "discover": {
            "request": {"url": ".well-known/openid-configuration"},
            "answers": {"found": {"status": 200, "json": {"issuer": "{issuer}", "jwks_uri": "{keys}"}}},
        }
    },
    "states": {
        "signed_out": {"send": "discover", "found": "known"},
        "known": {"send": "login", "granted": "signed_in", "denied": "refused"},
    },
}


def test_what_a_discovery_brings_is_what_its_tokens_are_checked_by() -> None:
    simulator, session = signed_up(DISCOVERED)
    session.token()
    assert [seen.what for seen in simulator.log] == ["discover", "login", "keys"]
    assert load(DISCOVERED).warnings == ()
    assert explore(DISCOVERED, examples=3, seed=1).failure is None


def test_over_http_the_keys_are_there_too() -> None:
    simulator = Simulator(VERIFIED)
    with serving(simulator) as base_url:
        session = AuthSession(VERIFIED, base_url=base_url, **simulator.inputs)
        assert requests.get(base_url + "x", auth=session.requests, timeout=10).status_code == 200
        assert requests.get(base_url + "../keys.json", timeout=10).json()["keys"][0]["alg"] == "EdDSA"


def test_a_fault_at_the_keys_is_for_vendors_that_publish_some() -> None:
    with pytest.raises(ValueError, match="no fault can be at 'keys'"):
        Simulator("supplier").faults.add("503@keys")
