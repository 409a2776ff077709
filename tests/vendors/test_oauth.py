"""What OAuth's error codes mean: a pattern that names one, then its class, then the other patterns, then the status."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

import authflow
from authflow.http import Answer
from tests.scripted import ScriptedVendor, answered

CLIENT = {
    "name": "op",
    "extends": "client-credentials",
    "base_url": "https://vendor.example/",
    "settings": {"token_url": {"default": "https://vendor.example/login"}},
}
WHO = {"username": None, "password": None, "client_id": "c-1", "client_secret": "s-1"}
PASSWORD = {**CLIENT, "extends": "oauth2-password"}
GRANTED = {"access_token": "t-1", "expires_in": 10}


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


def session_of(vendor: ScriptedVendor, file: Any = CLIENT, **more: Any) -> authflow.AuthSession:
    given = {"client_id": "c-1", "client_secret": "s-1", **more}
    return authflow.AuthSession(file, client=vendor, clock=vendor.clock, **given)


def failure(vendor: ScriptedVendor, status: int, body: Any, file: Any = CLIENT) -> Any:
    for _ in range(2 if status == 500 else 1):  # a 500 is asked once more
        vendor.says("login", status, body)
    with pytest.raises(authflow.AuthFlowError) as caught:
        session_of(vendor, file).token()
    return caught.value


@pytest.mark.parametrize("status", [200, 400, 401, 403, 418, 500])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("invalid_client", authflow.CredentialsRefused),
        ("invalid_grant", authflow.CredentialsRefused),
        ("unauthorized_client", authflow.CredentialsRefused),
        ("access_denied", authflow.CredentialsRefused),
        ("expired_token", authflow.CredentialsRefused),
        ("temporarily_unavailable", authflow.VendorUnavailable),
        ("slow_down", authflow.VendorUnavailable),
        ("server_error", authflow.VendorUnavailable),
        ("authorization_pending", authflow.VendorUnavailable),
        ("invalid_scope", authflow.ConfigurationError),
        ("invalid_request", authflow.ConfigurationError),
        ("unsupported_grant_type", authflow.ConfigurationError),
        ("unsupported_response_type", authflow.ConfigurationError),
    ],
)
def test_a_code_has_its_class_whatever_the_status(
    vendor: ScriptedVendor, status: int, code: str, kind: type[authflow.AuthFlowError]
) -> None:
    error = failure(vendor, status, {"error": code, "error_description": "Why it is so"})
    assert type(error) is kind
    assert (error.reason, error.status, error.exchange) == ("Why it is so", status, "login")
    assert f"Why it is so ({code})" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, authflow.CredentialsRefused), (503, authflow.VendorUnavailable), (200, authflow.VendorAnswerError)],
)
def test_a_code_that_is_not_listed_goes_by_the_status(vendor: ScriptedVendor, status: int, kind: Any) -> None:
    assert type(failure(vendor, status, {"error": "consent_required"})) is kind


def test_a_grant_is_one_whatever_else_it_says(vendor: ScriptedVendor) -> None:
    vendor.says("login", 200, {**GRANTED, "error": "invalid_grant"})
    assert session_of(vendor).token().access == "t-1"


def test_a_token_that_is_a_number_is_none(vendor: ScriptedVendor) -> None:
    error = failure(vendor, 200, {**GRANTED, "access_token": 42})
    assert type(error) is authflow.VendorAnswerError
    assert "a token of OAuth is text" in str(error)


def test_a_pattern_that_names_the_code_wins(vendor: ScriptedVendor) -> None:
    answers = {"granted": {"json": {"access_token": "{access}"}}, "denied": {"json": {"error": "slow_down"}}}
    file = {**CLIENT, "exchanges": {"login": {"answers": answers}}}
    assert type(failure(vendor, 429, {"error": "slow_down"}, file)) is authflow.CredentialsRefused


def test_what_speaks_no_oauth_goes_by_its_patterns(vendor: ScriptedVendor) -> None:
    vendor.says("login", 401, {"error": "temporarily_unavailable"})
    with pytest.raises(authflow.CredentialsRefused):
        vendor.session().token()


def test_a_refresh_at_fault_takes_the_next_step(vendor: ScriptedVendor) -> None:
    refresh = {"request": {"url": "refresh", "form": {"grant_type": "refresh_token", "refresh_token": "{refresh}"}}}
    file = {**PASSWORD, "exchanges": {"refresh": refresh}}
    session = session_of(vendor, file, username="u", password="p")
    vendor.says("login", 200, {**GRANTED, "refresh_token": "r-1"})
    session.token()
    vendor.clock.now += 11
    vendor.says("refresh", 400, {"error": "invalid_scope"})
    vendor.says("login", 200, {**GRANTED, "access_token": "t-2"})
    assert session.token().access == "t-2"


def test_a_faulty_request_is_not_repeated_at_once(vendor: ScriptedVendor) -> None:
    session = session_of(vendor)
    vendor.says("login", 400, {"error": "invalid_scope"})
    for _ in range(3):
        with pytest.raises(authflow.ConfigurationError):
            session.token()
    assert vendor.names == ["login"]


# --- reasons ----------------------------------------------------------------------------------------------------------


def refused(vendor: ScriptedVendor, denied: Any, fail: str, body: Any, status: int = 401) -> authflow.AuthFlowError:
    file = {
        "name": "a",
        "extends": "relogin",
        "base_url": "https://vendor.example/",
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"json": {"t": "{access}"}}, "denied": denied},
            }
        },
        "states": {"refused": {"fail": fail}},
    }
    vendor.says("login", status, body)
    with pytest.raises(authflow.CredentialsRefused) as caught:
        vendor.session(file).token()
    return caught.value


SAYS = {"status": 401, "json": {"message": "{reason?}"}}


@pytest.mark.parametrize(
    ("fail", "body", "message"),
    [
        ("Refused: {reason?}", {"message": "Locked out"}, "a: Refused: Locked out."),
        ("Refused: {reason?}", {}, "a: Refused."),
        ("Refused.", {"message": "Locked out"}, "a: Refused. The answer says: Locked out."),
        ("No {credentials?} will do.", {}, "a: No username and password will do."),
        ("Use {braces} as you like.", {}, "a: Use {braces} as you like."),
        ("Refused.", {"message": {"code": 5}}, 'a: Refused. The answer says: {"code":5}.'),
        ("Refused.", {"message": "two\n lines"}, "a: Refused. The answer says: two lines."),
        ("Refused.", {"message": "not pass-word"}, "a: Refused. The answer says: not ***."),
    ],
)
def test_the_vendors_own_words(vendor: ScriptedVendor, fail: str, body: Any, message: str) -> None:
    error = refused(vendor, SAYS, fail, body)
    assert str(error).removesuffix(" Not tried again for 60 s unless the credentials change.") == message


def test_a_reason_is_not_stored_and_is_gone_with_the_next_outcome(vendor: ScriptedVendor) -> None:
    file = {
        "name": "a",
        "extends": "relogin",
        "base_url": "https://vendor.example/",
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"json": {"t": "{access}", "note": "{reason?}"}}},
            }
        },
    }
    session = vendor.session(file)
    vendor.says("login", 200, {"t": "t-1", "note": "Soon to change"})
    session.token()
    assert set(session._manager.grants.current.record.captured) == {"access"}


@pytest.mark.parametrize("sent", [["api_key"], ["api_key", "username"]])
def test_the_error_names_what_was_really_sent(vendor: ScriptedVendor, sent: list[str]) -> None:
    file = {
        "name": "a",
        "extends": "relogin",
        "base_url": "https://vendor.example/",
        "credentials": {"api_key": {"secret": True}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {name: f"{{{name}}}" for name in sent}},
                "answers": {"granted": {"json": {"t": "{access}"}}},
            }
        },
    }
    vendor.says("login", 401, {})
    given = dict.fromkeys(sent, "v")
    session = authflow.AuthSession(file, client=vendor, clock=vendor.clock, **given)
    with pytest.raises(authflow.CredentialsRefused, match=f"refused this {' and '.join(sent)}\\."):
        session.token()


def test_the_wait_counts_down(vendor: ScriptedVendor) -> None:
    session = vendor.session()
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused, match="for 60 s"):
        session.token()
    vendor.clock.now += 20
    with pytest.raises(authflow.CredentialsRefused, match="for 40 s"):
        session.token()


# --- answers that nobody foresaw --------------------------------------------------------------------------------------


def test_a_redirect_names_where_it_leads_and_what_would_follow_it(vendor: ScriptedVendor) -> None:
    vendor.says("login", 301, None, {"Location": "https://vendor.example/v2/login?x=s3cret"})
    with pytest.raises(authflow.VendorAnswerError) as caught:
        vendor.session().token()
    assert "redirects to https://vendor.example/v2/login:" in str(caught.value)
    assert "redirects = true in [exchanges.login]" in str(caught.value)


@pytest.mark.parametrize("status", [402, 418, 302, 202])
def test_retry_after_counts_with_any_status(vendor: ScriptedVendor, status: int) -> None:
    vendor.says("login", answered(status, None, {"Retry-After": "77"}))
    with pytest.raises(authflow.VendorUnavailable, match="again in 77 s") as caught:
        vendor.session().token()
    assert (caught.value.status, caught.value.retry_after) == (status, 77.0)


def test_a_proxy_that_refuses_is_not_the_vendor(vendor: ScriptedVendor) -> None:
    vendor.says("login", 407, None)
    with pytest.raises(authflow.VendorUnavailable, match=r"the proxy that refuses: AuthSession\(client="):
        vendor.session().token()


# --- what is given ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "password is empty"),
        ("  ", "password is empty"),
        ("s3cret\n", "password ends in a line break"),
        ("s3cret\r\n", "password ends in a line break"),
        (True, "password must be text, and is of type bool"),
        (b"s3cret", "password must be text, and is of type bytes"),
        (["s3cret"], "password must be text, and is of type list"),
    ],
)
@pytest.mark.parametrize("asked", [False, True])
def test_what_would_be_sent_in_vain_is_not_sent(vendor: ScriptedVendor, value: Any, reason: str, asked: bool) -> None:
    with pytest.raises(authflow.ConfigurationError, match=reason) as caught:
        vendor.session(password=(lambda: value) if asked else value).token()
    assert "s3cret" not in str(caught.value)
    assert vendor.names == []


def test_a_file_may_allow_an_empty_credential(vendor: ScriptedVendor) -> None:
    file = {**PASSWORD, "credentials": {"client_secret": {"empty": True, "secret": True}}}
    vendor.says("login", 200, GRANTED)
    assert session_of(vendor, file, username="u", password="p", client_secret="").token().access == "t-1"


def test_a_callable_that_has_no_more_to_give_is_an_error_of_ours(vendor: ScriptedVendor) -> None:
    with pytest.raises(authflow.ConfigurationError, match="password has no more to give") as caught:
        vendor.session(password=iter([]).__next__).token()
    assert isinstance(caught.value.__cause__, StopIteration)


PAGES = {
    "a page": (b"<!DOCTYPE html><title>403 Forbidden</title>", "text/html"),
    "behind the wrong type": (b"\n <html><body>Blocked</body></html>", "application/json"),
    "in another encoding": ("<html>".encode("utf-16"), "text/html"),
    "a comment first": (b"\xef\xbb\xbf<!-- proxy --><html></html>", ""),
}


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("whose", ["given", "captured"])
def test_a_page_for_people_refuses_no_refresh_token(
    vendor: ScriptedVendor, status: int, page: tuple[bytes, str], whose: str
) -> None:
    file: dict[str, Any] = {**CLIENT, "extends": "refresh-token" if whose == "given" else "oauth2-password"}
    file["settings"] = {"token_url": {"default": "https://vendor.example/refresh"}}
    granted, more = {**GRANTED, "refresh_token": "r-2"}, {"username": "demo", "password": "open-sesame"}
    session = session_of(vendor, file, **({"refresh": "r-1"} if whose == "given" else more))
    if whose == "captured":
        vendor.says("refresh", 200, granted)
        session.token()
        vendor.clock.now += 11
    vendor.sent.clear()
    vendor.says("refresh", Answer(status, (("Content-Type", page[1]),), page[0]))
    with pytest.raises(authflow.VendorUnavailable, match="a page for people"):
        session.token()
    vendor.clock.now += 31
    vendor.says("refresh", 200, {**GRANTED, "access_token": "t-2"})
    assert session.token().access == "t-2"
    tokens = [dict(parse_qsl((request.body or b"").decode()))["refresh_token"] for request in vendor.sent]
    assert tokens == ["r-1" if whose == "given" else "r-2"] * 2


@pytest.mark.parametrize("said", [b"", b"Unauthorized", b"{}"])
def test_what_is_no_page_refuses_it(vendor: ScriptedVendor, said: bytes) -> None:
    vendor.says("login", Answer(401, (("Content-Type", "text/html"),), said))
    with pytest.raises(authflow.CredentialsRefused):
        session_of(vendor, {**CLIENT, "extends": "refresh-token"}, refresh="r-1").token()
