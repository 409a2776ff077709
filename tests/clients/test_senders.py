"""Senders of exchanges, each library's: whole answers, header by header, within the time-out."""

from __future__ import annotations

import importlib
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.clients import default_sender
from authflow.http import Request
from authflow.renewing.environment import NoAnswer
from tests.clients.drivers import GIVEN, LIBRARIES, Driver
from tests.scripted import LADDER
from tests.servers import Came, Listener, Says, Supplier

Listen = Callable[..., Listener]


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


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_error_of_an_exchange_has_no_variables(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that sent it may report it: with the request, the proxy and its password."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://u:s3cret@127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoAnswer) as caught:
        default_sender(library).exchange(Request("POST", "https://vendor.example/?k=s3cret", body=b"s3cret"), 5)
    inside = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    assert [frame for frame in inside if "s3cret" in str(frame.locals)] == []


# --- whose client sends the exchanges ---------------------------------------------------------------------------------


def vendor(came: Came) -> Says:
    """Grants to everybody, and answers everything else."""
    return Says(json={"access": "a-token", "refresh": "another", "in": 1000} if came.path.endswith("/login") else {})


def through(library: str, proxy: str) -> Any:
    """A client of the user's own, with a proxy."""
    lib = importlib.import_module(library)
    if library.startswith("httpx"):
        return lib.Client(proxy=proxy, trust_env=False)
    client = lib.Session()
    client.trust_env = False
    client.proxies = {"http": proxy}
    return client


def test_by_default_the_library_in_use_sends_the_exchanges(client: Driver, listen: Listen) -> None:
    home = listen(vendor)
    session = authflow.AuthSession({**LADDER, "base_url": f"{home.url}/"}, username="u", password="p")
    assert client.call(session, f"{home.url}/data").status == 200
    login, data = home.seen()
    assert (login.path, data.headers["authorization"]) == ("/login", "Bearer a-token")
    assert login.headers["user-agent"].startswith(f"authflow {client.library}/")


@pytest.mark.parametrize("library", GIVEN)
def test_a_client_of_any_library_serves_the_adapters_of_all(client: Driver, library: str, listen: Listen) -> None:
    """It is a proxied one here: the login goes through it, and the caller's own request does not."""
    home, proxy = listen(vendor), listen(vendor)
    with through(library, proxy.url) as given:
        file = {**LADDER, "base_url": f"{home.url}/"}
        session = authflow.AuthSession(file, username="u", password="p", client=given)
        assert client.call(session, f"{home.url}/data").status == 200
    (login,), (data,) = proxy.seen(), home.seen()
    assert login.target == f"{home.url}/login"
    assert login.headers["user-agent"].startswith(f"authflow {library}/")
    assert (data.path, data.headers["authorization"]) == ("/data", "Bearer a-token")


def test_a_request_on_a_fresh_token_looks_at_the_clock_once(client: Driver, listen: Listen) -> None:
    server, looks = listen(lambda came: Says(200, {})), list[float]()

    def clock() -> float:
        looks.append(time.time())
        return looks[-1]

    file = {"name": "acme", "extends": "bearer", "base_url": f"{server.url}/"}
    session = authflow.AuthSession(file, token="t0ken", clock=clock)
    for _ in range(3):
        client.call(session, f"{server.url}/things")
        seen, looks = len(looks), []
    assert seen == 1


@pytest.mark.parametrize("library", [library for library in LIBRARIES if library != "requests"])
def test_an_asynchronous_client_is_refused_with_what_to_give(library: str) -> None:
    lib = importlib.import_module(library)
    name = {"niquests": "AsyncSession", "aiohttp": "ClientSession"}.get(library, "AsyncClient")
    kind = getattr(lib, name)
    with pytest.raises(authflow.ConfigurationError, match=rf"synchronous, also for async callers.*not \w+\..*{name}"):
        authflow.AuthSession(LADDER, username="u", password="p", client=kind.__new__(kind))
