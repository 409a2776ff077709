"""The short cut of requests: as long as a token is fresh, all requests share one listener."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from contextlib import suppress

import pytest

import authflow
from tests.clients.conftest import Supplier
from tests.servers import LIFETIME

requests = pytest.importorskip("requests")

pytestmark = pytest.mark.parametrize("supplier", [True], ids=["plain"], indirect=True)


def test_requests_with_a_fresh_token_share_one_listener(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    one, other = (requests.Request("GET", supplier.data(), auth=session.requests).prepare() for _ in range(2))
    assert one.hooks["response"] == other.hooks["response"] != []
    with requests.Session() as client:
        assert [client.send(request).status_code for request in (one, other)] == [200, 200]
    assert one.hooks["response"] == other.hooks["response"]


def test_a_request_that_is_sent_again_and_again_is_renewed_each_time(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    request = requests.Request("GET", supplier.data(), auth=session.requests).prepare()
    with requests.Session() as client:
        for _ in range(3):
            supplier.control(revoke="access")
            assert client.send(request).status_code == 200
    assert supplier.counts == {"login": 1, "refresh": 3, "data": 6, "data_401": 3}


def test_what_a_user_hangs_on_a_request_is_called_too(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    supplier.control(revoke="access")
    heard = []
    listener = {"response": lambda response, **_: heard.append(response.status_code)}
    answer = requests.get(supplier.data(), auth=session.requests, hooks=listener, timeout=10)
    assert (answer.status_code, heard) == (200, [200])


@pytest.mark.parametrize("revoked", [False, True])
def test_a_response_pickles(supplier: Supplier, revoked: bool) -> None:
    session = supplier.session()
    session.token()
    if revoked:
        supplier.control(revoke="access")
    answer = requests.get(supplier.data(7), auth=session.requests, timeout=10)
    again = pickle.loads(pickle.dumps(answer))
    assert (again.status_code, again.json()["id"]) == (200, "7")
    assert requests.hooks.dispatch_hook("response", again.request.hooks, again) is again


def test_a_request_that_is_authorised_twice_has_one_walk(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    request = requests.Request("GET", supplier.data(), auth=session.requests).prepare()
    request.prepare_auth(session.requests)
    supplier.fail("data", status=401, times=4)
    with requests.Session() as client:
        assert client.send(request).status_code == 401
    assert supplier.counts == {"login": 1, "refresh": 1, "data": 2, "faults": 2}


def test_a_deep_copy_is_a_request_of_its_own(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    request = requests.Request("GET", supplier.data(), auth=session.requests).prepare()
    again = copy.deepcopy(request)
    supplier.control(revoke="access")
    with requests.Session() as client:
        assert [client.send(each).status_code for each in (again, request)] == [200, 200]


def test_an_answer_that_another_listener_brought_is_heard_too(supplier: Supplier) -> None:
    session = supplier.session()
    session.token()
    with requests.Session() as client:
        bare = client.get(supplier.data(), timeout=10)
        request = requests.Request("GET", supplier.data(), auth=session.requests).prepare()
        request.hooks["response"].insert(0, lambda response, **_: bare)
        assert client.send(request).status_code in (200, 401)


@pytest.mark.parametrize("timeout", [0.2, (5, 0.2)])
@pytest.mark.parametrize("first", [True, False], ids=["login", "renewal"])
def test_the_callers_time_out_bounds_the_wait_for_anothers_renewal(
    supplier: Supplier, timeout: object, first: bool
) -> None:
    session = supplier.session()
    if not first:
        session.token()
        supplier.advance(LIFETIME + 1)
    supplier.fail("login" if first else "refresh", kind="hang")

    def renews() -> None:
        with suppress(authflow.AuthFlowError):
            session.token()

    threading.Thread(target=renews, daemon=True).start()
    while not session._manager.grants.flights._under_way:
        time.sleep(0.001)
    time.sleep(0.05)
    began = time.monotonic()
    with requests.Session() as client, pytest.raises(requests.RequestException, match=r"not ended within 0\.2 s"):
        client.get(supplier.data(), auth=session.requests, timeout=timeout)
    assert time.monotonic() - began < 4
