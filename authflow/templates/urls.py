"""URLs as two-way templates, and the rewriting of the caller's URLs.

A placeholder at the very start of a URL is a URL as it is; any other is one percent-encoded segment or query value, so
that no value can get out of its place: it holds no slash, is no `..`, and is no second host. `{rest:path}`, last in the
path, is the rest of it as it is written.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus, urlsplit, urlunsplit

from authflow.http import add_query, folder, origin_of, resolve, url_quote, url_unquote
from authflow.templates import documents as t
from authflow.templates.converters import Converter
from authflow.templates.documents import Text, as_text
from authflow.templates.fields import Fields, by_name, match_fields, render_fields
from authflow.templates.placeholders import Lookup, Mismatch, Placeholder, TemplateError, Unfit

_BEFORE_QUERY: Final = re.compile(r"(?:\{\{|\}\}|\{[^{}]*\}|[^?{}])*")
_AUTHORITY: Final = re.compile(r"[A-Za-z0-9._-]+(?::\d+)?|\[[0-9A-Fa-f:.]+\](?::\d+)?", re.ASCII)
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: What no URL may hold (RFC 3986 §2); `<` and `>` serve as marks below.
_EXCLUDED: Final = re.compile(r"[\x00-\x20<>\"\\^`|\x7f]")
_MARK: Final = re.compile(r"<(\d+)>")


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A URL whose placeholders are percent-encoded segments or query values; one at its start is a URL as it is."""

    literals: tuple[str, ...]
    between: tuple[Placeholder, ...]
    query: Fields
    #: The template as it is written.
    text: str = ""
    #: The parameters of the query that have no `=`.
    flags: frozenset[str] = frozenset()

    @classmethod
    def compile(cls, text: str, converters: Mapping[str, Converter]) -> UrlTemplate:
        before = _BEFORE_QUERY.match(text)
        path = before[0] if before else ""
        if text[len(path) :][:1] not in ("", "?"):
            t.compile_text(text, converters)
        if "#" in text:
            raise TemplateError("a fragment never leaves the client: end the URL before the #")
        pairs = [pair.partition("=") for pair in text[len(path) + 1 :].split("&") if pair]
        if any(set(name) & set("{}") for name, _, _ in pairs):
            raise TemplateError("a value cannot name a parameter of the query")
        query = tuple((unquote_plus(name), t.compile_text(_unquoted(value), converters)) for name, _, value in pairs)
        literals, placeholders = t.parse(path, converters)
        if any(placeholder.optional for placeholder in placeholders):
            raise TemplateError("a value in the path of a URL cannot be optional")
        if bad := _EXCLUDED.search("".join(literals)):
            raise TemplateError(f"the character {bad[0]!a} cannot stand in a URL")
        if literals[0].startswith("//"):
            raise TemplateError("a host needs its scheme before it: https://…")
        for index, placeholder in enumerate(placeholders, 1):
            until = "-".join(literals[:index])
            alone = index == len(placeholders) and not literals[index] and until.endswith("/") and until[-2:] != "//"
            if placeholder.kind == "path" and not alone:
                raise TemplateError(
                    f"{{{placeholder.name}:path}} is the rest of a path: it stands last, behind a slash"
                )
        flags = frozenset(unquote_plus(name) for name, equals, _ in pairs if not equals)
        return cls(literals, placeholders, query, text, flags)

    def placeholders(self) -> Iterator[Placeholder]:
        yield from self.between
        for _, item in self.query:
            yield from item.placeholders()

    def literal_origin(self) -> str | None:
        """The origin that the template says in so many words, if it does. Raises ValueError for a bad one."""
        if not self.is_absolute or ("/" not in self.literals[0].partition("://")[2] and self.between):
            return None
        return str(origin_of(self.literals[0]))

    @property
    def starts_with_placeholder(self) -> bool:
        return bool(self.between) and not self.literals[0]

    @property
    def ends_open(self) -> bool:
        """Is the rest of its path whatever it is?"""
        return bool(self.between) and self.between[-1].kind == "path"

    @property
    def is_absolute(self) -> bool:
        """Does it say its scheme in so many words?"""
        return _ABSOLUTE.match(self.literals[0]) is not None

    def render(self, values: Lookup, base_url: str = "") -> str:
        """The URL, resolved against `base_url`. Raises Unbound, Unfit."""
        out, rest = self.literals[0], ""
        for index, placeholder in enumerate(self.between, 1):
            value = as_text(placeholder.render(values), placeholder.name)
            behind = self.literals[index]
            if index == 1 and self.starts_with_placeholder:
                out = value.removesuffix("/") if behind.startswith("/") else value
            elif "/" not in out.partition("://")[2] and "://" in out:
                if not _AUTHORITY.fullmatch(value):
                    raise Unfit(f"the value of {placeholder.name} is not a host name")
                out += value
            elif placeholder.kind == "path":
                rest = value
            else:
                self._check_segment(index, value)
                out += url_quote(value)
            out += behind
        try:
            query = render_fields(self.query, values)
            url = (resolve(folder(base_url), out) if base_url else out) + rest
            return add_query(url, [(name, value if value or name not in self.flags else None) for name, value in query])
        except ValueError as error:
            names = ", ".join(placeholder.name for placeholder in self.between)
            raise Unfit(f"no URL comes of the value of {names or 'base_url'}") from error

    def _check_segment(self, index: int, value: str) -> None:
        """May the value stand in its segment, and can it be read out again?"""
        name, behind = self.between[index - 1].name, self.literals[index]
        alone = self.literals[index - 1][-1:] in ("", "/") and behind[:1] in ("", "/")
        if alone and not value:
            raise Unfit(f"the value of {name} is empty and cannot be a segment of a URL")
        before = self.literals[index - 1].rpartition("/")[2]
        if not (before + value + behind.partition("/")[0]).strip("."):
            raise Unfit(f"the value of {name} cannot be a segment of a URL")
        if index < len(self.between) and "/" not in behind:
            text = url_quote(value)
            if (text + behind).find(behind) != len(text):
                raise Unfit(f"the value of {name} may not contain {behind!r}, which marks its end")

    def match(self, url: str, base_url: str, known: Lookup, found: dict[str, Any]) -> None:
        """Fit an absolute URL; a URL at the start and a host are those of `known`. Raises Mismatch."""
        start = str(known.get(self.between[0].name) or "") if self.starts_with_placeholder else ""
        try:
            scheme, netloc, path, query = _pattern(self, base_url, start)
            parts = urlsplit(url)
        except ValueError as error:
            raise Mismatch("no URL") from error
        if parts.scheme.lower() != scheme:
            raise Mismatch("another origin")
        self._match_host(netloc, parts.netloc, known)
        segments = (parts.path or "/").split("/")
        if self.ends_open and len(segments) > len(path):
            segments[len(path) - 1 :] = ["/".join(segments[len(path) - 1 :])]
        if len(segments) != len(path):
            raise Mismatch("another path")
        if self.ends_open:
            self.between[-1].keep(segments.pop(), found)
            path = path[:-1]
        for segment, pattern in zip(segments, path, strict=True):
            values: dict[str, Any] = {}
            if not pattern.between:
                if url_unquote(segment) != url_unquote(pattern.literals[0]):
                    raise Mismatch("another path")
            elif not segment:
                raise Mismatch("an empty segment in the path")
            else:
                pattern.match(segment, values)
            for index, value in values.items():
                self.between[int(index)].keep(url_unquote(value), found)
        wanted = (*query, *self.query)
        if wanted:
            match_fields(wanted, by_name(tuple(parse_qsl(parts.query, keep_blank_values=True))), found)

    def _match_host(self, pattern: Text, netloc: str, known: Lookup) -> None:
        host = pattern.literals[0]
        for placeholder, behind in zip(pattern.between, pattern.literals[1:], strict=True):
            host += str(known.get(self.between[int(placeholder.name)].name)).lower() + behind
        if host != netloc.lower():
            raise Mismatch("another origin")


def _unquoted(text: str) -> str:
    """A query's value as it was meant, still a template: an encoded brace is a brace, not a placeholder."""
    return unquote_plus(re.sub("%7[Bb]", "{{", re.sub("%7[Dd]", "}}", text)))


@functools.lru_cache(maxsize=1024)
def _pattern(url: UrlTemplate, base_url: str, start: str) -> tuple[str, Text, tuple[Text, ...], Fields]:
    """The template resolved against its base: its scheme, its host, and one text pattern per segment of the path, whose
    placeholders are numbers. Raises ValueError, Mismatch.
    """
    reference = url.literals[0]
    for index, literal in enumerate(url.literals[1:]):
        if index or not url.starts_with_placeholder:
            reference += f"<{index}>" + literal
        elif start:
            reference += (start.removesuffix("/") if literal.startswith("/") else start) + literal
        else:
            raise Mismatch("the URL that it starts with is not known")
    parts = urlsplit(resolve(folder(base_url), reference))
    query = parse_qsl(parts.query, keep_blank_values=True)
    return (
        parts.scheme,
        _numbered(parts.netloc.lower()),
        tuple(_numbered(segment) for segment in (parts.path or "/").split("/")),
        tuple((name, Text((value,), (), optional=False)) for name, value in query),
    )


def _numbered(text: str) -> Text:
    pieces = _MARK.split(text)
    return Text(tuple(pieces[::2]), tuple(Placeholder(index) for index in pieces[1::2]), optional=False)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A URL of the caller's that lives elsewhere: what `source` reads, `target` says otherwise."""

    source: UrlTemplate
    target: UrlTemplate

    def apply(self, url: str, base_url: str, values: Lookup) -> str | None:
        """The URL where it lives, with the caller's query as it is; None if it is not meant. Raises Unbound, Unfit."""
        found: dict[str, Any] = {}
        try:
            self.source.match(url, base_url, values, found)
        except Mismatch:
            return None
        taken = {name for name, _ in self.source.query}
        target = self.target.render(_Over(found, values), base_url)
        rest = "&".join(part for part in urlsplit(url).query.split("&") if _name_of(part) not in taken)
        parts = urlsplit(target)
        query = "&".join(filter(None, (parts.query, rest)))
        return urlunsplit(parts._replace(query=query)) + "?" * (url.endswith("?") and not query)


def _name_of(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


class _Over(dict[str, Any]):
    def __init__(self, over: Mapping[str, Any], under: Lookup) -> None:
        super().__init__(over)
        self._under = under

    def get(self, name: str, default: Any = None) -> Any:
        value = self[name] if name in self else self._under.get(name)
        return default if value is None else value
