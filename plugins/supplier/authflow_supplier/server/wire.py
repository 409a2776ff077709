"""HTTP/1.1 as a server reads and writes it: requests in, answers out, over asyncio streams.

It knows framing and nothing else. Whatever arrives, the outcome is a `Request`, an orderly end, or a `Malformed` that
says which status to answer with.
"""

from __future__ import annotations

import asyncio
import http
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 1024 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r"[!-~]+")
_LENGTH = re.compile(r"[0-9]{1,12}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class Malformed(Exception):
    """Bytes that are no acceptable request; the connection ends after the answer."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool

    def json(self) -> Any:
        """The body's JSON, or None: no path here takes a null."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    document: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    def encode(self, *, now: float, head_only: bool = False, keep_alive: bool = True) -> bytes:
        body = json.dumps(self.document).encode() if self.raw is None else self.raw
        headers = {
            "Date": formatdate(now, usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "keep-alive" if keep_alive else "close",
            **self.headers,
        }
        try:
            phrase = http.HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Status"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if head_only else body)


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request of this connection; None once the client has closed it."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial.strip():
            raise Malformed("the request ends within its head") from None
        return None
    except asyncio.LimitOverrunError:
        raise Malformed("the head is too long", 431) from None
    line, *fields = head.decode("latin-1").lstrip("\r\n").removesuffix("\r\n\r\n").split("\r\n")
    method, path, version = _request_line(line)
    headers = _headers(fields)
    try:
        body = await _body(reader, writer, headers)
    except asyncio.IncompleteReadError:
        raise Malformed("the request ends within its body") from None
    except asyncio.LimitOverrunError:
        raise Malformed("a chunk's size is too long") from None
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    keep_alive = "close" not in options and (version == "HTTP/1.1" or "keep-alive" in options)
    return Request(method, path, headers, body, keep_alive)


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _TARGET.fullmatch(parts[1]):
        raise Malformed("not a request line")
    method, target, version = parts
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise Malformed("not a version of HTTP that is spoken here", 505 if version.startswith("HTTP/") else 400)
    if not target.startswith("/"):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return method, target.partition("?")[0], version


def _headers(fields: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in fields:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or any(forbidden in value for forbidden in "\r\n\0"):
            raise Malformed("not a header field")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str]) -> bytes:
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if length is None and coding is None:
        return b""
    if length is not None and (coding is not None or not _LENGTH.fullmatch(length)):
        raise Malformed("not a message length")
    if coding is not None and coding.lower() != "chunked":
        raise Malformed("not a transfer coding that is spoken here")
    if length is not None and int(length) > BODY_LIMIT:
        raise Malformed("the body is too long", 413)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await (_chunks(reader) if length is None else reader.readexactly(int(length)))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        announced = _CHUNK_SIZE.fullmatch(await reader.readuntil(b"\r\n"))
        if announced is None:
            raise Malformed("not a chunk")
        size = int(announced[1], 16)
        if size == 0:
            break
        if len(body) + size > BODY_LIMIT:
            raise Malformed("the body is too long", 413)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk that does not end where it said")
    trailers = 0
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        trailers += len(line)
        if trailers > HEAD_LIMIT:
            raise Malformed("the trailers are too long", 431)
    return bytes(body)
