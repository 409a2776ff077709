"""What people put in a server's place: exchanges and requests alike are answered by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.clients.test_habits import Vendor, vendor

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
