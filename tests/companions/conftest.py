"""The servers of `tests/clients`."""

from tests.clients.conftest import listen

__all__ = ["listen"]
