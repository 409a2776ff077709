"""`authflow new`: the files of a plugin that brings one vendor, to be filled in.

They work as they stand: the vendor file verifies, and the test logs in to a vendor that is simulated from it. Pure: a
name goes in, file names and texts come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)


def files(name: str) -> Mapping[str, str]:
    """The plugin's files by their paths below its folder. Raises ValueError for a name that a package cannot have."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a plugin: lower-case letters, digits and -, such as acme-cloud")
    slots = {"@name@": name, "@package@": f"authflow_{name.replace('-', '_')}"}
    return {_filled(path, slots): _filled(text, slots) for path, text in _FILES.items()}


def _filled(text: str, slots: Mapping[str, str]) -> str:
    for slot, value in slots.items():
        text = text.replace(slot, value)
    return text


_FILES: Final[Mapping[str, str]] = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "authflow-@name@"
version = "0.1.0"
description = "@name@: a vendor for authflow"
requires-python = ">=3.11"
dependencies = ["authflow-http"]

[dependency-groups]
dev = ["authflow-http[test]"]

[project.entry-points.authflow]
@name@ = "@package@"

[tool.hatch.build.targets.wheel]
packages = ["@package@"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
""",
    "@package@/__init__.py": '''\
"""@name@ as an authflow plugin: one vendor file, found by its entry point."""

import importlib.resources
from importlib.resources.abc import Traversable

import authflow


@authflow.hookimpl
def authflow_vendors() -> list[Traversable]:
    return [importlib.resources.files(__name__) / "@name@.toml"]
''',
    "@package@/@name@.toml": """\
# The login as the vendor's documentation tells it. `authflow check` says what does not fit, `authflow show` draws it.
title = "@name@"
extends = "password"                    # log in with a password, refresh, log in again if that is refused
base_url = "https://{host}/"

[settings]
host = { default = "api.example" }      # TODO: where the vendor lives

[exchanges.login]
request = { url = "login", json = { username = "{username}", password = "{password}" } }
answers.granted.json = { access_token = "{access}", refresh_token = "{refresh}", expires_in = "{expires_in:int?}" }

[exchanges.refresh]
request = { url = "refresh", json = { refresh_token = "{refresh}" } }
answers.granted.json = { access_token = "{access}", refresh_token = "{refresh?}", expires_in = "{expires_in:int?}" }
""",
    "tests/test_@package@.py": '''\
"""The vendor file, against a vendor that is simulated from it."""

from pathlib import Path

import authflow
import pytest
from authflow.testing import Clock, SimulatedSender, Simulator

VENDOR = Path(__file__).parents[1] / "@package@" / "@name@.toml"


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(VENDOR, clock=Clock())


def test_a_login_serves_until_the_token_runs_out(simulator: Simulator) -> None:
    session = authflow.AuthSession(VENDOR, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs)
    first = session.token()
    assert session.token() == first
    assert first.expires_at is not None
    simulator.clock.advance(first.expires_at - first.issued_at)
    assert session.token() != first


def test_a_wrong_password_is_refused(simulator: Simulator) -> None:
    inputs = {**simulator.inputs, "password": "not-the-password"}
    session = authflow.AuthSession(VENDOR, client=SimulatedSender(simulator), clock=simulator.clock, **inputs)
    with pytest.raises(authflow.CredentialsRefused):
        session.token()
''',
    "README.md": """\
# authflow-@name@

The login of @name@ for authflow: install it, and `AuthSession("@name@", username=…, password=…)` knows the vendor.
""",
}
