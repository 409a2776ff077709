"""Processes that share one store and one account, against the real supplier."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Supplier, running_supplier
from tests.stores.conftest import START, RedisServer, start_redis

WORKER = Path(__file__).parent / "worker.py"


class Worker:
    """One process of the fleet."""

    def __init__(self, **setup: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.order(**setup)

    def order(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ask(self, **order: Any) -> dict[str, Any]:
        self.order(**order)
        return self.answer()


@contextlib.contextmanager
def fleet(supplier: Supplier, store: str, size: int, **more: Any) -> Iterator[list[Worker]]:
    """So many processes, ready."""
    setup = {"store": store, "base_url": supplier.base_url, "data_origin": supplier.data_url, **more}
    workers = [Worker(ahead=supplier.ahead, **setup) for _ in range(size)]
    try:
        for worker in workers:
            worker.answer()
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.communicate(timeout=START)


@pytest.fixture
def supplier() -> Iterator[Supplier]:
    with running_supplier() as supplier:
        yield supplier


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = start_redis(tmp_path)
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path / 'tokens'}"
    server: RedisServer = request.getfixturevalue("redis")
    return server.url
