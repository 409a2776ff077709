"""The front desk: the main thread asks people and shows that something is going on, while the work runs elsewhere.

A renewal runs in a thread of its own and may need a password in the middle (a one-time code, say). Reading from a
terminal belongs in the main thread, where Ctrl-C is heard; so the renewal hands its question over, and waits.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from authflow.cli.sources import variables
from authflow.errors import ConfigurationError, harmless
from authflow.renewing import terminal, without_browser

if TYPE_CHECKING:
    from rich.status import Status

T = TypeVar("T")

#: What takes longer than this gets a spinner, in seconds.
PATIENCE: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Question:
    title: str
    work: Callable[[], Any]
    reply: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)


class Desk:
    """`ask` may be called from any thread while `wait_for` runs, and from the main thread at any time."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()

    def ask(self, name: str, title: str, hidden: bool) -> str:
        """A person's answer. Raises ConfigurationError where nobody can be asked."""
        answer: str = self._here(title, lambda: _prompt(name, title, hidden))
        return answer

    def person(self, kind: str, text: str, url: str) -> Any:
        """`AuthSession(ask=…)`: a person at this terminal, and a browser."""
        return self._here(text, lambda: terminal(kind, text, url))

    def person_elsewhere(self, kind: str, text: str, url: str) -> Any:
        """The same without a browser."""
        ask = terminal if kind == "enter" else without_browser
        return self._here(text, lambda: ask(kind, text, url))

    def _here(self, title: str, work: Callable[[], Any]) -> Any:
        """Do this work in the main thread."""
        if threading.current_thread() is threading.main_thread():
            return work()
        question = _Question(title, work)
        self._inbox.put(question)
        answer = question.reply.get()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def wait_for(self, what: str, work: Callable[[], T]) -> T:
        """The result of `work`, done in another thread; `what` is shown on a terminal if it takes its time."""
        done: list[Any] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work())
            except BaseException as error:
                errors.append(error)
            self._inbox.put(None)

        threading.Thread(target=run, name="authflow-verb", daemon=True).start()
        with contextlib.ExitStack() as shown:
            while (question := self._next(shown, what)) is not None:
                shown.close()
                try:
                    question.reply.put(question.work())
                except ConfigurationError as error:
                    question.reply.put(error)
                except BaseException:
                    question.reply.put(ConfigurationError(f"{question.title}: not answered"))
                    raise
        if errors:
            raise errors[0]
        result: T = done[0]
        return result

    def _next(self, shown: contextlib.ExitStack, what: str) -> _Question | None:
        with contextlib.suppress(queue.Empty):
            return self._inbox.get(timeout=PATIENCE)
        _shown(shown, f"{what} …")
        return self._inbox.get()


@contextlib.contextmanager
def counting(what: str, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """To be called with the size of what has come; on a terminal the sum is shown, if it takes its time."""
    began, total = time.monotonic(), 0
    with contextlib.ExitStack() as stack:
        line: Status | None = None

        def count(size: int) -> None:
            nonlocal line, total
            total += size
            if not shown or time.monotonic() - began < PATIENCE:
                return
            line = line or _shown(stack, f"{what} …")
            if line is not None:
                line.update(f"{what}: {total / 1e6:.1f} MB …")

        yield count


def _shown(stack: contextlib.ExitStack, what: str) -> Status | None:
    """A line that moves, until the stack is closed; none where nobody looks."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.text import Text

    return stack.enter_context(Console(stderr=True).status(Text(harmless(what))))


def _prompt(name: str, title: str, hidden: bool) -> str:
    if not sys.stdin.isatty():
        by_hand = f"pipe it in with --stdin {name}" if hidden else f"say --set {name}=…"
        variable = variables("<account>", name)[-1]
        raise ConfigurationError(
            f"{title} is needed, and there is no terminal at which to ask for it: set {variable}, {by_hand}, or say in "
            "the config file where to get it"
        )
    answer: str = click.prompt(harmless(title), hide_input=hidden, err=True)
    return answer
