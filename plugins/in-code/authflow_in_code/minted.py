"""An assertion minted for each login: claims in JSON, signed with Ed25519 (RFC 8032), as two parts of base64url.

A function for `[derive]`, so that the vendor file says what goes into it and where it is sent.
"""

import base64
import importlib.resources
import json
import uuid
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import authflow
from authflow.vendors import Function


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__package__) / "minted.toml"]


@authflow.hookimpl
def authflow_functions() -> Mapping[str, Function]:
    return {"ed25519_assertion": Function(mint, volatile=True)}


def mint(argument: Any, now: float) -> str:
    """An assertion that is good for `lifetime` seconds (60). Raises ValueError, KeyError."""
    key = load_pem_private_key(argument["key"].encode(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("not an Ed25519 key")
    claims = {
        "subject": argument["subject"],
        "audience": argument["audience"],
        "until": int(now + argument.get("lifetime", 60)),
        "nonce": uuid.uuid4().hex,
    }
    text = _base64url(json.dumps(claims).encode())
    return f"{text}.{_base64url(key.sign(text.encode()))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
