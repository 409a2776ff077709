"""Real servers behind the gateway (plugins/gateway): a caller with a key, a revoked token, one exchange."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import authflow
from authflow_selfhosted.servers import PRODUCTS, Unavailable, running

pytest.importorskip("authflow_gateway")
COMMAND = [sys.executable, "-c", "from authflow_gateway.command import main; main()"]


@pytest.mark.parametrize("name", ["simplejwt", "flask-jwt-extended", "synapse", "keystone"])
def test_a_real_server_is_called_through_the_gateway(name: str, tmp_path: Path) -> None:
    try:
        serving = running(PRODUCTS[name], 60)
        server = serving.__enter__()
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    try:
        inputs = {key: value for key, value in server.inputs.items() if key != "password"}
        given: dict[str, Any] = dict(server.inputs)
        session = authflow.AuthSession(name, store="memory", **given)
        session.token()
        base_url = session._manager.grants.current.base_url
        path = server.data.removeprefix(base_url)
        lines = [f'[accounts.real]\nvendor = {json.dumps(name)}\nstore = "memory"\npassword = {{ env = "P" }}']
        lines += [f"{key} = {json.dumps(value)}" for key, value in inputs.items()]
        (tmp_path / "accounts.toml").write_text("\n".join(lines), "utf-8")
        (tmp_path / "accounts.toml").chmod(0o600)
        route = '[[routes]]\npath = "/real/{path}"\naccount = "real"\nmethods = ["GET"]\npaths = ["**"]\n'
        head = 'listen = "127.0.0.1:0"\naccounts = "accounts.toml"\n'
        (tmp_path / "gateway.toml").write_text(head + route, "utf-8")
        env = {**os.environ, "P": server.inputs["password"], "NO_PROXY": "*", "XDG_STATE_HOME": str(tmp_path)}
        words = [*COMMAND, "key", "add", "test"]
        key = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout.strip()
        with (tmp_path / "log").open("w") as log:
            words = [*COMMAND, "gateway.toml"]
            gateway = subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        assert gateway.stdout is not None
        try:
            url = json.loads(gateway.stdout.readline())["listens"]

            def fetch(number: int) -> httpx.Response:
                return httpx.get(f"{url}/real/{path}", headers={"X-Gateway-Key": key}, timeout=60, trust_env=False)

            with ThreadPoolExecutor(8) as threads:
                answers = list(threads.map(fetch, range(16)))
            log_text = (tmp_path / "log").read_text("utf-8")
            assert {answer.status_code for answer in answers} == {200}, log_text
            assert server.product.shows in answers[0].text
            assert not {"set-cookie", "www-authenticate"} & set(answers[0].headers)
            assert server.inputs["password"] not in log_text
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(timeout=40)
            gateway.stdout.close()
    finally:
        serving.__exit__(None, None, None)
