"""A vendor without a network: a clock that the test moves, and a sender that grants, unless a script says otherwise.

vendor = ScriptedVendor()
session = vendor.session()
vendor.says("refresh", 503, {})         # the next refresh; every other exchange is granted
vendor.clock.now += 60
"""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import authflow
from authflow.accounts.grants import Grant
from authflow.http import Answer, Request
from authflow.manager import workers
from authflow.manager.manager import Authorization

LIFETIME = 1000.0
URL = "https://vendor.example/api/things/1"

#: A ladder of login and refresh; the refresh may leave its token out, and tokens last LIFETIME seconds.
LADDER: Mapping[str, Any] = {
    "name": "ladder",
    "extends": "password",
    "base_url": "https://vendor.example/api/",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {
                "granted": {"json": {"access": "{access}", "refresh": "{refresh?}", "in": "{expires_in:int?}"}}
            },
        },
        "refresh": {
            "request": {"url": "refresh", "json": {"refresh": "{refresh}"}},
            "answers": {
                "granted": {"json": {"access": "{access}", "refresh": "{refresh?}", "in": "{expires_in:int?}"}}
            },
        },
    },
    "states": {"stale": {"missing": "signed_out"}},
}


@dataclass
class Clock:
    """Epoch seconds, moved by the test."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


Said = Answer | Exception | Callable[[Request], Answer]


@dataclass
class ScriptedVendor:
    """Answers exchanges as a `Sender`; `sent` holds what was sent, by exchange: the last segment of its path."""

    clock: Clock = field(default_factory=Clock)
    sent: list[Request] = field(default_factory=list)
    script: dict[str, deque[Said]] = field(default_factory=lambda: defaultdict(deque))
    down: Said | None = None

    def __post_init__(self) -> None:
        self._serial = itertools.count(1)

    def session(self, vendor: Mapping[str, Any] = LADDER, **more: Any) -> authflow.AuthSession:
        own = {"username": "user", "password": "pass-word", "client": self, "clock": self.clock}
        return authflow.AuthSession(vendor, **{**own, **more})

    def says(self, name: str, *answer: Any) -> None:
        """What the next exchange of that name gets: status, document and headers, or an exception, or a function."""
        said = answer[0] if not isinstance(answer[0], int) else answered(*answer)
        self.script[name].append(said)

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.sent.append(request)
        script = self.script[name_of(request)]
        said = script.popleft() if script else self.down
        if isinstance(said, Exception):
            raise said
        if said is None:
            number = next(self._serial)
            return answered(200, {"access": f"access-{number}", "refresh": f"refresh-{number}", "in": int(LIFETIME)})
        return said(request) if callable(said) else said

    @property
    def names(self) -> list[str]:
        """The exchanges since the last look."""
        names = [name_of(request) for request in self.sent]
        self.sent.clear()
        return names


def answered(status: int, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, tuple((headers or {}).items()), json.dumps(document).encode())


def name_of(request: Request) -> str:
    return request.url.partition("?")[0].rpartition("/")[2]


def body_of(request: Request) -> Any:
    return json.loads(request.body or b"null")


def finished() -> None:
    """Wait until nothing is under way in threads of ours."""
    ends = time.monotonic() + 10
    while workers.WORKERS._at_work or any(workers.WORKERS._waiting.values()):
        assert time.monotonic() < ends, "a flight does not land"
        time.sleep(0.002)


# --- a walk, as an adapter would ask ----------------------------------------------------------------------------------


def served(entry: Authorization | None) -> Grant:
    """What the request carries in the end."""
    assert entry is not None
    if entry.grant is not None:
        return entry.grant
    assert entry.flight is not None
    return entry.flight.wait()


def bearer(grant: Grant) -> str:
    return dict(grant.presentation.headers).get("Authorization", "")


#: A vendor that wants a token for each repository.
REGISTRY: dict[str, Any] = {
    "name": "registry",
    "base_url": "https://registry.example/v2/",
    "start": "anonymous",
    "vary": ["scope"],
    "credentials": {"username": {}, "password": {"secret": True}},
    "origins": {"send": ["https://auth.registry.example"]},
    "exchanges": {
        "token": {
            "request": {
                "url": "https://auth.registry.example/token",
                "query": {"scope": "{scope}"},
                "basic": ["{username}", "{password}"],
            },
            "answers": {"granted": {"status": 200, "json": {"access": "{access}"}}, "denied": {"status": 401}},
        }
    },
    "states": {
        "anonymous": {"present": {}, "challenged": "asking"},
        "asking": {"send": "token", "granted": "signed_in", "denied": "refused"},
        "signed_in": {"present": {"headers": {"Authorization": "Bearer {access}"}}, "challenged": "asking"},
        "refused": {"fail": "The registry refused this user."},
    },
    "answers": {"challenged": {"status": 401, "challenge": {"scheme": "Bearer", "scope": "{scope}"}}},
}


def pull(session: authflow.AuthSession, repository: str) -> str:
    """One request as a client would walk it, at a registry that wants a token for each repository."""
    url = f"https://registry.example/v2/{repository}/manifests/latest"
    grant = served(session._manager.authorize(url))
    if not bearer(grant):
        challenge = Answer(401, (("WWW-Authenticate", f'Bearer realm="r", scope="repository:{repository}:pull"'),))
        grant = served(session._manager.on_response(grant, url, challenge))
    return bearer(grant)
