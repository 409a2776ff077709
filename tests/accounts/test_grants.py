"""A grant made ready: what it presents, how long that needs no thought, and what changes from request to request."""

from __future__ import annotations

import math
from typing import Any

import jwt
import pytest

from authflow.accounts.grants import ANONYMOUS, Grant
from authflow.accounts.records import Record
from authflow.accounts.token import NEVER
from authflow.vendors import Given
from authflow.vendors.loading import load

GRANT = Record("in", {"access": "t"}, 1000.0, 2000.0)


def grant(grant: Record = GRANT, *, plain: bool = True, present: Any = None, **more: Any) -> Grant:
    present = {"headers": {"Authorization": "Bearer {access?}"}} if present is None else present
    vendor = load(
        {
            "name": "h",
            "base_url": "https://a.example/v1/",
            "start": "in",
            "insecure_url": True,
            "origins": {"present": ["https://b.example:8443"]},
            "answers": {"rejected": {"json": {"a": "{access}"}}},
            "states": {"in": {"present": present}},
            **more,
        }
    )
    return Grant.of(vendor, Given({}), grant, 1000.0, 0.0, plain=plain)


def test_all_is_computed_at_once() -> None:
    ready = grant()
    assert (ready.presentation.headers, ready.bearer) == ((("Authorization", "Bearer t"),), "Bearer t")
    assert ready.prefixes == ("https://a.example/", "https://b.example:8443/")
    assert ready.places == {
        *(("https", "", "a.example", None), ("https", "", "b.example", 8443)),
        *(("https", "a.example"), ("https", "b.example:8443")),
    }
    assert ready.fresh_until == ready.windows.advisory == 1900.0
    assert ready.at(5.0) is ready
    assert ready.valid(1999.0)
    assert not ready.valid(2000.0)


@pytest.mark.parametrize(
    ("travels", "base_url", "declared", "header"),
    [
        (False, "https://a.example/", [], "Authorization"),
        (False, "http://localhost:8080/", [], "Authorization"),
        (True, "https://a.example/", [], "X-Api-Key"),
        (True, "https://a.example/", ["https://b.example"], "Authorization"),
        # Clients go on to https with `Authorization`, and nobody declared that.
        (True, "http://localhost/", [], "Authorization"),
    ],
)
def test_where_clients_lose_or_keep_more_than_they_may_it_travels(
    travels: bool, base_url: str, declared: list[str], header: str
) -> None:
    given: dict[str, Any] = {"base_url": base_url, "origins": {"present": declared}}
    assert grant(present={"headers": {header: "Bearer {access?}"}}, **given).travels is travels


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://a.example", True),
        ("https://A.Example:443/v1?x=https://b.example", True),
        ("https://b.example:8443/", True),
        ("https://b.example/", False),
        ("https://a.example:444/", False),
        ("http://a.example/", False),
        ("https://a.example.evil/", False),
        ("https://user@a.example/", False),
    ],
)
def test_a_place_is_what_httpx_connects_to(library: str, url: str, there: bool) -> None:
    parsed = pytest.importorskip(library).URL(url)
    place = parsed.scheme, parsed.userinfo.decode(), parsed.raw_host.decode(), parsed.port
    assert (place in grant().places) is there
    # httpx says so at once in a private place. Without it, every request takes the long way.
    assert parsed._uri_reference[:4] == place


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://a.example", True),
        ("https://A.Example/v1?x=https://b.example", True),
        ("https://b.example:8443/", True),
        ("https://b.example/", False),
        ("https://a.example:444/", False),
        ("http://a.example/", False),
        ("https://a.example.evil/", False),
        ("https://user@a.example/", False),
        ("https://a.example@evil.example/", False),
    ],
)
def test_a_place_is_what_aiohttp_connects_to(url: str, there: bool) -> None:
    parsed = pytest.importorskip("yarl").URL(url)
    assert ((parsed.scheme, parsed.raw_authority) in grant().places) is there


@pytest.mark.parametrize(
    "present",
    [{part: {"x": "{access?}"}} for part in ("cookies", "query", "json", "form")],
)
def test_what_is_more_than_headers_needs_a_thought(present: Any) -> None:
    ready = grant(present=present)
    assert ready.fresh_until == -math.inf
    assert ready.bearer is None
    assert grant(plain=False).fresh_until == -math.inf


def test_a_volatile_value_is_rendered_for_every_request() -> None:
    ready = grant(
        present={"headers": {"X": "{both}"}}, derive={"stamp": {"now": "epoch_ms"}, "both": {"sha256": "{stamp}"}}
    )
    assert ready.fresh_until == -math.inf
    assert ready.at(5.0).presentation.headers != ready.at(6.0).presentation.headers
    assert ready.at(5.0).presentation.headers == ready.at(5.0).presentation.headers
    assert grant(present={"headers": {"X": "{d}"}}, derive={"d": {"sha256": "fixed"}}).fresh_until == 1900.0


def test_an_idle_grant_lives_on_with_every_good_use() -> None:
    ready = grant(Record("in", {"access": "t"}, 1000.0, None), expiry={"idle": "100s"})
    assert ready.fresh_until == -math.inf
    assert ready.windows.mandatory == pytest.approx(1095.0)
    ready.used(1090.0)
    assert ready.windows.mandatory == pytest.approx(1185.0)
    known = grant(expiry={"idle": 100})
    known.used(1500.0)
    assert known.windows.advisory == 1900.0


def test_nothing_at_all() -> None:
    assert (ANONYMOUS.presentation.headers, ANONYMOUS.origins) == ((), frozenset())
    assert (ANONYMOUS.windows, ANONYMOUS.fresh_until) == (NEVER, -math.inf)


def test_two_tokens_are_told_apart_and_not_shown() -> None:
    one, same, other = grant(), grant(), grant(Record("in", {"access": "u"}, 1000.0, 2000.0))
    assert one.token_id == same.token_id != other.token_id
    assert "Bearer t" not in repr(one)


def minting(derive: dict[str, Any], asks: bool = False) -> Grant:
    vendor = load(
        {
            "name": "m",
            "base_url": "https://a.example/v1/",
            "start": "in",
            "credentials": {"key": {"secret": True}},
            "derive": derive,
            "states": {"in": {"present": {"headers": {"Authorization": "Bearer {signed}"}}}},
        }
    )
    key = "a key of thirty-two bytes, or more"
    return Grant.of(vendor, Given({"key": (lambda: key) if asks else key}), Record("in"), 2000.0, 0.0, plain=True)


def shown(ready: Grant, now: float) -> str:
    return dict(ready.at(now).presentation.headers)["Authorization"]


def test_a_minted_token_is_kept_for_most_of_its_life() -> None:
    ready = minting({"signed": {"jwt": {"key": "{key}", "lifetime": 100}}})
    first = shown(ready, 2000.0)
    assert ready.fresh_until == 2090.0  # till then it is presented as any bearer is
    assert [shown(ready, now) for now in (2000.0, 2050.0, 2089.0)] == [first] * 3
    again = ready.at(2091.0)
    second = shown(again, 2091.0)
    assert jwt.decode(second[7:], options={"verify_signature": False})["exp"] == 2191
    assert shown(again, 2100.0) == second != first
    assert (again.bearer, again.fresh_until) == (second, 2181.0)
    assert shown(again, 1999.0) not in (first, second)  # a clock that was set back


def test_a_renewal_ahead_lets_no_minted_token_outlive_itself() -> None:
    ready = minting({"signed": {"jwt": {"key": "{key}", "lifetime": 100}}})
    ready.stay_fresh(3000.0)
    assert ready.fresh_until == 2090.0


@pytest.mark.parametrize(
    ("derive", "asks"),
    [
        ({"signed": {"jwt": {"key": "{key}"}}}, True),
        ({"signed": {"sha256": "{t}{n}"}, "t": {"jwt": {"key": "{key}"}}, "n": {"uuid4": ""}}, False),
        ({"signed": {"jwt": {"key": "{key}", "claims": {"b": "{request.body}"}}}}, False),
        ({"signed": {"jwt": {"key": "{key}", "claims": {"exp": "never"}}}}, False),
    ],
    ids=["a key that is asked for", "something else changes", "it hangs on the request", "no end"],
)
def test_a_minted_token_that_is_not_kept(derive: dict[str, Any], asks: bool) -> None:
    ready = minting(derive, asks)
    assert not ready.lasts
    assert ready.fresh_until < 2000.0
    assert ready.at(2000.0) is not ready
