"""What a message holds, place by place.

A place says how the notation writes it: `("json", "data", "token")`, `("form", "user")`, `("headers", "x-token")`,
`("cookies", "sid")`, `("query", "key")`, `("basic", "0")`, `("challenge", "nonce")`, `("path",)`, `("text",)`. The text
in a place may hold several values, each a leaf with its span: `Bearer x` in a header, JSON in a form's field, XML.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from authflow.http import Answer
from authflow_learn.messages import Capture, Message

Place = tuple[str | int, ...]
#: Headers that every client or server sends, and that no login is about.
COMMON: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "connection", "content-length", "content-type"}
    | {"cookie", "dnt", "host", "if-modified-since", "if-none-match", "keep-alive", "origin", "pragma", "priority"}
    | {"referer", "te", "upgrade-insecure-requests", "user-agent", "range", "expect", "date", "via", "forwarded"}
    | {
        "server",
        "vary",
        "etag",
        "last-modified",
        "set-cookie",
        "strict-transport-security",
        "age",
        "alt-svc",
        "baggage",
    }
    | {"x-powered-by", "x-frame-options", "x-content-type-options", "content-security-policy", "transfer-encoding"}
    | {"traceparent", "tracestate", "sentry-trace", "newrelic", "x-request-id", "x-correlation-id", "x-trace-id"}
    | {"proxy-connection", "purpose", "save-data", "downlink", "rtt", "ect", "www-authenticate", "report-to", "nel"}
)
_PREFIXES: Final = ("sec-", "access-control-", "x-forwarded-", "cf-", "x-amz-cf", "x-datadog-", "x-b3-", "x-ratelimit")
#: Cookies of those who count visitors and spread load.
NOISY_COOKIE: Final = re.compile(
    r"_ga|_gid|_gcl|_gat|_fb|__utm|utm|amp_|amplitude|ajs_|mp_|_hj|hubspot|__hs|intercom|optimizely|__cf|cf_|awsalb"
    r"|incap|visid|arraffinity|bigip|datadome|optanon|cookie_?consent|consent|_clck|_clsk|_pk_|__stripe|_dd_s|ab_|exp_|lang|locale|theme",
    re.I,
)
_SCHEME: Final = re.compile(r"([A-Za-z][\w-]*) +(\S.*)")
_QUOTED: Final = re.compile(r'([\w-]+)="?([^",\s]{6,})"?')
#: In a text that is no JSON: an element's text, a hidden field, any attribute, a member of a script's object.
_TAGGED: Final = (
    re.compile(r"<([\w:.-]+)(?:\s[^<>]*)?>([^<>]+)</\1\s*>"),
    re.compile(r"""<(?:input|meta)\b[^<>]*?\bname=["']([^"'<>]+)["'][^<>]*?\b(?:value|content)=["']([^"'<>]+)["']"""),
    re.compile(r"""\b([A-Za-z][\w:.-]*)=["']([^"'<>]+)["']"""),
    re.compile(r'"([A-Za-z]\w*)"\s*:\s*"([^"\\]{6,})"'),
)
#: In a text without tags: `sid=…` and `sid: …`, a line each.
_LINE: Final = re.compile(r"^([A-Za-z][\w.-]*)(?:=| ?: ?)(\S+)\r?$", re.M)
#: What says the name of the value behind it: a member of XML-RPC's, a key of a property list.
_NAMED: Final = re.compile(r"<(name|key)>\s*([\w.-]+)\s*</\1>\s*(?:<value>\s*)?\Z")
_PART: Final = re.compile(r'\bname="([^"]+)"(?:\r?\n[\w-]+:[^\r\n]*)*\r?\n\r?\n([^\r\n]+)')
_JSON_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Leaf(NamedTuple):
    """A value in its place: `text[start:end]` spells it, as `converter` reads; `kind` is its type in JSON."""

    place: Place
    name: str
    value: str
    text: str
    start: int
    end: int
    converter: str = ""
    kind: type = str

    @property
    def before(self) -> str:
        return self.text[: self.start]

    @property
    def whole(self) -> bool:
        return (self.start, self.end) == (0, len(self.text))


def _whole(place: Place, name: str, text: str, value: str | None = None, converter: str = "") -> Leaf:
    return Leaf(place, name, text if value is None else value, text, 0, len(text), converter)


def of_request(one: Capture) -> list[Leaf]:
    """All that a request carries."""
    parts = urlsplit(one.url)
    found = list(_of_path(parts.path))
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        found += _within(("query", name), name, value)
    found += _of_headers(one.request)
    for part in one.request.header("cookie").split(";"):
        name, equals, value = part.strip().partition("=")
        if equals and value and not NOISY_COOKIE.match(name):
            found.append(_whole(("cookies", name), name, value))
    return [*found, *_of_body(one.request)]


def of_answer(one: Capture) -> list[Leaf]:
    """All that an answer brings."""
    found = list(_of_headers(one.answer))
    for name, value in one.answer.headers:
        if name == "set-cookie":
            found += _set_cookie(value)
        elif name == "location":
            found += _of_location(value)
        elif name == "www-authenticate":
            for challenge in Answer(401, (("WWW-Authenticate", value),)).challenges:
                scheme = challenge.get("scheme", "")
                found += [_whole(("challenge", scheme, key), key, said) for key, said in challenge.items() if said]
    return [*found, *_of_body(one.answer)]


def _of_path(path: str) -> Iterator[Leaf]:
    """Segments, and what stands in them behind a few letters (`/bot123:abc/`)."""
    at = 0
    for segment in path.split("/"):
        for skip in range(6 if len(segment) > 12 else 1):
            if skip < len(segment) and re.fullmatch(r"[A-Za-z_-]*", segment[:skip]):
                yield Leaf(("path",), "", unquote(segment[skip:]), path, at + skip, at + len(segment))
        at += len(segment) + 1


def _of_location(location: str) -> Iterator[Leaf]:
    for found in re.finditer(r"[?&#]([\w.-]+)=([^&#]+)", location):
        if unquote(found[2]) == found[2]:
            yield Leaf(("headers", "location"), found[1], found[2], location, *found.span(2))


def _set_cookie(line: str) -> Iterator[Leaf]:
    pair, *attributes = line.split(";")
    name, _, value = (part.strip() for part in pair.partition("="))
    if not value or NOISY_COOKIE.match(name):
        return
    yield _whole(("cookies", name), name, value)
    for attribute in attributes:
        key, _, age = (part.strip() for part in attribute.partition("="))
        if key.lower() == "max-age" and age.isdecimal():
            yield Leaf(("max-age", name), name, age, age, 0, len(age), kind=int)


def _of_headers(message: Message) -> Iterator[Leaf]:
    for name, value in message.headers:
        if not looked_at(name):
            continue
        place: Place = ("headers", name)
        scheme = _SCHEME.fullmatch(value)
        if name == "authorization" and scheme is not None and scheme[1].lower() == "basic":
            yield from _of_basic(scheme[2])
        elif scheme is not None and name in ("authorization", "proxy-authorization", "x-authorization"):
            quoted = [Leaf(place, one[1], one[2], value, *one.span(2)) for one in _QUOTED.finditer(value)]
            yield from quoted or [Leaf(place, name, scheme[2], value, *scheme.span(2))]
        else:
            yield from _within(place, name, value)


def looked_at(header: str) -> bool:
    """Is it a header that a login may be about?"""
    return header not in COMMON and header != "location" and not header.startswith(_PREFIXES)


def _of_basic(encoded: str) -> Iterator[Leaf]:
    decoded = unbase64(encoded)
    user, colon, password = (decoded or "").partition(":")
    if colon:
        yield _whole(("basic", "0"), "username", user)
        yield _whole(("basic", "1"), "password", password)


def _of_body(message: Message) -> Iterator[Leaf]:
    body, kind = message.body.strip(), message.header("content-type").partition(";")[0].strip().lower()
    if not body:
        return
    if kind.endswith("json") or body[0] in "{[":
        document = parsed(body)
        if document is not None:
            yield from _of_json(document, ("json",))
            return
    if is_form(message):
        for name, value in parse_qsl(body, keep_blank_values=True):
            yield from _within(("form", name), name, value)
    elif kind == "multipart/form-data":
        yield from (Leaf(("text",), one[1], one[2], message.body, *one.span(2)) for one in _PART.finditer(message.body))
    elif len(body) <= 4096 and not re.search(r"[\s<]", body):
        yield _whole(("text",), "", message.body.strip("\r\n"))
    else:
        yield from _of_markup(("text",), message.body)


def is_form(message: Message) -> bool:
    kind = message.header("content-type").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded" or (
        not kind and re.fullmatch(r"[^\s<>{}]+=[^\s<>{}]*", message.body.strip()) is not None
    )


def _of_json(document: Any, place: Place) -> Iterator[Leaf]:
    if isinstance(document, dict | list):
        pairs = document.items() if isinstance(document, dict) else enumerate(document[:50])
        for name, value in pairs:
            yield from _of_json(value, (*place, name))
    elif isinstance(document, str):
        yield from _within(place, _field(place), document)
    elif isinstance(document, int | float) and not isinstance(document, bool):
        text = str(document)
        yield Leaf(place, _field(place), text, text, 0, len(text), kind=type(document))


def _field(place: Place) -> str:
    return next((part for part in reversed(place) if isinstance(part, str)), "")


def _within(place: Place, name: str, text: str) -> Iterator[Leaf]:
    """A whole value, and what it holds if it is JSON, XML or base64."""
    yield _whole(place, name, text)
    if len(text) < 8:
        return
    if text[0] in "{[" and (document := parsed(text)) is not None:
        names = {leaf.value: leaf.name for leaf in _of_json(document, ("json",))}
        for found in _JSON_STRING.finditer(text):
            value = parsed(found[0])
            if value in names:
                yield Leaf(place, names[value], value, text, *found.span(1), "json")
    elif text[0] == "<":
        yield from _of_markup(place, text)
    elif (inner := unbase64(text)) is not None:
        yield _whole(place, name, text, inner, "base64")


def _of_markup(place: Place, text: str) -> Iterator[Leaf]:
    seen: set[tuple[int, int]] = set()
    for pattern in _TAGGED:
        for found in pattern.finditer(text):
            start = found.start(2) + len(found[2]) - len(found[2].lstrip())
            value = html.unescape(found[2].strip())
            if value and (start, start) not in seen:
                seen.add((start, start))
                name = named[2] if (named := _NAMED.search(text, *_behind(found.start()))) else found[1]
                yield Leaf(place, name.rpartition(":")[2], value, text, start, start + len(found[2].strip()), "xml")
    for found in _LINE.finditer(text) if "<" not in text else ():
        yield Leaf(place, found[1], found[2], text, *found.span(2))


def opening(leaf: Leaf) -> str:
    """A value in markup, with what says its name."""
    at = max(leaf.text.rfind("<", 0, leaf.start), leaf.text.rfind("\n", 0, leaf.start), 0)
    named = _NAMED.search(leaf.text, *_behind(at))
    return leaf.text[named.start() if named else at : leaf.end]


def _behind(at: int) -> tuple[int, int]:
    return max(at - 200, 0), at


def parsed(text: str) -> Any:
    """The JSON that a text is; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def unbase64(text: str) -> str | None:
    """The plain text inside base64, if it is some."""
    if not re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", text) or len(text) % 4:
        return None
    try:
        decoded = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded if decoded.isprintable() else None
