"""DPoP against oidc-provider, which checks proofs, nonces, and to which key a token is bound (RFC 9449)."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from authflow import AuthSession, CredentialsRefused
from authflow.stores import MemoryStore
from authflow_selfhosted.servers import Unavailable
from authflow_selfhosted.servers.oidc_provider import REDIRECT, code_from, provider
from tests.clients.drivers import DRIVERS, Driver

pytestmark = [pytest.mark.slow, pytest.mark.program]
HEADERS = {"headers": {"Authorization": "DPoP {access}"}}
SCOPE = "openid offline_access"


@pytest.fixture(params=[False, True], ids=["plain", "nonces"], scope="module")
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    try:
        with provider(nonces=request.param) as url:
            yield url
    except Unavailable as error:
        pytest.skip(str(error))


class Clock:
    """Seconds by which the session is ahead of the world."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def service(url: str) -> dict[str, Any]:
    """The file of cases/notation/dpop.toml."""
    return {
        "name": "service",
        "extends": "client-credentials",
        "base_url": f"{url}/",
        "settings": {"token_url": {"default": "token", "type": "url"}},
        "sign": {"dpop": {}},
        "states": {"signed_in": {"present": HEADERS}},
    }


def app(url: str) -> dict[str, Any]:
    """A public client: its refresh tokens are bound to the key too."""
    answers = {
        "granted": {
            "status": 200,
            "json": {"access_token": "{access}", "refresh_token": "{refresh}", "expires_in": "{expires_in:int}"},
        },
        "denied": {"status": [400, 401]},
    }
    code = {"grant_type": "authorization_code", "client_id": "app", "redirect_uri": REDIRECT}
    form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "{refresh}"}
    return {
        "name": "app",
        "base_url": f"{url}/",
        "start": "signed_out",
        "identity": [],
        "credentials": {"code": {"secret": True, "once": True}, "code_verifier": {"secret": True, "once": True}},
        "sign": {"dpop": {}},
        "exchanges": {
            "login": {
                "request": {"url": "token", "form": {**code, "code": "{code}", "code_verifier": "{code_verifier}"}},
                "answers": answers,
            },
            "refresh": {"request": {"url": "token", "form": form}, "answers": "login"},
        },
        "states": {
            "signed_out": {"send": "login", "granted": "signed_in", "denied": "refused"},
            "signed_in": {"present": HEADERS, "expired": "stale", "rejected": "stale"},
            "stale": {"send": "refresh", "missing": "signed_out", "granted": "signed_in", "denied": "signed_out"},
            "refused": {"fail": "No."},
        },
    }


def session(url: str, store: Any = "memory", clock: Any = None) -> AuthSession:
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    asked = {"client_id": "app", "response_type": "code", "scope": SCOPE, "redirect_uri": REDIRECT, "prompt": "consent"}
    with requests.Session() as person:
        person.trust_env = False
        code = code_from(url, {**asked, "code_challenge": challenge, "code_challenge_method": "S256"}, person)
    return AuthSession(app(url), store=store, clock=clock or Clock(), identity="a", code=code, code_verifier=verifier)


def test_a_service_gets_a_token_that_is_bound_to_its_key(url: str) -> None:
    one = AuthSession(service(url), client_id="service", client_secret="service-secret-1")
    assert one.token().access
    with requests.Session() as client:
        client.trust_env = False
        form = {"grant_type": "client_credentials"}
        told = client.post(f"{url}/token", data=form, auth=("service", "service-secret-1"))
    assert told.json()["token_type"] == "Bearer"  # what the same client gets without a proof


@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
def test_every_client_presents_and_renews(client: Driver, url: str) -> None:
    clock = Clock()
    one = session(url, clock=clock)
    assert [client.call(one, f"{url}/me").status for _ in range(2)] == [200, 200]
    first = one.token().access
    clock.ahead = 3600
    assert client.call(one, f"{url}/me").json == {"sub": "alice"}
    assert one.token().access != first


def test_the_token_is_good_for_nobody_else(url: str) -> None:
    one = session(url)
    assert DRIVERS[0].call(one, f"{url}/me").status == 200
    access = one.token().access
    for scheme in ("Bearer", "DPoP"):
        with requests.Session() as thief:
            thief.trust_env = False
            assert thief.get(f"{url}/me", headers={"Authorization": f"{scheme} {access}"}).status_code in (400, 401)
    other = session(url)
    other.token()
    mine = other._manager.grants.current
    stolen = mine.record.replace(captured={**mine.record.captured, "access": access})
    other._manager.grants._publish((), other._manager.grants.ready(stolen))
    assert one._manager.grants.current.record.signers != stolen.signers
    answer = DRIVERS[0].call(other, f"{url}/me")
    assert answer.status == 200  # the stolen one was rejected, and its own renewed
    assert other.token().access not in (access, mine.record.captured["access"])


def test_another_process_renews_with_the_grants_key(url: str) -> None:
    store, clock = MemoryStore(), Clock()
    session(url, store).token()
    clock.ahead = 3600
    other = AuthSession(app(url), store=store, clock=clock, identity="a", code="none", code_verifier="none")
    assert DRIVERS[0].call(other, f"{url}/me").status == 200


def test_a_refresh_token_without_its_key_is_refused(url: str) -> None:
    store, clock = MemoryStore(), Clock()
    one = session(url, store)
    one.token()
    key = one._manager.grants.key
    lying = store.load(key)
    assert lying is not None
    record = json.loads(lying.data)
    record["signers"] = {"dpop": dict(one.vendor.signers["dpop"]().keeps({}))}
    store.save(key, json.dumps(record).encode(), lying.revision, lifetime=60)
    clock.ahead = 3600
    other = AuthSession(app(url), store=store, clock=clock, identity="a", code="none", code_verifier="none")
    with pytest.raises(CredentialsRefused):
        other.token()
