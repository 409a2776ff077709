"""Warnings: what is legal, and what an experienced author would think twice about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import UNSET

from authflow.errors import Finding
from authflow.http import origin_of
from authflow.templates import JWTS, Exchange, Literal, Template, Text
from authflow.vendors.flow import EXPIRED, Presenting, Sending, refusals, rotates
from authflow.vendors.proofs.places import closure, warning, written
from authflow.vendors.proofs.safe import secrets_in_urls
from authflow.vendors.vendor import Vendor, seconds

#: What a plugin's hook may use all the same.
UNUSED: Final = "no request uses it, yet the user must give it"
#: A login every so many seconds is much, where nothing renews the token.
SHORT: Final = 600.0
_SECRETIVE: Final = re.compile(r"(passw\w*|secret|token|api_?key|private_?key|otp|pin)$", re.I)
#: Shorter, and a token is over before a request has carried it; longer, and seconds were hardly meant.
SHORTEST: Final = 5.0
LONGEST: Final = 10 * 365 * 86400.0


def check(vendor: Vendor) -> Iterator[Finding]:
    yield from _unguarded(vendor)
    yield from _unused(vendor)
    yield from _secrets(vendor)
    yield from _renewal(vendor)
    yield from _expiry(vendor)
    yield from _narrowed(vendor)
    yield from _grants(vendor)
    yield from _given_away(vendor)
    yield from _identity(vendor)
    yield from _packed(vendor)


def _packed(vendor: Vendor) -> Iterator[Finding]:
    """An exchange that asks for an answer in a coding which nobody here reads."""
    for exchange in vendor.flow.exchanges.values():
        for name, item in exchange.request.headers:
            asked = "".join(getattr(item, "literals", ())).lower()
            if name.lower() == "accept-encoding" and not {"br", "zstd"}.isdisjoint(re.findall(r"\w+", asked)):
                key = f"exchanges.{exchange.name}.request.headers.{name}"
                yield warning(vendor, key, "of packed answers, only gzip and deflate are read", f'{name} = "gzip"')


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
            yield warning(vendor, f"{kind}.{name}", UNUSED, f"{_place_for(name)}; --plugin FILE, if code uses it")
    for name in vendor.derive:
        if name not in mentioned:
            yield warning(vendor, f"derive.{name}", "no request uses it", _place_for(name))


def _place_for(name: str) -> str:
    return f"write {{{name}}} where it belongs, or drop it"


def _secrets(vendor: Vendor) -> Iterator[Finding]:
    for name, entry in vendor.credentials.items():
        if _SECRETIVE.search(name) and not entry.secret:
            yield warning(vendor, f"credentials.{name}", "not marked as a secret", "secret = true")
    captured = any(
        item.request.url is not None and item.request.url.starts_with_placeholder
        for item in vendor.flow.exchanges.values()
    )
    if vendor.insecure_url and not captured and not any(secrets_in_urls(vendor)):
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
        yield warning(vendor, f"states.{last.name}.present", "{access} is read and never presented", hint)
    filled = [place.name for item in flow.exchanges.values() for place in item.request.placeholders()]
    sent = closure(vendor, [*filled, *shown])
    if vendor.credentials and sent.isdisjoint(vendor.credentials):
        key, hint = f"exchanges.{bringing[0].name}.request", "a request replaces its preset's whole: say all of it"
        yield warning(vendor, key, "the login carries no credential", hint)


def _expiry(vendor: Vendor) -> Iterator[Finding]:
    """An end that outlives every request, or that none ever reaches."""
    for name in ("lifetime", "idle"):
        length = literal_seconds(getattr(vendor, name))
        if length is not None and not SHORTEST <= length <= LONGEST:
            over = "over before a request has carried the token" if length < SHORTEST else "no token lives so long"
            yield warning(vendor, f"expiry.{name}", f"{length:g} s: {over}", f'seconds, or {name} = "12h"')
    lifetime, ahead = literal_seconds(vendor.lifetime), literal_seconds(vendor.ahead)
    if lifetime is not None and ahead is not None and ahead >= lifetime:
        yield warning(vendor, "expiry.ahead", "as long as the lifetime: the token is never fresh", "a few seconds")
    states = vendor.flow.states
    for state in [state for state in states.values() if isinstance(state, Sending)]:
        for outcome, after in state.next.items():
            follows = states.get(after)
            if not isinstance(follows, Sending) or not _brings(vendor, follows.send, "access"):
                continue
            for name in ("expires_in", "expires_at"):
                if _brings(vendor, state.send, name, outcome) and not _brings(vendor, state.send, "access", outcome):
                    key = f"exchanges.{state.send}.answers.{outcome}"
                    reason = f"{{{name}}} reaches no request: {follows.send} brings the token, and its end"
                    yield warning(vendor, key, reason, "another name, or {_}")


def _brings(vendor: Vendor, exchange: str, name: str, outcome: str | None = None) -> bool:
    rows = vendor.flow.exchanges[exchange].answers
    return any(name in row.may_capture for known, row in rows if outcome in (None, known))


def _narrowed(vendor: Vendor) -> Iterator[Finding]:
    """`answers = "x"` takes over how x is refused; where that is told by more than a status, this is hardly told so."""
    raw = vendor.raw.get("exchanges", {})
    for name, exchange in vendor.flow.exchanges.items():
        other = raw[name].get("answers")
        if not isinstance(other, str) or any(key == "grant_type" for key, _ in exchange.request.form or ()):
            continue
        answers = raw[other].get("answers")
        for outcome in refusals(exchange) if isinstance(answers, Mapping) else ():
            rows = answers.get(outcome, ())
            if all(_says_more(row) for row in ([rows] if isinstance(rows, Mapping) else rows)):
                reason = f"{outcome} is taken over from {other}, which recognises it by more than a status"
                hint = f"exchanges.{name}.answers with a {outcome} of its own"
                yield warning(vendor, f"exchanges.{name}.answers", reason, hint)


def _says_more(row: Any) -> bool:
    """Does a pattern hold a literal beside its status?"""
    if isinstance(row, Mapping):
        return any(_says_more(item) for key, item in row.items() if key != "status")
    if isinstance(row, list):
        return any(map(_says_more, row))
    return not (isinstance(row, str) and re.fullmatch(r"\{[^{}]*\}", row))


def _given_away(vendor: Vendor) -> Iterator[Finding]:
    if vendor.lifetime is not None and vendor.idle is not None:
        yield warning(vendor, "expiry.idle", "beside a lifetime, idle has no effect", "keep one of them")
    for name, entry in vendor.inputs.items():
        if entry.secret and entry.default is not UNSET and entry.default != "":
            kind = "credentials" if name in vendor.credentials else "settings"
            reason = "a secret in the file: whoever reads the file has it"
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
    lifetime = literal_seconds(vendor.lifetime)
    if lifetime is not None and SHORTEST <= lifetime < SHORT:
        reason = f"nothing renews the token, so there is a login every {lifetime:g} s"
        yield warning(vendor, "expiry.lifetime", reason, "an exchange that sends {refresh}, or a longer lifetime")
    for state in flow.states.values():
        if not isinstance(state, Presenting) or EXPIRED in state.next or not _may_expire(vendor):
            continue
        shown = [placeholder.name for placeholder in state.present.placeholders() if not placeholder.optional]
        if "access" in closure(vendor, shown):
            reason = "the token can end here, and nothing says what follows"
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
