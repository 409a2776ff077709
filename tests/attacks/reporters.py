"""What shows tracebacks, each in its default settings but for what hides or cuts: what would it print, or send?

A tool that is not installed is skipped by its test. `leaks` looks for secrets in what a tool says, in each spelling
that masks know.
"""

from __future__ import annotations

import importlib
import io
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from authflow.masking import _spelled


def stdlib(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def pytest_showlocals(error: BaseException) -> str:
    from _pytest._code import ExceptionInfo

    shown = ExceptionInfo.from_exception(error).getrepr(showlocals=True, style="long", truncate_locals=False)
    return str(shown)


def rich(error: BaseException) -> str:
    from rich.console import Console
    from rich.traceback import Traceback

    page = io.StringIO()
    whole: Any = {
        "show_locals": True,
        "locals_max_length": None,
        "locals_max_string": None,
        "locals_hide_dunder": False,
    }
    Console(file=page, width=2_000).print(Traceback.from_exception(type(error), error, error.__traceback__, **whole))
    return page.getvalue()


def sentry(error: BaseException) -> str:
    import sentry_sdk
    from sentry_sdk.scrubber import EventScrubber
    from sentry_sdk.transport import Transport

    sent: list[Any] = []

    class Keeps(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            sent.extend(item.get_event() for item in envelope.items if item.get_event())

    # Its scrubber hides by names, `password` say; a leak under another name is one all the same.
    scrubber = EventScrubber(denylist=[], pii_denylist=[])
    client = sentry_sdk.Client(
        "http://k@127.0.0.1:9/1", transport=Keeps, default_integrations=False, event_scrubber=scrubber
    )
    with sentry_sdk.isolation_scope() as scope:
        scope.set_client(client)
        sentry_sdk.capture_exception(error)
    assert sent
    return json.dumps(sent, ensure_ascii=False, default=repr)


def rollbar(error: BaseException) -> str:
    import rollbar
    from rollbar.lib import events

    sent: list[Any] = []

    def keep(payload: Any, **more: Any) -> bool:
        sent.append(payload)
        return False

    if not rollbar._initialized:
        rollbar.init("token", "test", handler="blocking", scrub_fields=[], url_fields=[])
    rollbar.SETTINGS["locals"]["sizes"] = dict.fromkeys(rollbar.SETTINGS["locals"]["sizes"], 10_000)
    events.add_payload_handler(keep)
    try:
        rollbar.report_exc_info((type(error), error, error.__traceback__))
    finally:
        events.reset()
    assert sent
    return json.dumps(sent, ensure_ascii=False, default=repr)


def loguru(error: BaseException, backtrace: bool = False) -> str:
    """`backtrace`: with the functions above, whose variables are those of the moment."""
    from loguru import logger

    lines: list[str] = []
    logger.remove()
    sink = logger.add(lines.append, diagnose=True, backtrace=backtrace)
    try:
        logger.opt(exception=error).error("it failed")
    finally:
        logger.remove(sink)
    return "".join(lines)


def better_exceptions(error: BaseException) -> str:
    import better_exceptions

    better_exceptions.MAX_LENGTH = None
    shown = better_exceptions.ExceptionFormatter(colored=False, max_length=None)
    return "".join(shown.format_exception(type(error), error, error.__traceback__))


TOOLS: dict[str, Callable[[BaseException], str]] = {
    "stdlib": stdlib,
    "pytest": pytest_showlocals,
    "rich": rich,
    "sentry_sdk": sentry,
    "rollbar": rollbar,
    "loguru": loguru,
    "better_exceptions": better_exceptions,
}


def missing(tool: str) -> bool:
    try:
        importlib.import_module("traceback" if tool == "stdlib" else tool)
    except ImportError:
        return True
    return False


def leaks(text: str, secrets: dict[str, str]) -> Iterator[str]:
    """The names of the secrets that a text shows, with what stands around them."""
    if next(_spelled(text, set(secrets.values())), None) is None:
        return
    for name, secret in secrets.items():
        for at, _ in _spelled(text, {secret}):
            yield f"{name} in …{text[max(0, at - 100) : at + 30]!r}"
            break
