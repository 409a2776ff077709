"""The page says what is so: its files load, prove and are simulated, and its own signer works."""

from __future__ import annotations

import re
import tomllib
import types
from pathlib import Path

import pytest
import requests

from authflow import AuthSession
from authflow.plugins import manager
from authflow.testing import Clock, Simulator
from authflow.testing.suite import CLIENTS, signed_up
from tests.servers import Came, Says, listening

PAGE = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
FILES = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", PAGE, re.S)]
(OWN,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file["name"])
def test_every_file_is_proved_and_simulated(file: dict[str, object]) -> None:
    assert Simulator(file, clock=Clock()).cannot == ()
    simulator, session = signed_up(file)
    assert simulator.vendor.warnings == ()
    assert [CLIENTS["httpx"](simulator, session) for _ in range(2)] == [200, 200]


def test_each_signer_has_its_screen() -> None:
    assert {name for file in FILES for name in file["sign"]} == {"aws-sigv4", "oauth1", "dpop", "digest"}
    for screen in PAGE.split("\n## ")[1:]:
        assert screen.count("\n") <= 45


def test_ones_own_signer_is_thirty_lines_and_works() -> None:
    assert len([line for line in OWN.splitlines() if line.strip()]) <= 30
    module = types.ModuleType("acme")
    exec(OWN, vars(module))
    manager().register(module)
    seen: list[str] = []

    def says(came: Came) -> Says:
        seen.append(came.headers["x-nonce"])
        return Says(200 if came.headers["x-nonce"] == "n-1" else 401, headers={"X-Nonce": "n-1"})

    try:
        with listening(says) as listener, requests.Session() as client:
            client.trust_env = False
            file = {"name": "own", "extends": "api-key", "base_url": f"{listener.url}/", "sign": {"acme": {"key": "k"}}}
            one = AuthSession(file, api_key="a")
            assert [client.get(f"{listener.url}/a", auth=one.requests).status_code for _ in range(2)] == [200, 200]
    finally:
        manager().unregister(module)
    assert seen == ["", "n-1", "n-1"]
