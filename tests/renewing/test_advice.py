"""What a message says to do, each provoked over real sockets, through requests, httpx and aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

import authflow
from tests.servers import Says, closed_port, listening
from tests.trust.wire import signed

CLIENT = {"client_id": "app", "client_secret": "s3cret-9"}


def by_requests(session: authflow.AuthSession, url: str) -> None:
    requests.get(f"{url}/data", auth=session.requests, timeout=10)


def by_httpx(session: authflow.AuthSession, url: str) -> None:
    httpx.get(f"{url}/data", auth=session.httpx)


def by_aiohttp(session: authflow.AuthSession, url: str) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession(middlewares=[session.aiohttp]) as http, http.get(f"{url}/data"):
            pass

    asyncio.run(call())


CALLS = pytest.mark.parametrize("call", [by_requests, by_httpx, by_aiohttp])
Call = Callable[[authflow.AuthSession, str], None]
#: Each library's own word for a connection that failed.
CONNECTION = {
    by_requests: requests.ConnectionError,
    by_httpx: httpx.TransportError,
    by_aiohttp: aiohttp.ClientConnectionError,
}


def at(url: str, *, given: dict[str, Any] = CLIENT, **more: Any) -> authflow.AuthSession:
    file = {
        "name": "acme",
        "extends": "client-credentials",
        "base_url": f"{url}/",
        "settings": {"token_url": {"default": "token"}},
        **more,
    }
    return authflow.AuthSession(file, **given)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def proxy(status: str) -> Iterator[str]:
    """A proxy that answers every CONNECT with this status line."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as came:
                        came.recv(1 << 16)
                        came.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def said(call: Call, url: str, **more: Any) -> str:
    with pytest.raises(authflow.VendorUnavailable) as caught:
        call(at(url, given={**CLIENT, **more}), url)
    assert isinstance(caught.value, CONNECTION[call]), type(caught.value).__mro__
    return str(caught.value)


@CALLS
@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 Proxy Authentication Required", ["status 407", "it is the proxy that refuses", "client=", "credentials"]),
        ("503 Service Unavailable", ["status 503", "the proxy that HTTPS_PROXY names", "client="]),
    ],
)
def test_a_proxy_that_lets_nothing_through(
    call: Call, status: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(status) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        message = said(call, "https://acme.example")
    assert [word for word in words if word not in message] == []


@contextlib.contextmanager
def behaving(how: Callable[[socket.socket], object], scheme: str = "http") -> Iterator[str]:
    """A server that does this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as came:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one = came.enter_context(server.accept()[0])
                    with contextlib.suppress(OSError):
                        how(one)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def cuts(one: socket.socket, *, says: bytes = b"", reset: bool = False) -> None:
    one.recv(1 << 16)
    one.sendall(says)
    if reset:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


NOT_YOURS = "the certificate belongs to another host: check the URL"
OLD = "the server must renew its certificate, or this machine's clock is wrong"


@CALLS
@pytest.mark.parametrize(
    ("how", "trusted", "advice"),
    [
        ({}, False, "if you trust it, give AuthSession(client=…) a client that does"),
        ({"days": (-9, -2)}, True, OLD),
        ({"days": (2, 9)}, True, OLD),
        ({"host": "10.9.9.9"}, True, NOT_YOURS),
        ({"host": "other.example"}, True, NOT_YOURS),
    ],
    ids=["self-signed", "expired", "not yet valid", "another address", "another name"],
)
def test_a_certificate_that_does_not_serve(
    call: Call, how: dict[str, Any], trusted: bool, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = signed(tmp_path / "own.pem", **how)
    trust = own if trusted else signed(tmp_path / "another.pem")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(trust))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with behaving(lambda one: context.wrap_socket(one, server_side=True), "https") as url:
        message = said(call, url)
    assert f"no answer to login from {url} (" in message
    assert f"): {advice}" in message
    assert message.endswith("; it is asked again in 1 s at the earliest")


@CALLS
@pytest.mark.parametrize(
    "how",
    [
        lambda one: cuts(one, reset=True),
        cuts,
        lambda one: cuts(one, says=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        lambda one: cuts(one, says=b"SSH-2.0-OpenSSH_9.7\r\n"),
    ],
    ids=["reset", "closed", "half an answer", "no HTTP"],
)
def test_a_connection_that_breaks_off(call: Call, how: Callable[[socket.socket], object]) -> None:
    with behaving(how) as url:
        assert "the connection broke off, or what answers there does not speak HTTP" in said(call, url)


@CALLS
def test_an_answer_that_does_not_come(call: Call) -> None:
    with behaving(lambda one: None) as url:
        message = said(call, url, timeout=0.2)
    assert "): AuthSession(timeout=…) says for how many seconds it waits" in message


@CALLS
def test_nobody_listens_a_name_is_unknown_and_no_tls_is_spoken(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "check the host's name" in said(call, "https://nowhere.invalid")
    with listening() as plain:
        message = said(call, plain.url.replace("http:", "https:"))
        assert "no TLS is spoken at this port" in message
    with closed_port() as url:
        assert "check that the server runs there" in said(call, url)
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert "the proxy" in said(call, "https://acme.example")


@CALLS
@pytest.mark.parametrize("answer", [Says(418, {}), Says(400, {"error": "invalid_scope"})], ids=["418", "scope"])
def test_who_must_wait_after_an_answer_of_no_use_is_told_for_how_long(call: Call, answer: Says) -> None:
    with listening(lambda came: answer) as server:
        for _ in range(2):  # what came, and that it is not asked for again
            with pytest.raises((authflow.VendorAnswerError, authflow.ConfigurationError)) as caught:
                call(at(server.url), server.url)
            assert "; it is asked again in 60 s at the earliest" in str(caught.value)


@CALLS
@pytest.mark.parametrize(
    ("location", "words", "others"),
    [
        (
            "/v2/token?code=s3cret-7",
            ["/v2/token: give that URL", "redirects = true in [exchanges.login]"],
            ["s3cret", "origins"],
        ),
        (
            "https://login.example/t",
            ["redirects to https://login.example/t", 'origins.send = ["https://login.example"]'],
            [],
        ),
    ],
)
def test_a_token_endpoint_that_has_moved(call: Call, location: str, words: list[str], others: list[str]) -> None:
    redirects = listening(lambda came: Says(307, {}, {"Location": location}))
    with redirects as server, pytest.raises(authflow.VendorAnswerError) as caught:
        call(at(server.url), server.url)
    assert [word for word in words if word not in str(caught.value)] == []
    assert [word for word in others if word in str(caught.value)] == []


@CALLS
def test_a_redirect_that_may_not_be_followed_names_the_line(call: Call) -> None:
    follows = {"exchanges": {"login": {"redirects": True}}}
    redirects = listening(lambda came: Says(307, {}, {"Location": "https://login.example/t"}))
    line = r'origins\.send = \["https://login\.example"\]'
    with redirects as server, pytest.raises(authflow.UntrustedOrigin, match=line):
        call(at(server.url, **follows), server.url)


@CALLS
@pytest.mark.parametrize(
    ("place", "secret", "names", "code"),
    [
        ("header", "a+b/c%", ['"header-raw"', '"body"'], "invalid_client"),
        ("header-raw", "a+b/c%", ['"header"', '"body"'], "unauthorized_client"),
        ("body", "a+b/c%", ['"header"', '"header-raw"'], "invalid_client"),
        ("header", "plain-S3cret_1", [], "invalid_client"),
        ("header", "a+b/c%", [], "invalid_grant"),
    ],
)
def test_a_secret_that_servers_read_in_two_ways(
    call: Call, place: str, secret: str, names: list[str], code: str
) -> None:
    given, refuses = {"client_id": "app", "client_secret": secret}, listening(lambda came: Says(401, {"error": code}))
    with refuses as server, pytest.raises(authflow.CredentialsRefused) as caught:
        call(at(server.url, given=given, secret_in=place), server.url)
    message = str(caught.value)
    assert [name for name in ('"header"', '"header-raw"', '"body"') if f"secret_in = {name}" in message] == names
    assert secret not in message


@pytest.mark.parametrize(
    ("text", "body", "shown", "reason"),
    [
        ("<t>\n{access}</t>", "<t> x</t>", "<t> x</t>", r"does not begin with '<t>\n'"),
        ("{_}<t>{access}</t>{_}", "<a>\n\t<t>x\r\n", r"<a>\n\t<t>x\r\n", "'</t>' is missing behind {access}"),
        ("token={access};", "token = abc;  ", "token = ***;  ", "does not begin with 'token='"),
        ("{_} {access};", "token abc", "token abc", "does not end with ';'"),
    ],
)
def test_an_error_quotes_white_space_and_says_which_part_is_missing(
    text: str, body: str, shown: str, reason: str
) -> None:
    request = {"url": "token", "basic": ["{client_id}", "{client_secret}"]}
    file = {"exchanges": {"login": {"request": request, "answers": {"granted": {"text": text}}}}}
    answers = listening(lambda came: Says(200, body=body.encode(), headers={"Content-Type": "x/y"}))
    with answers as server, pytest.raises(authflow.VendorAnswerError) as caught:
        at(server.url, **file).token()
    assert reason in str(caught.value)
    assert f"x/y, {shown})" in str(caught.value)


def test_a_callable_that_gives_nothing_and_a_key_that_is_none() -> None:
    with listening() as server:
        with pytest.raises(authflow.ConfigurationError, match="client_secret, and its callable gave None"):
            at(server.url, given={"client_id": "app", "client_secret": lambda: None}).token()
        key = {"extends": "jwt-bearer"}
        for wrong in ("nonsense", "-----BEGIN PRIVATE KEY-----\nMII"):
            with pytest.raises(authflow.ConfigurationError, match="does not fit RS256, which wants a private key"):
                at(
                    server.url, given={"private_key": wrong, "issuer": "me", "subject": "me", "audience": "you"}, **key
                ).token()
        assert server.came == []


def test_what_the_vendor_says_stands_in_the_log_and_in_its_facts(caplog: pytest.LogCaptureFixture) -> None:
    said = {"error": "invalid_client", "error_description": "Locked:\x1b[31m s3cret-9 is old"}
    caplog.set_level(logging.INFO, "authflow")
    with listening(lambda came: Says(401, said)) as server, pytest.raises(authflow.CredentialsRefused):
        at(server.url).token()
    (record,) = caplog.records
    assert "no login: CredentialsRefused: Locked:\\u001b[31m *** is old" in record.getMessage()
    assert vars(record)["reason"] == "Locked:\\u001b[31m *** is old"
