"""Bound: every value that a state needs is there on every path to it, unless the state says where `missing` leads.

This is definite assignment, as a compiler proves it for variables: the greatest solution of what each edge adds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import UNSET

from authflow.errors import Finding
from authflow.templates import Exchange
from authflow.vendors.flow import (
    EXPIRED,
    FROM_BROWSER,
    INTO_BROWSER,
    UNAVAILABLE,
    Presenting,
    Sending,
    needs,
    next_step,
    refusals,
)
from authflow.vendors.flow import spends_refresh as spends
from authflow.vendors.proofs.names import known_names
from authflow.vendors.proofs.places import Place, finding, presented, requested, told
from authflow.vendors.vendor import Vendor


class _Edge(NamedTuple):
    before: str
    after: str
    gains: frozenset[str]
    loses: frozenset[str]


NONE: frozenset[str] = frozenset()


def check(vendor: Vendor) -> Iterator[Finding]:
    """Needs a flow whose names all exist."""
    known, there = known_names(vendor), _there(vendor)
    for name, state in vendor.flow.states.items():
        here = there[name]
        if isinstance(state, Presenting):
            places, excused = [*presented(vendor, state), *_base(vendor)], False
        elif isinstance(state, Sending):
            exchange = vendor.flow.exchanges[state.send]
            places, excused = [*requested(vendor, state.send)], state.missing is not None
            here |= INTO_BROWSER if exchange.by else NONE
            if _is_relative(exchange):
                places += _base(vendor)
            for key, placeholder in told(state):
                if not placeholder.optional and _unbound(vendor, [placeholder.name], there[name]) & known:
                    reason = f"{{{placeholder.name}}} has no value on some path to the state {name}"
                    yield finding(vendor, key, reason, f"{{{placeholder.name}?}}")
        else:
            continue
        for key, placeholder in places:
            if placeholder.optional or (excused and key != "base_url"):
                continue
            for need in sorted(_unbound(vendor, [placeholder.name], here) & known):
                via = "" if need == placeholder.name else f", which {placeholder.name} is derived from,"
                reason = f"{{{need}}}{via} has no value on some path to the state {name}"
                yield finding(vendor, key, reason, f'{{{need}?}}, or missing = "…" in the state {name}')


def _base(vendor: Vendor) -> list[Place]:
    return [("base_url", placeholder) for placeholder in vendor.base_url.placeholders()]


def _is_relative(exchange: Exchange) -> bool:
    url = exchange.request.url
    return url is not None and not url.starts_with_placeholder and not url.is_absolute


def _there(vendor: Vendor) -> dict[str, frozenset[str]]:
    """The names that are surely bound, by state: the greatest solution of what the edges say."""
    flow, edges = vendor.flow, list(_edges(vendor))
    everything = frozenset(name for edge in edges for name in edge.gains)
    given = (name for name, entry in vendor.inputs.items() if not entry.optional or entry.default is not UNSET)
    start = frozenset(given) | {"base_url"}
    there = {name: start if name == flow.start else start | everything for name in flow.states}
    changed = True
    while changed:
        changed = False
        for edge in edges:
            arriving = (there[edge.before] | edge.gains) - edge.loses
            if not there[edge.after] <= arriving:
                there[edge.after] &= arriving
                changed = True
    return there


def _edges(vendor: Vendor) -> Iterator[_Edge]:
    flow = vendor.flow
    for name, state in flow.states.items():
        if isinstance(state, Presenting):
            for event, after in state.next.items():
                patterns = [pattern.captures for known, pattern in vendor.answers if known == event]
                surely = patterns and event != EXPIRED
                yield _Edge(name, after, frozenset.intersection(*patterns) if surely else NONE, NONE)
        elif isinstance(state, Sending):
            exchange = flow.exchanges[state.send]
            wanted = needs(exchange.request.placeholders())
            had = frozenset(_unbound(vendor, wanted, NONE)) if state.missing is not None else NONE
            for outcome, after in state.next.items():
                found = [pattern.captures for pattern in exchange.patterns(outcome)]
                gains = frozenset.intersection(*found) if found and outcome != UNAVAILABLE else NONE
                gains |= FROM_BROWSER if exchange.by and found else NONE
                lost = spends(exchange) and "access" not in gains and outcome != UNAVAILABLE
                yield _Edge(name, after, gains | had, frozenset({"refresh"}) - gains if lost else NONE)
            if state.missing is not None:
                yield _Edge(name, state.missing, NONE, NONE)
            if spends(exchange) and (state.missing is not None or refusals(exchange)):
                yield _Edge(name, next_step(state, exchange), NONE, frozenset({"refresh"}))


def _unbound(vendor: Vendor, wanted: Iterable[str], there: frozenset[str]) -> set[str]:
    """What is neither there nor derived from what is."""
    missing, seen = set[str](), set[str]()
    todo = list(wanted)
    while todo:
        name = todo.pop()
        if name in there or name in seen:
            continue
        seen.add(name)
        if name in vendor.derive:
            todo += needs(vendor.derive[name].argument.placeholders())
        else:
            missing.add(name)
    return missing
