"""The inference: what of a capture is the login, what the refresh, and what data requests carry. Pure.

A value that an answer brought, and that a later request carries, *is* a captured value. A value that the user knows
*is* a credential. From these two sentences all else follows:

    access     the captured value that most later requests carry in one place        what is presented
    login      the exchange whose answer brought it, and that hangs on a credential  what a request needs
    steps      exchanges before the login whose answers bring what it carries (a CSRF token, a nonce, a ticket)
    refresh    an exchange later on that carries what the login brought, no password, and brings a new `access`
    beside it  other captured values that data requests carry (a CSRF header, a second token)
    noise      whoever counts visitors: nothing that its answers bring hangs on a credential

What its values are called is in `users`, what answers mean in `meanings`. Several captures say more than one: what is
the same in two logins is a literal, what differs is a placeholder. What nothing could tell is a question for a person.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from authflow_learn import direct, meanings, names, standards, users
from authflow_learn.leaves import Leaf, Place, looked_at
from authflow_learn.messages import STANDS_IN, Capture, CaptureError
from authflow_learn.tracing import SHORTEST, TOKEN_NAME, Flow, Key, Learnt, Step, like_a_token, spot

#: Where the notation can put what a request carries.
_PRESENTED: Final = frozenset({"headers", "cookies", "query", "json", "form", "path", "text", "basic"})
_LOGOUT: Final = re.compile(r"log[_-]?(?:out|off)|sign[_-]?(?:out|off)", re.I)
_GUARD: Final = re.compile(r"csrf|xsrf|verification", re.I)
#: Cookies that belong to a login; of others nobody knows that they are needed.
_NEEDED_COOKIE: Final = re.compile(r"sess|sid|csrf|xsrf|token|auth|ticket|nonce|state|login|jwt|connect|asp|ltpa", re.I)


def learn(captures: Sequence[Capture], known: Mapping[str, str] = {}) -> Learnt:
    """`known` are the values of credentials by name. Raises CaptureError where the capture has no login."""
    if not captures:
        raise CaptureError("nothing is left of the capture but pictures, styles and scripts: capture the login itself")
    flow = _Inference(list(captures), dict(known))
    try:
        return flow.learnt()
    except CaptureError as error:
        stands = any(names.STAND_IN.search(leaf.value) for leaves in (*flow.requests, *flow.answers) for leaf in leaves)
        raise (CaptureError(f"{error} ({STANDS_IN})") if stands else error) from None


class _Inference(Flow):
    """Which exchange is what."""

    def learnt(self) -> Learnt:
        found = self._access()
        if found is None:
            return direct.without_login(self)
        key, login, uses = found
        login = self._last_step(key, login, uses)
        users.two_names(self, login)
        here = {_origin(self.captures[at].url) for at in uses}
        result = Learnt(
            self,
            self.base_url([login, *uses])
            if _origin(self.captures[login].url) in here
            else self.base_url(uses, data=True),
        )
        values = {leaf.value for at in uses for leaf in self.requests[at] if Key.of(leaf) == key}
        if any(names.SCRUBBED.fullmatch(value) for value in values):
            raise CaptureError("the tokens have been scrubbed from this capture: capture it with them")
        births = sorted({self.born[value][0] for value in values if value in self.born} | {login})
        self._names_of(values, "access", result)
        if self._is_standard(result, key, login, uses, births):
            return result
        result.given_refresh = users.is_given_refresh(self, login)
        chain = self._needed(login)
        refresh = self._refresh(login, births, chain, uses)
        result.presented[key] = "access"
        self._beside(result, key, uses, {*chain, *births})
        users.name(self, result, [*chain, *([refresh] if refresh is not None else [])])
        for at in chain:
            result.steps.append(self._step(at, result, login))
        result.steps += [self._step(at, result, login) for at in result.pages]
        self._logout(result, key, births)
        if refresh is not None:
            result.refresh = self._step(refresh, result, login, "refresh")
        for step in [*result.steps, *([result.refresh] if result.refresh is not None else [])]:
            one = self.captures[step.at]
            if not one.request.body and one.request.header("content-length").strip("0"):
                result.ask(f"what does {step.name!r} send? The capture has no body of it: write it into its request")
        meanings.read(self, result, login, uses, births)
        self._constants(result, uses)
        result.origins = {_origin(self.captures[at].url) for at in uses} - {_origin(result.base_url)}
        if any(one.sanitized for one in self.captures):
            result.ask("does it take cookies too? The browser left them, and Authorization, out of the capture")
        return result

    def _is_standard(self, result: Learnt, key: Key, login: int, uses: Sequence[int], births: Sequence[int]) -> bool:
        """Does a preset say how this login goes? Then nothing but its settings is to be written."""
        brought = next((leaf.value for leaf in self.answers[login] if self.names.get(leaf.value) == "access"), "")
        result.standard = standards.of(self, login, brought)
        if result.standard is None:
            return False
        if result.standard.preset == "challenge":
            result.base_url = _origin(result.base_url) + "/"  # each path has a challenge of its own
        result.presented[key] = "access"
        result.secrets |= {*result.standard.secrets} | {
            value for name, value in self.known.items() if names.is_secret(name) or name == "private_key"
        }
        self._name_all_at((("json", "refresh_token"), ""), "refresh")
        meanings.read(self, result, login, uses, births)
        self._constants(result, uses)
        result.origins = {_origin(self.captures[at].url) for at in uses} - {_origin(result.base_url)}
        for text in result.standard.questions:
            result.ask(text)
        return True

    # --- access -------------------------------------------------------------------------------------------------------

    def _access(self) -> tuple[Key, int, list[int]] | None:
        """The place that most requests fill with a captured value; the login that brought it; which requests."""
        where: defaultdict[Key, dict[int, Leaf]] = defaultdict(dict)
        for at, leaves in enumerate(self.requests):
            for leaf in leaves:
                if leaf.place[0] in _PRESENTED and self.came(leaf, at) is not None and like_a_token(leaf):
                    where[Key.of(leaf)].setdefault(at, leaf)
        best: tuple[Any, ...] = ()
        chosen = None
        for key, used in where.items():
            login = self._login(used)
            uses = [at for at in used if at > login and not self._brings_again(at, key, used)]
            if not uses or (key.place[0] in ("json", "form", "text") and len(uses) < 2):
                continue
            leaf = used[uses[0]]
            weight: float = 3 if key.place == ("headers", "authorization") else 2 if TOKEN_NAME.search(leaf.name) else 1
            if key.place[0] in ("path", "text") or _GUARD.search(leaf.name):
                weight = 0.5
            if self.born[leaf.value][1].place == ("json", "access_token"):
                weight *= 9  # pages that a person went through on the way carry cookies more often
            brought = self.credited(self.born[leaf.value][0])
            rank = (brought, self.credited(login), weight * len(uses), -uses[0])
            if chosen is None or rank > best:
                best, chosen = rank, (key, login, uses)
        if (
            chosen is not None
            and not self.credited(chosen[1])
            and any(map(self.has_credential, range(len(self.captures))))
        ):
            return None  # it hangs on nobody: a visitor's number
        return chosen

    def _login(self, used: Mapping[int, Leaf]) -> int:
        """Which answer brought it; or which login made it good, where it was there before."""
        births = sorted({self.born[leaf.value][0] for leaf in used.values()})
        first = births[0]
        if self.credited(first):
            return first
        if anew := [birth for birth in births if self.has_credential(birth)]:
            return anew[0]  # a visitor's session, and another one from the login on
        logins = [
            at
            for at, leaf in used.items()
            if self.born[leaf.value][0] == first and self.has_credential(at) and self.captures[at].status < 400
        ]
        return max((at for at in logins if any(other > at for other in used)), default=first)

    def _last_step(self, key: Key, login: int, uses: Sequence[int]) -> int:
        """What carries the login's token, and brings the one that the first data request shows, ends the login."""
        shown = next(leaf.value for leaf in self.requests[min(uses)] if Key.of(leaf) == key)
        came = self.born[shown][0]
        return came if login < came < min(uses) and self.credited(came) else login

    def _brings_again(self, at: int, key: Key, used: Mapping[int, Leaf]) -> bool:
        """Does its answer bring a value that later requests carry in that place? Then it is no data request."""
        brought = {leaf.value for leaf in self.answers[at] if self.born.get(leaf.value, (-1,))[0] == at}
        later = any(leaf.value in brought for other, leaf in used.items() if other > at)
        return later or (self.has_credential(at) and _session_like(self.captures[at].url))

    def _names_of(self, values: set[str], name: str, result: Learnt) -> None:
        self.names.update(dict.fromkeys(values, name))
        result.secrets |= values

    def _beside(self, result: Learnt, key: Key, uses: list[int], logins: set[int]) -> None:
        """Other captured values that the data requests carry: all of them, and in one place."""
        where: defaultdict[Key, list[Leaf]] = defaultdict(list)
        for at in uses:
            for leaf in {Key.of(leaf): leaf for leaf in self.requests[at]}.values():
                came = self.came(leaf, at)
                if came in logins or (
                    came is not None and (leaf.value in self.names or self._rolls(leaf, logins, uses))
                ):
                    where[Key.of(leaf)].append(leaf)
        for other, leaves in where.items():
            kind, name = other.place[0], leaves[0].name
            if other == key or len(leaves) < max(1, len(uses) - 1) or kind in ("path", "json", "form", "query", "text"):
                continue
            if kind == "cookies" and not _NEEDED_COOKIE.search(name):
                continue
            if len(leaves) < len(uses) and kind == "cookies":
                continue  # one went well without it: nothing needs it
            born = self.born[leaves[0].value][1]
            births = {self.born[leaf.value][0] for leaf in leaves} - logins
            if births and born.place[0] in ("headers", "cookies", "json"):
                result.kept[born.place] = ""
            elif births:
                result.pages = sorted({*result.pages, *births})[:1]
            named = self.names.get(leaves[0].value) or names.identifier(born.name, self.names.values())
            for leaf in leaves:
                if self.names.setdefault(leaf.value, named) == named:
                    result.secrets.add(leaf.value)
            result.presented[other] = named
            result.kept |= {born.place: named} if born.place in result.kept else {}

    def _rolls(self, leaf: Leaf, logins: set[int], uses: Sequence[int]) -> bool:
        """Did the answer to the request before bring it, where the login's answer brought the first one?"""
        at, born = self.born[leaf.value]
        if at not in uses or born.place[0] in ("headers", "cookies", "json"):
            return at in uses and any(one.place == born.place for login in logins for one in self.answers[login])
        return at == min(uses) and bool(_GUARD.search(born.name))  # a page behind the login

    def _logout(self, result: Learnt, key: Key, births: Sequence[int]) -> None:
        """What carries the token to a page that ends sessions; is it sent before each new login?"""
        for at, one in enumerate(self.captures):
            if _LOGOUT.search(urlsplit(one.url).path) and any(Key.of(leaf) == key for leaf in self.requests[at]):
                result.logout = Step("logout", at, {})
                anew = min((birth for birth in births if birth > at), default=None)
                result.leaves = anew is not None and not any(
                    Key.of(leaf) == key for between in range(at + 1, anew) for leaf in self.requests[between]
                )
                return

    # --- refresh and steps --------------------------------------------------------------------------------------------

    def _refresh(self, login: int, births: Sequence[int], chain: Sequence[int], uses: Sequence[int]) -> int | None:
        """An exchange that carries what the login brought, and no password; what it carries is `{refresh}`."""
        place = next((spot(leaf) for leaf in self.answers[login] if self.names.get(leaf.value) == "access"), None)
        brought = {leaf.value for at in chain for leaf in self.answers[at] if self.born.get(leaf.value, (-1,))[0] == at}
        steps = {other for at in chain if at != login for other in self.alike(at)}
        for at in range(login + 1, len(self.captures)):
            anew = [leaf for leaf in self.answers[at] if spot(leaf) == place and leaf.value not in brought]
            again = at in births or (
                anew and self.born.get(anew[0].value, (-1,))[0] == at and not anew[0].value.isdecimal()
            )
            sent = [leaf for leaf in self.requests[at] if leaf.value in brought]
            data = at not in births and at in uses and any(other in uses for other in self.alike(at))
            if data or any(self.came(leaf, at) in steps for leaf in self.requests[at]):
                continue  # data, in a place like the token's; or what the next login carries
            if not again or not sent or self.has_password(at) or self.captures[at].status >= 400:
                continue
            for leaf in anew:
                self.names[leaf.value] = "access"
            for leaf in sent:
                if self.names.get(leaf.value) != "access":
                    born = self.born[leaf.value][1]
                    self._name_all_at(spot(born), "refresh")
                    for one in self.answers[at]:
                        if one.name == born.name and one.kind is str:
                            self.names.setdefault(one.value, "refresh")
            return at
        return None

    def _name_all_at(self, place: tuple[Place, str], name: str) -> None:
        for leaves in self.answers:
            for leaf in leaves:
                if spot(leaf) == place and (leaf.value in self.born or len(leaf.value) >= SHORTEST):
                    self.names.setdefault(leaf.value, name)

    def _needed(self, login: int) -> list[int]:
        """The login, and before it the exchanges whose answers bring what it carries."""
        needed, open_ = {login}, [login]
        while open_:
            at = open_.pop()
            carried = [
                leaf.value
                for leaf in self.requests[at]
                if leaf.place != ("path",) or like_a_token(leaf) or self._looked_up(leaf, at)
            ]
            idle = {
                leaf.value
                for leaf in self.requests[at]
                if leaf.place[0] == "cookies" and not _NEEDED_COOKIE.search(leaf.name)
            }
            words = [word for value in carried if value in self.made for word in self.made[value].words]
            for value in (*carried, *words):
                came = self.born.get(value, (at,))[0]
                if came < at and came not in needed and value not in idle:
                    needed.add(came)
                    open_.append(came)
        return sorted(needed)

    def _looked_up(self, leaf: Leaf, at: int) -> bool:
        """Is it a segment that an answer brought for what the user gave: a tenant, found by its user?"""
        came = self.came(leaf, at)
        return came is not None and any(one.value in self.known.values() for one in self.requests[came])

    def _step(self, at: int, result: Learnt, login: int, name: str = "") -> Step:
        brings: dict[Leaf, str] = {}
        for leaf in self.answers[at]:
            named = self.names.get(leaf.value)
            new = named and leaf.place[0] != "max-age" and named not in brings.values()
            if named and new and (named == "refresh" or named not in result.credentials):
                brings[leaf] = named
        if not name and at != login:
            taken = [step.name for step in result.steps]
            known = ["login", "refresh", "logout", *taken]
            kind = self.captures[at].answer.header("content-type")
            told = _called(self.captures[at].url, ["page"] if "html" in kind else brings.values())
            told = [one for one in told if one not in known]
            name = names.identifier(told[0] if told else "first", known)
        return Step(name or "login", at, brings)

    # --- what is the same everywhere ----------------------------------------------------------------------------------

    def _constants(self, result: Learnt, uses: Sequence[int]) -> None:
        """Headers that every data request carries with one value, and that no client sends by itself."""
        presented = {key.place[1] for key in result.presented if key.place[0] == "headers"}
        first = dict(self.captures[uses[0]].request.headers)
        pair = [leaf.value for leaf in self.requests[uses[0]] if leaf.place[0] == "basic"]
        taken = any(key.place[0] == "basic" for key in result.presented)
        if pair and not taken and all(value in self.names for value in pair):
            result.presented[Key(("basic",), "", "")] = self.names[pair[0]]
            result.beside_basic = (self.names[pair[0]], self.names[pair[1]])
        for name, value in first.items():
            if not looked_at(name) or name in presented or name == "authorization" or value in self.born:
                continue
            if any(dict(self.captures[at].request.headers).get(name) != value for at in uses):
                continue
            if len(uses) < 2 and not names.is_secret(name) and value not in self.names:
                continue
            if value not in self.names and (names.is_secret(name) or names.looks_secret(value)):
                named = names.credential(name, result.credentials)
                self.names[value] = named
                result.credentials[named] = True
                result.secrets.add(value)
            result.constant[name] = value


def _session_like(url: str) -> bool:
    return bool(re.search(r"log[_-]?in|sign[_-]?in|auth|token|session", urlsplit(url).path, re.I))


def _called(url: str, brings: Iterable[str]) -> list[str]:
    """What a step may be called: after its page, after what it brings."""
    last = re.sub(r"\.\w+$", "", urlsplit(url).path.rstrip("/").rpartition("/")[2])
    plain = last if re.fullmatch(r"[A-Za-z][\w-]{1,19}", last) and not re.search(r"\d", last) else ""
    return [*([names.identifier(plain, ())] if plain else []), *brings, "start"]


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
