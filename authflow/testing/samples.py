"""Values for a vendor that nobody has an account at: settings, credentials, and what its answers hand out.

They are made from what the file says of a name (its default, its type, its converter) and from how it is used: a name
that starts a URL is a URL, one whose setting says a domain is a host.
"""

from __future__ import annotations

import base64
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import UNSET

from authflow.errors import ConfigurationError
from authflow.templates import Placeholder, Unbound, UrlTemplate, render
from authflow.vendors import Presenting, Values, Vendor, filled, seconds

#: Where a vendor lives whose file leaves that to a setting.
ORIGIN: Final = "https://vendor.example"
#: What a value read by a built-in converter may be, where plain text will not do.
_BY_KIND: Final[Mapping[str, Any]] = {
    "int": 42,
    "ms": 3600,
    "minutes": 3600,
    "time": 4_000_000_000,
    "epoch": 4_000_000_000,
    "epoch_ms": 4_000_000_000,
    "iso8601": 4_000_000_000,
    "http_date": 4_000_000_000,
}


def inputs(vendor: Vendor) -> dict[str, Any]:
    """Settings and credentials with which a session for this vendor can be made."""
    urls = set(_url_names(vendor))
    given = {
        name: _input(vendor, name, entry.type, urls)
        for name, entry in vendor.inputs.items()
        if entry.default is UNSET and not entry.optional
    }
    whole = filled(vendor, given.get)  # defaults too, as a session fills them in
    return {name: whole[name] for name in vendor.inputs if name in whole}


def _input(vendor: Vendor, name: str, kind: str, urls: set[str]) -> Any:
    if kind in ("int", "duration"):
        return 7 if kind == "int" else "1h"
    if name in urls or kind == "url":
        return f"{ORIGIN}/{name.replace('_', '-')}"
    if name in _seeds(vendor):
        return _seed(0)
    if (algorithm := _signs_with(vendor, name)) is not None:
        return _encoded(_key(algorithm), _arguments(vendor, "jwt", name))
    if arguments := _arguments(vendor, "hmac", name):
        return _encoded(_key("HS256"), arguments)
    if name in encrypts_with(vendor):
        return public_key()
    if vendor.lifetime is not None and name in {placeholder.name for placeholder in vendor.lifetime.placeholders()}:
        return "1h"
    if kind == "host" or name in _hosts(vendor):
        return host(vendor)
    return f"demo-{name.replace('_', '-')}"


def body(vendor: Vendor) -> dict[str, Any]:
    """The body of a caller's request in which the token can travel, as httpx takes it."""
    for state in vendor.flow.states.values():
        if isinstance(state, Presenting):
            present = state.present
            if present.json is not None:
                return {"json": {"note": "hello", **_lists(vendor.raw["states"][state.name]["present"]["json"])}}
            if present.form:
                return {"data": {"note": "hello"}}
            if present.text:
                return {"content": " ".join(["hello", *(literal for literal, _ in present.text)])}
    return {}


def _lists(presented: Any) -> Any:
    """The lists in which something is presented, each with elements of the caller's."""
    if isinstance(presented, list):
        return [_lists(item) for item in presented]
    if isinstance(presented, dict):
        return {name: _lists(item) for name, item in presented.items() if isinstance(item, dict | list)}
    return "mine" if presented == "{_}" else None


def _hosts(vendor: Vendor) -> set[str]:
    """The names that are a whole host, or a host and its port, in a URL."""
    texts = [
        url.text for url in (vendor.base_url, *vendor.send_origins, *vendor.present_origins, *_exchange_urls(vendor))
    ]
    texts += [str(entry.default) for entry in vendor.inputs.values() if entry.default is not UNSET]
    return {found for text in texts for found in re.findall(r"^https?://\{(\w+)\}(?=[:/?]|$)", text)}


def host(vendor: Vendor) -> str:
    """Where a vendor lives whose file leaves the host open: on this machine, where it speaks plain http."""
    return "localhost" if vendor.base_url.text.startswith("http:") else urlsplit(ORIGIN).netloc


def _arguments(vendor: Vendor, function: str, key: str) -> Mapping[str, Any]:
    """The argument of a row with this function and key that says how the key is encoded."""
    rows = [vendor.raw["derive"][row.name][function] for row in vendor.derive.values() if row.function_name == function]
    return next((row for row in rows if row.get("key") == f"{{{key}}}" and "key_encoding" in row), {})


def _encoded(key: str, argument: Mapping[str, Any]) -> str:
    match argument.get("key_encoding", "text"):
        case "hex":
            return key.encode().hex()
        case "base64" | "base64url":
            return base64.urlsafe_b64encode(key.encode()).decode()
    return key


def another(vendor: Vendor, name: str, number: int) -> str:
    """Another value for a secret that is no key."""
    return _seed(number) if name in _seeds(vendor) else f"changed-{name}-{number}"


def _seeds(vendor: Vendor) -> set[str]:
    """The inputs that are seeds of one-time codes, which are written in base32 (RFC 6238)."""
    rows = [row for row in vendor.derive.values() if row.function_name == "totp"]
    return {placeholder.name for row in rows for placeholder in row.argument.placeholders()}


def _seed(number: int) -> str:
    return base64.b32encode(f"a seed, number {number}".encode()).decode()


def is_key(vendor: Vendor, name: str) -> bool:
    """Is this input the key of an assertion? Then no other text will do."""
    return _signs_with(vendor, name) is not None


def _signs_with(vendor: Vendor, name: str) -> str | None:
    """The algorithm of the assertions for which this input is the key."""
    for row in vendor.derive.values():
        argument = vendor.raw["derive"][row.name][row.function_name]
        if row.function_name == "jwt" and argument.get("key") == f"{{{name}}}":
            known = {key: entry.default for key, entry in vendor.inputs.items() if entry.default is not UNSET}
            try:
                return str(render(argument.get("algorithm", "HS256"), known))
            except Unbound:
                return "HS256"
    return None


@functools.lru_cache(maxsize=256)
def encrypts_with(vendor: Vendor) -> frozenset[str]:
    """The names of keys under which something is encrypted."""
    rows = [vendor.raw["derive"][row.name]["rsa"] for row in vendor.derive.values() if row.function_name == "rsa"]
    return frozenset(str(row["key"]).strip("{}") for row in rows)


def public_key() -> str:
    """The key that a vendor shows, to be encrypted with."""
    private = _key("RS256").encode()
    from cryptography.hazmat.primitives import serialization as s

    public = s.load_pem_private_key(private, None).public_key()
    return public.public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo).decode()


def decrypted(text: str, argument: Mapping[str, Any]) -> str:
    """What was encrypted with that key. Raises ValueError."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import padding as p

    digest = hashes.SHA256() if argument.get("digest") == "sha256" else hashes.SHA1()
    way = p.PKCS1v15() if argument.get("padding") == "pkcs1" else p.OAEP(p.MGF1(digest), digest, None)
    if argument.get("encoding") == "hex":
        data = bytes.fromhex(text)
    else:
        data = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    private: Any = s.load_pem_private_key(_key("RS256").encode(), None)
    return str(private.decrypt(data, way).decode())


@functools.cache
def _key(algorithm: str) -> str:
    """A key for an algorithm of JSON Web Signature (RFC 7518 §3.1): a PEM, or for the symmetric ones a text."""
    if algorithm.startswith("HS"):
        return "a demonstration key, as long as the digest of SHA-512 is: 64 bytes"
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    except ImportError:
        needs = f"a key for {algorithm} needs cryptography: pip install 'authflow-http[encrypted]'"
        raise ConfigurationError(needs) from None

    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    private: Any
    if algorithm in curves:
        private = ec.generate_private_key(curves[algorithm])
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(65537, 2048)
    pem: bytes = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def _url_names(vendor: Vendor) -> Iterator[str]:
    for url in (vendor.base_url, *vendor.send_origins, *vendor.present_origins, *_exchange_urls(vendor)):
        if url.starts_with_placeholder:
            yield url.between[0].name


def _exchange_urls(vendor: Vendor) -> Iterator[UrlTemplate]:
    for exchange in vendor.flow.exchanges.values():
        if exchange.request.url is not None:
            yield exchange.request.url


def captured_urls(vendor: Vendor) -> Iterator[tuple[str, str, str]]:
    """The exchanges whose URL begins with a captured name, that name, and the exchange after which its URL is called:
    the same one for all, where one exchange alone brings it.
    """
    exchanges, first = vendor.flow.exchanges, dict[str, str]()
    brought = Counter(
        name
        for exchange in exchanges.values()
        for name in {place.name for _, pattern in exchange.answers for place in pattern.placeholders()}
    )
    for name, exchange in exchanges.items():
        url = exchange.request.url
        if url is not None and url.starts_with_placeholder:
            begin = url.between[0].name
            if begin not in vendor.inputs and begin != "base_url":
                yield name, begin, first.setdefault(begin, name) if brought[begin] == 1 else name


def captured(placeholder: Placeholder, text: str) -> Any:
    """A value that a placeholder in an answer can be rendered with: `text`, unless its converter wants another kind."""
    for candidate in (_BY_KIND.get(placeholder.kind), text, 42, {"value": text}):
        if candidate is None:
            continue
        try:
            if placeholder.converter.read(placeholder.converter.write(candidate)) == candidate:
                return candidate
        except (ValueError, TypeError, OverflowError, OSError):
            continue
    return text


@functools.cache
def waits(vendor: Vendor) -> dict[str, int]:
    """Soon enough for who waits: what an answer says of when to ask again, and for how long, in seconds."""
    found: dict[str, int] = {}
    for exchange in vendor.flow.exchanges.values():
        for pattern in (pattern for _, pattern in exchange.answers if pattern.wait is not None):
            assert pattern.wait is not None
            for template, value in ((pattern.wait.again, 1), (pattern.wait.patience, 30)):
                found |= {placeholder.name: value for placeholder in (template.placeholders() if template else ())}
    return found


def lifetime(vendor: Vendor, values: Values, otherwise: float) -> float:
    """How long a token lives: as `[expiry]` says, or `otherwise` (seconds)."""
    for template in (vendor.lifetime, vendor.idle):
        if template is not None:
            try:
                return seconds(template.render(values))
            except (ValueError, Unbound):  # an answer says it, or nobody
                continue
    return otherwise


def durations(vendor: Vendor) -> frozenset[str]:
    """The captured names that say how long a token lives."""
    templates = [template for template in (vendor.lifetime, vendor.idle) if template is not None]
    names = {placeholder.name for template in templates for placeholder in template.placeholders()}
    return frozenset(names - vendor.inputs.keys())
