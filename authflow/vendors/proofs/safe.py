"""Safe: no plain http beyond this machine, no secret in a URL, no exchange to an undeclared origin, nothing ambiguous.

What hangs on a setting is checked when the session is made (`trust`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from authflow.errors import Finding
from authflow.http import is_private, origin_of
from authflow.templates import List, Template
from authflow.vendors.flow import Presenting
from authflow.vendors.proofs.places import Place, closure, finding, presented, requested, written
from authflow.vendors.vendor import Vendor

#: An origin with one label that may be any.
_ONE_LABEL: Final = re.compile(
    r"[a-z]+://(?:[^{}/:]+\.)?\{_\}(?:\.\{(?!_\})\w+\})*(?:\.[a-z0-9_-]+)+\.(?!\d+(?:[/:]|$))[a-z0-9-]+(?:[/:][^{}]*)?$",
    re.I,
)
SECRET: Final = frozenset({"access", "refresh"})


def check(vendor: Vendor) -> Iterator[Finding]:
    yield from _origins(vendor)
    yield from _ambiguous(vendor)
    if not vendor.insecure_url:
        for key, name in secrets_in_urls(vendor):
            yield finding(vendor, key, f"the secret {name} stands in a URL, where logs see it", "insecure_url = true")


def secrets_in_urls(vendor: Vendor) -> Iterator[tuple[str, str]]:
    """Each key of the file that puts a secret into a URL, and the secret's name."""
    secrets = SECRET | {name for name, entry in vendor.inputs.items() if entry.secret}
    for key, placeholder in _in_urls(vendor):
        for name in sorted(secrets & closure(vendor, [placeholder.name], concealed=False)):
            yield key, name


def _in_urls(vendor: Vendor) -> Iterator[Place]:
    for key, placeholder in written(vendor):
        if key == "base_url":
            yield key, placeholder
    for exchange in vendor.flow.exchanges:
        key = f"exchanges.{exchange}.request"
        for place in requested(vendor, exchange):
            if place[0] == f"{key}.url" or place[0].startswith(f"{key}.query."):
                yield place
    for state in vendor.flow.states.values():
        for place in presented(vendor, state) if isinstance(state, Presenting) else ():
            if place[0].startswith(f"states.{state.name}.present.query."):
                yield place
    for index, rewrite in enumerate(vendor.rewrites):
        for placeholder in rewrite.target.placeholders():
            yield f"rewrites.{index}.to", placeholder


def _origins(vendor: Vendor) -> Iterator[Finding]:
    declared = [("base_url", vendor.base_url)]
    declared += [(f"origins.send.{index}", url) for index, url in enumerate(vendor.send_origins)]
    presented_at = [(f"origins.present.{index}", url) for index, url in enumerate(vendor.present_origins)]
    requests = [
        (f"exchanges.{item.name}.request.url", item.request.url)
        for item in vendor.flow.exchanges.values()
        if item.request.url is not None
    ]
    others = [(f"rewrites.{index}.to", rewrite.target) for index, rewrite in enumerate(vendor.rewrites)]
    if vendor.verify is not None:
        others.append(("verify.jwks_url", vendor.verify.jwks_url))
    origins: dict[str, str | None] = {}
    for key, url in [*declared, *presented_at, *requests, *others]:
        try:
            origins[key] = origin = url.literal_origin()
        except ValueError as error:
            yield finding(vendor, key, str(error))
            continue
        if origin and not origin_of(origin).trusted(vendor.insecure_http):
            reason = "plain http, which everyone on the way can read"
            hint = "or insecure_http = true" if is_private(origin_of(origin).host) else "or a loopback address"
            yield finding(vendor, key, reason, f"https, {hint}")
        elif (key, url) in [*declared, *presented_at] and not (url.starts_with_placeholder or url.is_absolute):
            yield finding(vendor, key, "must be an absolute URL", "https://…")
        elif key.startswith("origins.") and "{_}" in url.text and not _ONE_LABEL.match(url.text):
            reason = "{_} is one whole label of a host, with at least two literal labels behind it"
            yield finding(vendor, key, reason, "https://{_}.example.com")
    if vendor.base_url.query:
        yield finding(vendor, "base_url", "a query here would be lost", "put it into each request's query")


def _ambiguous(vendor: Vendor) -> Iterator[Finding]:
    for exchange in vendor.flow.exchanges.values():
        yield from _shifting(vendor, f"exchanges.{exchange.name}.request.json", exchange.request.json)
    for state in vendor.flow.states.values():
        if isinstance(state, Presenting):
            yield from _shifting(vendor, f"states.{state.name}.present.json", state.present.json)


def _shifting(vendor: Vendor, key: str, template: Template | None) -> Iterator[Finding]:
    """Lists in which an absent element would move those behind it to another place."""
    items: Any = getattr(template, "items", ())
    for index, item in enumerate(items):
        name, inner = item if isinstance(item, tuple) else (index, item)
        if isinstance(template, List) and index < len(items) - 1 and _may_vanish(inner):
            reason = "ambiguous: without this optional element, those behind it would move to its place"
            yield finding(vendor, f"{key}.{name}", reason, "let it be the last one, or not optional")
        yield from _shifting(vendor, f"{key}.{name}", inner)


def _may_vanish(element: Template) -> bool:
    return getattr(element, "items", None) is None and any(
        placeholder.optional for placeholder in element.placeholders()
    )
