"""All that may be shown of what happened, as text: reprs, logs, tracebacks with locals, pickles; and secrets in it.

A secret is looked for raw, percent-encoded, escaped as in JSON, and in base64 at each of its three alignments.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import traceback
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback


def spellings(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield from (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1])
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # The first and last characters hang on the neighbours.
        yield encoded[4 * (before > 0) : -2]
        yield encoded[4 * (before > 0) : -2].translate(str.maketrans("+/", "-_"))


def found(secrets: Iterable[str], text: str) -> list[str]:
    """The secrets that the text shows, with what stands before them."""
    shown = []
    for secret in secrets:
        for spelling in set(spellings(secret)):
            at = text.find(spelling)
            if at >= 0:
                shown.append(f"{secret} after {text[max(0, at - 80) : at]!r}")
    return shown


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, its causes and its contexts, hidden ones too."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in seen:
            seen.append(one)
            yield one
            todo += [one.__cause__, one.__context__]


def shown_of_error(error: BaseException) -> str:
    """As Python, rich and pytest show it, with the locals of all frames of ours and of the libraries below."""
    parts = []
    for one in chain(error):
        parts += [str(one), repr(one), repr(one.args), repr(vars(one)), *getattr(one, "__notes__", ())]
        parts += [pretty_repr(vars(one))]
        for frame in _frames(one.__traceback__):
            if "/tests/" not in frame.f_code.co_filename:
                parts += [_safe(value) for value in frame.f_locals.values()]
    try:
        parts.append(pickle.dumps(error).decode("latin-1"))
    except Exception as unpicklable:
        parts.append(f"cannot be pickled: {unpicklable}")
    plain = traceback.TracebackException.from_exception(error, capture_locals=False)
    return "\n".join([*parts, *plain.format(), _rich(error)])


def _frames(tb: TracebackType | None) -> Iterator[Any]:
    while tb is not None:
        yield tb.tb_frame
        tb = tb.tb_next


def _safe(value: Any) -> str:
    try:
        return f"{value!r} {pretty_repr(value)}"
    except Exception as error:
        raise AssertionError(f"the repr of a {type(value).__name__} fails") from error


def _rich(error: BaseException) -> str:
    """What `rich` shows below the test's own frames, which know the secrets."""
    tb = error.__traceback__
    while tb is not None and "/tests/" in tb.tb_frame.f_code.co_filename and tb.tb_next is not None:
        tb = tb.tb_next
    page = io.StringIO()
    shown = Traceback.from_exception(type(error), error, tb, show_locals=True, locals_max_string=10_000)
    Console(file=page, width=400).print(shown)
    return page.getvalue()
