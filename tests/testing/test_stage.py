"""The stage: who acts next is the script's choice alone, locks hold, and the dead stay dead."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from authflow.errors import StoreError
from authflow.stores.base import Conflict, Store
from authflow.testing.clock import Clock
from authflow.testing.shared_store import SharedStore
from authflow.testing.stage import Died, Process, Stage, StagedFlights

KEY = "vendor-1"


class Scene:
    def __init__(self) -> None:
        self.stage, self.clock = Stage(), Clock()
        self.saves: list[tuple[str, bytes]] = []
        self.failures: list[str] = []
        self.store = SharedStore(
            self.stage,
            self.clock,
            lambda process, key, data: self.saves.append((process.name, data)),
            lambda process, kind: self.failures.append(kind),
        )
        self.told: list[str] = []

    def renewal(self, name: str, process: Process | None = None) -> Any:
        """A renewal that saves its name under the lock, begun as a flight."""
        process = process or Process(name)
        store = self.store.for_process(process)

        def work() -> str:
            with store.lock(KEY, limit=30, wait=40):
                self.told.append(f"{name} in")
                record = store.load(KEY)
                store.save(KEY, name.encode(), record.revision if record else None)
                self.told.append(f"{name} out")
            return name

        flights: StagedFlights[str] = StagedFlights(self.stage, process)
        return flights.join(KEY, lambda: None, work, waits=False)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_shared_store_is_a_store(scene: Scene) -> None:
    store = scene.store.for_process(Process("A"))
    assert isinstance(store, Store)
    revision = store.save(KEY, b"one", None)
    with pytest.raises(Conflict):
        store.save(KEY, b"two", None)
    stored = store.load(KEY)
    assert stored is not None
    assert (stored.data, stored.revision) == (b"one", revision)


@pytest.mark.parametrize("plan", [[], [1], [1, 1, 1], [2, 1, 3, 1], [1, 0, 2, 1, 1, 1, 1, 1]])
def test_a_lock_keeps_renewals_apart_whatever_the_script(scene: Scene, plan: list[int]) -> None:
    flights = [scene.renewal(name) for name in "ABC"]
    scene.stage.plan = deque(plan)
    assert sorted(flight.wait() for flight in flights) == ["A", "B", "C"]
    assert len(scene.saves) == 3
    inside = [line.split()[0] for line in scene.told]
    assert all(inside[index] == inside[index + 1] for index in range(0, 6, 2)), scene.told


def test_the_script_lets_another_cut_in(scene: Scene) -> None:
    for name in "AB":
        scene.renewal(name)
    scene.stage.plan = deque([0, 1])
    scene.stage.act_until(lambda: False)
    assert scene.told == ["B in", "B out", "A in", "A out"]


@pytest.mark.parametrize("pauses", range(4))
def test_a_killed_process_leaves_the_old_record_or_the_new_and_its_lock_runs_out(scene: Scene, pauses: int) -> None:
    process = Process("A")
    process.dies_in = pauses
    flight = scene.renewal("A", process)
    scene.stage.act_until(lambda: False)
    assert process.dead
    assert not flight.done
    record = scene.store.records.get(KEY)
    assert (record.data if record else None) == (b"A" if pauses > 2 else None)
    before = scene.clock.now
    assert scene.renewal("B").wait() == "B"
    assert scene.clock.now - before == (0 if pauses == 0 else 30)


def test_who_waits_for_one_that_is_killed_goes_on(scene: Scene) -> None:
    process = Process("A")
    process.dies_in = 2
    scene.renewal("A", process)
    other = scene.renewal("B")
    scene.stage.plan = deque([0, 0, 1])
    assert other.wait() == "B"


def test_the_dead_do_nothing(scene: Scene) -> None:
    process = Process("A")
    deaths: list[str] = []
    process.on_death = lambda: deaths.append("once")
    process.kill()
    process.kill()
    assert deaths == ["once"]
    with pytest.raises(Died):
        scene.store.for_process(process).load(KEY)
    scene.renewal("A", process)
    scene.stage.act_until(lambda: False)
    assert scene.told == []


def test_a_store_fails_as_often_as_it_was_told(scene: Scene) -> None:
    store = scene.store.for_process(Process("A"))
    scene.store.kinds, scene.store.failing = frozenset({"load"}), 1
    store.save(KEY, b"one", None)
    with pytest.raises(StoreError):
        store.load(KEY)
    assert store.load(KEY) is not None
    assert scene.failures == ["load"]


def test_tasks_wait_for_flights_and_can_be_cancelled(scene: Scene) -> None:
    flight = scene.renewal("A")
    results: list[str] = []

    async def caller() -> None:
        results.append(await flight.wait_async())

    first, second = (scene.stage.create_task(caller()) for _ in range(2))
    scene.stage.act(1)
    scene.stage.act(1)
    first.cancel()
    scene.stage.act_until(lambda: False)
    assert first.cancelled()
    assert second.done()
    assert results == ["A"]


@pytest.mark.parametrize("pauses", range(5))
def test_a_process_forks_between_any_two_steps(scene: Scene, pauses: int) -> None:
    """Its child waits for the lock that its parent holds, or is first."""
    parent, child = Process("parent"), Process("child")
    parent.forks_in, parent.on_fork = pauses, lambda: scene.renewal("child", child)
    scene.renewal("parent", parent)
    scene.stage.plan = deque([1, 1, 1, 1])
    scene.stage.act_until(lambda: False)
    assert sorted(name for name, _ in scene.saves) == (["child", "parent"] if pauses < 4 else ["parent"])
    inside = [told.split()[1] for told in scene.told]
    assert inside == ["in", "out"] * (len(inside) // 2)
