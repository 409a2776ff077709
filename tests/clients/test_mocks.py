"""What people put in a server's place, or beside a client: exchanges go through it as the user's own requests do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.servers import Came, Listener, Says

BASE = "https://vendor.example/"
VENDOR = {
    "extends": "client-credentials",
    "name": "acme",
    "base_url": BASE,
    "settings": {"token_url": {"default": f"{BASE}token"}},
}
GRANTED = {"access_token": "a-token", "expires_in": 60}


def session(vendor: Any = VENDOR, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(vendor, client_id="me", client_secret="s3cret", **more)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_mock_transport_answers_exchanges(library: str) -> None:
    lib: Any = pytest.importorskip(library)
    client = lib.Client(transport=lib.MockTransport(lambda request: lib.Response(200, json=GRANTED)))
    assert session(client=client).token().access == "a-token"


def test_responses_sees_a_form_as_text() -> None:
    requests, responses = pytest.importorskip("requests"), pytest.importorskip("responses")
    wanted = responses.matchers.urlencoded_params_matcher({"grant_type": "client_credentials"})
    with responses.RequestsMock() as mock:
        mock.post(f"{BASE}token", json=GRANTED, match=[wanted])
        mock.get(f"{BASE}data")
        assert requests.get(f"{BASE}data", auth=session().requests).status_code == 200
        assert mock.calls[1].request.headers["Authorization"] == "Bearer a-token"


def test_vcrpy_records_an_exchange_and_plays_it_again(tmp_path: Path, listen: Any) -> None:
    requests, vcr = pytest.importorskip("requests"), pytest.importorskip("vcr")
    server: Listener = listen(lambda came: Says(json=GRANTED))
    here = {**VENDOR, "base_url": f"{server.url}/", "settings": {"token_url": {"default": f"{server.url}/token"}}}
    for _ in range(2):
        with vcr.use_cassette(str(tmp_path / "cassette.yaml")):
            assert requests.get(f"{server.url}/data", auth=session(here).requests).status_code == 200
    assert len(server.came) == 2


def test_no_cache_answers_in_the_vendors_place(listen: Any) -> None:
    requests_cache = pytest.importorskip("requests_cache")
    numbers = iter(range(1, 9))

    def grant(came: Came) -> Says:
        return Says(json={"access_token": f"token-{next(numbers)}", "expires_in": 60})

    server: Listener = listen(grant)
    login = {"method": "GET", "url": "{token_url}", "headers": {"X-Id": "{client_id}", "X-Secret": "{client_secret}"}}
    here = {
        **VENDOR,
        "base_url": f"{server.url}/",
        "settings": {"token_url": {"default": f"{server.url}/token"}},
        "exchanges": {"login": {"request": login}},
    }
    client = requests_cache.CachedSession(backend="memory", expire_after=3600)
    mine = session(here, client=client)
    assert [mine.login().access for _ in range(2)] == ["token-1", "token-2"]
    assert {came.headers["cache-control"] for came in server.came} == {"no-store"}
    assert not client.settings.disabled
