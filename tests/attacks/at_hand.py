"""A notebook, a debugger, a framework's error page: what people have at hand looks at objects and errors of ours.

After the fact: pdb, IPython's verbose mode, cgitb, stackprinter, structlog, the error pages of Django, Starlette and
Werkzeug, what Elastic APM and Bugsnag send. Of objects: devtools, icecream, snoop, `help()`, `inspect`,
what notebooks ask for, and classes that have them as a field (dataclass, attrs, pydantic), Hypothesis's falsifying
example, JSON lines of logs. Last, cells of a whole notebook, doctest, each object of ours that is alive, profiles.

Expected: none shows a password, a code, a token or a store's key. A tool that is not installed is passed over.
What stands in this process's memory whoever debugs it can read, as SECURITY.md says.
"""

from __future__ import annotations

import contextlib
import cProfile
import dataclasses
import doctest
import gc
import inspect
import io
import json
import logging
import pdb
import pickletools
import pstats
import pydoc
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import authflow
from authflow.stores import MemoryStore
from tests.attacks.shown_objects import ASKED, FILE, known, pin, says, stands_in, things
from tests.servers import Listener, listening


def session(url: str, at: str = "", **more: Any) -> authflow.AuthSession:
    file = {**FILE, "base_url": f"{url}/{at}"}
    return authflow.AuthSession(file, username="u", password=known("password"), pin=pin, store=MemoryStore(), **more)


# --- errors -----------------------------------------------------------------------------------------------------------


def by_pdb(error: BaseException) -> str:
    """Up through all frames, with what a debugger is asked there."""
    page = io.StringIO()
    steps = "\n".join(["args", "p locals()", "pp vars(self)", "pp self", "p call", "up"] * 20)
    debugger = pdb.Pdb(stdin=io.StringIO(steps + "\nq\n"), stdout=page, nosigint=True, readrc=False)
    debugger.use_rawinput = False
    debugger.reset()
    with contextlib.suppress(SystemExit):
        debugger.interaction(None, error.__traceback__)
    return page.getvalue()


def by_ipython(error: BaseException) -> str:
    from IPython.core.ultratb import VerboseTB

    shown = VerboseTB(include_vars=True)
    return str(shown.text(type(error), error, error.__traceback__, context=9))


def by_cgitb(error: BaseException) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cgitb
    pages = [io.StringIO(), io.StringIO()]
    for page, form in zip(pages, ("text", "html"), strict=True):
        cgitb.Hook(file=page, format=form).handle((type(error), error, error.__traceback__))
    return "".join(page.getvalue() for page in pages)


def by_django(error: BaseException) -> str:
    from django.conf import settings
    from django.views.debug import ExceptionReporter

    if not settings.configured:
        settings.configure(DEBUG=True)
    reporter = ExceptionReporter(None, type(error), error, error.__traceback__)
    return str([frame["vars"] for frame in reporter.get_traceback_frames()])


def by_starlette(error: Exception) -> str:
    from starlette.middleware.errors import ServerErrorMiddleware

    page = ServerErrorMiddleware(None, debug=True)  # type: ignore[arg-type]
    return page.generate_html(error, 20) + page.generate_plain_text(error)


def by_werkzeug(error: BaseException) -> str:
    from werkzeug.debug.tbtools import DebugTraceback

    return str(DebugTraceback(error).render_debugger_html(True, "x", False))


def by_structlog(error: BaseException) -> str:
    from structlog.tracebacks import ExceptionDictTransformer

    tell = ExceptionDictTransformer(show_locals=True, locals_max_length=10_000, locals_max_string=10_000)
    return str(tell((type(error), error, error.__traceback__)))


def by_stackprinter(error: BaseException) -> str:
    import stackprinter

    return str(stackprinter.format(error, show_vals="all", truncate_vals=100_000))


def by_elastic(error: BaseException) -> str:
    from elasticapm.utils.stacks import get_stack_info, iter_traceback_frames

    frames = iter_traceback_frames(error.__traceback__)
    return str(get_stack_info(frames, with_locals=True, locals_processor_func=repr))


def by_bugsnag(error: Exception) -> str:
    from bugsnag.configuration import Configuration, RequestConfiguration
    from bugsnag.event import Event

    own = Configuration()
    own.configure(api_key="x", project_root="/")
    return str(Event(error, own, RequestConfiguration.get_instance(), metadata={"error": vars(error)})._payload())


ERRORS: dict[str, Callable[[Any], str]] = {
    "pdb": by_pdb,
    "IPython": by_ipython,
    "cgitb": by_cgitb,
    "django": by_django,
    "starlette": by_starlette,
    "werkzeug": by_werkzeug,
    "structlog": by_structlog,
    "stackprinter": by_stackprinter,
    "elasticapm": by_elastic,
    "bugsnag": by_bugsnag,
}


# --- objects ----------------------------------------------------------------------------------------------------------


def by_devtools(thing: Any) -> str:
    from devtools import pformat

    return str(pformat(thing))


def by_icecream(thing: Any) -> str:
    from icecream import ic

    page: list[str] = []
    ic.configureOutput(outputFunction=page.append)
    ic(thing)
    return "".join(page)


def by_snoop(thing: Any) -> str:
    import snoop

    page = io.StringIO()
    config = snoop.Config(out=page, color=False)

    def theirs(it: Any) -> Any:
        again = it
        return [again]

    config.snoop(watch=("vars(it)", "it.__dict__", "[it]"), depth=2)(theirs)(thing)
    return page.getvalue()


def by_help(thing: Any) -> str:
    return pydoc.plain(pydoc.render_doc(thing))


def by_inspect(thing: Any) -> str:
    static = [(name, inspect.getattr_static(thing, name)) for name in {*dir(thing)} - ASKED]
    found = []
    for name, each in static:
        found.append((name, each))
        with contextlib.suppress(Exception):
            found.append((name, getattr(thing, name)))
            found.append((name, inspect.getclosurevars(getattr(thing, name)).nonlocals))
            found.append((name, inspect.signature(getattr(thing, name))))
    return repr(found)


def by_notebook(thing: Any) -> str:
    """What a notebook asks an object for: each way to show itself, and what completes its name."""
    names = ("html", "markdown", "svg", "png", "jpeg", "json", "latex", "javascript", "pretty", "mimebundle")
    shown = []
    for name in [f"_repr_{name}_" for name in names]:
        with contextlib.suppress(Exception):
            shown.append(getattr(thing, name)())
    with contextlib.suppress(Exception):
        shown.append(thing._ipython_key_completions_())
    with contextlib.suppress(Exception):
        shown.append([*thing])
    return repr([shown, dir(thing)])


@dataclasses.dataclass
class Holds:
    field: Any
    more: list[Any]


def by_dataclass(thing: Any) -> str:
    one = Holds(thing, [thing])
    return f"{one} {dataclasses.astuple(one)} {dataclasses.asdict(one)}"


def by_attrs(thing: Any) -> str:
    import attrs

    made: Any = attrs.make_class("Holds", ["field", "more"])
    one = made(thing, {"a": thing})
    return f"{one} {attrs.asdict(one)} {attrs.astuple(one)}"


def by_cattrs(thing: Any) -> str:
    import cattrs

    return str(cattrs.unstructure({"a": [thing]}))


def by_pydantic(thing: Any) -> str:
    """A field of any kind, one of its class, and the error of one that is another."""
    import pydantic

    words: Any = pydantic.ConfigDict(arbitrary_types_allowed=True)
    kinds = {"field": (Any, ...), "own": (type(thing), ...)}
    made: Any = pydantic.create_model("Holds", __config__=words, **kinds)
    one = made(field=thing, own=thing)
    said = [repr(one), one.model_dump(), repr(one.model_dump())]
    for call in (one.model_dump_json, lambda: made(field=thing, own=3.5), lambda: pydantic.TypeAdapter(int)):
        try:
            said.append(call())
            pydantic.TypeAdapter(int).validate_python(thing)
        except Exception as error:
            said += [str(error), repr(error), getattr(error, "errors", str)()]
    return str(said)


def by_hypothesis(thing: Any) -> str:
    from hypothesis import Phase, given, settings
    from hypothesis import strategies as st

    page: list[str] = []

    @settings(max_examples=1, database=None, phases=[Phase.generate], deadline=None, print_blob=True)
    @given(it=st.just(thing), more=st.lists(st.just(thing), min_size=1, max_size=1))
    def theirs(it: Any, more: Any) -> None:
        raise LookupError

    try:
        theirs()
    except LookupError as error:
        page += error.__notes__
    return "\n".join(page)


def by_json_lines(thing: Any) -> str:
    """What formatters of JSON make of a record: all its attributes, with what `default` they have."""
    lines = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            for default in (str, repr, vars, lambda it: getattr(it, "__dict__", repr(it))):
                with contextlib.suppress(Exception):
                    lines.append(json.dumps(vars(record), default=default))

    logger = logging.Logger("theirs")
    logger.addHandler(Lines())
    logger.error("%(it)s", {"it": thing}, extra={"session": thing, "all": {"of": [thing]}}, stack_info=True)
    return "\n".join(lines)


def by_structlogs_lines(thing: Any) -> str:
    import structlog

    lines = []
    for kind in (
        structlog.processors.JSONRenderer(),
        structlog.dev.ConsoleRenderer(),
        structlog.processors.LogfmtRenderer(),
    ):
        with contextlib.suppress(ValueError):
            lines.append(str(kind(None, "info", {"event": "theirs", "session": thing, "all": [thing]})))
    return "\n".join(lines)


def by_loguru(thing: Any) -> str:
    from loguru import logger

    lines: list[str] = []
    logger.remove()
    sink = logger.add(lines.append, serialize=True, format="{message} {extra}")
    try:
        logger.bind(session=thing).info("it is {!r}", thing)
    finally:
        logger.remove(sink)
    return "\n".join(lines)


def by_picklers(thing: Any) -> str:
    """Of errors: pickles of sessions, grants and tokens hold them. Some pickle what pickle refuses."""
    page = io.StringIO()
    for name in ("pickle", "cloudpickle", "dill") if isinstance(thing, BaseException) else ():
        with contextlib.suppress(ImportError):
            pickletools.dis(__import__(name).dumps(thing), page)
    return page.getvalue()


OBJECTS: dict[str, Callable[[Any], str]] = {
    "devtools": by_devtools,
    "icecream": by_icecream,
    "snoop": by_snoop,
    "help()": by_help,
    "inspect": by_inspect,
    "a notebook": by_notebook,
    "a dataclass": by_dataclass,
    "attrs": by_attrs,
    "cattrs": by_cattrs,
    "pydantic": by_pydantic,
    "hypothesis": by_hypothesis,
    "JSON lines": by_json_lines,
    "structlog": by_structlogs_lines,
    "loguru": by_loguru,
    "pickles": by_picklers,
}


# --- a whole notebook -------------------------------------------------------------------------------------------------

CELLS = (
    *("one", "token", "one.status()", "one.requests", "[one, token]", "{'a': one}", "one?", "one??", "token?"),
    *("one.token?", "%whos", "%who_ls", "%pinfo2 one", "%psearch -a one*", "print(one, token)", "one.token", "_", "__"),
    *("Out", "vars()", "%xmode Verbose", "failing.token()", "%tb", "%xmode Context"),
    *("failing.headers('https://elsewhere.example/')", "import copy; copy.copy(token)", "one == token", "dir(one)"),
    *("assert one is token", "1/0", "%xmode Verbose", "1/0", "%%timeit -n1 -r1\none.token()", "%%prun\none.token()"),
    *("%prun one.token()", "%history", "%recall 1", "one.tokn", "one.token(1, 2)", "one[0]", "token + 1"),
)


def in_a_notebook(url: str) -> Iterator[tuple[str, str]]:
    """A user's cells, what they print, and what the Tab key offers. Their own variables hold no secret."""
    from IPython.core.completer import provisionalcompleter
    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    HistoryManager.enabled = False
    shell = InteractiveShell(colors="nocolor")
    one = session(url)
    shell.push({"one": one, "token": one.token(), "failing": session(url, "denied/")})
    for cell in CELLS:
        with capture_output() as shown:
            shell.run_cell(cell)
        yield f"a cell, {cell!r}", f"{shown.stdout}{shown.stderr}{shown.outputs}"
    for text in ("one.", "token.", "one.status().", "one.requests.", "one._", "token[", "one.headers("):
        with provisionalcompleter():
            yield f"Tab behind {text!r}", repr(list(shell.Completer.completions(text, len(text))))


def by_doctest(url: str) -> str:
    """A docstring's examples that say otherwise than they should."""
    page = io.StringIO()
    names = {"one": session(url), "failing": session(url, "odd/")}
    text = ">>> one\n1\n>>> one.token()\n2\n>>> failing.token()\n3\n>>> vars(one)\n4\n>>> one.status()\n5\n"
    test = doctest.DocTestParser().get_doctest(text, names, "theirs", None, None)
    doctest.DocTestRunner(verbose=True).run(test, out=page.write)
    return page.getvalue()


def by_profile(url: str) -> str:
    one, page = session(url), io.StringIO()
    with cProfile.Profile() as profile:
        one.token()
    stats = pstats.Stats(profile, stream=page)
    stats.print_stats(Path(authflow.__file__).parent.name)
    stats.print_callers(Path(authflow.__file__).parent.name)
    return page.getvalue()


def of_the_heap() -> str:
    """Each object of ours that is alive, by its repr."""
    gc.collect()
    home = Path(authflow.__file__).parent.name
    shown = dict[str, None]()
    for thing in gc.get_objects():
        with contextlib.suppress(Exception):
            if type(thing).__module__.partition(".")[0] == home:
                shown[repr(thing)] = None
    return "\n".join(shown)


#: Nobody who calls has the server among his variables, which remembers what came.
CALLS: dict[str, Callable[[str], object]] = {
    "refused": lambda url: session(url, "denied/").token(),
    "unforeseen": lambda url: session(url, "odd/").token(),
    "of the constructor": lambda url: session(url, timeout=-1),
    "elsewhere": lambda url: session(url).headers("https://elsewhere.example/"),
    "a misspelt name": lambda url: session(url).tokn,  # type: ignore[attr-defined]
    "a misspelt argument": lambda url: authflow.AuthSession(
        {**FILE, "base_url": url}, username="u", pasword=known("password")
    ),
}


def failed(name: str, url: str) -> Exception:
    try:
        CALLS[name](url)
    except Exception as error:
        return error
    raise AssertionError(name)


def shown(home: Listener, folder: Path) -> Iterator[tuple[str, str]]:
    """What is shown of what, by whom."""
    for name, thing in things(home, folder):
        for how, show in OBJECTS.items() if not isinstance(thing, str) else ():  # pages: shown_objects reads them
            with contextlib.suppress(Exception):
                yield f"{how} of {name}", show(thing)
    url = home.url
    for name in CALLS:
        for how, say in ERRORS.items():
            with contextlib.suppress(ImportError):
                yield f"{how} of an error ({name})", say(failed(name, url))
    with contextlib.suppress(ImportError):
        yield from in_a_notebook(url)
    yield "doctest", by_doctest(url)
    yield "a profile", by_profile(url)
    yield "the heap", of_the_heap()


def attack() -> Iterator[str]:
    with listening(says) as home, tempfile.TemporaryDirectory() as folder:
        for how, text in shown(home, Path(folder)):
            if "-v" in sys.argv:
                print(f"{how}: {len(text)}")
            yield from (f"{how}: the {name} in …{around}…" for name, around in stands_in(text))


if __name__ == "__main__":
    found = 0
    for line in attack():
        found += 1
        print(line, flush=True)
    sys.exit(bool(found))
