"""request: a curl that logs in."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import click

from authflow.accounts import Opened, open_account, read_accounts
from authflow.commands.desk import Desk
from authflow.commands.exits import DONE, REFUSED, UNAVAILABLE, Verb
from authflow.commands.fetching import Order, Reply, fetch
from authflow.commands.options import account_options, complete_account, opened
from authflow.errors import AuthFlowError, ConfigurationError
from authflow.http import folder, origin_of, resolve, without_query
from authflow.trust import presents_at


@click.command(cls=Verb)
@click.argument("method", metavar="METHOD")
@click.argument("url", metavar="URL")
@click.option(
    "-a", "--account", shell_complete=complete_account, help="Left out: the account whose vendor has this URL."
)
@click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header; again for more.")
@click.option("-d", "--data", metavar="TEXT", help="The body, as a form; @FILE reads it, @- from standard input.")
@click.option("--json", "document", metavar="JSON", help="The body, as JSON; @FILE reads it, @- from standard input.")
@click.option("-i", "--include", is_flag=True, help="Print status and headers too.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Write the body there."
)
@click.option("--no-follow", is_flag=True, help="Do not follow redirects.")
@account_options
@click.pass_context
def request(
    context: click.Context,
    /,
    method: str,
    url: str,
    account: str | None,
    headers: tuple[str, ...],
    data: str | None,
    document: str | None,
    include: bool,
    output: Path | None,
    no_follow: bool,
    timeout: float,
    **chosen: Any,
) -> None:
    """Send a request to URL that carries the token, logged in for if need be, and print the body of the answer as it
    comes.

    A URL without scheme and host is taken from the vendor's base URL. Redirects are followed, the token goes to
    declared origins only. An answer 4xx gives exit code 1, 5xx gives 3.
    """
    if data is not None and document is not None:
        raise click.UsageError("a request has one body: --data or --json")
    pairs = tuple(_header(line) for line in headers)
    body, kind = (_read(document), "application/json") if document is not None else (_read(data), _FORM)
    if body is not None and "content-type" not in {name.lower() for name, _ in pairs}:
        pairs = (*pairs, ("Content-Type", kind))
    desk = Desk()
    one = opened(desk, account, **chosen) if account is not None else _by_url(desk, url)
    session = one.session(timeout=timeout)
    if not urlsplit(url).scheme:
        desk.wait_for(f"Getting a token from {one.vendor.title}", session.token)
        url = resolve(folder(session.held.base_url), url)
    order = Order(method.upper(), url, pairs, body, not no_follow, timeout)
    with contextlib.ExitStack() as stack:
        reply = desk.wait_for(
            f"{order.method} {without_query(url)}", lambda: stack.enter_context(fetch(session, order))
        )
        sink = stack.enter_context(output.open("wb")) if output is not None else sys.stdout.buffer
        _print(reply, sink, include)
    context.exit(_code(reply.status))


_FORM = "application/x-www-form-urlencoded"


def _code(status: int) -> int:
    return DONE if status < 400 else REFUSED if status < 500 else UNAVAILABLE


def _print(reply: Reply, sink: IO[bytes], include: bool) -> None:
    if include:
        head = [f"{reply.status} {reply.reason}".strip(), *(f"{name}: {value}" for name, value in reply.headers)]
        sink.write("\n".join([*head, "", ""]).encode("utf-8", "replace"))
    for chunk in reply.chunks:
        sink.write(chunk)
        sink.flush()


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise click.UsageError("-H takes 'NAME: VALUE'")
    return name.strip(), value.strip()


def _read(text: str | None) -> bytes | None:
    if text is None or not text.startswith("@"):
        return None if text is None else text.encode()
    if text == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{text[1:]}: cannot be read: {error.strerror or error}") from None


def _by_url(desk: Desk, url: str) -> Opened:
    """The account of the file whose token may be presented at this URL. Raises ConfigurationError."""
    accounts = read_accounts()
    if not urlsplit(url).scheme:
        if len(accounts) == 1:
            return open_account(next(iter(accounts.values())), desk.ask)
        raise ConfigurationError(f"whose {url}? Name the account: -a {' | '.join(sorted(accounts)) or 'VENDOR'}")
    try:
        origin = origin_of(url)
    except ValueError as error:
        raise ConfigurationError(f"{without_query(url)}: {error}") from None
    fits = []
    for account in accounts.values():
        with contextlib.suppress(AuthFlowError):
            one = open_account(account, lambda title, hidden: "unasked")
            if origin in presents_at(one.vendor, one.given, {}):
                fits.append(account)
    if len(fits) == 1:
        return open_account(fits[0], desk.ask)
    names = " | ".join(account.name for account in fits) or "VENDOR"
    raise ConfigurationError(
        f"{'several accounts have' if fits else 'no account has'} {origin}: name one with -a {names}"
    )
