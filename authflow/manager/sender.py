"""What sends the requests of an exchange: one for each HTTP library, in `clients`; here is what they have in common."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from authflow.http import Answer, Request


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
