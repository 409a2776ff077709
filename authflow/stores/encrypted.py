"""Encryption at rest: any store, with what lies in it readable only by those who hold a key.

Fernet of `cryptography` (AES-128-CBC and HMAC-SHA256), so that a record is either read whole and unaltered or not at
all. The first key encrypts, every key decrypts: put a new key before the old one, and each record moves to it with
its next save. A record carries the name of its place in encrypted form too, so that it cannot be passed off as the
record of another account.

A record that none of the keys opens is never replaced, only complained about: it may be somebody's only refresh token.
`delete` removes it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from authflow.errors import ConfigurationError, StoreError
from authflow.sealed import Held, sealed_call
from authflow.stores.base import Conflict, Store, Stored

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

__all__ = ["KEY_VARIABLE", "EncryptedStore", "Keys", "keys_from_environment", "new_key"]

KEY_VARIABLE = "AUTHFLOW_KEY"
"""The environment variable that holds the key, or keys separated by commas, the newest first."""

Keys = Sequence[str | bytes]
"""Fernet keys: 32 bytes each, as url-safe base64. The first encrypts, all decrypt."""

_HOW_TO_MAKE = "python -c 'from authflow.stores import new_key; print(new_key())' prints a new one"


def new_key() -> str:
    """A new key, of 256 random bits."""
    return str(_fernet_module().Fernet.generate_key().decode())


def keys_from_environment() -> Keys:
    """The keys in `AUTHFLOW_KEY`. Raises `StoreError` when there is none."""
    keys = [key for part in os.environ.get(KEY_VARIABLE, "").split(",") if (key := part.strip())]
    if not keys:
        raise StoreError(
            f"The environment variable {KEY_VARIABLE} holds no key for the tokens' encryption: {_HOW_TO_MAKE}."
        )
    return keys


class EncryptedStore:
    """Encrypts what goes into `inner` and decrypts what comes out of it.

    `keys` are the keys, or a function that returns them: it is asked when they are first needed, and again when a
    record does not open with those it returned before. Left out: the environment variable `AUTHFLOW_KEY`. A pickle of
    this store holds keys only if they were given as such.
    """

    def __init__(self, inner: Store, keys: Keys | bytes | Callable[[], Keys] = keys_from_environment) -> None:
        self._inner = inner
        self._keys = Held(keys)
        self._cipher: MultiFernet | None = None

    def load(self, key: str) -> Stored | None:
        """The record under `key`, or None. Raises `StoreError`, also when none of the keys opens it."""
        stored = self._inner.load(key)
        return None if stored is None else Stored(self._decrypt(key, stored.data), stored.revision)

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Replace the record whose revision is `revision`, if a key opens it; return the new one.

        Raises `Conflict`, or `StoreError`, also when the record that is there is encrypted under another key.
        """
        present = self._inner.load(key)
        if present is not None:
            self._decrypt(key, present.data)
        if (present.revision if present else None) != revision:
            raise Conflict(f"The record {key} has changed meanwhile: load it again.")
        return self._inner.save(key, self._encrypt(key, data), revision, lifetime=lifetime)

    @property
    def shared(self) -> bool:
        """May several users reach it?"""
        return bool(getattr(self._inner, "shared", False))

    def delete(self, key: str) -> None:
        """Remove the record under `key`, whoever can read it. Raises `StoreError`."""
        self._inner.delete(key)

    def lock(self, key: str, *, limit: float, wait: float) -> AbstractContextManager[None]:
        """The lock of `inner`."""
        return self._inner.lock(key, limit=limit, wait=wait)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cipher": None}

    def __repr__(self) -> str:
        return f"EncryptedStore({self._inner!r})"

    def _encrypt(self, key: str, data: bytes) -> bytes:
        return (self._cipher or self._new_cipher()).encrypt(key.encode() + b"\0" + data)

    def _decrypt(self, key: str, data: bytes) -> bytes:
        known = self._cipher
        content = _opened(known, data) if known else None
        if content is None:
            content = _opened(self._new_cipher(), data)
        if content is None:
            raise StoreError(
                f"The record {key} in {self._inner!r} was encrypted under a key that is not among those given, or was "
                f"altered: give that key too ({KEY_VARIABLE} takes several, separated by commas), or delete the "
                f"record and "
                "log in again."
            )
        place, _, content = content.partition(b"\0")
        if place != key.encode():
            raise StoreError(
                f"The record {key} in {self._inner!r} was put there from elsewhere: delete it and log in again."
            )
        return content

    @sealed_call
    def _new_cipher(self) -> MultiFernet:
        module = _fernet_module()
        keys = self._keys.it() if callable(self._keys.it) else self._keys.it
        if isinstance(keys, str | bytes):
            keys = [keys]
        try:
            cipher: MultiFernet = module.MultiFernet([module.Fernet(key) for key in keys])
        except (ValueError, TypeError):
            # The cause is left out: it may quote the key.
            raise StoreError(f"A key is 32 bytes as url-safe base64, and these are not: {_HOW_TO_MAKE}.") from None
        self._cipher = cipher
        return cipher


def _opened(cipher: MultiFernet, data: bytes) -> bytes | None:
    try:
        return cipher.decrypt(data)
    except _fernet_module().InvalidToken:
        return None


def _fernet_module() -> Any:
    try:
        from cryptography import fernet
    except ImportError as error:
        raise ConfigurationError("Encryption needs cryptography: pip install 'authflow-http[encrypted]'.") from error
    return fernet
