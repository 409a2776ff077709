"""What answers mean: how long a token is good, how the vendor says that it has ended, how it refuses a login. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from authflow.templates import jwt_claims
from authflow_learn import names
from authflow_learn.leaves import Leaf, Place, opening
from authflow_learn.tracing import Flow, Key, Learnt

_LOGIN_PAGE: Final = re.compile(r"log[_-]?in|sign[_-]?in|auth|sso", re.I)
#: What an answer calls the reason of a failure, or its kind.
_FAILURE: Final = re.compile(r"err|code|status|reason|message|msg|result|fault|success|^ok$", re.I)

#: A refusal that says again what was sent, of at least so many characters, is no pattern.
ECHOED: Final = 4


def read(flow: Flow, result: Learnt, login: int, uses: Sequence[int], births: Sequence[int]) -> None:
    """Fill `rejected`, `denied` and `lifetime`, and ask what nothing said."""
    result.rejected = _rejected(flow, result, uses, births) or _ask_rejected(result)
    result.denied = _denied(flow, result, login)
    if end(flow, result, login) is None and not result.lifetime:
        result.ask("how long is the token good? Nothing said so", "lifetime")
    if result.refresh is None and any(
        names.REFRESH.search(leaf.name)
        and leaf.value not in flow.names
        and not names.ENDS.search(leaf.name)
        and len(leaf.value) > 8
        for leaf in flow.answers[login]
        if leaf.kind is str
    ):
        result.ask("the login brings what looks like a refresh token: how is it used? No request did")


def read_direct(flow: Flow, result: Learnt) -> None:
    statuses = [one.status for one in flow.captures if one.status in (401, 403)] or [
        one.status for one in flow.captures if 400 <= one.status < 500 and one.status not in (404, 429)
    ]
    result.rejected = {"status": statuses[0]} if statuses else _ask_rejected(result)


def end(flow: Flow, result: Learnt, at: int) -> tuple[Leaf, str] | None:
    """The value of this answer that says until when `access` is good, and its placeholder."""
    access = next((leaf for leaf in flow.answers[at] if flow.names.get(leaf.value) == "access"), None)
    if access is None:
        return None
    if access.converter == "" and isinstance(_claims(access.value).get("exp"), int | float):
        return access, "access:jwt"
    for leaf in flow.answers[at]:
        if leaf.place == ("max-age", access.name):
            result.lifetime = f"{leaf.value}s"
    for leaf in flow.answers[at]:
        if names.ENDS.search(leaf.name) and not names.REFRESH.search(leaf.name) and leaf.value not in flow.names:
            written = _written_end(leaf)
            if written and leaf.place[0] in ("json", "headers", "form", "text"):
                return leaf, written
    return None


def _written_end(leaf: Leaf) -> str:
    """The placeholder for an end of this look; empty where it has none."""
    try:
        number = float(leaf.value)
    except ValueError:
        if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", leaf.value):
            return "expires_at:iso8601"
        return "expires_at:http_date" if re.match(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4}", leaf.value) else ""
    if number <= 0:
        return ""
    if number > 1e11:
        return "expires_at:epoch_ms"
    if number > 1e8:
        return "expires_at:epoch"
    if re.search(r"ms$|milli", leaf.name, re.I):
        return "expires_in:ms"
    return "expires_in:minutes" if re.search(r"min(?:ute)?s?$", leaf.name, re.I) else "expires_in:int"


def _rejected(flow: Flow, result: Learnt, uses: Sequence[int], births: Sequence[int]) -> dict[str, Any]:
    """The answer to a request that carried the token, where it was refused."""
    carrying = [at for at in uses if at not in births]
    strange = [at for at, leaves in enumerate(flow.requests) if any(Key.of(one) in result.presented for one in leaves)]
    for at in [*carrying, *(one for one in strange if one not in births)]:
        one, location = flow.captures[at], flow.captures[at].answer.header("location")
        if one.status in (401, 403, 419, 440, 498, 499):
            return {"status": one.status}
        if 300 <= one.status < 400 and _LOGIN_PAGE.search(urlsplit(location).path):
            return {"status": one.status, "headers": {"Location": led(location)}}
    good = [at for at in carrying if 200 <= flow.captures[at].status < 300]
    for birth in sorted(births)[1:]:
        last = max((at for at in carrying if at < birth), default=None)
        if last is None:
            continue
        one = flow.captures[last]
        if one.status >= 400 and one.status not in (404, 429) and one.status < 500:
            return {"status": one.status}
        before = max((at for at in births if at < last), default=0)
        said = telling(flow, last, [at for at in good if before < at < last])
        again = any(at > birth and flow.captures[at].url == one.url for at in carrying)
        if said and last in good and (again or re.search(r"err|fault|exception|false", repr(said), re.I)):
            return {"status": one.status, **said}
    return {}


def led(location: str) -> str:
    """A location without what differs from time to time."""
    path, mark, _ = location.partition("?")
    return (path + ("{_}" if mark else "")).replace("{", "{{").replace("}", "}}").replace("{{_}}", "{_}")


def telling(flow: Flow, at: int, others: Sequence[int]) -> dict[str, Any]:
    """What of this answer's body says that it is a failure: a place that no good answer has, or has otherwise."""
    held = [{leaf.place: leaf.value for leaf in flow.answers[one]} for one in others]
    usual = {leaf.value for one in others for leaf in flow.requests[one]} - flow.names.keys()
    sent = {leaf.value for leaf in flow.requests[at] if len(leaf.value) >= ECHOED and leaf.place != ("path",)} - usual
    document = flow.captures[at].answer.document
    for place, value in _scalars(document, ()):
        name = str(next((part for part in reversed(place) if isinstance(part, str)), ""))
        if not _FAILURE.search(name) or any(one in str(value) for one in sent):
            continue
        if all(_at(flow.captures[one].answer.document, place) != value for one in others) and len(str(value)) <= 80:
            plain = isinstance(value, bool | int) or re.fullmatch(r"[\w .,:;!'-]+", str(value))
            if plain:
                return {"json": _nested(place, str(value) if isinstance(value, str) else value)}
    for leaf in flow.answers[at]:
        if (
            leaf.place == ("text",)
            and _FAILURE.search(leaf.name)
            and leaf.end - leaf.start <= 80
            and "{" not in leaf.value
            and not any(one in leaf.value for one in sent)
        ) and not any(leaf.place in one and leaf.value == one[leaf.place] for one in held):
            return {"text": "{_}" + opening(leaf).replace("{", "{{").replace("}", "}}") + "{_}"}
    return {}


def _scalars(document: Any, place: Place) -> list[tuple[Place, Any]]:
    if isinstance(document, list):
        return _scalars(document[0], (*place, 0)) if document else []
    if not isinstance(document, dict):
        return [(place, document)] if place and isinstance(document, str | int | bool) else []
    return [found for key, value in document.items() for found in _scalars(value, (*place, key))]


def _at(document: Any, place: Place) -> Any:
    for part in place:
        if isinstance(document, list) and document and part == 0:
            document = document[0]
        else:
            document = document.get(part) if isinstance(document, dict) else None
    return document


def _nested(place: Place, value: Any) -> Any:
    for part in reversed(place):
        value = [value] if part == 0 else {part: value}
    return value


def _ask_rejected(result: Learnt) -> dict[str, Any]:
    result.ask("how does the vendor say that a token has expired? 401 is taken; no answer said so", "rejected")
    return {"status": 401}


def _denied(flow: Flow, result: Learnt, login: int) -> list[dict[str, Any]]:
    """Answers to the login, with other values, that brought nothing: statuses, and bodies where the status is good."""
    one = flow.captures[login]
    access = {(leaf.place, leaf.name) for leaf in flow.answers[login] if flow.names.get(leaf.value) == "access"}
    patterns: list[dict[str, Any]] = []
    for at in flow.alike(login):
        other = flow.captures[at]
        if access & {(leaf.place, leaf.name) for leaf in flow.answers[at]}:
            continue
        said = telling(flow, at, [login])
        pattern: Mapping[str, Any] = {"status": other.status}
        if other.status == one.status and not said and not other.answer.header("location"):
            continue
        if other.status < 300 or other.status == one.status:
            location = other.answer.header("location")
            said = said or ({"headers": {"Location": led(location)}} if location else {})
            pattern = {"status": other.status, **said}
        if dict(pattern) not in patterns and not (pattern == {"status": one.status} and not access):
            patterns.append(dict(pattern))
    return patterns


def _claims(token: str) -> Mapping[str, Any]:
    try:
        return jwt_claims(token)
    except ValueError:
        return {}
