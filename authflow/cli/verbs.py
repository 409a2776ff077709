"""The verbs. Each verb's module is imported when it is called."""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import Any, Final

import click

from authflow.cli.front import show_log

__all__ = ["attach"]

#: verb → the module here that has it, and its short help
VERBS: Final = {
    "check": ("authors", "Check vendor files: list every error and every warning."),
    "schema": ("authors", "Print the JSON Schema of the vendor file, for editors."),
    "show": ("authors", "Draw a vendor's flow."),
    "new": ("authors", "Write a plugin package for a vendor of your own."),
    "vendors": ("authors", "List the installed vendors: name, title, and what each needs."),
    "demo": ("authors", "Show requests and httpx at work against a supplier on this machine."),
    "login": ("tokens", "Log in, even if the stored token is good, and store the new one."),
    "token": ("tokens", "Print a good token, and nothing else."),
    "logout": ("tokens", "Forget the token, and tell the vendor if its file says how."),
    "request": ("request", "Send a request that carries the token, and print the answer."),
    "status": ("status", "Show the accounts: state, time left, where the token is kept."),
    "simulate": ("simulate", "Run a simulated vendor on this machine, made from its file."),
    "doctor": ("doctor", "Look for what could be wrong on this machine."),
    "completion": ("completion", "Print the script with which your shell completes these commands."),
}


def _show_log(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.find_root().params.get("verbose"):
        show_log()


#: Before the verb or behind it, wherever somebody writes it.
VERBOSE: Final = click.Option(
    ["-v", "--verbose"],
    is_flag=True,
    expose_value=False,
    callback=_show_log,
    help="Show the log: renewals and state changes.",
)


def attach(group: click.Group) -> None:
    """Add the verbs to a group."""
    for name in VERBS:
        group.add_command(_Later(name))


class _Later(click.Command):
    """A verb whose module is imported when it is used, so that `authflow --help` is quick."""

    def __init__(self, name: str) -> None:
        super().__init__(name, short_help=VERBS[name][1])

    def _verb(self) -> click.Command:
        assert self.name is not None
        module = importlib.import_module(f"authflow.cli.{VERBS[self.name][0]}")
        verb: click.Command = getattr(module, self.name)
        verb.epilog = self.epilog
        if VERBOSE not in verb.params:
            verb.params.append(VERBOSE)
        return verb

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        from authflow import plugins

        with contextlib.redirect_stdout(sys.stderr):  # what plugins print is no answer
            plugins.manager()
        return self._verb().make_context(*args, **kwargs)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return self._verb().get_params(ctx)
