"""How far servers' clocks are ahead of this one's, as far as refused requests and their `Date` have shown."""

from __future__ import annotations

from email.utils import formatdate
from urllib.parse import urlsplit

from authflow.http import Answer

#: The answers by which servers refuse what was signed at a time that is none of theirs.
REFUSES = frozenset({400, 401, 403})


class Clocks:
    """One for each signer; a server is a host and port, and what it says moves the clock for itself alone."""

    def __init__(self) -> None:
        self._ahead: dict[str, float] = {}

    def at(self, url: str, now: float) -> float:
        """What the clock of the server says, in epoch seconds, when this machine's says `now`."""
        return now + self._ahead.get(urlsplit(url).netloc, 0.0)

    def differs(self, answer: Answer, url: str, now: float, signed_at: float | None, allowed: float) -> bool:
        """Was a request refused that was signed more than `allowed` seconds away from the time of the server? Then the
        next one is signed at that time.
        """
        date = answer.date
        if answer.status not in REFUSES or date is None or signed_at is None or abs(date - signed_at) <= allowed:
            return False
        self._ahead[urlsplit(url).netloc] = date - now
        return True


def too_far(status: int, body: bytes, now: float) -> Answer:
    """For the simulator: the answer to what was signed at another time."""
    return Answer(status, (("Date", formatdate(now, usegmt=True)),), body)
