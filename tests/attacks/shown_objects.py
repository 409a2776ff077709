"""Everything that a user of the README gets into his hands, shown by everything that shows objects.

Sessions, adapters, tokens, statuses, recordings, values, errors, stores and accounts, each also copied, and those that
can be pickled out of their pickle, while and after a login, a renewal and a logout have gone well or badly.

Expected: no secret, in any spelling: not by `repr`, formats, `vars`, `asdict`, `pprint`, JSON with `default=vars`,
`dir`, rich, msgspec, mock's calls, warnings, logging's arguments, nor by what pytest says of `==`. A
token's own `access` is asked for by its name, and so is what `session.headers()` and `session.values()` are for.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import io
import json
import logging
import os
import pickle
import pprint
import re
import subprocess
import sys
import tempfile
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import authflow
from authflow.cli.accounts import Account
from authflow.masking import spells
from authflow.stores import EncryptedStore, FileStore, MemoryStore, RedisStore, new_key
from tests.servers import Came, Listener, Says, listening
from tests.shown import shown

SECRETS = {
    "password": 'pass-ß w0rd/"x&y',
    "pin": "271828182845",
    "access": "acc3ss-that-is-secret",
    "refresh": "refr3sh-that-is-secret",
    "store": "st0re-p4ssw0rd",
    "key": new_key(),
}
FILE = {
    "name": "acme",
    "extends": "password",
    "credentials": {"pin": {"secret": True}},
    "derive": {"pair": {"base64": "{username}:{password}"}},
    "exchanges": {
        "login": {
            "request": {
                "url": "login",
                "json": {"u": "{username}", "p": "{password}", "pin": "{pin:int}"},
                "headers": {"X": "{pair}"},
            },
            "answers": {
                "granted": {"json": {"access": "{access}", "refresh": "{refresh}"}},
                "denied": {"status": 401, "json": {"why": "{reason?}"}},
            },
        },
        "refresh": {
            "request": {"url": "refresh", "json": {"r": "{refresh}"}},
            "answers": "login",
        },
    },
    "states": {"signed_in": {"present": {"headers": {"X-Token": "{access}"}, "cookies": {"sid": "{access}"}}}},
}


def says(came: Came) -> Says:
    if came.path == "/denied/login":
        return Says(401, {"why": came.everything})
    if came.path == "/odd/login":
        return Says(418, {"said": came.everything})
    if came.path.endswith(("login", "refresh")):
        return Says(json={"access": SECRETS["access"], "refresh": SECRETS["refresh"]})
    return Says(json={"you": "sent"})


def session(home: Listener, at: str = "", **more: Any) -> authflow.AuthSession:
    own = {"username": "u", "password": SECRETS["password"], "pin": lambda: SECRETS["pin"]}
    return authflow.AuthSession({**FILE, "base_url": f"{home.url}/{at}"}, **{**own, **more})


def failed(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:
        return error.with_traceback(None)
    raise AssertionError("nothing was raised")


def things(home: Listener, folder: Path) -> Iterator[tuple[str, Any]]:
    """What users hold, with a name."""
    fresh, used = session(home, store=FileStore(folder)), session(home, store=MemoryStore())
    with used.record() as seen:
        token = used.token()
        used.headers(f"{home.url}/x")
    for name in ("seen.html", "seen.svg", "seen.har"):
        yield name, seen.save(folder / name).read_text("utf-8")
    yield from {"a session": fresh, "one in use": used, "a token": token, "a recording": seen}.items()
    yield from {"a status": used.status(), "values()": used.values(), "a vendor": used.vendor}.items()
    for library in ("requests", "httpx", "httpx2", "aiohttp"):
        with contextlib.suppress(authflow.ConfigurationError):
            yield f"session.{library}", getattr(used, library)
    yield "its manager", used._manager
    yield "its grant", used._manager.grants.current
    for at in ("denied", "odd"):
        yield f"an error ({at})", failed(session(home, f"{at}/").token)
    yield "an error of the constructor", failed(lambda: session(home, timeout=-1))
    yield "an origin's", failed(lambda: used.headers("https://elsewhere.example/"))
    url = f"redis://u:{SECRETS['store']}@127.0.0.1:1/0"
    yield "Redis", RedisStore(url)
    yield "a Redis that is away", failed(lambda: RedisStore(url).load("key"))
    yield "a session on it", session(home, store=url)
    yield "an encrypted store", EncryptedStore(MemoryStore(), SECRETS["key"])
    yield "a store of files", FileStore(folder)
    yield "an account", Account("a", "acme", "redis://127.0.0.1:1/0", {"password": "keyring:a"})
    (store := MemoryStore()).save("key", SECRETS["access"].encode(), None)
    yield "a record", store.load("key")
    used.logout()
    yield "one logged out", used


def known(name: str) -> str:
    """For who shall have none in a variable of his module: some tools show all that stands around a call."""
    return SECRETS[name]


def pin() -> str:
    return known("pin")


def _parts(secret: str) -> Iterator[str]:
    """What each escape leaves of a secret, and base64 of it wherever it begins."""
    longest = max(re.findall(r"[A-Za-z0-9]+", secret), key=lambda run: (run.isalpha() is False, len(run)))
    yield longest
    for before in range(3):
        yield base64.b64encode(b"." * before + secret.encode()).decode().rstrip("=")[2 * before : -2]


PARTS = {name: [*_parts(secret)] for name, secret in SECRETS.items()}


def stands_in(text: str) -> Iterator[tuple[str, str]]:
    """The names of the secrets in a text of any length, with what stands around them: quicker than masks are, whose
    spellings tools do not use.
    """
    for name, parts in PARTS.items():
        if part := next((part for part in parts if part in text), None):
            at = text.index(part)
            yield name, text[max(0, at - 150) : at + 50]


def by_rich(thing: Any) -> str:
    import rich
    from rich.console import Console
    from rich.pretty import pretty_repr

    page = io.StringIO()
    rich.inspect(thing, all=True, private=True, value=True, console=Console(file=page, width=2000))
    lines = [line for line in page.getvalue().splitlines() if line.strip("│ ").partition(" ")[0] not in ASKED]
    return "\n".join([*lines, pretty_repr(thing)])


def by_msgspec(thing: Any) -> str:
    import msgspec

    return msgspec.json.encode(thing, enc_hook=vars).decode()


def by_logging(thing: Any) -> str:
    page = io.StringIO()
    logger = logging.Logger("theirs")
    logger.addHandler(logging.StreamHandler(page))
    logger.warning("%s %r", thing, thing, extra={"thing": thing})
    return page.getvalue()


#: Attributes that are asked for by their names, and are what was asked for.
ASKED = {"access", "value", "header", "headers", "data", "cookies"}


def by_members(thing: Any) -> str:
    found = []
    for name in {*dir(thing)} - ASKED:
        with contextlib.suppress(Exception):
            found.append((name, getattr(thing, name)))
    return repr(found)


SHOWS: dict[str, Callable[[Any], str]] = {
    "repr": lambda it: f"{it!r} {it} {it!a} {[it]} {({'a': it},)}",
    "pprint": pprint.pformat,
    "vars": lambda it: pprint.pformat(vars(it)),
    "all below vars": lambda it: "\n".join(shown(it)),
    "asdict": lambda it: str(dataclasses.asdict(it)),
    "dict": lambda it: str(dict(it)),
    "list": lambda it: str(list(it)),
    "JSON": lambda it: json.dumps(it, default=vars),
    "JSON of reprs": lambda it: json.dumps(it, default=repr),
    "the tuple": lambda it: str(it._asdict()),
    "members": by_members,
    "rich": by_rich,
    "msgspec": by_msgspec,
    "mock": lambda it: str(unittest.mock.Mock()(it) or unittest.mock.call(it)),
    "logging": by_logging,
    "the parts of it": lambda it: str([it.args, it.__dict__, it.__notes__]),
}
#: What is a copy: pickles hold a session's credentials, and show them no more than it does.
COPIES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda it: it,
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "pickled": lambda it: pickle.loads(pickle.dumps(it)),
}


def attack() -> Iterator[str]:
    with listening(says) as home, tempfile.TemporaryDirectory() as folder:
        said: dict[str, str] = {}
        for name, thing in things(home, Path(folder)):
            for kind, copied in COPIES.items():
                with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
                    one = copied(thing)
                    for how, show in SHOWS.items():
                        with contextlib.suppress(Exception):  # many things cannot be shown in many ways
                            said.setdefault(show(one), f"{name}, {kind}: {how}")
        lines = {line: how for text, how in said.items() for line in text.splitlines()}
        for line, how in lines.items() if spells("\n".join(lines), SECRETS.values()) else ():
            yield from (
                f"{how} shows the {name}: {line[:300]}" for name, secret in SECRETS.items() if spells(line, [secret])
            )
        yield from compared()


COMPARED = """
from tests.attacks import shown_objects as it
from authflow.manager import *
def made():
    with it.listening(it.says) as home:
        one, two = [it.session(home) for _ in "ab"]
        return {expression}
def test():
    left, right = made()
    assert left == right
"""
PAIRS = (
    *("(one, two)", "([one.token()], [two])", "(one.token(), two.token().access[:0])", "({'a': one}, {'a': two})"),
    *("(one._manager.grants.current, two._manager.grants.current)", "((one.token(),), (two.status(),))"),
    *("(one.status(), two.token() and two.status())", "(one.requests, two.requests)", "(one.vendor, two.status())"),
    *("(set([one.token() and one]), set([two]))", "(vars(one), vars(two))", "(one._manager.values(), {})"),
)


def compared() -> Iterator[str]:
    """What pytest says of two that are not equal, with the variables of the test's own functions."""
    with tempfile.TemporaryDirectory() as folder:
        for number, expression in enumerate(PAIRS):
            Path(folder, f"test_{number}.py").write_text(COMPARED.format(expression=expression), "utf-8")
        house = str(Path(__file__).parents[2])
        words = ["-vv", "--showlocals", "-p", "no:cacheprovider", "--rootdir", folder, folder]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *words],
            env={**os.environ, "PYTHONPATH": house},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
    told = re.search(r"(\d+) failed", done.stdout)
    if told is None or int(told[1]) < len(PAIRS) - 2:  # some are equal
        yield f"pytest was to compare {len(PAIRS)}: {done.stdout[-2000:]}"
    for secret, value in SECRETS.items():
        for line in done.stdout.splitlines():
            if spells(line, [value]):
                yield f"pytest shows the {secret}: {line[:300]}"


if __name__ == "__main__":
    found = list(attack())
    print(*found, sep="\n")
    sys.exit(bool(found))
