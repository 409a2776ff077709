"""The accounts of one user: a small TOML file that names them, and where their secrets are to be had.

    [accounts.supplier]
    vendor = "supplier"                       # a plugin's name, or a path to a vendor file; else the account's name
    store = "file"                            # where tokens are kept; left out: AUTHFLOW_STORE, else "file"
    username = "demo"                         # any setting or credential that is no secret
    password = { keyring = true }             # or { env = "SUPPLIER_PASSWORD" }, { prompt = true },
                                              # or { command = ["pass", "show", "supplier"] }

The file lies in the user's config folder, or where `AUTHFLOW_CONFIG` says. It holds no secret: one that stands in it is
refused, be it the password in a store's URL (then: `store = { env = "REDIS_URL" }`). A vendor that has no account here
can be used too, with settings given by hand. What nobody has said is looked for in the environment
(`AUTHFLOW_SUPPLIER_PASSWORD`, then `AUTHFLOW_PASSWORD`), then asked for. `identity = "alice"` says whose login it is
where the credentials do not.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import secrets
import shlex
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import UNSET

from authflow import plugins
from authflow.accounts import Claims, answered, complete, fingerprint_for, identity_of, origins, servers
from authflow.cli.sources import WAYS, Source, variables
from authflow.errors import AuthFlowError, ConfigurationError, StoreError
from authflow.session import AuthSession
from authflow.stores import Store, open_store
from authflow.templates import Unfit
from authflow.vendors import Given, Input, Vendor, filled

CONFIG_VARIABLE: Final = "AUTHFLOW_CONFIG"
STORE_VARIABLE: Final = "AUTHFLOW_STORE"
_OWN_KEYS: Final = ("vendor", "store", "identity")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")

#: What a person has typed, and where the keyring keeps it.
Typed: TypeAlias = tuple[str, str]
#: Asks a person for an input, given its name, its title, and whether it is secret; returns what was said.
Ask: TypeAlias = Callable[[str, str, bool], str]


def config_path() -> Path:
    """Where the file of accounts lies, whether it is there or not."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_config_dir

    return Path(user_config_dir("authflow", appauthor=False)) / "config.toml"


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it is written: the vendor, the store, and values or where to get them."""

    name: str
    vendor: str
    store: str | Source | None = None
    inputs: Mapping[str, str | int | float | Source] = field(default_factory=dict)
    file: Path | None = None
    identity: str | None = None

    def find_vendor(self) -> Vendor:
        """Raises ConfigurationError, VendorFileError."""
        return plugins.find_vendor(self.vendor)

    def store_named(self) -> str:
        """What stands for the store, fetched if need be: the account's, else the environment's, else "file".

        Raises ConfigurationError.
        """
        spec = self.store
        if isinstance(spec, Source):
            spec = spec.read(f"{self.name}.store")
        elif spec is not None and _has_password(spec):
            raise ConfigurationError(
                f"{self.file or 'store'}: accounts.{self.name}.store: do not write its password here; "
                'say where to get the whole URL: { env = "REDIS_URL" } or { command = ["pass", "show", "…"] }'
            )
        return spec or os.environ.get(STORE_VARIABLE) or "file"


@dataclass(frozen=True, slots=True)
class Opened:
    """An account with its vendor, its store, and every value in hand or ready to be asked for. `place` says where the
    store keeps things, and holds no secret.
    """

    account: Account
    vendor: Vendor
    store: Store
    place: str
    given: Given
    typed: dict[str, Typed]

    @property
    def key(self) -> str:
        """The key of its record in the store."""
        return self.claims.identity.key

    @property
    def claims(self) -> Claims:
        """What judges its records. Asks for what says whose login it is. Raises AuthFlowError."""
        said, fingerprint = self.account.identity, fingerprint_for(self.store)
        given = answered(self.vendor, self.given, said)
        return Claims(self.vendor, given, identity_of(self.vendor, given, said, fingerprint), fingerprint)

    def session(self, **more: Any) -> AuthSession:
        """Raises AuthFlowError."""
        own = {"store": self.store, "identity": self.account.identity}
        return AuthSession(self.vendor, **{**own, **dict(self.given.items()), **more})

    def remember(self) -> list[str]:
        """Put what a person has typed into the keyring, where the account says so; returns the names of those inputs.

        Raises ConfigurationError.
        """
        kept = []
        for name, (place, value) in self.typed.items():
            source = self.account.inputs.get(name)
            if isinstance(source, Source) and source.kind == "keyring":
                source.remember(place, value)
                kept.append(name)
        return kept


# --- reading the file -------------------------------------------------------------------------------------------------


def read_accounts(path: Path | None = None) -> dict[str, Account]:
    """The accounts of the file by name; none where there is no file. Raises ConfigurationError."""
    path = path or config_path()
    try:
        with path.open("rb") as file:
            _refuse_foreign(path, os.fstat(file.fileno()))
            table = tomllib.loads(file.read().decode("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {' '.join(str(error).split())}") from None
    for key in table:
        if key != "accounts":
            raise ConfigurationError(f"{path}: {key}: unknown key; this file holds only [accounts.NAME]")
    accounts = table.get("accounts", {})
    if not isinstance(accounts, dict):
        raise ConfigurationError(f"{path}: accounts: must hold a table for each account: [accounts.NAME]")
    return {name: _account(path, name, entry) for name, entry in accounts.items()}


def _refuse_foreign(path: Path, found: os.stat_result) -> None:
    """The file names commands that are run: nobody else may have written it."""
    if os.name != "posix":
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(f"{path}: belongs to another user, and names commands to run: make a copy of your own")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigurationError(f"{path}: others may write to it: run 'chmod 600 {shlex.quote(str(path))}'")


def _account(path: Path, name: str, entry: Any) -> Account:
    where = f"{path}: accounts.{name}"
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: must be a table: [accounts.{name}]")
    if not isinstance(entry.get("vendor", ""), str):
        raise ConfigurationError(f"{where}.vendor: must be text")
    store = entry.get("store")
    if store is not None and not isinstance(store, str):
        store = _value(f"{where}.store", store)
        if not isinstance(store, Source) or store.kind not in ("env", "command"):
            raise ConfigurationError(f'{where}.store: must be text, {{ env = "NAME" }} or {{ command = ["…"] }}')
    if not isinstance(entry.get("identity", ""), str):
        raise ConfigurationError(f"{where}.identity: must be text: whose login it is")
    inputs = {key: _value(f"{where}.{key}", item) for key, item in entry.items() if key not in _OWN_KEYS}
    vendor = entry.get("vendor", name)
    if vendor.endswith(".toml"):
        vendor = str(path.parent / Path(vendor).expanduser())
    return Account(name, vendor, store, inputs, path, entry.get("identity"))


def _value(where: str, item: Any) -> str | int | float | Source:
    if isinstance(item, bool):
        return str(item).lower()
    if isinstance(item, str | int | float):
        return item
    try:
        return Source.read_from(item)
    except ValueError as error:
        raise ConfigurationError(f"{where}{error}") from None


# --- from an account to a session -------------------------------------------------------------------------------------


def find_account(name: str, settings: Mapping[str, str] | None = None, store: str | None = None) -> Account:
    """An account of the file by its name, or else a vendor by its name or path; with `settings` laid over what the
    file says.

    Raises ConfigurationError.
    """
    if store is not None and _has_password(store):
        raise ConfigurationError(
            f"--store: this URL holds a password, and every process can see the arguments of a command: set "
            f"{STORE_VARIABLE}"
        )
    known = read_accounts()
    account = known.get(name) or Account(name, name)
    if name not in known and not (name.endswith(".toml") or os.sep in name) and name not in plugins.vendors():
        close = difflib.get_close_matches(name, {*known, *plugins.vendors()}, 1)
        hint = f": did you mean {close[0]!r}?" if close else ""
        have = (
            f"accounts: {', '.join(sorted(known)) or 'none'}; vendors: {', '.join(sorted(plugins.vendors())) or 'none'}"
        )
        raise ConfigurationError(
            f"there is no account and no vendor {name!r}{hint} ({have}); give a vendor file by its path"
        )
    settings = settings or {}
    secret = {key for key, entry in (account.find_vendor().inputs.items() if settings else ()) if entry.secret}
    for key in settings:
        if key in secret:
            raise ConfigurationError(
                f"{key} is a secret, and every process can see the arguments of a command: set "
                f"{variables(account.name, key)[-1]}, or pipe it in with --stdin {key}"
            )
    return replace(account, store=store or account.store, inputs={**account.inputs, **settings})


def open_account(account: Account, ask: Ask, handed: Mapping[str, str] | None = None) -> Opened:
    """Vendor, store and values of an account. `ask` is called for what is nowhere to be had, `handed` are secrets that
    came another way (standard input).

    Secrets are fetched when an exchange needs them, or to find the record, where they say whose login it is (an API
    key). Raises AuthFlowError.
    """
    vendor = account.find_vendor()
    handed = handed or {}
    for name in (*account.inputs, *handed):
        if name not in vendor.inputs and name != "base_url":
            complete(vendor, Given({name: ""}))
    typed: dict[str, Typed] = {}
    given: dict[str, Any] = {}
    ways: dict[str, str] = {}
    for name, entry in [*vendor.inputs.items(), ("base_url", Input(optional=True))]:
        value = handed.get(name, account.inputs.get(name))
        _refuse_secret(account, name, entry, value, handed)
        if value is None:
            value = _from_environment(account, name) if name in vendor.inputs else None
        if value is None and entry.default is UNSET and not entry.optional:
            value = Source("prompt", True)
        if isinstance(value, Source):
            place = partial(_place, account, vendor, given, name, value)
            given[name], ways[name] = _once(account, name, entry, place, value, ask, typed), value.kind
        elif value is not None:
            given[name] = value
    for name in sorted(ways, key=lambda it: ways[it] == "keyring"):  # whose entries bear the servers' names
        if not (name in vendor.credentials and vendor.inputs[name].secret) or _tells_apart(account, vendor, name, ways):
            given[name] = given[name]()
    spec = account.store_named()
    store = open_store(spec, factories=plugins.stores())
    return Opened(account, vendor, store, place_of(spec, store), complete(vendor, Given(given)), typed)


def _tells_apart(account: Account, vendor: Vendor, name: str, ways: Mapping[str, str]) -> bool:
    """Does this secret, which the file adds to its preset's, say whose login it is? A person is not asked for that."""
    return f"{name}?" in vendor.identity and account.identity is None and ways[name] != "prompt"


def place_of(spec: str, store: Store | None = None) -> str:
    """The store's folder, or what was written; of a URL no more than its scheme and host."""
    folder: Any = getattr(store, "folder", None)
    if folder is not None:
        return str(folder)
    scheme, mark, rest = spec.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}" if mark else spec


def _has_password(store: str) -> bool:
    """Whether a store's URL holds one, before its host or in its query; what is no URL holds none."""
    try:
        parts = urlsplit(store)
    except ValueError:
        return "@" in store
    return parts.password is not None or any("password" in name.lower() for name, _ in parse_qsl(parts.query, True))


def _refuse_secret(account: Account, name: str, entry: Input, value: Any, handed: Mapping[str, str]) -> None:
    if entry.secret and name not in handed and value is not None and not isinstance(value, Source):
        where = f"{account.file or 'account'}: accounts.{account.name}.{name}"
        raise ConfigurationError(f"{where}: do not write a secret here; say where to get it: {WAYS}")


def _from_environment(account: Account, name: str) -> str | None:
    """What a variable says: the account's own, else the one for all. Empty ones say nothing.

    Raises ConfigurationError where the variable is another account's as well: nobody gets another's secret.
    """
    variable = next((one for one in variables(account.name, name) if os.environ.get(one)), None)
    if variable is None:
        return None
    for other in read_accounts().values():
        if other.name == account.name or (account.file is None and _same_vendor(account, other)):
            continue
        for its in _looked_for(other, name):
            own = its.lower() != name.lower() or variable == variables(account.name, name)[0]
            if own and variable in variables(other.name, its):
                raise ConfigurationError(
                    f"{variable} is read for {account.name}.{name} and for {other.name}.{its}: rename one of these "
                    f'accounts, or say in {other.file} where one of them gets it: {its} = {{ env = "ANOTHER" }}'
                )
    return os.environ[variable]


def _same_vendor(one: Account, other: Account) -> bool:
    return Path(one.vendor).absolute() == Path(other.vendor).absolute()


def _looked_for(account: Account, name: str) -> Iterator[str]:
    """The inputs that an account has from the environment; of a vendor that cannot be read, this one."""
    try:
        names = list(account.find_vendor().inputs)
    except AuthFlowError:
        names = [name]
    return (one for one in names if one not in account.inputs)


def _place(account: Account, vendor: Vendor, known: Mapping[str, Any], name: str, source: Source) -> str:
    """What an input is called in messages; in the keyring with its vendor and servers, which alone may get it."""
    if source.kind != "keyring":
        return f"{account.name}.{name}"
    try:
        plain = filled(vendor, {key: value for key, value in known.items() if not callable(value)}.get)
    except Unfit as error:
        raise ConfigurationError(f"{vendor.title}: {error}", vendor=vendor.name) from None
    return " ".join([f"{account.name}.{name}", vendor.name, *origins(servers(vendor, Given(plain)))])


def _once(
    account: Account,
    name: str,
    entry: Input,
    place: Callable[[], str],
    source: Source,
    ask: Ask,
    typed: dict[str, Typed],
) -> Callable[[], str]:
    """Fetches a value when it is first called for, and keeps it: nobody is asked twice in one run."""
    fetched: list[str] = []

    def fetch() -> str:
        if not fetched:
            where = place()
            value = source.read(where)
            if value is None:
                value = ask(name, f"{entry.title or name} for {account.name}", entry.secret)
                typed[name] = where, value
            fetched.append(value)
        return fetched[0]

    return fetch


# --- writing ----------------------------------------------------------------------------------------------------------


def check_new(name: str, path: Path | None = None) -> None:
    """Raises ConfigurationError where no account of that name can be added."""
    path = path or config_path()
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"an account's name is made of letters, digits, - and _; {name!r} is not")
    for known in read_accounts(path):
        if variables(known, "")[0] == variables(name, "")[0]:
            also = "" if known == name else f", and {name!r} would read the same variables"
            raise ConfigurationError(f"{path}: there is an account {known!r} already{also}")


def add_account(account: Account, path: Path | None = None) -> Path:
    """Append an account to the file, which is made if need be; returns its path.

    Raises ConfigurationError, StoreError.
    """
    path = path or config_path()
    check_new(account.name, path)
    block = "\n".join(_lines(account)) + "\n"
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        old = path.read_bytes() if path.exists() else b""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with open(os.open(fresh, flags, 0o600), "wb") as file:
            file.write(old + (b"\n" if old else b"") + block.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def _lines(account: Account) -> Iterator[str]:
    yield f"[accounts.{account.name}]"
    vendor = account.vendor
    yield f"vendor = {_toml(str(Path(vendor).absolute()) if vendor.endswith('.toml') else vendor)}"
    kept = {"store": account.store, "identity": account.identity}
    kept = {key: value for key, value in kept.items() if value is not None}
    for name, value in [*kept.items(), *account.inputs.items()]:
        if isinstance(value, Source):
            yield f"{name} = {{ {value.kind} = {_toml(value.argument)} }}"
        else:
            yield f"{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    """Text, numbers, true and lists of text are written alike in JSON and TOML, but for one control character."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
