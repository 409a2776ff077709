"""The inference: what of a capture is the login, what the refresh, and what data requests carry. Pure.

A value that an answer brought, and that a later request carries, *is* a captured value. A value that the user knows
*is* a credential. From these two sentences all else follows:

    access     the captured value that most later requests carry in one place        what is presented
    login      the last exchange before them whose answer brought it                 what a request needs
    refresh    an exchange later on that carries an old captured value, and whose
               answer brings a new one to the same place
    steps      exchanges before the login whose answers bring what its request carries (a CSRF token)
    end        a number or a time beside `access` whose name says so; Max-Age; a JWT's own `exp`
    rejected   the answer to a request that carried `access`, right before it was renewed
    denied     answers to the login, with other values, that brought nothing

A capture of two logins, a renewal and a refusal says more than one of a login alone. What nothing could tell is a
question for a person.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from authflow.templates import jwt_claims
from authflow_learn.captures import Capture, CaptureError
from authflow_learn.leaves import Leaf, Place, of_answer, of_request

#: A shorter value may be anywhere by chance.
SHORTEST: Final = 6
#: Fields whose values a person knows, where nobody has said them.
_USER: Final = re.compile(r"(?:^|[_-])(?:user(?:[_-]?name)?|login|email|e[_-]?mail|account|client[_-]?id|uid)$", re.I)
_SECRET: Final = re.compile(
    r"pass(?:word|wd|phrase)?$|^pwd$|^pin$|secret$|api[_-]?key$|^token$|^x-api-key$|authorization", re.I
)
_ENDS: Final = re.compile(r"(?:expir|valid|ttl|lifetime|max[_-]?age)", re.I)
_REFRESH: Final = re.compile(r"refresh|renew", re.I)


class Step(NamedTuple):
    """One exchange of the file: its capture, the placeholders of its request by place, what its answer brings."""

    name: str
    capture: Capture
    sent: Mapping[Place, str]
    brings: Mapping[Place, str]


@dataclass
class Learnt:
    """What a vendor file says. `presented` is the place and the text before the value; `questions` are for a person."""

    base_url: str
    steps: list[Step] = field(default_factory=list)
    refresh: Step | None = None
    presented: tuple[Place, str] | None = None
    #: The credentials' names, with whether each is a secret.
    credentials: dict[str, bool] = field(default_factory=dict)
    #: Is the login a refresh, with a token that the user gives?
    given_refresh: bool = False
    #: Which credential is presented itself, where there is nothing to log in to.
    direct: tuple[str, ...] = ()
    rejected: int = 401
    denied: set[int] = field(default_factory=set)
    origins: set[str] = field(default_factory=set)
    questions: list[str] = field(default_factory=list)
    #: The values that must not be written, by any road.
    secrets: set[str] = field(default_factory=set)


def learn(captures: Sequence[Capture], known: Mapping[str, str] = {}) -> Learnt:
    """`known` are the values of credentials by name. Raises CaptureError where the capture has no login."""
    if not captures:
        raise CaptureError("nothing is left of the capture but pictures, styles and scripts: capture the login itself")
    return _Capture(list(captures), dict(known)).learnt()


class _Capture:
    def __init__(self, captures: list[Capture], known: dict[str, str]) -> None:
        self.captures, self.known = captures, known
        self.requests = [of_request(one) for one in captures]
        self.answers = [of_answer(one) for one in captures]
        #: A value, and where an answer first brought it.
        self.born: dict[str, tuple[int, Place]] = {}
        for at, leaves in enumerate(self.answers):
            for leaf in leaves:
                if len(leaf.value) >= SHORTEST and leaf.kind is str and leaf.value not in known.values():
                    self.born.setdefault(leaf.value, (at, leaf.place))
        self.names: dict[str, str] = {}

    def learnt(self) -> Learnt:
        found = self._access()
        if found is None:
            return self._without_login()
        place, before, uses = found
        values = {value for at in uses for leaf in self.requests[at] if leaf.place == place for value in [leaf.value]}
        births = sorted({self.born[value] for value in values if value in self.born})
        login = births[0][0]
        result = Learnt(self._base_url([login, *uses]))
        result.presented = (place, before)
        self.names.update(dict.fromkeys(values, "access"))
        result.secrets |= values
        refresh = next((other for other, _ in births if other > login and self._refreshes(other, login)), None)
        if refresh is not None:
            for leaf in self.requests[refresh]:
                if leaf.value in self.born and self.names.get(leaf.value) != "access":
                    self._name_all_at(self.born[leaf.value][1], "refresh")
        result.given_refresh = self._is_given_refresh(login)
        self._name_steps(login, result)
        result.steps = [self._step(step, result) for step in self._needed(login)]
        if refresh is not None:
            result.refresh = self._step(refresh, result, "refresh")
        else:
            self._unused_refresh(login, result)
        result.rejected = self._rejected(place, values, births) or self._ask_rejected(result)
        result.denied = self._denied(login)
        result.origins = self._origins(uses, result.base_url)
        self._ask_end(result)
        if min(uses) < login:
            result.questions.append("requests carried a token before the login: was it an older one?")
        return result

    # --- access -------------------------------------------------------------------------------------------------------

    def _access(self) -> tuple[Place, str, list[int]] | None:
        """The place that most requests fill with a captured value: its text before it, and which requests."""
        uses: Counter[tuple[Place, str]] = Counter()
        where: dict[tuple[Place, str], list[int]] = {}
        for at, leaves in enumerate(self.requests):
            for leaf in leaves:
                if leaf.place[0] in ("json", "form") and not self._repeated(leaf):
                    continue
                born = self.born.get(leaf.value)
                if born is not None and born[0] < at:
                    key = (leaf.place, leaf.before)
                    uses[key] += 3 if leaf.place == ("headers", "authorization") else 2 if _named_token(leaf) else 1
                    where.setdefault(key, []).append(at)
        # An exchange that is itself the login or the refresh is no data request.
        ranked = sorted(uses, key=lambda key: (-uses[key], where[key][0]))
        for key in ranked:
            data = [at for at in where[key] if not self._brings_presented(at, key[0])]
            if data:
                return key[0], key[1], data
        return None

    def _repeated(self, leaf: Leaf) -> bool:
        return (
            sum(other.place == leaf.place and other.value == leaf.value for one in self.requests for other in one) > 1
        )

    def _brings_presented(self, at: int, place: Place) -> bool:
        """Does the answer bring a value that later requests carry in that place?"""
        later = {leaf.value for leaves in self.requests[at + 1 :] for leaf in leaves if leaf.place == place}
        return any(leaf.value in later and self.born.get(leaf.value, (-1,))[0] == at for leaf in self.answers[at])

    def _refreshes(self, at: int, login: int) -> bool:
        """Does this exchange carry what the login brought, and no password?"""
        held = {leaf.value for leaf in self.answers[login]}
        sent = {leaf.value for leaf in self.requests[at]}
        secrets = {value for name, value in self.known.items() if _SECRET.search(name)}
        return bool(sent & held - {""}) and not sent & secrets

    def _name_all_at(self, place: Place, name: str) -> None:
        for leaves in self.answers:
            for leaf in leaves:
                if leaf.place == place and len(leaf.value) >= SHORTEST:
                    self.names.setdefault(leaf.value, name)

    def _is_given_refresh(self, login: int) -> bool:
        """Does the first exchange carry a refresh token already? Then the user gives it."""
        form = {leaf.place: leaf.value for leaf in self.requests[login]}
        given = next((leaf for leaf in self.requests[login] if _REFRESH.search(leaf.place[-1])), None)
        if given is None or form.get(("form", "grant_type"), "refresh_token") != "refresh_token":
            return False
        self.known = {name: value for name, value in self.known.items() if value != given.value}
        self.known["refresh"] = given.value
        for leaf in self.answers[login]:
            if _REFRESH.search(leaf.place[-1]) and not _ENDS.search(leaf.place[-1]):
                self.names[leaf.value] = "refresh"
        return True

    def _unused_refresh(self, at: int, result: Learnt) -> None:
        """A refresh token that the capture never used."""
        if any(_REFRESH.search(leaf.place[-1]) and leaf.value not in self.names for leaf in self.answers[at]):
            result.questions.append("the login brings what looks like a refresh token: how is it used? No request did.")

    # --- steps --------------------------------------------------------------------------------------------------------

    def _needed(self, login: int) -> list[int]:
        """The login, and before it the exchanges whose answers bring what it carries."""
        needed = [login]
        while True:
            wanted = {leaf.value for leaf in self.requests[needed[0]]}
            wanted = {value for value in wanted if value in self.born and self.names.get(value) != "access"}
            before = sorted({self.born[value][0] for value in wanted if self.born[value][0] < needed[0]})
            if not before or before[-1] in needed:
                return needed
            needed.insert(0, before[-1])

    def _name_steps(self, login: int, result: Learnt) -> None:
        for at in self._needed(login):
            for leaf in self.requests[at]:
                if leaf.value in self.born and self.born[leaf.value][0] < at:
                    self.names.setdefault(leaf.value, _identifier(self.born[leaf.value][1][-1], self.names.values()))
        for name, value in self.known.items():
            self.names[value] = name
            result.credentials[name] = bool(_SECRET.search(name)) or name == "refresh"
            result.secrets.add(value)
        for leaf in self.requests[login]:
            field_name = leaf.place[-1] if leaf.place[0] != "basic" else ("username", "password")[int(leaf.place[1])]
            if leaf.value in self.names or not leaf.value:
                continue
            if _SECRET.search(field_name) or _USER.search(field_name) or leaf.place[0] == "basic":
                name = _credential(field_name)
                if name in result.credentials:  # another's name: a client that logs a user in
                    name = {"username": "client_id", "password": "client_secret"}.get(name, f"{name}_2")
                self.names[leaf.value] = name
                result.credentials[name] = bool(_SECRET.search(field_name)) or name == "password"
                result.secrets.add(leaf.value)
            elif _looks_secret(leaf.value):
                name = _identifier(field_name, self.names.values())
                self.names[leaf.value] = name
                result.credentials[name] = True
                result.secrets.add(leaf.value)
                result.questions.append(
                    f"{name} looks like a secret, and is a credential here: is it one of the user's?"
                )

    def _step(self, at: int, result: Learnt, name: str = "") -> Step:
        one = self.captures[at]
        sent = {leaf.place: self.names[leaf.value] for leaf in self.requests[at] if leaf.value in self.names}
        brings = {leaf.place: self.names[leaf.value] for leaf in self.answers[at] if self.names.get(leaf.value)}
        brings = {
            place: named for place, named in brings.items() if named == "refresh" or named not in result.credentials
        }
        if "access" in brings.values():
            brings |= self._end(at, brings)
        grants = any(value.partition(":")[0] == "access" for value in brings.values())
        return Step(name or ("login" if grants else f"step_{at + 1}"), one, sent, brings)

    def _end(self, at: int, brings: Mapping[Place, str]) -> dict[Place, str]:
        access = next(place for place, name in brings.items() if name == "access")
        token = next(leaf.value for leaf in self.answers[at] if leaf.place == access)
        if isinstance(_claims(token).get("exp"), int | float):
            return {access: "access:jwt"}
        for leaf in self.answers[at]:
            if leaf.place == ("max-age", access[-1]):
                return {("cookies-max-age", access[-1]): ""}
            if _ENDS.search(leaf.place[-1]) and leaf.place not in brings and not _REFRESH.search(leaf.place[-1]):
                written = _written_end(leaf)
                if written:
                    return {leaf.place: written}
        return {}

    # --- what answers mean --------------------------------------------------------------------------------------------

    def _rejected(self, place: Place, values: set[str], births: Sequence[tuple[int, Place]]) -> int:
        renewed = {at for at, _ in births}
        for at, leaves in enumerate(self.requests):
            carries = any(leaf.place == place and leaf.value in values for leaf in leaves)
            if carries and at not in renewed and 400 <= self.captures[at].status < 500:
                return self.captures[at].status
        return 0

    def _ask_rejected(self, result: Learnt) -> int:
        result.questions.append("how does the vendor say that a token has expired? 401 is taken; no answer said so")
        return 401

    def _denied(self, login: int) -> set[int]:
        one = self.captures[login]
        same = [other for other in self.captures if (other.method, other.url) == (one.method, one.url)]
        return {other.status for other in same if 400 <= other.status < 500}

    def _ask_end(self, result: Learnt) -> None:
        step = next((step for step in result.steps if step.name == "login"), None)
        names = {name.partition(":")[0] for name in step.brings.values()} if step else set()
        if step and not names & {"expires_in", "expires_at"} and "access:jwt" not in step.brings.values():
            result.questions.append('how long is the token good? Nothing said so: [expiry] lifetime = "1h", say')

    def _origins(self, uses: Sequence[int], base_url: str) -> set[str]:
        return {_origin(self.captures[at].url) for at in uses} - {_origin(base_url)}

    def _base_url(self, ats: Sequence[int]) -> str:
        """The folder that the login and the data requests of its origin share."""
        urls = [urlsplit(self.captures[at].url) for at in ats]
        folders = [url.path.split("/")[:-1] for url in urls if url.netloc == urls[0].netloc]
        shared: list[str] = []
        for parts in zip(*folders, strict=False):
            if len(set(parts)) > 1:
                break
            shared.append(parts[0])
        return f"{urls[0].scheme}://{urls[0].netloc}{'/'.join(shared)}/"

    # --- without a login ----------------------------------------------------------------------------------------------

    def _without_login(self) -> Learnt:
        """What requests carry was brought by no answer: a key, a token, or a user and a password."""
        result = Learnt(self._base_url(range(len(self.captures))))
        known = {value: name for name, value in self.known.items()}
        for leaves in self.requests:
            basic = {leaf.place: leaf for leaf in leaves if leaf.place[0] == "basic"}
            if basic:
                result.presented, result.direct = (("basic",), ""), ("username", "password")
                result.credentials = {"username": False, "password": True}
                result.secrets |= {leaf.value for leaf in basic.values()}
                break
            for leaf in leaves:
                if leaf.place[0] in ("headers", "query", "cookies") and (
                    leaf.value in known or _SECRET.search(leaf.place[-1]) or _named_token(leaf)
                ):
                    bearer = leaf.before.strip().lower() == "bearer"
                    name = known.get(leaf.value) or ("token" if bearer else "api_key")
                    result.presented, result.direct = (leaf.place, leaf.before), (name,)
                    result.credentials, result.secrets = {name: True}, {*result.secrets, leaf.value}
                    break
            if result.presented:
                break
        if result.presented is None:
            raise CaptureError(
                "no request carries anything that an answer brought, nor a key: is there a login in the capture, and a "
                "request after it?"
            )
        statuses = [one.status for one in self.captures if 400 <= one.status < 500]
        result.rejected = statuses[0] if statuses else self._ask_rejected(result)
        return result


def _named_token(leaf: Leaf) -> bool:
    return bool(re.search(r"token|auth|session|api[_-]?key|^sid$", leaf.place[-1], re.I))


def _claims(token: str) -> Mapping[str, Any]:
    try:
        return jwt_claims(token)
    except ValueError:
        return {}


def _written_end(leaf: Leaf) -> str:
    """The placeholder for an end of this look; empty where it has none."""
    try:
        number = float(leaf.value)
    except ValueError:
        return "expires_at:iso8601" if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", leaf.value) else ""
    if number <= 0:
        return ""
    if number > 1e11:
        return "expires_at:epoch_ms"
    if number > 1e8:
        return "expires_at:epoch"
    return "expires_in:ms" if re.search(r"ms$|milli", leaf.place[-1], re.I) else "expires_in:int"


def _looks_secret(value: str) -> bool:
    return (
        len(value) >= 16 and bool(re.search(r"\d", value)) and bool(re.search(r"[A-Za-z]", value)) and "/" not in value
    )


def _credential(name: str) -> str:
    low = name.lower()
    if re.search(r"client", low):
        return "client_secret" if "secret" in low else "client_id"
    if re.search(r"pass|pwd|pin", low):
        return "password"
    if "secret" in low or "key" in low:
        return re.sub(r"\W", "_", low)
    return "username"


def _identifier(name: str, taken: Any) -> str:
    plain = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)).strip("_").lower() or "value"
    plain = plain if plain[0].isalpha() else f"v_{plain}"
    number, chosen = 1, plain
    while chosen in set(taken) | {"access", "refresh", "base_url"}:
        number += 1
        chosen = f"{plain}_{number}"
    return chosen


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def body_of(one: Capture) -> Any:
    """The JSON of a request, where it is some."""
    try:
        return json.loads(one.request.body)
    except ValueError:
        return None
