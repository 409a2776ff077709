"""The values: who knows a name first, when a callable is asked, and what is derived anew."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.errors import ConfigurationError
from authflow.templates.placeholders import Unbound, Unfit
from authflow.vendors.loading import load
from authflow.vendors.values import Given, Values
from authflow.vendors.vendor import Vendor

RAW: dict[str, Any] = {
    "name": "values",
    "base_url": "https://{host}/v1/",
    "start": "out",
    "settings": {"host": {"default": "a.example"}, "note": {"optional": True}},
    "credentials": {"user": {}, "code": {"secret": True}},
    "derive": {
        "both": {"base64": "{user}:{code}"},
        "pair": {"basic": ["{user}", "{note}"]},
        "stamp": {"now": "epoch"},
        "nonce": {"uuid4": ""},
        "twice": {"sha256": "{both}{nonce}"},
        "maybe": {"base64": "{note?}"},
    },
    "exchanges": {
        "login": {
            "request": {"url": "l", "json": ["{both}", "{stamp}", "{twice}", "{pair?}", "{maybe?}"][:3]},
            "answers": {"ok": {"json": {"t": "{access}", "h": "{host}"}}},
        }
    },
    "states": {
        "out": {"send": "login", "ok": "in"},
        "in": {"present": {"headers": {"A": "{access}", "B": "{pair?}", "C": "{maybe?}"}}},
    },
}


@pytest.fixture
def vendor() -> Vendor:
    return load(RAW)


def test_the_first_that_knows_a_name_wins(vendor: Vendor) -> None:
    given = Given({"host": "given.example", "user": "alice", "code": "1"})
    values = Values(vendor, given, {"host": "captured.example"}, 5.0)
    assert (values["host"], values["user"], values["both"], values["stamp"]) == (
        "captured.example",
        "alice",
        "YWxpY2U6MQ==",
        5,
    )
    assert Values(vendor, Given({"host": "given.example"}), {"host": None}, 0.0)["host"] == "given.example"
    assert values.get("nothing") is None
    assert values.get("nothing", "else") == "else"


def test_a_callable_is_asked_once_and_only_when_it_is_needed(vendor: Vendor) -> None:
    asked: list[int] = []

    def code() -> str:
        asked.append(1)
        return f"code{len(asked)}"

    values = Values(vendor, Given({"user": "alice", "code": code}), {}, 0.0)
    assert "code" in values.bound
    assert not asked
    assert not values.answered("code")
    assert (values["code"], values["code"], values.answered("code")) == ("code1", "code1", True)
    later = values.with_captured({"access": "t"})
    assert (later["code"], later["access"]) == ("code1", "t")
    assert Values(vendor, Given({"code": code}), {}, 0.0)["code"] == "code2"


def test_derived_values_hold_within_a_step_and_no_longer(vendor: Vendor) -> None:
    values = Values(vendor, Given({"user": "alice", "code": "1"}), {}, 5.0)
    nonce = values["nonce"]
    assert values["nonce"] == nonce
    assert values["twice"] == values["twice"]
    later = values.with_captured({}).at(9.0)
    assert later["nonce"] != nonce
    assert later["stamp"] == 9


def test_a_derived_value_hangs_on_what_it_is_made_of(vendor: Vendor) -> None:
    values = Values(vendor, Given({"user": "alice"}), {}, 0.0)
    assert values.get("pair") is None
    assert values.get("maybe") is None
    assert [name in values.bound for name in ("user", "pair", "maybe", "stamp", "base_url", "access", "host")] == [
        True,
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert "pair" in Values(vendor, Given({"user": "alice"}), {"note": "n"}, 0.0).bound


def test_the_base_url(vendor: Vendor) -> None:
    assert Values(vendor, Given({"host": "x.example"}), {}, 0.0).base_url == "https://x.example/v1/"
    assert (
        Values(vendor, Given({"host": "x.example", "base_url": "https://given.example/"}), {}, 0.0)["base_url"]
        == "https://given.example/"
    )
    assert (
        Values(vendor, Given({"base_url": "https://given.example/"}), {"base_url": "https://it.example/"}, 0.0).base_url
        == "https://it.example/"
    )
    with pytest.raises(Unbound, match="host"):
        _ = Values(vendor, Given({}), {}, 0.0).base_url
    with pytest.raises(Unfit, match="host"):
        _ = Values(vendor, Given({"host": "evil.example/?"}), {}, 0.0).base_url


def test_a_values_shows_names_and_no_values(vendor: Vendor) -> None:
    values = Values(vendor, Given({"user": "alice", "code": "s3cret"}), {"access": "s3cret"}, 0.0)
    assert "s3cret" not in repr(values)
    assert set(values.names) == {"user", "code", "access", *vendor.derive}
    assert len(values.names) == len(set(values.names))


def test_a_callable_that_gives_no_text_is_told_so_before_anything_is_sent() -> None:
    values = Values(load(RAW), Given({"user": "u", "code": lambda: b"123"}), {}, 0.0)
    with pytest.raises(ConfigurationError, match="code must be text, and is of type bytes"):
        values.get("code")
