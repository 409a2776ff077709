"""`plugins/README.md`, "the login you were told cannot be done": each of its files against a strict server."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import authflow
from authflow.errors import CredentialsRefused, VendorUnavailable
from authflow.testing.exploration import explore
from authflow.testing.suite import can_be_simulated
from authflow.vendors.loading import load
from tests.clients.drivers import DRIVERS, Driver
from tests.clients.test_presentations import sent_by
from tests.scenarios.stage import Clock
from tests.servers import Came, Says, listening
from tests.strict.servers import LIFETIME, SERVERS, Keyed, Strict

PAGE = (Path(__file__).parents[2] / "plugins" / "README.md").read_text("utf-8")
FILES = {
    file["name"]: file
    for text in re.findall(r"^```toml\n(.*?)^```$", PAGE.partition("cannot be done")[2], re.M | re.S)
    if (file := tomllib.loads(text))
}
CLIENTS = [driver for driver in DRIVERS if driver.name in ("requests", "httpx", "aiohttp")]
LOGINS = [name for name, server in SERVERS.items() if server.logs_in]
KEYED = [name for name, server in SERVERS.items() if issubclass(server, Keyed)]


#: A token that a login brings, in the path.
PATH_LOGIN = {
    **{key: value for key, value in FILES["in-the-path"].items() if key != "rewrites"},
    "name": "path-login",
    "extends": "relogin",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
        }
    },
    "rewrites": [{"from": "./{rest:path}", "to": "./bot{access}/{rest:path}"}],
}


class PathLogin(Strict):
    path = "orders/%E9//x?a=+&flag"

    def answer(self, came: Came) -> Says:
        if came.target == "/login":
            return Says(200, {"token": self.issue()})
        bot, rest = came.target[1:].split("/", 1)
        good = rest == self.path and self.good(unquote(bot.removeprefix("bot")))
        return Says(200 if good and bot.startswith("bot") else 401, {})


class Play:
    """A server, its clock, and a session there."""

    def __init__(self, name: str, client: Driver, stack: ExitStack) -> None:
        self.clock, self.client = Clock(), client
        self.server: Strict = {**SERVERS, "path-login": PathLogin}[name](self.clock)
        self.url = stack.enter_context(listening(self.server)).url
        self.vendor = load({**FILES, "path-login": PATH_LOGIN}[name])
        self.session = self.signed_up()

    def signed_up(self, **other: Any) -> authflow.AuthSession:
        given = {"timeout": 60, **self.server.given, **other}
        return authflow.AuthSession(self.vendor, base_url=self.url, clock=self.clock, **given)

    def call(self, session: authflow.AuthSession | None = None) -> Any:
        sends = sent_by(self.client, self.server.body)
        method = "POST" if sends else "GET"
        return self.client.call(session or self.session, f"{self.url}/{self.server.path}", method, **sends)


@pytest.fixture(params=CLIENTS, ids=lambda driver: driver.name)
def play(request: pytest.FixtureRequest) -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda name: Play(name, request.param, stack)


def test_each_file_has_its_server() -> None:
    assert FILES.keys() == SERVERS.keys()


@pytest.mark.parametrize("name", SERVERS)
def test_it_logs_in_once_and_is_served(name: str, play: Any) -> None:
    one = play(name)
    for _ in range(3):
        reply = one.call()
        assert (reply.status, b"error" in reply.content) == (200, False), one.server.trail
    assert (one.server.logins, one.server.refused) == (1 if one.server.logs_in else 0, 0), one.server.trail


@pytest.mark.parametrize("name", [name for name, server in SERVERS.items() if server.ends])
def test_it_renews_by_the_clock(name: str, play: Any) -> None:
    one = play(name)
    one.call()
    one.clock.ahead += LIFETIME + 1
    assert one.call().status == one.call().status == 200, one.server.trail
    assert (one.server.logins, one.server.refused) == (2, 0), one.server.trail


@pytest.mark.parametrize("name", LOGINS)
def test_it_renews_on_the_servers_word(name: str, play: Any) -> None:
    one = play(name)
    one.call()
    one.server.revoke()
    one.clock.ahead += 60
    reply = one.call()
    assert (reply.status, b"error" in reply.content) == (200, False), one.server.trail
    assert (one.server.logins, one.server.refused) == (2, 0), one.server.trail


@pytest.mark.parametrize("word", ["the clock", "the server's word"])
@pytest.mark.parametrize("name", KEYED)
def test_a_key_that_serves_no_more_is_asked_for_anew_and_sent_in_the_same_call(name: str, word: str, play: Any) -> None:
    one, asked = play(name), []

    def ask() -> str:
        asked.append(one.server.key)
        return str(one.server.key)

    session = one.signed_up(**{one.server.secret: ask})
    for turn in range(3):
        assert one.call(session).status == one.call(session).status == 200, one.server.trail
        assert one.server.refused == (turn if name == "in-the-path" else 0), one.server.trail
        if word == "the clock":
            one.clock.ahead += LIFETIME
        else:
            one.server.revoke()
    assert len(set(asked)) == 3


@pytest.mark.parametrize("name", SERVERS)
def test_a_wrong_secret_is_sent_once(name: str, play: Any) -> None:
    one = play(name)
    session = one.signed_up(**one.server.wrong)
    for _ in range(3):
        with pytest.raises(one.client.error) as caught:
            one.call(session)
        assert isinstance(caught.value, CredentialsRefused)
    assert (one.server.logins, one.server.refused) == (0, 1), one.server.trail
    one.clock.ahead += 61 if "ask" in one.server.wrong else 0  # a person who refused is left alone for a minute
    assert one.call().status == 200


def test_a_code_is_not_sent_twice(play: Any) -> None:
    one = play("second-step")
    one.clock.ahead += 30 - one.clock() % 30  # a period begins
    one.call()
    one.server.revoke()
    before = one.clock.ahead
    assert one.call().status == 200, one.server.trail
    assert 25 < one.clock.ahead - before <= 30
    assert (one.server.logins, one.server.refused) == (2, 0), one.server.trail
    another = one.signed_up()
    assert one.call(another).status == 200, one.server.trail
    assert (one.server.logins, one.server.refused, len(one.server.used)) == (3, 0, 3), one.server.trail


def test_a_call_that_has_no_time_for_the_next_code_says_when(play: Any) -> None:
    one = play("second-step")
    one.clock.ahead += 30 - one.clock() % 30
    hasty = one.signed_up(timeout=5)
    one.call(hasty)
    one.server.revoke()
    with pytest.raises(one.client.error, match="waits for the next one-time code") as caught:
        one.call(hasty)
    assert isinstance(caught.value, VendorUnavailable)
    assert 25 < caught.value.retry_after <= 30
    one.clock.ahead += caught.value.retry_after
    asked = len(one.server.trail)
    assert one.call(hasty).status == 200, one.server.trail
    assert [line for line in one.server.trail[asked:] if "login" in line] == ["POST /login/mfa"]
    assert (one.server.logins, one.server.refused) == (2, 0)


@pytest.mark.parametrize("name", SERVERS)
def test_it_is_simulated_and_explored_as_any_other(name: str) -> None:
    can_be_simulated(FILES[name])
    found = explore(FILES[name], examples=4, seed=1)
    assert found.failure is None, str(found)


def test_a_token_of_a_login_goes_into_the_path_and_the_next_one_in_its_place(play: Any) -> None:
    one = play("path-login")
    assert one.call().status == one.call().status == 200, one.server.trail
    one.server.revoke()
    assert one.call().status == 200, one.server.trail
    assert one.server.logins == 2
