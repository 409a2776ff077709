"""What stands between a client and a server: proxies, `.netrc`, and the client's own rules for retries."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.drivers import DRIVERS, GIVEN, Aiohttp, Driver
from tests.clients.test_habits import vendor
from tests.servers import Came, Listener, Says, listening
from tests.trust.wire import signed

Listen = Callable[..., Listener]
HOME = "https://acme.test"
CREDENTIALS = "Basic " + base64.b64encode(b"who:open").decode()
#: All that a proxy must not see. What it relays is encrypted.
OURS = ("s3cret", "token-", "alice", base64.b64encode(b"alice:token").decode()[:8])
PRESENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "bearer": {"headers": {"Authorization": "Bearer {access}"}},
    "key": {"headers": {"X-Api-Key": "{access}"}},
    "cookie": {"cookies": {"sid": "{access}"}},
    "query": {"query": {"key": "{access}"}},
    "basic": {"basic": ["alice", "{access}"]},
}


class Proxied(Aiohttp):
    """aiohttp heeds the environment when it is asked to."""

    def http(self, auth: Any, connections: int = 100, **how: Any) -> Any:
        return super().http(auth, connections, trust_env=True, **how)


#: niquests keeps for the whole process what the environment said of proxies at first.
CLIENTS = [
    Proxied(driver.library, driver.name) if driver.library == "aiohttp" else driver
    for driver in DRIVERS
    if driver.library != "niquests"
]
AUTHORIZATION = [name for name, present in PRESENTATIONS.items() if "Authorization" in str(present)] + ["basic"]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda driver: driver.name)
NETRC = [*CLIENTS, *(driver for driver in DRIVERS if driver.library == "niquests")]


@dataclass
class Proxy:
    """A proxy for tunnels: what it was asked, and all bytes that it relayed."""

    port: int
    needs: str = ""
    asked: list[str] = field(default_factory=list)
    relayed: list[bytes] = field(default_factory=list)

    @property
    def seen(self) -> str:
        return "\n".join([*self.asked, *(data.decode("latin-1") for data in self.relayed)])

    def serve(self, came: socket.socket) -> None:
        with contextlib.suppress(OSError), came:
            came.settimeout(20)
            head = b""
            while b"\r\n\r\n" not in head:
                head += came.recv(1) or b"\r\n\r\n"
            self.asked.append(head.decode("latin-1"))
            if self.needs.lower() not in self.asked[-1].lower():
                refusal = "407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0"
                return came.sendall(f"HTTP/1.1 {refusal}\r\n\r\n".encode())
            with socket.create_connection(("127.0.0.1", self.port)) as home:
                came.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self.relay, args=(home, came), daemon=True)
                back.start()
                self.relay(came, home)
                back.join(20)

    def relay(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self.relayed.append(data)
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxying(port: int, needs: str = "") -> Iterator[tuple[str, Proxy]]:
    proxy = Proxy(port, needs)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=proxy.serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}", proxy
        finally:
            server.shutdown(socket.SHUT_RDWR)


class Acme:
    """Grants token after token, and takes the last one only, however it is presented."""

    def __init__(self) -> None:
        self.granted = 0

    def __call__(self, came: Came) -> Says:
        if came.path == "/login":
            self.granted += 1
            return Says(json={"token": f"token-{self.granted}"})
        token = f"token-{self.granted}"
        sent = came.everything + base64.b64decode(came.headers.get("authorization", "")[6:] + "===").decode("latin-1")
        return Says(200 if token in sent else 401, {})


def session_at(url: str, presentation: str = "bearer", **more: Any) -> authflow.AuthSession:
    file = vendor(url, states={"signed_in": {"present": PRESENTATIONS[presentation]}}, insecure_url=True)
    return authflow.AuthSession(file, username="alice", password="s3cret", **more)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("cryptography")
    return signed(tmp_path_factory.mktemp("tls") / "acme.pem", "acme.test")


@pytest.fixture
def home(certificate: Path) -> Iterator[Listener]:
    """`acme.test`, which only the proxy finds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with listening(Acme(), context) as listener:
        yield listener


def port_of(listener: Listener) -> int:
    return int(listener.url.rpartition(":")[2])


@pytest.fixture
def environment(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(certificate))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def says(proxy: str) -> None:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy)

    return says


@every_client
@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_a_tunnels_proxy_sees_nothing_of_ours(
    client: Driver, presentation: str, home: Listener, environment: Callable[[str], None]
) -> None:
    """Neither of an exchange nor of a request, nor of one that is sent again; and its password stays with it."""
    with proxying(port_of(home), CREDENTIALS) as (where, proxy):
        environment(f"http://who:open@{where}")
        session = session_at(HOME, presentation)
        assert client.call(session, f"{HOME}/data").status == 200
        home.says.granted += 1  # type: ignore[attr-defined]
        assert client.call(session, f"{HOME}/data").status == 200
        asked, seen = proxy.asked, proxy.seen
    assert [came.path for came in home.came] == ["/login", "/data", "/data", "/login", "/data"]
    assert {line.partition(" HTTP/")[0] for line in asked} == {"CONNECT acme.test:443"}
    assert [secret for secret in OURS if secret in seen] == []
    assert "authorization" not in {line.partition(":")[0].lower() for head in asked for line in head.splitlines()}
    assert [came for came in home.came if CREDENTIALS in came.everything or "proxy-authorization" in came.headers] == []


@every_client
def test_a_tunnel_that_is_refused_says_nothing_of_the_token(
    client: Driver, home: Listener, environment: Callable[[str], None]
) -> None:
    """407 is a proxy's: an exchange could not be sent, and a request's failure is the client's own error."""
    session = session_at(HOME)
    with proxying(port_of(home), CREDENTIALS) as (where, _):
        environment(f"http://{where}")
        for _ in range(2):
            with pytest.raises(authflow.VendorUnavailable, match="proxy") as refused:
                client.call(session, f"{HOME}/data")
            assert isinstance(refused.value, client.error)
        environment(f"http://who:open@{where}")
        session.login()
        assert client.call(session, f"{HOME}/data").status == 200
        environment(f"http://{where}")
        with pytest.raises(Exception, match="407") as failed:
            client.call(session, f"{HOME}/data")
        assert not isinstance(failed.value, authflow.AuthFlowError)
        environment(f"http://who:open@{where}")
        assert client.call(session, f"{HOME}/data").status == 200
    assert [came.path for came in home.came] == ["/login", "/data", "/data"]


@pytest.mark.parametrize("library", GIVEN)
def test_a_given_clients_tunnel_carries_exchanges(
    library: str, home: Listener, certificate: Path, environment: Callable[[str], None]
) -> None:
    lib = importlib.import_module(library)
    with proxying(port_of(home), CREDENTIALS) as (where, proxy):
        url = f"http://who:open@{where}"
        environment("http://127.0.0.1:9")
        if library.startswith("httpx"):
            given = lib.Client(proxy=url, verify=ssl.create_default_context(cafile=certificate), trust_env=False)
        else:
            given = lib.Session()
            given.proxies, given.verify, given.trust_env = {"https": url}, str(certificate), False
        with given:
            assert session_at(HOME, client=given).token().access == "token-1"
        assert [line for line in proxy.asked if not line.startswith("CONNECT acme.test:443")] == []
        assert [secret for secret in OURS if secret in proxy.seen] == []


@pytest.mark.parametrize(
    "driver",
    [driver for driver in DRIVERS if driver.library in ("requests", "niquests")],
    ids=lambda driver: driver.name,
)
@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_a_proxy_that_a_session_was_given_sees_nothing_of_ours(
    driver: Driver, presentation: str, home: Listener, certificate: Path
) -> None:
    """The same, whatever the environment says, and for niquests' two kinds of sessions."""
    lib: Any = importlib.import_module(driver.library)
    with proxying(port_of(home), CREDENTIALS) as (where, proxy):

        def given(kind: Any) -> Any:
            http = kind()
            http.proxies, http.verify, http.trust_env = {"https": f"http://who:open@{where}"}, str(certificate), False
            return http

        session = session_at(HOME, presentation, client=given(lib.Session))
        auth = getattr(session, driver.library)

        async def later() -> int:
            async with given(lib.AsyncSession) as http:
                return int((await http.get(f"{HOME}/data", auth=auth)).status_code)

        def get() -> int:
            if driver.name.endswith("asyncio"):
                return asyncio.run(later())
            with given(lib.Session) as http:
                return int(http.get(f"{HOME}/data", auth=auth).status_code)

        assert get() == 200
        home.says.granted += 1  # type: ignore[attr-defined]
        assert get() == 200
        asked, seen = proxy.asked, proxy.seen
    assert [came.path for came in home.came] == ["/login", "/data", "/data", "/login", "/data"]
    assert {line.partition(" HTTP/")[0] for line in asked} == {"CONNECT acme.test:443"}
    assert [secret for secret in OURS if secret in seen] == []
    assert [came for came in home.came if CREDENTIALS in came.everything or "proxy-authorization" in came.headers] == []


@every_client
def test_a_forward_proxys_407_is_the_callers(
    client: Driver, listen: Listen, monkeypatch: pytest.MonkeyPatch, environment: Callable[[str], None]
) -> None:
    """Over plain http a proxy answers by itself. That says nothing of the token, though it is no vendor's 401."""
    home = listen(Acme())
    refuses = [False]

    def relays(came: Came) -> Says:
        return Says(407, {}, {"Proxy-Authenticate": "Basic"}) if refuses[0] else home.says(came)

    proxy = listen(relays)
    session = session_at(home.url)
    assert client.call(session, f"{home.url}/data").status == 200
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy.url)
    refuses[0] = True
    assert [client.call(session, f"{home.url}/data").status for _ in range(2)] == [407, 407]
    refuses[0] = False
    assert client.call(session, f"{home.url}/data").status == 200
    assert home.says.granted == 1  # type: ignore[attr-defined]


# --- .netrc -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", NETRC, ids=lambda driver: driver.name)
@pytest.mark.parametrize("presentation", PRESENTATIONS)
def test_a_password_of_netrc_takes_no_place_of_ours(
    client: Driver, presentation: str, listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first request, at one that is sent again, at the hop of a redirect; and not in an exchange."""
    acme = Acme()

    def says(came: Came) -> Says:
        said = acme(came)
        return Says(307, {}, {"Location": "/landed"}) if (came.path, said.status) == ("/to", 200) else said

    home = listen(says)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login mallory password other\n")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login mallory password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    session = session_at(home.url, presentation)
    assert client.call(session, f"{home.url}/to").status == 200
    acme.granted += 1
    assert client.call(session, f"{home.url}/to").status == 200
    theirs = "Basic " + base64.b64encode(b"mallory:other").decode()
    sent = [came for came in home.came if came.headers.get("authorization") == theirs]
    assert [came for came in sent if came.path == "/login" or presentation in AUTHORIZATION] == []
    assert [came.path for came in home.came if came.path == "/login"] == ["/login"] * 2


# --- rules for retries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [library for library in GIVEN if not library.startswith("httpx")])
@pytest.mark.parametrize("raises", [False, True])
def test_rules_that_send_a_401_again_keep_no_revoked_token(library: str, raises: bool, listen: Listen) -> None:
    """With `raise_on_status`, the default, nobody is asked: the error is the caller's, as it is with Basic."""
    lib = importlib.import_module(library)
    retry = importlib.import_module(f"{library}.packages").urllib3.util.Retry
    rules = retry(total=2, backoff_factor=0, status_forcelist=[401, 503], raise_on_status=raises)
    acme = Acme()
    home = listen(acme)
    with lib.Session() as http:
        http.trust_env = False
        http.mount("http://", lib.adapters.HTTPAdapter(max_retries=rules))
        session = session_at(home.url, client=http)
        http.auth = getattr(session, library)
        assert http.get(f"{home.url}/data").status_code == 200
        acme.granted += 1
        if raises:
            with pytest.raises(lib.exceptions.RetryError):
                http.get(f"{home.url}/data")
            assert acme.granted == 2, "no login was sent"
        else:
            answer = http.get(f"{home.url}/data")
            assert (answer.status_code, [hop.status_code for hop in answer.history]) == (200, [401])
            assert [came.path for came in home.came].count("/data") == 1 + 3 + 1


@pytest.mark.parametrize("library", [library for library in GIVEN if not library.startswith("httpx")])
def test_a_rule_of_the_users_own_sends_no_password_twice(library: str, listen: Listen) -> None:
    lib = importlib.import_module(library)
    retry = importlib.import_module(f"{library}.packages").urllib3.util.Retry

    class Always(retry):  # type: ignore[misc]
        def is_retry(self, *arguments: Any, **named: Any) -> bool:
            return True

    home = listen(lambda came: Says(401, {}))
    with lib.Session() as http:
        http.trust_env = False
        http.mount("http://", lib.adapters.HTTPAdapter(max_retries=Always(total=3, backoff_factor=0)))
        session = session_at(home.url, client=http)
        for _ in range(3):
            with pytest.raises(authflow.CredentialsRefused):
                session.token()
    assert len(home.came) == 1
