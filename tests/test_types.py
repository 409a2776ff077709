"""What a user's type checker sees: mypy and pyright, both strict, over a program as a user writes it.

niquests is not installed beside them (it takes urllib3's place), as with most users: that must not make noise.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

#: Lines that end in `# wrong` must be errors, all others none.
PROGRAM = """
import aiohttp
import authflow
import httpx
import httpx2
import requests
from authflow.plugins import Answer, Request, Store, hookimpl

session = authflow.AuthSession("supplier", username="alice", password="secret", store="memory")
requests.get("https://supplier.example/", auth=session.requests)
httpx.Client(auth=session.httpx)
httpx.AsyncClient(auth=session.httpx)
httpx2.Client(auth=session.httpx2)
aiohttp.ClientSession(middlewares=[session.aiohttp])
token: authflow.Token = session.token()
ends: float | None = token.expires_at
headers: dict[str, str] = session.headers("https://supplier.example/")
state: str = session.status().state
with session, session.record("A day") as seen:
    seen.save("day.html")
httpx.Client(auth=session.requests)  # wrong
requests.get("https://supplier.example/", auth=session.httpx)  # wrong
httpx2.Client(auth=session.httpx)  # wrong
httpx.Client(auth=session.aiohttp)  # wrong
httpx.Client(auth=session)  # wrong
requests.get("https://supplier.example/", auth=session.aiohttp)  # wrong
aiohttp.ClientSession(middlewares=[session.requests])  # wrong
aiohttp.ClientSession(middlewares=[session])  # wrong
aiohttp.ClientSession(auth=session.aiohttp)  # wrong
requests.get("https://supplier.example/", auth=session)  # wrong
authflow.AuthSession("supplier", untrusted="ignore")  # wrong
token.access = "another"  # wrong
session.enter  # wrong


class Plugin:
    @hookimpl
    def authflow_exchange(self, exchange: str, request: Request) -> Answer | None:
        return Answer(200, body=exchange.encode()) if request.method == "GET" else None


async def later(store: Store) -> str:
    return (await authflow.AuthSession("supplier", store=store).atoken()).access
"""


def by_mypy(program: Path) -> set[int]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", program.name]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, timeout=300)
    return {int(line) for line in re.findall(r"^program\.py:(\d+): error:", done.stdout, re.MULTILINE)}


def by_pyright(program: Path) -> set[int]:
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed: it is in the dev group")
    (program.parent / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, program.name]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, timeout=300)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright needs node, and cannot get it here: {done.stderr[-200:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1 for item in found if item["severity"] == "error"}


@pytest.mark.parametrize("checker", [by_mypy, by_pyright])
def test_a_users_program(checker: Callable[[Path], set[int]], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    wrong = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# wrong")}
    found = checker(program)
    assert found - wrong == set(), "these lines are right"
    assert wrong - found == set(), "these lines are wrong, and nothing was said"
