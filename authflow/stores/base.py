"""What a store is: four verbs over opaque records, shared by all who use one account.

A record is bytes plus a revision. The store never looks into the bytes and never learns whose they are: keys are made
by the session from hashes. Two mechanisms guard a record, and each is enough to keep it whole:

    lock   keeps the others out while one exchanges, for `limit` seconds at most; a holder that is stopped for longer
           is passed over, so nobody waits for it forever
    save   compares the revision and replaces the record in one step, so that such a holder, once it runs again,
           gets `Conflict` and overwrites nothing newer

Every failure of what lies behind a store (disk, network, keyring, cipher) leaves it as `StoreError`, saying what to
do, with its cause chained and without a secret. A store is safe to use from many threads, after a fork and after
unpickling; `lock` may be entered in one thread and left in another. Whoever writes one runs
`authflow.testing.store_contract` over it.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

from authflow.errors import ConfigurationError, StoreError
from authflow.sealed import Sealed, sealed_value

__all__ = ["Conflict", "LockTimeout", "Store", "Stored", "url_path"]


@sealed_value
class Stored(Sealed):
    """A record as it was loaded. `revision` is opaque: equal only to itself, and new with every save."""

    data: bytes
    revision: str

    def __repr__(self) -> str:
        return f"Stored({len(self.data)} bytes, revision={self.revision!r})"


class Conflict(StoreError):
    """The record that was to be replaced has meanwhile become another, or has gone: load it and decide again."""


class LockTimeout(StoreError):
    """Others kept the lock for longer than the caller would wait."""


@runtime_checkable
class Store(Protocol):
    """Where records are kept. Keys are made of the characters `a-z 0-9 . _ -` and hold no names of users."""

    def load(self, key: str) -> Stored | None:
        """The record under `key`, whole, or None where there is none that can be used.

        Raises `StoreError`.
        """
        ...

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Put `data` in the place of the record whose revision is `revision` (None: there is none); return the new
        revision.

        When it returns, the record is kept; killed at any instant, it leaves the old record or the new one, whole.
        `lifetime` says in how many seconds the record is of no more use, and may then be dropped; a store may ignore
        it.

        Raises `Conflict` when the record is not the one that `revision` names, `StoreError` when it cannot be kept.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the record under `key`, whatever its revision; none there is no error.

        Raises `StoreError`.
        """
        ...

    def lock(self, key: str, *, limit: float, wait: float) -> AbstractContextManager[None]:
        """Keep all others who share the store out of `key` while the returned context lasts; not reentrant.

        A holder has it for `limit` seconds at most: then others may take it, whether the holder runs or not. A holder
        that dies loses it by then at the latest. Nothing is taken before the context is entered; entering waits for
        up to `wait` seconds.

        Raises `LockTimeout` when others kept it for that long, `StoreError` when it cannot be taken at all.
        """
        ...


def url_path(url: str) -> str | None:
    """For stores that are folders: the path in `file:///path` or `keyring:///path`; None for the scheme alone."""
    parts = urlsplit(url)
    if "://" not in url and "?" not in url:
        return None
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise ConfigurationError(
            f"A {parts.scheme} URL has three slashes and an absolute path: {parts.scheme}:///folder."
        )
    path = unquote(parts.path)
    return path.lstrip("/") if os.name == "nt" else path
