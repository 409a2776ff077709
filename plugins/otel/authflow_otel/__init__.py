"""authflow's renewals and exchanges as OpenTelemetry spans and metrics.

renewal begins ─┬─ transition ─ transition ─┬─ renewal ends
span, made    │  span of the exchange,    │  span ended; durations, waiters,
current       │  counted by outcome       │  time to expiry
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

from opentelemetry import context, metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

import authflow

__all__ = ["OpenTelemetry", "plugin"]

#: How many accounts' tokens are watched; the one not renewed for longest is dropped.
MOST_ACCOUNTS: Final = 1024


class OpenTelemetry:
    """Hook implementations. The global providers are used unless others are given."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        version = authflow.__version__
        self._tracer = trace.get_tracer("authflow", version, tracer_provider)
        meter = metrics.get_meter("authflow", version, meter_provider)
        self._exchanges = meter.create_counter("authflow.exchanges", "{exchange}", "Exchanges, by outcome")
        self._exchange_time = meter.create_histogram("authflow.exchange.duration", "s", "How long the vendor took")
        self._renewal_time = meter.create_histogram(
            "authflow.renewal.duration", "s", "How long a good token took to get"
        )
        self._waiters = meter.create_histogram(
            "authflow.renewal.waiters", "{caller}", "Callers that waited for a renewal"
        )
        meter.create_observable_gauge(
            "authflow.token.time_to_expiry", [self._times_to_expiry], "s", "How long each account's token is still good"
        )
        self._lock = threading.RLock()
        self._ends: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._here = threading.local()

    @authflow.hookimpl
    def authflow_renewal_begins(self, vendor: authflow.Vendor, account: str, cause: str) -> None:
        facts = {"authflow.vendor": vendor.name, "authflow.account": account, "authflow.cause": cause}
        span = self._tracer.start_span("authflow.renewal", attributes=facts)
        token = context.attach(trace.set_span_in_context(span))
        self._here.__dict__.setdefault("renewals", []).append((span, token))

    @authflow.hookimpl
    def authflow_transition(
        self, vendor: authflow.Vendor, before: str, event: str, after: str, exchange: str, seconds: float | None
    ) -> None:
        span, _ = getattr(self._here, "renewals", [(trace.INVALID_SPAN, None)])[-1]
        span.add_event(event, {"authflow.before": before, "authflow.after": after})
        if exchange:
            self._exchanged(vendor.name, exchange, event, seconds or 0.0)

    @authflow.hookimpl
    def authflow_renewal_ends(
        self,
        vendor: authflow.Vendor,
        account: str,
        cause: str,
        state: str,
        expires_at: float | None,
        waiters: int,
        seconds: float,
        error: authflow.AuthFlowError | None,
    ) -> None:
        if isinstance(error, authflow.VendorAnswerError) and error.exchange:
            self._exchanged(vendor.name, error.exchange, "unforeseen", None)
        self._renewal_time.record(seconds, {"authflow.vendor": vendor.name, "authflow.cause": cause})
        self._waiters.record(waiters, {"authflow.vendor": vendor.name})
        if state:
            self._remember(vendor.name, account, expires_at)
        renewals = self._here.__dict__.get("renewals")  # one within another, where a callable uses another session
        span, token = renewals.pop() if renewals else (trace.INVALID_SPAN, None)
        span.set_attributes({"authflow.state": state, "authflow.waiters": waiters})
        if not state:
            # The class alone: it tells who can act, and a message may name users and hosts.
            span.set_status(Status(StatusCode.ERROR, type(error).__name__ if error is not None else "not authflow's"))
        if token is not None:
            context.detach(token)
        span.end()

    def _exchanged(self, vendor: str, exchange: str, outcome: str, seconds: float | None) -> None:
        facts = {"authflow.vendor": vendor, "authflow.exchange": exchange, "authflow.outcome": outcome}
        self._exchanges.add(1, facts)
        if seconds is None:
            return
        self._exchange_time.record(seconds, facts)
        now = time.time_ns()
        began = now - int(seconds * 1e9)
        span = self._tracer.start_span("authflow.exchange", kind=SpanKind.CLIENT, attributes=facts, start_time=began)
        span.end(now)

    # --- time to expiry -----------------------------------------------------------------------------------------------

    def _remember(self, vendor: str, account: str, expires_at: float | None) -> None:
        with self._lock:
            self._ends.pop((vendor, account), None)
            if expires_at is not None:
                self._ends[vendor, account] = expires_at
            while len(self._ends) > MOST_ACCOUNTS:
                self._ends.popitem(last=False)

    def _times_to_expiry(self, options: Any) -> Iterable[metrics.Observation]:
        now = time.time()
        with self._lock:
            ends = list(self._ends.items())
        for (vendor, account), expires_at in ends:
            yield metrics.Observation(expires_at - now, {"authflow.vendor": vendor, "authflow.account": account})


#: What the entry point registers: the global providers, whenever the application sets them.
plugin: Final = OpenTelemetry()
