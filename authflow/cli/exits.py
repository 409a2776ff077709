"""How a verb ends: an exit code, and for an error one line on standard error.

0    done
1    refused: the vendor said no, or answered what its file does not foresee; a vendor file is not right; `doctor` or
     `demo` found something wrong; `request --fail`: an answer 4xx
2    used wrongly: an unknown account, a missing value, a URL where the token must not go
3    the vendor cannot be reached; `request --fail`: an answer 5xx
4    a token cannot be kept in its store, or an output not be written
70   a bug in authflow itself, or in a plugin
130  interrupted
141  nobody reads the output any more

Whatever a verb raises becomes a `Failed` here. With `--json` the line is a JSON object.
"""

from __future__ import annotations

import json
import re
import threading
import traceback
from pathlib import Path
from typing import IO, Any, Final

import click

from authflow.errors import (
    AuthFlowError,
    CredentialsRefused,
    StoreError,
    VendorAnswerError,
    VendorFileError,
    VendorUnavailable,
    harmless,
)

DONE: Final = 0
REFUSED: Final = 1
MISUSED: Final = 2
UNAVAILABLE: Final = 3
UNKEPT: Final = 4
MISTAKEN: Final = 70
INTERRUPTED: Final = 130
UNREAD: Final = 141

#: The threads in which renewals are: a verb's own, and those of the library.
BUSY: Final = ("authflow", "authflow-verb")
#: Seconds that a renewal has to end after an interrupt before it is said to be under way.
GRACE: Final = 0.2

EPILOG: Final = (
    "Exit codes: 0 done; 1 the vendor refused, or a file, check or claim failed; 2 wrong use; 3 the vendor "
    "cannot be reached; 4 a token or an output cannot be written; 70 a bug in authflow or a plugin; 130 "
    "interrupted; 141 the output was closed."
)

_CODES: Final[tuple[tuple[type[AuthFlowError], int], ...]] = (
    (CredentialsRefused, REFUSED),
    (VendorAnswerError, REFUSED),
    (VendorFileError, REFUSED),
    (VendorUnavailable, UNAVAILABLE),
    (StoreError, UNKEPT),
    (AuthFlowError, MISUSED),
)


def code_of(error: AuthFlowError) -> int:
    """The exit code for an error."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def as_typed(message: str) -> str:
    """A library's advice as a command line takes it: `--store /path` for `store='/path'`."""
    return re.sub(r"store='([^']*)'", r"--store \1", message)


class Failed(click.ClickException):
    """The end of a verb: one line, and an exit code. `facts` stand beside the message where JSON is wanted."""

    def __init__(self, message: str, code: int, **facts: Any) -> None:
        super().__init__(as_typed(harmless(" ".join(message.split()))))
        self.exit_code = code  # type: ignore[misc]
        self.facts = facts

    def show(self, file: IO[Any] | None = None, *, as_json: bool = False) -> None:
        line = f"authflow: {self.message}"
        if as_json:
            line = json.dumps({**self.facts, "message": self.message, "exit_code": self.exit_code})
        if self.message:
            click.echo(line, err=True, file=file)


def failure(error: BaseException) -> Failed:
    """How an error ends a verb. Only its own classes' messages are shown: any other's may hold a secret."""
    match error:
        case Failed():
            return error
        case AuthFlowError():
            facts = {"error": _kind(error), "vendor": error.vendor, "retry_after": error.retry_after}
            return Failed(str(error), code_of(error), **facts)
        case click.UsageError():
            more = f" ({error.ctx.command_path} --help)" if error.ctx is not None else ""
            return Failed(f"{error.format_message()}{more}", MISUSED, error="UsageError")
        case click.ClickException():
            return Failed(error.format_message(), MISUSED)
        case KeyboardInterrupt() | EOFError() | click.Abort():
            busy = any(_sends(thread) for thread in threading.enumerate() if thread.name in BUSY)
            more = ": what was sent is still answered first, so that no token is lost (again: end now)" if busy else ""
            return Failed(f"interrupted{more}", INTERRUPTED)
        case BrokenPipeError():
            return Failed("", UNREAD)
        case OSError():
            where = error.filename if error.filename is not None else "the output cannot be written"
            return Failed(f"{where}: {error.strerror or type(error).__name__}", UNKEPT)
    from authflow.plugins import plugin_of

    whose = f"the plugin {name}" if (name := plugin_of(error)) else "authflow"
    return Failed(f"a bug in {whose}: {type(error).__name__} {_place(error)}", MISTAKEN)


def _sends(thread: threading.Thread) -> bool:
    """Whether a renewal is under way; one that only waited for what a person would not say ends by itself, now."""
    thread.join(GRACE)
    return thread.is_alive()


def _kind(error: AuthFlowError) -> str:
    """The class that our own tree knows it by, also where it is a client's error too."""
    return next(cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "authflow.errors")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno} (AUTHFLOW_DEBUG=1 shows how)" if frames else ""
