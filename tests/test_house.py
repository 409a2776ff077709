"""The rules of the house: which way imports run, what rooms may touch, what stays light, what is public, no secrets.

The plan is in `tests/house.py`, and the map of a room is in its door (`__init__`). A test that fails says what to do.
"""

from __future__ import annotations

import ast
import gc
import graphlib
import importlib
import inspect
import pkgutil
import pydoc
import re
import subprocess
import sys
from typing import Any

import pytest

import authflow
from authflow.http import Answer, Request
from authflow.stores.memory import MemoryStore
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
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered

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
        assert not silent, f"authflow/{name}/__init__.py does not say what is in {', '.join(silent)}: add it to the map"


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


HEAVY = "requests", "httpx", "httpx2", "niquests", "jwt", "cryptography", "click", "rich", "redis", "keyring", "trio"


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


# --- names and sizes --------------------------------------------------------------------------------------------------

PUBLIC = [
    "AuthFlowError",
    "AuthSession",
    "ConfigurationError",
    "CredentialsRefused",
    "Status",
    "StoreError",
    "Token",
    "UntrustedOrigin",
    "Vendor",
    "VendorAnswerError",
    "VendorFileError",
    "VendorUnavailable",
    "hookimpl",
]
SESSION = [
    *("atoken", "close", "headers", "httpx", "httpx2", "login", "logout", "niquests", "record", "requests", "status"),
    *("token", "vendor"),
]
#: What users call that cannot fail.
SAFE = {"close", "record", "status"}


def test_the_public_names() -> None:
    """Whoever changes this list changes what users rely on: say so in the changelog."""
    assert sorted(authflow.__all__) == sorted(PUBLIC)
    assert sorted(authflow._HOMES) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(authflow, name).__doc__
        assert name in dir(authflow)
    with pytest.raises(AttributeError, match="no attribute 'Session'"):
        authflow.Session  # noqa: B018
    assert authflow.__version__


def test_a_session_shows_what_users_type_and_nothing_else() -> None:
    shown = [name for name in dir(ScriptedVendor().session()) if not name.startswith("_")]
    assert shown == sorted(SESSION), "what adapters and recordings ask belongs to the session manager"


def test_help_tells_a_stranger_what_to_give_and_what_is_raised() -> None:
    told = pydoc.render_doc(authflow, renderer=pydoc.plaintext)
    assert "authflow - Logs in for you" in told
    for name in SESSION:
        member = inspect.getattr_static(authflow.AuthSession, name, None)
        if member is not None:
            doc = inspect.getdoc(member) or ""
            assert doc, name
            assert ("Raises" in doc) == (name not in SAFE), name
    for cls in (authflow.AuthSession, authflow.Status, authflow.Token):
        doc = inspect.getdoc(cls) or ""
        for name in inspect.signature(cls).parameters:
            assert re.search(rf"(^|  ){name}  ", doc, re.MULTILINE) or name == "settings_and_credentials", name


@pytest.mark.parametrize("name", PATHS, ids=lambda name: name or "authflow")
def test_a_module_opens_with_why_and_can_be_read_at_a_sitting(name: str) -> None:
    source = PATHS[name].read_text("utf-8")
    lines = source.count("\n")
    assert lines <= 500, f"{name} has {lines} lines: find the two things that it does, and give each a module"
    assert ast.get_docstring(ast.parse(source)), f"{name} says nothing of what it is for: begin with a docstring"
    vague = {"util", "utils", "helper", "helpers", "common", "misc"} & set(name.split("."))
    assert not vague, f"{name}: name a module by what it does"


def test_every_module_can_be_imported_by_itself() -> None:
    for info in pkgutil.walk_packages(authflow.__path__, "authflow."):
        try:
            importlib.import_module(info.name)
        except ModuleNotFoundError as missing:
            if missing.name not in ONLY_IN:
                raise


# --- no secret in any repr --------------------------------------------------------------------------------------------

SECRETS = {
    "password": "pass-w0rd-that-is-secret",
    "access": "acc3ss-that-is-secret",
    "refresh": "refr3sh-that-is-secret",
    "otp": "0tp-that-is-secret",
}


def exposed(when: str) -> list[str]:
    """Every object of ours that is alive now, and shows a secret when it is printed."""
    found = []
    for thing in gc.get_objects():
        kind = type(thing)
        if not str(kind.__module__).startswith("authflow") or isinstance(thing, type):
            continue
        for way in (repr, str):
            shown = way(thing)
            found += [
                f"{when}: {way.__name__} of {kind.__module__}.{kind.__qualname__} shows {secret}"
                for secret, value in SECRETS.items()
                if value in shown
            ]
    return sorted(set(found))


def test_no_object_shows_a_secret() -> None:
    """In the middle of a login, of a refresh, and at rest: whatever a debugger or a traceback would print."""
    found: list[str] = []

    def grant(request: Request) -> Answer:
        found.extend(exposed(request.url))
        return answered(200, {"access": SECRETS["access"], "refresh": SECRETS["refresh"], "in": int(LIFETIME)})

    login = LADDER["exchanges"]["login"]
    with_otp = {**login, "request": {**login["request"], "headers": {"X-OTP": "{otp}"}}}
    file = {
        **LADDER,
        "credentials": {"otp": {"secret": True}},
        "exchanges": {**LADDER["exchanges"], "login": with_otp},
        "derive": {"pair": {"base64": "{username}:{access}"}},
        "states": {
            **LADDER["states"],
            "signed_in": {"present": {"headers": {"A": "{access}"}, "cookies": {"c": "{access}"}}},
        },
    }

    class Watched(MemoryStore):
        def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
            found.extend(exposed("saving"))
            return super().save(key, data, revision, lifetime=lifetime)

    vendor = ScriptedVendor()
    session = vendor.session(file, store=Watched(), password=SECRETS["password"], otp=lambda: SECRETS["otp"])
    adapters: list[Any] = [session.requests, session.httpx, session.httpx2]
    for name in ("login", "refresh"):
        vendor.says(name, grant)
    token = session.token()
    found += exposed("at rest")
    vendor.clock.now += LIFETIME + 1
    session.token()
    vendor.says("refresh", 418, {"odd": SECRETS["refresh"]})
    vendor.clock.now += LIFETIME + 1
    with pytest.raises(authflow.VendorAnswerError) as caught:
        session.token()
    assert SECRETS["refresh"] not in f"{caught.value!r} {caught.value}"
    vendor.clock.now += 2
    entry = session._manager.authorize(URL)
    found += exposed("at the end")
    assert entry is not None
    assert token.access == SECRETS["access"]
    assert len(adapters) == 3
    assert sorted(set(found)) == []
