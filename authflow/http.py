"""Requests and answers as plain values, and the few rules of HTTP that the flow needs.

Nothing here does I/O. An `Answer` may hold its body as a callable, so that the body of a caller's own response is read
only when a pattern asks for it. Reprs show no header value, no query and no body: those are where secrets live.
"""

from __future__ import annotations

import codecs
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urljoin, urlsplit, urlunsplit

import msgspec

from authflow.sealed import Sealed, sealed_value

Pairs = tuple[tuple[str, str], ...]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
#: Every status that there can be, and those with which an answer leads elsewhere (RFC 9110 §15, §15.4).
ANY_STATUS: Final = range(1000)
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@sealed_value
class Request(Sealed):
    """One request of an exchange, ready to be sent: `body` in bytes, or None."""

    method: str
    url: str
    headers: Pairs = ()
    body: bytes | None = None

    def __repr__(self) -> str:
        return f"<{self.method} {without_query(self.url)}>"


@sealed_value
class Answer(Sealed):
    """What came back. `body` is bytes, or a callable that reads it once; `received` is in epoch seconds."""

    status: int
    headers: Pairs = ()
    body: bytes | Callable[[], bytes] = b""
    received: float = 0.0
    _read: dict[str, Any] = field(default_factory=dict, compare=False)

    def __repr__(self) -> str:
        return f"<Answer {self.status}>"

    def replace(self, **changes: Any) -> Self:
        return Sealed.replace(self, **{"_read": {}, **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        return Answer, (self.status, self.headers, self.content, self.received)

    def _once(self, name: str, read: Callable[[], Any]) -> Any:
        if name not in self._read:
            self._read[name] = read()
        return self._read[name]

    @property
    def content(self) -> bytes:
        content: bytes = self._once("content", lambda: self.body() if callable(self.body) else self.body)
        return content

    @property
    def text(self) -> str:
        """The body as text, in the character set that it names: by its byte order mark, its type, or as XML does."""
        text: str = self._once("text", lambda: _decoded(self.content, (self.all("content-type") or [""])[0]))
        return text

    @property
    def json(self) -> Any:
        """The body as JSON, whatever its content type. Raises ValueError."""
        return self._once("json", self._json)

    def _json(self) -> Any:
        try:
            return msgspec.json.decode(self.text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            pass
        try:  # NaN, Infinity, endless numbers and bare tabs are no JSON, and some servers write them (RFC 8259 §6, 7)
            document = json.loads(self.text, strict=False, parse_int=_whole)
            whole = json.dumps(document, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
            return json.loads(whole.decode("utf-16-le", "replace"))  # half a character is none: \ud800, say
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"the body is packed as {self.packed}" if self.packed else "the body is not JSON"
            ) from error

    @property
    def packed(self) -> str:
        """How the body is packed that nobody here unpacks: `br`, say (RFC 9110 §8.4)."""
        codings = (part.strip().lower() for line in self.all("content-encoding") for part in line.split(","))
        return next((coding for coding in codings if coding in _PACKED), "")

    @property
    def form(self) -> Pairs:
        """The body as `application/x-www-form-urlencoded`."""
        return tuple(parse_qsl(self.text, keep_blank_values=True))

    def all(self, name: str) -> list[str]:
        """Every value of a header; names have no case (RFC 9110 §5.1)."""
        name = name.lower()
        return [value for key, value in self.headers if key.lower() == name]

    @property
    def cookies(self) -> dict[str, str]:
        """What `Set-Cookie` sets; a cookie that it deletes is absent (RFC 6265 §5.2)."""
        jar: dict[str, str] = {}
        now = self.date or self.received
        for line in self.all("set-cookie"):
            pair, *attributes = line.split(";")
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not equals or not name:
                continue
            if _deletes(attributes, now):
                jar.pop(name, None)
            else:
                jar[name] = value
        return jar

    @property
    def challenges(self) -> list[dict[str, str]]:
        return [challenge for line in self.all("www-authenticate") for challenge in parse_challenges(line)]

    @property
    def date(self) -> float | None:
        """The vendor's clock when it answered, in epoch seconds (RFC 9110 §6.6.1)."""
        values = self.all("date")
        return _epoch(values[0]) if values else None

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait, from `Retry-After` as seconds or as a date (RFC 9110 §10.2.3)."""
        now = self.date or self.received
        told = (seconds_from(value, now) for value in self.all("retry-after"))
        return next((wait for wait in told if wait is not None), None)


_PACKED: Final = ("br", "zstd", "compress", "x-compress", "bzip2", "xz", "lz4", "snappy")
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([\w.:-]+)", re.I | re.ASCII)
_XML_ENCODING: Final = re.compile(rb"<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([\w.:-]+)", re.ASCII)
#: Codecs of Python that are no character sets, or slow.
_NO_CHARSETS: Final = re.compile("idna|punycode|.*escape|utf-?7|undefined|mbcs|oem", re.I)


def _decoded(content: bytes, kind: str) -> str:
    for mark, charset in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(charset, "replace")
    named = _CHARSET.search(kind)
    declared = None if named else _XML_ENCODING.match(content)
    charset = named[1] if named else declared[1].decode("ascii") if declared else _by_its_look(content)
    try:
        if not _NO_CHARSETS.fullmatch(codecs.lookup(charset).name):
            return content.decode(charset, "replace")
    except LookupError:
        pass
    return content.decode("utf-8", "replace")


def _by_its_look(content: bytes) -> str:
    """JSON and XML begin with an ASCII character: in UTF-16, with a zero byte beside it (RFC 4627 §3)."""
    if content[1:2] == b"\0" != content[:1]:
        return "utf-16-le"
    return "utf-16-be" if content[:1] == b"\0" != content[1:2] else "utf-8"


def instant(when: datetime) -> int | float:
    """Epoch seconds; a time that names no zone is taken to be UTC."""
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def read_http_date(value: Any) -> int | float:
    """An HTTP date in any of its three spellings (RFC 9110 §5.6.7), in epoch seconds. Raises ValueError."""
    if not isinstance(value, str) or len(value) > 100:
        raise ValueError("not an HTTP date")
    try:
        return instant(parsedate_to_datetime(value))
    except (TypeError, IndexError, OverflowError) as error:
        raise ValueError("not an HTTP date") from error


_UNITS: Final = {"d": 86400, "h": 3600, "m(?!s)": 60, "ms": 0.001, "s|(?=[,;]|$)": 1}
_WAIT: Final = r"\+?P?T?" + "".join(rf"(?:([0-9]{{1,300}}+(?:\.[0-9]*)?)\s*(?:{unit})[a-z]*\s*)?" for unit in _UNITS)


def seconds_from(text: str, now: float) -> float | None:
    """A wait: seconds, other units, an HTTP or ISO date; None where it is neither. Of several, the first counts."""
    text = text[:400].strip(" \t\r\n\"'")
    if (found := re.fullmatch(_WAIT + r"(?:[,;].*)?", text, re.A | re.I)) and any(found.groups()):
        return sum(float(told or 0) * unit for told, unit in zip(found.groups(), _UNITS.values(), strict=True))
    when = _epoch(text)
    if when is None and len(text) < 64:
        with suppress(ValueError, OverflowError):
            when = instant(datetime.fromisoformat(text))
    return None if when is None else max(0.0, when - now)


def _epoch(text: str) -> float | None:
    try:
        return float(read_http_date(text))
    except ValueError:
        return None


def _deletes(attributes: list[str], now: float) -> bool:
    named = {name.strip().lower(): value.strip() for name, _, value in (part.partition("=") for part in attributes)}
    if age := re.fullmatch(r"(-?)0*+(\d*)", named.get("max-age") or "?"):
        return bool(age[1]) or not age[2]
    expires = _epoch(named.get("expires", ""))
    return expires is not None and expires <= now


# --- challenges (RFC 9110 §11.6.1) ------------------------------------------------------------------------------------

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s\",=][^\s\",]*))(?=[ \t,;]|$)")
_SCHEME: Final = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,)|$)")
_TOKEN68: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")


def parse_challenges(line: str) -> list[dict[str, str]]:
    """The challenges of a `WWW-Authenticate` line: `scheme`, then its parameters by lower-case name (or `token68`).

    What servers get wrong is read as it was meant: unquoted URLs, blanks or semicolons for commas.
    """
    challenges: list[dict[str, str]] = []
    at = 0
    while at < len(line):
        if line[at] in " \t,;":
            at += 1
        elif challenges and (parameter := _PARAMETER.match(line, at)):
            name, quoted, token = parameter.groups()
            challenges[-1].setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token)
            at = parameter.end()
        elif scheme := _SCHEME.match(line, at):
            challenges.append({"scheme": scheme[1]})
            at = scheme.end()
            alone = None if _PARAMETER.match(line, at) else _TOKEN68.match(line, at)
            if alone and line[at - 1] in " \t":
                challenges[-1]["token68"] = alone[0]
                at = alone.end()
        else:  # not to be understood: on with what follows the next comma
            at = line.find(",", at)
            if at < 0:
                break
    return challenges


# --- URLs and origins -------------------------------------------------------------------------------------------------


class Origin(NamedTuple):
    """Scheme, host and port (RFC 6454): what a token is trusted to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.written_port is None else f":{self.port}")

    @property
    def written_port(self) -> int | None:
        """The port as far as a URL must say it: None where it goes with the scheme."""
        return None if self.port == _PORTS[self.scheme] else self.port

    @property
    def secure(self) -> bool:
        """https, or a host that is this machine itself."""
        return self.scheme == "https" or is_loopback(self.host)

    def trusted(self, insecure_http: bool) -> bool:
        """May secrets go there? With `insecure_http`, over plain http in a network of one's own too."""
        return self.secure or (insecure_http and is_private(self.host))


class Origins(frozenset[Origin]):
    """Origins; `*` in the host of one is any label."""

    def __contains__(self, at: object) -> bool:
        if super().__contains__(at) or not isinstance(at, Origin):
            return isinstance(at, Origin)
        labels = at.host.split(".")
        hosts = (".".join([*labels[:index], "*", *labels[index + 1 :]]) for index in range(len(labels)))
        return any(super(Origins, self).__contains__(at._replace(host=host)) for host in hosts)


_PORTS: Final = {"http": 80, "https": 443}
#: To take a host apart that is not ASCII takes the square of its length: a longer URL is none.
LONGEST_IRI: Final = 2000
#: A WebSocket begins as an HTTP request to the same host and port (RFC 6455 §3 and §4.1).
WEBSOCKET: Final = {"ws": "http", "wss": "https"}
_LABEL: Final = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST: Final = re.compile(rf"(?=.{{1,254}}$)(?:{_LABEL}\.)*{_LABEL}\.?", re.ASCII)


def origin_of(url: str) -> Origin:
    """The origin of an absolute http(s) URL. Raises ValueError for anything that two parsers could read differently."""
    if re.search(r"[\\\x00-\x20\x7f]", url):
        raise ValueError("a backslash, blank or control character in the URL")
    parts = urlsplit(_readable(url))
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an absolute http or https URL")
    if "@" in parts.netloc:
        raise ValueError("user information in the URL")
    host = parts.hostname
    if "[" in parts.netloc:
        host = ipaddress.IPv6Address(host).compressed
    else:
        if not host.isascii():
            ascii_host = host.encode("idna")
            if ascii_host.decode("idna") != host:
                raise ValueError("a host name that has more than one spelling in ASCII: give the one that is meant")
            host = ascii_host.decode("ascii")
        if not _HOST.fullmatch(host):
            raise ValueError("not a host name")
        host = host.removesuffix(".")
    return Origin(parts.scheme, host, parts.port if parts.port is not None else _PORTS[parts.scheme])


def _readable(url: str) -> str:
    if len(url) > LONGEST_IRI and not url.isascii():
        raise ValueError(f"a URL of more than {LONGEST_IRI} characters that are not all ASCII")
    return url


def origin_reached(url: str) -> Origin:
    """The origin at which a caller's request arrives: a WebSocket's is that of the request that opens it."""
    scheme, colon, rest = url.partition(":")
    return origin_of(WEBSOCKET.get(scheme.lower(), scheme) + colon + rest)


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """`localhost` and the loopback addresses (RFC 6761 §6.3, RFC 1122 §3.2.1.3)."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)
_PRIVATE_NAME: Final = re.compile(r"(?!0x[0-9a-f]*$|\d+$)[^.:]+|.+\.(?:local|lan|home\.arpa|internal)")


def is_private(host: str) -> bool:
    """Of a network of one's own (RFC 1918, 3927, 4193, 4291 §2.5.6, 6762, 8375)? No name is resolved."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _PRIVATE_NAME.fullmatch(host) is not None
    return any(address in network for network in _PRIVATE)


@lru_cache(maxsize=256)
def folder(base_url: str) -> str:
    """A base URL always counts as a folder: its path ends in a slash, its query and fragment are dropped."""
    parts = urlsplit(_readable(base_url))
    return urlunsplit((parts.scheme, parts.netloc, parts.path.removesuffix("/") + "/", "", ""))


def resolve(base_url: str, reference: str) -> str:
    """RFC 3986 §5.2, against a base that is a folder. Raises ValueError for what is no URL."""
    return urljoin(base_url, _readable(reference))


def add_query(url: str, pairs: Iterable[tuple[str, str | None]]) -> str:
    """A URL with more parameters in its query; one without a value has no `=`."""
    if not (pairs := tuple(pairs)):
        return url
    parts = urlsplit(url)
    added = "&".join(url_quote(name) + (f"={url_quote(value)}" if value is not None else "") for name, value in pairs)
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, added)))))


def url_quote(text: str) -> str:
    """One segment, name or value of a URL. Bytes that were no UTF-8 when they were read go out as they came."""
    return quote(text, safe="", errors="surrogateescape")


def url_unquote(text: str) -> str:
    """The reverse of `url_quote`."""
    return unquote(text, errors="surrogateescape")


def without_query(url: str) -> str:
    """What may be shown of a URL."""
    try:
        parts = urlsplit(_readable(url))
    except ValueError:
        return "what is no URL"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


# --- what may stand in a header ---------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def header_name(name: str) -> str:
    """The name, if it is one (RFC 9110 §5.1). Raises ValueError, or TypeError for what is no text."""
    if not re.fullmatch(_TOKEN, name):
        raise ValueError("a header needs a name of letters, digits and dashes")
    return name


def header_value(name: str, value: str) -> str:
    """The value, if it may stand in a header (RFC 9110 §5.5). Raises ValueError (it never shows the value)."""
    if not value.isprintable() and re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ValueError(f"the value for the header {name} holds a line break or control character")
    if not value.isascii():
        raise ValueError(f"the value for the header {name} holds a character that is not ASCII")
    return value.strip(" \t")


def encode_form(pairs: Iterable[tuple[str, str]]) -> bytes:
    return "&".join(f"{form_quote(name)}={form_quote(value)}" for name, value in pairs).encode()


def form_quote(text: str) -> str:
    """`application/x-www-form-urlencoded`, one name or value."""
    return quote(text, safe="*-._").replace("~", "%7E").replace("%20", "+")


@sealed_value
class Presentation(Sealed):
    """What a state lays over a caller's own request."""

    headers: Pairs = ()
    cookies: Pairs = ()
    query: Pairs = ()
    json: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    form: Pairs = ()
    text: Pairs = ()

    def __repr__(self) -> str:
        names = [name for name, _ in (*self.headers, *self.cookies, *self.query, *self.form, *self.text)]
        return f"<Presentation {', '.join([*names, *self.json]) or 'of nothing'}>"

    @property
    def only_headers(self) -> bool:
        return not (self.cookies or self.query or self.in_body)

    @property
    def in_body(self) -> bool:
        return bool(self.json or self.form or self.text)


class Headers(Presentation):
    """A presentation of headers alone. A signature is one, made anew for each request: so it holds nothing else."""

    __slots__ = ()
    cookies = query = form = text = ()
    json, only_headers, in_body = NOTHING, True, False

    def __init__(self, headers: Pairs) -> None:
        object.__setattr__(self, "headers", headers)

    def replace(self, **changes: Any) -> Any:
        return Presentation(**{"headers": self.headers, **changes})

    def __reduce__(self) -> tuple[Any, ...]:
        return Headers, (self.headers,)


class Left(Enum):
    """What a presented list leaves as the caller wrote it."""

    LEFT = "left"


def _whole(text: str) -> int | float:
    return int(text) if len(text) < 400 else float(text)
