"""A notebook, a debugger, a framework's error page: what people have at hand looks at objects and errors of ours.

IPython (its reprs, completion, `?`, `??`, `%whos`, `%pinfo2`, `%xmode Verbose`), pdb after the fact, devtools, ice-
cream, snoop, stackprinter, structlog, cgitb, Django's error page, Starlette's, Werkzeug's, what Elastic APM and
Bugsnag send, `help()`, doctest, `inspect`, `gc`, `tracemalloc`, jsonpickle.

Expected: none shows a password, a code, a token or a key. A tool that is not installed is passed over.
"""

from __future__ import annotations

import contextlib
import doctest
import gc
import inspect
import io
import pdb
import pydoc
import sys
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import authflow
from authflow.masking import spells
from tests.attacks.shown_objects import ASKED, FILE, SECRETS, says, things
from tests.servers import listening


def known(name: str) -> str:
    """So that no line of ours names what holds secrets: some tools show what a line names."""
    return SECRETS[name]


def pin() -> str:
    return known("pin")


def session(home: Any, at: str = "", **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(
        {**FILE, "base_url": f"{home.url}/{at}"}, username="u", password=known("password"), pin=pin, **more
    )


# --- errors -----------------------------------------------------------------------------------------------------------


def by_pdb(error: BaseException) -> str:
    """Up through all frames of ours, with what a debugger is asked there."""
    page = io.StringIO()
    steps = "\n".join(["args", "p locals()", "pp vars(self)", "pp self", "display", "up"] * 40)
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
    return cgitb.text((type(error), error, error.__traceback__)) + cgitb.html((type(error), error, error.__traceback__))


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

    return DebugTraceback(error).render_debugger_html(True, "x", False)


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

    config.snoop(watch=("vars(it)", "it.__dict__"), watch_explode=("it",), depth=2)(theirs)(thing)
    return page.getvalue()


def by_jsonpickle(thing: Any) -> str:
    """Unless it is what a pickle holds, which is said so."""
    import jsonpickle

    if isinstance(thing, authflow.AuthSession) or "manager" in type(thing).__module__:
        return ""
    return str(jsonpickle.encode(thing, unpicklable=False, max_depth=6))


def by_help(thing: Any) -> str:
    return pydoc.plain(pydoc.render_doc(thing))


def by_inspect(thing: Any) -> str:
    static = [(name, inspect.getattr_static(thing, name)) for name in {*dir(thing)} - ASKED]
    found = [pair for pair in inspect.getmembers(thing) if pair[0] not in ASKED]
    callables = [it for _, it in found if callable(it)]
    signatures = []
    for each in callables:
        with contextlib.suppress(ValueError, TypeError):
            signatures.append(str(inspect.signature(each)))
    return f"{static!r} {found!r} {signatures}"


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


OBJECTS: dict[str, Callable[[Any], str]] = {
    "devtools": by_devtools,
    "icecream": by_icecream,
    "snoop": by_snoop,
    "jsonpickle": by_jsonpickle,
    "help()": by_help,
    "inspect": by_inspect,
    "a notebook": by_notebook,
}


# --- a whole notebook -------------------------------------------------------------------------------------------------

CELLS = (
    *("one", "token", "one.status()", "one.requests", "[one, token]", "{'a': one}", "one?", "one??", "token?"),
    *("one.token?", "%whos", "%who_ls", "%pinfo2 one", "%psearch -a one*", "print(one, token)", "one.token", "_", "__"),
    *("Out", "vars()", "%xmode Verbose", "failing.token()", "%tb", "%xmode Context"),
    *("failing.headers('https://elsewhere.example/')", "import copy; copy.copy(token)", "one == token", "dir(one)"),
    *("assert one is token", "1/0", "%xmode Verbose", "1/0", "%%timeit -n1 -r1\none.token()", "%%prun\none.token()"),
    *("%prun one.token()", "%history", "%recall 1"),
)


def in_a_notebook(home: Any) -> Iterator[tuple[str, str]]:
    """A user's cells, what they print, and what the Tab key offers. Their own variables hold no secret."""
    from IPython.core.completer import provisionalcompleter
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance(colors="NoColor")
    shell.history_manager.enabled = False
    one = session(home)
    shell.push({"one": one, "token": one.token(), "failing": session(home, "denied/")})
    for cell in CELLS:
        with capture_output() as shown:
            shell.run_cell(cell)
        yield f"a cell, {cell!r}", f"{shown.stdout}{shown.stderr}{shown.outputs}"
    for text in ("one.", "token.", "one.status().", "one.requests.", "one._", "token[", "one.headers("):
        with provisionalcompleter():
            yield f"Tab behind {text!r}", repr(list(shell.Completer.completions(text, len(text))))


def by_doctest(home: Any) -> str:
    """A docstring's examples that say otherwise than they should."""
    page = io.StringIO()
    known = {"one": session(home), "failing": session(home, "odd/")}
    text = ">>> one\n1\n>>> one.token()\n2\n>>> failing.token()\n3\n>>> vars(one)\n4\n>>> one.status()\n5\n"
    test = doctest.DocTestParser().get_doctest(text, known, "theirs", None, None)
    doctest.DocTestRunner(verbose=True).run(test, out=page.write)
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


def attack() -> Iterator[str]:
    with listening(says) as home, tempfile.TemporaryDirectory() as folder:
        tracemalloc.start(20)
        said: dict[str, str] = {}
        for name, thing in things(home, Path(folder)):
            for how, show in OBJECTS.items():
                with contextlib.suppress(Exception):
                    said[f"{how} of {name}"] = show(thing)
        for name, call in {
            "refused": lambda: session(home, "denied/").token(),
            "unforeseen": lambda: session(home, "odd/").token(),
            "of the constructor": lambda: session(home, timeout=-1),
            "elsewhere": lambda: session(home).headers("https://elsewhere.example/"),
        }.items():
            for how, show in ERRORS.items():
                try:
                    call()
                except Exception as error:
                    with contextlib.suppress(ImportError):
                        said[f"{how} of an error ({name})"] = show(error)
        with contextlib.suppress(ImportError):
            said |= in_a_notebook(home)
        said["doctest"] = by_doctest(home)
        said["the heap"] = of_the_heap()
        said["tracemalloc"] = "\n".join(map(str, tracemalloc.take_snapshot().statistics("traceback")[:200]))
        tracemalloc.stop()
        if "-v" in sys.argv:
            print(*(f"{how}: {len(text)}" for how, text in said.items()), sep="\n")
        for how, text in said.items():
            if spells(text, SECRETS.values()):
                for line in dict.fromkeys(text.splitlines()):
                    shown = [name for name, value in SECRETS.items() if spells(line, [value])]
                    yield from (f"{how}: the {name} in {line[:400]}" for name in shown)


if __name__ == "__main__":
    found = 0
    for line in attack():
        found += 1
        print(line, flush=True)
    sys.exit(bool(found))
