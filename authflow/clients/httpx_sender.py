"""Exchanges through httpx or httpx2."""

from __future__ import annotations

import importlib
import time
from typing import Any

from authflow.clients.base import CONNECT, gather, may_be_proxied, no_answer, wire_headers
from authflow.clients.httpx_wire import pairs
from authflow.clients.quiet import quiet
from authflow.http import Answer, Request


class HttpxSender:
    """Exchanges through a `Client`: the user's, with its proxies, certificates and transports, or a fresh one."""

    def __init__(self, library: str, client: Any) -> None:
        self._library = importlib.import_module(library)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        return HttpxSender, (self._library.__name__, None)

    def exchange(self, request: Request, timeout: float) -> Answer:
        deadline = time.monotonic() + timeout
        with quiet():
            if self._client is not None:
                return self._send(self._client, request, timeout, deadline)
            with self._library.Client(trust_env=may_be_proxied(request.url)) as client:
                return self._send(client, request, timeout, deadline)

    def _send(self, client: Any, request: Request, timeout: float, deadline: float) -> Answer:
        lib = self._library
        try:
            built = lib.Request(
                request.method,
                request.url,
                headers=wire_headers(request, f"authflow {lib.__name__}/{lib.__version__}"),
                content=request.body,
                extensions={"timeout": lib.Timeout(timeout, connect=min(CONNECT, timeout)).as_dict()},
            )
            response = client.send(built, stream=True, auth=None, follow_redirects=False)
            try:
                return Answer(
                    response.status_code,
                    pairs(response.headers),
                    gather(response.iter_raw(), deadline, response.headers),
                )
            finally:
                response.close()
        except (
            lib.ConnectError,
            lib.ConnectTimeout,
            lib.PoolTimeout,
            lib.ProxyError,
            lib.UnsupportedProtocol,
            lib.InvalidURL,
        ) as error:
            lost = no_answer(error, sent=False)
        except lib.HTTPError as error:
            lost = no_answer(error, sent=True)
        raise lost
