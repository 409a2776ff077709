"""One `session.niquests` for `Session` and `AsyncSession`, wherever they are used, and nothing else installed."""

from __future__ import annotations

import asyncio
import importlib.util
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import niquests
import pytest

import authflow
from tests.servers import LIFETIME, Came, Listener, Says, Supplier, listening

Listen = Callable[[Callable[[Came], Says]], Listener]
LATENCY = 0.4


@pytest.fixture
def listen() -> Iterator[Listen]:
    with ExitStack() as stack:
        yield lambda says: stack.enter_context(listening(says))


async def longest_pause(work: Any) -> tuple[Any, float]:
    """The result of `work`, and for how long nothing else ran in this loop meanwhile, in seconds."""
    pauses = [0.0]

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            pauses.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    pauses.clear()
    result = await work
    ticking.cancel()
    return result, max(pauses)


# --- event loops ------------------------------------------------------------------------------------------------------


def test_an_asynchronous_session_never_blocks_its_loop(supplier: Supplier) -> None:
    session = supplier.session()

    async def run() -> None:
        async with niquests.AsyncSession(auth=session.niquests) as client:
            supplier.control(latency=LATENCY)
            answer, pause = await longest_pause(client.get(supplier.delivery()))
            assert (answer.status_code, pause < LATENCY / 2) == (200, True)
            supplier.control(revoke="access")
            answer, pause = await longest_pause(client.get(supplier.delivery()))
            assert (answer.status_code, pause < LATENCY / 2) == (200, True)

    asyncio.run(run())
    counts = supplier.counts
    assert (counts["login"], counts["refresh"]) == (1, 1)


def test_a_request_prepared_by_hand_does_not_block_the_loop_either(supplier: Supplier) -> None:
    session = supplier.session()
    supplier.control(latency=LATENCY)

    async def run() -> None:
        request = niquests.Request("GET", supplier.delivery(), auth=session.niquests).prepare()
        async with niquests.AsyncSession() as client:
            for _ in range(2):
                answer, pause = await longest_pause(client.send(request))
                assert (answer.status_code, pause < LATENCY / 2) == (200, True)

    asyncio.run(run())
    assert supplier.counts["login"] == 1


def test_a_synchronous_session_works_where_a_loop_runs(supplier: Supplier) -> None:
    """In a notebook, say."""
    session = supplier.session()

    async def run() -> int | None:
        return niquests.get(supplier.delivery(), auth=session.niquests).status_code

    assert asyncio.run(run()) == 200
    supplier.advance(LIFETIME + 1)
    assert asyncio.run(run()) == 200
    assert supplier.counts == {"login": 1, "refresh": 1, "tracking": 2, "data": 2}


def test_a_failed_login_is_an_error_of_niquests_in_a_loop_too(supplier: Supplier) -> None:
    session = supplier.session(password="open-barley")

    async def run() -> None:
        async with niquests.AsyncSession(auth=session.niquests) as client:
            await client.get(supplier.delivery())

    with pytest.raises(authflow.CredentialsRefused) as caught:
        asyncio.run(run())
    assert isinstance(caught.value, niquests.RequestException)
    assert caught.value.request.url.startswith("http")
    assert supplier.counts == {"login": 1, "login_refused": 1}


def test_the_callers_own_hooks_are_called_too(supplier: Supplier) -> None:
    session = supplier.session()
    called: list[str] = []

    async def before(request: Any, **kwargs: Any) -> None:
        called.append(f"before {request.headers['Authorization'][:6]}")

    def after(response: Any, **kwargs: Any) -> None:
        called.append(f"after {response.status_code}")

    async def run() -> None:
        async with niquests.AsyncSession(auth=session.niquests) as client:
            await client.get(supplier.data(), hooks={"pre_request": [before], "response": [after]})

    asyncio.run(run())
    assert called == ["before Bearer", "after 200"]


# --- answers ----------------------------------------------------------------------------------------------------------


def vendor(home: Listener) -> dict[str, Any]:
    """A vendor that says in the body of a 200 that the token has run out."""
    return {
        "name": "told-in-the-body",
        "extends": "relogin",
        "base_url": f"{home.url}/api/",
        "answers": {"rejected": {"status": 200, "json": {"error": "expired"}}},
        "exchanges": {
            "login": {
                "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
                "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
            }
        },
        "states": {"signed_in": {"present": {"headers": {"Authorization": "Bearer {access}"}}}},
    }


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("in_a_loop", [False, True])
def test_a_body_that_was_looked_into_is_still_whole(listen: Listen, size: int, streamed: bool, in_a_loop: bool) -> None:
    logins: list[Came] = []

    def says(came: Came) -> Says:
        if came.path == "/api/login":
            logins.append(came)
            return Says(json={"token": f"t{len(logins)}"})
        if came.headers["authorization"] == "Bearer t1":
            return Says(json={"error": "expired"})
        return Says(json={"filling": "x" * size})

    home = listen(says)
    session = authflow.AuthSession(vendor(home), username="demo", password="open-sesame")

    async def run() -> Any:
        async with niquests.AsyncSession(auth=session.niquests) as client:
            if not streamed:
                return (await client.get(f"{home.url}/x")).json()
            return await (await client.get(f"{home.url}/x", stream=True)).json()

    if in_a_loop:
        document = asyncio.run(run())
    else:
        with niquests.Session(auth=session.niquests) as client:
            document = client.get(f"{home.url}/x", stream=streamed).json()
    assert document == {"filling": "x" * size}
    assert len(logins) == 2


def test_a_callers_own_cookies_go_on_to_the_same_origin_beside_the_token(listen: Listen) -> None:
    def says(came: Came) -> Says:
        if came.path == "/api/login":
            return Says(json={"token": "s3cret"})
        return Says(307, {}, {"Location": "/landing"}) if came.path == "/go" else Says(json=came.headers["cookie"])

    home = listen(says)
    described = {**vendor(home), "answers": {}, "states": {"signed_in": {"present": {"cookies": {"sid": "{access}"}}}}}
    session = authflow.AuthSession(described, username="demo", password="open-sesame")
    with niquests.Session(auth=session.niquests, cookies={"mine": "1"}) as client:
        assert client.get(f"{home.url}/go").json() == "mine=1; sid=s3cret"


def test_an_answer_can_be_pickled(supplier: Supplier) -> None:
    session = supplier.session()
    answer = niquests.get(supplier.delivery(), auth=session.niquests)
    again = pickle.loads(pickle.dumps(answer))
    assert (again.status_code, again.json(), again.url) == (200, answer.json(), answer.url)
    assert again.history[0].request.url == answer.history[0].request.url


# --- what is installed ------------------------------------------------------------------------------------------------


def test_a_session_and_its_adapter_can_be_pickled(supplier: Supplier) -> None:
    auth = pickle.loads(pickle.dumps(supplier.session(clock=time.time).niquests))
    assert niquests.get(supplier.delivery(), auth=auth).status_code == 200


def test_exchanges_go_through_a_client_that_is_given(supplier: Supplier) -> None:
    with niquests.Session(headers={"X-Mine": "1"}) as client:
        assert supplier.session(client=client).token().access
        assert supplier.session(client=client).token().access
    assert supplier.counts == {"login": 2}


def test_an_asynchronous_client_is_none_for_exchanges(supplier: Supplier) -> None:
    with pytest.raises(authflow.ConfigurationError, match="synchronous"):
        supplier.session(client=niquests.AsyncSession())


@pytest.mark.skipif(importlib.util.find_spec("requests") is not None, reason="requests is installed")
def test_niquests_is_enough(supplier: Supplier) -> None:
    session = supplier.session()
    assert session.token().access
    for library in ("requests", "httpx", "httpx2"):
        with pytest.raises(authflow.ConfigurationError, match=rf"pip install 'authflow-http\[{library}\]'"):
            getattr(session, library)


def test_nothing_is_imported_before_it_is_used() -> None:
    program = "import authflow, sys; authflow.AuthSession; print(sorted({'niquests', 'requests'} & sys.modules.keys()))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout == "[]\n"


def test_a_request_of_another_library_is_told_the_right_adapter(supplier: Supplier) -> None:
    class Foreign:
        url, headers, hooks = supplier.data(), {}, {"response": []}

    Foreign.__module__ = "requests.models"
    session = supplier.session()
    for _ in range(2):
        with pytest.raises(authflow.ConfigurationError, match=r"write auth=session\.requests$"):
            session.niquests(Foreign())
        session.token()
