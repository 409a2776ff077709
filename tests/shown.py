"""Whatever error a test is given is looked at as a crash reporter would: no function of ours that it came through has a
secret among its variables, and the error itself shows none.

Looked at are all `AuthFlowError`s, with those that they came from, that reached somebody else's code, and all errors
that `pytest.raises` caught. Secret is what the test's sessions hold to be secret. `pytest --every-raise`, over all
tests, also fails where `manager/`, `clients/` or `stores/` have a `raise` from which no such error came; `NOT_SEEN`
says why some need none.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import types
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pytest

import authflow
from authflow.masking import _spelled
from authflow.renewing import NoAnswer, TooLarge
from authflow.vendors import Given, Values

HOUSE: Final = Path(authflow.__file__).parent
ROOMS: Final = ("accounts", "renewing", "manager", "clients", "stores")
#: How deep values are walked into, and how many texts are taken of each; how many errors of one test are looked at:
#: some make thousands.
DEPTH: Final = 6
WIDTH: Final = 10_000
MOST: Final = 200
#: A shorter text is no secret, but a word of the test's.
SHORTEST: Final = 6

#: `raise`s from which no error reaches anybody, by file, function and what is raised, and why.
NOT_SEEN: Final[Mapping[str, str]] = {
    "accounts/claims.py::Claims._check::ValueError": "caught where a record is read, which logs its words",
    "accounts/stored.py::StoredRecords._save::Overtaken": "caught by the renewal, which serves what another stored",
    "clients/httpx.py::_auth_class.HttpxAuth._sent::raise": "the adapter's own, that the client gave a request up",
    "clients/httpx_sender.py::_handing_over_to.trace::_Late": "becomes a NoAnswer, outside of its block",
    "clients/httpx_sender.py::_handing_over_to.trace::_Used": "caught at once: another connection is opened",
    "clients/requests_sender.py::_Handed._new_conn::TimeoutError": "becomes a NoAnswer, outside of its block",
    "clients/starting.py::AsyncStart.__anext__::StopAsyncIteration": "the end of an iteration",
    "stores/file.py::_unpacked::_Damaged": "caught where a record is read, which sets it aside",
}


# --- what reporters would show ----------------------------------------------------------------------------------------


def ours(frame: types.FrameType) -> bool:
    return Path(frame.f_code.co_filename).is_relative_to(HOUSE)


def made_up(frame: types.FrameType) -> bool:
    """Does it work with accounts that a simulator has made up, and that are nobody's?"""
    return Path(frame.f_code.co_filename).is_relative_to(HOUSE / "testing")


def behind(error: BaseException, copies: bool = False) -> Iterator[BaseException]:
    """The error, and those that it came from; with `copies`, also those that it is a copy of, which nobody sees."""
    known, found = set[int](), [error]
    while found:
        one = found.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            yield one
            found += [one.__cause__, one.__context__, ORIGINS.get(id(one)) if copies else None]  # type: ignore[list-item]


#: Whose objects and errors show the caller's own request, as they do with Basic.
CLIENTS: Final = frozenset({"requests", "httpx", "httpx2", "niquests", "aiohttp", "urllib3"})


def frames(error: BaseException) -> Iterator[tuple[types.FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def shown(value: Any, depth: int = DEPTH, known: frozenset[int] = frozenset()) -> Iterator[str]:
    """What the nosiest reporter would say of a value: it walks through mappings, sequences, dataclasses and `__dict__`.
    What is the client's own shows the caller's header, as it does with Basic.
    """
    if isinstance(value, str | bytes):
        yield value if isinstance(value, str) else value.decode("latin-1")
        return
    homes = {cls.__module__.partition(".")[0] for cls in type(value).__mro__}
    if depth == 0 or id(value) in known or homes & CLIENTS:
        return
    known |= {id(value)}
    try:
        texts, inner = _inside(value)
    except Exception:  # as reporters do: what cannot be shown is not
        return
    yield from texts
    for each in inner:
        yield from shown(each, depth - 1, known)


def _inside(value: Any) -> tuple[list[str], list[Any]]:
    if isinstance(value, Mapping):
        return [], [part for pair in list(value.items()) for part in pair]
    if isinstance(value, tuple | list | set | frozenset):
        return [], list(value)
    if isinstance(value, types.ModuleType | type | int | float | None) or inspect.isroutine(value):
        return [], []
    inner = list(getattr(value, "__dict__", {}).values())
    if dataclasses.is_dataclass(value):
        inner += [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return [repr(value)], [*inner, *(value.__rich_repr__() if hasattr(value, "__rich_repr__") else ())]


def leaks(error: BaseException, secrets: set[str]) -> Iterator[str]:
    """Where a reporter would find one of the secrets, in whatever spelling."""
    for one in behind(error):
        # The client's own words about the caller's own URL are none of ours.
        theirs = type(error).__module__.partition(".")[0] in CLIENTS and not isinstance(error, authflow.AuthFlowError)
        words = [] if theirs else [("", str(one)), ("args", one.args), *vars(one).items()]
        held = [("the error", name, value) for name, value in words]
        for frame, line in frames(one):
            if ours(frame) and not made_up(frame) and frame.f_locals is not frame.f_globals:
                where = f"{frame.f_code.co_qualname}, line {line}"
                held += [(where, name, value) for name, value in frame.f_locals.items()]
        said = [(where, name, "\n".join(islice(shown(value), WIDTH))) for where, name, value in held]
        if next(_spelled("\n".join(text for *_, text in said), secrets), None) is not None:
            yield from (f"{where}: {name}" for where, name, text in said if next(_spelled(text, secrets), None))


# --- what a test works with -------------------------------------------------------------------------------------------

VALUES: Final[list[Values]] = []
ERRORS: Final[list[BaseException]] = []
#: By the id of an error that was copied for another who waited: the one that it is a copy of.
ORIGINS: Final[dict[int, BaseException]] = {}
#: Lines of the rooms, by file, through which errors came that were looked at.
SEEN: Final[defaultdict[str, set[int]]] = defaultdict(set)


def listen() -> None:
    """Hear of all values and errors that are made, and of what tests expect."""

    def after(cls: Any, name: str, heard: Any) -> None:
        real = getattr(cls, name)

        @functools.wraps(real)
        def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
            result = real(self, *arguments, **named)
            heard(self, result, *arguments)
            return result

        setattr(cls, name, wrapped)

    after(Values, "__init__", lambda values, *_: VALUES.append(values))
    after(authflow.AuthFlowError, "copy", lambda error, copied: ORIGINS.update({id(copied): error}))
    after(pytest.RaisesExc, "__exit__", lambda _, __, kind, error, trace: error is not None and ERRORS.append(error))
    for kind in (authflow.AuthFlowError, NoAnswer, TooLarge):

        def new(cls: Any, *arguments: Any, kind: Any = kind, **named: Any) -> Any:
            ERRORS.append(super(kind, cls).__new__(cls, *arguments))
            return ERRORS[-1]

        kind.__new__ = staticmethod(new)


def secrets() -> set[str]:
    found: set[str] = set()
    for values in VALUES[:MOST]:
        if not isinstance(values.given, Given):  # a table, made by hand
            continue
        plain = {str(values.given.get(name)) for name, entry in values.vendor.inputs.items() if not entry.secret}
        found |= {text for text in values.secrets if len(text) >= SHORTEST} - plain
    return {text for text in found if not text.startswith(("http://", "https://"))}  # an address that an answer named


def look() -> list[str]:
    """What the errors show that reached somebody; and from where they came is noted."""
    found, known = list[str](), secrets()
    for error in ERRORS[:MOST]:
        came = [*frames(error)]
        for one in behind(error, copies=True):
            for frame, line in frames(one):
                if ours(frame):
                    SEEN[Path(frame.f_code.co_filename).relative_to(HOUSE).as_posix()].add(line)
        if came and not ours(came[0][0]):
            found += [f"{type(error).__name__}: {leak}" for leak in leaks(error, known)]
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    for kept in (VALUES, ERRORS, ORIGINS):
        kept.clear()
    result = yield
    found = look()
    assert not found, f"a crash reporter would show a secret: {found[:5]}"
    return result


# --- every raise ------------------------------------------------------------------------------------------------------


def raises(path: Path) -> Iterator[tuple[str, int, range]]:
    """Each `raise` of a file: its name, its line, and the lines of the block whose error it lets pass."""
    name = path.relative_to(HOUSE).as_posix()

    def walk(node: ast.AST, inside: str, block: range) -> Iterator[tuple[str, int, range]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{inside}.{node.name}".strip(".")
        if isinstance(node, ast.Raise):
            what = getattr(node.exc, "func", node.exc)
            yield (
                f"{name}::{inside}::{ast.unparse(what) if what else 'raise'}",
                node.lineno,
                block if not what else range(0),
            )
        if isinstance(node, ast.Try):
            block = range(node.body[0].lineno, node.handlers[0].lineno if node.handlers else node.body[-1].lineno + 1)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, inside, block)

    yield from walk(ast.parse(path.read_text("utf-8")), "", range(0))


def unseen() -> list[str]:
    """The `raise`s from which no error came, and the rows of the table that nothing stands for."""
    found, names = [], set()
    for room in ROOMS:
        for path in sorted((HOUSE / room).glob("*.py")):
            seen = SEEN[path.relative_to(HOUSE).as_posix()]
            for name, line, block in raises(path):
                names.add(name)
                if line not in seen and not seen.intersection(block) and name not in NOT_SEEN:
                    found.append(f"{name} (line {line})")
    return found + [f"{name} is no more" for name in NOT_SEEN if name not in names]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-raise", action="store_true", help="every `raise` must be seen: for a run of all tests")


def pytest_configure(config: pytest.Config) -> None:
    listen()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for name, lines in getattr(node, "workeroutput", {}).get("seen", {}).items():
        SEEN[name].update(lines)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["seen"] = {name: sorted(lines) for name, lines in SEEN.items()}
    elif session.config.getoption("--every-raise") and (left := unseen()):
        print("\nno test sees an error of these; write one, or a row of NOT_SEEN in tests/shown.py:", *left, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
