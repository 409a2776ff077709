"""What can go wrong at a vendor, by name: from code, from the command line, and as rules of the state machine.

    simulator.faults.add("503")                         the next request, whatever it is
    simulator.faults.add("429=30", at="refresh")        the next refresh: wait 30 s
    simulator.faults.add("timeout-after:0.1")           one request in ten, its work done, its answer lost
    simulator.faults.add("revoke-family")               at once

A fault is written NAME[=VALUE][@WHERE][:HOW], where WHERE is an exchange, `data`, or `exchange` for any of them, and
HOW is a rate (0.1) or a number of times (x3); once, unless told.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from authflow.http import Answer

if TYPE_CHECKING:
    from authflow.testing.keys import Keys
    from authflow.testing.ledger import Ledger
    from authflow.testing.proving import Proving
    from authflow.vendors import Vendor


class Broken(Exception):
    """No whole answer. `kind` is a row of `BROKEN`; `done`: the work was done before the answer was lost."""

    def __init__(self, kind: str, *, done: bool, connected: bool = True) -> None:
        super().__init__(kind)
        self.kind, self.done, self.connected = kind, done, connected


#: name → (what the client sees, is the work done first, was there a connection at all)
BROKEN: Final[dict[str, tuple[str, bool, bool]]] = {
    "refused": ("refused", False, False),
    "timeout": ("timeout", False, True),
    "timeout-after": ("timeout", True, True),
    "reset": ("reset", False, True),
    "reset-after": ("reset", True, True),
    "half": ("half", True, True),
}


class Faulty(Protocol):
    """What faults befall: a simulator, as far as they reach into it."""

    ledger: Ledger
    counts: Counter[str]
    skew: float

    @property
    def vendor(self) -> Vendor: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def proving(self) -> Proving: ...
    def now(self) -> float: ...
    def delay(self, seconds: float) -> None: ...


_Order = Callable[["Faulty", float], None]


def _lock(simulator: Faulty, value: float) -> None:
    from authflow.testing.ledger import WRONG_PASSWORDS

    for account in simulator.ledger.accounts:
        account.wrong = WRONG_PASSWORDS


def _refuse(simulator: Faulty, value: float) -> None:
    for account in simulator.ledger.accounts:
        account.refused = True


def _unlock(simulator: Faulty, value: float) -> None:
    for account in simulator.ledger.accounts:
        account.refused, account.wrong = False, 0


def _forge(simulator: Faulty, value: float) -> None:
    simulator.keys.forging = True


def _skew(simulator: Faulty, value: float) -> None:
    simulator.skew = value


#: name → what happens at once, at the vendor. The value is in seconds, where there is one.
ORDERS: Final[dict[str, _Order]] = {
    "expire": lambda simulator, value: simulator.ledger.expire_all(simulator.now()),
    "revoke-access": lambda simulator, value: simulator.ledger.revoke_all("access"),
    "revoke-refresh": lambda simulator, value: simulator.ledger.revoke_all("refresh"),
    "revoke-family": lambda simulator, value: simulator.ledger.revoke_families(),
    "refuse-password": _refuse,
    "lock-account": _lock,
    "unlock": _unlock,
    "restart": lambda simulator, value: simulator.ledger.forget(),
    "skew": _skew,
    "turn-keys": lambda simulator, value: simulator.keys.turn(),
    "turn-nonces": lambda simulator, value: simulator.proving.turn(),
    "forge": _forge,
}

#: name → the answer given in the place of the vendor's own.
ANSWERS: Final[dict[str, tuple[int, str, bytes]]] = {
    "garbage": (200, "application/json", b'{"access_token": '),
    "wrong-type": (200, "text/html", b"<!doctype html><title>Maintenance</title>"),
    "empty": (200, "application/json", b""),
}

_NOTATION: Final = re.compile(r"([a-z0-9-]+)(?:=([0-9.+-]+))?(?:@([\w-]+))?(?::(x\d+|[0-9.]+))?")


def names() -> list[str]:
    """Every name that a fault can have; a status from 400 to 599 is one too."""
    return [*ORDERS, *BROKEN, *ANSWERS, "slow", "429", "500", "503"]


@dataclass(slots=True)
class Fault:
    """One fault: what, where, how often. `rate` is a probability; without one it happens `times` times."""

    name: str
    value: float | None = None
    at: str | None = None
    times: int = 1
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read the notation of the command line. Raises ValueError, which names what there is."""
        parts = _NOTATION.fullmatch(text)
        if parts is None:
            raise ValueError(f"{text!r} is not a fault: write NAME[=VALUE][@WHERE][:RATE or :xTIMES]")
        name, value, at, how = parts.groups()
        if name not in names() and not re.fullmatch("[45][0-9][0-9]", name):
            raise ValueError(f"unknown fault {name!r}: there are {', '.join(names())}, and any status from 400 to 599")
        fault = cls(name, None if value is None else _number(value), at)
        if name == "skew" and fault.value is None:
            raise ValueError("a clock is wrong by a number of seconds: skew=600")
        if name == "slow" and fault.value is not None and fault.value < 0:
            raise ValueError("an answer is slow by a number of seconds, and not before it was asked for")
        if how is not None and how.startswith("x"):
            fault.times = int(how[1:])
            if fault.times < 1:
                raise ValueError("a fault happens once or more often")
        elif how is not None:
            fault.rate = _number(how)
            if not 0 <= fault.rate <= 1:
                raise ValueError(f"a rate lies between 0 and 1, not {how}")
        return fault

    def fits(self, label: str, is_exchange: bool) -> bool:
        return self.at is None or self.at == label or (self.at == "exchange" and is_exchange)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None


@dataclass(slots=True)
class Faults:
    """The faults of one simulator, in their order. `slept` is told how long a slow answer takes."""

    simulator: Faulty
    random: random.Random = field(default_factory=lambda: random.Random(0))
    ordered: list[Fault] = field(default_factory=list)

    def add(self, text: str, *, at: str | None = None) -> None:
        """Order a fault by its notation. What happens to the vendor itself, and has no rate, happens at once. Raises
        ValueError for what is no fault, or is ordered where nothing is.
        """
        fault = Fault.parse(text)
        fault.at = at or fault.at
        keys = ["keys"] if self.simulator.vendor.verify is not None else []
        places = ["data", "exchange", *keys, *self.simulator.vendor.flow.exchanges]
        if fault.at is not None and fault.at not in places:
            raise ValueError(f"no fault can be at {fault.at!r}: there are {', '.join(places)}")
        if fault.name in ORDERS and fault.rate is None and fault.at is None:
            ORDERS[fault.name](self.simulator, fault.value or 0.0)
        else:
            self.ordered.append(fault)

    def clear(self) -> None:
        """Take every ordered fault back; what was revoked stays revoked."""
        self.ordered.clear()

    def next(self, label: str, is_exchange: bool) -> Fault | None:
        """The fault that befalls this request."""
        for fault in self.ordered:
            if not fault.fits(label, is_exchange):
                continue
            if fault.rate is not None:
                if self.random.random() < fault.rate:
                    return fault
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.ordered.remove(fault)
            return fault
        return None

    def befall(self, fault: Fault, work: Callable[[], Answer]) -> Answer:
        """Answer a request that `fault` befalls. Raises Broken."""
        self.simulator.counts["faults"] += 1
        if fault.name in ORDERS:
            ORDERS[fault.name](self.simulator, fault.value or 0.0)
            return work()
        if fault.name in BROKEN:
            kind, done, connected = BROKEN[fault.name]
            if done:
                work()
            raise Broken(kind, done=done, connected=connected)
        if fault.name == "slow":
            answer = work()
            self.simulator.delay(fault.value if fault.value is not None else 2.0)
            return answer
        if fault.name in ANSWERS:
            status, kind, body = ANSWERS[fault.name]
            return Answer(status, (("Content-Type", kind),), body)
        headers: list[tuple[str, Any]] = [("Content-Type", "application/json")]
        if fault.value is not None:
            headers.append(("Retry-After", f"{fault.value:g}"))
        return Answer(int(fault.name), tuple(headers), b'{"error": "fault"}')
