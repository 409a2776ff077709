"""Files and folders that are one user's alone: how they are made, and what is refused instead of being used.

Nothing here is readable by others at any instant, whatever the umask, which can only take rights away; nothing
follows a symbolic link at the end of a path. Each refusal names the command that mends it. Where there are no POSIX
rights (Windows), the user's profile protects what lies in it, and only the kinds of things are checked.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from authflow.errors import StoreError

_POSIX = os.name == "posix"
_SAFELY = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def state_folder() -> Path:
    """The folder in which this user's records lie by default. Raises `StoreError` where the user has no home."""
    from platformdirs import user_state_dir

    folder = Path(user_state_dir("authflow", appauthor=False))
    if not folder.is_absolute():
        raise StoreError("This user has no home folder to keep tokens in: set HOME, or give a folder (store='/path').")
    return folder


def has_folder(folder: Path) -> bool:
    """Whether `folder` is there. Raises `StoreError` when it is not this user's alone to write to, `OSError`."""
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        return False
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{folder} is not a folder, and tokens are kept in one: give another path.")
    if not _POSIX:
        return True
    if found.st_uid != os.geteuid() or os.lstat(folder).st_uid not in (0, os.geteuid()):  # or the link that leads there
        raise StoreError(f"The folder {folder} belongs to another user: give one of your own (store='/path').")
    if found.st_mode & stat.S_ISVTX and found.st_mode & 0o022:
        raise StoreError(f"{folder} is shared by all users: give a folder of your own in it (store='{folder}/name').")
    if found.st_mode & 0o022:
        raise StoreError(f"Others may write to the folder {folder}: run 'chmod 700 {_quoted(folder)}'.")
    return True


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it that are missing, `0700`. Raises `OSError`."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        try:
            os.mkdir(each, 0o700)
        except FileExistsError:
            continue
        os.chmod(each, 0o700)


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk, where the system can do that. Raises `OSError`."""
    if not _POSIX:
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path: Path) -> bytes | None:
    """What is in the file, or None. Raises `StoreError` when others may read it or put it there, `OSError`."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _SAFELY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise StoreError(f"{path} is a symbolic link, which is not followed: run 'rm {_quoted(path)}'.") from error
        raise
    with open(fd, "rb") as file:
        _refuse_shared(path, os.fstat(fd))
        return file.read()


def _refuse_shared(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path} is not a file: run 'rm -r {_quoted(path)}'.")
    if not _POSIX:
        return
    if found.st_uid != os.geteuid():
        raise StoreError(f"{path} belongs to another user: run 'rm -f {_quoted(path)}', and log in again.")
    if found.st_mode & 0o077:
        raise StoreError(
            f"{path} may be read by others: run 'chmod 600 {_quoted(path)}' "
            "(and log in again, should somebody have read it)."
        )


def write_new(path: Path, content: bytes) -> None:
    """Make the file `path`, `0600`, and bring `content` to the disk. Raises `OSError`, also when it exists."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600)
    with open(fd, "wb") as file:
        if _POSIX:
            os.fchmod(fd, 0o600)
        file.write(content)
        file.flush()
        os.fsync(fd)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
