"""What a recorder of the user's keeps: of his own request as much as with Basic, of exchanges what he lets it keep."""

from __future__ import annotations

import base64
import importlib
from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.drivers import Driver
from tests.clients.test_redirects import TOKEN
from tests.clients.test_remains import PASSWORD, REFRESH, Basic, Listen, file, says

PAIR = base64.b64encode(f"user:{PASSWORD}".encode()).decode()


def tape(path: Path) -> list[dict[str, Any]]:
    """What stands on a cassette about the caller's requests, the secret left out."""
    yaml = importlib.import_module("yaml")
    text = path.read_text("utf-8").replace(f"Bearer {TOKEN}-1", "ours").replace(f"Basic {PAIR}", "ours")
    return [it["request"] for it in yaml.safe_load(text)["interactions"] if not it["request"]["uri"].endswith("login")]


@pytest.mark.parametrize("path", ["/land", "/go"])
def test_a_cassette_shows_the_callers_request_as_it_does_with_basic(
    client: Driver, listen: Listen, tmp_path: Path, path: str
) -> None:
    vcr = pytest.importorskip("vcr")
    if client.library in ("aiohttp", "niquests", "httpx2") or client.name == "httpx-trio":
        pytest.skip("vcrpy does not know it, or its Basic auth is no middleware")
    home = listen(says())
    with vcr.use_cassette(str(tmp_path / "basic.yaml")):
        client.call(Basic(client), f"{home.url}{path}")
    session = authflow.AuthSession(file(home, "authorization"), username="user", password=PASSWORD)
    with vcr.use_cassette(str(tmp_path / "ours.yaml")):
        client.call(session, f"{home.url}{path}")
    assert tape(tmp_path / "ours.yaml") == tape(tmp_path / "basic.yaml") != []


@pytest.mark.parametrize("given", [False, True], ids=["his session", "his session is client="])
def test_betamax_records_the_login_only_of_its_own_session(listen: Listen, tmp_path: Path, given: bool) -> None:
    betamax, requests = pytest.importorskip("betamax"), pytest.importorskip("requests")
    home, http = listen(says()), requests.Session()
    own = {"client": http} if given else {}
    session = authflow.AuthSession(file(home, "authorization"), username="user", password=PASSWORD, **own)
    with betamax.Betamax(http, cassette_library_dir=str(tmp_path)).use_cassette("tape"):
        assert http.get(f"{home.url}/land", auth=session.requests).status_code == 200
    said = (tmp_path / "tape.json").read_text("utf-8")
    assert (PASSWORD in said, REFRESH in said, f"Bearer {TOKEN}-1" in said) == (given, given, True)
