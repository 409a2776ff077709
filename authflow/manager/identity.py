"""Who a session is for: the settings and credentials made complete, and the key under which its record is kept.

The key tells vendors and accounts apart and shows neither: it is a hash over all that is not secret. Only where a
vendor has nothing but secrets (an API key) are these hashed too, slowly, so that a key is no fast test for a guess.
"""

from __future__ import annotations

import difflib
import hashlib
from typing import Any

import msgspec
from msgspec import UNSET

from authflow.errors import ConfigurationError
from authflow.vendors import Given, Vendor, ask_for, unfit


def complete(vendor: Vendor, given: Given) -> Given:
    """What the user gave, with defaults filled in. Raises ConfigurationError: unknown, missing, of the wrong type."""
    inputs = vendor.inputs
    known = {*inputs, "base_url"}
    for name in given.names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(sorted(known))}"
            raise ConfigurationError(f"{vendor.title} takes no {name!r}: {hint}", vendor=vendor.name)
    whole: dict[str, Any] = {}
    missing = []
    for name, entry in inputs.items():
        value = given.get(name)
        if value is None and entry.default is not UNSET:
            value = entry.default
        if value is not None:
            whole[name] = _typed(vendor, name, entry.type, value)
        elif not entry.optional:
            missing.append(f"{name} ({entry.title})" if entry.title else name)
    if missing:
        what = "credential or setting" if len(missing) == 1 else "credentials or settings"
        raise ConfigurationError(f"{vendor.title} needs the {what} {', '.join(missing)}", vendor=vendor.name)
    if given.get("base_url") is not None:
        whole["base_url"] = _typed(vendor, "base_url", "str", given.get("base_url"))
    return Given(whole)


def _typed(vendor: Vendor, name: str, kind: str, value: Any) -> Any:
    if callable(value):
        if name not in vendor.credentials:
            raise ConfigurationError(f"the setting {name} is a plain value, not a callable", vendor=vendor.name)
        return value
    if kind == "int":
        try:
            return int(str(value))
        except ValueError:
            raise ConfigurationError(f"{name} is a whole number", vendor=vendor.name) from None
    if reason := unfit(name, vendor.inputs.get(name), value, credential=name in vendor.credentials):
        raise ConfigurationError(f"{vendor.title}: {reason}", vendor=vendor.name)
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def unasked(vendor: Vendor, given: Given) -> list[str]:
    """The callables that must be asked before it is known whose account this is: user names and their like, or, where
    a vendor has nothing but secrets and all are callables, those.
    """
    names = [name for name in vendor.credentials if name in given]
    public = [name for name in names if not vendor.credentials[name].secret]
    if public:
        return [name for name in public if callable(given.get(name))]
    return names if all(callable(given.get(name)) for name in names) else []


def identified(vendor: Vendor, given: Given) -> Given:
    """The same with the user's name answered for good: a session is for one account, and its record is no other's."""
    public = [name for name in unasked(vendor, given) if not vendor.credentials[name].secret]
    if not public:
        return given
    return given.changed(
        {name: _typed(vendor, name, vendor.inputs[name].type, _ask(vendor, name, given.get(name))) for name in public}
    )


def _ask(vendor: Vendor, name: str, value: Any) -> Any:
    return ask_for(vendor, name, value) if callable(value) else value


def slot_key(key: str, slot: tuple[str, ...]) -> str:
    """The key of one of an account's grants, where `vary` tells several apart."""
    return f"{key}-{hashlib.sha256(msgspec.json.encode(slot)).hexdigest()[:16]}"


def record_key(vendor: Vendor, given: Given) -> str:
    """The key of the record for this vendor and account. Asks the callables that are `unasked`."""
    secret = {name for name, entry in vendor.inputs.items() if entry.secret}
    asked = {name: str(_ask(vendor, name, given.get(name))) for name in unasked(vendor, given)}
    known = {**{name: value for name, value in given.items() if not callable(value)}, **asked}
    plain = {name: value for name, value in known.items() if name not in secret}
    parts: list[Any] = [vendor.name, sorted(plain.items())]
    if not any(name in vendor.credentials for name in plain):
        hidden = sorted((name, value) for name, value in known.items() if name in secret)
        text = msgspec.json.encode(hidden)
        parts.append(
            hashlib.scrypt(text, salt=vendor.name.encode(), n=1 << 13, r=8, p=1, dklen=16).hex() if hidden else ""
        )
    return f"{vendor.name.lower()}-{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]}"
