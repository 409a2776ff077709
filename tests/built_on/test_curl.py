"""A shell hands the token on: `curl -H "Authorization: Bearer $(authflow token ACCOUNT)"`, as the help says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.built_on.conftest import Vendor

FILE = """
name = "mine"
extends = "relogin"
[exchanges.login]
request = { url = "login", json = { username = "{username}", password = "{password}" } }
answers.granted = { json = { access = "{access}", in = "{expires_in:int}" } }
"""
COMMAND = """curl --silent --fail -H "Authorization: Bearer $(authflow token mine.toml --set username=demo)" """


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_gets_the_token_of_the_command_line(vendor: Vendor, tmp_path: Path) -> None:
    vendor.answers["/data"] = {"status": "on its way"}
    (tmp_path / "mine.toml").write_text(f'base_url = "{vendor.url}/"\n{FILE}', "utf-8")
    homes = dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **homes, "PATH": path, "AUTHFLOW_PASSWORD": "open-sesame"}
    for _ in range(2):
        said = subprocess.run(
            [*("sh", "-c"), f"{COMMAND} {vendor.url}/data"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert json.loads(said.stdout) == {"status": "on its way"}
        assert said.stderr == ""
    assert (vendor.logins, vendor.refused) == (1, 0), "the second run was to find the token in the store"
