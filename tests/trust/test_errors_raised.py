"""Errors say what to do: each kind, through each client, as that client's own error too; they pickle and copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.accounts.grants import ANONYMOUS
from authflow.errors import as_also, forget_locals, sealed
from tests.clients.drivers import Driver
from tests.scripted import LADDER, URL, ScriptedVendor
from tests.servers import Listener, Says, closed_port
from tests.trust.wire import ladder_at

Listen = Callable[..., Listener]

KINDS = [
    authflow.CredentialsRefused,
    authflow.VendorUnavailable,
    authflow.VendorAnswerError,
    authflow.VendorFileError,
    authflow.UntrustedOrigin,
    authflow.ConfigurationError,
    authflow.StoreError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_the_clients_error_too_and_stays_so(client: Driver, kind: type[authflow.AuthFlowError]) -> None:
    error = as_also(
        kind("what to do", vendor="v", exchange="e", status=418, retry_after=7.5), client.error, request=object()
    )
    for one in (error, error.copy(), copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(one, kind)
        assert isinstance(one, client.error)
        assert type(one).__name__ == kind.__name__
        assert str(one).startswith("what to do")
        assert (one.vendor, one.exchange, one.status, one.retry_after) == ("v", "e", 418, 7.5)


def session_at(url: str, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(ladder_at(url), username="u", password="p", **more)


def test_every_kind_arises_through_a_client(client: Driver, listen: Listen) -> None:
    """(status of the login, what is raised, the status it names, the exchange it names)"""
    rows = [
        (401, authflow.CredentialsRefused, "Not tried again for 60 s unless the credentials change"),
        (503, authflow.VendorUnavailable, "login is unavailable (status 503)"),
        (418, authflow.VendorAnswerError, "no pattern of login fits the answer (status 418"),
    ]
    for status, kind, message in rows:
        home = listen(lambda came, status=status: Says(status, {}))
        with pytest.raises(kind) as caught:
            client.call(session_at(home.url), f"{home.url}/x")
        error = caught.value
        assert isinstance(error, client.error)
        assert message in str(error)
        assert (error.vendor, error.exchange, error.status) == ("ladder", "login", status)
    with closed_port() as nowhere, pytest.raises(authflow.VendorUnavailable) as caught:
        client.call(session_at(nowhere), f"{nowhere}/x")
    assert isinstance(caught.value, client.error)
    assert caught.value.status is None
    mro = {kind.__name__ for kind in type(caught.value).__mro__}
    assert mro & {"ConnectionError", "TransportError", "ClientConnectionError"}


def test_a_key_with_a_line_break_is_the_callers_error(client: Driver, listen: Listen) -> None:
    home = listen()
    file = {"name": "keyed", "extends": "api-key", "base_url": f"{home.url}/"}
    with pytest.raises(authflow.ConfigurationError, match="api_key ends in a line break"):
        authflow.AuthSession(file, api_key="read-from-a-file\n")
    session = authflow.AuthSession(file, api_key=lambda: "read-from-a-file\n")
    for _ in range(2):
        with pytest.raises(authflow.ConfigurationError, match="api_key ends in a line break") as caught:
            client.call(session, f"{home.url}/x")
        assert isinstance(caught.value, client.error)
    assert home.seen() == []


@pytest.mark.parametrize(
    ("preset", "inputs", "message"),
    [
        ("basic", {"username": "a:b", "password": "p"}, "may not contain a colon"),
        ("basic", {"username": "a", "password": "\udc80"}, "that can be encoded"),
        ("api-key", {"api_key": "schlüssel"}, "not ASCII"),
    ],
)
def test_what_cannot_be_presented_is_the_callers_error(preset: str, inputs: dict[str, str], message: str) -> None:
    file = {"name": "x", "extends": preset, "base_url": "https://vendor.example/"}
    with pytest.raises(authflow.ConfigurationError, match=message):
        authflow.AuthSession(file, client=ScriptedVendor(), **inputs).headers(URL)


def test_no_url_is_an_error_of_ours_however_odd(vendor: ScriptedVendor) -> None:
    file = {**LADDER, "public": [{"path": "free"}], "rewrites": [{"from": "a/{b}", "to": "c/{b}"}]}
    for url in ("https://[::1", "https://[", "http://[::1]:x/", "\ud800", "https://\ud800.example/"):
        with pytest.raises(authflow.UntrustedOrigin):
            vendor.session(file)._manager.authorize(url)
        assert vendor.session(file, untrusted="pass")._manager.authorize(url).grant is ANONYMOUS


def test_a_session_that_was_not_made_can_still_be_printed() -> None:
    assert repr(authflow.AuthSession.__new__(authflow.AuthSession)) == "<AuthSession that was not made>"


def test_sealing_keeps_the_lines_and_not_the_values() -> None:
    def inner(secret: str) -> None:
        try:
            raise KeyError("below")
        except KeyError as error:
            raise LookupError("above") from error

    with pytest.raises(LookupError) as caught, sealed():
        inner("s3cret")
    for error in (caught.value, caught.value.__cause__):
        assert error is not None
        tb = error.__traceback__
        while tb is not None and tb.tb_frame.f_code.co_name != "inner":
            tb = tb.tb_next
        assert tb is not None
        assert tb.tb_lineno > 0
        assert tb.tb_frame.f_locals == {}
    first, second = ValueError(), ValueError()
    first.__context__, second.__context__ = second, first
    forget_locals(first)  # a circle has an end
