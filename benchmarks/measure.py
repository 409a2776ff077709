"""Fair timing on machines that wander: fresh interpreters, alternating batches, medians of ratios.

A contender is never timed alone. In one interpreter the floor and the contender run in batches that alternate, so that
a slow spell meets both, and the clock is the thread's own processor time. Each round gives one ratio, the interpreter's
is the median of its rounds, and the figure that is reported is the median over fresh interpreters, which take turns.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
#: The environments beside `.venv`: the peers', and one for niquests, which takes urllib3's place.
PEERS: Final = ROOT / ".venv-peers" / "bin" / "python"
NIQUESTS: Final = ROOT / ".venv-niquests" / "bin" / "python"

#: Seconds of this thread's own processor time: what else runs on the machine does not count.
clock: Final = time.thread_time

Batch = Callable[[int], float]
Row = dict[str, Any]


class Failed(RuntimeError):
    """A fresh interpreter did not do its part; the message is the end of what it said."""


def interpreter(wanted: Path = PEERS) -> str:
    """The Python of an environment, or this one where that environment was not made."""
    return str(wanted) if wanted.exists() else sys.executable


def fresh(
    module: str,
    *arguments: object,
    python: Path = PEERS,
    wait: float = 180.0,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> Row:
    """Run `python -m benchmarks.<module> --child …` in a fresh interpreter; its last line is its answer, in JSON.

    Raises Failed.
    """
    command = [*prefix, interpreter(python), "-m", f"benchmarks.{module}", "--child", *map(str, arguments)]
    quiet = {"PYTHONWARNINGS": "ignore", "OAUTHLIB_INSECURE_TRANSPORT": "1", "NO_PROXY": "*", "no_proxy": "*"}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **quiet, **(env or {})}, capture_output=True, text=True, timeout=wait
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"no end within {wait:g} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise Failed(" ".join(done.stderr.strip().splitlines()[-1:]) or f"exit status {done.returncode}")
    row: Row = json.loads(lines[-1])
    return row


def answer(row: Mapping[str, Any]) -> None:
    """What a fresh interpreter hands back."""
    print(json.dumps(row), flush=True)


def child_arguments() -> list[str] | None:
    """What stands behind `--child`, or None where this process leads."""
    return sys.argv[2:] if sys.argv[1:2] == ["--child"] else None


def parser() -> argparse.ArgumentParser:
    """The command line of the benchmark that runs. Those that have contenders can be told which."""
    main: Any = sys.modules["__main__"]
    made = argparse.ArgumentParser(
        prog=f"python -m {main.__spec__.name}",
        description=main.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(only=[])
    made.add_argument("--short", action="store_true", help="see that it runs: too little to believe, and not kept")
    known = {name: None for kind in getattr(main, "CONTENDERS", ()) for name in (kind.name, kind.client)}
    if known:
        told = f"only this library or client, and nothing is kept: {', '.join(known)}"
        made.add_argument("only", nargs="*", metavar="CONTENDER", type=_one_of(list(known)), help=told)
    return made


def _one_of(known: list[str]) -> Callable[[str], str]:
    def checked(name: str) -> str:
        if name not in known:
            raise argparse.ArgumentTypeError(f"there is no {name!r}: it takes {', '.join(known)}")
        return name

    return checked


@functools.cache
def options() -> argparse.Namespace:
    """What the command line says: `short`, `only`, and what the benchmark itself added to it."""
    return parser().parse_args()


def is_short() -> bool:
    """`--short`: enough to see that everything runs, too little to believe the figures."""
    return bool(options().short)


def is_whole() -> bool:
    """Neither short nor of some contenders only: its figures may be kept."""
    return not (options().short or getattr(options(), "only", None))


class Compared(NamedTuple):
    """Microseconds per call of the floor and of the contender, and the median of their ratios round by round."""

    floor_us: float
    us: float
    ratio: float


def alternate(floor: Batch, contender: Batch, *, rounds: int, batch: int) -> Compared:
    """Time `batch` calls of each, `rounds` times. A round has both orders, because whoever goes first pays for it: half
    of its calls come after the other's, and half before.
    """
    half = max(1, batch // 2)
    for warm in (floor, contender):
        warm(half)
    pairs: list[tuple[float, float]] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            before, ours = floor(half), contender(half)
            gc.collect()
            ours += contender(half)
            pairs.append((before + floor(half), ours))
            gc.collect()
    finally:
        gc.enable()
    middle = statistics.median
    return Compared(
        middle(a for a, _ in pairs) / (2 * half) * 1e6,
        middle(b for _, b in pairs) / (2 * half) * 1e6,
        middle(b / a for a, b in pairs),
    )


def timed(call: Callable[[], object]) -> Batch:
    """A batch that repeats one call."""

    def batch(times: int) -> float:
        started = clock()
        for _ in range(times):
            call()
        return clock() - started

    return batch


def middle(rows: Sequence[Row]) -> Row:
    """The median of each number over the rows of several interpreters; what is no number comes from the first."""
    out = dict(rows[0])
    for key, value in rows[0].items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            out[key] = statistics.median(row[key] for row in rows)
    return out


def instructions(module: str, *arguments: object, python: Path = PEERS, few: int, many: int) -> float | None:
    """Machine instructions per call, by callgrind: the difference between a child that does `many` and `few` calls.

    The child calls `instrument` when its calls begin. None where there is no valgrind. Hash seeds are fixed, so that
    both children walk the same way.
    """
    counts = []
    for calls in (few, many):
        prefix = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--instr-atstart=no")
        row = _counted(module, prefix, python, *arguments, calls)
        if row is None:
            return None
        counts.append(row)
    return (counts[1] - counts[0]) / (many - few)


def counts(module: str, *arguments: object, python: Path = PEERS) -> dict[str, float] | None:
    """Machine instructions per call of what one child runs part by part (`count`), by callgrind; None without it."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = ("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--instr-atstart=no")
        fixed = {"PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}
        try:
            told = fresh(module, "count", *arguments, python=python, wait=600, env=fixed, prefix=prefix)
        except (OSError, Failed):
            return None
        dumps = [Path(folder, f"out.{number}").read_text() for number in range(1, len(told["parts"]) + 2)]
    totals = [int(dump.rpartition("totals:")[2].split()[0]) for dump in dumps]
    return {name: (total - totals[0]) / told["calls"] for name, total in zip(told["parts"], totals[1:], strict=True)}


def count(parts: Mapping[str, Callable[[int], object]], calls: int) -> None:
    """Run each part `calls` times for `counts`, which takes off what it costs to begin and to end."""
    gc.collect()
    gc.disable()
    for name, run in {"nothing": lambda _: None, **parts}.items():
        run(20)  # until the interpreter has specialised it
        instrument(True)
        run(calls)
        instrument(False)
        subprocess.run(["callgrind_control", "-d", name, str(os.getpid())], check=True, capture_output=True)
    answer({"parts": list(parts), "calls": calls})


def instrument(on: bool) -> None:
    """Under callgrind: count from here on, or no further. To count the rest would take most of a minute."""
    command = ["callgrind_control", "-i", "on" if on else "off", str(os.getpid())]
    subprocess.run(command, check=True, capture_output=True)


def _counted(module: str, prefix: Sequence[str], python: Path, *arguments: object) -> int | None:
    command = [*prefix, interpreter(python), "-m", f"benchmarks.{module}", "--child", *map(str, arguments)]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            timeout=600,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = [line for line in done.stderr.splitlines() if "Collected :" in line]
    return int(told[-1].rpartition(":")[2].split()[0]) if told and not done.returncode else None


def hottest(profiler: cProfile.Profile, most: int) -> list[str]:
    """The functions that took most time of their own: share, calls, name."""
    entries = sorted(profiler.getstats(), key=lambda entry: entry.inlinetime, reverse=True)
    whole = sum(entry.inlinetime for entry in entries) or 1.0
    return [
        f"{entry.inlinetime / whole:6.1%}  {entry.callcount:>9,} ×  {_called(entry.code)}" for entry in entries[:most]
    ]


def hottest_imports(command: Sequence[str], env: Mapping[str, str] | None = None) -> list[str]:
    """The modules that take longest themselves, of a command with `-X importtime`."""
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60).stderr.splitlines()
    rows = [
        line.partition(":")[2].split("|") for line in told if line.startswith("import time:") and "self" not in line
    ]
    slow = sorted(((int(own), name.strip()) for own, _, name in rows), reverse=True)
    return [f"{own / 1000:6.1f} ms  {name}" for own, name in slow[:12]]


def _called(code: Any) -> str:
    if isinstance(code, str):
        return code.strip("<>")
    path = Path(code.co_filename)
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT / "authflow") else Path(*path.parts[-2:])
    return f"{shown}:{code.co_firstlineno} {code.co_qualname}"


def machine() -> Row:
    """What the figures were taken on."""
    model = ""
    with open("/proc/cpuinfo") if Path("/proc/cpuinfo").exists() else open(os.devnull) as told:
        model = next((line.partition(":")[2].strip() for line in told if line.startswith("model name")), "")
    return {
        "system": f"{platform.system()} {platform.release()}",
        "cpu": model or platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def versions(names: Sequence[str], python: Path = PEERS) -> dict[str, str]:
    """The versions of distributions in an environment; those that are not there are left out."""
    if interpreter(python) == sys.executable:
        return {name: version for name in names if (version := _version(name))}
    ask = "import json, sys; from benchmarks.measure import versions; print(json.dumps(versions(sys.argv[1:])))"
    done = subprocess.run(
        [interpreter(python), "-c", ask, *names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
