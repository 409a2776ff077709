"""The bag: who knows a name first, when a callable is asked, and what is derived anew."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.bag import Bag
from authflow.errors import ConfigurationError
from authflow.template import Unbound, Unfit
from authflow.vendor import Vendor, load

RAW: dict[str, Any] = {
    "name": "bag",
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
    bag = Bag(vendor, {"host": "given.example", "user": "alice", "code": "1"}, {"host": "captured.example"}, 5.0)
    assert (bag["host"], bag["user"], bag["both"], bag["stamp"]) == ("captured.example", "alice", "YWxpY2U6MQ==", 5)
    assert Bag(vendor, {"host": "given.example"}, {"host": None}, 0.0)["host"] == "given.example"
    assert bag.get("nothing") is None
    assert bag.get("nothing", "else") == "else"


def test_a_callable_is_asked_once_and_only_when_it_is_needed(vendor: Vendor) -> None:
    asked: list[int] = []

    def code() -> str:
        asked.append(1)
        return f"code{len(asked)}"

    bag = Bag(vendor, {"user": "alice", "code": code}, {}, 0.0)
    assert "code" in bag.bound
    assert not asked
    assert not bag.answered("code")
    assert (bag["code"], bag["code"], bag.answered("code")) == ("code1", "code1", True)
    later = bag.with_captured({"access": "t"})
    assert (later["code"], later["access"]) == ("code1", "t")
    assert Bag(vendor, {"code": code}, {}, 0.0)["code"] == "code2"


def test_derived_values_hold_within_a_step_and_no_longer(vendor: Vendor) -> None:
    bag = Bag(vendor, {"user": "alice", "code": "1"}, {}, 5.0)
    nonce = bag["nonce"]
    assert bag["nonce"] == nonce
    assert bag["twice"] == bag["twice"]
    later = bag.with_captured({}).at(9.0)
    assert later["nonce"] != nonce
    assert later["stamp"] == 9


def test_a_derived_value_hangs_on_what_it_is_made_of(vendor: Vendor) -> None:
    bag = Bag(vendor, {"user": "alice"}, {}, 0.0)
    assert bag.get("pair") is None
    assert bag.get("maybe") is None
    assert [name in bag.bound for name in ("user", "pair", "maybe", "stamp", "base_url", "access", "host")] == [
        True,
        False,
        True,
        True,
        True,
        False,
        False,
    ]
    assert "pair" in Bag(vendor, {"user": "alice"}, {"note": "n"}, 0.0).bound


def test_the_base_url(vendor: Vendor) -> None:
    assert Bag(vendor, {"host": "x.example"}, {}, 0.0).base_url == "https://x.example/v1/"
    assert (
        Bag(vendor, {"host": "x.example", "base_url": "https://given.example/"}, {}, 0.0)["base_url"]
        == "https://given.example/"
    )
    assert (
        Bag(vendor, {"base_url": "https://given.example/"}, {"base_url": "https://captured.example/"}, 0.0).base_url
        == "https://captured.example/"
    )
    with pytest.raises(Unbound, match="host"):
        _ = Bag(vendor, {}, {}, 0.0).base_url
    with pytest.raises(Unfit, match="host"):
        _ = Bag(vendor, {"host": "evil.example/?"}, {}, 0.0).base_url


def test_a_bag_shows_names_and_no_values(vendor: Vendor) -> None:
    bag = Bag(vendor, {"user": "alice", "code": "s3cret"}, {"access": "s3cret"}, 0.0)
    assert "s3cret" not in repr(bag)
    assert set(bag) == {"user", "code", "access", *vendor.derive}
    assert len(bag) == len(set(bag))


def test_a_callable_that_gives_no_text_is_told_so_before_anything_is_sent() -> None:
    bag = Bag(load(RAW), {"user": "u", "code": lambda: b"123"}, {}, 0.0)
    with pytest.raises(ConfigurationError, match="code is text, and its callable gave bytes"):
        bag.get("code")
