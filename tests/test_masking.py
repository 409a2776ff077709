"""Answers shown to people: shape and words remain, secrets do not."""

from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.http import Answer
from authflow.masking import MASK, SHOWN, describe, mask_text

NONE: frozenset[str] = frozenset()
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("error invalid_grant", "error invalid_grant"),
        (f"got {TOKEN}!", "got ***!"),
        ("my pass word here", "my *** here"),
        ("0123456789abcdef0", MASK),
        ("a" * 31, "a" * 31),
        ("a" * 32, MASK),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert mask_text(text, ["pass word", "pass", ""]) == shown


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"error": "invalid_grant", "code": 7}, '{"error":"invalid_grant","code":7}'),
        (
            {"access_token": "x", "Password": 1, "data": {"sessionId": "y"}},
            '{"access_token":"***","Password":"***","data":{"sessionId":"***"}}',
        ),
        ({"t": "short", "deep": [{"t": "x", "u": "alice"}]}, '{"t":"***","deep":[{"t":"***","u":"***"}]}'),
        (
            {"session": {"value": "x", "ttl": 900, "ids": ["y", {"a": "z"}], "old": None, "alice": "w"}},
            '{"session":{"value":"***","ttl":"***","ids":["***",{"a":"***"}],"old":null,"***":"***"}}',
        ),
        ([TOKEN, None, True], '["***",null,true]'),
        ({"alice": 1}, '{"***":1}'),
    ],
)
def test_documents(document: object, shown: str) -> None:
    answer = Answer(400, (("Content-Type", "application/json"),), msgspec.json.encode(document))
    assert describe(answer, ["alice"], frozenset({"t"})) == f"status 400, application/json, {shown}"


def test_what_is_no_json() -> None:
    assert (
        describe(Answer(502, (), b"<h1>Bad\n\n gateway</h1>"), [], NONE)
        == "status 502, no content type, <h1>Bad gateway</h1>"
    )
    assert describe(Answer(204, (), b""), [], NONE) == "status 204, no content type, an empty body"
    assert describe(Answer(200, (), b"[" * 100_000), [], NONE).startswith("status 200")


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=3, max_size=60),
    st.integers(0, 3000),
    st.sampled_from([" ", "ab ", f"{TOKEN} ", "\n"]),
)
def test_a_secret_is_never_shown_wherever_it_stands(secret: str, before: int, filler: str) -> None:
    """Not even half of it, where a long answer is cut."""
    secret = f"<<{secret.strip()}>>"
    text = (filler * (before // len(filler))) + secret + " end"
    shown = describe(Answer(500, (("Content-Type", f"x/{secret}"),), text.encode()), [secret], NONE)
    assert secret not in shown
    assert "<<" not in shown
    assert len(shown) < SHOWN + 100


def test_a_secret_is_not_cut_in_half_where_masking_shortens_what_is_before_it() -> None:
    for pad in range(1500, 1700):
        text = f"{TOKEN} " * (pad // len(f"{TOKEN} ")) + "." * (pad % len(f"{TOKEN} ")) + "<<pass  phrase of mine>> end"
        assert "<<" not in describe(Answer(500, (), text.encode()), ["<<pass  phrase of mine>>"], NONE)


@pytest.mark.parametrize("piece", ["a", "1", "a1", "a1 ", "....", "é"])
def test_a_mebibyte_is_masked_in_no_time(piece: str) -> None:
    def cost(size: int) -> float:
        text = piece * (size // len(piece))
        begun = time.process_time()
        mask_text(text, ["secret one", "secret two"])
        return time.process_time() - begun

    assert cost(1 << 20) < max(0.5, 20 * min(cost(1 << 17) for _ in range(3)))
