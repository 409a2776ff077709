"""What every suite over the clients starts from: the supplier, started once a module, and the clients' drivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Listener, Says, Supplier, listening, running_supplier


@pytest.fixture(scope="module")
def running() -> Iterator[Supplier]:
    with running_supplier() as supplier:
        yield supplier


@pytest.fixture
def supplier(running: Supplier, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Supplier:
    """The supplier's process, its counts at zero and all faults forgotten; plain, where a test is asked both ways."""
    running.plain = getattr(request, "param", False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    running.fresh()
    return running


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.name)
def client(request: pytest.FixtureRequest) -> Driver:
    """Each client in turn."""
    driver: Driver = request.param
    return driver


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Start servers with `listen(says)`; they end with the test."""
    with ExitStack() as stack:

        def start(*says: Callable[[Came], Says]) -> Listener:
            return stack.enter_context(listening(*says))

        yield start
