"""What every library's edge has in common: how exchanges are sent, and when a body can be sent again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Protocol, runtime_checkable

from authflow.errors import ConfigurationError
from authflow.http import Answer, Pairs, Request

#: An answer of an exchange larger than this is not read to its end, in bytes.
MAX_ANSWER: Final = 1 << 20
#: What is looked at of a caller's own answer, in bytes.
MAX_PEEK: Final = 1 << 16
#: Seconds in which a connection must stand.
CONNECT: Final = 10.0


class NoAnswer(Exception):
    """No whole answer came. `sent`: the request may have reached the vendor and may have been acted upon."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class TooLarge(Exception):
    """The answer is larger than `MAX_ANSWER`."""


@runtime_checkable
class Sender(Protocol):
    """Sends one request of an exchange: no redirects, no cookie jar, no auth, within `timeout` seconds in all."""

    def exchange(self, request: Request, timeout: float) -> Answer:
        """Raises NoAnswer, TooLarge."""
        ...


def wire_headers(request: Request, agent: str) -> dict[str, str]:
    """The headers of an exchange, with what a plain client says of itself.

    The connection is not kept: exchanges are rare, and one sent over a connection that the vendor has just closed may
    or may not have been received.
    """
    own = dict(request.headers)
    have = {name.lower() for name in own}
    ours = {"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
    return {**{name: value for name, value in ours.items() if name.lower() not in have}, **own}


def gather(chunks: Iterator[bytes], deadline: float, expected: str | None) -> bytes:
    """All chunks, up to `MAX_ANSWER` bytes and until `deadline` (monotonic seconds). Raises TooLarge, NoAnswer.

    `expected` is the Content-Length: an answer that is there to its last byte counts, however late.
    """
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER:
            raise TooLarge
        if time.monotonic() > deadline and str(size) != expected:
            raise NoAnswer("the answer took too long", sent=True)
    return b"".join(parts)


def cookie_header(present: str | None, ours: Pairs) -> str:
    """A caller's `Cookie` header with the session's own cookies in the place of those of the same name."""
    names = {name for name, _ in ours}
    kept = [pair.strip() for pair in (present or "").split(";")]
    kept = [pair for pair in kept if pair and pair.partition("=")[0] not in names]
    return "; ".join([*kept, *(f"{name}={value}" for name, value in ours)])


def wrong_adapter(mine: str, request: object) -> ConfigurationError:
    """The error for an adapter that was given to another library's client: it names the right one."""
    theirs = type(request).__module__.partition(".")[0]
    return ConfigurationError(f"auth=session.{mine} was given to a client of {theirs}: write auth=session.{theirs}")
