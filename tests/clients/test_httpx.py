"""The hop of a redirect, as its headers go out: httpx judges it by rules of its own before it is judged here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import authflow
from authflow.accounts.records import Record
from authflow.clients.httpx import _patience
from authflow.vendors.loading import load
from tests.servers import Came, Listener, Says

VENDOR = load(
    {
        "name": "hops",
        "base_url": "http://localhost/",
        "start": "in",
        "answers": {"rejected": {"json": {"a": "{access}"}}},
        "states": {"in": {"present": {"headers": {"Authorization": "Bearer {access?}"}}}},
    }
)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("url", "arrives"),
    [
        ("http://localhost/next", True),
        # httpx keeps `Authorization` from http to https at a host's usual ports, which nobody declared.
        ("https://localhost/next", False),
        ("http://localhost:8080/next", False),
    ],
)
def test_a_hop_carries_the_token_to_declared_origins_alone(library: str, url: str, arrives: bool) -> None:
    lib: Any = pytest.importorskip(library)
    session = authflow.AuthSession(VENDOR)
    grants = session._manager.grants
    grants.current = grants.ready(Record("in", {"access": "t"}, time.time(), None))
    assert grants.current.travels
    came: list[Any] = []

    def answer(request: Any) -> Any:
        came.append((str(request.url), request.headers.get("Authorization"), request.headers.get("X-Own")))
        return lib.Response(307, headers={"Location": url}) if len(came) == 1 else lib.Response(200)

    client = lib.Client(transport=lib.MockTransport(answer), auth=getattr(session, library), follow_redirects=True)
    reply = client.get("http://localhost/", headers={"X-Own": "1"})
    assert came == [("http://localhost/", "Bearer t", "1"), (url, "Bearer t" if arrives else None, "1")]
    assert "Authorization" not in reply.history[0].request.headers


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_the_librarys_own_five_seconds_are_nobodys_patience(library: str) -> None:
    with pytest.importorskip(library).Client() as client:
        assert _patience(client.build_request("GET", "http://localhost/")) is None
        assert _patience(client.build_request("GET", "http://localhost/", timeout=0.2)) == 0.2


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_forward_proxy_is_handed_the_token_with_the_request(
    listen: Callable[[Callable[[Came], Says]], Listener], library: str, header: str
) -> None:
    lib: Any = pytest.importorskip(library)
    vendor = {
        **VENDOR.raw,
        "base_url": "http://localhost/api/",
        "origins": {"present": ["https://b.example"]},
        "states": {"in": {"present": {"headers": {header: "{access?}"}}}},
    }
    session = authflow.AuthSession(vendor)
    session._manager.grants.current = session._manager.grants.ready(
        Record("in", {"access": "s3cret"}, time.time(), None)
    )
    proxy = listen(lambda came: Says(json={"path": came.target}))
    with lib.Client(proxy=proxy.url, auth=getattr(session, library), trust_env=False) as client:
        assert client.get("http://localhost/api/x").json() == {"path": "http://localhost/api/x"}
    (came,) = proxy.seen()
    assert came.headers[header.lower()] == "s3cret"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://a.example/x", True),
        ("https://A.example:443?x=https://b.example", True),
        ("http://a.example/x", False),
        ("https://a.example:444/x", False),
        ("https://b.a.example/x", False),
        ("https://a.example.evil/x", False),
        ("https://user@a.example/x", False),
        ("https://a.example@b.example/x", False),
    ],
)
def test_the_short_way_is_for_the_declared_origin_alone(library: str, url: str, goes: bool) -> None:
    lib: Any = pytest.importorskip(library)
    session = authflow.AuthSession({**VENDOR.raw, "base_url": "https://a.example/"})
    session._manager.grants.current = session._manager.grants.ready(
        Record("in", {"access": "t"}, time.time(), time.time() + 1000)
    )
    assert time.time() < session._manager.grants.current.fresh_until
    request = lib.Request("GET", url)
    flow = getattr(session, library).sync_auth_flow(request)
    if goes:
        assert next(flow).headers["Authorization"] == "Bearer t"
    else:
        with pytest.raises(authflow.UntrustedOrigin):
            next(flow)
        assert "Authorization" not in request.headers


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_transport_may_send_a_body_again(library: str) -> None:
    """One that tries again after a 503, say: the token in the body goes to where it was meant for, as often as that."""
    lib: Any = pytest.importorskip(library)
    states = {"in": {"present": {"json": {"key": "{access?}"}}}}
    session = authflow.AuthSession({**VENDOR.raw, "states": states})
    session._manager.grants.current = session._manager.grants.ready(Record("in", {"access": "t"}, time.time(), None))
    came: list[bytes] = []

    def answer(request: Any) -> Any:
        came.append(b"".join(request.stream))
        return lib.Response(503 if len(came) < 3 else 200)

    class Again(lib.MockTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            while (response := super().handle_request(request)).status_code == 503:
                pass
            return response

    with lib.Client(transport=Again(answer), auth=getattr(session, library)) as client:
        assert client.post("http://localhost/", json={"a": 1}).status_code == 200
    assert came == [b'{"a":1,"key":"t"}'] * 3
