"""Exchanges through aiohttp, on an event loop in a thread of ours: one for all sessions, begun when it is first used.

A login belongs to no event loop of the user's: that may end while others wait for the token.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from threading import RLock, Thread
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from authflow.clients.aiohttp_wire import exactly, pairs
from authflow.clients.base import (
    CONNECT,
    LONGEST_LINE,
    MAX_ANSWER,
    NOBODY,
    decoded,
    may_be_proxied,
    no_answer,
    trusted,
    wire_headers,
)
from authflow.clients.quiet import quiet
from authflow.http import Answer, Request
from authflow.renewing import NoAnswer, TooLarge

AGENT: Final = f"authflow aiohttp/{aiohttp.__version__}"


class AiohttpSender:
    """Each exchange through a session, and a connection, of its own."""

    def __reduce__(self) -> tuple[Any, ...]:
        return AiohttpSender, ()

    def exchange(self, request: Request, timeout: float) -> Answer:
        exchanging = _exchange(request, timeout)
        with quiet():
            try:
                loop = _loop()
            except RuntimeError:  # no thread can start, while Python ends say: then this one serves
                return asyncio.run(exchanging)
            under_way = asyncio.run_coroutine_threadsafe(exchanging, loop)
        try:
            return under_way.result()
        finally:
            under_way.cancel()


async def _exchange(request: Request, timeout: float) -> Answer:
    sent = False

    async def note(*_: object) -> None:
        nonlocal sent
        sent = True

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(note)
    try:
        async with asyncio.timeout(timeout), _session(request.url, timeout, trace) as session:
            return await _answer(session, request)
    except TimeoutError as error:
        late = not isinstance(error, aiohttp.ClientError)
        lost = NoAnswer("the answer took too long", sent=sent) if late else no_answer(error, sent=sent)
    except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
        lost = no_answer(error, sent=sent)
    raise lost


def _session(url: str, timeout: float, trace: Any) -> aiohttp.ClientSession:
    proxied = may_be_proxied(url)
    parts = urlsplit(url)
    by_proxy = proxied and not proxy_bypass(parts.hostname or "")
    context = trusted(ssl.create_default_context) if proxied or parts.scheme == "https" else NOBODY
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, force_close=True),
        proxy=getproxies().get(parts.scheme) if by_proxy else None,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=min(CONNECT, timeout)),
        auto_decompress=False,
        skip_auto_headers=["Content-Type"],
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
        trace_configs=[trace],
    )


async def _answer(session: aiohttp.ClientSession, request: Request) -> Answer:
    """Raises TooLarge."""
    headers, url = wire_headers(request, AGENT), exactly(request.url)
    asked = session.request(request.method, url, headers=headers, data=request.body, allow_redirects=False)
    async with asked as response:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > MAX_ANSWER:
                raise TooLarge
        encodings = response.headers.get("Content-Encoding", "")
        return Answer(response.status, pairs(response), decoded(bytes(body), encodings))


# --- the loop ---------------------------------------------------------------------------------------------------------

_lock = RLock()
_running: asyncio.AbstractEventLoop | None = None


def _loop() -> asyncio.AbstractEventLoop:
    """Raises RuntimeError where no thread can start."""
    global _running
    with _lock:
        if _running is None:
            loop = asyncio.new_event_loop()
            try:
                Thread(target=_run, args=(loop,), name="authflow aiohttp", daemon=True).start()
            except RuntimeError:
                loop.close()
                raise
            _running = loop
        return _running


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with quiet():
        loop.run_forever()


def _after_fork() -> None:
    global _lock, _running
    _lock, _running = RLock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
