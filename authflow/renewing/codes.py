"""One-time codes by the clock (RFC 6238 §5.2): one that was sent is not sent again, but the next, when its time comes.

What was sent is remembered for this process, by a keyed hash of whose code it is.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from authflow.templates import Exchange, Unbound, Unfit
from authflow.vendors import Values, Vendor, closure

_KEY: Final = os.urandom(16)
#: The number of the period in which a code was last sent.
_SENT: Final[dict[bytes, int]] = {}
#: More secrets than this, and all are forgotten.
MOST: Final = 10_000


def sends_code(vendor: Vendor, exchange: Exchange) -> bool:
    return any(True for _ in _rows(vendor, exchange))


def late(exchange: Exchange, values: Values, now: float) -> float:
    """Seconds until each of its codes is one that was not sent yet (`now`: epoch seconds)."""
    waits = [
        (number + 1) * period - now
        for whose, period in _codes(exchange, values)
        if _SENT.get(whose) == (number := int(now // period))
    ]
    return max(waits, default=0.0)


def sent(exchange: Exchange, values: Values, now: float) -> None:
    if len(_SENT) > MOST:
        _SENT.clear()
    for whose, period in _codes(exchange, values):
        _SENT[whose] = int(now // period)


def _rows(vendor: Vendor, exchange: Exchange) -> Iterator[str]:
    names = closure(vendor, [placeholder.name for placeholder in exchange.request.placeholders()])
    return (name for name in names if name in vendor.derive and vendor.derive[name].function_name == "totp")


def _codes(exchange: Exchange, values: Values) -> Iterator[tuple[bytes, float]]:
    """Whose code it is, and its period in seconds."""
    for name in _rows(values.vendor, exchange):
        try:
            argument: Any = values.vendor.derive[name].argument.render(values)
            server = values.given_base_url
        except (Unbound, Unfit):
            continue
        period = float(argument.get("period", 30)) if isinstance(argument, Mapping) else 30.0
        if period > 0:
            yield hmac.digest(_KEY, repr((values.vendor.name, server, argument)).encode(), "sha256"), period
