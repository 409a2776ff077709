"""Node-RED: its admin API speaks OAuth with a password, without a refresh token."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

from authflow_selfhosted.servers.environment import node_with
from authflow_selfhosted.servers.product import PASSWORD, USERNAME, Place, Product

_INSTALLED: Final = partial(node_with, "node-red", ("node-red@4.1",))
SETTINGS: Final = """module.exports = {
  uiHost: "127.0.0.1", uiPort: %(port)d, telemetry: { enabled: false },
  adminAuth: { type: "credentials", sessionExpiryTime: %(lifetime)d, users: [
    { username: %(user)s, password: require(%(bcrypt)s).hashSync(%(password)s, 8), permissions: "*" } ] } };
"""


def _prepare(place: Place) -> None:
    _, modules = _INSTALLED()
    told = {"user": USERNAME, "password": PASSWORD, "bcrypt": str(modules / "bcryptjs")}
    settings = SETTINGS % {
        "port": place.port,
        "lifetime": place.lifetime,
        **{name: json.dumps(text) for name, text in told.items()},
    }
    (place.folder / "settings.js").write_text(settings, "utf-8")


def _command(place: Place) -> Sequence[str]:
    node, modules = _INSTALLED()
    settings = place.folder / "settings.js"
    return [str(node), str(modules / "node-red" / "red.js"), "-u", str(place.folder), "-s", str(settings)]


NODE_RED = Product(
    name="node-red",
    needs=_INSTALLED,
    prepare=_prepare,
    command=_command,
    inputs=lambda place: {"base_url": place.url, "username": USERNAME, "password": PASSWORD},
    ready="/auth/login",
    data="/settings",
    shows="version",
    refreshes=False,
)
