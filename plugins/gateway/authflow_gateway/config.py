"""The gateway's file.

    listen = "127.0.0.1:8080"              # or "unix:/run/authflow/gateway.sock"
    accounts = "accounts.toml"             # [accounts.NAME], as in the command line's config file; left out: that file
    keys = "keys.json"                     # who may call; `authflow-gateway key` writes it

    [[routes]]
    path = "/supplier/{path}"
    account = "supplier"
    methods = ["GET"]
    paths = ["deliveries/*"]               # below the vendor's base URL; * is one segment, ** at the end the rest

What no route lists is denied. Paths in the file are relative to it. The file holds no secret.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

import authflow
from authflow.errors import Finding
from authflow.vendors import line_of
from authflow.vendors.notation import misfits

#: Where `app_from_environment` finds the file.
CONFIG_VARIABLE: Final = "AUTHFLOW_GATEWAY_CONFIG"
_PATH: Final = re.compile(r"(/(?!\.+/)[A-Za-z0-9._~-]+)+/\{path\}")
_PATTERN: Final = re.compile(r"(?:[^/*?#\s]+|\*)(?:/(?:[^/*?#\s]+|\*))*(?:/\*\*)?|\*\*")


class Route(Struct, forbid_unknown_fields=True, frozen=True):
    """What callers may ask of one account. Times are in seconds, sizes in bytes."""

    path: str
    account: str
    methods: list[str]
    paths: list[str]
    #: The names of the keys that may use it; left out: all.
    callers: list[str] | None = None
    #: Redirects are followed here, by the vendor file's rules, or passed on with their `Location` rewritten.
    redirects: Literal["follow", "pass"] = "follow"
    max_body: Annotated[int, Meta(ge=0)] = 10 << 20
    timeout: Annotated[float, Meta(gt=0)] = 60.0
    #: Tell the vendor for whom a request is forwarded (RFC 7239).
    forwarded: bool = False

    @property
    def prefix(self) -> str:
        return self.path.removesuffix("{path}")


class Config(Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    routes: list[Route]
    listen: str = "127.0.0.1:8080"
    accounts: str | None = None
    keys: str = "keys.json"
    #: The mode of a Unix socket, in octal; with `socket_needs_no_key` its permissions are all that a caller needs.
    socket_mode: str = "660"
    socket_needs_no_key: bool = False
    workers: Annotated[int, Meta(ge=1)] = 1
    #: Seconds that streams under way have to end when the gateway is stopped.
    grace: Annotated[int, Meta(ge=0)] = 30


def read_config(path: str | os.PathLike[str]) -> Config:
    """Raises authflow.ConfigurationError: FILE:LINE:KEY: REASON."""
    file = Path(path)
    try:
        raw = tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise authflow.ConfigurationError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        told = re.search(r"line (\d+)", str(error))
        raise wrong(file, "", f"is not TOML: {' '.join(str(error).split())}", int(told[1]) if told else 0) from None
    for where, reason, hint in misfits(raw, Config):
        raise wrong(file, where, f"{reason} ({hint})" if hint else reason)
    config = msgspec.convert(raw, Config)
    for where, reason in _wrong(config):
        raise wrong(file, where, reason)
    beside = {"accounts": config.accounts, "keys": config.keys}
    whole = {name: str(file.parent / Path(value).expanduser()) for name, value in beside.items() if value is not None}
    return msgspec.structs.replace(config, **whole)


def wrong(file: str | os.PathLike[str], key: str, reason: str, line: int = 0) -> authflow.ConfigurationError:
    """What is wrong with the file, with the line where the key stands."""
    return authflow.ConfigurationError(str(Finding(str(file), key, reason, line=line or line_of(str(file), key))))


def _wrong(config: Config) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not config.routes:
        found.append(("routes", "there is none, so that every request is denied: [[routes]]"))
    if address(config) is None:
        found.append(("listen", 'must be an address such as "127.0.0.1:8080", or "unix:/path/of/socket"'))
    if not re.fullmatch("[0-7]{3,4}", config.socket_mode):
        found.append(("socket_mode", 'must be octal digits, such as "660"'))
    if config.socket_needs_no_key and not config.listen.startswith("unix:"):
        found.append(("socket_needs_no_key", f"{config.listen} is no Unix socket"))
    seen: set[str] = set()
    for number, route in enumerate(config.routes):
        where = f"routes.{number}"
        if not _PATH.fullmatch(route.path):
            found.append((f"{where}.path", 'must be a path such as "/supplier/{path}"'))
        if route.prefix in seen:
            found.append((f"{where}.path", f"{route.path} is taken by another route"))
        seen.add(route.prefix)
        if route.prefix in ("/healthz/", "/readyz/"):
            found.append((f"{where}.path", "this path is the gateway's own"))
        empty = [key for key in ("methods", "paths") if not getattr(route, key)]
        found += [(f"{where}.{key}", "there is none, so that every request is denied") for key in empty]
        found += [
            (f"{where}.methods", f"{name!r} is not an HTTP method (in capitals)")
            for name in route.methods
            if not re.fullmatch("[A-Z]+", name)
        ]
        found += [
            (f"{where}.methods", f"{name} is never passed on: it shows the token, or leads elsewhere")
            for name in route.methods
            if name in ("TRACE", "TRACK", "CONNECT")
        ]
        found += [(f"{where}.paths", f"{text!r}: segments, * for one, ** at the end") for text in _unfit(route.paths)]
    return found


def _unfit(patterns: list[str]) -> list[str]:
    return [pattern for pattern in patterns if not _PATTERN.fullmatch(pattern)]


def address(config: Config) -> dict[str, Any] | None:
    """As uvicorn takes it: `uds`, or `host` and `port`; None for what is no address."""
    if config.listen.startswith("unix:"):
        return {"uds": config.listen.removeprefix("unix:")} if len(config.listen) > 5 else None
    host, colon, port = config.listen.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        return None
    return {"host": host.strip("[]"), "port": int(port)}
