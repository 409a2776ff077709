# ruff: noqa: E501 -- vendor files keep their lines
"""Vendors of every kind that the notation must hold, as an author would write them, each with a first renewal.

A story is what the user gives, what the vendor answers in turn, what was asked of it, and what the caller's requests
then carry. `start` captures are what an event of the caller's own request brought before the renewal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from authflow.http import Answer


def answer(status: int = 200, json: Any = None, *, text: str = "", headers: Sequence[tuple[str, str]] = ()) -> Answer:
    return Answer(status, tuple(headers), msgspec.json.encode(json) if json is not None else text.encode(), 1e9)


@dataclass(frozen=True)
class Story:
    """`asked` are `METHOD URL` lines with the parts of the request that matter; `presented` is laid over requests."""

    toml: str
    given: Mapping[str, Any]
    answers: Sequence[Answer]
    asked: Sequence[tuple[Any, ...]]
    presented: Mapping[str, Any]
    state: str = "signed_in"
    event: Answer | None = None
    captured: Mapping[str, Any] = field(default_factory=dict)


ALICE = {"username": "alice", "password": "wonder:land 1"}
BASIC_ALICE = "Basic YWxpY2U6d29uZGVyOmxhbmQgMQ=="

STORIES: Mapping[str, Story] = {
    # A page is asked for its CSRF token, then the login carries it and the cookie that came with it.
    "csrf_then_cookie": Story(
        """
        base_url = "https://app.example"
        start = "fresh"
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.page]
        request = { url = "/login" }
        answers.seen = { status = 200, cookies = { csrftoken = "{csrf}" } }
        [exchanges.login]
        request = { url = "/login", cookies = { csrftoken = "{csrf}" }, headers = { X-CSRFToken = "{csrf}", Referer = "https://app.example/login" }, form = { username = "{username}", password = "{password}" } }
        answers.granted = { status = [200, 302], cookies = { sessionid = "{access}" } }
        answers.denied = { status = [200, 403] }
        [states.fresh]
        send = "page"
        seen = "have_csrf"
        [states.have_csrf]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { cookies = { sessionid = "{access}", csrftoken = "{csrf}" }, headers = { X-CSRFToken = "{csrf}" } }
        rejected = "fresh"
        [states.refused]
        fail = "Wrong user name or password."
        [answers]
        rejected = [{ status = 401 }, { status = 302, headers = { Location = "{_}/login{_}" } }]
        """,
        ALICE,
        [
            answer(text="<html>", headers=[("Set-Cookie", "csrftoken=c5rf; Path=/; Max-Age=31449600")]),
            answer(302, headers=[("Set-Cookie", "sessionid=s1; HttpOnly"), ("Location", "/home")]),
        ],
        [
            ("GET https://app.example/login",),
            (
                "POST https://app.example/login",
                {"Cookie": "csrftoken=c5rf", "X-CSRFToken": "c5rf"},
                b"username=alice&password=wonder%3Aland+1",
            ),
        ],
        {"headers": {"X-CSRFToken": "c5rf"}, "cookies": {"sessionid": "s1", "csrftoken": "c5rf"}},
    ),
    # The CSRF token stands in the page's text, between other things.
    "csrf_in_a_web_form": Story(
        """
        base_url = "https://wiki.example/w/"
        start = "fresh"
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.page]
        request = { url = "login" }
        [exchanges.page.answers]
        seen = { status = 200, text = '{_}name="csrf" value="{csrf}"{_}', cookies = { sid = "{sid}" } }
        [exchanges.login]
        request = { url = "login", cookies = { sid = "{sid}" }, form = { csrf = "{csrf}", u = "{username}", p = "{password}" } }
        [exchanges.login.answers]
        denied = { text = "{_}Wrong password{_}" }
        granted = { status = 200, cookies = { sid = "{access}" } }
        [states.fresh]
        send = "page"
        seen = "form"
        [states.form]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { cookies = { sid = "{access}" } }
        rejected = "fresh"
        [states.refused]
        fail = "Wrong password."
        """,
        ALICE,
        [
            answer(
                text='<form>\n<input type="hidden" name="csrf" value="a&amp;b"/></form>',
                headers=[("Set-Cookie", "sid=anon")],
            ),
            answer(text="<p>Welcome</p>", headers=[("Set-Cookie", "sid=s2")]),
        ],
        [
            ("GET https://wiki.example/w/login",),
            (
                "POST https://wiki.example/w/login",
                {"Cookie": "sid=anon"},
                b"csrf=a%26amp%3Bb&u=alice&p=wonder%3Aland+1",
            ),
        ],
        {"cookies": {"sid": "s2"}},
    ),
    # A login flow has an id, and the second exchange goes to the URL that the first one hands out.
    "login_flow_id": Story(
        """
        base_url = "https://id.example/"
        start = "fresh"
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.init]
        request = { url = "self-service/login/api", headers = { Accept = "application/json" } }
        answers.begun = { status = 200, json = { id = "{flow}", ui = { action = "{action}" } } }
        [exchanges.submit]
        request = { method = "POST", url = "{action}", json = { method = "password", identifier = "{username}", password = "{password}" } }
        [exchanges.submit.answers]
        granted = { status = 200, json = { session_token = "{access}", session = { expires_at = "{expires_at:iso8601}" } } }
        gone = { status = 410 }
        denied = { status = 400 }
        [states.fresh]
        send = "init"
        begun = "flow"
        [states.flow]
        send = "submit"
        granted = "signed_in"
        gone = "later"
        denied = "refused"
        [states.later]
        fail = "The login took too long. Try again."
        [states.signed_in]
        present = { headers = { X-Session-Token = "{access}" } }
        expired = "fresh"
        rejected = "fresh"
        [states.refused]
        fail = "Wrong identifier or password."
        """,
        ALICE,
        [
            answer(json={"id": "f1", "ui": {"action": "https://id.example/self-service/login?flow=f1"}}),
            answer(json={"session_token": "st", "session": {"expires_at": "2100-01-01T00:00:00.5Z"}}),
        ],
        [
            ("GET https://id.example/self-service/login/api", {"Accept": "application/json"}),
            (
                "POST https://id.example/self-service/login?flow=f1",
                {},
                {"method": "password", "identifier": "alice", "password": "wonder:land 1"},
            ),
        ],
        {"headers": {"X-Session-Token": "st"}},
        captured={"expires_at": 4102444800.5, "flow": "f1"},
    ),
    # A password gets a ticket, a code that the user is asked for turns the ticket into a token.
    "two_step_code": Story(
        """
        base_url = "https://bank.example/api/"
        start = "signed_out"
        [credentials]
        username = {}
        password = { secret = true }
        code = { secret = true, title = "the code from the text message" }
        [exchanges.login]
        request = { url = "login", json = { user = "{username}", password = "{password}" } }
        [exchanges.login.answers]
        code_wanted = { status = 200, json = { mfa = true, ticket = "{ticket}" } }
        granted = { status = 200, json = { mfa = false, token = "{access}" } }
        denied = { status = 401 }
        [exchanges.verify]
        request = { url = "login/verify", json = { ticket = "{ticket}", code = "{code}" } }
        [exchanges.verify.answers]
        granted = { status = 200, json = { token = "{access}" } }
        denied = { status = [400, 401] }
        [states.signed_out]
        send = "login"
        code_wanted = "asked"
        granted = "signed_in"
        denied = "refused"
        [states.asked]
        send = "verify"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { headers = { Authorization = "Bearer {access}" } }
        rejected = "signed_out"
        [states.refused]
        fail = "The bank refused the password or the code."
        """,
        {**ALICE, "code": lambda: "123456"},
        [answer(json={"mfa": True, "ticket": "t1"}), answer(json={"token": "tok"})],
        [
            ("POST https://bank.example/api/login", {}, {"user": "alice", "password": "wonder:land 1"}),
            ("POST https://bank.example/api/login/verify", {}, {"ticket": "t1", "code": "123456"}),
        ],
        {"headers": {"Authorization": "Bearer tok"}},
    ),
    # The second factor is computed.
    "totp": Story(
        """
        base_url = "https://vault.example/"
        start = "signed_out"
        [credentials]
        username = {}
        password = { secret = true }
        seed = { secret = true, title = "the TOTP secret in base32" }
        [derive]
        otp = { totp = "{seed}" }
        [exchanges.login]
        request = { url = "login", json = { user = "{username}", pass = "{password}", otp = "{otp}" } }
        answers = { granted = { status = 200, json = "{access}" }, denied = { status = 403 } }
        [states.signed_out]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { headers = { Authorization = "Token {access}" } }
        rejected = "signed_out"
        [states.refused]
        fail = "no"
        """,
        {**ALICE, "seed": "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"},
        [answer(json="tok")],
        [("POST https://vault.example/login", {}, {"user": "alice", "pass": "wonder:land 1", "otp": "081804"})],
        {"headers": {"Authorization": "Token tok"}},
    ),
    # A registry challenges, and a token server that is somewhere else grants for what the challenge named.
    "registry": Story(
        """
        base_url = "https://registry.example/v2/"
        start = "bare"
        vary = ["service", "scope"]
        [origins]
        send = ["https://auth.example"]
        [credentials]
        username = { optional = true }
        password = { secret = true, optional = true }
        [exchanges.token]
        request = { url = "{realm}", query = { service = "{service?}", scope = "{scope?}", account = "{username?}" }, basic = ["{username?}", "{password?}"] }
        [exchanges.token.answers]
        granted = [
          { status = 200, json = { token = "{access}", expires_in = "{expires_in:int?}" } },
          { status = 200, json = { access_token = "{access}", expires_in = "{expires_in:int?}" } },
        ]
        denied = { status = [401, 403] }
        [states.bare]
        present = { headers = { Authorization = "Bearer {access?}" } }
        challenged = "asking"
        expired = "asking"
        [states.asking]
        send = "token"
        missing = "bare"
        granted = "bare"
        denied = "refused"
        [states.refused]
        fail = "The registry's token server refused."
        [answers]
        challenged = { status = 401, challenge = { scheme = "Bearer", realm = "{realm}", service = "{service?}", scope = "{scope?}" } }
        """,
        {"username": "alice", "password": "pw"},
        [answer(json={"token": "tok", "expires_in": 300})],
        [
            (
                "GET https://auth.example/token?service=registry.example&scope=repository%3Aa%2Fb%3Apull&account=alice",
                {"Authorization": "Basic YWxpY2U6cHc="},
            )
        ],
        {"headers": {"Authorization": "Bearer tok"}},
        state="bare",
        event=answer(
            401,
            headers=[
                (
                    "WWW-Authenticate",
                    'Basic realm="x", bearer service="registry.example",scope="repository:a/b:pull",realm="https://auth.example/token"',
                )
            ],
        ),
    ),
    # A 409 carries the session id that the same request must carry: the event leads back to its own state.
    "session_id_in_a_409": Story(
        """
        base_url = "http://127.0.0.1:9091/transmission/"
        start = "ready"
        [credentials]
        username = {}
        password = { secret = true }
        [states.ready]
        present = { headers = { X-Transmission-Session-Id = "{session_id?}" }, basic = ["{username}", "{password}"] }
        stale = "ready"
        rejected = "refused"
        [states.refused]
        fail = "Transmission refused this user name and password."
        [answers]
        stale = { status = 409, headers = { X-Transmission-Session-Id = "{session_id}" } }
        rejected = { status = 401 }
        """,
        ALICE,
        [],
        [],
        {"headers": {"X-Transmission-Session-Id": "abc123", "Authorization": BASIC_ALICE}},
        state="ready",
        event=answer(409, text="409: Conflict", headers=[("x-transmission-session-id", "abc123")]),
    ),
    # JSON-RPC: every answer is 200, the error is inside; the token travels in the caller's own body.
    "json_rpc": Story(
        """
        base_url = "https://monitor.example/api_jsonrpc.php"
        start = "signed_out"
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.login]
        request = { url = "../api_jsonrpc.php", json = { jsonrpc = "2.0", method = "user.login", params = { username = "{username}", password = "{password}" }, id = 1 } }
        [exchanges.login.answers]
        denied = { status = 200, json = { error = { code = -32602 } } }
        broken = { status = 200, json = { error = { message = "{why}" } } }
        granted = { status = 200, json = { result = "{access}", error = "{absent}" } }
        [states.signed_out]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        broken = "failed"
        [states.signed_in]
        present = { json = { auth = "{access}" } }
        rejected = "signed_out"
        [states.refused]
        fail = "Login name or password is incorrect."
        [states.failed]
        fail = "The server reported an error."
        [answers]
        rejected = { status = 200, json = { error = { data = "{_}re-login{_}" } } }
        [[public]]
        method = "POST"
        json = { method = "apiinfo.version" }
        """,
        ALICE,
        [answer(json={"jsonrpc": "2.0", "result": "z4bb1x", "id": 1})],
        [
            (
                "POST https://monitor.example/api_jsonrpc.php",
                {"Content-Type": "application/json"},
                {
                    "jsonrpc": "2.0",
                    "method": "user.login",
                    "params": {"username": "alice", "password": "wonder:land 1"},
                    "id": 1,
                },
            )
        ],
        {"json": {"auth": "z4bb1x"}},
    ),
    # The token is in a header of the answer, its end in the body, and it travels in a header of its own.
    "keystone": Story(
        """
        base_url = "https://{host}:5000/v3"
        start = "signed_out"
        on_logout = "revoke"
        [settings]
        host = {}
        domain = { default = "default" }
        project = { optional = true }
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.login]
        request = { url = "auth/tokens?nocatalog", json = { auth = { identity = { methods = ["password"], password = { user = { name = "{username}", domain = { id = "{domain}" }, password = "{password}" } } }, scope = { project = { name = "{project?}" } } } } }
        [exchanges.login.answers]
        granted = { status = 201, headers = { X-Subject-Token = "{access}" }, json = { token = { expires_at = "{expires_at:iso8601}" } } }
        denied = { status = 401 }
        [exchanges.revoke]
        request = { method = "DELETE", url = "auth/tokens", headers = { X-Auth-Token = "{access}", X-Subject-Token = "{access}" } }
        answers = { done = { status = [204, 404] } }
        [states.signed_out]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { headers = { X-Auth-Token = "{access}" } }
        expired = "signed_out"
        rejected = "signed_out"
        [states.refused]
        fail = "Keystone refused this user name and password."
        """,
        {**ALICE, "host": "cloud.example", "domain": "default", "project": "admin"},
        [
            answer(
                201,
                {"token": {"expires_at": "2100-11-23T10:56:18.000000Z"}},
                headers=[("X-Subject-Token", "gAAA"), ("Vary", "X-Auth-Token")],
            )
        ],
        [
            (
                "POST https://cloud.example:5000/v3/auth/tokens?nocatalog",
                {},
                {
                    "auth": {
                        "identity": {
                            "methods": ["password"],
                            "password": {
                                "user": {"name": "alice", "domain": {"id": "default"}, "password": "wonder:land 1"}
                            },
                        },
                        "scope": {"project": {"name": "admin"}},
                    }
                },
            )
        ],
        {"headers": {"X-Auth-Token": "gAAA"}},
        captured={"expires_at": 4130650578},
    ),
    # Milliseconds, a base URL that the answer changes, and rate limits that tell their length in the body.
    "matrix": Story(
        """
        extends = "password"
        base_url = "https://{server}/_matrix/client/v3/"
        on_logout = "logout"
        [settings]
        server = {}
        [exchanges.login]
        request = { url = "login", json = { type = "m.login.password", identifier = { type = "m.id.user", user = "{username}" }, password = "{password}", refresh_token = true } }
        [exchanges.login.answers]
        granted = { status = 200, json = { access_token = "{access}", refresh_token = "{refresh?}", expires_in_ms = "{expires_in:ms?}", device_id = "{device}", well_known = { "m.homeserver" = { base_url = "{home?}" } } } }
        unavailable = { status = 429, json = { retry_after_ms = "{retry_after:ms}" } }
        denied = { status = 403, json = { errcode = "M_FORBIDDEN" } }
        [exchanges.refresh]
        request = { url = "refresh", json = { refresh_token = "{refresh}" } }
        [exchanges.refresh.answers]
        granted = { status = 200, json = { access_token = "{access}", refresh_token = "{refresh?}", expires_in_ms = "{expires_in:ms?}" } }
        [exchanges.logout]
        request = { method = "POST", url = "logout", headers = { Authorization = "Bearer {access}" }, json = {} }
        answers = { done = { status = [200, 401] } }
        [states.signed_in]
        logged_out = "signed_out"
        [states.stale]
        missing = "signed_out"
        [answers]
        rejected = { status = 401, json = { soft_logout = true } }
        logged_out = { status = 401 }
        """,
        {**ALICE, "server": "matrix.example"},
        [
            answer(
                json={
                    "access_token": "syt",
                    "refresh_token": "syr",
                    "expires_in_ms": 2985,
                    "device_id": "D",
                    "user_id": "@alice",
                }
            )
        ],
        [
            (
                "POST https://matrix.example/_matrix/client/v3/login",
                {},
                {
                    "type": "m.login.password",
                    "identifier": {"type": "m.id.user", "user": "alice"},
                    "password": "wonder:land 1",
                    "refresh_token": True,
                },
            )
        ],
        {"headers": {"Authorization": "Bearer syt"}},
        captured={"expires_in": 2.985, "refresh": "syr"},
    ),
    # Nothing to log in with: the key goes with every request.
    "api_key": Story(
        """
        base_url = "https://api.example/v1/"
        start = "ready"
        [credentials]
        key = { secret = true }
        [states.ready]
        present = { headers = { X-Api-Key = "{key}" } }
        rejected = "refused"
        [states.refused]
        fail = "This API key is not valid."
        """,
        {"key": "k-1"},
        [],
        [],
        {"headers": {"X-Api-Key": "k-1"}},
        state="ready",
    ),
    "basic": Story(
        """
        base_url = "https://api.example/v1/"
        start = "ready"
        [credentials]
        username = {}
        password = { secret = true }
        [states.ready]
        present = { basic = ["{username}", "{password}"] }
        rejected = "refused"
        [states.refused]
        fail = "refused"
        """,
        ALICE,
        [],
        [],
        {"headers": {"Authorization": BASIC_ALICE}},
        state="ready",
    ),
    # The login is signed: a nonce from the vendor, a digest over it and the time.
    "signed_login": Story(
        """
        base_url = "https://exchange.example/"
        start = "fresh"
        [credentials]
        key = {}
        secret = { secret = true }
        [derive]
        stamp = { now = "epoch_ms" }
        signature = { hmac = { key = "{secret}", message = "{stamp}{nonce}{key}", digest = "sha256", encoding = "hex" } }
        [exchanges.nonce]
        request = { url = "nonce" }
        answers = { told = { status = 200, text = "{nonce}" } }
        [exchanges.login]
        request = { url = "login", query = { key = "{key}", sign = "{signature}", ts = "{stamp}" }, text = "" }
        answers = { granted = { json = { token = "{access}", ttl = "{expires_in:int}" } }, denied = { status = [401, 403] } }
        [states.fresh]
        send = "nonce"
        told = "have_nonce"
        [states.have_nonce]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { headers = { X-Token = "{access}" } }
        expired = "fresh"
        rejected = "fresh"
        [states.refused]
        fail = "refused"
        """,
        {"key": "k", "secret": "s"},
        [answer(text="n0nce\n"), answer(json={"token": "tok", "ttl": "60"})],
        [
            ("GET https://exchange.example/nonce",),
            (
                "POST https://exchange.example/login?key=k&sign=d59a55d5e41c28c338657665f07582083afabffe379f4c96c352f0f1755fcdce&ts=1111111109000",
            ),
        ],
        {"headers": {"X-Token": "tok"}},
        captured={"expires_in": 60},
    ),
    # devpi: a derived header, two-way.
    "derived_header": Story(
        """
        extends = "relogin"
        base_url = "https://devpi.example/"
        [derive]
        devpi = { base64 = "{username}:{access}" }
        [exchanges.login]
        request = { url = "+login", json = { user = "{username}", password = "{password}" } }
        [exchanges.login.answers]
        granted = { status = 200, json = { result = { password = "{access}", expiration = "{expires_in:int}" } } }
        [states.signed_in]
        present = { headers = { X-Devpi-Auth = "{devpi}" } }
        """,
        ALICE,
        [answer(json={"result": {"password": "tok", "expiration": 36000}})],
        [("POST https://devpi.example/+login", {}, {"user": "alice", "password": "wonder:land 1"})],
        {"headers": {"X-Devpi-Auth": "YWxpY2U6dG9r"}},
    ),
    # The answer hands out the URL under which the data lives.
    "instance_url": Story(
        """
        extends = "oauth2-password"
        base_url = "https://login.example/"
        [settings]
        token_url = { default = "https://login.example/oauth/token" }
        [exchanges.login.answers]
        granted = { status = 200, json = { access_token = "{access}", instance_url = "{base_url}", refresh_token = "{refresh?}" } }
        """,
        {**ALICE, "client_id": "c", "client_secret": "s", "token_url": "https://login.example/oauth/token"},
        [answer(json={"access_token": "tok", "instance_url": "https://eu7.example"})],
        [
            (
                "POST https://login.example/oauth/token",
                {"Authorization": "Basic Yzpz"},
                b"grant_type=password&username=alice&password=wonder%3Aland+1",
            )
        ],
        {"headers": {"Authorization": "Bearer tok"}},
        captured={"base_url": "https://eu7.example"},
    ),
    # Metadata says where the token endpoint is.
    "discovery": Story(
        """
        base_url = "{issuer}"
        start = "unknown"
        [origins]
        send = ["{issuer}"]
        [settings]
        issuer = {}
        [credentials]
        client_id = {}
        client_secret = { secret = true }
        [exchanges.discover]
        request = { url = ".well-known/openid-configuration" }
        answers = { found = { status = 200, json = { token_endpoint = "{token_url}" } } }
        [exchanges.login]
        request = { url = "{token_url}", client_basic = ["{client_id}", "{client_secret}"], form = { grant_type = "client_credentials" } }
        answers = { granted = { status = 200, json = { access_token = "{access}", expires_in = "{expires_in:int?}" } }, denied = { status = [400, 401] } }
        [states.unknown]
        send = "discover"
        found = "signed_out"
        [states.signed_out]
        send = "login"
        missing = "unknown_again"
        granted = "signed_in"
        denied = "refused"
        [states.unknown_again]
        fail = "The metadata names no token endpoint."
        [states.signed_in]
        present = { headers = { Authorization = "Bearer {access}" } }
        expired = "signed_out"
        rejected = "signed_out"
        [states.refused]
        fail = "The client was refused."
        """,
        {"issuer": "https://id.example/realms/a", "client_id": "a:b", "client_secret": "s p"},
        [
            answer(json={"token_endpoint": "https://id.example/realms/a/token"}),
            answer(json={"access_token": "tok", "token_type": "Bearer"}),
        ],
        [
            ("GET https://id.example/realms/a/.well-known/openid-configuration",),
            (
                "POST https://id.example/realms/a/token",
                {"Authorization": "Basic YSUzQWI6cytw"},
                b"grant_type=client_credentials",
            ),
        ],
        {"headers": {"Authorization": "Bearer tok"}},
    ),
    # The refresh token goes as Bearer; only an access token comes back.
    "refresh_as_bearer": Story(
        """
        extends = "password"
        base_url = "https://flask.example/"
        [exchanges.login]
        request = { url = "login", json = { username = "{username}", password = "{password}" } }
        answers.granted = { status = 200, json = { access_token = "{access:jwt}", refresh_token = "{refresh:jwt}" } }
        [exchanges.refresh]
        request = { method = "POST", url = "refresh", headers = { Authorization = "Bearer {refresh}" } }
        answers.granted = { status = 200, json = { access_token = "{access:jwt}" } }
        answers.denied = { status = [401, 422] }
        [answers]
        rejected = [{ status = 401 }, { status = 422, json = { msg = "{_}" } }]
        """,
        ALICE,
        [
            answer(
                json={"access_token": "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.", "refresh_token": "eyJhbGciOiJub25lIn0.e30."}
            )
        ],
        [("POST https://flask.example/login", {}, {"username": "alice", "password": "wonder:land 1"})],
        {"headers": {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjF9."}},
    ),
    # A cookie, renewed by nothing: it dies when it is left alone for half an hour.
    "idle_session": Story(
        """
        extends = "relogin"
        base_url = "https://erp.example/"
        [exchanges.login]
        request = { url = "session", basic = ["{username}", "{password}"], method = "post" }
        [exchanges.login.answers]
        granted = { status = [200, 204], cookies = { JSESSIONID = "{access}" } }
        [states.signed_in]
        present = { cookies = { JSESSIONID = "{access}" } }
        [expiry]
        idle = "30m"
        """,
        ALICE,
        [answer(204, headers=[("Set-Cookie", "JSESSIONID=j1; Path=/; Secure"), ("Set-Cookie", "old=; Max-Age=0")])],
        [("POST https://erp.example/session", {"Authorization": BASIC_ALICE})],
        {"cookies": {"JSESSIONID": "j1"}},
    ),
    # An old vendor wants its token in the URL.
    "token_in_the_query": Story(
        """
        extends = "relogin"
        base_url = "https://old.example/rest/"
        insecure_url = true
        headers = { X-Application-Id = "{app}" }
        [settings]
        app = { default = "authflow" }
        [exchanges.login]
        request = { method = "GET", url = "login?user={username}", query = { password = "{password}" } }
        answers.granted = { status = 200, form = { token = "{access}" } }
        answers.denied = { status = 200, text = "ERROR{_}" }
        [states.signed_in]
        present = { query = { token = "{access}" } }
        [expiry]
        lifetime = "{lifetime}"
        [settings.lifetime]
        default = "12h"
        """,
        {**ALICE, "app": "authflow", "lifetime": "12h"},
        [answer(text="token=a%2Bb&x=1")],
        [
            (
                "GET https://old.example/rest/login?user=alice&password=wonder%3Aland%201",
                {"X-Application-Id": "authflow"},
            )
        ],
        {"query": {"token": "a+b"}, "headers": {"X-Application-Id": "authflow"}},
    ),
    # XML in, XML out.
    "xml": Story(
        """
        extends = "relogin"
        base_url = "https://tableau.example/api/3.4/"
        [settings]
        site = { default = "" }
        [exchanges.login]
        request = { url = "auth/signin", headers = { Content-Type = "application/xml" }, text = '<tsRequest><credentials name="{username}" password="{password}"><site contentUrl="{site}"/></credentials></tsRequest>' }
        answers.granted = { status = 200, text = '{_}<credentials token="{access}"{_}<site id="{site_id}"{_}' }
        [states.signed_in]
        present = { headers = { X-Tableau-Auth = "{access}" } }
        [[rewrites]]
        from = "workbooks"
        to = "sites/{site_id}/workbooks"
        """,
        {**ALICE, "site": ""},
        [
            answer(
                text='<?xml version="1.0"?>\n<tsResponse><credentials token="t|k" ttl="1"><site id="s-1" contentUrl=""/></credentials></tsResponse>'
            )
        ],
        [
            (
                "POST https://tableau.example/api/3.4/auth/signin",
                {"Content-Type": "application/xml"},
                b'<tsRequest><credentials name="alice" password="wonder:land 1"><site contentUrl=""/></credentials></tsRequest>',
            )
        ],
        {"headers": {"X-Tableau-Auth": "t|k"}},
        captured={"site_id": "s-1"},
    ),
    # GraphQL: a string with braces, doubled.
    "graphql": Story(
        """
        extends = "password"
        base_url = "https://shop.example/graphql/"
        [exchanges.login]
        request = { url = "", json = { query = "mutation($e: String!, $p: String!) {{ tokenCreate(email: $e, password: $p) {{ token refreshToken errors {{ code }} }} }}", variables = { e = "{username}", p = "{password}" } } }
        [exchanges.login.answers]
        granted = { status = 200, json = { data = { tokenCreate = { token = "{access:jwt}", refreshToken = "{refresh?}" } } } }
        denied = { status = 200, json = { data = { tokenCreate = { token = "{null}", errors = [{ code = "INVALID_CREDENTIALS" }] } } } }
        [exchanges.refresh]
        request = { url = "", json = { query = "mutation($r: String!) {{ tokenRefresh(refreshToken: $r) {{ token errors {{ code }} }} }}", variables = { r = "{refresh}" } } }
        [exchanges.refresh.answers]
        granted = { status = 200, json = { data = { tokenRefresh = { token = "{access:jwt}" } } } }
        denied = { status = 200 }
        [states.stale]
        missing = "signed_out"
        [answers]
        rejected = [{ status = 401 }, { status = 200, json = { errors = [{ extensions = { exception = { code = "ExpiredSignatureError" } } }] } }]
        """,
        ALICE,
        [
            answer(
                json={
                    "data": {
                        "tokenCreate": {"token": None, "errors": [{"code": "INVALID_CREDENTIALS", "field": "email"}]}
                    }
                }
            )
        ],
        [
            (
                "POST https://shop.example/graphql/",
                {},
                {
                    "query": "mutation($e: String!, $p: String!) { tokenCreate(email: $e, password: $p) { token refreshToken errors { code } } }",
                    "variables": {"e": "alice", "p": "wonder:land 1"},
                },
            )
        ],
        {},
        state="refused",
    ),
    # A refresh token is all that there is: the user gives the first, answers bring the next.
    "given_refresh_token": Story(
        """
        base_url = "https://track.example/api/"
        start = "stale"
        [credentials]
        client_id = {}
        client_secret = { secret = true }
        refresh = { secret = true, title = "the refresh token from the vendor's page" }
        [exchanges.renew]
        request = { url = "oauth/token", form = { client_id = "{client_id}", client_secret = "{client_secret}", grant_type = "refresh_token", refresh_token = "{refresh}" } }
        [exchanges.renew.answers]
        granted = { status = 200, json = { access_token = "{access}", expires_at = "{expires_at:epoch}", refresh_token = "{refresh}" } }
        denied = { status = [400, 401] }
        [states.stale]
        send = "renew"
        missing = "refused"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { headers = { Authorization = "Bearer {access}" } }
        expired = "stale"
        rejected = "stale"
        [states.refused]
        fail = "The refresh token is used up. Fetch a new one from the vendor's page."
        """,
        {"client_id": "c", "client_secret": "s", "refresh": "r0"},
        [answer(json={"access_token": "tok", "expires_at": 4102444800, "refresh_token": "r1"})],
        [
            (
                "POST https://track.example/api/oauth/token",
                {},
                b"client_id=c&client_secret=s&grant_type=refresh_token&refresh_token=r0",
            )
        ],
        {"headers": {"Authorization": "Bearer tok"}},
        captured={"refresh": "r1"},
    ),
    # The renewal carries cookies only, and its own CSRF value.
    "refresh_by_cookie": Story(
        """
        extends = "password"
        base_url = "https://flask.example/cookie/"
        [exchanges.login]
        request = { url = "login", json = { username = "{username}", password = "{password}" } }
        [exchanges.login.answers]
        granted = { status = 200, cookies = { access_token_cookie = "{access:jwt}", csrf_access_token = "{csrf}", refresh_token_cookie = "{refresh}", csrf_refresh_token = "{csrf_refresh}" } }
        [exchanges.refresh]
        request = { method = "POST", url = "refresh", cookies = { refresh_token_cookie = "{refresh}" }, headers = { X-CSRF-TOKEN = "{csrf_refresh}" } }
        [exchanges.refresh.answers]
        granted = { status = 200, cookies = { access_token_cookie = "{access:jwt}", csrf_access_token = "{csrf}" } }
        [states.signed_in]
        present = { cookies = { access_token_cookie = "{access}" }, headers = { X-CSRF-TOKEN = "{csrf}" } }
        """,
        ALICE,
        [
            answer(
                json={"login": True},
                headers=[
                    ("Set-Cookie", "access_token_cookie=eyJhbGciOiJub25lIn0.e30.; HttpOnly; Path=/"),
                    ("Set-Cookie", "csrf_access_token=c1; Path=/"),
                    ("set-cookie", "refresh_token_cookie=r1; HttpOnly; Path=/cookie/refresh"),
                    ("Set-Cookie", "csrf_refresh_token=c2; Path=/"),
                ],
            )
        ],
        [("POST https://flask.example/cookie/login", {}, {"username": "alice", "password": "wonder:land 1"})],
        {"cookies": {"access_token_cookie": "eyJhbGciOiJub25lIn0.e30."}, "headers": {"X-CSRF-TOKEN": "c1"}},
        captured={"csrf_refresh": "c2", "refresh": "r1"},
    ),
    # The session cookie answers with one status for "expired" and "unknown", and login shares its answers.
    "shared_answers": Story(
        """
        base_url = "https://couch.example"
        start = "signed_out"
        [credentials]
        username = {}
        password = { secret = true }
        [exchanges.login]
        request = { url = "_session", form = { name = "{username}", password = "{password}" } }
        [exchanges.login.answers]
        granted = { status = 200, cookies = { AuthSession = "{access}" } }
        denied = { status = 401 }
        [exchanges.renew]
        request = { url = "_session", cookies = { AuthSession = "{access}" } }
        answers = "login"
        [states.signed_out]
        send = "login"
        granted = "signed_in"
        denied = "refused"
        [states.signed_in]
        present = { cookies = { AuthSession = "{access}" } }
        expired = "stale"
        rejected = "signed_out"
        [states.stale]
        send = "renew"
        granted = "signed_in"
        denied = "signed_out"
        [states.refused]
        fail = "Name or password is incorrect."
        [expiry]
        lifetime = 540
        [[public]]
        path = "_up"
        """,
        ALICE,
        [
            answer(
                json={"ok": True},
                headers=[
                    (
                        "Set-Cookie",
                        "AuthSession=YWxpY2U; Version=1; Expires=Mon, 23-Nov-2099 10:00:00 GMT; Max-Age=600; Path=/; HttpOnly",
                    )
                ],
            )
        ],
        [("POST https://couch.example/_session", {}, b"name=alice&password=wonder%3Aland+1")],
        {"cookies": {"AuthSession": "YWxpY2U"}},
    ),
    # An assertion instead of a password (RFC 7523).
    "assertion": Story(
        """
        extends = "client-credentials"
        base_url = "https://api.example/"
        [settings]
        token_url = { default = "https://login.example/token" }
        [origins]
        send = ["https://login.example"]
        [credentials]
        client_secret = { optional = true }
        private_key = { secret = true }
        [derive.assertion.jwt]
        key = "{private_key}"
        algorithm = "HS256"
        claims = { iss = "{client_id}", sub = "{client_id}", aud = "{token_url}", jti = "one" }
        lifetime = 60
        [exchanges.login]
        request = { url = "{token_url}", form = { grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion = "{assertion}" } }
        """,
        {
            "client_id": "c",
            "private_key": "0123456789abcdef0123456789abcdef",
            "token_url": "https://login.example/token",
        },
        [answer(json={"access_token": "tok", "expires_in": "3600"})],
        [("POST https://login.example/token",)],
        {"headers": {"Authorization": "Bearer tok"}},
        captured={"expires_in": 3600},
    ),
    # A form field and several headers are presented; the login answers with a quoted string in a header.
    "form_field": Story(
        """
        extends = "relogin"
        base_url = "https://forms.example/x/y"
        [exchanges.login]
        request = { url = "../login", query = { v = 2, flag = true, tag = ["a", "b"] }, form = { u = "{username}", p = "{password}" } }
        answers.granted = { status = 200, headers = { Set-Token = "token={access}; version={version:int}" } }
        [states.signed_in]
        present = { form = { token = "{access}", version = "{version}" }, headers = { X-A = "1", X-B = "{access}" } }
        """,
        ALICE,
        [answer(headers=[("Set-Token", "none"), ("set-token", "token=tok; version=7")])],
        [("POST https://forms.example/x/login?v=2&flag=true&tag=a&tag=b", {}, b"u=alice&p=wonder%3Aland+1")],
        {"form": {"token": "tok", "version": "7"}, "headers": {"X-A": "1", "X-B": "tok"}},
        captured={"version": 7},
    ),
}
