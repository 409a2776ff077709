"""Promise 11 over every store, for every preset: who differs in what says whose login it is shares no grant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

import authflow
from authflow.stores import EncryptedStore, MemoryStore, Store, new_key
from authflow.testing import Simulator, samples
from authflow.testing.clock import Clock
from authflow.testing.suite import CLIENTS
from authflow.testing.transports import SimulatedSender
from tests.attacks import every_store
from tests.testing.shapes import shapes

STORES = ["memory", "file_store", "encrypted", "redis_store", "keyring_store"]
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


def other(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    return value.replace("vendor.example", "other.example") if "://" in str(value) else f"{value}x"


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
        own["ask"] = self.simulator.person
        return authflow.AuthSession(self.simulator.vendor, store=self.store, **own)

    def token(self, **changes: Any) -> str:
        """What a session presents that was given something else; nothing where it cannot log in."""
        session = self.session(**changes)
        try:
            if self.simulator.vendor.vary:  # only a request is challenged
                assert CLIENTS["requests"](self.simulator, session) == 200
                (grant,) = session._manager.grants.by_slot.values()
                return str(grant.record.captured["access"])
            return session.token().access
        except authflow.AuthFlowError:
            return ""

    def sent(self) -> int:
        return sum(self.simulator.counts[name] for name in self.simulator.vendor.flow.exchanges)

    def become(self, name: str, value: Any) -> None:
        """It is another at the vendor; what was refused has been waited for."""
        self.simulator.account.values[name] = value
        self.simulator.clock.advance(3601.0)  # type: ignore[attr-defined]

    def status(self, **changes: Any) -> int:
        """Of a request; 0 where it was refused."""
        try:
            return CLIENTS["requests"](self.simulator, self.session(**changes))
        except authflow.CredentialsRefused:
            return 0


@pytest.mark.parametrize("preset", PRESETS)
def test_who_differs_in_anything_has_a_grant_of_their_own(preset: str, store: Store) -> None:
    logins = Logins(PRESETS[preset], store)
    inputs, base = logins.simulator.inputs, logins.simulator.base_url
    if not logins.exchanges:  # what was given is all that there is to present
        shown = [logins.session(**{name: other(value)}).headers(base) for name, value in inputs.items()]
        assert logins.session().headers(base) not in shown
        return
    token = logins.token()
    assert token
    sent = logins.sent()
    assert logins.token() == token
    assert sent == logins.sent()
    changes = [{name: other(value)} for name, value in inputs.items() if name != "base_url"]
    for change in (*changes, {"base_url": other(base)}, {"base_url": f"{base}other/"}):
        assert logins.token(**change) != token, f"{', '.join(change)} tells nobody apart"
    if not logins.simulator.vendor.identity:
        assert logins.token(identity="bob") != token
    # Another key may prove the same issuer and subject, and has then replaced the grant.
    assert logins.token() == token or "private_key" in inputs


def passwords() -> Iterator[tuple[str, str]]:
    """The secrets of each preset that say nothing of whose login it is, and may become others."""
    for preset, file in PRESETS.items():
        simulator = Simulator(file, clock=Clock())
        for name, entry in simulator.vendor.credentials.items():
            apart = name in simulator.vendor.identity or samples.is_key(simulator.vendor, name)
            if entry.secret and name in simulator.inputs and not apart:
                yield preset, name


@pytest.mark.parametrize(("preset", "name"), list(passwords()))
def test_who_differs_in_a_password_only_shares_what_was_refused(preset: str, name: str, store: Store) -> None:
    logins = Logins(PRESETS[preset], store)
    sessions = logins.session(), logins.session(**{name: other(logins.simulator.inputs[name])})
    one, another = (session._manager.grants.identity_now()[1] for session in sessions)
    assert one.refusals == another.refusals
    assert one.key == another.key


@pytest.mark.parametrize(("preset", "name"), list(passwords()))
def test_who_differs_in_a_password_only_has_a_grant_once_that_was_accepted(
    preset: str, name: str, store: Store
) -> None:
    logins = Logins(PRESETS[preset], store)
    new = other(logins.simulator.inputs[name])
    if not logins.exchanges:
        assert (logins.status(), logins.status(**{name: new}), logins.status()) == (200, 0, 200)
        logins.become(name, new)
        assert (logins.status(**{name: new}), logins.status()) == (200, 0)
        return
    token = logins.token()
    assert logins.token(**{name: new}) != token
    assert logins.token() == token
    logins.become(name, new)
    accepted, sent = logins.token(**{name: new}), logins.sent()
    if "refresh" in logins.simulator.inputs:  # its user has to fetch another
        assert accepted == ""
        return
    assert accepted not in ("", token)
    assert (logins.token(**{name: new}), logins.sent()) == (accepted, sent)
    assert logins.token() != accepted


def test_whoever_writes_to_a_store_moves_nobodys_token(store: Store) -> None:
    assert list(every_store.attack_on(store)) == []


def test_a_logout_ends_all_of_ones_own_grants_and_nobody_elses(store: Store) -> None:
    assert list(every_store.slots_on(store)) == []
