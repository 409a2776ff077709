"""The vendor file and the supplier's server, made apart from each other, must agree."""

import json
import subprocess
import sys
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


def test_a_wrong_password_is_refused(supplier: dict[str, str]) -> None:
    with pytest.raises(authflow.CredentialsRefused):
        sign_in(supplier, "wrong").login()
