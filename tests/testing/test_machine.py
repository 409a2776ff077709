"""The machine: every shape of vendor keeps every promise, every cell of its flow is visited, and a story can be told
again.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from typing import Any

import pytest

from authflow import plugins
from authflow.testing import Clock, Coverage, Simulator, explore, flow_machine
from authflow.testing.coverage import cells
from authflow.testing.ledger import Ledger
from authflow.testing.machine import _scripted
from authflow.testing.story import numbered, sequence
from authflow.vendors import UNAVAILABLE
from tests.odd_vendors import STORIES

from .shapes import shapes

VENDORS: dict[str, Any] = {**shapes(), **{name: name for name in sorted(plugins.vendors())}}

#: The whole test file of a vendor's author.
TestSupplier = flow_machine("supplier").TestCase


@pytest.mark.parametrize("name", VENDORS)
def test_every_shape_keeps_the_promises_and_every_cell_is_visited(name: str) -> None:
    vendor = plugins.find_vendor(VENDORS[name])
    visits: Counter[tuple[str, str]] = Counter()
    for seed in range(24):  # a cell may be rare: the second step of a login, just when the vendor goes away
        found = explore(vendor, examples=40, seed=seed)
        assert found.failure is None, str(found)
        visits.update(found.coverage.visits)
        missed = [cell for cell in cells(vendor) if not visits[cell]]
        if not missed:
            return
    raise AssertionError(f"never visited: {missed}")


@pytest.mark.parametrize("name", STORIES)
def test_every_odd_vendor_keeps_the_promises(name: str) -> None:
    found = explore({"name": name.replace("_", "-"), **tomllib.loads(STORIES[name].toml)}, examples=10, seed=1)
    assert found.failure is None, str(found)


IDLE = {
    "name": "idle",
    "extends": "relogin",
    "base_url": "https://idle.example/",
    "expiry": {"idle": 900},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
            "answers": {"granted": {"json": {"t": "{access}"}}},
        }
    },
    "answers": {"rejected": {"json": {"error": "expired"}}},
}

AHEAD = {
    "name": "ahead",
    "extends": "password",
    "base_url": "https://api.example/",
    "expiry": {"ahead": 20},
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {"granted": {"json": {"token": "{access}", "refresh": "{refresh}", "s": "{expires_in:int}"}}},
        },
        "refresh": {
            "request": {"url": "refresh", "json": {"refresh": "{refresh}"}},
            "answers": {
                "granted": {"json": {"token": "{access}", "refresh": "{refresh}", "s": "{expires_in:int}"}},
                "unavailable": {"status": 400, "json": {"error": "too early"}},
                "denied": {"status": 400},
            },
        },
    },
}


@pytest.mark.parametrize(
    ("vendor", "examples", "seed"),
    [
        pytest.param(IDLE, 20, 1, id="a session that another process began, by a clock that is ahead"),
        pytest.param(IDLE, 20, 5, id="a refusal that could not be stored"),
        pytest.param("etcd", 30, 2, id="a renewal that a 500 answers is sent once more"),
        pytest.param(AHEAD, 10, 11, id="a token that somebody rejected is renewed ahead of its end"),
        pytest.param(shapes()["device"], 10, 11, id="a vendor that wants to be asked again"),
    ],
)
def test_what_nobody_promised_is_no_alarm(vendor: Any, examples: int, seed: int) -> None:
    found = explore(vendor, examples=examples, seed=seed, shrink=False)
    assert found.failure is None, str(found)


GIVEN = {
    "name": "given",
    "extends": "refresh-token",
    "base_url": "https://api.example/",
    "settings": {"token_url": {"default": "https://accounts.example/oauth/token"}},
}
FOR_CODE_ALONE = {
    "name": "coded",
    "extends": "relogin",
    "base_url": "https://api.example/",
    "credentials": {"password": {"secret": True}},
    "exchanges": {
        "login": {
            "request": {"url": "login/begin", "json": {"username": "{username}"}},
            "answers": {
                "granted": {"status": 200, "json": {"access": "{access}", "expires_in": "{expires_in:int}"}},
            },
        }
    },
}


@pytest.mark.parametrize(
    "vendor",
    [
        pytest.param(GIVEN, id="where there is no other way in, what a killed process exchanged is sent once more"),
        pytest.param(FOR_CODE_ALONE, id="a password that no exchange carries, known to some and asked for by others"),
    ],
)
def test_what_nobody_promised_is_no_alarm_in_long_stories(vendor: Any) -> None:
    found = explore(vendor, examples=12, steps=60, seed=0, shrink=False)
    assert found.failure is None, str(found)


def test_a_seed_tells_the_same_stories_again() -> None:
    runs = [explore("supplier", examples=20, seed=7) for _ in range(2)]
    assert runs[0].coverage.visits == runs[1].coverage.visits
    assert (runs[0].steps, runs[0].story) == (runs[1].steps, runs[1].story)


def test_a_broken_promise_is_found_and_told_in_a_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    # A vendor that takes spent refresh tokens back lets a client get away with anything; so the client is broken here.
    from authflow.accounts.records import Record
    from authflow.vendors.flow import Step

    plain = Record.from_bytes

    def forgetful(data: bytes) -> Record:
        grant = plain(data)
        first.setdefault("refresh", grant.captured.get("refresh"))
        captured = {**grant.captured, "refresh": first["refresh"]} if grant.captured.get("refresh") else grant.captured
        return grant.replace(captured=captured)

    first: dict[str, Any] = {}
    assert Step is not None
    monkeypatch.setattr("authflow.accounts.records.Record.from_bytes", forgetful)
    found = explore("supplier", examples=300)
    assert found.failure is not None
    assert found.failure.startswith("promise 2 (no refresh token is reused): ")
    assert found.story[-1] == found.failure
    text = str(found)
    assert "\n 1. " in text
    assert "sequenceDiagram" in text


def test_a_table_shows_what_was_never_visited() -> None:
    coverage = Coverage(plugins.find_vendor("supplier"))
    coverage.note("signed_out", "granted")
    coverage.note("signed_out", "granted")
    lines = coverage.table().splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["state", "outcome", "leads", "to", "visits"],
        ["signed_out", "granted", "signed_in", "2"],
        ["signed_out", "denied", "refused", "never"],
    ]
    assert lines[-1] == "1 of 9 cells visited"
    assert ("stale", "lost") in coverage.missed
    assert "    stale --> signed_out: lost (never)" in coverage.drawing()
    assert "    signed_out --> signed_in: granted (2)" in coverage.drawing()


def test_a_story_is_drawn_line_by_line() -> None:
    story = [
        "request 1 of A1 begins",
        "A1 sends login",
        "A1 hears granted to login",
        "A1: signed_out --granted--> signed_in",
        "request 1 of A1 goes out (get)",
        "request 1 of A1 is rejected",
        "B2 cannot save: the store fails",
        "12.0 s pass",
    ]
    assert numbered(story)[0] == "1. request 1 of A1 begins"
    assert sequence(story).splitlines() == [
        "sequenceDiagram",
        "    participant A1 as A1",
        "    participant B2 as B2",
        "    participant vendor as vendor",
        "    Note over A1: request 1 begins",
        "    A1->>vendor: login",
        "    vendor-->>A1: login: granted",
        "    Note over A1: signed_out --granted--#62; signed_in",
        "    A1->>vendor: request 1",
        "    vendor-->>A1: request 1: rejected",
        "    Note over B2: cannot save: the store fails",
        "    Note over vendor: 12.0 s pass",
    ]


def test_the_machine_notices_a_vendor_that_never_lets_anybody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of each story is a test of its own: a machine that always says yes would not fail here."""

    def refuse(self: Ledger, *arguments: Any) -> None:
        from authflow.testing.ledger import Refused

        raise Refused("wrong")

    monkeypatch.setattr(Ledger, "check_password", refuse)
    found = explore("supplier", examples=3, shrink=False)
    assert found.failure is not None
    assert "is not served though all is well again" in found.failure
    assert Simulator("supplier", clock=Clock()).cannot == ()


def test_an_outage_may_meet_every_sending_state() -> None:
    vendor = plugins.find_vendor("supplier")
    assert {(name, UNAVAILABLE) for name in vendor.flow.exchanges} <= set(_scripted(vendor, ()))
