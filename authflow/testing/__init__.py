"""Tests without a network: of your own code, of a vendor file, of a store. Each part is imported when it is first used.

your own code    the fixtures authflow_simulator, authflow_session, authflow_clock (`authflow.testing.pytest_plugin`)
                 httpx_transport, requests_adapter    put a simulated vendor behind your client
                 SimulatedSender, Clock               without pytest: `client=` and `clock=` of an `AuthSession`
a vendor file    pytest --authflow-vendor FILE        a suite without a line of test code
                 Simulator, serving                   the vendor's server, made from its file; the same over HTTP
                 flow_machine, accounts_machine       Hypothesis state machines: one account; several users and servers
                 explore                              runs them outside of pytest
a store          StoreContract                        what every store must do, as a test class
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authflow.testing.accounts import AccountsMachine, accounts_machine
    from authflow.testing.clock import Clock
    from authflow.testing.coverage import Coverage
    from authflow.testing.exploration import Exploration, explore, stories
    from authflow.testing.faults import Fault, Faults
    from authflow.testing.machine import FlowMachine, flow_machine
    from authflow.testing.serve import serving, unreached
    from authflow.testing.simulator import Call, Simulator
    from authflow.testing.store_contract import StoreContract
    from authflow.testing.transports import SimulatedSender, httpx_transport, requests_adapter

__all__ = [
    "AccountsMachine",
    "Call",
    "Clock",
    "Coverage",
    "Exploration",
    "Fault",
    "Faults",
    "FlowMachine",
    "SimulatedSender",
    "Simulator",
    "StoreContract",
    "accounts_machine",
    "explore",
    "flow_machine",
    "httpx_transport",
    "requests_adapter",
    "serving",
    "stories",
    "unreached",
]

_HOMES = {
    "AccountsMachine": "accounts",
    "Call": "simulator",
    "Clock": "clock",
    "Coverage": "coverage",
    "Exploration": "exploration",
    "Fault": "faults",
    "Faults": "faults",
    "FlowMachine": "machine",
    "SimulatedSender": "transports",
    "Simulator": "simulator",
    "StoreContract": "store_contract",
    "accounts_machine": "accounts",
    "explore": "exploration",
    "flow_machine": "machine",
    "httpx_transport": "transports",
    "requests_adapter": "transports",
    "serving": "serve",
    "stories": "exploration",
    "unreached": "serve",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
