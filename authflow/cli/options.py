"""What the verbs have in common: the account, settings given by hand, and secrets that no other process can see.

An argument of a command stands in the list of processes, so a secret is never one. It is read from the environment,
from standard input (`--stdin NAME`), from a prompt, or from where the config file says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from authflow import plugins
from authflow.cli.accounts import Opened, find_account, open_account, read_accounts
from authflow.cli.desk import Desk
from authflow.errors import AuthFlowError, ConfigurationError

#: The longest timeout, in seconds: a day.
LONGEST: Final = 86400

F = TypeVar("F", bound=Callable[..., Any])


def complete_account(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Accounts and installed vendors that begin so; then files."""
    try:
        accounts = {name: f"account at {account.vendor}" for name, account in read_accounts().items()}
    except AuthFlowError:
        accounts = {}
    known = {**dict.fromkeys(plugins.vendors(), "vendor"), **accounts}
    fits = [CompletionItem(name, help=help) for name, help in sorted(known.items()) if name.startswith(incomplete)]
    return fits or [CompletionItem(incomplete, type="file")]


account_argument = click.argument("account", shell_complete=complete_account)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors too.")
store_option = click.option("--store", metavar="STORE", help="Keep the token here, not where the account says.")


def some_time(ctx: click.Context, parameter: click.Parameter, seconds: float | None) -> float | None:
    """A span that somebody may want to wait: not nought, not `nan`, no year."""
    if seconds is not None and not 0 < seconds <= LONGEST:
        raise click.BadParameter(f"{seconds:g} is not a number of seconds up to {LONGEST}", ctx, parameter)
    return seconds


def several_accounts(command: F) -> F:
    """ACCOUNTS, --set, --store."""
    told = "A setting, for an account that is not in the config file."
    settings = click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help=told)
    return click.argument("accounts", nargs=-1, shell_complete=complete_account)(settings(store_option(command)))


def account_options(command: F) -> F:
    """--set, --stdin, --store, --timeout."""
    for option in (
        click.option(
            "--timeout",
            type=float,
            callback=some_time,
            metavar="SECONDS",
            default=30.0,
            show_default=True,
            help="How long a login may take.",
        ),
        store_option,
        click.option("--stdin", "from_stdin", metavar="NAME", help="Read this secret from standard input (one line)."),
        click.option(
            "--set",
            "settings",
            metavar="NAME=VALUE",
            multiple=True,
            help="A setting, or a credential that is not secret; repeatable. (Secrets: AUTHFLOW_PASSWORD and the like "
            "in the environment, --stdin, or a prompt.)",
        ),
    ):
        command = option(command)
    return command


def opened(
    desk: Desk, account: str, settings: tuple[str, ...] = (), store: str | None = None, from_stdin: str | None = None
) -> Opened:
    """The account that the options name. Raises AuthFlowError."""
    handed = {}
    if from_stdin is not None:
        line = sys.stdin.readline().rstrip("\r\n")
        if not line:
            raise ConfigurationError(f"--stdin {from_stdin}: standard input holds nothing")
        handed[from_stdin] = line
    return open_account(find_account(account, pairs(settings), store), desk.ask, handed)


def pairs(settings: tuple[str, ...]) -> dict[str, str]:
    """NAME=VALUE, each. Raises ConfigurationError, without the value."""
    table = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            raise ConfigurationError("--set takes NAME=VALUE")
        table[name.strip()] = value
    return table
