"""Settings and credentials as the user gives them: defaults filled in, types checked.

A default may hold placeholders of other inputs (`"https://{tenant}.example/token"`), in any order but in no circle, and
none of a secret. One that is a URL may be relative to the base URL. Text whose braces name no inputs is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET

from authflow.errors import Finding
from authflow.http import folder, origin_of, resolve
from authflow.templates import CONVERTERS, TemplateError, Unbound, UrlTemplate, compile_text
from authflow.vendors.notation import Input, did_you_mean
from authflow.vendors.proofs.places import finding, warning, written
from authflow.vendors.vendor import Vendor, seconds

_HOST: Final = re.compile(r"[A-Za-z0-9._-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?", re.ASCII)


def filled(vendor: Vendor, get: Callable[[str], Any]) -> dict[str, Any]:
    """By name, what was given (`base_url` too), else the default where its placeholders can be filled. Raises Unfit."""
    known = {name: value for name in (*vendor.inputs, "base_url") if (value := get(name)) is not None}
    whole = {name: _rooted(vendor.inputs.get(name), value) for name, value in known.items()}
    waiting = {name for name in _defaults(vendor) if name not in whole}
    while waiting:
        named = {name: holes(vendor, name) for name in waiting}
        ready = {name for name, others in named.items() if waiting.isdisjoint(others)}
        for name in ready:
            with suppress(Unbound):  # what it hangs on was not given: then this is missing too
                text = _template(vendor, name).render(whole) if named[name] else vendor.inputs[name].default
                whole[name] = _rooted(vendor.inputs[name], text)
        waiting -= ready
    for name in _urls(vendor) & whole.keys():
        if get(name) is None and name in vendor.settings and name != "base_url" and "://" not in str(whole[name]):
            with suppress(Unbound):
                base = str(whole.get("base_url") or vendor.base_url.render(whole))
                whole[name] = resolve(folder(base), str(whole[name]))
    return whole


def typed(entry: Input, value: Any) -> Any:
    """A given value as its type says. Raises ValueError with what is wanted."""
    match entry.type:
        case "int":
            try:
                return int(str(value))
            except ValueError:
                raise ValueError("must be a whole number") from None
        case "url":
            try:
                origin_of(str(value))
            except ValueError as error:
                raise ValueError(f"must be an absolute URL ({error})") from None
            return _rooted(entry, value)
        case "host":
            if not _HOST.fullmatch(str(value)):
                raise ValueError("must be a host name, such as api.example.com, without https:// and without a path")
        case "duration":
            seconds(value)
    if isinstance(entry.default, int) and not isinstance(entry.default, bool) and re.fullmatch(r"-?\d+", str(value)):
        return int(value)
    return value


def _rooted(entry: Input | None, value: Any) -> Any:
    """A URL without a path gets its slash, before anything is written behind it."""
    _, scheme, place = str(value).partition("://")
    bare = entry is not None and entry.type == "url" and scheme and "/" not in place
    return f"{value}/" if bare and isinstance(value, str) else value


def holes(vendor: Vendor, name: str) -> frozenset[str]:
    """The other inputs that stand in a default."""
    default = vendor.inputs[name].default
    if not isinstance(default, str) or "{" not in default:
        return frozenset()
    try:
        names = {placeholder.name for placeholder in _template(vendor, name).placeholders()}
    except TemplateError:
        return frozenset()
    return frozenset(names) if names <= {*vendor.inputs, "base_url"} else frozenset()


def check(vendor: Vendor) -> Iterator[Finding]:
    """No secret in a default, no circle, no hole that nothing fills, and what its type says."""
    secrets = {name for name, entry in vendor.inputs.items() if entry.secret}
    for name, entry in vendor.inputs.items():
        key = f"{'credentials' if name in vendor.credentials else 'settings'}.{name}.default"
        for secret in sorted(holes(vendor, name) & secrets):
            yield finding(
                vendor, key, f"the secret {secret} cannot stand in a default", "a placeholder where it is sent"
            )
        seen: set[str] = set()
        todo = [*holes(vendor, name)]
        while todo:
            other = todo.pop()
            if other not in seen and other in vendor.inputs:
                seen.add(other)
                todo += holes(vendor, other)
        if name in seen:
            yield finding(vendor, key, "made of itself", "say one of them outright")
        text = entry.default if isinstance(entry.default, str) else ""
        for hole in () if holes(vendor, name) else re.findall(r"(?<!\{)\{(\w+)\??\}(?!\})", text):
            if hole not in vendor.inputs:
                reason = f"{{{hole}}} is no input: this default is sent as it stands, with its braces"
                yield warning(vendor, key, reason, did_you_mean(hole, vendor.inputs))
        if isinstance(entry.default, list) and name != "scope":
            yield warning(vendor, key, "only scope may be a list", "one text, as it is sent")
        if text and "{" not in text and (entry.type != "url" or "://" in text):
            try:
                typed(entry, text)
            except ValueError as error:
                yield finding(vendor, key, str(error), "as its type says")


@lru_cache(maxsize=256)
def only_for_base_url(vendor: Vendor) -> frozenset[str]:
    """The inputs that nothing uses but the base URL: not asked for where that is given whole."""
    used: dict[str, set[str]] = {}
    for key, placeholder in written(vendor):
        used.setdefault(placeholder.name, set()).add(key)
    others = frozenset(name for entry in vendor.inputs for name in holes(vendor, entry))
    return frozenset(name for name, keys in used.items() if keys == {"base_url"}) - others


def _template(vendor: Vendor, name: str) -> Any:
    text = str(vendor.inputs[name].default)
    if vendor.inputs[name].type == "url" or "://" in text:
        return UrlTemplate.compile(text, CONVERTERS)
    return compile_text(text, CONVERTERS)


@lru_cache(maxsize=256)
def _defaults(vendor: Vendor) -> tuple[str, ...]:
    return tuple(name for name, entry in vendor.inputs.items() if entry.default is not UNSET)


@lru_cache(maxsize=256)
def _urls(vendor: Vendor) -> frozenset[str]:
    """The settings that are URLs: by their type, or because an exchange goes there."""
    urls = [exchange.request.url for exchange in vendor.flow.exchanges.values()]
    starts = {url.between[0].name for url in urls if url is not None and url.starts_with_placeholder}
    return frozenset(starts | {name for name, entry in vendor.inputs.items() if entry.type == "url"})
