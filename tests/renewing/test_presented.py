"""What a vendor without a login is shown as it was given: a good answer is all that says whether it is right."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow.stores import FileStore, MemoryStore, Store
from authflow.testing import Clock, Simulator
from authflow.testing.suite import CLIENTS
from authflow.testing.transports import SimulatedSender
from tests.scripted import finished

LIBRARIES = [name for name in CLIENTS if importlib.util.find_spec(name) is not None]
FILE = {"name": "plain", "extends": "basic", "base_url": "https://vendor.example/"}


class Plain:
    """A vendor with one user, and processes that share a store."""

    def __init__(self, library: str, store: Store, file: Any = FILE) -> None:
        self.get, self.store, self.clock = CLIENTS[library], store, Clock()
        self.simulator = Simulator(file, clock=self.clock)

    def session(self, **given: Any) -> authflow.AuthSession:
        own: dict[str, Any] = {"client": SimulatedSender(self.simulator), "clock": self.clock, "store": self.store}
        return authflow.AuthSession(self.simulator.vendor, **own, **{**self.simulator.inputs, **given})

    def ask(self, **given: Any) -> tuple[int | str, int]:
        """What a new process gets, and how many of its requests the vendor saw."""
        before = len(self.simulator.log)
        try:
            found: int | str = self.get(self.simulator, self.session(**given))
        except authflow.CredentialsRefused:
            found = "refused"
        finished()
        self.clock.advance(1.0)
        return found, len(self.simulator.log) - before


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else FileStore(tmp_path / "tokens")


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_was_accepted_goes_and_what_was_refused_waits(library: str, store: Store) -> None:
    plain = Plain(library, store)
    story = [plain.ask(), plain.ask(password="wrong"), plain.ask(), plain.ask(password="wrong")]
    assert story == [(200, 1), ("refused", 1), (200, 1), ("refused", 0)]
    # The hour's one change; then nothing but what was accepted.
    assert [plain.ask(password=f"wrong-{number}") for number in (2, 3)] == [("refused", 1), ("refused", 0)]
    assert [plain.ask() for _ in range(3)] == [(200, 1)] * 3


def test_a_password_that_has_become_another_at_the_vendor_is_refused_by_the_schedule(store: Store) -> None:
    plain = Plain(LIBRARIES[0], store)
    assert plain.ask() == (200, 1)
    plain.simulator.account.values["password"] = "new"
    seen = 0
    for _ in range(58):
        plain.clock.advance(60)
        seen += plain.ask()[1]
    assert seen == 3
    assert plain.ask(password="new") == (200, 1)
    assert plain.ask() == ("refused", 0)
    assert plain.ask(password="new") == (200, 1)


def test_an_error_of_the_vendors_accepts_nothing() -> None:
    plain = Plain(LIBRARIES[0], MemoryStore())
    plain.simulator.faults.add("503@data:x1")
    assert plain.ask(password="wrong")[0] == 503
    assert not plain.store._records  # type: ignore[attr-defined]
    assert plain.ask() == (200, 1)
    assert len(plain.store._records) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("library", LIBRARIES)
def test_it_is_noted_once_and_then_costs_nothing(library: str) -> None:
    plain = Plain(library, MemoryStore())
    session = plain.session()
    assert plain.get(plain.simulator, session) == 200
    grant = session._manager.grants.current
    assert grant.unproved is None
    assert plain.clock() < grant.fresh_until
    revisions = {key: stored.revision for key, stored in plain.store._records.items()}  # type: ignore[attr-defined]
    assert len(revisions) == 1
    for _ in range(3):
        assert plain.get(plain.simulator, session) == 200
    plain.ask()
    assert {key: stored.revision for key, stored in plain.store._records.items()} == revisions  # type: ignore[attr-defined]


def test_a_password_that_is_asked_for_is_noted_as_it_was_given() -> None:
    plain = Plain(LIBRARIES[0], MemoryStore())
    answers = [plain.simulator.inputs["password"]]
    assert plain.ask(password=lambda: answers[0])[0] == 200
    assert plain.ask(password="wrong")[0] == "refused"
    assert plain.ask(password="other") == ("refused", 1)
    assert plain.ask() == (200, 1)


def test_a_key_that_is_its_own_account_is_not_noted() -> None:
    """Nobody shares its refusals."""
    plain = Plain(LIBRARIES[0], MemoryStore(), {**FILE, "extends": "api-key"})
    assert plain.ask() == (200, 1)
    assert not plain.store._records  # type: ignore[attr-defined]


def test_who_is_only_challenged_later_is_not_refused_for_ever(store: Store) -> None:
    """Nothing is sent where a login begins with a bare request, so that this uses no turn up."""
    plain = Plain(LIBRARIES[0], store, {**FILE, "extends": "challenge"})
    assert plain.ask(password="new")[0] == "refused"
    plain.simulator.account.values["password"] = "new"
    plain.clock.advance(61.0)
    assert plain.ask(password="new")[0] == 200
