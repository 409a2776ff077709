"""What a person typed is kept until the vendor has accepted or refused it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import authflow
from authflow.http import Answer
from authflow.renewing import people
from authflow.renewing.environment import NoAnswer
from tests.scripted import LADDER, LIFETIME, ScriptedVendor, answered, body_of

CODED: dict[str, Any] = {
    **LADDER,
    "credentials": {"otp": {"secret": True, "once": True}},
    "exchanges": {
        **LADDER["exchanges"],
        "login": {
            **LADDER["exchanges"]["login"],
            "request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "otp": "{otp}"}},
        },
    },
}
#: A file that says no `identity`: what tells its users apart is all that it is given, the password included.
PLAIN: dict[str, Any] = {
    "name": "plain",
    "base_url": "https://vendor.example/api/",
    "credentials": {"username": {}, "password": {"secret": True}},
    "exchanges": {"login": LADDER["exchanges"]["login"]},
    "start": "signed_out",
    "states": {
        "signed_out": {"send": "login", "granted": "signed_in"},
        "signed_in": {"present": {"headers": {"X": "{access}"}}, "rejected": "signed_out", "expired": "signed_out"},
    },
}
PAGE = Answer(502, (("Content-Type", "text/html"),), b"<html>")
#: An answer that neither accepts nor refuses, and whether a one-time code beside it is good still.
OUTAGES = [
    (answered(503, {}), True),
    (answered(429, {}, {"Retry-After": "1"}), True),
    (PAGE, True),
    (answered(404, {}), True),
    (NoAnswer("no route", sent=False), True),
    (NoAnswer("cut off", sent=True), False),
    (answered(200, {"unexpected": "shape"}), False),
]


class Person:
    """Types, at once or slowly, by the clock that the test moves."""

    def __init__(self, what: str, now: list[float], takes: float = 4.0) -> None:
        self.what, self.now, self.takes, self.times = what, now, takes, 0
        self.serial = itertools.count(1)

    def __call__(self) -> str:
        self.times += 1
        self.now[0] += self.takes
        return f"{self.what}-{next(self.serial)}"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    instant = [1000.0]
    for module in ("renewing.people", "renewing.run", "manager.cache"):
        monkeypatch.setattr(f"authflow.{module}.monotonic", lambda: instant[0])
    return instant


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()


def fails(session: authflow.AuthSession, vendor: ScriptedVendor, wait: float = 3700) -> None:
    with pytest.raises(authflow.AuthFlowError):
        session.token()
    vendor.clock.now += wait


@pytest.mark.parametrize(("outage", "code_is_good"), OUTAGES)
def test_an_outage_asks_nobody_again(vendor: ScriptedVendor, now: list[float], outage: Any, code_is_good: bool) -> None:
    password, code = Person("p", now), Person("c", now)
    session = vendor.session(CODED, password=password, otp=code, timeout=600)
    for _ in range(2):
        vendor.says("login", *outage) if isinstance(outage, tuple) else vendor.script["login"].append(outage)
        fails(session, vendor)
    session.token()
    assert password.times == 1
    assert code.times == (1 if code_is_good else 3)
    assert {body_of(request)["p"] for request in vendor.sent} == {"p-1"}


@pytest.mark.parametrize("outage", [answered(503, {}), NoAnswer("cut off", sent=True)])
def test_a_file_whose_password_says_who_it_is(vendor: ScriptedVendor, now: list[float], outage: Any) -> None:
    password = Person("p", now)
    session = vendor.session(PLAIN, username=Person("u", now), password=password, timeout=600)
    vendor.script["login"].append(outage)
    fails(session, vendor)
    session.token()
    assert [body_of(request)["password"] for request in vendor.sent] == ["p-1", "p-1"]


def test_what_was_refused_is_asked_for_again(vendor: ScriptedVendor, now: list[float]) -> None:
    password = Person("p", now)
    session = vendor.session(password=password, timeout=600)
    vendor.says("login", 503, {})
    fails(session, vendor)
    vendor.says("login", 401, {})
    fails(session, vendor)
    session.token()
    assert [body_of(request)["password"] for request in vendor.sent] == ["p-1", "p-1", "p-2"]


def test_what_was_accepted_is_forgotten(vendor: ScriptedVendor, now: list[float]) -> None:
    password = Person("p", now)
    session = vendor.session(password=password, timeout=600)
    vendor.says("login", 503, {})
    fails(session, vendor)
    session.token()
    vendor.says("refresh", 401, {})
    vendor.clock.now += LIFETIME + 1
    session.token()
    assert [body_of(request)["password"] for request in vendor.sent if request.url.endswith("login")][-1] == "p-2"


@pytest.mark.parametrize(
    ("given", "takes", "kept_for"),
    [("password", 0.0, people.KEPT_FOR), ("password", 4.0, 1e9), ("otp", 0.0, people.KEPT_FOR), ("otp", 4.0, 30.0)],
)
def test_a_programs_answer_and_a_code_are_kept_for_half_a_minute(
    vendor: ScriptedVendor, now: list[float], given: str, takes: float, kept_for: float
) -> None:
    ask = Person("x", now, takes)
    session = vendor.session(CODED, **{"password": "p", "otp": "1", given: ask}, timeout=600)
    vendor.says("login", 503, {})
    fails(session, vendor)
    for passes, times in ((kept_for - 1, 1), (2, 1 if kept_for == 1e9 else 2)):
        now[0] += passes
        vendor.says("login", 503, {})
        fails(session, vendor)
        assert ask.times == times


def test_a_code_that_a_step_has_taken_is_not_kept(vendor: ScriptedVendor, now: list[float]) -> None:
    """The step behind it fails: from the start, another code is needed."""
    file = {
        **CODED,
        "exchanges": {
            **CODED["exchanges"],
            "login": {**CODED["exchanges"]["login"], "answers": {"granted": {"json": {"ticket": "{ticket}"}}}},
            "second": {
                "request": {"url": "second", "json": {"t": "{ticket}"}},
                "answers": LADDER["exchanges"]["login"]["answers"],
            },
        },
        "states": {
            "signed_out": {"send": "login", "granted": "half", "denied": "refused"},
            "half": {"send": "second", "granted": "signed_in"},
            "stale": {"missing": "signed_out"},
        },
    }
    code = Person("c", now)
    session = vendor.session(file, otp=code, timeout=600)
    vendor.script["login"].extend([answered(200, {"ticket": "t1"}), answered(200, {"ticket": "t2"})])
    vendor.says("second", 503, {})
    fails(session, vendor)
    vendor.says("second", 200, {"access": "a", "in": 1000})
    session.login()
    assert [body_of(one)["otp"] for one in vendor.sent if one.url.endswith("login")] == ["c-1", "c-2"]
