"""A caller's own query and body, with what a session presents laid over them; all else stays byte for byte.

    query   a parameter of the same name is replaced
    json    tables merge key by key, lists place by place
    form    a field of the same name is replaced, in a multipart form too
    text    stands in the place of literal text

Raises ValueError where a body cannot take it: the adapters make one error of it, whatever the client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit, urlunsplit

import msgspec

from authflow.http import Left, Pairs, Presentation, add_query, encode_form, url_quote

_FORM: Final = "application/x-www-form-urlencoded"


def merge_query(url: str, pairs: Pairs) -> str:
    """A URL with these parameters, in the place of those of the same names."""
    parts, ours = urlsplit(url), {name for name, _ in pairs}
    kept = [part for part in parts.query.split("&") if _name(part) not in ours]
    if len(kept) < len(parts.query.split("&")):
        url = urlunsplit(parts._replace(query="&".join(kept)))
    return add_query(url, pairs)


def without_parts(url: str, ours: Iterable[str]) -> str:
    """A URL without those parts of its query, in whichever way they are escaped, nor in a URL that is a parameter of
    it: what a redirect echoes, say.
    """
    return _without(url, {form for part in ours if part for form in _read(part)}, 3)


def _without(text: str, ours: set[tuple[str, str]], depth: int) -> str:
    left, mark, pieces = "", "", re.split("([?&#;])", text)
    for before, piece in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        mark = mark if mark and before != "#" else before
        if not ours.isdisjoint(_read(piece)):
            mark = "" if mark in "&;" else mark  # what follows begins the query then
            continue
        name, equals, value = piece.rpartition("=")
        inner = unquote(value) if depth and before else ""
        if (kept := _without(inner, ours, depth - 1) if inner else "") != inner:
            piece = f"{name}{equals}{url_quote(kept)}"
        left, mark = f"{left}{mark}{piece}", ""
    return left


def _read(part: str) -> set[tuple[str, str]]:
    """A parameter's name and value, as a URL and as a form would have them."""
    name, _, value = part.partition("=")
    return {(read(name), read(value)) for read in (unquote, unquote_plus)}


def merge_body(kind: str, body: bytes | None, presentation: Presentation) -> tuple[str, bytes | None]:
    """A body and its content type with what is presented in it. Raises ValueError if it cannot take that."""
    if presentation.text:
        kind = kind or "application/octet-stream"
        return kind, _with_text(kind, body, presentation.text) if body else body
    kind = kind or ("application/json" if presentation.json else _FORM)
    plain = kind.partition(";")[0].strip().lower()
    if presentation.json:
        if not plain.endswith(("/json", "+json")):
            raise ValueError(f"the token travels in a JSON body, and this request's is {plain or 'of no type'}")
        return kind, _with_json(body or b"{}", presentation.json)
    if plain == "multipart/form-data":
        return kind, _with_parts(kind, body or b"", presentation.form)
    if plain != _FORM:
        raise ValueError(f"the token travels in a form, and this request's body is {plain or 'of no type'}")
    ours = {name for name, _ in presentation.form}
    kept = [part for part in (body or b"").split(b"&") if part and _name(part.decode("latin-1")) not in ours]
    return kind, b"&".join([*kept, encode_form(presentation.form)])


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def _with_text(kind: str, body: bytes, text: Pairs) -> bytes:
    named = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", kind, re.I)
    charset = named[1] if named else "utf-8"
    for literal, value in text:
        try:
            place, token = literal.encode(charset), value.encode(charset)
        except (LookupError, UnicodeError):
            raise ValueError(f"the token cannot be written in the character set {charset}") from None
        if place not in body:
            raise ValueError(f"the token goes where {literal!r} stands, and this request's body lacks that")
        body = body.replace(place, token)
    return body


def _with_json(body: bytes, fields: Mapping[str, Any]) -> bytes:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        raise ValueError("the token travels in a JSON object, and this request's body is no JSON") from None
    if not isinstance(document, dict):
        raise ValueError("the token travels in a JSON object, and this request's body is another value")
    return msgspec.json.encode(_laid_over(document, fields, ""))


def _laid_over(under: Any, over: Any, where: str) -> Any:
    kind = Mapping if isinstance(over, Mapping) else list if isinstance(over, list) else None
    if kind is None:
        return over
    if under is not None and not isinstance(under, kind):
        raise ValueError(f"the token travels inside {where.strip('.')}, and this request has another value there")
    if isinstance(over, Mapping):
        merged = dict(under or {})
        return merged | {key: _laid_over(merged.get(key), value, f"{where}.{key}") for key, value in over.items()}
    elements = list(under or [])
    for index, value in enumerate(over):
        if index > len(elements) or (index == len(elements) and value is Left.LEFT):
            raise ValueError(
                f"the token is element {len(over) - 1} of {where.strip('.')}, and this request has too few"
            )
        if value is not Left.LEFT:
            old = elements[index] if index < len(elements) else None
            elements[index : index + 1] = [_laid_over(old, value, f"{where}.{index}")]
    return elements


def _with_parts(kind: str, body: bytes, form: Pairs) -> bytes:
    """A multipart form (RFC 7578) with these fields before its own."""
    named = re.search(r"boundary=(?:\"([^\"]+)\"|([^\s;]+))", kind, re.I)
    if named is None or not body:
        raise ValueError("the token travels in a form, and this request's multipart body has no boundary")
    mark = b"\r\n--" + (named[1] or named[2]).encode()
    before, *parts = (b"\r\n" + body).split(mark)
    ours = {_quoted(name) for name, _ in form}
    kept = [part for part in parts if part.startswith(b"--") or _field_of(part) not in ours]
    fields = [
        f'\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}'.encode() for name, value in form
    ]
    return mark.join([before, *fields, *kept])[2:]


def _field_of(part: bytes) -> str:
    named = re.search(rb'\bname="([^"]*)"', part.partition(b"\r\n\r\n")[0])
    return named[1].decode("utf-8", "replace") if named else ""


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
