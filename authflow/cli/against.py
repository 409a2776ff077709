"""`authflow check FILE --against BASE_URL`: a vendor file held against the real vendor, or against its sandbox.

    login     from the start                       reuse     the token fetches the base URL, or what --get says
    renew     with its own clock set ahead         refuse    with --refuse: a wrong secret, once

A simulator proves a file against itself; this asks the server. Each answer is shown with what the patterns took from it
and what they overlooked, masked. Nothing goes to an origin that the file does not declare, unless somebody says --yes.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import click

from authflow import plugins
from authflow.accounts import Token, sends_to
from authflow.cli.desk import Desk
from authflow.cli.exits import MISUSED, REFUSED, Failed, code_of
from authflow.cli.fetching import Order, fetch
from authflow.cli.options import opened
from authflow.clients import default_sender
from authflow.errors import AuthFlowError, CredentialsRefused, harmless
from authflow.http import Answer, Request, folder, origin_of, without_query
from authflow.masking import mask_text
from authflow.plugins import hookimpl
from authflow.renewing import keys_read
from authflow.session import AuthSession
from authflow.templates import Exchange, judge
from authflow.vendors import Given, Vendor

#: Keys and headers by which vendors tell more than a file may read.
_TELLING: Final = re.compile(
    r"expir|lifetime|ttl|valid_(for|until)|refresh|retry.?after|access_?token|csrf|session", re.I
)
#: From this status on an answer is not what was to be fetched.
_BAD: Final = 400
#: So much of an answer's body is read, in chunks of 16 KiB or so.
_CHUNKS: Final = 64
#: As far ahead of the end of a token as its renewal is tried, in seconds.
_BEYOND: Final = 1.0


@dataclass
class _Witness:
    """Sends exchanges, and remembers each answer with the exchange that it was for."""

    vendor: Vendor
    ahead: float = 0.0
    step: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _answers: list[Answer] = field(default_factory=list)

    def clock(self) -> float:
        return time.time() + self.ahead

    def exchange(self, request: Request, timeout: float) -> Answer:
        answer = default_sender().exchange(request, timeout)
        self._answers.append(answer)
        self.statuses.append(answer.status)
        return answer

    @hookimpl
    def authflow_transition(self, exchange: str) -> None:
        self.tell(exchange)

    def tell(self, name: str) -> None:
        """The last answer that came was to this exchange."""
        exchange = self.vendor.flow.exchanges.get(name)
        if exchange is not None and self._answers:
            keys = frozenset[str]().union(*map(keys_read, self.vendor.flow.exchanges.values()))
            self.heard.append({"step": self.step, "exchange": name, **_read(exchange, self._answers[-1], keys)})
        self._answers.clear()


def check_against(
    file: str, base_url: str, settings: tuple[str, ...], *, get: str, yes: bool, refuse: bool, as_json: bool
) -> None:
    """Log in, reuse, renew; show what came. Raises Failed where a step does not end as the file says, AuthFlowError."""
    one = opened(desk := Desk(), file, (*settings, f"base_url={base_url}"), "memory")
    _declared(one.vendor, base_url, {name: value for name, value in one.given.items() if name != "base_url"}, yes=yes)
    witness = _Witness(one.vendor)
    plugins.manager().register(witness)
    try:
        session = one.session(client=witness, clock=witness.clock, store="memory", ask=desk.person)
        for step, work in _steps(session, witness, base_url, get):
            _try(step, work, witness)
        if refuse:
            _try("refuse", lambda: _refused(one.vendor, one.given, witness), witness)
    except Failed as error:
        if witness.statuses[-1:] in ([404], [405]):
            raise Failed(f"{error.message}; is {base_url} the vendor's base URL?", error.exit_code) from None
        raise
    finally:  # an interrupt too leaves what was heard so far
        plugins.manager().unregister(witness)
        if as_json:
            print(json.dumps({"answers": witness.heard, "failed": witness.failed}, indent=1))
        for told in witness.heard if not as_json else ():
            if _line(told) not in witness.failed:  # what ends it is said last
                click.echo(harmless(_line(told)))


def _declared(vendor: Vendor, base_url: str, given: dict[str, Any], *, yes: bool) -> None:
    where = origin_of(base_url)
    if "base_url" in vendor.settings:  # the file leaves it to the user, who has said it
        return
    if not yes and not sends_to(vendor, Given(given), {}, base_url, carries=True):
        raise Failed(
            f"{where} is not an origin of {vendor.name}, and the password would go there: --yes allows it", MISUSED
        )


def _steps(session: AuthSession, witness: _Witness, base_url: str, get: str) -> Iterator[tuple[str, Callable[[], str]]]:
    def reuse() -> str:
        if session._manager.grants.current.presentation.in_body:
            return "not tried: the token goes into the body of a request of yours"
        url = get if "://" in get else folder(base_url) + get
        with fetch(session, Order("GET", url, follow=False)) as reply:
            answer = Answer(reply.status, reply.headers, b"".join(islice(reply.chunks, _CHUNKS)))
        event, _ = judge(session.vendor.answers, answer)
        where = without_query(url) if get else "the base URL"
        if event is not None or (get and answer.status >= _BAD):
            what = f"the token is {event.name}" if event is not None else "nothing good comes"
            more = "" if get else "; --get PATH fetches what the token is good for"
            raise Failed(f"{what} at {where} (status {answer.status}){more}", REFUSED)
        return f"status {answer.status} at {where}"

    def renew() -> str:
        ends, before = session.token().expires_at, session.token().access
        if ends is None:
            return "not tried: nothing says when the token ends"
        witness.ahead = ends - time.time() + _BEYOND
        try:
            return "a new token" if session.token().access != before else "the same token again"
        except CredentialsRefused:
            if not {row.function_name for row in session.vendor.derive.values()} & {"jwt", "now", "totp"}:
                raise
            return "not known: the login says the time, and is refused ahead of it"

    yield "login", lambda: _until(session.login())
    yield "reuse", reuse
    yield "renew", renew


def _until(token: Token) -> str:
    if token.expires_at is None:
        return "good until it is rejected"
    return f"good for {token.expires_at - (token.issued_at or time.time()):.0f} s"


def _refused(vendor: Vendor, given: Given, witness: _Witness) -> str:
    """One login with a wrong secret."""
    secret = next((name for name, entry in vendor.credentials.items() if entry.secret and name in given), None)
    if secret is None:
        return "not tried: no credential is a secret"
    witness.ahead = 0.0
    wrong = AuthSession(vendor, client=witness, **{**dict(given.items()), secret: "a-wrong-secret"})
    try:
        wrong.login()
    except CredentialsRefused as error:
        return f"refused: {error.reason or 'no reason is read'}"
    raise Failed(f"a wrong {secret} was let in, or its refusal was not recognised", REFUSED)


def _try(step: str, work: Callable[[], str], witness: _Witness) -> None:
    """Raises Failed."""
    witness.step = step
    try:
        result, code = work(), 0
    except Failed as error:
        result, code = error.message, error.exit_code
    except AuthFlowError as error:
        result, code = str(error), code_of(error)
        witness.tell(error.exchange)
    witness.heard.append({"step": step, "result": result})
    if code:
        witness.failed.append(f"{step}: {result}")
        raise Failed(witness.failed[-1], code)


# --- what an answer holds ---------------------------------------------------------------------------------------------


def _read(exchange: Exchange, answer: Answer, keys: frozenset[str]) -> dict[str, Any]:
    """The outcome, the names that its pattern took, and what it overlooked. `keys`: what the file reads anywhere."""
    outcome, reasons = judge(exchange.answers, answer)
    took = outcome.captured if outcome is not None else {}
    unread = [f"{name} (cannot be used)" for name in outcome.unread] if outcome is not None else []
    return {
        "status": answer.status,
        "outcome": outcome.name if outcome is not None else f"no pattern fits: {'; '.join(reasons)}",
        "took": sorted(took),
        "overlooked": [*unread, *_overlooked(answer, {str(value) for value in took.values()}, keys)],
    }


def _overlooked(answer: Answer, taken: set[str], keys: frozenset[str]) -> Iterator[str]:
    """What looks as if it said more about the login: named, with numbers shown and all else masked."""
    for name, value in answer.cookies.items():
        if value not in taken:
            yield f"the cookie {name}"
    for name, value in answer.headers:
        if name.lower() != "set-cookie" and _TELLING.search(name) and value not in taken:
            yield f"{name}: {_shown(value)}"
    try:
        document = answer.json
    except ValueError:
        return
    for path, value in _leaves(document, ""):
        key = path.rpartition(".")[2]
        if (key in keys or _TELLING.search(key)) and str(value) not in taken:
            yield f"{path} = {_shown(value)}"


def _leaves(document: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif not isinstance(document, list):
        yield path, document


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, bool | int | float) or re.fullmatch(r"[\d.:TZ+-]{1,30}", str(value))
    return mask_text(str(value), ()) if plain else "***"


def _line(told: dict[str, Any]) -> str:
    if "result" in told:
        return f"{told['step']}: {told['result']}"
    took = ", ".join(told["took"]) or "nothing"
    more = f"; overlooked: {', '.join(told['overlooked'])}" if told["overlooked"] else ""
    return f"  {told['exchange']}: status {told['status']}, {told['outcome']}; took {took}{more}"
