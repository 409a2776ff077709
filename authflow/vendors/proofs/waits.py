"""Waits: what is repeated ends and spends nothing. Keeps: what good answers bring anew makes nobody ask again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from authflow.errors import Finding
from authflow.templates import AnswerPattern, Exchange, Missing, Object, Placeholder, Text, Wait
from authflow.vendors.flow import LONGEST, SOONEST, Presenting, spends_refresh
from authflow.vendors.proofs.places import finding, warning, written
from authflow.vendors.proofs.unwise import literal_seconds
from authflow.vendors.vendor import Vendor


def check(vendor: Vendor) -> Iterator[Finding]:
    for exchange in vendor.flow.exchanges.values():
        for outcome, pattern in exchange.answers:
            key, wait = f"exchanges.{exchange.name}.answers.{outcome}", pattern.wait
            if wait is not None:
                yield from _wait(vendor, key, wait)
                if spends_refresh(exchange):
                    reason = "the refresh token that this exchange sends would be sent again"
                    yield finding(vendor, f"{key}.again", reason, "drop it: the outcome unavailable says when")
                if "access" in pattern.may_capture:
                    yield finding(vendor, f"{key}.again", "what brings a token is not repeated", "drop it")
        if exchange.by:
            yield from _browser(vendor, exchange)
    for index, pattern in enumerate(vendor.keep):
        taken = {"refresh"} | ({"access"} if vendor.verify is not None else set())
        for name in sorted(taken & pattern.may_capture):
            reason = "is rotated by an exchange" if name == "refresh" else "is verified when an exchange brings it"
            yield finding(vendor, f"keep.{index}", f"{{{name}}} {reason}", "leave it out")
    for event, pattern in vendor.answers:
        if _takes_any(pattern) and _heard(vendor, event):
            reason = "every good answer is this event, and the request is sent again each time"
            yield finding(
                vendor, f"answers.{event}", reason, "[[keep]] reads values; or a JSON name that must be there"
            )


def unwise(vendor: Vendor) -> Iterator[Finding]:
    """An event that takes a value out of a good answer, only to send the same request again; a code without PKCE."""
    for exchange in vendor.flow.exchanges.values():
        names = {placeholder.name for placeholder in exchange.request.url_placeholders()}
        if exchange.by and "code_challenge" not in names:
            reason = "whoever sees the code can use it (RFC 7636)"
            hint = 'code_challenge = "{code_challenge}", code_challenge_method = "S256"'
            yield warning(vendor, f"exchanges.{exchange.name}.request.query", reason, hint)
    for key, placeholder in written(vendor):
        if placeholder.kind in ("ms", "minutes") and (key.startswith("expiry.") or key.endswith((".again", ".for"))):
            reason = f"what is written here is in seconds, and :{placeholder.kind} makes another number of it"
            yield warning(vendor, key, reason, f"{{{placeholder.name}?}}, and the converter where it is read")
    for index, pattern in enumerate(vendor.keep):
        if not pattern.may_capture:
            yield warning(vendor, f"keep.{index}", "it reads no value", 'headers = { X-CSRF-Token = "{csrf}" }')
    for event, pattern in vendor.answers:
        after = [vendor.flow.states[state.next[event]] for state in _heard(vendor, event)]
        if pattern.may_capture and _good(pattern) and any(isinstance(state, Presenting) for state in after):
            reason = "the request of an answer that was good is sent once more"
            yield warning(vendor, f"answers.{event}", reason, "[[keep]] reads the value, and sends nothing again")


def _wait(vendor: Vendor, key: str, wait: Wait) -> Iterator[Finding]:
    again, patience = literal_seconds(wait.again), literal_seconds(wait.patience)
    if again is not None and again < SOONEST:
        yield finding(vendor, f"{key}.again", "sooner than after a second", 'again = "5s"')
    if patience is not None and patience > LONGEST:
        yield finding(vendor, f"{key}.for", "longer than half an hour", 'for = "30m"')


def _browser(vendor: Vendor, exchange: Exchange) -> Iterator[Finding]:
    """What a browser opens is a URL, and what comes back is the query of another."""
    key, request = f"exchanges.{exchange.name}", exchange.request
    others = (request.headers, request.cookies, request.basic, request.client_basic, request.form, request.text)
    if request.method not in (None, "GET") or any(others) or request.json is not None:
        yield finding(vendor, f"{key}.request", "a browser opens a URL, with a query", "url and query")
    names = {placeholder.name for placeholder in request.url_placeholders()}
    for name, why in (("state", "whose redirect comes back"), ("redirect_uri", "where the browser is to go back")):
        if name not in names:
            yield finding(vendor, f"{key}.request.query", f"nothing says {why}", f'{name} = "{{{name}}}"')
    for outcome, pattern in exchange.answers:
        if pattern.form is None or pattern.status or pattern.headers or pattern.cookies or pattern.wait:
            reason = "what comes back from a browser is a form, the query of its redirect"
            yield finding(vendor, f"{key}.answers.{outcome}", reason, 'form = { code = "{code}" }')


def _heard(vendor: Vendor, event: str) -> list[Presenting]:
    return [state for state in vendor.flow.states.values() if isinstance(state, Presenting) and event in state.next]


def _good(pattern: AnswerPattern) -> bool:
    return pattern.status is None or any(200 <= status < 300 for status in pattern.status)


def _takes_any(pattern: AnswerPattern) -> bool:
    """Does it fit good answers whatever they say?"""
    fields = (*pattern.headers, *pattern.cookies, *pattern.challenge, *(pattern.form or ()))
    named = any(map(_must, fields))
    return _good(pattern) and not named and not _says(pattern.json) and not _says(pattern.text)


def _says(template: Any) -> bool:
    """Must something literal be there: a name in a table, or some text?"""
    if isinstance(template, Object):
        return any(map(_must, template.items))
    return any(template.literals) if isinstance(template, Text) else not isinstance(template, Placeholder | None)


def _must(entry: tuple[str, Any]) -> bool:
    """Must this name be there, or must it not?"""
    return not entry[1].optional or isinstance(entry[1], Missing)
