"""What a session manager works with, beside its vendor and its store: settled when a session is made."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from authflow.clock import monotonic, wall_clock
from authflow.errors import VendorUnavailable

if TYPE_CHECKING:
    from authflow.manager.sender import Sender
    from authflow.manager.signing import Signers
    from authflow.plugins import Hooks


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
