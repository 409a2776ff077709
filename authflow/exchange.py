"""One exchange: a request filled from the bag of values, and the patterns that name its answer.

Every part is a two-way template. A request template renders a `Request` and can match one (so that a vendor file can
be simulated, and a caller's request recognised as public); an answer pattern matches an `Answer` and reads values out
of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from authflow import template as t
from authflow.bodies import match_body, render_body
from authflow.converters import CONVERTERS
from authflow.fields import Fields, Values, by_name, match_fields, render_fields
from authflow.http import NOTHING, Answer, Pairs, Presentation, Request, add_query, form_quote, header_value
from authflow.template import Hole, Mismatch, Missing, Template, Text, Unfit
from authflow.urls import UrlTemplate

# --- requests ---------------------------------------------------------------------------------------------------------


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

    def holes(self) -> Iterator[Hole]:
        yield from self.url_holes()
        for _, item in (*self.headers, *self.cookies, *(self.form or ())):
            yield from item.holes()
        for part in (self.json, self.text, *(self.basic or ()), *(self.client_basic or ())):
            if part is not None:
                yield from part.holes()

    def url_holes(self) -> Iterator[Hole]:
        """The holes that end up in the URL."""
        if self.url:
            yield from self.url.holes()
        for _, item in self.query:
            yield from item.holes()

    def render(self, values: Values, base_url: str) -> Request:
        """The request. Raises Unbound, Unfit."""
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

    def match(self, request: Request, base_url: str, known: Values) -> dict[str, Any]:
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


def render_headers(fields: Fields, values: Values) -> Pairs:
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
    if any(re.search(r"[\x00-\x20;\x7f]", value) or not value.isascii() for _, value in cookies):
        raise Unfit("a cookie's value holds a blank, a semicolon, or a character that is not ASCII")
    return "; ".join(f"{name}={value}" for name, value in cookies)


def _basic(pair: tuple[Template, Template], values: Values, encode: Callable[[str], str]) -> str | None:
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
    if not lines and any(hole.optional for part in pair for hole in part.holes()):
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

    def holes(self) -> Iterator[Hole]:
        for _, item in (*self.headers, *self.cookies, *self.query, *self.form):
            yield from item.holes()
        for part in (self.json, *(self.basic or ())):
            if part is not None:
                yield from part.holes()

    def render(self, values: Values) -> Presentation:
        """Raises Unbound, Unfit."""
        headers = list(render_headers(self.headers, values))
        try:
            if self.basic is not None and (line := _basic(self.basic, values, str)) is not None:
                _replace(headers, "Authorization", line)
        except UnicodeError as error:
            raise Unfit("a value holds half a character, which cannot be encoded") from error
        cookies = render_fields(self.cookies, values)
        _cookie_line(cookies)
        fields = self.json.render(values) if self.json is not None else NOTHING
        return Presentation(
            tuple(headers),
            cookies,
            render_fields(self.query, values),
            fields if fields is not t.ABSENT else NOTHING,
            render_fields(self.form, values),
        )

    def match(self, request: Request) -> dict[str, Any]:
        """The values that a caller's request carries, if it carries what this renders. Raises Mismatch."""
        whole = RequestTemplate(
            None, None, self.query, self.headers, self.cookies, self.json, self.form or None, None, self.basic
        )
        return whole.match(request, "", {})


# --- answers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnswerPattern:
    """All that it names must fit; the body is looked at last, and only if it is named."""

    status: frozenset[int] | None = None
    headers: Fields = ()
    cookies: Fields = ()
    challenge: Fields = ()
    json: Template | None = None
    form: Fields | None = None
    text: Template | None = None

    def holes(self) -> Iterator[Hole]:
        for _, item in (*self.headers, *self.cookies, *self.challenge, *(self.form or ())):
            yield from item.holes()
        for part in (self.json, self.text):
            if part is not None:
                yield from part.holes()

    @property
    def needs_body(self) -> bool:
        return not (self.json is None and self.form is None and self.text is None)

    @property
    def captures(self) -> frozenset[str]:
        """The names that a fitting answer surely holds."""
        return frozenset(hole.name for hole in self.holes() if not hole.optional and hole.name != "_")

    @property
    def may_capture(self) -> frozenset[str]:
        return frozenset(hole.name for hole in self.holes() if hole.name != "_")

    def match(self, answer: Answer) -> dict[str, Any]:
        """The values read out of the answer. Raises Mismatch."""
        found: dict[str, Any] = {}
        if self.status is not None and answer.status not in self.status:
            raise Mismatch(f"status {answer.status}, not {' or '.join(map(str, sorted(self.status)))}")
        match_fields(self.headers, answer.all, found)
        if self.cookies:
            cookies = answer.cookies
            match_fields(self.cookies, lambda name: [cookies[name]] if name in cookies else [], found)
        if self.challenge:
            self._match_challenge(answer.challenges, found)
        match_body(answer, self.json, self.form, self.text, found)
        return found

    def render(self, values: Values, status: int | None = None) -> Answer:
        """An answer that fits, as the vendor would give it: with `status`, else the lowest that the pattern names.

        Raises Unbound, Unfit.
        """
        headers = [*render_headers(self.headers, values)]
        headers += [("Set-Cookie", _cookie_line((pair,))) for pair in render_fields(self.cookies, values)]
        if self.challenge:
            challenge = dict(render_fields(self.challenge, values))
            scheme = challenge.pop("scheme", "Bearer")
            line = ", ".join(f'{name}="{_quoted(value)}"' for name, value in challenge.items())
            headers.append(("WWW-Authenticate", header_value("WWW-Authenticate", f"{scheme} {line}")))
        body, kind = render_body(values, self.json, self.form, self.text)
        if kind and not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", kind))
        return Answer(status or min(self.status or (200,)), tuple(headers), body or b"")

    def _match_challenge(self, challenges: list[dict[str, str]], found: dict[str, Any]) -> None:
        last = Mismatch("no challenge in the answer")
        for challenge in challenges:
            attempt = dict(found)
            try:
                for name, item in self.challenge:
                    value = challenge.get(name.lower(), t.ABSENT)
                    if name.lower() == "scheme" and isinstance(item, Text) and not item.between:
                        fits = str(value).lower() == item.literals[0].lower()
                        value = item.literals[0] if fits else value
                    _below_path(name, item, value, attempt)
            except Mismatch as mismatch:
                last = mismatch
            else:
                found.update(attempt)
                return
        raise last


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)


def _below_path(name: str, item: Text | Missing, value: Any, found: dict[str, Any]) -> None:
    try:
        item.match(value, found)
    except Mismatch as mismatch:
        mismatch.path.append(name)
        raise


class Outcome(NamedTuple):
    """The name that an answer was given, and what was read out of it. `jwt`: the access token was captured as one."""

    name: str
    captured: dict[str, Any]
    jwt: bool = False

    def __repr__(self) -> str:
        return f"<Outcome {self.name}: {', '.join(self.captured) or 'nothing'}>"


Answers = tuple[tuple[str, AnswerPattern], ...]


def judge(answers: Answers, answer: Answer) -> tuple[Outcome | None, list[str]]:
    """The outcome of the first pattern that fits, or None with one reason for each that does not."""
    reasons = []
    for name, pattern in answers:
        try:
            captured = pattern.match(answer)
        except Mismatch as mismatch:
            reasons.append(f"{name}: {mismatch}")
        else:
            is_jwt = any(hole.name == "access" and hole.kind == "jwt" for hole in pattern.holes())
            return Outcome(name, captured, is_jwt), reasons
    return None, reasons


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and the patterns of its answers, in their order. `redirects`: may they be followed?"""

    name: str
    request: RequestTemplate
    answers: Answers
    redirects: bool = False

    @property
    def outcomes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name, _ in self.answers))

    def patterns(self, outcome: str) -> tuple[AnswerPattern, ...]:
        return tuple(pattern for name, pattern in self.answers if name == outcome)
