"""What is presented, laid over a caller's query and body: what is ours, and that all else stays byte for byte."""

from __future__ import annotations

from typing import Any

import pytest

from authflow.http import Left, Presentation
from authflow.merging import merge_body, merge_query, without_parts

FORM = "application/x-www-form-urlencoded"
MULTI = "multipart/form-data; boundary=xyz"
PARTS = (
    b'--xyz\r\nContent-Disposition: form-data; name="t"\r\n\r\nold\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="t"\r\n\r\n\x00\xff\r\n--xyz--\r\n'
)
TOKEN = b'--xyz\r\nContent-Disposition: form-data; name="t"\r\n\r\nnew\r\n'


def presented(**parts: Any) -> Presentation:
    return Presentation(**{name: tuple(value.items()) if name != "json" else value for name, value in parts.items()})


@pytest.mark.parametrize(
    ("url", "merged"),
    [
        ("https://a.example/x", "https://a.example/x?t=new"),
        ("https://a.example/x?a=%E9&flag&b=+&t=old&c=", "https://a.example/x?a=%E9&flag&b=+&c=&t=new"),
        ("https://a.example/x?t=1&%74=2&T=3", "https://a.example/x?T=3&t=new"),
        ("https://a.example/x?t", "https://a.example/x?t=new"),
        ("https://a.example/x?b=%2F+&&a=1;2", "https://a.example/x?b=%2F+&&a=1;2&t=new"),
    ],
)
def test_a_parameter_of_the_same_name_is_replaced(url: str, merged: str) -> None:
    assert merge_query(url, (("t", "new"),)) == merged


@pytest.mark.parametrize(
    ("kind", "body", "parts", "merged"),
    [
        ("application/json", b'{"a": 1}', {"json": {"auth": "t"}}, b'{"a":1,"auth":"t"}'),
        ("application/json; charset=utf-8", None, {"json": {"auth": "t"}}, b'{"auth":"t"}'),
        ("application/problem+json", b'{"p": {"a": 1, "b": 2}}', {"json": {"p": {"a": 3}}}, b'{"p":{"a":3,"b":2}}'),
        ("application/json", b'{"p": ["", "x", {}]}', {"json": {"p": ["t"]}}, b'{"p":["t","x",{}]}'),
        ("application/json", b'{"p": [1, 2, 3]}', {"json": {"p": [Left.LEFT, "t"]}}, b'{"p":[1,"t",3]}'),
        ("application/json", b'{"p": [1]}', {"json": {"p": [Left.LEFT, {"t": "t"}]}}, b'{"p":[1,{"t":"t"}]}'),
        (
            "application/json",
            b'{"p": [1, {"a": 2}]}',
            {"json": {"p": [Left.LEFT, {"t": 3}]}},
            b'{"p":[1,{"a":2,"t":3}]}',
        ),
        ("application/json", b"{}", {"json": {"p": ["t"]}}, b'{"p":["t"]}'),
        ("application/json", b'{"p": null}', {"json": {"p": {"t": 1}}}, b'{"p":{"t":1}}'),
        (FORM, b"a=%E9&t=old&b=+&%74=2&c", {"form": {"t": "new"}}, b"a=%E9&b=+&c&t=new"),
        ("", None, {"form": {"t": "n w"}}, b"t=n+w"),
        (MULTI, PARTS, {"form": {"t": "new"}}, TOKEN + PARTS.partition(b"old\r\n")[2]),
        ('multipart/form-data; boundary="xyz"', PARTS, {"form": {"u": "new"}}, TOKEN.replace(b'"t"', b'"u"') + PARTS),
        ("text/xml", b"<a>@T@</a><b>@T@</b>", {"text": {"@T@": "t"}}, b"<a>t</a><b>t</b>"),
        (
            "text/xml; charset=utf-16-le",
            "<a>@T@</a>".encode("utf-16-le"),
            {"text": {"@T@": "ü"}},
            "<a>ü</a>".encode("utf-16-le"),
        ),
        ("text/xml", None, {"text": {"@T@": "t"}}, None),
        ("", b"@T@ \xff", {"text": {"@T@": "t"}}, b"t \xff"),
    ],
)
def test_what_is_presented_is_laid_over_a_body(kind: str, body: bytes | None, parts: Any, merged: bytes | None) -> None:
    assert merge_body(kind, body, presented(**parts))[1] == merged


@pytest.mark.parametrize(
    ("kind", "body", "parts", "reason"),
    [
        ("text/plain", b"", {"json": {"a": 1}}, "is text/plain"),
        ("application/json", b"[1]", {"json": {"a": 1}}, "is another value"),
        ("application/json", b"{", {"json": {"a": 1}}, "is no JSON"),
        ("application/json", b'{"p": {"named": 1}}', {"json": {"p": ["t"]}}, "inside p"),
        ("application/json", b'{"p": "text"}', {"json": {"p": {"t": 1}}}, "inside p"),
        ("application/json", b'{"p": []}', {"json": {"p": [Left.LEFT, "t"]}}, "too few"),
        ("application/json", b"{}", {"json": {"p": [Left.LEFT, "t"]}}, "too few"),
        ("application/json", b"{}", {"form": {"a": "1"}}, "is application/json"),
        ("multipart/form-data", PARTS, {"form": {"a": "1"}}, "no boundary"),
        ("text/xml", b"<a/>", {"text": {"@T@": "t"}}, "where '@T@' stands"),
        ("text/xml; charset=ascii", b"@T@", {"text": {"@T@": "ü"}}, "character set"),
        ("text/xml; charset=none", b"@T@", {"text": {"@T@": "t"}}, "character set"),
    ],
)
def test_a_body_that_cannot_take_it(kind: str, body: bytes, parts: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        merge_body(kind, body, presented(**parts))


@pytest.mark.parametrize(
    ("echoed", "left"),
    [
        ("http://f/x?a=1&k=t0k%3D%2F%2B&b=2", "http://f/x?a=1&b=2"),
        ("http://f/x?k=t0k%3D/%2B&b=2", "http://f/x?b=2"),
        ("http://f/x?k=t0k=/+", "http://f/x"),
        ("http://f/x?%6b=t0k%3d%2f%2b#z", "http://f/x#z"),
        ("http://f/x#k=t0k%3D%2F%2B", "http://f/x"),
        ("http://f/x?a=1&amp;k=t0k%3D%2F%2B", "http://f/x?a=1&amp"),
        ("http://f/x?k=t0k%3D%2F%2B&k=t0k%3D%2F%2B&flag", "http://f/x"),
        ("http://f/?next=%2Fd%3Fa%3D1%26k%3Dt0k%253D%252F%252B", "http://f/?next=%2Fd%3Fa%3D1"),
        ("http://f/?next=/d?k=t0k%3D%2F%2B&b=1", "http://f/?next=/d?b=1"),
        ("http://f/?next=/d?a%3D1%26k%3Dt0k%253D%252F%252B", "http://f/?next=/d?a%3D1"),
        (
            "http://f/?u=http%3A%2F%2Fa%2F%3Fv%3D%252Fb%253Fk%253Dt0k%25253D%25252F%25252B%2526z%253D1",
            "http://f/?u=http%3A%2F%2Fa%2F%3Fv%3D%252Fb%253Fz%253D1",
        ),
        *((url, url) for url in ("http://f/x;v=1?a=%E9;b=+&c#d?e", "http://f/x?", "http://f/k=1?flag=1&kk=t0k")),
    ],
)
def test_what_a_redirect_echoes_is_taken_out(echoed: str, left: str) -> None:
    """However it is escaped, and out of a URL in a parameter too; all else stays as it is, byte for byte."""
    assert without_parts(echoed, ["k=t0k%3D%2F%2B", "flag"]) == left
