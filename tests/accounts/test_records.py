"""What a session remembers: records that come back whole or not at all, and refusals that are no test for guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.accounts.records import Record, Refusals, same_grant

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


@given(CAPTURED, st.floats(0, 1e11), st.none() | st.floats(0, 1e11), st.text("0af"))
def test_a_record_comes_back_whole(
    captured: dict[str, object], issued: float, expires: float | None, hashed: str
) -> None:
    grant = Record(
        "signed_in", captured, issued, expires, hashed, "key", ("https://a/",), hashed, {"password": hashed}, hashed
    )
    grant = grant.replace(waits_since=expires, signers={"dpop": {"nonce": "n"}}, slots=(hashed,))
    assert Record.from_bytes(grant.to_bytes()) == grant


@given(st.lists(st.tuples(st.text("abc", max_size=2), st.floats(0, 1e11)), max_size=5))
def test_refusals_come_back_whole(refused: list[tuple[str, float]]) -> None:
    refusals = Refusals(accepted={"password": "ff"}, changed=1.0).with_failed(3.0, 4.0, unread=True)
    for fingerprint, now in refused:
        refusals = refusals.with_refused({"password": fingerprint}, "a1", now)
    assert Refusals.from_bytes(refusals.to_bytes()) == refusals


@given(
    st.binary(max_size=80)
    | st.sampled_from(
        [
            b"[" * 100_000,
            b"null",
            b"{}",
            b'{"format": 1, "state": "x", "captured": {}}',
            b'{"form": 1, "state": "x"}',
            b'{"form": 2, "state": 7}',
            b'{"form": 2}',
            b'{"form": 2, "state": "x", "captured": []}',
            b'{"form": 2, "state": "x", "slots": "a"}',
            b'{"form": 2, "state": "x", "expires_at": 1e999}',
            b'{"form": 2, "state": "x", "expires_at": NaN}',
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


def test_nothing_secret_is_shown() -> None:
    grant = Record("signed_in", {"access": "s3cret", "refresh": "s3cret"}, 1.0, 2.0)
    assert "s3cret" not in f"{grant!r} {grant.token!r} {[grant]}"
    assert (grant.token.access, Record("x").token.access) == ("s3cret", "")


def test_a_grant_is_told_by_its_identity_and_not_by_its_token() -> None:
    one = Record("in", {"access": "t"}, 1.0, grant="a")
    assert same_grant(one, one.replace(captured={"access": "t", "kept": "anew"}))
    assert not same_grant(one, one.replace(grant="b"))
    nameless = one.replace(grant="")
    assert same_grant(nameless, nameless)
    assert not same_grant(nameless, nameless.replace(captured={"access": "t"}))
