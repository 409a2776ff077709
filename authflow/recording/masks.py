"""What a recording may show of requests and answers that went over the wire; everything else is masked at once.

requests    a value is shown if the vendor file or a setting that is no secret says it in the open
answers     JSON without what a pattern reads and what looks like a secret; of other bodies the length
headers     names, and the values of those that never hold a secret

What was masked once is masked wherever it is said again, under whatever name: a password that a callable gave, the
refresh token that an answer replaces.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from authflow.errors import harmless
from authflow.http import Answer, Request, without_query
from authflow.masking import LOOKED, MASK, SHORT, hidden_values, mask_document, mask_text, spells
from authflow.renewing import keys_read
from authflow.vendors import Given, Vendor

#: Headers whose values are no secret.
OPEN: Final = frozenset(
    {"accept", "cache-control", "connection", "content-encoding", "content-length", "content-type", "date", "expires"}
    | {"retry-after", "server", "transfer-encoding", "user-agent", "vary"}
)
_SCHEMES: Final = frozenset({"Basic", "Bearer", "Digest", "Token"})


class Masks:
    """What may be shown of requests and answers."""

    __slots__ = ("_keys", "_open", "_secrets", "_sent")  # no `__dict__`: reporters walk through those

    def __init__(self, vendor: Vendor, given: Given) -> None:
        secret = {name for name, entry in vendor.inputs.items() if entry.secret}
        plain = {str(value) for name, value in given.items() if name not in secret and not callable(value)}
        self._secrets = {str(value) for name, value in given.items() if name in secret and not callable(value)}
        self._sent = {*self._secrets}
        self._open = plain | set(_literals([exchange.get("request") for exchange in _tables(vendor)]))
        self._keys = frozenset().union(*(keys_read(exchange) for exchange in vendor.flow.exchanges.values()))

    def shows(self, text: str) -> bool:
        """Does the vendor file or a setting say it in the open?"""
        return text in self._open

    def hides(self, text: str) -> bool:
        """Is it a secret, or has it one in it that the server was sent, as far as is known now?"""
        return text in self._secrets or self.repeats(text)

    def repeats(self, text: str) -> bool:
        """Is it one that the server was sent, or has it one in it?"""
        known = ((it.lstrip("0") or it) if it.isdecimal() else it.lower() for it in self._sent)
        return any(text.lower() == it or (len(it) >= SHORT and it in text.lower()) for it in known)

    def spelled(self, text: str) -> bool:
        """Does one stand in it, however it is spelled?"""
        return spells(text[:LOOKED], self._sent)

    def url(self, url: str) -> str:
        """Without the query; segments that look like a token are masked."""
        scheme = re.match(r"[\w+.-]*://|", url)[0]  # type: ignore[index]  # a path alone has none
        rest = without_query(url).removeprefix(scheme)
        shown = [part if part in self._open else mask_text(part, self._secrets) for part in rest.split("/")]
        return harmless(scheme + "/".join(shown))

    def request(self, request: Request) -> Iterator[str]:
        for _, value in parse_qsl(urlsplit(request.url).query):
            self._word(value)
        for name, value in request.headers:
            yield harmless(f"{name}: {value if name.lower() in OPEN else self._word(value)}")
        if request.body:
            yield harmless(self._body(request.body))

    def _body(self, body: bytes) -> str:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = body.decode("latin-1")
            if "=" not in text or any(mark in text for mark in "<{\n"):
                return f"{len(body)} bytes"
            return "&".join(f"{name}={self._word(value)}" for name, value in parse_qsl(text, keep_blank_values=True))
        return msgspec.json.encode(self._shown(document)).decode()

    def _shown(self, item: Any) -> Any:
        if isinstance(item, dict):
            return {key: self._shown(value) for key, value in item.items()}
        if isinstance(item, list):
            return [self._shown(value) for value in item]
        return item if item is None or isinstance(item, bool) else self._word(str(item))

    def _word(self, text: str) -> str:
        """A word that stands in the open somewhere, as it is; else its scheme, such as Bearer, and a mask."""
        if text in self._open:
            return text
        scheme, blank, rest = text.partition(" ")
        if not blank or scheme not in _SCHEMES:
            self._learn(text)
            return MASK
        self._learn(rest, *(_pair(rest) if scheme == "Basic" else ()))
        return f"{scheme} {MASK}"

    def _learn(self, *secrets: str, sent: bool = True) -> None:
        new = {secret for secret in secrets if secret and secret not in self._open}
        self._secrets |= new
        self._sent |= new if sent else set()

    def answer(self, answer: Answer) -> Iterator[str]:
        try:
            document = answer.json
            self._learn(*hidden_values(document, self._keys), sent=False)
        except (ValueError, RecursionError):
            document = None
        for name, value in answer.headers:
            shown = mask_text(value, self._secrets, LOOKED) if name.lower() in OPEN else MASK
            yield harmless(f"{name}: {shown}")
        if not answer.content:
            return
        if document is None:
            yield f"{len(answer.content)} bytes"
        else:
            yield harmless(mask_document(document, self._secrets, self._keys, 2000))


def _pair(text: str) -> list[str]:
    """The user name and the password of HTTP Basic."""
    try:
        return base64.b64decode(text).decode("utf-8", "replace").split(":", 1)
    except ValueError:
        return []


def _tables(vendor: Vendor) -> list[Mapping[str, Any]]:
    return [table for table in vendor.raw.get("exchanges", {}).values() if isinstance(table, Mapping)]


def _literals(item: Any) -> Iterator[str]:
    """The values of a template without a placeholder."""
    if isinstance(item, Mapping):
        item = list(item.values())
    if isinstance(item, list):
        for inner in item:
            yield from _literals(inner)
    elif isinstance(item, str | int | float) and "{" not in str(item):
        yield str(item)
