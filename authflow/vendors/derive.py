"""The functions of `[derive]`: values computed at the moment a request is rendered.

Each takes its argument (the rendered template under its name) and the time in epoch seconds, and gives text. `volatile`
says that two calls may differ: a presentation that uses such a value is rendered for every request. Plugins add more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac as _hmac
import os
import re
import struct
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from authflow.templates import CONVERTERS, Unfit


class Function(NamedTuple):
    """`compute(argument, now)` raises ValueError, TypeError or KeyError for an argument that it cannot take.

    `inverse` gives the argument back where that can be done: then a request that carries the value can be read.
    `takes` are the keys of an argument that is a table, those that it must have first with a `!`; empty: any.
    `conceals`: the result does not give a secret in the argument away, and may stand in a URL.
    """

    compute: Callable[[Any, float], Any]
    volatile: bool = False
    inverse: Callable[[Any], Any] | None = None
    takes: tuple[str, ...] = ()
    conceals: bool = False


def _encoded(data: bytes, encoding: str) -> str:
    match encoding:
        case "hex":
            return data.hex()
        case "base64":
            return base64.b64encode(data).decode()
        case "base64url":
            return base64.urlsafe_b64encode(data).decode().rstrip("=")
    raise ValueError(f"unknown encoding {encoding!r}: there are hex, base64, base64url")


def _bytes(text: Any) -> bytes:
    """Text as bytes; what a request's body held that is no text goes back to what it was."""
    return str(text).encode("utf-8", "surrogateescape")


def _basic(argument: Any, now: float) -> str:
    user, password = argument
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _un_basic(line: Any) -> list[str]:
    scheme, _, token = str(line).partition(" ")
    if scheme.lower() != "basic":
        raise ValueError("no HTTP Basic credentials")
    user, _, password = str(CONVERTERS["base64"].read(token)).partition(":")
    return [user, password]


_KEYS: Final = ("text", "hex", "base64", "base64url")
#: What an option may say.
CHOICES: Final[Mapping[str, Collection[str]]] = {
    "encoding": _KEYS[1:],
    "key_encoding": _KEYS,
    "salt_encoding": _KEYS,
    "padding": ("oaep", "pkcs1"),
    "digest": hashlib.algorithms_guaranteed,
}


def _digest(name: str) -> Function:
    def compute(argument: Any, now: float) -> str:
        table = argument if isinstance(argument, Mapping) else {"message": argument}
        data = hashlib.new(name, _bytes(table["message"]), usedforsecurity=False).digest()
        return _encoded(data, table.get("encoding", "hex"))

    return Function(compute, takes=("!message", "encoding"))


def decoded(text: str, encoding: str) -> bytes:
    match encoding:
        case "text":
            return text.encode()
        case "hex":
            return bytes.fromhex(text)
        case "base64" | "base64url":
            plain = text.strip().rstrip("=").translate(str.maketrans("-_", "+/"))
            return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    raise ValueError(f"unknown encoding {encoding!r}: there are text, hex, base64, base64url")


def _hmac_of(argument: Any, now: float) -> str:
    key = decoded(str(argument["key"]), argument.get("key_encoding", "text"))
    data = _hmac.new(key, _bytes(argument["message"]), argument.get("digest", "sha256")).digest()
    return _encoded(data, argument.get("encoding", "hex"))


def _key(key: str) -> str:
    """A key whose line breaks are spelled out, as environment variables and JSON files hold it, with real ones."""
    bare = key.strip(" \t\r\n\"'")
    return bare.replace("\\r", "").replace("\\n", "\n") if bare.startswith("-----BEGIN") else key


def _jwt(argument: Any, now: float) -> str:
    """An assertion (RFC 7523 §3): `iat`, `exp` (after `lifetime` seconds, 300 unless told) and a fresh `jti` are
    added. `key_encoding` is that of a symmetric key.
    """
    import jwt

    lifetime = float(argument.get("lifetime", 300))
    claims = {"iat": int(now), "exp": int(now + lifetime), "jti": uuid.uuid4().hex, **argument.get("claims", {})}
    key: Any = _key(argument["key"])
    if "key_encoding" in argument:
        key = decoded(key, argument["key_encoding"])
    algorithm = argument.get("algorithm", "HS256")
    if algorithm[:2] in ("RS", "ES", "PS", "Ed"):
        import cryptography  # noqa: F401 - without it, PyJWT says that it knows no such algorithm
    try:
        return jwt.encode(claims, key, algorithm=algorithm, headers=argument.get("headers"))
    except (jwt.PyJWTError, NotImplementedError, ValueError, TypeError):
        wanted = "a private key of its kind in PEM form, whole, from -----BEGIN to the last dash"
        raise Unfit(f"the key does not fit {algorithm}, which wants {wanted}") from None


def seconds(text: Any) -> float:
    """A duration: a number of seconds, or "90s", "30m", "12h", "7d". Raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    plain = str(text).strip()
    factor = units.get(plain[-1:], 0)
    try:
        value = float(plain[:-1]) * factor if factor else float(plain)
    except ValueError:
        value = -1.0
    if isinstance(text, bool) or not 0 < value < float("inf"):
        raise ValueError('must be a number of seconds, or a number with s, m, h or d, such as "12h"')
    return value


def _now(argument: Any, now: float) -> Any:
    """The time; `offset` is a duration, with a minus for the past."""
    if isinstance(argument, Mapping):
        offset = str(argument.get("offset", "")).strip()
        if offset:
            now += seconds(offset.lstrip("+-")) * (-1 if offset.startswith("-") else 1)
        argument = argument["format"]
    if argument in ("epoch", "epoch_ms", "iso8601", "http_date"):
        return CONVERTERS[argument].write(now if argument == "epoch_ms" else int(now))
    if not isinstance(argument, str) or "%" not in argument:
        raise ValueError("now takes epoch, epoch_ms, iso8601, http_date, or a format such as %Y%m%dT%H%M%SZ")
    return datetime.fromtimestamp(now, UTC).strftime(argument)


def _totp(argument: Any, now: float) -> str:
    """A time-based one-time password (RFC 6238) from a base32 secret."""
    table = argument if isinstance(argument, Mapping) else {"secret": argument}
    secret = re.sub(r"[\s=-]", "", str(table["secret"])).upper()
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    period = int(table.get("period", 30))
    if period <= 0:
        raise ValueError("the period is a number of seconds")
    counter = struct.pack(">Q", int(now // period))
    data = _hmac.new(key, counter, table.get("digest", "sha1")).digest()
    at = data[-1] & 15
    digits = int(table.get("digits", 6))
    return str((struct.unpack(">I", data[at : at + 4])[0] & 0x7FFFFFFF) % 10**digits).zfill(digits)


def _pbkdf2(argument: Any, now: float) -> str:
    """A key made of a password (RFC 8018 §5.2)."""
    salt = decoded(str(argument["salt"]), argument.get("salt_encoding", "text"))
    rounds, size = int(argument.get("iterations", 600_000)), argument.get("length")
    if not 1 <= rounds <= 10_000_000:
        raise ValueError("pbkdf2 takes 1 to 10,000,000 iterations")
    password, digest = str(argument["password"]).encode(), argument.get("digest", "sha256")
    data = hashlib.pbkdf2_hmac(digest, password, salt, rounds, None if size is None else int(size))
    return _encoded(data, argument.get("encoding", "hex"))


def _loaded(text: str) -> Any:
    """A certificate, or the public key of a key: a PEM, or base64 of a DER without its frame."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization as s

    text = _key(text).strip()
    if "BEGIN CERTIFICATE" in text:
        return x509.load_pem_x509_certificate(text.encode())
    if "PRIVATE KEY" in text:
        return s.load_pem_private_key(text.encode(), None).public_key()
    if text.startswith("-----BEGIN"):
        return s.load_pem_public_key(text.encode())
    return s.load_der_public_key(decoded("".join(text.split()), "base64"))


def _rsa(argument: Any, now: float) -> str:
    """A message under somebody's public RSA key (RFC 8017 §7)."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding as p

    key, padding = _loaded(str(argument["key"])), argument.get("padding", "oaep")
    if padding not in ("oaep", "pkcs1"):
        raise ValueError(f"unknown padding {padding!r}: there are oaep, pkcs1")
    key = key.public_key() if hasattr(key, "public_key") else key
    digest = hashes.SHA256() if argument.get("digest", "sha1") == "sha256" else hashes.SHA1()
    way = p.OAEP(p.MGF1(digest), digest, None) if padding == "oaep" else p.PKCS1v15()
    return _encoded(key.encrypt(str(argument["message"]).encode(), way), argument.get("encoding", "base64"))


def _fingerprint(argument: Any, now: float) -> str:
    """The digest of a certificate's DER (RFC 7515 §4.1.8), or of the public key of a key."""
    from cryptography.hazmat.primitives import serialization as s

    table = argument if isinstance(argument, Mapping) else {"key": argument}
    found = _loaded(str(table["key"]))
    if hasattr(found, "public_key"):
        der = found.public_bytes(s.Encoding.DER)
    else:
        der = found.public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
    return _encoded(hashlib.new(table.get("digest", "sha256"), der).digest(), table.get("encoding", "base64"))


def _random(argument: Any, now: float) -> str:
    table: Mapping[str, Any] = argument if isinstance(argument, Mapping) else {}
    if isinstance(argument, int | str) and not isinstance(argument, bool) and argument != "":
        table = {"bytes": argument}
    size = int(table.get("bytes", 16))
    if not 1 <= size <= 1024:
        raise ValueError("random takes a number of bytes from 1 to 1024")
    return _encoded(os.urandom(size), table.get("encoding", "hex"))


_base64: Final = CONVERTERS["base64"]

#: The built-in functions.
FUNCTIONS: Final[Mapping[str, Function]] = {
    "base64": Function(lambda argument, now: _base64.write(argument), inverse=_base64.read),
    "basic": Function(_basic, inverse=_un_basic),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "md5": _digest("md5"),
    "hmac": Function(_hmac_of, takes=("!key", "!message", "digest", "encoding", "key_encoding"), conceals=True),
    "pbkdf2": Function(
        _pbkdf2,
        takes=("!password", "!salt", "iterations", "length", "digest", "encoding", "salt_encoding"),
        conceals=True,
    ),
    "rsa": Function(_rsa, volatile=True, takes=("!key", "!message", "padding", "digest", "encoding"), conceals=True),
    "fingerprint": Function(_fingerprint, takes=("!key", "digest", "encoding"), conceals=True),
    "upper": Function(lambda argument, now: str(argument).upper()),
    "lower": Function(lambda argument, now: str(argument).lower()),
    "jwt": Function(_jwt, volatile=True, takes=("!key", "algorithm", "claims", "headers", "key_encoding", "lifetime")),
    "now": Function(_now, volatile=True, takes=("!format", "offset")),
    "uuid4": Function(lambda argument, now: str(uuid.uuid4()), volatile=True),
    "totp": Function(_totp, volatile=True, takes=("!secret", "period", "digits", "digest")),
    "random": Function(_random, volatile=True, takes=("bytes", "encoding")),
}
