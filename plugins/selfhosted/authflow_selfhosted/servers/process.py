"""One server process: started under a guard, awaited until it answers, ended with everything that it started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
#: Seconds in which a server must answer its first request.
PATIENCE = 90.0


class NotStarted(Exception):
    """The server ended, or did not answer; the message holds the end of its log."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(command: Sequence[str], environ: Mapping[str, str], log: Path, ready: str) -> Iterator[None]:
    """The command runs within, once the URL `ready` has answered, whatever the status. Raises NotStarted."""
    with log.open("ab") as out:
        guard = subprocess.Popen(
            [sys.executable, str(GUARD), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={**os.environ, **environ},
            start_new_session=True,
        )
    assert guard.stdin is not None
    try:
        _await(guard, ready, log)
        yield
    finally:
        guard.stdin.close()
        guard.wait()


def _await(guard: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if guard.poll() is not None:
            raise NotStarted(f"it ended with status {guard.returncode}: {_tail(log)}")
        try:
            status(ready)
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise NotStarted(f"no answer within {PATIENCE:g} s: {_tail(log)}")


def status(url: str, headers: Mapping[str, str] | None = None) -> int:
    """The status of a GET, past any proxy. Raises OSError if no answer comes."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def run(command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
    """A command that ends by itself. Raises NotStarted if it fails."""
    with log.open("ab") as out:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={**os.environ, **environ},
            timeout=300,
        )
    if done.returncode:
        raise NotStarted(f"{Path(command[0]).name} ended with status {done.returncode}: {_tail(log)}")


def _tail(log: Path) -> str:
    return " | ".join(log.read_text("utf-8", "replace").strip().splitlines()[-8:])
