"""Signers as users write them, over every client: what one does wrong is named, and shows no secret; two sessions and
two servers never hear each other's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from authflow import AuthSession, ConfigurationError
from authflow.http import Answer, Request
from authflow.plugins import Signer, Signing
from tests.clients.drivers import Driver
from tests.servers import Came, Listener, Says
from tests.signers import installed

Listen = Callable[..., Listener]
KEY = "a-key-that-nobody-shows"


class Misbehaving(Signer):
    """Does what its parameter says."""

    takes = ("!key", "!what")
    hears = frozenset({401})

    def sign(self, request: Request, signing: Signing) -> Any:
        key = str(signing.parameters["key"])
        return {
            "raises": lambda: 1 / 0,
            "shows": lambda: {}[key],
            "text": lambda: key,
            "number": lambda: 7,
            "pairs": lambda: [("X-Sign", key)],
            "bytes": lambda: {"X-Sign": key.encode()},
            "a number in a header": lambda: {"X-Sign": 7},
            "nothing in a header": lambda: {"X-Sign": None},
            "a line break": lambda: {"X-Sign": f"{key}\r\nX-Evil: 1"},
            "a name that is none": lambda: {f"X-Sign: {key}\r\nX-Evil": "1"},
            "a name of bytes": lambda: {b"X-Sign": key},
            "no ASCII": lambda: {"X-Sign": f"{key}ü"},
        }.get(str(signing.parameters["what"]), lambda: {"X-Sign": "good"})()

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        if signing.parameters["what"] == "hears wrongly":
            raise LookupError(signing.parameters["key"])
        return bool(signing.parameters["what"] == "asks for ever")

    def keeps(self, stored: Mapping[str, Any]) -> Any:
        return {}


class Counting(Signer):
    """Signs with the nonce of the answer before, and remembers one for each server."""

    takes = ("!key",)
    hears = frozenset({401})

    def __init__(self) -> None:
        self.nonces: dict[str, str] = {}

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        parts = urlsplit(request.url)
        text = f"{self.nonces.get(parts.netloc)} {request.method} {parts.path}".encode() + (request.body or b"")
        signing.kept["grows"] = "x" * 1000 + str(signing.kept.get("grows"))  # what is changed here is nobody else's
        return {"X-Sign": hmac.new(signing.parameters["key"].encode(), text, hashlib.sha256).hexdigest()}

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        place, (nonce,) = urlsplit(request.url).netloc, answer.all("x-nonce")
        before, self.nonces[place] = self.nonces.get(place), nonce
        return nonce != before


@pytest.fixture(autouse=True)
def signers() -> Iterator[None]:
    with installed(misbehaving=Misbehaving, counting=Counting):
        yield


def session(url: str, sign: Mapping[str, Any], **more: Any) -> AuthSession:
    vendor = {
        "name": "own",
        "extends": "api-key",
        "base_url": f"{url}/",
        "credentials": {"key": {"secret": True}},
        "sign": sign,
    }
    return AuthSession(vendor, api_key="an-api-key", **{"key": KEY, **more})


WRONG = [
    *("raises", "shows", "text", "number", "pairs", "bytes", "a number in a header", "nothing in a header"),
    *("a line break", "a name that is none", "a name of bytes", "no ASCII"),
]


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_signer_is_said_and_nothing_is_sent(client: Driver, what: str, listen: Listen) -> None:
    server = listen(lambda came: Says(200))
    one = session(server.url, {"misbehaving": {"key": "{key}", "what": what}})
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="misbehaving") as raised:
            client.call(one, f"{server.url}/data")
        assert isinstance(raised.value, client.error)
        told = [repr(error) + str(error) for error in (raised.value, raised.value.__cause__) if error is not None]
        assert KEY not in "".join(told)
    assert server.seen() == []


def test_a_signer_that_fails_as_it_hears_is_named(client: Driver, listen: Listen) -> None:
    server = listen(lambda came: Says(401))
    one = session(server.url, {"misbehaving": {"key": "{key}", "what": "hears wrongly"}})
    with pytest.raises(ConfigurationError, match=r"misbehaving .*LookupError") as raised:
        client.call(one, f"{server.url}/data")
    assert KEY not in f"{raised.value!r} {raised.value}"


def test_a_signer_that_asks_for_ever_gets_three_sends(client: Driver, listen: Listen) -> None:
    server = listen(lambda came: Says(401))
    one = session(server.url, {"misbehaving": {"key": "{key}", "what": "asks for ever"}})
    assert client.call(one, f"{server.url}/data", "POST").status == 401
    assert len(server.seen()) == 3


class Nonces:
    """A server of `counting`, with one nonce of its own."""

    def __init__(self, nonce: str, key: str = KEY) -> None:
        self.nonce, self.key, self.statuses = nonce, key, list[int]()

    def __call__(self, came: Came) -> Says:
        text = f"{self.nonce} {came.method} {came.path}".encode() + came.body
        right = came.headers.get("x-sign") == hmac.new(self.key.encode(), text, hashlib.sha256).hexdigest()
        self.statuses.append(200 if right else 401)
        return Says(self.statuses[-1], headers={"X-Nonce": self.nonce})


def test_two_sessions_and_two_servers_hear_their_own(client: Driver, listen: Listen) -> None:
    servers = Nonces("n-1"), Nonces("n-2", "another-key-that-nobody-shows")
    urls = [listen(server).url for server in servers]
    sign = {"counting": {"key": "{key}"}}
    sessions = [session(url, sign, key=server.key) for url, server in zip(urls, servers, strict=True)]
    for _ in range(3):
        assert [client.call(one, f"{url}/data").status for one, url in zip(sessions, urls, strict=True)] == [200, 200]
    assert [server.statuses for server in servers] == [[401, 200, 200, 200]] * 2


def test_what_a_signer_does_with_what_it_kept_grows_nowhere(client: Driver, listen: Listen) -> None:
    server = Nonces("n-1")
    url = listen(server).url
    one = session(url, {"counting": {"key": "{key}"}})
    for _ in range(3):
        assert client.call(one, f"{url}/data", "POST").status == 200
    assert one._manager.grants.current.record.signers == {}
