"""Total: every outcome leads somewhere, every state is reached and can come to rest. Ends: no run sends for ever."""

from __future__ import annotations

from collections.abc import Iterator

from authflow.errors import Finding
from authflow.vendors.flow import EXPIRED, UNAVAILABLE, Failing, Flow, Sending
from authflow.vendors.proofs.places import finding, unknown
from authflow.vendors.vendor import Vendor


def total(vendor: Vendor) -> Iterator[Finding]:
    """Every state, exchange, outcome and event that is named exists, and each outcome has its way out."""
    flow = vendor.flow
    events = {name for name, _ in vendor.answers} | {EXPIRED}
    if flow.start not in flow.states:
        yield unknown(vendor, "start", "state", flow.start, flow.states)
    for state in flow.states.values():
        key = f"states.{state.name}"
        if isinstance(state, Failing):
            continue
        if isinstance(state, Sending):
            if state.send not in flow.exchanges:
                yield unknown(vendor, f"{key}.send", "exchange", state.send, flow.exchanges)
                continue
            outcomes = set(flow.exchanges[state.send].outcomes)
            unending = {name for name in outcomes if flow.exchanges[state.send].waits(name)}
            for outcome in sorted(outcomes - {UNAVAILABLE} - set(state.next) - unending):
                reason = f"the exchange {state.send} can end as {outcome}, and nothing says where that leads"
                yield finding(vendor, key, reason, f'{outcome} = "…"')
            known, what = outcomes | {UNAVAILABLE}, f"outcome of the exchange {state.send}"
            if state.missing is not None and state.missing not in flow.states:
                yield unknown(vendor, f"{key}.missing", "state", state.missing, flow.states)
        else:
            known, what = events, "event"
        for event, target in state.next.items():
            if event not in known:
                also = {"missing"} if isinstance(state, Sending) and state.missing is None else set()
                yield unknown(vendor, f"{key}.{event}", what, event, known | also)
            if target not in flow.states:
                yield unknown(vendor, f"{key}.{event}", "state", target, flow.states)
    if vendor.on_logout is not None and vendor.on_logout not in flow.exchanges:
        yield unknown(vendor, "on_logout", "exchange", vendor.on_logout, flow.exchanges)


def ends(vendor: Vendor) -> Iterator[Finding]:
    """Every state is reached, and from each a renewal comes to rest. Needs a flow whose names all exist."""
    flow = vendor.flow
    reached = {flow.start, *_beyond(flow, flow.start)}
    for name in flow.states:
        if name not in reached:
            yield finding(
                vendor, f"states.{name}", "no path leads to this state", "name it as an outcome's, or drop it"
            )
    cycles = list(_cycles(flow))
    for cycle in cycles:
        path = " → ".join([*cycle, cycle[0]])
        reason = f"a renewal could send for ever: {path}"
        yield finding(vendor, f"states.{cycle[0]}", reason, "let one outcome end in a state that presents or fails")
    for name in flow.states if not cycles else ():
        if all(isinstance(flow.states[other], Sending) for other in {name, *_beyond(flow, name)}):
            reason = "a dead end: no state that presents or fails can be reached from here"
            yield finding(vendor, f"states.{name}", reason, "say where an outcome leads")


def _following(flow: Flow, name: str) -> list[str]:
    state = flow.states[name]
    if isinstance(state, Failing):
        return []
    missing = [state.missing] if isinstance(state, Sending) and state.missing is not None else []
    return [*state.next.values(), *missing]


def _beyond(flow: Flow, name: str, *, sending: bool = False) -> dict[str, str]:
    """Every state that can be reached from one (over sending states only), each with the state before it."""
    before: dict[str, str] = {}
    todo = [name]
    while todo:
        here = todo.pop()
        for after in _following(flow, here):
            if after not in before and not (sending and not isinstance(flow.states[after], Sending)):
                before[after] = here
                todo.append(after)
    return before


def _cycles(flow: Flow) -> Iterator[list[str]]:
    """One cycle of sending states for each knot of them."""
    told: set[str] = set()
    for name, state in flow.states.items():
        before = _beyond(flow, name, sending=True) if isinstance(state, Sending) else {}
        if name not in before or name in told:
            continue
        told |= {other for other in before if name in _beyond(flow, other, sending=True)}
        cycle = [before[name]]
        while cycle[-1] != name:
            cycle.append(before[cycle[-1]])
        yield cycle[::-1]
