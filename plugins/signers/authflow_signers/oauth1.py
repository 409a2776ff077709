"""OAuth 1.0a (RFC 5849): a signature over method, URL and form, by oauthlib.

client_key, client_secret    the application's (RFC 5849 calls them client credentials)
token, token_secret          the user's, or the temporary ones on the way there
method                       "HMAC-SHA1" unless told: "HMAC-SHA256", "HMAC-SHA512", "RSA-SHA1", "RSA-SHA256",
                             "RSA-SHA512", "PLAINTEXT"
private_key                  for RSA, as a PEM
callback, verifier, realm    where a server asks for them (§2.1, §2.3, §3.5.1)
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from authflow.plugins import Answer, ConfigurationError, Request, Signer, Signing
from authflow_signers.clocks import REFUSES, Clocks, too_far

METHODS: Final = ("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "RSA-SHA1", "RSA-SHA256", "RSA-SHA512", "PLAINTEXT")
FORM: Final = "application/x-www-form-urlencoded"
#: By how many seconds servers let clocks differ; most of them five minutes.
ALLOWED: Final = 240.0
#: Parameter of the file → argument of oauthlib's client.
_NAMES: Final = {
    "client_key": "client_key",
    "client_secret": "client_secret",
    "token": "resource_owner_key",
    "token_secret": "resource_owner_secret",
    "private_key": "rsa_key",
    "callback": "callback_uri",
    "verifier": "verifier",
    "realm": "realm",
}


class OAuth1(Signer):
    takes = ("!client_key", *(name for name in _NAMES if name != "client_key"), "method")
    hears = REFUSES

    def __init__(self) -> None:
        self._clocks = Clocks()
        self._seen: set[str] = set()

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        method = str(signing.parameters.get("method", METHODS[0]))
        if method not in METHODS:
            raise ConfigurationError(f"sign.oauth1: unknown method {method!r}: there are {', '.join(METHODS)}")
        if method == "PLAINTEXT" and request.url.startswith("http://"):
            raise ConfigurationError("sign.oauth1: PLAINTEXT shows the secrets, and is for https alone")
        if method.startswith("RSA") and not signing.parameters.get("private_key"):
            raise ConfigurationError(f"sign.oauth1: {method} signs with a private_key")
        now = int(self._clocks.at(request.url, signing.now))
        return _signed(request, signing.parameters, method, secrets.token_hex(16), str(now))

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        said = _said(request)
        signed_at = float(said["oauth_timestamp"]) if "oauth_timestamp" in said else None
        return self._clocks.differs(answer, request.url, signing.now, signed_at, ALLOWED)

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        said = _said(request)
        nonce, stamp = said.get("oauth_nonce", ""), said.get("oauth_timestamp", "")
        if not nonce or not stamp.isdigit() or nonce in self._seen:
            return False
        if abs(float(stamp) - signing.now) > ALLOWED:
            return too_far(401, b"timestamp_refused", signing.now)
        again = _signed(request, signing.parameters, str(signing.parameters.get("method", METHODS[0])), nonce, stamp)
        right = again["Authorization"] == _authorization(request)
        if right:
            self._seen.add(nonce)
        return right


def _signed(request: Request, parameters: Mapping[str, Any], method: str, nonce: str, stamp: str) -> dict[str, str]:
    from oauthlib.oauth1 import Client

    given = {_NAMES[name]: str(value) for name, value in parameters.items() if name in _NAMES}
    client: Any = Client(**given, signature_method=method, nonce=nonce, timestamp=stamp)
    kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    form = kind.partition(";")[0].strip().lower() == FORM and bool(request.body)
    body = request.body.decode("utf-8", "replace") if form and request.body else None
    _, headers, _ = client.sign(
        request.url.partition("#")[0],
        request.method.upper(),
        body,
        {"Content-Type": FORM} if form else {},
        given.get("realm"),
    )
    return {"Authorization": str(headers["Authorization"])}


def _authorization(request: Request) -> str:
    return next((value for name, value in request.headers if name.lower() == "authorization"), "")


def _said(request: Request) -> dict[str, str]:
    found = re.findall(r'(\w+)="([^"]*)"', _authorization(request))
    return {name: unquote(value) for name, value in found if _authorization(request).startswith("OAuth ")}
