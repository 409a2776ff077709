"""An exchange as the file says it: a placeholder for each value that flows, and what its answer brings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from authflow_learn import meanings
from authflow_learn.leaves import NOISY_COOKIE, Leaf, Place, is_form, opening
from authflow_learn.notation import header, hole, inline, literal
from authflow_learn.tracing import Learnt, Step


def exchange(learnt: Learnt, step: Step, before: Sequence[Step]) -> Iterator[str]:
    yield f"[exchanges.{'refresh' if learnt.given_refresh and step.name == 'login' else step.name}]"
    yield f"request = {inline(request_of(learnt, step))}"
    answer = _answer(learnt, step)
    if step.name == "refresh" and any(_answer(learnt, one) == answer for one in before):
        yield 'answers = "login"'
        return
    yield f"answers.granted = {inline(answer)}"
    if step.name == "login" and (denied := _denied(learnt)):
        yield f"answers.denied = {denied}"
    if step.name not in ("login", "refresh"):
        yield "answers.denied = { status = [400, 401, 403] }"


def _denied(learnt: Learnt) -> str:
    usual = {400, 401, 403}
    odd = [one for one in learnt.denied if not (set(one) == {"status"} and one["status"] in usual)]
    if not odd:
        return ""
    statuses = sorted(usual | {one["status"] for one in odd if set(one) == {"status"}})
    patterns = [one for one in odd if set(one) != {"status"}]
    return inline([{"status": statuses}, *patterns] if patterns else {"status": statuses})


def request_of(learnt: Learnt, step: Step) -> dict[str, Any]:
    one = learnt.flow.captures[step.at]
    leaves = learnt.flow.requests[step.at]
    parts = urlsplit(one.url)
    request: dict[str, Any] = {}
    document = one.request.document
    form = document is None and bool(one.request.body.strip()) and is_form(one.request)
    text = bool(one.request.body.strip()) and document is None and not form
    if one.method != ("POST" if form or text or document is not None else "GET"):
        request["method"] = one.method
    path = _fill(learnt, parts.path, [leaf for leaf in leaves if leaf.place == ("path",)])
    url = f"{parts.scheme}://{parts.netloc}{path}"
    request["url"] = url.removeprefix(learnt.base_url) if url.startswith(learnt.base_url) else url
    if parts.query:
        request["query"] = {
            key: _slot(learnt, leaves, ("query", key), value)
            for key, value in parse_qsl(parts.query, keep_blank_values=True)
        }
    if any(leaf.place[0] == "basic" for leaf in leaves):
        request["basic"] = [_slot(learnt, leaves, ("basic", place), "") for place in ("0", "1")]
    headers = {header(key): value for key, value in _headers(learnt, step, text=text)}
    if headers:
        request["headers"] = headers
    cookies = {
        str(leaf.place[1]): _fill(learnt, leaf.text, [leaf])
        for leaf in leaves
        if leaf.place[0] == "cookies" and leaf.value in learnt.names and not NOISY_COOKIE.match(str(leaf.place[1]))
    }
    if cookies:
        request["cookies"] = cookies
    if form:
        request["form"] = {
            key: _slot(learnt, leaves, ("form", key), value)
            for key, value in parse_qsl(one.request.body.strip(), keep_blank_values=True)
        }
    elif text:
        request["text"] = _slot(learnt, leaves, ("text",), one.request.body)
    elif document is not None:
        request["json"] = _document(learnt, leaves, document, ("json",))
    return request


def _headers(learnt: Learnt, step: Step, *, text: bool) -> Iterator[tuple[str, str]]:
    one = learnt.flow.captures[step.at]
    leaves = learnt.flow.requests[step.at]
    guarded = any(re.search("csrf|xsrf|verification", name, re.I) for name in map(str, _sent_names(learnt, step)))
    for name, value in one.request.headers:
        place: Place = ("headers", name)
        mine = [leaf for leaf in leaves if leaf.place == place]
        if mine and name not in learnt.constant:
            yield name, _fill(learnt, value, mine)
        elif (name == "content-type" and text) or (name == "accept" and "*" not in value and "html" not in value):
            yield name, value
        elif guarded and name == "referer":
            yield name, value.partition("?")[0]


def _sent_names(learnt: Learnt, step: Step) -> Iterator[str]:
    return (learnt.names[leaf.value] for leaf in learnt.flow.requests[step.at] if leaf.value in learnt.names)


def _document(learnt: Learnt, leaves: Sequence[Leaf], document: Any, place: Place) -> Any:
    if isinstance(document, dict):
        return {key: _document(learnt, leaves, value, (*place, key)) for key, value in document.items()}
    if isinstance(document, list):
        return [_document(learnt, leaves, value, (*place, at)) for at, value in enumerate(document)]
    if isinstance(document, str):
        return _slot(learnt, leaves, place, document)
    mine = next((leaf for leaf in leaves if leaf.place == place and leaf.value in learnt.names), None)
    return "{" + f"{learnt.names[mine.value]}:int" + "}" if mine is not None else document


def _slot(learnt: Learnt, leaves: Sequence[Leaf], place: Place, text: str) -> str:
    mine = [leaf for leaf in leaves if leaf.place == place]
    return _fill(learnt, mine[0].text if mine else text, mine)


def _fill(learnt: Learnt, text: str, leaves: Sequence[Leaf]) -> str:
    """The text with a placeholder for each value that has a name; the longest first, where two overlap."""
    spans: list[tuple[int, int, str]] = []
    for leaf in sorted(leaves, key=lambda one: (one.start - one.end, one.converter != "")):
        named = learnt.names.get(leaf.value)
        if named and all(leaf.end <= start or leaf.start >= end for start, end, _ in spans):
            spans.append((leaf.start, leaf.end, hole(named, leaf.converter)))
    written, at = "", 0
    for start, end, placeholder in sorted(spans):
        written += literal(text[at:start]) + placeholder
        at = end
    return written + literal(text[at:])


# --- answers ----------------------------------------------------------------------------------------------------------


def _answer(learnt: Learnt, step: Step) -> dict[str, Any]:
    one = learnt.flow.captures[step.at]
    pattern: dict[str, Any] = {"status": one.status}
    brings = dict(step.brings)
    ends = meanings.end(learnt.flow, learnt, step.at) if "access" in brings.values() else None
    if ends is not None:
        brings[ends[0]] = ends[1]
    for place in {leaf.place: None for leaf in brings}:
        mine = {leaf: name for leaf, name in brings.items() if leaf.place == place}
        leaf = next(iter(mine))
        if place == ("text",) and not leaf.whole:
            pattern["text"] = _around(leaf.text, mine)
        elif place == ("headers", "location"):
            pattern.setdefault("headers", {})["Location"] = _around(leaf.text, mine)
        elif place == ("text",):
            pattern["text"] = hole(mine[leaf])
        elif place[0] == "challenge":
            pattern.setdefault("challenge", {"scheme": place[1]})[place[2]] = _read(leaf, mine[leaf])
        elif place[0] == "json":
            pattern["json"] = laid(pattern.get("json"), place[1:], _read(leaf, mine[leaf]))
        else:
            key = header(str(place[1])) if place[0] == "headers" else str(place[1])
            pattern.setdefault(str(place[0]), {})[key] = _read(leaf, mine[leaf])
    if not brings and 300 <= one.status < 400 and one.answer.header("location"):
        pattern["headers"] = {"Location": meanings.led(one.answer.header("location"))}
    if "json" in pattern and one.status == 200:
        del pattern["status"]  # a JSON name tells it from a refusal; a cookie or a text does not
    return pattern


def _read(leaf: Leaf, name: str) -> str:
    if ":" not in name and leaf.kind is int:
        return hole(name, "str" if name in ("access", "refresh") else "int")
    if ":" in name or leaf.whole:
        return hole(name, leaf.converter if ":" not in name else "")
    return literal(leaf.text[: leaf.start]) + hole(name, leaf.converter) + literal(leaf.text[leaf.end :])


def _around(text: str, mine: Mapping[Leaf, str]) -> str:
    """Each value with what stands right before it and behind it; anything in between."""
    written, at = "{_}", 0
    for leaf, name in sorted(mine.items(), key=lambda pair: pair[0].start):
        opens = max(text.rfind(mark, at, leaf.start) for mark in "<?&#\n") if at < leaf.start else -1
        named = leaf.end - len(opening(leaf))
        opens = named if at <= named < opens else opens if opens >= at else max(at, leaf.start - 24)
        ends = re.match(r"</[\w:.-]+>|.|\n", text[leaf.end :])
        closes = ends[0] if ends else ""
        if ":" not in name and leaf.kind is str:
            name = f"{name}:{leaf.converter}" if leaf.converter else name
        written += literal(text[opens : leaf.start]) + hole(name) + literal(closes) + ("{_}" if closes else "")
        at = leaf.end + len(closes)
    return written


def laid(document: Any, place: Sequence[str | int], text: str) -> Any:
    if not place:
        return text
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        items = list(document) if isinstance(document, list) else []
        items += ["{_}"] * (first + 1 - len(items))
        items[first] = laid(items[first] if items[first] != "{_}" else None, rest, text)
        return items
    table = dict(document) if isinstance(document, dict) else {}
    table[first] = laid(table.get(first), rest, text)
    return table
