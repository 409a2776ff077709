"""Promise 11 by the state machine: several users, several servers, one store, and somebody who writes to it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from authflow.accounts.claims import Claims
from authflow.testing import explore, flow_machine
from authflow.testing.accounts import AccountsMachine, User, accounts_machine

from .shapes import shapes

GRANTED = {"json": {"access": "{access}", "refresh": "{refresh}", "in": "{expires_in:int}"}}
#: Users who differ in a setting and in nothing else.
ZONED: dict[str, Any] = {
    "name": "zoned",
    "extends": "password",
    "base_url": "https://vendor.example/",
    "settings": {"zone": {}},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"user": "{username}", "secret": "{password}", "zone": "{zone}"}},
            "answers": {"granted": GRANTED},
        },
        "refresh": {"request": {"url": "refresh", "json": {"refresh": "{refresh}"}}, "answers": {"granted": GRANTED}},
    },
    "states": {"stale": {"missing": "signed_out"}},
}
SHAPES = {**shapes(), "zoned": ZONED}
VENDORS = ["zoned", "supplier", "preset-token-exchange", "preset-refresh-token"]


@pytest.mark.parametrize("name", VENDORS)
def test_nobody_is_given_anothers_token(name: str) -> None:
    run_state_machine_as_test(accounts_machine(SHAPES.get(name, name)))


def test_the_machine_is_no_idle_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most requests are served, whoever writes to the store, and each kind of user is there."""
    served: Counter[Any] = Counter()
    plain = User.ask

    def ask(self: User) -> int | None:
        status = plain(self)
        served[self.differs, status == 200] += 1
        return status

    monkeypatch.setattr(User, "ask", ask)
    run_state_machine_as_test(accounts_machine("supplier"))
    who = {differs for differs, _ in served}
    assert {"the first", "another user", "another server", "another password"} <= who
    for differs in who:
        assert served[differs, True] > 3 * served[differs, False], differs


def test_the_ordinary_exploration_checks_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check --explore`, `explore` and a vendor's whole test file: one machine's two parts, one report."""
    monkeypatch.setattr(Claims, "owns", lambda claims, record: True)
    found = explore("supplier", examples=16, steps=1, seed=1, shrink=False)
    assert found.failure is not None
    assert found.failure.startswith("promise 11 (nobody is given another's token): another password ")
    assert found.story[-1] == found.failure
    test = flow_machine("supplier").TestCase
    test.settings = settings(test.settings, max_examples=1, stateful_step_count=1)
    with pytest.raises(AssertionError, match="promise 11"):
        test("runTest").runTest()


def test_the_report_says_who_shared_the_store() -> None:
    found = explore("supplier", examples=1, steps=1, seed=1)
    assert found.failure is None
    shown = "one store for the first, another user, another server, another password: nobody is given another's token"
    assert shown in str(found)


def test_a_token_of_another_is_noticed() -> None:
    """A token that is handed from one user to another by hand: what watches must not be blind."""
    machine: AccountsMachine = accounts_machine("supplier")()
    try:
        machine.all_ask()
        assert machine.broken == []
        first, other = machine.users[:2]
        first.session._manager.grants.current = other.session._manager.grants.current
        first.ask()
        assert machine.broken == [
            "promise 11 (nobody is given another's token): the first asks for data with a token of another user",
        ]
    finally:
        machine.teardown()
