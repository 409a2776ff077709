"""Requests as two-way templates: what an exchange sends, and what a state lays over a caller's own request.

A template renders a `Request` and can match one, so that a vendor file can be simulated, and a caller's request
recognised as public.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from authflow.http import NOTHING, Answer, Left, Pairs, Presentation, Request, add_query, form_quote, header_value
from authflow.templates import documents as t
from authflow.templates.bodies import match_body, render_body
from authflow.templates.converters import CONVERTERS
from authflow.templates.documents import Object, Template
from authflow.templates.fields import Fields, by_name, match_fields, render_fields
from authflow.templates.placeholders import Lookup, Mismatch, Placeholder, Unfit
from authflow.templates.urls import UrlTemplate

#: Known where a request is at hand.
ITSELF: Final = "request.method"


@dataclass(frozen=True, slots=True)
class Sign:
    """What signs a request: the name of a signer, and its parameters."""

    name: str
    parameters: Template


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What an exchange sends. `method` may be None in a pattern only, where it fits any; so may `url`."""

    method: str | None
    url: UrlTemplate | None
    query: Fields = ()
    headers: Fields = ()
    cookies: Fields = ()
    json: Template | None = None
    form: Fields | None = None
    text: Template | None = None
    basic: tuple[Template, Template] | None = None
    client_basic: tuple[Template, Template] | None = None
    sign: Sign | None = None
    #: The same without what hangs on the request itself, if anything does.
    first: RequestTemplate | None = None

    def placeholders(self) -> Iterator[Placeholder]:
        yield from self.url_placeholders()
        for _, item in (*self.headers, *self.cookies, *(self.form or ())):
            yield from item.placeholders()
        for part in (self.json, self.text, *(self.basic or ()), *(self.client_basic or ())):
            if part is not None:
                yield from part.placeholders()
        yield from _of_signature(self.sign)

    def url_placeholders(self) -> Iterator[Placeholder]:
        """The placeholders that end up in the URL."""
        if self.url:
            yield from self.url.placeholders()
        for _, item in self.query:
            yield from item.placeholders()

    def render(self, values: Lookup, base_url: str) -> Request:
        """The request; as long as it is not known itself, without what hangs on it. Raises Unbound, Unfit."""
        if self.first is not None and values.get(ITSELF) is None:
            return self.first.render(values, base_url)
        assert self.url is not None
        try:
            headers = list(render_headers(self.headers, values))
            if cookies := render_fields(self.cookies, values):
                _replace(headers, "Cookie", _cookie_line(cookies))
            for pair, encode in ((self.basic, str), (self.client_basic, form_quote)):
                if pair is not None and (line := _basic(pair, values, encode)) is not None:
                    _replace(headers, "Authorization", line)
            body, kind = render_body(values, self.json, self.form, self.text)
            if body is not None and not any(name.lower() == "content-type" for name, _ in headers):
                headers.append(("Content-Type", kind))
            url = add_query(self.url.render(values, base_url), render_fields(self.query, values))
        except UnicodeError as error:
            raise Unfit("a value holds half a character, which cannot be encoded") from error
        return Request(self.method or ("GET" if body is None else "POST"), url, tuple(headers), body)

    def complete(self, request: Request, values: Lookup, base_url: str) -> Request:
        """A request as `first` renders it, or the hop of one, with what hangs on it. Raises Unbound, Unfit."""
        if self.first is None:
            return request
        whole = self.render(values, base_url)
        if request.method != whole.method:
            whole = whole.replace(headers=without_body(whole.headers), body=None)
        fields = tuple(field for field in self.query if field not in self.first.query)
        url = add_query(request.url, render_fields(fields, values))
        return whole.replace(method=request.method, url=url)

    def match(self, request: Request, base_url: str, known: Lookup) -> dict[str, Any]:
        """The values that a request carries. Raises Mismatch."""
        found: dict[str, Any] = {}
        if self.method is not None and request.method.upper() != self.method:
            raise Mismatch("another method")
        if self.url is not None:
            self.url.match(request.url, base_url, known, found)
        seen = Answer(0, request.headers, request.body or b"")
        match_fields(self.query, by_name(tuple(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))), found)
        match_fields(self.headers, seen.all, found)
        if self.cookies:
            pairs = (pair.strip().partition("=") for line in seen.all("cookie") for pair in line.split(";"))
            match_fields(self.cookies, by_name(tuple((name, value) for name, _, value in pairs)), found)
        for pair, decode in ((self.basic, str), (self.client_basic, unquote_plus)):
            if pair is not None:
                _match_basic(pair, seen.all("authorization"), decode, found)
        match_body(seen, self.json, self.form, self.text, found)
        return found


def without_body(headers: Pairs) -> Pairs:
    """The headers of a request that has become a GET (RFC 9110 §15.4)."""
    return tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))


def _of_signature(sign: Sign | None) -> Iterator[Placeholder]:
    return sign.parameters.placeholders() if sign is not None else iter(())


def render_headers(fields: Fields, values: Lookup) -> Pairs:
    pairs = []
    for name, value in render_fields(fields, values):
        try:
            pairs.append((name, header_value(name, value)))
        except ValueError as error:
            raise Unfit(str(error)) from None
    return tuple(pairs)


def _replace(headers: list[tuple[str, str]], name: str, value: str) -> None:
    headers[:] = [*(pair for pair in headers if pair[0].lower() != name.lower()), (name, value)]


def _cookie_line(cookies: Pairs) -> str:
    if any(re.search(r"[\x00-\x1f;\x7f]|^ | $", value) or not value.isascii() for _, value in cookies):
        raise Unfit(
            "a cookie's value holds a semicolon, a control character, or one that is not ASCII, or ends in a blank"
        )
    return "; ".join(f"{name}={value}" for name, value in cookies)


def _basic(pair: tuple[Template, Template], values: Lookup, encode: Callable[[str], str]) -> str | None:
    rendered = [part.render(values) for part in pair]
    if t.ABSENT in rendered:
        return None
    user, password = (encode(str(text)) for text in rendered)
    if ":" in user:
        raise Unfit("a user name for HTTP Basic may not contain a colon (RFC 7617 §2)")
    return "Basic " + str(CONVERTERS["base64"].write(f"{user}:{password}"))


def _match_basic(
    pair: tuple[Template, Template], lines: list[str], decode: Callable[[str], str], found: dict[str, Any]
) -> None:
    if not lines and any(placeholder.optional for part in pair for placeholder in part.placeholders()):
        return
    scheme, _, token = (lines or [""])[0].partition(" ")
    try:
        user, colon, password = str(CONVERTERS["base64"].read(token)).partition(":")
    except ValueError:
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise Mismatch("no HTTP Basic credentials")
    pair[0].match(decode(user), found)
    pair[1].match(decode(password), found)


Part = TypeVar("Part", "RequestTemplate", "Present")


def apart(part: Part, names: Container[str]) -> Part | None:
    """The same without what hangs on these names; None if nothing does."""
    kinds = ("query", "headers", "cookies", "json", "form", "text", "basic", "client_basic")
    found = {kind: item for kind in kinds if (item := getattr(part, kind, None)) is not None}
    left = {kind: _left(item, names) for kind, item in found.items()}
    changed = {kind: item for kind, item in left.items() if item != found[kind]}
    return replace(part, **changed) if changed else None


def _left(item: Any, names: Container[str]) -> Any:
    if isinstance(item, Object):
        return replace(item, items=_left(item.items, names))
    if isinstance(item, tuple) and all(isinstance(entry, tuple) for entry in item):
        return tuple(entry for entry in item if not _hangs(entry[1], names))
    parts = item if isinstance(item, tuple) else (item,)
    return None if any(_hangs(one, names) for one in parts) else item


def _hangs(item: Template, names: Container[str]) -> bool:
    return any(placeholder.name in names for placeholder in item.placeholders())


class _Leaving:
    """Values, and for `{_}` what leaves the caller's own."""

    def __init__(self, values: Lookup) -> None:
        self._values = values

    def get(self, name: str, /) -> Any:
        return Left.LEFT if name == "_" else self._values.get(name)


# --- presentations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Present:
    """What a state lays over a caller's own request, as templates."""

    headers: Fields = ()
    cookies: Fields = ()
    query: Fields = ()
    basic: tuple[Template, Template] | None = None
    json: Template | None = None
    form: Fields = ()
    #: By the literal text in whose place a value stands; that is not read back.
    text: Fields = ()
    sign: Sign | None = None
    #: The same without what hangs on the request that carries it, if anything does.
    first: Present | None = None

    def placeholders(self, *, signed: bool = True) -> Iterator[Placeholder]:
        """`signed`: those that only a signature is made with, too."""
        for _, item in (*self.headers, *self.cookies, *self.query, *self.form, *self.text):
            yield from item.placeholders()
        for part in (self.json, *(self.basic or ())):
            if part is not None:
                yield from part.placeholders()
        yield from _of_signature(self.sign if signed else None)

    def render(self, values: Lookup) -> Presentation:
        """As long as the request is not known, without what hangs on it. Raises Unbound, Unfit."""
        if self.first is not None and values.get(ITSELF) is None:
            return self.first.render(values)
        headers = list(render_headers(self.headers, values))
        try:
            if self.basic is not None and (line := _basic(self.basic, values, str)) is not None:
                _replace(headers, "Authorization", line)
        except UnicodeError as error:
            raise Unfit("a value holds half a character, which cannot be encoded") from error
        cookies = render_fields(self.cookies, values)
        _cookie_line(cookies)
        fields = self.json.render(_Leaving(values)) if self.json is not None else NOTHING
        return Presentation(
            tuple(headers),
            cookies,
            render_fields(self.query, values),
            fields if fields is not t.ABSENT else NOTHING,
            render_fields(self.form, values),
            render_fields(self.text, values),
        )

    def match(self, request: Request) -> dict[str, Any]:
        """The values that a caller's request carries, if it carries what this renders. Raises Mismatch."""
        whole = RequestTemplate(
            None, None, self.query, self.headers, self.cookies, self.json, self.form or None, None, self.basic
        )
        return whole.match(request, "", {})
