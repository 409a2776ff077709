"""A story of the machine as people read it: a numbered list, and a sequence diagram of who said what to whom.

The lines are the watcher's (`promises`) and the machine's; a line that is no message is a note beside the vendor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from authflow.draw import Message, Note, arrows

#: A line of a story → what it is in the diagram.
_TOLD: Final[tuple[tuple[re.Pattern[str], Callable[..., Message | Note]], ...]] = (
    (re.compile(r"(\w+) sends (\S+)"), lambda who, what: Message(who, "vendor", what)),
    (
        re.compile(r"(\w+) hears (.+) to (\S+)"),
        lambda who, outcome, what: Message("vendor", who, f"{what}: {outcome}", answer=True),
    ),
    (re.compile(r"(request \d+) of (\w+) goes out.*"), lambda what, who: Message(who, "vendor", what)),
    (
        re.compile(r"(request \d+) of (\w+) is (rejected)"),
        lambda what, who, how: Message("vendor", who, f"{what}: {how}", answer=True),
    ),
    (re.compile(r"(request \d+) of (\w+) ((?:begins|ends).*)"), lambda what, who, how: Note(who, f"{what} {how}")),
    (re.compile(r"([A-Z]\d+):? (.+)"), lambda who, what: Note(who, what)),
)


def numbered(story: Sequence[str]) -> list[str]:
    """The lines with their numbers before them."""
    width = len(str(len(story)))
    return [f"{number:{width}}. {line}" for number, line in enumerate(story, 1)]


def sequence(story: Sequence[str]) -> str:
    """The story as a Mermaid `sequenceDiagram`; whoever acts in it has a column."""
    told = [_told(line) for line in story]
    acting = {item.at if isinstance(item, Note) else item.sender for item in told} - {"vendor"}
    return arrows({who: who for who in (*sorted(acting), "vendor")}, told)


def _told(line: str) -> Message | Note:
    for pattern, drawn in _TOLD:
        if (parts := pattern.fullmatch(line)) is not None:
            return drawn(*parts.groups())
    return Note("vendor", line)
