"""What people put under httpx: the same observations, and the same redirects, as over its own transport."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.drivers import Driver
from tests.clients.test_expectations import OverAsync, OverSync, answer, differing
from tests.clients.test_redirect_matrix import PRESENTATIONS, each_way, walked


def aiohttp(lib: Any) -> Any:
    return pytest.importorskip("httpx_aiohttp").AiohttpTransport()


def cached(lib: Any) -> Any:
    return pytest.importorskip("hishel.httpx").CacheTransport(lib.HTTPTransport(), storage=unkept())


def unkept() -> Any:
    import hishel

    return hishel.SqliteStorage(database_path=":memory:")


def cached_later(lib: Any) -> Any:
    import hishel

    storage = hishel.AsyncSqliteStorage(database_path=":memory:")
    return pytest.importorskip("hishel.httpx").AsyncCacheTransport(lib.AsyncHTTPTransport(), storage=storage)


def retried(lib: Any) -> Any:
    return pytest.importorskip("httpx_retries").RetryTransport()


DRIVERS: tuple[Driver, ...] = (
    OverAsync("httpx", "aiohttp", "asyncio", aiohttp),
    OverSync("httpx", "hishel", cached),
    OverAsync("httpx", "hishel", "asyncio", cached_later),
    OverSync("httpx", "retries", retried),
    OverAsync("httpx", "retries", "asyncio", retried),
)
every = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


@every
def test_what_users_expect(driver: Driver, listen: Callable[..., Any], tmp_path: Path) -> None:
    assert differing(driver, listen(answer).url, tmp_path) == ""


@every
@each_way
@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_redirects(driver: Driver, listen: Callable[..., Any], presentation: str, where: str) -> None:
    assert walked(driver, listen, presentation, where) == {}


def test_respx_follows_redirects_too() -> None:
    """A router answers by URL: each declared hop is asked once, and an undeclared one carries nothing of ours."""
    respx = pytest.importorskip("respx")
    from tests.companions.test_mocks import URL, session

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
