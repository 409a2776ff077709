"""A person at this terminal. Imported when somebody is asked, and not before."""

from __future__ import annotations

import sys
from contextlib import suppress


def terminal(kind: str, text: str, url: str) -> str:
    """`ask="terminal"`: shows a text, with a QR code of its URL where `segno` is installed, or lets something be typed.

    It writes to standard error: what a program prints is its own.
    """
    print(text, file=sys.stderr, flush=True)
    if kind == "enter":
        return input()
    if url:
        if url not in text:
            print(url, file=sys.stderr)
        with suppress(ImportError):
            import segno

            segno.make(url, micro=False).terminal(out=sys.stderr, compact=True)
    return ""
