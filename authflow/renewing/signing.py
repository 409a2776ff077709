"""Requests that carry a signature of themselves: what the file's signer, or a plugin's `authflow_sign`, adds to them.

    a caller's request    with the state's presentation on it, as it will be sent ──▶ sign ──▶ Grant, with the signature
    a row of [derive]     that looks at the request     ──▶ the state's presentation, rendered once it is there
    an exchange           rendered, once for each hop                             ──▶ sign ──▶ Request
    the answer to either                                                          ──▶ heard ─▶ send it once more?

A session has Signers only where something signs, so that all others never come here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from authflow.accounts import EMPTY, Grant, Record, presented
from authflow.errors import AuthFlowError, ConfigurationError
from authflow.http import NOTHING, Answer, Headers, Presentation, Request, header_name, header_value
from authflow.merging import merge_body, merge_query
from authflow.templates import Sign, Unfit
from authflow.vendors import Presenting, Signer, Signing, Values, Vendor, hears

#: How often a request is sent where a signer hears answers.
MOST_SENDS: Final = 3
#: What a signer may keep beside a grant, in bytes as JSON: it lies in each record.
MOST_KEPT: Final = 1 << 14
Hook = Callable[..., "Presentation | Mapping[str, str] | None"]
#: What signers keep beside a grant, by name.
Keeps = Mapping[str, Mapping[str, Any]]


class Signers:
    """What signs the requests of one session. Raises ConfigurationError for what cannot be signed so."""

    def __init__(self, vendor: Vendor, hook: Hook | None) -> None:
        self._vendor, self._hook = vendor, hook
        self._made: dict[str, Signer] = {name: self._asked(name, signer) for name, signer in vendor.signers.items()}
        #: Those to whom answers are shown.
        self._hearing = frozenset(name for name, signer in vendor.signers.items() if hears(signer))

    @classmethod
    def of(cls, vendor: Vendor, hook: Hook | None) -> Signers | None:
        return cls(vendor, hook) if vendor.signers or hook is not None else None

    def kept(self, record: Record) -> Keeps:
        """What the signers keep beside a grant that begins, or goes on, with this record."""
        return {name: self._kept(name, record.signers.get(name, NOTHING)) for name in self._made}

    def grant(self, grant: Grant, request: Request, now: float) -> Grant:
        """The grant, with the signature of one caller's request beside what its state presents (`now`: epoch s)."""
        laid, sign = grant.unsigned, grant.sign
        request = laid_over(request, laid, self._vendor)
        if sign is not None:
            laid = joined(laid, signature := self._signature(request, sign, self._with(grant, sign, now)))
            request = request if self._hook is None else laid_over(request, signature, self._vendor)
        if self._hook is not None:
            laid = joined(laid, self._hooked(request, grant.values(now)))
        return grant if laid is grant.unsigned else grant.signed(laid)

    def request(self, request: Request, sign: Sign | None, values: Values, keeps: Keeps, now: float) -> Request:
        """A request of an exchange, signed. Raises Unbound."""
        whole = request if request.body is not None else request.replace(body=b"")
        if sign is not None:
            signature = self._signature(whole, sign, self._signing(sign, values, keeps, now))
            request, whole = (laid_over(one, signature, self._vendor) for one in (request, whole))
        return request if self._hook is None else laid_over(request, self._hooked(whole, values), self._vendor)

    def heard(self, answer: Answer, sign: Sign | None, ask: Callable[[Sign], tuple[Request, Signing]]) -> bool:
        """Shall a request be signed anew, and sent once more? `ask`: the request, and what it was signed with."""
        if sign is None or sign.name not in self._hearing:
            return False
        signer = self._made[sign.name]
        if signer.hears is None or answer.status in signer.hears or any(map(answer.all, signer.hears_headers)):
            return bool(self._asked(sign.name, signer.heard, answer, *ask(sign)))
        return False

    def heard_by(self, grant: Grant, answer: Answer, request: Callable[[], Request], now: float) -> bool:
        """The same of a caller's request."""
        return self.heard(answer, grant.sign, lambda sign: (request(), self._with(grant, sign, now)))

    def heard_in(
        self, answer: Answer, request: Request, sign: Sign | None, values: Values, keeps: Keeps, now: float
    ) -> bool:
        """The same of an exchange."""
        return self.heard(answer, sign, lambda sign: (request, self._signing(sign, values, keeps, now)))

    def _with(self, grant: Grant, sign: Sign, now: float) -> Signing:
        """What a grant is signed with; where that cannot change with the request, it is rendered once."""
        if grant.signing is not None:
            return Signing(grant.signing[0], {**grant.signing[1]}, now)
        made = self._signing(sign, grant.values(now), grant.record.signers, now)
        names = {placeholder.name for placeholder in sign.parameters.placeholders()}
        if not grant.given.asks and names.isdisjoint(self._vendor.derive):
            grant.note_signing(made.parameters, grant.record.signers.get(sign.name, NOTHING))
        return made

    def _signature(self, request: Request, sign: Sign, signing: Signing) -> Presentation:
        return self._read(sign.name, self._asked(sign.name, self._made[sign.name].sign, request, signing))

    def _hooked(self, request: Request, values: Values) -> Presentation:
        assert self._hook is not None
        return self._read("authflow_sign", self._hook(vendor=self._vendor, request=request, values=values))

    def _kept(self, name: str, stored: Mapping[str, Any]) -> Mapping[str, Any]:
        kept = self._asked(name, self._made[name].keeps, stored)
        with suppress(TypeError, ValueError):  # of what is no JSON
            if isinstance(kept, Mapping) and len(json.dumps({**kept}, allow_nan=False)) <= MOST_KEPT:
                return kept
        raise self._wrong(f"{name} may keep a table as JSON, of {MOST_KEPT >> 10} KiB at most, and keeps another thing")

    def _signing(self, sign: Sign, values: Values, keeps: Keeps, now: float) -> Signing:
        try:
            parameters = sign.parameters.render(values)
        except Unfit as error:
            raise self._wrong(f"{sign.name}: {error}") from None
        return Signing(parameters, {**keeps.get(sign.name, NOTHING)}, now)

    def _asked(self, name: str, ask: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return ask(*arguments)
        except AuthFlowError:
            raise
        except Exception as error:  # a plugin's signer may raise anything, and show a secret in it
            kind = type(error).__name__
        raise self._wrong(f"{name} cannot sign with what it was given: {kind}")

    def _read(self, name: str, said: Any) -> Presentation:
        if not said and not isinstance(said, Presentation):
            return EMPTY
        try:
            pairs = said.headers if isinstance(said, Presentation) else said.items()
            headers = tuple([(header_name(header), header_value(header, value)) for header, value in pairs])
        except (AttributeError, TypeError):
            raise self._wrong(f"{name} gave something else than headers, a table of texts") from None
        except ValueError as error:
            raise self._wrong(f"{name}: {error}") from None
        return said.replace(headers=headers) if isinstance(said, Presentation) else Headers(headers)

    def _wrong(self, reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self._vendor.title}: {reason}", vendor=self._vendor.name)


def of_request(grant: Grant, request: Request, now: float) -> Grant:
    """The same grant for one request, where rows of `[derive]` look at it. Raises ConfigurationError."""
    values = grant.values(now)
    state = values.vendor.flow.states.get(grant.record.state)
    if not isinstance(state, Presenting) or state.present.first is None:
        return grant
    first = presented(state, values)
    whole = presented(state, values.of(laid_over(request, first, values.vendor)))
    return grant.replace(presentation=whole, travels=False, _unsigned=first)


def laid_over(request: Request, presentation: Presentation, vendor: Vendor) -> Request:
    """The request with a presentation on it, as the adapters lay it. Raises ConfigurationError."""
    if presentation is EMPTY:
        return request
    ours = {name.lower() for name, _ in presentation.headers}
    if presentation.only_headers:
        headers = [pair for pair in request.headers if pair[0].lower() not in ours]
        return Request(request.method, request.url, (*headers, *presentation.headers), request.body)
    ours |= {"cookie"} if presentation.cookies else set()
    whole = (*(pair for pair in request.headers if pair[0].lower() not in ours), *presentation.headers)
    if presentation.cookies:
        lines = [value for name, value in request.headers if name.lower() == "cookie"]
        pairs = [f"{name}={value}" for name, value in presentation.cookies]
        whole = (*whole, ("Cookie", "; ".join([*lines, *pairs])))
    body = request.body
    if presentation.in_body:
        kind = next((value for name, value in request.headers if name.lower() == "content-type"), "")
        try:
            body = merge_body(kind, body, presentation)[1]
        except ValueError as error:
            raise ConfigurationError(f"{vendor.title}: {error}", vendor=vendor.name) from None
    url = merge_query(request.url, presentation.query) if presentation.query else request.url
    return Request(request.method, url, whole, body)


def joined(one: Presentation, other: Presentation) -> Presentation:
    """Both presentations as one; where both say the same header, the second's."""
    if other is EMPTY or one is EMPTY:
        return one if other is EMPTY else other
    names = {name.lower() for name, _ in other.headers}
    headers = (*[pair for pair in one.headers if pair[0].lower() not in names], *other.headers)
    if one.only_headers and other.only_headers:
        return Headers(headers)
    return Presentation(
        headers=headers,
        cookies=(*one.cookies, *other.cookies),
        query=(*one.query, *other.query),
        json={**one.json, **other.json},
        form=(*one.form, *other.form),
        text=(*one.text, *other.text),
    )
