"""Transmission: HTTP Basic, and a session id that a 409 brings: without it, or with an old one, nothing is done."""

from __future__ import annotations

import json

from authflow_selfhosted.servers.environment import program
from authflow_selfhosted.servers.product import PASSWORD, USERNAME, Place, Product


def _prepare(place: Place) -> None:
    off = ("dht-enabled", "lpd-enabled", "pex-enabled", "utp-enabled", "port-forwarding-enabled")
    settings = {
        **dict.fromkeys((*off, "anti-brute-force-enabled"), False),
        "rpc-enabled": True,
        "rpc-bind-address": "127.0.0.1",
        "rpc-port": place.port,
        "rpc-authentication-required": True,
        "rpc-username": USERNAME,
        "rpc-password": PASSWORD,
        "bind-address-ipv4": "127.0.0.1",
        "bind-address-ipv6": "::1",
        "download-dir": str(place.folder),
    }
    (place.folder / "settings.json").write_text(json.dumps(settings), "utf-8")


TRANSMISSION = Product(
    name="transmission",
    needs=lambda: program("transmission-daemon", "transmission-daemon"),
    prepare=_prepare,
    command=lambda place: ["transmission-daemon", "--foreground", f"--config-dir={place.folder}"],
    inputs=lambda place: {"base_url": f"{place.url}/transmission/", "username": USERNAME, "password": PASSWORD},
    ready="/transmission/rpc",
    data="/transmission/rpc",
    shows="success",
    refreshes=False,
)
