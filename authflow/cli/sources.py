"""Where a value of an account is to be had, and how it is fetched.

    { env = "NAME" }                   the environment
    { command = ["pass", "show"] }     the first line that a password manager prints
    { keyring = true }                 the operating system's keyring; asked for until it is there
    { prompt = true }                  a person

What is fetched is never shown: errors name the account and the input.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from authflow.errors import ConfigurationError
from authflow.stores import plain_backend

#: Under which service the passwords of accounts stand in the keyring; the user name there says the account and the
#: input, and to whom the password belongs: accounts of one name, in other files, may be of other vendors.
KEYRING_SERVICE: Final = "authflow accounts"
#: Seconds that a password manager may take, its owner's typing included.
COMMAND_TIMEOUT: Final = 300.0
#: What `AUTHFLOW_…` alone means already: an input that is called so has only the variable with the account's name.
TAKEN: Final = frozenset({"key", "store", "config", "debug"})
WAYS: Final = '{ keyring = true }, { env = "NAME" }, { command = ["pass", "show", "…"] } or { prompt = true }'


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value is to be had: one of `env`, `command`, `keyring`, `prompt`, with its argument."""

    kind: str
    argument: Any

    def read(self, where: str) -> str | None:
        """The value, or None: ask for it. `where` names account and input. Raises ConfigurationError."""
        return _READERS[self.kind](self.argument, where)

    @classmethod
    def read_from(cls, item: Any) -> Source:
        """From the file's own notation. Raises ValueError: what is wrong, behind the name of the place."""
        if not isinstance(item, dict) or len(item) != 1 or next(iter(item)) not in _READERS:
            raise ValueError(f": text, a number, or where to get it: {WAYS}")
        ((kind, argument),) = item.items()
        if not _FITS[kind](argument):
            raise ValueError(f".{kind}: written as one of {WAYS}")
        return cls(kind, argument)

    def remember(self, where: str, value: str) -> None:
        """Put what was typed into the keyring. Raises ConfigurationError."""
        if plain := _keyring(where, lambda keyring: plain_backend(keyring.get_keyring())):
            raise ConfigurationError(f"{where}: this machine's keyring, {plain}, keeps plain text: name another place")
        _keyring(where, lambda keyring: keyring.set_password(KEYRING_SERVICE, where, value))


def variables(account: str, name: str) -> list[str]:
    """The environment variables in which an input is looked for; the account's own first."""
    words = re.sub(r"[^A-Za-z0-9<>]+", "_", account.rpartition("/")[2].removesuffix(".toml"))
    long = f"AUTHFLOW_{words}_{name}".upper()
    return [long] if name.lower() in TAKEN else [long, f"AUTHFLOW_{name}".upper()]


def _from_env(variable: str, where: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ConfigurationError(f"{where}: the environment variable {variable} is not set")
    return value


def _from_command(words: list[str], where: str) -> str:
    try:
        # Its standard error is the user's: a password manager may have something to say or to ask.
        done = subprocess.run(words, stdout=subprocess.PIPE, timeout=COMMAND_TIMEOUT, check=False)
    except OSError as error:
        raise ConfigurationError(f"{where}: {words[0]} cannot be run: {error.strerror or error}") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{where}: {words[0]} did not end within {COMMAND_TIMEOUT:.0f} s") from None
    value = done.stdout.decode("utf-8", "replace").partition("\n")[0].rstrip("\r")
    if done.returncode or not value:
        how = f"ended with status {done.returncode}" if done.returncode else "printed nothing"
        raise ConfigurationError(f"{where}: {words[0]} {how}")
    return value


def _from_keyring(_: bool, where: str) -> str | None:
    found: str | None = _keyring(where, lambda keyring: keyring.get_password(KEYRING_SERVICE, where))
    return found


def _keyring(where: str, question: Callable[[Any], Any]) -> Any:
    try:
        import keyring
    except ImportError:
        raise ConfigurationError(
            f"{where}: the keyring needs a package: pip install 'authflow-http[keyring]'"
        ) from None
    try:
        return question(keyring)
    except Exception as error:
        # Any class: backends let the errors of D-Bus and of the operating system through.
        raise ConfigurationError(
            f"{where}: this machine's keyring cannot be used ({type(error).__name__}): unlock or install one, or name "
            "another place"
        ) from error


_READERS: Final[Mapping[str, Callable[[Any, str], str | None]]] = {
    "env": _from_env,
    "command": _from_command,
    "keyring": _from_keyring,
    "prompt": lambda _, where: None,
}

_FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "env": lambda argument: isinstance(argument, str) and argument != "",
    "command": lambda argument: (
        isinstance(argument, list) and argument != [] and all(isinstance(word, str) for word in argument)
    ),
    "keyring": lambda argument: argument is True,
    "prompt": lambda argument: argument is True,
}
