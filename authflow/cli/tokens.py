"""login, token, logout: the token itself."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import replace
from typing import Any

import click

from authflow.accounts import Token
from authflow.cli.accounts import Account, Opened, add_account, check_new, read_accounts
from authflow.cli.desk import Desk
from authflow.cli.options import account_argument, account_options, json_option, opened
from authflow.cli.sources import WAYS, variables
from authflow.cli.spans import span
from authflow.errors import ConfigurationError, harmless


@click.command()
@account_argument
@account_options
@click.option("--save", metavar="NAME", help="Save this login to the config file, as an account of that name.")
@click.option("--no-browser", is_flag=True, help="Print the address at which to sign in, and open no browser.")
@json_option
def login(account: str, save: str | None, no_browser: bool, as_json: bool, timeout: float, **chosen: Any) -> None:
    """Log in to ACCOUNT from the start, even if the stored token is good, and store the new one.

    ACCOUNT is an account of the config file, an installed vendor, or a path to a vendor file. The config file lies
    where AUTHFLOW_CONFIG or else `authflow doctor` says. It names accounts, and where their secrets are to be had:

    \b
    [accounts.mine]
    vendor = "supplier"
    store = "file"
    username = "demo"
    password = { keyring = true }
    #          { env = "SUPPLIER_PASSWORD" }
    #          { command = ["pass", "show", "supplier"] }
    #          { prompt = true }

    A password that was typed goes to the keyring, if the account says `{ keyring = true }`.
    """
    desk = Desk()
    if save is not None:
        check_new(save)
    one = opened(desk, account, **chosen)
    session = one.session(timeout=timeout, ask=desk.person_elsewhere if no_browser else desk.person)
    token = desk.wait_for(f"Logging in to {one.vendor.title}", session.login)
    kept = one.remember()
    if as_json:
        path = str(add_account(_named(one, save))) if save is not None else None
        click.echo(json.dumps({**_facts(one, token), "config": path, "keyring": kept}))
        return
    left = f"for {span(token.expires_at - time.time())}" if token.expires_at is not None else "until it is rejected"
    click.echo(f"Logged in to {one.vendor.title}: the token is good {left}.", err=True)
    for name in kept:
        click.echo(f"The {name} is in the keyring.", err=True)
    if save is None and account not in read_accounts():
        save = _offered()
    if save is None:
        return
    click.echo(f"{add_account(_named(one, save))} has the account {save}.", err=True)
    for name in _asked_for_each_time(one):
        variable = variables(one.account.name, name)[-1]
        click.echo(
            f"Its {name} is asked for each time, or read from {variable}; the file may say where else to get it: "
            f"{name} = {WAYS}.",
            err=True,
        )


@click.command()
@account_argument
@account_options
@json_option
def token(account: str, as_json: bool, timeout: float, **chosen: Any) -> None:
    """Print a good token of ACCOUNT, and nothing else.

    curl -H "Authorization: Bearer $(authflow token supplier)" https://…
    """
    desk = Desk()
    one = opened(desk, account, **chosen)
    fresh = desk.wait_for(f"Getting a token from {one.vendor.title}", one.session(timeout=timeout).token)
    shown = harmless(fresh.access) if sys.stdout.isatty() else fresh.access
    click.echo(json.dumps({"token": fresh.access, **_facts(one, fresh)}) if as_json else shown)


@click.command()
@account_argument
@account_options
@json_option
def logout(account: str, as_json: bool, timeout: float, **chosen: Any) -> None:
    """Forget the token of ACCOUNT here and in its store, and tell the vendor if its file says how."""
    desk = Desk()
    one = opened(desk, account, **chosen)
    desk.wait_for(f"Logging out of {one.vendor.title}", one.session(timeout=timeout).logout)
    if as_json:
        click.echo(json.dumps({"account": one.account.name, "vendor": one.vendor.name, "record": one.key}))
    else:
        click.echo(f"Logged out of {one.vendor.title}.", err=True)


def _offered() -> str | None:
    """The name under which a person at a terminal wants to save the account."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        click.echo("The same again with --save NAME adds it to the config file, as an account of that name.", err=True)
        return None
    question = "Save this as an account? Type a name for it, or press Enter for no"
    with contextlib.suppress(click.Abort):  # the login is done: Ctrl-C and Ctrl-D mean no
        while name := click.prompt(question, default="", show_default=False, err=True):
            try:
                check_new(name)
            except ConfigurationError as error:
                click.echo(harmless(str(error)), err=True)
            else:
                return str(name)
    return None


def _asked_for_each_time(one: Opened) -> list[str]:
    """The secrets of which the account does not say where they are to be had."""
    inputs = one.vendor.inputs.items()
    return [name for name, entry in inputs if entry.secret and not entry.optional and name not in one.account.inputs]


def _facts(one: Opened, token: Token) -> dict[str, Any]:
    return {
        "account": one.account.name,
        "vendor": one.vendor.name,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
    }


def _named(one: Opened, name: str) -> Account:
    """The account under this name, with what was typed for it and is no secret."""
    typed = {key: value for key, (_, value) in one.typed.items() if not one.vendor.inputs[key].secret}
    return replace(one.account, name=name, inputs={**typed, **one.account.inputs})
