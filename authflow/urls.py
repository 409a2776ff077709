"""URLs as two-way templates, and the rewriting of the caller's URLs.

A hole at the very start of a URL is a URL as it is; any other is one percent-encoded segment or query value, so that no
value can climb out of its place: it holds no slash, is no `..`, and is no second host.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit

from authflow import template as t
from authflow.converters import Converter
from authflow.fields import Fields, Values, by_name, match_fields, render_fields
from authflow.http import add_query, folder, origin_of, resolve
from authflow.template import Hole, Mismatch, TemplateError, Text, Unfit

_BEFORE_QUERY = re.compile(r"(?:\{\{|\}\}|\{[^{}]*\}|[^?{}])*")
_AUTHORITY = re.compile(r"[A-Za-z0-9._-]+(?::\d+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL whose holes are single percent-encoded segments or query values; one at its start is a URL as it is."""

    literals: tuple[str, ...]
    between: tuple[Hole, ...]
    query: Fields

    @classmethod
    def compile(cls, text: str, converters: Mapping[str, Converter]) -> UrlTemplate:
        before = _BEFORE_QUERY.match(text)
        path = before[0] if before else ""
        if text[len(path) :][:1] not in ("", "?") or "#" in path:
            t.parse(text, converters)
            raise TemplateError("a URL here has no fragment")
        pairs = [pair.partition("=") for pair in text[len(path) + 1 :].split("&") if pair]
        query = tuple((unquote_plus(name), t.compile_text(unquote_plus(value), converters)) for name, _, value in pairs)
        literals, holes = t.parse(path, converters)
        if any(hole.optional for hole in holes):
            raise TemplateError("a value in the path of a URL cannot be optional")
        return cls(literals, holes, query)

    def holes(self) -> Iterator[Hole]:
        yield from self.between
        for _, item in self.query:
            yield from item.holes()

    def literal_origin(self) -> str | None:
        """The origin that the template says in so many words, if it does. Raises ValueError for a bad one."""
        scheme, _, rest = self.literals[0].partition("://")
        return str(origin_of(f"{scheme}://{rest}")) if rest and ("/" in rest or not self.between) else None

    @property
    def starts_with_hole(self) -> bool:
        return bool(self.between) and not self.literals[0]

    def render(self, values: Values, base_url: str = "") -> str:
        """The URL, resolved against `base_url`. Raises Unbound, Unfit."""
        out = self.literals[0]
        for index, hole in enumerate(self.between, 1):
            value = str(hole.render(values))
            behind = self.literals[index]
            if index == 1 and self.starts_with_hole:
                out = value.removesuffix("/") if behind.startswith("/") else value
            elif "/" not in out.partition("://")[2] and "://" in out:
                if not _AUTHORITY.fullmatch(value):
                    raise Unfit(f"the value of {hole.name} is no host name")
                out += value
            elif not value.strip("."):
                raise Unfit(f"the value of {hole.name} cannot be a segment of a URL")
            else:
                out += quote(value, safe="")
            out += behind
        return add_query(resolve(folder(base_url), out) if base_url else out, render_fields(self.query, values))

    def match(self, url: str, base_url: str, known: Values, found: dict[str, Any]) -> None:
        """Fit an absolute URL; the names in `known` are filled in before. Raises Mismatch, Unbound."""
        scheme, netloc, path, query = _pattern(
            self, base_url, str(known.get(self.between[0].name)) if self.starts_with_hole else ""
        )
        parts = urlsplit(url)
        if (parts.scheme.lower(), parts.netloc.lower()) != (scheme, netloc):
            raise Mismatch("another origin")
        segments = (parts.path or "/").split("/")
        if len(segments) != len(path):
            raise Mismatch("another path")
        for segment, pattern in zip(segments, path, strict=True):
            values: dict[str, Any] = {}
            if not pattern.between:
                if unquote(segment) != unquote(pattern.literals[0]):
                    raise Mismatch("another path")
            elif not segment:
                raise Mismatch("an empty segment in the path")
            else:
                pattern.match(segment, values)
            for name, value in values.items():
                Hole(name).keep(unquote(value) if isinstance(value, str) else value, found)
        match_fields((*query, *self.query), by_name(tuple(parse_qsl(parts.query, keep_blank_values=True))), found)


@functools.lru_cache(maxsize=1024)
def _pattern(url: UrlTemplate, base_url: str, start: str) -> tuple[str, str, tuple[Text, ...], Fields]:
    """The template resolved against its base, cut into one text pattern per segment of the path."""
    reference = url.literals[0]
    for index, hole in enumerate(url.between):
        reference += (start if index == 0 and url.starts_with_hole else f"~{index}~") + url.literals[index + 1]
        if hole.name == "_" and index == 0 and url.starts_with_hole:
            raise Mismatch("a URL cannot start with {_}")
    parts = urlsplit(resolve(folder(base_url), reference))
    path = []
    for segment in (parts.path or "/").split("/"):
        pieces = re.split(r"~(\d+)~", segment)
        holes = tuple(url.between[int(index)] for index in pieces[1::2])
        path.append(Text(tuple(pieces[::2]), holes, optional=False))
    query = tuple(
        (name, Text((value,), (), optional=False)) for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return parts.scheme, parts.netloc.lower(), tuple(path), query


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A URL of the caller's that lives elsewhere: what `source` reads, `target` says otherwise."""

    source: UrlTemplate
    target: UrlTemplate

    def apply(self, url: str, base_url: str, values: Values) -> str | None:
        found: dict[str, Any] = {}
        try:
            self.source.match(url, base_url, values, found)
        except Mismatch:
            return None
        taken = {name for name, _ in self.source.query}
        rest = [pair for pair in parse_qsl(urlsplit(url).query, keep_blank_values=True) if pair[0] not in taken]
        return add_query(self.target.render(_Over(found, values), base_url), rest)


class _Over(dict[str, Any]):
    def __init__(self, over: Values, under: Values) -> None:
        super().__init__(over)
        self._under = under

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else self._under.get(name, default)
