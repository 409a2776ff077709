"""Who may call: keys of ours, kept as hashes.

A key has 32 random bytes, so that a fast hash is enough: nobody guesses it, and the file gives none away. Whoever asks
for a caller reads the file anew when it has changed; a revoked key is good no longer. A file that cannot be read any
more holds no key.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

import authflow

log: Final = logging.getLogger("authflow_gateway")

PREFIX: Final = "agw_"
#: A key that somebody has put where it does not belong.
KEY: Final = re.compile(PREFIX + r"[\w%-]+")
#: A header of our own, for callers whose `Authorization` is not theirs to set.
HEADER: Final = "x-gateway-key"


class Key(msgspec.Struct, frozen=True):
    """One caller. `made` is in epoch seconds."""

    name: str
    hash: str
    made: int


class Callers:
    """The keys of a file. Raises ConfigurationError for one that cannot be read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen: tuple[int, ...] | None = None
        self._names: dict[str, str] = {}

    def named(self, presented: str) -> str | None:
        """Whose key this is; nobody's, where the file cannot be read."""
        self._read_anew()
        return self._names.get(_hash(presented))

    def _read_anew(self) -> None:
        try:
            found = self.path.stat()
            seen: tuple[int, ...] = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)
        except OSError:
            seen = ()
        if seen == self._seen:
            return
        try:
            self._names = {key.hash: key.name for key in self.keys()}
        except authflow.ConfigurationError as error:
            log.warning("nobody may call: %s", error)
            self._names = {}
        self._seen = seen

    def keys(self) -> list[Key]:
        try:
            if os.name == "posix" and self.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise authflow.ConfigurationError(f"{self.path}: others may write to it, and make keys of their own")
            return msgspec.json.decode(self.path.read_bytes(), type=list[Key])
        except FileNotFoundError:
            return []
        except OSError as error:
            raise authflow.ConfigurationError(f"{self.path}: cannot be read: {error.strerror or error}") from None
        except msgspec.MsgspecError:
            raise authflow.ConfigurationError(f"{self.path}: is not a file of keys") from None

    def add(self, name: str) -> str:
        """A new key, which is shown this once. Raises ConfigurationError for a name that is taken."""
        known = self.keys()
        if any(key.name == name for key in known):
            raise authflow.ConfigurationError(f"{name} has a key already: revoke it first")
        key = PREFIX + secrets.token_urlsafe(32)
        self._write([*known, Key(name, _hash(key), int(time.time()))])
        return key

    def revoke(self, name: str) -> None:
        """Raises ConfigurationError for a name that has none."""
        known = self.keys()
        left = [key for key in known if key.name != name]
        if len(left) == len(known):
            raise authflow.ConfigurationError(
                f"there is no key {name!r}: {', '.join(key.name for key in known) or 'none'}"
            )
        self._write(left)

    def _write(self, keys: Iterable[Key]) -> None:
        """Whole or not at all; for this user alone, or whom the file that is there is for."""
        try:
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            try:
                if os.name == "posix" and self.path.exists():
                    found = self.path.stat()
                    os.fchmod(handle, stat.S_IMODE(found.st_mode))
                    if os.geteuid() == 0:
                        os.fchown(handle, found.st_uid, found.st_gid)
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(list(keys)), indent=1) + b"\n")
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise authflow.ConfigurationError(f"{self.path}: cannot be written: {error.strerror or error}") from None


def _hash(key: str) -> str:
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def presented(authorization: str | None, own: str | None) -> str | None:
    """The key that a request carries: in our own header, as a bearer, or as the password of Basic."""
    if own:
        return own.strip()
    scheme, _, rest = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None
