"""Records of one user, encrypted in files, with the key in the operating system's keyring.

Not the records themselves: a Windows credential holds about 1,280 characters, fewer than many a token. The key is
named after the folder and made by whoever first needs it. It is asked for under the folder's lock, so that two who
start at once end up with the same one, and a locked keyring asks for its password once. GNOME's, moreover, may lose
its way when several processes search it in the same moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from authflow.errors import ConfigurationError, StoreError
from authflow.stores.base import LockTimeout, url_path
from authflow.stores.encrypted import KEY_VARIABLE, EncryptedStore, Keys, new_key
from authflow.stores.file import FileStore
from authflow.stores.private import state_folder

__all__ = ["KeyringKey", "KeyringStore", "plain_backend"]

SERVICE = "authflow"
"""Under which service the key stands in the keyring; its user name there is the folder."""

_ALTERNATIVES = (
    "unlock or install one (python -m keyring diagnose), keep tokens in a file that only you can read (store='file'), "
    f"or encrypt that file with a key of your own (store='encrypted+file', the key in {KEY_VARIABLE})"
)
_LOCK = "keyring-key"


def open_url(url: str) -> KeyringStore:
    """The store that `store="keyring"`, or a URL with that scheme, stands for."""
    place, mark, option = url.partition("?")
    if mark and option != "plaintext=allow":
        raise ConfigurationError("A keyring store has one option: keyring?plaintext=allow, keyring:///folder?….")
    return KeyringStore(url_path(place), plaintext=bool(mark))


class KeyringStore(EncryptedStore):
    """Keeps records encrypted in the folder `path`, by default a folder of its own in this user's state folder.

    `plaintext`: the key may lie in a keyring that keeps it as plain text, beside the records for all who read files.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, plaintext: bool = False) -> None:
        self._files = FileStore(state_folder() / "keyring" if path is None else path)
        super().__init__(self._files, KeyringKey(self._files, plaintext))

    @property
    def folder(self) -> Path:
        """The absolute path of the folder in which the encrypted records lie."""
        return self._files.folder

    def __repr__(self) -> str:
        return f"KeyringStore({str(self._files.folder)!r})"


class KeyringKey:
    """The key for the records in `files`: read from the keyring, and made there when there is none.

    Raises `StoreError` when there is no keyring that keeps it.
    """

    def __init__(self, files: FileStore, plaintext: bool = False) -> None:
        self._files, self._plaintext = files, plaintext

    def __call__(self) -> Keys:
        """The key, as the only one of a list."""
        plain = "" if self._plaintext else _asked(lambda keyring: plain_backend(keyring.get_keyring()))
        if plain:
            raise StoreError(
                f"This machine's keyring, {plain}, keeps plain text, which anybody can read who can read the records: "
                f"{_ALTERNATIVES}; or allow it: store='keyring?plaintext=allow'."
            )
        with ExitStack() as held:
            try:
                held.enter_context(self._files.lock(_LOCK, limit=120, wait=120))
            except LockTimeout:
                raise
            except StoreError:  # a folder that may only be read
                found = self._find()
                if found is None:
                    raise
                return [found]
            return [self._find() or self._make()]

    def _find(self) -> str | None:
        found: str | None = _asked(lambda keyring: keyring.get_password(SERVICE, self._name))
        return found

    def _make(self) -> str:
        key = new_key()
        _asked(lambda keyring: keyring.set_password(SERVICE, self._name, key))
        if self._find() != key:
            raise StoreError(f"The keyring of this machine keeps nothing: {_ALTERNATIVES}.")
        return key

    @property
    def _name(self) -> str:
        return os.path.realpath(self._files.folder)


def plain_backend(backend: Any) -> str:
    """The name of the backend of `keyring` in which what is written now would lie as plain text, or nothing."""
    for inner in getattr(backend, "backends", None) or [backend]:  # of several, the first takes what is written
        inner = getattr(inner, "_keyring", inner)  # one that cuts what is long for another
        kind = type(inner)
        plain = any("plaintext" in cls.__name__.lower() for cls in kind.__mro__)
        encrypt = getattr(inner, "encrypt", None)  # those of keyrings.alt, of which some encrypt nothing
        return f"{kind.__module__}.{kind.__name__}" if plain or (encrypt and encrypt(b"text") == b"text") else ""
    return ""


def _asked(question: Callable[[Any], Any]) -> Any:
    try:
        import keyring
    except ImportError as error:
        raise ConfigurationError("store='keyring' needs keyring: pip install 'authflow-http[keyring]'.") from error
    try:
        return question(keyring)
    except Exception as error:
        # Any class: backends let the errors of D-Bus, of the operating system and of their own libraries through.
        raise StoreError(f"This machine's keyring cannot be used ({type(error).__name__}): {_ALTERNATIVES}.") from error
