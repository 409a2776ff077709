"""Captures: HAR (browsers, mitmproxy, Playwright, Charles, authflow itself) and the transcripts of `curl -v`.

A capture is a list of exchanges in their order. What browsers fetch beside a login (pictures, styles, fonts, scripts,
preflights) is left out here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import shlex
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import msgspec

#: A larger file is read to its end by nobody.
MOST_BYTES: Final = 300 << 20
#: So much of a body is looked at, and so many exchanges.
MOST_BODY: Final = 1 << 20
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
_WANTED: Final = "a HAR file or a transcript of curl -v is wanted"


class CaptureError(Exception):
    """A capture that cannot be used, in one line."""


@dataclass(frozen=True)
class Message:
    """Headers in their order, names in lower case, and a body. `unread`: it is compressed in a way not known here."""

    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    unread: bool = False

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @cached_property
    def document(self) -> Any:
        """The JSON of the body, where it is an object or a list; else None."""
        text = self.body.strip()
        if text[:1] not in ("{", "["):
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True)
class Capture:
    """One request and its answer. `source` is the file that it is from."""

    method: str
    url: str
    request: Message = field(repr=False)
    status: int
    answer: Message = field(repr=False)
    source: str = ""
    #: When it was sent, in epoch seconds; 0 where the capture does not say.
    at: float = 0.0


def read_capture(path: str | Path) -> list[Capture]:
    """The exchanges of a file. Raises CaptureError."""
    file = Path(path)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise CaptureError(f"{file}: larger than {MOST_BYTES >> 20} MB: save the login alone")
        data = file.read_bytes()
    except OSError as error:
        raise CaptureError(f"{file}: cannot be read: {error.strerror or error}") from None
    packed = next((name for magic, name in _PACKED.items() if data.startswith(magic)), None)
    if packed is not None:
        raise CaptureError(f"{file}: is compressed ({packed}): unpack it first")
    if data[:3] in (b"\xef\xbb\xbf",):
        data = data[3:]
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as PowerShell writes
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    if not data.strip():
        raise CaptureError(f"{file}: is empty")
    found = list(_of_har(file, data) if data.lstrip()[:1] == b"{" else _of_curl(_text(file, data)))
    if not found:
        raise CaptureError(f"{file}: holds no exchange: {_WANTED}")
    if not any(one.status for one in found):
        raise CaptureError(f"{file}: has no answers: capture them too")
    return [replace(one, source=str(file)) for one in found if one.status and not _is_noise(one)][:MOST]


def _text(file: Path, data: bytes) -> str:
    if b"\0" in data[:4096]:
        raise CaptureError(f"{file}: is no text: {_WANTED}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        if not re.search(rb"^> [A-Z]+ \S+ HTTP/", data, re.M):
            raise CaptureError(f"{file}: is no text: {_WANTED}") from None
        return data.decode("latin-1")  # a transcript with a body that is compressed, or a picture


def _is_noise(one: Capture) -> bool:
    if one.method in ("OPTIONS", "CONNECT") or _NOISE.search(urlsplit(one.url).path):
        return True
    return one.method == "GET" and one.answer.header("content-type").startswith(_NOISY)


# --- HAR --------------------------------------------------------------------------------------------------------------


def _of_har(file: Path, data: bytes) -> Iterator[Capture]:
    try:
        document = msgspec.json.decode(data)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        raise CaptureError(f"{file}: is no whole JSON: was the file cut?") from None
    entries = document.get("log", {}).get("entries") if isinstance(document.get("log"), dict) else None
    if not isinstance(entries, list):
        raise CaptureError(f"{file}: is JSON, but no HAR: it has no log.entries")
    for entry in sorted(entries, key=lambda one: str(one.get("startedDateTime", "")) if isinstance(one, dict) else ""):
        try:
            one = _har_entry(entry)
            if urlsplit(one.url).scheme in ("http", "https") and urlsplit(one.url).hostname:
                yield one
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # an entry without a request or a URL says nothing


def _har_entry(entry: dict[str, Any]) -> Capture:
    request, answer = entry["request"], entry.get("response") or {}
    posted = request.get("postData") or {}
    body = posted.get("text") or ""
    if posted.get("encoding") == "base64":
        body, _ = _decoded(str(body), "", "surrogateescape")
    headers = _har_headers(request, "cookies")
    if not body and posted.get("params"):
        body = "&".join(f"{quote_plus(one['name'])}={quote_plus(one.get('value') or '')}" for one in posted["params"])
    if posted.get("mimeType") and "content-type" not in dict(headers):
        headers = (*headers, ("content-type", str(posted["mimeType"])))
    content = answer.get("content") or {}
    said, unread = str(content.get("text") or ""), False
    heard = _har_headers(answer)
    if content.get("encoding") == "base64":
        said, unread = _decoded(said, dict(heard).get("content-encoding", ""))
    sent = Message(headers, str(body)[:MOST_BODY])
    return Capture(
        str(request["method"]).upper(),
        str(request["url"]).partition("#")[0],
        sent,
        int(answer.get("status") or 0),
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


def _har_headers(message: dict[str, Any], cookies: str = "") -> tuple[tuple[str, str], ...]:
    """Some write a header that came several times as one, line by line."""
    pairs = [
        (str(one["name"]).lower(), line)
        for one in message.get("headers") or []
        for line in str(one.get("value") or "").split("\n")
    ]
    held = message.get(cookies) or [] if cookies else []
    if held and "cookie" not in dict(pairs):
        pairs.append(("cookie", "; ".join(f"{one['name']}={one.get('value', '')}" for one in held)))
    return tuple(pair for pair in pairs if not pair[0].startswith(":"))


# --- curl -v ----------------------------------------------------------------------------------------------------------

_PROMPT: Final = re.compile(r"(?:[^\s>]*[$%#>] ?)?curl(?:\.exe)? ")
_INTACT: Final = re.compile(r"\* (?:Connection #\d+ to host .*left intact|Closing connection.*)$")
_METER: Final = re.compile(r"\s*(?:% Total\b|Dload\b|\d+ +[\d.kMG]+ +\d+ .*--:--)")


def _of_curl(text: str) -> Iterator[Capture]:
    """`> ` what was sent, `< ` what was heard, `* ` curl's own words; all else is the body, in between.

    The body that was sent stands in no transcript, unless the command line does: `$ curl … -d …`.
    """
    sent: list[str] = []
    heard: list[str] = []
    body: list[str] = []
    posted = ""
    schemes = _Schemes()
    for line in [*re.sub(r"[\\^`]\r?\n\s*", " ", text).splitlines(), "> "]:
        command = _PROMPT.match(line)
        if heard and (command or (line.startswith("> ") and sent)):
            yield from _curl_exchange(sent, posted, heard, body, schemes)
            sent, heard, body, posted = [], [], [], ""
        if command:
            posted = _posted(line[command.start() :])
            schemes.said(line)
        elif line.startswith("> "):
            sent.append(line[2:])
        elif line.startswith("< "):
            if re.match(r"< HTTP/\S+ 1\d\d", line):
                continue  # 100 Continue
            heard.append(line[2:])
        elif line.startswith("* "):
            schemes.heard(line)
        elif heard and line not in ("<", ">") and not re.match(r"[{}] \[\d+ bytes", line) and not _METER.match(line):
            body.append(_INTACT.sub("", line))


class _Schemes:
    """Which hosts are asked over TLS, from what curl says of its connections."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._tls: bool | None = None

    def said(self, command: str) -> None:
        for scheme, host in re.findall(r"(https?)://([^/\s'\"?]+)", command):
            self._known[host] = scheme

    def heard(self, line: str) -> None:
        if re.search(r"SSL connection|TLS handshake|ALPN", line):
            self._tls = True
        elif line.startswith(("* Connected to", "*   Trying", "* Trying", "* Established")):
            self._tls = self._tls or (" port 443" in line)

    def of(self, host: str) -> str:
        found = (
            "https" if self._tls or (self._tls is None and host not in self._known) else self._known.get(host, "http")
        )
        self._known[host], self._tls = found, False if self._tls is not None else None
        return found


def _curl_exchange(
    sent: list[str], posted: str, heard: list[str], body: list[str], schemes: _Schemes
) -> Iterator[Capture]:
    if not sent or not re.match(r"[A-Z]+ \S+", sent[0]):
        return
    method, target = sent[0].split(" ")[:2]
    request = Message(_header_lines(sent[1:]), posted)
    status = re.match(r"HTTP/\S+ (\d{3})", heard[0])
    host = request.header("host")
    if not host and "://" not in target:
        return
    url = target if "://" in target else f"{schemes.of(host)}://{host}{target}"
    answer = Message(
        _header_lines(heard[1:]),
        "\n".join(body),
        unread=bool(request.header("accept-encoding") and body and "\ufffd" in body[0]),
    )
    yield Capture(method, url, request, int(status[1]) if status else 0, answer)


def _header_lines(lines: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)


def _posted(command: str) -> str:
    try:
        words = shlex.split(command.partition("curl")[2])
    except ValueError:
        return ""
    plain = ("-d", "--data", "--data-raw", "--data-binary", "--data-ascii", "--json")
    parts: list[str] = []
    for at, word in enumerate(words):
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not equals and word.startswith("-d") and len(word) > 2 and not word.startswith("--"):
            option, value = "-d", word[2:]
        elif not equals:
            value = words[at + 1] if at + 1 < len(words) else ""
        if option in plain and not value.startswith("@"):
            parts.append(value)
        elif option == "--data-urlencode" and "@" not in value.partition("=")[0]:
            name, sign, text = value.partition("=")
            parts.append(f"{name}={quote_plus(text)}" if sign and name else quote_plus(text or name))
    return "&".join(parts)
