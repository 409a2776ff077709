"""One vendor on a stage: its file, a server that answers from a script, and a caller.

A script maps paths below the base URL to answers: one, a list of them (the last one stays), or a function of the
request. `data` answers 200 unless the script says otherwise, and every other path 404.
"""

from __future__ import annotations

import contextlib
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

import authflow
from authflow.vendors.loading import load
from tests.servers import Came, Listener, Says, listening

Answer = Says | list[Says] | Callable[[Came], Says]

#: A login that takes nothing and brings a token, and what follows: the frame into which a rule is put.
FRAME = """
name = "staged"
base_url = "%URL%/api/"
start = "signed_out"
[exchanges.login]
request = { method = "POST", url = "login" }
answers.granted = { status = 200, json = { token = "{access}" } }
answers.denied = { status = [400, 401, 403] }
[states.signed_out]
send = "login"
granted = "signed_in"
denied = "refused"
[states.signed_in]
present = { headers = { Authorization = "Bearer {access}" } }
rejected = "signed_out"
expired = "signed_out"
[states.refused]
fail = "No."
"""
GRANTED = Says(200, {"token": "t-1"})


@dataclass
class Clock:
    """Seconds by which the session is ahead of the world."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        """A session that waits lets this clock pass, and nobody waits."""
        self.ahead += seconds


@dataclass
class Stage:
    listener: Listener
    clock: Clock = field(default_factory=Clock)
    script: dict[str, Answer] = field(default_factory=dict)
    session: Any = None

    @property
    def url(self) -> str:
        return self.listener.url + "/api/"

    def load(self, file: str | Mapping[str, Any], script: Mapping[str, Answer] = {}, **given: Any) -> Stage:
        """Give the session a vendor file (`%URL%` is where the server lives) and the server its script."""
        raw = tomllib.loads(file.replace("%URL%", self.listener.url)) if isinstance(file, str) else file
        self.script = {"data": Says(200, {}), "login": GRANTED, **script}
        self.session = authflow.AuthSession(load(raw), clock=self.clock, **given)
        return self

    def answer(self, came: Came) -> Says:
        said = self.script.get(came.path.removeprefix("/api/"), Says(404, {}))
        if isinstance(said, list):
            return said.pop(0) if len(said) > 1 else said[0]
        return said if isinstance(said, Says) else said(came)

    def answer_everything(self, said: Says = GRANTED) -> None:
        """Whatever path is asked for, answer the same."""
        self.listener.says = lambda came: said

    def call(self, path: str = "data", method: str = "GET", **request: Any) -> httpx.Response:
        """One request of the caller's."""
        with httpx.Client(auth=self.session.httpx, trust_env=False, timeout=20) as client:
            return client.request(method, self.url + path, **request)

    def sent(self, *paths: str) -> list[Came]:
        """What came in since the last look; with paths, only that."""
        seen = self.listener.seen()
        return [came for came in seen if not paths or came.path.removeprefix("/api/") in paths]

    def walked(self) -> list[str]:
        """The paths that were asked for since the last look."""
        return [came.path.removeprefix("/api/") for came in self.sent()]


@contextlib.contextmanager
def staged() -> Iterator[Stage]:
    with listening() as listener:
        stage = Stage(listener)
        listener.says = stage.answer
        yield stage


def merged(frame: str, over: str) -> dict[str, Any]:
    """A vendor file with some of its keys said otherwise."""
    return _laid(tomllib.loads(frame), tomllib.loads(over))


def _laid(under: Any, over: Any) -> Any:
    if isinstance(under, Mapping) and isinstance(over, Mapping):
        whole = {"request", "present", "granted", "denied", "json"}
        return {
            **under,
            **{
                key: value if key in whole or key not in under else _laid(under[key], value)
                for key, value in over.items()
            },
        }
    return over
