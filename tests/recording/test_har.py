"""A capture of our own: what flows stays to be seen, and no secret is in it unless somebody asks."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import httpx
import pytest

import authflow
from authflow.cli.scaffold import vendor_file
from authflow.masking import spells
from authflow.testing import Simulator, serving
from authflow.vendors.extends import preset_names
from tests.servers import Says, listening

#: A person, or another server, is not simulated.
OTHERS = {"oauth2-code", "oauth2-device", "signed"}


def captured(preset: str, path: Path, *, secrets: bool) -> tuple[list[dict[str, Any]], Simulator]:
    raw = tomllib.loads(vendor_file("here", preset))
    simulator = Simulator(raw, lifetime=3600)
    with serving(simulator) as url:
        session = authflow.AuthSession(raw, base_url=url, **simulator.inputs)
        with session.record(secrets=secrets) as seen, httpx.Client(auth=session.httpx, trust_env=False) as client:
            for number in range(2):
                own = {"X-Mine": "a-header-of-mine"}
                assert client.get(f"{url}orders/{number}?q=mine", headers=own).status_code == 200
        assert seen.save(path) == path
    return json.loads(path.read_text("utf-8"))["log"]["entries"], simulator


@pytest.mark.parametrize("preset", sorted(set(preset_names()) - OTHERS))
def test_no_secret_is_in_a_capture_that_nobody_asked_for(preset: str, tmp_path: Path) -> None:
    entries, simulator = captured(preset, tmp_path / "login.har", secrets=False)
    hidden = {name for name, entry in simulator.vendor.inputs.items() if entry.secret}
    secrets = {str(value) for name, value in simulator.inputs.items() if name in hidden}
    whole, _ = captured(preset, tmp_path / "secret.har", secrets=True)
    text = (tmp_path / "login.har").read_text("utf-8")
    assert not spells(text, secrets)
    assert "a-header-of-mine" not in text
    assert len(entries) == len(whole) >= 2
    shown = [str(entry["request"]["headers"]) for entry in whole]
    assert [str(entry["request"]["headers"]) for entry in entries] != shown, "nothing was replaced at all"


def test_a_cookie_is_told_by_its_name(tmp_path: Path) -> None:
    """Names with a dot too (`connect.sid`, `ASP.NET_SessionId`)."""
    request = {"url": "login", "json": {"u": "{username}", "p": "{password}"}}
    held = {"cookies": {"connect.sid": "{access}"}}
    login = {"request": request, "answers": {"granted": {"status": 200, **held}}}
    raw = {"extends": "relogin", "base_url": "https://acme.example/", "exchanges": {"login": login}}
    simulator = Simulator({"name": "here", **raw, "states": {"signed_in": {"present": held}}})
    with serving(simulator) as url:
        session = authflow.AuthSession(simulator.vendor, base_url=url, **simulator.inputs)
        with session.record() as seen, httpx.Client(auth=session.httpx, trust_env=False) as client:
            assert client.get(f"{url}orders/7").status_code == 200
    text = seen.save(tmp_path / "login.har").read_text("utf-8")
    assert text.count('"connect.sid=masked') == 2, text


@pytest.mark.parametrize("secrets", [False, True])
def test_only_you_may_read_it_even_where_a_file_was(tmp_path: Path, secrets: bool) -> None:
    (tmp_path / "login.har").write_text("old", "utf-8")
    (tmp_path / "login.har").chmod(0o666)
    captured("relogin", tmp_path / "login.har", secrets=secrets)
    assert stat.S_IMODE((tmp_path / "login.har").stat().st_mode) == 0o600


def test_what_flows_has_one_stand_in_and_ends_can_be_read(tmp_path: Path) -> None:
    entries, _ = captured("oauth2-password", tmp_path / "login.har", secrets=False)
    login, data = entries[0], entries[-1]
    said = json.loads(login["response"]["content"]["text"])
    carried = {one["name"].lower(): one["value"] for one in data["request"]["headers"]}["authorization"]
    assert carried == f"Bearer {said['access_token']}"
    assert said["access_token"].startswith("masked")
    assert isinstance(said["expires_in"], int | str)
    assert "masked" not in str(said["expires_in"])


@pytest.mark.parametrize("pin", ["482913", "0482913"])
@pytest.mark.parametrize(
    "said",
    [
        Says(418, {"code": 482913, "deep": [1, {"n": 482913.0, "error": -482913}]}),
        Says(418, {"482913": 1, "wrong 482913": {"pin=482913": [True]}}),
        Says(418, {"message": "no such open-sesame", "error": "OPEN-SESAME", "open%2Dsesame": 1}),
        Says(418, body=b"error=1&message=open-sesame&482913=2&open%2Dsesame=3"),
        Says(418, {}, {"Content-Type": "text/x; of=b3Blbi1zZXNhbWU=", "Server": "482913", "Location": "/482913?a=b"}),
    ],
)
def test_what_a_server_repeats_is_in_no_capture(said: Says, pin: str, tmp_path: Path) -> None:
    """Under whatever name, as a name, as a number, in headers that tell nothing else."""
    login = {"request": {"url": "login", "json": {"u": "{username}", "p": "{password}", "pin": "{pin:int}"}}}
    file = {"extends": "relogin", "name": "acme", "credentials": {"pin": {"secret": True}}}
    file["exchanges"] = {"login": {**login, "answers": {"granted": {"json": {"token": "{access}"}}}}}
    with listening(lambda came: said) as home:
        session = authflow.AuthSession(
            {**file, "base_url": f"{home.url}/"}, username="u", password=lambda: "open-sesame", pin=pin
        )
        with session.record() as seen, pytest.raises(authflow.VendorAnswerError):
            session.token()
    text = seen.save(tmp_path / "login.har").read_text("utf-8") + seen.html()
    assert not spells(text, ["open-sesame", "482913"])
    assert '"status":418' in text


def test_what_an_answer_tells_stays_in_a_capture(tmp_path: Path) -> None:
    said = {"token": "tok-1", "token_type": "Bearer", "expires_in": 3600, "code": 7, "a name": [0.5], "status": "ok"}
    file = {"extends": "relogin", "name": "acme", "exchanges": {"login": {"request": {"url": "login"}}}}
    file["exchanges"]["login"]["request"]["json"] = {"u": "{username}", "p": "{password}"}
    file["exchanges"]["login"]["answers"] = {"granted": {"json": {"token": "{access}"}}}
    with listening(lambda came: Says(json=said)) as home:
        session = authflow.AuthSession({**file, "base_url": f"{home.url}/"}, username="u", password="open-sesame")
        with session.record() as seen:
            session.token()
    entry = json.loads(seen.save(tmp_path / "login.har").read_text("utf-8"))["log"]["entries"][0]
    told = json.loads(entry["response"]["content"]["text"])
    assert told.keys() == said.keys()
    assert {name: told[name] for name in ("expires_in", "code", "a name", "status")} == {
        name: said[name] for name in ("expires_in", "code", "a name", "status")
    }
