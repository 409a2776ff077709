"""What a session remembers: records that come back whole or not at all, and refusals that are no test for guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.manager.records import COOL_DOWN, COOL_DOWN_MOST, Record, Refusal

ALICE = {"username": "alice", "password": "s3cret"}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
)
CAPTURED = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3)),
    max_size=4,
)


@given(CAPTURED, st.floats(0, 1e11), st.none() | st.floats(0, 1e11), st.booleans())
def test_a_record_comes_back_whole(
    captured: dict[str, object], issued: float, expires: float | None, refused: bool
) -> None:
    refusal = Refusal(("a",), "00", "ff", 5.0, 2) if refused else None
    grant = Record("signed_in", captured, issued, expires, refusal)
    assert Record.from_bytes(grant.to_bytes()) == grant


@given(
    st.binary(max_size=80)
    | st.sampled_from(
        [
            b"[" * 100_000,
            b"null",
            b"{}",
            b'{"format": 2, "state": "x"}',
            b'{"format": 1, "state": 7}',
            b'{"format": 1}',
            b'{"format": 1, "state": "x", "captured": []}',
        ]
    )
)
def test_anything_else_is_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match="record"):
        Record.from_bytes(data)


def test_a_record_cut_short_is_none() -> None:
    data = Record("signed_in", {"access": "t"}, 1.0, 2.0).to_bytes()
    for end in range(len(data)):
        with pytest.raises(ValueError, match="record"):
            Record.from_bytes(data[:end])


def test_a_refusal_holds_no_password() -> None:
    refusal = Refusal.of(ALICE, 1000.0, None)
    data = Record("refused", {}, refusal=refusal).to_bytes()
    assert b"s3cret" not in data
    assert "s3cret" not in repr(refusal)
    assert refusal.fits(ALICE)
    assert not refusal.fits({**ALICE, "password": "s3cret "})
    assert not refusal.fits({"username": "alice"})
    assert Refusal.of(ALICE, 1000.0, None).fingerprint != refusal.fingerprint


def test_the_cool_down_doubles_while_the_same_password_is_refused() -> None:
    refusal, waits = None, []
    for _ in range(9):
        refusal = Refusal.of(ALICE, 1000.0, refusal)
        waits.append(refusal.until - 1000.0)
    assert waits[:3] == [COOL_DOWN, 2 * COOL_DOWN, 4 * COOL_DOWN]
    assert waits[-1] == COOL_DOWN_MOST
    other = Refusal.of({**ALICE, "password": "another"}, 1000.0, refusal)
    assert (other.count, other.until) == (1, 1000.0 + COOL_DOWN)


def test_nothing_secret_is_shown() -> None:
    grant = Record("signed_in", {"access": "s3cret", "refresh": "s3cret"}, 1.0, 2.0)
    assert "s3cret" not in f"{grant!r} {grant.token!r} {[grant]}"
    assert (grant.token.access, Record("x").token.access) == ("s3cret", "")
