"""Each attack is a script that says what it expects, and finds nothing."""

from __future__ import annotations

import pytest

from tests.attacks import (
    at_the_port,
    crowded_store,
    hostile_screens,
    kept_by_sentry,
    led_astray,
    noisy_logs,
    planted_records,
    planted_refusals,
    shown_objects,
    swapped_records,
)

ATTACKS = [swapped_records, planted_records, planted_refusals, crowded_store, at_the_port, led_astray]


@pytest.mark.parametrize("module", ATTACKS, ids=lambda it: it.__name__)
def test_an_attack_finds_nothing(module: object) -> None:
    assert list(getattr(module, "attack")()) == []  # noqa: B009


@pytest.mark.slow
@pytest.mark.parametrize("answer", hostile_screens.ANSWERS)
def test_nothing_writes_to_the_screen(answer: str) -> None:
    assert list(hostile_screens.attack((answer,))) == []


@pytest.mark.slow
def test_no_object_shows_a_secret() -> None:
    assert list(shown_objects.attack()) == []


@pytest.mark.slow
@pytest.mark.parametrize("library", noisy_logs.LIBRARIES)
def test_nothing_logs_or_prints_an_exchange(library: str) -> None:
    assert list(noisy_logs.attack([library])) == []


@pytest.mark.slow
@pytest.mark.parametrize("library", noisy_logs.LIBRARIES)
def test_sentry_keeps_nothing_of_an_exchange(library: str) -> None:
    pytest.importorskip("sentry_sdk")
    assert list(kept_by_sentry.attack([library], ["traces and logs"])) == []  # which has breadcrumbs too
