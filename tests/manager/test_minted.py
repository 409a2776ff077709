"""A token that the session mints itself is presented as any bearer is, until it is time for the next."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from authflow import AuthSession

VENDOR = {
    "name": "minting",
    "base_url": "https://a.example/",
    "start": "signed_in",
    "identity": ["key"],
    "credentials": {"key": {"secret": True}},
    "derive": {"token": {"jwt": {"key": "{key}", "lifetime": 100}}},
    "states": {"signed_in": {"present": {"headers": {"Authorization": "Bearer {token}"}}}},
}


class Clock:
    now = 10_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock, **more: Any) -> AuthSession:
    return AuthSession({**VENDOR, **more}, key="a key of thirty-two bytes, or more", clock=clock)


def sent(session: AuthSession, path: str = "data") -> str:
    request = requests.Request("GET", f"https://a.example/{path}").prepare()
    return str(session.requests(request).headers["Authorization"])


@pytest.mark.parametrize("more", [{}, {"rewrites": [{"from": "v1/{id}", "to": "v2/{id}"}]}], ids=["at once", "thought"])
def test_one_token_serves_until_it_is_time_for_the_next(clock: Clock, more: dict[str, Any]) -> None:
    session, shown = opened(clock, **more), []
    for clock.now in (10_000.0, 10_050.0, 10_089.0, 10_091.0, 10_150.0, 10_180.0, 10_182.0):
        shown.append(sent(session))
    first, second, third = dict.fromkeys(shown)
    assert shown == [first] * 3 + [second] * 3 + [third]


def test_it_needs_no_more_thought_than_a_bearer(clock: Clock) -> None:
    session = opened(clock)
    for clock.now in (10_000.0, 10_095.0):
        token = sent(session)
        grant = session._manager.grants.current
        assert (grant.bearer, grant.fresh_until) == (token, clock.now + 90)


def test_it_takes_no_newer_grants_place(clock: Clock) -> None:
    session = opened(clock)
    sent(session)
    grants = session._manager.grants
    old = grants.current
    session.login()
    newer = grants.current
    assert newer is not old
    assert grants._at((), old, clock.now + 95) is not old
    assert grants.current is newer
