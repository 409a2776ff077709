"""A newcomer's first day: from the README's second vendor file to data, then all that can go wrong.

Each error is judged as a stranger would: it says what happened, where, and what to do, in one line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest
import requests

import authflow
from tests.cli.conftest import Shell
from tests.cli.test_front import through_a_shell
from tests.servers import Came, Says, closed_port, listening
from tests.test_readme import TOML

PASSWORD = "hunter2"
LIFETIME = 900


@dataclass
class Parcels:
    """The vendor whose API page is two paragraphs long: a session token in a header of its own, 419 when it is over."""

    url: str = ""
    live: set[str] = field(default_factory=set)
    logins: int = 0

    def says(self, came: Came) -> Says:
        if came.path == "/v2/session":
            self.logins += 1
            if json.loads(came.body) != {"login": "jo", "secret": PASSWORD}:
                return Says(403, json={"error": "bad login"})
            token = f"token-{self.logins}"
            self.live = {token}
            return Says(json={"session": {"token": token, "ttl": LIFETIME}})
        if came.headers.get("x-session-token") not in self.live:
            return Says(419, json={"error": "session over"})
        return Says(json={"parcel": came.path.rpartition("/")[2]})


@pytest.fixture
def parcels() -> Iterator[Parcels]:
    vendor = Parcels()
    with listening(vendor.says) as listener:
        vendor.url = f"{listener.url}/v2/"
        yield vendor


@pytest.fixture
def file(parcels: Parcels, tmp_path: Path) -> Path:
    (text,) = (snippet.code for snippet in TOML if 'name = "parcels"' in snippet.code)
    path = tmp_path / "parcels.toml"
    path.write_text(text.replace("https://parcels.example/v2/", parcels.url))
    return path


def test_from_nothing_to_data_in_the_shell(shell: Shell, parcels: Parcels, file: Path) -> None:
    assert shell("check", str(file)).code == 0
    done = shell("login", str(file), "--set", "username=jo", "--save", "parcels", AUTHFLOW_PASSWORD=PASSWORD)
    assert (done.code, done.out) == (0, ""), done
    assert shell("request", "GET", "parcels/7", AUTHFLOW_PASSWORD=PASSWORD).json == {"parcel": "7"}
    parcels.live.clear()
    assert shell("request", "GET", "parcels/8", AUTHFLOW_PASSWORD=PASSWORD).json == {"parcel": "8"}
    assert "parcels  parcels  signed_in  ████████████ 14 min" in shell("status", AUTHFLOW_PASSWORD=PASSWORD).out
    assert parcels.logins == 2


@pytest.mark.parametrize("wrong_by", [0, -2 * 3600, 2 * 3600, 400 * 86400])
def test_from_nothing_to_data_in_python_whatever_the_clock_says(parcels: Parcels, file: Path, wrong_by: float) -> None:
    now = time.time() + wrong_by
    session = authflow.AuthSession(file, username="jo", password=PASSWORD, clock=lambda: now)
    with requests.Session() as client:
        client.trust_env = False
        assert client.get(f"{parcels.url}parcels/7", auth=session.requests, timeout=10).json() == {"parcel": "7"}
    with httpx2.Client(auth=session.httpx2, trust_env=False) as successor:
        assert successor.get(f"{parcels.url}parcels/8").json() == {"parcel": "8"}
    assert parcels.logins == 1
    now += LIFETIME + 1
    assert session.token().access == "token-2"


def test_the_supplier_is_down(shell: Shell, file: Path) -> None:
    with closed_port() as nowhere:
        done = shell("token", str(file), "--set", "username=jo", "--set", f"base_url={nowhere}/", AUTHFLOW_PASSWORD="x")
        assert (done.code, done.out, done.err.count("\n")) == (3, "", 1)
        assert f"parcels: no answer to login from {nowhere} (" in done.err
        assert "refused" in done.err
        session = authflow.AuthSession(file, username="jo", password=PASSWORD, base_url=f"{nowhere}/")
        with pytest.raises(requests.RequestException, match=f"no answer to login from {nowhere}") as error:
            requests.get(f"{nowhere}/parcels/7", auth=session.requests, timeout=10)
        assert isinstance(error.value, authflow.VendorUnavailable)


def test_the_password_is_wrong(shell: Shell, parcels: Parcels, file: Path) -> None:
    for _ in range(2):
        done = shell("token", str(file), "--set", "username=jo", AUTHFLOW_PASSWORD="hunter3")
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert done.err.startswith("authflow: parcels: The server refused this username and password. Not tried again")
        assert "unless the credentials change" in done.err
    assert parcels.logins == 1
    assert shell("token", str(file), "--set", "username=jo", AUTHFLOW_PASSWORD=PASSWORD).out == "token-2\n"


def test_the_vendor_file_is_wrong(shell: Shell, file: Path) -> None:
    """What was expected stands beside what came; the shape of the answer is shown, and nothing of the token."""
    file.write_text(file.read_text().replace("granted = { json", "granted = { status = 201, json"))
    done = shell("token", str(file), "--set", "username=jo", AUTHFLOW_PASSWORD=PASSWORD)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "granted: status 200, not 201" in done.err
    assert '{"session":{"token":"***","ttl":"***"}}' in done.err
    assert "token-1" not in done.err


def test_the_address_is_wrong(shell: Shell, file: Path) -> None:
    done = shell("token", str(file), "--set", "username=jo", "--set", "base_url=nope", AUTHFLOW_PASSWORD=PASSWORD)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "parcels: base_url: not an absolute http or https URL" in done.err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_the_disk_is_full(shell: Shell, file: Path) -> None:
    """No file may grow: what is granted cannot be kept, so nobody is told that it was."""
    shell.env["AUTHFLOW_PASSWORD"] = PASSWORD
    done = through_a_shell(shell, ["token", str(file), "--set", "username=jo"], 'ulimit -f 0; "$@"')
    assert (done.code, done.out, done.err.count("\n")) == (4, "", 1)
    assert f"Tokens cannot be written in {shell.home}/state/authflow (" in done.err
    assert "keep the tokens elsewhere" in done.err
    assert shell("token", str(file), "--set", "username=jo").code == 0
