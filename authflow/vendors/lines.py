"""In which line of a vendor file a key stands: what editors and people jump to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_PART: Final = r"(?:[\w-]+|\"[^\"]*\"|'[^']*')"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_KEY: Final = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")


def line_of(file: str, key: str) -> int:
    """The line of the longest part of `key` that the file itself says; 0 where it says none, or is no file."""
    try:
        text = Path(file).read_text("utf-8-sig")
    except (OSError, ValueError):
        return 0
    table = list[str]()
    counted: dict[str, int] = {}
    longest, found = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":
                index = counted[header[2]] = counted.get(header[2], -1) + 1
                table.append(str(index))
            here = table
        elif said := _KEY.match(line):
            here = [*table, *_parts(said[1])]
        else:
            continue
        said_here = ".".join(here)  # names may hold dots themselves
        if len(said_here) > longest and f"{key}.".startswith(f"{said_here}."):
            longest, found = len(said_here), number
        elif not found and key and said_here.startswith(f"{key}."):  # a table that begins with something inside it
            longest, found = len(key), number
    return found


def _parts(text: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, text)]
