"""DPoP (RFC 9449): a JWT beside the token, signed with the key to which the token is bound.

The key is made with the first login, lies beside the grant as its refresh token does, and goes with it to every process
that shares the store. Which nonce a server wants (§8, §9) its answers say.

    private_key    a key of your own, as a PEM, where the vendor has registered one
    algorithm      what such a key signs with, where that is not plain: "PS256" for an RSA key, say
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from authflow.plugins import Answer, ConfigurationError, Request, Signer, Signing
from authflow_signers.clocks import REFUSES, Clocks, too_far

#: The kinds of key, and what each signs with unless told (RFC 7518 §3.1, RFC 8037).
_ALGORITHMS: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "RSA": "RS256"}
#: The parts of a public key that make its thumbprint (RFC 7638 §3.2, RFC 8037 §2).
_MEMBERS: Final = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
#: Servers let a proof's time differ by so many seconds, or by more.
ALLOWED: Final = 60.0
#: How long a nonce of the simulator's serves: one such time and the next.
_TURNS: Final = 60.0


class Dpop(Signer):
    takes = ("private_key", "algorithm")
    hears, hears_headers = REFUSES, ("dpop-nonce",)

    def __init__(self) -> None:
        self._nonces: dict[str, str] = {}
        self._clocks = Clocks()
        #: The vendor's side: what nonces are made of, and the proofs that were seen.
        self._secret, self._seen = os.urandom(16), set[str]()

    def keeps(self, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        if stored:
            if not isinstance(stored.get("key"), str):
                raise ValueError("no key")
            _key(stored["key"], "")
            return {"key": stored["key"]}
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        made = ec.generate_private_key(ec.SECP256R1())
        return {"key": made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()}

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str]:
        import jwt

        pem = signing.parameters.get("private_key") or signing.kept.get("key")
        if not pem:
            raise ConfigurationError("sign.dpop: no login has made a key: give one, private_key")
        key, algorithm, public = _key(str(pem), str(signing.parameters.get("algorithm", "")))
        claims: dict[str, Any] = {
            "jti": os.urandom(12).hex(),
            "htm": request.method.upper(),
            "htu": _target(request.url),
            "iat": int(self._clocks.at(request.url, signing.now)),
        }
        if (nonce := self._nonces.get(urlsplit(request.url).netloc)) is not None:
            claims["nonce"] = nonce
        if (token := _token(request)) is not None:
            claims["ath"] = _hash(token)
        return {"DPoP": jwt.encode(claims, key, algorithm, {"typ": "dpop+jwt", "jwk": public})}

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        nonces = answer.all("dpop-nonce")
        if nonces:
            self._nonces[urlsplit(request.url).netloc] = nonces[-1]
        if answer.status not in REFUSES:
            return False
        sent = _claims(request)
        if answer.status != 403 and "use_dpop_nonce" in _errors(answer):
            return bool(nonces) and sent.get("nonce") != nonces[-1]
        return self._clocks.differs(answer, request.url, signing.now, sent.get("iat"), ALLOWED)

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        import jwt

        proofs, token = [value for name, value in request.headers if name.lower() == "dpop"], _token(request)
        try:
            head = jwt.get_unverified_header(proofs[0])
            public = jwt.PyJWK(head["jwk"])
            sent = jwt.decode(proofs[0], public, [public.algorithm_name], options={"verify_iat": False})
        except (jwt.PyJWTError, KeyError, IndexError):
            return False
        right = head.get("typ") == "dpop+jwt" and len(proofs) == 1 and "d" not in head["jwk"]
        right = right and (sent.get("htm"), sent.get("htu")) == (request.method.upper(), _target(request.url))
        right = right and sent.get("ath") == (None if token is None else _hash(token)) and bool(sent.get("jti"))
        if not right or sent["jti"] in self._seen:
            return False
        now = signing.now
        if sent.get("nonce") not in (self._nonce(now), self._nonce(now - _TURNS)):
            headers = [("DPoP-Nonce", self._nonce(now)), ("Content-Type", "application/json")]
            headers += [] if token is None else [("WWW-Authenticate", 'DPoP error="use_dpop_nonce"')]
            return Answer(400 if token is None else 401, tuple(headers), b'{"error": "use_dpop_nonce"}')
        if abs(sent.get("iat", 0) - now) > ALLOWED:
            return too_far(400 if token is None else 401, b'{"error": "invalid_dpop_proof"}', now)
        self._seen.add(sent["jti"])
        thumbprint = _thumbprint(head["jwk"])
        return bool(signing.kept.setdefault("jkt", thumbprint) == thumbprint)

    def _nonce(self, now: float) -> str:
        return hmac.digest(self._secret, str(int(now // _TURNS)).encode(), "sha256").hex()[:24]


@lru_cache(maxsize=1024)
def _key(pem: str, algorithm: str) -> tuple[Any, str, dict[str, str]]:
    """The key, what it signs with, and its public half as a JWK (RFC 7517). Raises ValueError."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    text = pem.replace("\\n", "\n") if pem.lstrip().startswith("-----BEGIN") else pem
    key: Any = load_pem_private_key(text.encode(), None)
    kinds: tuple[tuple[Any, Any], ...] = (
        (ec.EllipticCurvePrivateKey, ECAlgorithm),
        (ed25519.Ed25519PrivateKey, OKPAlgorithm),
        (rsa.RSAPrivateKey, RSAAlgorithm),
    )
    way = next((way for kind, way in kinds if isinstance(key, kind)), None)
    if way is None:
        raise ValueError("a key that signs no JWT")
    whole = json.loads(way.to_jwk(key.public_key()))
    usual = _ALGORITHMS[whole.get("crv", whole["kty"])]
    return key, algorithm or usual, {name: whole[name] for name in _MEMBERS[whole["kty"]]}


def _thumbprint(public: Mapping[str, Any]) -> str:
    """RFC 7638."""
    members = {name: public.get(name) for name in _MEMBERS.get(str(public.get("kty")), ())}
    return _hash(json.dumps(members, separators=(",", ":"), sort_keys=True))


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _target(url: str) -> str:
    """The URL without query and fragment (RFC 9449 §4.2)."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", "", ""))


def _token(request: Request) -> str | None:
    """The access token that the request carries."""
    said = next((value for name, value in request.headers if name.lower() == "authorization"), "")
    scheme, _, token = said.partition(" ")
    return token.strip() if scheme.lower() == "dpop" else None


def _claims(request: Request) -> dict[str, Any]:
    """What was said in the proof of a request."""
    import jwt

    proof = next((value for name, value in request.headers if name.lower() == "dpop"), "")
    try:
        claims: dict[str, Any] = jwt.decode(proof, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims


def _errors(answer: Answer) -> set[Any]:
    """The error, of a token endpoint in JSON (§8), of any other server in its challenge (§9)."""
    found: set[Any] = {challenge.get("error") for challenge in answer.challenges}
    try:
        document = answer.json
    except ValueError:
        document = None
    return found | ({document.get("error")} if isinstance(document, dict) else set())
