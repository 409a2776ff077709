"""The start of a body that the caller streams: read for a second at most, and the caller's from its first byte on.

A library's read can neither be put off nor be cut without losing the connection. So one thread or task reads on: the
caller, who comes later, gets what it has, and waits for it where the library itself would have waited.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Event, Thread
from typing import Any

from authflow.clients.base import MAX_PEEK, PEEK_FOR


class Start:
    """What has come, and the error with which it ended."""

    def __init__(self) -> None:
        self.came: list[bytes] = []
        self.error: Exception | None = None
        self.given = self.size = 0
        self.enough = False

    def takes(self, piece: bytes) -> bool:
        """Is more of it wanted?"""
        self.came.append(piece)
        self.size += len(piece)
        return not self.enough and self.size < MAX_PEEK

    @property
    def seen(self) -> bytes:
        """What there is of it now: nobody waits for more, to judge it."""
        self.enough = True
        return b"".join(self.came)

    def new(self) -> Iterator[bytes]:
        while self.given < len(self.came):
            self.given += 1
            yield self.came[self.given - 1]


def start_of(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The start of a body, and all pieces that were taken for it: the caller reads these first."""
    start, over = Start(), Event()

    def read() -> None:
        try:
            while (piece := next(pieces, None)) is not None and start.takes(piece):
                pass
        except Exception as error:  # any class: it is the caller's, who reads
            start.error = error
        finally:
            over.set()

    def taken() -> Iterator[bytes]:
        yield from start.new()
        over.wait()
        yield from start.new()
        if start.error is not None:
            raise start.error

    try:
        Thread(target=read, name="authflow body", daemon=True).start()
    except RuntimeError:  # no thread can start: the answer is not judged
        return b"", iter(())
    over.wait(PEEK_FOR)
    return start.seen, taken()


class AsyncStart(Start):
    """All pieces that were taken, for an event loop. No generator: trio complains of those that are left."""

    #: Waits until nothing more is taken; and ends the reading, for when the caller wants no more of the body.
    over: Callable[[], Any]
    end: Callable[[], Any]

    async def read(self, pieces: AsyncIterator[bytes]) -> None:
        try:
            while self.takes(await anext(pieces)):
                pass
        except StopAsyncIteration:
            pass
        except Exception as error:
            self.error = error

    def __aiter__(self) -> AsyncStart:
        return self

    async def __anext__(self) -> bytes:
        if (piece := next(self.new(), None)) is None:
            await self.over()
            piece = next(self.new(), None)
        if piece is not None:
            return piece
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration


async def start_of_async(pieces: AsyncIterator[bytes]) -> AsyncStart:
    """The same in an event loop (asyncio, trio)."""
    start = AsyncStart()
    reading, trio = functools.partial(start.read, pieces), sys.modules.get("trio")
    on_trio = trio is not None and trio.lowlevel.in_trio_run()
    start.over, start.end = await (_on_trio(trio, reading) if on_trio else _on_asyncio(reading))
    return start


async def _on_asyncio(read: Callable[[], Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import asyncio

    task = asyncio.ensure_future(read())
    try:
        await asyncio.wait({task}, timeout=PEEK_FOR)
    except BaseException:
        task.cancel()
        raise
    return lambda: asyncio.wait({task}), task.cancel


async def _on_trio(trio: Any, read: Callable[[], Any]) -> tuple[Callable[[], Any], Callable[[], Any]]:
    over, scope = trio.Event(), trio.CancelScope()

    async def reading() -> None:
        with scope:
            await read()
        over.set()

    trio.lowlevel.spawn_system_task(reading)
    try:
        with trio.move_on_after(PEEK_FOR):
            await over.wait()
    except BaseException:
        scope.cancel()
        raise
    return over.wait, scope.cancel
