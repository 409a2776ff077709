"""What callers get through a gateway, and what they do not."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from authflow_gateway.forwarding import other_method
from tests.servers import PASSWORD, Came, Says, Supplier, listening

from .conftest import ROUTE, Gateway, account, command, running


def test_a_delivery_comes_back_and_fifty_callers_cost_one_login(gateway: Gateway, supplier: Supplier) -> None:
    with gateway.client() as client, ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda id: client.get(f"/supplier/deliveries/{id}"), range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert sorted(int(answer.json()["id"]) for answer in answers) == list(range(50))
    assert supplier.counts["login"] == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer agw_wrong"},
        {"X-Gateway-Key": ""},
        {"Authorization": "Basic !!"},
        {"Authorization": "Bearer"},
    ],
)
def test_who_is_not_known_gets_no_further(quiet: tuple[Gateway, Supplier], headers: dict[str, str]) -> None:
    gateway, supplier = quiet
    answer = httpx.get(f"{gateway.url}/supplier/deliveries/42", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert "supplier" not in answer.text.lower()
    assert httpx.get(f"{gateway.url}/nothing/here", headers=headers).status_code == 401
    assert supplier.counts == {}


def test_a_key_travels_in_three_ways(gateway: Gateway) -> None:
    basic = base64.b64encode(f"anybody:{gateway.key}".encode()).decode()
    for headers in (
        {"X-Gateway-Key": gateway.key},
        {"Authorization": f"Bearer {gateway.key}"},
        {"Authorization": f"Basic {basic}"},
    ):
        assert httpx.get(f"{gateway.url}/supplier/deliveries/42", headers=headers).status_code == 200


def test_a_revoked_key_is_good_no_longer(gateway: Gateway) -> None:
    with gateway.client() as client:
        assert client.get("/supplier/deliveries/42").status_code == 200
        assert command(gateway.folder, "key", "revoke", "salesforce").returncode == 0
        assert client.get("/supplier/deliveries/42").status_code == 401
    assert gateway.key not in (gateway.folder / "keys.json").read_text("utf-8")
    assert (gateway.folder / "keys.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/supplier/deliveries", 403),
        ("GET", "/supplier/deliveries/1/2", 403),
        ("GET", "/supplier/logout", 403),
        ("DELETE", "/supplier/deliveries/42", 405),
        ("GET", "/elsewhere/deliveries/42", 404),
        ("GET", "/supplier/deliveries/../logout", 400),
        ("GET", "/supplier/deliveries/%2e%2e", 400),
        ("GET", "/supplier/deliveries/%252e%252e", 400),
        ("GET", "/supplier/deliveries/..;x", 400),
        ("GET", "/supplier/deliveries/a%2fb", 400),
        ("GET", "/supplier/deliveries/a%5cb", 400),
        ("GET", "/supplier//deliveries/42", 400),
        ("GET", "//supplier/deliveries/42", 400),
        ("GET", "/supplier/deliveries/%00", 400),
        ("GET", "/supplier/deliveries/%zz", 400),
        ("GET", "http://evil.example/supplier/deliveries/42", 400),
    ],
)
def test_what_no_route_lists_is_denied(quiet: tuple[Gateway, Supplier], method: str, path: str, status: int) -> None:
    gateway, supplier = quiet
    place = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port)
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.putheader("X-Gateway-Key", gateway.key)
    connection.endheaders()
    assert connection.getresponse().status == status
    connection.close()
    assert "data" not in supplier.counts


@pytest.mark.parametrize(
    "smuggled",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "X-A: b\r\n folded: c\r\nContent-Length : 0\r\n\r\n",
    ],
)
def test_what_two_servers_could_read_differently_goes_no_further(
    quiet: tuple[Gateway, Supplier], smuggled: str
) -> None:
    gateway, supplier = quiet
    place = urlsplit(gateway.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as wire:
        wire.sendall(f"POST /supplier/me HTTP/1.1\r\nHost: x\r\nX-Gateway-Key: {gateway.key}\r\n{smuggled}".encode())
        status = int(wire.recv(4096).split(b" ")[1])
    assert status == 400
    assert supplier.counts == {}


VENDOR = """
name = "acme"
extends = "relogin"
base_url = "{url}/api/"
[exchanges.login]
request = {{ url = "login", json = {{ user = "{{username}}", pass = "{{password}}" }} }}
answers.granted = {{ json = {{ token = "{{access}}" }} }}
"""
TOKEN = "tok-3f8a1b2c4d5e6f70"


def acme(folder: Path, url: str, store: str = "memory") -> str:
    (folder / "acme.toml").write_text(VENDOR.format(url=url), "utf-8")
    return (
        f'[accounts.supplier]\nvendor = "acme.toml"\nstore = "{store}"\nusername = "demo"\npassword = {{ env = "P" }}\n'
    )


def test_neither_side_sees_the_others_authentication(tmp_path: Path) -> None:
    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": TOKEN})
        told = {"Set-Cookie": "sid=1", "X-Echo": came.headers["authorization"], "X-Plain": "yes"}
        told |= {"X-Half": base64.b64encode(TOKEN.encode()).decode(), "WWW-Authenticate": "Bearer"}
        return Says(json={"seen": sorted(came.headers)}, headers=told)

    with listening(says) as vendor, running(tmp_path, acme(tmp_path, vendor.url), P=PASSWORD) as gateway:
        with gateway.client(cookies={"mine": "1"}) as client:
            answer = client.get("/supplier/me", headers={"Authorization": "Bearer mine", "X-Mine": "1"})
        (came,) = [came for came in vendor.seen() if came.path.endswith("/me")]
    log = gateway.log()
    assert {name.lower(): value for name, value in came.headers.items()}["authorization"] == f"Bearer {TOKEN}"
    assert {"cookie", "x-gateway-key"} & set(came.headers) == set()
    assert came.headers["x-mine"] == "1"
    assert came.headers["via"] == "1.1 authflow-gateway"
    assert {"set-cookie", "www-authenticate", "x-echo", "x-half"} & set(answer.headers) == set()
    assert (answer.headers["x-plain"], answer.status_code) == ("yes", 200)
    for secret in (TOKEN, PASSWORD, gateway.key):
        assert secret not in log
    audited = [json.loads(line.partition("INFO ")[2]) for line in log.splitlines() if "gateway.audit" in line]
    assert [(entry["caller"], entry["status"], entry["path"]) for entry in audited] == [
        ("salesforce", 200, "/supplier/me")
    ]


def test_redirects_are_passed_on_through_the_gateway_or_followed_to_declared_origins_alone(tmp_path: Path) -> None:
    elsewhere: list[str] = []

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": TOKEN})
        if came.path.endswith("/away"):
            return Says(302, headers={"Location": elsewhere[0]})
        if came.path.endswith("/moved"):
            return Says(302, headers={"Location": "me"})
        return Says(json={"path": came.path})

    with listening(says) as vendor, listening() as other:
        elsewhere.append(f"{other.url}/stolen")
        with (
            running(tmp_path, acme(tmp_path, vendor.url), ROUTE.replace('"me"', '"*"'), P=PASSWORD) as gateway,
            gateway.client() as client,
        ):
            assert client.get("/supplier/moved").json() == {"path": "/api/me"}
            assert client.get("/supplier/away").status_code == 502
        assert other.seen() == []
        passing = ROUTE.replace('"me"', '"*"') + 'redirects = "pass"\n'
        (tmp_path / "passing").mkdir()
        with (
            running(tmp_path / "passing", acme(tmp_path / "passing", vendor.url), passing, P=PASSWORD) as gateway,
            gateway.client() as client,
        ):
            moved, away = client.get("/supplier/moved"), client.get("/supplier/away")
        assert (moved.status_code, moved.headers["location"]) == (302, "/supplier/me")
        assert (away.status_code, away.headers["location"]) == (302, elsewhere[0])
        assert other.seen() == []


def test_bodies_stream_both_ways(tmp_path: Path) -> None:
    """What is sent comes out while more of it is on its way; what is too long is stopped."""

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": TOKEN})
        return Says(json={"size": len(came.body)})

    def parts() -> object:
        for _ in range(40):
            yield b"x" * 4096

    route = ROUTE + "max_body = 200000\n"
    with (
        listening(says) as vendor,
        running(tmp_path, acme(tmp_path, vendor.url), route, P=PASSWORD) as gateway,
        gateway.client() as client,
    ):
        assert client.post("/supplier/me", content=parts()).json() == {"size": 40 * 4096}  # type: ignore[arg-type]
        assert client.post("/supplier/me", content=b"y" * 100000).json() == {"size": 100000}
        assert client.post("/supplier/me", content=b"y" * 200001).status_code == 413


def test_a_vendor_that_is_away_and_a_password_that_is_refused(tmp_path: Path) -> None:
    status = [503]

    def says(came: Came) -> Says:
        return Says(status[0], {}, headers={"Retry-After": "7"})

    with (
        listening(says) as vendor,
        running(tmp_path, acme(tmp_path, vendor.url), P=PASSWORD) as gateway,
        gateway.client() as client,
    ):
        away = client.get("/supplier/me")
        assert (away.status_code, away.json()["who_can_act"]) == (503, "nobody")
        assert 1 <= int(away.headers["retry-after"]) <= 7
        assert client.get("/readyz").status_code == 503
        assert httpx.get(f"{gateway.url}/healthz").text == "alive\n"
        assert PASSWORD not in away.text + gateway.log()


def test_a_refused_password_is_sent_once_whoever_calls(supplier: Supplier, tmp_path: Path) -> None:
    with running(tmp_path, account(supplier), P="open-barley") as gateway, gateway.client() as client:
        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(lambda id: client.get(f"/supplier/deliveries/{id}"), range(20)))
        assert {answer.status_code for answer in answers} == {502}
        assert {answer.json()["type"] for answer in answers} == {"urn:authflow:gateway:vendor-refused"}
        assert "open-barley" not in gateway.log()
    assert supplier.counts["login_refused"] == 1


def test_it_is_ready_when_each_account_has_a_token(gateway: Gateway, supplier: Supplier) -> None:
    assert httpx.get(f"{gateway.url}/readyz").text == "ready\n"
    assert supplier.counts == {"login": 1}


def test_a_stream_ends_before_the_gateway_does(tmp_path: Path) -> None:
    begun, go = threading.Event(), threading.Event()

    def says(came: Came) -> Says:
        if came.path.endswith("/login"):
            return Says(json={"token": TOKEN})
        begun.set()
        go.wait(20)
        return Says(json={"whole": True})

    with listening(says) as vendor, running(tmp_path, acme(tmp_path, vendor.url), P=PASSWORD) as gateway:
        with ThreadPoolExecutor(1) as thread, gateway.client() as client:
            answer = thread.submit(client.get, "/supplier/me")
            assert begun.wait(20)
            gateway.process.terminate()
            go.set()
            assert answer.result(timeout=20).json() == {"whole": True}
        assert gateway.process.wait(timeout=40) == 0 or gateway.process.returncode < 0


def test_workers_share_one_store_and_one_exchange(supplier: Supplier, tmp_path: Path) -> None:
    accounts = account(supplier, store=f"file://{tmp_path}/tokens")
    with running(tmp_path, accounts, top="workers = 2", P=PASSWORD) as gateway:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                httpx.get(f"{gateway.url}/healthz")
                break
            except httpx.TransportError:
                continue
        with ThreadPoolExecutor(16) as threads:
            headers = {"X-Gateway-Key": gateway.key}
            urls = [f"{gateway.url}/supplier/deliveries/{id}" for id in range(16)]
            answers = list(threads.map(lambda url: httpx.get(url, headers=headers, timeout=60), urls))
    audited = [line for line in gateway.log().splitlines() if "gateway.audit" in line and "deliveries" in line]
    assert {answer.status_code for answer in answers} == {200}
    assert supplier.counts["login"] == 1
    assert len(audited) == 16, "each worker writes what it did"


def test_a_unix_socket_with_its_permissions(supplier: Supplier, tmp_path: Path) -> None:
    place = tmp_path / "gw.sock"
    top = f'listen = "unix:{place}"\nsocket_mode = "600"\nsocket_needs_no_key = true'
    with running(tmp_path, account(supplier), top=top, P=PASSWORD):
        assert place.stat().st_mode & 0o777 == 0o600
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(place)), base_url="http://gateway") as client:
            assert client.get("/supplier/deliveries/42").json()["id"] == "42"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("", "routes: missing"),
        (ROUTE + "colour = 1\n", "colour: unknown key"),
        (ROUTE.replace("/{path}", ""), "a path such as"),
        (ROUTE.replace('account = "supplier"', 'account = "nobody"'), "there is no account 'nobody'"),
        (ROUTE + ROUTE, "taken by another route"),
        (ROUTE.replace('"deliveries/*"', '"deliveries/../x"').replace("..", "a b"), "segments"),
    ],
)
def test_a_wrong_file_is_one_line(supplier: Supplier, tmp_path: Path, config: str, reason: str) -> None:
    (tmp_path / "accounts.toml").write_text(account(supplier), "utf-8")
    (tmp_path / "accounts.toml").chmod(0o600)
    (tmp_path / "gateway.toml").write_text('accounts = "accounts.toml"\n' + config, "utf-8")
    done = command(tmp_path, "gateway.toml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert reason in done.stderr


def test_an_answer_has_one_date(gateway: Gateway) -> None:
    """The server writes one, and the vendor's stays behind, as at nginx."""
    with gateway.client() as client:
        assert [name for name, _ in client.get("/supplier/me").headers.multi_items()].count("date") == 1


@pytest.mark.parametrize("query", ["_method=DELETE", "a=1&_METHOD=put", "_method=", "%5Fmethod=PATCH"])
def test_a_query_asks_for_no_other_method(query: str) -> None:
    assert other_method(query, ["GET", "POST"])


@pytest.mark.parametrize("query", ["", "_method=post", "method=DELETE", "a_method=DELETE"])
def test_a_query_may_name_a_method_of_the_route(query: str) -> None:
    assert not other_method(query, ["GET", "POST"])


def test_such_a_query_never_reaches_the_vendor(gateway: Gateway, supplier: Supplier) -> None:
    with gateway.client() as client:
        assert client.post("/supplier/me?_method=DELETE").status_code == 405
    assert supplier.counts == {}
