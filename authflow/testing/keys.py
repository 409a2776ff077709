"""The keys of a simulated vendor: what its JWTs are signed with, and the set in which it publishes them (RFC 7517).

A vendor with `[verify]` signs with Ed25519 (RFC 8037), whose signatures are the same in every run; any other with a
secret of its own, which nobody checks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from authflow.http import Answer
from authflow.vendors import Vendor


def proved_by(vendor: Vendor) -> list[str]:
    """The names that an answer brings and `[verify]` uses: where the keys are, and what `iss` and `aud` must be."""
    if (verify := vendor.verify) is None:
        return []
    named = [*verify.jwks_url.between[: verify.jwks_url.starts_with_placeholder]]
    for template in filter(None, (verify.issuer, verify.audience)):
        named += template.placeholders()
    return [placeholder.name for placeholder in named if placeholder.name not in vendor.inputs]


class Keys:
    """Signs claims. `turn` makes a new key and publishes it alone; `forging`: the next token is signed by another."""

    def __init__(self, vendor: Vendor, seed: str) -> None:
        self.wanted = vendor.verify
        self._seed = seed
        self._number = 1
        self.forging = False
        #: The tokens that another has signed.
        self.forged: set[str] = set()

    def turn(self) -> None:
        self._number += 1

    def sign(self, claims: Mapping[str, Any], known: Mapping[str, Any]) -> str:
        """A JWT with these claims, and those that `[verify]` asks for, filled from the values that are `known`."""
        import jwt

        if self.wanted is None:
            return jwt.encode(dict(claims), self._secret("tokens"), algorithm="HS256")
        asked = {"iss": self.wanted.issuer, "aud": self.wanted.audience}
        more = {name: template.render(known) for name, template in asked.items() if template is not None}
        signer = "a stranger" if self.forging else self._name
        token = jwt.encode({**claims, **more}, self._key(signer), algorithm="EdDSA", headers={"kid": self._name})
        if self.forging:
            self.forging = False
            self.forged.add(token)
        return token

    def published(self) -> Answer:
        """The key set."""
        from jwt.algorithms import OKPAlgorithm

        document = OKPAlgorithm.to_jwk(self._key(self._name).public_key(), as_dict=True)
        keys = {"keys": [{**document, "kid": self._name, "use": "sig", "alg": "EdDSA"}]}
        return Answer(200, (("Content-Type", "application/json"),), json.dumps(keys).encode())

    def proves(self, token: str) -> bool:
        """Is the key that signed it still published, where `[verify]` asks?"""
        import jwt

        return self.wanted is None or jwt.get_unverified_header(token).get("kid") == self._name

    @property
    def _name(self) -> str:
        return f"key-{self._number}"

    def _secret(self, name: str) -> bytes:
        return hashlib.sha256(f"{self._seed}/{name}".encode()).digest()

    def _key(self, name: str) -> Any:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self._secret(name))
