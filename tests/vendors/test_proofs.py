# ruff: noqa: E501 -- vendor files keep their lines
"""The proofs: every broken file gets its lines, files that are right get none, and unwise ones a warning."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from authflow.errors import VendorFileError
from authflow.vendors import UNUSED
from authflow.vendors.loading import load
from tests.broken_vendors import BASE, CASES


def findings_of(source: Any) -> list[str]:
    with pytest.raises(VendorFileError) as caught:
        load(source)
    assert str(caught.value).startswith(str(caught.value.findings[0]))
    return [str(dataclasses.replace(finding, line=0)) for finding in caught.value.findings]


def test_an_error_says_in_which_lines(tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(BASE.replace("start =", "strat =").replace("username = {}", "username = { titel = 1, nmae = 2 }"))
    with pytest.raises(VendorFileError) as caught:
        load(path)
    said = [line.partition(": ")[0] for line in str(caught.value).split("; ")]
    assert said == [f"{path}:3:strat", "9:credentials.username.titel", "9:credentials.username.nmae"]


def test_the_unbroken_file_is_right() -> None:
    assert load({**tomllib.loads(BASE), "identity": ["username"]}).warnings == ()


@pytest.mark.parametrize(("old", "new", "lines"), CASES)
def test_a_broken_file(old: str, new: str, lines: Sequence[str], tmp_path: Path) -> None:
    assert old in BASE
    path = tmp_path / "acme.toml"
    path.write_text(BASE.replace(old, new), encoding="utf-8")
    found = findings_of(path)
    assert found == [f"{path}: {line}" if line.startswith("is not TOML") else f"{path}:{line}" for line in lines]
    assert all(line.isprintable() for line in found)


def test_there_are_many_of_them() -> None:
    assert len({(old, new) for old, new, _ in CASES}) >= 60


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "start: missing"),
        (b"#" * (10 << 20), " larger than 1 MiB"),
        (b'name = "caf\xe9"', " is not UTF-8 text"),
        (b"\xff\xfe" + 'name = "a"'.encode("utf-16-le"), " is not UTF-8 text"),
        (b"x = " + b"[" * 100_000, " nested too deeply"),
        (b'base_url = "https://a.example"\nx' + b".y" * 500_000 + b" = 1", " nested too deeply"),
        (
            BASE.encode().replace(b'via = "{host}"', b"via = " + b"[" * 70 + b"]" * 70),
            "exchanges.login.request.json.via",
        ),
        (b"{}", " is not TOML: Invalid statement"),
        (b"PK\x03\x04", " is not TOML"),
    ],
    ids=["empty", "10 MB", "latin-1", "utf-16", "deep", "deep keys", "deep template", "json", "zip"],
)
def test_a_file_that_is_none(content: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    path.write_bytes(content)
    found = findings_of(path)
    assert found[0].startswith(f"{path}:{line}")
    assert all(line.isprintable() for line in found)


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    assert findings_of(tmp_path / "no.toml") == [f"{tmp_path}/no.toml: cannot be read: No such file or directory"]
    assert findings_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert findings_of("a\0b.toml") == ["a\\u0000b.toml: cannot be read: embedded null byte"]


def _knot() -> dict[str, Any]:
    knot: dict[str, Any] = {"name": "knot", "extends": "password"}
    knot["states"] = knot
    return knot


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"vary": ("host",)}, None),
        ({7: "x"}, "7: a key must be text, not a whole number"),
        ({"settings": {7: {}}}, "settings.7: a key must be text, not a whole number"),
        ({"title": b"bytes"}, "title: must be text, not bytes"),
        ({"title": None}, "title: must be text, not null"),
        ({"states": {}}, "states: missing"),
        ({"states": None}, "states: must be a table, not null"),
        ({"settings": {"host": {"default": [1]}}}, "settings.host.default"),
        ({"settings": {"host": {1, 2}}}, "settings.host: must be a table, not set"),
        ({"headers": {"X": {"a": 1}}}, "headers.X: "),
        ({"headers": {"X": date(2026, 1, 1)}}, "headers.X: "),
        ({"headers": {"X": ["a", None]}}, "headers.X.1: "),
        ({"name": ""}, "name: must be made of letters"),
        ({"name": "-x"}, "name: must be made of letters"),
        ({"base_url": "https://api.example/\0"}, "base_url: the character '\\x00' cannot stand in a URL"),
        ({"public": [{"json": {1, 2}}]}, "public.0.json: a value of type set cannot stand in a template"),
    ],
)
def test_a_broken_mapping(change: Mapping[Any, Any], line: str | None) -> None:
    raw: dict[Any, Any] = {**tomllib.loads(BASE), **change}
    if line is None:
        assert load(raw).vary == ("host",)
        return
    found = findings_of(raw)
    assert next(text.partition(">:")[2] or text for text in found).startswith(line)
    assert all(text.isprintable() for text in found)


def test_a_mapping_that_holds_itself() -> None:
    assert findings_of(_knot())[0].endswith("nested too deeply")


def test_all_findings_at_once() -> None:
    text = (
        BASE.replace("https://api", "http://api")
        .replace('"{username}"', '"{user}"')
        .replace('"refused"\n', '"refusd"\n')
    )
    assert [line.split(":")[1] for line in findings_of(tomllib.loads(text))] == [
        "exchanges.login.request.json.username",
        "states.signed_out.denied",
        "base_url",
    ]


def test_a_lost_answer_may_have_cost_the_refresh_token() -> None:
    """`missing` is also where a renewal goes when no answer came: whoever needs the token there would send it again."""
    raw = tomllib.loads(BASE)
    raw["exchanges"]["again"] = {"request": {"url": "again", "form": {"r": "{refresh}"}}, "answers": "refresh"}
    raw["states"]["stale"]["missing"] = "second"
    raw["states"]["second"] = {"send": "again", "granted": "signed_in", "denied": "signed_out"}
    assert [line.split(": ")[1] for line in findings_of(raw)] == [
        '{refresh} has no value on some path to the state second ({refresh?}, or missing = "…" in the state second)'
    ]
    raw["states"]["second"]["missing"] = "signed_out"
    load(raw)


def test_missing_excuses_no_base_url() -> None:
    """Where the request goes must be known, whatever becomes of the values that it carries."""
    raw = tomllib.loads(BASE.replace("https://api", "https://{region}.api"))
    raw["exchanges"]["login"]["request"]["url"] = "https://api.acme.example/login"
    raw["exchanges"]["login"]["answers"]["granted"]["json"]["region"] = "{region}"
    raw["origins"] = {"send": ["https://api.acme.example"]}
    load(raw)
    raw["exchanges"]["login"]["request"]["url"] = "login"
    raw["states"]["signed_out"]["missing"] = "refused"
    assert [line.split(":")[1] for line in findings_of(raw)] == ["base_url"]


def test_the_clock_brings_no_values() -> None:
    """An event of the vendor's may have the clock's name: what its answer captures is not there when the clock says so."""
    raw = tomllib.loads(BASE)
    raw["exchanges"]["refresh"]["request"]["json"]["nonce"] = "{nonce}"
    raw["answers"] = {name: {"status": 401, "json": {"nonce": "{nonce}"}} for name in ("rejected", "expired")}
    assert [line.split(": ")[1][:8] for line in findings_of(raw)] == ["{nonce} "]
    raw["states"]["signed_in"]["expired"] = "signed_out"
    load(raw)


# --- what is right ----------------------------------------------------------------------------------------------------

RIGHT: Sequence[tuple[str, str, str]] = (
    ("loopback in plain http", "https://api.acme.example/v1/", "http://127.0.0.1:8080/v1"),
    ("IPv6 loopback", "https://api.acme.example/v1/", "http://[::1]:8080/"),
    ("localhost", "https://api.acme.example/v1/", "http://app.localhost/"),
    ("a host from a setting", "https://api.acme.example/v1/", "https://{host}/v1"),
    ("plain http may hang on a setting", "https://api.acme.example/v1/", "http://{host}:8080/"),
    ("the scheme from a setting", "https://api.acme.example/v1/", "{host}://x.example/"),
    ("a part of the host", "https://api.acme.example/v1/", "https://eu-{host}.acme.example/"),
    ("a base_url that is a file", "https://api.acme.example/v1/", "https://api.acme.example/rpc.php"),
    ("a declared origin", 'url = "login"', 'url = "https://login.acme.example/t"'),
    ("the same origin, said in full", 'url = "login"', 'url = "https://API.acme.example:443/t"'),
    ("up a level", 'url = "login"', 'url = "../auth/login"'),
    ("from the root", 'url = "login"', 'url = "/auth/login"'),
    ("the folder itself", 'url = "login"', 'url = ""'),
    ("a percent-encoded brace", 'url = "login"', 'url = "login?q=%7B1%7D"'),
    ("any method", 'url = "login"', 'method = "VERSION-CONTROL", url = "login"'),
    ("lower case", 'url = "login"', 'method = "get", url = "login"'),
    ("a repeated header", 'url = "login"', 'headers = { Accept = ["a/b", "c/d"] }, url = "login"'),
    ("numbers in a query", 'url = "login"', 'query = { v = 1.5, on = true }, url = "login"'),
    ("an empty password", 'url = "login"', 'basic = ["{username}", ""], url = "login"'),
    ("an optional last element", 'via = "{host}"', 'via = ["{username}", "{host?}"]'),
    ("optional keys in a list", 'via = "{host}"', 'via = [{ a = "{host?}" }, { b = 1 }]'),
    ("names beside one another with a mark", 'via = "{host}"', 'via = "{host}/{username}{{}}{host}"'),
    ("an unused converter", '"{access:jwt}"', '"{access}"'),
    ("a list of patterns", "denied = { status = 401 }", "denied = [{ status = 401 }, { json = { error = true } }]"),
    (
        "a pattern for an outage",
        "denied = { status = 401 }",
        "denied = { status = 401 }\nunavailable = { status = 403 }",
    ),
    ("an outage that leads somewhere", 'send = "login"', 'send = "login"\nunavailable = "refused"'),
    (
        "an event with the clock's name",
        'fail = "Refused."',
        'fail = "Refused."\n[answers]\nrejected = { status = 403 }\nexpired = { status = 401 }',
    ),
    ("an event back to its own state", 'rejected = "stale"', 'rejected = "signed_in"'),
    ("an event that fails", 'rejected = "stale"', 'rejected = "refused"'),
    ("missing", 'send = "refresh"', 'send = "refresh"\nmissing = "signed_out"'),
    ("names with a hyphen or digit first", "stale", "2nd-try"),
    ("a quoted name with a blank", '"signed_in"', '"signed_in"'),
    (
        "a derived value in a URL, concealed",
        'fail = "Refused."',
        'fail = "Refused."\n[derive]\nsig = { hmac = { key = "{password}", message = "{username}{host}" } }\n[[rewrites]]\nfrom = "a"\nto = "b?sig={sig}"',
    ),
    (
        "a setting that overrides what answers bring",
        'fail = "Refused."',
        'fail = "Refused."\n[origins]\nsend = ["https://{host}", "https://login.acme.example/"]',
    ),
    ("an idle time", 'fail = "Refused."', 'fail = "Refused."\n[expiry]\nidle = 900.5'),
    ("optional with a default", 'host = { default = "api.acme.example" }', 'host = { default = "x", optional = true }'),
)


@pytest.mark.parametrize(("old", "new"), [row[1:] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_a_right_file(old: str, new: str) -> None:
    assert old in BASE
    text = BASE.replace(old, new)
    if "login.acme.example/t" in text:
        text = text.replace("[settings]", '[origins]\nsend = ["https://login.acme.example"]\n[settings]')
    load(tomllib.loads(text))


def test_a_base_url_that_the_user_gives() -> None:
    raw = tomllib.loads(BASE)
    raw["base_url"] = "{base_url}"
    raw["settings"]["base_url"] = {"title": "Where your server is"}
    load(raw)
    raw["settings"]["base_url"] = {"optional": True}
    assert findings_of(raw) == ["<acme>:base_url: made of itself (settings.base_url = {}, or another name)"]


# --- what is unwise ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        (
            'answers = "login"',
            'answers.granted = { json = { token = "{access}", refresh = "{refresh}" } }',
            "exchanges.refresh.answers: a refused refresh has no pattern (denied = { status = [400, 401] })",
        ),
        (
            "host = {",
            "region = {}\nhost = {",
            "settings.region: no request uses it, yet the user must give it (write {region} where it belongs, or drop it; --plugin FILE, if code uses it)",
        ),
        ("secret = true", "secret = false", "credentials.password: not marked as a secret (secret = true)"),
        (
            'start = "signed_out"',
            'start = "signed_out"\ninsecure_url = true',
            "insecure_url: no secret stands in a URL (drop it)",
        ),
        (
            "[settings]",
            '[derive]\nx = { uuid4 = "" }\n[settings]',
            "derive.x: no request uses it (write {x} where it belongs, or drop it)",
        ),
        (
            'fail = "Refused."',
            'fail = "Refused."\n[[rewrites]]\nfrom = "a"\nto = "https://b.example/"',
            'rewrites.0.to: https://b.example gets no token (origins = { present = ["https://b.example"] })',
        ),
        (
            'fail = "Refused."',
            'fail = "Refused."\n[answers]\nrejected = { status = 401 }\nmoved = { status = 410 }',
            'answers.moved: no presenting state listens to this event (moved = "…")',
        ),
        (
            'fail = "Refused."',
            'fail = "Refused."\n[exchanges.more]\nrequest = { url = "x" }\nanswers = "login"',
            "exchanges.more: no state sends this exchange (drop it, or on_logout)",
        ),
        (
            'refresh = "{refresh}" } }\ndenied',
            'refresh = "{refresh}", user = "{username}" } }\ndenied',
            "exchanges.login.answers.granted: {username} is a credential, and captured it would be stored ({_}, or another name)",
        ),
    ],
)
def test_a_warning(old: str, new: str, warning: str) -> None:
    assert old in BASE
    text = BASE.replace(old, new)
    if "exchanges.refresh.answers" in warning:
        text = text.replace(
            'send = "refresh"\ngranted = "signed_in"\ndenied = "signed_out"', 'send = "refresh"\ngranted = "signed_in"'
        )
    assert warning in [str(finding).partition(">:")[2] for finding in load(tomllib.loads(text)).warnings]


def test_users_of_a_shared_store_must_be_told_apart(tmp_path: Path) -> None:
    said = {"file": BASE, "bare": 'base_url = "https://a.example/"\nstart = "in"\n[states.in]\npresent = {}\n'}
    asked = "is needed to find a token in the store, since the file says no identity"
    assert [str(finding) for finding in load(tomllib.loads(said["file"])).warnings] == [
        f'<acme>:credentials.password: password {asked} (identity = ["username"])'
    ]
    path = tmp_path / "bare.toml"
    path.write_text(said["bare"])
    assert [str(finding).removeprefix(f"{path}:") for finding in load(path).warnings] == [
        'name: only the file\'s own: under another name, its tokens are not found (name = "bare")',
        "identity: nothing tells the users of a shared store apart: they must say AuthSession(identity=…)",
    ]
    assert load({**tomllib.loads(said["bare"]), "name": "bare", "identity": []}).warnings == ()


def test_identity_names_inputs() -> None:
    found = findings_of({**tomllib.loads(BASE), "identity": ["user_name"]})
    assert found == ["<acme>:identity.0: unknown credential 'user_name' (did you mean 'username'?)"]


def test_a_short_lifetime_that_nothing_renews() -> None:
    raw = {"name": "short", "extends": "relogin", "base_url": "https://a.example/", "expiry": {"lifetime": "5m"}}
    raw["exchanges"] = {
        "login": {
            "request": {"url": "l", "form": {"u": "{username}", "p": "{password}"}},
            "answers": {"granted": {"json": {"t": "{access}"}}},
        }
    }
    assert [str(finding) for finding in load(raw).warnings] == [
        "<short>:expiry.lifetime: nothing renews the token, so there is a login every 300 s"
        " (an exchange that sends {refresh}, or a longer lifetime)"
    ]
    assert load({**raw, "expiry": {"lifetime": "12h"}}).warnings == ()


# --- what is legal and almost certainly a mistake ---------------------------------------------------------------------

CLIENT = {"name": "a", "extends": "client-credentials", "base_url": "https://a.example/"}
REQUEST = {"url": "token", "basic": ["{client_id}", "{client_secret}"]}
#: What follows the end of a token is left out.
WRITTEN_OUT = {
    "extends": None,
    "start": "signed_out",
    "states": {
        "signed_out": {"send": "login", "granted": "signed_in", "denied": "refused"},
        "signed_in": {"present": {"headers": {"X-Token": "{access}"}}, "rejected": "signed_out"},
        "refused": {"fail": "No."},
    },
    "credentials": {"client_id": {}, "client_secret": {"secret": True}},
    "exchanges": {
        "login": {
            "request": REQUEST,
            "answers": {
                "granted": {"json": {"t": "{access}", "ttl": "{expires_in:int?}"}},
                "denied": {"status": 401},
            },
        }
    },
}


@pytest.mark.parametrize(
    ("more", "key", "reason"),
    [
        (
            {"states": {"signed_in": {"present": {"headers": {"Authorization": "Bearer token"}}}}},
            "states.signed_in.present",
            "never presented",
        ),
        ({"exchanges": {"login": {"request": {"url": "token"}}}}, "exchanges.login.request", "carries no credential"),
        ({"expiry": {"lifetime": "1h", "idle": "5m"}}, "expiry.idle", "idle has no effect"),
        ({"expiry": {"lifetime": "1h", "ahead": "1h"}}, "expiry.ahead", "the token is never fresh"),
        ({"expiry": {"lifetime": 0.5}}, "expiry.lifetime", "over before a request"),
        ({"expiry": {"idle": "40000d"}}, "expiry.idle", "no token lives so long"),
        (
            WRITTEN_OUT,
            "states.signed_in",
            "nothing says what follows",
        ),
        (
            {"exchanges": {"login": {"request": {**REQUEST, "headers": {"Accept-Encoding": "gzip, br"}}}}},
            "exchanges.login.request.headers.Accept-Encoding",
            "only gzip and deflate",
        ),
        (
            {"credentials": {"client_secret": {"secret": True, "default": "s3cret"}}},
            "credentials.client_secret.default",
            "a secret in the file",
        ),
    ],
)
def test_a_likely_mistake_is_a_warning(more: Any, key: str, reason: str) -> None:
    file = {name: value for name, value in {**CLIENT, **more}.items() if value is not None}
    warnings = [finding for finding in load(file).warnings if reason in finding.reason]
    assert [finding.key for finding in warnings] == [key]


USER = {"name": "u", "extends": "relogin", "base_url": "https://a.example/"}
WORD = {"url": "login", "json": {"u": "{username}", "p": "{password}"}}
DENIED = {"status": 400, "json": {"code": "BAD_PASSWORD"}}
RENEWED = {"url": "renew", "json": {"t": "{refresh}"}}
GRANTED = {"json": {"t": "{access}", "r": "{refresh}"}}


def taking_over(denied: Any, renew: Any = RENEWED) -> dict[str, Any]:
    login = {"request": WORD, "answers": {"granted": GRANTED, "denied": denied}}
    return {
        **USER,
        "extends": "password",
        "exchanges": {"login": login, "refresh": {"request": renew, "answers": "login"}},
    }


def stepping(**asked: Any) -> dict[str, Any]:
    """A login in two steps."""
    begin = {
        "request": WORD,
        "answers": {"asked": {"json": {"ticket": "{ticket}", **asked}}, "denied": {"status": 401}},
    }
    finish = {"request": {"url": "f", "json": {"t": "{ticket}"}}, "answers": {"granted": GRANTED}}
    states = {
        "signed_out": {"send": "begin", "asked": "b", "denied": "refused"},
        "b": {"send": "finish", "granted": "signed_in"},
    }
    return {**USER, "exchanges": {"begin": begin, "finish": finish}, "states": states}


@pytest.mark.parametrize(
    ("raw", "warned"),
    [
        (taking_over(DENIED), [("exchanges.refresh.answers", "denied is taken over from login")]),
        (taking_over([DENIED, {"status": 401}]), []),
        (taking_over({"status": 400, "json": {"message": "{reason?}"}}), []),
        (taking_over(DENIED, {"url": "r", "form": {"grant_type": "refresh_token", "t": "{refresh}"}}), []),
        (stepping(life="{expires_in:int}"), [("exchanges.begin.answers.asked", "{expires_in} reaches no request")]),
        (stepping(life="{patience:int}"), []),
        ({**CLIENT, "expiry": {"lifetime": 1}}, [("expiry.lifetime", "over before a request has carried")]),
        ({**CLIENT, "expiry": {"lifetime": 1_900_000_000}}, [("expiry.lifetime", "no token lives so long")]),
        ({**CLIENT, "expiry": {"lifetime": "1h", "ahead": "1h"}}, [("expiry.ahead", "the token is never fresh")]),
        ({**CLIENT, "expiry": {"lifetime": "1h", "ahead": 20}}, []),
        ({**CLIENT, "expiry": {"idle": "5m"}}, []),
        (
            {
                **CLIENT,
                "credentials": {"private_key_id": {}, "token_name": {}},
                "headers": {"X": "{private_key_id}", "Y": "{token_name}"},
            },
            [],
        ),
        (
            {**CLIENT, "credentials": {"api_token": {}}, "headers": {"X": "{api_token}"}},
            [("credentials.api_token", "not marked as a secret")],
        ),
        (
            {
                **USER,
                "insecure_url": True,
                "exchanges": {
                    "login": {"request": {**WORD, "query": {"k": "{password}"}}, "answers": {"granted": GRANTED}}
                },
            },
            [],
        ),
    ],
)
def test_what_is_a_mistake_and_what_only_looks_like_one(raw: Any, warned: list[tuple[str, str]]) -> None:
    found = [finding for finding in load(raw).warnings if finding.reason != UNUSED]
    assert [finding.key for finding in found] == [key for key, _ in warned]
    assert all(reason in finding.reason for finding, (_, reason) in zip(found, warned, strict=True))


def test_an_input_of_a_default_is_used() -> None:
    settings = {"tenant": {}, "token_url": {"default": "https://a.example/{tenant}/token"}}
    assert load({**CLIENT, "settings": settings}).warnings == ()


ECHOED = """
extends = "relogin"
name = "echoed"
base_url = "https://a.example/"
derive.nonce.uuid4 = ""
[exchanges.login]
request = { url = "login", json = { username = "{username}", password = "{password}", nonce = "{nonce}" } }
answers.granted = { json = { token = "{access}", nonce = "%s" } }
"""


def test_what_is_compared_is_a_value_and_captures_nothing() -> None:
    vendor = load(tomllib.loads(ECHOED % "{=nonce}"))
    (_, pattern), *_ = vendor.flow.exchanges["login"].answers
    assert (pattern.may_capture, pattern.compares) == ({"access"}, {"nonce"})
    assert findings_of(tomllib.loads(ECHOED % "{=nonsense}")) == [
        "<echoed>:exchanges.login.answers.granted: unknown value 'nonsense' (did you mean 'nonce'?)"
    ]
    written = ECHOED.replace('"{nonce}"', '"{=nonce}"')
    assert "{=nonce} compares: only in patterns of answers" in findings_of(tomllib.loads(written % "{_}"))[0]


@pytest.mark.parametrize(
    ("text", "hints"),
    [
        ("<a><b>{username}</b><c>{password:xml}</c></a>", ["{username:xml}"]),
        ('{{"u": "{username}", "p": "{password:json}"}}', ["{username:json}"]),
        ("u={username}&p={password}", []),
    ],
)
def test_a_bare_value_in_xml_or_json_is_a_warning(text: str, hints: list[str]) -> None:
    raw = {"name": "a", "extends": "relogin", "base_url": "https://a.example/"}
    login = {"request": {"url": "x", "text": text}, "answers": {"granted": {"json": {"t": "{access}"}}}}
    vendor = load({**raw, "exchanges": {"login": login}})
    assert [finding.hint for finding in vendor.warnings if finding.key == "exchanges.login.request.text"] == hints
