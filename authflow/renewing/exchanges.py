"""One exchange: rendered, sent to a trusted origin, judged; out comes an outcome, or an error that says what to do.

no answer, nothing sent         VendorUnavailable
no answer, perhaps received     AnswerLost: the flow decides, since a rotating refresh token may be spent
a pattern fits                  its outcome, or what OAuth's error code says (`vendors.oauth`)
408, 425, 429, 5xx, Retry-After VendorUnavailable, with the vendor's Retry-After
407                             VendorUnavailable: a proxy's answer, and not the vendor's
anything else                   VendorAnswerError, masked, with the reason why each pattern does not fit
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from authflow.accounts import Record, sends_to
from authflow.clock import monotonic
from authflow.errors import (
    ConfigurationError,
    UntrustedOrigin,
    VendorAnswerError,
    VendorUnavailable,
    forget_locals,
    harmless,
)
from authflow.http import Answer, Pairs, Request, origin_of, resolve, seconds_from, without_query
from authflow.masking import SHOWN, describe, mask_document, mask_text
from authflow.merging import without_parts
from authflow.renewing import advice
from authflow.renewing.environment import ClientRaised, Environment, NoAnswer, Sender, TooLarge
from authflow.renewing.jwt_verification import Verifier
from authflow.renewing.signing import MOST_SENDS, Keeps
from authflow.templates import Exchange, Outcome, Unbound, Unfit, judge, without_body
from authflow.vendors import FAULTY, UNAVAILABLE, Values, classified, made_of

UNAVAILABLE_STATUS: Final = frozenset({408, 425, 429, *range(500, 600)})
#: No vendor is believed who asks for a longer pause than this, in seconds.
LONGEST_PAUSE: Final = 3600.0
#: Nobody asks for thirty years: such a number of seconds is an instant, and a larger one is in milliseconds.
AN_INSTANT: Final = 1e9
IN_MILLISECONDS: Final = 1e11
MAX_HOPS: Final = 5


PROXY_REFUSES: Final = 407
_NO_TEXT: Final = "a token of OAuth is text, and this one a number"
#: A plugin's `authflow_exchange`.
Code = Callable[..., "Answer | None"]


class AnswerLost(VendorUnavailable):
    """The request may have been honoured, and nobody knows."""


class Answered(NamedTuple):
    """An outcome, the answer that it was read from, and when its request was sent (epoch seconds)."""

    outcome: Outcome
    answer: Answer
    sent: float


@dataclass(slots=True)
class ExchangeSender:
    """Sends exchanges through the session's own client. The time-out is only told, the deadline bounds."""

    sender: Callable[[], Sender]
    verifier: Verifier | None
    environment: Environment
    #: What signers keep beside the grant, by name.
    keeps: Keeps = field(default_factory=dict)
    #: Did the user's client hide the last answer behind an error of its own?
    hidden: bool = False

    @property
    def clock(self) -> Callable[[], float]:
        return self.environment.clock

    @property
    def timeout(self) -> float:
        return self.environment.timeout

    def send(
        self, exchange: Exchange, values: Values, deadline: float, browse: Callable[[str], Answer] | None = None
    ) -> Answered:
        """Send one exchange before `deadline` (monotonic seconds), or let a person `browse` its URL. Raises
        AuthFlowError, Unbound.
        """
        title = values.vendor.title
        where: dict[str, Any] = {"vendor": values.vendor.name, "exchange": exchange.name}
        plain = _render(exchange, values)
        request = _render(exchange, values, plain)
        sent = self.clock()
        try:
            if browse is not None:
                answer = browse(request.url).replace(received=self.clock())
            else:
                found = self._coded(exchange, request, values, deadline)
                answer = found or self._send(exchange, plain, request, values, deadline)
        except NoAnswer as error:
            kind = AnswerLost if error.sent else VendorUnavailable
            asked = origin_of(request.url)
            said = f"({error}){advice.unreachable(str(error))}"
            raise kind(f"{title}: no answer to {exchange.name} from {asked} {said}", **where) from error
        except TooLarge:
            raise VendorAnswerError(f"{title}: the answer to {exchange.name} is larger than 1 MiB", **where) from None
        where["status"] = answer.status
        outcome, reasons = judge(exchange.answers, answer, values)
        later = answer.status in UNAVAILABLE_STATUS or answer.status == PROXY_REFUSES or answer.retry_after is not None
        if outcome is None and later:
            outcome = Outcome(UNAVAILABLE, {})
        outcome = classified(exchange, answer, outcome, values, given_refresh="refresh" in values.vendor.inputs)
        if outcome is None:
            shown = describe(answer, values.secrets, keys_read(exchange))
            if browse is not None:  # a redirect's query is a code, and little else
                shown = f"with {', '.join(harmless(name) for name, _ in answer.form)}"
            message = (
                f"{title}: no pattern of {exchange.name} fits the answer ({shown}): {'; '.join(reasons) or _NO_TEXT}"
            )
            mend = advice.packed(answer) or advice.redirected(exchange, request, answer, values, _may_go)
            unfit = VendorAnswerError(message + mend, **where)
            unfit.grants_nothing = answer.status >= 300 or _is_page(answer)
            raise unfit
        where["reason"] = reason = masked_reason(outcome, values)
        says = f": {with_code(reason, outcome.code)}" if reason else ""
        if outcome.name == UNAVAILABLE and outcome.wait is None:
            where["retry_after"] = pause(outcome, answer)
            says += f"; {advice.PROXY}" if answer.status == PROXY_REFUSES else ""
            raise VendorUnavailable(f"{title}: {exchange.name} is unavailable (status {answer.status}){says}", **where)
        if outcome.name == FAULTY:
            mend = "check the settings, the scope above all, and the request in the vendor file"
            where["retry_after"] = pause(outcome, answer)
            raise ConfigurationError(f"{title}: the server refuses the request {exchange.name}{says}: {mend}", **where)
        where.pop("reason")
        if self.verifier is not None and "access" in outcome.captured:
            try:
                self.verifier.verify(outcome.captured["access"], values, deadline)
            except VendorUnavailable as error:  # what was granted cannot be used, and what was sent may be spent
                raise AnswerLost(str(error), **{**where, "status": error.status}) from error
        return Answered(outcome, answer, sent)

    def _coded(self, exchange: Exchange, request: Request, values: Values, deadline: float) -> Answer | None:
        """The answer that a plugin's step in code supplies, if one does."""
        code: Code | None = self.environment.hooks.exchange
        if code is None:
            return None

        def send(request: Request) -> Answer:
            _trusted(exchange, request.url, values)
            return self._sent(exchange, request, values, deadline)[0]

        answer = code(vendor=values.vendor, exchange=exchange.name, request=request, values=values, send=send)
        return None if answer is None else answer.replace(received=self.clock())

    def begin(self, record: Record) -> None:
        """Have at hand what signers keep beside the grant that begins, or goes on, with this record."""
        if (signers := self.environment.signers) is not None:
            self.keeps = signers.kept(record)

    def _sent(self, exchange: Exchange, request: Request, values: Values, deadline: float) -> tuple[Answer, Request]:
        """The answer, and the request as it was sent."""
        signers, sign = self.environment.signers, exchange.request.sign
        if signers is None:
            return self._once(request, deadline), request
        for sends in range(1, MOST_SENDS + 1):
            signed = signers.request(request, sign, values, self.keeps, self.clock())
            answer = self._once(signed, deadline)
            again = signers.heard_in(answer, signed, sign, values, self.keeps, self.clock())
            if not again or sends == MOST_SENDS:
                break
        return answer, signed

    def _once(self, request: Request, deadline: float) -> Answer:
        remaining = deadline - monotonic()
        if remaining <= 0:
            raise NoAnswer(f"nothing within {self.timeout:g} s", sent=False)
        self.hidden = False
        try:
            return self.sender().exchange(request, remaining).replace(received=self.clock())
        except ClientRaised as raised:
            self.hidden, error = True, raised.error
        forget_locals(error)
        raise error

    def _send(self, exchange: Exchange, plain: Request, request: Request, values: Values, deadline: float) -> Answer:
        """`plain`: the request without what hangs on it, which each hop gets anew."""
        cookies: Pairs = ()
        for _ in range(MAX_HOPS):
            answer, sent = self._sent(exchange, request, values, deadline)
            cookies += tuple(pair for pair in answer.headers if pair[0].lower() == "set-cookie")
            follow = exchange.redirects and judge(exchange.answers, answer, values)[0] is None
            hop = _hop(exchange, plain, sent, answer, values) if follow else None
            if hop is None:
                others = tuple(pair for pair in answer.headers if pair[0].lower() != "set-cookie")
                return answer.replace(headers=others + cookies)
            plain, request = hop, _render(exchange, values, hop)
        raise NoAnswer("redirected too often", sent=False)


def _render(exchange: Exchange, values: Values, plain: Request | None = None) -> Request:
    """The request without what hangs on it; or, of a plain one, with that."""
    if plain is not None and exchange.request.first is None:
        return plain
    try:
        base_url = _base_url(values)
        if plain is not None:
            seen = plain if plain.body is not None else plain.replace(body=b"")  # there is none to be seen
            return exchange.request.complete(plain, values.of(seen), base_url)
        request = exchange.request.render(values, base_url)
    except Unfit as error:
        message = f"{values.vendor.title}: {exchange.name}: {error}"
        raise ConfigurationError(message, vendor=values.vendor.name, exchange=exchange.name) from None
    _trusted(exchange, request.url, values)
    return request


def _base_url(values: Values) -> str:
    """Against which relative URLs are resolved: the base URL that was given. A captured one moves nothing silently."""
    try:
        return values.given_base_url
    except Unbound:
        pass
    try:
        return values.base_url
    except Unbound:
        return ""


def _carries_a_credential(exchange: Exchange, values: Values) -> bool:
    names = made_of(values.vendor, exchange)
    return any(name in values.vendor.credentials and values.captured.get(name) is None for name in names)


def _may_go(exchange: Exchange, url: str, values: Values) -> bool:
    carries = _carries_a_credential(exchange, values)
    vendor, given, written = values.vendor, values.given, exchange.request.url
    return sends_to(vendor, given, values.captured, url, carries=carries, written=written)


def _trusted(exchange: Exchange, url: str, values: Values, status: int | None = None) -> None:
    if not _may_go(exchange, url, values):
        allow = advice.declared(url)
        raise UntrustedOrigin(
            f"{values.vendor.title}: {exchange.name} may not be sent to {without_query(url)} ({allow} allows it)",
            vendor=values.vendor.name,
            exchange=exchange.name,
            status=status,
        )


def _hop(exchange: Exchange, request: Request, sent: Request, answer: Answer, values: Values) -> Request | None:
    """The request that a redirect asks for (RFC 9110 §15.4), or None: without the signature, which may be echoed."""
    locations = answer.all("location")
    if answer.status not in (301, 302, 303, 307, 308) or not locations:
        return None
    try:
        url = without_parts(resolve(request.url, locations[0]), set(_parts(sent.url)).difference(_parts(request.url)))
    except ValueError:  # no URL: the answer is judged as it is
        return None
    _trusted(exchange, url, values, answer.status)
    if answer.status in (307, 308):
        return request.replace(url=url)
    return Request("GET", url, without_body(request.headers))


def _parts(url: str) -> list[str]:
    return urlsplit(url).query.split("&")


def _is_page(answer: Answer) -> bool:
    """A page for people: a captive portal's, say."""
    start = answer.content[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = (answer.all("content-type") or ("",))[0].lower()
    return start.startswith((b"<!doctype html", b"<html")) or ("html" in kind and start[:1] not in (b"{", b"["))


def masked_reason(outcome: Outcome, values: Values) -> str:
    """What the vendor said, for people: masked, in one line."""
    said = outcome.captured.get("reason")
    if said is None or said == "":
        return ""
    text = said if isinstance(said, str) else mask_document(said, (), frozenset())
    line = " ".join(mask_text(text, values.secrets).split())
    return line[:SHOWN] + "…" if len(line) > SHOWN else line


def with_code(reason: str, code: str) -> str:
    """A reason with OAuth's code behind it, which is what people look up."""
    return f"{reason} ({code})" if code and code != reason else reason


def keys_read(exchange: Exchange) -> frozenset[str]:
    """The JSON keys under which the patterns read values."""
    found: set[str] = set()

    def walk(item: Any, key: str) -> None:
        inner = getattr(item, "items", ())
        for entry in inner:
            if isinstance(entry, tuple):
                walk(entry[1], entry[0])
            else:
                walk(entry, key)
        if not inner and any(True for _ in item.placeholders()):
            found.add(key)

    for _, pattern in exchange.answers:
        if pattern.json is not None:
            walk(pattern.json, "")
    return frozenset(found)


def pause(outcome: Outcome, answer: Answer) -> float | None:
    """For how many seconds the vendor asks to be left alone: as its file reads it, else as the header says; either may
    be an instant.
    """
    told = outcome.captured.get("retry_after")
    wait = answer.retry_after if told is None else seconds_from(str(told), answer.date or answer.received)
    if wait is not None and wait > AN_INSTANT:
        wait = (wait if wait < IN_MILLISECONDS else wait / 1000) - (answer.date or answer.received)
    return None if wait is None else min(max(0.0, wait), LONGEST_PAUSE)
