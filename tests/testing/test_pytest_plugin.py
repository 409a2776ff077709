"""The plugin, as another project meets it: pytest runs in a folder of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MINE = """
import httpx
import pytest
from authflow.testing import httpx_transport

@pytest.mark.authflow_vendor("supplier", lifetime=60)
def test_of_the_marked(authflow_simulator, authflow_session, authflow_clock):
    with httpx.Client(transport=httpx_transport(authflow_simulator), auth=authflow_session.httpx) as client:
        assert client.get(authflow_simulator.base_url).status_code == 200
        authflow_clock.advance(61)
        assert client.get(authflow_simulator.base_url).status_code == 200
    assert authflow_simulator.counts["refresh"] == 1

def test_of_the_command_line(authflow_simulator, authflow_session):
    assert authflow_session.token().access
"""

BAD = """
name = "bad"
extends = "password"
base_url = "https://api.example/"
[exchanges.login]
request = { url = "login", json = { user = "{username}", password = "{password}" } }
answers.granted = { status = 200, json = { token = "{access}", refresh = "{refresh}" } }
answers.also = { status = 200, json = { token = "{any}" } }
[exchanges.refresh]
request = { url = "refresh", json = { refresh = "{refresh}" } }
answers.granted = { status = 200, json = { token = "{access}", refresh = "{refresh}" } }
[states.signed_out]
send = "login"
granted = "signed_in"
also = "signed_in"
denied = "refused"
"""


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_whole_suite_runs_without_a_line_of_test_code(tmp_path: Path) -> None:
    code, shown = run(tmp_path, "--authflow-vendor", "supplier", "--authflow-examples", "10", "-v")
    assert code == 0, shown
    assert "authflow[supplier]::keeps_the_promises PASSED" in shown
    assert "5 passed" in shown


def test_the_fixtures_serve_the_marked_vendor_or_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(MINE)
    code, shown = run(tmp_path, "--authflow-vendor", "supplier", "--authflow-vendor", "keystone", "-k", "test_of", "-v")
    assert code == 0, shown
    assert "3 passed" in shown
    code, shown = run(tmp_path)
    assert code == 1
    assert "name the vendor" in shown


def test_a_file_that_is_not_right_fails_in_its_author_s_terms(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(BAD)
    code, shown = run(tmp_path, "--authflow-vendor", "bad.toml", "--authflow-examples", "1")
    assert code == 1
    assert "states.signed_in" in shown or "on some path" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("name", ["hypothesis", "requests", "httpx", "msgspec"])
def test_nothing_heavy_is_imported_where_nobody_asks(tmp_path: Path, name: str) -> None:
    (tmp_path / "test_light.py").write_text(f"import sys\ndef test_light():\n    assert {name!r} not in sys.modules\n")
    code, shown = run(tmp_path, "-p", "no:hypothesispytest", "-p", "no:anyio")
    assert code == 0, shown
