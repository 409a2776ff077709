"""The person who stands before a simulated vendor, for logins that need one: `ask=simulator.person`.

agrees    soon after being told              leaves     never says anything
refuses   soon after being told
"""

from __future__ import annotations

from typing import Final

#: What a person may do.
DEEDS: Final = ("agrees", "refuses", "leaves")


class Person:
    """`does` says what the person does from now on."""

    def __init__(self) -> None:
        self.does = "agrees"
        #: What the person was asked: kind, text and URL.
        self.asked: list[tuple[str, str, str]] = []

    def __repr__(self) -> str:
        return f"<Person who {self.does}>"

    def __call__(self, kind: str, text: str, url: str) -> str:
        self.asked.append((kind, text, url))
        return ""
