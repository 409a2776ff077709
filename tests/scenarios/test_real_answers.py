"""What servers really answer to a login, each row with where it was seen, over requests and httpx.

A row is another shape of answer than all the others, and says what it is: a token (with its lifetime in seconds, `None`
where none is told that says anything), or the error, with a word of its message.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httpx
import jwt
import pytest
import requests

import authflow
from authflow import ConfigurationError as Faulty
from authflow import CredentialsRefused as Refused
from authflow import VendorAnswerError as Unforeseen
from authflow import VendorUnavailable as Unavailable
from tests.servers import Says, listening

CLIENT = {"client_id": "app", "client_secret": "s3cret-9"}
USER = {"username": "demo", "password": "open-sesame"}


def client(**more: Any) -> dict[str, Any]:
    return {"extends": "client-credentials", "settings": {"token_url": {"default": "login"}}, **more}


def login(granted: Any, denied: Any = None) -> dict[str, Any]:
    answers = {"granted": granted, **({"denied": denied} if denied else {})}
    request = {"url": "login", "json": {"user": "{username}", "word": "{password}"}}
    return {"extends": "relogin", "exchanges": {"login": {"request": request, "answers": answers}}}


def reading(**names: Any) -> dict[str, Any]:
    return login({"status": [200, 201], "json": names})


OAUTH = client()
JWT = client(exchanges={"login": {"answers": {"granted": {"json": {"access_token": "{access:jwt}"}}}}})
TOKEN = reading(token="{access}")
ISO = reading(token="{access}", expires="{expires_at:iso8601?}")
MS = reading(token="{access}", expires="{expires_at:epoch_ms?}")
TEXT = login({"status": 200, "text": "{access}"})
XML = login({"text": "{_}<sessionId>{access}</sessionId>{_}"})
COOKIE = {"extends": "session-cookie"}
DISCUZ = {**COOKIE, "exchanges": {"login": {"answers": {"granted": {"cookies": {"session": "{access}"}}}}}}
HEADER = login({"status": 201, "headers": {"X-Subject-Token": "{access}"}})
FORM = client(
    exchanges={
        "login": {"answers": {"granted": {"form": {"access_token": "{access}", "expires": "{expires_in:int?}"}}}}
    }
)
REASON = login({"json": {"token": "{access}"}}, {"status": [200, 400, 401, 403], "json": {"message": "{reason}"}})


ZABBIX = login(
    {"json": {"jsonrpc": "2.0", "result": "{access}"}}, {"status": 200, "json": {"error": {"data": "{reason}"}}}
)
TORRENT = login({"status": 200, "cookies": {"SID": "{access}"}}, {"status": 200, "text": "Fails."})


def signed(**claims: Any) -> str:
    return jwt.encode(claims, "k" * 32)


class Row(NamedTuple):
    source: str
    file: Mapping[str, Any]
    status: int
    body: Any
    #: The lifetime, or the error and a word of its message.
    means: int | float | tuple[type[authflow.AuthFlowError], str] | None
    headers: Mapping[str, str] = {}
    token: str = "t-1"


T = {"access_token": "t-1", "token_type": "Bearer"}
ROWS = [
    # --- grants ---
    Row("RFC 6749 §4.4.3, its example", OAUTH, 200, {**T, "expires_in": 3600, "example_parameter": "x"}, 3600),
    Row("RFC 6749 §5.1: expires_in is only recommended; GitHub OAuth Apps", OAUTH, 200, T, None),
    Row(
        "keycloak/keycloak#7569: no refresh token, and when it ends",
        OAUTH,
        200,
        {**T, "expires_in": 300, "refresh_expires_in": 0, "not-before-policy": 0},
        300,
    ),
    Row("Entra ID, v2.0 token endpoint", OAUTH, 200, {**T, "expires_in": 3599, "ext_expires_in": 3599}, 3599),
    Row("delta-io/delta-sharing#628", OAUTH, 200, {**T, "expires_in": "3600"}, 3600),
    Row("CMSgov/bluebutton-web-server#512", OAUTH, 200, {**T, "expires_in": 35999.87}, 35999),
    Row("oauthlib/oauthlib#675", OAUTH, 200, {**T, "expires_in": None}, None),
    Row("superseriousbusiness/gotosocial#731: 0 is for ever", OAUTH, 200, {**T, "expires_in": 0}, None),
    Row("leaonline/oauth2-server#3: a date", OAUTH, 200, {**T, "expires_in": "2099-06-21T10:00:00.000Z"}, None),
    Row("CPython 3.11, json.dumps of no end", OAUTH, 200, b'{"access_token": "t-1", "expires_in": Infinity}', None),
    Row("pow-auth/assent#112: Harvest; openhab/openhab-core#5284: Ostrom", OAUTH, 201, {**T, "expires_in": 60}, 60),
    Row("frappe/frappe#26266: no refresh token is an empty one", OAUTH, 200, {**T, "refresh_token": ""}, None),
    Row("RFC 6749 §5.1: Cache-Control and Pragma beside it", OAUTH, 200, T, None, {"Cache-Control": "no-store"}),
    Row("CZ-NIC/pyoidc#879: error is null", OAUTH, 200, {**T, "error": None}, None),
    Row("dotnet/aspnetcore#53457: error is empty", OAUTH, 200, {**T, "error": ""}, None),
    Row("RFC 8259 §6: numbers have no end", OAUTH, 200, b'{"access_token":"t-1","id":' + b"9" * 400 + b"}", None),
    Row("appsup-dart/openid_client#80", OAUTH, 200, {**T, "expires_in": 60}, 60, {"Content-Type": "text/html"}),
    Row(
        "RFC 9110 §8.3.2: ISO-8859-1",
        OAUTH,
        200,
        '{"access_token":"t-1","name":"Jörg"}'.encode("latin-1"),
        None,
        {"Content-Type": "application/json; charset=ISO-8859-1"},
    ),
    Row(
        "ORCID/ORCID-Source#3396: it says UTF-8, and is none",
        OAUTH,
        200,
        '{"access_token":"t-1","name":"Jörg"}'.encode("latin-1"),
        None,
        {"Content-Type": "application/json;charset=UTF-8"},
    ),
    Row("RFC 8259 §8.2: half a character", OAUTH, 200, b'{"access_token":"t-1","name":"\\uDEAD"}', None),
    Row("RFC 8259 §8.1: a byte order mark", OAUTH, 200, b"\xef\xbb\xbf" + json.dumps(T).encode(), None),
    Row("RFC 4627 §3: UTF-16", OAUTH, 200, json.dumps(T).encode("utf-16-le"), None),
    Row("aacerox/node-rest-client#197: UTF-16 with a mark", OAUTH, 200, json.dumps(T).encode("utf-16"), None),
    Row("coleifer/micawber#116", OAUTH, 200, T, None, {"Content-Type": "application/json; charset=unknown"}),
    Row("aio-libs/aiohttp#2120", OAUTH, 200, T, None, {"Content-Type": "text/xml; charset=utf-8,charset=utf-8"}),
    Row("restfb/restfb#223: Facebook, Graph API 2.2, a form", FORM, 200, b"access_token=t-1&expires=5183944", 5183944),
    Row(
        "RFC 7519 §4.1.4: the token's own exp",
        JWT,
        200,
        lambda: {"access_token": signed(exp=int(time.time()) + 900)},
        900,
        {},
        "eyJ",
    ),
    Row(
        "auth0/angular2-jwt#272: exp in ms",
        JWT,
        200,
        lambda: {"access_token": signed(exp=int(time.time() + 900) * 1000)},
        None,
        {},
        "eyJ",
    ),
    Row(
        "RFC 7519 §4.1.4: past when it came, by this clock",
        JWT,
        200,
        lambda: {"access_token": signed(exp=int(time.time()) - 900)},
        None,
        {},
        "eyJ",
    ),
    Row("RFC 7519 §4.1.4: exp is optional", JWT, 200, lambda: {"access_token": signed(sub="x")}, None, {}, "eyJ"),
    Row("Django REST framework, obtain_auth_token", TOKEN, 200, {"token": "t-1"}, None),
    Row("RFC 3339 §5.6", ISO, 200, {"token": "t-1", "expires": "2099-01-01T00:00:00Z"}, 2e9),
    Row(".NET, DateTime.MaxValue for ever", ISO, 200, {"token": "t-1", "expires": "9999-12-31T23:59:59.9999999"}, None),
    Row(
        "eclipse-vertx/vertx-auth#269: s where ms are meant",
        MS,
        200,
        lambda: {"token": "t-1", "expires": int(time.time()) + 900},
        None,
    ),
    Row("Go, fmt.Fprintln: a line break at the end", TEXT, 200, b"t-1\n", None),
    Row(
        "Salesforce SOAP API, login()",
        XML,
        200,
        b"<?xml version='1.0'?><s:Body xmlns:s='urn:x'><r>\n<sessionId>t-1</sessionId></r></s:Body>",
        None,
    ),
    Row("OpenStack Keystone v3", HEADER, 201, {"token": {"methods": ["password"]}}, None, {"X-Subject-Token": "t-1"}),
    Row("Flask, its session cookie", COOKIE, 302, b"", None, {"Set-Cookie": "session=t-1; path=/; HttpOnly"}),
    Row("bottlepy/bottle#1026: quotes", DISCUZ, 200, b"", None, {"Set-Cookie": 'session="a/b c"; Path=/'}, '"a/b c"'),
    Row("RFC 8259 §4: names that are there twice", OAUTH, 200, b'{"access_token":"x","access_token":"t-1"}', None),
    Row(
        "RFC 9110 §8.4: gzip that nobody asked for",
        OAUTH,
        200,
        gzip.compress(json.dumps({**T, "expires_in": 60}).encode(), mtime=0),
        60,
        {"Content-Encoding": "gzip"},
    ),
    Row(
        "jsforce/jsforce#1366: Salesforce, issued_at and no expires_in",
        OAUTH,
        200,
        {**T, "instance_url": "https://x.example", "id": "https://y.example/id", "issued_at": "1278448101416"},
        None,
    ),
    Row(
        "Intuit OAuth 2.0, tokens/bearer",
        OAUTH,
        200,
        {**T, "expires_in": 3600, "x_refresh_token_expires_in": 8726400},
        3600,
    ),
    Row("ramosbugs/oauth2-rs#269: Twitch", OAUTH, 200, {**T, "expires_in": 60, "scope": ["a", "b"]}, 60),
    Row("Mastodon API, entities/Token", OAUTH, 200, {**T, "scope": "read", "created_at": 1573979017}, None),
    Row(
        "SpoonX/aurelia-authentication#220: OWIN, .expires beside it",
        OAUTH,
        200,
        {**T, "expires_in": 1209599, ".expires": "Mon, 28 Oct 2013 06:53:32 GMT"},
        1209599,
    ),
    Row(
        "distribution/distribution, spec/auth/token: a token twice",
        reading(token="{access}", expires_in="{expires_in:int?}"),
        200,
        {"token": "t-1", "access_token": "t-1", "expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"},
        300,
    ),
    Row("magento/magento2#4432: a string", login({"json": "{access}"}), 200, "t-1", None),
    Row("magento/magento2#13516: a line break in it", login({"json": "{access}"}), 200, b'"\nt-1"', None),
    Row(
        "go-gitea/gitea#15149: Gitea 1.13.1",
        reading(sha1="{access}"),
        201,
        {"id": 1, "name": "test", "sha1": "t-1", "token_last_eight": "12345678"},
        None,
    ),
    Row(
        "RocketChat/Rocket.Chat#4690",
        reading(status="success", data={"authToken": "{access}"}),
        200,
        {"status": "success", "data": {"userId": "u", "authToken": "t-1"}},
        None,
    ),
    Row(
        "Feishu auth v3, tenant_access_token/internal",
        reading(code=0, tenant_access_token="{access}", expire="{expires_in:int}"),
        200,
        {"code": 0, "msg": "ok", "tenant_access_token": "t-1", "expire": 7200},
        7200,
    ),
    Row("lukecyca/pyzabbix#212: Zabbix 6.4.2", ZABBIX, 200, {"jsonrpc": "2.0", "result": "t-1", "id": 1}, None),
    Row(
        "CouchDB 3.4, POST /_session",
        login({"cookies": {"AuthSession": "{access}"}}),
        200,
        {"ok": True, "name": "root", "roles": ["_admin"]},
        None,
        {"Set-Cookie": "AuthSession=t-1; Version=1; Path=/; HttpOnly"},
    ),
    Row(
        "itschasa/speedrr#37: qBittorrent before 5.2",
        TORRENT,
        200,
        b"Ok.",
        None,
        {"Set-Cookie": "SID=t-1; HttpOnly; path=/"},
    ),
    Row(
        "Simple-Tracker/qBittorrent-ClientBlocker#159: qBittorrent 5.2",
        login({"status": 204, "cookies": {"QBT_SID_8080": "{access}"}}),
        204,
        b"",
        None,
        {"Set-Cookie": "QBT_SID_8080=t-1; HttpOnly; SameSite=Strict; expires=Thu, 02-Apr-2099 16:15:22 GMT; path=/"},
    ),
    Row(
        "agail/guacamole-rest-api-documentation, AUTHENTICATION.md",
        reading(authToken="{access}"),
        200,
        {"authToken": "t-1", "username": "u", "dataSource": "postgresql", "availableDataSources": ["postgresql"]},
        None,
    ),
    Row(
        "DMTF DSP0266 (Redfish): a session",
        login({"status": 201, "headers": {"X-Auth-Token": "{access}"}}),
        201,
        {"Id": "1"},
        None,
        {"X-Auth-Token": "t-1", "Location": "/redfish/v1/SessionService/Sessions/1"},
    ),
    # --- no grants ---
    Row(
        "qbittorrent/qBittorrent#10687: 4.1, a wrong password",
        TORRENT,
        200,
        b"Fails.",
        (Refused, "username and password"),
    ),
    Row(
        "qk4l/zabbix-cachet#52: Zabbix, JSON-RPC errors come with 200",
        ZABBIX,
        200,
        {
            "jsonrpc": "2.0",
            "error": {"code": -32602, "message": "Invalid params.", "data": "Login name or password is incorrect."},
            "id": 1,
        },
        (Refused, "Login name or password is incorrect"),
    ),
    Row(
        "Slack Web API, 200 with ok = false",
        login({"json": {"ok": True, "token": "{access}"}}, {"status": 200, "json": {"ok": False, "error": "{reason}"}}),
        200,
        {"ok": False, "error": "invalid_auth"},
        (Refused, "invalid_auth"),
    ),
    Row(
        "djdd87/SynoAI#56: Synology, a number says why",
        login({"json": {"data": {"sid": "{access}"}}}, {"status": 200, "json": {"error": {"code": "{reason}"}}}),
        200,
        {"error": {"code": 400}, "success": False},
        (Refused, "400"),
    ),
    Row(
        "Moodle 4.1, login/token.php",
        login({"json": {"token": "{access}"}}, {"status": 200, "json": {"error": "{reason}"}}),
        200,
        {
            "error": "Invalid login, please try again",
            "errorcode": "invalidlogin",
            "stacktrace": None,
            "debuginfo": None,
        },
        (Refused, "Invalid login"),
    ),
    Row(
        "CouchDB 3.4, POST /_session: a wrong password",
        login({"cookies": {"AuthSession": "{access}"}}, {"status": 401, "json": {"reason": "{reason?}"}}),
        401,
        {"error": "unauthorized", "reason": "Name or password is incorrect."},
        (Refused, "Name or password is incorrect"),
    ),
    Row(
        "thegameofcode/passport-fitbit-oauth2#7: a list of errors",
        OAUTH,
        401,
        {
            "errors": [{"errorType": "invalid_client", "message": "Invalid authorization header format."}],
            "success": False,
        },
        (Refused, "client_id and client_secret"),
    ),
    Row(
        "diowa/icare#5: Facebook, an error that is a table",
        OAUTH,
        400,
        {"error": {"message": "Error validating application.", "type": "OAuthException", "code": 101}},
        (Refused, "client_id and client_secret"),
    ),
    Row(
        "andrewbanchich/shreddit#163: an error that is a number",
        OAUTH,
        401,
        {"message": "Unauthorized", "error": 401},
        (Refused, "60 s"),
    ),
    Row("keycloak/keycloak#11741: 18, with 400", OAUTH, 400, {"error": "invalid_client"}, (Refused, "invalid_client")),
    Row(
        "okta/okta-idx-java#500: an errorSummary",
        OAUTH,
        401,
        {"errorCode": "invalid_client", "errorSummary": "Invalid value for 'client_id' parameter.", "errorCauses": []},
        (Refused, "client_id and client_secret"),
    ),
    Row(
        "Spring Boot 4.0, DefaultErrorAttributes",
        OAUTH,
        404,
        {"timestamp": "2026-01-01T00:00:00.000+00:00", "status": 404, "error": "Not Found", "path": "/login"},
        (Unforeseen, "status 404"),
    ),
    Row("RFC 9110 §15.3.3: accepted, and no token yet", TOKEN, 202, b"", (Unforeseen, "status 202")),
    Row("Gerrit REST API, )]}' before the JSON", TOKEN, 200, b')]}\'\n{"token":"t-1"}', (Unforeseen, "not JSON")),
    Row(
        "QQ Connect OAuth 2.0, /oauth2.0/me: JSONP",
        TOKEN,
        200,
        b'callback( {"client_id":"1","token":"t-1"} );\n',
        (Unforeseen, "not JSON"),
    ),
    Row("RFC 6749 §5.2, its example", OAUTH, 400, {"error": "invalid_request"}, (Faulty, "invalid_request")),
    Row(
        "keycloak/keycloak#16923: 20",
        OAUTH,
        401,
        {"error": "unauthorized_client", "error_description": "Invalid client or Invalid client credentials"},
        (Refused, "Invalid client credentials"),
    ),
    Row(
        "Entra ID, AADSTS7000215",
        OAUTH,
        401,
        {
            "error": "invalid_client",
            "error_description": "AADSTS7000215: Invalid client secret provided.",
            "error_codes": [7000215],
        },
        (Refused, "AADSTS7000215"),
    ),
    Row(
        "casdoor/casdoor#2964: 200 with an error",
        OAUTH,
        200,
        {"error": "invalid_client", "error_description": "wrong secret"},
        (Refused, "wrong secret"),
    ),
    Row(
        "cmd-johnson/deno-oauth2-client#25: GitHub",
        OAUTH,
        200,
        {"error": "incorrect_client_credentials", "error_description": "passed are incorrect"},
        (Unforeseen, "incorrect_client_credentials"),
    ),
    Row(
        "jaredhanson/oauth2orize#221: 501",
        OAUTH,
        501,
        {"error": "unsupported_grant_type"},
        (Faulty, "unsupported_grant_type"),
    ),
    Row("ging/fiware-idm#43: no JSON", OAUTH, 503, b"Server error: missing client `grants`", (Unavailable, "503")),
    Row(
        "spotify/web-api#1150: errorTransient", OAUTH, 503, {"error": "errorTransient"}, (Unavailable, "errorTransient")
    ),
    Row(
        "wso2 identity-inbound-auth-oauth#267",
        OAUTH,
        400,
        {"error": "temporarily_unavailable"},
        (Unavailable, "temporarily_unavailable"),
    ),
    Row(
        "RFC 6749 §5.2: a scope that there is not",
        OAUTH,
        400,
        {"error": "invalid_scope", "error_description": "unknown: reed"},
        (Faulty, "unknown: reed"),
    ),
    Row(
        "smart-on-fhir/bulk-data-server#11: plain text",
        OAUTH,
        401,
        b"Invalid client",
        (Refused, "client_id and client_secret"),
    ),
    Row(
        "RFC 9110 §10.2.3: Retry-After with any status",
        TOKEN,
        402,
        b"",
        (Unavailable, "again in 30 s"),
        {"Retry-After": "30"},
    ),
    Row("RFC 6585 §4: too many requests", TOKEN, 429, b"", (Unavailable, "again in 3600 s"), {"Retry-After": "86400"}),
    Row("RFC 9110 §15.5.8: a proxy", OAUTH, 407, b"", (Unavailable, "proxy"), {"Proxy-Authenticate": "Basic"}),
    Row("RFC 9110 §15.4.9: it has moved", OAUTH, 308, b"", (Unforeseen, "redirects = true"), {"Location": "/v2/login"}),
    Row(
        "Spring Security, to the login page",
        COOKIE,
        302,
        b"",
        (Refused, "username and password"),
        {"Location": "/login?error"},
    ),
    Row(
        "tetsuo-ai/agenc-core#1172: a captive portal",
        TEXT,
        200,
        b"<!DOCTYPE html><html>Sign in</html>",
        (Unforeseen, "not a token"),
    ),
    Row("stepanbenes/api-for-nopcommerce#13", TEXT, 200, b"Login failed: unknown user", (Unforeseen, "not a token")),
    Row("NodeBB/NodeBB#2292: a page where JSON was", TOKEN, 200, b"<html>Maintenance</html>", (Unforeseen, "not JSON")),
    Row(
        "OpenStack Keystone v3: `token` is a table",
        TOKEN,
        200,
        {"token": {"methods": ["x"]}},
        (Unforeseen, "not a token"),
    ),
    Row(
        "nginxinc/nginx-openid-connect#26: Auth0, packed as nobody asked for",
        TOKEN,
        200,
        b"\x8b\x07\x80" + json.dumps({"token": "t-1"}).encode() + b"\x03",
        (Unforeseen, "packed as br"),
        {"Content-Encoding": "br"},
    ),
    Row(
        "NestJS 6.0.2, UnauthorizedException",
        REASON,
        401,
        {"message": "Account locked until noon", "error": "Unauthorized", "statusCode": 401},
        (Refused, "Account locked until noon"),
    ),
    Row(
        "RFC 9457 §3: a problem",
        login({"json": {"token": "{access}"}}, {"status": 401, "json": {"detail": "{reason?}"}}),
        401,
        {"type": "about:blank", "detail": "Bad login"},
        (Refused, "Bad login"),
        {"Content-Type": "application/problem+json"},
    ),
    Row(
        "penpot/penpot#4932: it echoes the password",
        REASON,
        400,
        {"message": "no user demo/open-sesame"},
        (Refused, "***/***"),
    ),
]


def kinds(value: Any) -> Any:
    """A document without its values: names, and kinds of values."""
    if isinstance(value, Mapping):
        return {name: kinds(item) for name, item in value.items()}
    return [kinds(item) for item in value] if isinstance(value, list) else type(value).__name__


def shape(row: Row) -> str:
    """A row without its values. What it means is no value, nor are the names of a character set or of a media type."""
    body = row.body() if callable(row.body) else row.body
    told = re.sub(rb"[A-Za-z0-9]+", b"w", body) if isinstance(body, bytes) else kinds(body)
    means = row.means[0].__name__ if isinstance(row.means, tuple) else row.means is None
    claims = row.source if callable(row.body) else ""
    kind = row.headers.get("Content-Type")
    return repr((row.file, row.status, kind, sorted(row.headers), told, claims, means))


#: A document by its section, a public issue or file, or a product with its version (where it could be looked up) or
#: the name of its interface.
SOURCE = re.compile(r"RFC \d+ §\d|DMTF DSP\d+|[\w.-]+/[\w.-]+(#\d|, )|[A-Za-z.][\w. ]+?(, | v?\d)|wso2 ")


def test_no_two_rows_differ_only_in_a_value() -> None:
    assert len(ROWS) >= 60
    assert len({row.source for row in ROWS}) == len(ROWS)
    assert [row.source for row in ROWS if not SOURCE.match(row.source)] == []
    alike: dict[str, list[str]] = {}
    for row in ROWS:
        alike.setdefault(shape(row), []).append(row.source)
    assert [sources for sources in alike.values() if len(sources) > 1] == []


def by_requests(session: authflow.AuthSession, url: str) -> None:
    with requests.Session() as http:
        http.trust_env = False
        http.get(url, auth=session.requests, timeout=10)


def by_httpx(session: authflow.AuthSession, url: str) -> None:
    with httpx.Client(auth=session.httpx, trust_env=False) as http:
        http.get(url)


@pytest.mark.parametrize("call", [by_requests, by_httpx])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.source)
def test_what_servers_answer(row: Row, call: Callable[[authflow.AuthSession, str], None]) -> None:
    body = row.body() if callable(row.body) else row.body
    headers = {"Content-Type": "application/json", **row.headers}
    said = Says(row.status, headers=headers, body=body if isinstance(body, bytes) else json.dumps(body).encode())
    with listening() as listener:
        listener.says = lambda came: said if came.path == "/login" else Says(200, {})
        given = CLIENT if row.file["extends"] == "client-credentials" else USER
        session = authflow.AuthSession({"name": "real", "base_url": f"{listener.url}/", **row.file}, **given)
        if isinstance(row.means, tuple):
            kind, word = row.means
            with pytest.raises(kind) as caught:
                call(session, f"{listener.url}/data")
            assert word in str(caught.value)
            assert not any(secret in str(caught.value) for secret in ("s3cret-9", "open-sesame"))
            return
        call(session, f"{listener.url}/data")
        token, sent = session.token(), listener.seen()[-1]
        assert token.access.startswith(row.token)
        assert token.access in sent.headers.get("authorization", "") + sent.headers.get("cookie", "")
        lasts = None if token.expires_at is None else token.expires_at - time.time()
        assert (lasts is None) is (row.means is None)
        assert lasts is None or row.means == pytest.approx(lasts, rel=0.5, abs=5)
