"""The simulator over HTTP: as a context in a test, and as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from authflow import AuthSession, CredentialsRefused
from authflow.testing import Simulator, serving
from authflow.testing.serve import main


@contextmanager
def process(*arguments: str) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "authflow.testing.serve", *arguments, "--exit-with-stdin"]
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
        assert requests.post(origin + "/__fault", data="nonsense", timeout=10).status_code == 400
        with pytest.raises(CredentialsRefused):
            session_at(found, password="wrong").login()


@pytest.mark.parametrize("fault", ["reset", "half", "refused"])
def test_a_broken_connection_is_broken(fault: str) -> None:
    simulator = Simulator("supplier")
    with serving(simulator) as base_url:
        simulator.faults.add(fault)
        with pytest.raises(requests.RequestException):
            requests.get(base_url, timeout=10)
        assert requests.get(base_url, timeout=10).status_code == 401


def test_a_request_that_times_out_ends_with_its_client() -> None:
    simulator = Simulator("supplier")
    with serving(simulator) as base_url:
        simulator.faults.add("timeout")
        with pytest.raises(requests.ReadTimeout):
            requests.get(base_url, timeout=(5, 0.2))
        assert requests.get(base_url, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "arguments",
    [["no-such-vendor"], ["supplier", "--fault", "nonsense"], ["supplier", "--set", "novalue"], ["no/such.toml"]],
)
def test_a_mistake_in_what_was_typed_is_said_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
