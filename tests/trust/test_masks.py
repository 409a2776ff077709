"""Nothing leaks: whatever can be printed of a session's life holds no secret, in no spelling."""

from __future__ import annotations

import base64
import gc
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.clients import default_sender
from authflow.http import Answer
from authflow.masking import mask_text
from authflow.stores.memory import MemoryStore
from authflow.templates.exchange import Exchange
from tests.clients.drivers import DRIVERS, Driver
from tests.scripted import LADDER, LIFETIME, ScriptedVendor
from tests.servers import LIFETIME as TWELVE_HOURS
from tests.servers import PASSWORD, Came, Listener, Says, Supplier, closed_port
from tests.trust.everything import found, shown_of_error
from tests.trust.wire import ladder_at, saying, writing

Listen = Callable[..., Listener]

PASS = "p4ss w0rd/ü+that=is&secret"
OTP = "0tp-that-is-secret"
SECRETS = [PASS, OTP]


def failing(call: Callable[[], object], kind: type[BaseException]) -> str:
    with pytest.raises(kind) as caught:
        call()
    return shown_of_error(caught.value)


# --- errors and their frames ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"pasword": "x"}, {"base_url": "http://vendor.example/"}, {"base_url": 5.5j}])
def test_a_session_that_cannot_be_made(vendor: ScriptedVendor, wrong: dict[str, Any]) -> None:
    text = failing(lambda: vendor.session(password=PASS, **wrong), authflow.AuthFlowError)
    assert found(SECRETS, text) == []


def test_a_credential_that_cannot_be_asked_for(vendor: ScriptedVendor) -> None:
    """The request is half made by then, with the password in it."""

    def ask() -> str:
        raise LookupError("no terminal")

    request = {"url": "login", "json": {"user": "{username}", "password": "{password}", "otp": "{otp}"}}
    login = {**LADDER["exchanges"]["login"], "request": request}
    file = {**LADDER, "credentials": {"otp": {}}, "exchanges": {**LADDER["exchanges"], "login": login}}
    session = vendor.session(file, password=PASS, otp=ask)
    assert found(SECRETS, failing(session.token, LookupError)) == []


def test_a_client_with_a_bug(vendor: ScriptedVendor) -> None:
    vendor.says("login", RuntimeError("a bug"))
    assert found(SECRETS, failing(vendor.session(password=PASS).token, RuntimeError)) == []


@pytest.mark.parametrize("library", sorted({driver.library for driver in DRIVERS}))
@pytest.mark.parametrize("how", ["refused", "reset", "half"])
def test_a_vendor_that_does_not_answer(library: str, how: str) -> None:
    """The library's own errors know the whole request, and say its URL with the query."""
    login = {
        "request": {
            "url": "login",
            "query": {"key": "{password}"},
            "headers": {"X-Key": "{access?}"},
            "basic": ["{username}", "{password}"],
            "json": {"p": "{password}"},
        },
        "answers": {"granted": {"status": 200, "json": {"access": "{access}"}}},
    }
    more = {"insecure_url": True, "exchanges": {**LADDER["exchanges"], "login": login}}
    said = b"" if how == "reset" else b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
    with closed_port() as nowhere, writing(saying(said)) as somewhere:
        url = nowhere if how == "refused" else somewhere
        file = ladder_at(url, **more)
        session = authflow.AuthSession(file, username="u", password=PASS, client=default_sender(library))
        text = failing(session.token, authflow.VendorUnavailable)
    assert found(SECRETS, text) == []
    assert "Connection refused" in text or how != "refused"


def test_a_request_that_cannot_carry_the_token(client: Driver, listen: Listen) -> None:
    """The token travels in a header and in a JSON body, and the caller's body is text."""
    token = "t0ken-that-is-secret"
    home = listen(lambda came: Says(json={"access": token}))
    states = {
        **LADDER["states"],
        "signed_in": {
            "present": {"headers": {"X-Key": "{access}"}, "cookies": {"c": "{access}"}, "json": {"k": "{access}"}}
        },
    }
    session = authflow.AuthSession(ladder_at(home.url, states=states), username="u", password=PASS)
    body = client.replayable["bytes"](b"plain", None)  # type: ignore[arg-type]
    for _ in range(2):  # with a flight, and without
        text = failing(
            lambda: client.call(session, f"{home.url}/x", "POST", headers={"Content-Type": "text/plain"}, **body),
            authflow.ConfigurationError,
        )
        assert found([PASS, token], text) == []


class Broken(MemoryStore):
    def save(self, *arguments: Any, **more: Any) -> str:
        raise authflow.StoreError("the disk is gone")


def test_a_store_that_fails(vendor: ScriptedVendor) -> None:
    text = failing(vendor.session(password=PASS, store=Broken()).token, authflow.StoreError)
    assert found([PASS, "access-1", "refresh-1"], text) == []


def test_a_logout_that_the_vendor_does_not_take(listen: Listen) -> None:
    """It runs in the caller's own thread, through all frames."""
    token = "t0ken-that-is-secret"

    def says(came: Came) -> Says:
        if came.path == "/logout":
            raise ConnectionError("hung up")
        return Says(json={"access": token, "refresh": f"{token}-2"})

    home = listen(says)
    logout = {
        "request": {"url": "logout", "headers": {"Authorization": "Bearer {access}"}, "json": {"r": "{refresh}"}},
        "answers": {"done": {"status": 200}},
    }
    file = ladder_at(home.url, on_logout="logout", exchanges={**LADDER["exchanges"], "logout": logout})
    session = authflow.AuthSession(file, username="u", password=PASS)
    session.token()
    assert found([PASS, token], failing(session.logout, authflow.VendorUnavailable)) == []


# --- answers that echo ------------------------------------------------------------------------------------------------

SHORT = "s3cr"
ECHOES: dict[str, bytes] = {
    "raw": PASS.encode(),
    "in a URL": b"/login?password=p4ss%20w0rd%2F%C3%BC%2Bthat%3Dis%26secret",
    "in a form": b"password=p4ss+w0rd%2F%C3%BC%2Bthat%3Dis%26secret",
    "in HTML": b"<b>p4ss w0rd/\xc3\xbc+that=is&amp;secret</b>",
    "in JSON": b'{"echo": "p4ss w0rd/\\u00fc+that=is&secret"}',
    "in JSON of PHP": b'{"echo": "p4ss w0rd\\/\\u00fc+that=is&secret"',
    "in broken JSON": b'{"echo": "p4ss w0rd/\\u00fc+that=is&secret"',
    "in base64": b"Basic " + base64.b64encode(PASS.encode()),
    "a short token in a list": b'{"token": ["s3cr"], "refreshToken": {"value": "s3cr", "more": [["s3cr"]]}}',
    "a short token in a form": b"access_token=s3cr&token_type=bearer",
    "a short token in broken JSON": b'{"access": "s3cr", "refresh_token": "s3cr"',
    "a short token in XML": b"<AccessToken>s3cr</AccessToken>",
}


@pytest.mark.parametrize("body", ECHOES.values(), ids=[name.replace(" ", "_") for name in ECHOES])
def test_an_answer_that_echoes_what_was_sent(vendor: ScriptedVendor, body: bytes) -> None:
    session = vendor.session(password=PASS)
    vendor.says("login", Answer(418, (), body))
    text = failing(session.token, authflow.VendorAnswerError)
    assert found([PASS, SHORT], text) == []


def test_nobody_is_asked_for_a_secret_in_order_to_mask_it(vendor: ScriptedVendor) -> None:
    asked: list[None] = []
    session = vendor.session(password=lambda: asked.append(None) or PASS)  # type: ignore[func-returns-value]
    session.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 418, {"echo": PASS})
    assert found([PASS, "access-1", "refresh-1"], failing(session.token, authflow.VendorAnswerError)) == []
    assert len(asked) == 1


def test_what_an_earlier_exchange_brought_or_derived_is_masked_too(vendor: ScriptedVendor) -> None:
    """A challenge is answered with what is derived of it; the answer to the next exchange says both."""
    answers = {"granted": {"json": {"access": "{access}", "nonce": "{nonce?}"}}, "denied": {"status": 401}}
    file = {
        **LADDER,
        "derive": {"proof": {"base64": "{nonce?}.{password}"}},
        "exchanges": {
            **LADDER["exchanges"],
            "hello": {
                "request": {"url": "hello", "json": {"u": "{username}"}},
                "answers": {"granted": {"json": {"nonce": "{nonce}"}}, "denied": {"status": 401}},
            },
            "login": {"request": {"url": "login", "json": {"proof": "{proof}"}}, "answers": answers},
            "second": {"request": {"url": "second", "json": {"u": "{username}", "n": "{nonce}"}}, "answers": answers},
        },
        "states": {
            **LADDER["states"],
            "signed_out": {"send": "hello", "granted": "greeted", "denied": "refused"},
            "greeted": {"send": "login", "granted": "half", "denied": "refused"},
            "half": {"send": "second", "granted": "signed_in", "denied": "refused"},
        },
    }
    session = vendor.session(file, password="pass word of mine")
    vendor.says("hello", 200, {"nonce": "once one"})
    vendor.says("login", 200, {"access": "h4lf access", "nonce": "once two"})
    proof = base64.b64encode(b"once one.pass word of mine").decode()
    vendor.says("second", Answer(418, (), f"<once one> <once two> <h4lf access> <{proof[:20]} {proof}>".encode()))
    text = failing(session.token, authflow.VendorAnswerError)
    assert "<***> <***> <***>" in text
    assert found(["once one", "once two", "h4lf access"], text) == []


def test_masking_keeps_the_words_that_help() -> None:
    assert mask_text("error=invalid_grant description=expired", ["expired-token"]) == (
        "error=invalid_grant description=expired"
    )


# --- logs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", sorted({driver.library for driver in DRIVERS}))
def test_no_log_record_of_an_exchange_holds_a_secret(
    listen: Listen, library: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The libraries log URLs with their query, and cookies: not those of an exchange. A caller's own they do log."""
    token = "t0ken-that-is-secret"
    login = {
        "request": {"url": "login", "query": {"user": "{username}", "key": "{password}"}},
        "answers": {"granted": {"status": 200, "cookies": {"sid": "{access}"}}, "denied": {"status": 401}},
    }
    home = listen(lambda came: Says(json={}, headers={"Set-Cookie": f"sid={token}"}))
    file = ladder_at(home.url, insecure_url=True, exchanges={**LADDER["exchanges"], "login": login})
    with caplog.at_level(logging.DEBUG):
        session = authflow.AuthSession(file, username="u", password=PASS, client=default_sender(library))
        session.token()
        records = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
        assert found([PASS, token], records) == []
        assert "signed_out --granted--> signed_in" in records
        caplog.clear()
        next(driver for driver in DRIVERS if driver.library == library).call(session, f"{home.url}/mine")
        assert "/mine" in caplog.text or library == "aiohttp", "which logs nothing of a request"


# --- a whole life -----------------------------------------------------------------------------------------------------


def test_a_whole_life_at_the_supplier(
    client: Driver, supplier: Supplier, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Login, refresh, re-login, refusal, nonsense, outage; then everything that is left of it."""
    secrets, texts = [PASSWORD, "open-barley"], []
    with caplog.at_level(logging.DEBUG, "authflow"):
        session = supplier.session()

        def note() -> None:
            captured = session._manager.grants.current.record.captured
            secrets.extend(str(captured[name]) for name in ("access", "refresh") if name in captured)
            texts.extend(f"{thing!r} {thing}" for thing in _ours())

        def fail(kind: type[Exception], asking: authflow.AuthSession = session) -> None:
            texts.append(failing(lambda: client.call(asking, supplier.delivery()), kind))

        for revoked in (None, "access", "refresh"):
            if revoked:
                supplier.control(revoke=revoked)
            reply = client.call(session, supplier.delivery())
            assert reply.status == 200
            texts.append(" ".join(f"{hop!r} {hop.url} {dict(hop.sent)}" for hop in reply.history))
            texts.append(" ".join(f"{hop.raw!r}" for hop in (reply,)))
            note()
            supplier.advance(TWELVE_HOURS + 1)
        for fault in ({"kind": "garbage", "status": 200}, {"kind": "huge"}, {"status": 418, "json": {"token": "x"}}):
            supplier.fail("refresh", **fault)
            supplier.fail("login", **fault)
            fail(authflow.VendorAnswerError)
            supplier.advance(61)
        supplier.fail("login", status=503)
        supplier.fail("refresh", status=503)
        fail(authflow.VendorUnavailable)
        fail(authflow.CredentialsRefused, supplier.session(password="open-barley"))
        note()
    texts += [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    texts += [session.status().__repr__(), repr(vars(session)), *capfd.readouterr()]
    assert len(secrets) > 6
    assert found(secrets, "\n".join(texts)) == []


def _ours() -> list[object]:
    """The objects of ours that are alive."""
    return [
        thing
        for thing in gc.get_objects()
        if str(type(thing).__module__).startswith("authflow") and not isinstance(thing, type | Exchange)
    ]


def test_the_demo_and_the_command_line_say_no_secret(tmp_path: Any) -> None:
    """Tokens are JWTs there, which begin with `eyJ` wherever they are printed."""
    for command in (["demo"], ["show", "supplier"], ["check", "supplier"]):
        said = subprocess.run(
            [sys.executable, "-m", "authflow.cli", *command], capture_output=True, text=True, timeout=120, cwd=tmp_path
        )
        assert found([PASSWORD], said.stdout + said.stderr) == []
        assert "eyJ" not in said.stdout + said.stderr


def test_an_error_that_is_pickled_leaves_the_request_behind(client: Driver, supplier: Supplier) -> None:
    session = supplier.session(password="open-barley")
    with pytest.raises(authflow.CredentialsRefused) as caught:
        client.call(session, supplier.delivery(), "POST", headers={"X-Mine": "c4llers-own-secret"})
    assert b"c4llers-own-secret" not in pickle.dumps(caught.value)


def test_settings_and_credentials_print_as_names(vendor: ScriptedVendor) -> None:
    session = vendor.session(password=PASS)
    assert repr(session._given) == "<Given username, password>"
    assert found([PASS], repr(vars(session))) == []
