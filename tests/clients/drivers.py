"""One interface over every client, so that each scenario is written once.

A driver makes calls as that client's users do; the asynchronous ones run an event loop of their own for each, so that
one session serves many loops. `call` gives a `Reply`, whatever the library; errors are the library's own.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

import authflow

TIMEOUT = 30
#: Seconds in which a crowd of a thousand gets its turn at a few connections, on a machine that is busy with other work.
TURN = 300


@dataclass(frozen=True)
class Hop:
    """One answer on the way: what was asked where, with which headers (names in lower case)."""

    status: int
    url: str
    sent: Mapping[str, str]


@dataclass(frozen=True)
class Reply(Hop):
    """The last answer, with those before it in `history`."""

    content: bytes
    history: tuple[Hop, ...]
    raw: Any

    @property
    def json(self) -> Any:
        return self.raw.json()


#: What to give the client for a body of these bytes; a folder to put files into.
Body = Callable[[bytes, Path], Mapping[str, Any]]


class Driver(ABC):
    """`name` is the client's, `library` also the name of the session's adapter."""

    #: Bodies by kind: those that can be sent twice, and those that cannot.
    replayable: Mapping[str, Body]
    one_shot: Mapping[str, Body]
    waits_for_100 = False

    def __init__(self, library: str, name: str) -> None:
        self.library, self.name = library, name

    def auth(self, session: authflow.AuthSession) -> Any:
        return getattr(session, self.library)

    @property
    @abstractmethod
    def error(self) -> type[Exception]:
        """The class that this library's users catch."""

    @abstractmethod
    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        """One call, redirects followed."""

    @abstractmethod
    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        """Many calls at once, from as many threads or tasks."""

    @abstractmethod
    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        """The first byte of an answer, and, after `between`, the rest."""

    @abstractmethod
    def call_with(self, auth: Any, url: str) -> Reply:
        """A call with anything as `auth=`."""


class LoopDriver(Driver):
    """A driver of a client for event loops."""

    backend = "asyncio"

    @abstractmethod
    def client(self, session: authflow.AuthSession, connections: int = 100) -> Any:
        """The client itself, to be used in a loop of `backend`."""


# --- requests and niquests --------------------------------------------------------------------------------------------


class Requests(Driver):
    replayable: Mapping[str, Body] = {
        "bytes": lambda content, folder: {"data": content},
        "text": lambda content, folder: {"data": content.decode("ascii")},
        "file": lambda content, folder: {"data": io.BytesIO(content)},
        "multipart": lambda content, folder: {"files": {"upload": ("name", content)}},
    }
    one_shot: Mapping[str, Body] = {
        "generator": lambda content, folder: {"data": _pieces(content)},
        "pipe": lambda content, folder: {"data": _Pipe(content)},
    }

    @property
    def lib(self) -> Any:
        return importlib.import_module(self.library)

    @property
    def error(self) -> type[Exception]:
        error: type[Exception] = self.lib.RequestException
        return error

    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        return self._reply(self.lib.request(method, url, auth=self.auth(session), timeout=TIMEOUT, **how))

    def call_with(self, auth: Any, url: str) -> Reply:
        return self._reply(self.lib.get(url, auth=auth, timeout=TIMEOUT))

    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        with ThreadPoolExecutor(len(urls)) as threads:
            return list(threads.map(_caught(lambda url: self.call(session, url)), urls))

    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        with self.lib.get(url, auth=self.auth(session), timeout=TIMEOUT, stream=True) as answer:
            first = answer.raw.read(1)
            between()
            return first, answer.raw.read()

    def _reply(self, answer: Any) -> Reply:
        earlier = tuple(Hop(hop.status_code, hop.url, _lower(hop.request.headers)) for hop in answer.history)
        return Reply(
            answer.status_code, answer.url, _lower(answer.request.headers), answer.content, earlier, raw=answer
        )


class NiquestsAsync(Requests, LoopDriver):
    one_shot: Mapping[str, Body] = {
        "async generator": lambda content, folder: {"data": _async_pieces(content)},
        "pipe": lambda content, folder: {"data": _Pipe(content)},
    }

    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        return asyncio.run(self._call(self.auth(session), url, method, **how))

    def call_with(self, auth: Any, url: str) -> Reply:
        return asyncio.run(self._call(auth, url))

    def client(self, session: authflow.AuthSession, connections: int = 100) -> Any:
        return self.lib.AsyncSession(auth=self.auth(session), pool_maxsize=connections)

    async def _call(self, auth: Any, url: str, method: str = "GET", **how: Any) -> Reply:
        async with self.lib.AsyncSession() as client:
            return self._reply(await client.request(method, url, auth=auth, timeout=TIMEOUT, **how))

    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        async def run() -> list[Any]:
            async with self.client(session, connections) as client:
                answers = await asyncio.gather(*map(client.get, urls), return_exceptions=True)
                return [answer if isinstance(answer, Exception) else self._reply(answer) for answer in answers]

        return asyncio.run(run())

    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        async def run() -> tuple[bytes, bytes]:
            async with (
                self.client(session) as client,
                await client.get(url, timeout=TIMEOUT, stream=True) as answer,
            ):
                first = await answer.raw.read(1)
                between()
                return first, await answer.raw.read()

        return asyncio.run(run())


# --- httpx and httpx2 -------------------------------------------------------------------------------------------------


class _Httpx(Driver):
    @property
    def lib(self) -> Any:
        return importlib.import_module(self.library)

    @property
    def error(self) -> type[Exception]:
        error: type[Exception] = self.lib.RequestError
        return error

    def options(self, connections: int = 100) -> dict[str, Any]:
        limits = self.lib.Limits(max_connections=connections)
        timeout = self.lib.Timeout(TIMEOUT, pool=TURN)
        return {"follow_redirects": True, "timeout": timeout, "verify": False, "limits": limits}

    def _reply(self, answer: Any) -> Reply:
        earlier = tuple(Hop(hop.status_code, str(hop.url), _lower(hop.request.headers)) for hop in answer.history)
        return Reply(
            answer.status_code, str(answer.url), _lower(answer.request.headers), answer.content, earlier, raw=answer
        )


class HttpxClient(_Httpx):
    replayable: Mapping[str, Body] = {
        "bytes": lambda content, folder: {"content": content},
        "form": lambda content, folder: {"data": {"field": content.decode("ascii")}},
        "multipart": lambda content, folder: {"files": {"upload": ("name", io.BytesIO(content))}},
    }
    one_shot: Mapping[str, Body] = {
        "generator": lambda content, folder: {"content": _pieces(content)},
        "file": lambda content, folder: {"content": io.BytesIO(content)},
    }

    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        with self.lib.Client(auth=self.auth(session), **self.options()) as client:
            return self._reply(client.request(method, url, **how))

    def call_with(self, auth: Any, url: str) -> Reply:
        with self.lib.Client(**self.options()) as client:
            return self._reply(client.get(url, auth=auth))

    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        with (
            self.lib.Client(auth=self.auth(session), **self.options(connections)) as client,
            ThreadPoolExecutor(len(urls)) as threads,
        ):
            return list(threads.map(_caught(lambda url: self._reply(client.get(url))), urls))

    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        with (
            self.lib.Client(auth=self.auth(session), **self.options()) as client,
            client.stream("GET", url) as answer,
        ):
            chunks = answer.iter_raw()
            first = next(chunks)
            between()
            return first, b"".join(chunks)


class HttpxAsyncClient(_Httpx, LoopDriver):
    replayable = HttpxClient.replayable
    one_shot: Mapping[str, Body] = {"async generator": lambda content, folder: {"content": _async_pieces(content)}}

    def __init__(self, library: str, name: str, backend: str) -> None:
        super().__init__(library, name)
        self.backend = backend

    def client(self, session: authflow.AuthSession, connections: int = 100) -> Any:
        return self.lib.AsyncClient(auth=self.auth(session), **self.options(connections))

    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        async def run() -> Reply:
            async with self.client(session) as client:
                return self._reply(await client.request(method, url, **how))

        return anyio.run(run, backend=self.backend)

    def call_with(self, auth: Any, url: str) -> Reply:
        async def run() -> Reply:
            async with self.lib.AsyncClient(**self.options()) as client:
                return self._reply(await client.get(url, auth=auth))

        return anyio.run(run, backend=self.backend)

    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        async def run() -> list[Reply | Exception]:
            replies: dict[int, Reply | Exception] = {}
            async with self.client(session, connections) as client, anyio.create_task_group() as group:
                for number, url in enumerate(urls):
                    group.start_soon(fetch, client, number, url, replies)
            return [replies[number] for number in range(len(urls))]

        async def fetch(client: Any, number: int, url: str, replies: dict[int, Reply | Exception]) -> None:
            try:
                replies[number] = self._reply(await client.get(url))
            except Exception as error:
                replies[number] = error

        return anyio.run(run, backend=self.backend)

    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        async def run() -> tuple[bytes, bytes]:
            async with self.client(session) as client, client.stream("GET", url) as answer:
                chunks = answer.aiter_raw()
                first: bytes = await anext(chunks)
                between()
                return first, b"".join([chunk async for chunk in chunks])

        return anyio.run(run, backend=self.backend)


# --- aiohttp ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Read:
    """An answer of aiohttp's that was read: what the others' are."""

    answer: Any
    content: bytes

    @property
    def status_code(self) -> int:
        return int(self.answer.status)

    def json(self) -> Any:
        return json.loads(self.content)


class _Getting:
    """aiohttp's session, with a `get` that reads."""

    def __init__(self, http: Any) -> None:
        self.http = http

    async def get(self, url: str) -> _Read:
        async with self.http.get(url) as answer:
            return _Read(answer, await answer.read())


class Aiohttp(LoopDriver):
    waits_for_100 = True
    replayable: Mapping[str, Body] = {
        "bytes": lambda content, folder: {"data": content},
        "form": lambda content, folder: {"data": {"field": content.decode("ascii")}},
        "file": lambda content, folder: {"data": _file(content, folder)},
        "multipart": lambda content, folder: {"data": {"upload": io.BytesIO(content)}},
    }
    one_shot: Mapping[str, Body] = {
        "async generator": lambda content, folder: {"data": _async_pieces(content)},
        "pipe": lambda content, folder: {"data": _RawPipe(content)},
    }

    def auth(self, session: authflow.AuthSession) -> Any:
        return session.aiohttp

    @property
    def error(self) -> type[Exception]:
        import aiohttp

        return aiohttp.ClientError

    @asynccontextmanager
    async def client(self, session: authflow.AuthSession, connections: int = 100) -> AsyncIterator[Any]:
        async with self.http(self.auth(session), connections) as http:
            yield _Getting(http)

    def http(self, auth: Any, connections: int = 100, **how: Any) -> Any:
        import aiohttp

        return aiohttp.ClientSession(
            middlewares=[auth],
            connector=aiohttp.TCPConnector(limit=connections, ssl=False),
            timeout=aiohttp.ClientTimeout(total=TURN, sock_read=TIMEOUT),
            **how,
        )

    def call(self, session: authflow.AuthSession, url: str, method: str = "GET", **how: Any) -> Reply:
        return asyncio.run(self._call(self.auth(session), url, method, **how))

    def call_with(self, auth: Any, url: str) -> Reply:
        return asyncio.run(self._call(auth, url))

    async def _call(self, auth: Any, url: str, method: str = "GET", **how: Any) -> Reply:
        async with self.http(auth) as http, http.request(method, url, **how) as answer:
            return self._reply(_Read(answer, await answer.read()))

    def calls(self, session: authflow.AuthSession, urls: Sequence[str], connections: int) -> list[Reply | Exception]:
        async def run() -> list[Any]:
            async with self.client(session, connections) as client:
                answers = await asyncio.gather(*map(client.get, urls), return_exceptions=True)
                return [answer if isinstance(answer, Exception) else self._reply(answer) for answer in answers]

        return asyncio.run(run())

    def stream(self, session: authflow.AuthSession, url: str, between: Callable[[], object]) -> tuple[bytes, bytes]:
        async def run() -> tuple[bytes, bytes]:
            async with self.http(self.auth(session)) as http, http.get(url) as answer:
                first = await answer.content.read(1)
                between()
                return first, await answer.content.read()

        return asyncio.run(run())

    def _reply(self, read: _Read) -> Reply:
        def hop(answer: Any) -> tuple[int, str, dict[str, str]]:
            return answer.status, str(answer.url), _lower(answer.request_info.headers)

        return Reply(*hop(read.answer), read.content, tuple(Hop(*hop(one)) for one in read.answer.history), raw=read)


_ALL: tuple[Driver, ...] = (
    Requests("requests", "requests"),
    Requests("niquests", "niquests"),
    NiquestsAsync("niquests", "niquests-asyncio"),
    HttpxClient("httpx", "httpx"),
    HttpxAsyncClient("httpx", "httpx-asyncio", "asyncio"),
    HttpxAsyncClient("httpx", "httpx-trio", "trio"),
    HttpxClient("httpx2", "httpx2"),
    HttpxAsyncClient("httpx2", "httpx2-asyncio", "asyncio"),
    HttpxAsyncClient("httpx2", "httpx2-trio", "trio"),
    Aiohttp("aiohttp", "aiohttp"),
)
#: Those whose library is installed: niquests has an environment of its own (`make test-niquests`).
DRIVERS = tuple(driver for driver in _ALL if importlib.util.find_spec(driver.library))
LIBRARIES = sorted({driver.library for driver in DRIVERS})
#: Those whose client a session takes as `client=`: aiohttp has no synchronous one.
GIVEN = [library for library in LIBRARIES if library != "aiohttp"]


# --- bodies and errors ------------------------------------------------------------------------------------------------


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


async def _async_pieces(content: bytes) -> AsyncIterator[bytes]:
    for piece in _pieces(content):
        yield piece


def _file(content: bytes, folder: Path) -> Any:
    path = folder / "upload"
    path.write_bytes(content)
    return path.open("rb")


class _RawPipe(io.BufferedIOBase):
    """The same for a client that looks what it is given."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._content.read(size)


class _Pipe:
    """Can be read once, and not rewound."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._content.read(1000), b"")

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _caught(call: Callable[[str], Reply]) -> Callable[[str], Reply | Exception]:
    def caught(url: str) -> Reply | Exception:
        try:
            return call(url)
        except Exception as error:
            return error

    return caught
