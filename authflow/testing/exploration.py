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

from authflow.errors import ConfigurationError
from authflow.testing.clock import Clock
from authflow.testing.coverage import Coverage
from authflow.testing.simulator import Simulator
from authflow.testing.story import numbered, sequence

#: For so many stories of one account there is one of several, which takes longer.
OF_ACCOUNTS = 8
#: How many steps that one has at most.
STEPS_OF_ACCOUNTS = 20


@dataclass(frozen=True, slots=True)
class Exploration:
    """What came of it. `failure` is the first promise broken in the shortest story, or None; `cannot` is what the
    simulator could not make from the file; `users` says in what those differ who shared a store (promise 11); with
    `seed` the same stories come again.
    """

    coverage: Coverage
    seed: int
    cannot: tuple[str, ...]
    users: tuple[str, ...]
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
        return f"{self.coverage.table()}\none store for {', '.join(self.users)}: nobody is given another's token\n{ran}"


def stories(examples: int) -> tuple[int, int]:
    """How many are told of one account, and how many of several on one store."""
    return examples, -(-examples // OF_ACCOUNTS)


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
    """Run the machine of a vendor on `examples` stories of up to `steps` steps, and an eighth as many of its second
    part: several users and servers on one store. `progress` is told how many have begun, and whether a promise was
    broken, whose story is being shortened.

    `options` are those of `Simulator`. Raises ConfigurationError, also where the simulator says that it cannot make up
    what a login needs; VendorFileError.
    """
    import hypothesis
    from hypothesis.stateful import run_state_machine_as_test

    from authflow.testing.accounts import users
    from authflow.testing.machine import flow_machine

    machine = flow_machine(vendor, **options)
    simulator = Simulator(machine.vendor, clock=Clock(), **options)
    _logs_in(simulator)
    parts: tuple[Any, ...] = machine, machine.accounts
    machine.progress = staticmethod(progress)
    machine.accounts.progress = staticmethod(lambda done, broken: progress(examples + done, broken))
    seed = secrets.randbelow(1 << 32) if seed is None else seed
    phases = [hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])]
    how = hypothesis.settings(
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
    part: Any = machine
    try:
        for part, most in zip(parts, stories(examples), strict=True):
            part_steps = steps if part is machine else min(steps, STEPS_OF_ACCOUNTS)
            here = hypothesis.settings(how, max_examples=most, stateful_step_count=part_steps)
            run_state_machine_as_test(hypothesis.seed(seed)(part), settings=here, _min_steps=0)
    except AssertionError as error:
        failure = str(error)
    finally:
        logging.disable(before)
    return Exploration(
        machine.coverage,
        seed,
        simulator.cannot,
        tuple(differs for differs, _, _ in users(machine.vendor, options.get("inputs") or {})),
        sum(part.steps["examples"] for part in parts),
        sum(part.steps["steps"] for part in parts),
        time.perf_counter() - started,
        failure,
        tuple(part.last_story),
    )


def _logs_in(simulator: Simulator) -> None:
    """Where something cannot be simulated: is there a login all the same? Else each story would be a false alarm."""
    if not simulator.cannot:
        return
    from authflow.session import AuthSession
    from authflow.testing.transports import SimulatedSender

    try:
        AuthSession(
            simulator.vendor, client=SimulatedSender(simulator), clock=simulator.clock, **simulator.inputs
        ).token()
    except Exception as error:  # the plugin's own, too
        why = "; ".join(simulator.cannot)
        raise ConfigurationError(f"{simulator.vendor.title} cannot be explored: {why}") from error
