"""What the README shows, cut out of it: snippets by language and heading, and the tables of what replaces what.

A snippet that cannot run anywhere else than at its author's says so in a comment above it: `<!-- skip: why -->`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
SUPPLIER = "https://api.supplier.example/api/v1/"
_FENCE = re.compile(
    r"^(?:<!-- skip: (?P<skip>.+?) -->\n)?```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^(#{2,3}) (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (.*?) ?\| (.*?) ?\|$", re.MULTILINE)


class Snippet(NamedTuple):
    """`line` is that of its first line of code in the README; `section` and `title` are the headings over it."""

    language: str
    line: int
    code: str
    skip: str | None
    section: str = ""
    title: str = ""


def snippets(text: str, language: str) -> Iterator[Snippet]:
    for fence in _FENCE.finditer(text):
        if fence["language"] == language:
            line = text.count("\n", 0, fence.start("code")) + 1
            section, title = _headings(text[: fence.start()])
            yield Snippet(language, line, fence["code"], fence["skip"], section, title)


def _headings(above: str) -> tuple[str, str]:
    section = title = ""
    for level, heading in _HEADING.findall(_FENCE.sub("", above)):
        section, title = (heading, "") if level == "##" else (section, heading)
    return section, title


def replacements(text: str, before: str) -> Iterator[tuple[list[str], list[str]]]:
    """The rows of the table whose first column is titled `before`: the code of either cell."""
    table = text.partition(f"\n| {before} | authflow |\n")[2].partition("\n\n")[0]
    for left, right in _ROW.findall(table):
        if not left.startswith("---"):
            yield re.findall(r"`([^`]+)`", left), re.findall(r"`([^`]+)`", right)


def run(
    snippet: Snippet, namespace: dict[str, Any], here: Mapping[str, str], then: str = "", file: Path = README
) -> None:
    """Run it, and `then`, as a prompt does that knows `await`: with the addresses of `here` for those that it names."""
    code = snippet.code + then
    for there, at in here.items():
        code = code.replace(there, at)
    at_its_line = "\n" * (snippet.line - 1) + code
    compiled = compile(at_its_line, str(file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)
