"""The supplier's server, written by hand, and the simulator made from the supplier's file: one conversation, two
partners, alike at every one of a thousand steps.

Both are told the same: right and wrong passwords, current, spent and foreign refresh tokens, bearers good and bad, time
that passes, tokens revoked, faults. Tokens differ, of course; they are compared by the place where they were issued.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pytest

from authflow import plugins
from authflow.http import Answer, Pairs, Request
from authflow.templates.answers import judge
from authflow.testing import Clock, Simulator
from authflow_supplier.server import issuer as issuer_module
from authflow_supplier.server.issuer import Issuer
from authflow_supplier.server.service import AUTH, Service
from authflow_supplier.server.wire import Request as WireRequest

STEPS = 1_000
ACCOUNT = {"username": "demo", "password": "open-sesame"}
LIFETIME = 600.0


@dataclass
class Partner:
    """One side of the conversation; `issued` are the pairs of tokens that it gave, in their order."""

    name: str
    issued: list[dict[str, str]] = field(default_factory=list)

    def ask(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        raise NotImplementedError

    def order(self, what: str, value: float) -> None:
        raise NotImplementedError


class ByHand(Partner):
    def __init__(self, runner: asyncio.Runner) -> None:
        super().__init__("the server")
        self.run = runner.run
        self.service = Service(Issuer({ACCOUNT["username"]: ACCOUNT["password"]}, LIFETIME), 0.0)
        self.service.data_origin = "https://data.supplier.example"

    def ask(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        fields = {name.lower(): value for name, value in headers}
        given = self.run(self.service.first(WireRequest(method, urljoin(AUTH, path), fields, body, True)))
        return Answer(given.status, tuple(given.headers.items()), json.dumps(given.document).encode())

    def order(self, what: str, value: float) -> None:
        orders: dict[str, dict[str, Any]] = {
            "advance": {"advance": value},
            "expire": {"expire": True},
            "revoke-access": {"revoke": "access"},
            "revoke-refresh": {"revoke": "refresh"},
            "unlock": {"unlock": True},
            "503": {"fault": {"path": "refresh", "status": 503, "times": 1}},
        }
        self.service._control(orders[what])


class FromTheFile(Partner):
    def __init__(self) -> None:
        super().__init__("the simulator")
        self.clock = Clock()
        self.simulator = Simulator("supplier", inputs=ACCOUNT, clock=self.clock, lifetime=LIFETIME)

    def ask(self, method: str, path: str, headers: Pairs, body: bytes) -> Answer:
        return self.simulator.handle(Request(method, urljoin(self.simulator.base_url, path), headers, body))

    def order(self, what: str, value: float) -> None:
        if what == "advance":
            self.clock.advance(value)
        elif what == "503":
            self.simulator.faults.ordered.clear()
            self.simulator.faults.add("503@refresh")
        else:
            self.simulator.faults.add(what)


def recorded(seed: int) -> list[tuple[str, Any]]:
    """A conversation as data: what is said, with tokens by the number of the pair in which they were issued."""
    dice = random.Random(seed)
    conversation: list[tuple[str, Any]] = []
    for _ in range(STEPS):
        what = dice.choices(
            ["login", "refresh", "data", "advance", "order", "nonsense"], weights=[20, 30, 30, 10, 6, 4]
        )[0]
        recent = -dice.choice([1, 1, 1, 1, 2, 3, 8])
        step: Any = None
        if what == "login":
            step = dice.choice(["right", "right", "right", "wrong", "nobody", "malformed"])
        elif what == "refresh":
            bearer = dice.choice([recent, recent, recent, -1, -4, "garbage", None])
            step = (bearer, dice.choice([recent, recent, recent, recent, -2, "garbage", "malformed"]))
        elif what == "data":
            step = dice.choice([recent, recent, recent, "garbage", None])
        elif what == "advance":
            step = dice.choice([1.0, 30.0, 200.0, 601.0])
        elif what == "order":
            step = dice.choice(["expire", "revoke-access", "revoke-refresh", "unlock", "unlock", "503"])
        else:
            step = dice.choice([("GET", "login"), ("DELETE", "refresh"), ("PUT", "login")])
        conversation.append((what, step))
    return conversation


def said(partner: Partner, what: str, step: Any) -> tuple[str, ...]:
    """Say one thing, and give back what the answer means to a client of the supplier."""

    def token(which: Any, name: str) -> str:
        if isinstance(which, str):
            return which
        return partner.issued[which][name] if len(partner.issued) >= -which else "none-yet"

    if what in ("advance", "order"):
        partner.order("advance" if what == "advance" else step, step if what == "advance" else 0.0)
        return ()
    if what == "nonsense":
        return (str(partner.ask(*step, (), b"").status),)
    flow = plugins.find_vendor("supplier").flow
    if what == "data":
        headers = () if step is None else (("Authorization", f"Bearer {token(step, 'token')}"),)
        answer = partner.ask("GET", "../tracking/7", headers, b"")
        served = answer.status in (200, 307)
        return ("served",) if served else ("refused", str(answer.status))
    if what == "login":
        bodies = {
            "right": ACCOUNT,
            "wrong": {**ACCOUNT, "password": "guess"},
            "nobody": {**ACCOUNT, "username": "nobody"},
            "malformed": {"user": 1},
        }
        answer = partner.ask("POST", "login", (), json.dumps(bodies[step]).encode())
    else:
        bearer, refresh = step
        headers = () if bearer is None else (("Authorization", f"Bearer {token(bearer, 'token')}"),)
        body = {} if refresh == "malformed" else {"refreshToken": token(refresh, "refreshToken")}
        answer = partner.ask("POST", "refresh", headers, json.dumps(body).encode())
    outcome, _ = judge(flow.exchanges[what].answers, answer)
    if outcome is not None and outcome.name == "granted":
        partner.issued.append({"token": answer.json["token"], "refreshToken": answer.json["refreshToken"]})
    return (outcome.name if outcome is not None else "none", str(answer.status))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_both_answer_a_thousand_steps_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner() as runner:
        _converse(FromTheFile(), ByHand(runner), seed, monkeypatch)


def _converse(file: FromTheFile, hand: ByHand, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_module.time, "time", lambda: 1_750_000_000.0)
    meant: Counter[tuple[str, ...]] = Counter()
    for number, (what, step) in enumerate(recorded(seed), 1):
        answers = said(hand, what, step), said(file, what, step)
        assert answers[0] == answers[1], f"step {number}, {what} {step}: {hand.name}, {file.name} answer {answers}"
        meant[what, *answers[0]] += 1
    # A conversation in which everything was refused would compare nothing.
    for every in (("login", "granted", "200"), ("refresh", "granted", "200"), ("data", "served")):
        assert meant[every] >= 15, meant
    for every in (("login", "denied", "401"), ("refresh", "denied", "401"), ("data", "refused", "401")):
        assert meant[every] >= 15, meant
    assert file.simulator.counts["refresh_reused"] == hand.service.counts["refresh_reused"] > 0
