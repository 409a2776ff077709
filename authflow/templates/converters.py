"""Converters: how a value is spelled in a document, in both directions.

`read` is lenient (`"3600"` is a whole number, an HTTP date may say UTC), `write` is strict, and what is written reads
back as the same value. Times are epoch seconds and durations seconds on the side of the values, whatever the document
holds.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from authflow.http import instant, read_http_date

#: Characters: what is longer is no date, and not worth the time to find that out.
LONGEST_DATE: Final = 100
#: A larger number is a time in milliseconds: as seconds it would lie beyond the year 5000.
MOST_SECONDS: Final = 1e11


#: What no path may hold (RFC 3986 §3.3).
_NO_PATH: Final = re.compile(r"[\x00-\x20<>\"\\^`|?#\x7f]")
_SLASH: Final = re.compile("/|%2f|%5c", re.I)


class Converter(NamedTuple):
    """Two-way: `read` takes what a document holds (or raises ValueError), `write` gives what a document shall hold."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


_NUMBER: Final = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)


def number(value: Any) -> int | float:
    """A JSON number, or text that spells one. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number is wanted")
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise ValueError("a number is wanted")
        value = float(value) if re.search("[.eE]", value) else int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a finite number is wanted")
        return int(value) if value.is_integer() else float(value)
    return int(value)


def _read_int(value: Any) -> int:
    read = number(value)
    if isinstance(read, float):
        raise ValueError("a whole number is wanted")
    return read


def _read_str(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("text is wanted")
    return str(value)


def _scaled(factor: int) -> Converter:
    return Converter(lambda v: number(number(v) / factor), lambda v: round(number(v) * factor))


def _read_iso8601(value: Any) -> int | float:
    if not isinstance(value, str) or len(value) > LONGEST_DATE:
        raise ValueError("a date and time is wanted")
    when = datetime.fromisoformat(re.sub(r"[ \t]*(?:utc|gmt|z)$", "+00:00", value.strip(), flags=re.I))
    return instant(when)


def _write_iso8601(value: Any) -> str:
    return datetime.fromtimestamp(number(value), UTC).isoformat().replace("+00:00", "Z")


def _read_base64(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("base64 text is wanted")
    plain = "".join(value.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode()
    except binascii.Error as error:
        raise ValueError("base64 text is wanted") from error


def _read_hex(value: Any) -> str:
    return bytes.fromhex(_read_word(value)).decode()


def _write_base64url(value: Any) -> str:
    return base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")


def _read_word(value: Any) -> str:
    text = _read_str(value)
    if not text or any(character.isspace() for character in text):
        raise ValueError("one word is wanted")
    return text


def _read_path(value: Any) -> str:
    text = _read_str(value)
    if _NO_PATH.search(text) or ".." in [unquote(part).partition(";")[0] for part in _SLASH.split(text)]:
        raise ValueError("the rest of a path is wanted")
    return text


def _read_time(value: Any) -> int | float:
    try:
        read = number(value)
    except ValueError:
        return _read_iso8601(value)
    return read if abs(read) < MOST_SECONDS else number(read / 1000)


def _write_time(value: Any) -> int | float:
    written = number(value)
    return written if abs(written) < MOST_SECONDS else number(written * 1000)


def _read_xml(value: Any) -> str:
    text = _read_str(value)
    literal = text.startswith("<![CDATA[") and text.endswith("]]>")
    return text[9:-3] if literal else html.unescape(text)  # numeric references too


_XML: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)


def _write_xml(value: Any) -> str:
    return str(value).translate(_XML)


def _read_json(value: Any) -> str:
    text = str(json.loads(f'"{_read_str(value)}"'))
    text.encode()  # half a character is none
    return text


def _read_jwt(value: Any) -> str:
    jwt_claims(value)
    return str(value)


def jwt_claims(token: Any) -> dict[str, Any]:
    """The claims of a JSON Web Token (RFC 7519), unverified: a hint for scheduling, no proof. Raises ValueError."""
    import jwt

    if not isinstance(token, str):
        raise ValueError("a JSON Web Token is wanted")
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError, ValueError) as error:
        raise ValueError("a JSON Web Token is wanted") from error
    return claims


def _same(value: Any) -> Any:
    return value


#: The built-in converters; plugins add more.
CONVERTERS: Final[Mapping[str, Converter]] = {
    "int": Converter(_read_int, _read_int),
    "str": Converter(_read_str, _read_str),
    "ms": _scaled(1000),
    "epoch": Converter(number, number),
    "epoch_ms": _scaled(1000),
    "iso8601": Converter(_read_iso8601, _write_iso8601),
    "http_date": Converter(read_http_date, lambda v: formatdate(number(v), usegmt=True)),
    "minutes": Converter(lambda v: number(number(v) * 60), lambda v: number(number(v) / 60)),
    "time": Converter(_read_time, _write_time),
    "base64": Converter(_read_base64, lambda v: base64.b64encode(str(v).encode()).decode()),
    "base64url": Converter(_read_base64, _write_base64url),
    "hex": Converter(_read_hex, lambda v: str(v).encode().hex()),
    "xml": Converter(_read_xml, _write_xml),
    "json": Converter(_read_json, lambda v: json.dumps(str(v))[1:-1]),
    "word": Converter(_read_word, _read_word),
    "token": Converter(_read_word, _read_word),
    "jwt": Converter(_read_jwt, _same),
    "path": Converter(_read_path, _read_path),
}
PLAIN: Final = Converter(_same, _same)
