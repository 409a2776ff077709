"""What a message holds, place by place.

A place says how the notation writes it: `("json", "data", "token")`, `("form", "user")`, `("headers", "x-token")`,
`("cookies", "sid")`, `("query", "key")`, `("basic", "0")`. `before` is the text before the value in its place, such as
`Bearer ` in a header.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from authflow_learn.captures import Capture, Message

Place = tuple[str, ...]
#: Headers that every client sends, and that no login is about.
COMMON: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length", "content-type"}
    | {"cookie", "dnt", "host", "if-modified-since", "if-none-match", "keep-alive", "origin", "pragma", "priority"}
    | {"referer", "te", "upgrade-insecure-requests", "user-agent", "x-requested-with", "range", "expect", "date", "via"}
    | {
        "server",
        "vary",
        "etag",
        "last-modified",
        "set-cookie",
        "location",
        "strict-transport-security",
        "age",
        "alt-svc",
    }
    | {"x-powered-by", "x-frame-options", "x-content-type-options", "content-security-policy", "transfer-encoding"}
)
_SCHEME: Final = re.compile(r"([A-Za-z][\w-]*) +(\S.*)")


class Leaf(NamedTuple):
    """A value in its place. `kind` is the type that a JSON document gave it."""

    place: Place
    value: str
    before: str = ""
    kind: type = str


def of_request(one: Capture) -> list[Leaf]:
    found = [Leaf(("query", name), value) for name, value in parse_qsl(urlsplit(one.url).query, keep_blank_values=True)]
    found += _of_headers(one.request)
    cookies = one.request.header("cookie")
    found += [
        Leaf(("cookies", name.strip()), value.strip())
        for name, equals, value in (part.partition("=") for part in cookies.split(";"))
        if equals
    ]
    return [*found, *_of_body(one.request)]


def of_answer(one: Capture) -> list[Leaf]:
    found = list(_of_headers(one.answer))
    for name, value in one.answer.headers:
        if name == "set-cookie":
            found += _set_cookies(value)
    return [*found, *_of_body(one.answer)]


def _set_cookies(line: str) -> Iterator[Leaf]:
    jar = SimpleCookie()
    try:
        jar.load(line)
    except CookieError:
        return
    for name, morsel in jar.items():
        if morsel.value:
            yield Leaf(("cookies", name), morsel.value)
            if morsel["max-age"]:
                yield Leaf(("max-age", name), morsel["max-age"], kind=int)


def _of_headers(message: Message) -> Iterator[Leaf]:
    for name, value in message.headers:
        if name in COMMON or name.startswith(("sec-", "access-control-", "x-forwarded-", "cf-", "x-amz-cf")):
            continue
        scheme = _SCHEME.fullmatch(value)
        if name == "authorization" and scheme is not None and scheme[1].lower() == "basic":
            yield from _of_basic(scheme[2])
        elif scheme is not None and name in ("authorization", "proxy-authorization"):
            yield Leaf(("headers", name), scheme[2], f"{scheme[1]} ")
        else:
            yield Leaf(("headers", name), value)


def _of_basic(encoded: str) -> Iterator[Leaf]:
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return
    if colon:
        yield Leaf(("basic", "0"), user)
        yield Leaf(("basic", "1"), password)


def _of_body(message: Message) -> Iterator[Leaf]:
    body, kind = message.body.strip(), message.header("content-type").partition(";")[0].strip().lower()
    if not body:
        return
    if kind.endswith("json") or body[0] in "{[":
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return
        yield from _of_json(document, ("json",))
    elif kind == "application/x-www-form-urlencoded" or (not kind and re.fullmatch(r"[^\s<>{}]+=[^\s<>{}]*", body)):
        yield from (Leaf(("form", name), value) for name, value in parse_qsl(body, keep_blank_values=True))
    elif kind.startswith("text/plain") and len(body) <= 4096 and not re.search(r"\s", body):
        yield Leaf(("text",), body)


def _of_json(document: Any, place: Place) -> Iterator[Leaf]:
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _of_json(value, (*place, str(name)))
    elif isinstance(document, str | int | float) and not isinstance(document, bool) and len(place) > 1:
        yield Leaf(place, str(document), kind=type(document))
