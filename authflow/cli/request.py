"""request: a curl that logs in."""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import click

from authflow.accounts import presents_at
from authflow.cli.accounts import Opened, open_account, read_accounts
from authflow.cli.desk import Desk, counting
from authflow.cli.exits import DONE, MISUSED, REFUSED, UNAVAILABLE, UNKEPT, Failed
from authflow.cli.fetching import Order, Reply, fetch
from authflow.cli.options import account_options, complete_account, json_option, opened, some_time
from authflow.errors import AuthFlowError, ConfigurationError, harmless
from authflow.http import Pairs, folder, origin_of, resolve, without_query
from authflow.recording import Recording

#: RFC 9110 §5.6.2: what a method and the name of a header are made of.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
UNAUTHORIZED: Final = 401
_KINDS: Final = {"data": "application/x-www-form-urlencoded", "document": "application/json"}


@click.command()
@click.argument("method", metavar="METHOD")
@click.argument("url", metavar="URL")
@click.option(
    "-a", "--account", shell_complete=complete_account, help="Left out: the account whose vendor has this URL."
)
@click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="Add a header; repeatable.")
@click.option(
    "-d", "--data", metavar="TEXT", help="The body, sent as a form; @FILE reads it from a file, @- from standard input."
)
@click.option(
    "-j",
    "--data-json",
    "document",
    metavar="JSON",
    help="The body, sent as JSON; @FILE reads it from a file, @- from standard input.",
)
@click.option("-i", "--include", is_flag=True, help="Print status and headers too.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path),
    help="Write the body to this file.",
)
@click.option(
    "-f",
    "--fail",
    is_flag=True,
    help="End with 1 if the answer is 4xx, with 3 if it is 5xx; its body is printed all the same.",
)
@click.option("--no-follow", is_flag=True, help="Do not follow redirects.")
@click.option(
    "--capture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the traffic to this HAR file, for authflow-learn; stand-ins replace the secrets.",
)
@click.option(
    "--with-secrets", is_flag=True, help="With --capture: write the secrets themselves; only you may read the file."
)
@click.option(
    "--max-time", type=float, callback=some_time, metavar="SECONDS", help="How long the whole request may take."
)
@account_options
@json_option
@click.pass_context
def request(
    context: click.Context,
    /,
    method: str,
    url: str,
    account: str | None,
    headers: tuple[str, ...],
    include: bool,
    output: Path | None,
    fail: bool,
    no_follow: bool,
    capture: Path | None,
    with_secrets: bool,
    max_time: float | None,
    timeout: float,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Send a request that carries the token to URL, and print the body of the answer. Logs in first where there is no
    token.

    A URL without scheme and host is taken from the vendor's base URL. Redirects are followed; the token goes only to
    origins that the vendor file declares. With --json, status, headers and body are printed as one object. After a 401
    the exit code is 1: the vendor refused the token.
    """
    if not _TOKEN.fullmatch(method):
        raise click.UsageError(f"{method!r} is not an HTTP method")
    body, pairs = _body(headers, chosen)
    if output is not None and not output.absolute().parent.is_dir():
        raise click.UsageError(f"{output}: there is no folder {output.parent}")
    try:
        relative = not urlsplit(url).scheme
    except ValueError as error:
        raise click.UsageError(f"{url!r} is not a URL: {error}") from None
    desk = Desk()
    one = opened(desk, account, **chosen) if account is not None else _by_url(desk, url, relative, chosen)
    session = one.session(timeout=timeout)
    with contextlib.ExitStack() as stack:
        if capture is not None:
            stack.callback(_keep, seen := session.record(secrets=with_secrets), capture)
            stack.enter_context(seen)
        if relative:
            desk.wait_for(f"Getting a token from {one.vendor.title}", session.token)
            url = resolve(folder(session._manager.grants.current.base_url), url)
        order = Order(method.upper(), url, pairs, body, not no_follow, max_time or timeout)
        what = f"{order.method} {without_query(url)}"
        stack.enter_context(_at_most(max_time, what))
        reply = desk.wait_for(what, lambda: stack.enter_context(fetch(session, order)))
        with _sink(output) as sink, counting(what, shown=not sink.isatty()) as count:
            if as_json:
                sink.write(_document(reply, b"".join(reply.chunks)))
            else:
                _print(reply, sink, include=include, anything=output is not None, count=count)
            sink.flush()
    context.exit(_code(reply.status) if fail or reply.status == UNAUTHORIZED else DONE)


@contextlib.contextmanager
def _at_most(seconds: float | None, what: str) -> Iterator[None]:
    """All of it takes no longer. Without alarms (on Windows), each wait for the vendor takes no longer."""

    def late(*_: Any) -> None:
        raise Failed(f"{what}: not done after {seconds:g} s", UNAVAILABLE)

    if seconds is None or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _keep(seen: Recording, capture: Path) -> None:
    """Also of a login that was refused."""
    try:
        seen.capture(capture)
    except OSError as error:
        raise Failed(f"{capture} cannot be written: {error.strerror or error}", UNKEPT) from None


def _code(status: int) -> int:
    return DONE if status < 400 else REFUSED if status < 500 else UNAVAILABLE


# --- what is sent -----------------------------------------------------------------------------------------------------


def _body(lines: tuple[str, ...], chosen: dict[str, Any]) -> tuple[bytes | None, Pairs]:
    """The body, and the headers with its type; what belongs to it is taken out of `chosen`."""
    given = {name: text for name in _KINDS if (text := chosen.pop(name)) is not None}
    if len(given) > 1:
        raise click.UsageError("a request has one body: --data or --data-json")
    if chosen["from_stdin"] is not None and "@-" in given.values():
        raise click.UsageError("standard input holds one thing: a body, or the secret of --stdin")
    pairs = tuple(_header(line) for line in lines)
    for name, text in given.items():
        if "content-type" not in {header.lower() for header, _ in pairs}:
            pairs = (*pairs, ("Content-Type", _KINDS[name]))
        return _read(text), pairs
    return None, pairs


def _header(line: str) -> tuple[str, str]:
    name, colon, value = (part.strip() for part in line.partition(":"))
    if not colon or not _TOKEN.fullmatch(name) or not value.replace("\t", " ").isprintable():
        raise click.UsageError("-H takes 'NAME: VALUE', in one line")
    return name, value


def _read(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    if text == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"{text[1:]}: cannot be read: {error.strerror or error}") from None


# --- what is printed --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[IO[bytes]]:
    """Where the body goes. Raises Failed where it cannot be written there."""
    if output is None or str(output) == "-":
        yield sys.stdout.buffer
        return
    try:
        with output.open("wb") as file:
            yield file
    except OSError as error:
        raise Failed(f"{output} cannot be written: {error.strerror or error}", UNKEPT) from None


def _print(reply: Reply, sink: IO[bytes], *, include: bool, anything: bool, count: Callable[[int], None]) -> None:
    if include:
        head = [f"{reply.status} {reply.reason}".strip(), *(f"{name}: {value}" for name, value in reply.headers)]
        sink.write("\n".join([*map(harmless, head), "", ""]).encode("utf-8", "replace"))
    text = codecs.getincrementaldecoder("utf-8")("replace") if sink.isatty() and not anything else None
    for chunk in reply.chunks:
        if not anything and b"\0" in chunk and sink.isatty():
            raise Failed("the body is not text: write it to a file with -o FILE (-o - prints it all the same)", MISUSED)
        sink.write(chunk if text is None else _tame(text.decode(chunk)))
        sink.flush()
        count(len(chunk))


def _tame(text: str) -> bytes:
    """Of a body, what a terminal will not act upon."""
    return harmless(text.replace("\r\n", "\n"), "\n\t").encode("utf-8", "replace")


def _document(reply: Reply, content: bytes) -> bytes:
    """The answer as one object: the body as JSON if it is, else as text if it is, else in base64."""
    facts: dict[str, Any] = {"status": reply.status, "reason": reply.reason, "headers": reply.headers}
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        facts["base64"] = base64.b64encode(content).decode()
    else:
        facts["body"] = text
        with contextlib.suppress(ValueError, RecursionError):
            facts["body"] = json.loads(text)
    return json.dumps(facts).encode() + b"\n"


# --- whose it is ------------------------------------------------------------------------------------------------------


def _by_url(desk: Desk, url: str, relative: bool, chosen: dict[str, Any]) -> Opened:
    """The account of the file whose token may be presented at this URL. Raises ConfigurationError."""
    accounts = read_accounts()
    if relative:
        if len(accounts) == 1:
            return opened(desk, next(iter(accounts)), **chosen)
        raise ConfigurationError(f"whose {url}? Name the account: -a {' | '.join(sorted(accounts)) or 'VENDOR'}")
    try:
        origin = origin_of(url)
    except ValueError as error:
        raise ConfigurationError(f"{without_query(url)}: {error}") from None
    fits = []
    for account in accounts.values():
        with contextlib.suppress(AuthFlowError):
            one = open_account(account, lambda name, title, hidden: "unasked")
            if origin in presents_at(one.vendor, one.given, {}):
                fits.append(account)
    if len(fits) == 1:
        return opened(desk, fits[0].name, **chosen)
    names = " | ".join(account.name for account in fits) or "VENDOR"
    raise ConfigurationError(
        f"{'several accounts have' if fits else 'no account has'} {origin}: name one with -a {names}"
    )
