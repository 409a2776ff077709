"""Captures: HAR (browsers, mitmproxy, Playwright, Charles) and the transcripts of `curl -v`.

A capture is a list of exchanges in their order. What browsers fetch beside a login (pictures, styles, fonts, scripts,
preflights) is left out here.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

#: A larger file is read to its end by nobody.
MOST_BYTES: Final = 300 << 20
#: So much of a body is looked at.
MOST_BODY: Final = 1 << 20
_NOISE: Final = re.compile(
    r"\.(?:css|js|mjs|map|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|otf|mp[34]|webm|wasm)$", re.IGNORECASE
)
_NOISY: Final = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript")


class CaptureError(Exception):
    """A capture that cannot be used, in one line."""


@dataclass(frozen=True)
class Message:
    """Headers in their order, names in lower case, and a body."""

    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass(frozen=True)
class Capture:
    """One request and its answer."""

    method: str
    url: str
    request: Message = field(repr=False)
    status: int
    answer: Message = field(repr=False)


def read_capture(path: str | Path) -> list[Capture]:
    """The exchanges of a file. Raises CaptureError."""
    file = Path(path)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise CaptureError(f"{file}: larger than {MOST_BYTES >> 20} MB: save the login alone")
        data = file.read_bytes()
    except OSError as error:
        raise CaptureError(f"{file}: cannot be read: {error.strerror or error}") from None
    if data[:2] in (b"\x1f\x8b", b"PK"):
        raise CaptureError(f"{file}: is compressed: unpack it first")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CaptureError(f"{file}: is no text: a HAR file or a transcript of curl -v is wanted") from None
    if not text.strip():
        raise CaptureError(f"{file}: is empty")
    found = list(_of_har(file, text) if text.lstrip().startswith("{") else _of_curl(text))
    if not found:
        raise CaptureError(f"{file}: holds no exchange: a HAR file or a transcript of curl -v is wanted")
    if not any(one.status for one in found):
        raise CaptureError(f"{file}: has no answers: capture them too")
    return [one for one in found if one.status and not _is_noise(one)]


def _is_noise(one: Capture) -> bool:
    if one.method == "OPTIONS" or _NOISE.search(urlsplit(one.url).path):
        return True
    return one.method == "GET" and one.answer.header("content-type").startswith(_NOISY)


# --- HAR --------------------------------------------------------------------------------------------------------------


def _of_har(file: Path, text: str) -> Iterator[Capture]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise CaptureError(f"{file}: is no whole JSON: was the file cut?") from None
    entries = document.get("log", {}).get("entries") if isinstance(document.get("log"), dict) else None
    if not isinstance(entries, list):
        raise CaptureError(f"{file}: is JSON, but no HAR: it has no log.entries")
    for entry in sorted(entries, key=lambda one: str(one.get("startedDateTime", "")) if isinstance(one, dict) else ""):
        try:
            yield _har_entry(entry)
        except (KeyError, TypeError, AttributeError, ValueError):
            continue  # an entry without a request or a URL says nothing


def _har_entry(entry: dict[str, Any]) -> Capture:
    request, answer = entry["request"], entry.get("response") or {}
    posted = request.get("postData") or {}
    body = posted.get("text") or ""
    if not body and posted.get("params"):
        body = "&".join(f"{one['name']}={one.get('value', '')}" for one in posted["params"])
    content = answer.get("content") or {}
    said = content.get("text") or ""
    if content.get("encoding") == "base64":
        try:
            said = base64.b64decode(said).decode("utf-8", "replace")
        except binascii.Error:
            said = ""
    sent = Message(_har_headers(request, "cookies"), str(body)[:MOST_BODY])
    heard = Message(_har_headers(answer), str(said)[:MOST_BODY])
    return Capture(str(request["method"]).upper(), str(request["url"]), sent, int(answer.get("status") or 0), heard)


def _har_headers(message: dict[str, Any], cookies: str = "") -> tuple[tuple[str, str], ...]:
    pairs = [(str(one["name"]).lower(), str(one.get("value", ""))) for one in message.get("headers") or []]
    held = message.get(cookies) or [] if cookies else []
    if held and "cookie" not in dict(pairs):
        pairs.append(("cookie", "; ".join(f"{one['name']}={one.get('value', '')}" for one in held)))
    return tuple(pair for pair in pairs if not pair[0].startswith(":"))


# --- curl -v ----------------------------------------------------------------------------------------------------------


def _of_curl(text: str) -> Iterator[Capture]:
    """`> ` what was sent, `< ` what was heard, `* ` curl's own words; all else is the body, in between.

    The body that was sent stands in no transcript, unless the command line does: `$ curl … -d …`.
    """
    sent: list[str] = []
    heard: list[str] = []
    body: list[str] = []
    posted = scheme = ""
    for line in [*text.splitlines(), "> "]:
        if line.startswith("> ") and heard:
            yield from _curl_exchange(sent, posted, heard, body, scheme)
            sent, heard, body, posted = [], [], [], ""
        if line.startswith("> "):
            sent.append(line[2:])
        elif line.startswith("< "):
            heard.append(line[2:])
        elif line.startswith(("$ curl", "% curl", "curl ")):
            posted, scheme = _posted(line), "https" if "https://" in line else "http" if "http://" in line else scheme
        elif line.startswith("*"):
            if "SSL connection" in line or ("Connected to" in line and " port 443" in line):
                scheme = "https"
        elif heard and not line.startswith(("{ [", "} [")) and line not in ("<", ">"):
            body.append(line)


def _curl_exchange(sent: list[str], posted: str, heard: list[str], body: list[str], scheme: str) -> Iterator[Capture]:
    if not sent or not re.match(r"[A-Z]+ \S+", sent[0]):
        return
    method, target = sent[0].split(" ")[:2]
    request = Message(_header_lines(sent[1:]), posted)
    status = re.match(r"HTTP/\S+ (\d{3})", heard[0])
    url = target if "://" in target else f"{scheme or 'https'}://{request.header('host')}{target}"
    yield Capture(
        method, url, request, int(status[1]) if status else 0, Message(_header_lines(heard[1:]), "\n".join(body))
    )


def _header_lines(lines: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)


def _posted(command: str) -> str:
    import shlex

    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    names = ("-d", "--data", "--data-raw", "--data-binary", "--json", "--data-urlencode")
    parts = [words[at + 1] for at, word in enumerate(words[:-1]) if word in names]
    parts += [word.partition("=")[2] for word in words if word.startswith(("--data=", "--data-raw=", "--json="))]
    return "&".join(parts)
