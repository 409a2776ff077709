"""The backoff: one probe for each step, steps that grow, and what the vendor asks for."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.accounts.backoff import Backoff, by_own_clock, may_cure, with_cure
from authflow.errors import AuthFlowError, VendorUnavailable
from authflow.stores import MemoryStore
from tests.scripted import ScriptedVendor, answered, served

ERROR = VendorUnavailable("down", vendor="v", status=503)


def test_steps_double_up_to_the_most() -> None:
    backoff, now, steps = Backoff(), 1000.0, []
    for _ in range(7):
        assert backoff.open(now)
        backoff = backoff.failed(now, None, ERROR, jitter=0.0)
        steps.append(backoff.error(now).retry_after)
        assert not backoff.open(now)
        assert not backoff.open(now + (steps[-1] or 0) - 0.01)
        now += steps[-1] or 0
    assert steps == [1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("jitter", "step"), [(0.0, 1.0), (1.0, 0.8), (0.5, 0.9)])
def test_jitter_takes_a_fifth_at_most(jitter: float, step: float) -> None:
    assert Backoff().failed(0.0, None, ERROR, jitter).error(0.0).retry_after == pytest.approx(step)


def test_the_vendors_wish_counts_where_it_is_longer() -> None:
    once = Backoff().failed(0.0, 20.0, ERROR, jitter=0.0)
    assert once.error(5.0).retry_after == 15.0
    assert once.failed(20.0, 0.5, ERROR, jitter=0.0).error(20.0).retry_after == 2.0


def test_it_is_open_before_anything_has_failed() -> None:
    assert Backoff().open(20.0)
    assert not Backoff().failing(20.0)
    assert isinstance(Backoff().error(20.0), VendorUnavailable)


def test_a_try_under_way_closes_it_for_the_first_step() -> None:
    backoff = Backoff(first=30.0).begun(100.0)
    assert [backoff.open(now) for now in (100.0, 129.9, 130.0)] == [False, False, True]
    assert not backoff.failing(100.0)


def test_a_clock_set_back_opens_it() -> None:
    backoff = Backoff().failed(1_000_000.0, None, ERROR, jitter=0.0)
    assert not backoff.open(1_000_000.0 - 20)
    assert backoff.open(1_000_000.0 - 86400)


def test_everybody_gets_an_error_of_their_own() -> None:
    backoff = Backoff().failed(0.0, None, ERROR, jitter=0.0)
    one, other = backoff.error(0.0), backoff.error(0.5)
    assert one is not other
    assert isinstance(one, AuthFlowError)
    assert (one.args[0], one.status, other.retry_after, ERROR.retry_after) == ("down", 503, 0.5, None)


def test_six_cures_in_a_minute_then_one_a_minute_until_ten_pass() -> None:
    cures: tuple[float, ...] = ()
    cured = []
    for second in range(300):
        if may_cure(cures, second):
            cures = with_cure(cures, second)
            cured.append(second)
    assert cured == [0, 1, 2, 3, 4, 5, 65, 125, 185, 245]
    assert (may_cure(cures, 304), may_cure(cures, 305)) == (False, True)
    assert with_cure(cures, 845) == (845,)


def test_what_another_clock_told_is_counted_from_when_it_is_seen() -> None:
    memory: dict[str, Any] = {}
    assert by_own_clock((100.0,), 105.0, memory, "") == (100.0,)  # as long as nothing else is known, it is believed
    for told in (99_000.0, 2.0):  # ahead; and not there when the last one was
        assert by_own_clock((told - 1, told), 200.0, memory, "") == (199.0, 200.0)
        assert by_own_clock((told - 1, told), 250.0, memory, "") == (199.0, 200.0)
    assert by_own_clock((240.0,), 260.0, memory, "") == (240.0,)
    assert by_own_clock((), 260.0, memory, "") == ()


@pytest.mark.parametrize("skew", [0.0, 25.0, -25.0, 90.0, 700.0, -7200.0])
def test_clocks_that_differ_cure_no_more_often(skew: float) -> None:
    """Two hosts take turns at forbidden paths: seven exchanges in the first minute, the login among them."""
    vendor, store = ScriptedVendor(), MemoryStore()
    sessions = [vendor.session(store=store, clock=lambda by=by: vendor.clock.now + by) for by in (0.0, skew)]
    for session in sessions:
        session.token()
    for number in range(80):
        vendor.clock.now += 0.5
        session, url = sessions[number % 2]._manager, f"https://vendor.example/api/forbidden/{number}"
        answer = session.on_response(served(session.authorize(url)), url, answered(401))
        if answer is not None:
            session.on_response(served(answer), url, answered(401))
    assert len(vendor.names) <= 7
