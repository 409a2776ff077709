"""What the proofs share: the places where names stand in a vendor file, and how a finding is made.

    names   one name, one thing, and every {name} is one that exists
    paths   total and ends: every outcome leads somewhere, nothing leads round in circles
    bound   every value is there on every path to where it is needed
    waits   what is repeated, and what good answers bring anew
    safe    where secrets may go
    unwise  what is legal and better not done

`prove` puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from authflow.errors import Finding
from authflow.templates import Exchange, Placeholder, Present, RequestTemplate, Template, UrlTemplate, Wait
from authflow.vendors.flow import Presenting, Sending
from authflow.vendors.notation import did_you_mean
from authflow.vendors.vendor import Vendor

#: A key of the file, and a placeholder that stands there.
Place = tuple[str, Placeholder]


def finding(vendor: Vendor, key: str, reason: str, hint: str = "") -> Finding:
    return Finding(vendor.file, key, reason, hint)


def warning(vendor: Vendor, key: str, reason: str, hint: str = "") -> Finding:
    return Finding(vendor.file, key, reason, hint, warning=True)


def unknown(vendor: Vendor, key: str, what: str, name: str, known: Iterable[str]) -> Finding:
    return finding(vendor, key, f"unknown {what} {name!a}", _meant(vendor, name, known))


def _meant(vendor: Vendor, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, {*known, *vendor.dropped}, 1)
    return did_you_mean(name, close or known)


def undeclared(vendor: Vendor, key: str, name: str, known: Iterable[str]) -> Finding:
    hint, tell = _meant(vendor, name, known), "declare it in [credentials] or [settings]"
    hint = f"{hint} If not, {tell}" if hint.endswith("?") else f"{tell}, or read it from an answer; {hint}"
    return finding(vendor, key, f"unknown value {name!a}", hint)


def closure(vendor: Vendor, names: Iterable[str], *, concealed: bool = True) -> set[str]:
    """The names, and all that derived ones among them are made of; without what a function conceals, if so wished."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            row = vendor.derive.get(name)
            if row is not None and (concealed or not row.function.conceals):
                todo += [placeholder.name for placeholder in row.argument.placeholders()]
    return seen


@lru_cache(maxsize=1024)
def made_of(vendor: Vendor, exchange: Exchange) -> frozenset[str]:
    """The names of all that an exchange's request is made of."""
    return frozenset(closure(vendor, [placeholder.name for placeholder in exchange.request.placeholders()]))


# --- places -----------------------------------------------------------------------------------------------------------


def written(vendor: Vendor) -> Iterator[Place]:
    """Every placeholder that is filled, by the key where it stands."""
    yield from _of_url("base_url", vendor.base_url)
    for exchange in vendor.flow.exchanges.values():
        yield from requested(vendor, exchange.name)
        for outcome, pattern in exchange.answers:
            key, wait = f"exchanges.{exchange.name}.answers.{outcome}", pattern.wait or Wait()
            for kind, template in (("again", wait.again), ("for", wait.patience)):
                if template is not None:
                    yield from _of(f"{key}.{kind}", template)
    for state in vendor.flow.states.values():
        if isinstance(state, Presenting):
            yield from presented(vendor, state)
        elif isinstance(state, Sending):
            yield from told(state)
    for row in vendor.derive.values():
        yield from _of(f"derive.{row.name}.{row.function_name}", row.argument)
    for kind, urls in (("send", vendor.send_origins), ("present", vendor.present_origins)):
        for index, url in enumerate(urls):
            yield from _of_url(f"origins.{kind}.{index}", url)
    for kind, template in (("lifetime", vendor.lifetime), ("idle", vendor.idle), ("ahead", vendor.ahead)):
        if template is not None:
            yield from _of(f"expiry.{kind}", template)
    if (verify := vendor.verify) is not None:
        yield from _of_url("verify.jwks_url", verify.jwks_url)
        for kind, template in (("issuer", verify.issuer), ("audience", verify.audience)):
            if template is not None:
                yield from _of(f"verify.{kind}", template)


def told(state: Sending) -> Iterator[Place]:
    """The placeholders of what a person is told when a state is entered."""
    yield from _of(f"states.{state.name}.tell", state.tell) if state.tell is not None else ()


def requested(vendor: Vendor, exchange: str) -> Iterator[Place]:
    """The placeholders of an exchange's request."""
    whole = vendor.raw.get("exchanges", {}).get(exchange, {})
    key, request = f"exchanges.{exchange}", vendor.flow.exchanges[exchange].request
    yield from _parts(f"{key}.request", request, whole.get("request", {}), f"{key}.sign" if "sign" in whole else "sign")


def presented(vendor: Vendor, state: Presenting) -> Iterator[Place]:
    """The placeholders of what a state presents."""
    own = vendor.raw.get("states", {}).get(state.name, {}).get("present", {})
    key = f"states.{state.name}.present"
    yield from _parts(key, state.present, own, f"{key}.sign" if "sign" in own else "sign")


def _parts(key: str, part: RequestTemplate | Present, own: Any, signed: str) -> Iterator[Place]:
    url = getattr(part, "url", None)
    if url is not None:
        yield from _of_url(f"{key}.url", url)
    for kind in ("query", "headers", "cookies", "form"):
        for name, item in getattr(part, kind) or ():
            shared = kind == "headers" and name not in own.get("headers", {})
            yield from _of(f"headers.{name}" if shared else f"{key}.{kind}.{name}", item)
    for kind in ("json", "text"):
        template = getattr(part, kind, None)
        if isinstance(template, tuple):
            for name, item in template:
                yield from _of(f"{key}.{kind}.{name}", item)
        elif template is not None:
            yield from _of(f"{key}.{kind}", template)
    for kind in ("basic", "client_basic"):
        for index, item in enumerate(getattr(part, kind, None) or ()):
            yield from _of(f"{key}.{kind}.{index}", item)
    if part.sign is not None:
        yield from _of(f"{signed}.{part.sign.name}", part.sign.parameters)


def _of_url(key: str, url: UrlTemplate) -> Iterator[Place]:
    for placeholder in url.placeholders():
        yield key, placeholder


def _of(key: str, template: Template) -> Iterator[Place]:
    items: Any = getattr(template, "items", None)
    if items is None:
        for placeholder in template.placeholders():
            yield key, placeholder
        return
    for index, item in enumerate(items):
        name, inner = item if isinstance(item, tuple) else (index, item)
        yield from _of(f"{key}.{name}", inner)
