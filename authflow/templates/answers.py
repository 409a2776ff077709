"""Answers as patterns: the first that fits names the outcome, and reads values out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from authflow.http import NOTHING, Answer, header_value
from authflow.sealed import Sealed, sealed_value
from authflow.templates import documents as t
from authflow.templates.bodies import match_body, render_body
from authflow.templates.documents import Template, Text, match_item
from authflow.templates.fields import Fields, match_fields, render_fields
from authflow.templates.hints import HINTS, JWTS, Lenient, unusable
from authflow.templates.placeholders import Lookup, Mismatch, Placeholder
from authflow.templates.requests import _cookie_line, render_headers


@dataclass(frozen=True, slots=True)
class Wait:
    """The exchange is repeated after `again` (absent: 5 s), or after `longer` more than so far, for at most `patience`
    altogether (absent: the session's time-out).
    """

    again: Template | None = None
    patience: Template | None = None
    longer: float = 0.0


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
    #: The vendor is not done yet, and is asked once more.
    wait: Wait | None = None

    def placeholders(self) -> Iterator[Placeholder]:
        for _, item in (*self.headers, *self.cookies, *self.challenge, *(self.form or ())):
            yield from item.placeholders()
        for part in (self.json, self.text):
            if part is not None:
                yield from part.placeholders()

    @property
    def needs_body(self) -> bool:
        return not (self.json is None and self.form is None and self.text is None)

    @property
    def captures(self) -> frozenset[str]:
        """The names that a fitting answer surely holds."""
        return frozenset(placeholder.name for placeholder in self._reading() if not placeholder.optional)

    @property
    def may_capture(self) -> frozenset[str]:
        return frozenset(placeholder.name for placeholder in self._reading())

    def _reading(self) -> Iterator[Placeholder]:
        return (placeholder for placeholder in self.placeholders() if placeholder.name != "_" and not placeholder.equal)

    @property
    def compares(self) -> frozenset[str]:
        """The names whose known values it asks for: `{=name}`."""
        return frozenset(placeholder.name for placeholder in self.placeholders() if placeholder.equal)

    @property
    def reads_jwt(self) -> bool:
        """Is the access token captured as what may be a JWT?"""
        return any(placeholder.name == "access" and placeholder.kind in JWTS for placeholder in self.placeholders())

    @property
    def catches_all(self) -> bool:
        """Does it ask for a status at most? Then it says nothing against an answer that nearly fits another."""
        parts = (self.headers, self.cookies, self.challenge, self.form, self.text)
        return not any(parts) and (self.json is None or self.json.optional)

    def match(self, answer: Answer, known: Lookup = NOTHING, *, lenient: bool = False) -> dict[str, Any]:
        """The values read out of the answer, `known` those before it; on a second, lenient look without the hints that
        say nothing. Raises Mismatch.
        """
        found: dict[str, Any] = Lenient() if lenient else {}
        compared = {f"={name}": known.get(name) for name in self.compares}
        found.update(compared)
        if self.status is not None and answer.status not in self.status:
            raise Mismatch(f"status {answer.status}, not {' or '.join(map(str, sorted(self.status)))}")
        match_fields(self.headers, answer.all, found)
        if self.cookies:
            cookies = answer.cookies
            match_fields(self.cookies, lambda name: [cookies[name]] if name in cookies else [], found)
        if self.challenge:
            self._match_challenge(answer.challenges, found)
        match_body(answer, self.json, self.form, self.text, found)
        for name in compared:
            del found[name]
        self._check_tokens(found)
        for name in unusable(found, answer.date or answer.received, jwt=self.reads_jwt):
            if not isinstance(found, Lenient):
                raise Mismatch(f"{name} cannot be used: not a number of seconds, past, or too far ahead")
            found.pop(name, None)
            found.unread[name] = None
        return found

    def _check_tokens(self, found: dict[str, Any]) -> None:
        """What is no token does not fit; a refresh token that is empty, or can be done without, counts as absent."""
        if "refresh" in found and not is_token(found["refresh"]):
            said = found.pop("refresh")
            if "refresh" in self.captures and (said.strip() if isinstance(said, str) else said):
                raise Mismatch("the value at {refresh} is not a token")
        if "access" not in found:
            return
        access = found["access"]
        whole = isinstance(self.text, Text) and self.text.literals == ("", "")
        if not is_token(access) or (whole and re.search(r"\s|^<", str(access))):
            raise Mismatch("the value at {access} is not a token")
        if isinstance(access, str):  # line breaks around it are no part of it, and no header could carry them
            found["access"] = access.strip("\r\n")

    def render(self, values: Lookup, status: int | None = None) -> Answer:
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
            attempt = found.copy()
            try:
                for name, item in self.challenge:
                    value = challenge.get(name.lower(), t.ABSENT)
                    if name.lower() == "scheme" and isinstance(item, Text) and not item.between:
                        fits = str(value).lower() == item.literals[0].lower()
                        value = item.literals[0] if fits else value
                    match_item(name, item, value, attempt)
            except Mismatch as mismatch:
                last = mismatch
            else:
                found.update(attempt)
                return
        raise last


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)


def is_token(value: Any) -> bool:
    """Text that is not blank, and whose every character could be read, or a whole number."""
    if isinstance(value, str):
        return bool(value.strip()) and "\ufffd" not in value
    return isinstance(value, int) and not isinstance(value, bool)


@sealed_value
class Outcome(Sealed):
    """The name that an answer was given, and what was read out of it. `jwt`: the access token was captured as one, and
    its `exp` counts. `unread`: hints that say nothing, and were left out. `code`: OAuth's word for what went wrong.
    `wait`: how the vendor wants to be asked once more.
    """

    name: str
    captured: dict[str, Any]
    jwt: bool = False
    unread: tuple[str, ...] = ()
    code: str = ""
    wait: Any = None

    def __repr__(self) -> str:
        return f"<Outcome {self.name}: {', '.join(self.captured) or 'nothing'}>"


Answers = tuple[tuple[str, AnswerPattern], ...]


def judge(answers: Answers, answer: Answer, known: Lookup = NOTHING) -> tuple[Outcome | None, list[str]]:
    """The outcome of the first pattern that fits, or None with one reason for each that does not. `known`: the values
    with which `{=name}` is compared.

    Hints count on the first look only (`hints`). A pattern of a mere status takes no grant away from one before it that
    fits but for its hints.
    """
    reasons = []
    for index, (name, pattern) in enumerate(answers):
        try:
            captured = pattern.match(answer, known)
        except Mismatch as mismatch:
            reasons.append(f"{name}: {mismatch}")
            continue
        if "access" not in captured and pattern.catches_all:
            better = _second_look(answers[:index], answer, known)
            if better is not None and "access" in better.captured:
                return better, reasons
        return Outcome(name, captured, pattern.reads_jwt, wait=pattern.wait), reasons
    return _second_look(answers, answer, known), reasons


def _second_look(answers: Answers, answer: Answer, known: Lookup) -> Outcome | None:
    for name, pattern in answers:
        if not HINTS.isdisjoint(pattern.may_capture) or pattern.reads_jwt:
            try:
                found = pattern.match(answer, known, lenient=True)
            except Mismatch:
                continue
            unread = tuple(getattr(found, "unread", ()))
            return Outcome(name, dict(found), pattern.reads_jwt and "exp" not in unread, unread, wait=pattern.wait)
    return None
