"""The two-way template: one value that both writes a document and reads it back.

A template is a JSON-like value whose strings may hold `{name}` or `{name:converter}`; `?` marks a placeholder that
may be absent. `render` fills it, `match` reads the values out again, and the law of the house is

    match(t, render(t, v)) == v        for the names in t, for every converter

Where a value would break the law (a user name with the very colon that separates it from the password), `render`
refuses it: what cannot be read back was never said unambiguously. Matching is linear in the document: literals are
found from left to right, nothing is tried twice.

    "{name}"  {name:int}  {name?}  alone in its string it keeps the JSON type, inside a longer one it takes text
    "{_}"                          fits anything that is there, keeps nothing
    "{null}"  "{absent}"           JSON null; a key that must be missing
    "{{" and "}}"                  braces
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from authflow.templates.converters import CONVERTERS, Converter
from authflow.templates.hints import forgiven
from authflow.templates.placeholders import ABSENT, Lookup, Mismatch, Placeholder, TemplateError, Unbound, Unfit, parse

__all__ = [
    "ABSENT",
    "List",
    "Literal",
    "Mismatch",
    "Missing",
    "Object",
    "Placeholder",
    "Template",
    "TemplateError",
    "Text",
    "Unbound",
    "Unfit",
    "as_text",
    "compile",
    "compile_text",
    "match",
    "parse",
    "render",
]

T = TypeVar("T")

#: Tables and lists within one another: more than any vendor needs, and safe on any stack.
MAX_DEPTH: Final = 64


class Template(Protocol):
    """A compiled template. `optional`: it fits where nothing is."""

    @property
    def optional(self) -> bool: ...
    def render(self, values: Lookup) -> Any: ...
    def match(self, document: Any, found: dict[str, Any]) -> None: ...
    def placeholders(self) -> Iterator[Placeholder]: ...


@dataclass(frozen=True, slots=True)
class Text:
    """Literals and placeholders in turn; first and last is a (possibly empty) literal. Renders to a string."""

    literals: tuple[str, ...]
    between: tuple[Placeholder, ...]
    optional: bool

    def render(self, values: Lookup) -> Any:
        if not self.between:
            return self.literals[0]
        out = self.literals[0]
        last = len(self.between)
        for index, placeholder in enumerate(self.between, 1):
            value = placeholder.render(values)
            if value is ABSENT:
                return ABSENT
            text = value if type(value) is str else as_text(value, placeholder.name)
            if placeholder.guard is not None and placeholder.guard.forbids.search(text):
                write = f"{{{placeholder.name}:{placeholder.guard.converter}}}"
                raise Unfit(f"the value of {placeholder.name} would leave its place in the text: write {write}")
            behind = self.literals[index]
            if index < last and behind and (text + behind).find(behind) != len(text):
                raise Unfit(f"the value of {placeholder.name} may not contain {behind!r}, which marks its end")
            out += text + behind
        return out

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if not isinstance(document, str):
            if self.optional and (document is None or document is ABSENT):
                return
            raise Mismatch("missing" if document is ABSENT else f"expected text, found {_kind(document)}")
        first, last = self.literals[0], self.literals[-1]
        if not self.between:
            if document != first:
                raise Mismatch(f"expected {_part(first)}, found another text")
            return
        here, end = len(first), len(document) - len(last)
        if not document.startswith(first):
            raise Mismatch(f"does not begin with {_part(first)}")
        if here > end or not document.endswith(last):
            raise Mismatch(f"does not end with {_part(last)}")
        if len(self.between) > 1:
            here = self._match_all_but_last(document, here, end, found)
        self.between[-1].keep(document[here:end], found)

    def _match_all_but_last(self, document: str, here: int, end: int, found: dict[str, Any]) -> int:
        for index, placeholder in enumerate(self.between[:-1], 1):
            behind = self.literals[index]
            stop = document.find(behind, here, end)
            if stop < 0:
                raise Mismatch(f"{_part(behind)} is missing behind {{{placeholder.name}}}")
            placeholder.keep(document[here:stop], found)
            here = stop + len(behind)
        return here

    def placeholders(self) -> Iterator[Placeholder]:
        yield from self.between


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a boolean or null that must be equal, strictly: `1` is neither `true` nor `"1"`."""

    value: Any
    optional: bool = False

    def render(self, values: Lookup) -> Any:
        return self.value

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if isinstance(document, bool) is not isinstance(self.value, bool) or document != self.value:
            raise Mismatch(f"expected {self.value!r}, found {_kind(document)}")

    def placeholders(self) -> Iterator[Placeholder]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Missing:
    """`{absent}`: fits only where the key is missing."""

    optional: bool = True

    def render(self, values: Lookup) -> Any:
        return ABSENT

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if document is not ABSENT:
            raise Mismatch("present, though it must be missing")

    def placeholders(self) -> Iterator[Placeholder]:
        return iter(())


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping: every key it names must fit, further keys are ignored."""

    items: tuple[tuple[str, Template], ...]
    optional: bool

    def render(self, values: Lookup) -> Any:
        rendered = {}
        for key, item in self.items:
            value = item.render(values)
            if value is not ABSENT:
                rendered[key] = value
        return rendered

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if type(document) is not dict and not isinstance(document, Mapping):
            if not self.optional or not (document is None or document is ABSENT):
                raise Mismatch(f"expected an object, found {_kind(document)}")
            document = {}
        get = document.get
        for key, item in self.items:
            match_item(key, item, get(key, ABSENT), found)

    def placeholders(self) -> Iterator[Placeholder]:
        for _, item in self.items:
            yield from item.placeholders()


@dataclass(frozen=True, slots=True)
class List:
    """A list: each element fits the one at its place, further elements are ignored."""

    items: tuple[Template, ...]
    optional: bool

    def render(self, values: Lookup) -> Any:
        rendered = (item.render(values) for item in self.items)
        return [value for value in rendered if value is not ABSENT]

    def match(self, document: Any, found: dict[str, Any]) -> None:
        if not isinstance(document, list | tuple):
            if not self.optional or not (document is None or document is ABSENT):
                raise Mismatch(f"expected a list, found {_kind(document)}")
            document = ()
        for index, item in enumerate(self.items):
            match_item(str(index), item, document[index] if index < len(document) else ABSENT, found)

    def placeholders(self) -> Iterator[Placeholder]:
        for item in self.items:
            yield from item.placeholders()


def match_item(key: str, item: Template, document: Any, found: dict[str, Any]) -> None:
    """`item.match`, with `key` put before the path of a Mismatch; hints alone forgive what they are not."""
    try:
        item.match(document, found)
    except Mismatch as mismatch:
        # Inside a table, what is no hint counts for itself.
        whole = isinstance(item, Text) or (item.optional and not isinstance(document, Mapping | list | tuple))
        names = (placeholder.name for placeholder in item.placeholders())
        if document is ABSENT or not whole or not forgiven(found, names):
            mismatch.path.append(key)
            raise


def compile(
    template: Any, converters: Mapping[str, Converter] = CONVERTERS, *, adjacent: bool = False, depth: int = 0
) -> Template:
    """Compile a JSON-like template. Raises TemplateError.

    `adjacent` allows two placeholders side by side, in what is never read back.
    """
    if depth > MAX_DEPTH:
        raise TemplateError(f"more than {MAX_DEPTH} tables and lists within one another")
    if isinstance(template, str):
        return _compile_string(template, converters, adjacent)

    def inner(item: Any) -> Template:
        return compile(item, converters, adjacent=adjacent, depth=depth + 1)

    if isinstance(template, Mapping):
        items = tuple((str(key), below(key, inner, item)) for key, item in template.items())
        return Object(items, bool(items) and all(item.optional for _, item in items))
    if isinstance(template, list | tuple):
        elements = tuple(below(index, inner, item) for index, item in enumerate(template))
        return List(elements, bool(elements) and all(element.optional for element in elements))
    if template is None or isinstance(template, bool | int):
        return Literal(template)
    if isinstance(template, float) and math.isfinite(template):
        return Literal(template)
    what = f"the number {template}" if isinstance(template, float) else f"a value of type {type(template).__name__}"
    raise TemplateError(f"{what} cannot stand in a template")


def compile_text(template: Any, converters: Mapping[str, Converter] = CONVERTERS) -> Text | Missing:
    """Compile a template whose document is always text: a header, a cookie, a query value. Raises TemplateError."""
    if isinstance(template, bool | int | float):
        template = as_text(template)
    if not isinstance(template, str):
        raise TemplateError(f"must be text, not a {type(template).__name__}")
    if template == "{absent}":
        return Missing()
    literals, placeholders = parse(template, converters)
    return Text(
        literals, placeholders, bool(placeholders) and all(placeholder.optional for placeholder in placeholders)
    )


def render(template: Any, values: Lookup) -> Any:
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


def _compile_string(text: str, converters: Mapping[str, Converter], adjacent: bool) -> Template:
    if text == "{null}":
        return Literal(None)
    if text == "{absent}":
        return Missing()
    literals, placeholders = parse(text, converters, adjacent=adjacent)
    if len(placeholders) == 1 and literals == ("", ""):
        return placeholders[0]
    return Text(
        literals, placeholders, bool(placeholders) and all(placeholder.optional for placeholder in placeholders)
    )


def below(key: object, build: Callable[..., T], *arguments: Any) -> T:
    """`build(*arguments)`, with `key` put before the path of a TemplateError."""
    try:
        return build(*arguments)
    except TemplateError as error:
        error.path.append(str(key))
        raise


def as_text(value: Any, name: str = "this") -> str:
    """A value as it is spelled inside a longer text. Raises Unfit for a table or list."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Unfit(f"the value of {name} is {_kind(value)}, which cannot stand in text")


def _part(literal: str) -> str:
    """What a file says literally, as a message quotes it."""
    return repr(literal if len(literal) <= 40 else literal[:40] + "…")


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
