"""One name, one thing; and every name that is used is one that exists."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from authflow.errors import Finding
from authflow.templates import RESERVED as NO_PLACEHOLDERS
from authflow.templates import AnswerPattern
from authflow.vendors.asked import ASKED
from authflow.vendors.flow import FROM_BROWSER, INTO_BROWSER, LOST, needs
from authflow.vendors.proofs.places import closure, finding, undeclared, unknown, warning, written
from authflow.vendors.vendor import Vendor

#: `AuthSession`'s own parameters: no setting may be called like one.
PARAMETERS: Final = frozenset(
    {"vendor", "store", "client", "clock", "timeout", "untrusted", "on_store_failure", "identity", "ask"}
)
#: What a state's table says of itself, and so cannot be the name of an outcome.
KEYWORDS: Final = frozenset({"send", "present", "fail", "missing", "tell", LOST})
#: Values that an answer brings again and again: a first one may well be given by the user.
RENEWED: Final = frozenset({"access", "refresh", "base_url"})

_VALUE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
#: Where `{_}` may be written: in a list that is presented, and as a label of an origin.
_MAY_BE_ANY: Final = re.compile(r"states\..*\.present\.json\..*\.\d+$|origins\.")
#: What must be known before there is a request.
_BEFORE_IT: Final = re.compile(r"base_url$|origins\.|expiry\.|exchanges\..*\.request\.url$")
_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ .-]*", re.ASCII)


def check(vendor: Vendor) -> Iterator[Finding]:
    yield from _spelled(vendor)
    yield from _inputs(vendor)
    yield from _derived(vendor)
    yield from _captured(vendor)
    yield from _known(vendor)


def patterns(vendor: Vendor) -> Iterator[tuple[str, str, AnswerPattern]]:
    """Every pattern of an answer: its key, the outcome or event, and itself."""
    for exchange in vendor.flow.exchanges.values():
        for outcome, pattern in exchange.answers:
            yield f"exchanges.{exchange.name}.answers.{outcome}", outcome, pattern
    for event, pattern in vendor.answers:
        yield f"answers.{event}", event, pattern
    for index, pattern in enumerate(vendor.keep):
        yield f"keep.{index}", "keep", pattern


def captured_at(vendor: Vendor) -> Iterator[tuple[str, str]]:
    """Every name that an answer may bring, and the key of the outcome that brings it."""
    for key, _, pattern in patterns(vendor):
        for name in sorted(pattern.may_capture):
            yield key, name


def known_names(vendor: Vendor) -> set[str]:
    """The names that have a value somewhere."""
    browsers = any(exchange.by for exchange in vendor.flow.exchanges.values())
    brought = INTO_BROWSER | FROM_BROWSER if browsers else ()
    return {*vendor.inputs, *vendor.derive, *(name for _, name in captured_at(vendor)), *brought, "base_url"}


def _spelled(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    words = [(f"states.{name}", name) for name in flow.states]
    words += [(f"exchanges.{name}", name) for name in flow.exchanges]
    outcomes = [
        (f"exchanges.{item.name}.answers.{name}", name) for item in flow.exchanges.values() for name in item.outcomes
    ]
    outcomes += [(f"answers.{name}", name) for name in dict.fromkeys(event for event, _ in vendor.answers)]
    for key, name in words + outcomes:
        if not _WORD.fullmatch(name):
            yield finding(vendor, key, f"not a name{_culprit(name)}", "letters, digits, - and _")
    for key, name in outcomes:
        if name in KEYWORDS:
            yield finding(vendor, key, f"{name} cannot name an outcome: the word has another meaning", "choose another")
    for kind in ("settings", "credentials", "derive"):
        for name in getattr(vendor, kind):
            if not _VALUE.fullmatch(name) or name in NO_PLACEHOLDERS:
                yield finding(
                    vendor, f"{kind}.{name}", f"not a name{_culprit(name)}", "a letter, then letters, digits and _"
                )


def _culprit(name: str) -> str:
    odd = next((char for char in name if not char.isascii() or not char.isprintable()), None)
    return "" if odd is None else f": it holds U+{ord(odd):04X} {unicodedata.name(odd, '')}".rstrip()


def _inputs(vendor: Vendor) -> Iterator[Finding]:
    for kind in ("settings", "credentials", "derive"):
        for name in getattr(vendor, kind):
            key = f"{kind}.{name}"
            if (name in PARAMETERS and kind != "derive") or (name == "base_url" and kind != "settings"):
                yield finding(vendor, key, "AuthSession has a parameter of this name", "choose another")
            elif name in vendor.credentials and kind != "credentials":
                yield finding(vendor, key, "also a credential", "one name, one thing")
            elif name in vendor.settings and kind == "derive":
                yield finding(vendor, key, "also a setting", "one name, one thing")
    for name, entry in vendor.inputs.items():
        kind = "credentials" if name in vendor.credentials else "settings"
        if entry.type == "int" and isinstance(entry.default, str | float | bool):
            yield finding(vendor, f"{kind}.{name}.default", "not a whole number, as its type says")


def _derived(vendor: Vendor) -> Iterator[Finding]:
    for name, row in vendor.derive.items():
        if name in closure(vendor, needs(row.argument.placeholders())):
            yield finding(vendor, f"derive.{name}", "derived from itself")
    given = vendor.settings.get("base_url")
    if "base_url" in closure(vendor, [placeholder.name for placeholder in vendor.base_url.placeholders()]) and (
        given is None or (given.optional and given.default is UNSET)
    ):
        yield finding(vendor, "base_url", "made of itself", "settings.base_url = {}, or another name")


def _captured(vendor: Vendor) -> Iterator[Finding]:
    for key, name in captured_at(vendor):
        if name in vendor.derive:
            yield finding(vendor, key, f"{{{name}}} is derived and cannot be captured too", "one name, one thing")
        elif name in vendor.credentials and name not in RENEWED:
            reason = f"{{{name}}} is a credential, and captured it would be stored"
            say = finding if vendor.credentials[name].secret else warning
            yield say(vendor, key, reason, "{_}, or another name")


def _known(vendor: Vendor) -> Iterator[Finding]:
    known = known_names(vendor)
    for key, placeholder in written(vendor):
        if placeholder.equal:
            yield finding(vendor, key, f"{{={placeholder.name}}} compares: only in patterns of answers", "no =")
        elif placeholder.name == "_":
            if not _MAY_BE_ANY.match(key):
                yield finding(vendor, key, "{_} keeps nothing, so nothing can be written with it", "name a value")
        elif placeholder.name.startswith("request."):
            if not key.startswith("derive."):
                yield finding(vendor, key, "{request.…} can be used in [derive] only", "a row, and its name here")
            elif placeholder.name not in ASKED:
                yield unknown(vendor, key, "value", placeholder.name, ASKED)
        elif placeholder.name not in known:
            yield undeclared(vendor, key, placeholder.name, known)
        elif _BEFORE_IT.match(key) and not ASKED.keys().isdisjoint(closure(vendor, [placeholder.name])):
            yield finding(vendor, key, f"{{{placeholder.name}}} looks at the request that goes there", "its query, say")
    for key, _, pattern in patterns(vendor):
        for name in sorted(pattern.compares - known):
            yield unknown(vendor, key, "value", name, known)
    for index, rewrite in enumerate(vendor.rewrites):
        if rewrite.source.starts_with_placeholder and rewrite.source.between[0].name not in known:
            name = rewrite.source.between[0].name
            reason = f"a placeholder at the very start is a whole URL, and {{{name}}} is not known before"
            yield finding(vendor, f"rewrites.{index}.from", reason, f'"./{{{name}}}…"')
        read = known | {placeholder.name for placeholder in rewrite.source.placeholders()}
        for placeholder in rewrite.target.placeholders():
            if placeholder.name not in read or placeholder.name == "_":
                yield unknown(vendor, f"rewrites.{index}.to", "value", placeholder.name, read - {"_"})
    for index, name in enumerate(vendor.identity):
        if name.removesuffix("?") not in vendor.inputs:
            yield unknown(vendor, f"identity.{index}", "credential", name, vendor.credentials)
    for index, name in enumerate(vendor.shown):
        key = f"shown.{index}"
        if name not in known:
            yield unknown(vendor, key, "value", name, known)
        elif name in ("access", "refresh") or (name in vendor.inputs and vendor.inputs[name].secret):
            yield finding(vendor, key, f"{name} is a secret", "session.token() gives the token")
    for index, name in enumerate(vendor.vary):
        if name not in known:
            yield unknown(vendor, f"vary.{index}", "value", name, known)
