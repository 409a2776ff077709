"""What a store gives is a claim, not a fact: it is judged before anything of it is used.

no record of ours, of another place, granted for other servers      ─▶ None: log in
a state that is no more, a time that is none, a value of a type
that no pattern of the file captures, or one that it needs missing  ─▶ None: log in
another secret got it than this session's, or it leads the token
elsewhere than that secret has got it for, or a secret that
nobody has said yet                                                 ─▶ None: log in, and leave it until then
all else                                                            ─▶ the record, with the names that the file's
                                                                       own patterns capture, and no others
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from authflow.accounts.backoff import CURES
from authflow.accounts.fingerprints import Fingerprint, bound
from authflow.accounts.identity import Identity, secrets
from authflow.accounts.records import MOST_REFUSALS, MOST_SLOTS, WAITS, Record, Refusals
from authflow.accounts.token import END_OF_TIME
from authflow.accounts.trust import leads
from authflow.http import NOTHING
from authflow.templates import PLAIN, Placeholder, Unbound, Unfit, is_token
from authflow.vendors import EXPIRED, Given, Presenting, Signer, Values, Vendor, closure, needs

log: Final = logging.getLogger("authflow")

#: May this value stand there?
Fits = Callable[[Any], bool]

_HASH: Final = re.compile("[0-9a-f]{0,32}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_SLOT: Final = re.compile("[0-9a-f]{16}")


@dataclass(slots=True)
class Claims:
    """Judges the records of one account."""

    vendor: Vendor
    given: Given
    identity: Identity
    fingerprint: Fingerprint

    def __repr__(self) -> str:
        return f"<Claims of {self.vendor.name}>"

    def record(self, key: str, data: bytes) -> tuple[Record | None, Record]:
        """The record that may be used, or None; and what of it is anybody's: its slots, the tokens that are used up."""
        start = Record(self.vendor.flow.start)
        try:
            record = Record.from_bytes(data)
            self._check(key, record)
        except ValueError as error:
            log.warning("%s: the record in the store is not used (%s): logging in again", self.vendor.name, error)
            return None, start
        anybodys = start.replace(slots=record.slots, mark=record.mark, spent=record.spent)
        captured = {name: value for name, value in record.captured.items() if name in captures(self.vendor)}
        signers = {name: record.signers.get(name) for name in self.vendor.signers}
        record = record.replace(captured=captured, signers={name: kept for name, kept in signers.items() if kept})
        if captured and (not self.owns(record) or self._misleads(record)):
            return None, anybodys
        if not self._serves(record):
            log.info("%s: the record in the store can no longer be used: logging in again", self.vendor.name)
            return None, anybodys
        if record.settings != self.identity.settings and captured:
            # Granted with other settings: that may only be where a refresh token was given by hand.
            presents = isinstance(self._state(record), Presenting)
            if "refresh" not in self.given or (presents and EXPIRED not in self._state(record).next):
                return None, anybodys
            record = record.replace(expires_at=record.issued_at if presents else record.expires_at)
        return record, anybodys

    def refusals(self, data: bytes) -> Refusals:
        """What was refused, as far as it can be believed: at worst something is sent once more."""
        try:
            found = Refusals.from_bytes(data)
        except ValueError:
            return Refusals()
        times = (found.changed or 0.0, *found.since, *found.recent, *found.failed)
        steps = range(len(WAITS) + 1)
        fine = found.count in steps and found.failures in steps and bool(found.count) is bool(found.since)
        fine = fine and all(0 <= time <= END_OF_TIME for time in times)
        fine = fine and all(0 <= wait <= WAITS[-1] for wait in (found.wait, found.pause))
        fine = fine and max(len(found.refused), len(times) // 4, len(found.clocks) // 2) <= MOST_REFUSALS
        fine = fine and all(abs(ahead) <= END_OF_TIME for ahead in found.clocks.values())
        fine = fine and all({*secrets} <= {*self.vendor.inputs} for secrets in (*found.refused, found.accepted))
        return found if fine and len(found.users) <= MOST_SLOTS else Refusals()

    def owns(self, record: Record) -> bool:
        """Did the secrets of this session get it, as far as they are known, and for where it leads?"""
        return all(record.owner.get(name) == told for name, told in self.owner(record.captured).items())

    def owner(self, captured: Mapping[str, Any] = NOTHING) -> dict[str, str]:
        """What a record says of the secrets that are known without anybody's being asked."""
        known = {name: self.given.get(name) for name in secrets(self.vendor)}
        return self.told({name: value for name, value in known.items() if not callable(value)}, captured)

    def told(self, known: Mapping[str, Any], captured: Mapping[str, Any] = NOTHING) -> dict[str, str]:
        """What a store is told of secrets: fingerprints, bound to where `captured` leads the token, so that whoever
        writes there and knows no secret leads it nowhere.
        """
        led = {name: captured[name] for name in sorted(leads(self.vendor) & captured.keys())}
        salt = self.identity.salt
        return {name: bound(self.fingerprint(value, salt), led) for name, value in known.items() if value is not None}

    def _misleads(self, record: Record) -> bool:
        """Would a secret be presented, that does not prove this record, where this record leads?"""
        state, own = self._state(record), secrets(self.vendor)
        if not isinstance(state, Presenting) or leads(self.vendor).isdisjoint(record.captured):
            return False
        shown = closure(self.vendor, [placeholder.name for placeholder in state.present.placeholders()])
        given = {name: self.given.get(name) for name in shown if name in self.vendor.inputs}
        return any(
            callable(value) or (name not in own and value is not None and self.vendor.inputs[name].secret)
            for name, value in given.items()
        )

    def _state(self, record: Record) -> Any:
        return self.vendor.flow.states[record.state]

    def _check(self, key: str, record: Record) -> None:
        """Raises ValueError, which shows nothing of the record."""
        if record.key != key:
            raise ValueError("it is another's")
        if record.servers != self.identity.servers:
            raise ValueError("it was granted for other servers")
        if record.state not in self.vendor.flow.states:
            raise ValueError("the vendor file no longer has its state")
        times = (record.issued_at, record.expires_at or 0.0, record.waits_since or 0.0, *record.cures)
        if not all(0 <= time <= END_OF_TIME for time in times) or len(record.cures) > CURES:
            raise ValueError("its times cannot be right")
        if not all(_SLOT.fullmatch(slot) for slot in record.slots) or len(record.slots) > MOST_SLOTS:
            raise ValueError("its slots cannot be right")
        if not all(_HASH.fullmatch(one) for one in (record.mark, record.spent, record.refused_ahead, record.grant)):
            raise ValueError("its hashes cannot be right")
        for name, signer in self.vendor.signers.items():
            if (stored := record.signers.get(name, {})) != {} and not _kept(signer, stored):
                raise ValueError(f"what {name} kept cannot be read")
        known = captures(self.vendor)
        if any(name in known and not _fits(self.vendor, name, value) for name, value in record.captured.items()):
            raise ValueError("a value is of another type than the file captures")

    def _serves(self, record: Record) -> bool:
        """Has it what the present file presents in its state?"""
        state = self._state(record)
        if not isinstance(state, Presenting):
            return True
        sign = state.present.sign
        if sign is not None and sign.name not in record.signers and not _kept(self.vendor.signers[sign.name], {}):
            return not record.captured
        values = Values(self.vendor, self.given, record.captured, record.issued_at)
        names = needs(state.present.placeholders())
        if any(record.captured.get(name) is None and name not in values.bound for name in names):
            return False
        if state.present.json is None and any(_unpresentable(record.captured.get(name)) for name in names):
            return False
        if not self.given.asks:
            try:
                state.present.render(values)
            except (Unbound, Unfit):
                return not record.captured
        return True


def _kept(signer: type[Signer], stored: Any) -> bool:
    try:
        return bool(signer().keeps(stored) == stored)
    except Exception:  # a plugin's signer, and whatever somebody has written
        return False


def _unpresentable(value: Any) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and _CONTROL.search(value) is not None)


# --- what the file's patterns may capture -----------------------------------------------------------------------------


@lru_cache(maxsize=256)
def captures(vendor: Vendor) -> Mapping[str, tuple[Fits, ...]]:
    """The names that an answer may bring, and for each place where it may, whether a value fits there."""
    found: dict[str, list[Fits]] = {}
    answers = [row for exchange in vendor.flow.exchanges.values() for row in exchange.answers]
    for pattern in (*vendor.keep, *(pattern for _, pattern in (*answers, *vendor.answers))):
        for text in (*pattern.headers, *pattern.cookies, *pattern.challenge, *(pattern.form or ())):
            _note(found, text[1], inside=True)
        if pattern.text is not None:
            _note(found, pattern.text, inside=True)
        if pattern.json is not None:
            _note(found, pattern.json, inside=False)
    return {name: tuple(places) for name, places in found.items() if name != "_"}


def _note(found: dict[str, list[Fits]], template: Any, *, inside: bool) -> None:
    for placeholder, within in _placed(template, inside):
        if placeholder.equal:
            continue
        found.setdefault(placeholder.name, []).append(_test(placeholder, inside=within))


def _placed(template: Any, inside: bool) -> Iterator[tuple[Placeholder, bool]]:
    """Each placeholder, and whether it stands inside a text."""
    if isinstance(template, Placeholder):
        yield template, inside
        return
    items = getattr(template, "items", None)
    if items is None:
        yield from ((placeholder, True) for placeholder in template.placeholders())
        return
    for item in items:
        yield from _placed(item[1] if isinstance(item, tuple) else item, inside)


def _test(placeholder: Placeholder, *, inside: bool) -> Fits:
    converter = placeholder.converter
    if converter is PLAIN:
        return _is_text if inside else _is_anything

    def fits(value: Any) -> bool:
        try:
            back = converter.read(converter.write(value))
        except (ValueError, TypeError, OverflowError, OSError):
            return False
        return isinstance(back, str) is isinstance(value, str)

    return fits


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_anything(value: Any) -> bool:
    return True


def _fits(vendor: Vendor, name: str, value: Any) -> bool:
    if name in ("access", "refresh") and not is_token(value):
        return False
    return any(test(value) for test in captures(vendor).get(name, ()))
