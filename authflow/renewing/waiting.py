"""Waiting for a vendor that is not done yet, and for a person: what may be waited for, how long, and who is told.

    fill     a pattern's `again` and `for`, in seconds
    enter    a state is entered: is there somebody to be told, and what are they told?
    wait     before the exchange is repeated; nobody holds the store's lock meanwhile

A caller's request waits within the time of its renewal; then the state is kept, and the next call goes on there. Only
where somebody can be asked is the whole time waited for: a person is slower than any time-out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from authflow.clock import monotonic
from authflow.errors import ConfigurationError, VendorUnavailable, harmless
from authflow.renewing.environment import Environment
from authflow.renewing.people import Ask, terminal
from authflow.templates import Exchange, Template, Unbound, Unfit, Wait
from authflow.vendors import AGAIN, LONGEST, Pause, Sending, Step, Values, Vendor, needs_a_person, seconds

if TYPE_CHECKING:
    from authflow.http import Answer
    from authflow.renewing.browser import Visit

#: Does some work while the store's lock is not held.
Unlocked = Callable[[Callable[[], Any]], Any]

#: Where a person is sent by the names that the device flow gives it (RFC 8628 §3.2).
_PLACES: Final = ("verification_uri_complete", "verification_uri", "verification_url")


def asking(ask: Any) -> Ask | None:
    """What `AuthSession(ask=…)` was given, checked. Raises ConfigurationError."""
    if ask == "terminal":
        return terminal
    if ask is not None and not callable(ask):
        raise ConfigurationError(f"ask= is a callable or 'terminal', not {type(ask).__name__}")
    found: Ask | None = ask
    return found


class Waiting:
    """What one renewal waits for. `ask` is None where nobody may be asked."""

    def __init__(self, vendor: Vendor, environment: Environment, ask: Ask | None, unlocked: Unlocked) -> None:
        self.vendor, self.environment, self.ask, self.unlocked = vendor, environment, ask, unlocked
        self._waited = 0.0

    def __repr__(self) -> str:
        return f"<Waiting for {self.vendor.name}>"

    def fill(self, exchange: Exchange, wait: Wait, values: Values) -> Pause:
        """A longer wait is longer than what the exchange's other patterns say."""
        others = (pattern.wait for _, pattern in exchange.answers if pattern.wait is not None)
        base = next((other for other in others if not other.longer), wait) if wait.longer else wait
        patience = duration(wait.patience, values)
        return Pause(
            duration(base.again, values) or AGAIN,
            min(LONGEST, self.environment.timeout if patience is None else patience),
            wait.longer,
        )

    def resumes(self, state: Sending, waited: float, values: Values) -> str | None:
        """The state in which a run that has waited there goes on; None: anew."""
        exchange = self.vendor.flow.exchanges[state.send]
        for outcome, pattern in exchange.answers:
            if pattern.wait is not None:
                over = waited >= self.fill(exchange, pattern.wait, values).patience
                return state.next.get(outcome) if over else state.name
        return state.name

    def enter(self, step: Step, values: Values) -> None:
        """A sending state is entered. Raises ConfigurationError where nobody is there who could be asked."""
        state = self.vendor.flow.states[step.state]
        if self.ask is None and needs_a_person(self.vendor.flow, step.state):
            raise ConfigurationError(
                f"{self.vendor.title}: this login needs a person, and there is nobody to ask. Run "
                f"`authflow login {self.vendor.name}` once, with this program's store; or pass AuthSession(ask=…)",
                vendor=self.vendor.name,
            )
        if isinstance(state, Sending) and state.tell is not None and self.ask is not None:
            ask, text = self.ask, self._said(state.tell, values)
            url = next((str(place) for name in _PLACES if (place := step.captured.get(name))), "")
            self.unlocked(lambda: ask("tell", text, harmless(url)))

    def visit(self, values: Values) -> Visit:
        """A visit to the browser, which waits at the redirect URI that the vendor knows, if one was given."""
        from authflow.renewing.browser import Visit

        return Visit(self.vendor.title, values.as_given("redirect_uri"))

    def browse(self, visit: Visit, url: str) -> Answer:
        """What comes back from the browser, while nobody holds the store's lock."""
        assert self.ask is not None
        found: Answer = self.unlocked(partial(visit.answer, url, self.ask))
        return found

    def wait(self, step: Step, deadline: float, why: str = "is not done yet") -> float:
        """Let `step.wait` seconds pass, and give the new deadline (monotonic seconds). Raises VendorUnavailable."""
        self._waited += step.wait
        timeout = self.environment.timeout
        if self.ask is None and (self._waited > timeout or monotonic() + step.wait >= deadline):
            raise VendorUnavailable(
                f"{self.vendor.title}: {step.exchange.name} {why}; the next call asks again",
                vendor=self.vendor.name,
                exchange=step.exchange.name,
                retry_after=step.wait,
            )
        self.unlocked(lambda: self.environment.pause(step.wait))
        return deadline if self.ask is None else monotonic() + timeout

    def _said(self, tell: Template, values: Values) -> str:
        try:
            return harmless(str(tell.render(values)))
        except (Unbound, Unfit) as error:
            raise ConfigurationError(f"{self.vendor.title}: {error}", vendor=self.vendor.name) from None


def duration(template: Template | None, values: Values) -> float | None:
    """A duration in seconds; None where an answer does not tell it. What the user gave was looked at before."""
    try:
        return None if template is None else seconds(template.render(values))
    except (ValueError, Unbound):
        return None
