"""Requests that carry a signature of themselves: what a plugin's `authflow_sign` adds, laid over them.

    a caller's request    with the state's presentation on it, as it will be sent ──▶ sign ──▶ Grant, with the signature
    an exchange           rendered, once for each hop                             ──▶ sign ──▶ Request

A session has a Signer only where some plugin signs, so that all others never come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from authflow.errors import ConfigurationError
from authflow.http import Presentation, Request, header_value
from authflow.manager.grants import Grant
from authflow.merging import merge_body, merge_query
from authflow.vendors import Values, Vendor

Sign = Callable[..., "Presentation | Mapping[str, str] | None"]
_NOTHING: Final = Presentation()


@dataclass(frozen=True, slots=True)
class Signer:
    """Asks the hook for one vendor. Raises ConfigurationError for a signature that cannot be laid over a request."""

    vendor: Vendor
    hook: Sign

    def grant(self, grant: Grant, request: Request, now: float) -> Grant:
        """The grant, with the signature of one caller's request beside what its state presents (`now`: epoch s)."""
        own = grant.unsigned
        signature = self._signature(laid_over(request, own, self.vendor), grant.values(now))
        return grant if signature is _NOTHING else grant.signed(joined(own, signature))

    def request(self, request: Request, values: Values) -> Request:
        """A request of an exchange, signed."""
        signature = self._signature(request, values)
        return request if signature is _NOTHING else laid_over(request, signature, self.vendor)

    def _signature(self, request: Request, values: Values) -> Presentation:
        said: Any = self.hook(vendor=self.vendor, request=request, values=values)
        if said is None:
            return _NOTHING
        signature = said if isinstance(said, Presentation) else Presentation(headers=tuple(said.items()))
        try:
            headers = tuple((name, header_value(name, value)) for name, value in signature.headers)
        except ValueError as error:
            raise ConfigurationError(f"{self.vendor.title}: {error}", vendor=self.vendor.name) from None
        return signature.replace(headers=headers)


def laid_over(request: Request, presentation: Presentation, vendor: Vendor) -> Request:
    """The request with a presentation on it, as the adapters lay it. Raises ConfigurationError."""
    ours = {name.lower() for name, _ in presentation.headers} | ({"cookie"} if presentation.cookies else set())
    headers = (*(pair for pair in request.headers if pair[0].lower() not in ours), *presentation.headers)
    if presentation.cookies:
        lines = [value for name, value in request.headers if name.lower() == "cookie"]
        pairs = [f"{name}={value}" for name, value in presentation.cookies]
        headers = (*headers, ("Cookie", "; ".join([*lines, *pairs])))
    body = request.body
    if presentation.in_body:
        kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
        try:
            body = merge_body(kind, body, presentation)[1]
        except ValueError as error:
            raise ConfigurationError(f"{vendor.title}: {error}", vendor=vendor.name) from None
    url = merge_query(request.url, presentation.query) if presentation.query else request.url
    return Request(request.method, url, headers, body)


def joined(one: Presentation, other: Presentation) -> Presentation:
    """Both presentations as one; where both say the same header, the second's."""
    names = {name.lower() for name, _ in other.headers}
    return Presentation(
        headers=(*(pair for pair in one.headers if pair[0].lower() not in names), *other.headers),
        cookies=(*one.cookies, *other.cookies),
        query=(*one.query, *other.query),
        json={**one.json, **other.json},
        form=(*one.form, *other.form),
        text=(*one.text, *other.text),
    )
