"""A vendor's server in a thread of the test: a function answers each request with a status and a JSON document.

Status 307 goes with the place to which it leads.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Came:
    """A request as it came in; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Says = Callable[[Came], tuple[int, Any]]
Serve = Callable[[Says], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that answers as the function says; its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(says: Says) -> str:
        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, document = says(Came(self.command, self.path, headers, body))
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", document)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            do_GET = do_POST = answer

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
