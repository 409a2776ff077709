"""From what a user types after `store=` to a store.

    "memory"                              this process only
    "file", "./folder", Path, "file:///…" a folder of records, for one user of one machine
    "keyring", "keyring:///folder"        the same, encrypted, the key in the operating system's keyring; one that keeps
                                          it as plain text is refused, unless "?plaintext=allow" stands behind
    "redis://…", "rediss://…", "unix://…" a fleet
    "encrypted+" before any of these      encrypted with the key in the environment variable AUTHFLOW_KEY
    "scheme://…" of a plugin, or an object of the `Store` protocol

    base                                      what a store is: load, save, delete, lock; read this first
    memory, file, keyring, encrypted, redis   a store each
    turns, private                            whose turn it is between processes; files that nobody else may read

A store never looks into its records. Its libraries are imported when the first one of its kind is opened. No message
shows a URL: it may hold a password.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from authflow.errors import ConfigurationError
from authflow.sealed import sealed_call
from authflow.stores.base import Conflict, LockTimeout, Store, Stored
from authflow.stores.private import write_new

if TYPE_CHECKING:
    from authflow.stores.encrypted import EncryptedStore, new_key
    from authflow.stores.file import FileStore
    from authflow.stores.keyring import KeyringStore, plain_backend
    from authflow.stores.memory import PROCESS_REFUSALS, MemoryStore
    from authflow.stores.redis import RedisStore

__all__ = [
    "PROCESS_REFUSALS",
    "Conflict",
    "EncryptedStore",
    "FileStore",
    "KeyringStore",
    "LockTimeout",
    "MemoryStore",
    "RedisStore",
    "Store",
    "Stored",
    "new_key",
    "open_store",
    "plain_backend",
    "write_new",
]

_HOMES = {
    "EncryptedStore": "encrypted",
    "FileStore": "file",
    "KeyringStore": "keyring",
    "MemoryStore": "memory",
    "PROCESS_REFUSALS": "memory",
    "RedisStore": "redis",
    "new_key": "encrypted",
    "plain_backend": "keyring",
}

Factory = Callable[[str], Store]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


@sealed_call
def open_store(spec: str | os.PathLike[str] | Store, *, factories: Mapping[str, Factory] | None = None) -> Store:
    """The store that `spec` stands for. `factories` adds URL schemes: each is called with the whole URL.

    Raises `ConfigurationError` when nothing is known by that name, `StoreError` when the store cannot be used here.
    """
    if isinstance(spec, os.PathLike):
        return _folder(os.fspath(spec))
    if not isinstance(spec, str):
        if isinstance(spec, Store):
            return spec
        raise ConfigurationError(
            f"store= takes a name, a path, a URL or an object with load, save, delete and lock; not "
            f"{type(spec).__name__}."
        )
    known = {**dict.fromkeys(SCHEMES, _open_url), **(factories or {})}
    scheme, mark, _ = spec.partition("://")
    if scheme in known or (not mark and spec.partition("?")[0] in known):
        return known[scheme.partition("?")[0]](spec)
    outer, plus, inner = spec.partition("+")
    if plus and outer == "encrypted":
        from authflow.stores.encrypted import EncryptedStore

        return EncryptedStore(open_store(inner, factories=factories))
    if not mark and (word := spec.partition(":")[0]) != spec and (word in known or re.match(r"\w+:[^/\\]*@", spec)):
        raise ConfigurationError(
            f"A store's URL has slashes behind its scheme ({word}://…), and three before a path (file:///folder)."
        )
    if not mark and (spec.startswith(("~", ".")) or "/" in spec or os.sep in spec):
        return _folder(spec)
    names = ", ".join(sorted(known))
    what = f"the scheme {scheme!r}" if mark else repr(spec) if spec.isidentifier() else "store="
    raise ConfigurationError(
        f"{what} names no store. Known are {names}, each also after 'encrypted+'; a folder is written './folder' "
        "or '/folder'; a plugin that brings another scheme must be installed."
    )


def _folder(path: str) -> Store:
    from authflow.stores.file import FileStore

    return FileStore(path)


#: scheme → the module here whose `open_url` opens it
SCHEMES: Mapping[str, str] = {
    "memory": "memory",
    "file": "file",
    "keyring": "keyring",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
}


def _open_url(url: str) -> Store:
    scheme = re.split(r"://|\?", url)[0]
    store: Store = importlib.import_module(f"{__name__}.{SCHEMES[scheme]}").open_url(url)
    return store
