"""What a session tells about its climbs, and to whom: log records, plugins' hooks, and recordings.

    climb begins ──▶ transition, transition, … ──▶ climb ends
                     each with the exchange            with its state or error, how long it took,
                     that was sent, and its time       and how many waited for it

Log records stand under `authflow` and carry the facts as attributes of their own (see `FACTS`). Nothing told here holds
a secret, and nobody who listens can make a login fail: what a plugin raises is logged, and that is all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from authflow.errors import AuthFlowError
from authflow.flow import Transition
from authflow.grant import Grant
from authflow.plugins import Hooks
from authflow.vendor import Vendor

log: Final = logging.getLogger("authflow")

#: The attributes of a log record, each there only where it makes sense. `account` is a hash; `duration` in seconds.
FACTS: Final = (
    "vendor",
    "account",
    "event",
    "state_before",
    "state_after",
    "exchange",
    "duration",
    "waiters",
    "expires_at",
    "error",
)
#: Why a climb began, beside the events of the vendor's file and `expired`: nothing was known; somebody said `login()`.
START: Final = "start"
LOGIN: Final = "login"


class Listener(Protocol):
    """Somebody in this process who wants to hear it too."""

    def climb_begins(self, cause: str) -> None: ...
    def walked(self, transition: Transition, exchange: str, seconds: float | None) -> None: ...
    def climb_ends(self, state: str, expires_at: float | None, waiters: int, error: str) -> None: ...


class Watch:
    """One climb's."""

    def __init__(self, vendor: Vendor, account: str, hooks: Hooks, listeners: tuple[Listener, ...] = ()) -> None:
        self.vendor, self.account, self.listeners = vendor, account, listeners
        self._transition, self._begins, self._ends = hooks.transition, hooks.climb_begins, hooks.climb_ends

    def climb(self, cause: str, waiters: Callable[[], int], work: Callable[[], Grant]) -> Grant:
        """Do the work of a climb, and tell when it begins and how it ends. Raises what `work` raises."""
        self._tell(self._begins, cause=cause)
        for listener in self.listeners:
            listener.climb_begins(cause)
        started = time.monotonic()
        try:
            grant = work()
        except BaseException as error:
            self._ended(cause, time.monotonic() - started, waiters(), None, error)
            raise
        self._ended(cause, time.monotonic() - started, waiters(), grant, None)
        return grant

    def walked(self, transition: Transition, exchange: str = "", seconds: float | None = None) -> None:
        """One edge of the flow; `exchange` was sent for it and took `seconds`, or it is an event."""
        before, event, after = transition
        if log.isEnabledFor(logging.DEBUG):
            facts = {"event": event, "state_before": before, "state_after": after, "exchange": exchange}
            self._log(logging.DEBUG, "%s: %s --%s--> %s", transition, {**facts, "duration": seconds})
        self._tell(self._transition, before=before, event=event, after=after, exchange=exchange, seconds=seconds)
        for listener in self.listeners:
            listener.walked(transition, exchange, seconds)

    def _ended(
        self, cause: str, seconds: float, waiters: int, grant: Grant | None, error: BaseException | None
    ) -> None:
        kind = "" if error is None else type(error).__name__
        state, expires_at = (grant.state, grant.expires_at) if grant is not None else ("", None)
        if log.isEnabledFor(logging.INFO):
            facts = {"event": cause, "state_after": state, "duration": seconds, "waiters": waiters, "error": kind}
            self._log(
                logging.INFO,
                "%s: climbed (%s) to %s in %.3f s; %d waited",
                (cause, state or kind, seconds, waiters),
                {**facts, "expires_at": expires_at, "exchange": getattr(error, "exchange", "")},
            )
        self._tell(
            self._ends,
            cause=cause,
            state=state,
            expires_at=expires_at,
            waiters=waiters,
            seconds=seconds,
            error=error if isinstance(error, AuthFlowError) or error is None else None,
        )
        for listener in self.listeners:
            listener.climb_ends(state, expires_at, waiters, kind)

    def _log(self, level: int, message: str, values: tuple[object, ...], facts: dict[str, object]) -> None:
        extra = {"vendor": self.vendor.name, "account": self.account, **facts}
        extra = {name: value for name, value in extra.items() if value not in (None, "")}
        log.log(level, message, self.vendor.name, *values, extra=extra)

    def _tell(self, hook: Any, **facts: Any) -> None:
        if hook is None:
            return
        try:
            hook(vendor=self.vendor, account=self.account, **facts)
        except Exception as error:
            log.warning("%s: a plugin's %s failed: %s", self.vendor.name, hook.name, type(error).__name__)
