"""Hints: strictly first, then left out; what is no hint refuses as before."""

from __future__ import annotations

from typing import Any

import jwt
import msgspec
import pytest

from authflow.http import Answer
from authflow.templates import Outcome, judge
from authflow.vendors.loading import load

NOW = 1_800_000_000.0


def judged(answers: dict[str, Any], body: Any, **headers: str) -> Outcome | None:
    raw = {
        "name": "a",
        "base_url": "https://a.example/",
        "start": "out",
        "exchanges": {"login": {"request": {"url": "login"}, "answers": answers}},
        "states": {"out": {"send": "login", **dict.fromkeys(answers, "in")}, "in": {"present": {}}},
    }
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return judge(load(raw).flow.exchanges["login"].answers, Answer(200, told, content, NOW))[0]


def granted(**json: Any) -> dict[str, Any]:
    return {"granted": {"json": {"t": "{access}", **json}}}


def token(**claims: Any) -> str:
    return jwt.encode(claims, "k" * 32)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{expires_in:int?}", ""),
        ("{expires_in:int?}", "never"),
        ("{expires_in:int}", None),
        ("{expires_in:int?}", -1),
        ("{expires_in}", 0),
        ("{expires_in}", [3600]),
        ("{expires_in:int?}", True),
        ("{expires_in:int?}", 10**18),
        ("{expires_in:ms?}", "1h"),
        ("{expires_at:iso8601?}", "2001-01-01T00:00:00"),
        ("{expires_at:epoch?}", (NOW + 60) * 1000),
        ("{refresh_in:int?}", "soon"),
        ("{retry_after?}", "-5"),
        ("in {expires_in:int} s", "for ever"),
        ({"seconds": "{expires_in?}"}, "a day"),
        (["{expires_in?}"], 5),
    ],
)
def test_a_hint_that_says_nothing_is_left_out(template: Any, value: Any) -> None:
    outcome = judged(granted(e=template), {"t": "t-1", "e": value})
    assert outcome is not None
    assert (outcome.name, outcome.captured) == ("granted", {"access": "t-1"})
    assert len(outcome.unread) == 1


@pytest.mark.parametrize(("value", "seconds"), [(3599.87, 3599), ("3599.87", 3599), ("60", 60), (60, 60)])
def test_a_fraction_of_a_lifetime_counts(value: Any, seconds: int) -> None:
    outcome = judged(granted(e="{expires_in:int?}"), {"t": "t-1", "e": value})
    assert outcome is not None
    assert (outcome.captured, outcome.unread) == ({"access": "t-1", "expires_in": seconds}, ())


def test_the_pattern_that_reads_the_hint_wins_over_an_earlier_one_that_does_not() -> None:
    answers = {
        "granted": [
            {"json": {"t": "{access}", "e": "{expires_in:int?}"}},
            {"json": {"t": "{access}", "e": "{expires_at:iso8601?}"}},
        ]
    }
    outcome = judged(answers, {"t": "t-1", "e": "2030-01-01T00:00:00Z"})
    assert outcome is not None
    assert outcome.captured["expires_at"] == 1893456000


def test_a_mere_status_takes_no_grant_away_for_a_hint() -> None:
    answers = {**granted(e="{expires_in:int?}"), "denied": {"status": [200, 401]}}
    assert judged(answers, {"t": "t-1", "e": "never"}).name == "granted"  # type: ignore[union-attr]
    assert judged(answers, {"x": "t-1", "e": "never"}).name == "denied"  # type: ignore[union-attr]


def test_a_pattern_that_names_what_it_sees_does() -> None:
    answers = {**granted(e="{expires_in:int?}"), "denied": {"json": {"error": "locked"}}}
    assert judged(answers, {"t": "t-1", "e": "never", "error": "locked"}).name == "denied"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("{expires_in:int}", {"t": "t-1"}),
        ({"kind": "new", "seconds": "{expires_in?}"}, {"t": "t-1", "e": {"kind": "old", "seconds": 5}}),
        ({"kind": "new", "seconds": "{expires_in?}"}, {"t": "t-1", "e": "old"}),
        ("{other:int}", {"t": "t-1", "e": "never"}),
        ("{access}", {"t": "t-1", "e": "t-2"}),
    ],
)
def test_what_is_no_hint_counts_as_ever(template: Any, body: Any) -> None:
    assert judged({"granted": {"json": {"t": "{access}", "e": template}}}, body) is None


@pytest.mark.parametrize("exp", [NOW - 300, (NOW + 3600) * 1000, "soon"])
def test_the_exp_of_a_token_is_a_hint(exp: Any) -> None:
    access = jwt.api_jws.PyJWS().encode(msgspec.json.encode({"exp": exp}), "k" * 32)
    outcome = judged({"granted": {"json": {"t": "{access:jwt}"}}}, {"t": access})
    assert outcome is not None
    assert (outcome.jwt, outcome.unread) == (False, ("exp",))


def test_past_is_what_is_past_on_the_vendors_clock() -> None:
    fast = NOW - 7200  # the vendor's, while this machine's is two hours ahead
    date = "Fri, 15 Jan 2027 06:00:00 GMT"
    outcome = judged(granted(e="{expires_at:epoch}"), {"t": "t-1", "e": fast + 3600}, Date=date)
    assert outcome is not None
    assert outcome.unread == ()


@pytest.mark.parametrize("value", [True, 1.5, ["t-1"], {"v": "t-1"}, "", "  "])
def test_what_is_no_token(value: Any) -> None:
    assert judged(granted(), {"t": value}) is None


def test_a_whole_number_may_be_one() -> None:
    assert judged(granted(), {"t": 12345}).captured == {"access": 12345}  # type: ignore[union-attr]


@pytest.mark.parametrize("value", ["", " ", [], {}, False, True, 0.5, ["r-1"], {"v": "r-1"}])
def test_what_is_no_refresh_token_counts_as_absent(value: Any) -> None:
    outcome = judged(granted(r="{refresh?}"), {"t": "t-1", "r": value})
    assert outcome is not None
    assert outcome.captured == {"access": "t-1"}


@pytest.mark.parametrize(
    ("value", "fits"), [("", True), ([], True), (["r-1"], False), ({"v": "r-1"}, False), (0.5, False)]
)
def test_where_the_file_needs_one_only_an_empty_one_counts_as_absent(value: Any, fits: bool) -> None:
    assert (judged(granted(r="{refresh}"), {"t": "t-1", "r": value}) is not None) is fits


@pytest.mark.parametrize("body", [b"<!doctype html>", b"<html><body>Sign in</body></html>", b"not now", b"a\nb", b"\n"])
def test_a_page_is_no_token(body: bytes) -> None:
    assert judged({"granted": {"text": "{access}"}}, body) is None


@pytest.mark.parametrize("said", ["\nt-1", "t-1\r\n", "\n\nt-1\n"])
def test_line_breaks_around_a_token_are_no_part_of_it(said: str) -> None:
    """magento/magento2#13516; no header could carry them."""
    outcome = judged(granted(), {"t": said})
    assert outcome is not None
    assert outcome.captured == {"access": "t-1"}


def test_a_text_loses_the_line_breaks_at_its_end() -> None:
    assert judged({"granted": {"text": "{access}"}}, b"t-1\r\n\n").captured == {"access": "t-1"}  # type: ignore[union-attr]
