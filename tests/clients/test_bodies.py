"""Bodies: what can be sent twice is sent whole both times; what cannot is never sent twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Listener, Says, Supplier

Listen = Callable[..., Listener]

CONTENT = b"0123456789" * 2000
REPLAYABLE = [(driver, kind) for driver in DRIVERS for kind in driver.replayable]
ONE_SHOT = [(driver, kind) for driver in DRIVERS for kind in driver.one_shot]

#: With a file that rewrites URLs, and with one whose every request takes the short cut.
pytestmark = pytest.mark.parametrize("supplier", [False, True], ids=["rewritten", "plain"], indirect=True)


def names(pairs: list[tuple[Driver, str]]) -> list[str]:
    return [f"{driver.name}-{kind.replace(' ', '_')}" for driver, kind in pairs]


def rejecting_once() -> Callable[[Came], Says]:
    """A server that turns the first bearer away, for good, and tells others what it received."""
    rejected: list[str] = []

    def says(came: Came) -> Says:
        rejected[:] = rejected or [came.headers["authorization"]]
        turned_away = came.headers["authorization"] in rejected
        return Says(401 if turned_away else 200, {"received": len(came.body)})

    return says


@pytest.mark.parametrize(("client", "kind"), REPLAYABLE, ids=names(REPLAYABLE))
def test_a_replayable_body_is_sent_whole_again(
    client: Driver, kind: str, supplier: Supplier, listen: Listen, tmp_path: Path
) -> None:
    sink = listen(rejecting_once())
    session = supplier.session(data_origin=sink.url)
    reply = client.call(session, f"{sink.url}/upload", "POST", **client.replayable[kind](CONTENT, tmp_path))
    first, second = sink.seen()
    assert reply.status == 200
    assert len(CONTENT) <= len(first.body) == len(second.body) == reply.json["received"]
    assert CONTENT in second.body
    assert first.headers["authorization"] != second.headers["authorization"]


@pytest.mark.parametrize(("client", "kind"), ONE_SHOT, ids=names(ONE_SHOT))
def test_a_one_shot_body_is_sent_once_and_the_next_request_has_a_new_token(
    client: Driver, kind: str, supplier: Supplier, listen: Listen, tmp_path: Path
) -> None:
    sink = listen(rejecting_once())
    session = supplier.session(data_origin=sink.url)
    session.token()
    supplier.control(latency=0.2)
    for status in (401, 200):
        reply = client.call(session, f"{sink.url}/upload", "POST", **client.one_shot[kind](CONTENT, tmp_path))
        assert (reply.status, reply.json["received"]) == (status, len(CONTENT))
    assert [came.body == CONTENT for came in sink.seen()] == [True, True]
    assert supplier.counts == {"login": 1, "refresh": 1}
