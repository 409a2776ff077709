"""What curl says of its requests: `-v`, `--trace` and `--trace-ascii`, and `-i` below its command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin

from authflow_learn.commands import Command, plain_quotes
from authflow_learn.messages import MOST_BODY, Capture, Message

_PROMPT: Final = re.compile(r"(?:[^\n\"<{]{0,80}?[$%#>❯➜] ?)?curl(?:\.exe)? (?=.*(?:https?://|-|\w\.\w))")
_INTACT: Final = re.compile(r"\* (?:Connection #\d+ to host .*left intact|Closing connection.*)$")
_METER: Final = re.compile(r"\s*(?:% Total\b|Dload\b|\d+ +[\d.kMG]+ +\d+ .*--:--)")
_TRACED: Final = re.compile(r"(?:\d\d:\d\d:\d\d\.\d+ )?(?:\[\S+\] )?(== Info:|[=<][=>]? ?(?:Send|Recv) [\w ]+,)(.*)")
_ROW: Final = re.compile(r"([0-9a-f]{4,8}): (.*)")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2} ){1,16}")


def of_curl(text: str, beside: Callable[[str], str] = lambda name: "") -> Iterator[Capture]:
    """`> ` what was sent, `< ` what was heard, `* ` curl's own words; all else is the body, in between.

    The body that was sent stands in no transcript of `-v`, unless the command line does: `$ curl … -d …`; `beside`
    reads a file that it names.
    """
    one, schemes = _Exchange(), _Schemes()
    for line in [*_lines(text), "> "]:
        command = _PROMPT.match(line)
        if one.heard and (command or (line.startswith("> ") and (one.sent or one.command is not None))):
            yield from one.captures(schemes)
            one = _Exchange()
        if command:
            one = _Exchange(Command(line[command.start() :].partition("curl")[2], beside))
            schemes.said(line)
        elif line.startswith("> "):
            one.sent.append(line[2:])
        elif line.startswith(_SENT):
            one.posted += line.removeprefix(_SENT)
        elif line.startswith("< "):
            if one.heard or re.match(r"< HTTP/\S+ [2-5]\d\d", line):  # not 100 Continue, nor its headers
                one.heard.append(line[2:])
        elif line.startswith("* "):
            schemes.heard(line)
        elif not one.sent and one.command is not None and (one.bare or re.match(r"HTTP/\S+ \d{3}", line)):
            one.bare.append(line)
            one.heard = one.heard or [line]
        elif (
            one.heard and line not in ("<", ">") and not re.match(r"[{}] \[\d+ bytes", line) and not _METER.match(line)
        ):
            one.body.append(_INTACT.sub("", line))


# --- lines ------------------------------------------------------------------------------------------------------------

#: Marks the lines of a body that was sent, which only a trace tells.
_SENT: Final = "\x00sent "


def _lines(text: str) -> Iterator[str]:
    if re.search(r"^(?:\d\d:\d\d:\d\d\.\d+ )?(?:\[\S+\] )?=> ?Send header,", text, re.M):
        yield from _of_trace(text)
        return
    held: list[str] = []
    for line in re.sub(r"[\\^`]\r?\n\s*", " ", text).splitlines():
        if not held and (not _PROMPT.match(line) or _whole(line)):
            yield line
            continue
        held.append(line)  # a quoted body goes on in the next line
        if len(held) > 200 or _whole("\n".join(held)):
            yield "\n".join(held)
            held = []
    yield from held


def _whole(command: str) -> bool:
    try:
        shlex.split(plain_quotes(command))
    except ValueError:
        return False
    return True


def _of_trace(text: str) -> Iterator[str]:
    """A trace's rows as the lines of `-v`. A row is full at 64 characters, or ends with the line that it is part of."""
    rows = [row[2] for row in map(_ROW.match, text.splitlines()) if row]
    exact = all(map(_HEX.match, rows))
    kind, parts, last = "", list[str](), 0
    for line in [*text.splitlines(), "== Info: "]:
        marked = _TRACED.match(line)
        if marked is None:
            row = _ROW.match(line)
            if row is None:
                continue
            at = int(row[1], 16)
            pairs = _HEX.match(row[2]) if exact else None
            written = bytes.fromhex(pairs[0]).decode("latin-1") if pairs else row[2]
            parts.append(("\n" if parts and at > last else "") + written)
            last = at + len(written)
            continue
        whole = "".join(parts)
        if kind in ("Send header", "Recv header"):
            yield from (f"{'>' if kind == 'Send header' else '<'} {one}" for one in whole.splitlines() if one)
        elif kind == "Send data":
            yield _SENT + _broken(whole)
        elif kind == "Recv data":
            yield from _broken(whole).splitlines()
        parts, last = [], 0
        kind = " ".join(marked[1].rstrip(",").split()[1:])
        if kind == "Info:":
            yield f"* {marked[2].strip()}"


def _broken(body: str) -> str:
    """The body with its line breaks, for which `--trace-ascii` writes dots; JSON tells where they were."""
    spread = re.sub(r"(?<=[\[{,\"\w\]}])\.(?=\s*(?:[\[{\"\]}]|\Z)|\s+[\w-])", " ", body)
    for text in (body, spread):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            continue
        return text
    return body


# --- exchanges --------------------------------------------------------------------------------------------------------


@dataclass
class _Exchange:
    """One that is being read. `bare`: the lines of an answer that `-i` shows."""

    command: Command | None = None
    sent: list[str] = field(default_factory=list)
    posted: str = ""
    heard: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    def captures(self, schemes: _Schemes) -> Iterator[Capture]:
        if self.bare and self.command is not None:
            yield from self._below(self.command)
            return
        if not self.sent or not re.match(r"[A-Z]+ \S+", self.sent[0]):
            return
        method, target = self.sent[0].split(" ")[:2]
        head = _header_lines(self.sent[1:])
        said = self.command is not None and (method != "GET" or self.command.method == "GET")
        posted = self.posted or (self.command.sent(dict(head).get("content-type", "")) if self.command and said else "")
        request = Message(head, posted[:MOST_BODY])
        host = request.header("host")
        if not host and "://" not in target:
            return
        url = target if "://" in target else f"{schemes.of(host)}://{host}{target}"
        if self.body and self.body[0] == self.heard[0] and "" in self.body:  # `-i` beside `-v`: the head again
            del self.body[: self.body.index("") + 1]
        unread = bool(request.header("accept-encoding") and self.body and "\ufffd" in self.body[0])
        yield _answered(method, url, request, self.heard, self.body, unread=unread)

    def _below(self, command: Command) -> Iterator[Capture]:
        """`-i`: a head and a body; with `-L`, several heads."""
        method, url = command.method, command.url
        body = command.sent(dict(command.headers).get("content-type", ""))
        rest = self.bare
        while url and rest:
            end = rest.index("") if "" in rest else len(rest)
            head, rest = rest[:end], rest[end + 1 :]
            if re.match(r"HTTP/\S+ 1\d\d", head[0]):
                continue
            led = next((value for name, value in _header_lines(head[1:]) if name == "location"), "")
            again = bool(led and rest and re.match(r"HTTP/\S+ \d{3}", rest[0]))
            yield _answered(method, url, Message(tuple(command.headers), body), head, [] if again else rest)
            if not again:
                return
            url = urljoin(url, led)
            method, body = ("GET", "") if method == "POST" else (method, body)


def _answered(
    method: str, url: str, request: Message, head: list[str], body: list[str], *, unread: bool = False
) -> Capture:
    status = re.match(r"HTTP/\S+ (\d{3})", head[0])
    answer = Message(_header_lines(head[1:]), "\n".join(body)[:MOST_BODY], unread=unread)
    return Capture(method, url, request, int(status[1]) if status else 0, answer)


def _header_lines(lines: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)


class _Schemes:
    """Which hosts are asked over TLS, from what curl says of its connections."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._tls: bool | None = None

    def said(self, line: str) -> None:
        for scheme, host in re.findall(r"(https?)://([^/\s'\"?]+)", line):
            self._known[host] = scheme

    def heard(self, line: str) -> None:
        if "OPENED stream for" in line or "this URL" in line:
            self.said(line)
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
