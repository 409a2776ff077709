"""The command line as a user has it: a process of its own, with a home folder that nobody else has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PASSWORD, Supplier, running_supplier

#: `authflow` without a script on the path: the same entry point.
AUTHFLOW = (sys.executable, "-c", "from authflow.cli import main; main()")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs verbs with this home; `env` is all of the environment."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    def write(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    def environment(self, **more: str) -> dict[str, str]:
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "AUTHFLOW_CONFIG": str(self.config),
            "NO_PROXY": "127.0.0.1",
            "PYTHONUTF8": "1",
        }
        return {**own, **self.env, **more}

    def __call__(self, *words: str, given: str = "", **more: str) -> Done:
        done = subprocess.run(
            [*AUTHFLOW, *words],
            env=self.environment(**more),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def on_a_terminal(self, *words: str, **more: str) -> tuple[int, str]:
        """The exit code, and all that a terminal of 120 columns shows."""
        import pty

        master, terminal = pty.openpty()
        env = self.environment(**{"COLUMNS": "120", "TERM": "xterm-256color", **more})
        with subprocess.Popen(
            [*AUTHFLOW, *words], env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
        ) as process:
            os.close(terminal)
            shown = shown_until(master, None)
        os.close(master)
        return process.returncode, shown.decode("utf-8", "replace")


def shown_until(terminal: int, mark: bytes | None) -> bytes:
    """What a terminal shows until a mark, or until the other side is gone."""
    shown = b""
    while mark is None or mark not in shown:
        try:
            more = os.read(terminal, 1024)
        except OSError:  # Linux: the last one at the other side has closed it
            break
        if not more:
            break
        shown += more
    return shown


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="session")
def _supplier() -> Iterator[Supplier]:
    with running_supplier() as supplier:
        yield supplier


@pytest.fixture
def supplier(_supplier: Supplier) -> Supplier:
    _supplier.fresh()
    return _supplier


@pytest.fixture
def account(shell: Shell, supplier: Supplier) -> Shell:
    """A shell whose config file has the account `sup`, its password in the environment."""
    shell.write(
        f"""
        [accounts.sup]
        vendor = "supplier"
        username = "demo"
        password = {{ env = "SUP_PASSWORD" }}
        base_url = "{supplier.base_url}"
        data_origin = "{supplier.data_url}"
        """
    )
    shell.env["SUP_PASSWORD"] = PASSWORD
    return shell
