"""A capture, read: where each value came from, what hangs on a credential; and what is learnt of it. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from authflow.templates import CONVERTERS
from authflow.vendors import FUNCTIONS
from authflow_learn import names
from authflow_learn.captures import Capture
from authflow_learn.leaves import Leaf, Place, of_answer, of_request

if TYPE_CHECKING:
    from authflow_learn.standards import Standard

#: A shorter value may be anywhere by chance.
SHORTEST: Final = 6
TOKEN_NAME: Final = re.compile(r"token|auth|sess|api[_-]?key|^sid$|sid$|ticket|jwt|bearer", re.I)
_GIVEN: Final = re.compile(r"nonce|csrf|xsrf|salt|challenge|stamp|refresh|tenant|^cst$", re.I)
_CALL: Final = re.compile(r"method|action|cmd|command|op|operation|function|call|grant_type|soapaction", re.I)
#: A public RSA key: a PEM, or base64 of its DER.
_KEY: Final = re.compile(r"-----BEGIN (?:RSA )?PUBLIC KEY|MII[B-J][A-Za-z0-9+/]")
#: A folder that is no collection of things.
_ROOT: Final = re.compile(r"api|rest|services?|public|open|v\d[\w.]*|.*api", re.I)
_DIGEST: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128}|[A-Za-z0-9+/]{8,}={0,2}")


class Key(NamedTuple):
    """A place of requests, with what stands there before the value and behind it."""

    place: Place
    before: str
    after: str
    converter: str = ""

    @classmethod
    def of(cls, leaf: Leaf) -> Key:
        if leaf.place == ("path",):
            return cls(leaf.place, re.split(r"/", leaf.before)[-1], "")
        if leaf.place == ("text",) and not leaf.whole:  # whatever else the document says
            return cls(leaf.place, re.split(r"[<>]", leaf.before)[-2], "", leaf.converter)
        return cls(leaf.place, leaf.before, leaf.text[leaf.end :], leaf.converter)


def spot(leaf: Leaf) -> tuple[Place, str]:
    """Where a value stands, to be found again in another answer: in a text, by what is around it."""
    return leaf.place, leaf.name if leaf.place == ("text",) else ""


class Step(NamedTuple):
    """One exchange of the file: its number in the capture, and what its answer brings, by leaf."""

    name: str
    at: int
    brings: Mapping[Leaf, str]


@dataclass
class Question:
    """What nothing in the capture said. `kind`: what an answer changes (`lifetime`, `rejected`), or empty."""

    text: str
    kind: str = ""


@dataclass
class Learnt:
    """What a vendor file says, beside the capture that it was learnt from."""

    flow: Flow
    base_url: str
    #: A preset that says all of the login.
    standard: Standard | None = None
    steps: list[Step] = field(default_factory=list)
    refresh: Step | None = None
    #: What is presented: names by place.
    presented: dict[Key, str] = field(default_factory=dict)
    #: Headers that every request carries, and none brought.
    constant: dict[str, str] = field(default_factory=dict)
    #: The credentials' names, with whether each is a secret.
    credentials: dict[str, bool] = field(default_factory=dict)
    #: The user and the password that go with every request, beside what was captured.
    beside_basic: tuple[str, str] = ("", "")
    derived: dict[str, Any] = field(default_factory=dict)
    #: Is the login a refresh, with a token that the user gives?
    given_refresh: bool = False
    #: Which credentials are presented themselves, where there is nothing to log in to.
    direct: tuple[str, ...] = ()
    #: Places of answers that bring what is presented anew each time, with its name.
    kept: dict[Place, str] = field(default_factory=dict)
    #: Pages behind the login, which bring what data requests carry beside the token.
    pages: list[int] = field(default_factory=list)
    #: Credentials that serve one login.
    once: set[str] = field(default_factory=set)
    #: Does every request carry a signature of itself?
    signed: bool = False
    #: The exchange that ends the session; `leaves`: is it sent before a new login?
    logout: Step | None = None
    leaves: bool = False
    rejected: dict[str, Any] = field(default_factory=dict)
    denied: list[dict[str, Any]] = field(default_factory=list)
    lifetime: str = ""
    origins: set[str] = field(default_factory=set)
    questions: list[Question] = field(default_factory=list)
    #: The values that must not be written, by any road.
    secrets: set[str] = field(default_factory=set)

    @property
    def names(self) -> dict[str, str]:
        return self.flow.names

    def ask(self, text: str, kind: str = "") -> None:
        self.questions.append(Question(text, kind))


class Flow:
    """A capture, and which of its values came from where."""

    def __init__(self, captures: list[Capture], known: dict[str, str]) -> None:
        self.captures, self.known = captures, known
        self.requests = [of_request(one) for one in captures]
        self.answers = [of_answer(one) for one in captures]
        #: A value, and where an answer first brought it.
        self.born: dict[str, tuple[int, Leaf]] = {}
        sent: set[str] = set(known.values())
        for at, leaves in enumerate(self.answers):
            sent.update(leaf.value for leaf in self.requests[at])
            for leaf in leaves:
                if _flows(leaf) and leaf.value not in sent:
                    self.born.setdefault(leaf.value, (at, leaf))
        self.names: dict[str, str] = {}
        self._credited: dict[int, bool] = {}
        #: Digests of known values and of what answers brought: the function's row, and the words in it.
        self.made: dict[str, Made] = {}
        for at in range(len(captures)):
            self.made |= made(self, at)

    def came(self, leaf: Leaf, at: int) -> int | None:
        """Which earlier answer brought this value of a request."""
        born = self.born.get(leaf.value)
        return born[0] if born is not None and born[0] < at else None

    def credited(self, at: int) -> bool:
        """Does this request hang on a credential, by itself or by what it carries?"""
        if at not in self._credited:
            self._credited[at] = False
            mine = self.requests[at]
            before = {came for leaf in mine if (came := self.came(leaf, at)) is not None}
            self._credited[at] = self.has_credential(at) or any(map(self.credited, sorted(before)))
        return self._credited[at]

    def has_credential(self, at: int) -> bool:
        known = {value for name, value in self.known.items() if names.is_secret(name)} or set(self.known.values())
        return any(
            leaf.value in known
            or leaf.value in self.made
            or (names.is_secret(leaf.name) and self.came(leaf, at) is None and leaf.value)
            for leaf in self.requests[at]
        )

    def has_password(self, at: int) -> bool:
        secrets = {value for name, value in self.known.items() if names.is_secret(name) and name != "client_secret"}
        return any(leaf.value in secrets or names.is_password(leaf.name) for leaf in self.requests[at])

    def alike(self, at: int) -> list[int]:
        """Other requests to the same address with the same fields: logins of other times, and attempts that failed."""
        one = self.captures[at]
        fields = self._fields(at)
        return [
            other
            for other, two in enumerate(self.captures)
            if other != at
            and (two.method, two.url.partition("?")[0]) == (one.method, one.url.partition("?")[0])
            and self._fields(other) == fields
            and self._called(other) == self._called(at)
        ]

    def _called(self, at: int) -> set[tuple[Place, str]]:
        """Where one address serves many calls, which of them it is."""
        return {
            (leaf.place, leaf.value)
            for leaf in self.requests[at]
            if leaf.place[0] in ("json", "form", "query", "headers") and _CALL.fullmatch(leaf.name)
        }

    def _fields(self, at: int) -> set[tuple[Place, str]]:
        return {
            (leaf.place, leaf.name)
            for leaf in self.requests[at]
            if leaf.place[0] in ("json", "form", "text", "query") and leaf.converter != "base64"
        }

    def base_url(self, ats: Sequence[int], *, data: bool = False) -> str:
        """The folder that the login and the data requests of its origin share; of `data` alone, that of the API."""
        urls = [urlsplit(self.captures[at].url) for at in ats]
        folders = [
            self._plain_path(at).split("/")[:-1]
            for at in ats
            if urlsplit(self.captures[at].url).netloc == urls[0].netloc
        ]
        shared: list[str] = []
        for parts in zip(*folders, strict=False):
            if len(set(parts)) > 1:
                break
            shared.append(parts[0])
        while data and shared and shared[-1] and not _ROOT.fullmatch(shared[-1]):
            shared.pop()
        return f"{urls[0].scheme}://{urls[0].netloc}{'/'.join(shared)}/"

    def _plain_path(self, at: int) -> str:
        """The path, up to where a captured value stands in it."""
        path = urlsplit(self.captures[at].url).path
        held = [
            leaf
            for leaf in self.requests[at]
            if leaf.place == ("path",) and ((like_a_token(leaf) and self.came(leaf, at) is not None) or leaf.value in self.known.values())
        ]
        return path[: path.rfind("/", 0, min(leaf.start for leaf in held) + 1) + 1] if held else path


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
                text = text.replace(f"\0{number}\0", "{" + names[word] + (f":{self.encoding}" if self.encoding else "") + "}")
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
    """What is as long as an RSA key encrypts that an answer brought before: a known password, as far as anybody sees."""
    hidden = next((value for name, value in flow.known.items() if names.is_password(name)), None)
    keys = [leaf.value for before in range(at) for leaf in flow.answers[before] if leaf.whole and _KEY.match(leaf.value)]
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


def _flows(leaf: Leaf) -> bool:
    """Can this value of an answer be told from others?"""
    if leaf.place[0] == "max-age" or len(leaf.value) > 8192:
        return False
    if leaf.kind is not str:
        return leaf.kind is int and len(leaf.value) >= 8 and not names.ENDS.search(leaf.name)
    if len(leaf.value) < SHORTEST:
        return _short(leaf)
    return not re.match(r"(?:https?://|[a-z]+/[a-z.+-]+$)", leaf.value)


def _short(leaf: Leaf) -> bool:
    """A short value counts where its name or its look says what it is: `nonce = "n7"`, not `version = "v1"`."""
    named = TOKEN_NAME.search(leaf.name) or _GIVEN.search(leaf.name)
    return bool(re.search(r"\d", leaf.value) and re.search(r"\D", leaf.value)) and bool(
        named or re.search(r"[^\w.:+-]", leaf.value)
    )


def like_a_token(leaf: Leaf) -> bool:
    if leaf.place[0] == "path":
        return len(leaf.value) >= 12 and names.looks_secret(leaf.value)
    if leaf.place[0] == "query":
        return bool(TOKEN_NAME.search(leaf.name) or names.looks_secret(leaf.value) or re.search(r"key|^s$", leaf.name))
    return True
