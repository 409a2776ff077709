"""A request's walk through every client, against the real supplier: login, reuse, renewal, rejection, replay."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import LIFETIME, Listener, Says, Supplier

Listen = Callable[..., Listener]

#: With a file that rewrites URLs, and with one whose every request takes the short cut.
pytestmark = pytest.mark.parametrize("supplier", [False, True], ids=["rewritten", "plain"], indirect=True)


def test_the_first_call_logs_in_and_the_second_reuses_the_token(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    reply = client.call(session, supplier.delivery(7))
    assert (reply.status, reply.json["id"]) == (200, "7")
    assert supplier.counts == {"login": 1, "tracking": 1, "data": 1}
    client.call(session, supplier.delivery(8))
    assert supplier.counts == {"tracking": 1, "data": 1}


def test_an_expired_token_is_refreshed_by_the_old_bearer(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    before = session.token()
    supplier.advance(LIFETIME + 1)
    assert client.call(session, supplier.delivery()).status == 200
    assert session.token().access != before.access
    assert supplier.counts == {"login": 1, "refresh": 1, "tracking": 1, "data": 1}


def test_a_refused_refresh_logs_in_again(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.advance(LIFETIME + 1)
    supplier.control(revoke="refresh")
    assert client.call(session, supplier.delivery()).status == 200
    assert supplier.counts == {"login": 2, "refresh": 1, "refresh_refused": 1, "tracking": 1, "data": 1}


def test_a_token_revoked_early_costs_one_renewal_and_one_replay(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.control(revoke="access")
    assert client.call(session, supplier.delivery()).status == 200
    assert supplier.counts == {"login": 1, "refresh": 1, "tracking": 2, "tracking_401": 1, "data": 1}


def test_a_token_rejected_at_the_second_origin_costs_one_renewal_too(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    before = session.token()
    supplier.fail("data", status=401)
    assert client.call(session, supplier.delivery()).status == 200
    assert session.token().access != before.access
    counts = supplier.counts
    assert (counts["refresh"], counts["data"], counts["tracking"] <= 2) == (1, 2, True)


def test_the_second_rejection_is_the_callers(client: Driver, supplier: Supplier, listen: Listen) -> None:
    sink = listen(lambda came: Says(401, {"error": "not for you"}))
    session = supplier.session(data_origin=sink.url)
    reply = client.call(session, f"{sink.url}/forbidden")
    assert (reply.status, reply.json) == (401, {"error": "not for you"})
    assert len(sink.seen()) == 2
    assert supplier.counts == {"login": 1, "refresh": 1}


def test_a_forbidden_call_does_not_cost_a_renewal_each_time(client: Driver, supplier: Supplier, listen: Listen) -> None:
    sink = listen(lambda came: Says(401 if came.path == "/forbidden" else 200, {}))
    session = supplier.session(data_origin=sink.url)
    client.call(session, f"{sink.url}/forbidden")
    assert supplier.counts == {"login": 1, "refresh": 1}
    for _ in range(3):
        assert client.call(session, f"{sink.url}/forbidden").status == 401
    assert client.call(session, f"{sink.url}/allowed").status == 200
    assert supplier.counts == {}
    supplier.advance(61)
    client.call(session, f"{sink.url}/forbidden")
    assert supplier.counts == {"refresh": 1}


def test_a_call_goes_up_a_level_and_through_the_redirect_with_the_token(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    reply = client.call(session, supplier.delivery(42))
    tracking = supplier.base_url.replace("/auth/", "/tracking/42")
    assert [(hop.status, hop.url) for hop in (*reply.history, reply)] == [(307, tracking), (200, supplier.data(42))]
    assert "data_without_token" not in supplier.counts


def test_no_token_stays_in_the_history(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.control(revoke="access")
    reply = client.call(session, supplier.delivery())
    assert reply.history
    assert all("authorization" not in hop.sent for hop in reply.history)


def test_a_streamed_answer_stays_a_stream(client: Driver, supplier: Supplier, listen: Listen) -> None:
    first_read, in_time = queue.SimpleQueue[None](), []

    def wait() -> None:
        first_read.get(timeout=10)
        in_time.append(True)

    sink = listen(lambda came: Says(body=b"a whole body", then=wait))
    session = supplier.session(data_origin=sink.url)
    for _ in range(2):  # on the slow path, then on the hot one
        pieces = client.stream(session, f"{sink.url}/stream", lambda: first_read.put(None))
        assert pieces == (b"a", b" whole body")
    assert in_time == [True, True]


def test_an_untrusted_url_is_refused_before_anything_is_sent(
    client: Driver, supplier: Supplier, listen: Listen
) -> None:
    sink = listen()
    session = supplier.session()
    for logged_in in (False, True):
        if logged_in:
            session.token()
        with pytest.raises(authflow.UntrustedOrigin, match=f"not presented at {sink.url}/x: ") as caught:
            client.call(session, f"{sink.url}/x?q=hidden")
        assert isinstance(caught.value, client.error)
        assert "hidden" not in str(caught.value)
    assert sink.seen() == []


def test_an_untrusted_url_may_be_let_pass_bare(client: Driver, supplier: Supplier, listen: Listen) -> None:
    sink = listen()
    session = supplier.session(untrusted="pass")
    for _ in range(2):
        assert client.call(session, f"{sink.url}/x").status == 200
        session.token()
    assert ["authorization" in came.headers for came in sink.seen()] == [False, False]


def test_a_wrong_adapter_names_the_right_one(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    as_given = f"auth=session.{client.library}" if client.library != "aiohttp" else r"middlewares=\[session.aiohttp\]"
    for library in {driver.library for driver in DRIVERS} - {client.library}:
        with pytest.raises(authflow.ConfigurationError, match=f"write {as_given}$"):
            client.call_with(getattr(session, library), supplier.delivery())
    assert supplier.counts == {}


def test_a_method_other_than_get_is_sent_as_it_is(client: Driver, supplier: Supplier, listen: Listen) -> None:
    sink = listen()
    session = supplier.session(data_origin=sink.url)
    how: dict[str, Any] = {"headers": {"X-Mine": "1"}, "params": {"q": "a b"}}
    client.call(session, f"{sink.url}/thing", "PUT", **how)
    (came,) = sink.seen()
    assert (came.method, came.path, came.headers["x-mine"]) == ("PUT", "/thing", "1")
    assert came.target in ("/thing?q=a+b", "/thing?q=a%20b")
