"""The functions of `[derive]`: values computed at the moment a request is rendered.

Each takes its argument (the rendered template under its name) and the time in epoch seconds, and gives text. `volatile`
says that two calls may differ: a presentation that uses such a value is rendered for every request. Plugins add more.
"""

from __future__ import annotations

import base64
import hashlib
import hmac as _hmac
import os
import struct
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from authflow.converters import CONVERTERS


class Function(NamedTuple):
    """`compute(argument, now)` raises ValueError, TypeError or KeyError for an argument that it cannot take."""

    compute: Callable[[Any, float], Any]
    volatile: bool = False


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


def _digest(name: str) -> Function:
    def compute(argument: Any, now: float) -> str:
        table = argument if isinstance(argument, Mapping) else {"message": argument}
        data = hashlib.new(name, str(table["message"]).encode(), usedforsecurity=False).digest()
        return _encoded(data, table.get("encoding", "hex"))

    return Function(compute)


def _hmac_of(argument: Any, now: float) -> str:
    key = str(argument["key"]).encode()
    if argument.get("key_encoding") == "base64":
        key = base64.b64decode(key)
    elif argument.get("key_encoding") == "hex":
        key = bytes.fromhex(key.decode())
    data = _hmac.new(key, str(argument["message"]).encode(), argument.get("digest", "sha256")).digest()
    return _encoded(data, argument.get("encoding", "hex"))


def _jwt(argument: Any, now: float) -> str:
    """An assertion (RFC 7523 §3): `iat`, `exp` (after `lifetime` seconds, 300 unless told) and a fresh `jti` are
    added.
    """
    import jwt

    lifetime = float(argument.get("lifetime", 300))
    claims = {"iat": int(now), "exp": int(now + lifetime), "jti": uuid.uuid4().hex, **argument.get("claims", {})}
    try:
        algorithm = argument.get("algorithm", "HS256")
        return jwt.encode(claims, argument["key"], algorithm=algorithm, headers=argument.get("headers"))
    except (jwt.PyJWTError, NotImplementedError) as error:
        raise ValueError("the assertion cannot be signed with this key and algorithm") from error


def _now(argument: Any, now: float) -> Any:
    if argument in CONVERTERS:
        return CONVERTERS[argument].write(now if argument == "epoch_ms" else int(now))
    if not isinstance(argument, str) or "%" not in argument:
        raise ValueError("now takes epoch, epoch_ms, iso8601, http_date, or a format such as %Y%m%dT%H%M%SZ")
    return datetime.fromtimestamp(now, UTC).strftime(argument)


def _totp(argument: Any, now: float) -> str:
    """A time-based one-time password (RFC 6238) from a base32 secret."""
    table = argument if isinstance(argument, Mapping) else {"secret": argument}
    secret = str(table["secret"]).replace(" ", "").upper()
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    counter = struct.pack(">Q", int(now // int(table.get("period", 30))))
    data = _hmac.new(key, counter, table.get("digest", "sha1")).digest()
    at = data[-1] & 15
    digits = int(table.get("digits", 6))
    return str((struct.unpack(">I", data[at : at + 4])[0] & 0x7FFFFFFF) % 10**digits).zfill(digits)


def _random(argument: Any, now: float) -> str:
    table = argument if isinstance(argument, Mapping) else {}
    return _encoded(os.urandom(int(table.get("bytes", 16))), table.get("encoding", "hex"))


#: The built-in functions.
FUNCTIONS: Final[Mapping[str, Function]] = {
    "base64": Function(lambda argument, now: base64.b64encode(str(argument).encode()).decode()),
    "basic": Function(_basic),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "sha512": _digest("sha512"),
    "md5": _digest("md5"),
    "hmac": Function(_hmac_of),
    "jwt": Function(_jwt, volatile=True),
    "now": Function(_now, volatile=True),
    "uuid4": Function(lambda argument, now: str(uuid.uuid4()), volatile=True),
    "totp": Function(_totp, volatile=True),
    "random": Function(_random, volatile=True),
}
