"""Answers shown to people, with whatever could be a secret left out.

Masked are: every value that the session knows to be secret, every value that stands where a pattern reads one, and
every long run of characters that looks like a token. What remains is the shape, and words such as `invalid_grant`.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

import msgspec

from authflow.http import Answer

MASK: Final = "***"
SHOWN: Final = 400
_TOKENISH: Final = re.compile(r"(?=[\w.~+/=-]*\d)(?=[\w.~+/=-]*[A-Za-z])[\w.~+/=-]{16,}|[\w.~+/=-]{32,}")
_SECRET_KEY: Final = re.compile(
    r"token|secret|passw|credential|cookie|session|jwt|otp|key|assertion|authorization|access", re.I
)
#: In text that is no JSON: a name that sounds like a secret's, and what follows it up to the end of a word.
_NAMED: Final = re.compile(rf"((?:{_SECRET_KEY.pattern})[\w-]*[\"']?\s*[:=>]\s*[\"']?)[^\s\"'&;,<>{{}}]+", re.I)


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets and without anything that looks like a token."""
    spelled = {spelling for secret in secrets if len(secret) > 2 for spelling in _spellings(secret)}
    for spelling in sorted(spelled, key=len, reverse=True):
        text = text.replace(spelling, MASK)
    return _TOKENISH.sub(MASK, text)


def _spellings(secret: str) -> Iterator[str]:
    """How an answer may echo it: as it is, in a URL, in HTML, in JSON, in base64."""
    data = secret.encode("utf-8", "replace")
    yield from (secret, quote(data, safe=""), quote(data), quote_plus(data), html.escape(secret))
    for quoted in (msgspec.json.encode(data.decode()).decode(), json.dumps(secret)):
        yield from (quoted[1:-1], quoted[1:-1].replace("/", "\\/"))
    yield from (encode(data).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode))


def mask_document(document: Any, secrets: Iterable[str], keys: frozenset[str]) -> Any:
    """A JSON document with the values under secret-looking keys, and under the given ones, masked; its shape stays."""
    if isinstance(document, Mapping):
        return {
            mask_text(key, secrets): _masked(value, secrets)
            if key in keys or _SECRET_KEY.search(key)
            else mask_document(value, secrets, keys)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [mask_document(item, secrets, keys) for item in document[:20]]
    return mask_text(document, secrets) if isinstance(document, str) else document


def _masked(value: Any, secrets: Iterable[str]) -> Any:
    """A value of which nothing is shown but which keys it has, and how many items."""
    if isinstance(value, Mapping):
        return {mask_text(key, secrets): _masked(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(item, secrets) for item in value[:20]]
    return value if value is None or isinstance(value, bool) else MASK


def describe(answer: Answer, secrets: Iterable[str], keys: frozenset[str]) -> str:
    """An answer in one line: status, content type, and its masked body cut to a few hundred characters."""
    known = list(secrets)
    kind = (answer.all("content-type") or ["no content type"])[0]
    try:
        text = msgspec.json.encode(mask_document(answer.json, known, keys)).decode()
    except (ValueError, RecursionError, msgspec.MsgspecError):
        text = _NAMED.sub(rf"\1{MASK}", " ".join(mask_text(answer.text, known).split()))
    cut = text[:SHOWN] + "…" if len(text) > SHOWN else text
    return f"status {answer.status}, {mask_text(kind, known)}, {cut or 'an empty body'}"
