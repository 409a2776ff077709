"""Signatures of exchanges: signed for each send, three at most; and what a signer keeps lies with the grant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
import requests

import authflow
from authflow import AuthSession, ConfigurationError
from authflow.http import Answer, Request
from authflow.plugins import Signer, Signing
from authflow.stores import MemoryStore
from tests.servers import Came, Listener, Says, listening
from tests.signers import SECRET, Nonced, Strict, installed


class Failing(Signer):
    takes = ("!secret",)

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        raise ValueError(f"no key can be made of {signing.parameters['secret']}")


class Keeping(Signer):
    """Keeps what a test says."""

    takes = ("!secret",)
    kept: Any = None

    def keeps(self, stored: Mapping[str, Any]) -> Any:
        if isinstance(self.kept, Exception):
            raise self.kept
        return self.kept

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        return {}


@pytest.fixture(autouse=True)
def signers() -> Iterator[None]:
    with installed(failing=Failing, keeping=Keeping):
        yield


class Vendor:
    """A server of `sign.nonced` with logins, refreshes and data. A token is bound to the key that got it."""

    def __init__(self) -> None:
        self.number, self.bound = 0, dict[str, str]()
        self.server = Strict(self.says)

    def says(self, came: Came) -> Says:
        key = came.headers["x-sign"].split()[1]
        if came.path in ("/login", "/refresh"):
            if came.path == "/refresh" and self.bound.get(f"r-{self.number}") != key:
                return Says(400)
            self.number += 1
            self.bound |= {f"t-{self.number}": key, f"r-{self.number}": key}
            return Says(200, {"token": f"t-{self.number}", "refresh": f"r-{self.number}"})
        if came.path == "/logout":
            return Says(200)
        return Says(200 if self.bound.get(came.headers["authorization"].removeprefix("Bearer ")) == key else 401)


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def listener(vendor: Vendor) -> Iterator[Listener]:
    with listening(vendor.server) as one:
        yield one


def file(url: str, **more: Any) -> dict[str, Any]:
    answers = {"granted": {"json": {"token": "{access}", "refresh": "{refresh}"}}, "denied": {"status": [400, 401]}}
    return {
        "name": "strict",
        "extends": "password",
        "base_url": f"{url}/",
        "credentials": {"secret": {"secret": True}},
        "sign": {"nonced": {"secret": "{secret}"}},
        "exchanges": {
            "login": {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}, "answers": answers},
            "refresh": {"request": {"url": "refresh", "json": {"r": "{refresh}"}}, "answers": "login"},
        },
        "on_logout": "logout",
        **more,
    }


def session(url: str, store: Any = "memory", **more: Any) -> AuthSession:
    whole = file(url, **more)
    whole["exchanges"] = {
        **whole["exchanges"],
        "logout": {"request": {"url": "logout", "json": {"t": "{access}"}}, "answers": {"granted": {"status": 200}}},
    }
    return AuthSession(whole, store=store, username="demo", password="open-sesame", secret=SECRET)


def get(one: AuthSession, url: str) -> int:
    with requests.Session() as client:
        client.trust_env = False
        return client.get(url, auth=one.requests, timeout=20).status_code


def test_an_exchange_is_signed_anew_when_its_answer_asks_for_it(vendor: Vendor, listener: Listener) -> None:
    session(listener.url).token()
    assert vendor.server.log == [("/login", 401), ("/login", 200)]


def test_an_exchange_is_sent_three_times_at_most(vendor: Vendor, listener: Listener) -> None:
    vendor.server.turns = 0
    with pytest.raises(authflow.CredentialsRefused):
        session(listener.url).token()
    assert vendor.server.log == [("/login", 401)] * 3


def test_the_key_lies_with_the_grant_and_renews_it_in_another_process(vendor: Vendor, listener: Listener) -> None:
    store = MemoryStore()
    first = session(listener.url, store)
    assert get(first, listener.url + "/data") == 200
    for one in (session(listener.url, store), session(listener.url, store)):
        assert get(one, listener.url + "/data") == 200
        vendor.bound.pop(f"t-{vendor.number}")
        assert get(one, listener.url + "/data") == 200
    assert [path for path, status in vendor.server.log if status == 200 and path != "/data"] == [
        "/login",
        "/refresh",
        "/refresh",
    ]
    assert len(set(vendor.server.keys)) == 1


def test_a_logout_is_signed_with_the_grants_key(vendor: Vendor, listener: Listener) -> None:
    one = session(listener.url)
    one.token()
    one.logout()
    assert len(set(vendor.server.keys)) == 1
    assert [came.path for came in listener.seen()][-1] == "/logout"


@pytest.mark.parametrize("planted", [{"key": "short"}, {"key": 7}, {"other": "x"}, {}, "text"])
def test_what_a_store_says_that_a_signer_kept_is_a_claim(vendor: Vendor, listener: Listener, planted: Any) -> None:
    store = MemoryStore()
    one = session(listener.url, store)
    one.token()
    key = one._manager.grants.key
    record = store.load(key)
    assert record is not None
    document = {**msgspec.json.decode(record.data), "signers": {"nonced": planted} if planted else {}}
    store.save(key, msgspec.json.encode(document), record.revision, lifetime=60)
    assert get(session(listener.url, store), listener.url + "/data") == 200
    assert [path for path, status in vendor.server.log if status == 200] == ["/login", "/login", "/data"]
    assert len(set(vendor.server.keys)) == 2


def test_an_exchange_that_switches_signing_off_is_not_signed(vendor: Vendor, listener: Listener) -> None:
    whole = file(listener.url)
    whole["exchanges"]["login"]["sign"] = {}
    whole.pop("on_logout")
    with pytest.raises(authflow.CredentialsRefused):
        AuthSession(whole, username="demo", password="open-sesame", secret=SECRET).token()
    assert [came.headers.get("x-sign") for came in listener.seen()] == [None]


def test_headers_alone_cannot_be_signed(listener: Listener) -> None:
    with pytest.raises(ConfigurationError, match="each request is signed"):
        session(listener.url).headers(listener.url + "/data")


def test_a_signer_that_fails_is_named_and_shows_no_secret(listener: Listener) -> None:
    with pytest.raises(ConfigurationError, match=r"failing cannot sign .*ValueError") as raised:
        session(listener.url, sign={"failing": {"secret": "{secret}"}}).token()
    assert SECRET not in f"{raised.value!r} {raised.value}"
    assert listener.seen() == []


@pytest.mark.parametrize(
    "kept",
    ["text", 7, None, ["a"], {"key": b"bytes \xff"}, {"key": object()}, {"key": "x" * 20_000}, RuntimeError(SECRET)],
    ids=lambda kept: type(kept).__name__,
)
def test_what_a_signer_keeps_is_a_table_that_a_record_can_hold(
    kept: Any, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Keeping, "kept", kept)
    with pytest.raises(ConfigurationError, match="keeping") as raised:
        session(listener.url, sign={"keeping": {"secret": "{secret}"}}).token()
    assert SECRET not in f"{raised.value!r} {raised.value}"
    assert listener.seen() == []


def test_a_signer_that_fails_over_a_record_without_anything_kept_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    monkeypatch.setattr(Keeping, "kept", {})
    with listening(lambda came: Says(200, {"token": "t-1", "refresh": "r-1"})) as listener:
        sign = {"keeping": {"secret": "{secret}"}}
        session(listener.url, store, sign=sign).token()
        monkeypatch.setattr(Keeping, "kept", RuntimeError(SECRET))
        listener.seen()
        with pytest.raises(ConfigurationError, match=r"keeping .*RuntimeError") as raised:
            session(listener.url, store, sign=sign).token()
        assert SECRET not in f"{raised.value!r} {raised.value}"
        assert listener.seen() == []


def test_a_session_without_a_signer_keeps_none(listener: Listener) -> None:
    one = session(listener.url, sign={})
    assert one._manager._signers is None
    assert one.vendor.hears is False


def test_the_first_answers_of_many_at_once_teach_one_signer(vendor: Vendor, listener: Listener) -> None:
    assert (
        Nonced().heard(Answer(200, (("Nonce", "n"),)), Request("GET", "https://a.example/"), Signing({}, {}, 0))
        is False
    )
