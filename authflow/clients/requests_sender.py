"""Exchanges through requests or niquests."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from authflow.clients.base import CONNECT, despite, gather, hidden, may_be_proxied, no_answer, wire_headers
from authflow.clients.deadline import Deadline
from authflow.clients.quiet import quiet
from authflow.clients.requests_wire import pairs
from authflow.http import Answer, Request
from authflow.renewing import NoAnswer, TooLarge
from authflow.sealed import sealed_call


class RequestsSender:
    """Exchanges through a `Session`: the user's, with its proxies, certificates and adapters, or a new one for each."""

    def __init__(self, library: str, client: Any) -> None:
        self._library = importlib.import_module(library)
        self._client = client

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestsSender, (self._library.__name__, None)

    @sealed_call
    def exchange(self, request: Request, timeout: float) -> Answer:
        with quiet(), Deadline(timeout) as deadline:
            if self._client is not None:
                return self._send(self._client, request, timeout, deadline)
            with self._library.Session() as session:
                return self._send(session, request, timeout, deadline)

    def _send(self, session: Any, request: Request, timeout: float, deadline: Deadline) -> Answer:
        library = self._library
        agent = f"authflow {library.__name__}/{library.__version__}"
        errors = library.exceptions
        came: list[Any] = []
        try:
            prepared = library.Request(
                request.method, request.url, headers=wire_headers(request, agent), data=_as_given(request)
            ).prepare()
            prepared.hooks["response"] = [lambda response, **how: came.append(response)]
            with _own_connections(library, session, deadline) as own:
                proxied = may_be_proxied(request.url)
                own.trust_env = own.trust_env and (proxied or request.url.startswith("https:"))
                settings = own.merge_environment_settings(prepared.url, {}, True, None, None)
                if not proxied:
                    settings["proxies"] = dict(own.proxies)
                settings["timeout"] = min(CONNECT, timeout), timeout
                try:
                    response = own.send(prepared, allow_redirects=False, **settings)
                except Exception as error:
                    response = despite(error, came, prepared.url)
                with response:
                    status = response.status_code  # first: a multiplexed session's answer comes when it is asked for
                    if response._content is not False or not hasattr(response.raw, "stream"):
                        body = response.content  # read already, or made by an adapter that has no connection
                    else:
                        body = gather(_as_it_comes(response), deadline, response.headers)
                    return Answer(status, pairs(response), body or b"")
        except errors.SSLError as error:
            # A connection that breaks off may have carried the request; a certificate that fails has carried nothing.
            lost = no_answer(error, deadline, sent="SSLEOFError" in repr(error))
        except (errors.ConnectTimeout, errors.ProxyError, errors.InvalidURL, errors.InvalidSchema) as error:
            lost = no_answer(error, deadline, sent=False)
        except errors.ConnectionError as error:
            lost = no_answer(error, deadline, sent=not _never_connected(error))
        except (errors.HTTPError, errors.InvalidJSONError) as error:  # over an answer that an adapter hid
            lost = hidden(error, "Session.send")
        except (
            errors.RequestException,
            library.packages.urllib3.exceptions.HTTPError,
            RecursionError,
            UnicodeError,
        ) as error:
            lost = no_answer(error, deadline, sent=True)
        except (NoAnswer, TooLarge):
            raise
        except Exception as error:
            lost = hidden(error, "Session.send")
            if isinstance(error, OSError | ImportError) and (deadline.is_over or not deadline.watches):
                lost = no_answer(error, deadline, sent=False)  # no file of certificates, no package for such a proxy
        raise lost


def _as_it_comes(response: Any) -> Iterator[bytes]:
    """The body in the pieces that arrive: who waits for full ones waits beyond the time-out for a slow body."""
    try:
        piece = response.raw.read1(1 << 14, decode_content=False)
    except (AttributeError, TypeError):  # urllib3 before its version 2; a recorded answer in the place of a real one
        yield from response.raw.stream(1, decode_content=False)
        return
    while piece:
        yield piece
        piece = response.raw.read1(1 << 14, decode_content=False)


def _as_given(request: Request) -> str | bytes | None:
    """A form as text, as requests itself sends one: what matches requests in tests looks for that."""
    kinds = [value for name, value in request.headers if name.lower() == "content-type"]
    is_form = kinds == ["application/x-www-form-urlencoded"] and request.body is not None and request.body.isascii()
    return request.body.decode("ascii") if is_form and request.body is not None else request.body


def _never_connected(error: BaseException) -> bool:
    """Did the connection fail before anything was sent (refused, unknown host)?"""
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")


# --- connections of an exchange's own ---------------------------------------------------------------------------------


@contextmanager
def _own_connections(library: Any, session: Any, deadline: Deadline) -> Iterator[Any]:
    """The user's session with its settings, and connections (and cookies) that are this exchange's alone."""
    own = object.__new__(type(session))
    vars(own).update(vars(session))
    own.cookies = library.cookies.RequestsCookieJar()
    if hasattr(getattr(session, "settings", None), "disabled"):  # requests-cache: it is off for this exchange alone
        own.cache = copy.copy(session.cache)
        own.settings = copy.copy(session.settings)
        own.settings.disabled = True
    own.adapters = type(session.adapters)(
        (prefix, _own(library, adapter, deadline) if isinstance(adapter, library.adapters.HTTPAdapter) else adapter)
        for prefix, adapter in session.adapters.items()
    )
    try:
        yield own
    finally:
        for adapter in own.adapters.values():
            if isinstance(adapter, _Handing):
                adapter.close_own()


def _own(library: Any, adapter: Any, deadline: Deadline) -> Any:
    own: Any = object.__new__(_with(_Handing, adapter.__class__))
    vars(own).update(vars(adapter), _exchange_deadline=deadline, _exchange_pools=[])
    own.poolmanager = copy.copy(adapter.poolmanager)
    own.poolmanager.pools = type(adapter.poolmanager.pools)(1)
    own.proxy_manager = {}
    # What is sent once, to be refused or spent, is not tried again by the caller's rules for retries.
    own.max_retries = library.adapters.Retry(0, read=False)
    return own


@lru_cache(maxsize=64)
def _with(ours: type, theirs: Any) -> Any:
    """The library's class, or the user's, with what is ours before it."""
    return theirs if issubclass(theirs, ours) else type(theirs.__name__, (ours, theirs), {})


class _Handing:
    """An adapter whose connections are handed to the deadline of an exchange when they open."""

    _exchange_deadline: Deadline
    _exchange_pools: list[Any]

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        return self._handing(super().get_connection_with_tls_context(*arguments, **named))  # type: ignore[misc]

    def get_connection(self, *arguments: Any, **named: Any) -> Any:
        return self._handing(super().get_connection(*arguments, **named))  # type: ignore[misc]

    def _handing(self, pool: Any) -> Any:
        pool.ConnectionCls = _with(_Handed, pool.ConnectionCls)
        pool.conn_kw["deadline"] = self._exchange_deadline
        self._exchange_pools.append(pool)
        return pool

    def close_own(self) -> None:
        for pool in self._exchange_pools:
            pool.close()


class _Handed:
    debuglevel = 0  # else `http.client` may print all of an exchange

    def __init__(self, *arguments: Any, deadline: Deadline, **named: Any) -> None:
        self.deadline = deadline
        super().__init__(*arguments, **named)

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]
        self.deadline.watch(connection)
        if self.deadline.is_over:
            connection.close()
            raise TimeoutError("the time is over before anything was sent")
        return connection
