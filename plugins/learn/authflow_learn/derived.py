"""What a login sends is made of what is known: digests, HMACs, base64, one-time codes, tried out. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from authflow.templates import CONVERTERS
from authflow.vendors import FUNCTIONS
from authflow_learn import names

if TYPE_CHECKING:
    from authflow_learn.tracing import Flow

_DIGEST: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}|[A-Za-z0-9+/]{8,}={0,2}")
#: A public RSA key: a PEM, or base64 of its DER.
_KEY: Final = re.compile(r"-----BEGIN (?:RSA )?PUBLIC KEY|MII[B-J][A-Za-z0-9+/]")


class Made(NamedTuple):
    """A function of `[derive]`, its message as words and what stands between, and the words; `key` is an HMAC's."""

    function: str
    encoding: str
    between: str
    words: tuple[str, ...]
    key: str = ""

    def row(self, names: Mapping[str, str]) -> dict[str, Any]:
        if self.function == "enveloped":
            text = self.between
            for number, word in enumerate(self.words):
                text = text.replace(
                    f"\0{number}\0", "{" + names[word] + (f":{self.encoding}" if self.encoding else "") + "}"
                )
            return {"base64": text}
        template = self.between.join("{" + names[word] + "}" for word in self.words if word != self.key)
        more = {"encoding": self.encoding} if self.encoding else {}
        if self.function == "rsa":
            return {"rsa": {"key": "{" + names[self.key] + "}", "message": template, "padding": "pkcs1"}}
        if self.key:
            digest = {} if self.function == "sha256" else {"digest": self.function}
            return {"hmac": {"key": "{" + names[self.key] + "}", "message": template, **digest, **more}}
        return {self.function: {"message": template, **more} if more else template}


def made(flow: Flow, at: int) -> dict[str, Made]:
    """What of a request is a digest or base64 of known values, and of what answers brought not long before."""
    looked = {leaf.value for leaf in flow.requests[at] if _DIGEST.fullmatch(leaf.value) and leaf.value not in flow.born}
    if not flow.known:
        return {}
    codes = _codes(flow, at) | _encrypted(flow, at) | _enveloped(flow, at)
    if not looked:
        return codes
    brought = [leaf.value for one in flow.answers[max(0, at - 12) : at] for leaf in one if leaf.value in flow.born]
    words = list(dict.fromkeys([*flow.known.values(), *(value for value in brought[-24:] if len(value) <= 256)]))
    found: dict[str, Made] = codes
    for count in (1, 2, 3):
        for chosen in itertools.permutations(words, count):
            if not any(word in flow.known.values() for word in chosen) or (count == 3 and len(words) > 8):
                continue
            for between in ("", ":", "|") if count > 1 else ("",):
                for text, function, encoding in _spelled(between.join(chosen), pair=count == 2):
                    if text in looked:
                        found.setdefault(text, Made(function, encoding, between, chosen))
                if count > 1 and chosen[0] in flow.known.values():
                    for text, function, encoding in _spelled(between.join(chosen[1:]), key=chosen[0]):
                        if text in looked:
                            found.setdefault(text, Made(function, encoding, between, chosen, chosen[0]))
    return found


def _codes(flow: Flow, at: int) -> dict[str, Made]:
    """One-time codes of a known secret (RFC 6238), at the time of the request."""
    sent = {leaf.value for leaf in flow.requests[at] if re.fullmatch(r"\d{6}|\d{8}", leaf.value)}
    found: dict[str, Made] = {}
    for word in flow.known.values() if sent and flow.captures[at].at else ():
        for late in range(-4, 5):
            try:
                code = totp(word, flow.captures[at].at + 30 * late)
            except ValueError:
                break
            if code in sent:
                found[code] = Made("totp", "", "", (word,))
    return found


def _encrypted(flow: Flow, at: int) -> dict[str, Made]:
    """What is as long as an RSA key encrypts that an answer brought before: a known password, it seems."""
    hidden = next((value for name, value in flow.known.items() if names.is_password(name)), None)
    keys = [
        leaf.value for before in range(at) for leaf in flow.answers[before] if leaf.whole and _KEY.match(leaf.value)
    ]
    if hidden is None or not keys:
        return {}
    long = [leaf.value for leaf in flow.requests[at] if re.fullmatch(r"[A-Za-z0-9+/]{171,683}={0,2}", leaf.value)]
    rsa = {value for value in long if len(value) * 3 // 4 - value.count("=") in (128, 256, 384, 512)}
    return {value: Made("rsa", "", "", (keys[-1], hidden), keys[-1]) for value in rsa}


def _enveloped(flow: Flow, at: int) -> dict[str, Made]:
    """JSON, XML or another text with known values in it, as base64."""
    found: dict[str, Made] = {}
    for leaf in flow.requests[at]:
        if leaf.converter != "base64" or not leaf.whole:
            continue
        converter = {"{": "json", "[": "json", "<": "xml"}.get(leaf.value[:1], "")
        text, words = leaf.value.replace("{", "{{").replace("}", "}}"), list[str]()
        for word in sorted(flow.known.values(), key=len, reverse=True):
            spelled = CONVERTERS[converter].write(word) if converter else word
            spelled = spelled.replace("{", "{{").replace("}", "}}")
            if spelled in text:
                text = text.replace(spelled, f"\0{len(words)}\0")
                words.append(word)
        if words and leaf.value not in flow.known.values():
            found[leaf.text] = Made("enveloped", converter, text, tuple(words))
    return found


def totp(secret: str, now: float) -> str:
    return str(FUNCTIONS["totp"].compute(secret, now))


def _spelled(message: str, *, pair: bool = False, key: str = "") -> Iterator[tuple[str, str, str]]:
    for function in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(function, message.encode(), usedforsecurity=False).digest()
        if key:
            digest = hmac.new(key.encode(), message.encode(), function).digest()
        yield digest.hex(), function, ""
        yield base64.b64encode(digest).decode(), function, "base64"
    if pair:
        yield base64.b64encode(message.encode()).decode(), "base64", ""
