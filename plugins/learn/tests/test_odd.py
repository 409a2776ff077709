"""What was captured at servers of many kinds, with noise around it, is learnt, and logs in there without an edit."""

from __future__ import annotations

import tomllib
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

import authflow
from authflow.cli import group as cli
from authflow.vendors import load
from authflow_learn import Learnt, checking, learn, read_capture, vendor_file
from tests.capturing import Recorder
from tests.servers import listening

from . import odder as odder  # its servers join the table
from . import outsiders as outsiders
from . import strangers as strangers
from .odd import ODD, Odd


def checked(folder: Path, learnt: Learnt, odd: Odd, url: str) -> None:
    """`check`, and `check --against` the same server, as the command's last line says."""
    known = odd.known
    given = {f"AUTHFLOW_{key.upper()}": value for key, value in known.items()}
    given |= {"AUTHFLOW_CLIENT_ID": known.get("username", ""), "AUTHFLOW_CLIENT_SECRET": known.get("password", "")}
    with pytest.MonkeyPatch.context() as environment:
        for key, value in given.items():
            environment.setenv(key, value)
        words = checking.words(learnt, str(folder / "odd.toml"))
        done = CliRunner().invoke(cli._commands(), words[1:])
    assert done.exit_code == 0, (folder / "odd.toml").read_text("utf-8") + done.output
    assert words[4].startswith(url)
    assert "reuse: status 2" in done.output or odd.method != "GET", str(words) + done.output
    assert not any(secret in done.output + str(words) for secret in known.values() if secret != "alice")


@pytest.mark.parametrize("name", sorted(ODD))
def test_an_odd_login_is_learnt_without_an_edit(name: str, tmp_path: Path) -> None:
    odd = ODD[name]()
    recorder = Recorder()
    with listening(odd.says) as server:
        with recorder.client() as client:
            client.get(server.url + "/collect/start")
            odd.visit(client, server.url)
        learnt = learn(read_capture(recorder.save(tmp_path / "capture.har")), odd.known)
        text = vendor_file(learnt, "odd")
        (tmp_path / "odd.toml").write_text(text, "utf-8")
        for secret in (*odd.known.values(), *odd.tokens):
            assert secret not in text or secret == "alice", text
        checked(tmp_path, learnt, odd, server.url)
        before, odd.tokens = odd.logins, set()
        vendor = load(tomllib.loads(text))
        given = {key: value for key, value in odd.known.items() if key in vendor.credentials}
        if "client_id" in vendor.credentials:
            given |= {"client_id": odd.known["username"], "client_secret": odd.known["password"]}
        session = authflow.AuthSession(vendor, **given)
        with httpx.Client(auth=session.httpx, trust_env=False) as mine:
            for _ in range(2):
                answer = mine.request(odd.method, server.url + odd.data, **odd.body)
                assert (answer.status_code, "error" in answer.text) == (200, False), text
            assert odd.logins == before + odd.logs_in, text
            odd.tokens.clear()
            answer = mine.request(odd.method, server.url + odd.data, **odd.body)
            assert (answer.status_code, "error" in answer.text) == (200, False), text
        secret = next((key for key in ("password", "client_secret") if key in given), None)
        if secret is not None:
            with pytest.raises(authflow.CredentialsRefused):
                authflow.AuthSession(vendor, **{**given, secret: "another one"}).login()
