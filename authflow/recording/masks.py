"""What a recording may show of requests and answers that went over the wire; everything else is masked at once.

requests    a value is shown if the vendor file or a setting that is no secret says it in the open
answers     JSON without what a pattern reads and what looks like a secret; of other bodies the length
headers     names, and the values of those that never hold a secret
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from authflow.http import Answer, Request, without_query
from authflow.manager import keys_read
from authflow.masking import MASK, mask_document, mask_text
from authflow.vendors import Given, Vendor

#: Headers whose values are no secret.
_OPEN: Final = frozenset(
    {"accept", "cache-control", "connection", "content-encoding", "content-length", "content-type", "date", "expires"}
    | {"retry-after", "server", "transfer-encoding", "user-agent", "vary"}
)
_SCHEMES: Final = frozenset({"Basic", "Bearer", "Digest", "Token"})


class Masks:
    """What may be shown of requests and answers."""

    def __init__(self, vendor: Vendor, given: Given) -> None:
        secret = {name for name, entry in vendor.inputs.items() if entry.secret}
        plain = {str(value) for name, value in given.items() if name not in secret and not callable(value)}
        self._secrets = [str(value) for name, value in given.items() if name in secret and not callable(value)]
        self._open = plain | set(_literals([exchange.get("request") for exchange in _tables(vendor)]))
        self._keys = frozenset().union(*(keys_read(exchange) for exchange in vendor.flow.exchanges.values()))

    def url(self, url: str) -> str:
        """Without the query; segments that look like a token are masked."""
        head, slashes, rest = without_query(url).partition("://")
        shown = [part if part in self._open else mask_text(part, self._secrets) for part in rest.split("/")]
        return head + slashes + "/".join(shown)

    def request(self, request: Request) -> Iterator[str]:
        for name, value in request.headers:
            yield f"{name}: {value if name.lower() in _OPEN else self._word(value)}"
        if request.body:
            yield self._body(request.body)

    def _body(self, body: bytes) -> str:
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = body.decode("latin-1")
            if "=" not in text or any(mark in text for mark in "<{\n"):
                return f"{len(body)} bytes"
            pairs = (pair.partition("=") for pair in text.split("&"))
            return "&".join(f"{name}={self._word(value)}" for name, _, value in pairs)
        return msgspec.json.encode(self._shown(document)).decode()

    def _shown(self, item: Any) -> Any:
        if isinstance(item, dict):
            return {key: self._shown(value) for key, value in item.items()}
        if isinstance(item, list):
            return [self._shown(value) for value in item]
        return item if item is None or isinstance(item, bool) else self._word(str(item))

    def _word(self, text: str) -> str:
        """A word that stands in the open somewhere, as it is; else its scheme, such as Bearer, and a mask."""
        scheme, blank, _ = text.partition(" ")
        return text if text in self._open else f"{scheme} {MASK}" if blank and scheme in _SCHEMES else MASK

    def answer(self, answer: Answer) -> Iterator[str]:
        for name, value in answer.headers:
            yield f"{name}: {value if name.lower() in _OPEN else MASK}"
        if not answer.content:
            return
        try:
            yield msgspec.json.encode(mask_document(answer.json, self._secrets, self._keys)).decode()[:2000]
        except (ValueError, RecursionError, msgspec.MsgspecError):
            yield f"{len(answer.content)} bytes"


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
