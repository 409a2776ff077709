"""Each login carries an assertion of its own, which the server verifies with the public key."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import authflow
from authflow.plugins import manager
from authflow_in_code import minted

from .conftest import Came, Serve

KEY = Ed25519PrivateKey.generate()


def pem(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class Vendor:
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def __call__(self, came: Came) -> tuple[int, Any]:
        text, _, signature = came.json["assertion"].partition(".")
        try:
            KEY.public_key().verify(decoded(signature), text.encode())
        except InvalidSignature:
            return 401, {}
        self.seen.append(json.loads(decoded(text)))
        return 200, {"access": f"token-{len(self.seen)}", "expires_in": 60}


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def url(serve: Serve, vendor: Vendor) -> Iterator[str]:
    manager().register(minted)
    yield serve(vendor)
    manager().unregister(minted)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_each_login_mints_an_assertion_of_its_own(url: str, vendor: Vendor) -> None:
    clock = Clock()
    session = authflow.AuthSession(
        minted.authflow_vendors()[0], server=url, subject="robot", private_key=pem(KEY), clock=clock
    )
    assert session.token().access == "token-1"
    clock.now += 61
    assert session.token().access == "token-2"
    first, second = vendor.seen
    assert (first["subject"], first["audience"], first["until"]) == ("robot", url, 1_800_000_060)
    assert second["until"] == 1_800_000_121
    assert first["nonce"] != second["nonce"]


def test_another_key_is_refused(url: str) -> None:
    other = pem(Ed25519PrivateKey.generate())
    session = authflow.AuthSession(minted.authflow_vendors()[0], server=url, subject="robot", private_key=other)
    with pytest.raises(authflow.CredentialsRefused):
        session.token()


def test_what_is_no_key_is_said_without_showing_it(url: str) -> None:
    session = authflow.AuthSession(minted.authflow_vendors()[0], server=url, subject="robot", private_key="no key")
    with pytest.raises(authflow.ConfigurationError, match="ed25519_assertion") as wrong:
        session.token()
    assert "no key" not in str(wrong.value)
