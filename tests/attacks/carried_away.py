"""An error leaves the place where it was raised: out of a task, a group, a generator, a thread, a pool, a process. It
is pickled, copied, put into a queue and a message. Nobody catches it, and the interpreter says it with all that
`-X dev`, `-X tracemalloc` and asyncio's debug mode add.

Expected: wherever it arrives, it can be read, is of our class, and shows neither a password, a code, a token nor a
store's key; behind it stands no error of the client with a request of ours in it, on whatever way one reaches it; and
what stands on standard error when a program ends by it holds none of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import importlib
import importlib.util
import json
import logging
import multiprocessing
import os
import pickle
import queue
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import authflow
from tests.attacks.noisy_logs import LIBRARIES, LOUD, loud, says
from tests.attacks.reporters import TOOLS, missing
from tests.attacks.shown_objects import SHOWS, known, pin, stands_in
from tests.servers import listening

HOUSE = str(Path(__file__).parents[2])
KINDS = ("denied", "odd", "away", "broken", "gone", "elsewhere")


def session(home: str, kind: str) -> authflow.AuthSession:
    base = "http://127.0.0.1:1/" if kind == "gone" else f"{home}/{'good' if kind == 'elsewhere' else kind}/"
    return authflow.AuthSession(
        {**LOUD, "base_url": base}, username="u", password=known("password"), pin=pin, timeout=5
    )


def target(home: str, kind: str) -> str:
    return {"elsewhere": "https://elsewhere.example/", "gone": "http://127.0.0.1:1/x"}.get(kind, f"{home}/{kind}/x")


def called(library: str, home: str, kind: str) -> Any:
    """A call of the caller's that fails, through a synchronous client."""
    one, module = session(home, kind), importlib.import_module(library)
    return module.get(target(home, kind), auth=getattr(one, library))


async def awaited(library: str, home: str, kind: str) -> Any:
    one, module = session(home, kind), importlib.import_module(library)
    adapter = getattr(one, library)
    name = {"aiohttp": "ClientSession", "niquests": "AsyncSession"}.get(library, "AsyncClient")
    options = {"middlewares": [adapter]} if library == "aiohttp" else {"auth": adapter}
    client = getattr(module, name)(**options)
    async with client:
        return await client.get(target(home, kind))


# --- the ways out -----------------------------------------------------------------------------------------------------


def through_a_generator(call: Callable[[], Any]) -> None:
    def steps() -> Iterator[Any]:
        yield 1
        yield call()

    list(steps())


def through_a_thread(call: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(call).result()


def through_a_finally(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception as error:
        error.add_note(f"while asking: {error!r}")
        raise LookupError("theirs, on the way") from error


def through_a_group(call: Callable[[], Any]) -> None:
    found: list[Exception] = []
    for _ in range(2):
        try:
            call()
        except Exception as error:
            found.append(error)
    raise ExceptionGroup("both", found)


WAYS: dict[str, Callable[[Callable[[], Any]], None]] = {
    "itself": lambda call: call(),
    "a generator": through_a_generator,
    "a thread": through_a_thread,
    "another error": through_a_finally,
    "a group": through_a_group,
}


async def gathered(call: Callable[[], Any]) -> None:
    raise next(it for it in await asyncio.gather(call(), call(), return_exceptions=True) if it)


async def in_a_task_group(call: Callable[[], Any]) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(call())
        group.create_task(call())


async def in_an_async_generator(call: Callable[[], Any]) -> None:
    async def steps() -> AsyncIterator[Any]:
        yield await call()

    async for _ in steps():
        pass


async def never_retrieved(call: Callable[[], Any]) -> None:
    """What the loop says of a task whose error nobody took; and then an error."""
    task: Any = asyncio.ensure_future(call())
    await asyncio.wait({task})
    del task
    gc.collect()
    await call()


LOOP_WAYS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "gather": gathered,
    "a task group": in_a_task_group,
    "an asynchronous generator": in_an_async_generator,
    "a task that nobody asked": never_retrieved,
    "wait_for": lambda call: asyncio.wait_for(call(), 60),
}


def run(through: Callable[[Callable[[], Any]], Any], call: Callable[[], Any]) -> None:
    asyncio.run(through(call), debug=True)


def on_trio(library: str, home: str, kind: str) -> None:
    import trio

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(awaited, library, home, kind)
            nursery.start_soon(awaited, library, home, kind)

    trio.run(run)


# --- where it arrives -------------------------------------------------------------------------------------------------


def carried(error: BaseException) -> Iterator[tuple[str, Any]]:
    """The error, and what others make of it."""
    yield "itself", error
    yield "copied", copy.copy(error)
    yield "copied deeply", copy.deepcopy(error)
    (mailbox := queue.Queue[Any]()).put(error)
    yield "out of a queue", mailbox.get()
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield f"pickled ({protocol})", pickle.loads(data := pickle.dumps(error, protocol))
        yield f"its pickle ({protocol})", data.decode("latin-1")
    receiving, sending = multiprocessing.Pipe(duplex=False)
    sending.send(error)
    yield "out of a pipe", receiving.recv()
    with contextlib.suppress(ImportError):
        from celery.backends.base import Backend
        from celery.utils.serialization import get_pickleable_exception
        from kombu.serialization import dumps

        yield "celery's", get_pickleable_exception(error)
        for kind in ("json", "pickle"):
            backend = Backend(app=_celery(), serializer=kind)
            yield f"celery's, {kind}", str(dumps(backend.prepare_exception(error, kind), kind)[2])
    yield "args in JSON", json.dumps(error.args, default=str)
    yield "the whole in JSON", json.dumps([error.args, vars(error)], default=repr)


def _celery() -> Any:
    from celery import Celery

    return Celery("theirs", broker="memory://", backend="cache+memory://")


def behind(error: BaseException) -> Iterator[BaseException]:
    known, found = set[int](), [error]
    while found:
        one = found.pop()
        if one is not None and id(one) not in known:
            known.add(id(one))
            yield one
            found += [one.__cause__, one.__context__]  # type: ignore[list-item]
            found += one.exceptions if isinstance(one, BaseExceptionGroup) else ()


def of_a_client(error: BaseException) -> bool:
    """Is it an error of a library's own, with what that knows of a request?"""
    home = type(error).__module__.partition(".")[0]
    return home not in ("authflow", "builtins", "concurrent", "multiprocessing", "tests", "asyncio")


def shown_by_all(thing: Any) -> Iterator[str]:
    if isinstance(thing, str) or thing.__traceback__ is None:  # a copy: it is what the error is
        yield f"{thing} {thing!r} {getattr(thing, '__dict__', '')}"
        return
    for name, show in SHOWS.items():
        with contextlib.suppress(Exception):
            yield show(thing) if name != "rich" else ""  # which takes seconds, and has a test of its own
    for tool in ("stdlib", "sentry_sdk", "loguru", "better_exceptions"):
        if not missing(tool):
            yield TOOLS[tool](thing)
    yield logging.Formatter().formatException((type(thing), thing, thing.__traceback__))
    yield from (told for one in behind(thing) for told in _frames(one))


def _frames(error: BaseException) -> Iterator[str]:
    """What a debugger after the fact finds in frames of ours, and pdb's `args`, `locals()` and `vars(self)` say."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename).is_relative_to(Path(authflow.__file__).parent):
            held = dict(frame.f_locals)
            yield repr(held)
            for value in held.values():
                with contextlib.suppress(Exception):
                    yield repr(vars(value))


def arrived(where: str, call: Callable[[], Any]) -> Iterator[str]:
    error: BaseException | None = None
    with loud() as said:
        try:
            call()
        except BaseException as raised:
            error = raised
        logging.getLogger("theirs").error("it failed", exc_info=error, stack_info=True)
    if error is None:
        yield f"{where}: nothing was raised"
        return
    theirs = [one for one in behind(error) if of_a_client(one)]
    yield from (f"{where}: behind it stands {type(one)}" for one in theirs)
    if not any(isinstance(one, authflow.AuthFlowError) for one in behind(error)):
        yield f"{where}: it is no error of ours, but {error!r}"
    lines = dict.fromkeys(said)
    for how, one in carried(error):
        if isinstance(one, BaseException) and type(one).__name__ != type(error).__name__:
            yield f"{where}, {how}: it is {type(one)} now"
        lines |= dict.fromkeys(f"{how}: {line}" for text in shown_by_all(one) for line in text.splitlines())
    yield from searched(where, list(lines))


def searched(where: str, lines: list[str]) -> Iterator[str]:
    yield from (f"{where}: the {name} in …{around}…" for name, around in stands_in("\n".join(lines)))


# --- out of a process -------------------------------------------------------------------------------------------------

#: What a program does before it ends, with `call` that fails: each has its error said on standard error.
SAYS = """
threading.Thread(target=call, name='theirs').start()
type('T', (), {'__del__': lambda self: call()})()
asyncio.run(left(), debug=True)
try: call()
except Exception as error: warnings.warn(repr(error)); faulthandler.dump_traceback(); traceback.print_exc()
one.atoken()
gc.collect()
"""
#: Programs that end by an error, each in a way of its own.
ENDS = {
    "nobody catches it": SAYS + "call()",
    "in a task": "asyncio.run(loop(), debug=True)",
    "at exit": "atexit.register(call); sys.exit(1)",
    "in a pool": "import concurrent.futures as c; c.ThreadPoolExecutor(1).submit(call).result()",
}
PROGRAM = """
import asyncio, atexit, faulthandler, gc, sys, threading, traceback, warnings
from tests.attacks import carried_away as it
one = it.session({home!r}, {kind!r})
def call(): return it.called({library!r}, {home!r}, {kind!r})
async def loop(): call()
async def left():
    asyncio.ensure_future(loop())
    await asyncio.sleep(0.1)
{end}
"""


def ended(library: str, home: str, kind: str) -> Iterator[str]:
    path = os.pathsep.join(filter(None, [*sys.path, HOUSE]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1"}
    words = [sys.executable, "-P", "-X", "dev", "-W", "always", "-c"]
    for how, end in ENDS.items():
        program = PROGRAM.format(home=home, kind=kind, library=library, end=end)
        done = subprocess.run(
            [*words, program], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        if "VendorAnswerError" not in done.stderr:
            yield f"{library}, {how}: it was to fail, and ended with {done.returncode}: {done.stderr[-300:]}"
        yield from searched(f"{library}, {kind}, {how}", (done.stdout + done.stderr).splitlines())


def from_a_pool(library: str, home: str, kind: str) -> Iterator[str]:
    """Out of another process, with what it says of where it was raised there."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield from arrived(f"{library}, {kind}, futures", pool.submit(called, library, home, kind).result)
    with context.Pool(1) as other:
        yield from arrived(f"{library}, {kind}, a pool", lambda: other.apply(called, (library, home, kind)))


def attack(libraries: list[str] = LIBRARIES) -> Iterator[str]:
    with listening(says) as home:
        url = home.url  # and no server, which remembers what came, is a variable of who calls
        for library in libraries:
            for kind in KINDS:
                for way, through in WAYS.items() if library != "aiohttp" else ():
                    if way == "itself" or kind == "odd":
                        call = functools.partial(called, library, url, kind)
                        yield from arrived(f"{library}, {kind}, {way}", functools.partial(through, call))
                for way, through in LOOP_WAYS.items() if library != "requests" else ():
                    if way == "gather" or kind == "odd":
                        later = functools.partial(awaited, library, url, kind)
                        yield from arrived(f"{library}, {kind}, {way}", functools.partial(run, through, later))
            if library.startswith("httpx"):
                yield from arrived(f"{library}, a nursery", functools.partial(on_trio, library, url, "odd"))
            if library == "requests":
                yield from from_a_pool(library, url, "denied")
                yield from ended(library, url, "odd")


if __name__ == "__main__":
    found = 0
    for line in attack(sys.argv[1:] or LIBRARIES):
        found += 1
        print(line, flush=True)
    sys.exit(bool(found))
