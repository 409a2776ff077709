"""Tests of your own application: `authflow-http[test]` simulates any vendor from its file, with fixtures for pytest.

Nothing listens on a port, and nothing waits: you move the clock yourself. The simulator stands behind your client:
`httpx_transport` for httpx and httpx2, `requests_adapter` for requests and niquests.
"""

import httpx
import pytest
import requests

import authflow
from authflow.plugins import Answer
from authflow.testing import httpx_transport, requests_adapter


def status(client, id):  # your application
    return client.get(f"https://api.supplier.example/api/v1/auth/deliveries/{id}").status_code


@pytest.mark.authflow_vendor("supplier", lifetime=3600)
def test_it_outlives_its_token(authflow_simulator, authflow_session, authflow_clock):
    transport = httpx_transport(authflow_simulator)
    with httpx.Client(transport=transport, auth=authflow_session.httpx) as client:
        assert status(client, 42) == 200
        authflow_clock.advance(3601)
        assert status(client, 42) == 200
        authflow_simulator.faults.add("503@refresh")
        authflow_clock.advance(3601)
        with pytest.raises(authflow.VendorUnavailable):
            status(client, 42)
    assert authflow_simulator.counts["refresh"] == 1


def delayed(call):  # data of your own, for requests that carry a good token; None: the simulator answers as usual
    return Answer(200, (("Content-Type", "application/json"),), b'{"status": "delayed"}') if call.account else None


@pytest.mark.authflow_vendor("supplier", parts={"/api/v1/tracking/42": delayed})
def test_a_delay_is_seen(authflow_simulator, authflow_session):
    with requests.Session() as client:
        client.auth = authflow_session.requests
        client.mount("https://", requests_adapter(authflow_simulator))
        assert client.get("https://api.supplier.example/api/v1/auth/deliveries/42").json() == {"status": "delayed"}
        authflow_simulator.faults.add("revoke-access")
        assert client.get("https://api.supplier.example/api/v1/auth/deliveries/42").json() == {"status": "delayed"}
    assert authflow_simulator.counts["refresh"] == 1
