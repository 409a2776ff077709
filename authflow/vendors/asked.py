"""`{request.*}`: what a request says of itself, for the rows of `[derive]` that sign it.

    method   GET                      query    as it is written, without the question mark
    host     with the port, where     sorted   the query's parameters by their names, as they are written
             a URL must say it        params   those of the query and of a form, by their names
    path     as it is written         target   path and query
    body     as text; bytes that are no UTF-8 stay what they are

They see the request as it will be sent, without what itself hangs on `request.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from authflow.http import Request, origin_of
from authflow.templates import Unfit


def _host(request: Request) -> str:
    return str(origin_of(request.url)).partition("://")[2]


def _path(request: Request) -> str:
    return urlsplit(request.url).path or "/"


def _query(request: Request) -> str:
    return urlsplit(request.url).query


def _target(request: Request) -> str:
    return "?".join(filter(None, (_path(request), _query(request))))


def _sorted(*texts: str) -> str:
    return "&".join(
        sorted((part for text in texts for part in text.split("&") if part), key=lambda part: part.split("="))
    )


def _params(request: Request) -> str:
    kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
    is_form = kind.lower().startswith("application/x-www-form-urlencoded")
    return _sorted(_query(request), _body(request) if is_form else "")


def _body(request: Request) -> str:
    if request.body is None:
        raise Unfit(
            "the signature needs the request's body, which is a stream or a file: give it as bytes, text or fields"
        )
    return request.body.decode("utf-8", "surrogateescape")


ASKED: Final[Mapping[str, Callable[[Request], str]]] = {
    "request.method": lambda request: request.method.upper(),
    "request.host": _host,
    "request.path": _path,
    "request.query": _query,
    "request.target": _target,
    "request.sorted": lambda request: _sorted(_query(request)),
    "request.params": _params,
    "request.body": _body,
}
