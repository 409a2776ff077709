"""The half of a simulator that speaks: which outcome a request deserves, and the answer that says so.

An answer pattern is rendered with values of three kinds: what the file or the request says, what the clock says, and
what is new, which the ledger hands out and remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from authflow.http import Answer
from authflow.templates import AnswerPattern, Exchange, Placeholder, judge
from authflow.testing import samples
from authflow.testing.keys import Keys
from authflow.testing.ledger import ACCESS, REFRESH, Account, Family, Ledger
from authflow.vendors import UNAVAILABLE, Failing, Sending, Vendor, needs, refusals, spends_refresh

#: The status that says why, where the pattern leaves a choice.
STATUS: Final = {"malformed": 400, "locked": 403, "forbidden": 403}


class Answering:
    """Renders answers. The attributes are the simulator's."""

    vendor: Vendor
    clock: Callable[[], float]
    skew: float
    ledger: Ledger
    keys: Keys
    rotate: bool
    #: Does it leave out what its file can do without? (`missing` says where the flow goes then.)
    spare: bool
    lifetime: float
    base_url: str
    _settings: dict[str, Any]
    #: By exchange and by the captured name that begins its URL.
    _urls: dict[tuple[str, str], str]
    #: The base URL, and what answers say of its host.
    _hosts: dict[str, Any]

    def now(self) -> float:
        """The vendor's own time, in epoch seconds."""
        return self.clock() + self.skew

    def best(self, exchange: Exchange) -> str:
        """The outcome for a request in which all is right: the one that brings a token, or else the farthest."""

        def rank(outcome: str) -> tuple[bool, bool, bool]:
            captures = frozenset[str]().union(*(item.may_capture for item in exchange.patterns(outcome)))
            states = [s for s in self.vendor.flow.states.values() if isinstance(s, Sending) and s.send == exchange.name]
            fails = any(isinstance(self.vendor.flow.states.get(s.next.get(outcome, "")), Failing) for s in states)
            return ACCESS not in captures, fails, not captures

        outcomes = [name for name in exchange.outcomes if name != UNAVAILABLE and not exchange.waits(name)]
        return min(outcomes, key=rank) if outcomes else UNAVAILABLE

    @property
    def _dispensable(self) -> set[str]:
        states = [state for state in self.vendor.flow.states.values() if isinstance(state, Sending)]
        sends = [self.vendor.flow.exchanges[state.send] for state in states if state.missing is not None]
        return {name for exchange in sends for name in needs(exchange.request.placeholders())} - {REFRESH}

    def _render(
        self,
        exchange: Exchange,
        outcome: str,
        values: Mapping[str, Any],
        family: Family | None,
        account: Account | None,
        *,
        why: str = "",
    ) -> Answer:
        patterns = exchange.patterns(outcome)
        if not patterns:
            return plain(503, "unavailable")
        pattern = patterns[0]
        if exchange.name == self.vendor.on_logout and family is not None:
            family.revoked = True
        filled = self._fill(pattern, values, family, account, exchange)
        answer = pattern.render(filled, status_for(pattern, why))
        if not pattern.needs_body:
            told = plain(answer.status, why or "ok").replace(status=answer.status)
            told = answer.replace(headers=(*answer.headers, *told.headers), body=told.body)
            verdict, _ = judge(exchange.answers, told, values)
            if verdict is not None and verdict.name == outcome:
                return told
        return answer

    def _fill(
        self,
        pattern: AnswerPattern,
        values: Mapping[str, Any],
        family: Family | None,
        account: Account | None,
        exchange: Exchange | None,
    ) -> dict[str, Any]:
        """A value for every placeholder of an answer; what is new is handed out, and remembered."""
        placeholders = {
            placeholder.name: placeholder for placeholder in pattern.placeholders() if placeholder.name != "_"
        }
        known = {**self._settings, **(account.values if account is not None else {}), **self._hosts}
        known.pop(REFRESH, None)  # one that was given is replaced like any other
        filled = {name: known[name] for name in placeholders if name in known}
        now = self.now()
        for name, placeholder in placeholders.items():
            if name in filled or (self.spare and placeholder.optional and name in self._dispensable):
                continue
            told = {"expires_in": self.lifetime, "refresh_in": self.lifetime / 2, "retry_after": 1}
            told |= dict.fromkeys(samples.durations(self.vendor), self.lifetime)
            told |= samples.waits(self.vendor)
            if name == "expires_at" or name in told:
                seconds = now + self.lifetime if name == "expires_at" else told[name]
                filled[name] = int(seconds) if float(seconds).is_integer() or name == "expires_at" else seconds
            elif (url := self._url_after(exchange, pattern, name)) is not None:
                filled[name] = url
            elif name == REFRESH and exchange is not None:
                if not (placeholder.optional and spends_refresh(exchange) and not self.rotate):
                    family = family or self.ledger.found(account)
                    serial, text = self.ledger.secret(name)
                    filled[name] = self._token(text, family, now) if placeholder.kind == "jwt" else text
                    self.ledger.replace_refresh(family, filled[name], serial)
            elif name in values:
                filled[name] = values[name]
            elif placeholder.equal and family is not None and name in family.values:
                filled[name] = family.values[name]
            elif exchange is None and name != ACCESS:
                filled[name] = self._shown(name, placeholder, values)
            if name == ACCESS or (name not in filled and name != REFRESH):
                family = family or self.ledger.found(account)
                filled[name] = self._hand_out(name, placeholder, family, values, now)
        return filled

    def _url_after(self, exchange: Exchange | None, pattern: AnswerPattern, name: str) -> str | None:
        """The URL that an answer sends its reader to: of those that begin with this name, that of the next exchange."""
        users = [user for user, begin in self._urls if begin == name]
        rows = exchange.answers if exchange is not None else self.vendor.answers
        outcome = next((outcome for outcome, row in rows if row is pattern), "")
        states = self.vendor.flow.states
        todo = [
            after[outcome]
            for state in states.values()
            if getattr(state, "send", None) == (exchange and exchange.name)
            and outcome in (after := getattr(state, "next", {}))
        ]
        seen = set[str]()
        while todo:
            here = states.get(todo.pop(0))
            if here is None or here.name in seen:
                continue
            seen.add(here.name)
            if isinstance(here, Sending) and here.send in users:
                return self._urls[here.send, name]
            todo += getattr(here, "next", {}).values()
        return self._urls[users[0], name] if users else None

    def _shown(self, name: str, placeholder: Placeholder, values: Mapping[str, Any]) -> Any:
        """A value for anybody to see: the part of the data that a request asked for, or a nonce."""
        where = values.get("_scope")
        text = f"{name}-{where}" if name in self.vendor.vary and where else self.ledger.secret(name)[1]
        value = samples.captured(placeholder, text)
        self.ledger.open.add((name, str(value)))
        return value

    def _hand_out(
        self, name: str, placeholder: Placeholder, family: Family, values: Mapping[str, Any], now: float
    ) -> Any:
        serial, text = self.ledger.secret(name)
        if name != ACCESS:
            shown = name in samples.encrypts_with(self.vendor)
            value = samples.public_key() if shown else samples.captured(placeholder, text)
            self.ledger.hand_out(name, value, family, serial)
            return value
        if placeholder.kind == "jwt" or self.vendor.verify is not None:
            text = self._token(text, family, now)
        scope = {key: str(values[key]) for key in self.vendor.vary if key in values}
        self.ledger.hand_out(name, text, family, serial, ends=now + self.lifetime, scope=scope)
        return text

    def _token(self, name: str, family: Family, now: float) -> str:
        """A JWT, which says whose it is and when it ends."""
        claims = {"sub": f"account-{family.number}", "jti": name, "iat": now, "exp": now + self.lifetime}
        known = {**self._settings, **(family.account.values if family.account else {}), **family.values, **self._hosts}
        return self.keys.sign(claims, known)

    def _refusal(self, exchange: Exchange, why: str) -> Answer:
        """The exchange's own way to say no, or a plain one where the file has none."""

        def rank(outcome: str) -> tuple[bool, int]:
            statuses = [min(item.status or (200,)) for item in exchange.patterns(outcome)]
            captures = frozenset[str]().union(*(item.may_capture for item in exchange.patterns(outcome)))
            return min(statuses) < 400, len(captures)

        if why == "method":
            return plain(405, "method_not_allowed")
        good = self.best(exchange)
        said = sorted((name for name in refusals(exchange) if name != good), key=rank)
        if not said:
            return plain(STATUS.get(why, 401), why)
        return self._render(exchange, said[0], {}, None, None, why=why)


def plain(status: int, error: str) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), msgspec.json.encode({"error": error}))


def status_for(pattern: AnswerPattern, why: str) -> int | None:
    """The status that says why, if the pattern has it; 401 for any other no, where it may be."""
    statuses = pattern.status or frozenset()
    for wanted in (STATUS.get(why), 401 if why else None):
        if wanted in statuses:
            return wanted
    return None
