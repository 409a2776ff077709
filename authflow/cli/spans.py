"""Time as people say it: how long, and how much of it is left, as a bar."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """Two units at most: "2 d 3 h", "11 h 59 min", "42 s". Nothing is less than "0 s"."""
    left = max(0, int(seconds))
    for at, (size, unit) in enumerate(_UNITS):
        if left >= size:
            finer, name = _UNITS[at + 1] if at + 1 < len(_UNITS) else (0, "")
            rest = left % size // finer if finer else 0
            return f"{left // size} {unit}" + (f" {rest} {name}" if rest else "")
    return "0 s"


def bar(part: float, width: int = 12) -> str:
    """How much is left of the whole, 0 to 1. Something left is never drawn as nothing."""
    full = max(round(min(1.0, part) * width), 1) if part > 0 else 0
    return "█" * full + "░" * (width - full)
