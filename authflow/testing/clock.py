"""A clock that you move yourself: epoch seconds, the same for all sessions, stores and simulators that share it."""

from __future__ import annotations

#: Where a clock stands at first, in epoch seconds: some day in the past, the same in every run.
EPOCH = 1_750_000_000.0


class Clock:
    """Call it for the time. `advance` moves it, also backwards."""

    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass; returns the new time in epoch seconds."""
        self.now += seconds
        return self.now

    def __repr__(self) -> str:
        return f"Clock({self.now!r})"
