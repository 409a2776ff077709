"""status: every account, what its record says, how long its token lasts. Asks no vendor, and no person."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import click

from authflow.cli.accounts import Account, Opened, config_path, find_account, open_account, place_of, read_accounts
from authflow.cli.desk import Desk
from authflow.cli.exits import DONE, REFUSED
from authflow.cli.options import json_option, pairs, several_accounts
from authflow.cli.spans import bar, span
from authflow.errors import AuthFlowError, ConfigurationError, harmless

COLUMNS: Final = ("account", "vendor", "state", "time left", "kept in")


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one account; `problem` says why there is no more."""

    account: str
    vendor: str
    store: str
    state: str = ""
    issued_at: float | None = None
    expires_at: float | None = None
    refused_until: float | None = None
    unread_end: str = ""
    problem: str = ""


@click.command()
@several_accounts
@click.option("--check", is_flag=True, help="For monitoring: end with 1 if an account was refused or cannot be read.")
@json_option
@click.pass_context
def status(
    context: click.Context,
    accounts: tuple[str, ...],
    settings: tuple[str, ...],
    store: str | None,
    check: bool,
    as_json: bool,
) -> None:
    """Show ACCOUNTS (left out: all of the config file): state, time left, and where the token is kept.

    A login without --save is in no config file: name its vendor, with the same --set.
    """
    if accounts:
        chosen = [find_account(name, pairs(settings), store) for name in accounts]
    else:
        chosen = list(read_accounts().values())
    lines = Desk().wait_for("Looking", lambda: [look(account) for account in chosen])
    now = time.time()
    shown = list(map(_tamed, lines))
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines]))
    elif not lines:
        click.echo(
            f"{config_path()} names no accounts: authflow login VENDOR --save NAME adds one; authflow status VENDOR "
            "--set NAME=VALUE shows a login that was not saved.",
            err=True,
        )
    elif sys.stdout.isatty():
        _table(shown, now)
    else:
        rows = [[line.account, line.vendor, _state(line, now), _left(line, now), line.store] for line in shown]
        rows = [[name.upper() for name in COLUMNS], *rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
    context.exit(REFUSED if check and any(_wrong(line, now) for line in lines) else DONE)


def _wrong(line: Line, now: float) -> bool:
    """Does somebody have to look at it? An expired token is renewed by the next request."""
    return bool(line.problem) or (line.refused_until is not None and line.refused_until > now)


def look(account: Account) -> Line:
    """One account's record, read without a lock."""
    try:
        one = open_account(account, _nobody)
    except AuthFlowError as error:
        named = place_of(account.store) if isinstance(account.store, str) else ""
        return Line(account.name, account.vendor, named, problem=str(error))
    line = Line(account.name, one.vendor.name, one.place, one.vendor.flow.start)
    return _read(line, one)


def _read(line: Line, one: Opened) -> Line:
    facts = asdict(line)
    try:
        claims = one.claims
        stored = one.store.load(claims.identity.key)
        refused = one.store.load(claims.identity.refusals)
    except AuthFlowError as error:
        return Line(**{**facts, "state": "", "problem": str(error)})
    facts["refused_until"] = claims.refusals(refused.data).until if refused is not None else None
    if stored is None:
        return Line(**facts)
    record, _ = claims.record(claims.identity.key, stored.data)
    if record is None:
        return Line(**{**facts, "state": "", "problem": "the record cannot be read; the next login replaces it"})
    times = {"issued_at": record.issued_at or None, "expires_at": record.expires_at}
    return Line(**{**facts, "state": record.state, "unread_end": record.unread_end, **times})


def _nobody(name: str, title: str, hidden: bool) -> str:
    raise ConfigurationError(f"the {title} is needed even to find its record")


def _tamed(line: Line) -> Line:
    facts: list[Any] = [harmless(fact) if isinstance(fact, str) else fact for fact in asdict(line).values()]
    return Line(*facts)


def _state(line: Line, now: float) -> str:
    if line.problem:
        return line.problem
    if line.refused_until is not None and line.refused_until > now:
        return f"{line.state}, not tried again for {span(line.refused_until - now)}"
    return line.state


def _left(line: Line, now: float) -> str:
    if line.issued_at is None:
        return "-"
    if line.expires_at is None:
        return f"until rejected (its {line.unread_end} could not be read)" if line.unread_end else "until rejected"
    left = line.expires_at - now
    whole = line.expires_at - line.issued_at
    return f"{bar(left / whole if whole > 0 else 0.0)} {span(left) if left > 0 else 'expired'}"


def _table(lines: list[Line], now: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in COLUMNS:
        table.add_column(name, no_wrap=name == "time left", overflow="fold")
    for line in lines:
        left = Text(_left(line, now))
        ends = line.expires_at
        left.stylize("green" if ends is None or ends - now > 60 else "red")
        state = Text(_state(line, now), "red" if line.problem or line.refused_until else "")
        table.add_row(Text(line.account, "bold"), Text(line.vendor), state, left, Text(line.store, "dim"))
    Console().print(table)
