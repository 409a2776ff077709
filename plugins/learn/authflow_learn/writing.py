"""The vendor file of what was learnt, as if written by hand: the nearest preset, and only what differs from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from authflow_learn.inference import Learnt, Step, body_of
from authflow_learn.leaves import COMMON, Place, of_request

_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_DIRECT: Final[Mapping[str, str]] = {"basic": "basic", "token": "bearer"}


def vendor_file(learnt: Learnt, name: str) -> str:
    """The text of the file. What could not be known is a comment with the question in it."""
    lines = [f"# {question}" for question in learnt.questions]
    lines += [f'name = "{name}"', f'extends = "{_preset(learnt)}"', f"base_url = {_text(learnt.base_url)}"]
    lines += list(_identity(learnt))
    if learnt.presented is not None and learnt.presented[0][0] == "query":
        lines.append("insecure_url = true  # the token stands in URLs, where logs and proxies see it")
    if learnt.origins:
        lines.append(f"origins.present = [{', '.join(map(_text, sorted(learnt.origins)))}]")
    given = {"client_id": False, "client_secret": True, "refresh": True}
    own = given if learnt.given_refresh else {"username": False, "password": True}
    for key, hidden in learnt.credentials.items():
        if not learnt.direct and own.get(key) != hidden:
            lines.append(f"credentials.{key} = {'{ secret = true }' if hidden else '{}'}")
    for number, step in enumerate(learnt.steps):
        lines += ["", *_exchange(learnt, step, learnt.steps[:number])]
    if learnt.refresh is not None:
        lines += ["", *_exchange(learnt, learnt.refresh, learnt.steps)]
    lines += list(_states(learnt))
    if learnt.rejected != 401:
        lines += ["", "[answers]", f"rejected = {{ status = {learnt.rejected} }}"]
    text = "\n".join(lines) + "\n"
    for secret in learnt.secrets:
        assert secret not in text or len(secret) < 4, "a value of the capture would be written"
    return text


def _preset(learnt: Learnt) -> str:
    if learnt.direct:
        return _DIRECT.get(learnt.presented[0][0] if learnt.presented else "", _DIRECT.get(learnt.direct[0], "api-key"))
    if learnt.given_refresh:
        return "refresh-token"
    return "password" if learnt.refresh is not None else "relogin"


def _identity(learnt: Learnt) -> Iterator[str]:
    plain = [key for key, secret in learnt.credentials.items() if not secret]
    if not learnt.direct and not learnt.given_refresh and "username" not in plain:
        yield f"identity = [{', '.join(map(_text, plain or learnt.credentials))}]"


def _exchange(learnt: Learnt, step: Step, before: list[Step]) -> Iterator[str]:
    yield f"[exchanges.{'refresh' if learnt.given_refresh and step.name == 'login' else step.name}]"
    yield f"request = {_inline(_request(learnt, step))}"
    if step.name == "refresh" and any(_answer(one) == _answer(step) for one in before):
        yield 'answers = "login"'
        return
    yield f"answers.granted = {_inline(_answer(step))}"
    odd = sorted(learnt.denied - {400, 401, 403})
    if step.name == "login" and odd:
        yield f"answers.denied = {{ status = [{', '.join(map(str, sorted(learnt.denied | {400, 401, 403})))}] }}"
    if step.name.startswith("step_"):
        yield "answers.denied = { status = [400, 401, 403] }"


def _request(learnt: Learnt, step: Step) -> dict[str, Any]:
    one = step.capture
    parts = urlsplit(one.url)
    url = one.url.partition("?")[0]
    request: dict[str, Any] = {}
    fields = _fields(step)
    body = body_of(one)
    has_body = body is not None or "form" in fields
    if one.method != ("POST" if has_body else "GET"):
        request["method"] = one.method
    request["url"] = url.removeprefix(learnt.base_url) if url.startswith(learnt.base_url) else url
    if parts.query:
        request["query"] = fields.get("query", {})
    if "basic" in fields:
        request["basic"] = [fields["basic"].get("0", ""), fields["basic"].get("1", "")]
    for kind in ("headers", "cookies", "form"):
        if fields.get(kind):
            request[kind] = fields[kind]
    if body is not None:
        request["json"] = _filled(body, step.sent, ("json",))
    return request


def _fields(step: Step) -> dict[str, dict[str, str]]:
    """By kind, each place's text: a placeholder, or what was always there."""
    found: dict[str, dict[str, str]] = {}
    for leaf in of_request(step.capture):
        kind, name = leaf.place[0], leaf.place[-1]
        placeholder = step.sent.get(leaf.place)
        if kind == "json" or (kind == "cookies" and placeholder is None):
            continue
        if kind == "headers" and (placeholder is None and name in COMMON):
            continue
        text = leaf.before + (_hole(placeholder) if placeholder else _literal(leaf.value))
        found.setdefault(kind, {})[_header(name) if kind == "headers" else name] = text
    return found


def _filled(document: Any, sent: Mapping[Place, str], place: Place) -> Any:
    if isinstance(document, dict):
        return {key: _filled(value, sent, (*place, str(key))) for key, value in document.items()}
    if place in sent:
        return _hole(sent[place])
    return _literal(document) if isinstance(document, str) else document


def _answer(step: Step) -> dict[str, Any]:
    pattern: dict[str, Any] = {}
    if step.capture.status != 200:
        pattern["status"] = step.capture.status
    for place, name in step.brings.items():
        if place[0] == "cookies-max-age" or place[0] == "max-age":
            continue
        if place == ("text",):
            pattern["text"] = _hole(name)
            continue
        at = pattern.setdefault(place[0], {})
        for key in place[1:-1]:
            at = at.setdefault(key, {})
        at[_header(place[-1]) if place[0] == "headers" else place[-1]] = _hole(name)
    return pattern


def _states(learnt: Learnt) -> Iterator[str]:
    if len(learnt.steps) > 1:
        names = [step.name for step in learnt.steps]
        states = ["signed_out", *(f"after_{name}" for name in names[:-1]), "signed_in"]
        for state, name, following in zip(states, names, states[1:], strict=False):
            yield ""
            yield f"[states.{state}]"
            yield f'send = "{name}"'
            yield f'granted = "{following}"'
            yield 'denied = "refused"'
    if learnt.presented is None:
        return
    place, before = learnt.presented
    presented = learnt.direct or ("access",)
    usual = (("headers", "x-api-key"), "") if "api_key" in presented else (("headers", "authorization"), "Bearer ")
    if place == ("basic",) or (place, before) == usual:
        return
    key = _header(place[-1]) if place[0] == "headers" else place[-1]
    text = before + "".join(map(_hole, presented))
    yield ""
    yield "[states.signed_in]"
    yield f"present = {_inline({place[0]: _nested(place[1:-1], key, text)})}"


def _nested(keys: Place, last: str, text: str) -> dict[str, Any]:
    inner: dict[str, Any] = {last: text}
    for key in reversed(keys):
        inner = {key: inner}
    return inner


def _header(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _hole(name: str) -> str:
    return "{" + name + "}"


def _literal(text: str) -> str:
    """As the notation writes text that is no placeholder."""
    return text.replace("{", "{{").replace("}", "}}")


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_name(key)} = {_inline(item)}" for key, item in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if value is None:
        return '""'
    return (
        str(value).lower()
        if isinstance(value, bool)
        else str(value)
        if isinstance(value, int | float)
        else _text(value)
    )


def _name(key: str) -> str:
    return key if _KEY.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
