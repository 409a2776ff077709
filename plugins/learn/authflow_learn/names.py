"""What the names of fields say, and the looks of values. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Final

#: Fields whose values a person knows, where nobody has said them.
USER: Final = re.compile(
    r"(?:^|[_.-])(?:user(?:[_-]?(?:name|id))?|login|email|e[_-]?mail|account|client[_-]?id|uid|identifier|member|usr|u)$|benutzer|usuario|utilisateur",
    re.I,
)
_SECRET: Final = re.compile(
    r"pass(?:word|wd|phrase|code)?$|passw|^pw?$|kennwort|senha|contrase|^clave$|^mdp$|mot[_-]?de[_-]?passe|^pwd$|pwd$|^pin$|secret|api[_-]?key$|^token$|x-api-key$|authorization$|^otp$|^totp$|^mfa",
    re.I,
)
_PASSWORD: Final = re.compile(
    r"passw|^pass|^pw?$|pwd$|^pin$|kennwort|senha|contrase|^clave$|^mdp$|mot[_-]?de[_-]?passe", re.I
)
ENDS: Final = re.compile(
    r"expir|valid|ttl|lifetime|max[_-]?age|(?:^|[_-])(?:life|exp|until)(?:$|[_-])|timeout|^(?:minutes|seconds)$", re.I
)
#: Fields of codes that serve once.
CODE: Final = re.compile(r"^code$|otp|mfa|2fa|one[_-]?time|(?:pass|verification|auth)[_-]?code|^pin$", re.I)
REFRESH: Final = re.compile(r"refresh|renew", re.I)
#: What stands where a secret was, in captures that somebody cleaned.
SCRUBBED: Final = re.compile(
    r"[*•x.#-]{3,}|[\[<({]*(?:redacted|removed|hidden|masked|scrubbed|sanitized|filtered)[\])>}]*", re.I
)
#: What captures of authflow's own say in its stead; in a path they have stars.
STAND_IN: Final = re.compile(r"\bmasked[0-9a-f]{26}\b")
_RESERVED: Final = ("access", "refresh", "base_url", "expires_in", "expires_at", "refresh_in", "retry_after", "reason")
_KEYWORDS: Final = ("vendor", "store", "client", "clock", "timeout", "identity", "ask", "request")


def is_free(name: str) -> bool:
    """Can a credential be called so?"""
    taken = {*_RESERVED, *_KEYWORDS} - {"refresh"}
    return re.fullmatch(r"[a-z][a-z0-9_]*", name) is not None and name not in taken


def is_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) or name == "refresh"


def is_password(name: str) -> bool:
    return bool(_PASSWORD.search(name))


def looks_secret(value: str) -> bool:
    return (
        len(value) >= 16
        and bool(re.search(r"\d", value))
        and bool(re.search(r"[A-Za-z]", value))
        and "/" not in value[:8]
        and " " not in value
    )


def credential(field: str, taken: Container[str], *, client: bool = False) -> str:
    """A name for what stands in this field."""
    low = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field).lower()
    if re.search(r"client", low):
        named = "client_secret" if "secret" in low else "client_id"
    elif is_password(low):
        named = "password"
    elif is_secret(low):
        named = re.sub(r"\W+", "_", low).strip("_")
        named = "api_key" if named == "x_api_key" else "token" if named == "authorization" else named
    else:
        named = "username"
    if named in taken:  # another's name: a client that logs a user in
        named = {"username": "client_id", "password": "client_secret"}.get(named, named) if client else named
    return identifier(named, [named]) if named in taken else named


def identifier(field: str, taken: Iterable[str]) -> str:
    """A placeholder's name after a field, unlike those that are taken."""
    plain = (
        re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field)).strip("_").lower().removeprefix("x_") or "value"
    )
    plain = plain if plain[0].isalpha() and plain.isascii() else f"v_{re.sub(r'[^a-z0-9_]', '', plain)}"
    number, chosen = 1, plain
    while chosen in {*taken, *_RESERVED, *_KEYWORDS}:
        number += 1
        chosen = f"{plain}_{number}"
    return chosen
