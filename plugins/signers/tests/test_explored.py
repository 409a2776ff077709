"""Each signer in the state machine: nonces that turn, clocks that differ, keys that are lost, three sends at most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from authflow import AuthSession, CredentialsRefused
from authflow.testing import SimulatedSender, Simulator, explore
from authflow.testing.suite import CLIENTS, signed_up

KEYS = {"key": "{key}", "secret": "{secret}", "region": "eu-1", "service": "s3"}
OAUTH = {"client_key": "{key}", "client_secret": "{secret}"}


def bare(name: str, **sign: Any) -> dict[str, Any]:
    """A vendor without a login: each request proves by itself who sends it."""
    return {
        "name": name,
        "base_url": f"https://{name}.example/",
        "start": "signed_in",
        "identity": ["key"],
        "credentials": {"key": {}, "secret": {"secret": True}},
        "sign": sign,
        "states": {"signed_in": {"present": {}, "rejected": "refused"}, "refused": {"fail": "No."}},
    }


def bound(extends: str, exchange: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Tokens that are bound to a key."""
    vendor = {
        "name": "bound",
        "extends": extends,
        "base_url": "https://bound.example/",
        "settings": {"token_url": {"default": "token", "type": "url"}},
        "sign": {"dpop": {}},
        "states": {"signed_in": {"present": {"headers": {"Authorization": "DPoP {access}"}}}},
    }
    return vendor if exchange is None else {**vendor, "exchanges": exchange}


TEMPORARY = {
    **bare("temporary"),
    "start": "signed_out",
    "exchanges": {
        "assume": {
            "request": {"url": "assume", "form": {"Action": "AssumeRole"}},
            "sign": {"aws-sigv4": {**KEYS, "service": "sts"}},
            "answers": {
                "granted": {
                    "status": 200,
                    "json": {"Id": "{id}", "Key": "{their_key}", "Token": "{access}", "Ends": "{expires_at:time}"},
                },
                "denied": {"status": [400, 403]},
            },
        }
    },
    "states": {
        "signed_out": {"send": "assume", "granted": "signed_in", "denied": "refused"},
        "signed_in": {
            "present": {
                "sign": {"aws-sigv4": {**KEYS, "key": "{id}", "secret": "{their_key}", "token": "{access}"}},
            },
            "expired": "signed_out",
            "rejected": "signed_out",
        },
        "refused": {"fail": "No."},
    },
    "answers": {"rejected": {"status": 403}},
}
VENDORS = {
    "digest": bare("digest", digest={"username": "{key}", "password": "{secret}"}),
    "oauth1": bare("oauth1", oauth1=OAUTH),
    "sigv4": {**bare("sigv4", **{"aws-sigv4": KEYS}), "answers": {"rejected": {"status": 403}}},
    "temporary keys": TEMPORARY,
    "dpop, a service": bound("client-credentials"),
    "dpop, refreshed": bound("oauth2-password"),
}


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("library", CLIENTS)
def test_the_simulator_checks_what_is_signed(name: str, library: str) -> None:
    simulator, session = signed_up(VENDORS[name])
    assert simulator.cannot == ()
    assert [CLIENTS[library](simulator, session) for _ in range(3)] == [200] * 3
    simulator.faults.add("turn-nonces")
    simulator.faults.add("skew=2000")
    assert [CLIENTS[library](simulator, session) for _ in range(3)] == [200] * 3


def test_another_secret_is_refused() -> None:
    simulator = Simulator(TEMPORARY)
    given = {**simulator.inputs, "secret": "another"}
    session = AuthSession(simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **given)
    with pytest.raises(CredentialsRefused):
        session.token()


@pytest.mark.slow
@pytest.mark.parametrize("name", VENDORS)
def test_explored(name: str) -> None:
    found = explore(VENDORS[name], examples=20, steps=30, shrink=False, seed=11)
    assert found.failure is None, found
    assert found.cannot == ()
