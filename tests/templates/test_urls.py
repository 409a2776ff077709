"""URLs: resolution, percent-encoding, and the rewriting of a caller's URL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authflow.templates.converters import CONVERTERS
from authflow.templates.placeholders import Mismatch, TemplateError, Unfit
from authflow.templates.urls import Rewrite, UrlTemplate

BASE = "https://api.example/v1/auth"


def url(text: str) -> UrlTemplate:
    return UrlTemplate.compile(text, CONVERTERS)


def rewrite(source: str, target: str) -> Rewrite:
    return Rewrite(url(source), url(target))


@pytest.mark.parametrize(
    ("template", "values", "rendered"),
    [
        ("login", {}, "https://api.example/v1/auth/login"),
        ("", {}, "https://api.example/v1/auth/"),
        ("./login", {}, "https://api.example/v1/auth/login"),
        ("../tracking/{id}", {"id": 7}, "https://api.example/v1/tracking/7"),
        ("../../../../x", {}, "https://api.example/x"),
        ("/login", {}, "https://api.example/login"),
        ("https://other.example", {}, "https://other.example"),
        ("a/{x}/b", {"x": "s/l?a#s%h ü"}, "https://api.example/v1/auth/a/s%2Fl%3Fa%23s%25h%20%C3%BC/b"),
        ("{x}", {"x": "https://id.example/token?a=1"}, "https://id.example/token?a=1"),
        ("{x}?b={y}", {"x": "https://id.example/token?a=1", "y": "&"}, "https://id.example/token?a=1&b=%26"),
        ("{x}/login", {"x": "https://id.example/realm/"}, "https://id.example/realm/login"),
        ("{x}/login", {"x": "https://id.example/realm"}, "https://id.example/realm/login"),
        ("{x}", {"x": "flow/1"}, "https://api.example/v1/auth/flow/1"),
        ("https://{h}:{p}/x", {"h": "a.example", "p": 8443}, "https://a.example:8443/x"),
        ("https://{h}.a.example/x", {"h": "eu-1"}, "https://eu-1.a.example/x"),
        ("login?user={u}&n=1&x={y?}", {"u": "a b"}, "https://api.example/v1/auth/login?user=a%20b&n=1"),
        ("login?q=%7B{u}%7D", {"u": "x"}, "https://api.example/v1/auth/login?q=%7Bx%7D"),
        ("f-{x}.json", {"x": "."}, "https://api.example/v1/auth/f-..json"),
    ],
)
def test_renders(template: str, values: dict[str, Any], rendered: str) -> None:
    assert url(template).render(values, BASE) == rendered
    assert url(template).render(values, BASE + "/") == rendered
    assert url(template).render(values, BASE + "/?lost=1#too") == rendered


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("a/{x}", {"x": ".."}),
        ("a/{x}", {"x": "."}),
        ("a/{x}", {"x": ""}),
        ("a/.{x}", {"x": "."}),
        ("a/{x}", {"x": []}),
        ("https://{h}/", {"h": "evil.example/"}),
        ("https://{h}/", {"h": "user@evil.example"}),
        ("https://{h}.a.example/", {"h": "evil.example#"}),
        ("https://{h}.a.example/", {"h": "evil\\"}),
        ("{x}", {"x": "https://[broken"}),
        ("a/{x}-{y}", {"x": "1-2", "y": "3"}),
        ("a/{x}", {"x": "\ud800"}),
    ],
)
def test_no_value_gets_out_of_its_place(template: str, values: dict[str, Any]) -> None:
    with pytest.raises((Unfit, UnicodeEncodeError)):
        url(template).render(values, BASE)


@pytest.mark.parametrize(
    "text",
    ["{x?}/a", "a#b", "a?x=1#b", "a b", "a\\b", "a\nb", "//host/a", "a/{x", "a?x={", "a/{x}{y}", "<a>", "a?{x", "\x00"],
)
def test_no_url(text: str) -> None:
    with pytest.raises(TemplateError):
        url(text)


SEGMENT = st.text(min_size=1, max_size=8).filter(lambda text: text.strip(".") and text.isprintable())


@given(SEGMENT, SEGMENT, st.integers(), st.text(max_size=8))
def test_what_is_rendered_is_read_back(one: str, two: str, number: int, query: str) -> None:
    template, values = (
        url("x/{one}/../{two}:{number:int}?q={query}&lit=a%20b"),
        {"two": two, "number": number, "query": query},
    )
    try:
        rendered = template.render({**values, "one": one}, BASE)
    except Unfit as refusal:
        assert "may not contain ':'" in str(refusal)  # noqa: PT017
        return
    found: dict[str, Any] = {}
    template.match(rendered, BASE, {}, found)
    assert found == values


@given(st.sampled_from(["{x:base64}", "~0~{x:base64}", "a{x:base64}b"]), st.text(max_size=8))
def test_a_converter_in_a_path(template: str, value: str) -> None:
    found: dict[str, Any] = {}
    if value or template != "{x:base64}":
        wrapped = url(f"./{template}/z")
        wrapped.match(wrapped.render({"x": value}, BASE), BASE, {}, found)
        assert found == {"x": value}


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_url_fits_or_mismatches(text: str, base: str) -> None:
    for template in ("a/{x}", "{start}/b", "https://{h}/c?d={e}"):
        with pytest.raises(Mismatch):
            url(template).match(text, base, {}, {})


# --- rewrites ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "given_url", "result"),
    [
        (
            "deliveries/{id}",
            "../tracking/{id}",
            "https://api.example/v1/auth/deliveries/42",
            "https://api.example/v1/tracking/42",
        ),
        (
            "deliveries/{id}",
            "../tracking/{id}",
            "HTTPS://API.example/v1/auth/deliveries/4%2F2",
            "https://api.example/v1/tracking/4%2F2",
        ),
        ("a", "b", "https://api.example/v1/auth/a?x=1&y=%20", "https://api.example/v1/auth/b?x=1&y=%20"),
        ("a", "b?z=1", "https://api.example/v1/auth/a?x=1", "https://api.example/v1/auth/b?z=1&x=1"),
        ("a?id={id}", "b/{id}", "https://api.example/v1/auth/a?x=1&id=7", "https://api.example/v1/auth/b/7?x=1"),
        ("a", "https://{host}/b", "https://api.example/v1/auth/a", "https://h.example/b"),
        ("https://{host}/{id}", "x/{id}", "https://h.example/7", "https://api.example/v1/auth/x/7"),
        ("https://{host}/{id}", "x/{id}", "https://evil.example/7", None),
        ("{start}/{id}", "x/{id}", "https://s.example/y/7", "https://api.example/v1/auth/x/7"),
        ("{nowhere}/{id}", "x/{id}", "https://s.example/y/7", None),
        ("a", "b", "https://api.example/v1/auth/a/", None),
        ("a", "b", "https://api.example/v1/auth/A", None),
        ("a", "b", "http://api.example/v1/auth/a", None),
        ("a", "b", "https://api.example:444/v1/auth/a", None),
        ("a/{id}", "b", "https://api.example/v1/auth/a/", None),
        ("a/{id}", "b", "https://api.example/v1/auth/a/1/2", None),
        ("a/{_}/c", "b", "https://api.example/v1/auth/a/1/c", "https://api.example/v1/auth/b"),
        ("a?k=v", "b", "https://api.example/v1/auth/a", None),
        ("a", "b", "https://[broken", None),
        ("a%2Fb", "c", "https://api.example/v1/auth/a%2fb", "https://api.example/v1/auth/c"),
    ],
)
def test_rewrites(source: str, target: str, given_url: str, result: str | None) -> None:
    values = {"host": "h.example", "start": "https://s.example/y"}
    assert rewrite(source, target).apply(given_url, BASE, values) == result


@pytest.mark.parametrize(
    "written",
    ["caf%C3%A9", "caf%E9", "42?q=caf%E9", "42?q=%D6%D0%CE%C4", "42?flag", "42?", "42?a=1+2&&b=%2F", "42?q=a%20b&="],
)
def test_a_rewritten_url_keeps_what_it_does_not_name_byte_for_byte(written: str) -> None:
    moving = rewrite("deliveries/{id}", "../tracking/{id}")
    moved = moving.apply(f"https://a.example/v1/auth/deliveries/{written}", "https://a.example/v1/auth/", {})
    assert moved == f"https://a.example/v1/tracking/{written}"


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("login", None),
        ("https://a.example/x", "https://a.example"),
        ("https://A.example:443", "https://a.example"),
        ("https://a.{x}/y", None),
        ("https://{x}/y", None),
        ("{x}/y", None),
        ("go/https://a.example/x", None),
        ("https://a.example/{x}", "https://a.example"),
    ],
)
def test_the_origin_that_it_says(text: str, origin: str | None) -> None:
    assert url(text).literal_origin() == origin


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("https://bot.example/getMe?x=%E9&f", "https://bot.example/botT%2F1/getMe?x=%E9&f"),
        ("https://bot.example/", "https://bot.example/botT%2F1/"),
        ("https://bot.example/a//b%20c/%2Fd;e", "https://bot.example/botT%2F1/a//b%20c/%2Fd;e"),
        ("https://bot.example//other.example/x", "https://bot.example/botT%2F1//other.example/x"),
        ("https://bot.example/a/../b", None),
        ("https://bot.example/a/%2e%2E/b", None),
        ("https://bot.example/a/..%2fb", None),
        ("https://bot.example/a/..;x/b", None),
        ("https://other.example/a", None),
    ],
)
def test_the_rest_of_a_path_stays_as_it_is_written(asked: str, sent: str | None) -> None:
    into_the_path = rewrite("./{rest:path}", "./bot{token}/{rest:path}")
    assert into_the_path.apply(asked, "https://bot.example/", {"token": "T/1"}) == sent


def test_the_rest_of_a_path_is_no_host() -> None:
    assert rewrite("./{rest:path}", "/{rest:path}").apply(
        "https://a.example/q//evil.example", "https://a.example/q", {}
    ) == ("https://a.example//evil.example")


@pytest.mark.parametrize(
    "template", ["{rest:path}", "a{rest:path}", "{rest:path}/a", "a/{rest:path}-{b}", "https://{h:path}"]
)
def test_the_rest_of_a_path_stands_last(template: str) -> None:
    with pytest.raises(TemplateError, match="the rest of a path"):
        url(template)


def test_a_flag_has_no_equals_sign() -> None:
    template = url("token?refresh&a=&b={b}&c")
    assert template.render({"b": "1 2"}, BASE) == "https://api.example/v1/auth/token?refresh&a=&b=1%202&c"
    found: dict[str, Any] = {}
    template.match("https://api.example/v1/auth/token?refresh&a=&b=3&c", BASE, {}, found)
    assert found == {"b": "3"}
    with pytest.raises(Mismatch):
        template.match("https://api.example/v1/auth/token?a=&b=3&c", BASE, {}, {})
