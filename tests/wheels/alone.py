"""Run where the wheel and one client are installed, and nothing else: `python alone.py CLIENT`.

One client is enough to log in and to fetch; the others are not there, and asking for one says how to install it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence

import authflow
from authflow.testing import Simulator, serving

CLIENTS = ("requests", "httpx", "httpx2", "niquests")
VENDOR = {
    "extends": "relogin",
    "name": "alone",
    "base_url": "https://alone.example/",
    "exchanges": {
        "login": {
            "request": {"url": "login", "json": {"username": "{username}", "password": "{password}"}},
            "answers": {"granted": {"status": 200, "json": {"token": "{access}"}}},
        }
    },
}


def main(arguments: Sequence[str]) -> int:
    (client,) = arguments
    library = importlib.import_module(client)
    absent = {name for name in CLIENTS if importlib.util.find_spec(name) is None}
    assert absent == set(CLIENTS) - {client}, "the environment has more than this client"
    simulator = Simulator(VENDOR)
    with serving(simulator) as base_url:
        session = authflow.AuthSession(VENDOR, base_url=base_url, **simulator.inputs)
        for other in absent:
            said = refusal(session, other)
            assert said == f"{other} is not installed: pip install 'authflow-http[{other}]'", said
        assert session.token().access
        assert library.get(f"{base_url}data", auth=getattr(session, client)).status_code == 200
    print(f"{client} is enough")
    return 0


def refusal(session: authflow.AuthSession, library: str) -> str:
    try:
        return f"there is {getattr(session, library)!r}"
    except authflow.ConfigurationError as error:
        return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
