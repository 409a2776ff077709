"""A vendor whose data is served in several ways, for what is built on the HTTP clients or goes beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import authflow
from tests.servers import Came, Listener, Says, listening
from tests.trust.wire import ladder_at


@dataclass
class Vendor:
    """Logs in, and takes its newest token only. `refused` counts what came with another one, or with none."""

    logins: int = 0
    refused: int = 0
    answers: dict[str, Any] = field(default_factory=dict)
    url: str = ""

    @property
    def good(self) -> str:
        return f"Bearer token-{self.logins}"

    def revoke(self) -> None:
        """From now on only the token of the next login is good."""
        self.logins += 1

    def admits(self, headers: Mapping[str, str]) -> bool:
        good = self.logins > 0 and headers.get("authorization", headers.get("Authorization")) == self.good
        self.refused += not good
        return good

    def __call__(self, came: Came) -> Says:
        if came.path in ("/login", "/refresh"):
            self.logins += 1
            return Says(json={"access": f"token-{self.logins}", "refresh": f"refresh-{self.logins}", "in": 1000})
        if not self.admits(came.headers):
            return Says(401, {})
        return Says(json=self.answers[came.path])

    def session(self, *presented_at: str) -> authflow.AuthSession:
        file = ladder_at(self.url, origins={"present": list(presented_at)})
        return authflow.AuthSession(file, username="demo", password="open-sesame")


def recipe(name: str, session: authflow.AuthSession) -> dict[str, Any]:
    """The names of a file of `plugins/recipes`, with this session in the place of the supplier's."""
    path = Path(__file__).parent.parent.parent / "plugins" / "recipes" / name
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(path.read_text("utf-8"), str(path), "exec"), names)
    names["session"] = session
    return names


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    vendor = Vendor()
    with ExitStack() as stack:
        home: Listener = stack.enter_context(listening(vendor))
        vendor.url = home.url
        yield vendor


@pytest.fixture
def echo(vendor: Vendor) -> Iterator[str]:
    """The URL of a WebSocket server that says everything twice, to those who come with a good token; at `/greeting` it
    says hello and goodbye.
    """
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import ServerConnection, serve

    def admit(connection: ServerConnection, request: Any) -> Any:
        return None if vendor.admits(request.headers) else connection.respond(401, "another token, please\n")

    def twice(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            if connection.request is not None and connection.request.path == "/greeting":
                connection.send("hello")
                connection.send("goodbye")
                return
            for message in connection:
                connection.send(message)
                connection.send(message)

    with serve(twice, "127.0.0.1", 0, process_request=admit) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/echo"
        server.shutdown()
        thread.join()


@pytest.fixture
def session(vendor: Vendor, echo: str) -> authflow.AuthSession:
    """A session that may present its token at the WebSocket server, as an origin of http."""
    return vendor.session(echo.replace("ws://", "http://").removesuffix("/echo"))
