"""Captures as other programs write them: a browser's network tab, and a proxy that records. Both end as HAR files.

The proxy takes plain HTTP with absolute-form targets (RFC 9112 §3.2.2).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

_HOP = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}


class Recorder:
    """What a browser's network tab would save: every exchange of a client."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(
            event_hooks={"request": [httpx.Request.read], "response": [self._heard]}, trust_env=False, **more
        )

    def _heard(self, answer: httpx.Response) -> None:
        answer.read()
        request = answer.request
        sent = {"method": request.method, "url": str(request.url), "headers": pairs(request.headers)}
        if request.content:
            sent["postData"] = {**_text(request.content), "mimeType": request.headers.get("content-type", "")}
        heard = {"status": answer.status_code, "headers": pairs(answer.headers), "content": {"text": answer.text}}
        started = datetime.now(UTC).isoformat()
        self.entries.append({"startedDateTime": started, "request": sent, "response": heard})

    def save(self, path: Path) -> Path:
        noise = {
            "startedDateTime": "2025-12-31T00:00:00.000Z",
            "request": {"method": "GET", "url": "https://cdn.example/app.js", "headers": []},
            "response": {"status": 200, "headers": [], "content": {"text": "var token = 'abcdef123456';"}},
        }
        path.write_text(json.dumps({"log": {"version": "1.2", "entries": [noise, *self.entries]}}), "utf-8")
        return path


def _text(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def pairs(headers: httpx.Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers.multi_items()]


@contextmanager
def recording_proxy() -> Iterator[tuple[str, Recorder]]:
    """The proxy's URL, and what it records."""
    recorder = Recorder()
    onward = recorder.client(follow_redirects=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = [(name, value) for name, value in self.headers.items() if name.lower() not in _HOP]
            onward.cookies.clear()
            answer = onward.request(self.command, self.path, headers=headers, content=body or None)
            self.send_response_only(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", recorder
        finally:
            server.shutdown()
            onward.close()


def through(proxy: str, **more: Any) -> httpx.Client:
    return httpx.Client(proxy=proxy, trust_env=False, timeout=60, **more)
