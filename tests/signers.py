"""A signer for tests, and a strict server of it: an HMAC over method, target and body, with a nonce from the answer to
the request before, and a key of its own for each grant.

    Nonce: n-1                          what the server wants signed next; at first nobody knows it
    X-Sign: n-1 <key's hash> <hmac>     what the signer adds
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from authflow.http import Answer, Request
from authflow.plugins import Signer, Signing, hookimpl, manager
from tests.servers import Came, Says

SECRET = "a-secret-that-signs"


def signature(secret: str, key: str, nonce: str, method: str, target: str, body: bytes | None) -> str:
    text = f"{key} {nonce} {method} {target}".encode() + (b" a stream" if body is None else b" " + body)
    return f"{nonce} {key} {hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()}"


class Nonced(Signer):
    takes = ("!secret",)

    def __init__(self) -> None:
        self.nonces: dict[str, str] = {}

    def keeps(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        if not stored:
            return {"key": secrets.token_hex(8)}
        if not isinstance(stored.get("key"), str) or len(stored["key"]) != 16:
            raise ValueError("no key")
        return {"key": stored["key"]}

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        nonce = self.nonces.get(parts.netloc, "none")
        key = signing.kept.get("key", "no-key")
        return {
            "X-Sign": signature(signing.parameters["secret"], key, nonce, request.method, target, request.body),
        }

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        for nonce in answer.all("nonce"):
            self.nonces[urlsplit(request.url).netloc] = nonce
        sent = next((value for name, value in request.headers if name.lower() == "x-sign"), "")
        return answer.status == 401 and bool(answer.all("nonce")) and sent.split()[0] not in answer.all("nonce")

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        sent = next((value for name, value in request.headers if name.lower() == "x-sign"), "")
        nonce, key, _ = [*sent.split(), "", "", ""][:3]
        wanted = f"turn-{id(self)}-{signing.now // 60:.0f}"
        if nonce != wanted:
            return Answer(401, (("Nonce", wanted),))
        parts = urlsplit(request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        made = [
            signature(str(signing.parameters["secret"]), key, nonce, request.method, target, body)
            for body in (request.body or b"", None)
        ]
        return sent in made and signing.kept.setdefault("key", key) == key


class Plugin:
    """Brings it, as `sign.nonced`; and others that a test wants."""

    def __init__(self, **more: type[Signer]) -> None:
        self.signers = {"nonced": Nonced, **more}

    @hookimpl
    def authflow_signers(self) -> Mapping[str, type[Signer]]:
        return self.signers


@contextmanager
def installed(**more: type[Signer]) -> Iterator[None]:
    one = Plugin(**more)
    manager().register(one)
    try:
        yield
    finally:
        manager().unregister(one)


class Strict:
    """What a server of `sign.nonced` answers. `turns`: the requests after each of which it wants another nonce."""

    def __init__(self, says: Callable[[Came], Says] | None = None, turns: int = 1_000_000) -> None:
        self.says = says or (lambda came: Says(200, {"received": len(came.body)}))
        self.turns, self.number, self.uses = turns, 1, 0
        #: The keys that it was shown, and what was asked, with the status of each answer.
        self.keys: list[str] = []
        self.log: list[tuple[str, int]] = []
        #: The paths of the requests whose bodies were not in their signatures.
        self.unseen: list[str] = []

    def __call__(self, came: Came) -> Says:
        said = self._judged(came)
        self.log.append((came.path, said.status))
        return said

    def _judged(self, came: Came) -> Says:
        nonce, key, _ = [*came.headers.get("x-sign", "").split(), "", "", ""][:3]
        self.uses += 1
        if self.uses > self.turns:
            self.number, self.uses = self.number + 1, 0
        if nonce != f"n-{self.number}":
            return Says(401, headers={"Nonce": f"n-{self.number}"})
        made = [signature(SECRET, key, nonce, came.method, came.target, body) for body in (came.body, None)]
        if came.headers["x-sign"] not in made:
            return Says(403)
        if came.headers["x-sign"] == made[1]:
            self.unseen.append(came.path)
        self.keys.append(key)
        return self.says(came)
