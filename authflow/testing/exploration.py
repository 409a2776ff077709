"""Exploring a vendor: the machine run outside of pytest. `authflow check --explore` shows what comes of it.

explore("supplier").failure       the first promise broken in the shortest story, or None
print(explore("supplier"))        the cells of the flow that were visited, or the story
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from authflow.testing.clock import Clock
from authflow.testing.coverage import Coverage
from authflow.testing.simulator import Simulator
from authflow.testing.story import numbered, sequence


@dataclass(frozen=True, slots=True)
class Exploration:
    """What came of it. `failure` is the first promise broken in the shortest story, or None; `cannot` is what the
    simulator could not make from the file; with `seed` the same stories come again.
    """

    coverage: Coverage
    seed: int
    cannot: tuple[str, ...]
    examples: int
    steps: int
    seconds: float
    failure: str | None
    story: tuple[str, ...]

    @property
    def pace(self) -> float:
        """Steps per second."""
        return self.steps / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        if self.failure is not None:
            again = f"(the same stories again: seed {self.seed})"
            return "\n".join([self.failure, again, "", *numbered(self.story), "", sequence(self.story).rstrip()])
        ran = f"{self.examples} examples, {self.steps} steps in {self.seconds:.1f} s ({self.pace:.0f} steps/s)"
        return f"{self.coverage.table()}\n{ran}"


def explore(
    vendor: Any,
    *,
    examples: int = 200,
    steps: int = 50,
    shrink: bool = True,
    seed: int | None = None,
    progress: Callable[[int, bool], None] = lambda done, broken: None,
    **options: Any,
) -> Exploration:
    """Run the machine of a vendor on `examples` stories of up to `steps` steps. `progress` is told how many have begun,
    and whether a promise was broken, whose story is being shortened.

    `options` are those of `Simulator`. Raises ConfigurationError, VendorFileError.
    """
    import hypothesis
    from hypothesis.stateful import run_state_machine_as_test

    from authflow.testing.machine import flow_machine

    machine = flow_machine(vendor, **options)
    machine.progress = staticmethod(progress)
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    hypothesis.seed(seed)(machine)
    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]
    how = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # what the sessions warn of is made to happen
    started = time.perf_counter()
    failure: str | None = None
    try:
        run_state_machine_as_test(machine, settings=how, _min_steps=0)
    except AssertionError as error:
        failure = str(error)
    finally:
        logging.disable(before)
    return Exploration(
        machine.coverage,
        seed,
        Simulator(machine.vendor, clock=Clock(), **options).cannot,
        machine.steps["examples"],
        machine.steps["steps"],
        time.perf_counter() - started,
        failure,
        tuple(machine.last_story),
    )
