"""The vendor is away: said at once, asked seldom, mistaken for nothing else, and healed by one probe."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow.accounts.backoff import SLACK
from authflow.clients import default_sender
from authflow.http import Answer, Request
from authflow.renewing.environment import NoAnswer
from tests.clients.drivers import DRIVERS
from tests.scripted import LIFETIME, URL, ScriptedVendor, answered, finished
from tests.servers import closed_port
from tests.trust.wire import ladder_at

LIBRARIES = sorted({driver.library for driver in DRIVERS})

#: (what the exchange met, how long the vendor says)
AWAY: list[tuple[Any, float | None]] = [
    *((answered(status, {}), None) for status in (408, 425, 429, 500, 501, 502, 503, 504, 520, 599)),
    (answered(503, {}, {"Retry-After": "7"}), 7),
    (answered(429, {}, {"Retry-After": "Fri, 15 Jan 2027 08:02:00 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"}), 120),
    (answered(503, {}, {"Retry-After": "86400"}), 3600),
    (answered(503, {}, {"Retry-After": "-5"}), None),
    (answered(503, {}, {"Retry-After": "soon"}), None),
    (answered(503, {}, {"Retry-After": "\x1e7"}), None),  # a blank to regular expressions, and none to `float`
    (answered(503, {}, {"Retry-After": "\u0667"}), None),
    (answered(503, {}, {"Retry-After": "9" * 400}), None),
    (NoAnswer("ConnectError: Connection refused", sent=False), None),
    (NoAnswer("ConnectError: Name or service not known", sent=False), None),
]


@pytest.mark.parametrize(("met", "said"), AWAY, ids=[str(number) for number in range(len(AWAY))])
def test_away_is_away_and_no_refusal(vendor: ScriptedVendor, met: Any, said: float | None) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.down = met
    with pytest.raises(authflow.VendorUnavailable) as caught:
        session.token()
    assert caught.value.retry_after == pytest.approx(said or 0.9, abs=0.1)
    assert (caught.value.vendor, caught.value.exchange) == ("ladder", "refresh")
    with pytest.raises(authflow.VendorUnavailable) as caught:
        session.token()
    assert caught.value.retry_after == pytest.approx(said or 0.9, abs=0.1)
    assert vendor.names == ["login", "refresh"]
    vendor.down = None
    vendor.clock.now += caught.value.retry_after + 0.01
    assert session.token().access == "access-2"
    assert vendor.names == ["refresh"]


def test_1000_callers_a_second_in_an_outage_of_a_minute(vendor: ScriptedVendor) -> None:
    """Through the walk of a request; and the first after it that is let through heals all."""
    session = vendor.session()
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.names.clear()
    vendor.sent.clear()
    vendor.down = answered(503, {})
    for _ in range(60_000):
        with pytest.raises(authflow.VendorUnavailable):
            _served(session)
        vendor.clock.now += 0.001
    exchanges = vendor.names
    assert 3 <= len(exchanges) <= 10
    assert set(exchanges) == {"refresh"}
    vendor.down, healed = None, 0
    for _ in range(31_000):
        with contextlib.suppress(authflow.VendorUnavailable):
            _served(session)
            healed += 1
        vendor.clock.now += 0.001
    assert healed > 0
    assert vendor.names == ["refresh"]


def _served(session: authflow.AuthSession) -> None:
    entry = session._manager.authorize(URL)
    if entry.grant is None:
        assert entry.flight is not None
        entry.flight.wait()


def test_a_token_still_good_is_used_throughout(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    token = session.token()
    vendor.down = answered(503, {})
    vendor.sent.clear()
    while token.expires_at is not None and vendor.clock.now < token.expires_at - 0.5:
        assert session.token() == token
        finished()
        vendor.clock.now += 0.5
    assert 1 <= len(vendor.names) <= 10
    vendor.clock.now += 1
    with pytest.raises(authflow.VendorUnavailable):
        session.token()


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@contextlib.contextmanager
def tls(certificate: Path) -> Iterator[str]:
    """A server that speaks TLS, with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
                        stream.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_is_not_trusted(library: str, certificate: Path) -> None:
    with tls(certificate) as url:
        session = authflow.AuthSession(ladder_at(url), username="u", password="p", client=default_sender(library))
        with pytest.raises(authflow.VendorUnavailable, match=r"self.signed certificate"):
            session.token()


def test_an_unknown_host_and_a_closed_port(library: str) -> None:
    with closed_port() as nowhere:
        for url, sent in ((nowhere, False), ("https://no-such-host.invalid", False)):
            with pytest.raises(NoAnswer) as caught:
                default_sender(library).exchange(Request("GET", url), 5)
            assert caught.value.sent == sent, url


# --- an answer that comes too late ------------------------------------------------------------------------------------


def test_a_refresh_whose_answer_comes_too_late_is_not_sent_again(supplier: Any) -> None:
    """The supplier honours it after the time-out; its old refresh token would now count as stolen."""
    session = supplier.session(timeout=1.0)
    session.token()
    spent = session._manager.grants.current.record.captured["refresh"]
    supplier.advance(12 * 3600 + 1)
    supplier.fail("refresh", kind="hang", after=True)
    with contextlib.suppress(authflow.VendorUnavailable):
        session.token()
    supplier.advance(1.1)
    assert session.token().access
    counts = supplier.counts
    assert counts.get("refresh_reused", 0) == 0
    assert (counts["refresh"], counts["login"]) == (1, 2)
    assert session._manager.grants.current.record.captured["refresh"] != spent


def test_a_lost_login_is_sent_again_only_after_a_step(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", NoAnswer("ReadTimeout", sent=True))
    for _ in range(100):
        with pytest.raises(authflow.VendorUnavailable):
            session.token()
    assert vendor.names == ["login"]
    vendor.clock.now += 1.1
    assert session.token().access


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump", [-SLACK - 1, -3600.0, -7 * 86400.0])
def test_a_clock_set_back_in_an_outage_is_no_longer_outage(vendor: ScriptedVendor, jump: float) -> None:
    session = vendor.session()
    vendor.says("login", 503, {}, {"Retry-After": "1800"})
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    vendor.clock.now += jump
    with contextlib.suppress(authflow.VendorUnavailable):  # what is left of the wait is a duration
        session.token()
    vendor.clock.now += 1801
    assert session.token().access


@pytest.mark.parametrize("jump", [-3600.0, -86400.0])
def test_what_was_forbidden_for_a_minute_is_not_so_for_a_day(vendor: ScriptedVendor, jump: float) -> None:
    session = vendor.session()
    grant = session._manager.grants.current
    session.token()
    grant = session._manager.grants.current
    session._manager.on_second_response(grant, URL, answered(401))
    assert session._manager.on_response(grant, URL, answered(401)) is None
    vendor.clock.now += jump
    assert session._manager.on_response(grant, URL, answered(401)) is not None
    finished()


@pytest.mark.parametrize("jump", [-86400.0, -600.0, 600.0, 86400.0])
def test_a_clock_that_jumps_costs_an_exchange_at_most(vendor: ScriptedVendor, jump: float) -> None:
    session = vendor.session()
    session.token()
    vendor.clock.now += jump
    for _ in range(50):
        assert session.token().access
        finished()
        vendor.clock.now += 1
    assert len(vendor.names) <= 2 + (jump > 0)


@pytest.mark.parametrize("skew", [-600.0, 600.0])
def test_the_vendors_clock_may_be_ten_minutes_off(vendor: ScriptedVendor, skew: float) -> None:
    """Its `Date` tells: a token that lives for five minutes is neither renewed at once nor used for too long."""
    from email.utils import formatdate

    import jwt

    file = ladder_at("https://vendor.example")
    file["exchanges"] = {
        **file["exchanges"],
        "login": {
            **file["exchanges"]["login"],
            "answers": {"granted": {"status": 200, "json": {"access": "{access:jwt}"}}},
        },
    }
    session = vendor.session(file)

    def granted(request: Request) -> Answer:
        now = vendor.clock.now + skew
        token = jwt.encode({"exp": int(now) + 300}, "k" * 32, algorithm="HS256")
        return answered(200, {"access": token}, {"Date": formatdate(now, usegmt=True)})

    vendor.says("login", granted)
    assert session.token().expires_at == pytest.approx(vendor.clock.now + 300, abs=2)
