"""WebSockets: httpx-ws opens them through httpx, so `auth=` is enough; others take `session.headers(url)`."""

from __future__ import annotations

import asyncio

import httpx
import pytest

pytest.importorskip("websockets", reason="websockets is not installed: make recipes")
pytest.importorskip("httpx_ws", reason="httpx-ws is not installed: make recipes")

from httpx_ws import aconnect_ws, connect_ws
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import connect

import authflow
from tests.built_on.conftest import Vendor, recipe


def test_httpx_ws_logs_in_and_outlives_its_token(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    with httpx.Client(auth=session.httpx) as client:
        for _ in range(2):
            with connect_ws(echo, client) as socket:
                socket.send_text("hello")
                assert [socket.receive_text(), socket.receive_text()] == ["hello", "hello"]
            vendor.revoke()
    assert vendor.refused == 1


def test_httpx_ws_in_an_event_loop(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    async def run() -> list[str]:
        async with httpx.AsyncClient(auth=session.httpx) as client, aconnect_ws(echo, client) as socket:
            await socket.send_text("hello")
            return [await socket.receive_text(), await socket.receive_text()]

    assert asyncio.run(run()) == ["hello", "hello"]
    assert (vendor.logins, vendor.refused) == (1, 0)


def test_a_websocket_that_takes_headers(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    with connect(echo, additional_headers=session.headers(echo)) as socket:
        socket.send("hello")
        assert [socket.recv(), socket.recv()] == ["hello", "hello"]

    async def run() -> str:
        token = await session.atoken()
        async with connect_async(echo, additional_headers={"Authorization": f"Bearer {token.access}"}) as socket:
            await socket.send("hello")
            return str(await socket.recv())

    assert asyncio.run(run()) == "hello"
    assert (vendor.logins, vendor.refused) == (1, 0)


def test_the_recipe_listens(vendor: Vendor, session: authflow.AuthSession, echo: str) -> None:
    assert list(recipe("web_socket.py", session)["listen"](echo.replace("/echo", "/greeting"))) == ["hello", "goodbye"]
    assert (vendor.logins, vendor.refused) == (1, 0)


def test_the_token_goes_to_no_socket_that_is_not_declared(vendor: Vendor, echo: str) -> None:
    session = vendor.session()
    with pytest.raises(authflow.UntrustedOrigin):
        session.headers(echo)
    with (
        httpx.Client(auth=session.httpx) as client,
        pytest.raises(authflow.UntrustedOrigin),
        connect_ws(echo, client),
    ):
        raise AssertionError("it was opened")
    assert vendor.refused == 0
