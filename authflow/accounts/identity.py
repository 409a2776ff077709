"""Whose login it is: settings and credentials made complete, and the keys under which a session's records lie.

    key        of its grants, the finest: the vendor, all settings, every URL that a secret may go to, and who it is.
               A grant that is shared too widely is somebody else's
    refusals   of what was refused, the coarsest: the vendor, its servers, what is public. A refusal that is shared
               too widely is a delay

Neither shows what it was made of. Secrets enter it hashed slowly (`fingerprints`), and only when a store is first
asked. Captured and derived values are in neither: where a URL hangs on them, it enters as it is written.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import UNSET

from authflow.accounts.fingerprints import Fingerprint
from authflow.errors import ConfigurationError
from authflow.http import origin_of
from authflow.sealed import Sealed, sealed_value
from authflow.templates import Unbound, Unfit, UrlTemplate
from authflow.vendors import (
    Given,
    Input,
    Presenting,
    Vendor,
    ask_for,
    closure,
    filled,
    only_for_base_url,
    typed,
    unfit,
)

_PLAIN: Final = Input()
_NAME: Final = re.compile(r"\{(\w+)")

#: Whose assertion it is say these settings (RFC 7523 §3), and not the key that signs it, which may be replaced.
_SIGNED_FOR: Final = ("issuer", "subject")
_KEY: Final = "private_key"

#: Who it is where nothing says it.
DEFAULT: Final = "default"


@sealed_value
class Identity(Sealed):
    """`servers`: the URLs to which exchanges go; `settings`: all settings, as a hash; `salt`: for its fingerprints;
    `user`: whose it is among all who share the refusals, where one client serves many.
    """

    key: str
    refusals: str
    servers: tuple[str, ...]
    settings: str
    salt: bytes
    user: str = ""


def complete(vendor: Vendor, given: Given) -> Given:
    """What the user gave, with defaults filled in. Raises ConfigurationError: unknown, missing, of the wrong type."""
    inputs = vendor.inputs
    for name in given.names:
        if name not in inputs and name != "base_url":
            known = {*inputs, "base_url"}
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(sorted(known))}"
            raise ConfigurationError(f"{vendor.title} takes no {name!r}: {hint}", vendor=vendor.name)
    try:
        whole = {name: _typed(vendor, name, value) for name, value in filled(vendor, dict(given.items()).get).items()}
    except Unfit as error:
        raise ConfigurationError(f"{vendor.title}: {error}", vendor=vendor.name) from None
    excused = only_for_base_url(vendor) if given.get("base_url") is not None else ()
    lacking = [name for name, entry in inputs.items() if not (name in whole or name in excused or entry.optional)]
    if lacking:
        # A default that could not be filled lacks what is named already.
        lacking = [name for name in lacking if inputs[name].default is UNSET] or lacking
        missing = [f"{name} ({inputs[name].title})" if inputs[name].title else name for name in lacking]
        what = "credential or setting" if len(missing) == 1 else "credentials or settings"
        raise ConfigurationError(f"{vendor.title} needs the {what} {', '.join(missing)}", vendor=vendor.name)
    return Given(whole)


def _typed(vendor: Vendor, name: str, value: Any) -> Any:
    entry = vendor.inputs.get(name, _PLAIN)
    if type(value) is str and entry.type == "str" and value.isprintable() and value.strip() and entry.default is UNSET:
        return value  # as most are
    if callable(value):
        if name not in vendor.credentials:
            raise ConfigurationError(f"the setting {name} must be a plain value, not a callable", vendor=vendor.name)
        return value
    if name == "scope" and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        value = " ".join(value)
    if reason := unfit(name, entry, value, credential=name in vendor.credentials):
        raise ConfigurationError(f"{vendor.title}: {reason}", vendor=vendor.name)
    try:
        value = typed(entry, value)
    except ValueError as error:
        raise ConfigurationError(f"{vendor.title}: {name} {error}", vendor=vendor.name) from None
    if isinstance(value, str) or (type(value) is int and (name in vendor.settings or entry.type == "int")):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def identifying(vendor: Vendor, given: Given) -> list[str]:
    """The credentials that say whose login it is, of those that were given."""
    if not vendor.identity:
        return []
    named = [name.removesuffix("?") for name in vendor.identity if not (name[-1:] == "?" and _asks(given, name[:-1]))]
    said = all(name in vendor.settings and name in given and name in named for name in _SIGNED_FOR)
    found = [name for name in named if name in vendor.credentials and name in given and not (said and name == _KEY)]
    if found or (said and _KEY in named):
        return found
    # The file replaced what its preset tells users apart by: whatever was given must.
    return [name for name, entry in vendor.credentials.items() if name in given and not entry.once]


def _asks(given: Given, name: str) -> bool:
    return callable(given.get(name))


def unasked(vendor: Vendor, given: Given, said: str | None = None) -> list[str]:
    """The callables that must be asked before it is known whose login this is."""
    named = [] if said is not None else identifying(vendor, given)
    return [name for name in dict.fromkeys((*named, *_placed(vendor))) if _asks(given, name)]


def identified(vendor: Vendor, given: Given, said: str | None = None) -> Given:
    """The same with the user's name answered for good: a session is for one user."""
    return _answered(vendor, given, [name for name in unasked(vendor, given, said) if not _secret(vendor, name)])


def answered(vendor: Vendor, given: Given, said: str | None = None) -> Given:
    """The same with all answered that say whose login it is: for one renewal, since a key or a subject's token may be
    another in the next.
    """
    return _answered(vendor, given, unasked(vendor, given, said))


def _answered(vendor: Vendor, given: Given, names: list[str]) -> Given:
    if not names:
        return given
    return given.changed({name: _typed(vendor, name, ask_for(vendor, name, given.get(name))) for name in names})


@lru_cache(maxsize=256)
def _placed(vendor: Vendor) -> tuple[str, ...]:
    """The public credentials on which a server's name hangs, or a path there: they tell servers and tenants apart,
    whoever logs in.
    """
    urls = (vendor.base_url, *vendor.send_origins, *(each.request.url for each in vendor.flow.exchanges.values()))
    places = [url.text.partition("?")[0] for url in urls if url is not None]
    names = closure(vendor, [name for place in places for name in _NAME.findall(place)])
    return tuple(name for name, entry in vendor.credentials.items() if name in names and _plain(entry))


def _plain(entry: Input) -> bool:
    return not entry.secret and not entry.once


def check_identity(vendor: Vendor, said: Any, *, shared: bool) -> None:
    """Raises ConfigurationError where a store that several users reach would tell them apart by nothing."""
    if said is not None and (not isinstance(said, str) or unfit("identity", None, said)):
        raise ConfigurationError("identity= must be text: whose login it is", vendor=vendor.name)
    if shared and said is None and not vendor.identity:
        raise ConfigurationError(
            f"{vendor.title}: nothing tells this store's users apart: say whose login it is with identity=…",
            vendor=vendor.name,
        )


def _secret(vendor: Vendor, name: str) -> bool:
    return vendor.inputs[name].secret


def secrets(vendor: Vendor) -> list[str]:
    """The credentials of which a grant remembers which one got it."""
    return [name for name, entry in vendor.credentials.items() if entry.secret and not entry.once]


@lru_cache(maxsize=256)
def proved_by_use(vendor: Vendor) -> frozenset[str]:
    """The secrets that are presented as they were given and tell nobody apart: whether they are right, no exchange
    says, but the first good answer.
    """
    state = vendor.flow.states[vendor.flow.start]
    if not isinstance(state, Presenting):
        return frozenset()
    shown = closure(vendor, [placeholder.name for placeholder in state.present.placeholders()])
    return frozenset(name for name in secrets(vendor) if name in shown and name not in vendor.identity)


def servers(vendor: Vendor, given: Given) -> tuple[str, ...]:
    """The URLs to which exchanges may go, as they are rendered; as they are written where that hangs on more than
    what was given and is no secret.
    """
    plain = [name for name, entry in vendor.inputs.items() if _plain(entry)]
    known = {name: value for name, value in given.items() if name in plain and not callable(value)}
    base = str(given.get("base_url") or _rendered(vendor.base_url, known, ""))
    urls = [exchange.request.url for exchange in vendor.flow.exchanges.values()]
    rendered = {_rendered(url, {**known, "base_url": base}, base) for url in (*urls, *vendor.send_origins) if url}
    return (base, *sorted(rendered))


def _rendered(url: UrlTemplate, settings: Mapping[str, Any], base_url: str) -> str:
    try:
        return url.render(settings, base_url)
    except (Unbound, Unfit):
        return url.text


def origins(urls: tuple[str, ...]) -> list[str]:
    """Where they lie; a template that hangs on more than settings stands for itself."""
    return sorted(set(_origins(urls)))


def _origins(urls: tuple[str, ...]) -> Iterator[str]:
    for url in urls:
        try:
            yield str(origin_of(url))
        except ValueError:
            yield url


def slot_key(key: str, slot: tuple[str, ...]) -> str:
    """The key of one of an account's grants, where `vary` tells several apart."""
    return f"{key}-{slot_name(slot)}"


def slot_name(slot: tuple[str, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(slot)).hexdigest()[:16]


def identity_of(vendor: Vendor, given: Given, said: str | None, fingerprint: Fingerprint) -> Identity:
    """Whose login it is. What identifies was `answered` before."""
    at = servers(vendor, given)
    own = (*([] if said is not None else identifying(vendor, given)), *_placed(vendor))
    known = [(name, value) for name, value in sorted(given.items()) if name in vendor.inputs and not callable(value)]
    public = [(name, value) for name, value in known if _plain(vendor.inputs[name])]
    coarse: list[Any] = [vendor.name, origins(at), public]
    named = [(name, value) for name, value in public if name in vendor.credentials]
    salt = _digest([vendor.name, origins(at), named]).encode()
    settings = {name: value for name, value in known if name in vendor.settings}
    settings |= {name: fingerprint(value, salt) for name, value in settings.items() if _secret(vendor, name)}
    who: list[Any] = [
        (name, fingerprint(value, salt) if _secret(vendor, name) else value) for name, value in known if name in own
    ]
    if not public:
        coarse += [said] if said is not None else [who]
    # A refresh token that was given by hand seeds one record, whatever it is used for: else it would be spent twice.
    kept = {"client_id", *vendor.identity} & settings.keys() if "refresh" in given else settings.keys()
    fine: list[Any] = [vendor.name, given.get("base_url"), at, sorted((name, settings[name]) for name in kept)]
    fine.append([said, *who] if said is not None else who or [DEFAULT])
    name = vendor.name.lower()
    user = _digest(fine[-1]) if _serves_many(vendor) else ""
    keys = f"{name}-{_digest(fine)}", f"{name}-refusals-{_digest(coarse)}"
    return Identity(*keys, at, _digest(sorted(settings.items())), salt, user)


def _serves_many(vendor: Vendor) -> bool:
    """Does a public name stand for a client, and a secret (or nothing but `identity=`) for its user? A user's name
    stands for both. Where no file says `identity` all credentials do, and of those a password is no name.
    """
    secret = [_secret(vendor, name) for name in vendor.identity if name in vendor.credentials]
    return any(secret) if "identity" in vendor.raw else all(secret)


def _digest(parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]
