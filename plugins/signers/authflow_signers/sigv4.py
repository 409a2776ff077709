"""AWS Signature Version 4: an HMAC over method, path, query, some headers and the body, with a key of the day.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

    key, secret, token    the access key, and the session token that goes with a temporary one
    region, service       of the endpoint: `eu-central-1`, `s3`
    payload               "unsigned": the body is left out of the signature. A stream's always is

It needs nothing but `hmac`. botocore, which the tests measure it by, is 15 MB large, takes a fifth of a second to
import, and reads the machine's clock itself, so that it cannot be told how far that is off.
"""

from __future__ import annotations

import hashlib
import hmac
import posixpath
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_plus, urlsplit

from authflow.plugins import Answer, Request, Signer, Signing
from authflow_signers.clocks import REFUSES, Clocks, too_far

ALGORITHM: Final = "AWS4-HMAC-SHA256"
EMPTY: Final = hashlib.sha256().hexdigest()
UNSIGNED: Final = "UNSIGNED-PAYLOAD"
#: AWS refuses what was signed more than five minutes away from its own time, and some of its services say so only then.
ALLOWED: Final = 300.0
_STAMP: Final = "%Y%m%dT%H%M%SZ"
#: What is signed besides `Host` and all `X-Amz-…`.
_SIGNED: Final = frozenset({"host", "content-type", "content-md5", "range"})


class SigV4(Signer):
    takes = ("!key", "!secret", "!region", "!service", "token", "payload")
    hears = REFUSES

    def __init__(self) -> None:
        self._clocks = Clocks()
        self._day_key: tuple[Any, bytes] = (None, b"")

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        now = self._clocks.at(request.url, signing.now)
        return self.signed(request, signing.parameters, datetime.fromtimestamp(now, UTC).strftime(_STAMP))

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        signed_at = _epoch(_headers(request).get("x-amz-date", ""))
        return self._clocks.differs(answer, request.url, signing.now, signed_at, ALLOWED)

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        headers = _headers(request)
        stamp, given = headers.get("x-amz-date", ""), headers.get("authorization", "")
        signed_at = _epoch(stamp)
        if signed_at is None or not given.startswith(ALGORITHM):
            return False
        if abs(signed_at - signing.now) > ALLOWED:
            return too_far(403, b"<Error><Code>RequestTimeTooSkewed</Code></Error>", signing.now)
        if headers.get("x-amz-content-sha256") == UNSIGNED:
            request = request.replace(body=None)
        return hmac.compare_digest(self.signed(request, signing.parameters, stamp)["Authorization"], given)

    def signed(self, request: Request, parameters: Mapping[str, Any], stamp: str) -> dict[str, str]:
        """The headers of a request that is signed at `stamp`."""
        unsigned = request.body is None or parameters.get("payload") == "unsigned"
        payload = UNSIGNED if unsigned else hashlib.sha256(request.body).hexdigest() if request.body else EMPTY
        added = {"X-Amz-Date": stamp}
        if parameters.get("token"):
            added["X-Amz-Security-Token"] = str(parameters["token"])
        if unsigned or parameters["service"] == "s3":
            added["X-Amz-Content-SHA256"] = payload
        names, text = self.canonical(request, added, payload, s3=parameters["service"] == "s3")
        scope = f"{stamp[:8]}/{parameters['region']}/{parameters['service']}/aws4_request"
        text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
        key = self._key(str(parameters["secret"]), scope)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"Credential={parameters['key']}/{scope}"
        return {**added, "Authorization": f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"}

    def canonical(self, request: Request, added: Mapping[str, str], payload: str, *, s3: bool) -> tuple[str, str]:
        """The names of the headers that are signed, and the canonical request."""
        parts = urlsplit(request.url)
        ours = {name.lower() for name in added}
        theirs = [(name.lower(), value) for name, value in request.headers if name.lower() not in ours]
        signed: dict[str, list[str]] = {}
        for name, value in (*theirs, *((name.lower(), value) for name, value in added.items())):
            if name in _SIGNED or name.startswith("x-amz-"):
                signed.setdefault(name, []).append(" ".join(value.split()))
        signed.setdefault("host", [_host(parts)])
        names = sorted(signed)
        lines = [f"{name}:{','.join(signed[name])}" for name in names]
        text = "\n".join(
            (
                request.method.upper(),
                _path(parts.path, s3=s3),
                _query(parts.query),
                *lines,
                "",
                ";".join(names),
                payload,
            )
        )
        return ";".join(names), text

    def _key(self, secret: str, scope: str) -> bytes:
        """The key of one day, region and service; one is remembered, since most requests are alike."""
        known, key = self._day_key
        if known != (secret, scope):
            key = b"AWS4" + secret.encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = (secret, scope), key
        return key


def _headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


def _host(parts: Any) -> str:
    host, port = parts.hostname or "", parts.port
    host = f"[{host}]" if ":" in host else host
    return host if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{host}:{port}"


def _path(path: str, *, s3: bool) -> str:
    """S3 takes a path as it is, percent-encoded once; all others resolve its dots and encode it once more."""
    if s3:
        return "/".join(_quoted(part, unquote) for part in path.split("/")) or "/"
    resolved = posixpath.normpath(path) if path else "/"
    resolved = "/" + resolved.lstrip("/") + ("/" if path.endswith("/") and resolved.strip("/") else "")
    return quote(resolved, safe="/~")


def _query(query: str) -> str:
    """Sorted by name and value, each encoded as RFC 3986 says; a `+` is a blank, as forms write it."""
    if not query:
        return ""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return "&".join(
        f"{name}={value}" for name, value in sorted((_quoted(name), _quoted(value)) for name, _, value in pairs)
    )


def _quoted(text: str, read: Callable[..., str] = unquote_plus) -> str:
    return quote(read(text, errors="surrogateescape"), safe="~", errors="surrogateescape")


def _epoch(stamp: str) -> float | None:
    try:
        return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
