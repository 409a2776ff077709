"""The worst day, through every client: refused, down, unavailable, or answering nonsense. No hang, storm or leak."""

from __future__ import annotations

import email.utils
import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.clients import default_sender
from authflow.http import Answer, Request
from authflow.manager import manager
from tests.clients.drivers import Driver
from tests.servers import LIFETIME, PASSWORD, Listener, Supplier, closed_port

Listen = Callable[..., Listener]


class Counting:
    """A sender that counts what it sends."""

    def __init__(self, library: str) -> None:
        self._sender = default_sender(library)
        self.sent = 0

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.sent += 1
        return self._sender.exchange(request, timeout)


def fails(client: Driver, session: authflow.AuthSession, url: str, kind: type[authflow.AuthFlowError]) -> Any:
    """The error of a call: of that kind, and the client's own too."""
    with pytest.raises(kind) as caught:
        client.call(session, url)
    assert isinstance(caught.value, client.error)
    return caught.value


def shown(error: BaseException) -> str:
    """All that a log or a screen may show of an error, the locals of its frames included."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "\n".join([str(error), repr(error), repr(error.__dict__), *report.format()])


REFUSED = "Delivery status from the supplier: The supplier refused this username and password. Not tried again for "


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_sent_once(client: Driver, supplier: Supplier) -> None:
    session = supplier.session(password="open-barley")
    for _ in range(3):
        error = fails(client, session, supplier.delivery(), authflow.CredentialsRefused)
        assert str(error).startswith(REFUSED)
        assert (error.vendor, 0 < error.retry_after <= 60) == ("supplier", True)
        assert "open-barley" not in f"{error} {error!r}"
    assert supplier.counts == {"login": 1, "login_refused": 1}
    supplier.advance(61)
    fails(client, session, supplier.delivery(), authflow.CredentialsRefused)
    assert supplier.counts == {"login": 1, "login_refused": 1}


# --- down -------------------------------------------------------------------------------------------------------------


def test_a_supplier_that_is_down_is_said_to_be_so_at_once_and_then_left_alone(
    client: Driver, supplier: Supplier
) -> None:
    counting = Counting(client.library)
    with closed_port() as nowhere:
        base_url = f"{nowhere}/api/v1/auth/"
        session = supplier.session(base_url=base_url, client=counting)
        started = time.monotonic()
        first = fails(client, session, f"{base_url}deliveries/42", authflow.VendorUnavailable)
        again = fails(client, session, f"{base_url}deliveries/42", authflow.VendorUnavailable)
        assert time.monotonic() - started < 10
    assert counting.sent == 1
    assert f"no answer to login from {nowhere} (" in str(first)
    assert 0 < again.retry_after <= 1
    assert again is not first


def test_an_unavailable_refresh_is_no_refusal(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.advance(LIFETIME + 1)
    supplier.fail("refresh", status=503, retry_after=7)
    error = fails(client, session, supplier.delivery(), authflow.VendorUnavailable)
    assert (error.status, error.exchange, error.retry_after) == (503, "refresh", 7)
    assert supplier.counts == {"login": 1, "refresh": 1, "faults": 1}
    supplier.advance(6)
    assert 0 < fails(client, session, supplier.delivery(), authflow.VendorUnavailable).retry_after <= 1
    assert supplier.counts == {}
    supplier.advance(1.1)
    assert client.call(session, supplier.delivery()).status == 200
    assert supplier.counts == {"refresh": 1, "tracking": 1, "data": 1}


def test_a_token_that_no_renewal_replaced_is_sent_twice_at_most(
    client: Driver, supplier: Supplier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, the renewal brings nothing of use, and it counts as good until its end."""

    def same(self: object, grant: Any, url: str, answer: Answer, *, replayable: bool = True) -> manager.Authorization:
        return manager.Authorization(url, grant)

    session = supplier.session()
    session.token()
    monkeypatch.setattr(manager.SessionManager, "on_response", same)
    supplier.fail("tracking", status=401, times=9)
    assert client.call(session, supplier.delivery()).status == 401
    assert supplier.counts["tracking"] == 2


def test_retry_after_may_be_a_date(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    supplier.fail("login", status=429, retry_after=email.utils.formatdate(supplier.clock() + 120, usegmt=True))
    error = fails(client, session, supplier.delivery(), authflow.VendorUnavailable)
    assert (error.status, error.retry_after) == (429, pytest.approx(120, abs=3))


def test_a_supplier_that_comes_back_serves_again(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    supplier.fail("login", kind="reset")
    fails(client, session, supplier.delivery(), authflow.VendorUnavailable)
    supplier.advance(1.1)
    assert client.call(session, supplier.delivery()).status == 200


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_an_answer_that_does_not_end_ends_with_the_timeout(
    client: Driver, supplier: Supplier, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authflow.manager.cache.GRACE", 0.2)
    session = supplier.session(timeout=0.3)
    supplier.fail("login", kind=kind)
    started = time.monotonic()
    fails(client, session, supplier.delivery(), authflow.VendorUnavailable)
    assert 0.3 <= time.monotonic() - started < 4


# --- nonsense ---------------------------------------------------------------------------------------------------------

MASKED = "hunter2-1234567890abcdef"
NONSENSE: dict[str, dict[str, Any]] = {
    "garbage": {"kind": "garbage", "status": 200},
    "huge": {"kind": "huge"},
    "not a JWT": {"status": 200, "json": {"token": MASKED, "refreshToken": MASKED}},
    "a number": {"status": 200, "json": {"token": 5, "refreshToken": MASKED}},
    "another key": {"status": 200, "json": {"Token": MASKED, "refreshToken": MASKED}},
    "a list": {"status": 200, "json": [MASKED]},
    "a strange status": {"status": 418, "json": {"token": MASKED}},
}


@pytest.mark.parametrize("exchange", ["login", "refresh"])
@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=[name.replace(" ", "_") for name in NONSENSE])
def test_nonsense_is_shown_without_a_secret(
    client: Driver, supplier: Supplier, nonsense: dict[str, Any], exchange: str
) -> None:
    session = supplier.session()
    secrets = [PASSWORD, MASKED]
    if exchange == "refresh":
        secrets += [session.token().access, str(session._manager.grants.current.record.captured["refresh"])]
        supplier.advance(LIFETIME + 1)
    supplier.fail(exchange, **nonsense)
    error = fails(client, session, supplier.delivery(), authflow.VendorAnswerError)
    assert (error.vendor, error.exchange) == ("supplier", exchange)
    report = shown(error)
    assert exchange in report
    for secret in secrets:
        assert secret not in report
    assert "tracking" not in supplier.counts


def test_an_end_that_is_past_already_is_left_out(client: Driver, supplier: Supplier) -> None:
    session = supplier.session()
    supplier.control(lifetime=-5)
    client.call(session, supplier.delivery())  # the supplier means it; that is for its own answers to say
    assert session.status().expires_at is None
    supplier.control(lifetime=LIFETIME)
    supplier.advance(61)
    assert client.call(session, supplier.delivery()).status == 200


# --- pickling ---------------------------------------------------------------------------------------------------------


def test_a_session_and_its_adapter_pickle(client: Driver, supplier: Supplier) -> None:
    session = supplier.session(clock=time.time)
    supplier.advance(-supplier.ahead)
    assert client.call(session, supplier.delivery()).status == 200
    again = pickle.loads(pickle.dumps(session))
    assert client.call(again, supplier.delivery()).status == 200
    adapter = pickle.loads(pickle.dumps(client.auth(session)))
    assert client.call_with(adapter, supplier.delivery()).status == 200


def test_an_error_pickles_and_stays_the_clients_own(client: Driver, supplier: Supplier) -> None:
    session = supplier.session(password="open-barley")
    error = fails(client, session, supplier.delivery(), authflow.CredentialsRefused)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, authflow.CredentialsRefused)
    assert isinstance(again, client.error)
    assert (str(again), again.vendor, again.status, again.retry_after) == (
        str(error),
        "supplier",
        401,
        error.retry_after,
    )


def test_an_error_knows_the_callers_request(client: Driver, supplier: Supplier) -> None:
    error = fails(client, supplier.session(password="open-barley"), supplier.delivery(5), authflow.CredentialsRefused)
    assert str(error.request.url).startswith(supplier.base_url.removesuffix("auth/"))
    assert "authorization" not in {name.lower() for name in error.request.headers}
