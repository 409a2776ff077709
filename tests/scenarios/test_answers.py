"""What is read out of an answer: each kind of pattern, with an answer that fits and one that does not."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

import authflow
from tests.scenarios.stage import FRAME, Stage
from tests.servers import Says


@dataclass(frozen=True)
class Case:
    """`granted` is the pattern, `fits` brings the token t-1, `unfit` is no grant."""

    name: str
    granted: str
    fits: Says
    unfit: Says


def text(body: str, **headers: str) -> Says:
    return Says(200, body=body.encode(), headers={"Content-Type": "text/plain", **headers})


def setting(*cookies: str) -> Says:
    return Says(200, {}, {"Set-Cookie": cookies[0]})


CASES = [
    Case("status", '{ status = 201, json = "{access}" }', Says(201, "t-1"), Says(200, "t-1")),
    Case("one of several", '{ status = [200, 202], json = "{access}" }', Says(202, "t-1"), Says(201, "t-1")),
    Case("under another name", '{ json = { theToken = "{access}" } }', Says(200, {"theToken": "t-1"}), Says(200, {})),
    Case("nested", '{ json = { a = [{ b = "{access}" }] } }', Says(200, {"a": [{"b": "t-1"}]}), Says(200, {"a": []})),
    Case(
        "an error inside a 200",
        '{ status = 200, json = { ok = true, token = "{access}" } }',
        Says(200, {"ok": True, "token": "t-1"}),
        Says(200, {"ok": False, "token": "t-1"}),
    ),
    Case(
        "literals are strict",
        '{ json = { n = 1, t = "{access}" } }',
        Says(200, {"n": 1, "t": "t-1"}),
        Says(200, {"n": True, "t": "t-1"}),
    ),
    Case(
        "null",
        '{ json = { e = "{null}", t = "{access}" } }',
        Says(200, {"e": None, "t": "t-1"}),
        Says(200, {"e": 1, "t": "t-1"}),
    ),
    Case(
        "absent",
        '{ json = { e = "{absent}", t = "{access}" } }',
        Says(200, {"t": "t-1"}),
        Says(200, {"e": None, "t": "t-1"}),
    ),
    Case(
        "anything",
        '{ json = { e = "{_}", t = "{access}" } }',
        Says(200, {"e": [1], "t": "t-1"}),
        Says(200, {"t": "t-1"}),
    ),
    Case(
        "an optional subtree",
        '{ json = { e = { at = "{at?}" }, t = "{access}" } }',
        Says(200, {"e": None, "t": "t-1"}),
        Says(200, {"e": "text", "t": "t-1"}),
    ),
    Case(
        "the same name twice",
        '{ json = { a = "{access}", b = "{access}" } }',
        Says(200, {"a": "t-1", "b": "t-1"}),
        Says(200, {"a": "t-1", "b": "t-2"}),
    ),
    Case(
        "within a text",
        '{ json = { a = "Bearer {access}" } }',
        Says(200, {"a": "Bearer t-1"}),
        Says(200, {"a": "Basic t-1"}),
    ),
    Case("further elements of a list", '{ json = ["{access}"] }', Says(200, ["t-1", 2]), Says(200, [])),
    Case("JSON of any content type", '{ json = { t = "{access}" } }', text('{"t":"t-1"}'), text("t=t-1")),
    Case(
        "JSON with a byte order mark",
        '{ json = { t = "{access}" } }',
        Says(200, body=b'\xef\xbb\xbf{"t":"t-1"}'),
        Says(200, body=b""),
    ),
    Case(
        "a header", '{ headers = { x-subject-token = "{access}" } }', text("", **{"X-Subject-Token": "t-1"}), text("")
    ),
    Case(
        "within a header",
        '{ headers = { Location = "/in?code={access}&{_}" } }',
        text("", Location="/in?code=t-1&b=2"),
        text("", Location="/out"),
    ),
    Case("a cookie", '{ cookies = { sid = "{access}" } }', setting("sid=t-1; Path=/; HttpOnly"), setting("other=t-1")),
    Case(
        "a cookie that is deleted",
        '{ cookies = { sid = "{access}" } }',
        setting("sid=t-1; Max-Age=60"),
        setting("sid=t-1; Max-Age=0"),
    ),
    Case(
        "a cookie that has expired",
        '{ cookies = { sid = "{access}" } }',
        setting("sid=t-1; Expires=Wed, 01 Jan 2200 00:00:00 GMT"),
        setting("sid=t-1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ),
    Case("a form", '{ form = { t = "{access}" } }', text("a=1&t=t%2D1"), text("a=1")),
    Case("a text", '{ text = "{access}" }', text("t-1"), Says(204, body=b"")),
    Case(
        "within XML",
        "{ text = '{_}<token>{access}</token>{_}' }",
        text("<a><token>t-1</token></a>"),
        text("<a><t>t-1</t></a>"),
    ),
    Case("a converter reads", '{ json = { t = "{access:base64}" } }', Says(200, {"t": "dC0x"}), Says(200, {"t": "*"})),
    Case(
        "a challenge",
        '{ status = 401, challenge = { scheme = "Negotiate", token68 = "{access}" } }',
        Says(401, {}, {"WWW-Authenticate": 'Basic realm="a, b", negotiate t-1'}),
        Says(401, {}, {"WWW-Authenticate": "Basic"}),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pattern_reads_what_fits_and_nothing_else(stage: Stage, case: Case) -> None:
    file = FRAME.replace('{ status = 200, json = { token = "{access}" } }', case.granted)
    file = file.replace("answers.denied = { status = [400, 401, 403] }", "answers.denied = { status = 499 }")
    stage.load(file, {"login": case.fits})
    assert stage.session.token().access == "t-1"
    stage.load(file, {"login": case.unfit})
    with pytest.raises(authflow.VendorAnswerError):
        stage.session.token()


ORDER = FRAME.replace(
    'answers.granted = { status = 200, json = { token = "{access}" } }',
    'answers.granted = [{ json = { one = "{access}" } }, { json = { two = "{access}" } }]',
)


@pytest.mark.parametrize(("document", "access"), [({"one": "1", "two": "2"}, "1"), ({"two": "2"}, "2")])
def test_the_first_pattern_that_fits_counts(stage: Stage, document: dict[str, str], access: str) -> None:
    stage.load(ORDER, {"login": Says(200, document)})
    assert stage.session.token().access == access


def test_answers_can_be_another_exchanges(stage: Stage) -> None:
    file = FRAME.replace('missing = "x"', "") + '[exchanges.again]\nrequest = { url = "again" }\nanswers = "login"\n'
    file = file.replace('expired = "signed_out"', 'expired = "stale"')
    file += '[states.stale]\nsend = "again"\ngranted = "signed_in"\ndenied = "signed_out"\n[expiry]\nlifetime = 60\n'
    stage.load(file, {"again": [Says(200, {"token": "t-2"}), Says(401, {})]})
    assert stage.session.token().access == "t-1"
    stage.clock.ahead += 60
    assert stage.session.token().access == "t-2"
    stage.clock.ahead += 60
    assert stage.session.token().access == "t-1"
    assert stage.walked() == ["login", "again", "again", "login"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_vendor_that_cannot_answer_is_unavailable(stage: Stage, status: int) -> None:
    stage.load(FRAME, {"login": [Says(status, {}, {"Retry-After": "7"}), Says(200, {"token": "t-1"})]})
    with pytest.raises(authflow.VendorUnavailable) as down:
        stage.session.token()
    assert (down.value.status, down.value.retry_after) == (status, 7)
    stage.clock.ahead += 8
    assert stage.session.token().access == "t-1"


def test_a_pattern_may_claim_what_would_be_unavailable_and_name_what_is(stage: Stage) -> None:
    file = FRAME.replace("status = [400, 401, 403]", "status = 503")
    file = file.replace(
        "answers.denied", 'answers.unavailable = { json = { wait_ms = "{retry_after:ms}" } }\nanswers.denied'
    )
    stage.load(file, {"login": Says(200, {"wait_ms": 2500})})
    with pytest.raises(authflow.VendorUnavailable) as down:
        stage.session.token()
    assert down.value.retry_after == 2.5
    stage.clock.ahead += 3
    stage.load(file, {"login": Says(503, {})})
    with pytest.raises(authflow.CredentialsRefused):
        stage.session.token()


def test_metadata_may_change_the_base_url(stage: Stage) -> None:
    file = FRAME.replace('{ token = "{access}" }', '{ token = "{access}", instance = "{base_url}" }')
    stage.load(
        file + '[origins]\npresent = ["{base_url}"]\n',
        {"login": Says(200, {"token": "t", "instance": f"{stage.listener.url}/eu/"})},
    )
    stage.session.token()
    stage.session.logout()
    assert stage.call().status_code == 200
    assert stage.session._manager.grants.current.base_url == f"{stage.listener.url}/eu/"


def test_a_hostile_answer_is_read_in_linear_time(stage: Stage) -> None:
    file = FRAME.replace('{ status = 200, json = { token = "{access}" } }', "{ text = '{_}a{_}a{_}b{access}' }")
    stage.load(file, {"login": Says(200, body=b"a" * ((1 << 20) - 1))})
    begun = time.process_time()
    with pytest.raises(authflow.VendorAnswerError):
        stage.session.token()
    assert time.process_time() - begun < 1
