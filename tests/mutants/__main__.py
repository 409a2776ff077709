"""The mutation check: `python tests/mutants [WORD…]` seeds each bug of the table into a copy and sees it caught.

It prints a line per bug and N/N at the end; exit status 1 unless all are caught. Words choose the bugs whose names hold
one of them. The first of all is no bug: an unchanged copy must pass, or catching proves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from table import MUTANTS, Mutant

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
AT_ONCE = 2
#: Seconds after which a run that does not end counts as caught: the bug made it go in circles.
PATIENCE = 600.0
CLEAN = Mutant("no bug at all", "flow.py", "", "", ("supplier", "preset-password", "preset-relogin", "two-steps"))


def hunt(mutant: Mutant) -> tuple[str, str]:
    """`caught`, `alive` or `stale`, and by whom."""
    with tempfile.TemporaryDirectory(prefix="authflow-mutant-") as folder:
        shutil.copytree(ROOT / "authflow", Path(folder) / "authflow", ignore=shutil.ignore_patterns("__pycache__"))
        file = Path(folder) / "authflow" / mutant.file
        text = file.read_text("utf-8")
        if mutant.old:
            if text.count(mutant.old) != 1:
                return "stale", f"its text is {text.count(mutant.old)} times in {mutant.file}"
            file.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        commands = []
        if mutant.vendors:
            commands.append([str(HERE / "prey.py"), folder, *mutant.vendors])
        if mutant.tests:
            commands.append(["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests])
        for command in commands:
            try:
                done = subprocess.run(
                    [sys.executable, "-P", *command],  # never this tree's own package
                    cwd=ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return "caught", "it never ended"
            if done.returncode:
                return "caught", _by_whom(done.stdout, done.stderr)
    return "alive", "nobody noticed"


def _by_whom(out: str, err: str) -> str:
    failed = [line for line in out.splitlines() if line.startswith(("promise", "FAILED", "ERROR"))]
    lines = failed or [line for line in (*out.splitlines(), *err.splitlines()) if line.strip()]
    return lines[0 if failed else -1][:140] if lines else "an exit status"


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant.name for word in words)]
    verdict, why = hunt(CLEAN)
    if verdict != "alive":
        print(f"the unchanged copy fails: {why}")
        return 1
    caught = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mutant, (verdict, why) in zip(chosen, pool.map(hunt, chosen), strict=True):
            caught += verdict == "caught"
            print(f"{verdict:6}  {mutant.name}\n        {why}", flush=True)
    print(f"{caught}/{len(chosen)} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
