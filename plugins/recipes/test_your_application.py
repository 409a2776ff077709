"""Tests of your own application: `authflow-http[test]` simulates any vendor from its file, with fixtures for pytest.

Nothing listens on a port, and nothing waits: you move the clock yourself.
"""

import httpx
import pytest

import authflow
from authflow.testing import httpx_transport


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
