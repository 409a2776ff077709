"""The front door of the command line: whatever happens behind it, it ends with an exit code and at most one line.

authflow VERB … ──▶ streams made ready ──▶ click ──▶ verb ──▶ what it printed is flushed ──▶ exit code
                                             └──────── any error ────────▶ one line ─────────────▲
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

import click

from authflow.cli.exits import DONE, EPILOG, INTERRUPTED, MISTAKEN, failure

#: Set, a mistake of authflow's own ends in a traceback.
DEBUG_VARIABLE: Final = "AUTHFLOW_DEBUG"
_STREAMS: Final = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class Front(click.Group):
    """A group that documents the exit codes with each of its verbs, and ends them as `exits` says."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", EPILOG)
        super().__init__(*args, **kwargs)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        cmd.epilog = cmd.epilog or EPILOG
        super().add_command(cmd, name)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _ours():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _ours():
            return super().invoke(ctx)

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> NoReturn:
        words = sys.argv[1:] if args is None else args
        _make_ready()
        walk = super().main
        extra["standalone_mode"] = False
        sys.exit(_end(lambda: walk(args, *more, **extra), as_json="--json" in words))


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """Where click would have its own way to end, with a line or an exit code of its own."""
    try:
        yield
    except (KeyboardInterrupt, EOFError, BrokenPipeError) as error:
        raise failure(error) from None


def _end(work: Callable[[], Any], *, as_json: bool) -> int:
    """The exit code of what is done, its output written; errors said in one line."""
    try:
        code = work()
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except SystemExit:
        raise
    except BaseException as error:
        failed = failure(error)
        if failed.exit_code == MISTAKEN and os.environ.get(DEBUG_VARIABLE):
            raise
    if failed.exit_code == INTERRUPTED:  # Python waits for renewals under way; who presses Ctrl-C once more does not
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    _silence()
    with contextlib.suppress(OSError):
        failed.show(as_json=as_json)
    return failed.exit_code


def _make_ready() -> None:
    """Streams that were closed before we began lead nowhere; a character that a terminal does not know is a `?`."""
    for name, mode in _STREAMS:
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as we run
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def show_log() -> None:
    """What authflow logs, on standard error, a line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("authflow")
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)


def _silence() -> None:
    """What could not be written is not tried again while Python ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
