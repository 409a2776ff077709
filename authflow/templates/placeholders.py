"""Placeholders: the places in a template's strings where values stand, and what can go wrong there.

    "{name}"  {name:int}  {name?}  {name:int?}      a value, its converter, and whether it may be absent
    "{_}"                                           anything, kept nowhere
    "{=name}"                                       in a pattern: what must equal the known value
    "{{" and "}}"                                   braces

`parse` cuts a string into its literals and placeholders. What a placeholder writes it reads back.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from authflow.templates.converters import PLAIN, Converter, number
from authflow.templates.hints import HINTS, forgiven


class TemplateError(ValueError):
    """A template that cannot be: a bad placeholder, an unknown converter, two placeholders with nothing between them.

    `path` is the keys that lead to it, innermost first.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []


class Unbound(LookupError):
    """`render` needs a value that is not there; the argument is its name."""


class Unfit(ValueError):
    """A value that cannot stand where the template puts it. The message names it and never shows it."""


class Mismatch(Exception):
    """A document does not fit; `where` is the path of keys, `reason` says why without showing any value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []

    @property
    def where(self) -> str:
        return ".".join(reversed(self.path))

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.path else self.reason


class Lookup(Protocol):
    """Where values are looked up: a mapping, or anything that has its `get`."""

    def get(self, name: str, /) -> Any: ...


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


#: What `render` gives for a template whose optional value is not there, and `match` is asked with for a missing key.
ABSENT: Final = _Absent()


class Guard(NamedTuple):
    """The place of a placeholder without converter inside XML or JSON that is written as text."""

    forbids: re.Pattern[str]
    converter: str


@dataclass(frozen=True, slots=True)
class Placeholder:
    """`{name:converter?}`, alone in its string."""

    name: str
    kind: str = ""
    optional: bool = False
    converter: Converter = PLAIN
    #: It reads nothing, but compares.
    equal: bool = False
    #: What may not stand in a value here, and the converter that makes any value fit.
    guard: Guard | None = None

    def render(self, values: Lookup) -> Any:
        value = values.get(self.name)
        if self.name == "_":
            return "" if value is None else value
        if value is None:
            if self.optional:
                return ABSENT
            raise Unbound(self.name)
        if self.converter is PLAIN:
            return value
        try:
            return self.converter.write(value)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise Unfit(f"the value of {self.name} cannot be written as {self.kind}") from error

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if document is None or document is ABSENT:
            if self.optional or (self.name == "_" and document is None):
                return
            if document is None and forgiven(found, [self.name]):
                return
            raise Mismatch("missing" if document is ABSENT else "null")
        if self.name != "_" or self.kind:
            self.keep(document, found)

    def keep(self, document: Any, found: dict[str, Any]) -> None:
        try:
            value = document if self.converter is PLAIN else self._read(document)
        except Mismatch:
            if not forgiven(found, [self.name]):
                raise
            return
        if self.name == "_":
            return
        if self.equal:
            known = found.get(f"={self.name}")
            if known is None or str(known) != str(value):
                raise Mismatch(
                    f"another value than that of {self.name}" if known is not None else f"{self.name} is not known"
                )
            return
        kept = found.setdefault(self.name, value)
        if kept is not value and not _same(kept, value):
            raise Mismatch(f"{self.name} reads two different values")

    def _read(self, document: Any) -> Any:
        try:
            if self.kind == "int" and self.name in HINTS:
                return int(number(document))  # of a lifetime, the fraction is beside the point
            return self.converter.read(document)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise Mismatch(f"cannot be read as {self.kind}") from error

    def placeholders(self) -> Iterator[Placeholder]:
        yield self


def _same(one: Any, other: Any) -> bool:
    try:
        return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
    except RecursionError:
        return False


# --- parsing ----------------------------------------------------------------------------------------------------------

#: What a placeholder may not be called.
RESERVED: Final = ("null", "absent")
_TOKEN: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_PLACEHOLDER: Final = re.compile(
    r"\{(=?)((?:request\.)?[A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?(\?)?\}", re.ASCII
)


def parse(
    text: str, converters: Mapping[str, Converter], *, adjacent: bool = False
) -> tuple[tuple[str, ...], tuple[Placeholder, ...]]:
    """The literals of a string and the placeholders between them. Raises TemplateError.

    `adjacent` allows two placeholders with nothing between them: in what is written and never read back.
    """
    literals, end = [""], 0
    placeholders: list[Placeholder] = []
    for token in _TOKEN.finditer(text):
        literals[-1] += text[end : token.start()]
        end = token.end()
        if token[0] in ("{{", "}}"):
            literals[-1] += token[0][0]
            continue
        if placeholders and not literals[-1] and not adjacent:
            raise TemplateError(
                f"ambiguous: nothing stands between {{{placeholders[-1].name}}} and {_shown(token[0])}, "
                "so nobody could tell where one ends"
            )
        guard = _guard(literals) if literals[0].strip() else None
        placeholders.append(_placeholder(token[0], converters, guard))
        literals.append("")
    literals[-1] += text[end:]
    for name in RESERVED:
        if any(placeholder.name == name for placeholder in placeholders):
            raise TemplateError(f"{{{name}}} stands alone in its string{', and in JSON only' * (name == 'null')}")
    return tuple(literals), tuple(placeholders)


def _placeholder(text: str, converters: Mapping[str, Converter], guard: Guard | None) -> Placeholder:
    parts = _PLACEHOLDER.fullmatch(text)
    if parts is None:
        raise TemplateError(
            f"{_shown(text)} is not a placeholder: write {{name}}, {{name:converter}}, {{name?}}, "
            "or {{ and }} for braces"
        )
    equal, name, kind, optional = parts.groups()
    if kind and kind not in converters:
        close = difflib.get_close_matches(kind, converters, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TemplateError(
            f"unknown converter {kind!r} in {_shown(text)}: {hint}there are {', '.join(sorted(converters))}"
        )
    guard = None if guard is not None and kind == guard.converter else guard
    return Placeholder(name, kind or "", bool(optional), converters[kind] if kind else PLAIN, bool(equal), guard)


#: What would end the place of a value: a text of XML, a tag, a CDATA section; a string of JSON, and JSON beside it.
_XML: Final = {
    "text": Guard(re.compile("[<&]"), "xml"),
    "tag": Guard(re.compile("[<>&\"']"), "xml"),
    "cdata": Guard(re.compile("]]>"), "xml"),
}
_IN_JSON: Final = Guard(re.compile(r'["\\\x00-\x1f]'), "json")
_BESIDE_JSON: Final = Guard(re.compile(r"^(?!-?\d+(\.\d+)?$|true$|false$|null$)"), "json")


def _guard(literals: list[str]) -> Guard | None:
    """What a value must not hold behind these literals, if they begin as XML or a JSON object does."""
    first, before = literals[0].lstrip(), "".join(literals)
    if re.match("<[^<>]", first):
        if before.rpartition("<![CDATA[")[2].count("]]>") == 0 and "<![CDATA[" in before:
            return _XML["cdata"]
        return _XML["tag" if before.rfind("<") > before.rfind(">") else "text"]
    if re.match(r'\{\s*"', first):
        return _IN_JSON if len(re.findall(r'(?<!\\)"', before)) % 2 else _BESIDE_JSON
    return None


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
