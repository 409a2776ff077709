"""Accounts of the command line that differ in one thing alone, in one store and one keyring, in any order: an added
secret, a setting in a default, a server, a name; with each way in which the file may say where a value is to be had.

Expected: whoever opens an account gets the token that its own login would bring, or an error that says what to do; what
the keyring keeps for one server is asked for by no other; a variable serves two accounts only if it is for all.

    added     a secret that the file adds to its preset's, by a variable, a command, the keyring, or at hand
    servers   a tenant in a default, `base_url =`, secret settings: the entry in the keyring bears the server
    names     accounts, inputs and vendors whose names are put together so that one text might stand for two
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from authflow import AuthFlowError, ConfigurationError
from authflow.cli.accounts import Opened, open_account, read_accounts
from authflow.cli.sources import variables
from authflow.stores import MemoryStore
from tests.attacks.own_request import Echo

LOGIN = """
[exchanges.login]
request = { method = "POST", url = "URL", form = { u = "{username}", p = "{password}" HOW } }
answers.granted = { status = 200, json = { token = "{access}" } }
"""
ADDED = (
    'extends = "relogin"\nname = "v"\nbase_url = "https://home.example/"\n'
    "[credentials]\ntenant_key = { secret = true OPTIONAL }\n"
)
TENANT = (
    'extends = "relogin"\nname = "v"\nbase_url = "https://home.example/"\n[settings]\ntenant = {}\n'
    'token_url = { default = "https://{tenant}.home.example/token", type = "url" }\n'
)
SECRET_SETTING = (
    'extends = "relogin"\nname = "v"\nbase_url = "https://home.example/"\n[settings]\napp_key = { secret = true }\n'
)


@contextmanager
def home(files: dict[str, str], config: str, ring: dict[str, str], asked: list[str]) -> Iterator[Path]:
    """A config folder of its own, and a keyring that notes what it is asked for."""

    def get_password(service: str, name: str) -> str | None:
        asked.append(name)
        return ring.get(name)

    keyring = SimpleNamespace(get_password=get_password, set_password=None, get_keyring=object)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(sys.modules, {"keyring": keyring}):
        for name, text in {**files, "config.toml": config}.items():
            (Path(folder) / name).write_text(text)
            (Path(folder) / name).chmod(0o600)
        with mock.patch.dict(os.environ, {"AUTHFLOW_CONFIG": f"{folder}/config.toml", "AUTHFLOW_STORE": "memory"}):
            yield Path(folder)


def attack() -> Iterator[str]:
    """What went wrong."""
    yield from _added()
    yield from _servers()
    yield from _names()


def _nobody(name: str, title: str, hidden: bool) -> str:
    raise ConfigurationError(f"{title} is needed")


def _opened(name: str, **handed: str) -> Opened:
    return open_account(read_accounts()[name], _nobody, handed)


def _token(one: Opened, store: Any) -> str:
    return one.session(store=store, client=Echo(), clock=lambda: 1_800_000_000.0).token().access


def _added() -> Iterator[str]:
    command = f'{{ command = ["{sys.executable}", "-ISc", "print(%r)"] }}'
    ways = {
        "a variable": ('{ env = "KEY_OF_ONE" }', '{ env = "KEY_OF_TWO" }'),
        "a command": (command % "k-one", command % "k-two"),
        "the keyring": ("{ keyring = true }", "{ keyring = true }"),
    }
    for optional, (how, (first, second)) in itertools.product(("", ", optional = true"), ways.items()):
        file = (ADDED + LOGIN).replace("OPTIONAL", optional).replace("URL", "login")
        file = file.replace("HOW", ', k = "{tenant_key?}"' if optional else ', k = "{tenant_key}"')
        user = 'vendor = "v.toml"\nusername = "admin"\npassword = { env = "BOTHS" }\n'
        config = f"[accounts.one]\n{user}tenant_key = {first}\n[accounts.two]\n{user}tenant_key = {second}\n"
        ring = {f"{name}.tenant_key v https://home.example": f"k-{name}" for name in ("one", "two")}
        known = {"KEY_OF_ONE": "k-one", "KEY_OF_TWO": "k-two", "BOTHS": "p"}
        with home({"v.toml": file}, config, ring, []), mock.patch.dict(os.environ, known):
            own = {name: _token(_opened(name), MemoryStore()) for name in ("one", "two")}
            store = MemoryStore()
            for name in ("one", "two", "one", "two"):
                if _token(_opened(name), store) != own[name]:
                    yield f"an added secret by {how}{optional}: {name} presents the other's token"
            _opened("one").session(store=store, client=Echo(), clock=lambda: 1_800_000_000.0).logout()
            if store.load(_opened("two").key) is None:
                yield f"an added secret by {how}{optional}: one's logout logs two out"
    file = (ADDED + LOGIN).replace("OPTIONAL", "").replace("URL", "login").replace("HOW", ', k = "{tenant_key}"')
    config = '[accounts.one]\nvendor = "v.toml"\nusername = "admin"\npassword = { env = "BOTHS" }\n'
    with home({"v.toml": file}, config, {}, []), mock.patch.dict(os.environ, {"BOTHS": "p"}):
        keys = {_opened("one", tenant_key=key).key for key in ("k-one", "k-two")}
        if len(keys) != 2:
            yield "a secret from standard input: another's record"


def _servers() -> Iterator[str]:
    account = '[accounts.prod]\nvendor = "v.toml"\nusername = "u"\npassword = { keyring = true }\n'
    cases = {
        "a tenant in a default": (
            (TENANT + LOGIN).replace("URL", "{token_url}").replace("HOW", ""),
            "",
            'tenant = "%s"',
        ),
        "base_url": ((ADDED + LOGIN).replace("[credentials]\ntenant_key = { secret = true OPTIONAL }\n", ""), "", ""),
        "a secret setting": ((SECRET_SETTING + LOGIN).replace("HOW", ', k = "{app_key}"'), "app_key", ""),
    }
    for how, (file, secret, line) in cases.items():
        places = []
        for place in ("eu", "us"):
            own = (line or 'base_url = "https://%s.example/"') % place
            config = f"{account}{own}\n" + (f"{secret} = {{ keyring = true }}\n" if secret else "")
            asked: list[str] = []
            with home({"v.toml": file.replace("URL", "login").replace("HOW", "")}, config, AnyPassword(), asked):
                given = dict(_opened("prod").given.items())
                for value in given.values():
                    if callable(value):
                        value()
            places.append(set(asked))
        if places[0] & places[1]:
            yield f"{how}: the keyring's {places[0] & places[1]} goes to both servers"


class AnyPassword(dict[str, str]):
    def get(self, key: str, default: Any = None) -> Any:
        return "open sesame"


def _names() -> Iterator[str]:
    """Each pair reads one variable, in two ways of dividing it; or none."""
    keyed = (
        'base_url = "https://%s.example/"\nname = "%s"\nstart = "ready"\n[credentials]\n%s = { secret = true }\n'
        '[states.ready]\npresent = { headers = { X-Key = "{%s}" } }\n[answers]\n'
    )
    accounts = ["a", "a-b", "a_b", "A-b", "a--b", '"a b"', '"a.b"', '"ä-b"', '"ö-b"', "a-b-c"]
    inputs = ["key", "c_key", "b_key", "b_c_key", "C_KEY"]
    for (one, its), (two, other) in itertools.combinations(itertools.product(accounts, inputs), 2):
        if one == two:
            continue
        files = {"1.toml": keyed % ("one", "one", its, its), "2.toml": keyed % ("two", "two", other, other)}
        config = f'[accounts.{one}]\nvendor = "1.toml"\n[accounts.{two}]\nvendor = "2.toml"\n'
        plain = one.strip('"'), two.strip('"')
        both = {*variables(plain[0], its)[:1]} & {*variables(plain[1], other)}
        both |= {*variables(plain[0], its)} & {*variables(plain[1], other)[:1]}
        for variable in both:
            with home(files, config, {}, []), mock.patch.dict(os.environ, {variable: "of one of them"}):
                for name in plain:
                    try:
                        _opened(name)
                    except AuthFlowError as error:
                        if f"{variable} is read for" not in str(error):
                            yield f"{plain}: {variable}: {error}"
                    else:
                        yield f"{plain}, {its}, {other}: {name} takes {variable}, which is the other's too"


if __name__ == "__main__":
    found = list(attack())
    print("\n".join(found) or "nothing")
    sys.exit(1 if found else 0)
