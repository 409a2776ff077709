"""What an exchange sends: each way to write a request, and what then comes over the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

import authflow
from authflow.http import Presentation, Request
from authflow.plugins import Signer, Signing
from tests.scenarios.stage import FRAME, Stage, merged
from tests.servers import Came, Says
from tests.signers import installed

INPUTS = """
settings.host = {}
settings.tenant = { default = "a/b c" }
settings.number = { default = 7, type = "int" }
settings.app_key = { default = "k-1", secret = true }
settings.unset = { optional = true }
credentials.user = { default = "dé:mo" }
credentials.word = { default = "p&=%+ ä", secret = true }
"""


@dataclass(frozen=True)
class Case:
    """`request` is the exchange's, the rest what must come; `headers` are some of them, by lower-case name."""

    name: str
    request: str
    method: str = "POST"
    target: str = "/api/login"
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    top: str = ""


JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
CASES = [
    Case("a GET by default", 'url = "login"', "GET", body=b""),
    Case("a POST where there is a body", 'url = "login", json = {}', body=b"{}", headers=JSON),
    Case("any method", 'url = "login", method = "PATCH", json = { a = 1 }', "PATCH", body=b'{"a":1}'),
    Case(
        "JSON, nested, with lists and types",
        'url = "login", json = { a = { b = ["{number}", true, "{null}", 1.5] }, c = "n={number}" }',
        body=b'{"a":{"b":[7,true,null,1.5]},"c":"n=7"}',
    ),
    Case("JSON that is no object", 'url = "login", json = ["{user}"]', body='["dé:mo"]'.encode()),
    Case(
        "an absent value drops its key",
        'url = "login", json = { a = "{unset?}", b = "x-{unset?}", c = 1 }',
        body=b'{"c":1}',
    ),
    Case("braces", 'url = "login", json = { a = "{{number}}" }', body=b'{"a":"{number}"}'),
    Case(
        "a converter writes",
        'url = "login", json = { a = "{number:ms}", b = "{user:base64}" }',
        body=b'{"a":7000,"b":"ZMOpOm1v"}',
    ),
    Case(
        "a form",
        'url = "login", form = { u = "{user}", w = "{word}" }',
        body=b"u=d%C3%A9%3Amo&w=p%26%3D%25%2B+%C3%A4",
        headers=FORM,
    ),
    Case("a form with a repeated name", 'url = "login", form = { a = ["1", "{number}"] }', body=b"a=1&a=7"),
    Case("an absent value drops its field", 'url = "login", form = { a = "{unset?}", b = "1" }', body=b"b=1"),
    Case(
        "text",
        "url = 'login', text = '<login user=\"{number}\"/>'",
        body=b'<login user="7"/>',
        headers={"content-type": "text/plain; charset=utf-8"},
    ),
    Case(
        "text of a kind of its own",
        'url = "login", text = "query {{ me }}", headers = { Content-Type = "application/graphql" }',
        body=b"query { me }",
        headers={"content-type": "application/graphql"},
    ),
    Case(
        "a query",
        'url = "login", query = { a = "{tenant}", b = 2, c = "{unset?}" }',
        "GET",
        "/api/login?a=a%2Fb%20c&b=2",
    ),
    Case("a query in the URL joins", 'url = "login?x=1", query = { y = "2" }', "GET", "/api/login?x=1&y=2"),
    Case("a segment is encoded", 'url = "../{tenant}/login"', "GET", "/a%2Fb%20c/login"),
    Case("up a level", 'url = "../login"', "GET", "/login"),
    Case("from the root", 'url = "/auth/login"', "GET", "/auth/login"),
    Case("a URL that a setting holds", 'url = "{host}/login"', "GET", "/elsewhere/login"),
    Case(
        "headers, static and secret",
        'url = "login", headers = { X-A = "1", X-Key = "{app_key}" }',
        "GET",
        headers={"x-a": "1", "x-key": "k-1"},
    ),
    Case(
        "an absent value drops its header",
        'url = "login", headers = { X-A = "v{unset?}" }',
        "GET",
        headers={"x-a": None},
    ),
    Case("cookies", 'url = "login", cookies = { a = "1", b = "{number}" }', "GET", headers={"cookie": "a=1; b=7"}),
    Case(
        "HTTP Basic",
        'url = "login", basic = ["{number}", "{word}"]',
        "GET",
        headers={"authorization": "Basic NzpwJj0lKyDDpA=="},
    ),
    Case(
        "a client's id and secret are form-encoded first",
        'url = "login", client_basic = ["{user}", "{word}"]',
        "GET",
        headers={"authorization": "Basic ZCVDMyVBOSUzQW1vOnAlMjYlM0QlMjUlMkIrJUMzJUE0"},
    ),
    Case(
        "shared headers go along",
        'url = "login", headers = { x-b = "own" }',
        "GET",
        headers={"x-app": "7", "x-b": "own"},
        top='headers = { X-App = "{number}", X-B = "shared" }',
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_comes_over_the_wire(stage: Stage, case: Case) -> None:
    file = FRAME.replace('request = { method = "POST", url = "login" }', f"request = {{ {case.request} }}")
    anything = FRAME.partition("[exchanges")[0]
    top = f"{INPUTS}{case.top}\n"
    stage.load(file.replace(anything, anything + top), host=stage.listener.url + "/elsewhere")
    stage.answer_everything()
    assert stage.session.token().access == "t-1"
    (came,) = stage.sent()
    assert (came.method, came.target) == (case.method, case.target)
    assert {name: came.headers.get(name) for name in case.headers} == dict(case.headers)
    if case.body is not None:
        assert came.body == case.body


def test_a_colon_in_a_basic_user_is_refused_before_it_is_sent(stage: Stage) -> None:
    file = FRAME.replace(
        'request = { method = "POST", url = "login" }', 'request = { url = "login", basic = ["{user}", "x"] }'
    )
    stage.load(file.replace("[exchanges.login]", "credentials.user = {}\n[exchanges.login]", 1), user="a:b")
    with pytest.raises(authflow.ConfigurationError, match="colon"):
        stage.session.token()
    assert stage.sent() == []


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("<p a='{user:xml}'/>", b"<p a='&lt;x b=&quot;&amp;&quot;&gt;'/>"),
        ('{{"p": "{user:json}"}}', b'{"p": "<x b=\\"&\\">"}'),
        ("{user:hex}", b"3c7820623d2226223e"),
        ("{user:base64url}", b"PHggYj0iJiI-"),
    ],
)
def test_a_value_stays_in_its_place(stage: Stage, text: str, body: bytes) -> None:
    file = FRAME.replace('method = "POST", url = "login"', f"url = 'login', text = '''{text}'''")
    stage.load(file.replace("[exchanges.login]", "credentials.user = {}\n[exchanges.login]", 1), user='<x b="&">')
    stage.session.token()
    assert [came.body for came in stage.sent()] == [body]


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
@pytest.mark.parametrize("where", ['headers = { X-A = "{user}" }', 'cookies = { a = "{user}" }'])
def test_no_value_breaks_out_of_its_line(stage: Stage, where: str, value: str) -> None:
    file = FRAME.replace('method = "POST", url = "login"', f'url = "login", {where}')
    stage.load(file.replace("[exchanges.login]", "credentials.user = {}\n[exchanges.login]", 1), user=value)
    with pytest.raises(authflow.ConfigurationError):
        stage.session.token()
    assert stage.sent() == []


@pytest.mark.parametrize("value", ["..", "."])
def test_no_value_renewals_out_of_its_segment(stage: Stage, value: str) -> None:
    file = FRAME.replace('method = "POST", url = "login"', 'url = "in/{user}/login"')
    stage.load(file.replace("[exchanges.login]", "credentials.user = {}\n[exchanges.login]", 1), user=value)
    with pytest.raises(authflow.ConfigurationError):
        stage.session.token()
    assert stage.sent() == []


def test_base_url_with_variables_and_one_given_by_hand(stage: Stage) -> None:
    file = FRAME.replace(
        'base_url = "%URL%/api/"', 'base_url = "%URL%/{tenant}/v1"\nsettings.tenant = { default = "acme" }'
    )
    stage.load(file)
    stage.answer_everything()
    stage.session.token()
    stage.load(file, base_url=f"{stage.listener.url}/other", tenant="x")
    stage.session.token()
    assert [came.target for came in stage.sent()] == ["/acme/v1/login", "/other/login"]


def test_redirects_are_followed_where_the_file_says_so(stage: Stage) -> None:
    moved = Says(307, headers={"Location": "moved"})
    stage.load(
        FRAME.replace("[exchanges.login]", "[exchanges.login]\nredirects = true"),
        {"login": moved, "moved": Says(200, {"token": "t-2"})},
    )
    assert stage.session.token().access == "t-2"
    assert [came.method for came in stage.sent()] == ["POST", "POST"]
    stage.load(FRAME, {"login": moved})
    with pytest.raises(authflow.VendorAnswerError):
        stage.session.token()


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("place", ["headers", "query", "json", "a signer's header", "a signer's query"])
def test_a_redirected_exchange_is_signed_for_where_it_goes(stage: Stage, place: str, status: int) -> None:
    def moved(came: Came) -> Says:  # the query is echoed, as many servers do
        return Says(status, headers={"Location": came.target.replace("login", "new")})

    sign = {"sign": {"seen": {"where": place.partition("'s ")[2]}}} if "signer" in place else {}
    said = {"headers": {"X-N": "{number}"}, "query": {}, "json": {"b": "c"}}
    if not sign:
        said[place]["sig"] = "{seen}"
    file = merged(
        FRAME,
        """
        derive.seen.sha256 = "{request.method} {request.target} {request.body}"
        derive.number.uuid4 = ""
        exchanges.login.redirects = true
        """,
    )
    file["base_url"] = stage.url
    file["exchanges"]["login"]["request"] = {"url": "login?a=1", "method": "POST", **said}
    file["exchanges"]["login"] |= sign
    stage.script = {"login": moved, "new": Says(200, {"token": "t-2"})}
    with installed(seen=Seen):
        assert authflow.AuthSession(file).token().access == "t-2"
    first, second = stage.sent()
    assert second.method == ("GET" if status == 302 else "POST")
    assert first.headers["x-n"] == second.headers["x-n"]
    for came in (first, second):
        plain = came.target.partition("&sig=")
        body = {} if not came.body else json.loads(came.body)
        found = [came.headers.get("sig"), plain[2], body.pop("sig", "")]
        text = json.dumps(body, separators=(",", ":")) if body else ""
        right = hashlib.sha256(f"{came.method} {plain[0]} {text}".encode()).hexdigest()
        assert set(filter(None, found)) == ({right} if place != "json" or came.method == "POST" else set())


class Seen(Signer):
    """The same signature by a signer, which may stand in a query."""

    takes = ("!where",)

    def sign(self, request: Request, signing: Signing) -> Presentation:
        target = request.url.partition("//")[2].partition("/")
        text = f"{request.method} /{target[2]} ".encode() + (request.body or b"")
        made = (("sig", hashlib.sha256(text).hexdigest()),)
        return Presentation(headers=made) if signing.parameters["where"] == "header" else Presentation(query=made)
