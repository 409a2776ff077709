"""niquests opens WebSockets itself: `auth=` is asked about `wss://` as about any other URL."""

from __future__ import annotations

import asyncio

import niquests
import pytest

import authflow
from tests.built_on.conftest import Vendor, echo, session, vendor

pytest.importorskip("websockets", reason="websockets is in the environments of `make test-niquests`")
pytest.importorskip("wsproto", reason="wsproto is in the environments of `make test-niquests`")

__all__ = ["echo", "session", "vendor"]


def test_a_websocket_logs_in_and_outlives_its_token(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    with niquests.Session(auth=session.niquests) as client:
        for _ in range(2):
            answer = client.get(echo)
            answer.extension.send_payload("hello")
            assert [answer.extension.next_payload(), answer.extension.next_payload()] == ["hello", "hello"]
            answer.extension.close()
            vendor.revoke()
    assert vendor.refused == 1


def test_a_websocket_in_an_event_loop(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    async def run() -> list[str]:
        async with niquests.AsyncSession(auth=session.niquests) as client:
            answer = await client.get(echo)
            await answer.extension.send_payload("hello")
            heard = [await answer.extension.next_payload(), await answer.extension.next_payload()]
            await answer.extension.close()
            return heard

    session.token()
    vendor.revoke()
    assert asyncio.run(run()) == ["hello", "hello"]
    assert vendor.refused == 1


def test_a_websocket_elsewhere_gets_no_token(vendor: Vendor, echo: str) -> None:
    with (
        niquests.Session(auth=vendor.session().niquests) as client,
        pytest.raises(authflow.UntrustedOrigin),
    ):
        client.get(echo)
    assert vendor.refused == 0
