"""One renewal, carried out: under the store's lock, each record kept before it is used.

    lock ─ load ─┬─ what another has renewed meanwhile is taken over, without an exchange
                 └─ run the flow: exchange ▸ keep, until a state presents or fails (`run`)

A renewal works in the thread of a flight, never in a caller's. It decides nothing about states (`vendors.flow` does)
and nothing about when to renew (`cache` does).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

from authflow.accounts import Freshness, Kept, Overtaken, Record, StoredRecords, Windows
from authflow.clock import monotonic
from authflow.errors import VendorAnswerError, VendorUnavailable
from authflow.renewing.exchanges import ExchangeSender
from authflow.renewing.people import Ask
from authflow.renewing.run import Run
from authflow.renewing.waiting import Waiting
from authflow.templates import Outcome, Unbound
from authflow.vendors import Failing, Given, Presenting, Transition, Values, Vendor

log: Final = logging.getLogger("authflow")


@dataclass(slots=True)
class Renewal:
    """All that a renewal needs."""

    vendor: Vendor
    given: Given
    stored: StoredRecords
    sender: ExchangeSender
    observe: Callable[[Transition, str, float | None], None]
    ask: Ask | None = None

    def __repr__(self) -> str:
        return f"<Renewal {self.vendor.name}>"

    @property
    def clock(self) -> Callable[[], float]:
        return self.sender.clock

    @property
    def timeout(self) -> float:
        return self.sender.timeout

    def carry_out(
        self,
        key: str,
        presented: Record | None,
        event: Outcome | None = None,
        *,
        account: str = "",
        restart: bool = False,
    ) -> Record:
        """A record in a presenting state, better than `presented`, to which `event` happened (None: it ran out, or is
        the first).

        `account` is the key of the account's own record, where `vary` gives it several: they renew one at a time, and
        heed what was refused to one of them. `restart` logs in from the start, whatever is known. Raises AuthFlowError.
        """
        account, ahead = account or key, event is None and presented is not None and not restart
        self.stored.claims.owner()  # hashed slowly, once: not while others wait for the lock
        with ExitStack() as lock:
            lock.enter_context(self.stored.locked(account, self.timeout))
            deadline = monotonic() + self.timeout
            kept = self.stored.load(key, presented)

            def unlocked(work: Callable[[], Any]) -> Any:
                lock.close()
                try:
                    done = work()
                except Exception:
                    lock.enter_context(self.stored.locked(account, self.timeout))
                    raise
                lock.enter_context(self.stored.locked(account, self.timeout))
                now = self.stored.load(key, None)
                if now.revision != kept.revision:
                    kept.record, kept.revision = now.record, now.revision
                    raise Overtaken
                return done

            self._catch_up(kept, presented)
            shared = kept if account == key else self.stored.load(account, None)
            try:
                if key in self.stored.unsaved:
                    self.stored.keep(key, kept, kept.record)
                if not restart:
                    if self._serves(kept, presented, deadline):
                        return kept.record
                    if event is not None and presented is not None and not _same(kept.record, presented):
                        failed = isinstance(self.vendor.flow.states.get(kept.record.state), Failing)
                        if failed and not presented.grant:
                            kept.record = presented  # what was given was presented once more: nobody renews that
                        elif key != account and (kept.revision is None or kept.foreign):
                            # The event asks for a grant that the account has not had yet: it leads on from this one.
                            kept.record = presented.replace(captured=_without_refresh(presented.captured), slots=())
                        else:
                            event = None
                waiting = Waiting(self.vendor, self.sender.environment, self.ask, unlocked)
                run = Run(self.vendor, self.given, self.stored, self.sender, self.observe, waiting)
                try:
                    return run.carry_out(key, kept, (account, shared), deadline, event, ahead=ahead, restart=restart)
                finally:
                    run.rotation.settled()
            except Overtaken:
                if self._serves(kept, presented, deadline):
                    return kept.record
                message = f"{self.vendor.title}: another process changed the record meanwhile: try again"
                raise VendorUnavailable(message, vendor=self.vendor.name, retry_after=0.0) from None

    def keep(self, key: str, record: Record, account: str) -> None:
        """Store what good answers have made of a grant's values, unless it is another by now. Raises StoreError."""
        with self.stored.locked(account, self.timeout):
            kept = self.stored.load(key, None)
            if not kept.foreign and _same(kept.record, record):
                cures = min(kept.record.cures, record.cures, key=len)
                owner = {**kept.record.owner, **self.stored.claims.owner(record.captured)}
                changed = kept.record.replace(captured=record.captured, expires_at=record.expires_at, cures=cures)
                with suppress(Overtaken):
                    self.stored.keep(key, kept, changed.replace(owner=owner))

    def logout(self, key: str, grant: Record | None, others: Iterable[str] = ()) -> None:
        """Tell the vendor, if the file says how, and forget, the account's `others` and all that its record lists too.
        Raises AuthFlowError if the vendor could not be told.
        """
        with self.stored.locked(key, self.timeout):
            deadline = monotonic() + self.timeout
            kept = self.stored.load(key, grant)
            self._catch_up(kept, grant)
            self.stored.delete(
                {key: None, **dict.fromkeys(others), **{f"{key}-{slot}": None for slot in kept.record.slots}}
            )
            name = self.vendor.on_logout
            if name is not None and kept.record.captured:
                values = Values(self.vendor, self.given, kept.record.captured, self.clock())
                self.sender.begin(kept.record)
                try:
                    self.sender.send(self.vendor.flow.exchanges[name], values, deadline)
                except Unbound:
                    log.debug("%s: nothing to tell the vendor on logout", self.vendor.name)

    def _catch_up(self, kept: Kept, presented: Record | None) -> None:
        """What good answers have brought is stored behind: the store's may be older than what this session presents."""
        if self.vendor.keep and presented is not None and _same(kept.record, presented):
            kept.record = kept.record.replace(captured=presented.captured)

    def _serves(self, kept: Kept, presented: Record | None, deadline: float) -> bool:
        """Is it at rest and fresh, and another than the one that would not do? And is it proved, where `[verify]` asks
        for that: a store's word is none. Raises VendorUnavailable where the keys cannot be had.
        """
        record = kept.record
        if not isinstance(self.vendor.flow.states.get(record.state), Presenting):
            return False
        if presented is not None and _same(record, presented):
            return False
        if Windows.of(record.issued_at, record.expires_at).freshness(self.clock()) is Freshness.MANDATORY:
            return False
        if self.sender.verifier is None or "access" not in record.captured:
            return True
        try:
            values = Values(self.vendor, self.given, record.captured, self.clock())
            self.sender.verifier.verify(record.captured["access"], values, deadline)
        except VendorAnswerError as error:
            log.warning("%s: the record in the store is not used: %s", self.vendor.name, error)
            kept.record, kept.foreign = Record(self.vendor.flow.start), True
            return False
        return True


def _same(one: Record, other: Record) -> bool:
    return one.grant == other.grant and one.state == other.state


def _without_refresh(captured: Mapping[str, Any]) -> dict[str, Any]:
    """A refresh token stays with the grant that has it: it must not be spent for two."""
    return {name: value for name, value in captured.items() if name != "refresh"}
