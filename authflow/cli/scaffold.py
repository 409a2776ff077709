"""`authflow new`: the files of a plugin that brings one vendor, to be filled in.

They work as they stand: the vendor file is proved, and the tests send requests to a vendor that is simulated from it.
`VENDORS` has the vendor file for each preset. Pure: names go in, file names and texts come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", re.ASCII)


def files(name: str, preset: str = "password") -> Mapping[str, str]:
    """The plugin's files by their paths below its folder.

    Raises ValueError for a name that a package cannot have, and for an unknown preset.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a plugin: use lower-case letters, digits and -, such as acme-cloud")
    if preset not in VENDORS:
        raise ValueError(f"{preset!r} is not a preset: there are {', '.join(VENDORS)}")
    slots = {"@name@": name, "@package@": f"authflow_{name.replace('-', '_')}", "@secret@": VENDORS[preset].secret}
    slots["@extra@"] = VENDORS[preset].extra
    slots["@ask@"] = "ask=simulator.person, " if VENDORS[preset].person else ""
    texts = {**_FILES, "@package@/@name@.toml": vendor_file(name, preset)}
    if not VENDORS[preset].secret:
        texts[_TESTS] = texts[_TESTS].partition("\n\ndef test_a_wrong")[0]
    return {_filled(path, slots): _filled(text, slots) for path, text in texts.items()}


def vendor_file(name: str, preset: str) -> str:
    """The shortest vendor file on a preset that is whole."""
    vendor = VENDORS[preset]
    return f'{_HEAD}name = "{name}"\ntitle = "{name}"\nextends = "{preset}"\n{vendor.top}{_HOST}{vendor.rest}'


class _Vendor(NamedTuple):
    """The credential that the test of a refusal gets wrong; what a file on a preset must say beside its address; the
    extra that it needs; and does a person log in?
    """

    secret: str
    rest: str = ""
    top: str = ""
    extra: str = ""
    person: bool = False


_HEAD: Final = """\
# The login as the vendor's documentation tells it. `authflow check` says what does not fit, `authflow show` draws it.
"""
_HOST: Final = """\
base_url = "https://{host}/"

[settings]
host = { default = "api.example" }      # TODO: where the vendor lives
"""
_TOKEN_URL: Final = 'token_url = { default = "oauth/token" }  # TODO: relative to base_url, or a whole URL\n'
_LOGIN: Final = """
[exchanges.login]
request = { url = "login", json = { username = "{username}", password = "{password}" } }
answers.granted.json = { access_token = "{access}", expires_in = "{expires_in:int?}" }
"""
#: preset → the rest of its file
VENDORS: Final[Mapping[str, _Vendor]] = {
    "password": _Vendor(
        "password",
        _LOGIN.replace('"{access}",', '"{access}", refresh_token = "{refresh}",')
        + """
[exchanges.refresh]
request = { url = "refresh", json = { refresh_token = "{refresh}" } }
answers.granted.json = { access_token = "{access}", refresh_token = "{refresh?}", expires_in = "{expires_in:int?}" }
""",
    ),
    "relogin": _Vendor("password", _LOGIN),
    "session-cookie": _Vendor("password"),
    "basic": _Vendor("password"),
    "api-key": _Vendor("api_key"),
    "bearer": _Vendor("token"),
    "signed": _Vendor(
        "api_secret",
        """
[credentials]
user = {}
api_secret = { secret = true }

[derive]
time = { now = "epoch" }
signature = { hmac = { key = "{api_secret}", message = "{user}:{time}" } }

[states.signed_in]
present = { headers = { X-User = "{user}", X-Time = "{time}", X-Signature = "{signature}" } }
""",
        'identity = ["user"]\n',
    ),
    "challenge": _Vendor("password", 'token_server = { default = "https://auth.example/" }  # TODO\n'),
    "client-credentials": _Vendor("client_secret", _TOKEN_URL),
    "oauth2-code": _Vendor("", 'authorize_url = { default = "oauth/authorize" }  # TODO\n' + _TOKEN_URL, person=True),
    "oauth2-device": _Vendor("", 'device_url = { default = "oauth/device" }  # TODO\n' + _TOKEN_URL, person=True),
    "oauth2-password": _Vendor("password", _TOKEN_URL),
    "refresh-token": _Vendor("refresh", _TOKEN_URL),
    "token-exchange": _Vendor("subject_token", _TOKEN_URL),
    "jwt-bearer": _Vendor(
        "", _TOKEN_URL + 'audience = { default = "https://api.example/" }  # TODO\n', "", "[encrypted]"
    ),
}


def _filled(text: str, slots: Mapping[str, str]) -> str:
    for slot, value in slots.items():
        text = text.replace(slot, value)
    return text


_TESTS: Final = "tests/test_@package@.py"
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
dependencies = ["authflow-http@extra@"]

[dependency-groups]
dev = ["authflow-http[httpx,test]"]

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
    _TESTS: '''\
"""The vendor file, against a vendor that is simulated from it."""

from pathlib import Path

import authflow
import httpx
import pytest
from authflow.testing import Clock, SimulatedSender, Simulator, httpx_transport

VENDOR = Path(__file__).parents[1] / "@package@" / "@name@.toml"


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(VENDOR, clock=Clock())


def get(simulator: Simulator, **inputs: str) -> httpx.Response:
    inputs = {**simulator.inputs, **inputs}
    session = authflow.AuthSession(VENDOR, client=SimulatedSender(simulator), clock=simulator.clock, @ask@**inputs)
    with httpx.Client(transport=httpx_transport(simulator), auth=session.httpx) as client:
        return client.get("https://api.example/orders/7")


def test_a_request_is_served(simulator: Simulator) -> None:
    assert get(simulator).status_code == 200


def test_a_wrong_credential_is_refused(simulator: Simulator) -> None:
    with pytest.raises(authflow.CredentialsRefused):
        get(simulator, @secret@="not-the-right-one")
''',
    "README.md": """\
# authflow-@name@

The login of @name@ for authflow: install it, and `AuthSession("@name@", …)` knows the vendor.
""",
}
