"""Requests filled and recognised, answers judged: every rule of the notation that concerns one exchange."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.http import Answer, Request
from authflow.templates.answers import Outcome, judge
from authflow.templates.placeholders import Mismatch, Unbound, Unfit
from authflow.templates.requests import Present, RequestTemplate
from authflow.vendors.loading import load

BASE = "https://api.example/v1/"


def request_of(**request: Any) -> RequestTemplate:
    """The request of a vendor that does nothing else."""
    request.setdefault("url", "login")
    names = {name: {"optional": True} for name in ("a", "b", "c")}
    vendor = load(
        {
            "name": "one",
            "base_url": BASE,
            "start": "out",
            "insecure_url": True,
            "settings": names,
            "exchanges": {"login": {"request": request, "answers": {"ok": {"json": {"t": "{access}"}}}}},
            "states": {"out": {"send": "login", "ok": "in", "missing": "in"}, "in": {"present": {}}},
        }
    )
    return vendor.flow.exchanges["login"].request


def present_of(**present: Any) -> Present:
    raw = {
        "name": "one",
        "base_url": BASE,
        "start": "in",
        "insecure_url": True,
        "settings": {"a": {}, "b": {"optional": True}},
        "states": {"in": {"present": present}},
    }
    return load(raw).flow.states["in"].present  # type: ignore[union-attr]


def judged(answers: Any, answer: Answer) -> Outcome | None:
    raw = {"name": "one", "base_url": BASE, "start": "in", "answers": answers, "states": {"in": {"present": {}}}}
    return judge(load(raw).answers, answer)[0]


def rendered(values: dict[str, Any], **request: Any) -> Request:
    return request_of(**request).render(values, BASE)


# --- requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_table", "method"),
    [
        ({}, "GET"),
        ({"json": {}}, "POST"),
        ({"form": {}}, "POST"),
        ({"text": ""}, "POST"),
        ({"json": "{b?}"}, "GET"),
        ({"text": "{b?}"}, "GET"),
        ({"method": "put"}, "PUT"),
        ({"method": "GET", "json": {}}, "GET"),
        ({"query": {"q": 1}}, "GET"),
    ],
)
def test_the_method(request_table: dict[str, Any], method: str) -> None:
    assert rendered({}, **request_table).method == method


@pytest.mark.parametrize(
    ("request_table", "kind", "body"),
    [
        ({"json": {"u": "{a}", "n": 1, "x": "{b?}", "z": "{null}"}}, "application/json", b'{"u":"A:1","n":1,"z":null}'),
        ({"json": ["{a}", {"d": ["{b?}"]}]}, "application/json", b'["A:1",{"d":[]}]'),
        (
            {"form": {"u": "{a}", "x": "{b?}", "l": ["1", "{a}"]}},
            "application/x-www-form-urlencoded",
            b"u=A%3A1&l=1&l=A%3A1",
        ),
        ({"text": "<u>{a}</u>{{}}"}, "text/plain; charset=utf-8", b"<u>A:1</u>{}"),
        ({"text": "<u/>", "headers": {"content-type": "application/xml"}}, "application/xml", b"<u/>"),
        ({"json": {}, "headers": {"Content-Type": "application/vnd.x+json"}}, "application/vnd.x+json", b"{}"),
    ],
)
def test_the_body(request_table: dict[str, Any], kind: str, body: bytes) -> None:
    request = rendered({"a": "A:1"}, **request_table)
    assert request.body == body
    assert [value for name, value in request.headers if name.lower() == "content-type"] == [kind]


@pytest.mark.parametrize(
    ("request_table", "headers"),
    [
        ({"headers": {"X": "{a}", "Y": "{b?}", "Z": 1, "T": True}}, [("X", "va"), ("Z", "1"), ("T", "true")]),
        ({"headers": {"Accept": ["a/b", "{a}", "{b?}"]}}, [("Accept", "a/b"), ("Accept", "va")]),
        ({"cookies": {"s": "{a}", "n": 1, "o": "{b?}"}}, [("Cookie", "s=va; n=1")]),
        ({"cookies": {"o": "{b?}"}}, []),
        ({"basic": ["{a}", "p:w"]}, [("Authorization", "Basic dmE6cDp3")]),
        ({"basic": ["{a}", ""], "headers": {"authorization": "x"}}, [("Authorization", "Basic dmE6")]),
        ({"basic": ["{a}", "{b?}"]}, []),
        ({"basic": ["{b?}", "x"]}, []),
        ({"client_basic": ["{a}:", "p w+%"]}, [("Authorization", "Basic dmElM0E6cCt3JTJCJTI1")]),
        ({"query": {"q": "{a}", "o": "{b?}", "l": [1, 2]}}, []),
    ],
)
def test_the_headers(request_table: dict[str, Any], headers: list[tuple[str, str]]) -> None:
    assert list(rendered({"a": "va"}, **request_table).headers) == headers


def test_the_url_and_its_query() -> None:
    assert (
        rendered({"a": "x y"}, url="u/{a}?f=1", query={"q": "{a}", "o": "{b?}", "l": [1, 2]}).url
        == BASE + "u/x%20y?f=1&q=x%20y&l=1&l=2"
    )


@pytest.mark.parametrize(
    ("request_table", "value"),
    [
        ({"headers": {"X": "{a}"}}, "a\r\nY: b"),
        ({"headers": {"X": "{a}"}}, "ключ"),
        ({"cookies": {"X": "{a}"}}, "a; b=c"),
        ({"cookies": {"X": "{a}"}}, "ü"),
        ({"basic": ["{a}", "x"]}, "user:name"),
        ({"basic": ["{a}", "x"]}, "\ud800"),
        ({"json": {"x": "{a}"}}, "\ud800"),
        ({"form": {"x": "{a}"}}, "\ud800"),
        ({"text": "{a}"}, "\ud800"),
        ({"query": {"x": "{a}"}}, "\ud800"),
        ({"url": "x/{a}"}, "\ud800"),
        ({"form": {"x": "{a}"}}, [1]),
    ],
)
def test_what_cannot_be_sent_is_unfit_and_not_shown(request_table: dict[str, Any], value: Any) -> None:
    with pytest.raises(Unfit) as refusal:
        rendered({"a": value}, **request_table)
    assert str(value) not in str(refusal.value)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Unbound, match=r"^a$"):
        rendered({}, form={"x": "{a}"})


HEADERISH = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
PLAIN = HEADERISH.filter(lambda text: not set(text) & set(';," ='))
WHOLE = st.text(max_size=8)
REQUESTS: dict[str, tuple[dict[str, Any], st.SearchStrategy[str]]] = {
    "json": ({"json": {"x": "{a}", "y": [{"z": "<{b}>"}]}}, WHOLE),
    "form": ({"form": {"x": "{a}", "y": ["1", "{b}"]}}, WHOLE),
    "text": ({"text": "<a>{a}</a><b>{b}</b>"}, WHOLE),
    "query": ({"query": {"x": "{a}", "y": "b{b}"}}, WHOLE),
    "headers": ({"headers": {"X-A": "{a}", "X-B": ["1", "b {b}"]}}, HEADERISH),
    "cookies": ({"cookies": {"x": "{a}", "y": "{b}"}}, PLAIN),
    "basic": ({"basic": ["{a}", "{b}"]}, WHOLE),
    "client_basic": ({"client_basic": ["{a}", "{b}"]}, WHOLE),
    "url": ({"url": "x/{a}/{b}?z=1"}, WHOLE),
}


@pytest.mark.parametrize("kind", REQUESTS)
@given(data=st.data())
def test_every_part_is_read_back(kind: str, data: st.DataObject) -> None:
    table, texts = REQUESTS[kind]
    template, values = request_of(**table), {"a": data.draw(texts), "b": data.draw(texts)}
    try:
        request = template.render(values, BASE)
    except Unfit as refusal:
        assert str(refusal)  # noqa: PT017
        return
    assert template.match(request, BASE, {}) == values


@pytest.mark.parametrize(
    ("pattern", "request_", "fits"),
    [
        ({"method": "GET"}, Request("get", BASE), True),
        ({"method": "GET"}, Request("POST", BASE), False),
        ({"url": "x"}, Request("GET", BASE + "x?caller=1"), True),
        ({"url": "x?v=1"}, Request("GET", BASE + "x?v=2"), False),
        ({"headers": {"X": "1"}}, Request("GET", BASE, (("x", "0"), ("x", "1"))), True),
        ({"headers": {"X": "{absent}"}}, Request("GET", BASE, (("x", "0"),)), False),
        ({"cookies": {"s": "1"}}, Request("GET", BASE, (("cookie", "r=0; s=1"),)), True),
        ({"basic": ["u", "p"]}, Request("GET", BASE, (("authorization", "basic dTpw"),)), True),
        ({"basic": ["u", "p"]}, Request("GET", BASE, (("authorization", "Bearer dTpw"),)), False),
        ({"basic": ["u", "p"]}, Request("GET", BASE, (("authorization", "Basic !"),)), False),
        ({"basic": ["u", "p"]}, Request("GET", BASE), False),
        ({"json": {"m": "x"}}, Request("GET", BASE, (), b'{"m":"x","n":1}'), True),
        ({"json": {"m": "x"}}, Request("GET", BASE, (), b"no"), False),
        ({"form": {"m": "x"}}, Request("GET", BASE, (), b"m=x&n=1"), True),
    ],
)
def test_requests_are_recognised(pattern: dict[str, Any], request_: Request, fits: bool) -> None:
    template = request_of(**{"method": request_.method, "url": "", **pattern})
    if fits:
        template.match(request_, BASE, {})
    else:
        with pytest.raises(Mismatch):
            template.match(request_, BASE, {})


# --- presentations ----------------------------------------------------------------------------------------------------


def test_a_presentation() -> None:
    presentation = present_of(
        headers={"X": "{a}", "Y": "{b?}"},
        cookies={"s": "{a}"},
        query={"q": "{a}"},
        json={"auth": {"t": "{a}"}, "o": "{b?}"},
        basic=["u", "{a}"],
    ).render({"a": "v"})
    assert presentation.headers == (("X", "v"), ("Authorization", "Basic dTp2"))
    assert (presentation.cookies, presentation.query, presentation.json) == (
        (("s", "v"),),
        (("q", "v"),),
        {"auth": {"t": "v"}},
    )
    assert present_of(form={"t": "{a}", "o": "{b?}"}).render({"a": "v"}).form == (("t", "v"),)
    assert present_of(headers={"Authorization": "Bearer {b?}"}).render({}).headers == ()


@pytest.mark.parametrize(
    ("part", "value"), [("headers", "a\nb"), ("headers", "ü"), ("cookies", "a;b"), ("cookies", " a")]
)
def test_a_presentation_that_cannot_be(part: str, value: str) -> None:
    with pytest.raises(Unfit):
        present_of(**{part: {"X": "{a}"}}).render({"a": value})


# --- answers ----------------------------------------------------------------------------------------------------------


def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else b"" if body is None else msgspec.json.encode(body)
    return Answer(status, tuple((name.replace("_", "-"), value) for name, value in headers.items()), content)


@pytest.mark.parametrize(
    ("pattern", "given_answer", "captured"),
    [
        ({}, answer(418), {}),
        ({"status": 200}, answer(200), {}),
        ({"status": [200, 201]}, answer(201), {}),
        ({"status": 200}, answer(201), None),
        ({"headers": {"X-Token": "{t}"}}, answer(x_token="v"), {"t": "v"}),
        ({"headers": {"X-Token": "Bearer {t}"}}, answer(X_TOKEN="Bearer v"), {"t": "v"}),
        ({"headers": {"X-Token": "{t?}"}}, answer(), {}),
        ({"headers": {"X-Token": "{absent}"}}, answer(), {}),
        ({"headers": {"X-Token": "{absent}"}}, answer(x_token=""), None),
        ({"headers": {"Date": "{d:http_date}"}}, answer(date="Sun, 06 Nov 1994 08:49:37 GMT"), {"d": 784111777}),
        ({"cookies": {"s": "{t}"}}, answer(set_cookie="s=v; Path=/"), {"t": "v"}),
        ({"cookies": {"s": "{t}"}}, answer(set_cookie="s=v; Max-Age=0"), None),
        ({"cookies": {"s": "{absent}"}}, answer(set_cookie="s=v; Max-Age=0"), {}),
        (
            {"challenge": {"scheme": "Bearer", "realm": "{r}", "scope": "{s?}"}},
            answer(401, www_authenticate='bearer realm="x"'),
            {"r": "x"},
        ),
        (
            {"challenge": {"scheme": "Bearer", "realm": "{r}"}},
            answer(401, www_authenticate='Basic realm="b", Bearer scope=s, realm=x'),
            {"r": "x"},
        ),
        (
            {"challenge": {"scheme": "{s}", "Realm": "{r}"}},
            answer(401, www_authenticate="Digest REALM=x"),
            {"s": "Digest", "r": "x"},
        ),
        (
            {"challenge": {"error": "invalid_token"}},
            answer(401, www_authenticate="Basic, Bearer error=invalid_token"),
            {},
        ),
        (
            {"challenge": {"scheme": "Bearer", "error": "{absent}"}},
            answer(401, www_authenticate="Bearer error=x"),
            None,
        ),
        ({"challenge": {"scheme": "Bearer"}}, answer(401), None),
        ({"json": {"a": {"t": "{t}"}}}, answer(200, {"a": {"t": 5, "u": 6}}, content_type="text/html"), {"t": 5}),
        ({"json": {"error": "{absent}"}}, answer(200, {}), {}),
        ({"json": "{t}"}, answer(200, '"quoted"\n'), {"t": "quoted"}),
        ({"json": {}}, answer(200, "not json"), None),
        ({"json": {}}, answer(200, "[]"), None),
        ({"form": {"t": "{t}", "e": "{e:int?}"}}, answer(200, "t=a+b%26&x"), {"t": "a b&"}),
        ({"text": "{t}"}, answer(200, "token\r\n"), {"t": "token"}),
        ({"text": "OK {t}"}, answer(200, "OK x y\n"), {"t": "x y\n"}),
        ({"text": "{t}"}, answer(200, "x-y\r\n\n"), {"t": "x-y"}),
        ({"text": "OK {t}\n"}, answer(200, "OK x y\n"), {"t": "x y"}),
        ({"text": "OK {t}\n"}, answer(200, "OK x\n"), {"t": "x"}),
        ({"text": "OK"}, answer(200, "OK\n"), None),
        ({"text": "{_}<t>{t}</t>{_}"}, answer(200, "<a><t>v</t></a>"), {"t": "v"}),
        ({"status": 200, "headers": {"X": "{v}"}, "json": {"v": "{v}"}}, answer(200, {"v": "1"}, X="1"), {"v": "1"}),
        ({"status": 200, "headers": {"X": "{v}"}, "json": {"v": "{v}"}}, answer(200, {"v": "2"}, X="1"), None),
    ],
)
def test_a_pattern(pattern: Any, given_answer: Answer, captured: dict[str, Any] | None) -> None:
    outcome = judged({"event": pattern}, given_answer)
    assert (None if outcome is None else outcome.captured) == captured


def test_the_first_that_fits_names_the_outcome() -> None:
    answers = {
        "error": {"status": 200, "json": {"error": "{why}"}},
        "granted": [{"status": 201}, {"status": 200}],
        "late": {},
    }
    names = [
        judged(answers, given_answer)
        for given_answer in (answer(200, {"error": "x"}), answer(201), answer(200, {}), answer(500))
    ]
    assert [outcome.name for outcome in names if outcome] == ["error", "granted", "granted", "late"]


def test_every_reason_is_told_and_no_value() -> None:
    raw = {"name": "one", "base_url": BASE, "start": "in", "states": {"in": {"present": {}}}}
    raw["answers"] = {
        "a": {"status": 200},
        "b": {"json": {"k": {"n": "{n:int}"}}},
        "c": [{"headers": {"X": "{x}"}}, {"challenge": {"scheme": "Bearer"}}],
    }
    outcome, reasons = judge(load(raw).answers, answer(401, {"k": {"n": "s3cret"}}, www_authenticate="Basic s3cret="))
    assert outcome is None
    assert reasons == [
        "a: status 401, not 200",
        "b: k.n: cannot be read as int",
        "c: X: missing",
        "c: scheme: expected 'Bearer', found another text",
    ]


def test_the_body_is_read_only_while_a_pattern_that_could_still_fit_needs_it() -> None:
    reads: list[bytes] = []

    def body() -> bytes:
        reads.append(b"{}")
        return b"{}"

    answers = {
        "wrong_status": {"status": 401, "json": {}},
        "wrong_header": {"headers": {"X": "1"}, "text": "{_}"},
        "fits": {"status": 200},
        "body": {"json": {}},
    }
    outcome = judged(answers, Answer(200, (), body))
    assert outcome is not None
    assert outcome.name == "fits"
    assert not reads
    judged({"a": {"status": 200, "json": {"x": 1}}, "b": {"text": "x"}}, Answer(200, (), body))
    assert len(reads) == 1


def test_whether_the_access_token_was_read_as_a_jwt() -> None:
    token = "eyJhbGciOiJub25lIn0.e30."
    for placeholder, is_jwt in (("{access:jwt}", True), ("{access}", False)):
        outcome = judged({"granted": {"json": {"t": placeholder}}}, answer(200, {"t": token}))
        assert outcome == Outcome("granted", {"access": token}, is_jwt)


HEADER_NAMES = st.sampled_from(["Set-Cookie", "WWW-Authenticate", "Content-Type", "Date", "Retry-After", "X"])
LINES = st.text(max_size=40) | st.sampled_from(
    ['Bearer realm="', "a=1; Max-Age=" + "9" * 5000, "a=b; Expires=x", "Basic a==, B c=d"]
)


@given(
    st.integers(),
    st.lists(st.tuples(HEADER_NAMES, LINES), max_size=4),
    st.binary(max_size=60) | st.sampled_from([b"[" * 20_000, b'{"t": 1e999}']),
)
def test_any_answer_is_judged(status: int, headers: list[tuple[str, str]], body: bytes) -> None:
    answers = {
        "a": {"challenge": {"scheme": "Bearer", "realm": "{r}"}},
        "b": {"cookies": {"a": "{s:int}"}, "headers": {"Date": "{d:http_date}"}},
        "c": {"json": {"t": "{t:jwt}", "e": "{e:iso8601}"}},
        "d": {"form": {"t": "{t:base64}"}},
        "e": {"text": "{t}<{u}>{_}", "status": [200, 401]},
    }
    heard = Answer(status, tuple(headers), body, 1e9)
    judged_ = judged(answers, heard)
    assert judged_ is None or judged_.name in answers
    assert heard.retry_after is None or heard.retry_after >= 0


@pytest.mark.parametrize(("known", "fits"), [({"n": "7"}, True), ({"n": 7}, True), ({"n": "8"}, False), ({}, False)])
@pytest.mark.parametrize("value", ["7", 7])
def test_what_an_answer_repeats_is_compared(known: dict[str, Any], fits: bool, value: Any) -> None:
    answers = {"rejected": {"json": {"n": "{=n}", "t": "{access}"}, "headers": {"X-N": "n={=n}"}}}
    raw = {"name": "one", "base_url": BASE, "start": "in", "settings": {"n": {}}, "answers": answers}
    rows = load({**raw, "states": {"in": {"present": {}}}}).answers
    outcome, _ = judge(rows, answer(200, {"n": value, "t": "a"}, x_n="n=7"), known)
    assert (outcome and outcome.captured) == ({"access": "a"} if fits else None)
