"""At a terminal: the questions that nothing in the capture answers, and the credentials that nobody has named."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

import click

from authflow_learn.tracing import Learnt


def somebody_is_there() -> bool:
    """Is there a person to ask? The file goes to standard output, questions to standard error."""
    return all(stream is not None and not stream.closed and stream.isatty() for stream in (sys.stdin, sys.stderr))


def credentials(known: Mapping[str, str]) -> dict[str, str]:
    """The captured user name and password, from whoever sits there; what is left empty is not known."""
    given = dict(known)
    for name, title, hidden in (("username", "The user name", False), ("password", "The password", True)):
        if name not in given:
            said = click.prompt(
                f"{title} that was captured (Enter: find it by its field)",
                default="",
                hide_input=hidden,
                show_default=False,
                err=True,
            )
            given |= {name: said} if said else {}
    return given


def questions(learnt: Learnt) -> None:
    """Ask what the file would have to say; what is answered is no comment any more."""
    for question in list(learnt.questions):
        if question.kind == "lifetime":
            said = _said(
                "How long is a token good? For example 30m or 12h (Enter: nobody knows)", r"\d+(?:\.\d+)?(?:s|m|h|d)"
            )
            learnt.lifetime = said
        elif question.kind == "rejected":
            said = _said("With which status is a token refused that has expired? (Enter: 401)", r"[45]\d\d")
            learnt.rejected = {"status": int(said or 401)}
        else:
            continue
        if said:
            learnt.questions.remove(question)


def _said(text: str, wanted: str) -> str:
    while True:
        said = str(click.prompt(text, default="", show_default=False, err=True)).strip()
        if not said or re.fullmatch(wanted, said):
            return said
        click.echo(f"{said!r} is none", err=True)
