"""One request and its answer, as a capture holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

#: So much of a body is looked at.
MOST_BODY: Final = 1 << 20


#: Said where a capture of authflow's own does not tell enough.
STANDS_IN: Final = "it holds stand-ins for secrets: capture it with --with-secrets, or record(secrets=True)"


class CaptureError(Exception):
    """A capture that cannot be used, in one line."""


def multipart(fields: Iterable[tuple[str, str]], kind: str) -> str:
    """The body of a `multipart/form-data` whose header is known (RFC 7578)."""
    mark = kind.partition("boundary=")[2].partition(";")[0].strip('" ') or "form"
    parts = (f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields)
    return "".join(parts) + f"--{mark}--\r\n"


@dataclass(frozen=True)
class Message:
    """Headers in their order, names in lower case, and a body. `unread`: it is compressed in a way not known here."""

    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    unread: bool = False

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @cached_property
    def document(self) -> Any:
        """The JSON of the body, where it is an object or a list; else None."""
        text = self.body.strip()
        if text[:1] not in ("{", "["):
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class Capture:
    """One request and its answer. `source` is the file that it is from."""

    method: str
    url: str
    request: Message = field(repr=False)
    status: int
    answer: Message = field(repr=False)
    source: str = ""
    #: When it was sent, in epoch seconds; 0 where the capture does not say.
    at: float = 0.0
    #: Is it of a browser that leaves cookies and `Authorization` out of what it saves?
    sanitized: bool = False
