"""The rules of the house: which way imports run, what stays light, what is public, how long a module is, no secrets.

A new module needs a place in `ORDER`: below all that import it, above all that it imports.
"""

from __future__ import annotations

import ast
import functools
import gc
import graphlib
import importlib
import inspect
import pkgutil
import pydoc
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import authflow
from authflow.http import Answer, Request
from authflow.stores.memory import MemoryStore
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered

PACKAGE = Path(authflow.__file__).parent

#: From the bottom to the top; a module imports only from rows below its own. A package stands for all its modules,
#: unless one of them has a place of its own.
PURE = (
    ("errors", "converters", "notation"),
    ("holes", "http", "token", "derive", "extends"),
    ("template", "backoff", "masking", "grant"),
    ("fields",),
    ("urls", "bodies"),
    ("exchange",),
    ("flow",),
    ("model",),
    ("bag", "compiler", "proofs"),
    ("trust", "identity", "verify"),
    ("vendor", "held"),
)
EDGES = (
    ("clients.deadline",),
    ("flight", "hooks", "stores.base", "clients.base"),
    ("stores", "clients", "signing", "verification"),
    ("plugins", "exchanger"),
    ("ascent",),
    ("climber", "observe", "record_diagram", "record_masks", "sources"),
    ("record_page",),
    ("record",),
    ("keeper",),
    ("walk",),
    ("session",),
    ("accounts", "draw", "scaffold", "schema"),
    ("testing",),
    ("demo_page", "commands"),
    ("demo",),
    ("cli",),
    ("__main__",),
)
ORDER = PURE + EDGES

#: Imports inside functions that go up, or stay in their row: a package's front door opens its rooms when asked.
LAZY_UP: frozenset[tuple[str, str]] = frozenset()

#: What a pure module may not touch: the clock, threads, the network, other processes, chance.
WORLD = {"asyncio", "concurrent", "httpx", "multiprocessing", "random", "requests", "select", "socket", "subprocess"}
WORLD |= {"threading", "time", "trio", "urllib.request", "http.client", "ssl"}

#: Packages that only these modules import when they are imported themselves.
ONLY_IN = {
    "requests": {"clients.requests", "demo"},
    "niquests": {"clients.niquests"},
    "httpx": {"demo"},
    "click": {"commands"},
    "rich": {"commands", "demo_page"},
    "cryptography": {"stores.encrypted"},
    "keyring": {"stores.keyring"},
    "redis": {"stores.redis"},
    "jwt": set[str](),
    "pluggy": {"hooks", "plugins"},
}


@dataclass
class Module:
    """A module and what it imports: when it is imported itself, and later, inside functions."""

    name: str
    path: Path
    at_once: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)


@functools.cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")
        found[name] = Module(name, path)
        _read(found[name], ast.parse(path.read_text("utf-8")), later=False)
    return found


def _read(module: Module, node: ast.AST, *, later: bool) -> None:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module.name} imports relatively"
            assert child.module is not None
            inside = [f"{child.module}.{alias.name}" for alias in child.names]
            names = [name if _is_module(name) else child.module for name in inside]
        (module.later if later else module.at_once).update(names)
        _read(module, child, later=later or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("authflow.") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def ours(names: set[str]) -> set[str]:
    """Which of these are modules of ours; the front door is nobody's to rank, since it imports nothing at once."""
    return {name.removeprefix("authflow.") for name in names if name.startswith("authflow.")}


def place(name: str) -> int:
    """The row of a module, or of the package that stands for it."""
    while name:
        for number, row in enumerate(ORDER):
            if name in row:
                return number
        name = name.rpartition(".")[0]
    return len(ORDER)


def package_of(name: str) -> str:
    """What stands for a module in the order."""
    while name and not any(name in row for row in ORDER):
        name = name.rpartition(".")[0]
    return name


def upward(name: str, imported: set[str]) -> Iterator[str]:
    for other in sorted(ours(imported)):
        if package_of(other) != package_of(name) and place(other) >= place(name):
            yield f"{name} imports {other}"


# --- imports ----------------------------------------------------------------------------------------------------------


def test_every_module_has_one_place_and_every_place_a_module() -> None:
    rows = [name for row in ORDER for name in row]
    assert len(rows) == len(set(rows))
    assert [name for name in modules() if name and place(name) == len(ORDER)] == [], "give these a place in ORDER"
    assert [name for name in rows if name not in modules()] == [], "these have gone: take them out of ORDER"


def test_imports_run_downward_only() -> None:
    wrong = [line for module in modules().values() for line in upward(module.name, module.at_once)]
    assert wrong == []


def test_imports_inside_functions_run_downward_too_but_for_those_that_are_listed() -> None:
    wrong = {
        (module.name, other)
        for module in modules().values()
        if module.name
        for other in ours(module.later)
        if package_of(other) != package_of(module.name) and place(other) >= place(module.name)
    }
    assert wrong == LAZY_UP


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {name: ours(module.at_once) & modules().keys() - {name} for name, module in modules().items()}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_the_front_door_imports_nothing_at_once() -> None:
    assert ours(modules()[""].at_once) == set()


@pytest.mark.parametrize("name", sorted(name for name in modules() if name and place(name) < len(PURE)))
def test_the_pure_half_does_not_touch_the_world(name: str) -> None:
    module = modules()[name]
    touched = {other for other in module.at_once | module.later if other in WORLD or other.split(".")[0] in WORLD}
    assert touched == set()


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_at_once_only_by_its_edge(package: str) -> None:
    importers = {
        module.name for module in modules().values() if package in {name.split(".")[0] for name in module.at_once}
    }
    assert {name for name in importers if not {name, name.split(".")[0]} & ONLY_IN[package]} == set()


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
    assert said.stdout.split() == []


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
    *("atoken", "close", "headers", "httpx", "httpx2", "login", "logout", "niquests", "requests", "status", "token"),
    *("record", "vendor", "clock"),
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


def test_a_session_has_the_names_that_users_type() -> None:
    session = ScriptedVendor().session()
    assert [name for name in SESSION if name not in dir(session)] == []


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


@pytest.mark.parametrize("name", modules(), ids=lambda name: name or "authflow")
def test_a_module_opens_with_why_and_can_be_read_at_a_sitting(name: str) -> None:
    source = modules()[name].path.read_text("utf-8")
    assert source.count("\n") <= 500
    assert ast.get_docstring(ast.parse(source)) or not source.strip()
    assert not {"util", "utils", "helper", "helpers", "common", "misc"} & set(name.split("."))


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
    entry = session.enter(URL)
    found += exposed("at the end")
    assert entry is not None
    assert token.access == SECRETS["access"]
    assert len(adapters) == 3
    assert sorted(set(found)) == []
