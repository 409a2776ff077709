"""Spans and metrics, collected by the SDK's in-memory exporters, from a session that answers itself."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import authflow
from authflow.http import Answer, Request
from authflow.plugins import manager
from authflow_otel import OpenTelemetry, plugin

VENDOR = {
    "name": "acme",
    "extends": "password",
    "base_url": "https://acme.example/",
    "exchanges": {
        name: {
            "request": {"url": name, "json": {**asks, "kind": name}},
            "answers": {
                "granted": {"json": {"access": "{access}", "refresh": "{refresh}", "in": "{expires_in:int}"}},
                "denied": {"status": 401},
            },
        }
        for name, asks in {
            "login": {"username": "{username}", "password": "{password}"},
            "refresh": {"refresh": "{refresh}"},
        }.items()
    },
}
PASSWORD = "open-sesame"


@dataclass
class Acme:
    """Grants, unless a script says otherwise; also the session's clock."""

    now: float = field(default_factory=time.time)
    script: list[Answer] = field(default_factory=list)
    hold: threading.Event | None = None

    def __call__(self) -> float:
        return self.now

    def exchange(self, request: Request, timeout: float) -> Answer:
        if self.hold is not None:
            assert self.hold.wait(10)
        if self.script:
            return self.script.pop(0)
        document = {"access": "acc3ss-secret", "refresh": "refr3sh-secret", "in": 3600}
        return Answer(200, (), json.dumps(document).encode())

    def session(self, username: str = "user") -> authflow.AuthSession:
        return authflow.AuthSession(VENDOR, username=username, password=PASSWORD, client=self, clock=self)


@dataclass
class Telemetry:
    """What was exported."""

    traces: TracerProvider
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]

    def points(self, metric: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for found in scope.metrics
            if found.name == metric
            for point in found.data.data_points
        ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    traces, meters = TracerProvider(), MeterProvider([reader])
    traces.add_span_processor(SimpleSpanProcessor(spans))
    observer = OpenTelemetry(traces, meters)
    manager().register(observer)
    yield Telemetry(traces, spans, reader)
    manager().unregister(observer)
    traces.shutdown()
    meters.shutdown()


def test_the_plugin_is_found_by_its_entry_point() -> None:
    assert [entry.load() for entry in entry_points(group="authflow") if entry.name == "otel"] == [plugin]
    assert manager().is_registered(plugin)


def test_a_renewal_is_a_child_of_the_span_that_caused_it(telemetry: Telemetry) -> None:
    session = Acme().session()
    with telemetry.traces.get_tracer("app").start_as_current_span("request") as request:
        session.token()
    (renewal,) = telemetry.named("authflow.renewal")
    (exchange,) = telemetry.named("authflow.exchange")
    assert renewal.parent is not None
    assert renewal.context is not None
    assert exchange.parent is not None
    assert renewal.parent.span_id == request.get_span_context().span_id
    assert exchange.parent.span_id == renewal.context.span_id
    assert dict(renewal.attributes or {}) == {
        "authflow.vendor": "acme",
        "authflow.account": session.status().account,
        "authflow.cause": "start",
        "authflow.state": "signed_in",
        "authflow.waiters": 1,
    }
    assert [event.name for event in renewal.events] == ["granted"]
    assert dict(exchange.attributes or {})["authflow.outcome"] == "granted"
    assert renewal.start_time is not None
    assert exchange.start_time is not None
    assert exchange.end_time is not None
    assert renewal.start_time <= exchange.start_time + 1_000_000
    assert exchange.start_time <= exchange.end_time


def test_the_renewals_span_is_current_while_it_exchanges_and_not_afterwards(telemetry: Telemetry) -> None:
    class Instrumented(Acme):
        def exchange(self, request: Request, timeout: float) -> Answer:
            with telemetry.traces.get_tracer("http").start_as_current_span("POST"):
                return super().exchange(request, timeout)

    Instrumented().session().token()
    (post,), (renewal,) = telemetry.named("POST"), telemetry.named("authflow.renewal")
    assert post.parent is not None
    assert renewal.context is not None
    assert post.parent.span_id == renewal.context.span_id
    assert renewal.parent is None


def test_exchanges_are_counted_by_outcome(telemetry: Telemetry) -> None:
    acme = Acme()
    session = acme.session()
    session.token()
    acme.now += 3601
    acme.script = [Answer(401)]
    session.token()
    acme.now += 3601
    acme.script = [Answer(503)]
    with pytest.raises(authflow.VendorUnavailable):
        session.token()
    acme.now += 3601
    acme.script = [Answer(418)]
    with pytest.raises(authflow.VendorAnswerError):
        session.token()
    counts = {
        (point.attributes["authflow.exchange"], point.attributes["authflow.outcome"]): point.value
        for point in telemetry.points("authflow.exchanges")
    }
    assert counts == {
        ("login", "granted"): 2,
        ("refresh", "denied"): 1,
        ("refresh", "unavailable"): 1,
        ("refresh", "unforeseen"): 1,
    }
    failed = [span for span in telemetry.named("authflow.renewal") if span.status.status_code is StatusCode.ERROR]
    assert [span.status.description for span in failed] == ["VendorUnavailable", "VendorAnswerError"]


def test_time_to_expiry_and_waiters(telemetry: Telemetry) -> None:
    acme = Acme(hold=threading.Event())
    session = acme.session()
    entries = [session._manager.authorize(None) for _ in range(5)]
    assert acme.hold is not None
    acme.hold.set()
    assert entries[0].flight is not None
    entries[0].flight.wait()
    (left,) = telemetry.points("authflow.token.time_to_expiry")
    assert left.value == pytest.approx(3600, abs=30)
    assert left.attributes["authflow.account"] == session.status().account
    (waiters,) = telemetry.points("authflow.renewal.waiters")
    assert (waiters.count, waiters.sum) == (1, 5)
    (duration,) = telemetry.points("authflow.renewal.duration")
    assert (duration.count, duration.attributes["authflow.cause"]) == (1, "start")


def test_no_secret_is_told(telemetry: Telemetry) -> None:
    acme = Acme(script=[Answer(418, (), b'{"token": "left-over-secret"}')])
    with pytest.raises(authflow.VendorAnswerError):
        acme.session().token()
    acme.session(username="another").token()
    told = "".join(span.to_json() for span in telemetry.spans.get_finished_spans())
    told += repr(telemetry.reader.get_metrics_data())
    assert "acme" in told
    for secret in (PASSWORD, "acc3ss-secret", "refr3sh-secret", "left-over-secret"):
        assert secret not in told
