"""What every library's edge has in common: how exchanges are sent, and how cookies and queries are laid and taken."""

from __future__ import annotations

import functools
import logging
import os
import re
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from authflow.clients.deadline import Deadline
from authflow.errors import AuthFlowError, ConfigurationError, VendorUnavailable
from authflow.http import Pairs, Presentation, Request, add_query, is_loopback, read_http_date
from authflow.merging import merge_body, without_parts
from authflow.renewing import ClientRaised, NoAnswer, TooLarge
from authflow.vendors import Vendor

log: Final = logging.getLogger("authflow")

#: library → the module of this room that knows it
ADAPTERS: Final = {
    "requests": "requests",
    "httpx": "httpx",
    "httpx2": "httpx",
    "niquests": "niquests",
    "aiohttp": "aiohttp",
}
#: An answer of an exchange larger than this is not read to its end, in bytes.
MAX_ANSWER: Final = 1 << 20
#: What is looked at of a caller's own answer, in bytes.
MAX_PEEK: Final = 1 << 16
#: And for how long its start is waited for, in seconds.
PEEK_FOR: Final = 1.0
#: What a header may be long, in bytes, where a client has a limit.
LONGEST_LINE: Final = 1 << 16
#: Seconds in which a connection must stand.
CONNECT: Final = 10.0
#: Trusts no certificate at all: for plain http to this machine.
NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def may_be_proxied(url: str) -> bool:
    """May what the environment says of proxies count? What is for this machine alone, plain http say, stays on it."""
    return not url.lower().startswith("http:") and not is_loopback((urlsplit(url).hostname or "").rstrip("."))


def no_answer(error: BaseException, deadline: Deadline | None = None, *, sent: bool) -> NoAnswer:
    """A library's error as ours: its kind, and what the system said. The error itself, which knows the request with all
    that is secret in it, is left behind: raise this outside the `except` block.
    """
    if deadline is not None and deadline.cut:
        return NoAnswer("the answer took too long", sent=sent)
    kind, system = type(error).__name__, ""
    if isinstance(error, ImportError) or "Missing dependencies" in str(error):
        return NoAnswer(f"{kind}: {error}", sent=False)
    if "Proxy" in kind and (said := re.search(r"(?:failed: |^)([345]\d\d)\b", str(error))):
        system = f"status {said[1]}"
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            system = getattr(cause, "verify_message", "") or cause.strerror
            if isinstance(cause, ConnectionError) and cause.errno:  # asyncio says it in words of its own
                system = os.strerror(cause.errno)
        inner = (getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args)
        cause = next((part for part in inner if isinstance(part, BaseException)), None)
    return NoAnswer(f"{kind}: {system}" if system else kind, sent=sent)


def despite(error: Exception, came: list[Any], url: str) -> Any:
    """The answer that came, whatever a hook of the user's client made of it. Raises the error where none did."""
    response = came[0] if came else getattr(error, "response", None)
    if response is None or not (came or str(getattr(error.request, "url", url)) == url):  # type: ignore[attr-defined]
        raise error
    if response.status_code < 300:
        log.warning("client= raised %s over an answer to an exchange; it counts all the same", type(error).__name__)
    return response


def hidden(error: Exception, sends: str) -> Any:
    """An error of the client's own where nothing is known of an answer: it counts as sent once it came through the
    library's function that `sends`.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_qualname != sends:
        trace = trace.tb_next
    return error if trace is None else ClientRaised(error)


def wire_headers(request: Request, agent: str) -> dict[str, str]:
    """The headers of an exchange, with what a plain client says of itself.

    The connection is not kept: exchanges are rare, and one sent over a connection that the vendor has just closed may
    or may not have been received. No cache answers in the vendor's place (RFC 9111 §5.2.1.5).
    """
    own = dict(request.headers)
    have = {name.lower() for name in own}
    ours = {
        "User-Agent": agent,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Cache-Control": "no-store",
    }
    return {**{name: value for name, value in ours.items() if name.lower() not in have}, **own}


def gather(chunks: Iterator[bytes], deadline: Deadline, headers: Mapping[str, str]) -> bytes:
    """All chunks as they came over the wire, decoded, up to `MAX_ANSWER` bytes and until the deadline. Raises TooLarge,
    NoAnswer.

    By the Content-Length it is known whether a part is missing, and an answer that is there to its last byte counts,
    however late.
    """
    parts, size, expected = [], 0, headers.get("Content-Length")
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER:
            raise TooLarge
        if deadline.is_over and str(size) != expected:
            raise NoAnswer("the answer took too long", sent=True)
    if deadline.cut and str(size) != expected:
        raise NoAnswer("the answer took too long", sent=True)
    if expected is not None and expected.isdecimal() and 0 < size < int(expected):
        raise NoAnswer("the answer ends too early", sent=True)
    return decoded(b"".join(parts), headers.get("Content-Encoding", ""))


def decoded(body: bytes, encodings: str) -> bytes:
    """An answer that is compressed though nobody asked for it: a kilobyte may hold gigabytes. Raises TooLarge."""
    for encoding in reversed([part.strip().lower() for part in encodings.split(",")]):
        if encoding in ("gzip", "x-gzip", "deflate"):
            bare = encoding == "deflate" and int.from_bytes(body[:2]) % 31  # no zlib around it (RFC 9110 §8.4.1.2)
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS | 32)
            try:
                body = unpacked.decompress(body, MAX_ANSWER + 1)
            except zlib.error:
                return body
            if len(body) > MAX_ANSWER:
                raise TooLarge
            if not unpacked.eof:
                raise NoAnswer("the answer ends too early", sent=True)
    return body


def trusted(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What servers' certificates are checked against: the library's own choice, as the environment tells it now. Raises
    OSError.
    """
    return _context(make, *(_as_it_is(os.environ.get(name)) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")))


def _as_it_is(path: str | None) -> tuple[Any, ...]:
    """A file's name, and what changes when it is another or written anew."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        found = None
    return (path, found.st_ino, found.st_mtime_ns, found.st_size) if found is not None else (path,)


@functools.lru_cache(maxsize=8)
def _context(make: Callable[[], ssl.SSLContext], *told: tuple[Any, ...]) -> ssl.SSLContext:
    """One for all exchanges: to read the certificates takes longer than all else in a renewal."""
    return make()


def merged(vendor: Vendor, ours: Presentation, kind: str | None, body: bytes | None) -> tuple[str, bytes] | None:
    """A caller's body with the session's fields in it, and its media type; None where it stays as it is. `body`: None
    where it is not known before it is sent. Raises ConfigurationError.
    """
    try:
        if body is None:
            raise ValueError("the token travels in the body, and this request's is a stream or a file")
        kind, content = merge_body(kind or "", body or None, ours)
    except ValueError as error:
        raise ConfigurationError(f"{vendor.title}: {error}", vendor=vendor.name) from None
    return None if content is None else (kind, content)


def cookie_header(present: str | None, ours: Pairs, gone: Iterable[str] = ()) -> str:
    """A caller's `Cookie` header with the session's own cookies in the place of those of the same name, and without
    those that are `gone`.
    """
    names = {name for name, _ in ours}.union(gone)
    kept = [pair.strip() for pair in (present or "").split(";")]
    kept = [pair for pair in kept if pair and pair.partition("=")[0] not in names]
    return "; ".join([*kept, *(f"{name}={value}" for name, value in ours)])


def without(url: str, query: Pairs) -> str:
    """A URL without the query parameters that the session added to it, or that a redirect echoed."""
    return without_parts(url, {urlsplit(add_query("", [pair])).query for pair in query}) if query else url


def keep_cookies(headers: Any, came: Pairs, answer: Pairs, url: str) -> None:
    """Let a request that is sent once more carry the cookies that came with the rejection, and none that it deleted, as
    a browser would have it (RFC 6265 §5.3, §5.4).
    """
    gone = _deleted(answer, urlsplit(url))
    if came or gone:
        line = cookie_header(headers.get("Cookie"), came, gone)
        headers.pop("Cookie", None)
        if line:
            headers["Cookie"] = line


def _deleted(answer: Pairs, url: SplitResult) -> set[str]:
    """The names of those cookies that an answer deletes and that go to `url`."""
    host, path, names = url.hostname or "", url.path or "/", set[str]()
    for line in (value for header, value in answer if header.lower() == "set-cookie"):
        name, *told = (tuple(text.strip() for text in part.partition("=")[::2]) for part in line.split(";"))
        how = {attribute.lower(): value for attribute, value in told}
        domain, folder = how.get("domain", "").lower().removeprefix(".") or host, how.get("path", "")
        over = bool(re.fullmatch(r"-[0-9]+|0+", how.get("max-age", "")))
        with suppress(ValueError):
            over = over or ("max-age" not in how and read_http_date(how.get("expires")) <= time.time())
        here = not folder.startswith("/") or path == folder or path.startswith(f"{folder.rstrip('/')}/")
        if here and (host == domain or host.endswith(f".{domain}")):
            (names.add if over else names.discard)(name[0])
    return names


def read_cookies(line: str) -> Pairs:
    """The pairs of a `Cookie` header."""
    pairs = (part.strip().partition("=") for part in line.split(";"))
    return tuple((name, value) for name, _, value in pairs if name)


def kind_of(error: AuthFlowError, any_kind: type[Exception], connection: type[Exception]) -> type[Exception]:
    """Which of a client's errors is this one too? Its connection error, where nothing came back."""
    return connection if isinstance(error, VendorUnavailable) and error.status is None else any_kind


def wrong_adapter(given: str, request: object) -> ConfigurationError:
    """The error for what was given to a client that it is not for: it names what to write."""
    kind = type(request)
    theirs = next((name for cls in kind.__mro__ if (name := cls.__module__.partition(".")[0]) in ADAPTERS), "")
    client = f"a client of {theirs}" if theirs else f"what makes {kind.__module__}.{kind.__qualname__} of a request"
    known = [f"auth=session.{name}" if name != "aiohttp" else "middlewares=[session.aiohttp]" for name in ADAPTERS]
    return ConfigurationError(
        f"{given} was given to {client}: write {known[list(ADAPTERS).index(theirs)] if theirs else ', '.join(known)}"
    )
