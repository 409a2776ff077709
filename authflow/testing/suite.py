"""What every vendor is tested for, as a table: `pytest --authflow-vendor NAME_OR_FILE` runs it without a line of test
code, and a vendor's author may call any row.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final

from authflow import plugins
from authflow.session import AuthSession
from authflow.testing import samples
from authflow.testing.clock import Clock
from authflow.testing.ledger import REFRESH
from authflow.testing.simulator import Simulator
from authflow.testing.transports import SimulatedSender, httpx_transport, requests_adapter
from authflow.vendors import Vendor


def file_is_right(vendor: Any) -> None:
    """The file passes all proofs."""
    found = plugins.find_vendor(vendor)
    assert isinstance(found, Vendor)


def can_be_simulated(vendor: Any) -> None:
    """Every answer that the file foresees can be made from it, and is recognised again."""
    assert Simulator(vendor, clock=Clock()).cannot == ()


def is_served(vendor: Any) -> None:
    """A request is served through every client that is installed; a second one needs no exchange."""
    for library, get in CLIENTS.items():
        if importlib.util.find_spec(library) is None:
            continue
        simulator, session = signed_up(vendor)
        assert [get(simulator, session) for _ in range(3)] == [200, 200, 200], library
        exchanges = {name: simulator.counts[name] for name in simulator.vendor.flow.exchanges}
        assert all(count <= 1 for count in exchanges.values()), f"{library}: {exchanges}"


def is_served_again(vendor: Any) -> None:
    """When the vendor forgets every token, the next request is served all the same; but for a refresh token that was
    given by hand, which only its user can replace.
    """
    simulator, session = signed_up(vendor)
    get = next(get for library, get in CLIENTS.items() if importlib.util.find_spec(library) is not None)
    assert get(simulator, session) == 200
    for fault in ("expire",) if REFRESH in simulator.vendor.inputs else ("expire", "revoke-family"):
        simulator.faults.add(fault)
        assert get(simulator, session) == 200, fault


def keeps_the_promises(vendor: Any, *, examples: int = 200) -> None:
    """So many stories of up to fifty steps break no promise."""
    from authflow.testing.exploration import explore

    found = explore(vendor, examples=examples)
    assert found.failure is None, str(found)


SUITE: Final[Mapping[str, Callable[..., None]]] = {
    "file_is_right": file_is_right,
    "can_be_simulated": can_be_simulated,
    "is_served": is_served,
    "is_served_again": is_served_again,
    "keeps_the_promises": keeps_the_promises,
}


def signed_up(vendor: Any) -> tuple[Simulator, AuthSession]:
    """A simulator of a vendor, and a session with an account there; both on one clock."""
    simulator = Simulator(vendor, clock=Clock())
    sender = SimulatedSender(simulator)
    own: dict[str, Any] = {"client": sender, "clock": simulator.clock, "ask": simulator.person}
    return simulator, AuthSession(simulator.vendor, **own, **simulator.inputs)


def body_of(vendor: Vendor) -> dict[str, Any]:
    """What a caller's request needs for the token to travel in it: arguments for a client's `request`."""
    return samples.body(vendor)


def _httpx(library: str) -> Callable[[Simulator, AuthSession], int]:
    def get(simulator: Simulator, session: AuthSession) -> int:
        lib: Any = importlib.import_module(library)
        more = body_of(simulator.vendor)
        with lib.Client(transport=httpx_transport(simulator, library), auth=getattr(session, library)) as client:
            url = f"{simulator.base_url}data/1"
            return int(client.request("POST" if more else "GET", url, **more).status_code)

    return get


def _requests(simulator: Simulator, session: AuthSession) -> int:
    import requests

    more = {"data" if name == "content" else name: value for name, value in body_of(simulator.vendor).items()}
    with requests.Session() as client:
        client.trust_env = False
        for scheme in ("https://", "http://"):
            client.mount(scheme, requests_adapter(simulator))
        url = f"{simulator.base_url}data/1"
        return client.request("POST" if more else "GET", url, auth=session.requests, **more).status_code


#: library → one request through it, giving its status
CLIENTS: Final[Mapping[str, Callable[[Simulator, AuthSession], int]]] = {
    "httpx": _httpx("httpx"),
    "httpx2": _httpx("httpx2"),
    "requests": _requests,
}
