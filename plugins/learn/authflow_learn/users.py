"""Which values a person knows, and what they are called.

named        you said so: --username, --password-env
by its field `password`, `client_id`, HTTP Basic
derived      a digest or base64 of those, tried out
made anew    a time, a random number: something else in each login
constant     the same in two logins: a literal
else         what looks like a secret is a credential, and a question
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from authflow_learn import names
from authflow_learn.leaves import Leaf
from authflow_learn.messages import CaptureError
from authflow_learn.tracing import Flow, Learnt, Question

_ANEW: Final = re.compile(r"nonce|request|correlation|trace|transaction|idempot|^state$|^rnd|random|uuid", re.I)
_TIME: Final = re.compile(r"time|^ts$|stamp|date|^t$|^_$", re.I)
_BODIES: Final = ("json", "form", "text", "query", "basic")
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I)


def name(flow: Flow, result: Learnt, ats: Sequence[int]) -> None:
    """Name what the login, its steps and the refresh carry. `ats` are their numbers, in order."""
    for key, value in flow.known.items():
        flow.names[value] = key
        result.credentials[key] = names.is_secret(key)
        if names.CODE.search(key) and re.fullmatch(r"\d{4,8}", value):
            result.credentials[key] = True
            result.once.add(key)
        result.secrets.add(value)
    for at in ats:
        for leaf in flow.requests[at]:
            if leaf.value in flow.names or not leaf.value or leaf.place == ("path",):
                continue
            if flow.came(leaf, at) is not None and leaf.converter in ("", "json", "xml"):
                born = flow.born[leaf.value][1]
                if leaf.place[0] != "cookies" or flow.came(leaf, at) in ats:
                    field = leaf.name if born.name.lower() in ("value", "content") else born.name
                    flow.names[leaf.value] = names.identifier(field, flow.names.values())
    used = {leaf.value for at in ats for leaf in flow.requests[at]}
    used |= {word for value in used if value in flow.made for word in flow.made[value].words}
    for key in [key for key in flow.known if flow.known[key] not in used]:
        result.credentials.pop(key)
        if not any(leaf.value == flow.known[key] for leaves in flow.requests for leaf in leaves):
            raise CaptureError(f"the value of {key} is nowhere in the capture: is it the one that was captured?")
    for at in ats:
        for leaf in flow.requests[at]:
            if leaf.converter != "base64":
                _field(flow, result, at, leaf)
    for at in ats:
        for leaf in flow.requests[at]:
            _unknown(flow, result, at, leaf)
    _two_accounts(flow, result, ats)
    if any(result.credentials.values()) or result.derived:
        return
    for at in ats:  # nothing is called a password: what it may be is no literal
        for leaf in flow.requests[at]:
            plain = leaf.kind is str and leaf.place[0] in _BODIES and len(leaf.value) >= 4
            if plain and leaf.value not in flow.names and not _inner(flow, at, leaf):
                _credential(flow, result, leaf, "may be a secret")
    if not any(result.credentials.values()) and any(flow.captures[at].request.body.strip() for at in ats):
        raise CaptureError("nothing that the login sends is called a password or a key: name it, with --password-env")


def _credential(flow: Flow, result: Learnt, leaf: Leaf, told: str, *, hidden: bool = True) -> None:
    """What nobody named is a credential, and a question."""
    named = names.identifier(leaf.name or "secret", flow.names.values())
    flow.names[leaf.value] = named
    result.credentials[named] = hidden
    result.secrets.add(leaf.value)
    result.ask(f"{named} {told}, and is a credential here: is it one of the user's?")


def _field(flow: Flow, result: Learnt, at: int, leaf: Leaf) -> None:
    """By what its field is called."""
    if leaf.value in flow.names or not leaf.value or leaf.place[0] in ("path", "cookies") or not leaf.name:
        return
    if not (names.is_secret(leaf.name) or names.USER.search(leaf.name) or leaf.place[0] == "basic"):
        return
    if flow.came(leaf, at) is not None or leaf.kind is not str or _inner(flow, at, leaf):
        return
    if names.SCRUBBED.fullmatch(leaf.value):
        raise CaptureError(
            f"the secrets have been scrubbed from this capture ({leaf.name} is {leaf.value!r}): capture it with them"
        )
    if _derived(flow, result, at, leaf):
        return
    named = names.credential(leaf.name, result.credentials, client=leaf.place[0] == "basic")
    flow.names[leaf.value] = named
    result.credentials[named] = names.is_secret(leaf.name) or named == "password"
    result.secrets.add(leaf.value)


def _unknown(flow: Flow, result: Learnt, at: int, leaf: Leaf) -> None:
    """A value that no answer brought, and that nobody has named: derived, made anew, constant, or a secret."""
    value = leaf.value
    if value in flow.names or not value or _inner(flow, at, leaf) or leaf.place[0] in ("path", "cookies", "basic"):
        return
    if _derived(flow, result, at, leaf) or leaf.converter == "base64":
        return
    others = [
        one.value
        for other in _granted(flow, at)
        for one in flow.requests[other]
        if one.place == leaf.place and one.start == leaf.start
    ]
    varies, same = any(other != value for other in others), bool(others) and all(other == value for other in others)
    stands = names.STAND_IN.search(value) is not None
    made = None if stands else made_anew(leaf, varies)
    if made is not None:
        named = names.identifier(leaf.name or "value", [*flow.names.values(), *result.derived])
        result.derived[named] = made
        flow.names[value] = named
    elif same and not stands and not names.is_secret(leaf.name) and not value.startswith("eyJ"):
        return  # what is constant is literal
    elif (names.looks_secret(value) and leaf.kind is str) or varies:
        told = "is a stand-in" if stands else "differs from login to login" if varies else "looks like a secret"
        _credential(flow, result, leaf, told, hidden=names.looks_secret(value))


def _inner(flow: Flow, at: int, leaf: Leaf) -> bool:
    """Does another value with a name stand in the same place: inside base64, JSON or XML?"""
    return any(one.place == leaf.place and one is not leaf and one.value in flow.names for one in flow.requests[at])


def _granted(flow: Flow, at: int) -> list[int]:
    """Those alike that brought what this one brought."""
    mine = {(leaf.place, leaf.name) for leaf in flow.answers[at] if leaf.value in flow.names}
    return [
        other
        for other in flow.alike(at)
        if flow.captures[other].status < 400 and mine <= {(leaf.place, leaf.name) for leaf in flow.answers[other]}
    ]


def made_anew(leaf: Leaf, varies: bool) -> dict[str, Any] | None:
    """The function that gives such a value, where its look and its name say so."""
    value = leaf.value
    if _UUID.fullmatch(value) and (varies or _ANEW.search(leaf.name)):
        return {"uuid4": ""}
    if re.fullmatch(r"1[5-9]\d{8}", value) and (varies or _TIME.search(leaf.name)):
        return {"now": "epoch"}
    if re.fullmatch(r"1[5-9]\d{11}", value) and (varies or _TIME.search(leaf.name)):
        return {"now": "epoch_ms"}
    if re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]00:00)", value):
        return {"now": "iso8601"}
    if re.fullmatch(r"[0-9a-f]{16,64}", value) and len(value) % 2 == 0 and _ANEW.search(leaf.name):
        return {"random": len(value) // 2}
    return None


def _derived(flow: Flow, result: Learnt, at: int, leaf: Leaf) -> bool:
    """Is it a digest or base64 of what is known? Then a row of `[derive]` makes it."""
    how = flow.made.get(leaf.value)
    if how is None:
        return False
    for word in how.words:
        if word not in flow.names:
            flow.names[word] = names.identifier(flow.born[word][1].name, flow.names.values())
    named = names.identifier(leaf.name or "proof", [*flow.names.values(), *result.derived])
    if how.function == "rsa":
        asked = f"what exactly is encrypted in {named}, and how padded? {flow.names[how.words[1]]} by PKCS #1 is taken"
        result.questions.insert(0, Question(asked))
    result.derived[named] = how.row(flow.names)
    flow.names[leaf.value] = named
    result.secrets.add(leaf.value)
    return True


def two_names(flow: Flow, login: int) -> None:
    """Logins in one file that went well under two names. Raises CaptureError."""
    mine = {
        (leaf.place, leaf.start): leaf
        for leaf in flow.requests[login]
        if (names.USER.search(leaf.name) or leaf.place == ("basic", "0")) and leaf.converter != "base64"
    }
    brought = {(leaf.place, leaf.name) for leaf in flow.answers[login] if flow.born.get(leaf.value, (-1,))[0] == login}
    for other in flow.alike(login):
        two = flow.captures[other]
        again = brought & {(leaf.place, leaf.name) for leaf in flow.answers[other]}
        if two.status >= 400 or not again or two.source != flow.captures[login].source:
            continue
        for leaf in flow.requests[other]:
            first = mine.get((leaf.place, leaf.start))
            if first is not None and first.value != leaf.value and flow.came(leaf, other) is None:
                raise CaptureError(f"holds the logins of two accounts ({leaf.name or 'the user'} differs): capture one")


def _two_accounts(flow: Flow, result: Learnt, ats: Sequence[int]) -> None:
    """One file with the logins of two people cannot be told apart. Raises CaptureError."""
    for at in ats:
        for leaf in flow.requests[at]:
            named = flow.names.get(leaf.value)
            if named is None or named not in result.credentials or leaf.place[0] == "path":
                continue
            for other in _granted(flow, at):
                for two in flow.requests[other]:
                    if (two.place, two.start, two.converter) != (leaf.place, leaf.start, leaf.converter):
                        continue
                    if flow.came(two, other) is not None or two.value in {"", leaf.value, *flow.names}:
                        continue
                    if flow.captures[other].source == flow.captures[at].source and not result.credentials[named]:
                        raise CaptureError(
                            f"holds the logins of two accounts ({leaf.name or named} differs): capture one"
                        )
                    result.secrets.add(two.value)
                    flow.names[two.value] = named


def is_given_refresh(flow: Flow, login: int) -> bool:
    """Does the login carry a refresh token already? Then the user gives it."""
    leaves = flow.requests[login]
    grants = [leaf.value for leaf in leaves if leaf.place == ("form", "grant_type")]
    given = next((leaf for leaf in leaves if names.REFRESH.search(leaf.name) and leaf.kind is str), None)
    if (
        given is None
        or grants not in ([], ["refresh_token"])
        or flow.came(given, login) is not None
        or flow.has_password(login)
    ):
        return False
    if len(given.value) < 8:
        return False
    flow.known = {key: value for key, value in flow.known.items() if value != given.value}
    flow.known["refresh"] = given.value
    for leaf in flow.answers[login]:
        if names.REFRESH.search(leaf.name) and not names.ENDS.search(leaf.name):
            flow.names[leaf.value] = "refresh"
    return True
