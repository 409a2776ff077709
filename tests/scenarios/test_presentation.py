"""What a state lays over the caller's own requests, as it comes in at the server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

import authflow
from tests.scenarios.stage import FRAME, Stage
from tests.servers import Came, Says, listening

PRESENT = 'present = { headers = { Authorization = "Bearer {access}" } }'


@dataclass(frozen=True)
class Case:
    """`present` is the state's; `carries` reads it off the request; `sends` is what the caller sends of its own."""

    name: str
    present: str
    carries: Callable[[Came], Any]
    expected: Any
    sends: dict[str, Any] = field(default_factory=dict)
    top: str = ""


def header(*names: str) -> Callable[[Came], Any]:
    return lambda came: tuple(came.headers.get(name) for name in names)


def body(came: Came) -> bytes:
    return came.body


POST_JSON = {"method": "POST", "json": {"a": 1}}
POST_FORM = {"method": "POST", "data": {"a": "1"}}
CASES = [
    Case("a header", '{ headers = { Authorization = "Token {access}" } }', header("authorization"), ("Token t-1",)),
    Case("several", '{ headers = { X-A = "{access}", X-B = "b" } }', header("x-a", "x-b"), ("t-1", "b")),
    Case("a cookie", '{ cookies = { sid = "{access}" } }', header("cookie"), ("sid=t-1",)),
    Case(
        "a cookie beside the caller's",
        '{ cookies = { sid = "{access}" } }',
        header("cookie"),
        ("mine=1; sid=t-1",),
        {"headers": {"Cookie": "mine=1; sid=old"}},
    ),
    Case("HTTP Basic", '{ basic = ["user", "{access}"] }', header("authorization"), ("Basic dXNlcjp0LTE=",)),
    Case(
        "the query",
        '{ query = { key = "{access}" } }',
        lambda came: came.target,
        "/api/data?a=1&key=t-1",
        {"params": {"a": "1"}},
        "insecure_url = true\n",
    ),
    Case("a JSON field", '{ json = { auth = "{access}" } }', body, b'{"a":1,"auth":"t-1"}', POST_JSON),
    Case("a form field", '{ form = { auth = "{access}" } }', body, b"a=1&auth=t-1", POST_FORM),
    Case("nothing", "{}", header("authorization", "cookie"), (None, None)),
    Case(
        "shared headers",
        '{ headers = { X-A = "{access}" } }',
        header("x-a", "x-app"),
        ("t-1", "app"),
        top='headers = { X-App = "app", X-A = "shared" }\n',
    ),
]


@pytest.mark.parametrize("client", ["httpx", "requests"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_request_carries(stage: Stage, case: Case, client: str) -> None:
    stage.load(case.top + FRAME.replace(PRESENT, f"present = {case.present}"))
    stage.session.token()
    sends = {"method": "GET", **case.sends}
    if client == "httpx":
        stage.call(**sends)
    else:
        with requests.Session() as session:
            session.trust_env = False
            session.request(url=stage.url + "data", auth=stage.session.requests, timeout=20, **sends)
    (came,) = stage.sent("data")
    assert case.carries(came) == case.expected


def test_a_field_in_the_body_of_another_kind_is_the_callers_mistake(stage: Stage) -> None:
    stage.load(FRAME.replace(PRESENT, 'present = { json = { auth = "{access}" } }'))
    with pytest.raises(authflow.ConfigurationError, match="JSON body"):
        stage.call(method="POST", data={"a": "1"})
    assert stage.sent("data") == []


def test_a_derived_value_that_changes_is_rendered_for_every_request(stage: Stage) -> None:
    file = FRAME.replace(PRESENT, 'present = { headers = { X-A = "{access}", X-Id = "{id}" } }')
    stage.load(file + '[derive]\nid = { uuid4 = "" }\n')
    stage.call()
    stage.call()
    first, second = (came.headers["x-id"] for came in stage.sent("data"))
    assert len(first) == len(second) == 36
    assert first != second


def test_a_rejected_token_is_renewed_also_where_the_presentation_changes(stage: Stage) -> None:
    file = FRAME.replace(PRESENT, 'present = { headers = { X-A = "{access}", X-Id = "{id}" } }')

    def data(came: Came) -> Says:
        return Says(200 if came.headers["x-a"] == "t-2" else 401, {})

    logins = [Says(200, {"token": "t-1"}), Says(200, {"token": "t-2"})]
    stage.load(file + '[derive]\nid = { uuid4 = "" }\n', {"login": logins, "data": data})
    assert stage.call().status_code == 200
    assert stage.walked() == ["login", "data", "login", "data"]


PUBLIC = """
[[public]]
method = "GET"
path = "status/{_}"
[[public]]
method = "POST"
path = "rpc"
json = { method = "ping" }
"""


def test_public_requests_go_bare(stage: Stage) -> None:
    stage.load(FRAME + PUBLIC)
    stage.call("status/now")
    stage.call("rpc", "POST", json={"method": "ping", "id": 1})
    assert [came.headers.get("authorization") for came in stage.sent()] == [None, None]
    stage.call("rpc", "POST", json={"method": "pay"})
    stage.call("status/now", "POST")
    assert [came.headers.get("authorization") for came in stage.sent("rpc", "status/now")] == ["Bearer t-1"] * 2


@pytest.mark.parametrize(
    ("source", "target", "asked", "comes"),
    [
        ("things/{id}", "../v2/things/{id}", "things/4%202", "/v2/things/4%202"),
        ("things/{id}", "../v2/{id}?kind=x", "things/4?page=2", "/v2/4?kind=x&page=2"),
        ("things?id={id}", "things/{id}", "things?id=4&page=2", "/api/things/4?page=2"),
        ("things/{id}", "../{tenant}/{id}", "things/4", "/acme/4"),
        ("things/{id}", "../v2/{id}", "things/4/parts", "/api/things/4/parts"),
    ],
)
def test_rewrites(stage: Stage, source: str, target: str, asked: str, comes: str) -> None:
    file = FRAME.replace("[exchanges.login]", 'settings.tenant = { default = "acme" }\n[exchanges.login]', 1)
    stage.load(f'{file}[[rewrites]]\nfrom = "{source}"\nto = "{target}"\n')
    stage.call(asked)
    assert [came.target for came in stage.sent()][-1] == comes


def test_the_token_goes_to_declared_origins_only(stage: Stage) -> None:
    with listening() as other, listening() as third:
        stage.load(FRAME + f'[origins]\npresent = ["{other.url}"]\n')
        with requests.Session() as session:
            session.trust_env = False
            session.get(other.url, auth=stage.session.requests, timeout=20)
            assert other.seen()[0].headers["authorization"] == "Bearer t-1"
            with pytest.raises(authflow.UntrustedOrigin):
                session.get(third.url, auth=stage.session.requests, timeout=20)
        assert third.seen() == []
