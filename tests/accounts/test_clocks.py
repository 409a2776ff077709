"""By how much a clock is ahead of the one that refusals go by: `accounts.clocks`, row by row."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from authflow.accounts import Met, Refusals, clocks, met, when, with_clock

NEW = Met("", 0.0, -math.inf)
TOLD = 1_800_000_000.0
WAITS = {1: 60.0, 2: 600.0, 3: 3600.0}


def clock(reads: float) -> Callable[[], float]:
    return lambda: reads


def refused(told: Callable[[], float], count: int = 1) -> Refusals:
    """As the session wrote it whose clock that is."""
    known = Refusals(count=count, since=(told(),), wait=WAITS[count], refused=({"password": "ff"},))
    return with_clock(known, NEW, told)


def passed(known: Refusals, reads: Callable[[], float], before: Met = NEW) -> float:
    now = reads()
    return now - met(known, before, reads, now).ahead - known.last


def test_nothing_is_known_of_nothing() -> None:
    reads = clock(TOLD)
    assert with_clock(Refusals(), NEW, reads) == Refusals()
    assert met(Refusals(), NEW, reads, TOLD) == Met("", 0.0, TOLD)


def test_it_goes_by_the_clock_that_wrote_first_and_knows_the_others() -> None:
    first, second = clock(TOLD), clock(TOLD + 7200)
    known = refused(first)
    found = met(known, NEW, second, second())
    both = with_clock(known, found, second)
    assert both.axis == known.axis != ""
    assert sorted(both.clocks.values()) == [0.0, found.ahead]
    assert with_clock(both, found, second) is both


def test_what_a_session_has_met_it_remembers() -> None:
    known = refused(clock(TOLD))
    assert passed(known, clock(TOLD + 100), Met(known.axis, 90.0, 0.0)) == 10.0


@pytest.mark.parametrize("count", WAITS)
def test_another_clock_of_this_process_is_believed_for_two_waits(count: int) -> None:
    told = clock(TOLD)
    known = refused(told, count)
    assert passed(known, clock(TOLD + 7200)) == {1: 60.0, 2: 600.0, 3: 0.0}[count]
    assert passed(known, clock(TOLD + 2)) == 2.0  # it is the same, two seconds later
    assert passed(known, clock(TOLD - 7200)) == 0.0


@pytest.mark.parametrize("count", WAITS)
def test_another_process_of_this_machine_is_known_by_what_it_reads(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_uptime", lambda: 5000.0)
    known = refused(clock(TOLD), count)
    monkeypatch.setattr(clocks, "_process", lambda: "another")
    monkeypatch.setattr(clocks, "_uptime", lambda: 12_200.0)
    assert passed(known, clock(TOLD + 7200)) == 7200.0
    assert passed(known, clock(TOLD + 14_400)) == {1: 60.0, 2: 600.0, 3: 0.0}[count]


def test_another_machine_is_believed_unless_it_knows_better(monkeypatch: pytest.MonkeyPatch) -> None:
    known = refused(clock(TOLD), 3)
    monkeypatch.setattr(clocks, "_process", lambda: "another")
    monkeypatch.setattr(clocks, "_MACHINE", "elsewhere")
    assert passed(known, clock(TOLD + 7200)) == 7200.0
    looked = met(Refusals(), NEW, clock(TOLD + 7100), TOLD + 7100)
    assert passed(known, clock(TOLD + 7200), looked) == 100.0  # it was not there then


def test_what_has_happened_is_never_ahead() -> None:
    known = refused(clock(TOLD))
    behind = met(known, Met(known.axis, 0.0, 0.0), clock(TOLD - 100), TOLD - 100)
    assert behind.ahead == -100.0
    assert passed(known, clock(TOLD - 60), behind) == 40.0


def test_what_happens_is_no_longer_ago_by_the_other_clocks_here() -> None:
    """One that is believed for a minute writes when its second attempt was; by the first clock an hour has passed."""
    reads = [TOLD]
    first, second = (lambda: reads[0]), (lambda: reads[0] - 86_400)
    known = refused(first)
    reads[0] += 3600
    found = met(known, NEW, second, second())
    assert second() - found.ahead == TOLD
    assert when(known, found, second()) == TOLD + 3600
    later = known.replace(since=(when(known, found, second()),))
    assert passed(later, first, Met(known.axis, 0.0, TOLD)) == 0.0


def test_a_reading_that_is_no_number_counts_for_nothing() -> None:
    for since in ("inf", "nan", "x"):
        known = refused(clock(TOLD)).replace(clocks={f"another 1 {clocks._MACHINE} {since}": 0.0})
        assert when(known, Met(known.axis, 0.0, TOLD), TOLD + 5) == TOLD + 5


def test_so_many_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [clock(TOLD + 1000 * number) for number in range(2 * clocks.MOST)]
    known = refused(readings[0])
    for reads in readings:
        known = with_clock(known, met(known, NEW, reads, reads()), reads)
    assert len(known.clocks) == clocks.MOST


@pytest.mark.parametrize("name", ["", "a b", "a b c d e", "ME x here 0", "a 1 b"])
def test_a_name_that_is_none_names_nobody(name: str) -> None:
    known = refused(clock(TOLD)).replace(clocks={name.replace("ME", clocks._process()): 5.0})
    assert passed(known, clock(TOLD + 100)) == 95.0
