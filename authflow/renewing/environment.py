"""What a session manager works with, beside its vendor and its store: settled when a session is made.

A sender sends the requests of an exchange: there is one for each HTTP library, in `clients`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from authflow.clock import monotonic, wall_clock
from authflow.errors import VendorUnavailable
from authflow.http import Answer, Request

if TYPE_CHECKING:
    from authflow.plugins import Hooks
    from authflow.renewing.signing import Signers


class NoAnswer(Exception):
    """No whole answer came. `sent`: the request may have reached the vendor and may have been acted upon."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class ClientRaised(NoAnswer):
    """A hook, a transport or an adapter of the user's client raised `error`, and hid the answer."""

    def __init__(self, error: Exception) -> None:
        super().__init__(type(error).__name__, sent=True)
        self.error = error


class TooLarge(Exception):
    """The answer is larger than `MAX_ANSWER`."""


@runtime_checkable
class Sender(Protocol):
    """Sends one request of an exchange: no redirects, no cookie jar, no auth, within `timeout` seconds in all."""

    def exchange(self, request: Request, timeout: float) -> Answer:
        """Raises NoAnswer, TooLarge."""
        ...


def pause(seconds: float) -> None:
    """Let so many seconds pass. A program that ends does not wait for them: Raises VendorUnavailable."""
    ends = monotonic() + seconds
    while (left := ends - monotonic()) > 0:
        if not threading.main_thread().is_alive():
            raise VendorUnavailable("the program ends")
        time.sleep(min(left, 0.2))


class Environment(NamedTuple):
    """
    hooks           the hooks that plugins implement
    default_sender  makes a sender, preferably of the library that is named, where no client was given
    sender          sends exchanges through the client that was given, or None
    signers         sign requests, or None
    clock           epoch seconds
    timeout         seconds that one renewal may take
    degrade         go on without the store when it fails
    ask             asks a person: `ask(kind, text, url)`; None: nobody is there
    pause           lets so many seconds pass
    """

    hooks: Hooks
    default_sender: Callable[[str], Sender]
    sender: Sender | None = None
    signers: Signers | None = None
    clock: Callable[[], float] = wall_clock
    timeout: float = 30.0
    degrade: bool = False
    ask: Callable[[str, str, str], Any] | None = None
    pause: Callable[[float], Any] = pause
