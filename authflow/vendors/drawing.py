"""A vendor's flow as a picture, made from the very table that runs.

outline      for a terminal: each state, what it does, where each outcome leads
facts        for programs: the same as plain values
diagram      Mermaid, a state diagram
walk         the longest walk from the start, as steps; `story` and `sequence` draw it, for a terminal and in Mermaid
arrows       Mermaid, a sequence diagram of any messages

Pure: a vendor goes in, text comes out. What is shown stands in the vendor file, so there is no secret in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from authflow.errors import harmless
from authflow.templates import Present
from authflow.vendors.flow import EXPIRED, UNAVAILABLE, Failing, Presenting, Sending, State
from authflow.vendors.vendor import Vendor

#: Words that Mermaid keeps for itself.
_KEPT: Final = frozenset({"end", "state", "note", "class", "classdef", "default", "direction", "style", "as", "click"})


# --- states -----------------------------------------------------------------------------------------------------------


def outline(vendor: Vendor) -> str:
    """Each state in the order of the file, what it does, and where its outcomes and events lead."""
    lines = [f"{vendor.name}: {vendor.title}" if vendor.title != vendor.name else vendor.name]
    lines += _inputs(vendor)
    for state in vendor.flow.states.values():
        mark = "▶" if state.name == vendor.flow.start else " "
        lines += ["", f"{mark} {state.name}: {_does(vendor, state)}"]
        edges = _edges(vendor, state)
        width = max((len(label) for label, _ in edges), default=0)
        lines += [f"    {label.ljust(width)} → {target}" for label, target in edges]
    return "".join(f"{harmless(line)}\n" for line in lines)


def facts(vendor: Vendor) -> dict[str, Any]:
    """The flow as plain values, as JSON knows them: what the outline shows."""
    states = [
        {
            "name": state.name,
            "kind": type(state).__name__.lower(),
            "does": _does(vendor, state),
            "next": _targets(vendor, state),
        }
        for state in vendor.flow.states.values()
    ]
    must = needed(vendor)
    may = [name for name in vendor.inputs if name not in must]
    named = {"name": vendor.name, "title": vendor.title, "needs": must, "takes": may}
    return {**named, "start": vendor.flow.start, "states": states}


def _inputs(vendor: Vendor) -> Iterator[str]:
    """What a user must give, and what they may give."""
    must = needed(vendor)
    for verb, names in (("needs", must), ("takes", [name for name in vendor.inputs if name not in must])):
        if names:
            yield f"  {verb} {', '.join(names)}"


def needed(vendor: Vendor) -> list[str]:
    """The settings and credentials that a user must give."""
    return [name for name, entry in vendor.inputs.items() if entry.default is UNSET and not entry.optional]


def diagram(vendor: Vendor, edges: Iterable[tuple[str, str, str]] | None = None) -> str:
    """The states as a Mermaid `stateDiagram-v2`. `edges` (from, label, to) are drawn in the place of the flow's."""
    names = _identifiers(vendor)
    if edges is None:
        states = vendor.flow.states.values()
        edges = [(state.name, label, target) for state in states for label, target in _edges(vendor, state)]
    drawn = list(edges)
    lines = ["stateDiagram-v2", f"    [*] --> {names[vendor.flow.start]}"]
    for name, state in vendor.flow.states.items():
        lines += [f'    state "{_plain(name)}: {_plain(_does(vendor, state))}" as {names[name]}']
    for state in vendor.flow.states.values():
        lines += [
            f"    {names[before]} --> {names[after]}: {_plain(label)}"
            for before, label, after in drawn
            if before == state.name
        ]
        if isinstance(state, Failing):
            lines.append(f"    {names[state.name]} --> [*]")
    return "\n".join(lines) + "\n"


def _identifiers(vendor: Vendor) -> dict[str, str]:
    """A Mermaid identifier for each state: its name, where that can be one."""
    found: dict[str, str] = {}
    for index, name in enumerate(vendor.flow.states):
        usable = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) and name.lower() not in _KEPT
        found[name] = name if usable else f"state_{index}"
    return found


def _does(vendor: Vendor, state: State) -> str:
    if isinstance(state, Sending):
        tells = ", and tells a person" if state.tell is not None else ""
        return f"sends {state.send} ({_line(vendor, state.send)}){tells}"
    if isinstance(state, Presenting):
        return f"presents {_presented(state.present)}"
    return f"fails ({state.says().removesuffix('.')})"


def _line(vendor: Vendor, exchange: str) -> str:
    """The request line of an exchange, with its placeholders."""
    request = vendor.flow.exchanges[exchange].request
    has_body = not (request.json is None and request.form is None and request.text is None)
    method = request.method or ("POST" if has_body else "GET")
    signed = f", signed by {request.sign.name}" if request.sign is not None else ""
    return f"{method} {vendor.raw['exchanges'][exchange]['request']['url']}{signed}"


def _presented(present: Present) -> str:
    names = [name for name, _ in present.headers]
    names += ["HTTP Basic"] if present.basic else []
    names += [f"the cookie {name}" for name, _ in present.cookies]
    names += [f"?{name}" for name, _ in present.query]
    names += ["a field of the body"] if present.json or present.form else []
    names += [f"{literal} in the body" for literal, _ in present.text]
    names += [f"a signature ({present.sign.name})"] if present.sign is not None else []
    return ", ".join(names) or "nothing"


def _edges(vendor: Vendor, state: State) -> list[tuple[str, str]]:
    """Labels and targets; what leads to the same state shares an arrow."""
    by_target: dict[str, list[str]] = {}
    for event, target in _targets(vendor, state).items():
        by_target.setdefault(target, []).append(event)
    return [(", ".join(events), target) for target, events in by_target.items()]


def _targets(vendor: Vendor, state: State) -> dict[str, str]:
    """Where each outcome or event leads, `missing` too; what is repeated leads back."""
    if isinstance(state, Failing):
        return {}
    exchange = vendor.flow.exchanges[state.send] if isinstance(state, Sending) else None
    again = {name: state.name for name in exchange.outcomes if exchange.waits(name)} if exchange is not None else {}
    missing = {"missing": state.missing} if isinstance(state, Sending) and state.missing is not None else {}
    return {**again, **state.next, **missing}


def _plain(text: str, syntax: str = ":") -> str:
    """Text that Mermaid takes for nothing else: what it could take for syntax, as its numbered entities."""
    numbered = re.sub(rf'[{syntax}"#;<>{{}}\[\]\\`\n\r]', lambda found: f"#{ord(found[0])};", text)
    return harmless(numbered)


# --- the longest walk -------------------------------------------------------------------------------------------------


class Walked(NamedTuple):
    """One step: in `state`, `event` happened, which led to `after`."""

    state: str
    event: str
    after: str


def walk(vendor: Vendor) -> list[Walked]:
    """The longest walk: up to the first state that presents, then the longest renewal from each one that is reached."""
    steps: list[Walked] = _run(vendor, vendor.flow.start) or []
    state = steps[-1].after if steps else vendor.flow.start
    seen: set[str] = set()
    while isinstance(here := vendor.flow.states[state], Presenting) and state not in seen:
        seen.add(state)
        longest = max(_ways(vendor, here), key=_length, default=[])
        if not longest:
            break
        steps += longest
        state = steps[-1].after
    return steps


def _ways(vendor: Vendor, here: Presenting) -> Iterator[list[Walked]]:
    for event, after in here.next.items():
        legs = _run(vendor, after)
        if legs is not None:
            yield [Walked(here.name, event, after), *legs]


def _length(way: list[Walked]) -> tuple[int, bool]:
    """How long a way is; an event of the vendor's takes longer than one of the clock."""
    return len(way), way[0].event != EXPIRED


def _run(vendor: Vendor, state: str) -> list[Walked] | None:
    """The longest way from here to a state that presents; None if there is none. (Sending states form no cycle.)"""
    here = vendor.flow.states[state]
    if isinstance(here, Failing):
        return None
    if isinstance(here, Presenting):
        return []
    best: list[Walked] | None = None
    for outcome, after in here.next.items():
        rest = _run(vendor, after) if outcome != UNAVAILABLE else None
        if rest is not None and (best is None or len(rest) + 1 > len(best)):
            best = [Walked(state, outcome, after), *rest]
    return best


class Message(NamedTuple):
    """One arrow of the sequence: who to whom, what, and whether it is an answer."""

    sender: str
    receiver: str
    text: str
    answer: bool = False


class Note(NamedTuple):
    """Something that happens at one of them, between two arrows."""

    at: str
    text: str


def messages(vendor: Vendor) -> list[Message | Note]:
    """The longest walk as messages between caller, session and vendor, and notes about the session."""
    told: list[Message | Note] = [_ASKED]
    answered = False
    for step in walk(vendor):
        here, after = vendor.flow.states[step.state], vendor.flow.states[step.after]
        if isinstance(here, Sending):
            told.append(Message("session", "vendor", f"{here.send} ({_line(vendor, here.send)})"))
            told.append(Message("vendor", "session", step.event, answer=True))
        elif isinstance(here, Presenting):
            if answered:
                told.append(_ASKED)
            told += _presenting(here, step.event) if step.event != EXPIRED else [_RUN_OUT]
        answered = isinstance(after, Presenting)
        if isinstance(after, Presenting):
            told += [
                Note("session", after.name),
                *_presenting(after, _DATA),
                Message("session", "caller", _DATA, answer=True),
            ]
    start = vendor.flow.states[vendor.flow.start]
    if len(told) == 1 and isinstance(start, Presenting):
        told += [*_presenting(start, _DATA), Message("session", "caller", _DATA, answer=True)]
    return told


_ASKED: Final = Message("caller", "session", "a request")
_DATA: Final = "the data"
_RUN_OUT: Final = Note("session", "the token has run out")


def _presenting(state: Presenting, event: str) -> list[Message | Note]:
    request = f"the request, with {_presented(state.present)}"
    return [Message("session", "vendor", request), Message("vendor", "session", event, answer=True)]


def sequence(vendor: Vendor) -> str:
    """The longest walk as a Mermaid `sequenceDiagram`."""
    people = {"caller": "your code", "session": "authflow", "vendor": vendor.title}
    return arrows(people, messages(vendor))


def arrows(people: Mapping[str, str], told: Iterable[Message | Note]) -> str:
    """Messages as a Mermaid `sequenceDiagram`; `people` are identifiers and the names that are shown."""
    lines = ["sequenceDiagram"]
    lines += [f"    participant {who} as {_plain(name)}" for who, name in people.items()]
    for item in told:
        if isinstance(item, Note):
            lines.append(f"    Note over {item.at}: {_plain(item.text, '')}")
        else:
            lines.append(f"    {item.sender}{'-->>' if item.answer else '->>'}{item.receiver}: {_plain(item.text, '')}")
    return "\n".join(lines) + "\n"


def story(vendor: Vendor) -> str:
    """The longest walk for a terminal, a line for each message."""
    who = {"caller": "your code", "session": "authflow", "vendor": vendor.name}
    wide = max(map(len, who.values()))
    lines = []
    for item in messages(vendor):
        if isinstance(item, Note):
            lines.append(f"{'':{wide}}   {'':{wide}}  ({item.text})")
        else:
            lines.append(f"{who[item.sender]:>{wide}} → {who[item.receiver]:{wide}}  {item.text}")
    return "".join(f"{harmless(line)}\n" for line in lines)
