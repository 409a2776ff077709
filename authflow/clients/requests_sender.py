"""Exchanges through requests or niquests."""

from __future__ import annotations

import importlib
import time
from typing import Any

from authflow.clients.base import CONNECT, NoAnswer, gather, wire_headers
from authflow.http import Answer, Request


class RequestsSender:
    """Exchanges through a `Session`: the user's, with its proxies, certificates and adapters, or a new one for each."""

    def __init__(self, library: str, client: Any) -> None:
        self._library = importlib.import_module(library)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestsSender, (self._library.__name__, None)

    def exchange(self, request: Request, timeout: float) -> Answer:
        deadline = time.monotonic() + timeout
        if self._client is not None:
            return self._send(self._client, request, timeout, deadline)
        with self._library.Session() as session:
            return self._send(session, request, timeout, deadline)

    def _send(self, session: Any, request: Request, timeout: float, deadline: float) -> Answer:
        library = self._library
        headers = wire_headers(request, f"authflow {library.__name__}/{library.__version__}")
        prepared = library.Request(request.method, request.url, headers=headers, data=request.body).prepare()
        settings = session.merge_environment_settings(prepared.url, {}, True, None, None)
        settings["stream"] = True
        errors = library.exceptions
        try:
            with session.send(
                prepared, allow_redirects=False, timeout=(min(CONNECT, timeout), timeout), **settings
            ) as response:
                headers_in = tuple((str(name), str(value)) for name, value in response.raw.headers.items())
                return Answer(
                    response.status_code,
                    headers_in,
                    gather(response.iter_content(1 << 14), deadline, response.headers.get("Content-Length")),
                )
        except (errors.ConnectTimeout, errors.ProxyError, errors.SSLError, errors.InvalidURL) as error:
            raise NoAnswer(type(error).__name__, sent=False) from error
        except errors.ConnectionError as error:
            raise NoAnswer(type(error).__name__, sent=not _never_connected(error)) from error
        except errors.RequestException as error:
            raise NoAnswer(type(error).__name__, sent=True) from error


def _never_connected(error: BaseException) -> bool:
    """Did the connection fail before anything was sent (refused, unknown host)?"""
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
