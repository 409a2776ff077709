"""A signature over every request: method, target, date and body, with HMAC-SHA256 (RFC 2104), in a header.

The file puts date and key on each request, so that all that is signed can be seen in the request itself, and names the
signer: `sign.x-signature`.
"""

import hashlib
import hmac
import importlib.resources
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

from authflow.plugins import Request, Signer, Signing, hookimpl


class XSignature(Signer):
    takes = ("!key",)

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        headers = {name.lower(): value for name, value in request.headers}
        parts = urlsplit(request.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        key, date, body = signing.parameters["key"], headers["x-date"], request.body or b""
        return {"X-Signature": signature(key, request.method, target, date, body)}


@hookimpl
def authflow_signers() -> Mapping[str, type[Signer]]:
    return {"x-signature": XSignature}


@hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__package__) / "signed.toml"]


def signature(key: str, method: str, target: str, date: str, body: bytes) -> str:
    """What vendor and session both compute, in hexadecimal."""
    lines = [method.upper(), target, date, hashlib.sha256(body).hexdigest()]
    return hmac.new(key.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
