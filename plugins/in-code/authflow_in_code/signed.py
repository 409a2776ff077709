"""A signature over every request: method, target, date and body, with HMAC-SHA256 (RFC 2104), in a header.

The file puts date and key on each request, so that all that is signed can be seen in the request itself.
"""

import hashlib
import hmac
import importlib.resources
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

import authflow
from authflow.http import Request
from authflow.vendors import Vendor

NAME = "signed"


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__package__) / "signed.toml"]


@authflow.hookimpl
def authflow_sign(vendor: Vendor, request: Request, values: Mapping[str, Any]) -> Mapping[str, str] | None:
    if vendor.name != NAME:
        return None
    headers = {name.lower(): value for name, value in request.headers}
    parts = urlsplit(request.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return {"X-Signature": signature(values["key"], request.method, target, headers["x-date"], request.body or b"")}


def signature(key: str, method: str, target: str, date: str, body: bytes) -> str:
    """What vendor and session both compute, in hexadecimal."""
    lines = [method.upper(), target, date, hashlib.sha256(body).hexdigest()]
    return hmac.new(key.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()
