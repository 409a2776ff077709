"""niquests has an environment of its own (`make test-niquests`): elsewhere nothing here is collected."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.servers import Came, Listener, Says, Supplier, running_supplier

if importlib.util.find_spec("niquests") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def supplier(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supplier]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with running_supplier() as supplier:
        yield supplier


@pytest.fixture
def listen_h2(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Came], Says]], Listener]]:
    """Start servers that speak HTTP/2 alone; they end with the test."""
    from tests.niquests.h2 import listening_h2

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with ExitStack() as stack:
        yield lambda says: stack.enter_context(listening_h2(says))
