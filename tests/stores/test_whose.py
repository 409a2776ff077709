"""Promise 11 over every store, for every preset: who differs in what says whose login it is shares no grant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

import authflow
from authflow.stores import EncryptedStore, MemoryStore, Store, new_key
from authflow.testing import Simulator
from authflow.testing.clock import Clock
from authflow.testing.transports import SimulatedSender
from tests.testing.shapes import shapes

STORES = ["memory", "file_store", "encrypted", "redis_store"]
#: The presets that log in by themselves, as vendor files.
PRESETS = {name: file for name, file in shapes().items() if name.startswith("preset-")}


@pytest.fixture(autouse=True)
def _fast() -> Iterator[None]:
    def quick(secret: bytes, *, salt: bytes, **more: Any) -> bytes:
        return hashlib.blake2b(secret, key=salt[:64], digest_size=16).digest()

    with mock.patch("hashlib.scrypt", quick), mock.patch("authflow.accounts.fingerprints._MADE", {}):
        yield


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "encrypted":
        return EncryptedStore(MemoryStore(), new_key())
    found: Store = request.getfixturevalue(request.param)
    return found


class Logins:
    """Sessions of one vendor on one store, each a process of its own."""

    def __init__(self, file: Any, store: Store) -> None:
        self.simulator, self.store = Simulator(file, clock=Clock()), store
        self.exchanges = sum(1 for exchange in self.simulator.vendor.flow.exchanges)

    def session(self, **changes: Any) -> authflow.AuthSession:
        given = {**self.simulator.inputs, **changes}
        identity = None if self.simulator.vendor.identity else "alice"
        sender = SimulatedSender(self.simulator)
        own: dict[str, Any] = {"client": sender, "clock": self.simulator.clock, "identity": identity, **given}
        return authflow.AuthSession(self.simulator.vendor, store=self.store, **own)

    def token(self, **changes: Any) -> str:
        """What a session presents that was given something else; nothing where it cannot log in."""
        try:
            return self.session(**changes).token().access
        except authflow.AuthFlowError:
            return ""


def other(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    return value.replace("vendor.example", "other.example") if "://" in str(value) else f"{value}x"


@pytest.mark.parametrize("preset", PRESETS)
def test_who_differs_in_anything_has_a_grant_of_their_own(preset: str, store: Store) -> None:
    logins = Logins(PRESETS[preset], store)
    token = logins.token()
    if not token or not logins.exchanges:
        pytest.skip("it presents what it was given, or asks a person")
    sent = sum(logins.simulator.counts[name] for name in logins.simulator.vendor.flow.exchanges)
    assert logins.token() == token
    assert sent == sum(logins.simulator.counts[name] for name in logins.simulator.vendor.flow.exchanges)
    base = logins.simulator.base_url
    changes = [{name: other(value)} for name, value in logins.simulator.inputs.items() if name != "base_url"]
    for change in (*changes, {"base_url": other(base)}, {"base_url": f"{base}other/"}):
        assert logins.token(**change) != token, f"{', '.join(change)} tells nobody apart"
    # Another key may prove the same issuer and subject, and has then replaced the grant.
    assert logins.token() == token or "private_key" in logins.simulator.inputs


@pytest.mark.parametrize("preset", PRESETS)
def test_who_differs_in_a_password_only_shares_what_was_refused(preset: str, store: Store) -> None:
    logins = Logins(PRESETS[preset], store)
    vendor = logins.simulator.vendor
    for name in {"password", "client_secret"} & vendor.credentials.keys() & logins.simulator.inputs.keys():
        sessions = logins.session(), logins.session(**{name: other(logins.simulator.inputs[name])})
        one, another = (session._manager.grants.identity_now()[1] for session in sessions)
        assert one.refusals == another.refusals
        assert one.key == another.key or name in vendor.identity
