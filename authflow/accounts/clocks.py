"""By how much is this clock ahead of the one that an account's refusals go by? Those of two hosts may be days apart.

    met before by this session   so much as then
    known by its name            so much as the record says: another session of this process has this clock, or another
                                 process of this machine has one as far ahead of the time since the machine's start
    an unknown one               like the known one by which the least time has passed
    … and not like another here  that is believed for the first two waits, and for no more than them; from then on no
                                 time counts but what this one has seen pass

So a wait is a duration. What has happened is never in the future: whose clock says so is counted anew from there.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from math import isfinite
from typing import Any, Final, NamedTuple

from authflow.accounts.records import MOST_REFUSALS, WAITS, Refusals

Clock = Callable[[], float]
#: Two clocks are alike that are no further apart, in seconds.
ALIKE: Final = 5.0
#: So many clocks are known at most.
MOST: Final = 2 * MOST_REFUSALS

_PROCESS: Final = os.urandom(4).hex()
#: Those of this process; each reads something else.
_CLOCKS: Final[dict[int, Callable[[], Clock | None]]] = {}


class Met(NamedTuple):
    """By how much a clock is ahead of an axis, and what it read when the session looked last; times are seconds."""

    axis: str
    ahead: float
    looked: float


def met(known: Refusals, before: Met, clock: Clock, now: float) -> Met:
    """What holds for this clock at its `now`."""
    if not known.axis:
        return Met("", 0.0, now)
    last, ahead = known.last, before.ahead
    if known.axis != before.axis:
        ahead = _ahead(known, last, clock, now)
        if now - ahead > last + now - before.looked + ALIKE:  # it was not there then
            ahead = before.looked - last
    return Met(known.axis, min(ahead, now - last), now)


def _ahead(known: Refusals, last: float, clock: Clock, now: float) -> float:
    alike, apart = _known_as(known, clock, now)
    if alike:
        return known.clocks[alike]
    ahead = max((one for one in known.clocks.values() if now - one >= last), default=now - last)
    if apart:
        ahead = max(ahead, now - last - (known.wait if known.count < len(WAITS) else 0.0))
    return ahead


def with_clock(known: Refusals, found: Met, clock: Clock) -> Refusals:
    """They go by this clock, if by none yet; and know by how much it is ahead."""
    if known == Refusals():
        return known
    now = clock()
    alike, _ = _known_as(known, clock, now)
    if known.axis and alike and abs(known.clocks[alike] - found.ahead) < 1:
        return known
    name = alike or _name(clock, now)
    others = [one for one in known.clocks.items() if one[0] != name][1 - MOST :]
    return known.replace(axis=known.axis or os.urandom(4).hex(), clocks=dict([*others, (name, found.ahead)]))


def when(known: Refusals, found: Met, now: float) -> float:
    """The time of what happens at this clock's `now`, by the latest of the clocks here: or for those it would be long
    ago.
    """
    here = [(_read(name), ahead) for name, ahead in known.clocks.items()]
    return max(now - found.ahead, *(read - ahead for read, ahead in here if read is not None), 0.0)


def _known_as(known: Refusals, clock: Clock, now: float) -> tuple[str, bool]:
    """The name of this clock, if it has one; else, is there one here that reads something else?"""
    here = {name: read for name in known.clocks if (read := _read(name)) is not None}
    alike = next((name for name, read in here.items() if abs(read - now) <= ALIKE), "")
    return alike, bool(here) and not alike


def _read(name: str) -> float | None:
    """What a clock of this process, or of this machine, reads now; None for others'."""
    with suppress(ValueError):
        process, number, machine, since = name.split()
        if process == _process():
            clock = _CLOCKS.get(int(number), lambda: None)()
            return None if clock is None else clock()
        if machine == _MACHINE and isfinite(float(since)):
            return _uptime() + float(since)
    return None


def _name(clock: Clock, now: float) -> str:
    for number in [number for number, known in _CLOCKS.items() if known() is None]:
        _CLOCKS.pop(number, None)
    number = next((number for number, known in _CLOCKS.items() if known() is clock), max(_CLOCKS, default=0) + 1)
    with suppress(TypeError):
        _CLOCKS[number] = weakref.ref(clock)
    return f"{_process()} {number} {_MACHINE} {now - _uptime():.0f}"


def _process() -> str:
    return f"{_PROCESS}-{os.getpid()}"


def _uptime() -> float:
    """Seconds since the machine's start, its sleep included, by a clock that nobody sets."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()


def _machine() -> str:
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as told:
        return told.read().strip()
    import platform

    return platform.node().replace(" ", "-") or "here"


_BOOTTIME: Final[Any] = getattr(time, "CLOCK_BOOTTIME", None)
_MACHINE: Final = _machine()
