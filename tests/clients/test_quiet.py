"""While an exchange is under way, neither its library's loggers nor Sentry keep anything of it."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authflow.clients.quiet import LOGGERS, quiet

#: What exchanges go through. Servers, event loops' own senders and what nobody uses log nothing about them.
LIBRARIES = (
    *("aiohttp", "h11", "h2", "hpack", "httpcore", "httpcore2", "httpx", "httpx2", "jh2", "niquests", "qh3"),
    *("requests", "socks", "socksio", "urllib3", "urllib3_future"),
)
OTHERS = re.compile(
    r"aiohttp\.(access|server|web|websocket)|spam|.*\.(_async|contrib)\..*|(requests|niquests|urllib3\w*|qh3)"
)


def loggers(library: str) -> Iterator[str]:
    """The names under which a library that is installed logs, by its source."""
    found = importlib.util.find_spec(library)
    for file in sorted(Path(found.origin).parent.rglob("*.py")) if found and found.origin else ():
        parts = file.relative_to(Path(found.origin).parent.parent).with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        for name in re.findall(r"getLogger\(([\w.\"']+)\)", file.read_text("utf-8", "replace")):
            yield module if name == "__name__" else name.strip("\"'")


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_logger_of_a_library_is_known(library: str) -> None:
    assert {name for name in loggers(library) if not OTHERS.fullmatch(name)} - {*LOGGERS} == set()


@pytest.mark.parametrize("name", LOGGERS)
def test_nothing_is_logged_meanwhile(name: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger(name)
    with caplog.at_level(1), caplog.at_level(1, name):
        with quiet():
            logger.debug("of the exchange")
            with quiet():
                pass
            logger.debug("still of the exchange")
        logger.debug("of the caller")
    assert caplog.messages == ["of the caller"]


@pytest.fixture
def sent() -> Iterator[list[Any]]:
    """What Sentry sends in this test. None of its integrations patches anything."""
    sentry = pytest.importorskip("sentry_sdk")
    transport = pytest.importorskip("sentry_sdk.transport").Transport
    kept: list[Any] = []

    class Keeps(transport):  # type: ignore[misc]
        def capture_envelope(self, envelope: Any) -> None:
            kept.extend(item.payload.json for item in envelope.items if item.payload.json)

    options = {"transport": Keeps, "default_integrations": False, "traces_sample_rate": 1.0}
    client = sentry.Client("http://k@127.0.0.1:9/1", **options)
    with sentry.isolation_scope() as scope, sentry.new_scope():
        scope.set_client(client)
        yield kept


def test_sentry_keeps_no_breadcrumb_of_an_exchange(sent: list[Any]) -> None:
    import sentry_sdk

    sentry_sdk.add_breadcrumb(message="before")
    with quiet():
        sentry_sdk.add_breadcrumb(message="of the exchange")
    sentry_sdk.add_breadcrumb(message="after")
    sentry_sdk.capture_message("something else")
    said = [crumb.get("message") for crumb in sent[0]["breadcrumbs"]["values"]]  # and what else the process does
    assert [message for message in said if message in ("before", "of the exchange", "after")] == ["before", "after"]


def test_an_exchange_is_no_part_of_the_callers_span(sent: list[Any]) -> None:
    import sentry_sdk

    with sentry_sdk.start_transaction(name="theirs") as theirs:
        with quiet():
            assert sentry_sdk.get_current_span() is None
        assert sentry_sdk.get_current_span() is theirs
        with sentry_sdk.start_span(op="theirs too"):
            pass
    assert [span["op"] for span in sent[0]["spans"]] == ["theirs too"]
