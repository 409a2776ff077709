"""Answers shown to people, with whatever could be a secret left out.

Masked are: every value that the session knows to be secret, every value that stands where a pattern reads one, and
every long run of characters that looks like a token. What remains is the shape, and words such as `invalid_grant`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from authflow.http import Answer

MASK: Final = "***"
SHOWN: Final = 400
_TOKENISH: Final = re.compile(r"(?=[\w.~+/=-]*\d)(?=[\w.~+/=-]*[A-Za-z])[\w.~+/=-]{16,}|[\w.~+/=-]{32,}")
_SECRET_KEY: Final = re.compile(
    r"token|secret|passw|credential|cookie|session|jwt|otp|key|assertion|authorization", re.I
)


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets and without anything that looks like a token."""
    for secret in sorted({secret for secret in secrets if len(secret) > 2}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _TOKENISH.sub(MASK, text)


def mask_document(document: Any, secrets: Iterable[str], keys: frozenset[str]) -> Any:
    """A JSON document with the values under secret-looking keys, and under the given ones, masked."""
    if isinstance(document, Mapping):
        return {
            mask_text(key, secrets): MASK
            if isinstance(value, str | int | float) and (key in keys or _SECRET_KEY.search(key))
            else mask_document(value, secrets, keys)
            for key, value in document.items()
        }
    if isinstance(document, list):
        return [mask_document(item, secrets, keys) for item in document[:20]]
    return mask_text(document, secrets) if isinstance(document, str) else document


def describe(answer: Answer, secrets: Iterable[str], keys: frozenset[str]) -> str:
    """An answer in one line: status, content type, and its masked body cut to a few hundred characters."""
    known = list(secrets)
    kind = (answer.all("content-type") or ["no content type"])[0]
    try:
        text = msgspec.json.encode(mask_document(answer.json, known, keys)).decode()
    except (ValueError, RecursionError, msgspec.MsgspecError):
        text = mask_text(" ".join(answer.text[: 4 * SHOWN].split()), known)
    cut = text[:SHOWN] + "…" if len(text) > SHOWN else text
    return f"status {answer.status}, {mask_text(kind, known)}, {cut or 'an empty body'}"
