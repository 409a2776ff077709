"""The vendor file of what was learnt, as if written by hand: the nearest preset, and only what differs from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from authflow.masking import SHORT, spells
from authflow_learn import meanings
from authflow_learn.leaves import NOISY_COOKIE, Leaf, Place, is_form
from authflow_learn.messages import CaptureError
from authflow_learn.tracing import Learnt, Step

_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_DIRECT: Final[Mapping[str, str]] = {"basic": "basic", "token": "bearer"}
_CREDENTIALS: Final[Mapping[str, Mapping[str, bool]]] = {
    "refresh-token": {"client_id": False, "client_secret": True, "refresh": True},
    "relogin": {"username": False, "password": True},
    "password": {"username": False, "password": True},
}
#: What stands in a caller's document where the token goes.
MARK: Final = "@TOKEN@"
_UPPER: Final = {word: word.upper() for word in ("csrf", "xsrf", "cst", "sid", "id", "jwt")}
#: Headers that a login may need although every client sends some.
_KEPT: Final = ("accept", "content-type", "referer", "origin")


def vendor_file(learnt: Learnt, name: str) -> str:
    """The text of the file. What could not be known is a comment with the question in it. Raises CaptureError."""
    preset = _preset(learnt)
    lines = [
        f"# {question.text}{'?' if question.kind == '' and '?' not in question.text else ''}"
        for question in learnt.questions
    ]
    lines += [f'name = "{name}"', f'extends = "{preset}"', f"base_url = {_text(learnt.base_url)}"]
    lines += ['on_logout = "logout"'] if learnt.logout is not None else []
    lines += [*_settings(learnt), *_identity(learnt, preset)]
    if any(key.place[0] in ("query", "path") for key in learnt.presented) or _secret_in_a_url(learnt):
        lines.append("insecure_url = true  # a secret stands in URLs, where logs and proxies see it")
    if learnt.constant:
        headers = {_header(key): _filled_text(learnt, value) for key, value in learnt.constant.items()}
        lines.append(f"headers = {_inline(headers)}")
    if learnt.origins:
        lines.append(f"origins.present = [{', '.join(map(_text, sorted(learnt.origins)))}]")
    if learnt.lifetime:
        lines.append(f"expiry.lifetime = {_text(learnt.lifetime)}")
    for key, hidden in learnt.credentials.items():
        if (learnt.signed or key not in learnt.direct) and _CREDENTIALS.get(preset, {}).get(key) != hidden:
            once = ", once = true" if key in learnt.once else ""
            lines.append(f"credentials.{key} = {f'{{ secret = true{once} }}' if hidden else '{}'}")
    for key, made in learnt.derived.items():
        ((function, argument),) = made.items()
        lines.append(f"derive.{key}.{function} = {_inline(argument)}")
    for number, step in enumerate(learnt.steps):
        lines += ["", *_exchange(learnt, step, learnt.steps[:number])]
    if learnt.refresh is not None:
        lines += ["", *_exchange(learnt, learnt.refresh, learnt.steps)]
    lines += [
        *_authorize(learnt),
        *_logout(learnt),
        *_states(learnt),
        *_rejected(learnt),
        *_rewrites(learnt),
        *_kept(learnt),
    ]
    text = "\n".join(lines) + "\n"
    if not text.isascii() and text.encode("utf-8", "replace") != text.encode("utf-8", "surrogatepass"):
        raise CaptureError("the login sends bytes that are no text: no vendor file says such")
    public = {value for value, named in learnt.names.items() if learnt.credentials.get(named) is False}
    public = {value for value in public if "@" not in value}  # `admin` is a word of many paths
    if spells(text, [secret for secret in learnt.secrets - public if len(secret) >= SHORT and secret not in name]):
        raise CaptureError("a secret of the capture stands where it cannot be told from other text: nothing is written")
    return text


def _preset(learnt: Learnt) -> str:
    if learnt.standard is not None:
        return learnt.standard.preset
    if learnt.signed:
        return "signed"
    if learnt.direct:
        place = next(iter(learnt.presented)).place
        return _DIRECT.get(str(place[0]), _DIRECT.get(learnt.direct[0], "api-key"))
    if learnt.given_refresh:
        return "refresh-token"
    return "password" if learnt.refresh is not None else "relogin"


def _identity(learnt: Learnt, preset: str) -> Iterator[str]:
    plain = [key for key, secret in learnt.credentials.items() if not secret]
    if (
        (learnt.signed or not learnt.direct)
        and not learnt.given_refresh
        and learnt.standard is None
        and "username" not in plain
        and learnt.credentials
    ):
        says = plain or [*learnt.credentials][: 1 if learnt.signed else None]
        yield f"identity = [{', '.join(map(_text, says))}]"


def _settings(learnt: Learnt) -> Iterator[str]:
    """What a standard login's preset asks for."""
    if learnt.standard is None:
        return
    if learnt.standard.secret_in:
        yield f"secret_in = {_text(learnt.standard.secret_in)}"
    for key, value in learnt.standard.settings.items():
        yield f"settings.{key} = {{ default = {_text(value.removeprefix(learnt.base_url) or value)} }}"


def _authorize(learnt: Learnt) -> Iterator[str]:
    """The sign-in page's query, where it has more than the preset's."""
    if learnt.standard is not None and learnt.standard.more:
        names = ("redirect_uri", "client_id", "scope?", "state", "code_challenge")
        query = {"response_type": "code", **{name.strip("?"): hole(name) for name in names}}
        query |= {"code_challenge_method": "S256", **{key: literal(value) for key, value in learnt.standard.more}}
        yield from ("", "[exchanges.authorize]", f"request = {_inline({'url': '{authorize_url}', 'query': query})}")


def _secret_in_a_url(learnt: Learnt) -> bool:
    secret = {
        value for value, name in learnt.names.items() if learnt.credentials.get(name) or name in ("access", "refresh")
    }
    steps = [*learnt.steps, *([learnt.refresh] if learnt.refresh else [])]
    return any(
        leaf.place[0] in ("query", "path") and leaf.value in secret
        for step in steps
        for leaf in learnt.flow.requests[step.at]
    )


# --- exchanges --------------------------------------------------------------------------------------------------------


def _exchange(learnt: Learnt, step: Step, before: Sequence[Step]) -> Iterator[str]:
    yield f"[exchanges.{'refresh' if learnt.given_refresh and step.name == 'login' else step.name}]"
    yield f"request = {_inline(_request(learnt, step))}"
    answer = _answer(learnt, step)
    if step.name == "refresh" and any(_answer(learnt, one) == answer for one in before):
        yield 'answers = "login"'
        return
    yield f"answers.granted = {_inline(answer)}"
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
    return _inline([{"status": statuses}, *patterns] if patterns else {"status": statuses})


def _request(learnt: Learnt, step: Step) -> dict[str, Any]:
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
    headers = {_header(key): value for key, value in _headers(learnt, step, text=text)}
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


def _filled_text(learnt: Learnt, value: str) -> str:
    return hole(learnt.names[value]) if value in learnt.names else literal(value)


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
            pattern["json"] = _laid(pattern.get("json"), place[1:], _read(leaf, mine[leaf]))
        else:
            key = _header(str(place[1])) if place[0] == "headers" else str(place[1])
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
        opens = opens if opens >= at else max(at, leaf.start - 24)
        ends = re.match(r"</[\w:.-]+>|.|\n", text[leaf.end :])
        closes = ends[0] if ends else ""
        if ":" not in name and leaf.kind is str:
            name = f"{name}:{leaf.converter}" if leaf.converter else name
        written += literal(text[opens : leaf.start]) + hole(name) + literal(closes) + ("{_}" if closes else "")
        at = leaf.end + len(closes)
    return written


def _laid(document: Any, place: Sequence[str | int], text: str) -> Any:
    if not place:
        return text
    first, rest = place[0], place[1:]
    if isinstance(first, int):
        items = list(document) if isinstance(document, list) else []
        items += ["{_}"] * (first + 1 - len(items))
        items[first] = _laid(items[first] if items[first] != "{_}" else None, rest, text)
        return items
    table = dict(document) if isinstance(document, dict) else {}
    table[first] = _laid(table.get(first), rest, text)
    return table


# --- states -----------------------------------------------------------------------------------------------------------


def _states(learnt: Learnt) -> Iterator[str]:
    if len(learnt.steps) > 1:
        names = [step.name for step in learnt.steps]
        states = ["signed_out", *(f"with_{name}" for name in names[:-1]), "signed_in"]
        for state, name, following in zip(states, names, states[1:], strict=False):
            yield from ("", f"[states.{state}]", f'send = "{name}"', f'granted = "{following}"', 'denied = "refused"')
    present = _present(learnt)
    usual = {
        "headers": {"X-Api-Key": "{api_key}"}
        if "api_key" in learnt.direct
        else {"Authorization": f"Bearer {hole((*learnt.direct, 'access')[0])}"}
    }
    leaves = ['expired = "leaving"', 'rejected = "leaving"'] if learnt.leaves and learnt.refresh is None else []
    if learnt.direct == ("username", "password") or (present == usual and not leaves):
        return
    if MARK in present.get("text", {}):
        yield from ("", f"# Write {MARK} in a document where the token goes.")
    yield from ("", "[states.signed_in]", f"present = {_inline(present)}", *leaves)
    if leaves:
        yield from ("", "[states.leaving]", 'send = "logout"', 'done = "signed_out"')


def _present(learnt: Learnt) -> dict[str, Any]:
    present: dict[str, Any] = {}
    for key, name in learnt.presented.items():
        text = literal(key.before) + hole(name, key.converter) + literal(key.after)
        if key.place == ("text",):
            present["text"] = {MARK: hole(name, key.converter)}
        elif key.place[0] == "json":
            present["json"] = _laid(present.get("json"), key.place[1:], text)
        elif key.place[0] == "basic":
            present["basic"] = [hole(part) for part in learnt.beside_basic]
        elif key.place[0] != "path":
            last = _header(str(key.place[1])) if key.place[0] == "headers" else str(key.place[-1])
            present.setdefault(str(key.place[0]), {})[last] = text
    return present


def _rejected(learnt: Learnt) -> Iterator[str]:
    if learnt.rejected != {"status": 401}:
        yield from ("", "[answers]", f"rejected = {_inline(learnt.rejected)}")


def _rewrites(learnt: Learnt) -> Iterator[str]:
    """A token in the path: callers write the URL without it."""
    for key, name in learnt.presented.items():
        if key.place[0] == "path":
            yield from (
                "",
                "[[rewrites]]",
                'from = "./{rest:path}"',
                f'to = "./{literal(key.before)}{hole(name)}/{{rest:path}}"',
            )


def _logout(learnt: Learnt) -> Iterator[str]:
    if learnt.logout is not None:
        yield from ("", "[exchanges.logout]", f"request = {_inline(_request(learnt, learnt.logout))}")
        yield "answers.done = { status = [200, 204, 302, 303, 401, 403] }"


def _kept(learnt: Learnt) -> Iterator[str]:
    """What each answer brings anew for the next request."""
    for place, name in learnt.kept.items():
        kept = {place[0]: _laid(None, [_header(str(place[1])), *place[2:]], hole(name))}
        yield from ("", "[[keep]]", *(f"{key} = {_inline(value)}" for key, value in kept.items()))


# --- TOML -------------------------------------------------------------------------------------------------------------


def _header(name: str) -> str:
    return "-".join(_UPPER.get(part, part.capitalize()) for part in name.split("-"))


def hole(name: str, converter: str = "") -> str:
    return "{" + name + (f":{converter}" if converter else "") + "}"


def literal(text: str) -> str:
    """As the notation writes text that is no placeholder."""
    return text.replace("{", "{{").replace("}", "}}")


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_name(str(key))} = {_inline(item)}" for key, item in value.items())
        return "{ " + inner + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if value is None:
        return '""'
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else _text(value)


def _name(key: str) -> str:
    return key if _KEY.fullmatch(key) else _text(key)


def _text(value: str) -> str:
    if '"' in value and "'" not in value and "\\" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
