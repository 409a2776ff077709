"""Each attack is a script that says what it expects, and finds nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.attacks import (
    accounts_apart,
    after_fork,
    as_the_readme_says,
    at_hand,
    at_the_port,
    by_proxy,
    carried_away,
    crooked_urls,
    crowded_store,
    hostile_screens,
    kept_by_sentry,
    led_astray,
    left_lying,
    many_users,
    noisy_logs,
    on_the_way,
    own_request,
    planted_records,
    planted_refusals,
    shown_objects,
    swapped_records,
    where_it_stood,
)

ATTACKS = [swapped_records, planted_records, planted_refusals, crowded_store, at_the_port, led_astray]
ATTACKS += [where_it_stood, accounts_apart]


@pytest.mark.parametrize("module", ATTACKS, ids=lambda it: it.__name__)
def test_an_attack_finds_nothing(module: object) -> None:
    assert list(getattr(module, "attack")()) == []  # noqa: B009


@pytest.mark.slow
def test_no_url_is_the_vendors_for_one_parser_alone() -> None:
    assert list(crooked_urls.attack()) == []


@pytest.mark.slow
def test_each_hop_sees_the_tokens_of_who_declares_it() -> None:
    pytest.importorskip("requests")
    assert list(on_the_way.attack()) == []


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_children_serve_their_own_users() -> None:
    assert list(after_fork.attack()) == []


@pytest.mark.slow
def test_everybody_presents_what_their_own_request_gets() -> None:
    assert list(own_request.attack()) == []


@pytest.mark.slow
def test_nobody_of_many_users_is_given_anothers_token() -> None:
    pytest.importorskip("httpx")
    pytest.importorskip("requests")
    assert list(many_users.attack()) == []


@pytest.mark.slow
@pytest.mark.parametrize("answer", hostile_screens.ANSWERS)
def test_nothing_writes_to_the_screen(answer: str) -> None:
    assert list(hostile_screens.attack((answer,))) == []


@pytest.mark.slow
def test_no_object_shows_a_secret() -> None:
    assert list(shown_objects.attack()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="it asks what memory it took, and for rights of files")
@pytest.mark.parametrize("row", as_the_readme_says.ROWS, ids=lambda it: it.__name__)
def test_a_row_of_the_readme_holds(row: Callable[[], Iterator[str]]) -> None:
    assert list(row()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the tools
def test_nothing_that_people_have_at_hand_shows_a_secret() -> None:
    assert list(at_hand.attack()) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tasks that nobody asked, say
@pytest.mark.parametrize("library", [it for it in noisy_logs.LIBRARIES if it in ("requests", "httpx", "aiohttp")])
def test_an_error_carries_no_secret_away(library: str) -> None:
    assert list(carried_away.attack([library])) == []


@pytest.mark.slow
@pytest.mark.parametrize("library", noisy_logs.LIBRARIES)
def test_nothing_logs_or_prints_an_exchange(library: str) -> None:
    assert list(noisy_logs.attack([library])) == []


@pytest.mark.slow
@pytest.mark.parametrize("library", noisy_logs.LIBRARIES)
def test_sentry_keeps_nothing_of_an_exchange(library: str) -> None:
    pytest.importorskip("sentry_sdk")
    assert list(kept_by_sentry.attack([library], ["traces and logs"])) == []  # which has breadcrumbs too


@pytest.mark.slow
@pytest.mark.parametrize("library", [it for it in noisy_logs.LIBRARIES if it in ("requests", "httpx", "aiohttp")])
def test_nothing_shows_a_proxys_password(library: str) -> None:
    assert list(by_proxy.attack([library])) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_nothing_is_left_lying_about() -> None:
    assert list(left_lying.attack()) == []
