"""A capture, read: where each value came from, what hangs on a credential; and what is learnt of it. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from authflow_learn import names
from authflow_learn.derived import Made, made
from authflow_learn.leaves import Leaf, Place, of_answer, of_request
from authflow_learn.messages import Capture

if TYPE_CHECKING:
    from authflow_learn.standards import Standard

#: A shorter value may be anywhere by chance.
SHORTEST: Final = 6
TOKEN_NAME: Final = re.compile(r"token|auth|sess|api[_-]?key|^sid$|sid$|ticket|jwt|bearer", re.I)
_GIVEN: Final = re.compile(r"nonce|csrf|xsrf|salt|challenge|stamp|refresh|tenant|^cst$", re.I)
_CALL: Final = re.compile(
    r"method(?:_?name)?|action|cmd|command|op|operation|function|call|grant_type|soapaction", re.I
)
#: A folder that is no collection of things.
_ROOT: Final = re.compile(r"api|rest|services?|public|open|v\d[\w.]*|.*api", re.I)


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
            return cls(leaf.place, re.split(r"[<>]", leaf.before)[-2:][0], "", leaf.converter)
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
            or leaf.place == ("form", "grant_type")
            or (names.is_secret(leaf.name) and self.came(leaf, at) is None and leaf.value)
            for leaf in self.requests[at]
        )

    def has_password(self, at: int) -> bool:
        secrets = {value for name, value in self.known.items() if names.is_secret(name) and name != "client_secret"}
        return any(leaf.value in secrets or names.is_password(leaf.name) for leaf in self.requests[at])

    def alike(self, at: int) -> list[int]:
        """Other requests to the same address with the same fields: logins of other times, and attempts that failed."""
        return [other for other in self._groups[self._look(at)] if other != at]

    @cached_property
    def _groups(self) -> Mapping[object, Sequence[int]]:
        groups: defaultdict[object, list[int]] = defaultdict(list)
        for at in range(len(self.captures)):
            groups[self._look(at)].append(at)
        return groups

    def _look(self, at: int) -> object:
        one = self.captures[at]
        return one.method, one.url.partition("?")[0], self._fields(at), self._called(at)

    def _called(self, at: int) -> frozenset[tuple[Place, str]]:
        """Where one address serves many calls, which of them it is."""
        return frozenset(
            (leaf.place, leaf.value)
            for leaf in self.requests[at]
            if leaf.place[0] in ("json", "form", "query", "headers", "text") and _CALL.fullmatch(leaf.name)
        )

    def _fields(self, at: int) -> frozenset[tuple[Place, str]]:
        return frozenset(
            (leaf.place, leaf.name)
            for leaf in self.requests[at]
            if leaf.place[0] in ("json", "form", "text", "query") and leaf.converter != "base64"
        )

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
            if leaf.place == ("path",)
            and ((like_a_token(leaf) and self.came(leaf, at) is not None) or leaf.value in self.known.values())
        ]
        return path[: path.rfind("/", 0, min(leaf.start for leaf in held) + 1) + 1] if held else path


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
