"""Exchanges through httpx or httpx2."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from authflow.clients.base import (
    CONNECT,
    NOBODY,
    despite,
    gather,
    hidden,
    may_be_proxied,
    no_answer,
    trusted,
    wire_headers,
)
from authflow.clients.deadline import Deadline
from authflow.clients.httpx_wire import pairs
from authflow.clients.quiet import quiet
from authflow.http import Answer, Request
from authflow.renewing import NoAnswer, TooLarge
from authflow.sealed import sealed_call


class HttpxSender:
    """Exchanges through a `Client`: the user's, with its proxies, certificates and transports, or a fresh one."""

    def __init__(self, library: str, client: Any) -> None:
        self._library = importlib.import_module(library)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        return HttpxSender, (self._library.__name__, None)

    @sealed_call
    def exchange(self, request: Request, timeout: float) -> Answer:
        with quiet(), Deadline(timeout) as deadline:
            if self._client is not None:
                own = copy.copy(self._client)  # with a cookie jar of its own, that what a login sets does not stay
                own.cookies = {}
                return self._send(own, request, timeout, deadline)
            proxied = may_be_proxied(request.url)
            checks = proxied or request.url.startswith("https:")
            try:
                checked = trusted(self._library.create_ssl_context) if checks else NOBODY
                client = self._library.Client(verify=checked, trust_env=proxied)
            except (OSError, ImportError, ValueError) as error:  # no certificates there, no package for such a proxy
                unread = no_answer(error, deadline, sent=False)
            else:
                with client:
                    return self._send(client, request, timeout, deadline)
        raise unread

    def _send(self, client: Any, request: Request, timeout: float, deadline: Deadline) -> Answer:
        lib = self._library
        try:
            built = lib.Request(
                request.method,
                request.url,
                headers=wire_headers(request, f"authflow {lib.__name__}/{lib.__version__}"),
                content=request.body,
                extensions={
                    "timeout": lib.Timeout(timeout, connect=min(CONNECT, timeout)).as_dict(),
                    "trace": _handing_over_to(deadline),
                },
            )
            came: list[Any] = []

            def read(response: Any) -> None:
                if not response.is_stream_consumed:  # else it is a mock's, which is whole already, and decoded
                    response._content = gather(response.iter_raw(), deadline, response.headers)
                came.append(response)

            hooks = client.event_hooks
            client.event_hooks = {**hooks, "response": [read, *hooks["response"]]}  # before the user's, which may raise
            try:
                response = _fresh(client, built)
            except Exception as error:
                response = despite(error, came, str(built.url))
                with suppress(lib.StreamError):
                    read(response)
            return Answer(response.status_code, pairs(response.headers), getattr(response, "_content", b""))
        except (
            lib.ConnectError,
            lib.ConnectTimeout,
            lib.PoolTimeout,
            lib.ProxyError,
            lib.UnsupportedProtocol,
            lib.InvalidURL,
        ) as error:
            lost = no_answer(error, deadline, sent=False)
        except _Late as error:
            lost = no_answer(error, deadline, sent=False)
        except lib.RequestError as error:
            lost = no_answer(error, deadline, sent=True)
        except (NoAnswer, TooLarge):
            raise
        except Exception as error:
            lost = hidden(error, "Client._send_single_request")
        raise lost


class _Late(Exception):
    """The connection stands, and the time is over: nothing was sent."""


class _Used(Exception):
    """The connection has served before: who opened it knows its socket, and its server may be about to close it."""


def _handing_over_to(deadline: Deadline) -> Callable[[str, dict[str, Any]], None]:
    """A trace (an extension of the transport) by which the deadline learns of the connection that an exchange opens."""

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "connect_unix_socket.complete")):
            deadline.watch(info["return_value"].get_extra_info("socket"))
        elif event == "http11.send_request_headers.started" and not deadline.watches:
            raise _Used
        elif event.endswith("send_request_headers.started") and deadline.is_over:
            raise _Late

    return trace


def _fresh(client: Any, request: Any) -> Any:
    """The answer, over a connection of its own; idle ones that the user's client has to this server are closed."""
    while True:
        try:
            return client.send(request, stream=True, auth=None, follow_redirects=False)
        except _Used:
            continue
