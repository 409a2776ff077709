"""One suite over every product, against its real server: what the vendor files say is what the servers do.

The session's clock is the test's own: set ahead, the session knows of an expiry that the server has not reached;
stopped, it learns of one from the server's answer alone. Only that last story waits for a token to die.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

import authflow
from authflow.plugins import manager
from authflow.stores import MemoryStore
from authflow_selfhosted.servers import Running
from authflow_selfhosted.servers.process import status

LOGIN = ("signed_out", "granted", "signed_in")
REFRESH = ("stale", "granted", "signed_in")
Edge = tuple[str, str, str]


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0
        self.stopped: float | None = None

    def __call__(self) -> float:
        return (time.time() if self.stopped is None else self.stopped) + self.ahead

    def stop(self) -> None:
        self.stopped = time.time()


class Seen(requests.adapters.HTTPAdapter):
    """Notes every answer, also those that an auth hook keeps to itself."""

    def __init__(self, answers: list[int]) -> None:
        super().__init__()
        self.seen = answers

    def send(self, *arguments: Any, **settings: Any) -> requests.Response:
        answer = super().send(*arguments, **settings)
        self.seen.append(answer.status_code)
        return answer


class Story:
    """A session at a server, and all that it does: exchanges by status, edges of the flow, the caller's answers."""

    def __init__(self, server: Running, client: str, clock: Clock, **given: Any) -> None:
        self.server, self.client, self.clock = server, client, clock
        self.exchanges: list[int] = []
        self.edges: list[Edge] = []
        self.answers: list[int] = []
        self._sender = httpx.Client(
            trust_env=False, event_hooks={"response": [lambda answer: self.exchanges.append(answer.status_code)]}
        )
        inputs = {**server.inputs, **given}
        manager().register(self)  # a session settles at its making which hooks it calls
        self.session = authflow.AuthSession(server.product.name, client=self._sender, clock=clock, **inputs)

    @authflow.hookimpl
    def authflow_transition(self, before: str, event: str, after: str) -> None:
        self.edges.append((before, event, after))

    def get(self, url: str = "") -> str:
        """The body of the caller's own GET, which must succeed."""
        url = url or self.server.data
        answer: Any
        if self.client == "requests":
            with requests.Session() as caller:
                caller.trust_env = False
                caller.mount("http://", Seen(self.answers))
                answer = caller.get(url, auth=self.session.requests, timeout=30)
        else:
            hooks = {"response": [lambda answer: self.answers.append(answer.status_code)]}
            with httpx.Client(auth=self.session.httpx, event_hooks=hooks, trust_env=False, timeout=30) as caller:
                answer = caller.get(url)
        assert answer.status_code == 200, answer.text
        return str(answer.text)

    def presented(self) -> dict[str, str]:
        """The headers with which the session's token travels, for a request past it."""
        request = requests.Request("GET", self.server.data, auth=self.session.requests).prepare()
        return {name: value for name, value in request.headers.items() if name not in ("Cookie", "Content-Length")}

    def close(self) -> None:
        manager().unregister(self)
        self._sender.close()


Tell = Callable[..., Story]


@pytest.fixture(params=["requests", "httpx"])
def tell(request: pytest.FixtureRequest, server: Running) -> Iterator[Tell]:
    stories = []

    def begin(**given: Any) -> Story:
        story = Story(server, request.param, Clock(), **given)
        stories.append(story)
        return story

    yield begin
    for story in stories:
        story.close()


def in_time(server: Running, story: Callable[[], None]) -> None:
    """A story that took about as long as a token lives proves nothing where it fails: it is told again."""
    for _ in range(4):
        begun = time.monotonic()
        try:
            return story()
        except AssertionError:
            if time.monotonic() - begun < server.place.lifetime - 2:
                raise
    return story()


def renewal(server: Running, event: str) -> list[Edge]:
    """The edges of a renewal: a refresh, where there is one, else a login."""
    if server.product.refreshes:
        return [("signed_in", event, "stale"), REFRESH]
    return [("signed_in", event, "signed_out"), LOGIN]


def test_one_login_serves_every_request(server: Running, tell: Tell) -> None:
    def story() -> None:
        told = tell()
        assert server.product.shows in told.get()
        assert server.product.shows in told.get()
        assert (told.edges, len(told.exchanges), told.answers) == ([LOGIN], 1, [200, 200])

    in_time(server, story)


def test_an_expiry_that_is_known_is_renewed_ahead_and_the_new_refresh_token_serves_too(
    server: Running, tell: Tell
) -> None:
    def story() -> None:
        told = tell()
        told.get()
        for _ in range(2):
            told.clock.ahead += server.place.lifetime
            told.get()
        assert told.edges == [LOGIN, *renewal(server, "expired"), *renewal(server, "expired")]
        assert (len(told.exchanges), told.answers) == (3, [200, 200, 200])

    in_time(server, story)


def test_an_expiry_is_learnt_from_the_servers_answer_alone(server: Running, tell: Tell) -> None:
    def story() -> None:
        told = tell()
        told.clock.stop()
        told.get()
        headers, overdue = told.presented(), time.monotonic() + server.place.lifetime + 20
        while status(server.data, headers) == 200:
            assert time.monotonic() < overdue, "the server goes on accepting the token"
            time.sleep(0.1)
        told.get()
        assert told.edges == [LOGIN, *renewal(server, "rejected")]
        assert (len(told.exchanges), told.answers) == (2, [200, 401, 200])

    story()


def test_a_wrong_password_is_sent_once(server: Running, tell: Tell) -> None:
    told = tell(password="not-the-password")
    for _ in range(2):
        with pytest.raises(authflow.CredentialsRefused) as refused:
            told.get()
        assert "not-the-password" not in str(refused.value)
    assert told.edges == [("signed_out", "denied", "refused")]
    assert len(told.exchanges) == 1
    assert told.answers == []


def test_a_logout_ends_the_token_at_the_server(server: Running, tell: Tell) -> None:
    def story() -> None:
        store = MemoryStore()
        told = tell(store=store)
        told.get()
        headers = told.presented()
        ((key, kept),) = store._records.items()
        told.session.logout()
        assert store.load(key) is None
        if server.product.ends == "access":
            assert status(server.data, headers) == 401
        else:  # whoever had kept the refresh token would not get far with it
            store.save(key, kept.data, None, lifetime=60)
            told.clock.ahead = server.place.lifetime
            told.get()
            assert told.edges[1:] == [("signed_in", "expired", "stale"), ("stale", "denied", "signed_out"), LOGIN]

    in_time(server, story)


def test_after_a_logout_the_next_request_logs_in(server: Running, tell: Tell) -> None:
    def story() -> None:
        told = tell()
        told.get()
        told.session.logout()
        told.get()
        assert (told.edges, len(told.exchanges)) == ([LOGIN, LOGIN], 3)

    in_time(server, story)


@pytest.mark.parametrize("server", ["flask-jwt-extended"], indirect=True)
def test_an_answer_that_only_a_login_cures_skips_the_refresh(server: Running, tell: Tell) -> None:
    def story() -> None:
        told = tell()
        told.get()
        told.clock.ahead = server.place.lifetime
        told.get()
        told.answers.clear()
        told.get(server.data + "/fresh")
        assert told.answers == [401, 200]
        assert told.edges[-2:] == [("signed_in", "needs_login", "signed_out"), LOGIN]

    in_time(server, story)
