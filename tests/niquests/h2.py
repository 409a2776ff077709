"""A server that speaks HTTP/2 in clear text, so that niquests answers lazily; and it alone: no HTTP/1.1.

It is asked as the `Listener` of `tests.servers` is: `says` answers, `came` keeps what came in.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator

from jh2.config import H2Configuration
from jh2.connection import H2Connection
from jh2.events import DataReceived, RequestReceived, StreamEnded
from jh2.exceptions import ProtocolError

from tests.servers import Came, Listener, Says


@contextlib.contextmanager
def listening_h2(says: Callable[[Came], Says]) -> Iterator[Listener]:
    """A server for HTTP/2 with prior knowledge (RFC 9113 §3.3)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(f"http://127.0.0.1:{server.getsockname()[1]}", says)
        taken: list[socket.socket] = []
        threading.Thread(target=_accept, args=(server, taken, listener), daemon=True).start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in taken:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, taken: list[socket.socket], listener: Listener) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            taken.append(connection)
            threading.Thread(target=_serve, args=(connection, listener), daemon=True).start()


def _serve(connection: socket.socket, listener: Listener) -> None:
    http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    http.initiate_connection()
    asked: dict[int, tuple[dict[str, str], bytes]] = {}
    with connection, contextlib.suppress(OSError, ProtocolError):
        connection.sendall(http.data_to_send())
        while data := connection.recv(65536):
            for event in http.receive_data(data):
                match event:
                    case RequestReceived():
                        asked[event.stream_id] = _headers(event), b""
                    case DataReceived():
                        headers, body = asked[event.stream_id]
                        asked[event.stream_id] = headers, body + event.data
                        http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    case StreamEnded():
                        _answer(http, event.stream_id, *asked.pop(event.stream_id), listener)
            connection.sendall(http.data_to_send())


def _headers(event: RequestReceived) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in event.headers}


def _text(raw: str | bytes) -> str:
    return raw if isinstance(raw, str) else raw.decode()


def _answer(http: H2Connection, stream: int, headers: dict[str, str], body: bytes, listener: Listener) -> None:
    fields = {name: value for name, value in headers.items() if not name.startswith(":")}
    came = Came(headers[":method"], headers[":path"], fields, body)
    listener.came.append(came)
    said = listener.says(came)
    content = json.dumps(said.json).encode() if said.body is None else said.body
    more = {name.lower(): value for name, value in said.headers.items()}
    lines = {":status": str(said.status), "content-type": "application/json", **more}
    http.send_headers(stream, [*lines.items(), ("content-length", str(len(content)))])
    http.send_data(stream, content, end_stream=True)
