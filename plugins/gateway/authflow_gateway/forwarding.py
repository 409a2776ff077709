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
from urllib.parse import quote, unquote, unquote_plus, urljoin, urlsplit, urlunsplit

from authflow.http import origin_of
from authflow_gateway.callers import HEADER
from authflow_gateway.config import Route

Pairs = list[tuple[str, str]]

HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    | {"proxy-authenticate", "proxy-authorization", "proxy-authentication-info"}
)
#: The caller's: they say who it is, here, or where it thinks it is; or another method, path or host than the route's.
OURS: Final = frozenset(
    {"host", "authorization", "cookie", "cookie2", HEADER, "forwarded", "via", "expect"}
    | {"destination", "proxy", "x-forwarded", "x-host", "x-real-ip", "x-client-ip", "true-client-ip"}
)
#: The vendor's: they belong to the account's session; and its date, since the server of this application writes one.
THEIRS: Final = frozenset(
    {"set-cookie", "set-cookie2", "www-authenticate", "optional-www-authenticate", "authentication-info"}
    | {"authentication-control", "strict-transport-security", "alt-svc", "clear-site-data", "date"}
)
#: Names that begin or end so tell a proxy or a framework, on either side, of another method, path, host or file.
ROUND: Final = ("x-forwarded-", "x-http-", "x-original-", "x-rewrite-", "x-override-", "x-envoy-", "x-accel-")
ABOUT: Final = ("-override", "-sendfile", "-send-file", "x-reproxy-url", "x-litespeed-location")
#: What a query says of another method, as Symfony, Rails, PHP and ASP.NET read it: `-`, `.`, `[` and blanks are `_`.
METHODS: Final = frozenset({"_method", "x_http_method_override", "x_http_method", "x_method_override"})
#: What caches may not give to one caller that is another's: the key.
VARY: Final = "Authorization, X-Gateway-Key"
#: The characters of a URL; all others are escaped.
VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))
#: As often as this a path may be escaped in itself.
DEEPEST: Final = 4
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
    """Does a query ask for a method that is not listed?"""
    for part in re.split("[&;]", query):
        name, _, value = part.partition("=")
        read = unquote_plus(name).partition("\0")[0].lstrip().lower()
        read = re.sub(r"[-.\s\[]", "_", read[:1]) + re.sub(r"[-.\s]", "_", read[1:].partition("[")[0])
        if read in METHODS and unquote_plus(value).strip().upper() not in methods:
            return True
    return False


def plain(path: str) -> bool:
    """Does every server read this path as we do? No dots to go up, no empty segment, no hidden slash or control."""
    if not path.startswith("/") or re.search(r"[^\x21-\x7e]|[\\#?]", path):
        return False
    segments = path[1:].split("/")
    for segment in segments:
        if not _decodable(segment):
            return False
        read = _read(segment)
        if read is None or re.search(r"[/\\\x00-\x1f\x7f]", read) or re.match(r"\s*\.[.\s]*(;|$)", read):
            return False
    return "" not in segments[:-1]


def _read(segment: str) -> str | None:
    """As the last server may read it that unescapes what another has unescaped; None where there is no end to it."""
    for _ in range(DEEPEST):
        read = unicodedata.normalize("NFKC", unquote(segment))
        if read == segment:
            return read
        segment = read
    return None


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
    sent = list(_onward(plain, OURS))
    return [*sent, ("Via", VIA), *([("Forwarded", forwarded)] if forwarded else [])]


def to_caller(
    headers: Iterable[tuple[str, str]], leads: Callable[[str], str | None], shows: Callable[[str], bool]
) -> Pairs:
    """A header that `shows` a secret is left out; a `Location` becomes what it `leads` to, and is left out for None."""
    kept = []
    for name, value in _onward(headers, THEIRS):
        told = leads(value) if name.lower() == "location" else value
        if told is not None and (name.lower() in NUMBERS or not (shows(told) or shows(name))):
            kept.append((name, told))
    return [*kept, ("Vary", VARY), ("Via", VIA)]


def _onward(headers: Iterable[tuple[str, str]], own: frozenset[str]) -> Iterable[tuple[str, str]]:
    pairs = list(headers)
    named = {name.strip().lower() for key, value in pairs if key.lower() == "connection" for name in value.split(",")}
    if any(name.lower() == "transfer-encoding" for name, _ in pairs):
        named.add("content-length")  # RFC 9112 §6.3: it does not count
    gone = HOP | own | named
    for name, value in pairs:
        low = name.lower()
        if low not in gone and not low.startswith(ROUND) and not low.endswith(ABOUT):
            yield name, value


def located(location: str, asked: str, came: str, base_url: str, prefix: str) -> str | None:
    """A vendor's `Location` as a caller may follow it: below the base URL it leads through the gateway, and elsewhere
    it is whole, so that nobody takes a path of the vendor's for one of ours. None: nobody can tell where it leads.

    What a caller `asked` for may have been rewritten: the answer `came` from there.
    """
    told = quote(location.strip().encode("latin-1"), safe=VISIBLE)
    try:
        whole = urlsplit(told)
        target = urljoin(came if whole.scheme or told.startswith(("/", "\\")) else asked, told)
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https"):
            return target
        at, folder = origin_of(target), urlsplit(base_url).path
        if at == origin_of(base_url) and parts.path.startswith(folder) and plain(parts.path):
            return urlunsplit(("", "", prefix + parts.path.removeprefix(folder), parts.query, parts.fragment))
    except ValueError:
        return None
    return target
