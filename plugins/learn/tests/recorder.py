"""A browser's network tab: whatever a client sends and hears, as a HAR file, with some noise around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx


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
            sent["postData"] = {"text": request.content.decode(), "mimeType": request.headers.get("content-type", "")}
        heard = {"status": answer.status_code, "headers": pairs(answer.headers), "content": {"text": answer.text}}
        started = f"2026-01-01T00:00:{len(self.entries):02d}.000Z"
        self.entries.append({"startedDateTime": started, "request": sent, "response": heard})

    def save(self, path: Path) -> Path:
        noise = {
            "startedDateTime": "2025-12-31T00:00:00.000Z",
            "request": {"method": "GET", "url": "https://cdn.example/app.js", "headers": []},
            "response": {"status": 200, "headers": [], "content": {"text": "var token = 'abcdef123456';"}},
        }
        path.write_text(json.dumps({"log": {"version": "1.2", "entries": [noise, *self.entries]}}), "utf-8")
        return path


def pairs(headers: httpx.Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers.multi_items()]
