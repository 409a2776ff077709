"""Faults by name: the notation, where they strike, and how often."""

from __future__ import annotations

import pytest

from authflow.http import Answer, Request
from authflow.testing import Clock, Fault, Simulator
from authflow.testing.faults import Broken, names


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("503", Fault("503")),
        ("503:0.1", Fault("503", rate=0.1)),
        ("429=30@refresh:x3", Fault("429", 30.0, "refresh", 3)),
        ("timeout-after@exchange", Fault("timeout-after", at="exchange")),
        ("skew=-600", Fault("skew", -600.0)),
        ("418", Fault("418")),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert Fault.parse(text) == fault


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "503:1.5", "302", "503@", "503 503", "revoke", "429=soon", "429=1-1", "503:x0",
     "503:0.1.2", "slow=-1", "skew"],
)  # fmt: skip
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"fault|rate|number"):
        Fault.parse(text)


@pytest.fixture
def simulator() -> Simulator:
    return Simulator("supplier", clock=Clock(), lifetime=100)


def ask(simulator: Simulator, path: str = "login") -> Answer | str:
    try:
        return simulator.handle(Request("POST", simulator.base_url + path, (), b"{}"))
    except Broken as broken:
        return broken.kind


def test_it_strikes_where_it_was_sent(simulator: Simulator) -> None:
    simulator.faults.add("503@refresh")
    simulator.faults.add("500@data")
    simulator.faults.add("502@exchange")
    answers = [ask(simulator, path) for path in ("../data", "login", "refresh", "login", "../data")]
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [500, 502, 503, 400, 401]
    assert simulator.counts["faults"] == 3


@pytest.mark.parametrize("name", ["503@nowhere", "expire@logn", "reset@exchanges:0.5"])
def test_a_place_that_does_not_exist_is_refused_with_those_that_do(simulator: Simulator, name: str) -> None:
    with pytest.raises(ValueError, match="there are data, exchange, login, refresh"):
        simulator.faults.add(name)
    with pytest.raises(ValueError, match="nowhere"):
        simulator.faults.add("503", at="nowhere")
    assert simulator.faults.ordered == []


def test_it_strikes_as_often_as_told(simulator: Simulator) -> None:
    simulator.faults.add("reset@login:x2")
    assert [ask(simulator) for _ in range(2)] == ["reset", "reset"]
    assert isinstance(ask(simulator), Answer)


def test_a_rate_is_kept(simulator: Simulator) -> None:
    simulator.faults.add("503:0.1")
    struck = sum(isinstance(answer := ask(simulator), Answer) and answer.status == 503 for _ in range(2000))
    assert 140 <= struck <= 260


@pytest.mark.parametrize(("name", "counted"), [("timeout", 0), ("timeout-after", 1), ("reset-after", 1), ("half", 1)])
def test_before_or_after_the_work_is_done(simulator: Simulator, name: str, counted: int) -> None:
    simulator.faults.add(name)
    assert ask(simulator) == name.removesuffix("-after")
    assert simulator.counts["login"] == counted


def test_a_slow_answer_moves_the_clock(simulator: Simulator) -> None:
    simulator.faults.add("slow=3")
    before = simulator.clock()
    ask(simulator)
    assert simulator.clock() - before == 3


def test_a_clock_that_is_wrong_shows_in_the_answers(simulator: Simulator) -> None:
    simulator.faults.add("skew=-600")
    answer = ask(simulator)
    assert isinstance(answer, Answer)
    assert answer.date == simulator.clock() - 600


@pytest.mark.parametrize("name", names())
def test_every_name_can_be_ordered_and_taken_back(simulator: Simulator, name: str) -> None:
    simulator.faults.add(f"{name}:0.5" if name != "skew" else "skew=60:0.5")
    assert len(simulator.faults.ordered) == 1
    simulator.faults.clear()
    ask(simulator)
    assert simulator.counts["faults"] == 0
