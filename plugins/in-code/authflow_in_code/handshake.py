"""A login with a proof instead of a password, after RFC 5802: a step in code.

    begin   {username}          ──▶  {salt, rounds, challenge}
    finish  {username, proof}   ──▶  {access, expires_in}         proof = HMAC(PBKDF2(password, salt), challenge)

The last answer is judged by the vendor file; so is the first, where it is a refusal.
"""

import hashlib
import hmac
import importlib.resources
import json
from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable
from typing import Any

import authflow
from authflow.http import Answer, Request
from authflow.vendors import Vendor

NAME = "handshake"
#: A vendor that asks for more is not obeyed: it would keep this machine busy.
MOST_ROUNDS = 1_000_000


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__package__) / "handshake.toml"]


@authflow.hookimpl
def authflow_exchange(
    vendor: Vendor, exchange: str, request: Request, values: Mapping[str, Any], send: Callable[[Request], Answer]
) -> Answer | None:
    if (vendor.name, exchange) != (NAME, "login"):
        return None
    begun = send(request)
    if begun.status != 200:
        return begun
    asked = begun.json
    body = {"username": values["username"], "proof": proof(values["password"], **asked)}
    url = request.url.removesuffix("begin") + "finish"
    return send(request.replace(url=url, body=json.dumps(body).encode()))


def proof(password: str, salt: str, rounds: int, challenge: str) -> str:
    """What vendor and session both compute, in hexadecimal. Raises ValueError."""
    if not 0 < rounds <= MOST_ROUNDS:
        raise ValueError(f"the vendor asks for {rounds} rounds")
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), bytes.fromhex(salt), rounds)
    return hmac.new(key, challenge.encode(), hashlib.sha256).hexdigest()
