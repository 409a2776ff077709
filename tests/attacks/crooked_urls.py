"""URLs that look like the vendor's and lead elsewhere, given to `session.headers` and `aheaders`, WebSockets' too:
their host is another for one parser than for the next, and beside it are patterns in `origins.present`.

Expected: headers with the token are given only for URLs which each parser at hand (urllib, urllib3, httpx, yarl) takes
to the declared host, scheme and port; all others raise an error of ours, before anything is sent.

    hosts       labels too many, too few, glued, in other scripts, with dots that are none, the pattern's own text
    spellings   user names, backslashes, blanks, control characters, escapes, ports, schemes, relative URLs
    patterns    one label of any name, a fixed port, a setting in it, a captured host beside it
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import authflow
from authflow.http import Answer, Request

LOGIN = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}}
HOME = "https://api.vendor.example/"


class Grants:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def exchange(self, request: Request, timeout: float) -> Answer:
        self.sent.append(request.url)
        return Answer(200, (), b'{"token": "tok3n", "site": "https://eu.vendor.example/"}')


def file_of(*declared: str, captured: bool = False) -> dict[str, Any]:
    document = {"token": "{access}", **({"site": "{base_url}"} if captured else {})}
    granted = {"status": 200, "json": document}
    return {
        "name": "crooked",
        "extends": "relogin",
        "base_url": HOME,
        "settings": {"region": {"default": "eu"}},
        "origins": {"present": list(declared)},
        "exchanges": {"login": {**LOGIN, "answers": {"granted": granted}}},
    }


#: What is declared beside the base URL → may this host, with this scheme and port, have the token?
PATTERNS: dict[str, Callable[[str, str, int], bool]] = {
    "https://{_}.apps.vendor.example": lambda scheme, host, port: (
        (scheme, port) == ("https", 443)
        and host.endswith(".apps.vendor.example")
        and host.count(".") == 3
        and not host.startswith(".")
    ),
    "https://{_}.apps.vendor.example:8443": lambda scheme, host, port: (
        (scheme, port) == ("https", 8443) and host.endswith(".apps.vendor.example") and host.count(".") == 3
    ),
    "https://{region}.vendor.example": lambda scheme, host, port: (
        (scheme, host, port) == ("https", "eu.vendor.example", 443)
    ),
    "https://a-{region}.vendor.example": lambda scheme, host, port: (
        (scheme, host, port) == ("https", "a-eu.vendor.example", 443)
    ),
}
HOSTS = [
    *("x.apps.vendor.example", "X.APPS.vendor.example", "x.apps.vendor.example.", "x.apps.vendor.example.."),
    *("apps.vendor.example", ".apps.vendor.example", "..apps.vendor.example", "a.b.apps.vendor.example"),
    *("xapps.vendor.example", "x-apps.vendor.example", "x.apps.vendor.example.evil.example", "*.apps.vendor.example"),
    *("any--label.apps.vendor.example", "{_}.apps.vendor.example", "_.apps.vendor.example", "evil.example"),
    *("eu.vendor.example", "us.vendor.example", "a-eu.vendor.example", "a-us.vendor.example", "eu.vendor.example.evil"),
    *(
        "x\u3002apps.vendor.example",
        "x.apps\uff0evendor.example",
        "\u212a.apps.vendor.example",
        "xn--a.apps.vendor.example",
    ),
    *("evil.example\u2044.apps.vendor.example", "evil.example\uff0f.apps.vendor.example", "\xdf.apps.vendor.example"),
    *("x%2eapps.vendor.example", "evil.example%2f.apps.vendor.example", "evil.example%23.apps.vendor.example"),
    *("evil.example%00.apps.vendor.example", "x.apps.vendor.example%2eevil.example", "[::1].apps.vendor.example"),
    *("127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "api.vendor.example", "api.vendor.example."),
]
SPELLINGS = [
    *(
        "https://%s/x",
        "http://%s/x",
        "wss://%s/x",
        "ws://%s/x",
        "HTTPS://%s/x",
        "https://%s",
        "https://%s?x",
        "https://%s#x",
    ),
    *(
        "https://%s:443/x",
        "https://%s:8443/x",
        "https://%s:0443/x",
        "https://%s:/x",
        "https://%s:99999/x",
        "https://%s:-1/x",
    ),
    *("https://user@%s/x", "https://user:pw@%s/x", "https://evil.example@%s/x", "https://%s@evil.example/x"),
    *(
        "https://%s\\@evil.example/x",
        "https://evil.example\\@%s/x",
        "https://evil.example\\.%s/x",
        "https://evil.example#@%s/x",
    ),
    *(
        "https://evil.example?@%s/x",
        "https://evil.example/@%s/x",
        "https://%s%%40evil.example/x",
        "https:/%s/x",
        "https:%s/x",
    ),
    *(
        "https:\\\\%s/x",
        "https:///%s/x",
        "https:////%s/x",
        "//%s/x",
        "\\\\%s\\x",
        " https://%s/x",
        "https://%s /x",
        "https:// %s/x",
    ),
    *(
        "https://%s\t/x",
        "https://\t%s/x",
        "https://evil.example\n.%s/x",
        "ht\ttps://%s/x",
        "https://%s\n@evil.example/x",
    ),
    *(
        "https://%s\x00.evil.example/x",
        "https://evil.example;%s/x",
        "https://evil.example,%s/x",
        "https://%s;.evil.example/x",
    ),
    *("ftp://%s/x", "file://%s/x", "javascript://%s/x", "https+unix://%s/x", "https://%s:443@evil.example:443/x"),
]


def read_by_urllib(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or 0


def read_by_urllib3(url: str) -> tuple[str, str, int]:
    parts = import_module("urllib3.util").parse_url(url)
    return parts.scheme or "", parts.host or "", parts.port or 0


def read_by_httpx(url: str) -> tuple[str, str, int]:
    parts = import_module("httpx").URL(url)
    return parts.scheme, parts.raw_host.decode(), parts.port or 0


def read_by_yarl(url: str) -> tuple[str, str, int]:
    parts = import_module("yarl").URL(url)
    return parts.scheme, parts.raw_host or "", parts.port or 0


READERS = [read_by_urllib, read_by_urllib3, read_by_httpx, read_by_yarl]
PORTS = {"http": 80, "https": 443}


def places(url: str) -> Iterator[tuple[str, tuple[str, str, int]]]:
    """Where each parser says that it leads; who refuses it leads nowhere."""
    for read in READERS:
        try:
            scheme, host, port = read(url)
        except ImportError:
            continue
        except Exception:
            continue
        scheme = {"ws": "http", "wss": "https"}.get(scheme.lower(), scheme.lower())
        host = host.lower().removesuffix(".")
        yield (
            read.__name__,
            (scheme, host.encode("idna").decode() if not host.isascii() else host, port or PORTS.get(scheme, 0)),
        )


def attack() -> Iterator[str]:
    """What went wrong."""
    for (pattern, allowed), captured in itertools.product(PATTERNS.items(), (False, True)):
        client, fine = Grants(), 0
        session = authflow.AuthSession(file_of(pattern, captured=captured), username="u", password="p", client=client)
        if captured:
            session.token()
        whole = (pattern, captured) == (next(iter(PATTERNS)), False)
        for number, (host, spelling) in enumerate(itertools.product(HOSTS, SPELLINGS if whole else SPELLINGS[:6])):
            url = spelling % host
            try:
                got = asyncio.run(session.aheaders(url)) if number % 50 == 1 else session.headers(url)
            except authflow.AuthFlowError:
                if client.sent and not (captured or fine):
                    yield f"{pattern}: {url!r} is refused only after a login"
                continue
            except Exception as error:
                yield f"{pattern}: {url!r}: {type(error).__name__}: {error}"
                continue
            fine += bool(got)
            for reader, (scheme, at, port) in places(url) if got else ():
                homes = ("eu.vendor.example", "api.vendor.example") if captured else ("api.vendor.example",)
                if not ((at in homes and (scheme, port) == ("https", 443)) or allowed(scheme, at, port)):
                    yield f"{pattern}: {url!r} has the token, and {reader} goes to {scheme}://{at}:{port}"
        if not fine:
            yield f"{pattern}: nothing has the token at all"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
