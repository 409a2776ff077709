"""simulate: a vendor as a process of its own, and every mistake in what was typed said in a line."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from authflow import AuthSession, CredentialsRefused

from .conftest import AUTHFLOW, Shell


@contextmanager
def process(*arguments: str) -> Iterator[dict[str, Any]]:
    command = [*AUTHFLOW, "simulate", *arguments, "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield json.loads(server.stdout.readline())
        server.stdin.close()
        assert server.wait(30) == 0


def session_at(found: dict[str, Any], **other: Any) -> AuthSession:
    return AuthSession("supplier", base_url=found["base_url"], **{**found["inputs"], **other})


def test_a_process_serves_a_session_over_http() -> None:
    with process("supplier", "--lifetime", "1h", "--set", "username=ann", "--set", "password=open", "--quiet") as found:
        assert found["inputs"]["username"] == "ann"
        url = found["base_url"] + "deliveries/42"
        session = session_at(found)
        answers = [requests.get(url, auth=session.requests, timeout=10) for _ in range(2)]
        assert [(answer.status_code, answer.json()["served"]) for answer in answers] == [
            (200, "/api/v1/tracking/42"),
            (200, "/api/v1/tracking/42"),
        ]
        origin = found["base_url"].removesuffix("/api/v1/auth/")
        counts = requests.get(origin + "/__counts", timeout=10).json()
        assert (counts["login"], counts["data"]) == (1, 2)
        assert requests.post(origin + "/__fault", data="revoke-access", timeout=10).status_code == 204
        assert requests.get(url, auth=session.requests, timeout=10).status_code == 200
        assert requests.get(origin + "/__counts", timeout=10).json()["refresh"] == 1
        with pytest.raises(CredentialsRefused):
            session_at(found, password="wrong").login()


def test_faults_of_the_command_line_strike() -> None:
    with process("supplier", "--fault", "503@data:x2", "--fault", "429=7@data", "--quiet") as found:
        session = session_at(found)
        answers = [requests.get(found["base_url"] + "x", auth=session.requests, timeout=10) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 429, 200]
        assert answers[2].headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-vendor"], "unknown vendor"),
        (["supplier", "--fault", "nonsense"], "unknown fault"),
        (["supplier", "--fault", "503@nowhere"], "there are data, exchange, login, refresh"),
        (["supplier", "--set", "novalue"], "NAME=VALUE"),
        (["supplier", "--set", "colour=red"], "takes no 'colour'"),
        (["supplier", "--lifetime", "soon"], "must be a number of seconds"),
        (["supplier", "--lifetime", "-5s"], "must be a number of seconds"),
        (["supplier", "--port", "any"], "'any' is not a valid integer"),
        (["supplier", "--port", "70000"], "0<=x<=65535"),
        ([], "Missing argument 'VENDOR'"),
    ],
)
def test_a_mistake_in_what_was_typed_is_said_at_the_end(shell: Shell, arguments: list[str], said: str) -> None:
    done = shell("simulate", *arguments)
    assert (done.code, done.out) == (1 if "no/such.toml" in arguments else 2, "")
    assert said in done.err.strip().splitlines()[-1]


def test_a_file_that_is_not_there_is_no_right_vendor_file(shell: Shell) -> None:
    done = shell("simulate", "no/such.toml")
    assert (done.code, done.out) == (1, "")
    assert done.err == "authflow: no/such.toml: cannot be read: No such file or directory\n"


def test_a_port_that_is_taken_is_said_in_a_line(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = shell("simulate", "supplier", "--port", port)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"authflow: cannot listen on port {port}: ")
    assert done.err.count("\n") == 1


def test_what_is_not_simulated_is_said_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "far.toml").write_text(
        'extends = "relogin"\nname = "far"\nbase_url = "https://api.example/"\n'
        '[origins]\nsend = ["https://id.example"]\n[exchanges.login]\n'
        'request = { url = "https://id.example/token", form = { u = "{username}", p = "{password}" } }\n'
        'answers.granted = { status = 200, json = { token = "{access}" } }\n'
    )
    command = [*AUTHFLOW, "simulate", "far.toml", "--exit-with-stdin"]
    done = subprocess.run(command, cwd=tmp_path, input="", capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr.startswith("not simulated: exchanges.login.request.url: it says https://id.example")


def test_an_error_is_json_where_that_is_wanted(shell: Shell) -> None:
    done = shell("simulate", "supplier", "--json", "--fault", "nonsense")
    assert (done.code, done.out) == (2, "")
    assert "unknown fault" in json.loads(done.err.strip().splitlines()[-1])["message"]
