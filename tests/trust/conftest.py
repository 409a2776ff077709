"""What the suites of the worst day start from: the clients' fixtures, and a session without a network."""

from __future__ import annotations

import pytest

from tests.clients.conftest import client, listen, running, supplier
from tests.scripted import ScriptedVendor

__all__ = ["client", "listen", "running", "supplier", "vendor"]


@pytest.fixture
def vendor() -> ScriptedVendor:
    return ScriptedVendor()
