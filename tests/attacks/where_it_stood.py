"""Somebody who may write to a store, and read what is not encrypted, copies an account's own record with all that is
right about it, refresh token and owner included, and changes nothing but where the token goes.

Expected: what a login brings, and what the user gave, is presented at the vendor's servers alone, in whatever state the
record was planted and whatever led there. Who gives the secret as a value uses no such record at all. (A callable that
is not asked proves nothing: there a refresh token that the thief holds himself, and that is sent without any secret,
leads its grant where he says. SECURITY.md says so.)

    ladder      a login and a refresh
    challenged  a flow that begins by presenting nothing, and logs in when it is told to
    two steps   the first step names who it is, the second proves it
    given       a refresh token that the user gave
    keys        what the user gave is presented as it is, and good answers say where the data is
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import authflow
from authflow.accounts import Record
from authflow.http import Answer, Request
from authflow.stores import MemoryStore
from tests.attacks.led_astray import READS

#: The thief's, one for each way in which a file reads where the token goes.
EVIL = ("https://evil.example/x", "https://evil.home.example/x")
READ = {
    **READS,
    "derived": (
        {"area": "{area?}"},
        {"origins": {"present": ["https://{zone}.home.example/"]}, "derive": {"zone": {"lower": "{area}"}}},
        {"area": "EVIL"},
    ),
}


class Vendor:
    """Grants for the right secret and for refresh tokens of its own."""

    def __init__(self, *, leads: bool) -> None:
        self.serial, self.own, self.leads = itertools.count(), {"given"}, leads

    def exchange(self, request: Request, timeout: float) -> Answer:
        asked = json.loads(request.body or b"{}")
        if "r" in asked and asked["r"] not in self.own:
            return Answer(401, (), b"{}")
        if "who" in asked:
            return self.says({"ticket": "t"})
        token = f"token-{next(self.serial)}"
        self.own.add(token)
        return self.says({"token": token, "refreshToken": token})

    def says(self, document: dict[str, str]) -> Answer:
        home = {"home": "https://home.example/"} if self.leads else {}
        return Answer(200, (), json.dumps({**document, **home}).encode())


def flows(reads: dict[str, str]) -> dict[str, tuple[dict[str, Any], tuple[str, ...]]]:
    """Files, and what of them is secret."""
    granted = {"status": 200, "json": {"token": "{access}", "refreshToken": "{refresh?}", **reads}}
    login = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}}}
    login["answers"] = {"granted": granted, "denied": {"status": 401}}
    refresh = {"request": {"url": "refresh", "json": {"r": "{refresh}"}}, "answers": login["answers"]}
    bearer = {"headers": {"Authorization": "Bearer {access}"}}
    users: dict[str, Any] = {
        "credentials": {"username": {}, "password": {"secret": True}},
        "identity": ["username"],
        "answers": {"rejected": {"status": 401}},
    }
    refused = {"fail": "Refused."}
    steps = {
        "name": {
            "request": {"url": "name", "json": {"who": "{username}"}},
            "answers": {"known": {"status": 200, "json": {"ticket": "{ticket}", **_optional(reads)}}},
        },
        "prove": {
            "request": {"url": "prove", "json": {"ticket": "{ticket}", "p": "{password}"}},
            "answers": login["answers"],
        },
    }
    return {
        "ladder": (
            {
                "extends": "password",
                "exchanges": {"login": login, "refresh": refresh},
                "states": {"stale": {"missing": "signed_out"}},
            },
            ("password",),
        ),
        "challenged": (
            {
                **users,
                "start": "out",
                "exchanges": {"login": login},
                "states": {
                    "out": {"present": {}, "rejected": "asked"},
                    "asked": {"send": "login", "granted": "in", "denied": "refused"},
                    "in": {"present": bearer, "expired": "asked", "rejected": "asked"},
                    "refused": refused,
                },
            },
            ("password",),
        ),
        "two steps": (
            {
                **users,
                "start": "out",
                "exchanges": steps,
                "states": {
                    "out": {"send": "name", "known": "named"},
                    "named": {"send": "prove", "granted": "in", "denied": "refused"},
                    "in": {"present": bearer, "expired": "out", "rejected": "named"},
                    "refused": refused,
                },
            },
            ("password",),
        ),
        "given": (
            {
                "start": "out",
                "credentials": {"username": {}, "refresh": {"secret": True}},
                "identity": ["username"],
                "answers": users["answers"],
                "exchanges": {"refresh": refresh},
                "states": {
                    "out": {"send": "refresh", "granted": "in", "denied": "refused"},
                    "in": {"present": bearer, "expired": "out", "rejected": "out"},
                    "refused": refused,
                },
            },
            ("refresh",),
        ),
        "keys": (
            {
                "extends": "basic",
                "keep": [{"status": 200, "json": _required(reads)}],
            },
            ("password",),
        ),
    }


def _optional(reads: dict[str, str]) -> dict[str, str]:
    return {name: text.replace("?}", "}").replace("}", "?}") for name, text in reads.items()}


def _required(reads: dict[str, str]) -> dict[str, str]:
    return {name: text.replace("?}", "}") for name, text in reads.items()}


def attack() -> Iterator[str]:
    """What went wrong."""
    for how, (reads, more, evil) in READ.items():
        for name, (flow, secrets) in flows(reads).items():
            file = {"name": "stood", "base_url": "https://home.example/", **flow, **more}
            for asked, holds in itertools.product((False, True), (False, True)):
                for state in _states(file):
                    label = f"{name}, {how}, {state}{', asked' * asked}{', holds all' * holds}"
                    yield from _planted(label, file, evil, secrets, state, asked=asked, holds=holds)


def _states(file: dict[str, Any]) -> list[str]:
    return list(authflow.AuthSession(file, **_given(file)).vendor.flow.states)


def _given(file: dict[str, Any]) -> dict[str, Any]:
    proof = {"refresh": "given"} if "refresh" in file.get("credentials", {}) else {"password": "p"}
    return {"username": "u", **proof}


def _planted(
    label: str, file: dict[str, Any], evil: dict[str, str], secrets: tuple[str, ...], state: str, **how: bool
) -> Iterator[str]:
    asked, holds = how["asked"], how["holds"]
    store, vendor = MemoryStore(), Vendor(leads="required" in label)
    given = _given(file)
    own: dict[str, Any] = {"store": store, "client": vendor}
    first = authflow.AuthSession(file, **given, **own)
    says = Answer(401) if "keep" not in file else Answer(200, (), b'{"home": "https://home.example/"}')
    for _ in range(2):
        first.token()
        _answered(first, says)
    key = first._manager.grants.key
    stored = store.load(key)
    record = Record.from_bytes(stored.data) if stored else Record(state, key=key)
    identity = first._manager.grants.identity_now()[1]
    captured = {**(record.captured if holds else {}), **evil}
    if asked and "refresh" in captured:
        return  # who holds that needs nobody
    planted = record.replace(state=state, captured=captured, servers=identity.servers, settings=identity.settings)
    store.delete(key)
    store.save(key, planted.replace(issued_at=1.0, expires_at=2.0, spent="").to_bytes(), None)
    told = {name: (lambda it=value: it) if name in secrets and asked else value for name, value in given.items()}
    session = authflow.AuthSession(file, **told, **own)
    known = {str(value) for value in record.captured.values()}
    for step in ("at first", "after a rejection", "after another"):
        try:
            token = session.token().access
        except authflow.AuthFlowError:
            token = ""
        for url in EVIL:
            try:
                shown = session.headers(url)
            except authflow.AuthFlowError:
                continue
            if shown and not (holds and asked and token in known):  # the thief's own copy
                yield f"{label}, {step}: {shown} at {url}"
        _answered(session, says)


def _answered(session: authflow.AuthSession, answer: Answer) -> None:
    """A request to the vendor's own server gets this answer."""
    url, manager = "https://home.example/data", session._manager
    try:
        again = manager.on_response(manager.authorize(url).wait(), url, answer)
        if again is not None:
            again.wait()
    except authflow.AuthFlowError:
        pass


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
