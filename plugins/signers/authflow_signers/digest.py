"""HTTP Digest (RFC 7616): a hash over password, method and target, with a nonce from the server's challenge.

The first request is sent without, and its answer says how to sign; from then on each request is signed at once, and
counts the nonce's uses, until the server gives another.

    username, password
    qop     "auth-int": the body is hashed too, where the server offers that; it is in any case where it offers no other
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from authflow.http import parse_challenges
from authflow.plugins import Answer, ConfigurationError, Request, Signer, Signing

#: Name → the hash (RFC 7616 §3.3, and RFC 2617 for those that are older).
HASHES: Final = {"md5": "md5", "sha-256": "sha256", "sha-512-256": "sha512_256"}
#: How long a nonce of the simulator's serves: one such time and the next.
_TURNS: Final = 60.0


@dataclass(slots=True, eq=False)
class Challenge:
    """What a server asks for, and how often its nonce was used. `cnonce` is that of a session (`-sess`)."""

    said: Mapping[str, str]
    cnonce: str = field(default_factory=lambda: secrets.token_hex(12))
    count: Any = field(default_factory=lambda: itertools.count(1))
    #: How often it was used: more than once, and the server has taken it; a refusal means then that its time is over.
    uses: int = 0

    @property
    def algorithm(self) -> str:
        return self.said.get("algorithm") or "MD5"


class Digest(Signer):
    takes = ("!username", "!password", "qop")
    hears, hears_headers = frozenset({401}), ("authentication-info",)

    def __init__(self) -> None:
        self._challenges: dict[str, Challenge] = {}
        #: The vendor's side: what nonces are made of, and how they were used.
        self._secret, self._seen = os.urandom(16), set[tuple[str, str]]()

    def sign(self, request: Request, signing: Signing) -> Mapping[str, str] | None:
        challenge = self._challenges.get(urlsplit(request.url).netloc)
        if challenge is None:
            return None
        parameters = signing.parameters
        said, user, password = challenge.said, str(parameters["username"]), str(parameters["password"])
        session = challenge.algorithm.lower().endswith("-sess")
        challenge.uses = uses = next(challenge.count)
        used = {
            "realm": said.get("realm", ""),
            "nonce": said["nonce"],
            "uri": _target(request.url),
            "algorithm": challenge.algorithm,
            "qop": _protection(said, str(parameters.get("qop", "auth")), request),
            "nc": f"{uses:08x}",
            "cnonce": challenge.cnonce if session else secrets.token_hex(12),
        }
        response = answered(used, user, password, request)
        hashed = said.get("userhash", "").lower() == "true"
        name = _hash(challenge.algorithm)(f"{user}:{used['realm']}") if hashed else user
        out = [_quoted("username", name) if name.isascii() else f"username*=UTF-8''{quote(name, safe='')}"]
        out += [_quoted(part, used[part]) for part in ("realm", "nonce", "uri")] + [_quoted("response", response)]
        out += [f"algorithm={said['algorithm']}"] if said.get("algorithm") else []
        out += [_quoted("opaque", said["opaque"])] if "opaque" in said else []
        if used["qop"]:
            out += [f"qop={used['qop']}", f"nc={used['nc']}", _quoted("cnonce", used["cnonce"])]
        elif session:
            out += [_quoted("cnonce", used["cnonce"])]
        out += ["userhash=true"] if hashed else []
        return {"Authorization": f"Digest {', '.join(out)}"}

    def heard(self, answer: Answer, request: Request, signing: Signing) -> bool:
        place, used = urlsplit(request.url).netloc, _said(request).get("nonce")
        before = self._challenges.get(place)
        with_this = before if before is not None and before.said["nonce"] == used else None
        if answer.status != 401:
            for line in answer.all("authentication-info") if with_this is not None else ():
                told: dict[str, str] = dict(*parse_challenges(f"Digest {line}")[:1])
                if with_this is not None and told.get("nextnonce"):
                    said = {**with_this.said, "nonce": told["nextnonce"]}
                    self._challenges[place] = Challenge(said)
            return False
        fresh = next((one for one in answer.challenges if _understood(one)), None)
        if fresh is None:
            return False
        self._challenges[place] = Challenge(fresh)
        if used is None or with_this is None or with_this.uses > 1:
            return True
        return fresh.get("stale", "").lower() == "true" or fresh.get("realm") != with_this.said.get("realm")

    def check(self, request: Request, signing: Signing) -> bool | Answer:
        said, now = _said(request), signing.now
        if not said:
            return self._challenge(now)
        right = hmac.compare_digest(
            said.get("response", ""),
            answered(said, str(signing.parameters["username"]), str(signing.parameters["password"]), request),
        )
        if not right or said.get("uri") != _target(request.url):
            return False
        use = said.get("nonce", ""), said.get("nc", "")
        if use[0] not in (self._nonce(now), self._nonce(now - _TURNS)) or use in self._seen:
            return self._challenge(now, ", stale=true")
        self._seen.add(use)
        return True

    def _nonce(self, now: float) -> str:
        return hmac.digest(self._secret, str(int(now // _TURNS)).encode(), "sha256").hex()[:24]

    def _challenge(self, now: float, more: str = "") -> Answer:
        line = f'Digest realm="simulated", nonce="{self._nonce(now)}", qop="auth, auth-int", algorithm=SHA-256{more}'
        return Answer(401, (("WWW-Authenticate", line),))


def answered(used: Mapping[str, str], user: str, password: str, request: Request) -> str:
    """The `response` (RFC 7616 §3.4.1; §3.4.2 for `-sess`; RFC 2069 where there is no `qop`)."""
    algorithm = used.get("algorithm") or "MD5"
    hashed = _hash(algorithm)
    who = hashed(f"{user}:{used.get('realm', '')}:{password}")
    if algorithm.lower().endswith("-sess"):
        who = hashed(f"{who}:{used.get('nonce')}:{used.get('cnonce')}")
    what = f"{request.method.upper()}:{used.get('uri')}"
    if used.get("qop") == "auth-int":
        what += f":{hashed(request.body or b'')}"
    middle = [used["nc"], used["cnonce"], used["qop"]] if used.get("qop") else []
    return hashed(":".join([who, used.get("nonce", ""), *middle, hashed(what)]))


def _hash(algorithm: str) -> Callable[[str | bytes], str]:
    name = HASHES[algorithm.lower().removesuffix("-sess")]

    def hashed(text: str | bytes) -> str:
        data = text.encode() if isinstance(text, str) else text
        return hashlib.new(name, data, usedforsecurity=False).hexdigest()

    return hashed


def _understood(challenge: Mapping[str, str]) -> bool:
    name = (challenge.get("algorithm") or "MD5").lower().removesuffix("-sess")
    return (
        challenge["scheme"].lower() == "digest"
        and "nonce" in challenge
        and HASHES.get(name) in hashlib.algorithms_available
    )


def _protection(said: Mapping[str, str], wanted: str, request: Request) -> str:
    """`auth`, `auth-int`, or nothing where the server knows neither (RFC 2069)."""
    offered = [part.strip().lower() for part in said.get("qop", "").split(",") if part.strip()]
    if not offered:
        return ""
    if "auth-int" in offered and (wanted == "auth-int" or "auth" not in offered):
        if request.body is not None:
            return "auth-int"
        if "auth" not in offered:
            raise ConfigurationError(
                "sign.digest: the server wants the body in the signature, and this one is a stream"
            )
    return "auth"


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _quoted(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def _said(request: Request) -> dict[str, str]:
    line = next((value for name, value in request.headers if name.lower() == "authorization"), "")
    found = next((one for one in parse_challenges(line) if one["scheme"].lower() == "digest"), {})
    return found if "response" in found else {}
