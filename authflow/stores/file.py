"""Records in a folder: one user, one machine, any number of processes.

    KEY.json           the record: revision, checksum and data, in one JSON object
    KEY.json.corrupt   a record that could not be read, set aside
    .KEY.*.tmp         a record that is being written, or was when its process died
    KEY.guard, .turn, .N.lock   whose turn it is: see `turns`

A record is written to a temporary file, flushed, synced, and renamed over the old one, and then the folder is synced.
The revision is compared in the same guarded instant as the rename, so of two that replace one revision exactly one
succeeds, however long the other slept. Files are made `0600` and folders `0700` whatever the umask, which can only
take rights away.

What others could have read, or could have put here, is not used (see `private`): a record that is a symbolic link,
that belongs to somebody else or that others may read, and a folder that others may write to, are refused with the
command that mends it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authflow.errors import StoreError
from authflow.stores import private, turns
from authflow.stores.base import Conflict, Stored, url_path

__all__ = ["FileStore"]

_log = logging.getLogger("authflow")
_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*")
_LEFT_OVER = 3600.0
"""Seconds after which a temporary file is taken for a dead process's; should that process live, it writes another."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_looked: dict[Path, float] = {}
"""When each folder was last searched for such files (monotonic seconds): it may hold a hundred thousand records."""

_ADVICE = {
    errno.EROFS: "give a folder that this user may write to (store='/path'), or keep tokens in memory (store='memory')",
    errno.ENOSPC: "make room on that disk, or give a folder on another one (store='/path')",
}
_ADVICE |= dict.fromkeys((errno.EACCES, errno.EPERM), _ADVICE[errno.EROFS])
_ADVICE |= {errno.EDQUOT: _ADVICE[errno.ENOSPC]}


def open_url(url: str) -> FileStore:
    """The store that `store="file"`, or a URL with that scheme, stands for."""
    return FileStore(url_path(url))


class FileStore:
    """Keeps each record in a file of its own in `path`, by default the folder for this user's state.

    `lifetime` is ignored.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        try:
            self._folder = private.state_folder() if path is None else Path(path).expanduser().absolute()
        except RuntimeError as error:
            raise StoreError("'~' has no meaning for this user: set HOME, or give an absolute folder.") from error

    @property
    def folder(self) -> Path:
        """The absolute path of the folder."""
        return self._folder

    def load(self, key: str) -> Stored | None:
        """The record under `key`, or None; one that is damaged is set aside and logged.

        Raises `StoreError` when the record or its folder is not this user's alone, or cannot be read.
        """
        path = self._record(key)
        with self._failing("read"):
            if not private.has_folder(self._folder):
                return None
            try:
                return _unpacked(private.read(path))
            except _Damaged:
                with turns.guarded(self._folder, key):
                    present, damage = _whole_or_aside(path)
        _report(path, damage)
        return present

    def save(self, key: str, data: bytes, revision: str | None, *, lifetime: float | None = None) -> str:
        """Replace the record whose revision is `revision`, synced to the disk; return the new one.

        Raises `Conflict`, or `StoreError` when the folder is not this user's alone or cannot be written.
        """
        path, new = self._record(key), secrets.token_hex(8)
        with self._failing("written"):
            self._ensure_folder()
            content = _packed(data, new)
            while not self._replaced(key, path, content, revision):
                pass
            private.sync_folder(self._folder)
            self._remove_left_over()
        return new

    def delete(self, key: str) -> None:
        """Remove the record under `key`, if there is one. Raises `StoreError`."""
        path = self._record(key)
        with self._failing("written"):
            if private.has_folder(self._folder):
                with turns.guarded(self._folder, key), suppress(FileNotFoundError):
                    os.unlink(path)
                private.sync_folder(self._folder)

    @contextmanager
    def lock(self, key: str, *, limit: float, wait: float) -> Iterator[None]:
        """Keep all others at this folder out of `key`, for `limit` seconds at most.

        Raises `LockTimeout` after `wait` seconds, `StoreError` when the folder cannot be used.
        """
        self._record(key)
        mine = turns.turn(self._folder, key, limit=limit, wait=wait)
        with self._failing("written"):
            self._ensure_folder()
            mine.__enter__()
        try:
            yield
        finally:
            mine.__exit__(None, None, None)

    def __repr__(self) -> str:
        return f"FileStore({str(self._folder)!r})"

    def _record(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"A key is made of a-z, 0-9, '.', '_' and '-': {key!r}")
        return self._folder / f"{key}.json"

    def _ensure_folder(self) -> None:
        if not private.has_folder(self._folder):
            private.make_folder(self._folder)
            private.has_folder(self._folder)

    def _replaced(self, key: str, path: Path, content: bytes, revision: str | None) -> bool:
        """False when the temporary file was removed as left over before it could be renamed."""
        temporary = self._folder / f".{key}.{secrets.token_hex(8)}.tmp"
        try:
            private.write_new(temporary, content)
            with turns.guarded(self._folder, key):
                present, damage = _whole_or_aside(path)
                fits = (present.revision if present else None) == revision
                if fits:
                    try:
                        os.replace(temporary, path)
                    except FileNotFoundError:
                        return False
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        _report(path, damage)
        if not fits:
            raise Conflict(f"The record {path} has changed meanwhile: load it again.")
        return True

    def _remove_left_over(self) -> None:
        now, oldest = time.monotonic(), time.time() - _LEFT_OVER
        if now - _looked.get(self._folder, -_LEFT_OVER) < _LEFT_OVER:
            return
        _looked[self._folder] = now
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if _TEMPORARY.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "see to it, or keep the tokens elsewhere (store='/path')")
            reason = (error.strerror or type(error).__name__).lower()
            raise StoreError(f"Tokens cannot be {what} in {self._folder} ({reason}): {advice}.") from error


class _Damaged(Exception):
    """A record that is not whole, and why."""


def _packed(data: bytes, revision: str) -> bytes:
    text = base64.b64encode(data).decode()
    record = {"authflow": 1, "revision": revision, "sha256": _checksum(revision, text), "data": text}
    return json.dumps(record).encode() + b"\n"


def _unpacked(content: bytes | None) -> Stored | None:
    if content is None:
        return None
    try:
        record = json.loads(content)
        revision, text = record["revision"], record["data"]
        if record["sha256"] != _checksum(revision, text):
            raise _Damaged("its checksum does not fit")
        return Stored(base64.b64decode(text, validate=True), revision)
    except (ValueError, KeyError, TypeError) as error:
        # The cause is left out: it quotes the record.
        raise _Damaged(f"{len(content)} bytes, {type(error).__name__}") from None


def _checksum(revision: str, text: str) -> str:
    return hashlib.sha256(f"{revision}\n{text}".encode()).hexdigest()


def _whole_or_aside(path: Path) -> tuple[Stored | None, str]:
    """The record, and what damage it was set aside for; only inside the guard, where nobody repairs it meanwhile."""
    try:
        return _unpacked(private.read(path)), ""
    except _Damaged as damage:
        os.replace(path, path.with_name(f"{path.name}.corrupt"))
        return None, str(damage)


def _report(path: Path, damage: str) -> None:
    if damage:
        _log.warning("The record %s was unreadable (%s) and is set aside as %s.corrupt.", path, damage, path.name)
