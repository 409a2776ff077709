"""A story of the machine as people read it: a numbered list, and a sequence diagram of who said what to whom.

The lines are the watcher's (`promises`) and the machine's; a line that is no message is a note beside the vendor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from authflow.vendors import drawing

#: A line of a story → what it is in the diagram.
_TOLD: Final[tuple[tuple[re.Pattern[str], Callable[..., drawing.Message | drawing.Note]], ...]] = (
    (re.compile(r"(\w+) sends (\S+)"), lambda who, what: drawing.Message(who, "vendor", what)),
    (
        re.compile(r"(\w+) hears (.+) to (\S+)"),
        lambda who, outcome, what: drawing.Message("vendor", who, f"{what}: {outcome}", answer=True),
    ),
    (re.compile(r"(request \d+) of (\w+) goes out.*"), lambda what, who: drawing.Message(who, "vendor", what)),
    (
        re.compile(r"(request \d+) of (\w+) is (rejected)"),
        lambda what, who, how: drawing.Message("vendor", who, f"{what}: {how}", answer=True),
    ),
    (
        re.compile(r"(request \d+) of (\w+) ((?:begins|ends).*)"),
        lambda what, who, how: drawing.Note(who, f"{what} {how}"),
    ),
    (re.compile(r"([A-Z]\d+):? (.+)"), lambda who, what: drawing.Note(who, what)),
)


def numbered(story: Sequence[str]) -> list[str]:
    """The lines with their numbers before them."""
    width = len(str(len(story)))
    return [f"{number:{width}}. {line}" for number, line in enumerate(story, 1)]


def sequence(story: Sequence[str]) -> str:
    """The story as a Mermaid `sequenceDiagram`; whoever acts in it has a column."""
    told = [_told(line) for line in story]
    acting = {item.at if isinstance(item, drawing.Note) else item.sender for item in told} - {"vendor"}
    drawn: str = drawing.arrows({who: who for who in (*sorted(acting), "vendor")}, told)
    return drawn


def _told(line: str) -> drawing.Message | drawing.Note:
    for pattern, drawn in _TOLD:
        if (parts := pattern.fullmatch(line)) is not None:
            return drawn(*parts.groups())
    return drawing.Note("vendor", line)
