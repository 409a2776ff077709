"""Exploring a vendor: the machine run outside of pytest, and its story told.

    python -m authflow.testing.exploration VENDOR          what `authflow check --explore` does

It prints how far it is, then the cells of the flow that it visited; or, when a promise was broken, the shortest story
that breaks it, as a numbered list and as a sequence diagram (Mermaid).
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from authflow.errors import AuthFlowError
from authflow.testing.coverage import Coverage

_BAR: Final = 40


@dataclass(frozen=True, slots=True)
class Exploration:
    """What came of it. `failure` is the first promise broken in the shortest story, or None."""

    coverage: Coverage
    examples: int
    steps: int
    seconds: float
    failure: str | None
    story: tuple[str, ...]

    def __str__(self) -> str:
        if self.failure is not None:
            return "\n".join([self.failure, "", *numbered(self.story), "", sequence(self.story)])
        rate = self.steps / self.seconds if self.seconds else 0.0
        pace = f"{self.examples} examples, {self.steps} steps in {self.seconds:.1f} s ({rate:.0f} steps/s)"
        return f"{self.coverage.table()}\n{pace}"


def explore(
    vendor: Any,
    *,
    examples: int = 200,
    steps: int = 50,
    shrink: bool = True,
    seed: int | None = None,
    progress: Callable[[int], None] = lambda done: None,
    **options: Any,
) -> Exploration:
    """Run the machine of a vendor on `examples` stories of up to `steps` steps; `progress` is told how many are done.

    `options` are those of `Simulator`. Raises ConfigurationError, VendorFileError.
    """
    import hypothesis
    from hypothesis.stateful import run_state_machine_as_test

    from authflow.testing.machine import flow_machine

    machine = flow_machine(vendor, **options)
    machine.progress = staticmethod(progress)
    if seed is not None:
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
        machine.steps["examples"],
        machine.steps["steps"],
        time.perf_counter() - started,
        failure,
        tuple(machine.last_story),
    )


def numbered(story: Sequence[str]) -> list[str]:
    width = len(str(len(story)))
    return [f"{number:{width}}. {line}" for number, line in enumerate(story, 1)]


#: What a line of a story is in a sequence diagram.
_ARROWS: Final = (
    (re.compile(r"(\w+) sends (\w+)"), r"\1->>vendor: \2"),
    (re.compile(r"(\w+) hears (.+) to (\w+)"), r"vendor-->>\1: \3: \2"),
    (re.compile(r"request (\d+) of (\w+) goes out.*"), r"\2->>vendor: request \1"),
    (re.compile(r"request (\d+) of (\w+) is rejected"), r"vendor-->>\2: request \1 rejected"),
    (re.compile(r"request (\d+) of (\w+) (ends: .+)"), r"Note over \2: request \1 \3"),
    (re.compile(r"(\w+): (\w+) --(\w+)--> (\w+)"), r"Note over \1: \2, \3, \4"),
)


def sequence(story: Sequence[str]) -> str:
    """A story as a Mermaid sequence diagram."""
    lines = ["sequenceDiagram", "    participant vendor"]
    for line in story:
        for pattern, arrow in _ARROWS:
            if (parts := pattern.fullmatch(line)) is not None:
                lines.append("    " + parts.expand(arrow))
                break
        else:
            lines.append(f"    Note over vendor: {line.replace(':', ' -').replace(';', ',')}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit status: 1 where a promise was broken, 2 for a mistake in what was typed."""
    parser = argparse.ArgumentParser(prog="authflow check --explore", description="Explore every turn of a vendor")
    parser.add_argument("vendor", help="a plugin's name, or a path to a vendor file")
    parser.add_argument("--examples", type=int, default=200, help="how many stories (%(default)s)")
    parser.add_argument("--steps", type=int, default=50, help="how long they are at most (%(default)s)")
    parser.add_argument("--seed", type=int, help="the same stories again")
    parser.add_argument("--drawing", action="store_true", help="draw the cells visited (Mermaid)")
    options = parser.parse_args(argv)
    try:
        found = explore(
            options.vendor,
            examples=options.examples,
            steps=options.steps,
            seed=options.seed,
            progress=lambda done: _bar(done, options.examples),
        )
    except AuthFlowError as error:
        print(error, file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(found)
    if options.drawing:
        print(found.coverage.drawing())
    return 1 if found.failure is not None else 0


def _bar(done: int, whole: int) -> None:
    if sys.stderr.isatty():
        full = min(_BAR, done * _BAR // max(whole, 1))
        print(f"\r[{'#' * full}{'.' * (_BAR - full)}] {min(done, whole)}/{whole}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
