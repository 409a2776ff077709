"""Every place at which an error can be raised, and every tool that shows the variables of functions it came through.

The scenario's own secrets come from the environment, through `known`: no frame of its own holds one, so that whatever
is found was in a frame of ours. The frames of urllib3 and httpx in a caller's own request show its header, as they do
with Basic; no scenario fails there.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
import pickle
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.fernet import Fernet

import authflow
from authflow import AuthSession, plugins
from authflow.clients import ADAPTERS
from authflow.http import Answer, Request
from authflow.renewing import NoAnswer, TooLarge
from authflow.stores import EncryptedStore, MemoryStore, RedisStore, open_store
from tests import shown
from tests.attacks.reporters import TOOLS, leaks, loguru, missing
from tests.scripted import LADDER, LIFETIME, URL, ScriptedVendor, answered
from tests.servers import Came, Listener, Says, listening

SECRETS = {
    "password": 'pass-ß w0rd/"x&y',
    "otp": "0tp-that-is-secret",
    "access": "acc3ss-that-is-secret",
    "refresh": "refr3sh-that-is-secret",
    "store": "st0re-p4ssw0rd",
    "key": Fernet.generate_key().decode().rstrip("="),
    "region": "reg10n-that-is-secret",
}


def known(name: str) -> str:
    return os.environ[f"SCENARIO_{name.upper()}"]


def granted(request: Request) -> Answer:
    return answered(
        200, {"access": known("access"), "refresh": known("refresh"), "in": int(LIFETIME), "region": known("region")}
    )


def fails(*arguments: Any, **named: Any) -> Any:
    raise LookupError("somebody else's bug")


class Broken(MemoryStore):
    """A store of which one verb fails, with an error of its own or one of ours."""

    def __init__(self, verb: str, error: type[Exception] = authflow.StoreError, after: int = 0) -> None:
        super().__init__()
        self._verb, self._error, self._after = verb, error, after

    def _may_fail(self, verb: str) -> None:
        if verb == self._verb:
            self._after -= 1
            if self._after < 0:
                raise self._error("the disk is gone")

    def load(self, *arguments: Any) -> Any:
        self._may_fail("load")
        return super().load(*arguments)

    def save(self, *arguments: Any, **named: Any) -> Any:
        self._may_fail("save")
        return super().save(*arguments, **named)

    def delete(self, *arguments: Any) -> None:
        self._may_fail("delete")
        super().delete(*arguments)

    def lock(self, *arguments: Any, **named: Any) -> Any:
        self._may_fail("lock")
        return super().lock(*arguments, **named)


LOGIN = LADDER["exchanges"]["login"]
GRANTED = {"json": {**LOGIN["answers"]["granted"]["json"], "region": "{region?}"}}
FILE: dict[str, Any] = {
    **LADDER,
    "credentials": {"otp": {"secret": True, "optional": True}},
    "derive": {"pair": {"base64": "{username}:{password}"}},
    "exchanges": {
        "login": {
            "request": {**LOGIN["request"], "headers": {"X-OTP": "{otp?}", "X-Pair": "{pair}"}},
            "answers": {"granted": GRANTED, "denied": {"status": 401}},
        },
        "refresh": {
            "request": {**LADDER["exchanges"]["refresh"]["request"], "headers": {"Authorization": "Bearer {access}"}},
            "answers": {"granted": GRANTED, "denied": {"status": 401}},
        },
        "logout": {
            "request": {"url": "logout", "json": {"r": "{refresh}"}},
            "answers": {"done": {"status": 204}},
        },
    },
    "on_logout": "logout",
    "states": {
        **LADDER["states"],
        "signed_in": {"present": {"headers": {"X-Token": "{access}"}, "cookies": {"sid": "{access}"}}},
    },
    "rewrites": [{"from": "deliveries/{id}", "to": "../tracking/{id}"}],
}


def session(vendor: ScriptedVendor, file: Any = FILE, **more: Any) -> authflow.AuthSession:
    return authflow.AuthSession(file, **inputs(vendor, more))


def inputs(vendor: ScriptedVendor, more: Any) -> dict[str, Any]:
    own = {"username": "u", "password": known("password"), "otp": known("otp"), "client": vendor, "clock": vendor.clock}
    return {**own, **more}


def logged_in(vendor: ScriptedVendor, **more: Any) -> authflow.AuthSession:
    vendor.says("login", granted)
    one = session(vendor, **more)
    one.token()
    return one


def stale(vendor: ScriptedVendor, **more: Any) -> authflow.AuthSession:
    one = logged_in(vendor, **more)
    vendor.clock.now += LIFETIME + 1
    return one


Place = Callable[[ScriptedVendor], object]
PLACES: dict[str, Place] = {}


def place(name: str) -> Callable[[Place], Place]:
    def put(function: Place) -> Place:
        PLACES[name] = function
        return function

    return put


# --- the constructor --------------------------------------------------------------------------------------------------

for title, wrong in {
    "a misspelt vendor": {"file": "suplier"},
    "no vendor": {"file": 5},
    "a file that is not right": {"file": {"extends": "api-key", "name": "acme", "base_url": "http://acme.example/"}},
    "timeout=0": {"timeout": 0},
    "untrusted=": {"untrusted": "allow"},
    "on_store_failure=": {"on_store_failure": "ignore"},
    "client=": {"client": object()},
    "an unknown input": {"pasword": "x"},
    "a missing input": {"username": None},
    "an input of the wrong type": {"username": [1]},
    "half a character": {"username": "\ud800"},
    "a base URL that is none": {"base_url": "http://acme.example/"},
    "a store that is none": {"store": 5},
    "a store of no scheme": {"store": "nowhere"},
}.items():
    PLACES[f"constructor: {title}"] = lambda vendor, wrong=wrong: session(vendor, **wrong)  # type: ignore[misc]


def store_url(before: str = "redis://u:", after: str = "@127.0.0.1:port/0") -> str:
    return before + known("store") + after


for title, parts in {
    "a port that is none": (),
    "two schemes": ("encrypted+redis://u:",),
    "no slashes": ("redis:u:", "@h"),
    "no scheme": ("reddis:u:", "@h"),
    "an unknown scheme": ("postgres://u:", "@h/0"),
    "a file": ("file://u:", "@h/0"),
    "a query": ("file:///folder?password=", ""),
}.items():
    PLACES[f"store: {title}"] = lambda vendor, parts=parts: AuthSession(
        FILE, **inputs(vendor, {"store": store_url(*parts)})
    )  # type: ignore[misc]
    PLACES[f"open_store: {title}"] = lambda vendor, parts=parts: open_store(store_url(*parts))  # type: ignore[misc]


@place("RedisStore")
def _(vendor: ScriptedVendor) -> object:
    return RedisStore(store_url())


@place("a Redis that is away")
def _(vendor: ScriptedVendor) -> object:
    return RedisStore(store_url(after="@127.0.0.1:1/0")).load("key")


@place("a Redis that refuses the password")
def _(vendor: ScriptedVendor) -> object:
    def refuse() -> None:
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                while connection.recv(1 << 16):
                    connection.sendall(b"-WRONGPASS invalid user name or password\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, daemon=True).start()
        return RedisStore(store_url(after=f"@127.0.0.1:{server.getsockname()[1]}/0")).load("key")


@place("a session whose Redis is away")
def _(vendor: ScriptedVendor) -> object:
    return AuthSession(FILE, **inputs(vendor, {"store": store_url(after="@127.0.0.1:1/0")})).token()


@place("keys that are none")
def _(vendor: ScriptedVendor) -> object:
    return EncryptedStore(MemoryStore(), f"{known('key')}AAAA=").save("key", b"data", None)


@place("a key that does not open it")
def _(vendor: ScriptedVendor) -> object:
    inner = MemoryStore()
    EncryptedStore(inner, Fernet.generate_key()).save("key", b"data", None)
    return EncryptedStore(inner, lambda: [f"{known('key')}="]).load("key")


@place("a session whose client cannot be pickled")
def _(vendor: ScriptedVendor) -> object:
    vendor.says("login", lambda request: granted(request))
    return pickle.dumps(session(vendor))


@place("a session that is unpickled with an input that is no more")
def _(vendor: ScriptedVendor) -> object:
    one = session(vendor)
    one._made = one._made.replace(timeout=-1)
    return authflow.AuthSession.__new__(authflow.AuthSession).__setstate__(one.__getstate__())


# --- exchanges --------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Any] = {
    "refused": answered(401, {}),
    "away": answered(503, {}),
    "unforeseen": lambda request: Answer(418, (), b"<<" + (request.body or b"") + b">>"),
    "a token for a token": answered(200, {"access": ["x"], "refresh": "y"}),
    "an empty token": answered(200, {"access": "", "in": 60}),
    "a token with a line break": lambda request: answered(200, {"access": known("access") + "\nX: y"}),
    "lost": NoAnswer("reset", sent=True),
    "not sent": NoAnswer("refused", sent=False),
    "too large": TooLarge(),
    "a bug": RuntimeError("a bug of the client"),
    "no answer at all": lambda request: None,
    "stopped": KeyboardInterrupt(),
}
for title, answer in ANSWERS.items():

    def first(vendor: ScriptedVendor, answer: Any = answer) -> object:
        one = session(vendor)
        vendor.says("login", answer if not isinstance(answer, BaseException) else _raising(answer))
        return one.token()

    def renewal(vendor: ScriptedVendor, answer: Any = answer) -> object:
        one = stale(vendor)
        for name in ("refresh", "login"):
            vendor.says(name, answer if not isinstance(answer, BaseException) else _raising(answer))
        return one.headers(URL)

    def logout(vendor: ScriptedVendor, answer: Any = answer) -> object:
        one = logged_in(vendor)
        vendor.says("logout", answer if not isinstance(answer, BaseException) else _raising(answer))
        return one.logout()

    PLACES |= {f"first login: {title}": first, f"renewal: {title}": renewal, f"logout: {title}": logout}
    PLACES[f"login(): {title}"] = lambda vendor, answer=answer: (  # type: ignore[misc]
        vendor.says("login", answer if not isinstance(answer, BaseException) else _raising(answer)),
        session(vendor).login(),
    )


def _raising(error: BaseException) -> Callable[[Request], Answer]:
    def answer(request: Request) -> Answer:
        raise error

    return answer


@place("refused, and asked once more")
def _(vendor: ScriptedVendor) -> object:
    one = session(vendor)
    vendor.says("login", 401, {})
    with pytest.raises(authflow.CredentialsRefused):
        one.token()
    return one.token()


# --- stores -----------------------------------------------------------------------------------------------------------

for verb in ("load", "save", "lock", "delete"):
    for kind in (authflow.StoreError, LookupError):
        for after in (0, 1):

            def stored(vendor: ScriptedVendor, verb: str = verb, kind: Any = kind, after: int = after) -> object:
                vendor.says("login", granted)
                one = session(vendor, store=Broken(verb, kind, after))
                one.token()
                if after and verb != "delete":
                    vendor.clock.now += LIFETIME + 1
                    vendor.says("refresh", granted)
                    one.token()
                return [one.logout(), one.token(), one.logout()]

            PLACES[f"a store that cannot {verb} ({kind.__name__}, {after})"] = stored


# --- callables --------------------------------------------------------------------------------------------------------


@place("a callable that fails")
def _(vendor: ScriptedVendor) -> object:
    return session(vendor, password=fails, otp=lambda: known("otp")).token()


@place("the last callable fails")
def _(vendor: ScriptedVendor) -> object:
    return session(vendor, password=lambda: known("password"), otp=fails).token()


@place("a callable that gives no text")
def _(vendor: ScriptedVendor) -> object:
    return session(vendor, password=lambda: [known("password")], otp=lambda: known("otp")).token()


@place("a callable for the user's name")
def _(vendor: ScriptedVendor) -> object:
    return session(vendor, username=fails, password=known("password")).token()


@place("a callable whose answer is refused")
def _(vendor: ScriptedVendor) -> object:
    vendor.says("login", 401, {})
    return session(vendor, password=lambda: known("password")).token()


@place("a clock that fails")
def _(vendor: ScriptedVendor) -> object:
    one = logged_in(vendor)
    one._manager.grants.environment = one._manager.grants.environment._replace(clock=fails)
    return one.headers(URL)


# --- headers, statuses and the like -----------------------------------------------------------------------------------


@place("headers: an undeclared origin")
def _(vendor: ScriptedVendor) -> object:
    return logged_in(vendor).headers("https://elsewhere.example/")


@place("headers: a URL that cannot be rewritten")
def _(vendor: ScriptedVendor) -> object:
    return logged_in(vendor).headers("https://vendor.example/api/deliveries/..")


@place("headers: the token travels elsewhere")
def _(vendor: ScriptedVendor) -> object:
    states = {**FILE["states"], "signed_in": {"present": {"json": {"t": "{access}"}}}}
    vendor.says("login", granted)
    return session(vendor, {**FILE, "states": states}).headers(URL)


@place("recorded twice")
def _(vendor: ScriptedVendor) -> object:
    one = logged_in(vendor)
    with one.record(), one.record():
        return None


@place("recorded")
def _(vendor: ScriptedVendor) -> object:
    one = session(vendor)
    vendor.says("login", _raising(NoAnswer("reset", sent=True)))
    with one.record():
        return one.headers(URL)


@place("an adapter that is not installed")
def _(vendor: ScriptedVendor) -> object:
    absent = [name for name in ADAPTERS if importlib.util.find_spec(name) is None]
    return logged_in(vendor)._adapter(absent[0] if absent else pytest.skip("all are installed"))


# --- plugins ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def plugged(**hooks: Any) -> Iterator[None]:
    plugin = type(
        "Plugin", (), {f"authflow_{name}": staticmethod(plugins.hookimpl(hook)) for name, hook in hooks.items()}
    )
    plugins.manager().register(plugin)
    try:
        yield
    finally:
        plugins.manager().unregister(plugin)


def _exchange(vendor: Any, exchange: str, request: Any, values: Any, send: Any) -> Any:
    raise LookupError("a bug in a plugin")


def _exchange_elsewhere(vendor: Any, exchange: str, request: Any, values: Any, send: Any) -> Any:
    return send(request.replace(url="https://elsewhere.example/"))


def _sign(vendor: Any, request: Any, values: Any) -> Any:
    raise LookupError("a bug in a plugin")


def _sign_callers(vendor: Any, request: Any, values: Any) -> Any:
    held = [values.get("access")]  # a plugin's own variables are not shown either
    return fails(held) if request.url.endswith("/x") else None


def _sign_with_a_line_break(vendor: Any, request: Any, values: Any) -> Any:
    return {"X-Signed": values.get("password") + "\n"}


def _rewrite_url(vendor: Any, url: str) -> Any:
    raise LookupError("a bug in a plugin")


for title, hooks in {
    "exchange": {"exchange": _exchange},
    "an exchange elsewhere": {"exchange": _exchange_elsewhere},
    "sign": {"sign": _sign},
    "a signature with a line break": {"sign": _sign_with_a_line_break},
    "rewrite_url": {"rewrite_url": _rewrite_url},
}.items():

    def in_a_plugin(vendor: ScriptedVendor, hooks: Any = hooks) -> object:
        with plugged(**hooks):
            vendor.says("login", granted)
            return session(vendor).headers(URL)

    PLACES[f"a plugin: {title}"] = in_a_plugin


# --- clients ----------------------------------------------------------------------------------------------------------


def hooked(library: str) -> Any:
    """A client whose own part fails when an answer has come, which nobody else gets to see then."""
    module: Any = __import__(library)
    if library.startswith("httpx"):

        class Transport(module.HTTPTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                super().handle_request(request).read()
                fails()

        return module.Client(transport=Transport())
    adapter = type("Adapter", (module.adapters.HTTPAdapter,), {"build_response": fails})
    client = module.Session()
    client.mount("http://", adapter())
    return client


def says(came: Came) -> Says:
    if came.path.endswith(("login", "refresh")):
        return Says(
            json={"access": known("access"), "refresh": known("refresh"), "in": 1000},
            headers={"Set-Cookie": f"c={known('region')}"},
        )
    if came.path == "/moved":
        return Says(302, headers={"Location": "/api/x"})
    if came.path == "/api/rejected":
        return Says(401)
    return Says(json={})


def at(home: Listener, **more: Any) -> authflow.AuthSession:
    file = {**FILE, "base_url": f"{home.url}/api/", **more.pop("file", {})}
    return authflow.AuthSession(file, username="u", password=known("password"), otp=known("otp"), **more)


class Listening(ScriptedVendor):
    """With a server, for those places that want a real client."""

    home: Listener


def call(library: str, one: authflow.AuthSession, url: str, **how: Any) -> object:
    module: Any = __import__(library)
    method = "POST" if how else "GET"
    return module.request(method, url, auth=getattr(one, library), **how)


CLIENTS = [name for name in ("requests", "httpx", "httpx2", "niquests") if importlib.util.find_spec(name)]
for library in CLIENTS:

    @place(f"{library}: a hook of client=")
    def _(vendor: Any, library: str = library) -> object:
        return at(vendor.home, client=hooked(library)).token()

    @place(f"{library}: a hook of client=, in a call")
    def _(vendor: Any, library: str = library) -> object:
        return call(library, at(vendor.home, client=hooked(library)), f"{vendor.home.url}/api/x")

    @place(f"{library}: an undeclared origin")
    def _(vendor: Any, library: str = library) -> object:
        return call(library, at(vendor.home), "https://elsewhere.example/")

    @place(f"{library}: a body that cannot carry it")
    def _(vendor: Any, library: str = library) -> object:
        states = {**FILE["states"], "signed_in": {"present": {"headers": {"X": "{access}"}, "json": {"t": "{access}"}}}}
        return call(library, at(vendor.home, file={"states": states}), f"{vendor.home.url}/api/x", data=b"[1]")

    @place(f"{library}: refused when it was rejected")
    def _(vendor: Any, library: str = library) -> object:
        one = at(vendor.home)
        one.token()
        vendor.home.says = lambda came: Says(401, json={"echo": came.everything})
        return call(library, one, f"{vendor.home.url}/api/rejected")

    @place(f"{library}: a plugin that cannot sign")
    def _(vendor: Any, library: str = library) -> object:
        with plugged(sign=_sign_callers):
            return call(library, at(vendor.home), f"{vendor.home.url}/api/x")

    @place(f"{library}: a session for an adapter")
    def _(vendor: Any, library: str = library) -> object:
        return __import__(library).get(f"{vendor.home.url}/api/x", auth=logged_in(vendor))


for library in [name for name in CLIENTS if importlib.util.find_spec("aiohttp")]:

    @place(f"{library}: aiohttp's middleware as its auth=")
    def _(vendor: Any, library: str = library) -> object:
        one = at(vendor.home)
        one.token()
        return __import__(library).get(f"{vendor.home.url}/api/x", auth=one.aiohttp)


async def awaited(library: str, one: authflow.AuthSession, url: str) -> object:
    """Several tasks at once, of which the first failure is everybody's."""
    module: Any = importlib.import_module(library)
    options = {"aiohttp": lambda: {"middlewares": [one.aiohttp]}}.get(
        library, lambda: {"auth": getattr(one, library)}
    )()
    kind = getattr(module, {"aiohttp": "ClientSession", "niquests": "AsyncSession"}.get(library, "AsyncClient"))
    async with kind(**options) as client:
        return await asyncio.gather(*(client.get(url) for _ in range(3)))


def _refusing(came: Came) -> Says:
    return Says(401, json={"echo": came.everything})


LOOPS = [name for name in ("httpx", "niquests", "aiohttp") if importlib.util.find_spec(name)]
for library in LOOPS:

    @place(f"{library}, tasks: an undeclared origin")
    def _(vendor: Any, library: str = library) -> object:
        return asyncio.run(awaited(library, at(vendor.home), "https://elsewhere.example/"))

    @place(f"{library}, tasks: refused")
    def _(vendor: Any, library: str = library) -> object:
        vendor.home.says = _refusing
        return asyncio.run(awaited(library, at(vendor.home), f"{vendor.home.url}/api/x"))

    @place(f"{library}, tasks: refused when it was rejected")
    def _(vendor: Any, library: str = library) -> object:
        one = at(vendor.home)
        one.token()
        vendor.home.says = _refusing
        return asyncio.run(awaited(library, one, f"{vendor.home.url}/api/rejected"))

    @place(f"{library}, tasks: a plugin that cannot sign")
    def _(vendor: Any, library: str = library) -> object:
        with plugged(sign=_sign_callers):
            return asyncio.run(awaited(library, at(vendor.home), f"{vendor.home.url}/api/x"))


for library in CLIENTS:

    @place(f"{library}, threads: refused")
    def _(vendor: Any, library: str = library) -> object:
        vendor.home.says, one = _refusing, at(vendor.home)
        with ThreadPoolExecutor(3) as threads:
            return [*threads.map(lambda _: call(library, one, f"{vendor.home.url}/api/x"), range(3))]


# --- what reports from inside -----------------------------------------------------------------------------------------

#: What the user's code and plugins see of the functions that called them: loguru's `backtrace` shows those too.
HEARD: list[str] = []


def reports(*arguments: Any, **named: Any) -> None:
    """Somebody's code that we call has an error of its own, and reports it there and then."""
    try:
        raise LookupError("their own")
    except LookupError as error:
        HEARD.append(loguru(error, backtrace=True))
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if shown.ours(frame):
            for name, value in frame.f_locals.items():
                HEARD.append(f"{frame.f_code.co_qualname}: {name}\n" + "\n".join(shown.shown(value)))
        frame = frame.f_back


def reporting(function: Callable[..., Any] = lambda *_, **__: None) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        reports()
        return function(*arguments, **named)

    return called


class Reporting(MemoryStore):
    load = reporting(MemoryStore.load)
    save = reporting(MemoryStore.save)
    delete = reporting(MemoryStore.delete)
    lock = reporting(MemoryStore.lock)


def walked(vendor: Listening, **more: Any) -> None:
    """A login, a renewal, a request's headers, a logout."""
    for name in ("login", "refresh"):
        vendor.says(name, more.pop(name, granted))
    vendor.says("logout", 204, None)
    one = session(vendor, **more)
    one.token()
    vendor.clock.now += LIFETIME + 1
    one.headers(URL)
    one.logout()


def of_a_client(vendor: Listening, client: Any) -> None:
    at(vendor.home, client=client).token()


def client_with(library: str) -> Any:
    module: Any = __import__(library)
    if library.startswith("httpx"):
        return module.Client(event_hooks={"request": [reports], "response": [reports]})
    client, base = module.Session(), module.adapters.HTTPAdapter
    client.mount("http://", type("Adapter", (base,), {"send": reporting(base.send)})())
    return client


INSIDE: dict[str, Callable[[Listening], None]] = {
    "callables": lambda vendor: walked(
        vendor, **{name: reporting(lambda name=name: known(name)) for name in ("password", "otp")}
    ),
    "a name that is asked for": lambda vendor: walked(vendor, username=reporting(lambda: "u")),
    "a store": lambda vendor: walked(vendor, store=Reporting()),
    "a sender": lambda vendor: walked(vendor, login=reporting(granted), refresh=reporting(granted)),
    **{f"a client: {name}": lambda vendor, name=name: of_a_client(vendor, client_with(name)) for name in CLIENTS},
}


def in_a_hook(vendor: Listening, name: str) -> None:
    hook = {
        "exchange": lambda vendor, exchange, request, values, send: reports(),
        "sign": lambda vendor, request, values: reports(),
        "rewrite_url": lambda vendor, url: reports(),
        "transition": lambda vendor, before, event, after: reports(),
        "renewal_begins": lambda vendor, cause: reports(),
        "renewal_ends": lambda vendor, cause: reports(),
    }[name]
    with plugged(**{name: hook}):
        walked(vendor)


for name in ("exchange", "sign", "rewrite_url", "transition", "renewal_begins", "renewal_ends"):
    INSIDE[f"a plugin: {name}"] = lambda vendor, name=name: in_a_hook(vendor, name)  # type: ignore[misc]


# --- the search -------------------------------------------------------------------------------------------------------


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(f"SCENARIO_{name.upper()}", secret)
    monkeypatch.delenv("AUTHFLOW_KEY", raising=False)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    vendor = Listening()
    with listening(says) as vendor.home:
        yield vendor


def raised(where: Callable[[Any], object], vendor: ScriptedVendor) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        where(vendor)
    if isinstance(caught.value, pytest.skip.Exception):
        raise caught.value
    return caught.value


def reported(where: Callable[[Any], object], vendor: ScriptedVendor) -> list[str]:
    """What the tools show of the secrets when that has failed."""
    error = raised(where, vendor)
    return [f"{tool}: {leak}" for tool in HERE for leak in leaks(TOOLS[tool](error), SECRETS)]


HERE = [tool for tool in TOOLS if not missing(tool)]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.filterwarnings("ignore")
def test_each_tool_shows_what_it_can_reach(tool: str, vendor: Listening) -> None:
    """Else nothing found would mean nothing."""
    if tool not in HERE:
        pytest.skip(f"{tool} is not installed")

    def leaking(vendor: ScriptedVendor) -> object:
        held = {"a": [known("password")]}
        return fails(held)

    assert list(leaks(TOOLS[tool](raised(leaking, vendor)), SECRETS)) != []


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.filterwarnings("ignore")
def test_no_tool_shows_a_secret(name: str, vendor: Listening) -> None:
    assert reported(PLACES[name], vendor) == []


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.filterwarnings("ignore")
def test_what_calls_somebody_elses_code_shows_it_no_secret(name: str, vendor: Listening) -> None:
    HEARD.clear()
    INSIDE[name](vendor)
    assert HEARD
    lines = dict.fromkeys(line for text in HEARD for line in text.splitlines())
    assert list(leaks("\n".join(lines), SECRETS)) == []


@pytest.mark.parametrize("name", [name for name in dir(AuthSession) if not name.startswith("_")])
def test_every_call_is_sealed(name: str) -> None:
    """So that what is added is not forgotten. An adapter's property calls `_adapter`, which is."""
    call = vars(AuthSession)[name]
    assert isinstance(call, property) or name == "close" or hasattr(call, "__wrapped__")
