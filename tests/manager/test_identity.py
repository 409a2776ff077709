"""Who a session is for: what must be given, what it is read as, and whose record is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from authflow.errors import ConfigurationError
from authflow.manager.identity import complete, identified, record_key, slot_key, unasked
from authflow.vendors import Given
from authflow.vendors.loading import load

VENDOR = load(
    {
        "name": "Acme",
        "title": "Acme",
        "base_url": "https://{host}:{port}/",
        "start": "in",
        "settings": {
            "host": {"default": "a.example"},
            "port": {"type": "int", "default": 443},
            "note": {"optional": True},
            "token": {"secret": True, "optional": True},
        },
        "credentials": {"user": {}, "password": {"secret": True, "title": "your password"}},
        "states": {
            "in": {"present": {"basic": ["{user}", "{password}"], "headers": {"N": "{note?}", "T": "{token?}"}}}
        },
    }
)
KEYED = load(
    {
        "name": "keyed",
        "base_url": "https://a.example/",
        "start": "in",
        "credentials": {"key": {"secret": True}},
        "states": {"in": {"present": {"headers": {"K": "{key}"}}}},
    }
)
GIVEN = {"user": "alice", "password": "p"}


def test_defaults_are_filled_in() -> None:
    assert dict(complete(VENDOR, Given(GIVEN)).items()) == {"host": "a.example", "port": 443, **GIVEN}
    assert (
        complete(VENDOR, Given({**GIVEN, "host": None, "port": "8443", "note": 7, "token": True})).get("port") == 8443
    )
    assert complete(VENDOR, Given({**GIVEN, "note": 7, "token": True, "base_url": "https://x/"})).get("token") == "true"
    assert callable(complete(VENDOR, Given({**GIVEN, "password": lambda: "p"})).get("password"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"Acme needs the credentials or settings user, password \(your password\)"),
        ({"user": "alice"}, r"needs the credential or setting password \(your password\)"),
        ({**GIVEN, "pasword": "x"}, "takes no 'pasword': did you mean 'password'"),
        ({**GIVEN, "zzz": "x"}, "takes no 'zzz': it takes base_url, host"),
        ({**GIVEN, "port": "many"}, "port is a whole number"),
        ({**GIVEN, "host": ["a"]}, "host is text, not a list"),
        ({**GIVEN, "host": lambda: "a"}, "plain value, not a callable"),
        ({**GIVEN, "user": "\ud800"}, "user is not text that can be encoded"),
    ],
)
def test_what_was_given_wrongly(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        complete(VENDOR, Given(given))


def key(vendor: Any = VENDOR, **change: Any) -> str:
    return record_key(vendor, complete(vendor, Given(change if vendor is KEYED else {**GIVEN, **change})))


def test_a_record_belongs_to_a_vendor_and_an_account() -> None:
    keys = [
        key(),
        key(user="bob"),
        key(host="b.example"),
        key(base_url="https://x/"),
        key(KEYED, key="1"),
        key(KEYED, key="2"),
    ]
    keys += [slot_key(key(), slot) for slot in ((), ("s",), ("s", ""), ("", "s"))]
    assert len(set(keys)) == len(keys)
    assert key() == key(password="another") == key(token="t") == key(password=lambda: "p")
    assert key().startswith("acme-")
    assert not any("alice" in each or "a.example" in each for each in keys)
    assert all(each.replace("-", "").isalnum() and each.islower() for each in keys)


def test_a_user_name_that_must_be_asked_for_tells_accounts_apart_too() -> None:
    assert key(user=lambda: "alice") == key()
    assert key(user=lambda: "bob") == key(user="bob")
    assert key(KEYED, key=lambda: "1") == key(KEYED, key="1")


def test_who_it_is_is_asked_once_and_secrets_are_not() -> None:
    asked: list[str] = []

    def ask(name: str) -> Callable[[], str]:
        def answer() -> str:
            asked.append(name)
            return name

        return answer

    given = complete(VENDOR, Given({"user": ask("alice"), "password": ask("s3cret")}))
    assert unasked(VENDOR, given) == ["user"]
    known = identified(VENDOR, given)
    assert (known.get("user"), asked) == ("alice", ["alice"])
    assert unasked(VENDOR, known) == []
    assert unasked(KEYED, complete(KEYED, Given({"key": ask("k")}))) == ["key"]
    assert "alice" not in repr(known)
