"""Captures: HAR (browsers, mitmproxy, Playwright, Charles, authflow itself); other files are transcripts of curl.

A capture is a list of exchanges in their order. What browsers fetch beside a login (pictures, styles, fonts, scripts,
preflights) is left out here.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from authflow_learn.messages import MOST_BODY, Capture, CaptureError, Message, multipart
from authflow_learn.transcripts import of_curl

#: A larger file is read to its end by nobody.
MOST_BYTES: Final = 300 << 20
#: So many exchanges are looked at.
MOST: Final = 20_000
_NOISE: Final = re.compile(
    r"\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|otf|mp[34]|webm|wasm)$", re.IGNORECASE
)
_NOISY: Final = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript")
_PACKED: Final[dict[bytes, str]] = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf": "7z",
}
#: What people give by mistake, by its first bytes.
_OTHER: Final = (
    (rb"\d+:\d+:[a-z_]+;", "is a flow file of mitmproxy's: mitmdump -nr it --set hardump=login.har"),
    (rb"\xd4\xc3\xb2\xa1|\xa1\xb2\xc3\xd4|\n\r\r\n", "holds packets, which are encrypted: save a HAR file"),
    (rb"<(?i:!doctype|html)", "is a page: save the network tab as HAR"),
)
#: A port that the scheme says as well.
_PORT: Final = re.compile(r"\A((?:http(?=://[^/?]*:80(?:[/?]|\Z))|https(?=://[^/?]*:443(?:[/?]|\Z)))://[^/?]*):\d+")
_WANTED: Final = "give a HAR file or a transcript of curl -v"


def read_capture(path: str | Path) -> list[Capture]:
    """The exchanges of a file. Raises CaptureError."""
    file = Path(path)
    try:
        with os.fdopen(_opened(file), "rb") as opened:
            data = opened.read(MOST_BYTES + 1) if file.stat().st_size <= MOST_BYTES else bytes(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # a name with a NUL in it
        raise CaptureError(f"{file}: cannot be read: {getattr(error, 'strerror', error)}") from None
    if len(data) > MOST_BYTES:
        raise CaptureError(f"{file}: larger than {MOST_BYTES >> 20} MB: save the login alone")
    packed = next((name for magic, name in _PACKED.items() if data.startswith(magic)), None)
    if packed is not None:
        raise CaptureError(f"{file}: is compressed ({packed}): unpack it first")
    if other := next((what for magic, what in _OTHER if re.match(magic, data)), ""):
        raise CaptureError(f"{file}: {other}")
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as PowerShell writes
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    if not data.strip():
        raise CaptureError(f"{file}: is empty")
    if data.lstrip()[:1] == b"{":
        found = list(_of_har(file, data))
    else:
        found = list(of_curl(_text(file, data), lambda name: _beside(file, {"_file": name})))
    if not found:
        raise CaptureError(f"{file}: holds no exchange: {_WANTED}")
    if not any(one.status for one in found):
        raise CaptureError(f"{file}: has no answers: capture them too")
    return [replace(one, source=str(file)) for one in found if one.status and not _is_noise(one)][:MOST]


def _opened(file: Path) -> int:
    """A pipe into which nobody writes is empty, and is not waited for."""
    descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if hasattr(os, "O_NONBLOCK"):
        os.set_blocking(descriptor, True)
    return descriptor


def _text(file: Path, data: bytes) -> str:
    if b"\0" in data[:4096]:
        raise CaptureError(f"{file}: is not text: {_WANTED}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if not re.search(rb"^> [A-Z]+ \S+ HTTP/", data, re.M):
            raise CaptureError(f"{file}: is not text: {_WANTED}") from None
        return data.decode("latin-1")  # a transcript with a body that is compressed, or a picture


def _is_noise(one: Capture) -> bool:
    if one.method in ("OPTIONS", "CONNECT") or _NOISE.search(urlsplit(one.url).path):
        return True
    return one.method == "GET" and one.answer.header("content-type").startswith(_NOISY)


# --- HAR --------------------------------------------------------------------------------------------------------------


def _of_har(file: Path, data: bytes) -> Iterator[Capture]:
    try:
        document = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:  # msgspec's own errors are ValueErrors
        more = "trailing characters" in str(error)
        why = f"holds more than one JSON document: {_WANTED}" if more else "is not whole JSON: was the file cut?"
        raise CaptureError(f"{file}: {why}") from None
    entries = document.get("log", {}).get("entries") if isinstance(document.get("log"), dict) else None
    if not isinstance(entries, list):
        raise CaptureError(f"{file}: is JSON, but not HAR: it has no log.entries")
    sanitized = _is_sanitized(document["log"], data)
    for entry in sorted(entries, key=lambda one: _time(one.get("startedDateTime")) if isinstance(one, dict) else 0.0):
        try:
            one = _har_entry(file, entry)
            if urlsplit(one.url).scheme in ("http", "https") and urlsplit(one.url).hostname:
                yield replace(one, sanitized=sanitized)
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # an entry without a request or a URL says nothing


def _is_sanitized(log: dict[str, Any], data: bytes) -> bool:
    """Chrome and its kin leave cookies and `Authorization` out, unless they are told otherwise."""
    creator = log.get("creator")
    told = isinstance(creator, dict) and str(creator.get("name")).lower() == "webinspector"
    return told and not re.search(rb'"(?:cookie|set-cookie|authorization)"', data, re.I)


def _har_entry(file: Path, entry: dict[str, Any]) -> Capture:
    request, answer = entry["request"], entry.get("response") or {}
    posted = request.get("postData") or {}
    body = posted.get("text") or _beside(file, posted)
    if posted.get("encoding") == "base64":
        body, _ = _decoded(str(body), "", "surrogateescape")
    headers = _har_headers(request, "cookie")
    body = re.sub(r"\A(?:[\w-]+: [^\r\n]*\r\n)+\r\n", "", str(body))  # Firefox writes a form's headers before it
    if not body and posted.get("params"):
        fields = [(str(one["name"]), str(one.get("value") or "")) for one in posted["params"]]
        kind = dict(headers).get("content-type", str(posted.get("mimeType") or ""))
        body = multipart(fields, kind) if "multipart/" in kind else urlencode(fields)
    if posted.get("mimeType") and "content-type" not in dict(headers):
        headers = (*headers, ("content-type", str(posted["mimeType"])))
    content = answer.get("content") or {}
    said, unread = str(content.get("text") or _beside(file, content)), False
    heard = _har_headers(answer, "set-cookie")
    if answer.get("redirectURL") and "location" not in dict(heard):
        heard = (*heard, ("location", str(answer["redirectURL"])))
    if content.get("encoding") == "base64":
        said, unread = _decoded(said, dict(heard).get("content-encoding", ""))
    sent = Message(headers, str(body)[:MOST_BODY])
    return Capture(
        request["method"].upper(),
        _PORT.sub(r"\g<1>", str(request["url"]).partition("#")[0]),
        sent,
        max(int(answer.get("status") or 0), 0),  # -1: nothing came
        Message(heard, said[:MOST_BODY], unread),
        at=_time(entry.get("startedDateTime")),
    )


def _time(written: object) -> float:
    try:
        return datetime.fromisoformat(str(written)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _decoded(text: str, encoding: str, odd: str = "replace") -> tuple[str, bool]:
    """The text inside base64, unpacked if need be; and whether that was not possible. `odd`: what is no UTF-8."""
    try:
        data = base64.b64decode(text)
    except binascii.Error:
        return "", True
    if data[:2] == b"\x1f\x8b" or encoding.strip().lower() == "deflate":
        try:
            data = zlib.decompressobj(47).decompress(data, MOST_BODY)
        except zlib.error:
            return "", encoding != ""
    elif encoding.strip().lower() in ("br", "zstd") and b"\0" in data[:200] + b"\0" and data[:1] not in b"{[<":
        return "", True
    return data.decode("utf-8", odd), False


def _beside(file: Path, content: dict[str, Any]) -> str:
    """A body in a file of its own, as Playwright attaches it."""
    name = content.get("_file")
    if not isinstance(name, str) or Path(name).name != name:
        return ""
    try:
        with (file.parent / name).open("rb") as attached:
            return attached.read(MOST_BODY).decode("utf-8", "replace")
    except OSError:
        return ""


def _har_headers(message: dict[str, Any], cookie: str) -> tuple[tuple[str, str], ...]:
    """Some write a header that came several times as one, line by line; some write cookies only in a list."""
    pairs = [
        (str(one["name"]).lower(), line)
        for one in message.get("headers") or []
        for line in str(one.get("value") or "").split("\n")
    ]
    if cookie not in dict(pairs):
        held = [f"{one['name']}={one.get('value') or ''}" for one in message.get("cookies") or []]
        pairs += [(cookie, text) for text in (["; ".join(held)] if held and cookie == "cookie" else held)]
    return tuple(pair for pair in pairs if not pair[0].startswith(":"))
