"""Sentences of the notation's rules that no other story tells."""

from __future__ import annotations

import datetime
import time

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from authflow import AuthSession, CredentialsRefused, VendorAnswerError
from authflow.stores import MemoryStore
from authflow.templates import Outcome
from authflow.vendors import FUNCTIONS, absorb
from authflow.vendors.loading import load
from tests.scenarios.stage import FRAME, Stage, merged
from tests.servers import Says


def test_a_token_of_one_word_ends_as_it_says_itself(stage: Stage) -> None:
    token = jwt.encode({"exp": int(time.time()) + 500}, "k" * 32)
    stage.load(FRAME.replace('"{access}"', '"{access:token}"', 1), {"login": Says(200, {"token": token})})
    ends = stage.session.token().expires_at
    assert ends is not None
    assert 480 < ends - time.time() < 510


@pytest.mark.parametrize("value", [True, False, 1.5, [], ["t"], {"a": "t"}, None, "", " "])
def test_what_is_no_token(stage: Stage, value: object) -> None:
    stage.load(FRAME, {"login": Says(200, {"token": value})})
    with pytest.raises(VendorAnswerError):
        stage.session.token()


REASON = """
exchanges.login.answers.denied = { status = 401, json = { why = "{reason}" } }
states.refused.fail = "Not with {word?} and {unset?}."
settings.word = { default = "this" }
settings.unset = { optional = true }
"""


def test_a_reason_stands_in_the_error_and_nowhere_else(stage: Stage) -> None:
    store = MemoryStore()
    file = merged(FRAME.replace("%URL%", stage.listener.url), REASON)
    stage.load(file, {"login": [Says(401, {"why": "locked until noon"}), Says(200, {"token": "t"})]}, store=store)
    with pytest.raises(CredentialsRefused, match=r"locked until noon") as caught:
        stage.session.token()
    assert caught.value.reason == "locked until noon"
    assert "Not with this" in str(caught.value)
    assert "{" not in str(caught.value)
    key = stage.session._manager.grants.key
    record = store.load(key)
    assert record is None or b"noon" not in record.data
    stage.session.login()
    record = store.load(key)
    assert record is not None
    assert b"noon" not in record.data


def test_the_fingerprint_of_a_certificate_is_that_of_the_whole() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
    now = datetime.datetime(2026, 1, 1)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=9))
    certificate = made.sign(key, hashes.SHA256())
    argument = {"key": certificate.public_bytes(Encoding.PEM).decode(), "encoding": "hex"}
    assert FUNCTIONS["fingerprint"].compute(argument, 0.0) == certificate.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("preset", ["client-credentials", "oauth2-password"])
def test_a_preset_takes_what_was_created(stage: Stage, preset: str) -> None:
    stage.script = {"token": Says(201, {"access_token": "t"})}
    file = {"name": "made", "extends": preset, "base_url": stage.url, "settings": {"token_url": {"default": "token"}}}
    who = {"username": "u", "password": "p"} if preset == "oauth2-password" else {}
    assert AuthSession(file, client_id="c", client_secret="s", **who).token().access == "t"


def test_a_value_may_be_empty_where_the_file_says_so(stage: Stage) -> None:
    file = merged(FRAME.replace("%URL%", stage.listener.url), "credentials.pin = { secret = true, empty = true }")
    file["exchanges"]["login"]["request"] = {"url": "login", "json": {"pin": "{pin}"}}
    stage.load(file, pin="")
    stage.session.token()
    assert stage.sent()[0].body == b'{"pin":""}'


def test_a_reason_is_gone_after_the_next_outcome() -> None:
    assert absorb({"reason": "locked", "n": 1}, Outcome("granted", {"access": "t"})) == {"n": 1, "access": "t"}
    assert absorb({"reason": "locked"}, Outcome("denied", {"reason": "late"})) == {"reason": "late"}


def test_a_login_that_carries_no_credential_is_warned_of() -> None:
    file = merged(FRAME.replace("%URL%", "https://a.example"), "credentials.word = { secret = true }")
    assert "the login carries no credential" in [finding.reason for finding in load(file).warnings]
