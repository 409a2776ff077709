"""What good answers bring anew (`[[keep]]`) is stored behind those who use it, at most once a second.

The first value is stored at once, in a flight that nobody waits for; later ones with the next after a second, or when
the session is closed, or when the process ends.
"""

from __future__ import annotations

import atexit
import math
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from authflow.errors import AuthFlowError

#: Seconds between two writes.
PAUSE: Final = 1.0


class Behind:
    """Which grants of a session have values that the store does not have yet. `store` writes one's, `behind` does so
    while nobody waits.
    """

    def __init__(self, store: Callable[[Any], Any], behind: Callable[[Any], Any]) -> None:
        self._store, self._behind = store, behind
        self._stored_at = -math.inf
        self._left: set[Any] = set()

    def __repr__(self) -> str:
        return f"<Behind: {len(self._left)} to store>"

    def note(self, slot: Any, now: float) -> None:
        if 0 <= now - self._stored_at < PAUSE:
            self._left.add(slot)
            _UNSTORED.add(self)
            return
        self._stored_at = now
        self._left.discard(slot)
        self._behind(slot)

    def flush(self) -> None:
        """Store what is left. A store that fails is no reason to fail: the value is but a newer one."""
        left, self._left = self._left, set()
        for slot in left:
            with suppress(AuthFlowError):
                self._store(slot)


_UNSTORED: Final[weakref.WeakSet[Behind]] = weakref.WeakSet()


@atexit.register
def _at_the_end() -> None:
    for behind in list(_UNSTORED):
        with suppress(BaseException):  # nobody is left to whom a failure would say anything
            behind.flush()
