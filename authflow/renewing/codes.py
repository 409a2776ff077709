"""One-time codes by the clock (RFC 6238 §5.2): one that was sent is not sent again, but the next, when its time comes.

What was sent lies where refusals do, for all who share the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from authflow.accounts import Refusals, StoredRecords
from authflow.errors import StoreError
from authflow.stores import Conflict
from authflow.templates import Exchange, Unbound, Unfit
from authflow.vendors import Values, Vendor, made_of


def sends_code(vendor: Vendor, exchange: Exchange) -> bool:
    return any(True for _ in _rows(vendor, exchange))


def claim(stored: StoredRecords, exchange: Exchange, values: Values, now: float) -> float:
    """Say in the store that its codes are sent now (epoch seconds); or give the seconds until there are others."""
    wait = 0.0
    for whose, period in _codes(exchange, values):
        began = now // period * period
        code = Refusals(failed=(began,))
        key = f"{values.vendor.name.lower()}-code-{stored.claims.fingerprint(whose, stored.claims.identity.salt)}"
        try:
            known = stored.refusals.load(key)
            if known is None or began not in stored.claims.refusals(known.data).failed:
                stored.refusals.save(key, code.to_bytes(), known.revision if known else None, lifetime=period)
                continue
        except Conflict:  # another was faster
            pass
        except StoreError as error:
            stored.degrades(error)
            continue
        wait = max(wait, began + period - now)
    return wait


def _rows(vendor: Vendor, exchange: Exchange) -> Iterator[str]:
    return (
        name
        for name in made_of(vendor, exchange)
        if name in vendor.derive and vendor.derive[name].function_name == "totp"
    )


def _codes(exchange: Exchange, values: Values) -> Iterator[tuple[str, float]]:
    """Whose code it is, and its period in seconds."""
    for name in _rows(values.vendor, exchange):
        try:
            argument: Any = values.vendor.derive[name].argument.render(values)
            server = values.given_base_url
        except (Unbound, Unfit):
            continue
        period = float(argument.get("period", 30)) if isinstance(argument, Mapping) else 30.0
        if period > 0:
            yield repr((server, argument)), period
