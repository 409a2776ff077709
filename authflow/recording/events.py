"""What happened, as plain values: requests, exchanges, transitions, renewals, and the story that they make up.

All times are seconds since the story began. What stands here is masked already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from authflow.vendors import Vendor

#: In the place of its method: the request to which a redirect led.
HOP: Final = "⤷"


_WAITS: Final = {
    "start": "no token yet",
    "expired": "the token has ended",
    "rejected": "the vendor rejected the token",
    "login": "login() was called",
}


@dataclass(slots=True)
class Part:
    """One part of a request's time, in seconds since the recording began: it waited for a token, or was on its way and
    got an answer with this status.
    """

    kind: Literal["waited", "sent"]
    began: float
    ended: float | None = None
    status: int | None = None


@dataclass(slots=True, eq=False)
class Asked:
    """A caller's own request (or a call of `token()`): where it went, and how its time was spent."""

    method: str
    url: str
    began: float
    parts: list[Part] = field(default_factory=list)
    answered: bool = False
    error: str = ""

    @property
    def end(self) -> str:
        """The status of the last answer, or the error in its place."""
        status = next((part.status for part in reversed(self.parts) if part.status is not None), None)
        return self.error or (str(status) if status is not None else "")

    def turn(self, kind: Literal["waited", "sent"] | None, now: float) -> None:
        """Here one part ends and the next begins."""
        if self.parts and self.parts[-1].ended is None:
            self.parts[-1].ended = now
        if kind is not None:
            self.parts.append(Part(kind, now))


@dataclass(slots=True)
class Wire:
    """One request of an exchange, and its answer, masked."""

    method: str
    url: str
    request: list[str]
    began: float
    ended: float | None = None
    status: int | None = None
    answer: list[str] = field(default_factory=list)
    error: str = ""


@dataclass(slots=True)
class Edge:
    """One transition."""

    before: str
    event: str
    after: str
    exchange: str
    at: float


@dataclass(slots=True)
class Renewal:
    """From an event to a state at rest, or to an error; so many callers waited for it."""

    cause: str
    began: float
    ended: float | None = None
    state: str = ""
    waiters: int = 0
    error: str = ""


class Story:
    """All that happened to one session while somebody listened."""

    hop: Final = HOP

    def __init__(self, vendor: Vendor, title: str = "") -> None:
        self.vendor: Final = vendor
        self.title = title or vendor.title
        self.start = vendor.flow.start
        self.asked: list[Asked] = []
        self.wires: list[Wire] = []
        self.edges: list[Edge] = []
        self.renewals: list[Renewal] = []
        #: How many more of these there were than are kept.
        self.left_out = 0
        self.length = 0.0

    @property
    def state(self) -> str:
        """Where the session is, by the last transition."""
        return self.edges[-1].after if self.edges else self.start

    @property
    def counts(self) -> tuple[str, ...]:
        """How many there were of each, as page and `print` say it; a redirect's hops belong to their request."""
        requests = sum(asked.method != HOP for asked in self.asked)
        waited = sum(any(part.kind == "waited" for part in asked.parts) for asked in self.asked)
        counted = {"request": requests, "exchange": len(self.wires), "transition": len(self.edges)}
        return (*(f"{count} {name}{'s' * (count != 1)}" for name, count in counted.items()), f"{waited} waited")

    def awaited(self, part: Part) -> str:
        """Why a request waited: what began the renewal that was under way."""
        over = (one.cause for one in self.renewals if one.ended is None or one.ended >= part.began)
        cause = next(over, "")
        return _WAITS.get(cause, f"the vendor said {cause}" if cause else "another renews the token")
