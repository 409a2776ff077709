"""The simulator behind each library: bodies, streams, cookies, and the errors that a broken connection gives."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from authflow.testing import Clock, Simulator, httpx_transport, requests_adapter
from authflow.testing.faults import BROKEN
from authflow.testing.suite import signed_up

HTTPX = ["httpx", "httpx2"]


def mounted(simulator: Simulator) -> requests.Session:
    client = requests.Session()
    client.mount("https://", requests_adapter(simulator))
    return client


@pytest.mark.parametrize("library", HTTPX)
def test_async_clients_are_served(library: str) -> None:
    lib: Any = importlib.import_module(library)
    simulator, session = signed_up("supplier")

    async def both() -> list[int]:
        transport = httpx_transport(simulator, library)
        async with lib.AsyncClient(transport=transport, auth=getattr(session, library)) as client:
            answers = await asyncio.gather(*(client.get(simulator.base_url + f"deliveries/{n}") for n in range(20)))
            return [answer.status_code for answer in answers]

    assert asyncio.run(both()) == [200] * 20
    assert simulator.counts["login"] == 1
    assert {seen.url.rpartition("/")[0].rpartition("/")[2] for seen in simulator.log if seen.what == "data"} == {
        "tracking"
    }


@pytest.mark.parametrize("library", HTTPX)
@pytest.mark.parametrize("fault", BROKEN)
def test_httpx_raises_its_own_error(library: str, fault: str) -> None:
    lib: Any = importlib.import_module(library)
    simulator = Simulator("supplier", clock=Clock())
    simulator.faults.add(fault)
    with lib.Client(transport=httpx_transport(simulator, library)) as client, pytest.raises(lib.TransportError):
        client.get(simulator.base_url)


@pytest.mark.parametrize("fault", BROKEN)
def test_requests_raises_its_own_error(fault: str) -> None:
    simulator = Simulator("supplier", clock=Clock())
    simulator.faults.add(fault)
    with mounted(simulator) as client, pytest.raises(requests.RequestException):
        client.get(simulator.base_url, timeout=5)


def test_a_one_shot_body_is_read_and_stays_one() -> None:
    import httpx

    simulator, session = signed_up("supplier")
    session.token()
    simulator.faults.add("expire")

    def once() -> Iterator[bytes]:
        yield b"12345"

    with httpx.Client(transport=httpx_transport(simulator), auth=session.httpx) as client:
        assert client.post(simulator.base_url + "x", content=once()).status_code == 401
        assert client.post(simulator.base_url + "x", content=once()).json()["received"] == 5
    with mounted(simulator) as client:
        answer = client.post(simulator.base_url + "x", data=once(), auth=session.requests, timeout=5)
        assert answer.json()["received"] == 5


def test_cookies_reach_the_jar_of_requests() -> None:
    from .shapes import shapes

    simulator, _ = signed_up(shapes()["preset-session-cookie"])
    account = {name: simulator.inputs[name] for name in ("username", "password")}
    with mounted(simulator) as client:
        client.post(simulator.base_url + "login", data=account, timeout=5)
        assert client.get(simulator.base_url + "x", timeout=5).status_code == 200
        assert list(client.cookies.keys()) == ["session"]
