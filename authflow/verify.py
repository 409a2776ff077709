"""The proofs: what must hold of a vendor file before it may run.

    total   every outcome leads somewhere, every name exists, every state is reached and none is a dead end
    ends    the sending states form no cycle, so one climb sends each exchange at most once
    bound   every value that a state needs is there on every path to it, or `missing` says otherwise
    safe    no plain http beyond this machine, no secret in a URL, no exchange to an undeclared origin

Each gives its findings, all of them; warnings are for what is legal but unwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from authflow.errors import Finding
from authflow.exchange import Present, RequestTemplate
from authflow.flow import EXPIRED, UNAVAILABLE, Failing, Flow, Presenting, Sending, needs, next_rung, refusals, rotates
from authflow.flow import spends_refresh as spends
from authflow.http import origin_of
from authflow.template import Hole
from authflow.urls import UrlTemplate
from authflow.vendor import Vendor

#: `AuthSession`'s own parameters: no setting may be called like one.
RESERVED: Final = frozenset({"vendor", "store", "client", "clock", "timeout", "untrusted", "on_store_failure"})
SECRET: Final = frozenset({"access", "refresh"})


def verify(vendor: Vendor) -> list[Finding]:
    """All findings about a compiled vendor, errors before warnings."""
    checks = [_names(vendor), _total(vendor)]
    found = [finding for check in checks for finding in check]
    if not found:
        found += [*_ends(vendor), *_bound(vendor), *_safe(vendor)]
    return sorted(found, key=lambda finding: finding.warning) + list(_unwise(vendor) if not found else ())


# --- names ------------------------------------------------------------------------------------------------------------


def _names(vendor: Vendor) -> Iterator[Finding]:
    for table, entries in (
        ("settings", vendor.settings),
        ("credentials", vendor.credentials),
        ("derive", vendor.derive),
    ):
        for name in entries:
            key = f"{table}.{name}"
            if not name.isidentifier() or name.startswith("_"):
                yield _finding(vendor, key, "not a name", "letters, digits and _")
            elif name in RESERVED or (name == "base_url" and table != "settings"):
                yield _finding(vendor, key, "the name is taken by AuthSession itself", "choose another")
            elif name in vendor.credentials and table != "credentials":
                yield _finding(vendor, key, "also a credential", "one name, one thing")
            elif name in vendor.settings and table == "derive":
                yield _finding(vendor, key, "also a setting", "one name, one thing")
    for name, entry in vendor.inputs.items():
        table = "credentials" if name in vendor.credentials else "settings"
        if entry.type == "int" and isinstance(entry.default, str | float | bool):
            yield _finding(vendor, f"{table}.{name}.default", "not a whole number, as its type says")
    for name in vendor.derive:
        if name in _closure(vendor, needs(vendor.derive[name].argument.holes())):
            yield _finding(vendor, f"derive.{name}", "derived from itself")


def _closure(vendor: Vendor, names: Iterable[str]) -> set[str]:
    """The names, and all that derived ones among them are made of."""
    seen: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            if name in vendor.derive:
                todo += [hole.name for hole in vendor.derive[name].argument.holes()]
    return seen


# --- total ------------------------------------------------------------------------------------------------------------


def _total(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    events = {name for name, _ in vendor.answers} | {EXPIRED}
    if flow.start not in flow.states:
        yield _unknown(vendor, "start", "state", flow.start, flow.states)
    for state in flow.states.values():
        key = f"states.{state.name}"
        if isinstance(state, Failing):
            continue
        if isinstance(state, Sending):
            if state.send not in flow.exchanges:
                yield _unknown(vendor, f"{key}.send", "exchange", state.send, flow.exchanges)
                continue
            outcomes = set(flow.exchanges[state.send].outcomes)
            for outcome in sorted(outcomes - {UNAVAILABLE} - set(state.next)):
                reason = f"the exchange {state.send} can end as {outcome}, and nothing says where that leads"
                yield _finding(vendor, key, reason, f'{outcome} = "…"')
            known, what = outcomes | {UNAVAILABLE}, f"outcome of the exchange {state.send}"
            if state.missing is not None and state.missing not in flow.states:
                yield _unknown(vendor, f"{key}.missing", "state", state.missing, flow.states)
        else:
            known, what = events, "event"
        for event, target in state.next.items():
            if event not in known:
                yield _unknown(vendor, f"{key}.{event}", what, event, known)
            if target not in flow.states:
                yield _unknown(vendor, f"{key}.{event}", "state", target, flow.states)
    if vendor.on_logout is not None and vendor.on_logout not in flow.exchanges:
        yield _unknown(vendor, "on_logout", "exchange", vendor.on_logout, flow.exchanges)
    if all(_targets_known(flow)):
        yield from _reached(vendor)


def _targets_known(flow: Flow) -> Iterator[bool]:
    yield flow.start in flow.states
    for name in flow.states:
        for target in _following(flow, name):
            yield target in flow.states


def _following(flow: Flow, name: str) -> list[str]:
    state = flow.states[name]
    if isinstance(state, Failing):
        return []
    missing = [state.missing] if isinstance(state, Sending) and state.missing is not None else []
    return [*state.next.values(), *missing]


def _reached(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    reached = _walk(flow, [flow.start])
    for name in flow.states:
        if name not in reached:
            yield _finding(
                vendor, f"states.{name}", "no path leads to this state", "name it as an outcome's, or drop it"
            )
        elif all(isinstance(flow.states[other], Sending) for other in _walk(flow, [name])):
            yield _finding(
                vendor, f"states.{name}", "a dead end: no state that presents or fails can be reached from here"
            )


def _walk(flow: Flow, todo: list[str]) -> set[str]:
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _following(flow, name)
    return seen


# --- ends -------------------------------------------------------------------------------------------------------------


def _ends(vendor: Vendor) -> Iterator[Finding]:
    """Peel off the sending states that lead to no other: what remains is cycles and what leads into them."""
    flow = vendor.flow
    left = {name for name, state in flow.states.items() if isinstance(state, Sending)}
    while peeled := {name for name in left if not left.intersection(_following(flow, name))}:
        left -= peeled
    while peeled := {name for name in left if not any(name in _following(flow, other) for other in left)}:
        left -= peeled
    if left:
        cycle = " → ".join(sorted(left))
        reason = f"a climb could send for ever: {cycle} lead to one another"
        yield _finding(vendor, f"states.{min(left)}", reason, "let one outcome end in a state that presents or fails")


# --- bound ------------------------------------------------------------------------------------------------------------


class _Edge(NamedTuple):
    before: str
    after: str
    gains: frozenset[str]
    loses: frozenset[str]


def _edges(vendor: Vendor) -> Iterator[_Edge]:
    flow, none = vendor.flow, frozenset[str]()
    for name, state in flow.states.items():
        if isinstance(state, Presenting):
            for event, after in state.next.items():
                patterns = [pattern.captures for known, pattern in vendor.answers if known == event]
                yield _Edge(name, after, frozenset.intersection(*patterns) if patterns else none, none)
        elif isinstance(state, Sending):
            exchange = flow.exchanges[state.send]
            had = frozenset(_request_needs(vendor, exchange.request)) if state.missing else none
            for outcome, after in state.next.items():
                found = [pattern.captures for pattern in exchange.patterns(outcome)]
                gains = frozenset.intersection(*found) if found and outcome != UNAVAILABLE else none
                lost = spends(exchange) and "access" not in gains and outcome != UNAVAILABLE
                yield _Edge(name, after, gains | had, frozenset({"refresh"}) - gains if lost else none)
            if state.missing is not None:
                yield _Edge(name, state.missing, none, none)
            if spends(exchange) and (state.missing is not None or refusals(exchange)):
                yield _Edge(name, next_rung(state, exchange), none, frozenset({"refresh"}))


def _bound(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    edges = list(_edges(vendor))
    everything = frozenset(name for edge in edges for name in edge.gains)
    start = frozenset(name for name, entry in vendor.inputs.items() if not entry.optional) | {"base_url"}
    there = {name: start if name == flow.start else start | everything for name in flow.states}
    changed = True
    while changed:
        changed = False
        for edge in edges:
            arriving = (there[edge.before] | edge.gains) - edge.loses
            if not there[edge.after] <= arriving:
                there[edge.after] &= arriving
                changed = True
    capturable = {name for _, pattern in vendor.answers for name in pattern.may_capture}
    capturable |= {
        name for item in flow.exchanges.values() for _, pattern in item.answers for name in pattern.may_capture
    }
    known = {*vendor.inputs, *vendor.derive, *capturable, "base_url"}
    for name, state in flow.states.items():
        if isinstance(state, Presenting):
            wanted = _unbound(vendor, _present_needs(vendor, state.present), there[name])
            key, may_miss = f"states.{name}.present", False
        elif isinstance(state, Sending):
            exchange = flow.exchanges[state.send]
            wanted = _unbound(vendor, _request_needs(vendor, exchange.request), there[name])
            key, may_miss = f"exchanges.{state.send}.request", state.missing is not None
        else:
            continue
        for need in sorted(wanted):
            if need not in known:
                yield _unknown(vendor, key, "value", need, known)
            elif not may_miss:
                yield _finding(
                    vendor,
                    key,
                    f"{{{need}}} is not bound on every path to the state {name}",
                    f'{{{need}?}}, or missing = "…"',
                )
    yield from _known_names(vendor, known)


def _unbound(vendor: Vendor, wanted: Iterable[str], there: frozenset[str]) -> set[str]:
    """What is neither there nor derived from what is."""
    missing: set[str] = set()
    for name in wanted:
        if name not in there:
            if name in vendor.derive:
                missing |= _unbound(vendor, needs(vendor.derive[name].argument.holes()), there)
            else:
                missing.add(name)
    return missing


def _request_needs(vendor: Vendor, request: RequestTemplate) -> set[str]:
    url = request.url
    relative = url is not None and not url.starts_with_hole and "://" not in url.literals[0]
    return {*needs(request.holes()), *(needs(vendor.base_url.holes()) if relative else ())}


def _present_needs(vendor: Vendor, present: Present) -> set[str]:
    return {*needs(present.holes()), *needs(vendor.base_url.holes())}


def _known_names(vendor: Vendor, known: set[str]) -> Iterator[Finding]:
    """Every name used outside of states must exist too."""
    used: list[tuple[str, Iterable[Hole]]] = [("base_url", vendor.base_url.holes())]
    used += [(f"exchanges.{item.name}.request", item.request.holes()) for item in vendor.flow.exchanges.values()]
    used += [(f"derive.{row.name}", row.argument.holes()) for row in vendor.derive.values()]
    used += [(f"origins.send.{index}", url.holes()) for index, url in enumerate(vendor.send_origins)]
    used += [(f"origins.present.{index}", url.holes()) for index, url in enumerate(vendor.present_origins)]
    for key, template in (("expiry.lifetime", vendor.lifetime), ("expiry.idle", vendor.idle)):
        used += [(key, template.holes())] if template is not None else []
    stated = {f"exchanges.{state.send}.request" for state in vendor.flow.states.values() if isinstance(state, Sending)}
    for key, holes in used:
        for hole in holes:
            if hole.name == "_":
                yield _finding(vendor, key, "{_} keeps nothing, so nothing can be written with it", "name a value")
            elif hole.name not in known and (hole.optional or key not in stated):
                yield _unknown(vendor, key, "value", hole.name, known)
    for index, rewrite in enumerate(vendor.rewrites):
        read = {hole.name for hole in rewrite.source.holes()}
        for name in needs(rewrite.target.holes()):
            if name not in read | known:
                yield _unknown(vendor, f"rewrites.{index}.to", "value", name, read | known)
    for name in vendor.vary:
        if name not in known:
            yield _unknown(vendor, "vary", "value", name, known)


# --- safe -------------------------------------------------------------------------------------------------------------


def _safe(vendor: Vendor) -> Iterator[Finding]:
    secrets = SECRET | {name for name, entry in vendor.inputs.items() if entry.secret}
    urls = [("base_url", vendor.base_url)]
    urls += [(f"origins.send.{index}", url) for index, url in enumerate(vendor.send_origins)]
    urls += [(f"origins.present.{index}", url) for index, url in enumerate(vendor.present_origins)]
    urls += [
        (f"exchanges.{item.name}.request.url", item.request.url)
        for item in vendor.flow.exchanges.values()
        if item.request.url is not None
    ]
    literal = {key: _literal_origin(url) for key, url in urls}
    for key, url in urls:
        origin, reason = literal[key]
        if reason:
            yield _finding(vendor, key, reason)
        elif origin and not origin_of(origin).secure:
            yield _finding(
                vendor, key, "plain http, which everyone on the way can read", "https, or a loopback address"
            )
        elif key == "base_url" and not url.starts_with_hole and "://" not in url.literals[0]:
            yield _finding(vendor, key, "an absolute URL is wanted", "https://…")
    declared = {origin for key, (origin, _) in literal.items() if key == "base_url" or key.startswith("origins.send")}
    settled = all(literal[key][0] for key, _ in urls if key == "base_url" or key.startswith("origins.send"))
    for key, (origin, _) in literal.items():
        if key.startswith("exchanges.") and origin and origin not in declared and settled:
            yield _finding(vendor, key, f"{origin} is not declared", f'origins = {{ send = ["{origin}"] }}')
    if vendor.insecure_url:
        return
    in_urls: list[tuple[str, Iterable[Hole]]] = [
        (f"exchanges.{item.name}.request", item.request.url_holes()) for item in vendor.flow.exchanges.values()
    ]
    in_urls += [
        (f"states.{state.name}.present.query", (hole for _, item in state.present.query for hole in item.holes()))
        for state in vendor.flow.states.values()
        if isinstance(state, Presenting)
    ]
    for key, holes in in_urls:
        for name in sorted(secrets & _closure(vendor, [hole.name for hole in holes])):
            yield _finding(vendor, key, f"the secret {name} stands in a URL, where logs see it", "insecure_url = true")


def _literal_origin(url: UrlTemplate) -> tuple[str, str]:
    """The origin that a template says in so many words, or the reason why it is none; both may be empty."""
    try:
        return url.literal_origin() or "", ""
    except ValueError as error:
        return "", str(error)


# --- unwise -----------------------------------------------------------------------------------------------------------


def _unwise(vendor: Vendor) -> Iterator[Finding]:
    flow = vendor.flow
    used = {state.send for state in flow.states.values() if isinstance(state, Sending)} | {vendor.on_logout}
    for name in flow.exchanges:
        if name not in used:
            yield _warning(vendor, f"exchanges.{name}", "no state sends this exchange")
    heard = {event for state in flow.states.values() if isinstance(state, Presenting) for event in state.next}
    for event in dict.fromkeys(name for name, _ in vendor.answers):
        if event not in heard:
            yield _warning(vendor, f"answers.{event}", "no state listens to this event")
    for name, exchange in flow.exchanges.items():
        if rotates(exchange) and not refusals(exchange):
            yield _warning(
                vendor,
                f"exchanges.{name}.answers",
                "a refused refresh has no pattern",
                "denied = { status = [400, 401] }",
            )
    if vendor.insecure_url:
        yield _warning(vendor, "insecure_url", "secrets may stand in URLs, where logs and proxies see them")


def _finding(vendor: Vendor, key: str, reason: str, hint: str = "") -> Finding:
    return Finding(vendor.file, key, reason, hint)


def _warning(vendor: Vendor, key: str, reason: str, hint: str = "") -> Finding:
    return Finding(vendor.file, key, reason, hint, warning=True)


def _unknown(vendor: Vendor, key: str, what: str, name: str, known: Iterable[str] | Mapping[str, object]) -> Finding:
    names = sorted(known)
    close = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names) or 'none'}"
    return _finding(vendor, key, f"unknown {what} {name!r}", hint)
