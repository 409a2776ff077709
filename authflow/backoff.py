"""How long to leave a vendor alone that did not answer: one probe per step, and the steps grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from authflow.errors import AuthFlowError, VendorUnavailable

#: By so many seconds two readings of the clock may come in the wrong order, without its having been set back.
SLACK: Final = 30.0


class Backoff:
    """Closed for `first` seconds after a failure, twice as long after the next, `most` at most; jittered by a fifth.

    What the vendor asks for (`retry_after`, seconds) counts instead where it is longer. All instants are epoch seconds.
    """

    __slots__ = ("_error", "_failures", "_first", "_most", "_random", "_since", "_until")

    def __init__(self, random: Callable[[], float], first: float = 1.0, most: float = 30.0) -> None:
        self._random, self._first, self._most = random, first, most
        self.reset()

    def reset(self) -> None:
        self._failures = 0
        self._since = self._until = float("-inf")
        self._error: AuthFlowError | None = None

    def open(self, now: float) -> bool:
        """May the vendor be asked? A clock that was set back opens it too."""
        return not self._since - SLACK < now < self._until

    def failing(self, now: float) -> bool:
        """Did the last try fail, and is it too early for the next?"""
        return self._error is not None and not self.open(now)

    def begun(self, now: float) -> None:
        """A try is under way, since it is open: no second one before the first step has passed."""
        self._since, self._until = now, now + self._first

    def failed(self, now: float, retry_after: float | None, error: AuthFlowError) -> None:
        step = min(self._first * 2.0 ** min(self._failures, 30), self._most)
        self._failures += 1
        self._since = now
        self._until = now + max(step * (1 - 0.2 * self._random()), retry_after or 0.0)
        self._error = error

    def error(self, now: float) -> AuthFlowError:
        """What the last try met, with the seconds that remain."""
        error = self._error.copy() if self._error is not None else VendorUnavailable("the vendor did not answer")
        error.retry_after = max(0.0, self._until - now)
        return error
