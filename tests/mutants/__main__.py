"""The mutation check: `python tests/mutants [WORD…]` seeds each bug of the table into a copy and sees it caught.

`python tests/mutants --part 6` takes a sixth of them, another sixth whenever the code is another: all of them take an
hour, and CI is to answer sooner.

It prints a line per bug, and at the end how many were caught; exit status 1 unless all are. Words choose the bugs whose
names hold one of them. First of all there is no bug: an unchanged copy must pass all that the others are held against,
or catching proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from table import MUTANTS, Mutant, Stale

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
AT_ONCE = 2
#: Seconds after which a run that does not end counts as caught: the bug made it go in circles.
PATIENCE = 300.0


def controls(mutants: list[Mutant]) -> list[Mutant]:
    """No bug at all, grant against everything that the others are."""
    vendors = dict.fromkeys(vendor for mutant in mutants for vendor in mutant.vendors)
    tests = dict.fromkeys(test for mutant in mutants for test in mutant.tests)
    explored = [Mutant(f"no bug at all: {vendor}", "vendors/flow.py", "", "", (vendor,)) for vendor in vendors]
    tested = [Mutant(f"no bug at all: {test}", "vendors/flow.py", "", "", (), (test,)) for test in tests]
    return explored + tested


def hunt(mutant: Mutant) -> tuple[str, str, float]:
    """`caught`, `alive` or `stale`; by whom; and how many seconds it took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="authflow-mutant-") as folder:
        shutil.copytree(ROOT / "authflow", Path(folder) / "authflow", ignore=shutil.ignore_patterns("__pycache__"))
        file = Path(folder) / "authflow" / mutant.file
        try:
            file.write_text(mutant.seeded(file.read_text("utf-8")), "utf-8")
        except (Stale, OSError) as error:
            return "stale", str(error), 0.0
        verdict, why = "alive", "nobody noticed"
        for command in _commands(mutant, folder):
            why = _caught(command, folder)
            if why:
                verdict = "caught"
                break
    return verdict, why or "nobody noticed", time.monotonic() - started


def _commands(mutant: Mutant, folder: str) -> list[list[str]]:
    commands = []
    if mutant.vendors:
        commands.append([str(HERE / "prey.py"), folder, *mutant.vendors])
    if mutant.tests:
        commands.append(["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests])
    return commands


def _caught(command: list[str], folder: str) -> str:
    """Who noticed, when this is run with the copy in `folder`; nothing if nobody did."""
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    program = [sys.executable, "-P", *command]  # -P: never this tree's own package
    try:
        done = subprocess.run(
            program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "it never ended"
    return _by_whom(done.stdout, done.stderr) if done.returncode else ""


def _by_whom(out: str, err: str) -> str:
    failed = [line for line in out.splitlines() if line.startswith(("promise", "FAILED", "ERROR"))]
    lines = failed or [line for line in (*out.splitlines(), *err.splitlines()) if line.strip()]
    return lines[0 if failed else -1][:140] if lines else "an exit status"


def part(parts: int) -> list[Mutant]:
    """The rows whose turn it is: the code itself says which part."""
    code = sha256()
    for file in sorted((ROOT / "authflow").rglob("*.py")):
        code.update(file.read_bytes())
    turn = int(code.hexdigest(), 16) % parts
    return [mutant for number, mutant in enumerate(MUTANTS) if number % parts == turn]


def main(words: list[str]) -> int:
    if words[:1] == ["--part"]:
        chosen = part(int(words[1]))
    else:
        chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    unchanged = controls(chosen)
    caught = passed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        every = [*unchanged, *chosen]
        for mutant, (verdict, why, seconds) in zip(every, pool.map(hunt, every), strict=True):
            seeded = bool(mutant.old)
            caught += seeded and verdict == "caught"
            passed += not seeded and verdict == "alive"
            mark = " " if (verdict == "caught") is seeded else "!"
            print(f"{mark} {verdict:6} {seconds:5.1f} s  {mutant.name}\n                  {why}", flush=True)
    alarms = len(unchanged) - passed
    print(f"{caught}/{len(chosen)} caught ({100 * caught // max(1, len(chosen))} %), {alarms} false alarms")
    return 0 if caught == len(chosen) and not alarms else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
