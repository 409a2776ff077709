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
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from authflow.templates import CONVERTERS


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


def _basic(argument: Any, now: float) -> str:
    user, password = argument
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _un_basic(line: Any) -> list[str]:
    scheme, _, token = str(line).partition(" ")
    if scheme.lower() != "basic":
        raise ValueError("no HTTP Basic credentials")
    user, _, password = str(CONVERTERS["base64"].read(token)).partition(":")
    return [user, password]


def _digest(name: str) -> Function:
    def compute(argument: Any, now: float) -> str:
        table = argument if isinstance(argument, Mapping) else {"message": argument}
        data = hashlib.new(name, str(table["message"]).encode(), usedforsecurity=False).digest()
        return _encoded(data, table.get("encoding", "hex"))

    return Function(compute, takes=("!message", "encoding"))


def _decoded(text: str, encoding: str) -> bytes:
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
    key = _decoded(str(argument["key"]), argument.get("key_encoding", "text"))
    data = _hmac.new(key, str(argument["message"]).encode(), argument.get("digest", "sha256")).digest()
    return _encoded(data, argument.get("encoding", "hex"))


def _key(key: str) -> str:
    """A key whose line breaks are spelled out, as environment variables and JSON files hold it, with real ones."""
    return key.replace("\\r", "").replace("\\n", "\n") if key.lstrip().startswith("-----BEGIN") else key


def _jwt(argument: Any, now: float) -> str:
    """An assertion (RFC 7523 §3): `iat`, `exp` (after `lifetime` seconds, 300 unless told) and a fresh `jti` are
    added.
    """
    import jwt

    lifetime = float(argument.get("lifetime", 300))
    claims = {"iat": int(now), "exp": int(now + lifetime), "jti": uuid.uuid4().hex, **argument.get("claims", {})}
    try:
        algorithm = argument.get("algorithm", "HS256")
        return jwt.encode(claims, _key(argument["key"]), algorithm=algorithm, headers=argument.get("headers"))
    except (jwt.PyJWTError, NotImplementedError) as error:
        raise ValueError("the assertion cannot be signed with this key and algorithm") from error


def _now(argument: Any, now: float) -> Any:
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
    "jwt": Function(_jwt, volatile=True, takes=("!key", "algorithm", "claims", "headers", "lifetime")),
    "now": Function(_now, volatile=True),
    "uuid4": Function(lambda argument, now: str(uuid.uuid4()), volatile=True),
    "totp": Function(_totp, volatile=True, takes=("!secret", "period", "digits", "digest")),
    "random": Function(_random, volatile=True, takes=("bytes", "encoding")),
}
