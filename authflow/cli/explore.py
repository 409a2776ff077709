"""`authflow check --explore`: every turn that a vendor's login can take, with a bar on a terminal while it goes on.

The machine is `authflow.testing`'s; here is what a person sees of it. A broken promise ends with exit code 1, after its
shortest story.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from authflow.cli.exits import REFUSED, Failed
from authflow.errors import ConfigurationError, harmless

if TYPE_CHECKING:
    from authflow.testing import Exploration


def explore(vendors: Sequence[str], examples: int, steps: int, seed: int | None, findings: list[Any] | None) -> None:
    """Explore each vendor and print what came of it: for people; or, beside these findings, as JSON. Raises Failed."""
    from hypothesis.configuration import set_hypothesis_home_dir

    from authflow import testing

    found: dict[str, Exploration] = {}
    for vendor in vendors:
        with _bar(vendor, sum(testing.stories(examples))) as progress, tempfile.TemporaryDirectory() as scratch:
            set_hypothesis_home_dir(scratch)  # or it leaves a folder where the user stands
            try:
                found[vendor] = testing.explore(vendor, examples=examples, steps=steps, seed=seed, progress=progress)
            except ConfigurationError as error:  # no alarm: it may well be right
                print(harmless(f"{vendor}: not explored: {error}"), file=sys.stderr)
                continue
        for reason in found[vendor].cannot:
            print(harmless(f"{vendor}: not simulated: {reason}"), file=sys.stderr)
        if findings is None:
            print(harmless(f"{vendor}:\n{_shown(found[vendor])}", "\n"))
    if findings is not None:
        explored = [_facts(vendor, result) for vendor, result in found.items()]
        print(json.dumps({"findings": findings, "explored": explored}, indent=1))
    broken = [vendor for vendor, result in found.items() if result.failure is not None]
    if broken:
        raise Failed(f"a promise is broken with {', '.join(broken)}", REFUSED)


def _shown(found: Exploration) -> str:
    return str(found) if found.failure is not None else f"{found}\n\n{found.coverage.drawing().rstrip()}"


def _facts(vendor: str, found: Exploration) -> dict[str, Any]:
    return {
        "vendor": vendor,
        "users": list(found.users),
        "examples": found.examples,
        "steps": found.steps,
        "seconds": round(found.seconds, 3),
        "steps_per_second": round(found.pace),
        "cells": [cell._asdict() for cell in found.coverage.rows()],
        "seed": found.seed,
        "failure": found.failure,
        "story": list(found.story) if found.failure is not None else [],
    }


@contextlib.contextmanager
def _bar(vendor: str, examples: int) -> Iterator[Callable[[int, bool], None]]:
    """A progress bar on standard error, where that is a terminal; gives what moves it."""
    if not sys.stderr.isatty():
        yield lambda done, broken: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"exploring {vendor}", total=examples)

        def move(done: int, broken: bool) -> None:
            if broken:
                bar.update(task, description=f"{vendor}: a promise is broken; its story is being shortened", total=None)
            bar.update(task, completed=done if broken else min(done, examples))

        yield move
