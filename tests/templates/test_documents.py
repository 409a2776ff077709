"""Two-way templates: their law as a property, the rules of placeholders one by one, and what hostile documents cost."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from authflow.templates.converters import CONVERTERS
from authflow.templates.documents import MAX_DEPTH, compile, match, render
from authflow.templates.placeholders import ABSENT, Mismatch, TemplateError, Unbound, Unfit

# --- the law ----------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=12)
EPOCHS = st.integers(-30_610_224_000, 253_402_300_799)
JWTS = [jwt.encode({"sub": name, "exp": 4102444800}, "k" * 32) for name in "ab"]
SCALARS = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
WORDS = st.text("abcXYZ019-_.~", min_size=1)

#: What a value read by each converter may be; "" is a placeholder without one, in a longer text.
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "": TEXTS,
    "int": st.integers(-(2**70), 2**70),
    "str": TEXTS,
    "ms": st.integers(-(10**15), 10**15).map(lambda milliseconds: milliseconds / 1000),
    "epoch": st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False),
    "epoch_ms": st.integers(-(10**15), 10**15).map(lambda milliseconds: milliseconds / 1000),
    "iso8601": EPOCHS | st.floats(-30_610_224_000, 253_402_300_799).map(lambda seconds: round(seconds, 6)),
    "http_date": EPOCHS,
    "minutes": st.integers(-(10**9), 10**9).map(lambda minutes: minutes * 60),
    "time": EPOCHS,
    "base64": TEXTS,
    "base64url": TEXTS,
    "hex": TEXTS.filter(bool),
    "xml": TEXTS,
    "json": TEXTS,
    "word": WORDS,
    "token": WORDS,
    "jwt": st.sampled_from(JWTS),
    "path": st.text("abz0/.-_~%;=:@", max_size=12).filter(lambda text: ".." not in text and "%" not in text),
}
MARKS = st.sampled_from([":", " ", "/", "--", "|}}", "{{", '","', "\n", "ß"])


@st.composite
def placeholder(draw: st.DrawFn, values: dict[str, Any], kinds: dict[str, str], optional: bool = False) -> str:
    """A placeholder, and a value for its name unless it has one."""
    name = draw(st.sampled_from("abcdefgh")) + ("_" if optional else "")
    kind = kinds.setdefault(name, draw(st.sampled_from(list(VALUES))))
    if name not in values and not (optional and draw(st.booleans())):
        values[name] = draw(VALUES[kind])
    return f"{{{name}{f':{kind}' if kind else ''}{'?' if optional else ''}}}"


@st.composite
def templates(draw: st.DrawFn, values: dict[str, Any], kinds: dict[str, str], depth: int = 3) -> Any:
    match draw(st.integers(0, 8 if depth else 5)):
        case 0:
            return draw(placeholder(values, kinds))
        case 1:
            return draw(placeholder(values, kinds, optional=True))
        case 2:
            texts = [draw(MARKS) + draw(placeholder(values, kinds)) for _ in range(draw(st.integers(1, 3)))]
            return "".join(texts) + draw(st.just("") | MARKS)
        case 3:
            return draw(MARKS) + draw(placeholder(values, kinds, optional=True)) + draw(MARKS)
        case 4:
            name = f"json{len(values)}"
            values[name] = draw(JSON)
            return f"{{{name}}}"
        case 5:
            text = draw(TEXTS).replace("{", "{{").replace("}", "}}")
            return draw(st.sampled_from(["{null}", "{_}", text, 0, 1, True, False, 1.5, None]))
        case 6:
            last = draw(st.lists(templates(values, kinds, depth - 1), max_size=1))
            return [draw(solid(values, kinds, depth - 1)) for _ in range(draw(st.integers(0, 3)))] + last
        case _:
            keys = draw(st.lists(TEXTS, max_size=4, unique=True))
            table = {key: draw(templates(values, kinds, depth - 1)) for key in keys}
            return table | ({"gone": "{absent}"} if draw(st.booleans()) else {})


@st.composite
def solid(draw: st.DrawFn, values: dict[str, Any], kinds: dict[str, str], depth: int) -> Any:
    """An element that never vanishes, so that those behind it keep their places."""
    item = draw(templates(values, kinds, depth))
    return {"in": item} if isinstance(item, str) else item


@st.composite
def filled(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    values: dict[str, Any] = {}
    return draw(templates(values, {})), values


def equal(one: Any, other: Any) -> bool:
    """Equal as JSON is: `1` is not `true`."""
    return (bool(one == other) and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)) or (
        isinstance(one, float | int) and not isinstance(one, bool) and not isinstance(other, bool) and one == other
    )


@given(filled())
def test_what_is_rendered_matches_and_reads_back(pair: tuple[Any, dict[str, Any]]) -> None:
    template, values = pair
    try:
        document = render(template, values)
    except Unfit:  # a value that holds the very mark that ends it: refused, because it could not be read back
        reject()
    if document is not ABSENT:
        document = msgspec.json.decode(msgspec.json.encode(document))
    found = match(template, document)
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert equal(found[name], value), name


@pytest.mark.parametrize("kind", CONVERTERS)
def test_the_law_covers_every_converter(kind: str) -> None:
    assert kind in VALUES, f"give {kind} a row in VALUES: values that it writes and reads back"


@pytest.mark.parametrize("kind", CONVERTERS)
@given(data=st.data())
def test_every_converter_alone_and_in_a_text(kind: str, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    for template in (f"{{v:{kind}}}", f"<{{v:{kind}}}>", [f"{{v:{kind}}}"], {"k": f"{{v:{kind}?}}"}):
        assert match(template, render(template, {"v": value})) == {"v": value}


@given(st.text("ab:", max_size=6), st.text("ab:", max_size=6))
def test_a_value_that_could_not_be_read_back_is_refused(user: str, password: str) -> None:
    template = "{user}:{password}"
    try:
        document = render(template, {"user": user, "password": password})
    except Unfit as refusal:
        assert ":" in user
        assert "may not contain ':'" in str(refusal)  # noqa: PT017
    else:
        assert match(template, document) == {"user": user, "password": password}


@given(st.text("abc", max_size=4), st.text("abc", max_size=4))
def test_marks_that_overlap_their_values(one: str, two: str) -> None:
    template = "{one}aba{two}a"
    try:
        document = render(template, {"one": one, "two": two})
    except Unfit:
        assert "ab" in one + "a"
    else:
        assert match(template, document) == {"one": one, "two": two}


# --- the rules, one by one --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "document", "values"),
    [
        # literals, strictly
        (1, 1, {}),
        (1, 1.0, {}),
        ("x", "x", {}),
        (None, None, {}),
        ({}, {"any": "thing"}, {}),
        ([], [1, 2], {}),
        # a whole-string placeholder keeps the JSON type
        ("{a}", 5, {"a": 5}),
        ("{a}", [1, {"b": None}], {"a": [1, {"b": None}]}),
        ("{a}", False, {"a": False}),
        ("{a}", "", {"a": ""}),
        # inside a longer string it takes text
        ("Bearer {a}", "Bearer x y", {"a": "x y"}),
        ("{a}-{b}", "1-2-3", {"a": "1", "b": "2-3"}),
        ("{_}<{a}>{_}", "page <x> more", {"a": "x"}),
        ("{a}{{}}{b}", "x{}y", {"a": "x", "b": "y"}),
        ("{{{a}}}", "{x}", {"a": "x"}),
        # extra keys and elements are ignored
        ({"a": "{a}"}, {"a": 1, "b": 2}, {"a": 1}),
        (["{a}"], [1, 2], {"a": 1}),
        (["{_}", "{a}"], [None, 2], {"a": 2}),
        # {_}, {null}, {absent}
        ({"a": "{_}"}, {"a": None}, {}),
        ({"a": "{_:int}"}, {"a": "5"}, {}),
        ({"a": "{null}"}, {"a": None}, {}),
        ({"a": "{absent}"}, {"b": 1}, {}),
        # optional
        ({"a": "{a?}"}, {}, {}),
        ({"a": "{a?}"}, {"a": None}, {}),
        ({"a": "{a?}"}, {"a": 0}, {"a": 0}),
        ({"a": "x {a?}"}, {}, {}),
        ({"a": {"b": {"c": "{c?}"}}}, {}, {}),
        ({"a": {"b": {"c": "{c?}"}}}, {"a": None}, {}),
        ({"a": {"b": {"c": "{c?}"}}}, {"a": {"b": None}}, {}),
        ({"a": {"b": {"c": "{c?}", "x": "{absent}"}}}, {}, {}),
        ({"a": ["{a?}"]}, {}, {}),
        (["{a}", "{b?}"], [1], {"a": 1}),
        (["{a?}", "{b}"], [None, 2], {"b": 2}),
        # the same name twice
        (["{a}", {"b": "{a}"}], ["x", {"b": "x"}], {"a": "x"}),
        (["{a:int}", "{a:int}"], ["5", 5], {"a": 5}),
        # converters are lenient readers
        ("{a:int}", "3600", {"a": 3600}),
        ("{a:int}", 3600.0, {"a": 3600}),
        ("in {a:int} s", "in 5 s", {"a": 5}),
    ],
)
def test_fits(template: Any, document: Any, values: dict[str, Any]) -> None:
    found = match(template, document)
    assert found == values
    assert [type(value) for value in found.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("template", "document", "where"),
    [
        (1, True, ""),
        (1, "1", ""),
        (True, 1, ""),
        (0, False, ""),
        ("1", 1, ""),
        ("x", "X", ""),
        (None, ABSENT, ""),
        ({"a": None}, {}, "a"),
        ({"a": "{null}"}, {"a": 0}, "a"),
        ({"a": "{absent}"}, {"a": None}, "a"),
        ({"a": "{a}"}, {}, "a"),
        ({"a": "{a}"}, {"a": None}, "a"),
        ({"a": "{_}"}, {}, "a"),
        ({"a": "{_:int}"}, {"a": "x"}, "a"),
        ({"a": "{a:int?}"}, {"a": "x"}, "a"),
        ({"a": {"b": "{b}"}}, {"a": []}, "a"),
        ({"a": {"b": "{b?}"}}, {"a": "text"}, "a"),
        ({"a": {"b": "{b?}", "kind": "x"}}, {}, "a"),
        ([["{a}"]], [{}], "0"),
        (["x", "y"], ["x"], "1"),
        ("Bearer {a}", "Basic x", ""),
        ("Bearer {a}", 5, ""),
        ("<{a}>", "<", ""),
        ("ab{a}bc", "abc", ""),
        ("{a}-{b}!", "x!", ""),
        ("{a}-{b}-", "x-", ""),
        (["{a}", "{a}"], [1, 2], "1"),
        (["{a}", "{a}"], [1, True], "1"),
        ("{a}", ABSENT, ""),
        ({"deep": [{"er": "{a:int}"}]}, {"deep": [{"er": "no"}]}, "deep.0.er"),
    ],
)
def test_does_not_fit(template: Any, document: Any, where: str) -> None:
    with pytest.raises(Mismatch) as mismatch:
        match(template, document)
    assert mismatch.value.where == where


@pytest.mark.parametrize(
    ("template", "values", "document"),
    [
        ({"a": "{a?}", "b": 1}, {}, {"b": 1}),
        (["x", "{a?}"], {}, ["x"]),
        (["{a?}", "x"], {}, ["x"]),
        ({"a": "x {a?}"}, {}, {}),
        ("{a?}", {}, ABSENT),
        ({"a": "{absent}"}, {}, {}),
        ({"a": "{null}"}, {}, {"a": None}),
        ({"a": {"b": "{b?}"}}, {}, {"a": {}}),
        ("{a}", {"a": [1]}, [1]),
        ("{a} {b}", {"a": 1, "b": True}, "1 true"),
        ("{t:iso8601}", {"t": 0}, "1970-01-01T00:00:00Z"),
        ("{t:http_date}", {"t": 784111777}, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("{t:epoch_ms}", {"t": 1.5}, 1500),
        ("{t:base64}", {"t": "a:b"}, "YTpi"),
    ],
)
def test_renders(template: Any, values: dict[str, Any], document: Any) -> None:
    assert render(template, values) == document


def test_a_missing_value_is_named() -> None:
    with pytest.raises(Unbound, match=r"^b$"):
        render({"a": "{a}", "c": ["{b}"]}, {"a": 1, "b": None})


@pytest.mark.parametrize(
    ("template", "value"),
    [("x {a}", []), ("x {a}", {}), ("{a:int}", "x"), ("{a:iso8601}", 1e300), ("{a:ms}", "s3cret")],
)
def test_an_unfit_value_is_named_and_not_shown(template: str, value: Any) -> None:
    with pytest.raises(Unfit, match="value of a") as refusal:
        render(template, {"a": value})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{a}{b}", "ambiguous: nothing stands between {a} and {b}"),
        ("x{a}{_}y", "ambiguous"),
        ("{a", "{ is not a placeholder"),
        ("a}", "} is not a placeholder"),
        ("{}", "{} is not a placeholder"),
        ("{a b}", "is not a placeholder"),
        ("{a:}", "is not a placeholder"),
        ("{a:int:str}", "is not a placeholder"),
        ("{?}", "is not a placeholder"),
        ("{a??}", "is not a placeholder"),
        ("{a：int}", "is not a placeholder"),
        ("{ä}", "is not a placeholder"),
        ("{a:integer}", "unknown converter 'integer' in {a:integer}: did you mean 'int'? there are base64, base64url"),
        ("{a:xyz}", "unknown converter 'xyz' in {a:xyz}: there are base64, base64url, epoch"),
        ("x{null}", "{null} stands alone"),
        ("x{absent}", "{absent} stands alone"),
        ("{null?}", "{null} stands alone"),
        ([b"x"], "a value of type bytes"),
        (float("nan"), "the number nan"),
    ],
)
def test_a_template_that_cannot_be(template: Any, reason: str) -> None:
    with pytest.raises(TemplateError) as error:
        compile(template)
    assert reason in str(error.value)


def test_where_a_bad_placeholder_stands() -> None:
    with pytest.raises(TemplateError) as error:
        compile({"a": [{}, {"b": "{"}]})
    assert error.value.path[::-1] == ["a", "1", "b"]


def test_side_by_side_where_nothing_is_read_back() -> None:
    assert compile("{a}{b}{c?}", adjacent=True).render({"a": "x", "b": 1, "c": ""}) == "x1"


def test_depth_is_bounded() -> None:
    nested: Any = "{a}"
    for _ in range(MAX_DEPTH):
        nested = [nested]
    assert compile(nested).render({"a": 1})
    with pytest.raises(TemplateError, match="within one another"):
        compile([nested])


# --- hostile documents ------------------------------------------------------------------------------------------------

MEBIBYTE = 1 << 20


def seconds_for(template: Any, document: Any) -> float:
    compiled = compile(template)
    begun = time.process_time()
    with contextlib.suppress(Mismatch):
        match(compiled, document)
    return time.process_time() - begun


@pytest.mark.parametrize(
    ("template", "piece"),
    [
        ("{a}x{b}x{c}x{d}y", "x"),
        ("{a}aab{b}aab{c}", "aa"),
        ('{_}name="csrf" value="{csrf}"{_}', 'name="csrf" value='),
        ("{_}" + "".join(f"{'ab' * n}a{{h{n}}}" for n in range(1, 20)), "ab"),
        ("{a:int}", "9"),
        ("{a:epoch}", "9."),
        ("{a:iso8601}", "2026-"),
        ("{a:http_date}", "Mon, 01 "),
        ("{a:base64}", "===="),
        ("{a:jwt}", "eyJ.e30."),
        ("{a:ms}", "  "),
        ({"a": ["{x}", "{x}"]}, "x"),
    ],
)
def test_the_time_grows_with_the_document_and_no_faster(template: Any, piece: str) -> None:
    """Eight times the document may not take much more than eight times as long; and a mebibyte is a matter of
    milliseconds, so that the bound is far from any machine's noise.
    """
    small, large = (piece * (size // len(piece)) for size in (MEBIBYTE // 8, MEBIBYTE))
    documents = [text if isinstance(template, str) else {"a": [text, text]} for text in (small, large)]
    least = min(seconds_for(template, documents[0]) for _ in range(3))
    most = min(seconds_for(template, documents[1]) for _ in range(3))
    assert most < max(0.1, 20 * least)


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["9" * 5000, "1e999", "..", "a.b.c", *JWTS]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abcdefgh") | st.text(max_size=3), inner),
    max_leaves=20,
)


@given(filled(), HOSTILE)
def test_any_document_fits_or_mismatches(pair: tuple[Any, dict[str, Any]], document: Any) -> None:
    compiled = compile(pair[0])
    found: dict[str, Any] = {}
    try:
        compiled.match(document, found)
    except Mismatch as mismatch:
        assert str(mismatch)  # noqa: PT017
    else:
        assert found.keys() <= {placeholder.name for placeholder in compiled.placeholders()}


@pytest.mark.parametrize("kind", CONVERTERS)
@given(document=HOSTILE)
def test_a_converter_reads_or_mismatches(kind: str, document: Any) -> None:
    with contextlib.suppress(Mismatch):
        match(f"{{a:{kind}}}", document)


def test_two_documents_too_deep_to_compare() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    other: Any = []
    for _ in range(100_000):
        other = [other]
    with pytest.raises(Mismatch, match="two different values"):
        match(["{a}", "{a}"], [deep, other])


@pytest.mark.parametrize(
    ("template", "value", "refused"),
    [
        ("<a>{v}</a>", "R&D", "write {v:xml}"),
        ("<a>{v}</a>", "</a><admin/>", "write {v:xml}"),
        ("<a>{v}</a>", 'it\'s "fine" > so', ""),
        ("<?xml version='1.0'?>\n <a b='{v}'/>", "' c='", "write {v:xml}"),
        ("<a><![CDATA[{v}]]></a>", "<b>&", ""),
        ("<a><![CDATA[{v}]]></a>", "]]><b/>", "write {v:xml}"),
        ("<a>{v:json}</a>", "<b>", "write {v:xml}"),
        ('{{"a": "{v}"}}', '", "admin": "', "write {v:json}"),
        ('{{"a": "{v}"}}', "a\\", "write {v:json}"),
        ('{{"a": "{v}"}}', "plain, {words}", ""),
        ('{{"a": {v}}}', '1, "b": 2', "write {v:json}"),
        ('{{"a": {v}}}', -1.5, ""),
        ("<{v}>; rel=next", "https://a.example/?b=1&c=2", ""),
        ("text {v}", "<a>&", ""),
    ],
)
def test_a_value_keeps_its_place_in_xml_and_json(template: str, value: Any, refused: str) -> None:
    if refused:
        with pytest.raises(Unfit, match=re.escape(refused)) as error:
            render(template, {"v": value})
        assert str(value) not in str(error.value)
    else:
        assert str(value) in render(template, {"v": value})


@pytest.mark.parametrize("value", ["R&D <b>", "]]>", "' onload='", "a\nb"])
def test_with_its_converter_every_value_keeps_its_place(value: str) -> None:
    for template in ("<a>{v:xml}</a>", "<a b='{v:xml}'/>", '{{"a": "{v:json}"}}'):
        assert match(template, render(template, {"v": value})) == {"v": value}
