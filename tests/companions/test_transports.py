"""What people put under httpx: the same observations, and the same redirects, as over its own transport."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.drivers import Driver
from tests.clients.test_expectations import OverAsync, OverSync, answer, differing
from tests.clients.test_redirect_matrix import walked
from tests.companions.test_mocks import URL, session


def over_aiohttp(lib: Any) -> Any:
    return pytest.importorskip("httpx_aiohttp").AiohttpTransport(verify=False)


def cached(lib: Any) -> Any:
    hishel, caches = pytest.importorskip("hishel"), pytest.importorskip("hishel.httpx")
    kept = hishel.SqliteStorage(connection=sqlite3.connect(":memory:", check_same_thread=False))
    return caches.CacheTransport(lib.HTTPTransport(verify=False), storage=kept)


def retried(lib: Any) -> Any:
    return pytest.importorskip("httpx_retries").RetryTransport(lib.HTTPTransport(verify=False))


def retried_later(lib: Any) -> Any:
    return pytest.importorskip("httpx_retries").RetryTransport(lib.AsyncHTTPTransport(verify=False))


DRIVERS: tuple[Driver, ...] = (
    OverAsync("httpx", "aiohttp", "asyncio", over_aiohttp),
    OverSync("httpx", "hishel", cached),
    OverSync("httpx", "retries", retried),
    OverAsync("httpx", "retries", "asyncio", retried_later),
)
every = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


@every
def test_what_users_expect(driver: Driver, listen: Callable[..., Any], tmp_path: Path) -> None:
    assert differing(driver, listen(answer).url, tmp_path) == ""


@every
@pytest.mark.parametrize("where", ["undeclared", "after_a_401"])
@pytest.mark.parametrize("presentation", ["bearer_and_cookie", "form", "key_and_query"])
def test_redirects(driver: Driver, listen: Callable[..., Any], presentation: str, where: str) -> None:
    assert walked(driver, listen, presentation, where) == {}


def test_respx_follows_redirects_too() -> None:
    """A router answers by URL: each declared hop is asked once, and an undeclared one carries nothing of ours."""
    respx, httpx = pytest.importorskip("respx"), pytest.importorskip("httpx")
    with (
        respx.mock(assert_all_called=True) as router,
        httpx.Client(auth=session().httpx, follow_redirects=True) as http,
    ):
        router.post(f"{URL}/login").respond(json={"token": "one"})
        router.get(f"{URL}/data").respond(302, headers={"Location": f"{URL}/next"})
        router.get(f"{URL}/next").respond(307, headers={"Location": "https://other.example/x"})
        router.get("https://other.example/x").respond(json={"fine": 1})
        assert http.get(f"{URL}/data").json() == {"fine": 1}
        sent = [(str(call.request.url), call.request.headers.get("Authorization")) for call in router.calls][1:]
    assert [url for url, _ in sent] == [f"{URL}/data", f"{URL}/next", "https://other.example/x"]
    assert sent[-1][1] is None
