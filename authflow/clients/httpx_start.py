"""The start of an httpx response's body, for a body pattern: the caller still gets all of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from authflow.clients.base import MAX_PEEK
from authflow.clients.starting import start_of, start_of_async


class Start:
    """The start, decoded, once it was waited for. Unless the caller streams the body, httpx reads it all next."""

    def __init__(self, lib: Any, response: Any, streamed: bool) -> None:
        self._lib, self._response, self._streamed = lib, response, streamed

    def wait(self, patience: float | None = None) -> bytes:
        response = self._response
        with suppress(self._lib.ResponseNotRead):
            return bytes(response.content if self._streamed else response.read())[:MAX_PEEK]
        stream, pieces = response.stream, iter(response.stream)
        seen, taken = start_of(pieces)
        response.stream = _replayed_class(self._lib)(taken, pieces, stream)
        return self._decoded(seen)

    async def wait_async(self, patience: float | None = None) -> bytes:
        response = self._response
        with suppress(self._lib.ResponseNotRead):
            return bytes(response.content if self._streamed else await response.aread())[:MAX_PEEK]
        stream, pieces = response.stream, aiter(response.stream)
        start = await start_of_async(pieces)
        response.stream = _replayed_class(self._lib)(start, pieces, stream, start.end)
        return self._decoded(start.seen)

    def _decoded(self, raw: bytes) -> bytes:
        lib, response = self._lib, self._response
        try:
            return bytes(lib.Response(response.status_code, headers=response.headers, content=raw).content)[:MAX_PEEK]
        except lib.DecodingError:
            return b""


@functools.cache
def _replayed_class(lib: Any) -> Any:
    class ReplayedStream(lib.SyncByteStream, lib.AsyncByteStream):  # type: ignore[misc]
        """A response's stream whose start was read already."""

        def __init__(self, taken: Any, rest: Any, stream: Any, end: Callable[[], Any] | None = None) -> None:
            self._taken, self._rest, self._stream, self._end = taken, rest, stream, end

        def __iter__(self) -> Iterator[bytes]:
            yield from self._taken
            yield from self._rest

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            try:
                return bytes(await anext(self._taken))
            except StopAsyncIteration:
                return bytes(await anext(self._rest))

        def close(self) -> None:
            self._stream.close()

        async def aclose(self) -> None:
            if self._end is not None:
                self._end()
            await self._stream.aclose()

    return ReplayedStream
