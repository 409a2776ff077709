"""A gateway as people run it: a process of its own, its file, its keys; and the supplier behind it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import PASSWORD, Supplier, running_supplier

COMMAND = (sys.executable, "-c", "from authflow_gateway.command import main; main()")
ROUTE = """
[[routes]]
path = "/supplier/{path}"
account = "supplier"
methods = ["GET", "POST"]
paths = ["deliveries/*", "me", "echo/**"]
"""


@dataclass
class Gateway:
    folder: Path
    process: subprocess.Popen[str]
    url: str
    key: str
    env: Mapping[str, str] = field(default_factory=dict)

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"X-Gateway-Key": self.key}, timeout=30, **more)

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8")


def command(folder: Path, *words: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )


@contextmanager
def running(folder: Path, accounts: str, config: str = ROUTE, top: str = "", **env: str) -> Iterator[Gateway]:
    """A gateway on a free port; it is stopped as an operator would."""
    (folder / "accounts.toml").write_text(accounts, "utf-8")
    (folder / "accounts.toml").chmod(0o600)
    listens = "" if "listen =" in top else 'listen = "127.0.0.1:0"\n'
    (folder / "gateway.toml").write_text(f'{listens}accounts = "accounts.toml"\n{top}\n{config}', "utf-8")
    whole = {**os.environ, "NO_PROXY": "127.0.0.1", "XDG_STATE_HOME": str(folder), **env}
    added = command(folder, "key", "add", "salesforce", env=whole)
    assert added.returncode == 0, added.stderr
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "gateway.toml"], cwd=folder, env=whole, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, (folder / "log").read_text("utf-8")
            yield Gateway(folder, process, json.loads(line)["listens"], added.stdout.strip(), whole)
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def account(supplier: Supplier, store: str = "memory") -> str:
    return (
        f'[accounts.supplier]\nvendor = "supplier"\nstore = "{store}"\nusername = "demo"\n'
        f'password = {{ env = "P" }}\nbase_url = "{supplier.base_url}"\ndata_origin = "{supplier.data_url}"\n'
    )


@pytest.fixture(autouse=True)
def others_logs() -> Iterator[None]:
    """An application in this process lets httpx tell less; the tests of others want to hear it."""
    logger = logging.getLogger("httpx")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    with running_supplier() as supplier:
        yield supplier


@pytest.fixture
def gateway(supplier: Supplier, tmp_path: Path) -> Iterator[Gateway]:
    with running(tmp_path, account(supplier), P=PASSWORD) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Supplier]]:
    """One for all the requests that must not reach the supplier."""
    folder = tmp_path_factory.mktemp("quiet")
    with running_supplier() as supplier, running(folder, account(supplier), P=PASSWORD) as gateway:
        yield gateway, supplier
