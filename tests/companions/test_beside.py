"""What goes beside a client: transports, caches, streams, pools of threads."""

from __future__ import annotations

import asyncio
import http.client
from typing import Any

import pytest

from tests.clients.test_habits import Vendor
from tests.servers import Says


@pytest.fixture
def acme(listen: Any) -> Vendor:
    """Its first token is revoked by the time that it is used."""
    return Vendor(listen)


def revoked(acme: Vendor, **more: Any) -> Any:
    session = acme.session(**more)
    session.token()
    acme.revoke()
    return session


def test_httpx_aiohttp(acme: Vendor) -> None:
    httpx_aiohttp, httpx = pytest.importorskip("httpx_aiohttp"), pytest.importorskip("httpx")
    session = revoked(acme)

    async def use() -> int:
        async with httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(), auth=session.httpx) as http:
            return int((await http.get(f"{acme.listener.url}/data")).status_code)

    assert asyncio.run(use()) == 200


def test_hishel(acme: Vendor, tmp_path: Any) -> None:
    hishel, httpx = pytest.importorskip("hishel"), pytest.importorskip("httpx")
    caches = pytest.importorskip("hishel.httpx")
    storage = hishel.SqliteStorage(database_path=tmp_path / "cache.db")
    session = revoked(acme)
    with (
        httpx.HTTPTransport() as plain,
        httpx.Client(transport=caches.CacheTransport(plain, storage=storage), auth=session.httpx) as http,
    ):
        assert http.get(f"{acme.listener.url}/data").status_code == 200


def test_requests_cache(acme: Vendor) -> None:
    requests_cache = pytest.importorskip("requests_cache")
    session = revoked(acme)
    with requests_cache.CachedSession(backend="memory") as http:
        http.auth = session.requests
        assert [http.get(f"{acme.listener.url}/data").status_code for _ in range(2)] == [200, 200]
    good = [came for came in acme.listener.came if came.headers.get("authorization") == "Bearer token-3"]
    assert len(good) == 1, "the second answer is the cache's"


def test_cachecontrol(acme: Vendor) -> None:
    cachecontrol, requests = pytest.importorskip("cachecontrol"), pytest.importorskip("requests")
    http = cachecontrol.CacheControl(requests.Session())
    http.auth = revoked(acme).requests
    assert http.get(f"{acme.listener.url}/data").status_code == 200


def test_httpx_sse(acme: Vendor) -> None:
    sse, httpx = pytest.importorskip("httpx_sse"), pytest.importorskip("httpx")
    acme.data = lambda came: Says(body=b"data: 1\n\n", headers={"Content-Type": "text/event-stream"})
    session = revoked(acme)
    with (
        httpx.Client(auth=session.httpx) as http,
        sse.connect_sse(http, "GET", f"{acme.listener.url}/data") as source,
    ):
        assert [event.data for event in source.iter_sse()] == ["1"]


def test_requests_futures(acme: Vendor) -> None:
    futures = pytest.importorskip("requests_futures.sessions")
    session = revoked(acme)
    with futures.FuturesSession(max_workers=4) as http:
        http.auth = session.requests
        asked = [http.get(f"{acme.listener.url}/data") for _ in range(8)]
        assert {one.result().status_code for one in asked} == {200}
    assert acme.granted == 3


def test_httpx_retries(acme: Vendor) -> None:
    """It is a transport: what it sends again carries the token."""
    retries, httpx = pytest.importorskip("httpx_retries"), pytest.importorskip("httpx")
    answers = iter([503, 503, 200])
    acme.data = lambda came: Says(next(answers), {})
    transport = retries.RetryTransport(retry=retries.Retry(total=3, backoff_factor=0))
    with httpx.Client(transport=transport, auth=revoked(acme).httpx) as http:
        assert http.get(f"{acme.listener.url}/data").status_code == 200
    assert acme.granted == 3


def test_httpx_auth(acme: Vendor) -> None:
    """What is composed sees a rejection; the next request renews."""
    httpx_auth, httpx = pytest.importorskip("httpx_auth"), pytest.importorskip("httpx")
    with httpx.Client(auth=httpx_auth.HeaderApiKey("k") + revoked(acme).httpx, trust_env=False) as http:
        assert [http.get(f"{acme.listener.url}/data").status_code for _ in range(2)] == [401, 200]
    assert acme.listener.came[-1].headers["x-api-key"] == "k"


def test_requests_toolbelt(acme: Vendor) -> None:
    """A `MultipartEncoder` is read once: after a rejection, the answer is the caller's, and the next request renews."""
    toolbelt, requests = pytest.importorskip("requests_toolbelt"), pytest.importorskip("requests")
    auths = pytest.importorskip("requests_toolbelt.auth.handler")
    sessions = pytest.importorskip("requests_toolbelt.sessions")
    url, session = acme.listener.url, revoked(acme)
    with sessions.BaseUrlSession(f"{url}/") as http:
        http.auth = auths.AuthHandler({url: session.requests})
        assert http.get("data").status_code == 200
        acme.revoke()
        statuses = []
        for _ in range(2):
            body = toolbelt.MultipartEncoder({"a": ("name", b"x" * 10_000)})
            kind = {"Content-Type": body.content_type}
            statuses.append(requests.post(f"{url}/data", data=body, headers=kind, auth=session.requests).status_code)
    assert statuses == [401, 200]


def test_sentry(acme: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wraps the clients' functions, and writes down each request that they send."""
    sentry, requests = pytest.importorskip("sentry_sdk"), pytest.importorskip("requests")
    httpx = pytest.importorskip("httpx")
    kept: list[str] = []
    connection = http.client.HTTPConnection
    for owner, name in ((connection, "putrequest"), (connection, "getresponse"), (httpx.Client, "send")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # put back afterwards: Sentry does not
    sentry.init(
        dsn="http://k@127.0.0.1:9/1",
        traces_sample_rate=1.0,
        before_send_transaction=lambda event, hint: kept.append(repr(event)),
    )
    try:
        session = revoked(acme)
        with sentry.start_transaction(name="x", sampled=True):
            assert requests.get(f"{acme.listener.url}/data", auth=session.requests).status_code == 200
            acme.revoke()
            assert httpx.get(f"{acme.listener.url}/data", auth=session.httpx, trust_env=False).status_code == 200
    finally:
        sentry.init()
    assert len(kept) == 1
    assert "/data" in kept[0]
    assert "token-" not in kept[0]
    assert "s3cret" not in kept[0]
