"""The simulator over HTTP, as a context in a test; `tests/commands` has it as a process of its own."""

from __future__ import annotations

import pytest
import requests

from authflow.testing import Simulator, serving
from authflow.testing.serve import unreached


@pytest.mark.parametrize("fault", ["reset", "half", "refused"])
def test_a_broken_connection_is_broken(fault: str) -> None:
    simulator = Simulator("supplier")
    with serving(simulator) as base_url:
        simulator.faults.add(fault)
        with pytest.raises(requests.RequestException):
            requests.get(base_url, timeout=10)
        assert requests.get(base_url, timeout=10).status_code == 401


def test_a_request_that_times_out_ends_with_its_client() -> None:
    simulator = Simulator("supplier")
    with serving(simulator) as base_url:
        simulator.faults.add("timeout")
        with pytest.raises(requests.ReadTimeout):
            requests.get(base_url, timeout=(5, 0.2))
        assert requests.get(base_url, timeout=10).status_code == 401


def test_faults_are_ordered_and_calls_counted_over_http() -> None:
    simulator = Simulator("supplier")
    with serving(simulator) as base_url:
        origin = base_url.removesuffix("/api/v1/auth/")
        orders = ["503@data", "nonsense", "503@nowhere"]
        said = [requests.post(origin + "/__fault", data=order, timeout=10) for order in orders]
        assert [answer.status_code for answer in said] == [204, 400, 400]
        assert "there are data, exchange, login, refresh" in said[2].text
        assert [requests.get(base_url, timeout=10).status_code for _ in range(2)] == [503, 401]
        counts = requests.get(origin + "/__counts", timeout=10).json()
        assert counts == {"faults": 1, "data": 1, "data_without_token": 1, "data_refused": 1}


def test_what_a_file_sends_elsewhere_is_said() -> None:
    vendor = {
        "extends": "oauth2-password",
        "name": "two-homes",
        "base_url": "https://api.example/",
        "origins": {"send": ["https://login.example"]},
        "exchanges": {"login": {"request": {"url": "https://login.example/token", "form": {"p": "{password}"}}}},
        "settings": {"token_url": {"default": "https://api.example/token"}},
    }
    simulator = Simulator(vendor)
    assert list(unreached(Simulator("supplier"))) == []
    with serving(simulator):
        assert [line.partition(": ")[0] for line in unreached(simulator)] == ["exchanges.login.request.url"]
