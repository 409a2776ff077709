"""A request through whichever HTTP library is installed, its answer as a stream: what `authflow request` prints."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from authflow.cli.exits import MISUSED, UNAVAILABLE, Failed
from authflow.clients import no_answer
from authflow.errors import AuthFlowError, ConfigurationError
from authflow.http import Pairs, without_query
from authflow.session import AuthSession


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent."""

    method: str
    url: str
    headers: Pairs = ()
    body: bytes | None = None
    follow: bool = True
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; `chunks` of the body as they come."""

    status: int
    reason: str
    headers: Pairs
    chunks: Iterator[bytes]


@contextmanager
def _httpx(library: str, session: AuthSession, order: Order) -> Iterator[Reply]:
    lib = importlib.import_module(library)
    auth = getattr(session, library)
    try:
        with (
            lib.Client(auth=auth, follow_redirects=order.follow, timeout=order.timeout) as client,
            client.stream(order.method, order.url, headers=_encoded(order), content=order.body) as answer,
        ):
            headers = tuple((str(name), str(value)) for name, value in answer.headers.multi_items())
            yield Reply(answer.status_code, answer.reason_phrase, headers, answer.iter_bytes())
    except lib.InvalidURL as error:
        raise Failed(f"{without_query(order.url)!r} is not a URL: {no_answer(error, sent=False)}", MISUSED) from None
    except (lib.HTTPError, lib.StreamError) as error:
        _gave_up(order, error)


@contextmanager
def _requests(library: str, session: AuthSession, order: Order) -> Iterator[Reply]:
    lib = importlib.import_module(library)
    more: dict[str, Any] = {"timeout": order.timeout, "allow_redirects": order.follow, "stream": True}
    try:
        with (
            lib.Session() as client,
            client.request(
                order.method,
                order.url,
                headers=dict(_encoded(order)),
                data=order.body,
                auth=getattr(session, library),
                **more,
            ) as answer,
        ):
            headers = tuple((str(name), str(value)) for name, value in answer.headers.items())
            yield Reply(answer.status_code, answer.reason or "", headers, answer.iter_content(1 << 14))
    except lib.exceptions.InvalidURL as error:
        raise Failed(f"{without_query(order.url)!r} is not a URL: {no_answer(error, sent=False)}", MISUSED) from None
    except lib.RequestException as error:
        _gave_up(order, error)


@contextmanager
def _aiohttp(library: str, session: AuthSession, order: Order) -> Iterator[Reply]:
    lib = importlib.import_module(library)
    timeout = lib.ClientTimeout(order.timeout)

    async def asked() -> Any:
        return await client.request(
            order.method, order.url, headers=order.headers, data=order.body, allow_redirects=order.follow
        )

    async def opened() -> Any:
        return lib.ClientSession(middlewares=(session.aiohttp,), timeout=timeout, trust_env=True)

    with asyncio.Runner() as runner:
        client = runner.run(opened())
        try:
            answer = runner.run(asked())
            headers = tuple((str(name), str(value)) for name, value in answer.headers.items())
            chunks = iter(lambda: runner.run(answer.content.read(1 << 14)), b"")
            yield Reply(answer.status, answer.reason or "", headers, chunks)
        except (lib.InvalidURL, UnicodeError) as error:  # no URL, or a header's bytes that are no text
            said = no_answer(error, sent=False)
            raise Failed(f"{without_query(order.url)!r} cannot be asked: {said}", MISUSED) from None
        except (lib.ClientError, TimeoutError) as error:
            _gave_up(order, error)
        finally:
            runner.run(client.close())


#: library → how a request goes through it; the first that is installed is used
Fetch = Callable[[str, AuthSession, Order], AbstractContextManager[Reply]]
LIBRARIES: Final[dict[str, Fetch]] = {
    "httpx": _httpx,
    "requests": _requests,
    "httpx2": _httpx,
    "niquests": _requests,
    "aiohttp": _aiohttp,
}


def fetch(session: AuthSession, order: Order) -> AbstractContextManager[Reply]:
    """Send it. Raises AuthFlowError; Failed where no answer comes."""
    for library, way in LIBRARIES.items():
        if importlib.util.find_spec(library) is not None:
            return way(library, session, order)
    raise ConfigurationError("no HTTP client is installed: pip install 'authflow-http[httpx]'")


def _encoded(order: Order) -> list[tuple[str, bytes]]:
    """Values as a terminal gave them, byte for byte; the libraries' own way is ASCII or an error."""
    return [(name, value.encode("utf-8", "surrogateescape")) for name, value in order.headers]


def _gave_up(order: Order, error: Exception) -> NoReturn:
    if isinstance(error, AuthFlowError):
        raise error
    said = no_answer(error, sent=True)  # the library's own words may hold a URL with the token in it
    raise Failed(f"{without_query(order.url)}: no answer ({said})", UNAVAILABLE) from None
