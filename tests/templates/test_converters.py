"""Converters: what they read, however it is spelled, and what they refuse. Their law is in test_documents."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from authflow.templates.converters import CONVERTERS, jwt_claims, number


@pytest.mark.parametrize(
    ("kind", "document", "value"),
    [
        ("int", "3600", 3600),
        ("int", " 3600 ", 3600),
        ("int", "3600.0", 3600),
        ("int", 3.6e3, 3600),
        ("int", "-1", -1),
        ("str", 5, "5"),
        ("str", 1.5, "1.5"),
        ("ms", 2985, 2.985),
        ("ms", "3000", 3),
        ("epoch", "1700000000.25", 1700000000.25),
        ("epoch_ms", 1700000000123, 1700000000.123),
        ("iso8601", "1970-01-01T00:01:00Z", 60),
        ("iso8601", "1970-01-01T00:01:00.500000Z", 60.5),
        ("iso8601", "1970-01-01T00:01:00.123456789z", 60.123456),
        ("iso8601", "1970-01-01 01:01:00 +01:00", 60),
        ("iso8601", "1970-01-01T01:01:00+0100", 60),
        ("iso8601", "1970-01-01T00:01:00", 60),
        ("iso8601", "1970-01-01 00:01:00 UTC", 60),
        ("iso8601", "1970-01-02", 86400),
        ("http_date", "Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("http_date", "Sun, 06 Nov 1994 08:49:37 UTC", 784111777),
        ("http_date", "Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("http_date", "Sun Nov  6 08:49:37 1994", 784111777),
        ("http_date", "Sun, 06-Nov-1994 08:49:37 GMT", 784111777),
        ("http_date", "Sun, 06 Nov 1994 09:49:37 +0100", 784111777),
        ("base64", "YTpi", "a:b"),
        ("base64", "w6TDtg", "äö"),
        ("base64", "Pz8_Pj4-", "???>>>"),
        ("base64", "YTpi\r\nYTpi\n", "a:ba:b"),
        ("base64url", "Pz8_Pj4-", "???>>>"),
        ("hex", "613A62", "a:b"),
        ("minutes", 30, 1800),
        ("minutes", "1.5", 90),
        ("time", "1970-01-01T00:01:00Z", 60),
        ("time", 1700000000, 1700000000),
        ("time", "1700000000250", 1700000000.25),
        ("xml", "a &lt;b&gt; &amp; &quot;c&apos;", "a <b> & \"c'"),
        ("xml", "&amp;lt;", "&lt;"),
        ("xml", "<![CDATA[a&b]]>", "a&b"),
        ("xml", "&#228;&#xe4;&#10;", "ää\n"),
        ("json", 'a \\"b\\" \\u00e4\\n', 'a "b" ä\n'),
        ("word", "abc", "abc"),
        ("token", 7, "7"),
    ],
)
def test_reads(kind: str, document: Any, value: Any) -> None:
    assert CONVERTERS[kind].read(document) == value


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        *[
            ("int", document)
            for document in ("", "x", "1_000", "1.5", 1.5, True, None, [], "9" * 5000, "٣", "0x10", "1e999")
        ],
        *[("epoch", document) for document in ("nan", "inf", float("inf"), "1e400", "--1", ".")],
        ("ms", False),
        ("ms", "soon"),
        ("ms", {}),
        *[("str", document) for document in (True, None, [], {})],
        *[
            ("iso8601", document)
            for document in (0, "", "now", "2026-13-01", "24:00", "Z", "9999-12-31T23:59:59-23:59x")
        ],
        *[
            ("http_date", document)
            for document in (
                0,
                "",
                "tomorrow",
                "Sun, 99 Nov 1994 08:49:37 GMT",
                "Sun, 06 Nov 99999 08:49:37 GMT",
                "1 Jan 2020 00:00:00 +9999",
            )
        ],
        *[(kind, document) for kind in ("word", "token") for document in ("", "two words", "a\n", None, ["a"])],
        *[("time", document) for document in ("", "soon", True, None, "nan")],
        *[("hex", document) for document in ("abc", "zz", "", "ff", None)],
        *[("json", document) for document in ('"', "\\", "\\ud800", "\n", '", "admin": "', None)],
        ("minutes", "half an hour"),
        *[("base64", document) for document in (0, "a", "!!!!", "/w==")],
        *[("jwt", document) for document in (0, "", "a.b.c", "eyJ.e30.", ".".join("x" * 1000 for _ in range(3)))],
    ],
)
def test_refuses(kind: str, document: Any) -> None:
    with pytest.raises((ValueError, OverflowError)):
        CONVERTERS[kind].read(document)


@pytest.mark.parametrize(
    ("kind", "value", "document"),
    [
        ("minutes", 1800, 30),
        ("time", 60, 60),
        ("base64url", "???>>>", "Pz8_Pj4-"),
        ("base64url", "a", "YQ"),
        ("hex", "a:b", "613a62"),
        ("xml", "</p><admin>'\"&", "&lt;/p&gt;&lt;admin&gt;&apos;&quot;&amp;"),
        ("json", '", "admin": true', '\\", \\"admin\\": true'),
        ("word", "abc", "abc"),
    ],
)
def test_writes(kind: str, value: Any, document: Any) -> None:
    assert CONVERTERS[kind].write(value) == document


@pytest.mark.parametrize("kind", ["word", "token"])
def test_two_words_are_not_written_as_one(kind: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        CONVERTERS[kind].write("two words")


def test_claims_are_read_without_a_key() -> None:
    token = jwt.encode({"exp": 1}, "k" * 32)
    assert jwt_claims(token) == {"exp": 1}
    assert CONVERTERS["jwt"].read(token) == token


def test_a_number_is_whole_where_it_can_be() -> None:
    assert [(number(value), type(number(value))) for value in ("5", 5.0, "5.5")] == [(5, int), (5, int), (5.5, float)]
