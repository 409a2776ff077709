"""A person is asked: `ask(kind, text, url)`.

tell    show the text, and the URL                                                   → nothing
open    open the URL in a browser     → False: there is none; text: the address to which it was sent; else: opened
enter   let something be typed                                                       → what was typed

What a person typed, as an answer to a callable of the user's, is kept until the vendor has accepted or refused it: an
outage is no reason to ask again. What came at once, from a program, may be another soon, and a one-time code runs out:
they are kept for half a minute.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from typing import Any, Final

from authflow.clock import monotonic
from authflow.sealed import Held

Ask = Callable[[str, str, str], Any]
#: Nobody types a password in fewer seconds.
FASTEST: Final = 1.0
#: For how many seconds other answers are kept.
KEPT_FOR: Final = 30.0


def keep_typed(
    memory: dict[str, Any],
    answers: Mapping[str, Any],
    took: float,
    once: Container[str] = (),
    used: Container[str] = (),
) -> None:
    """Remember what callables answered, in so many seconds: `once` for a while, what is `used` up not at all."""
    until = {False: monotonic() + KEPT_FOR, True: math.inf}
    new = {name: (value, until[took >= FASTEST and name not in once]) for name, value in answers.items()}
    memory["typed"] = Held({name: kept for name, kept in {**new, **_kept(memory)}.items() if name not in used})


def typed(memory: Mapping[str, Any]) -> dict[str, Any]:
    """What nobody needs to be asked for again."""
    return {name: value for name, (value, _) in _kept(memory).items()}


def _kept(memory: Mapping[str, Any]) -> dict[str, tuple[Any, float]]:
    kept = memory.get("typed", Held({})).it
    return {name: entry for name, entry in kept.items() if monotonic() < entry[1]}


def terminal(kind: str, text: str, url: str) -> Any:
    """`ask="terminal"`: a person at this terminal, and a browser if there is one here. It writes to standard error,
    since what a program prints is its own; with a QR code for another device where `segno` is installed.
    """
    without_browser(kind, text, url)
    if kind == "enter":
        with suppress(EOFError):
            return input()
        return ""
    far = "SSH_CONNECTION" in os.environ and not os.environ.get("DISPLAY")
    if kind != "open" or far:
        return False
    import webbrowser  # finds out what browsers there are, which takes its time

    return webbrowser.open(url)


def without_browser(kind: str, text: str, url: str) -> Any:
    """Shows what a person is asked: for who opens the address by hand, elsewhere perhaps."""
    print(text if url in text or kind == "enter" else f"{text}\n{url}", file=sys.stderr, flush=True)
    if kind == "tell" and url:
        with suppress(ImportError):
            import segno

            segno.make(url, micro=False).terminal(out=sys.stderr, compact=True)
    return False
