"""The plan of the house: its rooms in their order, what each module imports, and the map in CONTRIBUTING.md.

`python -m tests.house` (or `make map`) draws the map anew; `test_house.py` holds the code against the plan.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "authflow"

#: From the bottom up: a room imports only from rooms in rows before its own, and only from their doors.
ORDER = (
    ("errors",),
    ("sealed", "clock"),
    ("http",),
    ("merging",),
    ("masking",),
    ("templates",),
    ("vendors",),
    ("stores",),
    ("plugins",),
    ("accounts",),
    ("renewing",),
    ("manager",),
    ("recording",),
    ("clients",),
    ("session",),
    ("testing",),
    ("cli",),
    ("__main__",),
)
RANK = {room: row for row, rooms in enumerate(ORDER) for room in rooms}

#: Rooms that think and do nothing else: no clock, no threads, no network, no other processes, no chance.
PURE = ("errors", "sealed", "http", "merging", "masking", "templates", "vendors")
WORLD = {"asyncio", "concurrent", "httpx", "multiprocessing", "random", "requests", "select", "socket", "subprocess"}
WORLD |= {"threading", "time", "trio", "urllib.request", "http.client", "ssl"}

#: Packages that are imported at once by these modules alone: everywhere else, an import inside a function.
ONLY_IN = {
    "requests": {"cli.demo"},
    "niquests": {"clients.niquests"},
    "httpx": {"cli.demo"},
    "click": {"cli"},
    "rich": {"cli"},
    "cryptography": {"stores.encrypted"},
    "keyring": {"stores.keyring"},
    "redis": {"stores.redis"},
    "jwt": set[str](),
    "pluggy": {"plugins"},
}


@dataclass
class Module:
    """A module and what it imports: when it is imported itself, and later, inside functions or for type checkers."""

    name: str
    path: Path
    at_once: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    @property
    def all(self) -> set[str]:
        return self.at_once | self.later


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


#: Every module by its name below `authflow`; "" is the package itself.
PATHS = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@functools.cache
def modules() -> dict[str, Module]:
    found = {}
    for name, path in PATHS.items():
        found[name] = Module(name, path)
        _read(found[name], ast.parse(path.read_text("utf-8")), later=False)
    return found


def _read(module: Module, node: ast.AST, *, later: bool) -> None:
    for child in ast.iter_child_nodes(node):
        names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
        if isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module.name} imports relatively: write the whole name"
            assert child.module is not None
            inside = [f"{child.module}.{alias.name}" for alias in child.names]
            names = [name if _is_module(name) else child.module for name in inside]
        (module.later if later else module.at_once).update(names)
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        lazy = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or for_types
        _read(module, child, later=later or lazy)


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("authflow.") and (path.with_suffix(".py").exists() or (path / "__init__.py").exists())


def ours(names: set[str]) -> set[str]:
    """Which of these are modules of ours; the front door is nobody's to rank, since it imports nothing at once."""
    return {name.removeprefix("authflow.") for name in names if name.startswith("authflow.")}


def within(room: str, module: Module) -> set[str]:
    """The modules of its own room that a module imports."""
    return {name for name in ours(module.all) if name.partition(".")[0] == room}


# --- the map ----------------------------------------------------------------------------------------------------------

CONTRIBUTING = Path(__file__).parent.parent / "CONTRIBUTING.md"
BEGIN, END = "<!-- the map: make map -->\n", "<!-- the end of the map -->\n"


def drawing() -> str:
    """The rooms and their arrows as Mermaid: who is above imports from who is below. The number is that of modules."""
    sizes = Counter(module.room for module in modules().values() if module.name)
    arrows = {
        (module.room, other.partition(".")[0])
        for module in modules().values()
        if module.name
        for other in ours(module.all)
        if other.partition(".")[0] != module.room
    }
    rooms = [room for rooms in reversed(ORDER) for room in rooms if not room.startswith("_")]
    told = sorted(((one, other) for one, other in arrows if one in rooms), key=lambda arrow: (-RANK[arrow[0]], arrow))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'  {room}["{room}/ · {sizes[room]}"]' if sizes[room] > 1 else f"  {room}" for room in rooms]
    lines += [f"  {one} --> {other}" for one, other in told if not _implied(one, other, arrows)]
    return "\n".join([*lines, "```", ""])


def _implied(one: str, other: str, arrows: set[tuple[str, str]]) -> bool:
    """Is there a longer way down? Then the arrow says nothing new, and is left out."""
    return any(_reaches(to, other, arrows) for start, to in arrows if start == one and to != other)


def _reaches(one: str, other: str, arrows: set[tuple[str, str]], seen: frozenset[str] = frozenset()) -> bool:
    if one == other:
        return True
    return any(_reaches(to, other, arrows, seen | {one}) for start, to in arrows if start == one and to not in seen)


if __name__ == "__main__":
    text = CONTRIBUTING.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    CONTRIBUTING.write_text(before + BEGIN + drawing() + END + rest.partition(END)[2], "utf-8")
