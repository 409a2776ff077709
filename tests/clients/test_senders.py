"""Senders of exchanges, each library's: whole answers, header by header, within the time-out."""

from __future__ import annotations

import threading
import time

import pytest

from authflow.clients import default_sender
from authflow.clients.base import NoAnswer
from authflow.http import Request
from tests.clients.drivers import DRIVERS
from tests.servers import Supplier

LIBRARIES = sorted({driver.library for driver in DRIVERS})


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_an_exchange_ends_within_its_time(library: str, kind: str, supplier: Supplier) -> None:
    """Itself, and not only for those who wait for it: it holds the store's lock."""
    supplier.fail("login", kind=kind)
    failed: list[NoAnswer] = []

    def exchange() -> None:
        try:
            default_sender(library).exchange(Request("POST", f"{supplier.base_url}login", body=b"{}"), 0.5)
        except NoAnswer as error:
            failed.append(error)

    thread = threading.Thread(target=exchange, daemon=True)
    started = time.monotonic()
    thread.start()
    thread.join(5)
    assert [error.sent for error in failed] == [True]
    assert time.monotonic() - started >= 0.5
