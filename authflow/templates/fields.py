"""Named text templates: what headers, cookies, query parameters and forms have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from authflow.http import Pairs
from authflow.templates import documents as t
from authflow.templates.converters import Converter
from authflow.templates.documents import Missing, Text, below, match_item
from authflow.templates.placeholders import Lookup, Mismatch

Fields = tuple[tuple[str, Text | Missing], ...]


def compile_fields(table: Mapping[str, Any], converters: Mapping[str, Converter]) -> Fields:
    """A table of text templates; a list as a value repeats its name. Raises TemplateError."""
    return tuple(
        (name, below(name, t.compile_text, item, converters))
        for name, value in table.items()
        for item in (value if isinstance(value, list) else [value])
    )


def render_fields(fields: Fields, values: Lookup) -> Pairs:
    rendered = [(name, item.render(values)) for name, item in fields]  # not one in sight when others are asked for
    return tuple((name, value) for name, value in rendered if value is not t.ABSENT)


def match_fields(fields: Fields, find: Callable[[str], list[str]], found: dict[str, Any]) -> None:
    """Each field must fit one of the values that `find` knows by its name, and none fits two fields."""
    rest: dict[str, list[Any]] = {}
    for name, item in fields:
        values = rest.setdefault(name, [*find(name)])
        candidates = values or [t.ABSENT]
        for index, candidate in enumerate(candidates):
            last = index == len(candidates) - 1
            attempt = found.copy() if last else dict(found)  # only the last one may fail for a hint
            try:
                match_item(name, item, candidate, attempt)
            except Mismatch:
                if last:
                    raise
            else:
                found.update(attempt)
                if values:
                    del values[index]
                break


def by_name(pairs: Pairs) -> Callable[[str], list[str]]:
    return lambda name: [value for key, value in pairs if key == name]
