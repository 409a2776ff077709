"""Warnings: what is legal, and what an experienced author would think twice about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from authflow.errors import Finding
from authflow.http import origin_of
from authflow.templates import JWTS, Exchange, Literal, Template, Text
from authflow.vendors.flow import EXPIRED, Presenting, Sending, refusals, rotates
from authflow.vendors.proofs.places import closure, warning, written
from authflow.vendors.proofs.safe import secrets_in_urls
from authflow.vendors.vendor import Vendor, seconds

#: A login every so many seconds is much, where nothing renews the token.
SHORT: Final = 600.0
_SECRETIVE: Final = re.compile(r"passw|secret|token|api_?key|private|otp|pin$", re.I)


def check(vendor: Vendor) -> Iterator[Finding]:
    yield from _unguarded(vendor)
    yield from _unused(vendor)
    yield from _secrets(vendor)
    yield from _renewal(vendor)
    yield from _grants(vendor)
    yield from _given_away(vendor)
    yield from _identity(vendor)


def _unguarded(vendor: Vendor) -> Iterator[Finding]:
    """Values in XML or JSON that is written as text: what would leave its place there is refused before it is sent."""
    for key, placeholder in written(vendor):
        if placeholder.guard is not None and not placeholder.kind:
            hint = f"{{{placeholder.name}:{placeholder.guard.converter}}}"
            yield warning(vendor, key, f"{{{placeholder.name}}} cannot hold every value here", hint)


def _identity(vendor: Vendor) -> Iterator[Finding]:
    """What a store that several users share tells them apart by."""
    if not vendor.identity and "identity" not in vendor.raw:
        reason = "nothing tells the users of a shared store apart: they must say AuthSession(identity=…)"
        yield warning(vendor, "identity", reason, 'identity = ["username"]' if vendor.credentials else "")
    elif "identity" not in vendor.raw and len(vendor.identity) > 1:
        for name in vendor.identity:
            if vendor.credentials[name].secret:
                named = [other for other in vendor.identity if not vendor.credentials[other].secret]
                named = named or [vendor.identity[0]]
                reason = f"{name} is needed to find a token in the store, since the file says no identity"
                yield warning(vendor, f"credentials.{name}", reason, f"identity = {_toml_list(named)}")


def _toml_list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _unused(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    used = {state.send for state in flow.states.values() if isinstance(state, Sending)} | {vendor.on_logout}
    for name in flow.exchanges:
        if name not in used:
            yield warning(vendor, f"exchanges.{name}", "no state sends this exchange", "drop it, or on_logout")
    heard = {event for state in flow.states.values() if isinstance(state, Presenting) for event in state.next}
    for event in dict.fromkeys(name for name, _ in vendor.answers):
        if event not in heard and (event != "rejected" or vendor.raw.get("answers")):
            yield warning(vendor, f"answers.{event}", "no presenting state listens to this event", f'{event} = "…"')
    mentioned = closure(vendor, {placeholder.name for _, placeholder in written(vendor)})
    mentioned |= {
        placeholder.name
        for rewrite in vendor.rewrites
        for placeholder in (*rewrite.source.placeholders(), *rewrite.target.placeholders())
    }
    defaults = " ".join(str(entry.default) for entry in vendor.inputs.values())
    mentioned |= set(re.findall(r"\{(\w+)", defaults))
    for name, entry in vendor.inputs.items():
        if name not in mentioned and name not in vendor.vary and not entry.optional and name != "base_url":
            kind = "credentials" if name in vendor.credentials else "settings"
            yield warning(vendor, f"{kind}.{name}", "asked of the user, and used nowhere", f"{{{name}}}, or drop it")
    for name in vendor.derive:
        if name not in mentioned:
            yield warning(vendor, f"derive.{name}", "used nowhere", f"{{{name}}}, or drop it")


def _secrets(vendor: Vendor) -> Iterator[Finding]:
    for name, entry in vendor.credentials.items():
        if _SECRETIVE.search(name) and not entry.secret:
            yield warning(vendor, f"credentials.{name}", "not marked as a secret", "secret = true")
    told = list(secrets_in_urls(vendor)) if vendor.insecure_url else []
    for key, name in told:
        reason = f"the secret {name} stands in a URL, where logs and proxies see it"
        yield warning(vendor, key, reason, "a header, if the vendor takes one")
    if vendor.insecure_url and not told:
        yield warning(vendor, "insecure_url", "no secret stands in a URL", "drop it")
    trusted = {_origin(url.literal_origin()) for url in (vendor.base_url, *vendor.present_origins)}
    for index, rewrite in enumerate(vendor.rewrites):
        origin = _origin(rewrite.target.literal_origin())
        if origin and None not in trusted and origin not in trusted:
            yield warning(
                vendor, f"rewrites.{index}.to", f"{origin} gets no token", f'origins = {{ present = ["{origin}"] }}'
            )


def _grants(vendor: Vendor) -> Iterator[Finding]:
    """A token that is got and never shown, and a login that carries no credential."""
    flow = vendor.flow
    bringing = [item for item in flow.exchanges.values() if any("access" in row.may_capture for _, row in item.answers)]
    if not bringing:
        return
    presenting = [state for state in flow.states.values() if isinstance(state, Presenting)]
    shown = {placeholder.name for state in presenting for placeholder in state.present.placeholders()}
    shown |= {placeholder.name for rewrite in vendor.rewrites for placeholder in rewrite.target.placeholders()}
    captured = {name for item in bringing for _, row in item.answers for name in row.may_capture}
    last = next((state for state in presenting if state.name != flow.start), presenting[0])
    if captured.isdisjoint(closure(vendor, shown)):
        hint = 'headers = { Authorization = "Bearer {access}" }'
        yield warning(vendor, f"states.{last.name}.present", "{access} is got and never presented", hint)
    filled = [place.name for item in flow.exchanges.values() for place in item.request.placeholders()]
    sent = closure(vendor, [*filled, *shown])
    if vendor.credentials and sent.isdisjoint(vendor.credentials):
        key, hint = f"exchanges.{bringing[0].name}.request", "a request replaces its preset's whole: say all of it"
        yield warning(vendor, key, "the login carries no credential", hint)


def _given_away(vendor: Vendor) -> Iterator[Finding]:
    if vendor.lifetime is not None and vendor.idle is not None:
        yield warning(vendor, "expiry.idle", "where a lifetime is known, idle says nothing", "keep one of them")
    for name, entry in vendor.inputs.items():
        if entry.secret and entry.default is not UNSET and entry.default != "":
            kind = "credentials" if name in vendor.credentials else "settings"
            reason = "a secret in the file, for everybody who can read it"
            yield warning(vendor, f"{kind}.{name}.default", reason, "drop it: it is given, or optional")


def _origin(literal: str | None) -> str | None:
    return None if literal is None else str(origin_of(literal))


def _renewal(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    for name, exchange in flow.exchanges.items():
        if rotates(exchange) and not refusals(exchange):
            key, hint = f"exchanges.{name}.answers", "denied = { status = [400, 401] }"
            yield warning(vendor, key, "a refused refresh has no pattern", hint)
    if any(_renews(exchange) for exchange in flow.exchanges.values()):
        return
    for key, template in (("expiry.lifetime", vendor.lifetime), ("expiry.idle", vendor.idle)):
        lifetime = literal_seconds(template)
        if lifetime is not None and lifetime < SHORT:
            reason = f"nothing renews the token, so there is a login every {lifetime:g} s"
            yield warning(vendor, key, reason, "an exchange that sends {refresh}, or a longer lifetime")
    for state in flow.states.values():
        if not isinstance(state, Presenting) or EXPIRED in state.next or not _may_expire(vendor):
            continue
        if "access" in closure(vendor, [placeholder.name for placeholder in state.present.placeholders()]):
            reason = "the token can run out here, and nothing says what then"
            yield warning(vendor, f"states.{state.name}", reason, 'expired = "…"')


def _renews(exchange: Exchange) -> bool:
    """Does it get a token for a token?"""
    sends = any(placeholder.name in ("access", "refresh") for placeholder in exchange.request.placeholders())
    return sends and any("access" in pattern.may_capture for _, pattern in exchange.answers)


def _may_expire(vendor: Vendor) -> bool:
    if vendor.lifetime is not None or vendor.idle is not None:
        return True
    return any(
        placeholder.name in ("expires_in", "expires_at") or (placeholder.name == "access" and placeholder.kind in JWTS)
        for exchange in vendor.flow.exchanges.values()
        for _, pattern in exchange.answers
        for placeholder in pattern.placeholders()
    )


def literal_seconds(template: Template | None) -> float | None:
    """A duration that hangs on no setting."""
    match template:
        case Literal(value=value):
            return seconds(value)
        case Text(literals=(text,)):
            return seconds(text)
    return None
