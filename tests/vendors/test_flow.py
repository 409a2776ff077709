"""The flow: every cell of every table, and the laws of a renewal over flows that nobody thought of."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authflow.errors import ConfigurationError, VendorFileError
from authflow.templates.answers import Outcome
from authflow.templates.exchange import Exchange
from authflow.vendors.extends import preset_names
from authflow.vendors.flow import (
    LOST,
    UNAVAILABLE,
    Failing,
    Flow,
    Presenting,
    Sending,
    Transition,
    absorb,
    refusals,
    rotates,
    run,
    spends_refresh,
)
from authflow.vendors.loading import load
from authflow.vendors.vendor import Vendor
from tests.broken_vendors import BASE
from tests.odd_vendors import STORIES
from tests.scripted import ScriptedVendor


def completed(preset: str) -> Vendor:
    """A preset with what only the file that extends it can say."""
    granted = {"granted": {"json": {"access_token": "{access}", "refresh_token": "{refresh}"}}}
    exchanges: dict[str, Any] = {}
    if preset in ("password", "relogin"):
        exchanges["login"] = {"request": {"url": "login", "form": {"p": "{password}"}}, "answers": granted}
    if preset == "password":
        exchanges["refresh"] = {"request": {"url": "refresh", "form": {"r": "{refresh}"}}, "answers": granted}
    return load({"name": "preset", "extends": preset, "base_url": "https://a.example/", "exchanges": exchanges})


VENDORS: Mapping[str, Vendor] = {
    "base": load({**tomllib.loads(BASE)}),
    **{f"preset {name}": completed(name) for name in preset_names()},
    **{name: load({"name": "v", **tomllib.loads(story.toml)}) for name, story in STORIES.items()},
}


def outcome_of(exchange: Exchange, name: str, number: int = 0) -> Outcome:
    """An outcome as an answer brings it, each value told apart by a number."""
    names = frozenset[str]().union(*(pattern.captures for pattern in exchange.patterns(name)))
    return Outcome(name, {key: f"{key}-{number}" for key in names})


def all_bound(vendor: Vendor) -> set[str]:
    return {*vendor.inputs, *vendor.derive, "base_url"}


@pytest.mark.parametrize("name", VENDORS)
def test_every_cell(name: str) -> None:
    """From each sending state, each outcome leads to just the state that its row names, and nowhere else."""
    vendor = VENDORS[name]
    everything = {
        placeholder.name: "x" for item in vendor.flow.exchanges.values() for placeholder in item.request.placeholders()
    }
    for state in vendor.flow.states.values():
        walked: list[Transition] = []
        walk = run(vendor.flow, state.name, everything, all_bound(vendor), walked)
        if not isinstance(state, Sending):
            with pytest.raises(StopIteration) as rest:
                next(walk)
            assert rest.value.value.state is state
            continue
        for event, after in state.next.items():
            walked = []
            walk = run(vendor.flow, state.name, everything, all_bound(vendor), walked)
            step = next(walk)
            assert (step.state, step.exchange.name) == (state.name, state.send)
            try:
                walk.send(outcome_of(step.exchange, event))
            except StopIteration as end:
                assert end.value.state.name == walked[-1].after  # noqa: PT017
            assert (
                walked[0]
                == Transition(state.name, event, after)
                == (state.name, event, vendor.flow.after(state.name, event))
            )


@pytest.mark.parametrize("preset", ["password", "relogin"])
def test_every_cell_of_a_ladder(preset: str) -> None:
    flow = completed(preset).flow
    table = {
        (state, event): after
        for state, here in flow.states.items()
        if not isinstance(here, Failing)
        for event, after in here.next.items()
    }
    stale = "stale" if preset == "password" else "signed_out"
    assert table == {
        ("signed_out", "granted"): "signed_in",
        ("signed_out", "denied"): "refused",
        ("signed_in", "expired"): stale,
        ("signed_in", "rejected"): stale,
    } | ({("stale", "granted"): "signed_in", ("stale", "denied"): "signed_out"} if preset == "password" else {})


# --- a run ------------------------------------------------------------------------------------------------------------


def test_the_ladder_falls_back_to_the_password() -> None:
    vendor, walked = VENDORS["base"], list[Transition]()
    walk = run(vendor.flow, "stale", {"access": "a0", "refresh": "r0"}, all_bound(vendor), walked)
    assert next(walk).captured == {"access": "a0", "refresh": "r0"}
    step = walk.send(Outcome("denied", {}))
    assert (step.exchange.name, step.captured) == ("login", {"access": "a0"})
    with pytest.raises(StopIteration) as end:
        walk.send(Outcome("granted", {"access": "a1", "refresh": "r1"}, True))
    assert isinstance(end.value.value.state, Presenting)
    assert end.value.value.captured == {"access": "a1", "refresh": "r1"}
    assert walked == [("stale", "denied", "signed_out"), ("signed_out", "granted", "signed_in")]


@pytest.mark.parametrize("captured", [{"access": "a0"}, {"access": "a0", "refresh": None}])
def test_without_a_refresh_token_the_next_step_is_taken(captured: Mapping[str, Any]) -> None:
    vendor, walked = VENDORS["base"], list[Transition]()
    step = next(run(vendor.flow, "stale", captured, all_bound(vendor), walked))
    assert (step.exchange.name, step.captured["access"]) == ("login", "a0")
    assert walked == [("stale", "missing", "signed_out")]


def test_without_a_refresh_token_and_a_step_a_renewal_begins_at_the_start() -> None:
    raw = tomllib.loads(BASE)
    raw["exchanges"]["refresh"]["answers"] = {"granted": {"json": {"token": "{access}", "refresh": "{refresh}"}}}
    raw["states"]["stale"].pop("denied")
    flow = load(raw).flow
    walked: list[Transition] = []
    step = next(run(flow, "stale", {"access": "a0"}, {"username", "password", "host"}, walked))
    assert (step.exchange.name, walked) == ("login", [("stale", "missing", "signed_out")])


def test_a_renewal_that_begins_anew_does_so_once() -> None:
    raw = tomllib.loads(BASE)
    raw["exchanges"]["refresh"]["answers"] = {"granted": {"json": {"token": "{access}", "refresh": "{refresh}"}}}
    raw["exchanges"]["login"]["request"]["json"]["region"] = "{region}"
    raw["settings"]["region"] = {"optional": True}
    raw["states"]["signed_out"]["missing"] = "elsewhere"
    raw["states"]["elsewhere"] = {"send": "login", "granted": "signed_in", "denied": "refused", "missing": "refused"}
    raw["states"]["stale"].pop("denied")
    flow = load(raw).flow
    states = {**flow.states, "signed_out": Sending("signed_out", "login", {}, "stale")}  # as no proved flow would be
    walk = run(Flow(flow.start, states, flow.exchanges), "stale", {"access": "a0"}, {"username"}, [])
    assert next(walk).state == "stale"


def test_a_value_that_nobody_gives_is_an_error_of_ours() -> None:
    session = ScriptedVendor().session(password=lambda: None)
    with pytest.raises(ConfigurationError, match="login needs password, and its callable gave None"):
        session.token()


def test_a_lost_answer_takes_the_next_step_and_the_token_with_it() -> None:
    vendor, walked = VENDORS["base"], list[Transition]()
    walk = run(vendor.flow, "stale", {"access": "a0", "refresh": "r0"}, all_bound(vendor), walked)
    next(walk)
    step = walk.send(Outcome(LOST, {}))
    assert (step.exchange.name, step.captured) == ("login", {"access": "a0"})


def test_what_an_outcome_does_to_the_values() -> None:
    flow = VENDORS["base"].flow
    login, refresh = flow.exchanges["login"], flow.exchanges["refresh"]
    values = {"access": "a0", "refresh": "r0", "expires_in": 5, "expires_at": 9, "csrf": "c"}
    assert absorb(values, Outcome("granted", {"access": "a1"}), refresh) == {
        "access": "a1",
        "refresh": "r0",
        "csrf": "c",
    }
    assert absorb(values, Outcome("granted", {"access": "a1", "expires_in": 7})) == {
        "access": "a1",
        "refresh": "r0",
        "csrf": "c",
        "expires_in": 7,
    }
    assert absorb(values, Outcome("denied", {}), refresh) == {key: values[key] for key in values if key != "refresh"}
    assert absorb(values, Outcome("denied", {}), login) == values
    assert absorb(values, Outcome(UNAVAILABLE, {"retry_after": 3}), refresh) == values
    assert absorb(values, Outcome("challenged", {"realm": "x"})) == values | {"realm": "x"}
    assert (spends_refresh(refresh), spends_refresh(login), rotates(refresh), refusals(refresh)) == (
        True,
        False,
        True,
        ("denied",),
    )


# --- flows that nobody thought of -------------------------------------------------------------------------------------


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    """A vendor of a few exchanges, wired at random down a ladder whose steps are tried in turn, and now and then up it
    again. The proofs decide which of them are flows.
    """
    steps = [f"s{index}" for index in range(draw(st.integers(1, 4)))]
    wild = draw(st.integers(0, 4)) == 0
    exchanges: dict[str, Any] = {}
    states: dict[str, Any] = {}
    for index, state in enumerate(steps):
        below = [*steps[index + 1 :], "failed"]
        anywhere = [*steps, "failed", "home"] if wild else [*below, "home"]
        sends = draw(st.sampled_from(["{password}", "{refresh}", "{refresh}", "{access}", "{code}", "{refresh?}"]))
        answers: dict[str, Any] = {"granted": {"status": 200, "json": {"a": "{access}"}}}
        if brings := draw(st.sampled_from(["", "{refresh}", "{refresh?}"])):
            answers["granted"]["json"]["r"] = brings
        if below[0] != "failed" or draw(st.booleans()):
            answers["denied"] = {"status": 401}
        if draw(st.booleans()):
            answers["half"] = {"status": 202, "json": {"c": "{code}"}}
        table = {outcome: draw(st.sampled_from(anywhere)) for outcome in answers} | {"granted": "home"}
        if "denied" in table:
            table["denied"] = below[0]
        for event, chance in (("unavailable", 3), ("missing", 1 if sends != "{password}" else 3)):
            if draw(st.integers(1, 3)) >= chance:
                table[event] = draw(st.sampled_from(below))
        exchanges[f"e{index}"] = {"request": {"url": "x", "form": {"v": sends}}, "answers": answers}
        states[state] = {"send": f"e{index}", **table}
    if any("failed" in table.values() for table in states.values()):
        states["failed"] = {"fail": "no"}
    states["home"] = {
        "present": {"headers": {"A": draw(st.sampled_from(["{access}", "{access?}"]))}},
        "expired": steps[0],
        "rejected": draw(st.sampled_from([*steps, "home"])),
    }
    return {
        "name": "random",
        "base_url": "https://a.example/",
        "start": draw(st.sampled_from(["home", *steps])),
        "credentials": {"password": {"secret": True}},
        "exchanges": exchanges,
        "states": states,
    }


PROVED = {"proved": 0, "refused": 0}


@settings(max_examples=600)
@given(flows(), st.data())
def test_a_proved_flow_ends_and_reuses_no_refresh_token(raw: dict[str, Any], data: st.DataObject) -> None:
    try:
        vendor = load(raw)
    except VendorFileError as error:
        PROVED["refused"] += 1
        assert error.findings  # noqa: PT017
        return
    PROVED["proved"] += 1
    flow: Flow = vendor.flow
    steps = sum(isinstance(state, Sending) for state in flow.states.values())
    captured: Mapping[str, Any] = {}
    state, number = flow.start, 0
    spent: set[Any] = set()
    for _ in range(4):
        sends = 0
        walk = run(flow, state, captured, all_bound(vendor), [])
        outcome: Outcome | None = None
        while True:
            try:
                step = walk.send(outcome) if outcome is not None else next(walk)
            except StopIteration as end:
                rest = end.value
                break
            sends, number = sends + 1, number + 1
            here = flow.states[step.state]
            assert isinstance(here, Sending)
            sent = (
                step.captured.get("refresh")
                if any(placeholder.name == "refresh" for placeholder in step.exchange.request.placeholders())
                else None
            )
            assert sent is None or sent not in spent
            for placeholder in step.exchange.request.placeholders():
                assert placeholder.optional or placeholder.name in step.captured or placeholder.name == "password", (
                    "bound"
                )
            choices = [*step.exchange.outcomes]
            choices += [UNAVAILABLE] if UNAVAILABLE in here.next else []
            choices += [LOST] if rotates(step.exchange) and (here.missing or refusals(step.exchange)) else []
            outcome = outcome_of(step.exchange, data.draw(st.sampled_from(choices)), number)
            if (
                sent is not None
                and outcome.name != UNAVAILABLE
                and ("refresh" in outcome.captured or "access" not in outcome.captured)
            ):
                spent.add(sent)
        assert sends <= steps
        captured = rest.captured
        if isinstance(rest.state, Failing):
            state = flow.start
            continue
        for placeholder in rest.state.present.placeholders():
            assert placeholder.optional or placeholder.name in captured, "bound"
        state = rest.state.next[data.draw(st.sampled_from(sorted(rest.state.next)))]
    assert flow.states


def test_enough_of_them_were_flows() -> None:
    """Runs after the property above: a generator of nothing but refused files would prove nothing."""
    assert PROVED["proved"] >= PROVED["refused"] / 10
