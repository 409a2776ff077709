"""doctor: what could be wrong on this machine, looked for before it goes wrong.

installed    Python, authflow, HTTP clients, extras, plugins
config       the file of accounts can be read, and nobody else can write to it
account      its vendor is known, its values are to be had, its store can be read, the store's disk has room
keyring      there is one that keeps things
clock        this machine's, against the `Date` header of each account's vendor (no secret is sent)
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

from authflow import plugins
from authflow.accounts import Record
from authflow.cli.accounts import Account, Opened, config_path, find_account, open_account, place_of, read_accounts
from authflow.cli.desk import Desk
from authflow.cli.exits import REFUSED, as_typed
from authflow.cli.options import json_option, pairs, several_accounts
from authflow.cli.sources import Source
from authflow.cli.spans import span
from authflow.clients import ADAPTERS, default_sender
from authflow.errors import AuthFlowError, ConfigurationError, UntrustedOrigin, harmless
from authflow.http import Request, origin_of, without_query
from authflow.renewing import NoAnswer, TooLarge
from authflow.stores import Store, open_store, plain_backend
from authflow.templates import Unbound, Unfit
from authflow.vendors import Values

GOOD, WARNING, BAD = "ok", "note", "BAD"
EXTRAS: Final = {"keyring": "keyring", "cryptography": "encrypted", "redis": "redis", "opentelemetry-api": "otel"}
#: Seconds that a vendor may take to tell the time.
PATIENCE: Final = 5.0
#: A disk with less room, in bytes, will not hold what a login brings for long.
ROOM_LEAST: Final = 1 << 20
#: The `Date` header has whole seconds, and an answer its way: less than this is no skew, in seconds.
SKEW_LEAST: Final = 2.0
#: From here on tokens expire in the wrong minute.
SKEW_MOST: Final = 30.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `ok`, a `note`, or `BAD`."""

    what: str
    result: str
    says: str


@click.command()
@several_accounts
@click.option("--offline", is_flag=True, help="Ask no vendor for the time.")
@json_option
@click.pass_context
def doctor(
    context: click.Context,
    accounts: tuple[str, ...],
    settings: tuple[str, ...],
    store: str | None,
    offline: bool,
    as_json: bool,
) -> None:
    """Look for what could be wrong: what is installed, the config file, stores, keyring, Redis, and this machine's
    clock against the vendors'. Looks at ACCOUNTS, or at all of the config file. Sends no secret.
    """

    given = pairs(settings)

    def chosen() -> list[Account]:
        if accounts:
            return [find_account(name, given, store) for name in accounts]
        return list(read_accounts().values())

    checks = Desk().wait_for("Looking", lambda: list(examine(chosen, offline=offline)))
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks]))
    else:
        width = max(len(check.what) for check in checks)
        colours = {GOOD: "green", WARNING: "yellow", BAD: "red"}
        for check in checks:
            click.echo(
                f"{click.style(check.result.ljust(4), colours[check.result])}  "
                f"{harmless(check.what.ljust(width))}  {as_typed(harmless(check.says))}"
            )
    context.exit(REFUSED if any(check.result == BAD for check in checks) else 0)


def examine(chosen: Callable[[], list[Account]], *, offline: bool = False) -> Iterator[Check]:
    """Every check, in the order of the table above."""
    yield from _installed()
    accounts: list[Account] = []
    try:
        accounts = chosen()
        yield _config(read_accounts())
    except ConfigurationError as error:
        yield Check("config", BAD, str(error))
    allowed = any(str(account.store).endswith("?plaintext=allow") for account in accounts)
    yield _keyring(wanted=any(_uses_keyring(account) for account in accounts), allowed=allowed)
    if not accounts:
        yield _fallback()
    for account in accounts:
        yield from _account(account, offline)


# --- this machine -----------------------------------------------------------------------------------------------------


def _installed() -> Iterator[Check]:
    yield Check("python", GOOD, f"{platform.python_version()} on {platform.system()}")
    yield Check("authflow", GOOD, _version("authflow-http") or "unknown version")
    clients = {name: version for name in ADAPTERS if (version := _version(name))}
    if clients:
        yield Check("clients", GOOD, ", ".join(f"{name} {version}" for name, version in clients.items()))
    else:
        yield Check("clients", BAD, "none of " + ", ".join(ADAPTERS) + ": pip install 'authflow-http[httpx]'")
    have = [f"{name} {version}" for name in EXTRAS if (version := _version(name))]
    lack = [f"{name} (authflow-http[{extra}])" for name, extra in EXTRAS.items() if not _version(name)]
    yield Check("extras", GOOD, "; not installed: ".join(filter(None, (", ".join(have) or "none", ", ".join(lack)))))
    yield from (Check("plugins", BAD, reason) for reason in plugins.broken_plugins())
    yield Check("vendors", GOOD, ", ".join(sorted(plugins.vendors())) or "no plugin is installed")


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _config(accounts: Mapping[str, Account]) -> Check:
    how = "authflow login VENDOR --save NAME"
    if not config_path().exists():
        return Check("config", WARNING, f"{config_path()} is not there yet: {how} writes it")
    return Check("config", GOOD, f"{config_path()}: {', '.join(accounts) or f'no accounts yet, {how} adds one'}")


def _uses_keyring(account: Account) -> bool:
    sources = [value.kind for value in account.inputs.values() if isinstance(value, Source)]
    return "keyring" in sources or (isinstance(account.store, str) and account.store.startswith("keyring"))


def _keyring(*, wanted: bool, allowed: bool) -> Check:
    lacking = BAD if wanted else WARNING
    try:
        import keyring
    except ImportError:
        return Check("keyring", lacking, "not installed: pip install 'authflow-http[keyring]'")
    try:
        backend = keyring.get_keyring()
        name = f"{type(backend).__module__}.{type(backend).__name__}"
        usable, plain = float(backend.priority) > 0, plain_backend(backend)
    except Exception as error:
        # Any class: backends let the errors of D-Bus and of the operating system through.
        return Check("keyring", lacking, f"cannot be used ({type(error).__name__})")
    if usable and plain:
        return Check("keyring", WARNING if allowed else lacking, f"{plain} keeps plain text: install another")
    return Check(
        "keyring", GOOD if usable else lacking, name if usable else f"{name} keeps nothing: unlock or install one"
    )


# --- one account ------------------------------------------------------------------------------------------------------


def _account(account: Account, offline: bool) -> Iterator[Check]:
    what = account.name
    for name, value in account.inputs.items():
        if isinstance(value, Source) and value.kind == "command" and shutil.which(value.argument[0]) is None:
            yield Check(f"{what}: {name}", BAD, f"the command {value.argument[0]} is not installed")
    try:
        one = open_account(account, _nobody)
    except AuthFlowError as error:
        yield Check(what, BAD, str(error))
        return
    yield _store(one)
    if not offline:
        yield _clock(one)


def _nobody(name: str, title: str, hidden: bool) -> str:
    raise ConfigurationError(f"the {title} is neither in the config file nor in the environment; it will be asked for")


def _store(one: Opened) -> Check:
    what = f"{one.account.name}: store"
    try:
        key = one.key
    except AuthFlowError as error:
        return Check(what, WARNING, f"{one.place}; cannot look for its record: {error}")
    return _kept(what, one.store, one.place, key)


def _fallback() -> Check:
    """The store of those who have no account yet."""
    try:
        spec = Account("none", "").store_named()
        store = open_store(spec, factories=plugins.stores())
    except AuthFlowError as error:
        return Check("store", BAD, str(error))
    return _kept("store", store, place_of(spec, store))


def _kept(what: str, store: Store, place: str, key: str = "") -> Check:
    """It can be read and written to, and a folder's disk has room."""
    try:
        stored = store.load(key or "0" * 32)
    except AuthFlowError as error:
        return Check(what, BAD, str(error))
    folder = getattr(store, "folder", None)
    if folder is not None:
        there = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
        disk = shutil.disk_usage(there)
        if disk.total and disk.free < ROOM_LEAST:  # /proc and its like have no size
            return Check(what, BAD, f"{place}: its disk is full: make room, or keep the tokens elsewhere (--store)")
    probe = os.urandom(16).hex()
    try:
        store.save(probe, b"{}", None, lifetime=60.0)
        store.delete(probe)
    except AuthFlowError as error:
        return Check(what, BAD, f"{place} cannot be written to: {error}")
    try:
        unread = Record.from_bytes(stored.data).unread_end if stored else ""
    except ValueError:
        return Check(what, WARNING, f"{place}, a record that cannot be read: the next login replaces it")
    if unread:
        return Check(
            what,
            WARNING,
            f"{place}: the vendor's {unread} could not be read, so nobody knows when the token ends",
        )
    return Check(what, GOOD, place + (f", {f'the record {key}' if stored else 'no record yet'}" if key else ""))


def _clock(one: Opened) -> Check:
    what = f"{one.account.name}: clock"
    try:
        base_url = Values(one.vendor, one.given, {}, time.time()).base_url
        if not origin_of(base_url).trusted(one.vendor.insecure_http):
            raise UntrustedOrigin(f"plain http to {origin_of(base_url)}")
        before = time.time()
        answer = default_sender().exchange(Request("HEAD", base_url), PATIENCE)
        after = time.time()
    except (Unbound, Unfit):
        return Check(what, WARNING, "the vendor's address is known only after a login")
    except (NoAnswer, TooLarge, ValueError, AuthFlowError) as error:
        return Check(what, BAD, f"no answer from {one.vendor.title} ({error})")
    if answer.date is None:
        return Check(what, WARNING, f"{without_query(base_url)} does not tell the time")
    # The second that it names lies between sending and receiving.
    skew = min(max(answer.date, before - 1), after) - answer.date
    if abs(skew) < SKEW_LEAST:
        return Check(what, GOOD, "agrees with the vendor's")
    says = f"{span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the vendor's"
    return Check(what, BAD if abs(skew) > SKEW_MOST else WARNING, f"{says}: set this machine's clock (NTP)")
