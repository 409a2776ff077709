"""Everything logs and prints as much as it can: the root logger and every logger that there is at level 1,
`http.client` and `http.cookiejar` with their debug levels, asyncio in its debug mode with every callback called slow,
warnings as log records.

A session logs in, renews, is rejected, refused and not answered, and logs out, through each library, with its own
client and with the caller's, in threads and on a loop; the answers repeat what came in, set cookies and redirect.

Expected: neither a log record (its text, its arguments, its traceback) nor what is printed shows a password, a one-time
code, a refresh token, or the access token. The caller's own requests carry the token in a header: libraries that log it
do so with Basic too, and `http.client` is silent again about ours only; those requests are made without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import http.cookiejar
import importlib
import importlib.util
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import authflow
from authflow.clients import default_sender
from authflow.clients.quiet import LOGGERS
from authflow.masking import spells
from tests.attacks.shown_objects import FILE, SECRETS
from tests.servers import Came, Listener, Says, listening

LIBRARIES = [name for name in ("requests", "httpx", "httpx2", "niquests", "aiohttp") if importlib.util.find_spec(name)]
LOGOUT = {
    "request": {"url": "logout", "query": {"t": "{access}", "r": "{refresh}"}},
    "answers": {"done": {"status": 204}},
}
LOUD: dict[str, Any] = {
    **FILE,
    "insecure_url": True,
    "exchanges": {
        **FILE["exchanges"],  # type: ignore[dict-item]
        "login": {
            **FILE["exchanges"]["login"],  # type: ignore[index]
            "redirects": True,
            "request": {
                "url": "login",
                "query": {"p": "{password}", "pin": "{pin}"},
                "headers": {"X": "{pair}", "Cookie": "c={pair}"},
                "form": {"p": "{password}"},
            },
        },
        "logout": LOGOUT,
    },
    "on_logout": "logout",
}


def says(came: Came) -> Says:
    """At /…/login by the first part of its path; all repeats what came in, as far as a header can."""
    echoed = {"Set-Cookie": f"sid={SECRETS['access']}; r={SECRETS['refresh']}", "X-Echo": came.target}
    kind, _, rest = came.target.removeprefix("/").partition("/")
    if rest.startswith("login"):
        match kind:
            case "denied":
                return Says(401, {"why": came.everything}, echoed)
            case "odd":
                return Says(418, {"said": came.everything}, {**echoed, "Content-Type": came.target})
            case "away":
                return Says(503, {"said": came.everything}, {**echoed, "Retry-After": "1"})
            case "moved":
                return Says(307, {}, {**echoed, "Location": f"/good/{rest}"})
            case "broken":
                return Says(200, body=b"{" * 9, headers={**echoed, "Content-Encoding": "gzip"}, then=_breaks)
    if rest.startswith("rejected"):
        return Says(401, {}, echoed)
    if rest.startswith("logout"):
        return Says(204, body=b"", headers=echoed)
    return Says(json={"access": SECRETS["access"], "refresh": SECRETS["refresh"]}, headers=echoed)


def _breaks() -> None:
    raise LookupError("the connection ends")


class Everything(logging.Handler):
    """What any handler could make of a record."""

    def __init__(self) -> None:
        super().__init__(1)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            self.said.append(f"{record.name}: {self.format(record)} {record.args!r} {record.stack_info}")


@contextlib.contextmanager
def loud() -> Iterator[list[str]]:
    """What is logged and printed in this block."""
    everything, printed = Everything(), io.StringIO()
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    loggers += [logging.getLogger(name) for name in LOGGERS]
    levels = [(logger, logger.level) for logger in loggers]
    debug = http.client.HTTPConnection.debuglevel, http.cookiejar.debug
    logging.root.addHandler(everything)
    for logger in loggers:
        logger.setLevel(1)
    logging.captureWarnings(True)
    http.client.HTTPConnection.debuglevel = http.cookiejar.debug = 9
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("always")
            yield everything.said
    finally:
        http.client.HTTPConnection.debuglevel, http.cookiejar.debug = debug
        logging.captureWarnings(False)
        logging.root.removeHandler(everything)
        for logger, level in levels:
            logger.setLevel(level)
        everything.said += printed.getvalue().splitlines()


def client_of(library: str) -> Any:
    """The caller's own, which logs as much as it can; None where the adapter brings what sends."""
    module = importlib.import_module(library)
    kind = getattr(module, "Session" if library in ("requests", "niquests") else "Client", None)
    return kind() if kind is not None else None


def life(home: Listener, library: str, own: bool) -> None:
    """All that goes well, and all that goes badly; only exchanges."""
    for at in ("good", "moved", "denied", "odd", "away", "broken"):
        one = authflow.AuthSession(
            {**LOUD, "base_url": f"{home.url}/{at}/"},
            username="u",
            password=SECRETS["password"],
            pin=lambda: SECRETS["pin"],
            client=client_of(library) if own else default_sender(library),
            timeout=5,
        )
        headers = functools.partial(one.headers, f"{home.url}/x")
        for step in (one.token, one.login, headers, one.logout, one.status):
            with contextlib.suppress(authflow.AuthFlowError):
                step()


def loop(home: Listener, library: str) -> None:
    """Several tasks, in asyncio's debug mode, that log in at once and are rejected."""

    async def asked() -> None:
        asyncio.get_running_loop().slow_callback_duration = 0.0
        for at in ("good", "denied"):
            one = authflow.AuthSession(
                {**LOUD, "base_url": f"{home.url}/{at}/"},
                username="u",
                password=SECRETS["password"],
                pin=lambda: SECRETS["pin"],
            )
            getattr(one, library)
            await asyncio.gather(*(one.atoken() for _ in range(3)), return_exceptions=True)
            with contextlib.suppress(authflow.AuthFlowError):
                await one.aheaders(f"{home.url}/x")

    asyncio.run(asked(), debug=True)


def attack(libraries: list[str] = LIBRARIES) -> Iterator[str]:
    with listening(says) as home:
        ways: dict[str, Callable[[str], None]] = {
            "by itself": lambda library: life(home, library, False),
            "with client=": lambda library: life(home, library, True),
            "on a loop": lambda library: loop(home, library),
        }
        for library in libraries:
            for way, walk in ways.items():
                if library == "aiohttp" and way == "with client=":
                    continue
                with loud() as said:
                    walk(library)
                if not any(line.startswith("authflow: ") for line in said):
                    yield f"{library} {way}: nothing was logged at all"
                lines = "\n".join(dict.fromkeys(said)).splitlines()
                if spells("\n".join(lines), SECRETS.values()):
                    for line in lines:
                        yield from (
                            f"{library} {way}: the {name} in {line[:300]}"
                            for name, value in SECRETS.items()
                            if spells(line, [value])
                        )


if __name__ == "__main__":
    found = list(attack(sys.argv[1:] or LIBRARIES))
    print(*found, sep="\n")
    sys.exit(bool(found))
