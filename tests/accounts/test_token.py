"""A token's time: which expiry counts, the vendor's clock, and the windows before the end."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.accounts.token import ADVISORY_MOST, MANDATORY, NEVER, Freshness, Token, Windows, expiry

SENT, RECEIVED = 1_000_000.0, 1_000_002.0


def ends(
    captured: dict[str, Any], *, date: float | None = None, is_jwt: bool = False, lifetime: float | None = None
) -> float | None:
    return expiry(captured, sent=SENT, received=RECEIVED, date=date, jwt=is_jwt, lifetime=lifetime)


def token(**claims: Any) -> dict[str, Any]:
    return {"access": jwt.encode(claims, "k" * 32)}


def test_the_first_known_counts() -> None:
    everything = {"expires_at": SENT + 100, "expires_in": 200, **token(exp=int(SENT) + 300)}
    assert ends(everything, is_jwt=True, lifetime=400) == SENT + 100
    everything.pop("expires_at")
    assert ends(everything, is_jwt=True, lifetime=400) == SENT + 200
    everything.pop("expires_in")
    assert ends(everything, is_jwt=True, lifetime=400) == SENT + 300
    assert ends(everything, is_jwt=False, lifetime=400) == SENT + 400
    assert ends(token(sub="no exp"), is_jwt=True, lifetime=400) == SENT + 400
    assert ends({}, lifetime=400) == SENT + 400
    assert ends({}) is None
    assert ends({"expires_in": None, "expires_at": None}) is None
    assert ends({"expires_at": SENT + 9}, is_jwt=True) == SENT + 9


@pytest.mark.parametrize(
    ("date", "skew"),
    [
        (None, 0.0),
        (RECEIVED, 0.0),
        (RECEIVED - 2, 0.0),
        (RECEIVED + 1, 0.0),
        (RECEIVED + 100, 100.5),
        (RECEIVED - 3600, -3599.5),
    ],
)
def test_absolute_times_are_read_on_the_vendors_clock(date: float | None, skew: float) -> None:
    assert ends({"expires_at": SENT + 5000}, date=date) == SENT + 5000 - skew
    assert ends(token(exp=int(SENT) + 5000), date=date, is_jwt=True) == SENT + 5000 - skew
    assert ends({"expires_in": 50}, date=date) == SENT + 50
    assert ends({}, date=date, lifetime=60) == SENT + 60


@pytest.mark.parametrize(
    "captured",
    [
        {"expires_in": 0},
        {"expires_in": 2},
        {"expires_at": RECEIVED},
        {"expires_in": -1},
        {"expires_in": 1e300},
        {"expires_at": (SENT + 50) * 1_000_000},
        {"expires_at": "2026-01-01"},
        {"expires_in": True},
        {"expires_in": [5]},
    ],
)
def test_an_end_that_is_past_or_absurd_is_none(captured: dict[str, Any]) -> None:
    assert ends(captured) is None


def test_where_one_end_says_nothing_the_next_counts() -> None:
    assert ends({"expires_at": "never", "expires_in": 50}) == SENT + 50
    assert ends({"expires_in": -1}, lifetime=60) == SENT + 60
    assert ends({"expires_in": -1, **token(exp=int(SENT) + 300)}, is_jwt=True, lifetime=60) == SENT + 300


@pytest.mark.parametrize("exp", [1, 10**18, "soon", True])
def test_an_absurd_exp_says_nothing(exp: Any) -> None:
    said = str(exp).lower().replace("soon", '"soon"').encode()
    access = jwt.api_jws.PyJWS().encode(b'{"exp": %s}' % said, "k" * 32)
    assert ends({"access": access}, is_jwt=True) is None


# --- windows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "advisory", "mandatory"),
    [(43200, 3600, 10), (1000, 100, 10), (100, 10, 5), (3, 0.3, 0.15), (36000, 3600, 10), (10**7, 3600, 10)],
)
def test_windows(lifetime: float, advisory: float, mandatory: float) -> None:
    windows = Windows.of(SENT, SENT + lifetime)
    assert windows.advisory == pytest.approx(SENT + lifetime - advisory)
    assert windows.mandatory == pytest.approx(SENT + lifetime - mandatory)
    assert windows.freshness(windows.advisory - 0.01) is Freshness.FRESH
    assert windows.freshness(windows.advisory) is Freshness.ADVISORY
    assert windows.freshness(windows.mandatory) is Freshness.MANDATORY


def test_the_vendor_may_say_when_to_renew() -> None:
    windows = Windows.of(SENT, SENT + 1000, refresh_in=500)
    assert (windows.advisory, windows.mandatory) == (SENT + 500, SENT + 990)
    assert Windows.of(SENT, SENT + 1000, refresh_in=5000).advisory == SENT + 990
    assert Windows.of(SENT, None, refresh_in=500).freshness(SENT + 501) is Freshness.ADVISORY
    assert Windows.of(SENT, None, refresh_in=500).freshness(SENT + 10**9) is Freshness.ADVISORY


def test_its_file_may_say_how_late_to_renew() -> None:
    assert Windows.of(SENT, SENT + 1000, ahead=20) == Windows(SENT + 980, SENT + 990)
    assert Windows.of(SENT, SENT + 1000, ahead=4) == Windows(SENT + 996, SENT + 996)
    assert Windows.of(SENT, SENT + 10, ahead=20).advisory == SENT
    assert Windows.of(SENT, SENT + 1000, refresh_in=500, ahead=20).advisory == SENT + 980


def test_a_token_that_nobody_knows_to_end_is_fresh() -> None:
    assert Windows.of(SENT, None) is NEVER
    assert NEVER.freshness(1e300) is Freshness.FRESH


@given(st.floats(0, 1e9), st.floats(0.001, 1e9), st.floats(0, 1))
def test_no_window_is_wider_than_the_life(issued: float, lifetime: float, jitter: float) -> None:
    windows, end = Windows.of(issued, issued + lifetime, jitter), issued + lifetime
    assert issued <= windows.advisory <= windows.mandatory <= end
    assert end - windows.advisory <= ADVISORY_MOST + 1e-6
    assert end - windows.mandatory <= MANDATORY + 1e-6
    assert windows.advisory >= Windows.of(issued, end).advisory


def test_a_fleet_is_spread() -> None:
    instants = {Windows.of(SENT, SENT + 36000, jitter / 10).advisory for jitter in range(11)}
    assert len(instants) == 11
    assert max(instants) - min(instants) == pytest.approx(720)


def test_a_token_shows_nothing() -> None:
    shown = Token("s3cret", SENT, SENT + 5)
    assert "s3cret" not in f"{shown!r} {shown} {[shown]}"
