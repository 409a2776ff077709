"""As `test_reporters`, for those places at which an error is rare: a library is missing, a thread cannot start, a
record was changed meanwhile, a body breaks off. Each names what it is about.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

import authflow
from authflow import clients, plugins, stores
from authflow.clients import default_sender
from authflow.clients.httpx_wire import once_class
from authflow.renewing import NoAnswer, environment
from authflow.stores import EncryptedStore, FileStore, KeyringStore, MemoryStore, RedisStore
from tests.attacks.test_reporters import (
    FILE,
    GRANTED,
    Listening,
    at,
    call,
    fails,
    granted,
    known,
    plugged,
    reported,
    says,
    session,
    store_url,
    vendor,
)
from tests.scripted import LIFETIME, answered, finished
from tests.servers import Came, Says

__all__ = ["vendor"]  # a fixture

Place = Callable[[Listening], object]
PLACES: dict[str, Place] = {}


def place(name: str) -> Callable[[Place], Place]:
    def put(function: Place) -> Place:
        PLACES[name] = function
        return function

    return put


# --- what is not there ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setitem(sys.modules, module, None)
        yield


@place("no redis")
def _(vendor: Listening) -> object:
    with without("redis"):
        return RedisStore(store_url())


@place("no keyring")
def _(vendor: Listening) -> object:
    with without("keyring"), tempfile.TemporaryDirectory() as folder:
        return session(vendor, store=KeyringStore(folder)).token()


@place("no cryptography for a store")
def _(vendor: Listening) -> object:
    with without("cryptography", "cryptography.fernet"):
        return session(vendor, store=EncryptedStore(MemoryStore(), known("key"))).token()


VERIFYING = {**FILE, "verify": {"jwks_url": "keys"}}


def signed(vendor: Listening) -> None:
    token = jwt.encode({"exp": vendor.clock.now + 60}, known("access") * 2, "HS256", {"kid": "1"})
    vendor.says("login", answered(200, {"access": token, "refresh": known("refresh"), "in": 60}))


@place("no cryptography for [verify]")
def _(vendor: Listening) -> object:
    signed(vendor)
    with without("cryptography"):
        return session(vendor, VERIFYING).token()


for title, answer in {
    "away": answered(503, {}),
    "no keys": answered(200, {"keys": []}),
    "none at all": answered(200, "x"),
    "no answer": NoAnswer("reset", sent=True),
}.items():

    @place(f"[verify]: its keys are {title}")
    def _(vendor: Listening, answer: Any = answer) -> object:
        signed(vendor)
        vendor.says("keys", answer)
        return session(vendor, VERIFYING).token()


@place("[verify]: its keys are elsewhere")
def _(vendor: Listening) -> object:
    signed(vendor)
    file = {**FILE, "settings": {"keys": {}}, "verify": {"jwks_url": "{keys}"}}
    return session(vendor, file, keys="http://elsewhere.example/keys").token()


@place("no client at all")
def _(vendor: Listening) -> object:
    default_sender.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        return session(vendor, client=None).token()


@place("a client that cannot be imported")
def _(vendor: Listening) -> object:
    with without("authflow.clients.requests"):
        return session(vendor).requests


@place("no such store")
def _(vendor: Listening) -> object:
    return stores.PostgresStore  # type: ignore[attr-defined]


@place("no thread for aiohttp's loop, and no server")
def _(vendor: Listening) -> object:
    from authflow.clients import aiohttp_sender

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp_sender, "_running", None)
        patch.setattr(threading.Thread, "start", lambda thread: (_ for _ in ()).throw(RuntimeError("no thread")))
        return aiohttp_sender._loop()


@place("the program ends while one waits")
def _(vendor: Listening) -> object:
    (ended := threading.Thread(target=int)).start()
    ended.join()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "main_thread", lambda: ended)
        return environment.pause(60)


@place("a turn that is a link")
def _(vendor: Listening) -> object:
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore(folder)
        store.save("key", b"data", None)
        Path(folder, "key.turn").symlink_to(Path(folder, "victim"))
        with store.lock("key", limit=1, wait=1):
            return None


# --- what was given ---------------------------------------------------------------------------------------------------


@place("ask= is none")
def _(vendor: Listening) -> object:
    return session(vendor, ask=b"everybody")


@place("a default that cannot be filled")
def _(vendor: Listening) -> object:
    file = {**FILE, "settings": {"number": {}, "place": {"default": "a-{number:int}"}}}
    return session(vendor, file, number="many")


@place("a person who cannot be told")
def _(vendor: Listening) -> object:
    states = {**FILE["states"], "signed_out": {"tell": "Enter {password:int}."}}
    return session(vendor, {**FILE, "states": states}, ask=lambda *_: None).token()


GIVEN = {
    "name": "given",
    "base_url": "https://vendor.example/",
    "start": "out",
    "credentials": {"refresh": {"secret": True}},
    "exchanges": {"login": {"request": {"url": "login", "json": {"r": "{refresh}"}}, "answers": {"granted": GRANTED}}},
    "states": {
        "out": {"send": "login", "granted": "in"},
        "in": {"present": {"headers": {"X": "{access}"}}, "expired": "out"},
    },
}


def lose_refresh(store: MemoryStore) -> None:
    for key, record in list(store._records.items()):
        lacking = record.data.replace(f',"refresh":"{known("refresh")}"'.encode(), b"")
        store.save(key, lacking, record.revision)


@place("a refresh token that was used up")
def _(vendor: Listening) -> object:
    own: dict[str, Any] = {
        "refresh": lambda: known("refresh") * 2,
        "client": vendor,
        "clock": vendor.clock,
        "store": MemoryStore(),
    }
    one = authflow.AuthSession(GIVEN, **own)
    vendor.says("login", granted)
    one.token()
    lose_refresh(own["store"])
    vendor.clock.now += LIFETIME + 1
    return authflow.AuthSession(GIVEN, **own).token()


# --- signers ----------------------------------------------------------------------------------------------------------


class Refusing(plugins.Signer):
    takes = ("!secret",)

    def sign(self, request: Any, signing: Any) -> Any:
        held = dict(signing.parameters)
        raise plugins.ConfigurationError("cannot be signed") if held else LookupError


def signing(secret: str) -> dict[str, Any]:
    return {**FILE, "sign": {"refusing": {"secret": secret}}}


@place("a signer that refuses")
def _(vendor: Listening) -> object:
    with plugged(signers=lambda: {"refusing": Refusing}):
        return session(vendor, signing("{password}")).token()


@place("a signer that is given what it cannot take")
def _(vendor: Listening) -> object:
    with plugged(signers=lambda: {"refusing": Refusing}):
        return session(vendor, signing("{password:int}")).token()


class Nonsense(Refusing):
    """What it keeps, and what it gives, is the secret as it is."""

    gives: Any = True

    def keeps(self, stored: Any) -> Any:
        return {} if self.gives else [known("password")]

    def sign(self, request: Any, signing: Any) -> Any:
        return [*signing.parameters.values()]


for title, gives in {"gives": True, "keeps": False}.items():

    @place(f"a signer that {title} what is none")
    def _(vendor: Listening, gives: bool = gives) -> object:
        vendor.says("login", granted)
        with plugged(signers=lambda: {"refusing": type("Nonsense", (Nonsense,), {"gives": gives})}):
            return session(vendor, signing("{password}")).token()


@place("aiohttp's middleware in the place of a list of them")
def _(vendor: Listening) -> object:
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("aiohttp is not installed")
    one = session(vendor, password=known("password"))
    return len(one.aiohttp)  # type: ignore[arg-type]


@place("a body that a row of [derive] cannot see as it will be")
def _(vendor: Listening) -> object:
    present = {"headers": {"X-Token": "{access}", "X-Sum": "{sum}"}, "json": {"t": "{access}"}}
    file = {
        "derive": {**FILE["derive"], "sum": {"base64": "{request.body}"}},
        "states": {**FILE["states"], "signed_in": {"present": present}},
    }
    return call("requests", at(vendor.home, file=file), f"{vendor.home.url}/api/x", data=b"[1]")


# --- somebody else meanwhile ------------------------------------------------------------------------------------------

WAITS = {
    **FILE,
    "exchanges": {
        **FILE["exchanges"],
        "login": {
            **FILE["exchanges"]["login"],
            "answers": {"granted": GRANTED, "pending": {"status": 202, "again": "1s"}, "denied": {"status": 401}},
        },
    },
}


@place("a record that another changed while one waited")
def _(vendor: Listening) -> object:
    store = MemoryStore()
    one = session(vendor, WAITS, store=store)
    vendor.says("login", granted)
    one.token()
    vendor.clock.now += LIFETIME + 1
    vendor.says("refresh", 401, {})
    vendor.says("login", answered(202, {}))

    def paused(seconds: float) -> None:
        for key, record in list(store._records.items()):
            store.save(key, record.data, record.revision)

    grants = one._manager.grants
    grants.environment = grants.environment._replace(pause=paused)
    return one.token()


for title, kept in {"that rotates": GRANTED, "that is never replaced": {"json": {"access": "{access}"}}}.items():

    @place(f"a refresh token {title}, and was refused ahead of time")
    def _(vendor: Listening, kept: Any = kept) -> object:
        refresh = {**FILE["exchanges"]["refresh"], "answers": {"granted": kept, "denied": {"status": 401}}}
        file = {**FILE, "exchanges": {**FILE["exchanges"], "refresh": refresh}}
        vendor.says("login", granted)
        store = MemoryStore()
        session(vendor, file, store=store).token()
        vendor.clock.now += LIFETIME * 0.96
        for each in (session(vendor, file, store=store), session(vendor, file, store=store)):
            vendor.clock.now += 1
            vendor.says("refresh", 401, {})
            for _ in range(2):
                each.token()
                finished()
        return each.headers("https://elsewhere.example/")


@place("tasks, for whom a callable fails")
def _(vendor: Listening) -> object:
    async def asked() -> object:
        one = session(vendor, password=fails)
        return await asyncio.gather(*(one.atoken() for _ in range(3)))

    return asyncio.run(asked())


# --- bodies that break off --------------------------------------------------------------------------------------------

PEEKING = {"answers": {"rejected": {"json": {"error": "expired"}}}}


def broken(came: Came) -> Says:
    def torn() -> None:
        raise LookupError("the connection ends")

    return says(came) if came.path.endswith("login") else Says(body=b'{"error": 1', then=torn)


def streamed(library: str, one: authflow.AuthSession, url: str) -> object:
    module: Any = __import__(library)
    if library == "requests":
        return module.get(url, auth=one.requests, stream=True).content
    with module.Client(auth=getattr(one, library)) as client, client.stream("GET", url) as answer:
        return answer.read()


async def streamed_async(library: str, one: authflow.AuthSession, url: str, within: float = 60) -> object:
    module: Any = __import__(library)
    async with module.AsyncClient(auth=getattr(one, library)) as client:

        async def read() -> object:
            async with client.stream("GET", url) as answer:
                return await answer.aread()

        if "trio" in sys.modules and sys.modules["trio"].lowlevel.in_trio_run():
            with sys.modules["trio"].fail_after(within):
                return await read()
        return await asyncio.wait_for(read(), within)


@place("a body that breaks off, through requests")
def _(vendor: Listening) -> object:
    vendor.home.says = broken
    return streamed("requests", at(vendor.home, file=PEEKING), f"{vendor.home.url}/api/x")


for library in ("httpx", "httpx2"):

    @place(f"a body that breaks off, through {library}")
    def _(vendor: Listening, library: str = library) -> object:
        vendor.home.says = broken
        return streamed(library, at(vendor.home, file=PEEKING), f"{vendor.home.url}/api/x")

    @place(f"a body with the token in it that is asked for twice, through {library}")
    def _(vendor: Listening, library: str = library) -> object:
        return [list(each) for each in [once_class(importlib.import_module(library))(b"t", None)] * 2]

    for loop in ("asyncio", "trio"):

        def run(loop: str, work: Callable[[], Any]) -> object:
            if loop == "asyncio":
                return asyncio.run(work())
            import trio

            return trio.run(work)

        @place(f"a body that breaks off, through {library} on {loop}")
        def _(vendor: Listening, library: str = library, loop: str = loop) -> object:
            vendor.home.says = broken
            one = at(vendor.home, file=PEEKING)
            return run(loop, lambda: streamed_async(library, one, f"{vendor.home.url}/api/x"))

        @place(f"one who does not wait for a body, through {library} on {loop}")
        def _(vendor: Listening, library: str = library, loop: str = loop) -> object:
            gone = threading.Event()
            vendor.home.says = lambda came: (
                says(came) if came.path.endswith("login") else Says(body=b'{"error": 1', then=lambda: gone.wait(10))
            )
            one = at(vendor.home, file=PEEKING)
            one.token()
            try:
                return run(loop, lambda: streamed_async(library, one, f"{vendor.home.url}/api/x", 0.5))
            finally:
                gone.set()


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.filterwarnings("ignore")
def test_no_tool_shows_a_secret(name: str, vendor: Listening) -> None:
    if "httpx2" in name and "httpx2" in clients.ADAPTERS and importlib.util.find_spec("httpx2") is None:
        pytest.skip("httpx2 is not installed")
    assert reported(PLACES[name], vendor) == []
