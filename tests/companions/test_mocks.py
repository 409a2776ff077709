"""What people put in a server's place: exchanges and requests alike are answered by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.test_habits import Vendor, vendor
from tests.servers import Says

URL = "https://acme.example"
DATA = f"{URL}/data"


def session(url: str = URL, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(vendor(url), username="alice", password="s3cret", **more)


def test_requests_mock() -> None:
    requests_mock, requests = pytest.importorskip("requests_mock"), pytest.importorskip("requests")
    with requests_mock.Mocker() as mocker:
        mocker.post(f"{URL}/login", [{"json": {"token": "one"}}, {"json": {"token": "two"}}])
        mocker.get(DATA, [{"status_code": 401}, {"json": {"fine": 1}}])
        assert requests.get(DATA, auth=session().requests).json() == {"fine": 1}
        assert [asked.headers.get("Authorization") for asked in mocker.request_history] == [
            *(None, "Bearer two", None, "Bearer two")  # it keeps the request itself, which was sent twice
        ]


def test_responses() -> None:
    responses, requests = pytest.importorskip("responses"), pytest.importorskip("requests")
    with responses.RequestsMock() as mocker:
        mocker.post(f"{URL}/login", json={"token": "one"})
        mocker.get(DATA, json={"fine": 1}, match=[responses.matchers.header_matcher({"Authorization": "Bearer one"})])
        assert requests.get(DATA, auth=session().requests).json() == {"fine": 1}


def test_respx() -> None:
    respx, httpx = pytest.importorskip("respx"), pytest.importorskip("httpx")
    with respx.mock(assert_all_called=True) as router:
        logins = router.post(f"{URL}/login")
        logins.side_effect = [httpx.Response(200, json={"token": token}) for token in ("one", "two")]
        route = router.get(DATA)
        route.side_effect = [httpx.Response(401), httpx.Response(200, json={"fine": 1})]
        with httpx.Client(auth=session().httpx) as http:
            assert http.get(DATA).json() == {"fine": 1}
        assert [call.request.headers["Authorization"] for call in route.calls] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_pook(library: str) -> None:
    pook, lib = pytest.importorskip("pook"), pytest.importorskip(library)
    with pook.use():
        pook.post(f"{URL}/login", reply=200, response_json={"token": "one"})
        pook.get(DATA, headers={"Authorization": "Bearer one"}, reply=200, response_json={"fine": 1})
        assert lib.get(DATA, auth=getattr(session(), library)).json() == {"fine": 1}


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_vcrpy(library: str, listen: Any, tmp_path: Path) -> None:
    vcr, lib = pytest.importorskip("vcr"), pytest.importorskip(library)
    acme = Vendor(listen)
    for _ in range(2):  # recorded, then played
        with vcr.use_cassette(str(tmp_path / "tape.yaml"), record_mode="once"):
            auth = getattr(session(acme.listener.url), library)
            assert lib.get(f"{acme.listener.url}/data", auth=auth).status_code == 200
    assert [came.path for came in acme.listener.came] == ["/login", "/data"]


def test_betamax(listen: Any, tmp_path: Path) -> None:
    betamax, requests = pytest.importorskip("betamax"), pytest.importorskip("requests")
    acme = Vendor(listen)
    for _ in range(2):
        http = requests.Session()
        recorder = betamax.Betamax(http, cassette_library_dir=str(tmp_path))
        with recorder.use_cassette("tape"):
            own = session(acme.listener.url, client=http)
            assert http.get(f"{acme.listener.url}/data", auth=own.requests).status_code == 200
    assert [came.path for came in acme.listener.came if came.path == "/data"] == ["/data"]


def test_pytest_httpx(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("pytest_httpx")
    httpx = pytest.importorskip("httpx")
    mock = request.getfixturevalue("httpx_mock")
    for token in ("one", "two"):
        mock.add_response(url=f"{URL}/login", method="POST", json={"token": token})
    mock.add_response(url=DATA, status_code=401)
    mock.add_response(url=DATA, json={"fine": 1}, match_headers={"Authorization": "Bearer two"})
    with httpx.Client(auth=session().httpx) as http:
        assert http.get(DATA).json() == {"fine": 1}


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize("freezer", ["freezegun", "time_machine"])
def test_a_clock_that_is_moved_ends_a_token(freezer: str, library: str, listen: Any) -> None:
    """The login is sent though time stands still; an hour later, the token of a minute is renewed."""
    frozen, lib = pytest.importorskip(freezer), pytest.importorskip(library)
    granted: list[str] = []

    def says(came: Any) -> Says:
        if came.path == "/token":
            granted.append(f"t{len(granted)}")
            return Says(json={"access_token": granted[-1], "expires_in": 60})
        return Says(json={})

    url = listen(says).url
    freeze = frozen.freeze_time if freezer == "freezegun" else frozen.travel
    with freeze("2030-01-01T00:00:00+00:00", tick=False) as clock:
        own = authflow.AuthSession(
            {"extends": "client-credentials", "name": "frozen", "base_url": f"{url}/"},
            token_url=f"{url}/token",
            client_id="i",
            client_secret="s",
        )
        for _ in range(2):
            assert lib.get(f"{url}/x", auth=getattr(own, library)).status_code == 200
            assert len(granted) == 1
        (clock.tick if freezer == "freezegun" else clock.shift)(3600)
        assert lib.get(f"{url}/x", auth=getattr(own, library)).status_code == 200
    assert len(granted) == 2
