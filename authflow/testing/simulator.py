"""A vendor's server, made from the vendor's file alone.

Its request templates are matched instead of rendered, its answer patterns are rendered instead of matched; what stands
between the two is a ledger of accounts and tokens. Nothing here knows any vendor.

    request ─┬─ fits an exchange ──▶ read: settings, credentials, tokens ──▶ good ──▶ its best outcome, rendered
             │                                                          └──▶ bad ───▶ its refusal, rendered
             └─ anything else ─────▶ presents a good token ──▶ 200
                                 └─▶ otherwise ──────────────▶ the event that the file's top-level answers foresee

What a file does not say, a hand-written part says: `parts={"login": part}` is asked before the simulator decides, and
gives the name of an outcome, an `Answer`, or None. A part may also be that of a path ("/login/finish") to which a
plugin's step in code sends requests of its own. `cannot` lists what needs one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from authflow import plugins
from authflow.accounts import complete, sends_to
from authflow.errors import ConfigurationError
from authflow.http import Answer, Request, folder, origin_of, resolve, without_query
from authflow.templates import (
    Exchange,
    Mismatch,
    Object,
    RequestTemplate,
    Text,
    Unbound,
    Unfit,
)
from authflow.testing import derived, limits, samples
from authflow.testing.admission import Admission
from authflow.testing.answering import STATUS, plain, status_for
from authflow.testing.faults import Faults
from authflow.testing.keys import Keys, proved_by
from authflow.testing.ledger import Account, Family, Ledger, Refused
from authflow.testing.person import Person
from authflow.testing.proving import Challenged, Proving
from authflow.testing.signatures import Signatures, bare
from authflow.vendors import EXPIRED, Failing, Given, Presenting, Values

#: How long a token lives where neither the file nor the caller says, in seconds.
LIFETIME: Final = 3600.0
DATA: Final = "data"
KEYS: Final = "keys"
CHALLENGED: Final = "challenged"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it was read, for hand-written parts; `exchange` is None for that of a path. `account`: whose it is,
    if it proves that; what a path's part answers is served to anybody.
    """

    exchange: Exchange | None
    request: Request
    values: Mapping[str, Any]
    account: Account | None


@dataclass(frozen=True, slots=True)
class Seen:
    """One line of the log: no header, no query and no body, so no secret."""

    at: float
    method: str
    url: str
    what: str
    result: str
    status: int


Part = Callable[[Call], "str | Answer | None"]


class Simulator(Admission):
    """The server of one vendor. `handle` answers a request; `authflow.testing.transports` puts it behind a client.

    `inputs` are settings and credentials as for `AuthSession` (made up, where they are left out), `clock` gives epoch
    seconds, `lifetime` is that of a token in seconds, `rotate` says whether a refresh token is replaced where the file
    leaves it open, `parts` are hand-written parts by exchange, or by path: below the base URL
    ("/login/finish"), or the whole of one elsewhere.

    Raises ConfigurationError, VendorFileError.
    """

    def __init__(
        self,
        vendor: Any,
        *,
        inputs: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        lifetime: float | None = None,
        rotate: bool = True,
        parts: Mapping[str, Part] | None = None,
        seed: str = "authflow",
    ) -> None:
        self.vendor = plugins.find_vendor(vendor)
        given = complete(self.vendor, Given({**samples.inputs(self.vendor), **(inputs or {})}))
        self.inputs: dict[str, Any] = dict(given.items())
        self.clock = clock
        self.skew = 0.0
        self.rotate, self.spare = rotate, False
        self.parts = dict(parts or {})
        for name in self.parts:
            if not name.startswith("/") and name not in self.vendor.flow.exchanges:
                known = ", ".join(self.vendor.flow.exchanges) or "none"
                raise ConfigurationError(f"parts= has {name!r}: the exchanges are {known}; a path begins with a slash")
            if (reason := limits.unreachable(self.vendor, name)) is not None:
                raise ConfigurationError(f"parts= has {name!r}, which nothing reaches: {reason}")
        account = Account({name: value for name, value in given.items() if name in self.vendor.credentials})
        self.ledger = Ledger([account], seed)
        #: What its JWTs are signed with.
        self.keys = Keys(self.vendor, seed)
        self.faults = Faults(self)
        #: Who is asked where a login needs a person.
        self.person = Person(self.handle)
        #: Called with the seconds that a slow answer takes; a simulator on a test's clock moves it.
        self.delay: Callable[[float], Any] = getattr(clock, "advance", time.sleep)
        #: Outcomes to give next, by exchange (or event, under "data"), before the simulator decides for itself.
        self.script: dict[str, deque[str]] = {}
        #: The parts of the data (the first segments of their paths) that are rejected whatever they are asked with.
        self.forbidden: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.log: deque[Seen] = deque(maxlen=10_000)
        self._lock = threading.RLock()
        self._settings: dict[str, Any] = {}
        self.base_url = ""
        self._urls: dict[tuple[str, str], str] = {}
        self._hosts: dict[str, Any] = {}
        self._bare = None
        self.move(self._base_url())
        values = Values(self.vendor, given, {}, self.clock())
        self.lifetime = lifetime if lifetime is not None else samples.lifetime(self.vendor, values, LIFETIME)
        presenting = [state for state in self.vendor.flow.states.values() if isinstance(state, Presenting)]
        self._presenting = sorted(presenting, key=lambda state: -len(list(state.present.placeholders())))
        self.proving = Proving(self.vendor)
        self.signatures = Signatures(self.vendor, *limits.sample(self))
        keep, self.ledger = self.ledger, Ledger([account], "sample")
        self._limits = tuple(limits.found(self))
        self.ledger = keep

    def __repr__(self) -> str:
        return f"<Simulator of {self.vendor.name}>"

    @property
    def cannot(self) -> tuple[str, ...]:
        """What cannot be simulated from the file alone, and why."""
        if not self.signatures.unsteady:
            return self._limits
        return (
            *self._limits,
            "authflow_sign: signs with a time or number of its own, so that any signature is let pass",
        )

    @property
    def account(self) -> Account:
        """The account that the inputs describe."""
        return self.ledger.accounts[0]

    def move(self, base_url: str) -> None:
        """Live at another base URL, which counts as a folder."""
        self.base_url = folder(base_url)
        urls = samples.captured_urls(self.vendor)
        self._urls = {(user, name): f"{self._named_for(user, base_url)}/{name}/{to}" for user, name, to in urls}
        host = urlsplit(base_url).netloc
        captured = {place.name for place in self.vendor.base_url.placeholders() if place.name not in self.vendor.inputs}
        told = {name: f"{self.base_url}{name}" for name in proved_by(self.vendor)}
        self._hosts = {**told, **dict.fromkeys(captured, host), "base_url": self.base_url}
        self._settings = {name: value for name, value in self.inputs.items() if name not in self.vendor.credentials}

    def _named_for(self, exchange: str, base_url: str) -> Any:
        """The origin to which an answer sends: the base URL's, unless the file lets it lead elsewhere only."""
        given, written = Given(self.inputs), self.vendor.flow.exchanges[exchange].request.url
        known, origin = {"base_url": base_url}, origin_of(base_url)
        if base_url == self._base_url() and not sends_to(self.vendor, given, known, base_url, written=written):
            with suppress(Unbound, Unfit, ValueError, IndexError):
                origin = origin_of(self.vendor.send_origins[0].render(Values(self.vendor, given, known, 0.0)))
        return origin

    def _base_url(self) -> str:
        names = [place.name for place in self.vendor.base_url.placeholders() if place.name != "base_url"]
        hosts = {name: samples.host(self.vendor) for name in names if name not in self.vendor.inputs}
        try:
            return Values(self.vendor, Given(self.inputs), hosts, 0.0).base_url
        except (Unbound, Unfit):
            return samples.ORIGIN + "/"

    # --- a request comes in -------------------------------------------------------------------------------------------

    def handle(self, request: Request) -> Answer:
        """The vendor's answer. Raises `faults.Broken` where a fault lets none through."""
        with self._lock:
            exchange, values, why = self._recognised(request)
            self._bare = bare(self.vendor, request)
            label = self._label(exchange, request)
            fault = self.faults.next(label, exchange is not None) if why != "method" else None

            def work() -> Answer:
                if label == KEYS:
                    self.counts[KEYS] += 1
                    return self._noted(request, KEYS, "published", self.keys.published())
                if exchange is None:
                    return self._by_path(request) or self._data(request)
                return self._exchange(exchange, request, values, why)

            answer = work() if fault is None else self.faults.befall(fault, work)
            return answer.replace(headers=(("Date", formatdate(self.now(), usegmt=True)), *answer.headers))

    def values_in(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Which exchange a request is (or "data", or "keys"), and the values that it carries: for those who watch."""
        with self._lock:
            exchange, values, _ = self._recognised(request)
            return self._label(exchange, request), dict(values or {})

    def _label(self, exchange: Exchange | None, request: Request) -> str:
        if exchange is not None:
            return exchange.name
        if self.vendor.verify is not None and request.method == "GET":
            with suppress(Mismatch):
                self._match(RequestTemplate(None, self.vendor.verify.jwks_url), request)
                return KEYS
        return DATA

    def answer(self, exchange: str, outcome: str, account: Account | None = None) -> Answer:
        """The answer that gives this outcome, with all that it hands out: for hand-written parts."""
        return self._render(self.vendor.flow.exchanges[exchange], outcome, {}, None, account or self.account)

    def presented_by(self, request: Request) -> dict[str, Any]:
        """The values that a caller's request presents, whether they are good or not."""
        for state in self._presenting:
            try:
                return self._presented(state, request)
            except Mismatch:
                continue
        return {}

    def _recognised(self, request: Request) -> tuple[Exchange | None, dict[str, Any] | None, str]:
        """The exchange that a request is, with its values; or None in their place and what was wrong with it. Of
        several of one shape, the one whose values were handed out under these names.
        """
        close: tuple[Exchange, str] | None = None
        fits: list[tuple[Exchange, dict[str, Any]]] = []
        for exchange in self.vendor.flow.exchanges.values():
            try:
                if request.method != _method(exchange.request):
                    raise Mismatch("another method")
                fits.append(
                    (exchange, derived.unfold(self.vendor, self._match(exchange.request, request, exchange.name)))
                )
            except Mismatch:
                why = self._nearly(exchange, request)
                close = close or ((exchange, why) if why else None)
        if fits:
            return *next((fit for fit in fits if self._knows(fit[1])), fits[0]), ""
        if close is not None:
            return close[0], None, close[1]
        return None, None, ""

    def _knows(self, values: Mapping[str, Any]) -> bool:
        names = self._captured(values)
        return all(self.ledger.look_up(name, values[name]) or self.ledger.is_open(name, values[name]) for name in names)

    def _match(self, template: RequestTemplate, request: Request, exchange: str = "") -> dict[str, Any]:
        urls = {name: url for (user, name), url in self._urls.items() if user == exchange}
        return template.match(request, self.base_url, {**self._settings, **urls, **self._hosts})

    def _nearly(self, exchange: Exchange, request: Request) -> str:
        """Why a request to an exchange's own URL does not fit it; nothing if it is another call altogether."""
        template = exchange.request
        try:
            self._match(RequestTemplate(None, template.url), request, exchange.name)
        except Mismatch:
            return ""
        if request.method != _method(template):
            return "method"
        if _another_call(template, request):
            return ""
        try:
            self._match(
                RequestTemplate(None, None, json=template.json, form=template.form, text=template.text), request
            )
        except Mismatch:
            return "malformed"
        return "unknown"

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _exchange(self, exchange: Exchange, request: Request, values: dict[str, Any] | None, why: str) -> Answer:
        self.counts[exchange.name] += 1
        try:
            if values is None:
                raise Refused(why)
            family, account = self._read(exchange, request, values)
        except Challenged as challenged:
            return self._challenge(request, exchange.name, challenged)
        except Refused as refused:
            self.counts[f"{exchange.name}_refused"] += 1
            self.counts["refresh_reused"] += refused.why == "reused"
            answer = self._refusal(exchange, refused.why)
            return self._noted(request, exchange.name, f"refused: {refused.why}", answer)
        outcome = self._chosen(exchange, request, values, account)
        if exchange.by:
            return self._noted(request, exchange.name, self.person.does, self._redirect(exchange, values))
        if outcome == self.best(exchange) and family is not None:
            outcome = self._decided(exchange, family)
        if isinstance(outcome, str) and exchange.waits(outcome):
            self.counts[exchange.name] -= 1
            self.counts[f"{exchange.name}_repeated"] += 1
        if isinstance(outcome, Answer):
            return self._noted(request, exchange.name, "by hand", outcome)
        answer = self._render(exchange, outcome, values, family, account)
        return self._noted(request, exchange.name, outcome, answer)

    def _challenge(self, request: Request, what: str, challenged: Challenged) -> Answer:
        """The request is to be signed in another way, and is neither good nor bad yet."""
        self.counts[CHALLENGED] += 1
        return self._noted(request, what, CHALLENGED, challenged.answer)

    def _chosen(
        self, exchange: Exchange, request: Request, values: Mapping[str, Any], account: Account | None
    ) -> str | Answer:
        if self.script.get(exchange.name):
            return self.script[exchange.name].popleft()
        if exchange.name in self.parts:
            part = self.parts[exchange.name](Call(exchange, request, values, account))
            if part is not None:
                return part
        return self.best(exchange)

    def _decided(self, exchange: Exchange, family: Family) -> str | Answer:
        """What is done when the vendor is not done yet: at first nothing, and then as the person says."""
        pending = next((name for name in exchange.outcomes if exchange.waits(name)), None)
        family.polled += 1
        if pending is None or (family.polled > 1 and self.person.does == "agrees"):
            return self.best(exchange)
        return pending if family.polled == 1 or self.person.does == "leaves" else self._refusal(exchange, "wrong")

    def _redirect(self, exchange: Exchange, values: dict[str, Any]) -> Answer:
        """Where the browser of a person who has signed in, or has refused to, is sent."""
        family = self.ledger.found(None)
        family.values.update(values)
        if self.person.does == "refuses":
            said = self._refusal(exchange, "wrong")
        else:
            script = self.script.get(exchange.name)
            outcome = script.popleft() if script else self.best(exchange)
            said = self._render(exchange, outcome, values, family, None)
        query = f"{said.text}&{urlencode({'state': values['state']})}"
        return Answer(302, (("Location", f"{values['redirect_uri']}?{query}"),))

    def _by_path(self, request: Request) -> Answer | None:
        """The answer of the hand-written part of this path: below the base URL, or the whole of it."""
        path = urlsplit(request.url).path
        part = self.parts.get("/" + path.removeprefix(urlsplit(self.base_url).path), self.parts.get(path))
        if part is None:
            return None
        values: dict[str, Any] = {}
        account: Account | None = None
        for state in self._presenting:
            with suppress(Mismatch, Refused):
                values = self._presented(state, request)
                account = self._admit(state, values, request)
                break
        said = part(Call(None, request, values, account))
        return self._noted(request, "path", "by hand", said) if isinstance(said, Answer) else None

    # --- the caller's own requests ------------------------------------------------------------------------------------

    def _data(self, request: Request) -> Answer:
        for pattern in self.vendor.public:
            try:
                self._match(pattern, request)
            except Mismatch:
                continue
            self.counts["public"] += 1
            return self._noted(request, "public", "served", self._served(request, None))
        self.counts[DATA] += 1
        refused: tuple[Presenting | None, str, dict[str, Any]] | None = None
        if self.script.get(DATA):
            refused = self._scripted(request)
        else:
            for state in self._presenting:
                try:
                    values = self._presented(state, request)
                except Mismatch:
                    continue
                try:
                    account = self._admit(state, values, request)
                    if self._part_of(request) in self.forbidden:
                        raise Refused("forbidden")
                    return self._noted(request, DATA, "served", self._served(request, account))
                except Challenged as challenged:
                    return self._challenge(request, DATA, challenged)
                except Refused as no:
                    refused = state, no.why, values
                    break
        if refused is None:
            self.counts["data_without_token"] += 1
            start = self.vendor.flow.states[self.vendor.flow.start]
            refused = (start if isinstance(start, Presenting) else None), "missing", {}
        self.counts["data_refused"] += 1
        return self._event(request, *refused)

    def _scripted(self, request: Request) -> tuple[Presenting | None, str, dict[str, Any]]:
        event = self.script[DATA].popleft()
        for state in self._presenting:
            if event in state.next:
                try:
                    return state, f"event {event}", self._presented(state, request)
                except Mismatch:
                    continue
        return None, f"event {event}", {}

    def _event(self, request: Request, state: Presenting | None, why: str, values: dict[str, Any]) -> Answer:
        """The answer that the file's top-level `answers` foresee for a request that is not let in."""
        heard = [name for name, _ in self.vendor.answers if state is None or name in state.next]
        wanted = why.removeprefix("event ")
        event = wanted if wanted in heard else min(heard, key=lambda name: self._far(state, name, why), default=None)
        pattern = next((item for name, item in self.vendor.answers if name == event), None)
        if pattern is None or event is None:
            return self._noted(request, DATA, why, plain(STATUS.get(why, 401), why))
        account = self._proved(values)
        asked = {"_scope": self._part_of(request)}
        answer = pattern.render(self._fill(pattern, asked, None, account, None), status_for(pattern, why))
        led = answer.all("location")
        if led and without_query(resolve(request.url, led[0])) == without_query(request.url):
            return self._noted(request, "public", "the page where people log in", self._served(request, None))
        if not pattern.needs_body:
            told = plain(answer.status, why)
            answer = answer.replace(headers=(*answer.headers, *told.headers), body=told.body)
        return self._noted(request, DATA, f"{event}: {why}", answer)

    def _far(self, state: Presenting | None, event: str, why: str) -> tuple[bool, bool, bool]:
        """How far an event is from what happened: a bad token is mended as an expired one is, bad credentials are
        not.
        """
        target = state.next[event] if state is not None else ""
        fails = isinstance(self.vendor.flow.states.get(target), Failing)
        mends = state is not None and target == state.next.get(EXPIRED)
        return fails is not (why == "wrong"), why not in event, not mends

    def _served(self, request: Request, account: Account | None) -> Answer:
        document = {"served": urlsplit(request.url).path, "received": len(request.body or b"")}
        answer = Answer(200, (("Content-Type", "application/json"),), msgspec.json.encode(document))
        for pattern in self.vendor.keep:
            brought = pattern.render(self._fill(pattern, {}, None, account, None), 200)
            if pattern.needs_body:
                answer = brought.replace(headers=(*answer.headers[1:], *brought.headers))
            else:
                answer = answer.replace(headers=(*answer.headers, *brought.headers))
        return answer

    def _noted(self, request: Request, what: str, result: str, answer: Answer) -> Answer:
        line = Seen(self.now(), request.method, without_query(request.url), what, result, answer.status)
        self.log.append(line)
        return answer


def _method(template: RequestTemplate) -> str:
    bodiless = template.json is None and template.form is None and template.text is None
    return template.method or ("GET" if bodiless else "POST")


def _another_call(template: RequestTemplate, request: Request) -> bool:
    """Does a JSON body say in so many words that it is another call (another method of a JSON-RPC service)?"""
    if not isinstance(template.json, Object):
        return False
    try:
        document = Answer(0, (), request.body or b"").json
    except ValueError:
        return False
    literals = {
        key: item.literals[0] for key, item in template.json.items if isinstance(item, Text) and not item.between
    }
    return isinstance(document, dict) and any(document.get(key, text) != text for key, text in literals.items())
