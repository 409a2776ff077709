"""Vendors of every kind: each loads, is proved, asks what it should, and presents what it was given."""

from __future__ import annotations

import pickle
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from authflow.errors import VendorFileError
from authflow.http import Request
from authflow.templates.answers import judge
from authflow.templates.placeholders import Mismatch
from authflow.vendors.extends import preset_names
from authflow.vendors.flow import Presenting, absorb, run
from authflow.vendors.loading import examine, load
from authflow.vendors.values import Given, Values
from authflow.vendors.vendor import Vendor, seconds
from tests.odd_vendors import STORIES, Story

NOW = 1111111109.0  # a time at which RFC 6238 tells the code


def vendor_of(name: str, **more: Any) -> Vendor:
    return load({"name": name.replace("_", "-"), **tomllib.loads(STORIES[name].toml), **more})


def first_run(vendor: Vendor, story: Story) -> tuple[list[Request], Any, Mapping[str, Any]]:
    """What the vendor is asked, the state in which the renewal ends, and what is known there."""
    captured: Mapping[str, Any] = {}
    state = vendor.flow.start
    if story.event is not None:
        event, _ = judge(vendor.answers, story.event)
        assert event is not None
        here = vendor.flow.states[state]
        assert isinstance(here, Presenting)
        captured, state = absorb(captured, event), here.next[event.name]
    asked: list[Request] = []
    answers = iter(story.answers)
    walk = run(vendor.flow, state, captured, Values(vendor, Given(story.given), {}, NOW).bound, [])
    outcome = None
    while True:
        try:
            step = walk.send(outcome) if outcome is not None else next(walk)
        except StopIteration as end:
            assert next(answers, None) is None
            return asked, end.value.state, end.value.captured
        values = Values(vendor, Given(story.given), step.captured, NOW)
        asked.append(step.exchange.request.render(values, values.base_url))
        outcome, reasons = judge(step.exchange.answers, next(answers))
        assert outcome is not None, reasons


@pytest.mark.parametrize("name", STORIES)
def test_a_vendor_of_every_kind(name: str) -> None:
    vendor, story = vendor_of(name), STORIES[name]
    asked, state, captured = first_run(vendor, story)
    assert len(asked) == len(story.asked)
    for request, (line, *more) in zip(asked, story.asked, strict=True):
        assert f"{request.method} {request.url}" == line
        for header, value in (more[0] if more else {}).items():
            assert [text for key, text in request.headers if key == header] == [value]
        if len(more) > 1:
            body = request.body or b""
            assert (body if isinstance(more[1], bytes) else msgspec.json.decode(body)) == more[1]
    assert state.name == story.state
    assert {key: captured[key] for key in story.captured} == story.captured
    shown: dict[str, Any] = {}
    if isinstance(state, Presenting):
        presentation = state.present.render(Values(vendor, Given(story.given), captured, NOW))
        for part in ("headers", "cookies", "query", "json", "form"):
            if value := getattr(presentation, part):
                shown[part] = dict(value)
    assert shown == story.presented


@pytest.mark.parametrize("name", STORIES)
def test_its_own_requests_are_recognised(name: str) -> None:
    """The law of the house, over whole requests: a simulator reads what the engine wrote."""
    vendor, story = vendor_of(name), STORIES[name]
    asked, _, _ = first_run(vendor, story)
    for request in asked:
        fits = []
        for exchange in vendor.flow.exchanges.values():
            values = Values(vendor, Given(story.given), {}, NOW)
            known = {
                "realm": "https://auth.example/token",
                "action": request.url.partition("?")[0],
                "token_url": "https://id.example/realms/a/token",
            }
            try:
                found = exchange.request.match(request, values.base_url, {**known, **story.given})
            except Mismatch:
                continue
            fits.append(exchange.name)
            for key, value in found.items():
                if isinstance(story.given.get(key), str):
                    assert value == story.given[key]
        assert fits


def test_warnings_do_not_refuse() -> None:
    assert [finding.key for finding in vendor_of("shared_answers").warnings] == ["credentials.password"]
    assert not vendor_of("token_in_the_query").warnings  # it says insecure_url = true
    assert not vendor_of("shared_answers", identity=["username"]).warnings


# --- loading ----------------------------------------------------------------------------------------------------------

LEAST: Mapping[str, Any] = {
    "name": "least",
    "base_url": "https://api.example/",
    "start": "ready",
    "states": {"ready": {"present": {}}},
}


def test_from_a_path_a_text_and_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "least.toml"
    path.write_bytes(
        b'\xef\xbb\xbfbase_url = "https://api.example/"\r\nstart = "ready"\r\n[states.ready]\r\npresent = {}\r\n'
    )
    for source in (path, str(path), LEAST, MappingProxyType(dict(LEAST))):
        vendor = load(source)
        assert (vendor.name, vendor.title, list(vendor.flow.states)) == ("least", "least", ["ready"])


def test_a_vendor_is_pickled_as_its_mapping() -> None:
    vendor = vendor_of("matrix")
    again = pickle.loads(pickle.dumps(vendor))
    assert again.flow.states == vendor.flow.states
    assert again.name == vendor.name


def test_loading_changes_nothing_of_what_it_was_given() -> None:
    raw = tomllib.loads(STORIES["assertion"].toml) | {"name": "a"}
    before = pickle.dumps(raw)
    load(raw)
    assert pickle.dumps(raw) == before


def test_examine_compiles_without_the_proofs() -> None:
    vendor, findings = examine({**LEAST, "start": "elsewhere"})
    assert vendor is not None
    assert not findings
    with pytest.raises(VendorFileError, match="unknown state 'elsewhere'"):
        load({**LEAST, "start": "elsewhere"})


def test_presets_are_listed() -> None:
    assert {"password", "relogin", "oauth2-password", "client-credentials"} <= set(preset_names())


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800), (5, 5), ("1.5", 1.5), (" 2 h ", 7200)],
)
def test_durations(text: Any, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "h", "-1", "0", "12 hours", "1h30m", "nan", "inf", True, "1e999"])
def test_what_is_no_duration(text: Any) -> None:
    with pytest.raises(ValueError, match="12h"):
        seconds(text)


def test_shared_headers_go_everywhere_and_own_ones_win() -> None:
    raw = {
        **LEAST,
        "headers": {"X-App": "a", "Accept": "application/json"},
        "exchanges": {
            "login": {
                "request": {"url": "login", "headers": {"accept": "text/plain", "x-app": "{absent}"}},
                "answers": {"ok": {"status": 200}},
            }
        },
        "states": {"ready": {"present": {}, "rejected": "out"}, "out": {"send": "login", "ok": "ready"}},
    }
    vendor = load(raw)
    state = vendor.flow.states["ready"]
    assert isinstance(state, Presenting)
    assert dict(state.present.render({}).headers) == {"X-App": "a", "Accept": "application/json"}
    assert dict(vendor.flow.exchanges["login"].request.render({}, "https://api.example/").headers) == {
        "accept": "text/plain"
    }


@pytest.mark.parametrize("lifetime", ["{life}", "life"])
def test_a_lifetime_may_be_a_setting(lifetime: str) -> None:
    file = {
        "name": "acme",
        "extends": "relogin",
        "base_url": "https://acme.example/",
        "settings": {"life": {"default": "12h"}},
        "expiry": {"lifetime": lifetime},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"u": "{username}", "p": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"t": "{access}"}}},
            }
        },
    }
    template = load(file).lifetime
    assert template is not None
    assert seconds(template.render({"life": "12h"})) == 12 * 3600
