"""The rules of the house: which way imports run, what rooms may touch, what stays light, how long a module is.

The plan is in `tests/house.py`, and the map of a room is in its door (`__init__`). A test that fails says what to do.
Nothing here imports authflow, so that a house which cannot be imported is told why.
"""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys

import pytest

from tests.house import (
    BEGIN,
    CONTRIBUTING,
    END,
    ONLY_IN,
    PATHS,
    PURE,
    RANK,
    WORLD,
    drawing,
    modules,
    ours,
)

# --- imports ----------------------------------------------------------------------------------------------------------


def test_every_room_has_a_place() -> None:
    rooms = {module.room for module in modules().values() if module.name}
    missing, gone = rooms - RANK.keys(), RANK.keys() - rooms
    assert not missing, f"{', '.join(missing)}: give each a row in ORDER, above all that it imports"
    assert not gone, f"{', '.join(gone)}: there is no such room, take it out of ORDER"


def test_imports_run_downward() -> None:
    """Those inside functions, and those for type checkers, too."""
    wrong = [
        f"{module.name} imports {other}, which is above it: let it be handed in, or move what is needed down"
        for module in modules().values()
        if module.name
        for other in sorted(ours(module.all))
        if RANK[other.partition(".")[0]] > RANK[module.room]
    ]
    assert not wrong, "\n".join(wrong)


def test_other_rooms_are_entered_by_their_doors() -> None:
    wrong = [
        f"{module.name} imports {other}: import from authflow.{other.partition('.')[0]}, and give its door the name"
        for module in modules().values()
        if module.name
        for other in sorted(ours(module.all))
        if "." in other and other.partition(".")[0] != module.room and other != "vendors.drawing"
    ]
    assert not wrong, "\n".join(wrong)


def test_no_imports_go_round_in_a_circle() -> None:
    """Not even those inside functions and for type checkers; a door may be imported by nothing in its own room."""
    graph = {name: ours(module.all) & modules().keys() - {name} for name, module in modules().items()}
    doors = {module.room for module in modules().values() if "." in module.name}
    for name, needs in graph.items():
        inside = [door for door in doors & needs if name.startswith(f"{door}.")]
        assert not inside, f"{name} imports its own door, {inside[0]}: import the module that has the name"
    try:
        list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"{' → '.join(reversed(error.args[1]))}: move what both need into a module below them")


def test_a_door_names_all_that_is_in_its_room() -> None:
    """Who looks for a thing reads the door: every module stands in its map."""
    for name, module in modules().items():
        if module.path.name != "__init__.py" or not name or "." in name or name == "testing":
            continue
        told = ast.get_docstring(ast.parse(module.path.read_text("utf-8"))) or ""
        inside = {path.stem if path.is_file() else path.name for path in module.path.parent.iterdir()}
        inside = {each for each in inside if each not in ("__init__", "__pycache__") and f"{name}.{each}" in modules()}
        silent = sorted(each for each in inside if not re.search(rf"\b{each}\b", told))
        assert not silent, f"authflow/{name}/__init__.py says nothing of {', '.join(silent)}: add it to its docstring"


def test_the_map_shows_the_house_as_it_is() -> None:
    shown = CONTRIBUTING.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == drawing(), "the house has changed: make map draws it anew"


def test_the_front_door_imports_nothing_at_once() -> None:
    at_once = ours(modules()[""].at_once)
    assert not at_once, f"import authflow would import {', '.join(at_once)} too: name it in _HOMES instead"


@pytest.mark.parametrize("name", [name for name in PATHS if name.partition(".")[0] in PURE])
def test_the_pure_rooms_do_not_touch_the_world(name: str) -> None:
    module = modules()[name]
    touched = {other for other in module.all if other in WORLD or other.split(".")[0] in WORLD}
    assert not touched, f"{name} imports {', '.join(touched)}: what it needs of that is to be handed in as a value"


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_at_once_only_by_its_edge(package: str) -> None:
    importers = {
        module.name for module in modules().values() if package in {name.split(".")[0] for name in module.at_once}
    }
    wrong = {name for name in importers if not {name, name.split(".")[0]} & ONLY_IN[package]}
    assert not wrong, f"{', '.join(wrong)}: import {package} inside the function that needs it"


HEAVY = (
    "requests",
    "httpx",
    "httpx2",
    "niquests",
    "aiohttp",
    "jwt",
    "cryptography",
    "click",
    "rich",
    "redis",
    "keyring",
    "trio",
)


@pytest.mark.parametrize(
    "code",
    [
        "import authflow",
        "import authflow; authflow.AuthSession('supplier', username='u', password='p').status()",
    ],
    ids=["import", "session"],
)
def test_nothing_is_imported_before_it_is_needed(code: str) -> None:
    ask = f"import sys; {code}; print(*sorted(set({HEAVY!r}) & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == [], f"{code} imports {said.stdout.strip()}: import that inside a function"


# --- modules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "authflow")
def test_a_module_opens_with_why_and_can_be_read_at_a_sitting(name: str) -> None:
    source = PATHS[name].read_text("utf-8")
    lines = source.count("\n")
    assert lines <= 500, f"{name} has {lines} lines: find the two things that it does, and give each a module"
    assert ast.get_docstring(ast.parse(source)), f"{name} says nothing of what it is for: begin with a docstring"
    vague = {"util", "utils", "helper", "helpers", "common", "misc"} & set(name.split("."))
    assert not vague, f"{name}: name a module by what it does"
