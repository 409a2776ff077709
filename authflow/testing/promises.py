"""The promises (DESIGN §7) as something that watches: told of every event on the stage, it notes each one broken.

    told of       an exchange sent and answered, a record kept, a token presented, a request ended, a process killed
    knows         which refresh tokens are spent, what was refused and until when, which grants were kept
    notes         "promise 2: …" in `broken`; the machine fails with the first

It reads what went over the wire and what was stored, never what a session thinks.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from authflow.accounts import Record, presents_at, sends_to
from authflow.errors import AuthFlowError, StoreError, UntrustedOrigin
from authflow.http import Request, origin_of
from authflow.templates import Exchange, Outcome
from authflow.testing.ledger import ACCESS, REFRESH, Refused
from authflow.vendors import EXPIRED, UNAVAILABLE, Failing, Given, Presenting, Sending, rotates, spends_refresh

if TYPE_CHECKING:
    from authflow.testing.clock import Clock
    from authflow.testing.shared_store import SharedStore
    from authflow.testing.simulator import Simulator
    from authflow.testing.stage import Process

PROMISES: Final = {
    1: "one exchange at a time",
    2: "no refresh token is reused",
    3: "a refused password is not sent again",
    4: "secrets stay home",
    5: "every request ends",
    6: "no waiting for a refresh that could have been done ahead, no failure while a token is still good",
    7: "granted means kept",
    8: "a cancelled caller loses nothing",
    9: "no silent resend",
    10: "errors say what to do",
    11: "nobody is given another's token",
}

# What was promised in figures stands here once more: the code's own constants may be wrong.
#: After refusals in a row nothing is sent to the account for so long, in seconds; an exception is, once an hour. A day
#: without a refusal ends the row.
WAITS, HOUR, DAY = (60.0, 600.0, 3600.0), 3600.0, 86400.0
MOST_REFUSED = 4
#: So many exchanges a minute for a token that is good and rejected all the same.
MOST_CURES = 7
#: By so much do the clocks of processes differ at most, in seconds.
SKEW_MOST = 30.0
#: Only so shortly before its end does a token make anybody wait: seconds, or a part of its life.
MANDATORY, MANDATORY_PART = 10.0, 0.05
#: Earlier than this part of its life before its end, nobody renews a token.
ADVISORY_PART = 0.1


def usable(record: Record, now: float, idle: tuple[float, float] | None = None) -> bool:
    """May a request carry this grant, without waiting for another? `idle`: its last good use, and for how many seconds
    it lives from there.
    """
    begins, ends = (record.issued_at, record.expires_at) if idle is None else (idle[0], sum(idle))
    return ends is None or now < ends - min(MANDATORY, (ends - begins) * MANDATORY_PART)


def fresh(record: Record, now: float) -> bool:
    """Is it too early to renew this grant?"""
    return record.expires_at is None or now < record.expires_at - (record.expires_at - record.issued_at) * ADVISORY_PART


@dataclass(slots=True, eq=False)
class Errand:
    """One request of a caller's: what it is, how often it went out, and how it ended."""

    number: int
    process: Process
    kind: str
    one_shot: bool = False
    sends: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    cancelled: bool = False
    result: int | BaseException | None = None
    good_at_start: str | None = None

    def __repr__(self) -> str:
        return f"request {self.number} of {self.process}"


@dataclass(slots=True)
class _Refusals:
    """An account's: which credentials, and when by the true clock; what was accepted last, and the hour's exception."""

    credentials: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    count: int = 0
    accepted: dict[str, Any] = field(default_factory=dict)
    changed: float = -math.inf

    @property
    def until(self) -> float:
        return self.times[-1] + WAITS[self.count - 1] if self.times else 0.0

    def excepted(self, credentials: dict[str, Any], now: float) -> bool:
        new = not any(_agree(refused, credentials) for refused in self.credentials) and now - self.changed >= HOUR
        return _agree(self.accepted, credentials) or new

    def note(self, credentials: dict[str, Any], now: float, *, forced: bool) -> None:
        if now < self.until - SKEW_MOST and not forced:  # else it was over by somebody's clock
            self.changed = now
        self.count = 1 if not self.times or now - self.times[-1] >= DAY else min(self.count + 1, len(WAITS))
        self.times.append(now)
        self.credentials.append(credentials)
        self.accepted = {} if _agree(self.accepted, credentials) else self.accepted


def _agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Are those secrets the same that both have? A login of several steps proves one after the other."""
    return not one.keys().isdisjoint(other) and all(other.get(name, value) == value for name, value in one.items())


class Watcher:
    """Watches one stage. `broken` holds what was seen of broken promises, in the order in which it happened."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator, self.clock = simulator, clock
        self.vendor = simulator.vendor
        self.broken: list[str] = []
        self.story: list[str] = []
        self.store: SharedStore | None = None
        self.spent: set[str] = set()
        self.unsaved: dict[Process, set[str]] = {}
        self._serve: set[str] = set()  # refresh tokens, whatever a process thinks of one whose store failed
        self.saved_access: set[str] = set()
        self.rejected: set[str] = set()
        self.refusals: dict[str, _Refusals] = defaultdict(_Refusals)
        self._in_flight: dict[str, Process] = {}
        self._sent_credentials: dict[Process, dict[str, Any]] = {}
        self._granted: dict[Process, str] = {}
        self._last: dict[str, Record] = {}
        self._omitted: dict[Process, str] = {}
        self._owner: dict[str, dict[str, Any]] = {}
        self._inputs = dict(simulator.inputs)
        self._failed: dict[Process, tuple[dict[str, Any], float]] = {}
        self._cures: dict[str, list[float]] = defaultdict(list)
        #: Of a process that renews a good token: when. What comes to nothing, or cannot be kept, is no cure.
        self._curing: dict[Process, float] = {}
        self._forced: set[Process] = set()
        #: What users gave for a refresh token: a password, whatever it is called.
        self._given = {self.simulator.inputs.get(REFRESH)}
        self._renewal_sends: Counter[Process] = Counter()
        self._cause: dict[Process, str] = {}
        self._sent: dict[Process, str] = {}
        self._ahead: set[str] = set()
        spends = [spends_refresh(exchange) for exchange in self.vendor.flow.exchanges.values()]
        #: Is there another way in than a refresh token? Then one is passed over that may be used up.
        self._another = sum(not one for one in spends) > (self.vendor.on_logout is not None)
        self._marks = self._another and any(map(rotates, self.vendor.flow.exchanges.values()))

    def breaks(self, number: int, how: str) -> None:
        line = f"promise {number} ({PROMISES[number]}): {how}"
        self.story.append(line)
        self.broken.append(line)

    def tell(self, line: str) -> None:
        self.story.append(line)

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def sending(
        self,
        process: Process,
        exchange: str,
        values: Mapping[str, Any],
        request: Request,
        secret: dict[str, Any],
    ) -> str:
        """An exchange goes out, which proves these secrets. Returns the key under whose lock it does."""
        key = self._key(process)
        self.tell(f"{process} sends {exchange}")
        if key in self._in_flight:
            self.breaks(1, f"{process} sends {exchange} while {self._in_flight[key]} still waits for an answer")
        self._in_flight[key] = process
        self._renewal_sends[process] += 1
        most = sum(1 for state in self.vendor.flow.states.values() if isinstance(state, Sending)) + 1
        if self._renewal_sends[process] > most * (3 if self.vendor.hears else 1):
            self.breaks(5, f"{process} sends a {self._renewal_sends[process]}th exchange in one renewal")
        if exchange != self.vendor.on_logout:
            self._needless(process, exchange, key, secret)
        refresh = values.get(REFRESH)
        self._given.add(self.simulator.inputs.get(REFRESH))
        if refresh in self._given:
            refresh = None
        if refresh is not None and (refresh in self.spent or refresh in self.unsaved.get(process, set()) - self._serve):
            self.breaks(2, f"{process} sends {exchange} with a refresh token that was replaced, refused or lost")
        sent = self.vendor.flow.exchanges.get(exchange)
        if refresh is not None and sent is not None and rotates(sent) and self._another:
            self._sent[process] = str(refresh)
        if secret:
            secret = self._sent_credentials[process] = {**self._sent_credentials.get(process, {}), **secret}
            before, now = self.refusals[key], self.clock()
            excused = process in self._forced or refresh is not None or before.excepted(secret, now)
            if now < before.until - SKEW_MOST and not excused:
                wait = before.until - now
                self.breaks(3, f"{process} sends {exchange} after a refusal, {wait:.0f} s too early")
        given, captured = Given(self.simulator.inputs), self._captured_urls()
        if not sends_to(self.vendor, given, captured, request.url, carries=bool(secret)):
            self.breaks(4, f"{process} sends {exchange} to {origin_of(request.url)}")
        return key

    def _captured_urls(self) -> dict[str, str]:
        return {"base_url": self.simulator.base_url}

    def _is_secret(self, name: str) -> bool:
        entry = self.vendor.inputs.get(name)
        return entry is not None and entry.secret

    def _needless(self, process: Process, exchange: str, key: str, secret: dict[str, Any]) -> None:
        """Was there a fresh token in the store, which nobody had rejected, and which these secrets had got?"""
        assert self.store is not None
        record = self._stored(key)
        if record is None or process in self._forced or self._renewal_sends[process] > 1:
            return
        if secret and self._owner.get(key, secret) != secret:  # another password's grant is not for this one
            return
        unseen = not secret and self.simulator.inputs != self._inputs  # which password this one has
        if unseen or self.vendor.idle is not None:  # another process's use keeps a token alive, and nobody can know
            return
        access = str(record.captured.get(ACCESS, ""))
        cure = access in self.rejected and self._cause.get(process) != EXPIRED
        if cure and self._good(access) and not self.vendor.vary:
            times = self._cures[key] = [when for when in self._cures[key] if when > self.clock() - 60.0]
            times.append(self.clock())
            self._curing[process] = times[-1]
            if len(times) > MOST_CURES:
                self.breaks(1, f"{process} sends {exchange}, the {len(times)}th within a minute, for a good token")
        if access in self.rejected or not isinstance(self.vendor.flow.states.get(record.state), Presenting):
            return
        if fresh(record, self.clock()) and self._good(access) and self.simulator.keys.proves(access):
            self.breaks(1, f"{process} sends {exchange} although the store holds a fresh token of another's flight")

    def _stored(self, key: str) -> Record | None:
        assert self.store is not None
        record = self.store.records.get(key)
        try:
            return Record.from_bytes(record.data) if record is not None else None
        except ValueError:
            return None

    def _good(self, access: str) -> bool:
        try:
            self.simulator.ledger.check_access(access, self.simulator.now())
        except Refused:
            return False
        return True

    def finished(self, key: str) -> None:
        """An exchange is over, whether its answer came or not."""
        if (process := self._in_flight.pop(key, None)) is not None:
            self._sent.pop(process, None)

    def answered(
        self,
        process: Process,
        key: str,
        exchange: Exchange,
        values: Mapping[str, Any],
        outcome: Outcome | None,
        *,
        plain: bool = False,
    ) -> None:
        """An answer reached a living process; `outcome` is None where no pattern fits or none came at all. `plain`: it
        plainly granted nothing.
        """
        if outcome is None or ACCESS not in outcome.captured:
            self.is_no_cure(process)
        refresh = values.get(REFRESH)
        refresh = None if refresh in self._given else refresh  # its user has it still
        name = outcome.name if outcome is not None else "nothing that fits"
        self.tell(f"{process} hears {name} to {exchange.name}")
        if outcome is not None and outcome.wait is not None:  # the vendor wants to be asked again
            self._renewal_sends[process] -= 1
        if refresh is not None and spends_refresh(exchange):
            if outcome is None:
                spent = rotates(exchange) and self._another and not plain
            elif ACCESS in outcome.captured:
                spent = outcome.captured.get(REFRESH) not in (None, refresh)
                if outcome.captured.get(REFRESH) is None:
                    self._omitted[process] = str(refresh)
                if not spent:
                    self._serve.add(str(refresh))
            else:
                spent = outcome.name != UNAVAILABLE
                record = self._stored(key)
                ends = record.expires_at if record is not None else None
                ahead = ends is not None and self.clock() < ends + SKEW_MOST
                if spent and ahead and self._cause.get(process) == EXPIRED:  # it may be tried once more
                    spent = str(refresh) in self._ahead
                    self._ahead.add(str(refresh))
            if spent:
                self._serve.discard(str(refresh))
                self.unsaved.setdefault(process, set()).add(str(refresh))
        if outcome is not None and ACCESS in outcome.captured:
            if process in self._sent_credentials:
                sent = self._owner[key] = self._sent_credentials[process]
                known = self.refusals[key]
                known.credentials = [other for other in known.credentials if not _agree(other, sent)]
                known.accepted = sent
            if outcome.captured[ACCESS] not in self.simulator.keys.forged:
                self._granted[process] = str(outcome.captured[ACCESS])
            if outcome.captured.get(REFRESH) is not None:
                self._omitted.pop(process, None)

    def told_later(self, process: Process, status: int) -> None:
        """The vendor cannot answer now. What a 500 answers may be sent once more, and both count as one."""
        self._renewal_sends[process] -= status == 500
        self.is_no_cure(process)

    def is_no_cure(self, process: Process) -> None:
        """A renewal has brought nothing: that the vendor is away says nothing of a path's being forbidden."""
        when = self._curing.pop(process, None)
        for times in self._cures.values():
            if when in times:
                times.remove(when)
                return

    def unproved(self, process: Process) -> None:
        """What `process` was granted can be used by nobody: the keys that would prove it cannot be had."""
        self.tell(f"{process} cannot have the vendor's keys")
        self._granted.pop(process, None)
        self._omitted.pop(process, None)

    def moved(self, process: Process, before: str, event: str, after: str) -> None:
        """A renewal of `process` went along an edge of the flow."""
        self.tell(f"{process}: {before} --{event}--> {after}")
        if isinstance(self.vendor.flow.states[before], Presenting):
            self._cause[process] = event
        if isinstance(self.vendor.flow.states[after], Failing) and process in self._sent_credentials:
            self._failed[process] = self._sent_credentials[process], self.clock()

    def _key(self, process: Process) -> str:
        assert self.store is not None
        return self.store.held_by(process) or ""

    # --- the store ----------------------------------------------------------------------------------------------------

    def saved(self, process: Process, key: str, data: bytes) -> None:
        """Something was kept: a record; or what was refused, which tells of no grant."""
        try:
            record = Record.from_bytes(data)
        except ValueError:
            self._keeps_no_credential(process, data, set())
            if process in self._failed:
                known = self.refusals[self._key(process)]
                known.note(*self._failed.pop(process), forced=process in self._forced)
                late = [when for when in known.times if when > self.clock() - HOUR]
                if len(late) > MOST_REFUSED and process not in self._forced:
                    self.breaks(3, f"{process} is refused, the {len(late)}th within an hour")
            return
        self.spent |= (believed := self.unsaved.pop(process, set())) - self._serve
        self.saved_access.add(str(record.captured.get(ACCESS, "")))
        brought = {str(value) for value in record.captured.values()}  # a vendor may hand a credential out again
        self._keeps_no_credential(process, data, brought)
        before, self._last[key] = self._last.get(key), record
        had = before.captured.get(REFRESH) if before is not None and process not in self._forced else None
        marked = before is not None and before.mark
        gone = had is not None and record.captured.get(REFRESH) is None and not marked
        if gone and had not in self.spent | self._ahead | believed:
            self.breaks(2, f"{process} throws a refresh token away that nobody has refused")
        if (refresh := self._omitted.pop(process, None)) is not None and record.captured.get(REFRESH) != refresh:
            self.breaks(2, f"{process} forgets a refresh token that an answer had only left out")

    def _keeps_no_credential(self, process: Process, data: bytes, brought: set[str]) -> None:
        for value in self.secrets():
            if value.encode() in data and value not in self._tokens() | brought:
                self.breaks(4, f"{process} keeps a credential in the store")

    def store_failed(self, process: Process, kind: str) -> None:
        """The store failed a process: what could not be kept is not missed."""
        self.tell(f"{process} cannot {kind}: the store fails")
        if kind == "save":
            if process in self._forced:
                self._last.pop(self._key(process), None)
            self.is_no_cure(process)
            for table in (self._granted, self._omitted, self._failed):
                table.pop(process, None)

    def forked(self, process: Process, child: Process) -> None:
        """The child knows what its parent knows."""
        self.tell(f"{process} forks: {child}")
        self.unsaved[child] = set(self.unsaved.get(process, ()))
        if self._renewal_sends[process] and not self._marks:  # the child carries no renewal on
            self._serve |= self.unsaved[child]

    def store_lost(self) -> None:
        """Somebody took the records away: what was remembered in them nobody can know."""
        for table in (self.refusals, self._last, self._cures):
            table.clear()

    def logged_out(self) -> None:
        """The account's record is gone, and in it what had been renewed for rejections."""
        self._cures.clear()

    # --- renewals -----------------------------------------------------------------------------------------------------

    def forced(self, process: Process, *, on: bool) -> None:
        """The user asked `process` to log in, whatever is known."""
        self._forced.add(process) if on else self._forced.discard(process)
        self._renewal_sends[process] = 0

    def renewed(self, process: Process, error: BaseException | None) -> None:
        """A renewal of a living process is over."""
        granted = self._granted.pop(process, None)
        self._sent_credentials.pop(process, None)
        if isinstance(error, StoreError):  # nobody else can know of it
            self._failed.pop(process, None)
        if error is None and granted is not None and granted not in self.saved_access:
            self.breaks(7, f"{process} was granted a token and did not keep it")
        if error is not None and not isinstance(error, AuthFlowError):
            self.breaks(10, f"a renewal of {process} ended with {type(error).__name__}: {error}")
        self._renewal_sends[process] = 0
        self._omitted.pop(process, None)

    def died(self, process: Process) -> None:
        """A process was killed: what it alone knew is gone."""
        self.tell(f"{process} is killed")
        if self._marks:  # else what may be used up is sent once more: there is nothing left to lose
            self.spent |= (self.unsaved.get(process, set()) | {self._sent.pop(process, "")}) - {"", *self._serve}
        self.is_no_cure(process)
        mine: list[dict[Process, Any]] = [self.unsaved, self._granted, self._omitted, self._failed]
        for table in (*mine, self._sent_credentials):
            table.pop(process, None)
        self._in_flight = {key: holder for key, holder in self._in_flight.items() if holder is not process}
        self._forced.discard(process)
        self._renewal_sends[process] = 0

    # --- the caller's requests ----------------------------------------------------------------------------------------

    def presented(self, errand: Errand, request: Request, values: Mapping[str, Any]) -> None:
        """A caller's request goes out with these values on it."""
        errand.sends[request.url.partition("?")[0]] += 1
        self.tell(f"{errand} goes out ({errand.kind})")
        most = 3 if self.vendor.hears else 2
        if max(errand.sends.values()) > most:
            self.breaks(5, f"{errand} is sent {most + 1} times")
        if errand.one_shot and sum(errand.sends.values()) > 1:
            self.breaks(9, f"{errand} has a body that cannot be replayed, and is sent again")
        access = values.get(ACCESS)
        if access is not None and str(access) not in self.saved_access:
            self.breaks(7, f"{errand} carries a token that is in no store")
        if access in self.simulator.keys.forged:
            self.breaks(10, f"{errand} carries a token that does not verify, and nobody was told")
        if origin_of(request.url) not in presents_at(self.vendor, Given(self.simulator.inputs), self._captured_urls()):
            self._leaks(f"{errand} to {origin_of(request.url)}", _wire(request))

    def rejected_with(self, errand: Errand, values: Mapping[str, Any]) -> None:
        errand.rejected += 1
        self.tell(f"{errand} is rejected")
        if ACCESS in values:
            self.rejected.add(str(values[ACCESS]))

    def ended(self, errand: Errand, base: type[Exception], own: bool) -> None:
        """A caller's request is over. `own`: a fault befell the request itself, so that its error is the client's."""
        error = errand.result
        what = str(error) if isinstance(error, int) else type(error).__name__
        self.tell(f"{errand} ends: {what}")
        if not isinstance(error, BaseException) or errand.cancelled:
            return
        seen: list[str] = []
        cause: BaseException | None = error
        while cause is not None and len(seen) < 10:
            seen += [str(cause), repr(cause)]
            cause = cause.__cause__
        self._leaks(f"the error of {errand}", "\n".join(seen))
        if not isinstance(error, base) or not (own or isinstance(error, AuthFlowError)):
            self.breaks(10, f"{errand} ends with {type(error).__name__}, which is no {base.__name__}: {error}")
        good = errand.good_at_start
        failed = isinstance(error, AuthFlowError) and not isinstance(error, UntrustedOrigin)
        if failed and good is not None and not errand.rejected and self._good(good):
            self.breaks(6, f"{errand} fails with {type(error).__name__} while its token is good")

    def secrets(self) -> list[str]:
        """Everything that must not be seen."""
        values = [value for name, value in self.simulator.inputs.items() if self._is_secret(name)]
        for account in self.simulator.ledger.accounts:
            values += [value for name, value in account.values.items() if self._is_secret(name)]
        return [str(value) for value in values] + sorted(self._tokens())

    def _tokens(self) -> set[str]:
        return (self.saved_access | self.spent) - {""}

    def _leaks(self, where: str, text: str) -> None:
        if any(value and value in text for value in self.secrets()):
            self.breaks(4, f"a secret goes with {where}")


def _wire(request: Request) -> str:
    head = "\n".join(f"{name}: {value}" for name, value in request.headers)
    return "\n".join([request.url, head, (request.body or b"").decode("utf-8", "replace")])
