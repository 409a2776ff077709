"""Drawings say what the flow's own table says, no more and no less, in a form that Mermaid takes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from authflow import plugins
from authflow.vendors import drawing as draw
from authflow.vendors.flow import Failing, Sending
from authflow.vendors.loading import load
from authflow.vendors.vendor import Vendor

ODD: dict[str, Any] = {
    "name": "odd",
    "title": 'Odd: "quoted"; #1 <b> {x}',
    "base_url": "https://odd.example/",
    "start": "end",
    "credentials": {"word": {"secret": True}},
    "exchanges": {
        "login": {
            "request": {"url": "in;out", "form": {"word": "{word}"}},
            "answers": {"granted": {"json": {"t": "{access}"}}, "denied": {"status": 403}},
        }
    },
    "states": {
        "end": {"send": "login", "granted": "signed-in", "denied": "state"},
        "signed-in": {
            "present": {"headers": {"Authorization": "Bearer {access}"}},
            "rejected": "end",
            "expired": "end",
        },
        "state": {"fail": 'No: "really";\n#5 {not}'},
    },
}


@pytest.fixture(scope="module")
def supplier() -> Vendor:
    return plugins.find_vendor("supplier")


def edges(vendor: Vendor) -> set[tuple[str, str, str]]:
    """Every edge of the flow, from the table itself."""
    found = set()
    for name, state in vendor.flow.states.items():
        if not isinstance(state, Failing):
            found |= {(name, event, target) for event, target in state.next.items()}
        if isinstance(state, Sending) and state.missing is not None:
            found.add((name, "missing", state.missing))
    return found


def drawn(diagram: str) -> set[tuple[str, str, str]]:
    """The edges of a Mermaid state diagram, by the names that its states show."""
    names = dict(re.findall(r'^    state "([^:]+):.*" as (\w+)$', diagram, re.M))
    known = {identifier: name for name, identifier in names.items()}
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", diagram, re.M)
    return {(known[a], event, known[b]) for a, b, events in arrows for event in events.split(", ")}


GRANT = {"name": "grant", "extends": "oauth2-password", "base_url": "https://grant.example/"}


@pytest.mark.parametrize("vendor", ["supplier", ODD, GRANT], ids=["supplier", "odd", "with missing"])
def test_the_diagram_has_every_edge_and_no_other(vendor: Any) -> None:
    vendor = plugins.find_vendor(vendor)
    diagram = draw.diagram(vendor)
    assert drawn(diagram) == edges(vendor)
    assert re.findall(r"^    (\w+) --> \[\*\]$", diagram, re.M) != []


@pytest.mark.parametrize("picture", [draw.diagram, draw.sequence])
def test_what_mermaid_could_take_for_syntax_is_written_as_entities(picture: Any) -> None:
    text = picture(load(ODD))
    for line in text.splitlines():
        assert not re.search(r"[{}<`]|;(?<!#\d\d;)(?<!#\d\d\d;)", line.replace("->>", "").replace("<<", "")), line
    assert not re.search(r"\b(end|state) -->|as (end|state)$", text, re.M)


def test_the_outline_names_what_each_state_does_and_where_it_leads(supplier: Vendor) -> None:
    assert draw.outline(supplier) == (
        "supplier: Delivery status from the supplier\n"
        "  needs username, password\n"
        "  takes host, data_origin\n"
        "\n"
        "▶ signed_out: sends login (POST login)\n"
        "    granted → signed_in\n"
        "    denied  → refused\n"
        "\n"
        "  signed_in: presents Authorization\n"
        "    expired, rejected → stale\n"
        "\n"
        "  stale: sends refresh (POST refresh)\n"
        "    granted → signed_in\n"
        "    denied  → signed_out\n"
        "\n"
        "  refused: fails (The supplier refused this username and password)\n"
    )


def test_the_longest_walk_logs_in_is_rejected_refreshes_and_logs_in_again(supplier: Vendor) -> None:
    assert draw.walk(supplier) == [
        ("signed_out", "granted", "signed_in"),
        ("signed_in", "rejected", "stale"),
        ("stale", "denied", "signed_out"),
        ("signed_out", "granted", "signed_in"),
    ]


def test_each_request_in_the_sequence_has_its_answer(supplier: Vendor) -> None:
    told = [item for item in draw.messages(supplier) if isinstance(item, draw.Message)]
    assert [item.text for item in told if item.sender == "caller"] == ["a request", "a request"]
    assert [item.text for item in told if item.receiver == "caller"] == ["the data", "the data"]
    between = [item for item in told if "caller" not in (item.sender, item.receiver)]
    assert [item.answer for item in between] == [False, True] * (len(between) // 2)


@pytest.mark.parametrize(
    ("preset", "answers"),
    [
        ("challenge", ["challenged", "granted", "the data", "challenged", "granted", "the data"]),
        ("api-key", ["the data"]),
    ],
)
def test_a_flow_that_starts_by_presenting_asks_at_once(preset: str, answers: list[str]) -> None:
    vendor = load({"name": "v", "extends": preset, "base_url": "https://v.example/"})
    told = [item for item in draw.messages(vendor) if isinstance(item, draw.Message)]
    assert [item.text for item in told if item.sender == "vendor"] == answers


@pytest.mark.parametrize("vendor", ["supplier", ODD, GRANT], ids=["supplier", "odd", "with missing"])
def test_the_facts_are_the_flows_own_table_and_fit_into_json(vendor: Any) -> None:
    vendor = plugins.find_vendor(vendor)
    facts = json.loads(json.dumps(draw.facts(vendor)))
    assert [state["name"] for state in facts["states"]] == list(vendor.flow.states)
    for state in facts["states"]:
        real = vendor.flow.states[state["name"]]
        led = {} if isinstance(real, Failing) else dict(real.next)
        if isinstance(real, Sending) and real.missing:
            led["missing"] = real.missing
        assert (state["kind"], state["next"]) == (type(real).__name__.lower(), led)
    assert facts["start"] == vendor.flow.start
    assert {*facts["needs"], *facts["takes"]} == set(vendor.inputs)


@pytest.mark.parametrize("picture", [draw.outline, draw.diagram, draw.sequence, draw.story])
def test_every_installed_vendor_can_be_drawn(picture: Any) -> None:
    for name in plugins.vendors():
        assert picture(plugins.find_vendor(name)).endswith("\n")
