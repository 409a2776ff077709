"""What to do about what went wrong: the end of a message, made from what the system, a redirect or a refusal says.

unreachable   no answer came: certificates, proxies, names, ports
redirected    a redirect that is not followed: its Location, and the lines that allow it
packed        an answer in a coding that nobody asked for, and nobody reads
misread       a refused secret with characters that servers read in two ways: where else it may stand
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from authflow.http import REDIRECTS, Answer, Request, form_quote, origin_of, resolve, without_query
from authflow.masking import mask_text
from authflow.templates import Exchange, Unbound, Unfit
from authflow.vendors import Values

PROXY: Final = "it is the proxy that refuses: AuthSession(client=…) takes a client with the proxy's credentials"
_CA: Final = "if you trust it, give AuthSession(client=…) a client that does; such a client can also show one of yours"
_NAME: Final = "check the host's name, the network, and the proxy if HTTPS_PROXY names one"
_CUT: Final = "the connection broke off, or what answers there does not speak HTTP"
_PACKED: Final = (
    "Only gzip and deflate are read here: if headers in the file ask for more (Accept-Encoding), drop that; "
    "else the server, or a proxy before it, takes no notice of Accept-Encoding: identity, and is to be mended"
)
#: What an error says → what to do about it; the first that fits.
_ADVICE: Final = (
    (r"\b407\b", PROXY),
    (r"proxy", "check the proxy that HTTPS_PROXY names; AuthSession(client=…) takes a client with a proxy of your own"),
    (r"has expired|not yet valid", "the server must renew its certificate, or this machine's clock is wrong"),
    (r"mismatch|not valid for|doesn't match", "the certificate belongs to another host: check the URL"),
    (r"certificate|self.signed|unknown ca", _CA),
    (
        r"wrong.version.number|unknown.protocol|packet.length",
        "no TLS is spoken at this port: check host, port and https",
    ),
    (r"name or service|name resolution|getaddrinfo|nodename|no address", _NAME),
    (r"refused", "check that the server runs there, its host and port, and the proxy if HTTPS_PROXY names one"),
    (r"reset by peer|disconnected|ProtocolError|PayloadError|ResponseError|^ConnectionError$", _CUT),
    (r"took too long|nothing within|ReadTimeout", "AuthSession(timeout=…) says for how many seconds it waits"),
    (r"unreachable|no route|timed out|ConnectTimeout", "check the network, and the proxy if HTTPS_PROXY names one"),
)


def unreachable(said: str) -> str:
    """Behind an error that the system or the library names so; nothing where that says it all."""
    return next((f": {advice}" for word, advice in _ADVICE if re.search(word, said, re.I)), "")


def packed(answer: Answer) -> str:
    """A server that takes no notice of Accept-Encoding, or a file that asks for what nobody reads."""
    return f". {_PACKED}" if answer.packed else ""


def redirected(
    exchange: Exchange,
    request: Request,
    answer: Answer,
    values: Values,
    may_go: Callable[[Exchange, str, Values], bool],
) -> str:
    """Where a redirect leads that is not followed, and what would follow it."""
    locations = answer.all("location")
    if answer.status not in REDIRECTS or not locations or exchange.redirects:
        return ""
    try:
        url = resolve(request.url, locations[0])
    except ValueError:
        return ""
    parts = without_query(url).split("/")
    shown = "/".join([*parts[:3], *(mask_text(segment, values.secrets) for segment in parts[3:])])
    if url.startswith("http:") and request.url.startswith("https:"):
        return f". It redirects to {shown}, which is plain http: no credential may go there"
    line = f"redirects = true in [exchanges.{exchange.name}]"
    if not may_go(exchange, url, values):
        line += f" and {declared(url)}"
    return f". It redirects to {shown}: give that URL, or say {line}"


def declared(url: str) -> str:
    """The line that lets exchanges go to a URL's origin."""
    try:
        return f'origins.send = ["{origin_of(url)}"] at the top'
    except ValueError:
        return "another URL"


def misread(exchange: Exchange, values: Values, code: str) -> str:
    """Where else a client's secret may stand that RFC 6749 §2.3.1 wants form-encoded, and many servers do not; nothing
    where OAuth's error code says that the client itself was let in.
    """
    if code in ("invalid_grant", "access_denied", "expired_token"):
        return ""
    place, request = str(values.vendor.raw.get("secret_in", "header")), exchange.request
    pair = request.basic if place == "header-raw" else request.client_basic
    template: Any = dict(request.form or ()).get("client_secret") if place == "body" else pair and pair[1]
    try:
        secret = str(template.render(values)) if template else ""
    except (Unbound, Unfit):
        return ""
    if form_quote(secret) == secret:
        return ""
    other = " or ".join(f'secret_in = "{name}"' for name in ("header", "header-raw", "body") if name != place)
    return f" The secret holds characters that servers read differently: try {other}."
