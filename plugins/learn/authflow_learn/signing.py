"""Signatures: what each request carries anew, tried out with a secret that you name. Pure.

A signature is a digest or an HMAC of parts of its own request (method, path, query, body and its digest, a time, a
nonce, a key's id) and of a secret that never travels. Joined in the right order, the parts give it: found in one
request, and seen to hold in all others.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from authflow_learn import names, users
from authflow_learn.leaves import Leaf, Place
from authflow_learn.tracing import Flow, Key, Learnt

_LOOKS: Final = re.compile(r"[0-9a-f]{32,128}|[0-9A-F]{32,128}|[A-Za-z0-9+/]{22,88}={0,2}")
_DIGESTS: Final = ("sha256", "sha1", "sha512", "md5")
_BETWEEN: Final = ("", "\n", ":", "|", ".", "&", ",")
#: Parts in one message; more are tried without anything between them only.
_MOST: Final = 4


class Signature(NamedTuple):
    """Where it stands, and how it is made: parts by name, what stands between them, the function, its spelling."""

    place: Place
    parts: tuple[str, ...]
    between: str
    digest: str
    encoding: str
    key: str


def of(flow: Flow, result: Learnt) -> bool:
    """Fill `result` where requests carry a signature that a named secret makes."""
    travelled = {leaf.value for leaves in flow.requests for leaf in leaves}
    secrets = {name: value for name, value in flow.known.items() if value not in travelled}
    good = [at for at, one in enumerate(flow.captures) if one.status < 400]
    if not secrets or not good:
        return False
    good = [at for at in good if flow.requests[at]]
    for leaf in flow.requests[good[0]] if good else ():
        if not _LOOKS.fullmatch(leaf.value) or leaf.place[0] not in ("headers", "query") or leaf.converter:
            continue
        found = next((one for one in _tried(flow, good[0], leaf, secrets) if _holds(flow, one, good, secrets)), None)
        if found is not None:
            _write(flow, result, found, good, leaf)
            return True
    return False


def _parts(flow: Flow, at: int, place: Place) -> dict[str, str]:
    """The parts of a request that may be signed, by name, without the signature itself."""
    one = flow.captures[at]
    target = urlsplit(one.url)
    whole = target.path + (f"?{target.query}" if target.query else "")
    found = {"request.method": one.method, "request.target": whole, "request.path": target.path}
    if target.query:
        found["request.query"] = target.query
    if one.request.body:
        found["request.body"] = one.request.body
    found["request.host"] = target.netloc
    for leaf in _carried(flow, at):
        if leaf.place != place:
            found[_named(flow, leaf)] = leaf.value
    return found


def _carried(flow: Flow, at: int) -> Iterator[Leaf]:
    for leaf in flow.requests[at]:
        if leaf.place[0] in ("headers", "query") and leaf.whole and not leaf.converter and leaf.value:
            if leaf.place[0] == "query" and not _own(flow, leaf):
                continue
            yield leaf


def _own(flow: Flow, leaf: Leaf) -> bool:
    """Does this part of a query belong to the signature, and not to what is asked for?"""
    return leaf.value in flow.known.values() or users.made_anew(leaf, varies=False) is not None


def _named(flow: Flow, leaf: Leaf) -> str:
    known = {value: name for name, value in flow.known.items()}
    return known.get(leaf.value) or names.identifier(leaf.name, ())


def _tried(flow: Flow, at: int, leaf: Leaf, secrets: dict[str, str]) -> Iterator[Signature]:
    parts = _parts(flow, at, leaf.place)
    body = _bytes(flow.captures[at].request.body)
    hashes = {f"hash:{digest}": hashlib.new(digest, body).hexdigest() for digest in _DIGESTS[:1]}
    size = len(leaf.value)
    for name, secret in secrets.items():
        for count in range(1, _MOST + 1):
            for chosen in itertools.permutations([*parts, *hashes], count):
                texts = [parts.get(part) or hashes.get(part, "") for part in chosen]
                for between in _BETWEEN if count > 1 else ("",):
                    for digest, encoding, said in _spelled(between.join(texts), secret, size):
                        if said == leaf.value:
                            yield Signature(leaf.place, chosen, between, digest, encoding, name)


def _spelled(message: str, secret: str, size: int) -> Iterator[tuple[str, str, str]]:
    for digest in _DIGESTS:
        length = hashlib.new(digest).digest_size
        if size not in (length * 2, -(-length // 3) * 4):
            continue
        data = hmac.new(secret.encode(), _bytes(message), digest).digest()
        yield digest, "hex", data.hex()
        yield digest, "base64", base64.b64encode(data).decode()


def _holds(flow: Flow, found: Signature, ats: list[int], secrets: dict[str, str]) -> bool:
    """Is it so in every request that carries one?"""
    for at in ats:
        leaf = next((one for one in flow.requests[at] if one.place == found.place), None)
        if leaf is None:
            continue
        parts = _parts(flow, at, found.place)
        body = _bytes(flow.captures[at].request.body)
        parts |= {f"hash:{digest}": hashlib.new(digest, body).hexdigest() for digest in _DIGESTS}
        text = found.between.join(parts.get(part, "") for part in found.parts)
        said = _spelled(text, secrets[found.key], len(leaf.value))
        if (found.digest, found.encoding, leaf.value) not in set(said):
            return False
    return True


def _bytes(text: str) -> bytes:
    """As they were sent, where they are no text."""
    return text.encode("utf-8", "surrogateescape")


def _write(flow: Flow, result: Learnt, found: Signature, ats: list[int], leaf: Leaf) -> None:
    """The rows of `[derive]`, and what each request carries."""
    values = {one.place: one for one in _carried(flow, ats[0]) if one.place != found.place}
    for one in values.values():
        name = _named(flow, one)
        made = users.made_anew(one, varies=True)
        if name in flow.known:
            result.credentials[name] = names.is_secret(name)
            result.secrets |= {one.value} if names.is_secret(name) else set()
        elif made is not None:
            result.derived[name] = made
        else:
            continue
        flow.names[one.value] = name
        result.presented[Key.of(one)] = name
    for digest in (part.partition(":")[2] for part in found.parts if part.startswith("hash:")):
        result.derived["body_hash"] = {digest: "{request.body}"}
    texts = ["{body_hash}" if part.startswith("hash:") else "{" + part + "}" for part in found.parts]
    row = {"key": "{" + found.key + "}", "message": found.between.join(texts)}
    row |= {"digest": found.digest} if found.digest != "sha256" else {}
    row |= {"encoding": found.encoding} if found.encoding != "hex" else {}
    signature = names.identifier(leaf.name, [*flow.names.values(), *result.derived])
    result.derived[signature] = {"hmac": row}
    flow.names[leaf.value] = signature
    result.presented[Key.of(leaf)] = signature
    result.credentials[found.key] = True
    result.secrets |= {flow.known[found.key]}
    result.direct = tuple(result.credentials)
