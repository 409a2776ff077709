"""The flow: states, the events and outcomes that lead from one to the next, and the run.

    a sending state     sends its exchange; the outcome says which state follows        signed_out, stale
    a presenting state  lays its presentation over the caller's requests and rests      signed_in
    a failing state     raises                                                          refused

A run goes from wherever an event led until a state presents or fails. It is a pure generator: it yields the
exchange that it wants sent and is sent the outcome back. It does no I/O, reads no clock, and, since the flow was
proved to hold no cycle of sending states, it sends at most as many exchanges as there are sending states; and those
that a vendor wants to be asked again it repeats, after a second or more each, for half an hour at most.
"""

from __future__ import annotations

import re
from collections.abc import Container, Generator, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from authflow.sealed import Sealed, sealed_value
from authflow.templates import Exchange, Outcome, Placeholder, Present, Template

#: Built in: the vendor cannot answer now, or (`lost`) may have acted on a request whose answer never came.
UNAVAILABLE: Final = "unavailable"
LOST: Final = "lost"
#: The event that the clock raises.
EXPIRED: Final = "expired"


#: How soon, at the earliest and where nothing is said, and for how long an exchange is repeated, in seconds.
SOONEST: Final = 1.0
AGAIN: Final = 5.0
LONGEST: Final = 1800.0


@dataclass(frozen=True, slots=True)
class Sending:
    """`send` names an exchange, `next` tells where each outcome leads, `missing` where to go if a value is absent,
    `tell` what a person is told when it is entered.
    """

    name: str
    send: str
    next: Mapping[str, str]
    missing: str | None = None
    tell: Template | None = None


@dataclass(frozen=True, slots=True)
class Presenting:
    """`present` is what the caller's requests carry, `next` says where each event leads."""

    name: str
    present: Present
    next: Mapping[str, str]


#: What a browser brings into its exchange's request, and what is known after it.
INTO_BROWSER: Final = frozenset({"redirect_uri", "state", "code_challenge"})
FROM_BROWSER: Final = frozenset({"redirect_uri", "code_verifier"})

_OPTIONAL: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\?\}")


@dataclass(frozen=True, slots=True)
class Failing:
    """The end of a run that cannot succeed. Its message may hold optional placeholders: `{reason?}`, what the answer
    said; `{credentials?}`, the names of those that were sent; settings.
    """

    name: str
    message: str

    def says(self, values: Mapping[str, Any] = {}) -> str:
        """The message, a sentence; without a reason in it, the reason behind it."""
        known = {"credentials": "login", **values}
        text = _OPTIONAL.sub(lambda found: str(known.get(found[1]) or ""), self.message)
        text = re.sub(r"[\s:,;]+$", "", text)
        if known.get("reason") and "{reason?}" not in self.message:
            text = f"{text or self.name} The answer says: {known['reason']}"
        return text if text.endswith((".", "!", "?")) else f"{text}."


State = Sending | Presenting | Failing


class Pause(NamedTuple):
    """A pattern's `again` and `for`, filled, in seconds: ask once more after `again`, or after `longer` more than
    before; for at most `patience` altogether.
    """

    again: float
    patience: float
    longer: float = 0.0


@sealed_value
class Step(Sealed):
    """What a run wants sent, from which state, with which captured values; after `wait` seconds, `waited` in all."""

    state: str
    exchange: Exchange
    captured: Mapping[str, Any]
    wait: float = 0.0
    waited: float = 0.0

    def __repr__(self) -> str:
        return f"<Step {self.state}: {self.exchange.name}>"


class Transition(NamedTuple):
    """One edge walked: for observers, drawings and error messages."""

    before: str
    event: str
    after: str


@sealed_value
class Rest(Sealed):
    """Where a run ended, and the values it holds now; in a sending state, where the vendor was waited for in vain."""

    state: State
    captured: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"<Rest {self.state.name}>"


@dataclass(frozen=True, slots=True)
class Flow:
    """The table: every state by name, every exchange by name, and the state of a session that has nothing yet."""

    start: str
    states: Mapping[str, State]
    exchanges: Mapping[str, Exchange]

    def after(self, state: str, event: str) -> str | None:
        """The state that an event leads to, or None where the state does not care."""
        here = self.states[state]
        return None if isinstance(here, Failing) else here.next.get(event)


def run(
    flow: Flow,
    state: str,
    captured: Mapping[str, Any],
    bound: Container[str],
    walked: list[Transition],
    waited: float = 0.0,
    led: set[str] | None = None,
    anew: Container[str] = (),
) -> Generator[Step, Outcome, Rest]:
    """Go from `state` until one presents or fails, noting each edge in `walked`. So many seconds it `waited` already.
    Of the names that `led` the token somewhere, a login from the start, or by an exchange that logs in `anew`, forgets
    those that it has not brought; they are taken out of `led` as they are brought.

    `bound` are the names that need no capture: settings, credentials, derived values. Who sends `unavailable` must have
    seen to it that the state has an edge for it; `lost`, or a missing refresh token, takes `next_step`.
    """
    values, fresh, wait, longer, led = dict(captured), True, 0.0, 0.0, set() if led is None else led
    while True:
        here = flow.states[state]
        sends = here.send if isinstance(here, Sending) else ""
        if (state == flow.start or sends in anew) and not (sends and spends_known(flow.exchanges[sends], values)):
            values = {name: value for name, value in values.items() if name not in led}
        if not isinstance(here, Sending):
            return Rest(here, values)
        exchange = flow.exchanges[here.send]
        brought = INTO_BROWSER if exchange.by else ()
        absent = [
            name
            for name in needs(exchange.request.placeholders())
            if values.get(name) is None and name not in bound and name not in brought
        ]
        if absent and (here.missing is not None or (absent == ["refresh"] and refusals(exchange))):
            event, after = "missing", next_step(here, exchange)
        elif absent == ["refresh"] and fresh and state != flow.start:
            event, after, fresh = "missing", flow.start, False  # no step is named, nothing was sent: from the start
        else:
            fresh = False
            outcome = yield Step(state, exchange, values, wait, waited)
            event = outcome.name
            values = absorb(values, outcome, exchange)
            led.difference_update(outcome.captured)
            if isinstance(outcome.wait, Pause):
                longer += outcome.wait.longer
                wait = max(SOONEST, outcome.wait.again + longer)
                waited += wait
                if waited <= min(outcome.wait.patience, LONGEST):
                    walked.append(Transition(state, event, state))
                    continue
                if event not in here.next:
                    return Rest(here, values)
            after = next_step(here, exchange) if event == LOST else here.next[event]
        walked.append(Transition(state, event, after))
        state, wait, waited, longer = after, 0.0, 0.0, 0.0


def needs(placeholders: Iterable[Placeholder]) -> list[str]:
    """The names without which a template cannot be rendered."""
    return sorted(
        {placeholder.name for placeholder in placeholders if not placeholder.optional and placeholder.name != "_"}
    )


def absorb(values: Mapping[str, Any], outcome: Outcome, exchange: Exchange | None = None) -> dict[str, Any]:
    """The values after an outcome.

    A new `access` begins a new grant, so the expiry of the old one goes. A value that the answer leaves out keeps its
    old content, except for a refresh token that was sent and brought nothing: it is refused or lost, and never sent
    again; and a `reason`, which is that of the last outcome.
    """
    kept = {name: value for name, value in values.items() if name != "reason"}
    if "access" in outcome.captured:
        for told in ("expires_in", "expires_at", "refresh_in"):
            kept.pop(told, None)
    elif exchange is not None and outcome.name != UNAVAILABLE and spends_refresh(exchange):
        kept.pop("refresh", None)
    return {**kept, **{name: value for name, value in outcome.captured.items() if name != "retry_after"}}


@lru_cache(maxsize=1024)
def spends_refresh(exchange: Exchange) -> bool:
    """Does it send the refresh token in order to get a new token?"""
    sends = any(placeholder.name == "refresh" for placeholder in exchange.request.placeholders())
    return sends and any("access" in pattern.may_capture for _, pattern in exchange.answers)


def spends_known(exchange: Exchange, values: Mapping[str, Any]) -> bool:
    """Does it send one that an answer has brought?"""
    return values.get("refresh") is not None and spends_refresh(exchange)


@lru_cache(maxsize=1024)
def rotates(exchange: Exchange) -> bool:
    """May its answer replace the refresh token that it sends? Then a lost answer has cost the token."""
    return spends_refresh(exchange) and any("refresh" in pattern.may_capture for _, pattern in exchange.answers)


@lru_cache(maxsize=1024)
def refusals(exchange: Exchange) -> tuple[str, ...]:
    """The outcomes that bring no new token."""
    return tuple(
        name
        for name in exchange.outcomes
        if name != UNAVAILABLE
        and not exchange.waits(name)
        and not any("access" in pattern.may_capture for pattern in exchange.patterns(name))
    )


def needs_a_person(flow: Flow, state: str) -> bool:
    """Does every way from here to a state that presents pass somebody who must be told, or must act?"""
    seen, todo = set[str](), [state]
    while todo:
        here = flow.states[todo.pop()]
        if isinstance(here, Presenting):
            return False
        if isinstance(here, Sending) and here.name not in seen and not _asks(flow, here):
            seen.add(here.name)
            todo += [*here.next.values(), *filter(None, [here.missing])]
    return any(_asks(flow, one) for one in flow.states.values())


def _asks(flow: Flow, state: State) -> bool:
    return isinstance(state, Sending) and (state.tell is not None or flow.exchanges[state.send].by != "")


def next_step(state: Sending, exchange: Exchange) -> str:
    """Where to go when an exchange cannot be sent, or must not be sent again: `missing`, else as if it had been
    refused.
    """
    return state.missing if state.missing is not None else state.next[refusals(exchange)[0]]
