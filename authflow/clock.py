"""Two clocks: the wall's, as whoever freezes it in a test shows it, and one for deadlines, which goes on meanwhile.

freezegun and its like put functions of their own in the place of the `time` module's, wherever they find them. So the
wall clock is looked up at each reading, and the other one is held where they do not look.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

_HELD: Final = (time.monotonic,)


def wall_clock() -> float:
    """Epoch seconds."""
    return time.time()


def monotonic() -> float:
    """Seconds; processes of one machine may compare them."""
    return _HELD[0]()


def timer(clock: Callable[[], float]) -> Any:
    """What has a `time()` that reads a clock: for the wall's, Python's own module, which costs a call less."""
    return time if clock is wall_clock else SimpleNamespace(time=clock)
