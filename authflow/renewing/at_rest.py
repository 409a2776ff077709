"""What is kept where a renewal ends: not what no template can need any more (a code, its proof)."""

from __future__ import annotations

from typing import Any, Final

from authflow.vendors import FROM_BROWSER, Failing, Presenting, Rest, Sending, Vendor, closure

#: What serves one login: a code that was brought to be exchanged, and its proof.
CODES: Final = frozenset({"code", "device_code", *FROM_BROWSER})


def at_rest(vendor: Vendor, rest: Rest) -> dict[str, Any]:
    """The values that are kept where a renewal ends, without those that no template can need any more."""
    return {
        name: value
        for name, value in rest.captured.items()
        if name not in CODES or name in vendor.vary or _needed(vendor, name, rest.state.name)
    }


def _needed(vendor: Vendor, name: str, state: str) -> bool:
    """Can this value be used, from this state on, before an answer brings another?"""
    flow, seen, todo = vendor.flow, set[str](), [state]
    if name in FROM_BROWSER and any(exchange.by for exchange in flow.exchanges.values()):
        return False  # each visit brings another
    if vendor.on_logout is not None and _uses(vendor, flow.exchanges[vendor.on_logout].request, name):
        return True
    while todo:
        here = flow.states[todo.pop()]
        if here.name in seen or isinstance(here, Failing):
            continue
        seen.add(here.name)
        exchange = flow.exchanges[here.send] if isinstance(here, Sending) else None
        template: Any = here.present if isinstance(here, Presenting) else exchange and exchange.request
        if _uses(vendor, template, name):
            return True
        brought = {
            event
            for event in here.next
            if exchange is not None
            and exchange.patterns(event)
            and all(name in one.captures for one in exchange.patterns(event))
        }
        todo += [after for event, after in here.next.items() if event not in brought]
        if isinstance(here, Sending) and here.missing is not None:
            todo.append(here.missing)
    return False


def _uses(vendor: Vendor, template: Any, name: str) -> bool:
    return name in closure(vendor, [placeholder.name for placeholder in template.placeholders()])
