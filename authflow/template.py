"""The two-way template: one value that both writes a document and reads it back.

A template is a JSON-like value whose strings may hold `{name}` or `{name:converter}`; `?` marks a hole that may be
absent. `render` fills it, `match` reads the values out again, and the law of the house is

    match(t, render(t, v)) == v        for the names in t, for every converter

Where a value would break the law (a user name with the very colon that separates it from the password), `render`
refuses it: what cannot be read back was never said unambiguously. Matching is linear in the document: literals are
found from left to right, nothing is tried twice.

    "{name}"  {name:int}  {name?}  a hole; alone in its string it keeps the JSON type, inside a longer one it takes text
    "{_}"                          fits anything that is there, keeps nothing
    "{null}"  "{absent}"           JSON null; a key that must be missing
    "{{" and "}}"                  braces
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from authflow.converters import CONVERTERS, PLAIN, Converter

T = TypeVar("T")


class TemplateError(ValueError):
    """A template that cannot be: a bad hole, an unknown converter, two holes with nothing between them.

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


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


#: What `render` gives for a template whose optional value is not there, and `match` is asked with for a missing key.
ABSENT: Final = _Absent()


class Template(Protocol):
    """A compiled template. `optional`: it fits where nothing is."""

    @property
    def optional(self) -> bool: ...
    def render(self, values: Mapping[str, Any]) -> Any: ...
    def match(self, document: Any, found: dict[str, Any]) -> None: ...
    def holes(self) -> Iterator[Hole]: ...


@dataclass(frozen=True, slots=True)
class Hole:
    """`{name:converter?}`, alone in its string."""

    name: str
    kind: str = ""
    optional: bool = False
    converter: Converter = PLAIN

    def render(self, values: Mapping[str, Any]) -> Any:
        value = "" if self.name == "_" else values.get(self.name)
        if value is None:
            if self.optional:
                return ABSENT
            raise Unbound(self.name)
        try:
            return self.converter.write(value)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise Unfit(f"the value of {self.name} cannot be written as {self.kind}") from error

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if document is None or document is ABSENT:
            if self.optional or (self.name == "_" and document is None):
                return
            raise Mismatch("missing" if document is ABSENT else "null")
        if self.name != "_" or self.kind:
            self.keep(document, found)

    def keep(self, document: Any, found: dict[str, Any]) -> None:
        try:
            value = self.converter.read(document)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            raise Mismatch(f"not to be read as {self.kind}") from error
        if self.name != "_" and found.setdefault(self.name, value) != value:
            raise Mismatch(f"{self.name} reads two different values")

    def holes(self) -> Iterator[Hole]:
        yield self


@dataclass(frozen=True, slots=True)
class Text:
    """Literals and holes in turn, starting and ending with a (possibly empty) literal. Always renders to a string."""

    literals: tuple[str, ...]
    between: tuple[Hole, ...]
    optional: bool

    def render(self, values: Mapping[str, Any]) -> Any:
        out = [self.literals[0]]
        last = len(self.between)
        for index, hole in enumerate(self.between, 1):
            value = hole.render(values)
            if value is ABSENT:
                return ABSENT
            text, behind = _as_text(value, hole.name), self.literals[index]
            if index < last and (text + behind).find(behind) != len(text):
                raise Unfit(f"the value of {hole.name} may not contain {behind!r}, which marks its end")
            out += (text, behind)
        return "".join(out)

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if not isinstance(document, str):
            if self.optional and (document is None or document is ABSENT):
                return
            raise Mismatch(f"text is wanted, found {_kind(document)}")
        first, last = self.literals[0], self.literals[-1]
        here, end = len(first), len(document) - len(last)
        if not self.between:
            if document != first:
                raise Mismatch("another text")
            return
        if here > end or not document.startswith(first) or not document.endswith(last):
            raise Mismatch("another text")
        for index, hole in enumerate(self.between[:-1], 1):
            behind = self.literals[index]
            stop = document.find(behind, here, end)
            if stop < 0:
                raise Mismatch("another text")
            hole.keep(document[here:stop], found)
            here = stop + len(behind)
        self.between[-1].keep(document[here:end], found)

    def holes(self) -> Iterator[Hole]:
        yield from self.between


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a boolean or null that must be equal, strictly: `1` is neither `true` nor `"1"`."""

    value: Any
    optional: bool = False

    def render(self, values: Mapping[str, Any]) -> Any:
        return self.value

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if isinstance(document, bool) is not isinstance(self.value, bool) or document != self.value:
            raise Mismatch(f"{self.value!r} is wanted, found {_kind(document)}")

    def holes(self) -> Iterator[Hole]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Missing:
    """`{absent}`: fits only where the key is missing."""

    optional: bool = True

    def render(self, values: Mapping[str, Any]) -> Any:
        return ABSENT

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if document is not ABSENT:
            raise Mismatch("present, though it must be missing")

    def holes(self) -> Iterator[Hole]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping: every key it names must fit, further keys are ignored."""

    items: tuple[tuple[str, Template], ...]
    optional: bool

    def render(self, values: Mapping[str, Any]) -> Any:
        rendered = ((key, item.render(values)) for key, item in self.items)
        return {key: value for key, value in rendered if value is not ABSENT}

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if not isinstance(document, Mapping):
            if not self.optional or not (document is None or document is ABSENT):
                raise Mismatch(f"an object is wanted, found {_kind(document)}")
            document = {}
        for key, item in self.items:
            try:
                item.match(document.get(key, ABSENT), found)
            except Mismatch as mismatch:
                mismatch.path.append(key)
                raise

    def holes(self) -> Iterator[Hole]:
        for _, item in self.items:
            yield from item.holes()


@dataclass(frozen=True, slots=True)
class List:
    """A list: each element fits the one at its place, further elements are ignored."""

    items: tuple[Template, ...]
    optional: bool

    def render(self, values: Mapping[str, Any]) -> Any:
        rendered = (item.render(values) for item in self.items)
        return [value for value in rendered if value is not ABSENT]

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if not isinstance(document, list | tuple):
            if not self.optional or not (document is None or document is ABSENT):
                raise Mismatch(f"a list is wanted, found {_kind(document)}")
            document = ()
        for index, item in enumerate(self.items):
            try:
                item.match(document[index] if index < len(document) else ABSENT, found)
            except Mismatch as mismatch:
                mismatch.path.append(str(index))
                raise

    def holes(self) -> Iterator[Hole]:
        for item in self.items:
            yield from item.holes()


def compile(template: Any, converters: Mapping[str, Converter] = CONVERTERS) -> Template:
    """Compile a JSON-like template. Raises TemplateError."""
    if isinstance(template, str):
        return _compile_string(template, converters)
    if isinstance(template, Mapping):
        items = tuple((str(key), below(key, compile, item, converters)) for key, item in template.items())
        return Object(items, bool(items) and all(item.optional for _, item in items))
    if isinstance(template, list | tuple):
        elements = tuple(below(index, compile, item, converters) for index, item in enumerate(template))
        if any(element.optional for element in elements[:-1]):
            raise TemplateError("ambiguous: only the last element of a list may be optional")
        return List(elements, bool(elements) and all(element.optional for element in elements))
    if template is None or isinstance(template, bool | int | float):
        return Literal(template)
    raise TemplateError(f"a {type(template).__name__} cannot stand in a template")


def compile_text(template: Any, converters: Mapping[str, Converter] = CONVERTERS) -> Text | Missing:
    """Compile a template whose document is always text: a header, a cookie, a query value. Raises TemplateError."""
    if isinstance(template, bool):
        template = "true" if template else "false"
    if isinstance(template, int | float):
        template = str(template)
    if not isinstance(template, str):
        raise TemplateError(f"text is wanted, not a {type(template).__name__}")
    if template == "{absent}":
        return Missing()
    literals, holes = parse(template, converters)
    return Text(literals, holes, bool(holes) and all(hole.optional for hole in holes))


def render(template: Any, values: Mapping[str, Any]) -> Any:
    """Fill a template (compiled or not) with values.

    Gives ABSENT where the whole template hangs on an optional value that is not there. Raises Unbound, Unfit,
    TemplateError.
    """
    return (template if hasattr(template, "render") else compile(template)).render(values)


def match(template: Any, document: Any) -> dict[str, Any]:
    """Read the values of a template (compiled or not) back out of a document. Raises Mismatch, TemplateError."""
    found: dict[str, Any] = {}
    (template if hasattr(template, "match") else compile(template)).match(document, found)
    return found


# --- parsing ----------------------------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_HOLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::([A-Za-z_][A-Za-z0-9_]*))?(\?)?\}", re.ASCII)


def parse(text: str, converters: Mapping[str, Converter]) -> tuple[tuple[str, ...], tuple[Hole, ...]]:
    """The literals of a string and the holes between them. Raises TemplateError."""
    literals, end = [""], 0
    holes: list[Hole] = []
    for token in _TOKEN.finditer(text):
        literals[-1] += text[end : token.start()]
        end = token.end()
        if token[0] in ("{{", "}}"):
            literals[-1] += token[0][0]
        else:
            if holes and not literals[-1]:
                raise TemplateError(f"ambiguous: nothing stands between {{{holes[-1].name}}} and {token[0]}")
            holes.append(_hole(token[0], converters))
            literals.append("")
    literals[-1] += text[end:]
    if any(hole.name in ("null", "absent") for hole in holes):
        raise TemplateError("{null} and {absent} stand alone in a JSON string, {absent} also alone in a header")
    return tuple(literals), tuple(holes)


def _hole(text: str, converters: Mapping[str, Converter]) -> Hole:
    parts = _HOLE.fullmatch(text)
    if parts is None:
        raise TemplateError(f"{text} is no hole: write {{name}}, {{name:converter}}, {{name?}}, or {{{{ for a brace")
    name, kind, optional = parts.groups()
    if kind and kind not in converters:
        raise TemplateError(f"unknown converter {kind!r} in {text}: there are {', '.join(sorted(converters))}")
    return Hole(name, kind or "", bool(optional), converters[kind] if kind else PLAIN)


def _compile_string(text: str, converters: Mapping[str, Converter]) -> Template:
    if text == "{null}":
        return Literal(None)
    if text == "{absent}":
        return Missing()
    literals, holes = parse(text, converters)
    if len(holes) == 1 and literals == ("", ""):
        return holes[0]
    return Text(literals, holes, bool(holes) and all(hole.optional for hole in holes))


def below(key: object, build: Callable[..., T], *arguments: Any) -> T:
    """`build(*arguments)`, with `key` put before the path of a TemplateError."""
    try:
        return build(*arguments)
    except TemplateError as error:
        error.path.append(str(key))
        raise


def _as_text(value: Any, name: str = "this") -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Unfit(f"the value of {name} is {_kind(value)}, which cannot stand in text")


def _kind(document: Any) -> str:
    if document is ABSENT:
        return "nothing"
    if document is None:
        return "null"
    if isinstance(document, bool):
        return "a boolean"
    if isinstance(document, int | float):
        return "another number"
    if isinstance(document, str):
        return "another text"
    return "a list" if isinstance(document, list | tuple) else "an object"
