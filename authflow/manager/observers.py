"""What a session tells about its renewals, and to whom: log records, plugins' hooks, and recordings.

    renewal begins ──▶ transition, transition, … ──▶ renewal ends
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

from authflow.accounts import Record
from authflow.errors import AuthFlowError, harmless
from authflow.plugins import Hooks
from authflow.vendors import Transition, Vendor

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
    "reason",
)
#: Why a renewal began, beside the vendor file's events and `expired`: nothing was known; somebody said `login()`.
START: Final = "start"
LOGIN: Final = "login"


class Listener(Protocol):
    """Somebody in this process who wants to hear it too."""

    def renewal_begins(self, cause: str) -> None: ...
    def moved(self, transition: Transition, exchange: str, seconds: float | None) -> None: ...
    def renewal_ends(self, state: str, expires_at: float | None, waiters: int, error: str) -> None: ...


class Watch:
    """One renewal's."""

    def __init__(
        self, vendor: Vendor, account: Callable[[], str], hooks: Hooks, listeners: tuple[Listener, ...] = ()
    ) -> None:
        self.vendor, self.account, self.listeners = vendor, account, listeners
        self._transition, self._begins, self._ends = hooks.transition, hooks.renewal_begins, hooks.renewal_ends
        self._exchanged = False

    def renewal(self, cause: str, waiters: Callable[[], int], work: Callable[[], Record]) -> Record:
        """Do the work of a renewal, and tell when it begins and how it ends. Raises what `work` raises."""
        self._tell(self._begins, cause=cause)
        for listener in self.listeners:
            listener.renewal_begins(cause)
        started = time.monotonic()
        try:
            record = work()
        except BaseException as error:
            self._ended(cause, time.monotonic() - started, waiters(), None, error)
            raise
        self._ended(cause, time.monotonic() - started, waiters(), record, None)
        return record

    def moved(self, transition: Transition, exchange: str = "", seconds: float | None = None) -> None:
        """One edge of the flow; `exchange` was sent for it and took `seconds`, or it is an event."""
        before, event, after = transition
        self._exchanged |= exchange != ""
        if log.isEnabledFor(logging.DEBUG):
            facts = {"event": event, "state_before": before, "state_after": after, "exchange": exchange}
            self._log(logging.DEBUG, "%s: %s --%s--> %s", transition, {**facts, "duration": seconds})
        self._tell(self._transition, before=before, event=event, after=after, exchange=exchange, seconds=seconds)
        for listener in self.listeners:
            listener.moved(transition, exchange, seconds)

    def _ended(
        self, cause: str, seconds: float, waiters: int, record: Record | None, error: BaseException | None
    ) -> None:
        kind = "" if error is None else type(error).__name__
        said = harmless(error.reason) if isinstance(error, AuthFlowError) else ""
        state, expires_at = (record.state, record.expires_at) if record is not None else ("", None)
        if log.isEnabledFor(logging.INFO):
            facts = {"event": cause, "state_after": state, "duration": seconds, "waiters": waiters, "error": kind}
            self._log(
                logging.INFO,
                "%s: %s (%s) in %.3f s; %d waited",
                (self._sentence(cause, state, f"{kind}: {said}" if said else kind), cause, seconds, waiters),
                {**facts, "reason": said, "expires_at": expires_at, "exchange": getattr(error, "exchange", "")},
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
            listener.renewal_ends(state, expires_at, waiters, kind)

    def _sentence(self, cause: str, state: str, error: str) -> str:
        first = cause in (START, LOGIN)
        if error:
            return f"{'no login' if first else 'not renewed'}: {error}"
        if not self._exchanged and first and state == self.vendor.flow.start:
            return f"needs no login, now {state}"
        if not self._exchanged:
            return f"took the token from the store, now {state}"
        return f"{'logged in' if first else 'renewed the token'}, now {state}"

    def _log(self, level: int, message: str, values: tuple[object, ...], facts: dict[str, object]) -> None:
        extra = {"vendor": self.vendor.name, "account": self.account(), **facts}
        extra = {name: value for name, value in extra.items() if value not in (None, "")}
        log.log(level, message, self.vendor.name, *values, extra=extra)

    def _tell(self, hook: Any, **facts: Any) -> None:
        if hook is None:
            return
        try:
            hook(vendor=self.vendor, account=self.account(), **facts)
        except Exception as error:
            log.warning("%s: a plugin's %s failed: %s", self.vendor.name, hook.name, type(error).__name__)
