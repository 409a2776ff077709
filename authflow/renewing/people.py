"""A person is asked: `ask(kind, text, url)`.

tell    show the text, and the URL                                                   → nothing
open    open the URL in a browser     → False: there is none; text: the address to which it was sent; else: opened
enter   let something be typed                                                       → what was typed
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Ask = Callable[[str, str, str], Any]


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
    return kind == "open" and not far and webbrowser.open(url)


def without_browser(kind: str, text: str, url: str) -> Any:
    """Shows what a person is asked: for who opens the address by hand, elsewhere perhaps."""
    print(text if url in text or kind == "enter" else f"{text}\n{url}", file=sys.stderr, flush=True)
    if kind == "tell" and url:
        with suppress(ImportError):
            import segno

            segno.make(url, micro=False).terminal(out=sys.stderr, compact=True)
    return False
