"""What a simulator cannot make from a vendor file alone, and why: said before anybody relies on it.

answers     each is rendered once, and must be recognised as what it was meant to be
derived     a function that gives another value each time cannot be checked by computing it again
code        a plugin's `authflow_exchange` sends requests that no file describes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from authflow import plugins
from authflow.http import Request
from authflow.renewing import laid_over
from authflow.templates import Exchange, Sign, Unbound, Unfit, judge
from authflow.testing import derived, samples
from authflow.testing.proving import Proving
from authflow.vendors import Given, Presenting, Values

if TYPE_CHECKING:
    from authflow.http import Answer
    from authflow.vendors import Vendor


class Simulated(Protocol):
    """A simulator, as far as its limits hang on it."""

    base_url: str
    inputs: dict[str, Any]

    @property
    def vendor(self) -> Vendor: ...
    @property
    def parts(self) -> Mapping[str, Any]: ...
    @property
    def proving(self) -> Proving: ...
    def now(self) -> float: ...
    def answer(self, exchange: str, outcome: str) -> Answer: ...


def found(simulator: Simulated) -> Iterator[str]:
    """The limits of a simulator, a line each; what has a hand-written part has none."""
    yield from _derived(simulator)
    yield from _signed(simulator)
    for exchange in simulator.vendor.flow.exchanges.values():
        if exchange.name not in simulator.parts:
            yield from _in_code(simulator, exchange)
            yield from _answers(simulator, exchange)


def unreachable(vendor: Vendor, part: str) -> str | None:
    """Why a hand-written part would never be asked."""
    exchanges = vendor.flow.exchanges
    if not part.startswith("/"):
        states = [getattr(state, "send", "") for state in vendor.flow.states.values()]
        return None if part in (*states, vendor.on_logout) else "no state sends this exchange"
    for name, exchange in exchanges.items():
        url = exchange.request.url
        if url is not None and "/" + url.text.partition("?")[0].lstrip("/") == part:
            return f"the exchange {name} is sent there: parts={{{name!r}: …}}"
    return None


def _derived(simulator: Simulated) -> Iterator[str]:
    vendor, values = simulator.vendor, _values(simulator)
    for name, row in vendor.derive.items():
        try:
            values.get(name)
        except Unfit as error:
            yield f"derive.{name}: {error} from what is made up here: give inputs"
        users = [exchange.name for exchange in vendor.flow.exchanges.values() if name in _names(exchange)]
        if not derived.provable(row) and not simulator.parts.keys() >= set(users):
            yield f"derive.{name}: {row.function_name} gives another value each time, so that any is let pass"


def _signed(simulator: Simulated) -> Iterator[str]:
    vendor, values = simulator.vendor, _values(simulator)
    signed: list[Sign | None] = [exchange.request.sign for exchange in vendor.flow.exchanges.values()]
    signed += [state.present.sign for state in vendor.flow.states.values() if isinstance(state, Presenting)]
    signs = [sign for sign in signed if sign is not None]
    if not signs:
        return
    request = Request("GET", simulator.base_url, (), b"")
    for name in dict.fromkeys(simulator.proving.unproved(request, _known(values), signs, simulator.now())):
        yield f"sign.{name}: signs with a time or number of its own, so that any signature is let pass"


def _in_code(simulator: Simulated, exchange: Exchange) -> Iterator[str]:
    class Sent(Exception):
        pass

    def send(request: Request) -> Answer:
        raise Sent

    hook = plugins.manager().hook.authflow_exchange
    request = _rendered(simulator, exchange) if hook.get_hookimpls() else None
    if request is None:
        return
    try:
        values = _values(simulator)
        if hook(vendor=simulator.vendor, exchange=exchange.name, request=request, values=values, send=send) is None:
            return
    except Sent:
        pass
    yield f"exchanges.{exchange.name}: a plugin's authflow_exchange sends it in its own way"


def _answers(simulator: Simulated, exchange: Exchange) -> Iterator[str]:
    for outcome in exchange.outcomes:
        if any(pattern.compares for pattern in exchange.patterns(outcome)):
            continue  # with what the answer is compared, only a run knows
        where = f"exchanges.{exchange.name}.answers.{outcome}"
        try:
            verdict, reasons = judge(exchange.answers, simulator.answer(exchange.name, outcome))
        except (Unbound, Unfit, ValueError, ImportError) as error:
            yield f"{where}: {type(error).__name__}: {error}"
            continue
        if verdict is None or verdict.name != outcome:
            what = verdict.name if verdict is not None else f"nothing ({'; '.join(reasons)})"
            yield f"{where}: its answer is taken for {what}"


def sample(simulator: Simulated) -> tuple[Request | None, Mapping[str, Any]]:
    """A request such as a session signs, and the values that it was rendered with."""
    values = _values(simulator)
    for exchange in simulator.vendor.flow.exchanges.values():
        if (request := _rendered(simulator, exchange)) is not None:
            return request, _known(values)
    bare = Request("GET", simulator.base_url)
    for state in simulator.vendor.flow.states.values():
        if isinstance(state, Presenting):
            try:
                return laid_over(bare, state.present.render(values), simulator.vendor), _known(values)
            except (Unbound, Unfit):
                continue
    return None, {}


def _known(values: Values) -> dict[str, Any]:
    return {name: value for name in values.names if (value := values.get(name)) is not None}


def _rendered(simulator: Simulated, exchange: Exchange) -> Request | None:
    try:
        return exchange.request.render(_values(simulator), simulator.base_url)
    except (Unbound, Unfit):
        return None


def _values(simulator: Simulated) -> Values:
    """What a session would have after every exchange: each captured value is some text."""
    captures = {
        name
        for exchange in simulator.vendor.flow.exchanges.values()
        for outcome in exchange.outcomes
        for pattern in exchange.patterns(outcome)
        for name in pattern.may_capture
    }
    return Values(
        simulator.vendor,
        Given(simulator.inputs),
        {
            name: samples.public_key() if name in samples.encrypts_with(simulator.vendor) else "sample"
            for name in sorted(captures - {"base_url"})
        },
        simulator.now(),
    )


def _names(exchange: Exchange) -> set[str]:
    return {placeholder.name for placeholder in exchange.request.placeholders()}
