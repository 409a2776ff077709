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
    wanted, table = key.split("."), list[str]()
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
        if len(here) > longest and here == wanted[: len(here)]:
            longest, found = len(here), number
        elif not found and key and here[: len(wanted)] == wanted:  # a table that begins with something inside it
            longest, found = len(wanted), number
    return found


def _parts(text: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, text)]
