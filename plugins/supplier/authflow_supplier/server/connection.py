"""One client's connection: request after request, until either side has had enough.

Nothing a client sends ends the server: what cannot be read gets an answer that says so, and its connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable

from authflow_supplier.server.faults import Broken
from authflow_supplier.server.service import Service
from authflow_supplier.server.wire import Answer, Malformed, Request, read_request

Respond = Callable[[Request], Awaitable[Answer]]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: Service, respond: Respond) -> None:
    service.counts["connections"] += 1
    try:
        await _converse(reader, writer, service, respond)
    except Broken as broken:
        with contextlib.suppress(OSError):
            await _break(broken.kind, reader, writer)
    except OSError:
        pass
    finally:
        writer.close()


async def _converse(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: Service, respond: Respond
) -> None:
    while True:
        try:
            request = await read_request(reader, writer)
        except Malformed as malformed:
            service.counts["malformed"] += 1
            answer = Answer(malformed.status, {"error": "malformed_request", "reason": str(malformed)})
            writer.write(answer.encode(now=service.issuer.now(), keep_alive=False))
            return await _let_go(reader, writer)
        if request is None:
            return
        answer = await respond(request)
        head_only = request.method == "HEAD"
        writer.write(answer.encode(now=service.issuer.now(), head_only=head_only, keep_alive=request.keep_alive))
        await writer.drain()
        if not request.keep_alive:
            return


async def _let_go(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End after a last answer. To close with bytes unread would reset the connection, and the answer might be lost."""
    await writer.drain()
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while await reader.read(65536):
                pass


async def _break(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match kind:
        case "hang":
            while await reader.read(65536):
                pass
        case "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        case "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{")
            while not writer.is_closing():
                await writer.drain()
                await asyncio.sleep(0.1)
                writer.write(b" ")
