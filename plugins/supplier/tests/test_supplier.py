"""The vendor file and the supplier's server, made apart from each other, must agree."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
import requests

import authflow


@pytest.fixture
def supplier() -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "authflow_supplier.server", "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())


def sign_in(supplier: dict[str, str], password: str) -> authflow.AuthSession:
    return authflow.AuthSession(
        "supplier",
        username="demo",
        password=password,
        base_url=supplier["base_url"],
        data_origin=supplier["data_url"],
    )


def test_a_delivery_is_seen(supplier: dict[str, str]) -> None:
    session = sign_in(supplier, "open-sesame")
    answer = requests.get(supplier["base_url"] + "deliveries/42", auth=session.requests, timeout=10)
    assert (answer.status_code, answer.json()["id"]) == (200, "42")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_who_starts_it_at_a_terminal_can_paste_what_it_prints() -> None:
    import pty

    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "authflow_supplier.server", "--exit-with-stdin", "--password", "it's secret"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=terminal) as server:
        os.close(terminal)
        shown = b""
        while b"authflow request" not in shown or not shown.endswith(b"\n\r\n"):
            shown += os.read(master, 4096)
        _, _, more = shown.decode().replace("\r\n", "\n").partition("In Python:\n")
        code, _, line = more.partition("In a shell:\n")
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
        env = {**os.environ, "PATH": path, "NO_PROXY": "127.0.0.1"}
        python = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
        with tempfile.TemporaryDirectory() as home:
            env |= {"HOME": home, "XDG_STATE_HOME": home, "AUTHFLOW_CONFIG": f"{home}/config.toml"}
            shell = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, timeout=60)
        assert server.stdin is not None
        server.stdin.close()
    os.close(master)
    assert (python.stderr, shell.stderr) == ("", "")
    assert python.stdout.strip() == json.loads(shell.stdout)["status"]


@pytest.mark.parametrize("port", ["taken", "65536", "-1", "http"])
def test_a_port_that_is_none_or_taken_is_said_without_a_traceback(port: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1]) if port == "taken" else port
        command = [sys.executable, "-m", "authflow_supplier.server", f"--port={number}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "port" in done.stderr or "in use" in done.stderr


def test_a_wrong_password_is_refused(supplier: dict[str, str]) -> None:
    with pytest.raises(authflow.CredentialsRefused):
        sign_in(supplier, "wrong").login()
