"""Digest against Apache's mod_auth_digest, and against a strict server of RFC 7616 for what Apache has not."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authflow import AuthSession, ConfigurationError, CredentialsRefused
from authflow.http import Request, parse_challenges
from authflow_selfhosted.servers.process import free_port, serving
from authflow_signers.digest import HASHES, answered
from tests.clients.drivers import DRIVERS, Driver
from tests.servers import Came, Says, listening

USER, PASSWORD, REALM = "alice", "open-sesame-1", "The vault"
MODULES = Path("/usr/lib/apache2/modules")
CONFIGURATION = """
ServerName 127.0.0.1
ServerRoot {folder}
PidFile {folder}/pid
Listen 127.0.0.1:{port}
ErrorLog {folder}/error.log
DocumentRoot {folder}/site
{modules}
<Directory {folder}/site>
  AuthType Digest
  AuthName "The vault"
  AuthDigestProvider file
  AuthDigestNonceLifetime {lifetime}
  AuthUserFile {folder}/users
  Require valid-user
</Directory>
<Location /open>
  Require all granted
</Location>
RedirectMatch ^/moved$ /data
"""
LOADED = ("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_digest", "alias")


def file(url: str, **parameters: Any) -> dict[str, Any]:
    return {
        "name": "nas",
        "base_url": f"{url}/",
        "start": "signed_in",
        "identity": ["username"],
        "credentials": {"username": {}, "password": {"secret": True}},
        "sign": {"digest": {"username": "{username}", "password": "{password}", **parameters}},
        "states": {"signed_in": {"present": {}, "rejected": "refused"}, "refused": {"fail": "No."}},
    }


def session(url: str, password: str = PASSWORD, username: str = USER, **parameters: Any) -> AuthSession:
    return AuthSession(file(url, **parameters), username=username, password=password)


@pytest.fixture(scope="module")
def apache() -> Iterator[str]:
    """A server whose nonces live for two seconds."""
    program = shutil.which("apache2") or shutil.which("apache2", path="/usr/sbin")
    if program is None or not (MODULES / "mod_auth_digest.so").exists():
        pytest.skip("apache2 is not installed: apt-get install --no-install-recommends apache2")
    with tempfile.TemporaryDirectory(prefix="apache-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        (folder / "site").mkdir()
        (folder / "site" / "data").write_text("the data")
        hashed = hashlib.md5(f"{USER}:{REALM}:{PASSWORD}".encode()).hexdigest()
        (folder / "users").write_text(f"{USER}:{REALM}:{hashed}\n")
        loads = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in LOADED)
        written = CONFIGURATION.format(folder=folder, port=port, modules=loads, lifetime=2)
        (folder / "apache.conf").write_text(written)
        url = f"http://127.0.0.1:{port}"
        with serving([program, "-X", "-f", str(folder / "apache.conf")], {}, folder / "server.log", f"{url}/open"):
            yield url


@pytest.mark.slow
@pytest.mark.program
@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
def test_apache_lets_every_client_in(client: Driver, apache: str) -> None:
    one = session(apache)
    replies = [client.call(one, f"{apache}/data?a=b%20c&d={number}") for number in range(3)]
    assert [reply.status for reply in replies] == [200] * 3
    assert replies[-1].content == b"the data"
    assert client.call(one, f"{apache}/moved").status == 200


@pytest.mark.slow
@pytest.mark.program
def test_apache_refuses_a_wrong_password(apache: str) -> None:
    with pytest.raises(CredentialsRefused):
        DRIVERS[0].call(session(apache, "wrong"), f"{apache}/data")


@pytest.mark.slow
@pytest.mark.program
def test_apaches_nonces_run_out_and_nobody_notices(apache: str) -> None:
    one = session(apache)
    challenges = one._manager._signers._made["digest"]._challenges  # type: ignore[union-attr,attr-defined]
    assert DRIVERS[0].call(one, f"{apache}/data").status == 200
    (first,) = challenges.values()
    stale = threading.Event()
    stale.wait(3)  # there is no clock of Apache's to move
    assert DRIVERS[0].call(one, f"{apache}/data").status == 200
    (second,) = challenges.values()
    assert first.said["nonce"] != second.said["nonce"]


class Strict:
    """A server of RFC 7616. `challenge` says what it asks for; each nonce serves `serves` times, in order."""

    def __init__(self, serves: int = 100, nextnonce: bool = False, **challenge: str) -> None:
        self.challenge = {"realm": REALM, "qop": "auth", "algorithm": "SHA-256", **challenge}
        self.serves, self.nextnonce = serves, nextnonce
        self.numbers = itertools.count(1)
        self.uses: dict[str, int] = {}
        self.log: list[int] = []
        self.used: list[dict[str, str]] = []

    def __call__(self, came: Came) -> Says:
        said = self._answer(came)
        self.log.append(said.status)
        return said

    def _nonce(self) -> str:
        nonce = f"nonce-{next(self.numbers)}"
        self.uses[nonce] = 0
        return nonce

    def _asks(self, **more: str) -> Says:
        asked = {**self.challenge, "nonce": self._nonce(), **more}
        parts = ", ".join(f'{name}="{value}"' for name, value in asked.items() if value)
        return Says(401, headers={"WWW-Authenticate": f"Digest {parts}"})

    def _answer(self, came: Came) -> Says:
        (said,) = parse_challenges(came.headers.get("authorization", "")) or [{}]
        if "response" not in said:
            return self._asks()
        request = Request(came.method, "http://x" + came.target, (), came.body)
        wanted = answered(said, USER, PASSWORD, request)
        if said.get("uri") != came.target or said["response"] != wanted or said["nonce"] not in self.uses:
            return self._asks()
        if said.get("qop", "") not in self.challenge["qop"].split(", ") and self.challenge["qop"]:
            return self._asks()
        if "nc" in said and int(said["nc"], 16) != self.uses[said["nonce"]] + 1:
            return Says(400)
        self.uses[said["nonce"]] += 1
        if self.uses[said["nonce"]] > self.serves:
            return self._asks(stale="true")
        self.used.append(said)
        more = {"Authentication-Info": f'nextnonce="{self._nonce()}"'} if self.nextnonce else {}
        return Says(200, {"received": len(came.body)}, headers=more)


@pytest.mark.parametrize("algorithm", ["", *(name.upper() for name in HASHES), "MD5-sess", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth, auth-int", ""])
def test_every_algorithm_and_protection(algorithm: str, qop: str, tmp_path: Path) -> None:
    server = Strict(algorithm=algorithm, qop=qop)
    with listening(server) as listener:
        one = session(listener.url)
        assert DRIVERS[0].call(one, f"{listener.url}/a?b=c").status == 200
        for body in ({"data": b"bytes"}, {"json": {"a": 1}}, {"data": {"a": "1"}}):
            assert DRIVERS[0].call(one, f"{listener.url}/a", "POST", **body).status == 200
    assert server.log == [401, 200, 200, 200, 200]
    assert {said.get("qop", "") for said in server.used} == {"auth-int" if qop == "auth-int" else "auth" if qop else ""}


def test_the_body_is_protected_where_the_file_asks_for_it() -> None:
    server = Strict(qop="auth, auth-int")
    with listening(server) as listener:
        one = session(listener.url, qop="auth-int")
        assert DRIVERS[0].call(one, f"{listener.url}/a", "POST", data=b"bytes").status == 200
    assert [said["qop"] for said in server.used] == ["auth-int"]


@pytest.mark.parametrize("client", DRIVERS, ids=lambda driver: driver.name)
def test_a_stream_is_signed_without_its_body_or_not_at_all(client: Driver, tmp_path: Path) -> None:
    body = next(iter(client.one_shot.values()))
    server = Strict()
    with listening(server) as listener:
        one = session(listener.url)
        assert client.call(one, f"{listener.url}/a").status == 200
        assert client.call(one, f"{listener.url}/a", "POST", **body(b"0123456789", tmp_path)).status == 200
        server.challenge["qop"] = "auth-int"
        server.serves = 0
        assert client.call(one, f"{listener.url}/a").status == 401
        with pytest.raises(ConfigurationError, match="this one is a stream"):
            client.call(one, f"{listener.url}/a", "POST", **body(b"0123456789", tmp_path))


def test_a_nonce_is_counted_and_a_stale_one_replaced() -> None:
    server = Strict(serves=2)
    with listening(server) as listener:
        one = session(listener.url)
        assert [DRIVERS[0].call(one, f"{listener.url}/a").status for _ in range(5)] == [200] * 5
    assert [said["nc"] for said in server.used] == ["00000001", "00000002"] * 2 + ["00000001"]


def test_the_next_nonce_is_used_next() -> None:
    server = Strict(serves=1, nextnonce=True)
    with listening(server) as listener:
        one = session(listener.url)
        assert [DRIVERS[0].call(one, f"{listener.url}/a").status for _ in range(4)] == [200] * 4
    assert server.log == [401, 200, 200, 200, 200]


def test_many_at_once_count_a_nonce_once_each() -> None:
    server = Strict()
    server_lock = threading.Lock()

    def says(came: Came) -> Says:
        with server_lock:
            said = (parse_challenges(came.headers.get("authorization", "")) or [{}])[0]
            if "nc" not in said:
                return server(came)
            server.used.append(said)
            return Says(200)

    with listening(says) as listener:
        one = session(listener.url)
        DRIVERS[0].call(one, f"{listener.url}/a")
        threads = [threading.Thread(target=DRIVERS[0].call, args=(one, f"{listener.url}/a")) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(said["nonce"], said["nc"]) for said in server.used}) == 21


def test_a_password_that_is_wrong_is_sent_once() -> None:
    server = Strict()
    with listening(server) as listener:
        with pytest.raises(CredentialsRefused):
            DRIVERS[0].call(session(listener.url, "wrong"), f"{listener.url}/a")
        assert server.log == [401, 401]


def test_a_server_that_forgets_its_nonces_without_a_word_is_asked_again() -> None:
    server = Strict()
    with listening(server) as listener:
        one = session(listener.url)
        assert DRIVERS[0].call(one, f"{listener.url}/a").status == 200
        server.uses.clear()
        assert DRIVERS[0].call(one, f"{listener.url}/a").status == 200


def test_an_exchange_is_signed_too() -> None:
    server = Strict()

    def says(came: Came) -> Says:
        if came.path == "/login":
            said = server(came)
            return said if said.status != 200 else Says(200, {"token": "t-1"})
        return Says(200 if came.headers.get("authorization") == "Bearer t-1" else 401)

    with listening(says) as listener:
        parameters = {"digest": {"username": "{username}", "password": "{password}"}}
        login = {
            "request": {"url": "login", "method": "POST"},
            "sign": parameters,
            "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
        }
        vendor = {"name": "nas", "extends": "relogin", "base_url": f"{listener.url}/", "exchanges": {"login": login}}
        one = AuthSession(vendor, username=USER, password=PASSWORD)
        assert DRIVERS[0].call(one, f"{listener.url}/data").status == 200


def test_a_hashed_user_and_one_beyond_ascii() -> None:
    asked = []

    def says(came: Came) -> Says:
        line = came.headers.get("authorization", "")
        asked.append(line)
        more = ", userhash=true" if came.path == "/hashed" else ""
        told = {"WWW-Authenticate": f'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256, charset=UTF-8{more}'}
        return Says(200) if line else Says(401, headers=told)

    with listening(says) as listener:
        for path in ("/hashed", "/plain"):
            DRIVERS[0].call(session(listener.url, username="Jäsøn Doe"), listener.url + path)
    hashed = hashlib.sha256("Jäsøn Doe:r".encode()).hexdigest()
    assert f'username="{hashed}"' in asked[1]
    assert "userhash=true" in asked[1]
    assert "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe" in asked[3]
