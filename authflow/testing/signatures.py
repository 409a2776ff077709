"""Signatures of requests, seen from the vendor's side: the plugin that made one is asked to make it once more.

    a request ──▶ without what the plugin adds ──▶ `authflow_sign`, with what the vendor knows ──▶ the same again?

That proves a signature which hangs on nothing but the request and what both sides know. One with a time or a number of
its own cannot be made again; `unsteady` says so, and any is let pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from authflow import plugins
from authflow.http import Answer, Presentation, Request
from authflow.templates import Unbound, Unfit
from authflow.vendors import Given, Presenting, Values, Vendor


class Signatures:
    """Checks the signatures of one vendor's requests. `sample` is a request such as a session signs, and `values` what
    it is signed with.
    """

    def __init__(self, vendor: Vendor, sample: Request | None, values: Mapping[str, Any]) -> None:
        hook = plugins.manager().hook.authflow_sign
        self._hook = hook if hook.get_hookimpls() else None
        self._vendor, self._sample, self._values = vendor, sample, values
        self._at_first = self._again()

    @property
    def wanted(self) -> bool:
        """Does any plugin sign for this vendor?"""
        return self._at_first is not None

    @property
    def unsteady(self) -> bool:
        """Does the plugin sign the same request in another way now than it did at first?"""
        return self._again() != self._at_first

    def _again(self) -> Presentation | None:
        """The sample, signed."""
        return None if self._sample is None else self._sign(self._sample, self._values)

    def _sign(self, request: Request, values: Mapping[str, Any]) -> Presentation | None:
        if self._hook is None:
            return None
        said: Any = self._hook(
            vendor=self._vendor, request=request, values=Values(self._vendor, Given(dict(values)), {}, 0.0)
        )
        return said if said is None or isinstance(said, Presentation) else Presentation(headers=tuple(said.items()))

    def fit(self, request: Request, values: Mapping[str, Any]) -> bool:
        """Is the request signed as the plugin signs it with these values?"""
        if not self.wanted:
            return True
        return self._made(request, values) or self.unsteady

    def _made(self, request: Request, values: Mapping[str, Any]) -> bool:
        try:
            whole = self._sign(request, values)
            if whole is None:
                return True
            bare = without(request, whole)
            # of a stream the session has seen nothing
            bodies = dict.fromkeys((bare.body or b"", None))
            signed = [self._sign(bare.replace(body=body), values) for body in bodies]
        except (Unbound, Unfit, ValueError, KeyError, TypeError):
            return False
        return any(signature is not None and carries(request, signature) for signature in signed)


def carries(request: Request, presentation: Presentation) -> bool:
    """Is all of the presentation on the request?"""
    seen = Answer(0, request.headers, request.body or b"")
    cookies = {tuple(pair.strip().split("=", 1)) for line in seen.all("cookie") for pair in line.split(";")}
    query = _query(request.url)
    return (
        all(value in seen.all(name) for name, value in presentation.headers)
        and all(pair in cookies for pair in presentation.cookies)
        and all(pair in query for pair in presentation.query)
        and all(pair in _form(request) for pair in presentation.form)
        and all(_json(request).get(name) == value for name, value in presentation.json.items())
    )


def bare(vendor: Vendor, request: Request) -> Request | None:
    """The request without what hangs on the request itself; None where nothing does."""
    flow = vendor.flow
    parts: list[Any] = [state.present for state in flow.states.values() if isinstance(state, Presenting)]
    parts += [exchange.request for exchange in flow.exchanges.values()]
    looking = [part for part in parts if part.first is not None]
    if not looking:
        return None
    for part in looking:
        gone = {
            kind: _gone(getattr(part, kind), getattr(part.first, kind))
            for kind in ("headers", "cookies", "query", "form")
        }
        fields = set(dict(getattr(part.json, "items", ()))) - set(dict(getattr(part.first.json, "items", ())))
        request = without(request, Presentation(**gone, json=dict.fromkeys(fields, "")))
    return request


def _gone(whole: Any, first: Any) -> tuple[tuple[str, str], ...]:
    kept = {name for name, _ in first or ()}
    return tuple((name, "") for name, _ in whole or () if name not in kept)


def without(request: Request, presentation: Presentation) -> Request:
    """The request as it was before the presentation was laid over it."""
    gone = {name.lower() for name, _ in presentation.headers}
    headers = [pair for pair in request.headers if pair[0].lower() not in gone]
    if presentation.cookies:
        headers = [
            (name, value if name.lower() != "cookie" else _left(value.split("; "), presentation.cookies))
            for name, value in headers
        ]
        headers = [(name, value) for name, value in headers if value or name.lower() != "cookie"]
    url, body = request.url, request.body
    if presentation.query:
        parts = urlsplit(url)
        kept = [pair for pair in parts.query.split("&") if pair.partition("=")[0] not in dict(presentation.query)]
        url = urlunsplit(parts._replace(query="&".join(kept)))
    if presentation.json:
        document = {name: value for name, value in _json(request).items() if name not in presentation.json}
        body = msgspec.json.encode(document) if document else None
    if presentation.form:
        body = urlencode([pair for pair in _form(request) if pair[0] not in dict(presentation.form)]).encode()
    return Request(request.method, url, tuple(headers), body)


def _left(pairs: Iterable[str], gone: Iterable[tuple[str, str]]) -> str:
    names = dict(gone)
    return "; ".join(pair for pair in pairs if pair.partition("=")[0] not in names)


def _query(url: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url).query, keep_blank_values=True)


def _form(request: Request) -> list[tuple[str, str]]:
    return parse_qsl((request.body or b"").decode("utf-8", "replace"), keep_blank_values=True)


def _json(request: Request) -> dict[str, Any]:
    try:
        document = Answer(0, (), request.body or b"").json
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
