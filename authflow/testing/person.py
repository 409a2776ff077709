"""The person who stands before a simulated vendor, for logins that need one: `ask=simulator.person`.

agrees    soon after being told              leaves     never says anything, or closes the window
refuses   soon after being told              strays     comes back with a stranger's state
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from authflow.http import Answer, Request
from authflow.testing.faults import Broken

#: What a person may do.
DEEDS: Final = ("agrees", "refuses", "leaves", "strays")


class Person:
    """`does` says what the person does from now on."""

    def __init__(self, handle: Callable[[Request], Answer]) -> None:
        self._handle = handle
        self.does = "agrees"
        #: What the person was asked: kind, text and URL.
        self.asked: list[tuple[str, str, str]] = []

    def __repr__(self) -> str:
        return f"<Person who {self.does}>"

    def __call__(self, kind: str, text: str, url: str) -> str:
        self.asked.append((kind, text, url))
        address = self._sent_to(url) if kind == "open" and self.does != "leaves" else ""
        if self.does == "strays":
            query = {**dict(parse_qsl(urlsplit(address).query)), "state": "of-a-stranger"}
            address = urlsplit(address)._replace(query=urlencode(query)).geturl()
        return address

    def _sent_to(self, url: str) -> str:
        """Where the vendor sends the browser; nowhere, where it shows an error."""
        with suppress(Broken):
            return next(iter(self._handle(Request("GET", url)).all("location")), "")
        return ""
