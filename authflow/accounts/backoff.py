"""How long to leave a vendor alone: that did not answer, or whose tokens are rejected however often they are renewed.

    Backoff ── failed, begun ──▶ another Backoff         a plain value: whoever keeps one replaces it in one assignment

Closed for `first` seconds after a failure, twice as long after the next, `most` at most. What the vendor asks for
(`retry_after`, seconds) counts instead where it is longer. All instants are epoch seconds.

A *rejected* token may be revoked, or the path be forbidden: both say 401. The cure tells which, and costs an exchange:

    revoked     401 ▸ renew ▸ 200                              at once, whenever it happens
    forbidden   401 ▸ renew ▸ 401                              the second 401 is the caller's
    forty more  401 ▸ renew ▸ 401, six times in a minute   then each 401 is the caller's, unsent again, but for
                                                           one a minute, until ten minutes pass without
    a path that has just rejected a token which was a moment old rejects it for a minute, and costs nothing

When it was last renewed for that lies in the grant's record: so this holds for all who share the store, and for a token
that other paths accept. A new token, however it came (expiry, another process), does not begin the count anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from authflow.errors import AuthFlowError, VendorUnavailable

#: By so many seconds two readings of the clock may come in the wrong order, without its having been set back.
SLACK: Final = 30.0
_NEVER: Final = float("-inf")


#: So many renewals for rejections within the first minute (seven exchanges, with the login before them); then one a
#: minute, until so many seconds pass without.
CURES: Final = 6
MINUTE: Final = 60.0
UNCURED_FOR: Final = 600.0


def may_cure(cures: tuple[float, ...], now: float) -> bool:
    """Is there another renewal for a rejection, after those (epoch seconds)?"""
    if not cures:
        return True
    return now - cures[-1] >= MINUTE or (len(cures) < CURES and now - cures[0] < MINUTE)


def by_own_clock(cures: tuple[float, ...], now: float, memory: dict[str, Any], key: str) -> tuple[float, ...]:
    """The same by this session's clock: a last one that is ahead, or was not there when it looked (`memory`) after that
    time, was told by another clock, and is counted from when it is seen.
    """
    last, since, looked = memory.get("cured" + key, (None, now, 0.0))
    told = cures[-1] if cures else None
    if told != last:
        since = told if told is not None and looked - SLACK <= told <= now + SLACK else now
    memory["cured" + key] = told, since, now
    return tuple(min(cure + since - cures[-1], now) for cure in cures)


def with_cure(cures: tuple[float, ...], now: float) -> tuple[float, ...]:
    """After one more."""
    return (*(cures if cures and now - cures[-1] < UNCURED_FOR else ()), now)[-CURES:]


@dataclass(frozen=True, slots=True)
class Backoff:
    """After some failures in a row; one that has met none is open. From `until` on the next try may begin."""

    first: float = 1.0
    most: float = 30.0
    failures: int = 0
    last: AuthFlowError | None = None
    _since: float = _NEVER
    until: float = _NEVER

    def open(self, now: float) -> bool:
        """May the vendor be asked? A clock that was set back opens it too."""
        return not self._since - SLACK < now < self.until

    def failing(self, now: float) -> bool:
        """Did the last try fail, and is it too early for the next?"""
        return self.last is not None and not self.open(now)

    def begun(self, now: float) -> Backoff:
        """While a try is under way, since it is open: no second one before the first step has passed."""
        return replace(self, _since=now, until=now + self.first)

    def failed(self, now: float, retry_after: float | None, error: AuthFlowError, jitter: float) -> Backoff:
        """After one failure more. `jitter` (0 to 1) takes a fifth off the step at most."""
        step = min(self.first * 2.0 ** min(self.failures, 30), self.most) * (1 - 0.2 * jitter)
        until = now + max(step, retry_after or 0.0)
        return replace(self, failures=self.failures + 1, last=error, _since=now, until=until)

    def error(self, now: float) -> AuthFlowError:
        """What the last try met, with the seconds that remain."""
        error = self.last.copy() if self.last is not None else VendorUnavailable("the vendor did not answer")
        error.retry_after = max(0.0, self.until - now)
        return error
