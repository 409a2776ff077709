"""What of a message goes on to the other side. Pure: pairs go in, pairs come out.

route       the path as it was written, segment by segment, against what is listed; nothing is decoded and used
to_vendor   without what belongs to one hop (RFC 9110 §7.6.1), the caller's authentication, and addresses of ours
to_caller   without that either, and without the vendor's cookies, challenges and whatever holds a secret
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urljoin, urlsplit

from authflow_gateway.callers import HEADER
from authflow_gateway.config import Route

Pairs = list[tuple[str, str]]

HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"proxy-authenticate", "proxy-authorization", "proxy-authentication-info"}
)
#: Another method or path than the route's, or a proxy of the caller's, by a header.
OTHERWISE: Final = frozenset(
    {
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
    }
    | {"x-original-host", "x-host", "x-real-ip", "proxy", "cookie2", "x-accel-redirect", "x-sendfile"}
)
#: The caller's: they say who it is, here, or where it thinks it is.
OURS: Final = frozenset({"host", "authorization", "cookie", HEADER, "forwarded", "via", "expect"})
#: The vendor's: they belong to the account's session; and its date, since the server of this application writes one.
THEIRS: Final = frozenset(
    {"set-cookie", "set-cookie2", "www-authenticate", "authentication-info", "strict-transport-security", "alt-svc"}
    | {"date"}
)
#: Numbers, which every answer has and nobody can hide a token in.
NUMBERS: Final = frozenset({"age", "content-length"})
VIA: Final = "1.1 authflow-gateway"


class Taken(NamedTuple):
    """The route of a request, and the path below the vendor's base URL."""

    route: Route
    rest: str


def route(routes: Sequence[Route], method: str, path: str, caller: str | None) -> Taken | int:
    """`path` as it was written. The status of the refusal where there is no way: 400, 403, 404, 405."""
    if not plain(path):
        return 400
    found = max((one for one in routes if path.startswith(one.prefix)), key=lambda one: len(one.prefix), default=None)
    if found is None:
        return 404
    rest = path.removeprefix(found.prefix)
    if found.callers is not None and caller not in found.callers:
        return 403
    if not any(_fits(pattern.split("/"), rest.split("/")) for pattern in found.paths):
        return 403
    return Taken(found, rest) if method in found.methods else 405


def other_method(query: str, methods: Sequence[str]) -> bool:
    """Does a query ask for a method that is not listed? Symfony, Rails and others read `_method` there."""
    asked = [value for name, value in parse_qsl(query, keep_blank_values=True) if name.lower() == "_method"]
    return any(value.strip().upper() not in methods for value in asked)


def plain(path: str) -> bool:
    """Does every server read this path as we do? No dots to go up, no empty segment, no hidden slash or control."""
    if not path.startswith("/") or re.search(r"[^\x21-\x7e]|[\\#?]", path):
        return False
    segments = path[1:].split("/")
    for segment in segments:
        if not _decodable(segment):
            return False
        once = unicodedata.normalize("NFKC", unquote(unquote(segment)))
        if re.search(r"[/\\\x00-\x1f\x7f]", once) or once.partition(";")[0].strip() in (".", ".."):
            return False
    return "" not in segments[:-1]


def _decodable(segment: str) -> bool:
    try:
        unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return False
    return re.search(r"%(?![0-9A-Fa-f]{2})", segment) is None


def _fits(pattern: list[str], segments: list[str]) -> bool:
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        return len(segments) > len(pattern) and _fits([*pattern, *segments[len(pattern) :]], segments)
    return len(pattern) == len(segments) and all(
        (wanted == "*" and there != "") or wanted == there for wanted, there in zip(pattern, segments, strict=True)
    )


def forwarded(client: str, host: str, scheme: str) -> str:
    """For whom a request is sent (RFC 7239); a host that would say more than itself is left out."""
    client = f"[{client}]" if ":" in client else client
    named = f';host="{host}"' if re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", host) else ""
    return f'for="{client}"{named};proto={scheme}'


def to_vendor(headers: Iterable[tuple[str, str]], forwarded: str = "") -> Pairs:
    """`forwarded`, if any, is what the vendor is told of the caller (RFC 7239)."""
    plain = ((name, value) for name, value in headers if "_" not in name)  # CGI and WSGI read `_` as `-`
    sent = list(_onward(plain, OURS | OTHERWISE))
    return [*sent, ("Via", VIA), *([("Forwarded", forwarded)] if forwarded else [])]


def to_caller(headers: Iterable[tuple[str, str]], location: str | None, shows: Callable[[str], bool]) -> Pairs:
    """`location` takes the place of the vendor's; a header that `shows` a secret is left out."""
    kept = [
        (name, value)
        for name, value in _onward(headers, THEIRS)
        if name.lower() in NUMBERS or not (shows(value) or shows(name))
    ]
    if location is not None:
        kept = [(name, location if name.lower() == "location" else value) for name, value in kept]
    return [*kept, ("Via", VIA)]


def _onward(headers: Iterable[tuple[str, str]], own: frozenset[str]) -> Iterable[tuple[str, str]]:
    pairs = list(headers)
    named = {name.strip().lower() for key, value in pairs if key.lower() == "connection" for name in value.split(",")}
    for name, value in pairs:
        low = name.lower()
        if low not in HOP | own | named and not low.startswith("x-forwarded-"):
            yield name, value


def located(location: str, asked: str, base_url: str, prefix: str) -> str | None:
    """A vendor's `Location` as a caller may follow it: below the base URL it leads through the gateway."""
    target = urljoin(asked, location)
    below = base_url if base_url.endswith("/") else f"{base_url}/"
    return prefix + target.removeprefix(below) if target.startswith(below) and plain(urlsplit(target).path) else None
